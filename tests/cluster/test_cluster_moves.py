"""A partition moved to another node while clients write: nothing acknowledged is lost, and the old replica is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.targets.base import LAG_ENTRIES_MAX
from harness.clients import make_table
from harness.cluster import LocalCluster
from harness.waiting import wait_until
from node.storage import keyspace
from node.storage.rocks import RocksStore
from replication.ports import Family
from replication.retirement import retired_groups, stored_groups

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

TABLE = "things"
MOVE_TIMEOUT_S = 60.0
ITEMS = 400


class Writer:
    """Puts ascending numbers under many keys, and remembers what was acknowledged."""

    def __init__(self, client: Any) -> None:
        self.acknowledged: dict[str, int] = {}
        self.failures: list[str] = []
        self._client = client
        self._stops = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer")

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stops.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stops.is_set():
            number += 1
            key = str(number % ITEMS)
            try:
                self._client.put_item(TableName=TABLE, Item={"pk": {"S": key}, "n": {"N": str(number)}})
            except Exception as error:
                # Not acknowledged: it may be there or not, and a later number may not be lost for it.
                self.failures.append(repr(error))
                self.acknowledged.pop(key, None)
            else:
                self.acknowledged[key] = number

    def check(self, client: Any) -> None:
        """Every acknowledged number, or none before it, is what a strong read finds."""
        lost = {}
        for key, number in self.acknowledged.items():
            item = client.get_item(TableName=TABLE, Key={"pk": {"S": key}}, ConsistentRead=True).get("Item")
            if item is None or int(item["n"]["N"]) < number:
                lost[key] = (number, item)
        assert not lost


@pytest.fixture(scope="module")
def cluster(make_cluster: Callable[..., LocalCluster]) -> LocalCluster:
    # n4 and n5 stand in the zones of n1 and n2. A short log, so that a replica that comes is sent a snapshot.
    made = make_cluster(
        nodes=5,
        routers=2,
        overrides={"partitions": {"count": 3}, "replication": {"append_window_entries": 64, "log_entries_kept": 200}},
    )
    make_table(made.dynamodb(), TABLE)
    made.wait_whole()
    return made


@pytest.fixture
def writer(cluster: LocalCluster) -> Iterator[Writer]:
    with Writer(cluster.dynamodb(retries=True)) as made:
        wait_until(lambda: len(made.acknowledged) >= ITEMS, timeout_s=60, what="every key was written")
        yield made


def replicas_of(cluster: LocalCluster, partition: int) -> dict[str, str]:
    """Node -> role."""
    row = next(row for row in cluster.status().partitions if row.id == partition)
    return {replica.node: replica.role for replica in row.replicas}


def leader_of(cluster: LocalCluster, partition: int) -> str:
    return cluster.leaders()[partition]


def twin_of(cluster: LocalCluster, node: str, partition: int) -> str:
    """Another node of the same zone, which holds no replica of the partition."""
    zone = cluster.settings.node(node).az
    held = replicas_of(cluster, partition)
    return next(one.id for one in cluster.settings.nodes if one.az == zone and one.id not in held)


def movable(cluster: LocalCluster, *, leads: bool) -> tuple[int, str, str]:
    """A partition, a node that holds it (and leads it or not) and can be replaced, and the node in its place."""
    for partition, leader in sorted(cluster.leaders().items()):
        for node in sorted(replicas_of(cluster, partition)):
            twins = [one for one in cluster.settings.nodes if one.az == cluster.settings.node(node).az]
            if partition and len(twins) == 2 and (node == leader) is leads:
                return partition, node, twin_of(cluster, node, partition)
    pytest.skip("placement gave no such partition")


def start_move(cluster: LocalCluster, partition: int, source: str, target: str) -> set[str]:
    wanted = (set(replicas_of(cluster, partition)) - {source}) | {target}
    done = cluster.command("partition", "move", str(partition), "--to", ",".join(sorted(wanted)))
    assert done.returncode == 0, done.stderr
    return wanted


def wait_moved(cluster: LocalCluster, partition: int, wanted: set[str]) -> None:
    def is_there() -> bool:
        row = next(row for row in cluster.status().partitions if row.id == partition)
        roles = [replica.role for replica in row.replicas]
        return (
            {replica.node for replica in row.replicas} == wanted
            and sorted(roles) == ["follower", "follower", "leader"]
            and not row.target_replicas
        )

    wait_until(is_there, timeout_s=MOVE_TIMEOUT_S, what=f"partition {partition} is on {sorted(wanted)}")


def check_gone(cluster: LocalCluster, node: str, partition: int) -> None:
    """Nothing of the partition is on the node's disk but the mark that it was there."""
    cluster.terminate(node)
    store = RocksStore(Path(cluster.settings.node(node).data))
    try:
        for family in (Family.DATA, Family.OUTBOX):
            assert next(store.scan(family, *keyspace.group_range(partition)), None) is None
        assert partition in retired_groups(store)
        assert partition not in stored_groups(store)
    finally:
        store.close()
    cluster.start_process(node)


def test_a_follower_moves_under_writes(cluster: LocalCluster, writer: Writer) -> None:
    partition, source, target = movable(cluster, leads=False)
    wait_moved(cluster, partition, start_move(cluster, partition, source, target))
    check_gone(cluster, source, partition)
    wait_moved(cluster, partition, set(replicas_of(cluster, partition)))
    assert source not in replicas_of(cluster, partition), "its next start does not bring the replica back"
    assert writer.failures == []
    writer.check(cluster.dynamodb(retries=True))


def test_a_leader_moves_and_moves_back_under_writes(cluster: LocalCluster, writer: Writer) -> None:
    partition, source, target = movable(cluster, leads=True)
    wait_moved(cluster, partition, start_move(cluster, partition, source, target))
    wait_moved(cluster, partition, start_move(cluster, partition, target, source))
    check_gone(cluster, target, partition)
    assert writer.failures == []
    writer.check(cluster.dynamodb(retries=True))


@pytest.mark.parametrize("victim", ["source", "target"])
def test_a_node_that_dies_during_the_move_only_delays_it(cluster: LocalCluster, writer: Writer, victim: str) -> None:
    partition, source, target = movable(cluster, leads=victim == "source")
    killed = source if victim == "source" else target
    wanted = start_move(cluster, partition, source, target)
    cluster.kill(killed)
    cluster.start_process(killed)
    wait_moved(cluster, partition, wanted)
    check_gone(cluster, source, partition)
    writer.check(cluster.dynamodb(retries=True))


def test_a_move_to_a_dead_node_is_taken_back(cluster: LocalCluster, writer: Writer) -> None:
    partition, source, target = movable(cluster, leads=False)
    cluster.kill(target)
    before = set(replicas_of(cluster, partition))
    start_move(cluster, partition, source, target)
    wait_until(
        lambda: replicas_of(cluster, partition).get(target) == "down",
        timeout_s=MOVE_TIMEOUT_S,
        what="the group knows its learner",
    )
    assert f"partition {partition} is being moved to" in cluster.command("status").stdout
    back = cluster.command("partition", "move", str(partition), "--to", ",".join(sorted(before)))
    assert back.returncode == 0, back.stderr
    wait_moved(cluster, partition, before)
    cluster.start_process(target)
    cluster.wait_whole(lag_entries_max=LAG_ENTRIES_MAX)
    assert writer.failures == []
    writer.check(cluster.dynamodb(retries=True))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("9", "--to", "n1,n2,n3"), "there is no partition 9"),
        (("1", "--to", "n1,n2"), "3 different nodes are needed"),
        (("1", "--to", "n1,n4,n3"), "two of them share an AZ"),
        (("1", "--to", "n1,n2,n7"), "there is no node n7"),
    ],
)
def test_a_move_that_cannot_be_says_why(cluster: LocalCluster, arguments: tuple[str, ...], reason: str) -> None:
    done = cluster.command("partition", "move", *arguments)
    assert done.returncode == 1
    assert reason in done.stderr

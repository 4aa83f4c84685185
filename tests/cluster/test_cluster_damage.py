"""A disk that does not give back what was written: noticed, reported, rebuilt from its peers, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.clients import make_table
from harness.cluster import LocalCluster
from harness.waiting import wait_until
from node.storage.rocks import RocksStore
from replication.ports import Family

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

TABLE = "things"
ITEMS = 1500
REBUILD_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def cluster(make_cluster: Callable[..., LocalCluster]) -> LocalCluster:
    made = make_cluster(overrides={"storage": {"memtable_bytes": 1 << 20}})
    client = made.dynamodb()
    make_table(client, TABLE)
    fill(client, 0, ITEMS)
    made.wait_whole()
    return made


def fill(client: Any, first: int, count: int) -> None:
    for start in range(first, first + count, 25):
        puts = [
            {"PutRequest": {"Item": {"pk": {"S": str(number)}, "v": {"S": "x" * 2000}}}}
            for number in range(start, min(start + 25, first + count))
        ]
        while puts:
            left = client.batch_write_item(RequestItems={TABLE: puts})["UnprocessedItems"]
            puts = left.get(TABLE, [])


def folder_of(cluster: LocalCluster, node: str) -> Path:
    return Path(cluster.settings.node(node).data)


def asides(cluster: LocalCluster, node: str) -> set[Path]:
    folder = folder_of(cluster, node)
    return set(folder.parent.glob(f"{folder.name}.damaged-*"))


def hurt_manifest(folder: Path) -> None:
    """In its first record, behind the header: a length that is hurt further on may look like a record being written."""
    with (folder / (folder / "CURRENT").read_text().strip()).open("r+b") as file:
        file.seek(10)
        hurt = bytes(byte ^ 0xFF for byte in file.read(64))
        file.seek(10)
        file.write(hurt)


def hurt_table_file(folder: Path) -> None:
    largest = max(folder.glob("*.sst"), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.truncate(largest.stat().st_size // 2)


def hurt_blocks(folder: Path) -> None:
    # RocksDB opens it, and the node meets a bad block while it starts, with iterators open.
    for table in folder.glob("*.sst"):
        with table.open("r+b") as file:
            for position in range(0, table.stat().st_size * 3 // 4, 2048):
                file.seek(position)
                hurt = bytes(byte ^ 0xFF for byte in file.read(16))
                file.seek(position)
                file.write(hurt)


def hurt_log(folder: Path) -> None:
    # Every record: whichever of the (recycled) files holds what was written last.
    for log in folder.glob("*.log"):
        with log.open("r+b") as file:
            size = log.stat().st_size
            for position in range(0, size, 512):
                file.seek(position)
                file.write(b"\xa5" * 16)


def hurt_journal_record(folder: Path) -> None:
    # What RocksDB takes for good: only the record's own checksum can tell.
    store = RocksStore(folder)
    key, record = list(store.scan(Family.LOG, b"", b"\xff" * 12))[-1]
    store.put(Family.LOG, key, record[:-1] + bytes([record[-1] ^ 1]))
    store.write_batch()
    store.sync()
    store.close()


def check_all_items(cluster: LocalCluster, count: int) -> None:
    client = cluster.dynamodb(retries=True)
    for number in range(0, count, 7):
        answer = client.get_item(TableName=TABLE, Key={"pk": {"S": str(number)}}, ConsistentRead=True)
        assert "Item" in answer, number
    found = 0
    arguments: dict[str, Any] = {"TableName": TABLE, "Select": "COUNT", "ConsistentRead": True}
    while True:
        page = client.scan(**arguments)
        found += page["Count"]
        if "LastEvaluatedKey" not in page:
            break
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    assert found == count


@pytest.mark.parametrize(
    "hurt",
    [
        pytest.param(hurt_table_file, id="a table file"),
        pytest.param(hurt_blocks, id="blocks of tables"),
        pytest.param(hurt_log, id="the write-ahead log"),
        pytest.param(hurt_journal_record, id="a journal record"),
    ],
)
def test_a_damaged_node_is_rebuilt_and_counts_again(cluster: LocalCluster, hurt: Callable[[Path], None]) -> None:
    before = asides(cluster, "n2")
    cluster.kill("n2")
    hurt(folder_of(cluster, "n2"))
    cluster.start_process("n2")
    damaged = [event for event in cluster.log_events("n2") if event["event"] == "store_damaged"]
    assert damaged
    assert damaged[-1]["reason"]
    (aside,) = asides(cluster, "n2") - before
    assert (aside / "DAMAGED").read_text().strip()
    status = cluster.wait_whole(REBUILD_TIMEOUT_S)
    assert "(kept in " in status.nodes[1].damage
    assert "store of n2 was damaged" in cluster.command("status").stdout
    assert not folder_of(cluster, "n2").with_name("n2.rebuild").exists()
    wait_until(
        lambda: all(r.role in ("leader", "follower") for p in cluster.status().partitions for r in p.replicas),
        timeout_s=REBUILD_TIMEOUT_S,
        what="no replica is being rebuilt",
    )
    # It is as good as any other: with n1 gone, what it holds is needed.
    cluster.kill("n1")
    check_all_items(cluster, ITEMS)
    cluster.start_process("n1")
    cluster.wait_whole()


def test_damage_that_was_met_while_running_is_known_to_the_next_start(cluster: LocalCluster) -> None:
    cluster.kill("n3")
    # What a node leaves that met a bad block (tests/node/test_node_damage.py); the store may open without meeting it.
    (folder_of(cluster, "n3") / "DAMAGED").write_text("a bad block\n")
    cluster.start_process("n3")
    assert cluster.wait_whole(REBUILD_TIMEOUT_S).nodes[2].damage.startswith("a bad block (kept in ")
    check_all_items(cluster, ITEMS)


def test_where_settings_say_stop_it_stops_and_touches_nothing(make_cluster: Callable[..., LocalCluster]) -> None:
    cluster = make_cluster(overrides={"storage": {"on_damage": "stop"}})
    cluster.wait_whole()
    cluster.kill("n2")
    hurt_manifest(folder_of(cluster, "n2"))
    with pytest.raises(Exception, match="exit status 1"):
        cluster.start_process("n2")
    assert asides(cluster, "n2") == set()
    assert (folder_of(cluster, "n2") / "DAMAGED").exists()
    assert [event["event"] for event in cluster.log_events("n2")][-2:] == ["store_damaged", "node_stops"]

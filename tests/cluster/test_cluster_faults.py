"""Faults on real processes: what one cut link, a lost AZ and a failing disk do to clients, and that all of it heals."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from harness.clients import make_table
from harness.cluster import LocalCluster
from harness.waiting import wait_until
from tools.fault_commands import az_rules
from tools.faults import ANY, FaultClient, FaultError, link_rule, machine_rule
from tools.folder import ClusterFolder
from topology.catalog import bootstrap_catalog

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

TABLE = "things"
HEAL_TIMEOUT_S = 20.0


@pytest.fixture(scope="module")
def cluster(make_cluster: Callable[..., LocalCluster]) -> LocalCluster:
    made = make_cluster(routers=3, overrides={"fault_injection": {"enabled": True}})
    client = made.dynamodb()
    make_table(client, TABLE)
    for number in range(60):
        client.put_item(TableName=TABLE, Item={"pk": {"S": str(number)}})
    made.wait_whole()
    return made


@pytest.fixture
def clients(cluster: LocalCluster) -> Iterator[dict[str, FaultClient]]:
    """A fault client for each node; whatever the test broke is healed afterwards."""
    token = ClusterFolder(cluster.data).fault_token()
    made = {node.id: FaultClient(node.address, token) for node in cluster.settings.nodes}
    yield made
    for name, client in made.items():
        if name in cluster.supervisor.running():
            client.clear()
        client.close()
    cluster.wait_whole()


def terms(cluster: LocalCluster) -> dict[int, int]:
    return {partition.id: partition.term for partition in cluster.status().partitions}


def wait_preferred(cluster: LocalCluster) -> None:
    """Until every leader, the catalog's too, is where the placement wants it: no hand-over changes a term any more."""
    wanted = {one.id: one.preferred_leader for one in bootstrap_catalog(cluster.settings, "any").partitions}
    wait_until(lambda: cluster.leaders() == wanted, timeout_s=HEAL_TIMEOUT_S, what="leaders are where they belong")


def test_a_single_cut_link_costs_no_election(cluster: LocalCluster, clients: dict[str, FaultClient]) -> None:
    cluster.wait_spread()
    wait_preferred(cluster)
    before = terms(cluster)
    clients["n1"].set([link_rule(id="one-way", for_s=60, peer="n2", cut=True, direction=2)])
    wait_until(lambda: "n2" not in cluster.status().nodes[0].peers, timeout_s=10, what="n1 notices")
    # Several election time-outs long.
    end = time.monotonic() + 3
    writer = cluster.dynamodb(retries=True)
    while time.monotonic() < end:
        writer.put_item(TableName=TABLE, Item={"pk": {"S": "during"}})
    assert terms(cluster) == before
    status = cluster.command("status").stdout
    assert "warning: fault injection is on in n1, n2, n3" in status
    assert "fault on n1: one-way: to node n2: silence" in status


def test_an_az_that_is_cut_off_loses_its_leaders_and_no_eventual_read(
    cluster: LocalCluster, clients: dict[str, FaultClient]
) -> None:
    cluster.wait_spread()
    rules = az_rules(cluster.settings, "az-b", for_s=60)
    for name, client in clients.items():
        client.set(rules[name])
    readers = [cluster.dynamodb(router=number) for number in range(3)]
    moved = False
    deadline = time.monotonic() + HEAL_TIMEOUT_S
    while not moved:
        assert time.monotonic() < deadline, cluster.leaders()
        for number, reader in enumerate(readers):
            for key in range(20):
                answer = reader.get_item(TableName=TABLE, Key={"pk": {"S": str(key)}})
                assert "Item" in answer, f"router {number} lost item {key}"
        leaders = cluster.leaders()
        moved = "n2" not in leaders.values() and all(leaders.values())
    writer = cluster.dynamodb(router=0, retries=True)
    for number in range(60, 90):
        writer.put_item(TableName=TABLE, Item={"pk": {"S": str(number)}})
    # Until the next line: silence, not an ending of processes.
    assert cluster.supervisor.running() == {"n1", "n2", "n3", "r1", "r2", "r3"}
    for client in clients.values():
        client.clear()
    cluster.wait_whole()
    reader = cluster.dynamodb(router=1)
    for number in range(90):
        assert "Item" in reader.get_item(TableName=TABLE, Key={"pk": {"S": str(number)}}, ConsistentRead=True)


def test_a_rule_that_nobody_clears_heals_by_itself(cluster: LocalCluster, clients: dict[str, FaultClient]) -> None:
    clients["n3"].set([link_rule(for_s=6, peer=ANY, router=ANY, cut=True)])
    wait_until(lambda: not cluster.status().nodes[2].peers, timeout_s=10, what="n3 is alone")
    cluster.wait_whole()
    assert clients["n3"].describe().faults == []


@pytest.mark.parametrize("effect", ["sync_fails", "disk_full"])
def test_a_node_whose_disk_fails_stops_and_nothing_acknowledged_is_lost(
    cluster: LocalCluster, clients: dict[str, FaultClient], effect: str
) -> None:
    record = cluster.record("n1")
    clients["n1"].set([machine_rule(for_s=30, **{effect: True})])
    writer = cluster.dynamodb(router=1, retries=True)
    for number in range(30):
        writer.put_item(TableName=TABLE, Item={"pk": {"S": f"{effect}-{number}"}})
    assert cluster.exit_status("n1", record) == 1
    cluster.supervisor.stop_one("n1")
    stopped = [event for event in cluster.log_events("n1") if event["event"] == "node_stops"]
    assert "a fault rule" in stopped[-1]["reason"]
    cluster.start_process("n1")
    cluster.wait_whole()
    for number in range(30):
        answer = writer.get_item(TableName=TABLE, Key={"pk": {"S": f"{effect}-{number}"}}, ConsistentRead=True)
        assert "Item" in answer


def test_a_wrong_token_breaks_nothing(cluster: LocalCluster, clients: dict[str, FaultClient]) -> None:
    address = cluster.settings.nodes[0].address
    with FaultClient(address, "0" * 64) as stranger, pytest.raises(FaultError, match="token"):
        stranger.set([machine_rule(for_s=30, sync_fails=True)])
    assert clients["n1"].describe().faults == []
    assert (cluster.data / "fault-token").stat().st_mode & 0o777 == 0o600


def test_faults_by_command(cluster: LocalCluster, clients: dict[str, FaultClient]) -> None:
    done = cluster.command("fault", "delay", "n1", "n2", "--ms", "20", "--jitter-ms", "5", "--for", "30")
    assert "n1: to node n2: 20 ms later and up to 5 ms more (heals by itself in 30 s)" in done.stdout, done
    assert "n2: to node n1: 20 ms later" in done.stdout
    assert cluster.command("fault", "slow-disk", "n3", "--ms", "10").returncode == 0
    faults = [
        text for node in json.loads(cluster.command("status", "--json").stdout)["nodes"] for text in node["faults"]
    ]
    assert len(faults) == 3
    assert "every sync takes 10 ms longer" in cluster.command("fault", "list").stdout
    assert cluster.command("fault", "clear").stdout == "healed: n1, n2, n3\n"
    assert cluster.command("fault", "list").stdout == "no fault is in force\n"
    for arguments, said in {
        ("cut", "n1", "zz"): "there is no node 'zz'",
        ("cut", "r1", "r2"): "do not talk to each other",
        ("az", "az-x"): "there is no AZ 'az-x'",
    }.items():
        refused = cluster.command("fault", *arguments)
        assert (refused.returncode, said in refused.stderr) == (2, True), refused
        assert "next: " in refused.stderr

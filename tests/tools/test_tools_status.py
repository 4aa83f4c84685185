"""Status from answers: leaders, lag and what is not known, as values, tables and JSON."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console
from rich.table import Table

from tools.probe import NodeAnswer, RouterAnswer
from tools.status import (
    ClusterStatus,
    PartitionRow,
    collect,
    index_lag_table,
    move_lines,
    partition_table,
    process_table,
    summary,
)
from topology.settings import load_settings
from wire import data_pb2 as pb

pytestmark = pytest.mark.unit

SETTINGS = load_settings(
    """\
nodes:
  - {id: n1, az: az-a, port: 7101, metrics_port: 7201}
  - {id: n2, az: az-b, port: 7102, metrics_port: 7202}
  - {id: n3, az: az-c, port: 7103, metrics_port: 7203}
routers:
  - {id: r1, az: az-a, http_port: 8000, metrics_port: 7211}
partitions: {count: 2}
""",
    "cluster.yaml",
)


FOUR_NODES = """
nodes:
  - {id: n1, az: az-a, port: 7101, metrics_port: 7201}
  - {id: n2, az: az-b, port: 7102, metrics_port: 7202}
  - {id: n3, az: az-c, port: 7103, metrics_port: 7203}
  - {id: n4, az: az-c, port: 7104, metrics_port: 7204}
routers:
  - {id: r1, az: az-a, http_port: 8000, metrics_port: 7211}
partitions: {count: 2}
"""


def replica(partition: int, role: str, *, term: int = 5, applied: int = 90, last: int = 100) -> pb.ReplicaStatus:
    status = pb.ReplicaStatus(
        partition=partition,
        role=role,
        term=term,
        commit_index=applied,
        applied_index=applied,
        last_index=last,
        voters=["n1", "n2", "n3"],
    )
    if role == "leader":
        for node in ("n1", "n2", "n3"):
            status.match_index[node] = last
    return status


def answer(node: str, *replicas: pb.ReplicaStatus) -> NodeAnswer:
    status = pb.NodeStatus(
        node_id=node, replicas=replicas, connected_peers=["n3", "n2"], pid=41, connected_routers=1, uptime_s=2.5
    )
    return NodeAnswer(node, status)


def silent(node: str, reason: str = "no connection") -> NodeAnswer:
    return NodeAnswer(node, None, reason)


def whole() -> ClusterStatus:
    followers = [replica(0, "follower"), replica(2, "follower")]
    return collect(
        SETTINGS,
        "c-1",
        [
            answer("n1", replica(0, "leader"), replica(1, "follower", applied=70), replica(2, "follower")),
            answer("n2", followers[0], replica(1, "leader", applied=100), replica(2, "follower")),
            answer("n3", followers[0], replica(1, "follower", applied=100), replica(2, "leader")),
        ],
        [RouterAnswer("r1", True)],
        {"n1": 41, "r1": 77},
    )


def partition(status: ClusterStatus, number: int) -> PartitionRow:
    return next(row for row in status.partitions if row.id == number)


def rendered(table: Table) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_a_whole_cluster_is_healthy() -> None:
    status = whole()
    assert status.healthy
    assert (status.catalog_leader, status.with_leader) == ("n1", 2)
    assert [(node.id, node.leads, node.up) for node in status.nodes] == [
        ("n1", 1, True),
        ("n2", 1, True),
        ("n3", 1, True),
    ]
    assert status.nodes[0].peers == ("n2", "n3")
    assert status.routers[0].ready
    assert summary(status) == (
        "3 of 3 nodes up, 1 of 1 routers serve, 2 of 2 partitions have a leader, catalog led by n1"
    )


def test_what_indexes_lack_is_said_by_the_leader() -> None:
    leader = replica(1, "leader")
    leader.index_backlog_records, leader.index_lag_ms = 17, 250
    status = collect(
        SETTINGS, "c-1", [answer("n1", replica(1, "follower")), answer("n2", leader), silent("n3")], [], {}
    )
    row = partition(status, 1)
    assert (row.index_backlog_records, row.index_lag_ms) == (17, 250)
    unknown = partition(status, 2)
    assert (unknown.index_backlog_records, unknown.index_lag_ms) == (None, None)
    assert status.to_json()["partitions"][1]["index_lag_ms"] == 250
    text = rendered(index_lag_table(status))
    assert re.search(r"1 +│ n2 +│ +17 │ +250 │", text)
    assert re.search(r"2 +│ none +│ +- │ +- │", text)
    assert "catalog" not in text


def test_lag_is_what_the_leader_has_and_the_replica_has_not_applied() -> None:
    rows = {row.node: row for row in partition(whole(), 1).replicas}
    assert {node: row.lag for node, row in rows.items()} == {"n1": 30, "n2": 0, "n3": 0}
    assert (rows["n1"].applied_index, rows["n1"].last_index) == (70, 100)


def test_a_replica_seen_later_than_its_leader_does_not_lag_below_zero() -> None:
    status = collect(
        SETTINGS,
        "c-1",
        [answer("n1", replica(1, "leader", last=10)), answer("n2", replica(1, "follower", applied=12, last=12))],
        [],
        {},
    )
    assert [row.lag for row in partition(status, 1).replicas if row.node == "n2"] == [0]


def test_of_two_leaders_the_one_of_the_higher_term_counts() -> None:
    status = collect(
        SETTINGS,
        "c-1",
        [answer("n1", replica(1, "leader", term=5)), answer("n2", replica(1, "leader", term=6)), silent("n3")],
        [],
        {},
    )
    assert (partition(status, 1).leader, partition(status, 1).term) == ("n2", 6)


def test_a_leader_is_only_who_says_so_itself() -> None:
    follower = replica(1, "follower")
    follower.leader = "n3"
    status = collect(SETTINGS, "c-1", [answer("n1", follower), answer("n2", follower), silent("n3")], [], {})
    row = partition(status, 1)
    assert (row.leader, row.term, status.healthy) == ("", 5, False)
    assert [(replica.node, replica.role, replica.lag) for replica in row.replicas] == [
        ("n1", "follower", None),
        ("n2", "follower", None),
        ("n3", "down", None),
    ]


def test_a_move_shows_who_comes_and_who_leaves() -> None:
    settings = load_settings(FOUR_NODES, "cluster.yaml")
    leader = replica(1, "leader", last=100)
    del leader.voters[:]
    leader.voters.extend(("n1", "n2"))
    leader.learners.append("n4")
    leader.target_replicas.extend(("n1", "n2", "n4"))
    status = collect(
        settings,
        "c-1",
        [
            answer("n1", replica(1, "follower", applied=100)),
            answer("n2", leader),
            answer("n3", replica(1, "follower", applied=95)),
            answer("n4", replica(1, "learner", applied=20, last=20)),
        ],
        [],
        {},
    )
    row = partition(status, 1)
    assert [(one.node, one.role, one.lag) for one in row.replicas] == [
        ("n1", "follower", 0),
        ("n2", "leader", 10),
        ("n3", "leaving", None),
        ("n4", "learner", 80),
    ]
    assert row.target_replicas == ("n1", "n2", "n4")
    assert move_lines(status) == ["partition 1 is being moved to n1, n2, n4"]
    assert move_lines(whole()) == []


def test_a_partition_that_has_moved_and_lost_its_leader_shows_where_it_is() -> None:
    settings = load_settings(FOUR_NODES, "cluster.yaml")
    old, new = replica(1, "follower"), replica(1, "follower", term=6)
    del new.voters[:]
    new.voters.extend(("n1", "n2", "n4"))
    status = collect(settings, "c-1", [silent("n1"), silent("n2"), answer("n3", old), answer("n4", new)], [], {})
    assert [(one.node, one.role) for one in partition(status, 1).replicas] == [
        ("n1", "down"),
        ("n2", "down"),
        ("n3", "leaving"),
        ("n4", "follower"),
    ]


def test_a_dead_cluster_shows_where_replicas_should_be() -> None:
    status = collect(
        SETTINGS,
        "c-1",
        [silent("n1"), silent("n2", "no answer in time"), silent("n3")],
        [RouterAnswer("r1", False, "no connection")],
        {"n2": 9},
    )
    assert [row.id for row in status.partitions] == [0, 1, 2]
    assert all([replica.node for replica in row.replicas] == ["n1", "n2", "n3"] for row in status.partitions)
    assert [node.reason for node in status.nodes] == [
        "not running (no connection)",
        "no answer in time",
        "not running (no connection)",
    ]
    assert "catalog without a leader" in summary(status)
    assert "0 of 3 nodes up, 0 of 1 routers serve" in summary(status)


def test_hash_ranges_begin_where_the_ring_cuts_them_and_the_catalog_has_none() -> None:
    assert [row.first_hash for row in whole().partitions] == ["", "0" * 32, "8" + "0" * 31]


def test_json_has_every_value_and_survives_a_round_trip() -> None:
    document = json.loads(json.dumps(whole().to_json()))
    assert document["healthy"] is True
    assert document["cluster_id"] == "c-1"
    assert document["nodes"][0] == {
        "id": "n1",
        "az": "az-a",
        "address": "127.0.0.1:7101",
        "up": True,
        "reason": "",
        "pid": 41,
        "leads": 1,
        "peers": ["n2", "n3"],
        "routers": 1,
        "uptime_s": 2.5,
        "fault_injection": False,
        "faults": [],
        "damage": "",
    }
    assert document["partitions"][1]["replicas"][0] == {
        "node": "n1",
        "role": "follower",
        "commit_index": 70,
        "applied_index": 70,
        "last_index": 100,
        "lag": 30,
    }
    assert document["routers"][0]["endpoint"] == "http://127.0.0.1:8000"


def test_tables_show_every_process_partition_and_replica() -> None:
    processes = rendered(process_table(whole()))
    for text in ("node n1", "node n3", "router r1", "az-b", "127.0.0.1:7102", "http://127.0.0.1:8000", "serves", "77"):
        assert text in processes
    lines = rendered(partition_table(whole())).splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert len(rows) == 9
    assert rows[3] == ["1", "00000000", "n2", "5", "n1", "follower", "70", "70", "100", "30"]
    assert rows[4] == ["", "", "", "", "n2", "leader", "100", "100", "100", "0"]
    assert rows[0][0] == "0 catalog"


def test_reasons_with_brackets_are_text_and_not_markup() -> None:
    status = collect(SETTINGS, "c-1", [silent("n1", "[bold]x[/] [/]")], [RouterAnswer("r1", False, "[/red]")], {})
    processes = rendered(process_table(status))
    assert "[bold]x[/] [/]" in processes
    assert "[/red]" in processes

"""A write that is sent again because its answer was lost: it happens once, and its answer is the first one's."""

from __future__ import annotations

from itertools import count

import orjson
import pytest

from node.machine import requests
from node.machine.requests import RequestMemory
from replication.group import ReplicationSettings
from simulation.quiet import Asker, QuietCluster
from simulation.table import TABLE_ID, from_item, to_item
from wire import data_pb2

pytestmark = pytest.mark.unit

GROUP = 1
KEY = "g1r0"
OK, UNKNOWN, NOT_LEADER = data_pb2.OK, data_pb2.UNKNOWN, data_pb2.NOT_LEADER
NUMBERS = count(1)


def operation(kind: data_pb2.OperationKind, **fields: object) -> data_pb2.Operation:
    given = {"partition": GROUP, "table_id": TABLE_ID, "key": KEY.encode(), **fields}
    return data_pb2.Operation(kind=kind, request_id=next(NUMBERS).to_bytes(16, "big"), **given)


def increment() -> data_pb2.Operation:
    expressions = orjson.dumps({"update": "ADD n :one", "values": {":one": {"N": "1"}}})
    item = orjson.dumps({"k": {"S": KEY}})
    return operation(data_pb2.UPDATE, item=item, expressions=expressions, flags=data_pb2.RETURN_UPDATED_NEW)


def put_if(condition: str, value: str) -> data_pb2.Operation:
    return operation(data_pb2.PUT, item=to_item(KEY, value), expressions=orjson.dumps({"condition": f"{condition}(v)"}))


def repeat(sent: data_pb2.Operation, **fields: object) -> data_pb2.Operation:
    again = data_pb2.Operation()
    again.CopyFrom(sent)
    again.is_repeat = True
    again.MergeFrom(data_pb2.Operation(**fields))
    return again


@pytest.fixture
def cluster() -> QuietCluster:
    return QuietCluster()


@pytest.fixture
def leader(cluster: QuietCluster) -> Asker:
    return cluster.asker(cluster.leader(GROUP))


def value(cluster: QuietCluster) -> str | None:
    asker = cluster.asker(cluster.settle(GROUP))
    (read,) = asker.ask(operation(data_pb2.GET_STRONG))
    cluster.run(0.2)
    return from_item(asker.result(read).item)


def slow_syncs(cluster: QuietCluster) -> None:
    for machine in cluster.machines.values():
        machine.slow_syncs_until = cluster.world.now + 1.0


# ---------------------------------------------------------------------------------------------- another leader
@pytest.mark.parametrize("leaders", [1, 2], ids=["the next leader", "the one after it"])
def test_a_write_that_committed_before_its_leader_died_is_answered_by_the_next(
    cluster: QuietCluster, leader: Asker, leaders: int
) -> None:
    sent = increment()
    leader.ask(sent)
    group = cluster.leader(GROUP).host.group(GROUP)
    committed = group.journal.last_index + 1
    cluster.world.run_until(cluster.world.now + 1.0, lambda: group.commit_index >= committed)
    for _ in range(leaders):
        dying = cluster.leader(GROUP)
        dying.machine.crash(power_loss=True, restart_after_s=0.3)
        cluster.run(1.5)
        cluster.settle(GROUP)
    successor = cluster.asker(cluster.leader(GROUP))
    (again,) = successor.ask(repeat(sent))
    cluster.run(0.2)
    assert from_item(successor.result(again).item) == "1"
    assert value(cluster) == "1"


@pytest.mark.parametrize("lost", ["never kept", "not read at start"])
def test_without_the_memory_the_write_would_happen_twice(
    monkeypatch: pytest.MonkeyPatch, cluster: QuietCluster, leader: Asker, lost: str
) -> None:
    """What the tests here would see: they can fail."""
    if lost == "never kept":
        monkeypatch.setattr(RequestMemory, "remember", lambda *_: None)
    else:
        monkeypatch.setattr(RequestMemory, "load", lambda *_: None)
    sent = increment()
    leader.ask(sent)
    cluster.run(0.2)
    for machine in cluster.machines.values():
        # What was written survives: nothing is applied again, so that only what is read at start is known.
        machine.crash(power_loss=False, restart_after_s=0.1)
    cluster.run(1.5)
    successor = cluster.asker(cluster.settle(GROUP))
    successor.ask(repeat(sent))
    cluster.run(0.2)
    assert value(cluster) == "2"


def test_a_write_that_its_leader_could_not_commit_happens_once_by_its_repeat(
    cluster: QuietCluster, leader: Asker
) -> None:
    old = cluster.leader(GROUP)
    cluster.isolate(old.node_id, 4.0)
    sent = increment()
    (first,) = leader.ask(sent)
    cluster.run(2.0)
    successor = cluster.asker(cluster.leader(GROUP))
    (again,) = successor.ask(repeat(sent))
    cluster.run(0.3)
    assert (leader.statuses[first], successor.statuses[again]) == (UNKNOWN, OK)
    cluster.run(3.0)
    assert value(cluster) == "1"


def test_a_repeat_to_the_old_leader_commits_nowhere(cluster: QuietCluster, leader: Asker) -> None:
    old = cluster.leader(GROUP)
    sent = increment()
    cluster.isolate(old.node_id, 3.0)
    leader.ask(sent)
    cluster.run(0.01)
    (joined,) = leader.ask(repeat(sent))
    cluster.run(1.5)
    successor = cluster.asker(cluster.leader(GROUP))
    (again,) = successor.ask(repeat(sent))
    cluster.run(3.0)
    assert (leader.statuses[joined], successor.statuses[again]) == (UNKNOWN, OK)
    assert value(cluster) == "1"


def test_a_replica_that_got_a_snapshot_and_restarted_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ReplicationSettings(log_entries_kept=20, snapshot_chunk_bytes=300, snapshot_window_chunks=2)
    cluster = QuietCluster(replication=settings)
    late = cluster.follower(GROUP).node_id
    cluster.machines[late].crash(power_loss=True, restart_after_s=100.0)
    leader = cluster.asker(cluster.leader(GROUP))
    sent = increment()
    leader.ask(sent)
    for number in range(80):
        leader.ask(operation(data_pb2.PUT, key=b"key%d" % number, item=to_item(KEY, "x")))
        cluster.run(0.02)
    cluster.machines[late].start()
    cluster.run(0.5)
    cluster.settle(GROUP)
    assert cluster.checks.snapshots > 0
    cluster.machines[late].crash(power_loss=True, restart_after_s=0.1)
    cluster.run(0.3)
    cluster.settle(GROUP)
    cluster.leader(GROUP).host.start_transfer(GROUP, late)
    cluster.run(1.0)
    successor = cluster.asker(cluster.process(late))
    (again,) = successor.ask(repeat(sent))
    cluster.run(0.2)
    assert from_item(successor.result(again).item) == "1"


# ---------------------------------------------------------------------------------------------- the same leader
def test_a_repeat_of_what_is_under_way_joins_it(cluster: QuietCluster, leader: Asker) -> None:
    slow_syncs(cluster)
    sent, other = increment(), increment()
    first, second = leader.ask(sent, other)
    cluster.run(0.002)
    assert leader.results == []
    elsewhere = cluster.asker(cluster.leader(GROUP))
    last = cluster.leader(GROUP).host.group(GROUP).journal.last_index
    (joined,) = elsewhere.ask(repeat(sent))
    cluster.run(1.0)
    assert cluster.leader(GROUP).host.group(GROUP).journal.last_index == last, "no entry of its own"
    assert from_item(leader.result(first).item) == from_item(elsewhere.result(joined).item) == "1"
    assert from_item(leader.result(second).item) == "2"
    assert cluster.leader(GROUP).host.partitions[GROUP].in_flight == 0


def test_a_repeat_that_comes_in_the_same_turn_joins_too(cluster: QuietCluster, leader: Asker) -> None:
    sent = increment()
    numbers = leader.ask(sent) + leader.ask(repeat(sent)) + leader.ask(increment())
    cluster.run(0.2)
    assert [from_item(leader.result(number).item) for number in numbers] == ["1", "1", "2"]
    assert cluster.leader(GROUP).host.partitions[GROUP].in_flight == 0


def test_a_repeat_of_what_is_applied_is_answered_from_memory(cluster: QuietCluster, leader: Asker) -> None:
    sent = increment()
    leader.ask(sent)
    cluster.run(0.2)
    leader.ask(increment())
    cluster.run(0.2)
    group = cluster.leader(GROUP).host.group(GROUP)
    last = group.journal.last_index
    (again,) = leader.ask(repeat(sent))
    cluster.run(0.2)
    assert from_item(leader.result(again).item) == "1"
    assert (group.journal.last_index, cluster.leader(GROUP).host.partitions[GROUP].in_flight) == (last, 0)


def test_a_condition_that_failed_is_judged_again(cluster: QuietCluster, leader: Asker) -> None:
    sent = put_if("attribute_exists", "b")
    (first,) = leader.ask(sent)
    cluster.run(0.2)
    leader.ask(operation(data_pb2.PUT, item=to_item(KEY, "a")))
    (again,) = leader.ask(repeat(sent))
    cluster.run(0.2)
    assert (leader.statuses[first], leader.statuses[again]) == (data_pb2.CONDITION_FAILED, OK)
    assert value(cluster) == "b"


# ---------------------------------------------------------------------------------------------- what comes late
@pytest.mark.parametrize("off", [-1, 1], ids=["an earlier leadership", "a later one"])
def test_a_write_that_is_meant_for_another_leadership_is_refused(
    cluster: QuietCluster, leader: Asker, off: int
) -> None:
    term = cluster.leader(GROUP).host.group(GROUP).term
    cluster.leader(GROUP).host.start_transfer(GROUP, cluster.follower(GROUP).node_id)
    cluster.run(1.0)
    successor = cluster.asker(cluster.leader(GROUP))
    now = cluster.leader(GROUP).host.group(GROUP).term
    assert now > term
    sent, meant = increment(), increment()
    sent.term, meant.term = now + off, now
    late, fresh = successor.ask(sent, meant)
    cluster.run(0.2)
    assert (successor.statuses[late], successor.statuses[fresh]) == (NOT_LEADER, OK)
    assert value(cluster) == "1"
    assert cluster.leader(GROUP).host.partitions[GROUP].in_flight == 0


def test_what_comes_on_an_older_stream_of_the_same_router_is_not_taken(cluster: QuietCluster) -> None:
    process = cluster.leader(GROUP)
    old = cluster.asker(process, process_id=b"router01", stream=1)
    other = cluster.asker(process, process_id=b"router02", stream=1)
    new = cluster.asker(process, process_id=b"router01", stream=2)
    (late,) = old.ask(increment())
    (kept,) = other.ask(increment())
    (taken,) = new.ask(increment())
    cluster.run(0.2)
    assert late not in old.statuses
    assert (other.statuses[kept], new.statuses[taken]) == (OK, OK)
    assert value(cluster) == "2"


def test_a_repeat_of_a_forgotten_time_is_not_done_again_and_a_newer_one_is_judged(
    monkeypatch: pytest.MonkeyPatch, cluster: QuietCluster, leader: Asker
) -> None:
    monkeypatch.setattr(requests, "REQUESTS_MAX", 8)
    sent = increment()
    before = cluster.leader(GROUP).host.hybrid_clock.reading()
    leader.ask(sent)
    for _ in range(20):
        leader.ask(operation(data_pb2.PUT, key=b"other", item=to_item(KEY, "x")))
        cluster.run(0.02)
    after = cluster.leader(GROUP).host.hybrid_clock.reading()
    assert 0 < cluster.leader(GROUP).host.partitions[GROUP].state.forgotten_time < after
    late, never_told, newer = leader.ask(
        repeat(sent, issued_at=before), repeat(increment()), repeat(increment(), issued_at=after)
    )
    cluster.run(0.2)
    assert [leader.statuses[number] for number in (late, never_told, newer)] == [
        data_pb2.FORGOTTEN,
        data_pb2.FORGOTTEN,
        OK,
    ]
    assert value(cluster) == "2"
    assert cluster.leader(GROUP).host.partitions[GROUP].in_flight == 0

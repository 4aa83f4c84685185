"""What a leader answers and when: three real hosts in virtual time, with one thing made to happen at one moment."""

from __future__ import annotations

from itertools import count

import orjson
import pytest

from node.storage.errors import StoreDamaged
from replication.group import ReplicationSettings
from replication.membership import ChangeKind, MembershipChange
from simulation.quiet import Asker, QuietCluster
from simulation.table import TABLE_ID, from_item, to_item
from wire import data_pb2, log_pb2

pytestmark = pytest.mark.unit

GROUP = 1
KEY = "g1r0"
REQUEST_NUMBERS = count(1)
OK, UNKNOWN, NOT_LEADER = data_pb2.OK, data_pb2.UNKNOWN, data_pb2.NOT_LEADER


def operation(kind: data_pb2.OperationKind, **fields: object) -> data_pb2.Operation:
    given: dict[str, object] = {"partition": GROUP, "table_id": TABLE_ID, "key": KEY.encode(), **fields}
    return data_pb2.Operation(kind=kind, **given)  # type: ignore[arg-type]


def put(value: str, **fields: object) -> data_pb2.Operation:
    given = {"request_id": next(REQUEST_NUMBERS).to_bytes(16, "big"), **fields}
    return operation(data_pb2.PUT, item=to_item(KEY, value), **given)


def put_if_absent(value: str) -> data_pb2.Operation:
    condition = orjson.dumps({"condition": "attribute_not_exists(v)"})
    return put(value, expressions=condition, flags=data_pb2.RETURN_OLD_ON_CONDITION_FAILURE)


def increment() -> data_pb2.Operation:
    expressions = orjson.dumps({"update": "ADD n :one", "values": {":one": {"N": "1"}}})
    item = orjson.dumps({"k": {"S": KEY}})
    return operation(data_pb2.UPDATE, item=item, expressions=expressions, flags=data_pb2.RETURN_UPDATED_NEW)


def get(kind: data_pb2.OperationKind = data_pb2.GET_STRONG) -> data_pb2.Operation:
    return operation(kind)


@pytest.fixture
def cluster() -> QuietCluster:
    return QuietCluster()


@pytest.fixture
def leader(cluster: QuietCluster) -> Asker:
    return cluster.asker(cluster.leader(GROUP))


def slow_syncs(cluster: QuietCluster) -> None:
    """Nothing commits for at least ten milliseconds from now."""
    for machine in cluster.machines.values():
        machine.slow_syncs_until = cluster.world.now + 1.0


def test_a_decision_about_a_write_under_way_waits_for_it_though_the_log_ends_with_other_members(
    cluster: QuietCluster, leader: Asker
) -> None:
    slow_syncs(cluster)
    (write,) = leader.ask(put("a"))
    cluster.run(0.003)
    change = MembershipChange(ChangeKind.ADD_LEARNER, "n9")
    assert cluster.leader(GROUP).host.group(GROUP).change_membership(change, lambda *_: None) is None
    (refused,) = leader.ask(put_if_absent("b"))
    cluster.run(0.003)
    assert leader.statuses == {}, "nothing is committed yet"
    cluster.run(2.0)
    assert leader.statuses == {write: OK, refused: data_pb2.CONDITION_FAILED}


# ---------------------------------------------------------------------------------------------- the plain path
def test_a_write_is_answered_and_a_strong_read_sees_it(cluster: QuietCluster, leader: Asker) -> None:
    (write,) = leader.ask(put("a"))
    cluster.run(0.1)
    (read,) = leader.ask(get())
    cluster.run(0.1)
    assert leader.statuses == {write: OK, read: OK}
    assert from_item(leader.result(read).item) == "a"


def test_a_read_of_nothing_is_ok_without_item(cluster: QuietCluster, leader: Asker) -> None:
    (read,) = leader.ask(get())
    cluster.run(0.1)
    assert (leader.result(read).status, leader.result(read).item) == (OK, b"")


def test_every_replica_answers_eventual_reads(cluster: QuietCluster, leader: Asker) -> None:
    leader.ask(put("a"))
    cluster.run(0.3)
    for node_id in cluster.machines:
        asker = cluster.asker(cluster.process(node_id))
        (read,) = asker.ask(get(data_pb2.GET_EVENTUAL))
        cluster.run(0.01)
        assert from_item(asker.result(read).item) == "a"


@pytest.mark.parametrize(
    "kind", [data_pb2.GET_STRONG, data_pb2.PUT, data_pb2.UPDATE, data_pb2.DELETE], ids=data_pb2.OperationKind.Name
)
def test_a_follower_refuses_and_names_the_leader(cluster: QuietCluster, kind: data_pb2.OperationKind) -> None:
    follower = cluster.asker(cluster.follower(GROUP))
    (number,) = follower.ask(operation(kind, item=to_item(KEY, "a")))
    cluster.run(0.05)
    result = follower.result(number)
    assert (result.status, result.leader) == (NOT_LEADER, cluster.leader(GROUP).node_id)


def test_a_partition_that_is_not_here_is_refused(cluster: QuietCluster, leader: Asker) -> None:
    (number,) = leader.ask(operation(data_pb2.GET_STRONG, partition=99))
    cluster.run(0.05)
    assert leader.statuses == {number: data_pb2.WRONG_PARTITION}


def test_work_beyond_the_limit_is_refused_and_the_rest_served() -> None:
    cluster = QuietCluster(proposals_in_flight_max=5)
    leader = cluster.asker(cluster.leader(GROUP))
    numbers = leader.ask(*(put(f"{number}") for number in range(9)))
    cluster.run(0.2)
    assert [leader.statuses[number] for number in numbers] == [OK] * 5 + [data_pb2.OVERLOADED] * 4
    (again,) = leader.ask(put("again"))
    cluster.run(0.2)
    assert leader.statuses[again] == OK


# ---------------------------------------------------------------------------------------------- pipelining
def test_increments_of_one_item_need_no_commit_in_between(cluster: QuietCluster, leader: Asker) -> None:
    slow_syncs(cluster)
    numbers = []
    for _turn in range(5):
        numbers += leader.ask(increment(), increment())
        cluster.run(0.0015)
    assert leader.results == [], "none is committed yet"
    assert cluster.leader(GROUP).host.partitions[GROUP].proposals_total >= 3, "they are in several entries"
    cluster.run(2.0)
    assert [from_item(leader.result(number).item) for number in numbers] == [str(count) for count in range(1, 11)]


def test_a_failed_condition_that_saw_a_write_under_way_waits_for_that_write(
    cluster: QuietCluster, leader: Asker
) -> None:
    slow_syncs(cluster)
    (write,) = leader.ask(put("a"))
    cluster.run(0.002)
    (condition,) = leader.ask(put_if_absent("b"))
    cluster.run(0.005)
    assert leader.results == []
    cluster.run(2.0)
    assert leader.statuses == {write: OK, condition: data_pb2.CONDITION_FAILED}
    order = [result.id for result in leader.results]
    assert order.index(write) < order.index(condition)
    assert from_item(leader.result(condition).item) == "a"


def test_a_failed_condition_is_never_answered_when_what_it_saw_does_not_commit(
    cluster: QuietCluster, leader: Asker
) -> None:
    cluster.isolate(cluster.leader(GROUP).node_id, 5.0)
    (write,) = leader.ask(put("a"))
    cluster.run(0.01)
    (condition,) = leader.ask(put_if_absent("b"))
    cluster.run(4.0)
    assert leader.statuses == {write: UNKNOWN, condition: NOT_LEADER}


def test_a_condition_on_settled_state_is_answered_without_a_log_entry(cluster: QuietCluster, leader: Asker) -> None:
    leader.ask(put("a"))
    cluster.run(0.2)
    last = cluster.leader(GROUP).host.group(GROUP).journal.last_index
    (condition,) = leader.ask(put_if_absent("b"))
    cluster.run(0.2)
    assert leader.statuses[condition] == data_pb2.CONDITION_FAILED
    assert cluster.leader(GROUP).host.group(GROUP).journal.last_index == last


# ---------------------------------------------------------------------------------------------- lost leadership
def test_proposed_is_unknown_and_never_proposed_is_not_leader(cluster: QuietCluster, leader: Asker) -> None:
    old = cluster.leader(GROUP)
    cluster.isolate(old.node_id, 30.0)
    (proposed,) = leader.ask(put("lost"))
    (read,) = leader.ask(get())
    cluster.run(3.0)
    assert not old.host.group(GROUP).is_leader
    (late,) = leader.ask(put("late"))
    cluster.run(0.1)
    assert leader.statuses == {proposed: UNKNOWN, read: NOT_LEADER, late: NOT_LEADER}
    assert old.host.partitions[GROUP].in_flight == 0


def test_what_the_new_leader_wrote_replaces_what_the_old_one_could_not_commit(
    cluster: QuietCluster, leader: Asker
) -> None:
    old = cluster.leader(GROUP)
    cluster.isolate(old.node_id, 4.0)
    leader.ask(put("lost"))
    cluster.run(2.0)
    new = cluster.leader(GROUP)
    assert new is not old
    successor = cluster.asker(new)
    (write,) = successor.ask(put("kept"))
    cluster.run(0.2)
    assert successor.statuses == {write: OK}
    cluster.run(3.0)
    cluster.settle(GROUP)
    stale = cluster.asker(old)
    (read,) = stale.ask(get(data_pb2.GET_EVENTUAL))
    cluster.run(0.1)
    assert from_item(stale.result(read).item) == "kept"


def test_with_two_nodes_dead_strong_operations_fail_and_eventual_reads_answer(
    cluster: QuietCluster, leader: Asker
) -> None:
    leader.ask(put("a"))
    cluster.run(0.3)
    survivor = cluster.leader(GROUP)
    for machine in cluster.machines.values():
        if machine.process is not survivor:
            machine.crash(power_loss=True, restart_after_s=100.0)
    (write,) = leader.ask(put("b"))
    cluster.run(4.0)
    (strong,) = leader.ask(get())
    (eventual,) = leader.ask(get(data_pb2.GET_EVENTUAL))
    cluster.run(1.0)
    assert leader.statuses[write] == UNKNOWN
    assert leader.statuses[strong] == NOT_LEADER
    assert from_item(leader.result(eventual).item) == "a"


# ---------------------------------------------------------------------------------------------- handing over
def test_a_hand_over_moves_leadership_and_loses_nothing(cluster: QuietCluster, leader: Asker) -> None:
    old = cluster.leader(GROUP)
    target = cluster.follower(GROUP).node_id
    slow_syncs(cluster)
    before = leader.ask(*(increment() for _ in range(3)))
    cluster.run(0.002)
    old.host.start_transfer(GROUP, target)
    held = leader.ask(increment())
    successor_group = cluster.process(target).host.group(GROUP)
    cluster.world.run_until(cluster.world.now + 2.0, lambda: successor_group.is_ready_leader)
    assert cluster.leader(GROUP).node_id == target
    assert [leader.statuses[number] for number in before] == [OK] * 3
    assert leader.statuses[held[0]] in (OK, NOT_LEADER)
    done = sum(status == OK for status in leader.statuses.values())
    successor = cluster.asker(cluster.leader(GROUP))
    (read,) = successor.ask(get())
    cluster.run(2.0)
    assert from_item(successor.result(read).item) == str(done)


def test_a_hand_over_that_cannot_happen_is_given_up_and_held_work_goes_on(cluster: QuietCluster, leader: Asker) -> None:
    old = cluster.leader(GROUP)
    cluster.machines[cluster.follower(GROUP).node_id].crash(power_loss=False, restart_after_s=100.0)
    dead = next(node_id for node_id, machine in cluster.machines.items() if machine.process is None)
    cluster.run(0.2)
    old.host.start_transfer(GROUP, dead)
    (write,) = leader.ask(put("held"))
    cluster.run(0.1)
    assert leader.results == []
    cluster.run(1.0)
    assert leader.statuses == {write: OK}
    assert cluster.leader(GROUP) is old


# ---------------------------------------------------------------------------------------------- tables
def test_a_dropped_table_is_gone_for_reads_and_writes(cluster: QuietCluster, leader: Asker) -> None:
    leader.ask(put("a"))
    cluster.run(0.2)
    host = cluster.leader(GROUP).host
    host.partitions[GROUP].propose_own(log_pb2.LogEntry(drop_tables=[log_pb2.DropTable(table_id=TABLE_ID)]))
    host.wake(GROUP)
    cluster.run(0.2)
    numbers = leader.ask(put("b"), get(), increment())
    cluster.run(0.2)
    assert {leader.statuses[number] for number in numbers} == {data_pb2.TABLE_GONE}
    (other,) = leader.ask(put("c", table_id=TABLE_ID + 1))
    cluster.run(0.2)
    assert leader.statuses[other] == OK


# ---------------------------------------------------------------------------------------------- catching up
@pytest.mark.parametrize(
    ("writes", "by_snapshot"),
    [
        pytest.param(5, False, id="by log after a short absence"),
        pytest.param(80, True, id="by snapshot after a long one"),
    ],
)
def test_a_node_that_was_away_catches_up(writes: int, by_snapshot: bool) -> None:
    settings = ReplicationSettings(log_entries_kept=20, snapshot_chunk_bytes=300, snapshot_window_chunks=2)
    cluster = QuietCluster(replication=settings)
    away = cluster.follower(GROUP).node_id
    cluster.machines[away].crash(power_loss=True, restart_after_s=100.0)
    leader = cluster.asker(cluster.leader(GROUP))
    for number in range(writes):
        leader.ask(put(f"{number}", key=b"key%d" % number))
        cluster.run(0.02)
    assert all(status == OK for status in leader.statuses.values())
    cluster.machines[away].start()
    cluster.run(0.5)
    cluster.settle(GROUP)
    asker = cluster.asker(cluster.process(away))
    reads = asker.ask(*(operation(data_pb2.GET_EVENTUAL, key=b"key%d" % number) for number in range(writes)))
    cluster.run(0.05)
    assert [from_item(asker.result(read).item) for read in reads] == [f"{number}" for number in range(writes)]
    assert (cluster.checks.snapshots > 0) is by_snapshot


def test_acknowledged_writes_survive_a_power_loss_of_every_node(cluster: QuietCluster, leader: Asker) -> None:
    (write,) = leader.ask(put("a"))
    cluster.world.run_until(cluster.world.now + 1.0, lambda: bool(leader.results))
    assert leader.statuses == {write: OK}
    for machine in cluster.machines.values():
        machine.crash(power_loss=True, restart_after_s=0.1)
    cluster.run(0.2)
    asker = cluster.asker(cluster.settle(GROUP))
    (read,) = asker.ask(get())
    cluster.run(0.2)
    assert from_item(asker.result(read).item) == "a"


# ---------------------------------------------------------------------------------------------- a disk that fails
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(put_if_absent("b"), id="an operation is judged"),
        pytest.param(get(), id="a strong read"),
        pytest.param(get(data_pb2.GET_EVENTUAL), id="an eventual read"),
        pytest.param(
            operation(data_pb2.RANGE_EVENTUAL, key=b"", range=data_pb2.RangeRead(bytes_max=1 << 20)), id="a range read"
        ),
    ],
)
def test_a_store_that_cannot_be_read_stops_the_node_and_answers_nothing(
    cluster: QuietCluster, monkeypatch: pytest.MonkeyPatch, asked: data_pb2.Operation
) -> None:
    process = cluster.leader(GROUP)
    stopped: list[BaseException] = []

    def unreadable(*_: object) -> None:
        raise StoreDamaged("a bad block")

    monkeypatch.setattr(process.host, "stop_process", stopped.append)
    for read in ("get", "scan", "scan_back"):
        monkeypatch.setattr(process.host.partitions[GROUP].state._store, read, unreadable)
    asker = cluster.asker(process)
    (number,) = asker.ask(asked)
    cluster.run(0.1)
    assert [type(error) for error in stopped][:1] == [StoreDamaged]
    assert number not in asker.statuses

"""RoutingState: where operations go, what is retried, what ends how. No sockets, no clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import limits
from router.routing.partition_map import PartitionMap, read_order
from router.routing.pending import READ_KINDS, Failure, Pending
from router.routing.state import RoutingState
from topology.ring import initial_boundaries
from wire import catalog_pb2
from wire import data_pb2 as pb

pytestmark = pytest.mark.unit

NODES = ("n1", "n2", "n3")
AZS = {"n1": "az-a", "n2": "az-b", "n3": "az-c"}
OPERATION_S = 3.0


class Recorded(Pending):
    """An operation that keeps how it ended."""

    __slots__ = ("outcomes",)

    def __init__(self, kind: int, number: int, deadline_s: float, partition: int = 1) -> None:
        request_id = b"" if kind in READ_KINDS or kind == pb.CATALOG_COMMAND else number.to_bytes(16, "big")
        operation = pb.Operation(id=number, kind=kind, partition=partition, request_id=request_id)
        super().__init__(operation, deadline_s)
        self.outcomes: list[object] = []

    def complete(self, result: pb.Result) -> None:
        self.outcomes.append(result.status)

    def give_up(self, failure: Failure) -> None:
        self.outcomes.append(failure)


class Harness:
    """A RoutingState whose streams are lists; time moves by `advance`."""

    def __init__(self, up: tuple[str, ...] = NODES, in_flight_max: int = 100, partitions: int = 3) -> None:
        self.now_s = 1000.0
        self.sent: list[tuple[str, Recorded]] = []
        # What a node would read, as of each sending.
        self.operations: list[pb.Operation] = []
        self.queues_full: set[str] = set()
        self.numbers = iter(range(1, 1_000_000))
        self.pendings: list[Recorded] = []
        self.state = RoutingState(
            streams=self,
            own_az="az-b",
            node_ids=NODES,
            in_flight_max=in_flight_max,
            next_id=lambda: next(self.numbers),
        )
        self.state.map_changed(PartitionMap(catalog(partitions)), self.now_s)
        for node_id in up:
            self.state.node_up(node_id, self.now_s, 1)

    def send(self, node_id: str, pending: Pending) -> bool:
        if node_id in self.queues_full:
            return False
        self.sent.append((node_id, pending))
        operation = pb.Operation()
        operation.CopyFrom(pending.operation)
        self.operations.append(operation)
        return True

    def submit(self, kind: int, partition: int = 1) -> Recorded:
        pending = Recorded(kind, next(self.numbers), self.now_s + OPERATION_S, partition)
        self.pendings.append(pending)
        self.state.submit(pending, self.now_s)
        return pending

    def write_frames(self) -> None:
        for _, pending in self.sent:
            pending.sent = bool(pending.node)

    def answer(self, node_id: str, pending: Recorded, status: int, leader: str = "") -> None:
        self.state.result(node_id, pb.Result(id=pending.operation.id, status=status, leader=leader), self.now_s)

    def hint(self, node_id: str, leader: str, term: int, partition: int = 1) -> None:
        self.state.leader_hint(node_id, partition, leader, term, self.now_s)

    def advance(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + limits.TICK_MS / 1000)
            self.state.tick(self.now_s)

    def nodes_of(self, pending: Recorded) -> list[str]:
        return [node_id for node_id, sent in self.sent if sent is pending]

    def sendings_of(self, pending: Recorded) -> list[pb.Operation]:
        return [operation for (_, sent), operation in zip(self.sent, self.operations, strict=True) if sent is pending]


def catalog(partitions: int, version: int = 1) -> catalog_pb2.Catalog:
    made = catalog_pb2.Catalog(version=version)
    for node_id, az in AZS.items():
        made.nodes.add(id=node_id, az=az, address=f"{node_id}:1")
    made.partitions.add(id=0, first_hash=bytes(16), replicas=NODES)
    for number, boundary in enumerate(initial_boundaries(partitions), start=1):
        made.partitions.add(id=number, first_hash=boundary, replicas=NODES)
    return made


WRITES = pytest.mark.parametrize("kind", [pb.PUT, pb.UPDATE, pb.DELETE, pb.CATALOG_COMMAND])
LEADER_KINDS = pytest.mark.parametrize("kind", [pb.GET_STRONG, pb.PUT, pb.UPDATE, pb.DELETE])


@LEADER_KINDS
def test_goes_to_the_leader(kind: int) -> None:
    harness = Harness()
    harness.hint("n3", "n3", 5)
    pending = harness.submit(kind)
    harness.answer("n3", pending, pb.OK)
    assert harness.nodes_of(pending) == ["n3"]
    assert pending.outcomes == [pb.OK]
    assert harness.state.idle


@LEADER_KINDS
def test_waits_for_a_leader_and_goes_when_a_hint_comes(kind: int) -> None:
    harness = Harness()
    pending = harness.submit(kind)
    assert harness.sent == []
    assert harness.state.waiting == 1
    harness.hint("n1", "n2", 1)
    assert harness.nodes_of(pending) == ["n2"]
    assert harness.state.waiting == 0


def test_without_a_hint_replicas_are_asked_in_turn_and_success_teaches_who_leads() -> None:
    harness = Harness()
    first, second = harness.submit(pb.PUT), harness.submit(pb.PUT)
    harness.advance(limits.PROBE_MS / 1000)
    ((node_id, sent),) = harness.sent
    assert sent is first
    harness.answer(node_id, first, pb.OK)
    assert first.outcomes == [pb.OK]
    assert harness.nodes_of(second) == [node_id]


def test_a_hint_of_an_older_term_is_ignored() -> None:
    harness = Harness()
    harness.hint("n1", "n1", 7)
    harness.hint("n2", "n2", 6)
    assert harness.state.leader_of(1) == ("n1", 7)


@pytest.mark.parametrize(
    ("says", "term", "expected"),
    [
        ("n2", 7, ("n1", 7)),
        ("n1", 7, ("", 7)),
        ("n2", 8, ("", 8)),
    ],
    ids=["another node of the term lost sight: kept", "the leader resigned: dropped", "newer term: dropped"],
)
def test_a_hint_that_knows_of_no_leader(says: str, term: int, expected: tuple[str, int]) -> None:
    harness = Harness()
    harness.hint("n1", "n1", 7)
    harness.hint(says, "", term)
    assert harness.state.leader_of(1) == expected


@LEADER_KINDS
def test_not_leader_is_followed_to_the_node_it_names(kind: int) -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    pending = harness.submit(kind)
    harness.write_frames()
    harness.answer("n1", pending, pb.NOT_LEADER, leader="n3")
    assert harness.nodes_of(pending) == ["n1", "n3"]
    harness.answer("n3", pending, pb.OK)
    assert pending.outcomes == [pb.OK]


def test_not_leader_without_a_name_waits_for_a_hint() -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    pending = harness.submit(pb.PUT)
    harness.write_frames()
    harness.answer("n1", pending, pb.NOT_LEADER)
    assert harness.nodes_of(pending) == ["n1"]
    harness.hint("n2", "n2", 2)
    assert harness.nodes_of(pending) == ["n1", "n2"]


def test_nodes_that_point_at_each_other_are_not_asked_in_a_tight_circle() -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    pending = harness.submit(pb.GET_STRONG)
    turns = 0
    while pending.node:
        node_id = pending.node
        other = "n2" if node_id == "n1" else "n1"
        harness.answer(node_id, pending, pb.NOT_LEADER, leader=other)
        turns += 1
        assert turns < 10
    assert harness.state.waiting == 1
    harness.advance(limits.RETRY_MS_MAX / 1000)
    assert pending.node


def lose_stream(harness: Harness, pending: Recorded) -> None:
    harness.state.node_down(pending.node, harness.now_s)


def answer_unknown(harness: Harness, pending: Recorded) -> None:
    harness.answer(pending.node, pending, pb.UNKNOWN)


IN_DOUBT = pytest.mark.parametrize("lose", [lose_stream, answer_unknown])
LOSE = Callable[[Harness, Recorded], None]


@IN_DOUBT
def test_a_catalog_command_in_doubt_is_unknown_and_not_repeated(lose: LOSE) -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1, 0)
    pending = harness.submit(pb.CATALOG_COMMAND, 0)
    harness.write_frames()
    lose(harness, pending)
    assert pending.outcomes == [Failure.UNKNOWN]
    harness.hint("n2", "n2", 2, 0)
    assert harness.nodes_of(pending) == ["n1"]


@IN_DOUBT
@pytest.mark.parametrize("kind", [pb.PUT, pb.UPDATE, pb.DELETE])
def test_a_write_in_doubt_is_repeated_with_its_request_id_for_the_next_leader(kind: int, lose: LOSE) -> None:
    harness = Harness()
    harness.state.node_heard("n1", harness.now_s, 700)
    harness.state.node_heard("n2", harness.now_s, 500)
    harness.hint("n1", "n1", 1)
    pending = harness.submit(kind)
    harness.write_frames()
    harness.hint("n2", "", 2)
    lose(harness, pending)
    assert pending.outcomes == []
    harness.hint("n2", "n2", 2)
    first, repeat = harness.sendings_of(pending)
    assert harness.nodes_of(pending) == ["n1", "n2"]
    assert (first.is_repeat, first.term) == (False, 1)
    assert (repeat.is_repeat, repeat.term, repeat.issued_at) == (True, 2, 700)
    assert repeat.request_id == first.request_id
    assert repeat.id != first.id, "a late answer to the first is not one to the repeat"
    assert harness.state.repeats == 1
    harness.write_frames()
    harness.hint("n3", "n3", 3)
    harness.state.node_down("n2", harness.now_s)
    assert harness.sendings_of(pending)[2].issued_at == 500, "the entry may be the second node's"
    harness.answer("n3", pending, pb.OK)
    assert pending.outcomes == [pb.OK]


def test_a_late_answer_of_a_deposed_node_does_not_end_the_repeat_that_came_back_to_it() -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    pending = harness.submit(pb.PUT)
    number = pending.operation.id
    harness.write_frames()
    harness.hint("n2", "n2", 2)
    harness.advance(SILENT_S)
    harness.write_frames()
    harness.hint("n1", "n1", 3)
    harness.state.node_down("n2", harness.now_s)
    assert harness.nodes_of(pending) == ["n1", "n2", "n1"]
    harness.state.result("n1", pb.Result(id=number, status=pb.CONDITION_FAILED), harness.now_s)
    assert (pending.outcomes, harness.state.late_results) == ([], 1)


@pytest.mark.parametrize("how", ["probed", "named by a refusal"])
def test_a_write_that_was_not_meant_for_one_term_is_not_repeated(how: str) -> None:
    harness = Harness()
    if how == "probed":
        pending = harness.submit(pb.PUT)
        harness.advance(limits.PROBE_MS / 1000)
    else:
        harness.hint("n1", "n1", 1)
        pending = harness.submit(pb.PUT)
        harness.answer("n1", pending, pb.NOT_LEADER, leader="n2")
    assert harness.sendings_of(pending)[-1].term == 0
    harness.write_frames()
    harness.hint("n3", "n3", 4)
    lose_stream(harness, pending)
    assert pending.outcomes == [Failure.UNKNOWN], "it could still be judged after its repeat"


def test_a_repeat_waits_for_a_leader_and_probes_only_in_a_term_that_is_known() -> None:
    harness = Harness()
    harness.hint("n1", "n1", 6)
    pending = harness.submit(pb.PUT)
    harness.write_frames()
    harness.hint("n1", "", 7)
    answer_unknown(harness, pending)
    harness.advance(limits.PROBE_MS / 1000)
    assert [operation.term for operation in harness.sendings_of(pending)] == [6, 7]


def test_a_denial_of_a_term_that_is_over_does_not_unseat_the_leader() -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    pending = harness.submit(pb.PUT)
    harness.hint("n1", "n1", 2)
    harness.answer("n1", pending, pb.NOT_LEADER, leader="n1")
    assert harness.state.leader_of(1) == ("n1", 2)
    assert [operation.term for operation in harness.sendings_of(pending)] == [1, 2]


@pytest.mark.parametrize("end", [pb.NOT_LEADER, pb.OVERLOADED, pb.UNAVAILABLE, pb.UNKNOWN, pb.FORGOTTEN, None])
def test_a_write_in_doubt_never_ends_as_if_nothing_had_happened(end: int | None) -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    pending = harness.submit(pb.PUT)
    harness.write_frames()
    lose_stream(harness, pending)
    harness.hint("n2", "n2", 2)
    if end is not None:
        harness.write_frames()
        harness.answer("n2", pending, end)
        assert pending.outcomes == ([Failure.UNKNOWN] if end == pb.FORGOTTEN else [])
    for node_id in NODES:
        harness.state.node_down(node_id, harness.now_s)
    harness.advance(OPERATION_S + 0.2)
    assert pending.outcomes == [Failure.UNKNOWN]


def test_a_write_in_doubt_that_finds_no_room_is_unknown() -> None:
    harness = Harness(in_flight_max=1)
    harness.hint("n1", "n1", 1)
    pending = harness.submit(pb.PUT)
    harness.write_frames()
    other = harness.submit(pb.PUT, partition=2)
    assert harness.state.waiting == 1
    assert other.outcomes == []
    lose_stream(harness, pending)
    assert pending.outcomes == [Failure.UNKNOWN]


@WRITES
def test_a_write_that_was_not_sent_goes_elsewhere_when_the_stream_is_lost(kind: int) -> None:
    harness = Harness()
    partition = 0 if kind == pb.CATALOG_COMMAND else 1
    harness.hint("n1", "n1", 1, partition)
    pending = harness.submit(kind, partition)
    harness.state.node_down("n1", harness.now_s)
    assert pending.outcomes == []
    harness.hint("n2", "n2", 2, partition)
    assert harness.nodes_of(pending) == ["n1", "n2"]


@pytest.mark.parametrize("kind", [pb.GET_STRONG, pb.CATALOG_READ])
def test_a_strong_read_on_a_lost_stream_goes_to_the_next_leader(kind: int) -> None:
    harness = Harness()
    partition = 0 if kind == pb.CATALOG_READ else 1
    harness.hint("n1", "n1", 1, partition)
    pending = harness.submit(kind, partition)
    harness.write_frames()
    harness.state.node_down("n1", harness.now_s)
    harness.hint("n2", "n2", 2, partition)
    harness.answer("n2", pending, pb.OK)
    assert pending.outcomes == [pb.OK]


@pytest.mark.parametrize("candidate_first", [False, True], ids=["at once", "after a candidate's word of no leader"])
def test_strong_reads_leave_a_deposed_leader_that_does_not_answer(candidate_first: bool) -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    read, write = harness.submit(pb.GET_STRONG), harness.submit(pb.PUT)
    harness.write_frames()
    if candidate_first:
        harness.hint("n2", "", 2)
    harness.hint("n2", "n2", 2)
    assert harness.nodes_of(read) == ["n1", "n2"]
    assert harness.nodes_of(write) == ["n1"]
    harness.answer("n1", read, pb.OK)
    assert read.outcomes == []
    assert harness.state.late_results == 1


@pytest.mark.parametrize("kind", [pb.PUT, pb.UPDATE, pb.DELETE])
def test_a_sent_write_without_answer_is_unknown_at_its_deadline(kind: int) -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    pending = harness.submit(kind)
    harness.write_frames()
    harness.advance(OPERATION_S + 0.2)
    assert pending.outcomes == [Failure.UNKNOWN]
    harness.answer("n1", pending, pb.OK)
    assert pending.outcomes == [Failure.UNKNOWN]
    assert harness.state.late_results == 1


SILENT_S = limits.DEPOSED_SILENCE_MS_MAX / 1000 + 0.2


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_write_on_a_silent_node_goes_to_the_one_that_leads_by_now(is_sent: bool) -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    harness.hint("n1", "n1", 1, partition=2)
    pending, elsewhere = harness.submit(pb.PUT), harness.submit(pb.PUT, partition=2)
    if is_sent:
        harness.write_frames()
    harness.advance(SILENT_S)
    assert harness.nodes_of(pending) == ["n1"], "nobody else leads: the answer may still come"
    harness.hint("n2", "n2", 2)
    harness.advance(SILENT_S)
    assert harness.nodes_of(pending) == ["n1", "n2"]
    assert harness.sendings_of(pending)[1].is_repeat is is_sent
    assert harness.nodes_of(elsewhere) == ["n1"], "its leader is silent but not deposed"
    harness.answer("n2", pending, pb.OK)
    assert pending.outcomes == [pb.OK]


def test_a_write_on_a_deposed_node_that_still_answers_others_is_waited_for() -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    pending = harness.submit(pb.PUT)
    harness.write_frames()
    harness.hint("n2", "n2", 2)
    for _ in range(5):
        harness.advance(SILENT_S / 2)
        harness.state.node_heard("n1", harness.now_s)
    assert pending.outcomes == []
    harness.answer("n1", pending, pb.OK)
    assert pending.outcomes == [pb.OK]


@pytest.mark.parametrize(
    "case",
    ["no leader", "queued, not sent", "strong read sent", "refused before"],
)
def test_what_surely_did_not_happen_is_not_done_at_its_deadline(case: str) -> None:
    harness = Harness(up=() if case == "no leader" else NODES)
    harness.hint("n1", "n1", 1)
    pending = harness.submit(pb.GET_STRONG if case == "strong read sent" else pb.PUT)
    if case in ("strong read sent", "refused before"):
        harness.write_frames()
    if case == "refused before":
        harness.answer("n1", pending, pb.NOT_LEADER)
        for node_id in NODES:
            harness.state.node_down(node_id, harness.now_s)
    harness.advance(OPERATION_S + 0.2)
    assert pending.outcomes == [Failure.NOT_DONE]
    assert pending.done, "a link must be able to see that this must not be sent any more"
    assert harness.state.idle


@pytest.mark.parametrize("status", [pb.CONDITION_FAILED, pb.VALIDATION_FAILED, pb.TABLE_GONE, pb.OK])
def test_a_verdict_ends_the_operation(status: int) -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    pending = harness.submit(pb.UPDATE)
    harness.answer("n1", pending, status)
    assert pending.outcomes == [status]
    assert harness.state.idle


def test_unknown_of_a_read_is_tried_again() -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    read = harness.submit(pb.GET_STRONG)
    harness.write_frames()
    harness.answer("n1", read, pb.UNKNOWN)
    harness.advance(0.1)
    assert harness.nodes_of(read) == ["n1", "n1"]


def test_overloaded_is_tried_again_and_throttled_at_the_deadline() -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    pending = harness.submit(pb.PUT)
    while not pending.outcomes:
        harness.write_frames()
        if pending.node:
            harness.answer("n1", pending, pb.OVERLOADED)
        harness.advance(0.02)
    assert pending.outcomes == [Failure.OVERLOADED]
    assert len(harness.nodes_of(pending)) > 5


@pytest.mark.parametrize("status", [pb.UNAVAILABLE, pb.OVERLOADED])
def test_a_write_that_was_refused_and_then_served_is_a_success(status: int) -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    pending = harness.submit(pb.PUT)
    harness.answer("n1", pending, status)
    harness.advance(0.1)
    harness.answer("n1", pending, pb.OK)
    assert pending.outcomes == [pb.OK]


@pytest.mark.parametrize(
    ("up", "expected"),
    [(NODES, "n2"), (("n1", "n3"), "n3"), (("n1",), "n1")],
    ids=["own AZ", "own AZ is down: another", "only one left"],
)
def test_an_eventual_read_goes_to_the_nearest_live_replica(up: tuple[str, ...], expected: str) -> None:
    harness = Harness(up=up)
    assert harness.nodes_of(harness.submit(pb.GET_EVENTUAL)) == [expected]
    assert harness.nodes_of(harness.submit(pb.RANGE_EVENTUAL)) == [expected]


@pytest.mark.parametrize("status", [pb.UNAVAILABLE, pb.WRONG_PARTITION, None], ids=["unavailable", "moved", "lost"])
def test_an_eventual_read_fails_over_at_once(status: pb.ResultStatus | None) -> None:
    harness = Harness()
    pending = harness.submit(pb.GET_EVENTUAL)
    harness.write_frames()
    if status is not None:
        harness.answer("n2", pending, status)
    else:
        harness.state.node_down("n2", harness.now_s)
    assert harness.nodes_of(pending)[0] == "n2"
    assert len(harness.nodes_of(pending)) == 2


def test_an_eventual_read_that_every_replica_refuses_is_tried_again_later() -> None:
    harness = Harness()
    pending = harness.submit(pb.GET_EVENTUAL)
    for _ in NODES:
        harness.answer(pending.node, pending, pb.UNAVAILABLE)
    assert sorted(harness.nodes_of(pending)) == sorted(NODES)
    assert harness.state.waiting == 1
    harness.advance(limits.RETRY_MS_MAX / 1000)
    assert pending.node == "n2"


@LEADER_KINDS
def test_what_waits_for_a_leader_that_is_no_replica_yet_leaves_when_its_stream_opens(kind: int) -> None:
    """During a move the new node may lead before the catalog names it."""
    harness = Harness()
    harness.hint("n2", "n9", 3)
    pending = harness.submit(kind)
    assert harness.nodes_of(pending) == []
    harness.state.node_up("n9", harness.now_s, 1)
    assert harness.nodes_of(pending) == ["n9"]


LATE_S = (limits.EVENTUAL_READ_MS_MAX + limits.DEADLINE_SCAN_MS + limits.TICK_MS) / 1000


def test_an_eventual_read_leaves_a_node_that_is_silent_and_its_late_answer_is_ignored() -> None:
    harness = Harness()
    pending = harness.submit(pb.GET_EVENTUAL)
    harness.write_frames()
    harness.advance(limits.EVENTUAL_READ_MS_MAX / 1000 - 0.01)
    assert harness.nodes_of(pending) == ["n2"]
    harness.advance(LATE_S - limits.EVENTUAL_READ_MS_MAX / 1000 + 0.01)
    assert harness.nodes_of(pending)[0] == "n2"
    assert len(harness.nodes_of(pending)) == 2
    harness.answer("n2", pending, pb.OK)
    assert (pending.outcomes, harness.state.late_results) == ([], 1)
    harness.answer(pending.node, pending, pb.OK)
    assert pending.outcomes == [pb.OK]
    assert harness.state.idle


def test_eventual_reads_go_elsewhere_while_their_nearest_replica_is_silent() -> None:
    harness = Harness()
    first = harness.submit(pb.GET_EVENTUAL)
    harness.write_frames()
    harness.advance(limits.EVENTUAL_READ_MS_MAX / 2000)
    second = harness.submit(pb.GET_EVENTUAL)
    harness.advance(LATE_S - limits.EVENTUAL_READ_MS_MAX / 2000)
    assert [len(harness.nodes_of(pending)) for pending in (first, second)] == [2, 2], "the second need not wait as long"
    assert harness.nodes_of(harness.submit(pb.GET_EVENTUAL))[0] != "n2"
    assert harness.nodes_of(harness.submit(pb.RANGE_EVENTUAL))[0] != "n2"
    harness.state.node_heard("n2", harness.now_s)
    assert harness.nodes_of(harness.submit(pb.GET_EVENTUAL)) == ["n2"]


def test_a_slow_replica_that_still_answers_keeps_its_reads() -> None:
    harness = Harness()
    slow = harness.submit(pb.GET_EVENTUAL)
    harness.write_frames()
    harness.advance(limits.EVENTUAL_READ_MS_MAX / 2000)
    harness.state.node_heard("n2", harness.now_s)
    harness.advance(LATE_S - limits.EVENTUAL_READ_MS_MAX / 2000)
    assert len(harness.nodes_of(slow)) == 2
    assert harness.nodes_of(harness.submit(pb.GET_EVENTUAL)) == ["n2"]


def test_a_silent_replica_is_asked_when_there_is_no_other() -> None:
    harness = Harness(up=("n1", "n2"))
    harness.submit(pb.GET_EVENTUAL)
    harness.write_frames()
    harness.advance(LATE_S)
    harness.state.node_down("n1", harness.now_s)
    assert harness.nodes_of(harness.submit(pb.GET_EVENTUAL)) == ["n2"]


def test_an_eventual_page_is_given_longer_than_a_single_item() -> None:
    harness = Harness()
    page, item = harness.submit(pb.RANGE_EVENTUAL), harness.submit(pb.GET_EVENTUAL)
    harness.write_frames()
    harness.advance(LATE_S)
    assert len(harness.nodes_of(item)) == 2, "also behind a page that stays"
    assert harness.nodes_of(page) == ["n2"]
    harness.advance((limits.EVENTUAL_PAGE_MS_MAX - limits.EVENTUAL_READ_MS_MAX) / 1000)
    assert len(harness.nodes_of(page)) == 2


def test_a_page_stays_with_a_node_that_still_says_something() -> None:
    harness = Harness()
    page = harness.submit(pb.RANGE_EVENTUAL)
    harness.write_frames()
    for _ in range(6):
        harness.advance(limits.EVENTUAL_PAGE_MS_MAX / 4000)
        harness.state.node_heard("n2", harness.now_s)
    assert harness.nodes_of(page) == ["n2"], "it is at work on the page, and would not stop"
    harness.advance(limits.EVENTUAL_PAGE_MS_MAX / 1000 - 0.05)
    assert harness.nodes_of(page) == ["n2"]
    harness.advance(0.05 + limits.DEADLINE_SCAN_MS / 1000)
    assert len(harness.nodes_of(page)) == 2, "it has become silent, perhaps paused"


def test_an_eventual_read_that_no_replica_answers_asks_each_once_and_ends_at_its_deadline() -> None:
    harness = Harness()
    pending = harness.submit(pb.GET_EVENTUAL)
    harness.write_frames()
    harness.advance(OPERATION_S - 0.1)
    assert sorted(harness.nodes_of(pending)) == sorted(NODES)
    assert pending.outcomes == []
    harness.advance(0.3)
    assert pending.outcomes == [Failure.NOT_DONE]
    assert harness.state.idle


def test_an_eventual_read_waits_for_the_only_live_replica() -> None:
    harness = Harness(up=("n1",))
    pending = harness.submit(pb.GET_EVENTUAL)
    harness.advance(2 * LATE_S)
    assert harness.nodes_of(pending) == ["n1"]
    harness.answer("n1", pending, pb.OK)
    assert pending.outcomes == [pb.OK]


@LEADER_KINDS
def test_what_only_a_leader_may_serve_stays_with_a_leader_that_is_silent(kind: int) -> None:
    harness = Harness()
    harness.hint("n2", "n2", 1)
    pending, read = harness.submit(kind), harness.submit(pb.GET_EVENTUAL)
    harness.write_frames()
    harness.advance(LATE_S)
    assert harness.nodes_of(pending) == ["n2"]
    assert len(harness.nodes_of(read)) == 2, "also behind operations that stay"


def test_an_eventual_read_with_every_node_down_goes_when_one_returns() -> None:
    harness = Harness(up=())
    pending = harness.submit(pb.GET_EVENTUAL)
    harness.state.node_up("n3", harness.now_s, 1)
    assert harness.nodes_of(pending) == ["n3"]


def test_operations_for_a_leader_whose_stream_is_down_go_when_it_returns() -> None:
    harness = Harness(up=("n2", "n3"))
    harness.hint("n2", "n1", 4)
    pending = harness.submit(pb.PUT)
    assert harness.sent == []
    harness.state.node_up("n1", harness.now_s, 1)
    assert harness.nodes_of(pending) == ["n1"]


def test_a_write_that_waited_for_a_stream_is_known_to_be_as_young_as_it_is_when_it_is_repeated() -> None:
    harness = Harness()
    harness.hint("n1", "n1", 1)
    harness.state.node_down("n1", harness.now_s)
    pending = harness.submit(pb.PUT)
    harness.state.node_up("n1", harness.now_s, 6000)
    harness.write_frames()
    for hybrid_time in (7000, 8000):
        harness.state.node_down("n1", harness.now_s)
        harness.state.node_up("n1", harness.now_s, hybrid_time)
        assert pending.operation.is_repeat
        assert pending.operation.issued_at == 6000
        harness.write_frames()


@pytest.mark.parametrize("limit", ["operations on the stream", "bytes queued", "operations waiting"])
def test_at_a_limit_a_new_operation_is_refused_at_once(limit: str) -> None:
    harness = Harness(in_flight_max=2)
    if limit != "operations waiting":
        harness.hint("n1", "n1", 1)
    if limit == "bytes queued":
        harness.queues_full.add("n1")
    else:
        for _ in range(2):
            harness.submit(pb.PUT)
    pending = harness.submit(pb.PUT)
    assert pending.outcomes == [Failure.OVERLOADED]


def test_before_any_catalog_every_node_of_the_settings_is_asked_for_it() -> None:
    harness = Harness()
    harness.state = RoutingState(
        streams=harness, own_az="az-b", node_ids=NODES, in_flight_max=10, next_id=lambda: next(harness.numbers)
    )
    for node_id in NODES:
        harness.state.node_up(node_id, harness.now_s, 1)
    pending = harness.submit(pb.CATALOG_READ, 0)
    while len(set(harness.nodes_of(pending))) < 3:
        if pending.node:
            harness.answer(pending.node, pending, pb.NOT_LEADER)
        harness.advance(0.02)
        assert not pending.outcomes


def test_read_order_is_own_az_first_and_turns_the_others_by_partition() -> None:
    assert read_order(4, NODES, AZS, "az-b")[0] == "n2"
    elsewhere = {read_order(number, NODES, AZS, "az-z")[0] for number in range(1, 7)}
    assert elsewhere == set(NODES)


STATUSES = (pb.OK, pb.NOT_LEADER, pb.WRONG_PARTITION, pb.OVERLOADED, pb.UNAVAILABLE, pb.UNKNOWN, pb.CONDITION_FAILED)
KINDS = (pb.GET_STRONG, pb.GET_EVENTUAL, pb.RANGE_STRONG, pb.RANGE_EVENTUAL, pb.PUT, pb.UPDATE)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.sampled_from(KINDS)),
        st.tuples(st.just("up"), st.sampled_from(NODES)),
        st.tuples(st.just("down"), st.sampled_from(NODES)),
        st.tuples(st.just("write"), st.none()),
        st.tuples(st.just("advance"), st.sampled_from([0.02, 0.1, 0.5])),
        st.tuples(st.just("hint"), st.tuples(st.sampled_from(NODES), st.sampled_from(("", *NODES)), st.integers(0, 4))),
        st.tuples(
            st.just("answer"), st.tuples(st.integers(0, 9), st.sampled_from(STATUSES), st.sampled_from(("", *NODES)))
        ),
    ),
    max_size=60,
)


@given(EVENTS)
def test_whatever_happens_every_operation_ends_once_and_a_write_in_doubt_is_repeated_only_with_its_id(
    events: list,
) -> None:
    harness = Harness(in_flight_max=5)
    for name, argument in events:
        if name == "submit":
            harness.submit(argument)
        elif name == "up":
            harness.state.node_up(argument, harness.now_s, 1)
        elif name == "down":
            harness.state.node_down(argument, harness.now_s)
        elif name == "write":
            for pending in harness.pendings:
                pending.sent = pending.sent or bool(pending.node)
        elif name == "advance":
            harness.advance(argument)
        elif name == "hint":
            harness.hint(*argument)
        else:
            position, status, leader = argument
            waiting = [pending for pending in harness.pendings if pending.node and not pending.done]
            if waiting:
                pending = waiting[position % len(waiting)]
                harness.answer(pending.node, pending, status, leader)
        assert harness.state.waiting <= 5
    harness.advance(OPERATION_S + 0.5)
    for pending in harness.pendings:
        assert len(pending.outcomes) == 1
        check_sendings(harness, pending)
    assert harness.state.idle
    assert harness.state.waiting == 0


def check_sendings(harness: Harness, pending: Recorded) -> None:
    """The law of repeats, of all that was sent of one operation and of how it ended."""
    sendings = harness.sendings_of(pending)
    assert len({operation.request_id for operation in sendings}) <= 1
    repeats = [operation.is_repeat for operation in sendings]
    assert repeats == sorted(repeats), "once in doubt, always"
    if pending.is_read:
        assert not any(repeats)
    if any(repeats):
        first = repeats.index(True)
        assert all(operation.term for operation in sendings[first - 1 :])
        terms = [operation.term for operation in sendings[first - 1 :]]
        assert terms == sorted(terms)
        assert len({operation.id for operation in sendings[first - 1 :]}) == len(terms)
        assert pending.outcomes[0] not in (Failure.NOT_DONE, Failure.OVERLOADED)

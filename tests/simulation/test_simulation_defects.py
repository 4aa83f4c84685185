"""The simulation finds what it is there to find: each defect below, switched on alone, is caught within a few seeds."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from defect_support import Defect, Patch, must_be_caught, name_of, nothing

from node.durability import Durability
from node.indexing import leader as index_leader
from node.indexing.feeder import Batch, Feeder, Outbox
from node.indexing.leader import IndexLeader
from node.machine.indexes import IndexRecords
from node.machine.state import PartitionState
from node.partition import Partition
from replication import append_guard, following, raft, rebuild
from replication.append_guard import Action, Verdict
from replication.elections import ElectingReplica
from replication.journal import GroupJournal
from replication.membership import Membership
from replication.messages import LogEntry, Message
from replication.raft import RaftReplica
from replication.rebuild import RebuildRequests
from simulation.knobs import Fault, IndexLimits, Load
from simulation.workloads.registers import KEYS, Registers
from wire import log_pb2

pytestmark = pytest.mark.simulation


def acknowledge_before_sync(patch: Patch) -> None:
    """A follower's answers and votes leave before the sync that covers them."""
    patch.setattr(Durability, "must_hold", property(lambda self: False))


def count_unsynced_leader_copy(patch: Patch) -> None:
    """A leader counts its own copy as soon as it is written."""
    patch.setattr(
        GroupJournal, "durable_index", property(lambda self: self.last_index, lambda self, index: None), False
    )


def truncate_matching_entries(patch: Patch) -> None:
    """Every append that fits is given to the engine, which cuts everything after its position."""

    def judge(
        log: Sequence[LogEntry], commit_index: int, index: int, log_term: int, entries: Sequence[LogEntry]
    ) -> Verdict:
        verdict = append_guard.judge_append(log, commit_index, index, log_term, entries)
        if verdict.action in (Action.APPEND, Action.MATCHED) and index >= log[0][1]:
            return Verdict(Action.APPEND, index, log_term=log_term, entries=entries)
        return verdict

    patch.setattr(following, "judge_append", judge)


def read_without_barrier(patch: Patch) -> None:
    """A leader by its own belief answers strong reads."""

    def read_barrier(self: RaftReplica, callback: Callable[[int | None], None]) -> None:
        callback(self.commit_index if self.is_ready_leader else None)

    patch.setattr(RaftReplica, "read_barrier", read_barrier)


def forget_applied_index(patch: Patch) -> None:
    """The applied index is never stored: a restart applies the log to a state that has it already."""
    patch.setattr(PartitionState, "flush", lambda self: None)


def vote_twice(patch: Patch) -> None:
    """A replica grants every candidate of a term its vote."""
    original = ElectingReplica._on_vote_request

    def on_vote_request(self: Any, node: Any, message: Message) -> None:
        self._SyncObj__votedForNodeId = None
        original(self, node, message)

    patch.setattr(ElectingReplica, "_on_vote_request", on_vote_request)
    patch.setitem(raft._HANDLERS, raft.Kind.VOTE_REQUEST, on_vote_request)


def answer_before_commit(patch: Patch) -> None:
    """Writes are answered as soon as they are proposed."""
    original = RaftReplica.propose

    def propose(self: RaftReplica, payload: bytes, callback: Any) -> int | None:
        return original(self, payload, lambda outcome, result: callback(raft.Outcome.COMMITTED, result))

    patch.setattr(RaftReplica, "propose", propose)


def judge_without_overlay(patch: Patch) -> None:
    """Writes are judged against the store although others on the same item are under way."""
    patch.setattr(Partition, "_newest", lambda self, key: self.state.get(key))


def answer_failed_condition_at_once(patch: Patch) -> None:
    """A decision that saw an uncommitted write is answered before that write commits."""

    def confirm(self: Any, readers: list[Any]) -> None:
        self._writes.operations -= len(readers)
        for session, operation_id, decision in readers:
            session.answer_write(operation_id, decision)

    patch.setattr(Partition, "_confirm", confirm)


def forget_to_tell(patch: Patch) -> None:
    """Whoever waits on a leadership that is over waits for ever."""
    patch.setattr(RaftReplica, "leadership_lost", lambda self: None)


def reset_log_in_memory_only(patch: Patch) -> None:
    """An installed snapshot does not move the stored base of the log."""
    original = GroupJournal.reset

    def reset(self: Any, index: int, term: int, membership: Membership) -> None:
        store, self._store = self._store, _Deaf()
        try:
            original(self, index, term, membership)
        finally:
            self._store = store

    patch.setattr(GroupJournal, "reset", reset)


class _Deaf:
    def put(self, family: Any, key: bytes, value: bytes) -> None:
        """The defect: nothing is stored."""

    def delete_range(self, family: Any, start: bytes, end: bytes) -> None:
        """The same."""


def truncate_unapplied_log(patch: Patch) -> None:
    """The log is cut behind its end instead of behind what is applied."""

    def truncate(self: Any) -> None:
        if len(self.journal) > 4:
            self.journal.deleteEntriesTo(len(self.journal) - 2)

    patch.setattr(RaftReplica, "truncate_log", truncate)


def forget_feed_positions(patch: Patch) -> None:
    """Whatever a feed brings is applied, also when it was applied before."""
    original = IndexRecords.feed

    def feed(self: IndexRecords, prefix: bytes, feed: log_pb2.IndexFeed) -> None:
        before = self.feed_positions.pop(feed.source, 0)
        original(self, prefix, feed)
        self.feed_positions[feed.source] = max(before, self.feed_positions[feed.source])

    def feed_arrived(self: Any, sender: str, message: Message) -> None:
        feed = log_pb2.IndexFeed.FromString(message.chunk)
        self._propose_own(
            log_pb2.LogEntry(feeds=[feed]), lambda committed: self._answer(sender, feed.source, accepted=committed)
        )

    patch.setattr(IndexRecords, "feed", feed)
    patch.setattr(IndexLeader, "feed_arrived", feed_arrived)


def trim_what_is_only_sent(patch: Patch) -> None:
    """Records leave the outbox when they are sent, whatever the target says."""
    original = Feeder.due

    def due(self: Any, outbox: Outbox, now: float, newest_ms: int | None) -> list[Batch]:
        batches = original(self, outbox, now, newest_ms)
        for batch in batches:
            self.accepted(batch.target, batch.node, batch.sequences[-1], now)
        return batches

    patch.setattr(Feeder, "due", due)


def feed_out_of_order(patch: Patch) -> None:
    """A batch leaves out the oldest record of those that wait, as a leader does that does not begin at the front."""
    original = Feeder._sequences

    def sequences(self: Any, waiting: Any, applied: int, now: float, newest_ms: int | None) -> list[int]:
        chosen = original(self, waiting, applied, now, newest_ms)
        return chosen[1:] if len(chosen) > 1 else chosen

    patch.setattr(Feeder, "_sequences", sequences)


# Seeds in which the first step of a backfill takes all items, also the few that are being written.
_ONE_STEP = {"index_limits": IndexLimits(), "drops_index": False, "adds_index": True}


def backfill_without_the_overlay(patch: Patch) -> None:
    """A backfill puts what the store holds although newer writes are under way."""
    original = index_leader.next_step
    patch.setattr(
        index_leader,
        "next_step",
        lambda index, rows, _newest, cursor, locate: original(index, rows, lambda _, stored: stored, cursor, locate),
    )


def delete_often(patch: Patch) -> None:
    """No defect: four of ten requests are deletes, so that many a write makes an item that the store does not hold."""
    original = Registers._request

    async def request(self: Registers, worker: int, draw: random.Random) -> None:
        if draw.random() < 0.4:
            await self._delete(worker, draw.choice(KEYS), sees_old=False)
        else:
            await original(self, worker, draw)

    patch.setattr(Registers, "_request", request)


def backfill_at_once(patch: Patch) -> None:
    """A backfill does not wait for writes that were judged before the leader knew the index."""
    original = IndexLeader._next_to_fill

    def next_to_fill(self: Any) -> int | None:
        self._gates = dict.fromkeys(self._state.unfinished_backfills, 0)
        return original(self)

    patch.setattr(IndexLeader, "_next_to_fill", next_to_fill)


def end_backfills_after_the_first_step(patch: Patch) -> None:
    """Every backfill ends after its first step, whatever lies behind it."""
    original = index_leader.next_step

    def next_step(*arguments: Any) -> log_pb2.BackfillStep:
        step = original(*arguments)
        step.done = True
        return step

    patch.setattr(index_leader, "next_step", next_step)


def backfilled_while_rows_wait(patch: Patch) -> None:
    """An index counts as filled when the last step is applied, though its rows are in the outbox yet."""

    def is_backfilled(self: IndexRecords, index_id: int) -> bool:
        backfill = self.backfills.get(index_id)
        return index_id in self._table_of and (backfill is None or backfill.done)

    patch.setattr(IndexRecords, "is_backfilled", is_backfilled)


def forget_the_outbox(patch: Patch) -> None:
    """A restarted replica and one that got a snapshot do not know what waits in their outbox."""
    patch.setattr(IndexRecords, "load_outbox", lambda self, pairs: None)


def start_empty_without_the_mark(patch: Patch) -> None:
    """A replica that lost its disk takes part as if it had never been there before."""
    patch.setattr(rebuild, "mark_rebuilding", lambda store, groups, nonce: None)


def grant_without_confirming_all_others(patch: Patch) -> None:
    """Whoever believes to lead ends a rebuild at once."""
    patch.setattr(RebuildRequests, "missing", lambda self, peer, members: [])


_LOSSES = (Fault.BLACKOUT, Fault.POWER_LOSS)
_LEADERS = (Fault.ISOLATE, Fault.CUT, Fault.TRANSFER)
_AWAY = (Fault.KILL, Fault.PAUSE, Fault.ISOLATE)
_SLOW_DISK = {"sync_s": 0.02, "slow_sync_probability": 0.2, "fault_interval_s": 0.3}
# Many writes are under way at any moment.
_SLOW_WRITES = {"sync_s": 0.02, "slow_sync_probability": 0.2, "request_rate": 160.0}
# Whoever asks a leader that is cut off soon asks again, instead of waiting for it until the network is whole; and a
# network is whole again before it breaks once more, so that there is a new leader to be compared with.
_IMPATIENT = {"client_timeout_s": 0.15, "operation_ms": 150, "fault_interval_s": 1.6, "request_rate": 160.0}
_INDEXES = (Load.INDEXES,)

DEFECTS = [
    Defect(
        defect=acknowledge_before_sync,
        faults=_LOSSES,
        more=_SLOW_DISK,
        found_as="without committed entry|voted for|not linearizable|no rest|went back|another state|no Table",
    ),
    Defect(
        defect=count_unsynced_leader_copy,
        faults=(*_LOSSES, Fault.SLOW_SYNC, Fault.ISOLATE),
        more=_SLOW_DISK,
        found_as="without committed entry|not linearizable|was committed",
    ),
    Defect(
        defect=truncate_matching_entries, faults=_LEADERS, found_as="first .* applied .* commit|without committed entry"
    ),
    Defect(
        defect=read_without_barrier,
        faults=(Fault.ISOLATE,),
        more=_IMPATIENT,
        replication={"election_timeout_min_s": 0.25, "election_timeout_max_s": 0.5},
        found_as="not linearizable",
    ),
    Defect(defect=forget_applied_index, faults=(Fault.KILL,), found_as="another state than elsewhere"),
    Defect(defect=vote_twice, faults=_AWAY, found_as="voted for"),
    Defect(defect=answer_before_commit, faults=_LEADERS, found_as="not linearizable"),
    Defect(defect=judge_without_overlay, found_as="not linearizable"),
    Defect(defect=answer_failed_condition_at_once, faults=_LEADERS, found_as="not linearizable"),
    Defect(
        defect=forget_to_tell,
        faults=_LEADERS,
        found_as="in flight when there are none|waits for|not linearizable|has not answered",
    ),
    Defect(
        defect=reset_log_in_memory_only,
        faults=(Fault.ISOLATE, Fault.KILL),
        replication={"log_entries_kept": 2, "log_bytes_kept": 3000},
        found_as="cannot start",
    ),
    Defect(defect=truncate_unapplied_log, found_as="first .* applied"),
    Defect(defect=forget_feed_positions, loads=_INDEXES, found_as="differs from the items|not accepted"),
    Defect(defect=trim_what_is_only_sent, loads=_INDEXES, faults=_AWAY, found_as="differs from the items"),
    Defect(defect=feed_out_of_order, loads=_INDEXES, found_as="differs from the items"),
    Defect(defect=backfill_without_the_overlay, loads=_INDEXES, more=_ONE_STEP, found_as="differs from the items"),
    Defect(
        defect=backfill_at_once,
        amid=delete_often,
        loads=_INDEXES,
        more={**_ONE_STEP, **_SLOW_WRITES},
        found_as="differs from the items",
    ),
    Defect(defect=end_backfills_after_the_first_step, loads=_INDEXES, found_as="is filled and differs from the items"),
    Defect(defect=backfilled_while_rows_wait, loads=_INDEXES, found_as="is filled and differs from the items"),
    Defect(
        defect=forget_the_outbox, loads=_INDEXES, faults=(Fault.KILL,), found_as="another state than elsewhere|no rest"
    ),
    Defect(
        defect=start_empty_without_the_mark,
        faults=(Fault.LOST_DISK, Fault.TRANSFER),
        found_as="voted for|without committed entry|was committed|not linearizable",
    ),
    Defect(
        defect=grant_without_confirming_all_others,
        faults=(Fault.LOST_DISK, Fault.TRANSFER),
        found_as="voted for|without committed entry|was committed|not linearizable|contradicts|would truncate",
    ),
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("case", DEFECTS, ids=name_of)
def test_the_simulation_catches(monkeypatch: pytest.MonkeyPatch, case: Defect) -> None:
    must_be_caught(monkeypatch, case)


@pytest.mark.timeout(240)
def test_a_seed_that_finds_as_much_without_the_defect_catches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Defect(defect=nothing, amid=forget_applied_index, faults=(Fault.KILL,), found_as="another state")
    with pytest.raises(AssertionError, match="without the defect too"):
        must_be_caught(monkeypatch, case)

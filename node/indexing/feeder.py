"""What a leader sends of its outbox, to whom and when, and what may leave the outbox. Pure.

Driven by node.indexing.leader with the time and the outbox. Each target gets one batch at a time, in sequence order,
and the next one when it has told how far it is. Law: a batch begins with the first record that the target is not known
to have applied and leaves none out, so whatever is lost, sent twice or sent by a leader that is none any more, the
target sees no gap and skips what it has.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, islice, takewhile
from typing import NamedTuple

from node.machine.indexes import Waiting
from wire import log_pb2

BATCH_RECORDS_MAX = 512
# Without an answer for this long the batch is sent again, to the next replica.
ANSWER_TIMEOUT_S = 1.0
# After a refusal: an election takes a while. Doubled with each one in a row.
REFUSED_WAIT_MIN_S, REFUSED_WAIT_MAX_S = 0.02, 0.32
# Records that are too young are looked at this often: the minimum delay may be lowered meanwhile.
YOUNG_WAIT_MAX_S = 1.0
# Records leave the outbox by log entries, of which not every batch needs its own.
TRIM_INTERVAL_S = 0.05
TRIM_RECORDS_MAX = 1000

Outbox = Mapping[int, deque[Waiting]]


class Batch(NamedTuple):
    """What may be sent to a target now; the sender may take fewer, from the front."""

    target: int
    node: str
    sequences: list[int]


@dataclass(slots=True)
class _Target:
    """What this leader knows of one target partition."""

    node: str = ""  # whom to ask; empty: whoever is believed to lead
    applied: int = 0  # the last sequence that the target told of
    trimmed: int = 0  # the last sequence whose trim is proposed
    sent_at: float | None = None  # a batch is under way
    not_before: float = 0.0
    refusals: int = 0  # in a row
    offered: Sequence[int] = ()  # what the last batch could hold
    # The last record that waited when the first one was seen to be of the future, and when that was.
    ahead: tuple[int, float] | None = None


class Feeder:
    """The sender's side of all feeds during one leadership."""

    def __init__(self, replicas_of: Callable[[int], tuple[str, ...]], leader_of: Callable[[int], str | None]) -> None:
        """`leader_of` is a guess, None when there is none."""
        self._replicas_of = replicas_of
        self._leader_of = leader_of
        self._targets: dict[int, _Target] = {}
        self._trim_at = math.inf
        # Records told to be applied since the last trim, about.
        self._applied_count = 0
        self.next_event_at = math.inf
        # How old a record is to be, in milliseconds: `newest_ms` is the sender's wall clock less this.
        self.delay_ms = math.inf

    # ------------------------------------------------------------------ sending
    def due(self, outbox: Outbox, now: float, newest_ms: int | None) -> list[Batch]:
        """What is to be sent now: records written up to `newest_ms` of wall time, None: whatever their age.

        Whoever sends a batch calls `sent`. Sets `next_event_at`, when time alone makes it worth to ask again.
        """
        self.next_event_at = self._trim_at
        batches = []
        for target, waiting in outbox.items():
            state = self._targets.setdefault(target, _Target())
            if waiting[-1].sequence <= state.applied:
                continue
            if state.sent_at is not None and now >= state.sent_at + ANSWER_TIMEOUT_S:
                state.sent_at = None
                state.node = self._next_replica(target, state.node)
            wait_until = state.not_before if state.sent_at is None else state.sent_at + ANSWER_TIMEOUT_S
            if now < wait_until:
                self._wake_at(wait_until)
                continue
            sequences = self._sequences(waiting, state.applied, now, newest_ms)
            if not sequences and newest_ms is not None:
                sequences = self._stamped_ahead(state, waiting, now, newest_ms)
            if sequences:
                state.offered = sequences
                batches.append(Batch(target, self._choose(target, state), sequences))
        return batches

    def _sequences(self, waiting: deque[Waiting], applied: int, now: float, newest_ms: int | None) -> list[int]:
        unapplied = dropwhile(lambda record: record.sequence <= applied, waiting)
        if newest_ms is None:
            return [record.sequence for record in islice(unapplied, BATCH_RECORDS_MAX)]
        candidates = list(islice(unapplied, BATCH_RECORDS_MAX))
        old = [record.sequence for record in takewhile(lambda record: record.written_ms <= newest_ms, candidates)]
        if not old:
            self._wake_at(now + min(YOUNG_WAIT_MAX_S, (candidates[0].written_ms - newest_ms) / 1000))
        return old

    def _stamped_ahead(self, state: _Target, waiting: deque[Waiting], now: float, newest_ms: int) -> list[int]:
        """Records by a wall clock that was ahead of this one, by hours perhaps: their age counts from when this leader
        saw them first."""
        first = next(dropwhile(lambda record: record.sequence <= state.applied, waiting))
        if first.written_ms - newest_ms <= self.delay_ms:
            state.ahead = None
            return []
        unapplied = list(dropwhile(lambda record: record.sequence <= state.applied, waiting))
        if state.ahead is None or state.ahead[0] < unapplied[0].sequence:
            state.ahead = (unapplied[-1].sequence, now)
        last, since = state.ahead
        due_at = since + self.delay_ms / 1000
        if now < due_at:
            self._wake_at(due_at)
            return []
        return [record.sequence for record in unapplied[:BATCH_RECORDS_MAX] if record.sequence <= last]

    def sent(self, target: int, node: str, now: float) -> None:
        """A batch is on its way."""
        state = self._targets[target]
        state.node, state.sent_at = node, now
        self._wake_at(now + ANSWER_TIMEOUT_S)

    def rest(self) -> None:
        """The outbox is empty: time makes nothing due, and what is known of the targets stays."""
        self._trim_at = self.next_event_at = math.inf
        self._applied_count = 0

    def _wake_at(self, at: float) -> None:
        self.next_event_at = min(self.next_event_at, at)

    def _choose(self, target: int, state: _Target) -> str:
        return state.node or self._leader_of(target) or self._replicas_of(target)[0]

    def _next_replica(self, target: int, node: str) -> str:
        replicas = self._replicas_of(target)
        return replicas[(replicas.index(node) + 1) % len(replicas)] if node in replicas else replicas[0]

    # ------------------------------------------------------------------ answers
    def accepted(self, target: int, node: str, position: int, now: float) -> None:
        """The target has applied everything of this outbox up to `position`."""
        state = self._targets.setdefault(target, _Target())
        state.applied = max(state.applied, position)
        self._applied_count += bisect_right(state.offered, position)
        state.offered = ()
        state.node, state.sent_at, state.refusals, state.not_before = node, None, 0, 0.0
        if state.applied > state.trimmed:
            self._trim_at = min(self._trim_at, now + TRIM_INTERVAL_S)
            self._wake_at(self._trim_at)

    def refused(self, target: int, node: str, leader: str, now: float) -> None:
        """`node` does not lead the target; `leader` does, as far as it knows (empty: it does not)."""
        state = self._targets.get(target)
        if state is None or state.sent_at is None or state.node != node:
            return  # of a batch that is not waited for any more
        state.sent_at = None
        # It may name itself: elected, and not ready yet.
        known = leader in self._replicas_of(target)
        state.node = leader if known else self._next_replica(target, node)
        wait_s = min(REFUSED_WAIT_MAX_S, REFUSED_WAIT_MIN_S * 2**state.refusals)
        state.refusals += 1
        state.not_before = now + wait_s
        self._wake_at(state.not_before)

    # ------------------------------------------------------------------ trimming
    def take_trims(self, outbox: Outbox, now: float) -> list[log_pb2.OutboxTrim]:
        """What is to be proposed as applied now; empty while it is too little and too early."""
        # Asked on every turn: it must not cost the walk each time.
        if self._trim_at == math.inf or (now < self._trim_at and self._applied_count < TRIM_RECORDS_MAX):
            return []
        trims = []
        for target, waiting in outbox.items():
            state = self._targets.get(target)
            if state is not None and state.trimmed < state.applied:
                applied = takewhile(lambda record, last=state.applied: record.sequence <= last, waiting)  # type: ignore[misc]
                sequences = [record.sequence for record in applied if record.sequence > state.trimmed]
                trims.append(log_pb2.OutboxTrim(target=target, sequences=sequences))
        self._trim_at = math.inf
        self._applied_count = 0
        for trim in trims:
            self._targets[trim.target].trimmed = self._targets[trim.target].applied
        return [trim for trim in trims if trim.sequences]

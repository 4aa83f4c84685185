"""Writes of one partition from their arrival to their answer: which may come in, which wait, which are sent away. Pure.

Owned by node.partition. Law: what a partition holds and what it has under way in the log are bounded in bytes of what
really lies in the log, which is many times what arrived when a write changes many indexes; a write that is sent away
has not happened.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from node.sessions import RouterSession
from wire import data_pb2

# Bytes of entries that are proposed and not committed; beyond this, by one entry at most, writes wait: links drop what
# they cannot queue, and heartbeats stand in line behind it.
PROPOSED_BYTES_MAX = 2 * 1024 * 1024
# A write that waited this long for others to be committed is refused as OVERLOADED.
WAIT_S_MAX = 0.5
# Bytes of writes that wait for a turn (what arrived) or for a commit (what is in the log); beyond this new ones are
# refused as OVERLOADED.
HELD_BYTES_MAX = 64 * 1024 * 1024


class Arrived(NamedTuple):
    """An operation and where its answer goes."""

    session: RouterSession
    operation: data_pb2.Operation


class Batch(NamedTuple):
    """Writes that wait for a turn since the same moment."""

    since: float
    writes: list[Arrived]


def size_of(operation: data_pb2.Operation) -> int:
    """What a write is charged with until it is in the log, in bytes."""
    return len(operation.item) + len(operation.expressions)


class WriteQueue:
    """The writes of a partition that wait for a turn, and what those under way hold."""

    def __init__(self, operations_max: int) -> None:
        self._operations_max = operations_max
        self._new: list[Arrived] = []
        self._old: deque[Batch] = deque()
        # Of writes that are not answered.
        self.operations = 0
        self.held_bytes = 0
        self.proposed_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._new or self._old)

    @property
    def is_full(self) -> bool:
        """Whether so much is under way in the log that nothing may be added."""
        return self.proposed_bytes >= PROPOSED_BYTES_MAX

    def add(self, session: RouterSession, operation: data_pb2.Operation) -> bool:
        """Take a write; false: there is no room for it."""
        if self.operations >= self._operations_max or self.held_bytes >= HELD_BYTES_MAX:
            return False
        self.operations += 1
        self.held_bytes += size_of(operation)
        self._new.append(Arrived(session, operation))
        return True

    def note_time(self, now: float) -> list[Arrived]:
        """Note since when new writes wait; returns those that waited too long, which wait no more."""
        if self._new:
            self._old.append(Batch(now, self._new))
            self._new = []
        late: list[Arrived] = []
        while self._old and now - self._old[0].since > WAIT_S_MAX:
            late += self._old.popleft().writes
        self._release(late)
        return late

    def next_batch(self) -> Batch | None:
        """The oldest writes whose time was noted, to be judged; None without any."""
        return self._old.popleft() if self._old else None

    def put_back(self, batch: Batch, position: int) -> None:
        """Let what was taken last wait on, from `position` of the batch on."""
        if position < len(batch.writes):
            self._old.appendleft(Batch(batch.since, batch.writes[position:]))

    def clear(self) -> list[Arrived]:
        """Everything that waits for a turn, oldest first; it waits no more."""
        writes = [arrived for batch in self._old for arrived in batch.writes] + self._new
        self._old.clear()
        self._new = []
        self._release(writes)
        return writes

    def _release(self, writes: list[Arrived]) -> None:
        self.operations -= len(writes)
        self.held_bytes -= sum([size_of(operation) for _, operation in writes])

"""The leader's part in indexes besides judging writes: it sends its outbox, takes feeds of others and backfills.

Owned by node.partition, which gives it a moment at the end of each turn. Law: it acts only as the ready leader, on
what is applied and written; everything that it decides becomes a log entry, and what it remembers between entries may
be lost at any time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from dynamo.indexes import IndexDefinition
from node.indexing.backfill import next_step
from node.indexing.cluster import ClusterView
from node.indexing.feeder import Batch, Feeder
from node.machine.state import PartitionState
from node.storage import keyspace
from node.storage.errors import StoreError
from replication.messages import Kind, Message
from replication.raft import RaftReplica
from runtime.logs import get_logger
from wire import log_pb2

log = get_logger()

# Records in the outbox of one partition from which on writes to tables with global indexes are refused, as DynamoDB
# throttles a table whose index does not keep up.
OUTBOX_RECORDS_MAX = 100_000
# The same in bytes: records of large items take the disk long before they are many.
OUTBOX_BYTES_MAX = 256 * 1024 * 1024
# The same for backfills, which wait, so that writes find room.
BACKFILL_OUTBOX_RECORDS_MAX = 5_000
BACKFILL_OUTBOX_BYTES_MAX = 32 * 1024 * 1024
# How long an index is left alone whose step failed; doubled with each failure in a row.
STEP_RETRY_MIN_S, STEP_RETRY_MAX_S = 0.5, 60.0

# Called with whether the entry was committed.
Ended = Callable[[bool], None]
# Let an entry go with the partition's next turn.
ProposeOwn = Callable[[log_pb2.LogEntry, Ended | None], None]


class IndexLeader:
    """Feeds and backfills of one partition while this node leads it."""

    def __init__(
        self,
        group: RaftReplica,
        state: PartitionState,
        cluster: ClusterView,
        wall_ms: Callable[[], int],
        propose_own: ProposeOwn,
    ) -> None:
        self._group = group
        self._state = state
        self._cluster = cluster
        self._wall_ms = wall_ms
        self._propose_own = propose_own
        self._term = 0
        self._feeder: Feeder | None = None
        self._backfilling = False
        # Index id -> the log index that must be applied before its first step of this leadership.
        self._gates: dict[int, int] = {}
        # Index id -> how often in a row its step failed.
        self._failures: dict[int, int] = {}
        # Index id -> when its next step may be tried; infinite until the turn of the failure ends.
        self._retry_at: dict[int, float] = {}

    # ------------------------------------------------------------------ for people and daemons
    @property
    def lag_ms(self) -> int:
        """Age of the oldest change that waits; 0 when none does."""
        oldest = min([waiting[0].written_ms for waiting in self._state.outbox.values()], default=None)
        return max(0, self._wall_ms() - oldest) if oldest is not None else 0

    @property
    def is_overloaded(self) -> bool:
        """Whether a write that changes a global index must be refused."""
        state = self._state
        return state.outbox_count >= OUTBOX_RECORDS_MAX or state.outbox_bytes >= OUTBOX_BYTES_MAX

    @property
    def next_event_at(self) -> float:
        """When time alone makes this want a turn."""
        feeder_at = self._feeder.next_event_at if self._feeder is not None else math.inf
        return min([feeder_at, *self._retry_at.values()]) if self._retry_at else feeder_at

    # ------------------------------------------------------------------ sending the outbox
    def batch_written(self, now: float) -> bool:
        """The end of a turn: what is applied can be read. Send what is due; true: the partition wants another turn."""
        may_step = self._retry_steps(now) if self._retry_at else False
        if not self._group.is_ready_leader:
            self._feeder = None
        elif self._state.outbox:
            return self._feed(now) or may_step
        elif self._feeder is not None:
            # It is kept for what it knows: who leads the targets.
            self._feeder.rest()
        return may_step

    def _feed(self, now: float) -> bool:
        self._notice_term()
        feeder = self._feeder
        if feeder is None:
            feeder = self._feeder = Feeder(self._cluster.replicas_of, self._cluster.leader_of)
        delay_ms = self._cluster.index_delay_ms
        # Without a delay the age is not asked for: clocks differ.
        newest_ms = self._wall_ms() - delay_ms if delay_ms else None
        feeder.delay_ms = delay_ms
        trims = feeder.take_trims(self._state.outbox, now)
        if trims:
            self._propose_own(log_pb2.LogEntry(outbox_trims=trims), None)
        for batch in feeder.due(self._state.outbox, now, newest_ms):
            # First: a target that this node leads may answer at once.
            feeder.sent(batch.target, batch.node, now)
            self._send(batch)
        return bool(trims)

    def _notice_term(self) -> None:
        """What an earlier leadership of this node knew is void: what it proposed last may not have come to be."""
        if self._term != self._group.term:
            self._term = self._group.term
            self._feeder = None
            self._gates.clear()

    def _send(self, batch: Batch) -> None:
        feed = log_pb2.IndexFeed(source=self._state.group_id)
        size = 0
        for sequence in batch.sequences:
            change = self._state.waiting_change(batch.target, sequence)
            feed.index_changes.append(log_pb2.IndexChange.FromString(change))
            size += len(change)
            if size >= self._cluster.feed_bytes_max:
                break
        message = Message(Kind.FEED, self._group.term, chunk=feed.SerializeToString())
        self._cluster.send(batch.node, batch.target, message)

    def feed_answered(self, sender: str, message: Message, now: float) -> None:
        """A FEED_DONE from a replica of the target. The partition wants a turn."""
        if self._feeder is None or self._term != self._group.term:
            return
        if message.flag:
            self._feeder.accepted(message.index, sender, message.sequence, now)
        else:
            self._feeder.refused(message.index, sender, message.chunk.decode(), now)

    # ------------------------------------------------------------------ taking feeds
    def feed_arrived(self, sender: str, message: Message) -> None:
        """A FEED of another partition's leader, or of this one's. The partition wants a turn."""
        feed = log_pb2.IndexFeed.FromString(message.chunk)
        source = feed.source
        if feed.index_changes[-1].sequence <= self._state.feed_position(source):
            # Applied means committed, whoever asks and whoever leads.
            self._answer(sender, source, accepted=True)
        elif self._group.is_ready_leader:
            self._propose_own(
                log_pb2.LogEntry(feeds=[feed]), lambda committed: self._answer(sender, source, accepted=committed)
            )
        else:
            self._answer(sender, source, accepted=False)

    def _answer(self, sender: str, source: int, *, accepted: bool) -> None:
        answer = Message(
            Kind.FEED_DONE,
            self._group.term,
            index=self._state.group_id,
            sequence=self._state.feed_position(source),
            flag=accepted,
            chunk=b"" if accepted else (self._group.leader_id or "").encode(),
        )
        self._cluster.send(sender, source, answer)

    # ------------------------------------------------------------------ backfill
    def wants_step(self) -> bool:
        """Whether a step of a backfill can be proposed now."""
        return bool(self._state.unfinished_backfills) and self._next_to_fill() is not None

    def _next_to_fill(self) -> int | None:
        if self._backfilling or not self._group.is_ready_leader or not self._cluster.is_known:
            return None
        state = self._state
        if state.outbox_count >= BACKFILL_OUTBOX_RECORDS_MAX or state.outbox_bytes >= BACKFILL_OUTBOX_BYTES_MAX:
            return None
        self._notice_term()
        for index_id in sorted(self._state.unfinished_backfills):
            # Writes that were judged before this leader knew the index carry no change for it: the scan must find them.
            gate = self._gates.setdefault(index_id, self._group.journal.last_index)
            if self._group.applied_index >= gate and index_id not in self._retry_at:
                return index_id
        return None

    def add_step(self, entry: log_pb2.LogEntry, newest: Callable[[bytes, bytes | None], bytes | None]) -> Ended | None:
        """Put a step of a backfill into the last entry of a turn; returns what to call when the entry has ended.

        `newest` gives what a logical key holds by now, given what the store holds.
        """
        index_id = self._next_to_fill() if self._state.unfinished_backfills else None
        if index_id is None:
            return None
        try:
            step = self._next_step(index_id, newest)
        except StoreError:
            raise
        except Exception as error:
            # An item that no index can be made of must not end this process, and then that of every next leader.
            log.error("backfill_step_failed", partition=self._state.group_id, index=index_id, exc_info=error)
            self._failures[index_id] = self._failures.get(index_id, 0) + 1
            self._retry_at[index_id] = math.inf
            return None
        self._failures.pop(index_id, None)
        entry.backfill_steps.append(step)
        self._backfilling = True
        return self._step_ended

    def _next_step(self, index_id: int, newest: Callable[[bytes, bytes | None], bytes | None]) -> log_pb2.BackfillStep:
        table_id = self._state.table_of_index(index_id)
        cursor = self._state.backfills[index_id].cursor
        return next_step(
            self._definition(table_id, index_id),
            self._state.rows_after(table_id, cursor),
            lambda key, stored: newest(keyspace.item_key(table_id, key), stored),
            cursor,
            self._cluster.locate,
        )

    def _retry_steps(self, now: float) -> bool:
        """Let indexes be tried again whose time has come; true: there is one."""
        for index_id, at in list(self._retry_at.items()):
            if at == math.inf:
                doubled = STEP_RETRY_MIN_S * 2 ** min(self._failures[index_id] - 1, 16)
                self._retry_at[index_id] = now + min(STEP_RETRY_MAX_S, doubled)
            elif now >= at:
                del self._retry_at[index_id]
                return True
        return False

    def _definition(self, table_id: int, index_id: int) -> IndexDefinition:
        return next(index for index in self._state.indexes[table_id] if index.index_id == index_id)

    def _step_ended(self, _committed: bool) -> None:
        self._backfilling = False

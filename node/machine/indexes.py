"""What one replica knows of indexes: definitions, backfills, feed positions, the outbox. Applies their log entries.

Owned by node.machine.state, which hands it the shared batch. Small records are kept in memory beside the store, of the
outbox only which sequences it holds: its values are read when they are sent. Law: like all of apply, total and
deterministic; the order within one entry is the order of the calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from dynamo.indexes import IndexDefinition
from node.storage import keyspace
from replication.ports import Family, Store
from runtime.logs import get_logger
from topology.tables import definition_of, key_schema_of
from wire import catalog_pb2, log_pb2

log = get_logger()

_DATA, _OUTBOX = Family.DATA, Family.OUTBOX
# A sequence is the log index of the entry and the place of the change in it.
SEQUENCE_PLACE_BITS = 24
HYBRID_TIME_BYTES = 8


class Waiting(NamedTuple):
    """One record of the outbox."""

    sequence: int
    written_ms: int  # wall time that the leader stamped the entry with
    size: int = 0  # of the stored record, in bytes


class IndexRecords:
    """The index side of a partition's state."""

    def __init__(self, store: Store, dropped: set[int]) -> None:
        """`dropped`: ids of tables and indexes that are gone, kept by the owner."""
        self._store = store
        self._dropped = dropped
        self._table_of: dict[int, int] = {}
        # Table id -> the indexes that writes of it maintain.
        self.definitions: dict[int, tuple[IndexDefinition, ...]] = {}
        self.backfills: dict[int, log_pb2.Backfill] = {}
        # Ids of those that are not done.
        self.unfinished: set[int] = set()
        # Source partition -> the last sequence of its outbox applied here.
        self.feed_positions: dict[int, int] = {}
        # Target partition -> what waits for it, in ascending sequence.
        self.outbox: dict[int, deque[Waiting]] = {}
        self.outbox_count = 0
        self.outbox_bytes = 0

    # ------------------------------------------------------------------ loading
    def load(self, own: dict[bytes, bytes]) -> None:
        """Take over own records, by logical key."""
        for key, value in own.items():
            if key.startswith(keyspace.INDEX):
                self._define(log_pb2.BeginIndex.FromString(value))
            elif key.startswith(keyspace.BACKFILL):
                self._note_backfill(int.from_bytes(key[-8:], "big"), log_pb2.Backfill.FromString(value))
            elif key.startswith(keyspace.FEED):
                self.feed_positions[int.from_bytes(key[-4:], "big")] = int.from_bytes(value, "big")

    def load_outbox(self, records: Iterable[tuple[int, Waiting]]) -> None:
        """Note what a stored outbox holds, in the order of its keys: targets and what waits for them."""
        for target, record in records:
            self._note_waiting(target, record)

    def _note_waiting(self, target: int, record: Waiting) -> None:
        waiting = self.outbox.get(target)
        if waiting is None:
            waiting = self.outbox[target] = deque()
        waiting.append(record)
        self.outbox_count += 1
        self.outbox_bytes += record.size

    # ------------------------------------------------------------------ indexes coming and going
    def begin(self, prefix: bytes, begin: log_pb2.BeginIndex) -> None:
        """From the next entry on writes carry changes for the index; once is enough."""
        index_id = begin.index.index_id
        if index_id in self._table_of or index_id in self._dropped or begin.table_id in self._dropped:
            return
        try:
            self._define(begin)
        except ValueError as error:
            # Apply is total: an index that cannot be is ignored on every replica alike.
            log.error("index_ignored", index=index_id, reason=str(error))
            return
        self._store.put(_DATA, prefix + keyspace.index_key(index_id), begin.SerializeToString())
        if begin.backfill and begin.index.kind == catalog_pb2.INDEX_GLOBAL:
            self._put_backfill(prefix, index_id, log_pb2.Backfill())

    def _define(self, begin: log_pb2.BeginIndex) -> None:
        table = catalog_pb2.Table(partition_key=begin.partition_key)
        if begin.HasField("sort_key"):
            table.sort_key.CopyFrom(begin.sort_key)
        definition = definition_of(begin.index, key_schema_of(table))
        known = (*self.definitions.get(begin.table_id, ()), definition)
        # By id: records are loaded in this order too, and the order of changes must not depend on a restart.
        self.definitions[begin.table_id] = tuple(sorted(known, key=lambda index: index.index_id))
        self._table_of[definition.index_id] = begin.table_id

    def drop(self, prefix: bytes, dropped_id: int) -> None:
        """A table or an index is gone: forget what was kept of it."""
        table_id = self._table_of.get(dropped_id, dropped_id)
        kept: list[IndexDefinition] = []
        for definition in self.definitions.get(table_id, ()):
            if table_id != dropped_id and definition.index_id != dropped_id:
                kept.append(definition)
                continue
            index_id = definition.index_id
            del self._table_of[index_id]
            self._store.delete(_DATA, prefix + keyspace.index_key(index_id))
            self.unfinished.discard(index_id)
            if self.backfills.pop(index_id, None) is not None:
                self._store.delete(_DATA, prefix + keyspace.backfill_key(index_id))
        if kept:
            self.definitions[table_id] = tuple(kept)
        else:
            self.definitions.pop(table_id, None)

    def has(self, index_id: int) -> bool:
        """Whether writes maintain the index."""
        return index_id in self._table_of

    def table_of(self, index_id: int) -> int:
        """The table of an index. Raises KeyError for one that is not maintained."""
        return self._table_of[index_id]

    def is_backfilled(self, index_id: int) -> bool:
        """Whether every item of this partition is in the index, as far as the partition can tell: nothing waits."""
        if index_id not in self._table_of:
            return False
        backfill = self.backfills.get(index_id)
        if backfill is None:
            return True
        oldest = min([waiting[0].sequence for waiting in self.outbox.values() if waiting], default=None)
        return backfill.done and (oldest is None or oldest > backfill.done_sequence)

    # ------------------------------------------------------------------ effects of entries
    def write_rows(self, prefix: bytes, writes: Iterable[log_pb2.LocalWrite]) -> None:
        """Rows beside an item: in the same batch as the item."""
        store, dropped = self._store, self._dropped
        for write in writes:
            index_id = write.index_id
            if index_id in dropped:
                continue
            key = prefix + keyspace.item_key(index_id, write.key)
            if write.deleted:
                store.delete(_DATA, key)
            else:
                store.put(_DATA, key, write.value)

    def put_in_outbox(
        self, prefix: bytes, changes: Iterable[log_pb2.IndexChange], first_sequence: int, hybrid_time: int
    ) -> int:
        """Let changes wait for their targets; returns the sequence after the last one."""
        sequence = first_sequence
        stamp = hybrid_time.to_bytes(HYBRID_TIME_BYTES, "big")
        for change in changes:
            if change.index_id not in self._dropped:
                change.sequence = sequence
                key = keyspace.outbox_key(change.target, sequence)
                value = stamp + change.SerializeToString()
                self._store.put(_OUTBOX, prefix + key, value)
                self._note_waiting(change.target, Waiting(sequence, hybrid_time >> 16, len(value)))
            sequence += 1
        return sequence

    def step_backfill(self, prefix: bytes, step: log_pb2.BackfillStep, last_sequence: int) -> None:
        """The items up to the step's cursor are in the outbox, whose last change of this entry is `last_sequence`."""
        backfill = self.backfills.get(step.index_id)
        if backfill is None or backfill.done:
            return
        done_sequence = last_sequence if step.done else 0
        self._put_backfill(
            prefix, step.index_id, log_pb2.Backfill(cursor=step.cursor, done=step.done, done_sequence=done_sequence)
        )

    def _put_backfill(self, prefix: bytes, index_id: int, backfill: log_pb2.Backfill) -> None:
        self._note_backfill(index_id, backfill)
        self._store.put(_DATA, prefix + keyspace.backfill_key(index_id), backfill.SerializeToString())

    def _note_backfill(self, index_id: int, backfill: log_pb2.Backfill) -> None:
        self.backfills[index_id] = backfill
        if backfill.done:
            self.unfinished.discard(index_id)
        else:
            self.unfinished.add(index_id)

    def trim(self, prefix: bytes, trim: log_pb2.OutboxTrim) -> None:
        """The target has applied these. Point deletions: the shared batch cannot be scanned before it is written."""
        target = trim.target
        waiting = self.outbox.get(target)
        if waiting is None:
            return
        gone = set(trim.sequences)
        while waiting and waiting[0].sequence in gone:
            record = waiting.popleft()
            self._store.delete(_OUTBOX, prefix + keyspace.outbox_key(target, record.sequence))
            self.outbox_count -= 1
            self.outbox_bytes -= record.size
        if not waiting:
            del self.outbox[target]

    def feed(self, prefix: bytes, feed: log_pb2.IndexFeed) -> None:
        """Apply what another partition's outbox sent: each change once, however often it is sent."""
        store, source = self._store, feed.source
        before = position = self.feed_positions.get(source, 0)
        for change in feed.index_changes:
            if change.sequence <= position:
                continue
            position = change.sequence
            if change.index_id in self._dropped:
                continue
            key = prefix + keyspace.item_key(change.index_id, change.key)
            if change.deleted:
                store.delete(_DATA, key)
            else:
                store.put(_DATA, key, change.item)
        if position != before:
            self.feed_positions[source] = position
            store.put(_DATA, prefix + keyspace.feed_key(source), position.to_bytes(8, "big"))


def waiting_in(logical_key: bytes, value: bytes) -> tuple[int, Waiting]:
    """The target of a record of the outbox, and what is kept of the record in memory."""
    target, sequence = keyspace.outbox_place(logical_key)
    hybrid_time = int.from_bytes(value[:HYBRID_TIME_BYTES], "big")
    return target, Waiting(sequence, hybrid_time >> 16, len(value))


def change_in(outbox_value: bytes) -> bytes:
    """The serialized IndexChange in a record of the outbox."""
    return outbox_value[HYBRID_TIME_BYTES:]

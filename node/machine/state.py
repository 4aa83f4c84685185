"""The state of one partition: applies committed entries to the store.

Driven by replication.raft through node.host. Law: apply is total and deterministic (law 1 and rule 4): an entry that
cannot be read stops the process, every other entry has one effect, and the applied index is written in the same
batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain

from dynamo.indexes import IndexDefinition
from node.machine.indexes import SEQUENCE_PLACE_BITS, IndexRecords, Waiting, change_in, waiting_in
from node.storage import keyspace
from replication.ports import Family, Store
from runtime.clock import HybridClock
from wire import log_pb2

LOG_ENTRY_VERSION = 1
_DATA = Family.DATA
# Where the replicated state lies: the same prefix in each, one after the other in the order of logical keys.
STATE_FAMILIES = (Family.DATA, Family.OUTBOX)


class UnreadableEntry(Exception):
    """A committed entry written by a newer program: this one must stop rather than skip it."""


class PartitionState:
    """One replica's items of one partition."""

    def __init__(self, store: Store, group_id: int, hybrid_clock: HybridClock) -> None:
        self._store = store
        self._group_id = group_id
        self._hybrid_clock = hybrid_clock
        self._applied = keyspace.decode_applied(store.get(Family.META, keyspace.applied_key(group_id)))
        self._index = self._applied.applied_index
        self._hybrid_time = self._applied.hybrid_time
        self._generation = self._applied.generation
        self._prefix = keyspace.prefix(group_id, self._generation)
        # Reads go on in the old state until the batch that switches to an installed one is written.
        self._read_prefix = self._prefix
        # Ids of tables and indexes whose rows are gone.
        self.dropped_tables: set[int] = set()
        self._index_records = IndexRecords(store, self.dropped_tables)
        hybrid_clock.observe(self._hybrid_time)
        self._drop_leftovers()
        start, end = keyspace.table_range(0)
        own = store.scan(Family.DATA, self._prefix + start, self._prefix + end)
        self._load_own_records({key[len(self._prefix) :]: value for key, value in own})
        outbox = store.scan(Family.OUTBOX, *keyspace.generation_range(group_id, self._generation))
        self._index_records.load_outbox(waiting_in(key[len(self._prefix) :], value) for key, value in outbox)

    def _drop_leftovers(self) -> None:
        """Delete states that are not current: a snapshot that was being staged when the process died."""
        start, end = keyspace.group_range(self._group_id)
        current_start, current_end = keyspace.generation_range(self._group_id, self._generation)
        for family in STATE_FAMILIES:
            for low, high in ((start, current_start), (current_end, end)):
                if next(self._store.scan(family, low, high), None) is not None:
                    self._store.delete_range(family, low, high)

    def _load_own_records(self, records: dict[bytes, bytes]) -> None:
        """Take over what is kept in memory beside the store, by logical key."""
        self.dropped_tables = {
            int.from_bytes(key[-8:], "big") for key in records if key.startswith(keyspace.DROPPED_TABLE)
        }
        self._index_records = IndexRecords(self._store, self.dropped_tables)
        self._index_records.load(records)

    # ------------------------------------------------------------------ replication.ports.StateMachine
    @property
    def applied_index(self) -> int:
        """The last index applied (written to the store by the next write_batch)."""
        return self._index

    def apply(self, index: int, payload: bytes) -> object:
        """Collect the effect of one committed entry."""
        entry = log_pb2.LogEntry.FromString(payload)
        if entry.version != LOG_ENTRY_VERSION:
            raise UnreadableEntry(f"partition {self._group_id} index {index}: entry version {entry.version}")
        self._index = index
        self._hybrid_time = entry.hybrid_time
        self._hybrid_clock.observe(entry.hybrid_time)
        return self._apply_entry(entry)

    def _apply_entry(self, entry: log_pb2.LogEntry) -> object:
        """Returns the positions of mutations without effect as a frozenset, None when there are none."""
        store, prefix, dropped = self._store, self._prefix, self.dropped_tables
        indexes = self._index_records
        indexed = indexes.definitions
        sequence = self._index << SEQUENCE_PLACE_BITS
        skipped: set[int] = set()
        for position, mutation in enumerate(entry.mutations):
            table_id = mutation.table_id
            # A write that lost the race against DropTable must not bring a row of a dead table back.
            if dropped and table_id in dropped:
                skipped.add(position)
                continue
            key = prefix + keyspace.item_key(table_id, mutation.key)
            if mutation.deleted:
                store.delete(_DATA, key)
            else:
                store.put(_DATA, key, mutation.item)
            # Without a definition left, all that the write may carry is of indexes that were dropped meanwhile.
            if table_id in indexed:
                indexes.write_rows(prefix, mutation.local_writes)
                sequence = indexes.put_in_outbox(prefix, mutation.index_changes, sequence, self._hybrid_time)
        if entry.drop_tables:
            self._drop(entry)
        self._apply_index_records(entry, sequence)
        return frozenset(skipped) if skipped else None

    def _drop(self, entry: log_pb2.LogEntry) -> None:
        store, prefix = self._store, self._prefix
        for drop in entry.drop_tables:
            start, end = keyspace.table_range(drop.table_id)
            store.delete_range(Family.DATA, prefix + start, prefix + end)
            store.put(Family.DATA, prefix + keyspace.dropped_table_key(drop.table_id), b"")
            self.dropped_tables.add(drop.table_id)
            self._index_records.drop(prefix, drop.table_id)

    def _apply_index_records(self, entry: log_pb2.LogEntry, sequence: int) -> None:
        """Everything of an entry that is not a write of an item; `sequence`: of its next change for an outbox."""
        prefix, indexes = self._prefix, self._index_records
        for begin in entry.begin_indexes:
            indexes.begin(prefix, begin)
        for step in entry.backfill_steps:
            sequence = indexes.put_in_outbox(prefix, step.index_changes, sequence, self._hybrid_time)
            indexes.step_backfill(prefix, step, sequence - 1)
        for trim in entry.outbox_trims:
            indexes.trim(prefix, trim)
        for feed in entry.feeds:
            indexes.feed(prefix, feed)

    def note_applied(self, index: int) -> None:
        """An entry without effect."""
        self._index = index

    def flush(self) -> None:
        """Collect the applied record when it moved; in the same batch as the effects."""
        if self._index != self._applied.applied_index:
            self._applied = keyspace.Applied(self._index, self._hybrid_time, self._generation)
            self._store.put(Family.META, keyspace.applied_key(self._group_id), keyspace.encode_applied(self._applied))

    def snapshot(self) -> Iterator[tuple[bytes, bytes]]:
        """All pairs as of the last write_batch, by logical key; the first is the hybrid time."""
        start, end = keyspace.generation_range(self._group_id, self._generation)
        # Both views are of this moment, whenever they are read.
        scans = [self._store.scan(family, start, end) for family in STATE_FAMILIES]
        return self._snapshot_pairs(self._hybrid_time, len(start), chain.from_iterable(scans))

    @staticmethod
    def _snapshot_pairs(
        hybrid_time: int, prefix_length: int, pairs: Iterator[tuple[bytes, bytes]]
    ) -> Iterator[tuple[bytes, bytes]]:
        yield b"", hybrid_time.to_bytes(8, "big")
        for key, value in pairs:
            yield key[prefix_length:], value

    def begin_install(self) -> Installer:
        """Stage a new state under the next generation."""
        return Installer(self)

    # ------------------------------------------------------------------ reads
    def get(self, logical_key: bytes) -> bytes | None:
        """The item JSON at a logical key as of the last write_batch."""
        return self._store.get(Family.DATA, self._read_prefix + logical_key)

    def scan(self, start: bytes, end: bytes, *, backward: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with logical keys in [start, end) as of the last write_batch. Their keys are physical ones: what is
        below keyspace.PREFIX_BYTES is the logical key, cut off only where somebody needs it."""
        scan = self._store.scan_back if backward else self._store.scan
        return scan(_DATA, self._read_prefix + start, self._read_prefix + end)

    def get_catalog(self) -> bytes:
        """The serialized catalog; empty on any partition but the catalog's."""
        return self.get(keyspace.CATALOG) or b""

    def batch_written(self) -> None:
        """What was collected is readable now."""
        self._read_prefix = self._prefix

    # ------------------------------------------------------------------ indexes
    @property
    def indexes(self) -> dict[int, tuple[IndexDefinition, ...]]:
        """By table id, what writes of it maintain, the hidden index of collection sizes too. Not to be modified."""
        return self._index_records.definitions

    @property
    def backfills(self) -> dict[int, log_pb2.Backfill]:
        """By index id, how far its backfill is; nothing for an index that needed none. Not to be modified."""
        return self._index_records.backfills

    @property
    def unfinished_backfills(self) -> set[int]:
        """Ids of indexes whose backfill is not done. Not to be modified."""
        return self._index_records.unfinished

    @property
    def outbox(self) -> dict[int, deque[Waiting]]:
        """By target partition, the changes that wait for it, oldest first. Not to be modified."""
        return self._index_records.outbox

    @property
    def outbox_count(self) -> int:
        """Changes that wait, for all targets together."""
        return self._index_records.outbox_count

    @property
    def outbox_bytes(self) -> int:
        """The size of their stored records."""
        return self._index_records.outbox_bytes

    def has_index(self, index_id: int) -> bool:
        """Whether writes maintain the index."""
        return self._index_records.has(index_id)

    def table_of_index(self, index_id: int) -> int:
        """The table of an index. Raises KeyError for one that is not maintained."""
        return self._index_records.table_of(index_id)

    def is_backfilled(self, index_id: int) -> bool:
        """Whether every item is in the index and nothing of its backfill waits in the outbox."""
        return self._index_records.is_backfilled(index_id)

    def feed_position(self, source: int) -> int:
        """The last sequence of another partition's outbox that is applied here."""
        return self._index_records.feed_positions.get(source, 0)

    def waiting_change(self, target: int, sequence: int) -> bytes:
        """The serialized IndexChange of the outbox, as of the last write_batch. Raises KeyError if absent."""
        value = self._store.get(Family.OUTBOX, self._read_prefix + keyspace.outbox_key(target, sequence))
        if value is None:
            raise KeyError(f"partition {self._group_id}: no record {sequence} for {target} in the outbox")
        return change_in(value)

    def rows_after(self, table_id: int, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows of a table behind `key` in order, their keys below the table id, as of the last write_batch."""
        head = keyspace.PREFIX_BYTES + len(keyspace.OWN_RECORDS)
        start = keyspace.item_key(table_id, key + b"\x00" if key else b"")
        _, end = keyspace.table_range(table_id)
        for physical_key, value in self.scan(start, end):
            yield physical_key[head:], value

    def switch_generation(
        self,
        generation: int,
        index: int,
        hybrid_time: int,
        own: dict[bytes, bytes],
        outbox: list[tuple[int, Waiting]],
    ) -> None:
        """Called by Installer.commit: make the staged state the current one."""
        old_start, old_end = keyspace.generation_range(self._group_id, self._generation)
        for family in STATE_FAMILIES:
            self._store.delete_range(family, old_start, old_end)
        self._generation = generation
        self._prefix = keyspace.prefix(self._group_id, generation)
        self._load_own_records(own)
        self._index_records.load_outbox(outbox)
        self._index, self._hybrid_time = index, hybrid_time
        self._hybrid_clock.observe(hybrid_time)
        self._applied = keyspace.Applied(index, hybrid_time, generation)
        self._store.put(Family.META, keyspace.applied_key(self._group_id), keyspace.encode_applied(self._applied))

    @property
    def generation(self) -> int:
        """The local number of the current state."""
        return self._generation

    @property
    def group_id(self) -> int:
        """The partition."""
        return self._group_id

    @property
    def store(self) -> Store:
        """Where the state lies."""
        return self._store


class Installer:
    """A state staged beside the current one; see replication.ports.StateInstaller."""

    def __init__(self, state: PartitionState) -> None:
        self._state = state
        self._generation = state.generation + 1
        self._hybrid_time = 0
        self._own_records: dict[bytes, bytes] = {}
        self._outbox: list[tuple[int, Waiting]] = []
        self._prefix = keyspace.prefix(state.group_id, self._generation)
        self._clear()

    def _clear(self) -> None:
        start, end = keyspace.generation_range(self._state.group_id, self._generation)
        for family in STATE_FAMILIES:
            self._state.store.delete_range(family, start, end)

    def put(self, key: bytes, value: bytes) -> None:
        """Stage one pair."""
        if not key:
            self._hybrid_time = int.from_bytes(value, "big")
            return
        if key.startswith(keyspace.OUTBOX):
            self._state.store.put(Family.OUTBOX, self._prefix + key, value)
            self._outbox.append(waiting_in(key, value))
            return
        self._state.store.put(_DATA, self._prefix + key, value)
        if key.startswith(keyspace.OWN_RECORDS):
            self._own_records[key] = value

    def commit(self, applied_index: int) -> None:
        """Collect the switch in the shared batch."""
        self._state.switch_generation(
            self._generation, applied_index, self._hybrid_time, self._own_records, self._outbox
        )

    def abort(self) -> None:
        """Drop what was staged."""
        self._clear()

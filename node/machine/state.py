"""The state of one partition: applies committed entries to the store.

Driven by replication.raft through node.host. Law: apply is total and deterministic (law 1 and rule 4): an entry that
cannot be read stops the process, every other entry has one effect, and the applied index is written in the same
batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from dynamo.indexes import IndexDefinition
from node.machine.indexes import SEQUENCE_PLACE_BITS, IndexRecords, Waiting, change_in, waiting_in
from node.machine.requests import REQUEST_ID_BYTES, Remembered, RequestMemory, remembered_in
from node.storage import keyspace
from replication.ports import Family, Store
from runtime.clock import HybridClock
from wire import data_pb2, log_pb2

LOG_ENTRY_VERSION = 2
# Entries of version 1 are from before request ids were remembered: they are not, whoever applies them.
UNREMEMBERED_VERSION = 1
_DATA = Family.DATA
# Where the replicated state lies: the same prefix in each, one after the other in the order of logical keys.
STATE_FAMILIES = (Family.DATA, Family.OUTBOX)


class UnreadableEntry(Exception):
    """A committed entry written by a newer program: this one must stop rather than skip it."""


class WithoutEffect(NamedTuple):
    """Positions of an entry's mutations that were not applied."""

    gone: frozenset[int]  # their table is
    repeated: frozenset[int]  # an earlier entry, or an earlier place of this one, applied their request


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
        self._requests = RequestMemory(store)
        hybrid_clock.observe(self._hybrid_time)
        self._drop_leftovers()
        start, end = keyspace.table_range(0)
        own = store.scan(Family.DATA, self._prefix + start, self._prefix + end)
        self._load_own_records({key[len(self._prefix) :]: value for key, value in own})
        self._index_records.load_outbox(waiting_in(key, value) for key, value in self._scan_beside(keyspace.OUTBOX))
        self._requests.load(remembered_in(key, value) for key, value in self._scan_beside(keyspace.REQUESTS))

    def _scan_beside(self, table: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Records of a table that lies in OUTBOX, by logical key."""
        start = self._prefix + table
        _, end = keyspace.generation_range(self._group_id, self._generation)
        for key, value in self._store.scan(Family.OUTBOX, start, end):
            if not key.startswith(start):
                return
            yield key[len(self._prefix) :], value

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
        if entry.version not in (LOG_ENTRY_VERSION, UNREMEMBERED_VERSION):
            raise UnreadableEntry(f"partition {self._group_id} index {index}: entry version {entry.version}")
        self._index = index
        self._hybrid_time = entry.hybrid_time
        self._hybrid_clock.observe(entry.hybrid_time)
        return self._apply_entry(entry)

    def _apply_entry(self, entry: log_pb2.LogEntry) -> object:
        """Returns WithoutEffect, None when there is nothing without."""
        store, prefix, dropped = self._store, self._prefix, self.dropped_tables
        indexes = self._index_records
        indexed = indexes.definitions
        sequence = self._index << SEQUENCE_PLACE_BITS
        gone: set[int] = set()
        repeated: set[int] = set()
        applied = self._requests.applied
        remembers = entry.version != UNREMEMBERED_VERSION
        remembered = Remembered(self._index, self._hybrid_time, [])
        request_ids = remembered.request_ids
        for position, mutation in enumerate(entry.mutations):
            table_id = mutation.table_id
            # A write that lost the race against DropTable must not bring a row of a dead table back.
            if dropped and table_id in dropped:
                gone.add(position)
                continue
            request_id = mutation.request_id
            if len(request_id) == REQUEST_ID_BYTES and remembers:
                # Leaders see to it; but a write that happens twice is what nobody could mend.
                if request_id in applied:
                    repeated.add(position)
                    continue
                applied[request_id] = remembered
                request_ids.append(request_id)
            key = prefix + keyspace.item_key(table_id, mutation.key)
            if mutation.deleted:
                store.delete(_DATA, key)
            else:
                store.put(_DATA, key, mutation.item)
            # Without a definition left, all that the write may carry is of indexes that were dropped meanwhile.
            if table_id in indexed:
                indexes.write_rows(prefix, mutation.local_writes)
                sequence = indexes.put_in_outbox(prefix, mutation.index_changes, sequence, self._hybrid_time)
        if request_ids:
            # Total: whatever an entry claims to have answered, only what it has just applied is remembered.
            answers = {
                entry.mutations[answer.place].request_id: answer.answer
                for answer in entry.answers
                if answer.place < len(entry.mutations)
                and answer.place not in gone
                and answer.place not in repeated
                and len(entry.mutations[answer.place].request_id) == REQUEST_ID_BYTES
            }
            self._requests.remember(prefix, remembered, answers)
        if entry.drop_tables:
            self._drop(entry)
        self._apply_index_records(entry, sequence)
        return WithoutEffect(frozenset(gone), frozenset(repeated)) if gone or repeated else None

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

    def delete(self) -> None:
        """Collect the deletion of everything of this replica, of a snapshot being staged, too. Nothing may follow."""
        start, end = keyspace.group_range(self._group_id)
        for family in STATE_FAMILIES:
            self._store.delete_range(family, start, end)
        self._store.delete(Family.META, keyspace.applied_key(self._group_id))

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

    # ------------------------------------------------------------------ request ids
    def answer_again(self, request_id: bytes) -> data_pb2.Result | None:
        """What an applied write was answered, without id; None: it is not remembered as applied."""
        return self._requests.answer(self._read_prefix, request_id)

    @property
    def forgotten_time(self) -> int:
        """The hybrid time up to which applied writes are not remembered any more; 0: all are."""
        return self._requests.forgotten_time

    # ------------------------------------------------------------------ generations
    def switch_generation(
        self,
        generation: int,
        index: int,
        hybrid_time: int,
        own: dict[bytes, bytes],
        outbox: list[tuple[int, Waiting]],
        requests: list[Remembered | int],
    ) -> None:
        """Called by Installer.commit: make the staged state the current one."""
        old_start, old_end = keyspace.generation_range(self._group_id, self._generation)
        for family in STATE_FAMILIES:
            self._store.delete_range(family, old_start, old_end)
        self._generation = generation
        self._prefix = keyspace.prefix(self._group_id, generation)
        self._load_own_records(own)
        self._index_records.load_outbox(outbox)
        self._requests = RequestMemory(self._store)
        self._requests.load(requests)
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
        self._requests: list[Remembered | int] = []
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
        if key.startswith(keyspace.REQUESTS):
            self._state.store.put(Family.OUTBOX, self._prefix + key, value)
            self._requests.append(remembered_in(key, value))
            return
        self._state.store.put(_DATA, self._prefix + key, value)
        if key.startswith(keyspace.OWN_RECORDS):
            self._own_records[key] = value

    def commit(self, applied_index: int) -> None:
        """Collect the switch in the shared batch."""
        self._state.switch_generation(
            self._generation, applied_index, self._hybrid_time, self._own_records, self._outbox, self._requests
        )

    def abort(self) -> None:
        """Drop what was staged."""
        self._clear()

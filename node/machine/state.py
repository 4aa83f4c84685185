"""The state of one partition: applies committed entries to the store.

Driven by replication.raft through node.host. Law: apply is total and deterministic (law 1 and rule 4): an entry that
cannot be read stops the process, every other entry has one effect, and the applied index is written in the same
batch.
"""

from __future__ import annotations

from collections.abc import Iterator

from node.storage import keyspace
from replication.ports import Family, Store
from runtime.clock import HybridClock
from wire import log_pb2

LOG_ENTRY_VERSION = 1
_DATA = Family.DATA


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
        self.dropped_tables: set[int] = set()
        hybrid_clock.observe(self._hybrid_time)
        self._drop_leftovers()
        start, end = keyspace.table_range(0)
        own = store.scan(Family.DATA, self._prefix + start, self._prefix + end)
        self._load_own_records({key[len(self._prefix) :]: value for key, value in own})

    def _drop_leftovers(self) -> None:
        """Delete states that are not current: a snapshot that was being staged when the process died."""
        start, end = keyspace.group_range(self._group_id)
        current_start, current_end = keyspace.generation_range(self._group_id, self._generation)
        for low, high in ((start, current_start), (current_end, end)):
            if next(self._store.scan(Family.DATA, low, high), None) is not None:
                self._store.delete_range(Family.DATA, low, high)

    def _load_own_records(self, records: dict[bytes, bytes]) -> None:
        """Take over what is kept in memory beside the store, by logical key."""
        self.dropped_tables = {
            int.from_bytes(key[-8:], "big") for key in records if key.startswith(keyspace.DROPPED_TABLE)
        }

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
        for drop in entry.drop_tables:
            start, end = keyspace.table_range(drop.table_id)
            store.delete_range(Family.DATA, prefix + start, prefix + end)
            store.put(Family.DATA, prefix + keyspace.dropped_table_key(drop.table_id), b"")
            dropped.add(drop.table_id)
        return frozenset(skipped) if skipped else None

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
        pairs = self._store.scan(Family.DATA, start, end)
        hybrid_time = self._hybrid_time
        return self._snapshot_pairs(hybrid_time, len(start), pairs)

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

    def get_catalog(self) -> bytes:
        """The serialized catalog; empty on any partition but the catalog's."""
        return self.get(keyspace.CATALOG) or b""

    def batch_written(self) -> None:
        """What was collected is readable now."""
        self._read_prefix = self._prefix

    def switch_generation(self, generation: int, index: int, hybrid_time: int, own: dict[bytes, bytes]) -> None:
        """Called by Installer.commit: make the staged state the current one."""
        old_start, old_end = keyspace.generation_range(self._group_id, self._generation)
        self._store.delete_range(Family.DATA, old_start, old_end)
        self._generation = generation
        self._prefix = keyspace.prefix(self._group_id, generation)
        self._load_own_records(own)
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
        self._prefix = keyspace.prefix(state.group_id, self._generation)
        self._clear()

    def _clear(self) -> None:
        start, end = keyspace.generation_range(self._state.group_id, self._generation)
        self._state.store.delete_range(Family.DATA, start, end)

    def put(self, key: bytes, value: bytes) -> None:
        """Stage one pair."""
        if not key:
            self._hybrid_time = int.from_bytes(value, "big")
            return
        self._state.store.put(Family.DATA, self._prefix + key, value)
        if key.startswith(keyspace.OWN_RECORDS):
            self._own_records[key] = value

    def commit(self, applied_index: int) -> None:
        """Collect the switch in the shared batch."""
        self._state.switch_generation(self._generation, applied_index, self._hybrid_time, self._own_records)

    def abort(self) -> None:
        """Drop what was staged."""
        self._clear()

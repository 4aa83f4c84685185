"""The only place that knows RocksDB: one database a node, four column families, one shared write batch.

Opened by node.__main__, used by node.host on the event loop; `sync` alone runs in a thread (rocksdict holds the
interpreter lock in get, put and write, and releases it in flush_wal). Law: everything goes through the write-ahead
log in batch order, so that what survives a crash is always a prefix of the batches.

What RocksDB does not notice by itself is a log that ends too early: a damaged record in the middle of the write-ahead
log is taken for its end, and what was synced behind it is gone without a word. So each sync notes how far it covers
(node.storage.synced), and a store that opens with less is damaged.

Known faults of rocksdict 0.3.29 that shape this module: snapshots are ignored by its iterators, the lower bound sets
the upper one, and the upper bound dangles. A plain iterator without bounds is a consistent view from its creation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rocksdict

from node.storage.errors import StoreDamaged, StoreError
from node.storage.synced import KeptLogs, SyncedMark
from replication.ports import Family

_NAMES = {Family.LOG: "log", Family.DATA: "data", Family.META: "meta", Family.OUTBOX: "outbox"}


def _options(memtable_bytes: int, cache: rocksdict.Cache, wal_recycle_files: int) -> rocksdict.Options:
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_write_buffer_size(memtable_bytes)
    # Two more memtables than the default: a write that waits for a flush would hold up the whole event loop.
    options.set_max_write_buffer_number(4)
    options.set_recycle_log_file_num(wal_recycle_files)
    # Bounds both the log files on disk and the time of a restart.
    options.set_max_total_wal_size(memtable_bytes * 4)
    options.set_keep_log_file_num(5)
    blocks = rocksdict.BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_bloom_filter(10, False)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options.set_block_based_table_factory(blocks)
    return options


class RocksStore:
    """RocksDB behind replication.ports.Store."""

    def __init__(
        self,
        folder: Path,
        *,
        memtable_bytes: int = 64 << 20,
        block_cache_bytes: int = 128 << 20,
        wal_recycle_files: int = 4,
    ) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the data folder {folder}: {error.strerror}") from error
        self._folder = folder
        # Called before a read raises StoreDamaged: no caller may take damage for a fault of one request.
        self.on_damage: Callable[[StoreDamaged], None] = lambda _: None
        cache = rocksdict.Cache(block_cache_bytes)
        # Opening a store ends with the log being rewritten: what a damaged one held would be gone as evidence.
        logs = KeptLogs(folder)
        try:
            self._mark = SyncedMark(folder)
            logs.keep()
        except OSError as error:
            raise StoreError(f"cannot open the store in {folder}: {error}") from error
        try:
            self._db = rocksdict.Rdict(
                str(folder),
                _options(memtable_bytes, cache, wal_recycle_files),
                {name: _options(memtable_bytes, cache, wal_recycle_files) for name in ("default", *_NAMES.values())},
            )
        except Exception as error:
            self._mark.close()
            raise _translated(error, f"cannot open the store in {folder}") from error
        recovered = self._db.latest_sequence_number()
        if recovered < self._mark.sequence:
            self._mark.close()
            self._db.close()
            raise StoreDamaged(
                f"the write-ahead log in {folder} ends at {recovered}, but all up to {self._mark.sequence} was synced: "
                f"a damaged or missing log file hides writes that were acknowledged (it is kept in {logs.folder})"
            )
        logs.drop()
        self._families: list[rocksdict.Rdict] = [self._db.get_column_family(_NAMES[family]) for family in Family]
        self._handles: list[rocksdict.ColumnFamily] = [
            self._db.get_column_family_handle(_NAMES[family]) for family in Family
        ]
        self._batch = rocksdict.WriteBatch(raw_mode=True)
        self._collected = 0

    def get(self, family: Family, key: bytes) -> bytes | None:
        """The value as of the last write_batch."""
        try:
            value: bytes | None = self._families[family].get(key)
        except Exception as error:
            raise self._unreadable(error) from error
        return value

    def scan(self, family: Family, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys in [start, end) in byte order, a consistent view as of the call."""
        iterator = self._families[family].iter()
        # The view is fixed when the iterator is made: do it now, not at the generator's first step.
        iterator.seek(start)
        return _walk(iterator, end, self._unreadable)

    def scan_back(self, family: Family, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The same keys from the last one down."""
        iterator = self._families[family].iter()
        iterator.seek_for_prev(end)
        return _walk_back(iterator, start, end, self._unreadable)

    def put(self, family: Family, key: bytes, value: bytes) -> None:
        """Collect a write."""
        self._batch.put(key, value, self._handles[family])
        self._collected += 1

    def delete(self, family: Family, key: bytes) -> None:
        """Collect a deletion."""
        self._batch.delete(key, self._handles[family])
        self._collected += 1

    def delete_range(self, family: Family, start: bytes, end: bytes) -> None:
        """Collect the deletion of [start, end)."""
        self._batch.delete_range(start, end, self._handles[family])
        self._collected += 1

    def write_batch(self) -> bool:
        """Write what was collected, all or nothing; false when there was nothing. Raises StoreError."""
        if not self._collected:
            return False
        # A WriteBatch of rocksdict can be written once only.
        batch, self._batch, self._collected = self._batch, rocksdict.WriteBatch(raw_mode=True), 0
        try:
            self._db.write(batch)
        except Exception as error:
            raise _translated(error, f"cannot write to {self._folder}") from error
        return True

    def sync(self) -> None:
        """Make everything written so far durable. Blocks without the interpreter lock. Raises StoreError."""
        try:
            # Before the sync: what is written meanwhile may not be covered.
            sequence = self._db.latest_sequence_number()
            self._db.flush_wal(True)
            self._mark.note(sequence)
        except Exception as error:
            raise _translated(error, f"cannot sync {self._folder}") from error

    def _unreadable(self, error: Exception) -> StoreError:
        translated = _translated(error, f"cannot read {self._folder}")
        if isinstance(translated, StoreDamaged):
            self.on_damage(translated)
        return translated

    def close(self) -> None:
        """Close the database."""
        self._mark.close()
        self._families.clear()
        self._handles.clear()
        self._db.close()


def _translated(error: Exception, what: str) -> StoreError:
    """RocksDB begins the status of everything that it cannot believe with this word."""
    kind = StoreDamaged if "Corruption" in str(error) else StoreError
    return kind(f"{what}: {error}")


Unreadable = Callable[[Exception], StoreError]


def _walk(iterator: Any, end: bytes, unreadable: Unreadable) -> Iterator[tuple[bytes, bytes]]:
    # Bound once: a page of a Query takes each of these a hundred times.
    valid, key_of, value_of, advance = iterator.valid, iterator.key, iterator.value, iterator.next
    try:
        while valid():
            key = key_of()
            if key >= end:
                return
            yield key, value_of()
            advance()
        # valid() is also false after a read error, which must not look like the end of the data.
        iterator.status()
    except Exception as error:
        raise unreadable(error) from error


def _walk_back(iterator: Any, start: bytes, end: bytes, unreadable: Unreadable) -> Iterator[tuple[bytes, bytes]]:
    valid, key_of, value_of, retreat = iterator.valid, iterator.key, iterator.value, iterator.prev
    try:
        # seek_for_prev stands at `end` itself when there is such a key.
        if valid() and key_of() >= end:
            retreat()
        while valid():
            key = key_of()
            if key < start:
                return
            yield key, value_of()
            retreat()
        iterator.status()
    except Exception as error:
        raise unreadable(error) from error

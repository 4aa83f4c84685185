"""The only place that knows RocksDB: one database a node, four column families, one shared write batch.

Opened by node.__main__, used by node.host on the event loop; `sync` alone runs in a thread (rocksdict holds the
interpreter lock in get, put and write, and releases it in flush_wal). Law: everything goes through the write-ahead
log in batch order, so that what survives a crash is always a prefix of the batches.

Known faults of rocksdict 0.3.29 that shape this module: snapshots are ignored by its iterators, the lower bound sets
the upper one, and the upper bound dangles. A plain iterator without bounds is a consistent view from its creation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rocksdict

from node.storage.errors import StoreError
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
        cache = rocksdict.Cache(block_cache_bytes)
        try:
            self._db = rocksdict.Rdict(
                str(folder),
                _options(memtable_bytes, cache, wal_recycle_files),
                {name: _options(memtable_bytes, cache, wal_recycle_files) for name in ("default", *_NAMES.values())},
            )
        except Exception as error:
            raise StoreError(f"cannot open the store in {folder}: {error}") from error
        self._folder = folder
        self._families: list[rocksdict.Rdict] = [self._db.get_column_family(_NAMES[family]) for family in Family]
        self._handles: list[rocksdict.ColumnFamily] = [
            self._db.get_column_family_handle(_NAMES[family]) for family in Family
        ]
        self._batch = rocksdict.WriteBatch(raw_mode=True)
        self._collected = 0

    def get(self, family: Family, key: bytes) -> bytes | None:
        """The value as of the last write_batch."""
        value: bytes | None = self._families[family].get(key)
        return value

    def scan(self, family: Family, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys in [start, end) in byte order, a consistent view as of the call."""
        iterator = self._families[family].iter()
        # The view is fixed when the iterator is made: do it now, not at the generator's first step.
        iterator.seek(start)
        return _walk(iterator, end)

    def scan_back(self, family: Family, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The same keys from the last one down."""
        iterator = self._families[family].iter()
        iterator.seek_for_prev(end)
        return _walk_back(iterator, start, end)

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
            raise StoreError(f"cannot write to {self._folder}: {error}") from error
        return True

    def sync(self) -> None:
        """Make everything written so far durable. Blocks without the interpreter lock. Raises StoreError."""
        try:
            self._db.flush_wal(True)
        except Exception as error:
            raise StoreError(f"cannot sync {self._folder}: {error}") from error

    def close(self) -> None:
        """Close the database."""
        self._families.clear()
        self._handles.clear()
        self._db.close()


def _walk(iterator: Any, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    # Bound once: a page of a Query takes each of these a hundred times.
    valid, key_of, value_of, advance = iterator.valid, iterator.key, iterator.value, iterator.next
    while valid():
        key = key_of()
        if key >= end:
            return
        yield key, value_of()
        advance()
    # valid() is also false after a read error, which must not look like the end of the data.
    iterator.status()


def _walk_back(iterator: Any, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    valid, key_of, value_of, retreat = iterator.valid, iterator.key, iterator.value, iterator.prev
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

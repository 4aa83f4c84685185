"""What one write does to the indexes of its table. Pure.

Called by node.partition for a write to a table that has indexes, and by node.indexing.backfill for items that were
there before their index. Law: everything follows from the item before, the item after and the definitions; entries of
local indexes and sizes of item collections go with the item, changes of global indexes are addressed to the partition
that owns the entry's key.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from dynamo.capacity import index_write_units
from dynamo.indexes import IndexDefinition, IndexKind, partition_end
from dynamo.keys import partition_hash
from dynamo.limits import ITEM_COLLECTION_BYTES_MAX
from dynamo.records import encode_record, record_json, record_size
from dynamo.values import Item, decode_item, item_size
from wire import data_pb2, log_pb2

# The partition that owns a 16-byte hash.
Locate = Callable[[bytes], int]
_ENTRY_SIZE: Final = struct.Struct(">I")
_COLLECTION_SIZE: Final = struct.Struct(">Q")


class CollectionTooLarge(Exception):
    """The write would grow its item collection past ITEM_COLLECTION_BYTES_MAX."""


class ItemVersion(NamedTuple):
    """An item before or after a write."""

    item: Item
    size: int  # by DynamoDB's rule
    record: bytes = b""  # as it is stored, where that is known


class Effects(NamedTuple):
    """What goes with a write into the log and into its answer."""

    local_writes: list[log_pb2.LocalWrite]
    changes: list[log_pb2.IndexChange]
    units: list[data_pb2.IndexUnits]
    # Hidden index, key in it, size of the item collection after the write; None: the table has no local indexes.
    collection: tuple[int, bytes, int] | None

    @property
    def size(self) -> int:
        """Bytes in the log entry, about."""
        rows = sum([len(write.key) + len(write.value) for write in self.local_writes])
        return rows + sum([len(change.key) + len(change.item) for change in self.changes])


class _Entry(NamedTuple):
    """An item's entry in one index."""

    key: bytes
    projected: Item
    size: int
    # The item's own record when the index holds all of it: a large item is not encoded again for each index.
    record: bytes = b""


def version_of(record: bytes | None) -> ItemVersion | None:
    """An item as stored."""
    return ItemVersion(decode_item(record_json(record)), record_size(record), record) if record is not None else None


def collection_bytes(row: bytes | None) -> int:
    """The size in a row of the hidden index; 0 without one."""
    size: int = _COLLECTION_SIZE.unpack(row)[0] if row is not None else 0
    return size


def collection_row(size: int) -> bytes:
    """The row of the hidden index for a size in bytes."""
    return _COLLECTION_SIZE.pack(size)


def effects_of(
    indexes: Iterable[IndexDefinition],
    item_key: bytes,
    old: ItemVersion | None,
    new: ItemVersion | None,
    *,
    locate: Locate,
    collection_bytes_before: Callable[[int, bytes], int],
) -> Effects:
    """What turning `old` into `new` (None: there is no item, but not on both sides) does to `indexes`.

    `collection_bytes_before` tells the newest size in a hidden index of the collection with a key. Raises
    CollectionTooLarge.
    """
    local_writes: list[log_pb2.LocalWrite] = []
    changes: list[log_pb2.IndexChange] = []
    units: list[data_pb2.IndexUnits] = []
    sizes: IndexDefinition | None = None
    growth = (new.size if new is not None else 0) - (old.size if old is not None else 0)
    for index in indexes:
        if index.kind is IndexKind.COLLECTION_SIZES:
            sizes = index
            continue
        before, after = _entry(index, item_key, old), _entry(index, item_key, new)
        if index.kind is IndexKind.LOCAL:
            growth += (after.size if after is not None else 0) - (before.size if before is not None else 0)
            local_writes += _local_writes(index.index_id, item_key, before, after)
        else:
            changes += _global_changes(index.index_id, before, after, locate)
        taken = _units(before, after)
        if taken:
            units.append(data_pb2.IndexUnits(index_id=index.index_id, units=taken))
    if sizes is None:
        return Effects(local_writes, changes, units, None)
    version = new or old
    assert version is not None, "a write that neither finds nor leaves an item has no effects"
    key = item_key[: partition_end(sizes.table_key, version.item, item_key)]
    total = collection_bytes_before(sizes.index_id, key) + growth
    if growth > 0 and total > ITEM_COLLECTION_BYTES_MAX:
        raise CollectionTooLarge
    local_writes.append(_row(sizes.index_id, key, collection_row(total) if total else None))
    return Effects(local_writes, changes, units, (sizes.index_id, key, total))


def put_of(index: IndexDefinition, item_key: bytes, version: ItemVersion, locate: Locate) -> log_pb2.IndexChange | None:
    """What brings an item that is there already into a global index; None when the index does not hold it."""
    entry = _entry(index, item_key, version)
    return _put(index.index_id, entry, locate) if entry is not None else None


def _entry(index: IndexDefinition, item_key: bytes, version: ItemVersion | None) -> _Entry | None:
    if version is None:
        return None
    key = index.entry_key(version.item, item_key)
    if key is None:
        return None
    if index.projected_names is None:
        return _Entry(key, version.item, version.size, version.record)
    projected = index.projected(version.item)
    return _Entry(key, projected, item_size(projected))


def _units(before: _Entry | None, after: _Entry | None) -> int:
    if before is None and after is None:
        return 0
    return index_write_units(
        before.size if before is not None else None,
        after.size if after is not None else None,
        same_key=before is not None and after is not None and before.key == after.key,
        changed=before is None or after is None or before.projected != after.projected,
    )


def _local_writes(
    index_id: int, item_key: bytes, before: _Entry | None, after: _Entry | None
) -> Iterator[log_pb2.LocalWrite]:
    """A local entry points at its item, so that only its key and its size can change."""
    moves = before is not None and (after is None or before.key != after.key)
    if before is not None and moves:
        yield _row(index_id, before.key, None)
    if after is not None and (before is None or moves or before.size != after.size):
        yield _row(index_id, after.key, _ENTRY_SIZE.pack(after.size) + item_key)


def _row(index_id: int, key: bytes, value: bytes | None) -> log_pb2.LocalWrite:
    if value is None:
        return log_pb2.LocalWrite(index_id=index_id, key=key, deleted=True)
    return log_pb2.LocalWrite(index_id=index_id, key=key, value=value)


def _global_changes(
    index_id: int, before: _Entry | None, after: _Entry | None, locate: Locate
) -> Iterator[log_pb2.IndexChange]:
    moves = before is not None and (after is None or before.key != after.key)
    if before is not None and moves:
        target = locate(partition_hash(before.key))
        yield log_pb2.IndexChange(index_id=index_id, key=before.key, deleted=True, target=target)
    if after is not None and (before is None or moves or before.projected != after.projected):
        yield _put(index_id, after, locate)


def _put(index_id: int, entry: _Entry, locate: Locate) -> log_pb2.IndexChange:
    record = entry.record or encode_record(entry.projected, entry.size)
    target = locate(partition_hash(entry.key))
    return log_pb2.IndexChange(index_id=index_id, key=entry.key, item=record, target=target)

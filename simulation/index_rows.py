"""What the rows of an index must be, derived anew from the items of all partitions and from the definitions alone.

Called by the workload of indexes and by tests of nodes. Law: none of the code that maintains indexes is used here.
"""

from __future__ import annotations

from collections.abc import Iterable

from dynamo.indexes import IndexDefinition, IndexKind
from dynamo.records import encode_record, record_json, record_size
from dynamo.values import Item, decode_item, item_size
from node.machine.state import PartitionState
from simulation.table import TABLE_ID, TABLE_KEY, ring_over
from topology.tables import definition_of
from wire import catalog_pb2, log_pb2

Rows = dict[bytes, bytes]


def rows_lacking(described: catalog_pb2.Index, states: dict[int, PartitionState], table_id: int) -> list[bytes]:
    """Keys of entries that the items say and that are not there, or not so."""
    items: dict[int, Rows] = {group_id: dict(state.rows_after(table_id, b"")) for group_id, state in states.items()}
    expected = _expected(definition_of(described, TABLE_KEY), items)
    return [
        key
        for group_id, state in states.items()
        for key in _different(expected[group_id], dict(state.rows_after(described.index_id, b"")))
    ]


def entries_waiting(states: Iterable[PartitionState], index_id: int) -> set[bytes]:
    """Keys of entries of an index that a change in an outbox is about, from after the end of the backfill."""
    changes = [
        log_pb2.IndexChange.FromString(state.waiting_change(target, record.sequence))
        for state in states
        for target, waiting in state.outbox.items()
        for record in waiting
        if record.sequence > state.backfills[index_id].done_sequence
    ]
    return {change.key for change in changes if change.index_id == index_id}


def differences_of(
    indexes: Iterable[catalog_pb2.Index], states: dict[int, PartitionState], table_id: int = TABLE_ID
) -> list[str]:
    """How the rows of indexes in one replica of every partition differ from what the items there say; empty when they
    do not."""
    items: dict[int, Rows] = {group_id: dict(state.rows_after(table_id, b"")) for group_id, state in states.items()}
    differences = []
    for described in indexes:
        index = definition_of(described, TABLE_KEY)
        expected = _expected(index, items)
        for group_id, state in states.items():
            found = dict(state.rows_after(index.index_id, b""))
            if found != expected[group_id]:
                differences.append(
                    f"index {index.name!r} in group {group_id} differs from the items: "
                    f"too many {_difference(found, expected[group_id])}, "
                    f"too few {_difference(expected[group_id], found)}"
                )
    return differences


def _expected(index: IndexDefinition, items: dict[int, Rows]) -> dict[int, Rows]:
    rows: dict[int, Rows] = {group_id: {} for group_id in items}
    ring = ring_over(tuple(sorted(items)))
    for group_id, records in items.items():
        for item_key, record in records.items():
            if index.kind is IndexKind.COLLECTION_SIZES:
                _add_size(rows[group_id], record)
                continue
            item = decode_item(record_json(record))
            entry_key = index.entry_key(item, item_key)
            if entry_key is None:
                continue
            projected = index.projected(item)
            if index.kind is IndexKind.LOCAL:
                rows[group_id][entry_key] = item_size(projected).to_bytes(4, "big") + item_key
            else:
                rows[ring.locate(entry_key[:16])][entry_key] = encode_record(projected)
    return rows


def _add_size(rows: Rows, record: bytes) -> None:
    item: Item = decode_item(record_json(record))
    collection = TABLE_KEY.item_key_of_key({"g": item["g"], "k": {"S": "?"}})[:-1]
    size = record_size(record)
    if "v" in item:
        size += item_size({name: item[name] for name in ("g", "k", "v")})
    rows[collection] = (int.from_bytes(rows.get(collection, b""), "big") + size).to_bytes(8, "big")


def _difference(one: Rows, other: Rows) -> list[tuple[bytes, bytes]]:
    return [(key, one[key]) for key in _different(one, other)][:5]


def _different(one: Rows, other: Rows) -> list[bytes]:
    return [key for key, value in one.items() if other.get(key) != value]

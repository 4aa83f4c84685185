"""Capacity units of reads and writes, and the ConsumedCapacity member of an answer.

Called by the router after an operation, with sizes by dynamo.values.item_size. Source: developer guide, "DynamoDB read
and write operations" (shared/reference/dynamodb-semantics.md section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamo.limits import READ_UNIT_BYTES, WRITE_UNIT_BYTES


def read_units(size_bytes: int, consistent: bool, *, transactional: bool = False) -> float:
    """Units to read an item of `size_bytes` (0: there is none, which costs as much as the smallest item)."""
    blocks = max(1, -(-size_bytes // READ_UNIT_BYTES))
    if transactional:
        return 2.0 * blocks
    return float(blocks) if consistent else 0.5 * blocks


def write_units(before_bytes: int, after_bytes: int, *, transactional: bool = False) -> float:
    """Units to turn an item of `before_bytes` into one of `after_bytes` (0: none); the larger of the two counts.

    A write whose condition failed is charged as well: pass the size of the item it found for both.
    """
    blocks = _write_blocks(max(before_bytes, after_bytes))
    return 2.0 * blocks if transactional else float(blocks)


def index_write_units(
    old_entry_bytes: int | None, new_entry_bytes: int | None, *, same_key: bool, changed: bool
) -> int:
    """Write units that one write takes in one index; sizes are of the projected entries, None: there is none.

    An entry that comes, goes or changes costs its size once, one whose key changes is deleted and put, and one that the
    write does not touch costs nothing. `same_key` and `changed` matter only when there is an entry before and after.
    """
    if old_entry_bytes is None or new_entry_bytes is None:
        return sum(_write_blocks(size) for size in (old_entry_bytes, new_entry_bytes) if size is not None)
    if not same_key:
        return _write_blocks(old_entry_bytes) + _write_blocks(new_entry_bytes)
    return _write_blocks(max(old_entry_bytes, new_entry_bytes)) if changed else 0


def _write_blocks(size_bytes: int) -> int:
    return max(1, -(-size_bytes // WRITE_UNIT_BYTES))


def consumed_capacity_json(
    mode: str | None,
    table_name: str,
    table_units: float,
    local_units: Mapping[str, float] | None = None,
    global_units: Mapping[str, float] | None = None,
) -> dict[str, Any] | None:
    """The ConsumedCapacity member for a ReturnConsumedCapacity of `mode`; None when it is to be left out.

    `mode` is INDEXES, TOTAL, NONE or None (not given); units of indexes come by index name, those that took any. The
    total is the table's and all indexes' (API reference: ConsumedCapacity).
    """
    if mode != "TOTAL" and mode != "INDEXES":
        return None
    total = table_units + sum((local_units or {}).values()) + sum((global_units or {}).values())
    consumed: dict[str, Any] = {"TableName": table_name, "CapacityUnits": total}
    if mode == "INDEXES":
        consumed["Table"] = {"CapacityUnits": table_units}
        for member, units in (("LocalSecondaryIndexes", local_units), ("GlobalSecondaryIndexes", global_units)):
            if units:
                consumed[member] = {name: {"CapacityUnits": taken} for name, taken in units.items()}
    return consumed

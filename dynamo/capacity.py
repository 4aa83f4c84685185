"""Capacity units of single-item operations and the ConsumedCapacity member of an answer.

Called by the router after an operation, with sizes by dynamo.values.item_size. Source: developer guide, "DynamoDB read
and write operations" (shared/reference/dynamodb-semantics.md section 3).
"""

from __future__ import annotations

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
    blocks = max(1, -(-max(before_bytes, after_bytes) // WRITE_UNIT_BYTES))
    return 2.0 * blocks if transactional else float(blocks)


def consumed_capacity_json(mode: str | None, table_name: str, units: float) -> dict[str, Any] | None:
    """The ConsumedCapacity member for a ReturnConsumedCapacity of `mode`; None when it is to be left out.

    `mode` is INDEXES, TOTAL, NONE or None (not given).
    """
    if mode == "TOTAL":
        return {"TableName": table_name, "CapacityUnits": units}
    if mode == "INDEXES":
        return {"TableName": table_name, "CapacityUnits": units, "Table": {"CapacityUnits": units}}
    return None

"""ExclusiveStartKey: what a client may send to go on with a Query or Scan, and what is left to read after it.

Called by the router once the table is known; canonical_start_key before that. Law: the complaints come in the order
recorded from the service (dynalite's test/query.js and test/scan.js), conditions and start key attribute by attribute.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Mapping
from typing import Final

from dynamo.errors import DynamoError, validation
from dynamo.keys import partition_hash
from dynamo.queries.key_conditions import (
    KeyCondition,
    KeyConditions,
    SortCondition,
    bind_key_conditions,
    check_start_attribute,
)
from dynamo.queries.layout import KeyLayout
from dynamo.queries.ranges import KeyRange, range_of, require_key_value, segment_range, start_after
from dynamo.queries.selection import check_all_attributes
from dynamo.values import AttributeValue, Item, canonical_item, compare_values

_INVALID: Final = "The provided starting key is invalid"
_OUTSIDE: Final = "The provided starting key is outside query boundaries based on provided conditions"
_NO_MATCH: Final = "The provided starting key does not match the range key predicate"
# Recorded so, also where the condition is met by many rows.
_ONE_ROW: Final = "The query can return at most one row and cannot be restarted"

# What the order of a value and that of a condition must be.
_DECIDE: Final[Mapping[str, Callable[[int], bool]]] = {
    "=": lambda order: order == 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}

# Values that the service judges while it reads the key, so that it does not say where it found them.
_UNPREFIXED: Final = (
    "One or more parameter values were invalid: An number set",
    "One or more parameter values were invalid: Input collection",
    "Input collection",
    "The parameter cannot be converted",
    "Number overflow",
    "Number underflow",
    "Attempting to store more than",
)


def canonical_start_key(raw: object) -> Item:
    """The ExclusiveStartKey of a request, validated and normalised in place, before the table is looked up.

    Raises SerializationException for wrong JSON types, else ValidationException.
    """
    try:
        return canonical_item(raw)
    except DynamoError as error:
        if error.code != "ValidationException" or error.message.startswith(_UNPREFIXED):
            raise
        raise _invalid(error.message) from error


def query_range(
    conditions: KeyConditions, layout: KeyLayout, start_key: Item | None = None, *, backward: bool = False
) -> KeyRange:
    """What a Query reads: the entries of its key conditions, after the start key when there is one.

    All lie in one partition, located by the first 16 bytes of `start`. Raises ValidationException for everything that
    can be wrong with conditions and start key, in the service's order.
    """
    condition = bind_key_conditions(conditions, layout, start_key)
    if start_key is None:
        return range_of(condition, layout)
    entry_key = entry_key_of(layout, start_key)
    _check_within(condition, layout, start_key)
    return start_after(range_of(condition, layout), entry_key, backward=backward)


def scan_range(
    layout: KeyLayout,
    start_key: Item | None = None,
    *,
    segment: int | None = None,
    total_segments: int | None = None,
    select: str | None = None,
) -> KeyRange:
    """What a Scan reads over all partitions: its segment of the ring, after the start key when there is one.

    `select` is the Select of the request: an index that cannot give ALL_ATTRIBUTES is refused between two checks of the
    start key. Raises ValidationException.
    """
    if start_key is not None and len(start_key) != len(layout.key_names):
        if layout.index is None:
            raise _invalid("The provided key element does not match the schema")
        raise validation(_INVALID)
    if layout.index is not None and start_key is not None:
        for attribute in layout.attributes:
            check_start_attribute(attribute, start_key)
    check_all_attributes(layout, select)
    scanned = KeyRange(b"", b"")
    if segment is not None and total_segments is not None:
        scanned = segment_range(segment, total_segments)
    if start_key is None:
        return scanned
    entry_key = entry_key_of(layout, start_key)
    ring_hash = partition_hash(entry_key)
    if ring_hash < scanned.start or (scanned.end and ring_hash >= scanned.end):
        raise _invalid(
            "Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "
            f"TotalSegments: {total_segments} Segment: {segment}"
        )
    return start_after(scanned, entry_key, backward=False)


def check_segments(segment: int | None, total_segments: int | None) -> None:
    """Segment and TotalSegments of a Scan, before the table is looked up; raises ValidationException."""
    if segment is None and total_segments is None:
        return
    if total_segments is None:
        raise validation(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is "
            "present"
        )
    if segment is None:
        raise validation(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is "
            "present"
        )
    if segment >= total_segments:
        raise validation(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total_segments}"
        )


def entry_key_of(layout: KeyLayout, start_key: Item) -> bytes:
    """The key of the entry that a start key names, there or not. Its index attributes have been judged.

    Raises ValidationException when the table's part does not match its schema, or a value cannot be in a key.
    """
    table_key = layout.table_key
    try:
        item_key = table_key.item_key_of_key({name: start_key[name] for name in table_key.names if name in start_key})
        if layout.index is None:
            return item_key
        for attributes, partition in ((layout.partition, True), (layout.sort, False)):
            for attribute in attributes:
                require_key_value(attribute, start_key[attribute.name], partition=partition)
    except DynamoError as error:
        raise _invalid(error.message) from error
    entry_key = layout.index.entry_key(start_key, item_key)
    assert entry_key is not None, "every index attribute is there and fit to be a key"
    return entry_key


def _check_within(condition: KeyCondition, layout: KeyLayout, start_key: Item) -> None:
    """The start key must be one of the entries that the conditions describe."""
    same_partition = all(
        start_key[attribute.name] == value
        for attribute, value in zip(layout.partition, condition.partition, strict=True)
    )
    if condition.sort is None:
        if not same_partition:
            raise validation(_OUTSIDE)
        return
    conditioned = len(condition.sort_equal)
    for attribute, value in zip(layout.sort, condition.sort_equal, strict=False):
        if start_key[attribute.name] != value:
            raise validation(_NO_MATCH)
    if not _matches(start_key[layout.sort[conditioned].name], condition.sort):
        raise validation(_NO_MATCH)
    if not same_partition:
        raise validation(_ONE_ROW)


def _matches(value: AttributeValue, sort: SortCondition) -> bool:
    """Whether a value of the right type meets the condition."""
    first = sort.values[0]
    if sort.operator == "begins_with":
        if "S" in value:
            return str(value["S"]).startswith(first["S"])
        return a2b_base64(value["B"]).startswith(a2b_base64(first["B"]))
    order = compare_values(value, first)
    assert order is not None, "key values of one type can be compared"
    if sort.operator == "BETWEEN":
        to_last = compare_values(value, sort.values[1])
        return order >= 0 and to_last is not None and to_last <= 0
    return _DECIDE[sort.operator](order)


def _invalid(detail: str) -> DynamoError:
    return validation(f"{_INVALID}: {detail}")

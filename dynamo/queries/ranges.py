"""Ranges of keys: from a bound key condition to the bytes that a node reads, and on from where a page ended.

Called by dynamo.queries.start_keys and by the router. Law: a range holds exactly the entries that the condition
describes, so nodes never look at key values. Ranges are below the id of the table or index; `start` is inclusive, `end`
exclusive, and an empty `end` is the end of everything.
"""

from __future__ import annotations

from binascii import a2b_base64
from typing import Final, NamedTuple

from dynamo.errors import invalid_parameter, validation
from dynamo.indexes import Fault, key_fault
from dynamo.keys import PARTITION_HASH_BYTES, KeyAttribute, KeySchema, combined_hash, delimited, escape
from dynamo.limits import PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX
from dynamo.numbers import sort_bytes
from dynamo.queries.key_conditions import KeyCondition, SortCondition
from dynamo.queries.layout import KeyLayout
from dynamo.values import AttributeValue

_RING_SIZE: Final = 1 << (8 * PARTITION_HASH_BYTES)


class KeyRange(NamedTuple):
    """Keys from `start` up to, not including, `end`; b"" as `end` means all keys from `start` on."""

    start: bytes
    end: bytes

    @property
    def is_empty(self) -> bool:
        """Whether no key can lie in it."""
        return bool(self.end) and self.start >= self.end


def prefix_end(prefix: bytes) -> bytes:
    """The smallest key above every key with this prefix; b"" when there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else b""


def range_of(condition: KeyCondition, layout: KeyLayout) -> KeyRange:
    """The entries that a condition describes; all in one partition, located by the first 16 bytes of `start`.

    Raises ValidationException for values that no key can have: empty or too long ones.
    """
    prefix = _partition_prefix(condition.partition, layout)
    for attribute, value in zip(layout.sort, condition.sort_equal, strict=False):
        prefix += _delimited_sort(attribute, value)
    sort = condition.sort
    if sort is not None:
        attribute = layout.sort[len(condition.sort_equal)]
        if layout.index is None:
            return _raw_range(prefix, attribute, sort)
        return _delimited_range(prefix, attribute, sort)
    if layout.index is None and not layout.sort:
        return KeyRange(prefix, prefix + b"\x00")
    return KeyRange(prefix, prefix_end(prefix))


def start_after(key_range: KeyRange, entry_key: bytes, *, backward: bool) -> KeyRange:
    """What is left of a range after the entry that a page ended with; never more than the range."""
    if backward:
        end = entry_key if not key_range.end or entry_key < key_range.end else key_range.end
        return KeyRange(key_range.start, end)
    return KeyRange(max(key_range.start, entry_key + b"\x00"), key_range.end)


def segment_range(segment: int, total: int) -> KeyRange:
    """The part of the hash ring that one segment of a parallel Scan covers; all segments cover it exactly."""
    start = -(-_RING_SIZE * segment // total)
    end = -(-_RING_SIZE * (segment + 1) // total)
    return KeyRange(
        start.to_bytes(PARTITION_HASH_BYTES, "big") if segment else b"",
        end.to_bytes(PARTITION_HASH_BYTES, "big") if end < _RING_SIZE else b"",
    )


def require_key_value(attribute: KeyAttribute, value: AttributeValue, *, partition: bool) -> None:
    """Refuse a value of the right type that no key can have; raises ValidationException as PutItem does for keys."""
    fault = key_fault(attribute, value, PARTITION_KEY_BYTES_MAX if partition else SORT_KEY_BYTES_MAX)
    if fault is Fault.EMPTY:
        kind = "string" if attribute.type == "S" else "binary"
        raise validation(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            f"empty {kind} value. Key: {attribute.name}"
        )
    if fault is Fault.TOO_LONG and partition:
        # The missing space is the service's.
        raise invalid_parameter(
            f"Size of hashkey has exceeded the maximum size limit of{PARTITION_KEY_BYTES_MAX} bytes"
        )
    if fault is Fault.TOO_LONG:
        raise invalid_parameter(
            f"Aggregated size of all range keys has exceeded the size limit of {SORT_KEY_BYTES_MAX} bytes"
        )


def _partition_prefix(values: tuple[AttributeValue, ...], layout: KeyLayout) -> bytes:
    """What all entries with this partition key begin with."""
    if not layout.is_global:
        attribute = layout.table_key.partition
        return KeySchema(attribute).item_key_of_key({attribute.name: values[0]})
    encoded = b""
    for attribute, value in zip(layout.partition, values, strict=True):
        require_key_value(attribute, value, partition=True)
        encoded += delimited(attribute.type, value[attribute.type])
    return combined_hash(encoded) + encoded


def _delimited_sort(attribute: KeyAttribute, value: AttributeValue) -> bytes:
    require_key_value(attribute, value, partition=False)
    return delimited(attribute.type, value[attribute.type])


def _raw(attribute: KeyAttribute, value: AttributeValue) -> bytes:
    text: str = value[attribute.type]
    if attribute.type == "N":
        return sort_bytes(text)
    return text.encode() if attribute.type == "S" else a2b_base64(text)


def _raw_range(prefix: bytes, attribute: KeyAttribute, sort: SortCondition) -> KeyRange:
    """Rows of a table: the sort key is the end of the key, so the next key after a value has a 0x00 more."""
    for value in sort.values:
        require_key_value(attribute, value, partition=False)
    low = prefix + _raw(attribute, sort.values[0])
    if sort.operator == "begins_with":
        return KeyRange(low, prefix_end(low))
    high = prefix + _raw(attribute, sort.values[-1])
    return _compared(prefix, sort.operator, low, low + b"\x00", high + b"\x00")


def _delimited_range(prefix: bytes, attribute: KeyAttribute, sort: SortCondition) -> KeyRange:
    """Entries of an index: more follows the value, so all keys of one value share a prefix."""
    if sort.operator == "begins_with":
        require_key_value(attribute, sort.values[0], partition=False)
        begin = prefix + escape(_raw(attribute, sort.values[0]))
        return KeyRange(begin, prefix_end(begin))
    low = prefix + _delimited_sort(attribute, sort.values[0])
    high = prefix + _delimited_sort(attribute, sort.values[-1])
    return _compared(prefix, sort.operator, low, prefix_end(low), prefix_end(high))


def _compared(prefix: bytes, operator: str, low: bytes, after_low: bytes, after_high: bytes) -> KeyRange:
    """`low` is where the keys of the first value begin, `after_low` where they end, `after_high` those of the last."""
    if operator == "<":
        return KeyRange(prefix, low)
    if operator == "<=":
        return KeyRange(prefix, after_low)
    if operator == ">":
        return KeyRange(after_low, prefix_end(prefix))
    if operator == ">=":
        return KeyRange(low, prefix_end(prefix))
    return KeyRange(low, after_high)

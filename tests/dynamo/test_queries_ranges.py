"""Ranges: exactly the entries that a condition describes, for tables, local and global indexes; start keys."""

from __future__ import annotations

from base64 import b64decode, b64encode
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dynamo.errors import DynamoError
from dynamo.indexes import IndexDefinition, IndexKind
from dynamo.keys import KeyAttribute, KeySchema, KeyType
from dynamo.numbers import normalize
from dynamo.queries.key_conditions import AttributeCondition, KeyCondition, SortCondition, bind_key_conditions
from dynamo.queries.layout import KeyLayout, index_layout, table_layout
from dynamo.queries.ranges import KeyRange, prefix_end, range_of, segment_range, start_after
from dynamo.queries.start_keys import (
    canonical_start_key,
    check_segments,
    entry_key_of,
    query_range,
    scan_range,
)
from dynamo.values import AttributeValue, Item, compare_values

pytestmark = pytest.mark.unit

# Bytes at the edges of the encodings: the escaped zero, the end mark, the largest.
_EDGES = st.sampled_from([b"\x00", b"\x01", b"\x02", b"\xfe", b"\xff", b"a"])
_BYTES = st.lists(_EDGES, min_size=1, max_size=4).map(b"".join)
_VALUES: dict[KeyType, st.SearchStrategy[AttributeValue]] = {
    "S": st.text(st.sampled_from("\x00\x01\x02a\x7f\u00ff\uffff\U0010ffff"), min_size=1, max_size=4).map(
        lambda text: {"S": text}
    ),
    "N": st.decimals(-1000, 1000, places=2).map(lambda number: {"N": normalize(str(number))}),
    "B": _BYTES.map(lambda raw: {"B": b64encode(raw).decode()}),
}
TYPES: list[KeyType] = ["S", "N", "B"]


@cache
def layouts(kind: KeyType) -> dict[str, KeyLayout]:
    table = KeySchema(KeyAttribute("p", kind), KeyAttribute("s", kind))
    local = IndexDefinition(2, "l", IndexKind.LOCAL, table, (table.partition,), (KeyAttribute("x", kind),), None)
    both = (KeyAttribute("x", kind), KeyAttribute("y", kind))
    wide = IndexDefinition(3, "g", IndexKind.GLOBAL, table, (KeyAttribute("g", kind), table.partition), both, None)
    return {"table": table_layout(table), "local": index_layout(local), "global": index_layout(wide)}


@cache
def items(kind: KeyType) -> st.SearchStrategy[Item]:
    return st.fixed_dictionaries(dict.fromkeys(("p", "s", "x", "y", "g"), _VALUES[kind]))


def begins(value: AttributeValue, prefix: AttributeValue) -> bool:
    if "S" in value:
        return bool(value["S"].startswith(prefix["S"]))
    return b64decode(value["B"]).startswith(b64decode(prefix["B"]))


def meets(item: Item, condition: KeyCondition, layout: KeyLayout) -> bool:
    """The meaning of a key condition, by comparing values."""
    names = [attribute.name for attribute in layout.sort]
    if any(item[a.name] != v for a, v in zip(layout.partition, condition.partition, strict=True)):
        return False
    if any(item[name] != value for name, value in zip(names, condition.sort_equal, strict=False)):
        return False
    sort = condition.sort
    if sort is None:
        return True
    value = item[names[len(condition.sort_equal)]]
    orders = [compare_values(value, other) for other in sort.values]
    if sort.operator == "begins_with":
        return begins(value, sort.values[0])
    if sort.operator == "BETWEEN":
        return orders[0] >= 0 >= orders[1]  # type: ignore[operator]
    order = orders[0]
    assert order is not None
    return {"=": order == 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[sort.operator]


def holds(key_range: KeyRange, key: bytes) -> bool:
    return key >= key_range.start and (not key_range.end or key < key_range.end)


@pytest.mark.parametrize("where", ["table", "local", "global"])
@pytest.mark.parametrize("kind", TYPES)
@given(data=st.data())
def test_a_range_holds_exactly_the_entries_that_meet_the_condition(kind: KeyType, where: str, data: Any) -> None:
    layout = layouts(kind)[where]
    pivot = data.draw(items(kind))
    operators = ["=", "<", "<=", ">", ">=", "BETWEEN"] + ([] if kind == "N" else ["begins_with"])
    operator = data.draw(st.sampled_from(operators))
    depth = data.draw(st.integers(0, len(layout.sort) - 1))
    values = [pivot[layout.sort[depth].name]]
    if operator == "BETWEEN":
        values.append(data.draw(_VALUES[kind]))
        values.sort(key=lambda value: range_key(value))
    sort = data.draw(st.sampled_from([None, SortCondition(operator, tuple(values))]))
    condition = KeyCondition(
        tuple(pivot[attribute.name] for attribute in layout.partition),
        tuple(pivot[attribute.name] for attribute in layout.sort[:depth]) if sort is not None else (),
        sort,
    )
    key_range = range_of(condition, layout)
    names = [attribute.name for attribute in (*layout.table_key.attributes, *layout.attributes)]
    for drawn in data.draw(st.lists(items(kind), max_size=6)):
        # Near the pivot, or every comparison would end at the partition key.
        keep = data.draw(st.sets(st.sampled_from(names)))
        item = {**drawn, **{name: pivot[name] for name in keep}}
        key = entry_key_of(layout, {name: item[name] for name in layout.key_names})
        assert holds(key_range, key) is meets(item, condition, layout), (item, condition)


def range_key(value: AttributeValue) -> Any:
    if "N" in value:
        return Decimal(value["N"])
    return value["S"].encode() if "S" in value else b64decode(value["B"])


@given(_BYTES, _BYTES)
@example(b"\xff\xff", b"\xff")
def test_prefix_end_is_the_smallest_key_above_a_prefix(prefix: bytes, other: bytes) -> None:
    end = prefix_end(prefix)
    below = not end or other < end
    assert (other >= prefix and below) is other.startswith(prefix)


@given(st.integers(1, 1_000_000), st.data())
def test_segments_cover_the_ring_without_gap_or_overlap(total: int, data: Any) -> None:
    segment = data.draw(st.integers(0, total - 1))
    covered = segment_range(segment, total)
    assert covered.start == (b"" if segment == 0 else segment_range(segment - 1, total).end)
    assert (covered.end == b"") is (segment == total - 1)
    assert all(len(bound) in (0, 16) for bound in covered)
    assert not covered.is_empty


@pytest.mark.parametrize(
    ("backward", "entry", "expected"),
    [
        (False, b"c", KeyRange(b"c\x00", b"m")),
        (True, b"c", KeyRange(b"b", b"c")),
        (False, b"a", KeyRange(b"b", b"m")),
        (True, b"z", KeyRange(b"b", b"m")),
    ],
    ids=["forward", "backward", "before the range", "after the range"],
)
def test_a_page_goes_on_after_the_last_entry(backward: bool, entry: bytes, expected: KeyRange) -> None:
    assert start_after(KeyRange(b"b", b"m"), entry, backward=backward) == expected


# -- start keys

STRINGS = layouts("S")
HASH = table_layout(KeySchema(KeyAttribute("a", "S")))
TABLE = KeySchema(KeyAttribute("a", "S"), KeyAttribute("b", "S"))
RANGE = table_layout(TABLE)
LOCAL = index_layout(
    IndexDefinition(2, "index1", IndexKind.LOCAL, TABLE, (TABLE.partition,), (KeyAttribute("c", "S"),), None)
)
GLOBAL = index_layout(IndexDefinition(3, "index3", IndexKind.GLOBAL, TABLE, (KeyAttribute("c", "S"),), (), None))
COMPOUND = index_layout(
    IndexDefinition(4, "index4", IndexKind.GLOBAL, TABLE, (KeyAttribute("c", "S"),), (KeyAttribute("d", "S"),), ("e",))
)
EMPTY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string "
    "value. Key:"
)
PARAMETER = "One or more parameter values were invalid:"
INVALID = "The provided starting key is invalid"
SCHEMA = "The provided key element does not match the schema"
OUTSIDE = "The provided starting key is outside query boundaries based on provided conditions"
NO_MATCH = "The provided starting key does not match the range key predicate"
ONE_ROW = "The query can return at most one row and cannot be restarted"


def key(**values: str) -> Item:
    """Attributes by name: a value is a string, or with n before it a number."""
    return {name: {"N": text[1:]} if text.startswith("n") else {"S": text} for name, text in values.items()}


def conditions(**given: str) -> dict[str, AttributeCondition]:
    parsed = {}
    for name, text in given.items():
        operator, value = text.split()
        parsed[name] = AttributeCondition(operator, ({"S": value},))
    return parsed


def message(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(DynamoError) as raised:
        call(*arguments, **named)
    return raised.value.message


@pytest.mark.parametrize(
    ("layout", "given_conditions", "start", "expected"),
    [
        (HASH, conditions(z="= a"), {}, INVALID),
        (HASH, conditions(z="= a"), key(b="a"), INVALID),
        (HASH, conditions(z="= a"), key(a="n1"), SCHEMA),
        (RANGE, conditions(z="= a"), key(a="a", b="n1"), "Query condition missed key schema element: a"),
        (RANGE, conditions(z="= a"), key(a="n1", z="a"), SCHEMA),
        (RANGE, conditions(a="= b"), key(a="a", z="1"), INVALID),
        (RANGE, conditions(a="= b"), key(a="a", b="n1"), SCHEMA),
        (RANGE, conditions(a="= b", c="= b"), key(a="a", b="a"), "Query condition missed key schema element: b"),
        (RANGE, conditions(a="= b"), key(a="a", b="a"), OUTSIDE),
        (RANGE, conditions(a="= b", b="> a"), key(a="a", b="a"), NO_MATCH),
        (RANGE, conditions(a="= b", b="< b"), key(a="a", b="a"), ONE_ROW),
        (LOCAL, conditions(a="= b"), key(a="1", b="n1", c="a"), f"{INVALID}: {SCHEMA}"),
        (LOCAL, conditions(a="= b"), key(a="a", b="n1", c="n1"), SCHEMA),
        (LOCAL, conditions(a="= b"), key(a="a", b="a", c="a"), OUTSIDE),
        (LOCAL, conditions(a="= a", c="> b"), key(a="a", b="a", c="a"), NO_MATCH),
        (GLOBAL, conditions(c="= b"), key(a="a", b="a"), INVALID),
        (GLOBAL, conditions(c="= b"), key(x="n1", y="n1", c="a"), f"{INVALID}: {SCHEMA}"),
        (GLOBAL, conditions(c="= b"), key(a="a", b="a", c="a"), OUTSIDE),
        (COMPOUND, conditions(c="= a", d="= a"), key(a="a", b="a", c="c", d="a"), ONE_ROW),
        (COMPOUND, conditions(c="= a", d="> b"), key(a="a", b="a", c="b", d="a"), NO_MATCH),
        (RANGE, conditions(a="= a"), {"a": {"S": "a"}, "b": {"S": ""}}, f"{INVALID}: {EMPTY} b"),
    ],
)
def test_a_start_key_that_does_not_fit_a_query_is_refused(
    layout: KeyLayout, given_conditions: Any, start: Item, expected: str
) -> None:
    assert message(query_range, given_conditions, layout, start) == expected


@pytest.mark.parametrize("where", ["table", "local", "global"])
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@given(data=st.data())
def test_pages_of_a_query_neither_skip_nor_repeat(kind: KeyType, where: str, backward: bool, data: Any) -> None:
    layout = layouts(kind)[where]
    pivot = data.draw(items(kind))
    query = {a.name: AttributeCondition("=", (pivot[a.name],)) for a in layout.partition}
    entries = {}
    for drawn in data.draw(st.lists(items(kind), min_size=1, max_size=6)):
        item = {**drawn, **{a.name: pivot[a.name] for a in layout.partition}}
        start = {name: item[name] for name in layout.key_names}
        entries[entry_key_of(layout, start)] = start
    ordered = sorted(entries, reverse=backward)
    at = data.draw(st.integers(0, len(ordered) - 1))
    rest = query_range(query, layout, entries[ordered[at]], backward=backward)
    assert [entry for entry in ordered if holds(rest, entry)] == ordered[at + 1 :]


@pytest.mark.parametrize(
    ("layout", "start", "expected"),
    [
        (HASH, {}, f"{INVALID}: {SCHEMA}"),
        (HASH, key(a="n1"), f"{INVALID}: {SCHEMA}"),
        (RANGE, key(a="a", z="a"), f"{INVALID}: {SCHEMA}"),
        (LOCAL, key(a="a", z="1"), INVALID),
        (LOCAL, key(a="n1", x="1", y="1"), SCHEMA),
        (LOCAL, key(a="1", b="n1", c="a"), f"{INVALID}: {SCHEMA}"),
        (GLOBAL, key(x="1", y="1", c="n1"), SCHEMA),
        (GLOBAL, key(x="n1", y="n1", c="a"), f"{INVALID}: {SCHEMA}"),
    ],
)
def test_a_start_key_that_does_not_fit_a_scan_is_refused(layout: KeyLayout, start: Item, expected: str) -> None:
    assert message(scan_range, layout, start) == expected


def test_all_attributes_of_a_poor_index_is_refused_before_the_table_part_of_the_start_key() -> None:
    start = key(x="n1", y="n1", c="a", d="a")
    assert message(scan_range, COMPOUND, start, select="ALL_ATTRIBUTES") == (
        "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary "
        "index index4 because its projection type is not ALL"
    )


def test_a_start_key_of_another_segment_is_refused() -> None:
    start = key(a="1")
    own = 0 if entry_key_of(HASH, start)[0] < 128 else 1
    assert scan_range(HASH, start, segment=own, total_segments=2).start == entry_key_of(HASH, start) + b"\x00"
    assert message(scan_range, HASH, start, segment=1 - own, total_segments=2) == (
        "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct "
        f"Segment. TotalSegments: 2 Segment: {1 - own}"
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, f"{INVALID}: Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        ({"SS": []}, f"{INVALID}: One or more parameter values were invalid: An string set  may not be empty"),
        ({"NS": []}, "One or more parameter values were invalid: An number set  may not be empty"),
        ({"SS": ["a", "a"]}, "One or more parameter values were invalid: Input collection [a, a] contains duplicates."),
        ({"N": "b"}, "The parameter cannot be converted to a numeric value: b"),
    ],
)
def test_values_of_a_start_key_are_judged_before_the_table(value: Any, expected: str) -> None:
    assert message(canonical_start_key, {"a": value}) == expected


@pytest.mark.parametrize(
    ("segment", "total", "expected"),
    [
        (
            1,
            None,
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is "
            "present",
        ),
        (
            None,
            1,
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is "
            "present",
        ),
        (
            5,
            5,
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            "Segment: 5 is not less than TotalSegments: 5",
        ),
    ],
)
def test_segments_must_make_sense(segment: int | None, total: int | None, expected: str) -> None:
    assert message(check_segments, segment, total) == expected
    check_segments(None, None)
    check_segments(0, 1)


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        ("p", "", f"{EMPTY} p"),
        ("s", "", f"{EMPTY} s"),
        ("p", "x" * 2049, f"{PARAMETER} Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        ("s", "x" * 1025, f"{PARAMETER} Aggregated size of all range keys has exceeded the size limit of 1024 bytes"),
    ],
)
def test_a_condition_with_a_value_that_no_key_has_is_refused(attribute: str, value: str, expected: str) -> None:
    given_conditions = {name: AttributeCondition("=", ({"S": "a"},)) for name in ("p", "s")}
    given_conditions[attribute] = AttributeCondition("=", ({"S": value},))
    layout = STRINGS["table"]
    assert message(range_of, bind_key_conditions(given_conditions, layout), layout) == expected

"""Scan: everything once, filters, parallel segments, and what is refused.

Sources: the API reference (Scan), answers of the service recorded by public suites, shared/reference section 15.
"""

from __future__ import annotations

from typing import Any

import pytest
from conformance_support import (
    INVALID,
    NOT_FOUND,
    VALIDATION,
    Index,
    Tables,
    item,
    items_of,
    pages,
    plain,
    refusal,
    settled,
    values,
)

pytestmark = pytest.mark.cluster

COUNT = 60
STARTING_KEY = "The provided starting key is invalid"


@pytest.fixture(scope="module")
def table(tables: Tables) -> str:
    """Sixty items with keys of their own; a third of them has `third`, which a global index holds with `v` only."""
    return tables.make(
        "pk:S",
        *(item(pk=f"key-{n}", n=n, v="x" * 10, **({"third": "yes"} if n % 3 == 0 else {})) for n in range(COUNT)),
        globals_=[Index("thirds", "third:S", ["v"])],
    )


def numbers(found: list[Any]) -> list[int]:
    return sorted(int(plain(one, "n")) for one in found)


def test_a_scan_reads_every_item_once(client: Any, table: str) -> None:
    answer = client.scan(TableName=table, ConsistentRead=True)
    assert numbers(answer["Items"]) == list(range(COUNT))
    assert (answer["Count"], answer["ScannedCount"]) == (COUNT, COUNT)
    assert "LastEvaluatedKey" not in answer


def test_two_scans_give_the_same_order(client: Any, table: str) -> None:
    first, second = (client.scan(TableName=table, ConsistentRead=True)["Items"] for _ in range(2))
    assert first == second


def test_an_empty_table_gives_an_empty_page(tables: Tables) -> None:
    answer = tables.client.scan(TableName=tables.make("pk:S"))
    assert (answer["Items"], answer["Count"], answer["ScannedCount"]) == ([], 0, 0)
    assert "LastEvaluatedKey" not in answer


def test_items_of_one_partition_key_come_in_the_order_of_their_sort_keys(tables: Tables) -> None:
    table = tables.make("pk:S sk:N", *(item(pk=pk, sk=n * 7 % 10) for pk in "abc" for n in range(10)))
    found = items_of(tables.client.scan, TableName=table, ConsistentRead=True, Limit=4)
    for pk in "abc":
        assert [int(plain(one, "sk")) for one in found if plain(one, "pk") == pk] == list(range(10))


@pytest.mark.parametrize("total", [1, 2, 3, 7, 100])
def test_segments_cover_the_table_without_overlap(client: Any, table: str, total: int) -> None:
    segments = [
        items_of(client.scan, TableName=table, Segment=segment, TotalSegments=total, ConsistentRead=True, Limit=7)
        for segment in range(total)
    ]
    assert numbers([one for segment in segments for one in segment]) == list(range(COUNT))


def test_many_segments_are_mostly_empty(client: Any, table: str) -> None:
    answer = client.scan(TableName=table, Segment=999_999, TotalSegments=1_000_000, ConsistentRead=True)
    assert answer["Count"] in (0, 1)
    assert "LastEvaluatedKey" not in answer


@pytest.mark.parametrize("limit", [1, 7, 59, 60, 61])
def test_pages_of_any_size_give_every_item_once(client: Any, table: str, limit: int) -> None:
    found = list(pages(client.scan, TableName=table, Limit=limit, ConsistentRead=True))
    assert numbers([one for page in found for one in page["Items"]]) == list(range(COUNT))
    assert all(page["ScannedCount"] == limit for page in found[:-1])


def test_a_filter_comes_after_reading(client: Any, table: str) -> None:
    request = {"FilterExpression": "n < :n", "ExpressionAttributeValues": values(n=5)}
    answer = client.scan(TableName=table, ConsistentRead=True, **request)
    assert numbers(answer["Items"]) == [0, 1, 2, 3, 4]
    assert (answer["Count"], answer["ScannedCount"]) == (5, COUNT)


def test_a_scan_may_filter_on_keys(client: Any, table: str) -> None:
    request = {"FilterExpression": "pk = :p", "ExpressionAttributeValues": values(p="key-7")}
    assert numbers(client.scan(TableName=table, ConsistentRead=True, **request)["Items"]) == [7]


def test_select_count_answers_without_items(client: Any, table: str) -> None:
    answer = client.scan(TableName=table, Select="COUNT", FilterExpression="attribute_exists(third)")
    assert settled(lambda: client.scan(TableName=table, Select="COUNT")["Count"], COUNT) == COUNT
    assert answer["ScannedCount"] >= answer["Count"]
    assert "Items" not in answer


def test_a_projection_gives_only_what_it_names(client: Any, table: str) -> None:
    answer = client.scan(TableName=table, ProjectionExpression="n, absent", ConsistentRead=True)
    assert all(one.keys() == {"n"} for one in answer["Items"])
    assert numbers(answer["Items"]) == list(range(COUNT))


def test_a_global_index_is_scanned_in_what_it_holds(client: Any, table: str) -> None:
    def look() -> list[Any]:
        found = items_of(client.scan, TableName=table, IndexName="thirds", Limit=6)
        return sorted((plain(one, "pk"), sorted(one)) for one in found)

    names = sorted(f"key-{n}" for n in range(0, COUNT, 3))
    settled(look, [(name, ["pk", "third", "v"]) for name in names])


# --- filters ----------------------------------------------------------------------------------------------------------

ROW = item(
    pk="only",
    txt="hello",
    num=5,
    flag=True,
    nil=None,
    bin=b"\x01\x02",
    words={"a", "b"},
    seq=["x", 1, {"deep": [10, 20]}],
    doc={"a": {"b": "c"}},
)


@pytest.fixture(scope="module")
def row_table(tables: Tables) -> str:
    return tables.make("pk:S", ROW)


FILTERS = [
    ("txt = :v", "hello", True),
    ("txt <> :v", "hello", False),
    ("txt <> :v", 5, True),
    ("num > :v", 4, True),
    ("num >= :v", 5, True),
    ("num < :v", 5, False),
    ("num < :v", "9", False),
    ("absent = :v", 1, False),
    ("absent <> :v", 1, True),
    ("txt BETWEEN :v AND txt", "a", True),
    ("num IN (:v, num)", 1, True),
    (":v IN (txt, num)", 5, True),
    ("begins_with(txt, :v)", "he", True),
    ("begins_with(bin, :v)", b"\x01", True),
    ("begins_with(txt, :v)", "lo", False),
    ("contains(txt, :v)", "ell", True),
    ("contains(words, :v)", "a", True),
    ("contains(words, :v)", "ab", False),
    ("contains(seq, :v)", 1, True),
    ("contains(num, :v)", "5", False),
    ("attribute_type(nil, :v)", "NULL", True),
    ("attribute_type(doc, :v)", "M", True),
    ("attribute_type(absent, :v)", "S", False),
    ("size(txt) = :v", 5, True),
    ("size(seq) = :v", 3, True),
    ("size(bin) = :v", 2, True),
    ("size(num) = :v", 1, False),
    ("size(absent) < :v", 9, False),
    ("seq[2].deep[1] = :v", 20, True),
    ("seq[9] = :v", 1, False),
    ("doc.a.b = :v", "c", True),
    ("doc = :v", {"a": {"b": "c"}}, True),
    ("words = :v", {"b", "a"}, True),
    ("flag = :v", True, True),
    ("flag > :v", 1, False),
    ("NOT num = :v", 5, False),
    ("num = :v OR txt = :v", 5, True),
    ("num = :v AND txt = :v", 5, False),
    ("txt = :v OR num > size(txt) AND flag = :v", "hello", True),
    ("NOT (num = :v AND txt = :v)", 5, True),
]


@pytest.mark.parametrize(("text", "placeholder", "matches"), FILTERS, ids=[f"{f} for {v!r}" for f, v, _ in FILTERS])
def test_a_filter_decides(client: Any, row_table: str, text: str, placeholder: Any, matches: bool) -> None:
    request = {"FilterExpression": text, "ExpressionAttributeValues": values(v=placeholder)}
    answer = client.scan(TableName=row_table, ConsistentRead=True, **request)
    assert (answer["Count"], answer["ScannedCount"]) == (int(matches), 1)
    assert answer["Items"] == ([ROW] if matches else [])


# --- refusals ---------------------------------------------------------------------------------------------------------

REFUSALS = [
    pytest.param(
        {"Segment": 1},
        "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
        id="segment without total",
    ),
    pytest.param(
        {"Segment": 0},
        "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
        id="segment 0 without total",
    ),
    pytest.param(
        {"TotalSegments": 4},
        "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
        id="total without segment",
    ),
    pytest.param(
        {"Segment": 5, "TotalSegments": 5},
        "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 5 is not less "
        "than TotalSegments: 5",
        id="segment not below total",
    ),
    pytest.param(
        {"Segment": 0, "TotalSegments": 1_000_001},
        "1 validation error detected: Value '1000001' at 'totalSegments' failed to satisfy constraint: Member must "
        "have value less than or equal to 1000000",
        id="more than a million segments",
    ),
    pytest.param(
        {"Segment": -1, "TotalSegments": 0},
        "2 validation errors detected: Value '0' at 'totalSegments' failed to satisfy constraint: Member must have "
        "value greater than or equal to 1; Value '-1' at 'segment' failed to satisfy constraint: Member must have "
        "value greater than or equal to 0",
        id="two numbers out of range in one message",
    ),
    pytest.param(
        {"Limit": 0},
        "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value "
        "greater than or equal to 1",
        id="Limit 0",
    ),
    pytest.param({"IndexName": "absent"}, "The table does not have the specified index: absent", id="unknown index"),
    pytest.param(
        {"IndexName": "thirds", "ConsistentRead": True},
        "Consistent reads are not supported on global secondary indexes",
        id="strong read of a global index",
    ),
    pytest.param(
        {"IndexName": "thirds", "Select": "ALL_ATTRIBUTES"},
        INVALID
        + "Select type ALL_ATTRIBUTES is not supported for global secondary index thirds because its projection "
        "type is not ALL",
        id="all attributes of a global index that has not all",
    ),
    pytest.param(
        {"FilterExpression": ""}, "Invalid FilterExpression: The expression can not be empty;", id="empty filter"
    ),
    pytest.param(
        {"ExpressionAttributeValues": values(v=1)},
        "ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null",
        id="values without an expression",
    ),
    pytest.param(
        {"ExpressionAttributeNames": {"#n": "n"}},
        "ExpressionAttributeNames can only be specified when using expressions",
        id="names without an expression",
    ),
    pytest.param(
        {"ProjectionExpression": "n", "AttributesToGet": ["n"]},
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
        "{AttributesToGet} Expression parameters: {ProjectionExpression}",
        id="projection in both languages",
    ),
    pytest.param(
        {"ExclusiveStartKey": item(pk="a", n=1)},
        STARTING_KEY + ": The provided key element does not match the schema",
        id="start key with more than the key",
    ),
    pytest.param(
        {"ExclusiveStartKey": item(pk=1)},
        STARTING_KEY + ": The provided key element does not match the schema",
        id="start key of another type",
    ),
]


@pytest.mark.parametrize(("request_members", "message"), REFUSALS)
def test_a_scan_is_refused(client: Any, table: str, request_members: dict[str, Any], message: str) -> None:
    assert refusal(client.scan, TableName=table, **request_members) == (VALIDATION, message)


def test_a_start_key_of_another_segment_is_refused(client: Any, table: str) -> None:
    segment = next(
        number
        for number in range(4)
        if client.scan(TableName=table, Segment=number, TotalSegments=4, ConsistentRead=True)["Items"]
    )
    start = client.scan(TableName=table, Segment=segment, TotalSegments=4, Limit=1, ConsistentRead=True)
    other = (segment + 1) % 4
    assert refusal(
        client.scan, TableName=table, Segment=other, TotalSegments=4, ExclusiveStartKey=start["LastEvaluatedKey"]
    ) == (
        VALIDATION,
        f"{STARTING_KEY}: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "
        f"TotalSegments: 4 Segment: {other}",
    )


def test_a_table_that_does_not_exist_is_not_found(client: Any) -> None:
    assert refusal(client.scan, TableName="conformance-absent") == NOT_FOUND

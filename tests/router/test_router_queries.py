"""Query and Scan over partitions in memory: pages, indexes, selection, capacity, refusals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.routing.pending import Failure
from wire import catalog_pb2, data_pb2

pytestmark = pytest.mark.unit

LOCAL = catalog_pb2.INDEX_LOCAL
GLOBAL = catalog_pb2.INDEX_GLOBAL
NOT_VALID = "ValidationException"


def item(pk: str, sk: int, **attributes: Any) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"N": str(sk)}, **attributes}


@pytest.fixture
def bench(store_bench: Any) -> Any:
    store_bench.add_table(
        "things",
        "pk S sk N",
        store_bench.index("by_at", LOCAL, "pk S / at N", included=["held"]),
        store_bench.index("by_kind", GLOBAL, "kind S / at N", included=["held"]),
        store_bench.index("by_all", GLOBAL, "kind S"),
        store_bench.index("young", GLOBAL, "kind S", state=catalog_pb2.INDEX_BACKFILLING),
        store_bench.index("dying", GLOBAL, "kind S", state=catalog_pb2.INDEX_DELETING),
    )
    store_bench.add_table("plain", "pk S")
    return store_bench


def pages(bench: Any, target: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    start = None
    while True:
        answer = bench.call(target, request | ({"ExclusiveStartKey": start} if start else {})).answer
        found.append(answer)
        start = answer.get("LastEvaluatedKey")
        if start is None:
            return found
        assert len(found) < 1000, "pages without end"


def items_of(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for page in found for one in page["Items"]]


def by_pk(pk: str, more: str = "", **values: Any) -> dict[str, Any]:
    return {
        "TableName": "things",
        "KeyConditionExpression": "pk = :pk" + more,
        "ExpressionAttributeValues": {":pk": {"S": pk}, **{f":{name}": value for name, value in values.items()}},
    }


# --- Query ------------------------------------------------------------------------------------------------------------


def test_a_query_answers_one_collection_in_number_order(bench: Any) -> None:
    for sk in (10, 9, -1, 100):
        bench.store("things", item("a", sk))
        bench.store("things", item("ab", sk))
    made = bench.call("Query", by_pk("a"))
    assert made.answer == {"Count": 4, "ScannedCount": 4, "Items": [item("a", sk) for sk in (-1, 9, 10, 100)]}
    assert len(bench.served) == 1
    assert bench.served[0].kind == data_pb2.RANGE_EVENTUAL
    assert made.raw.startswith(b'{"Count":4,"Items":[')


@pytest.mark.parametrize(("account", "is_ours"), [("000000000000", True), ("999999999999", False)])
@pytest.mark.parametrize("target", ["Query", "Scan", "GetItem"])
def test_an_arn_names_a_table_of_our_account_only(bench: Any, target: str, account: str, is_ours: bool) -> None:
    bench.store("things", item("a", 1))
    rest = {"Query": by_pk("a"), "Scan": {}, "GetItem": {"Key": item("a", 1)}}[target]
    arn = f"arn:aws:dynamodb:us-east-1:{account}:table/things"
    made = bench.call(target, {**rest, "TableName": arn})
    if is_ours:
        assert made.answer.get("Item", made.answer.get("Items"))
    else:
        assert made.error == (
            "AccessDeniedException",
            f"User: arn:aws:iam::000000000000:root is not authorized to perform: dynamodb:{target} on resource: {arn} "
            f"because no resource-based policy allows the dynamodb:{target} action",
        )


@pytest.mark.parametrize("target", ["Query", "Scan"])
def test_the_highest_limit_is_taken(bench: Any, target: str) -> None:
    bench.store("things", item("a", 1))
    request = by_pk("a") if target == "Query" else {"TableName": "things"}
    assert bench.call(target, {**request, "Limit": 2**31 - 1}).answer["Count"] == 1


def test_a_consistent_query_is_a_strong_read(bench: Any) -> None:
    bench.call("Query", {**by_pk("a"), "ConsistentRead": True})
    assert bench.served[0].kind == data_pb2.RANGE_STRONG


@pytest.mark.parametrize(
    ("more", "values", "expected"),
    [
        ("", {}, [1, 2, 3, 4, 5]),
        (" AND sk = :x", {"x": {"N": "3.0"}}, [3]),
        (" AND sk < :x", {"x": {"N": "3"}}, [1, 2]),
        (" AND sk <= :x", {"x": {"N": "3"}}, [1, 2, 3]),
        (" AND sk > :x", {"x": {"N": "3"}}, [4, 5]),
        (" AND sk >= :x", {"x": {"N": "3"}}, [3, 4, 5]),
        (" AND sk BETWEEN :x AND :y", {"x": {"N": "2"}, "y": {"N": "4"}}, [2, 3, 4]),
        (" AND sk < :x", {"x": {"N": "-3"}}, []),
    ],
)
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("limit", [None, 2])
def test_sort_conditions_in_both_directions_and_in_pages(
    bench: Any, more: str, values: dict[str, Any], expected: list[int], backward: bool, limit: int | None
) -> None:
    for sk in range(1, 6):
        bench.store("things", item("a", sk))
    request = {**by_pk("a", more, **values), "ScanIndexForward": not backward}
    if limit:
        request["Limit"] = limit
    found = items_of(pages(bench, "Query", request))
    assert found == [item("a", sk) for sk in (reversed(expected) if backward else expected)]


def test_a_page_ends_with_the_item_that_reaches_a_megabyte(bench: Any) -> None:
    for sk in range(6):
        bench.store("things", item("a", sk, v={"S": "x" * 300_000}))
    first, second = pages(bench, "Query", by_pk("a"))
    assert (first["Count"], second["Count"]) == (4, 2)
    assert first["LastEvaluatedKey"] == item("a", 3)


def test_a_filter_comes_after_the_limit(bench: Any) -> None:
    for sk in range(6):
        bench.store("things", item("a", sk, v={"N": str(sk % 2)}))
    request = {**by_pk("a", one={"N": "1"}), "FilterExpression": "v = :one", "Limit": 3}
    first, second, third = pages(bench, "Query", request)
    assert [(page["Count"], page["ScannedCount"]) for page in (first, second, third)] == [(1, 3), (2, 3), (0, 0)]


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(
            {
                "KeyConditionExpression": "pk = :pk AND sk > :two",
                "FilterExpression": "#v = :one",
                "ProjectionExpression": "sk",
                "ExpressionAttributeNames": {"#v": "v"},
                "ExpressionAttributeValues": {":pk": {"S": "a"}, ":two": {"N": "2"}, ":one": {"N": "1"}},
            },
            id="expressions",
        ),
        pytest.param(
            {
                "KeyConditions": {
                    "pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]},
                    "sk": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "2"}]},
                },
                "QueryFilter": {"v": {"ComparisonOperator": "EQ", "AttributeValueList": [{"N": "1"}]}},
                "AttributesToGet": ["sk"],
            },
            id="legacy",
        ),
        pytest.param(
            {
                "KeyConditions": {
                    "pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]},
                    "sk": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "2"}]},
                },
                "FilterExpression": "v = :one",
                "ProjectionExpression": "sk",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            },
            id="legacy keys beside expressions",
        ),
    ],
)
def test_filter_and_projection_in_every_spelling(bench: Any, members: dict[str, Any]) -> None:
    for sk in range(6):
        bench.store("things", item("a", sk, v={"N": str(sk % 2)}))
    answer = bench.call("Query", {"TableName": "things", **members}).answer
    assert answer == {"Count": 2, "ScannedCount": 3, "Items": [{"sk": {"N": "3"}}, {"sk": {"N": "5"}}]}


def test_count_answers_no_items(bench: Any) -> None:
    bench.store("things", item("a", 1))
    assert bench.call("Query", {**by_pk("a"), "Select": "COUNT"}).answer == {"Count": 1, "ScannedCount": 1}


def stored_for_indexes(bench: Any) -> None:
    for sk in range(4):
        attributes = {"kind": {"S": "k"}, "at": {"N": str(-sk)}, "held": {"S": "h"}, "lost": {"S": "l"}}
        bench.store("things", item("a", sk, **attributes))
    bench.store("things", item("a", 9, lost={"S": "in no index"}))
    bench.store("things", item("b", 1, kind={"S": "k"}, at={"N": "-1"}))


def test_a_local_index_answers_what_it_holds_in_its_own_order(bench: Any) -> None:
    stored_for_indexes(bench)
    found = pages(bench, "Query", {**by_pk("a"), "IndexName": "by_at", "Limit": 2})
    assert [one["sk"]["N"] for one in items_of(found)] == ["3", "2", "1", "0"]
    assert items_of(found)[0] == item("a", 3, at={"N": "-3"}, held={"S": "h"})
    assert found[0]["LastEvaluatedKey"] == item("a", 2, at={"N": "-2"})


@pytest.mark.parametrize(
    "members",
    [{"Select": "ALL_ATTRIBUTES"}, {"ProjectionExpression": "pk, lost"}],
)
def test_a_local_index_fetches_what_it_does_not_hold(bench: Any, members: dict[str, Any]) -> None:
    stored_for_indexes(bench)
    request = {**by_pk("a"), "IndexName": "by_at", "ReturnConsumedCapacity": "INDEXES", **members}
    answer = bench.call("Query", request).answer
    assert all(one["lost"] == {"S": "l"} for one in answer["Items"])
    assert answer["ConsumedCapacity"] == {
        "TableName": "things",
        "CapacityUnits": 2.5,
        "Table": {"CapacityUnits": 2.0},
        "LocalSecondaryIndexes": {"by_at": {"CapacityUnits": 0.5}},
    }


def test_a_global_index_is_read_where_its_key_lies(bench: Any) -> None:
    stored_for_indexes(bench)
    request = {
        "TableName": "things",
        "IndexName": "by_kind",
        "KeyConditionExpression": "kind = :k AND #at BETWEEN :low AND :high",
        "ExpressionAttributeNames": {"#at": "at"},
        "ExpressionAttributeValues": {":k": {"S": "k"}, ":low": {"N": "-2"}, ":high": {"N": "0"}},
        "Limit": 1,
        "ReturnConsumedCapacity": "INDEXES",
    }
    found = pages(bench, "Query", request)
    assert [(one["pk"]["S"], one["sk"]["N"]) for one in items_of(found)] == [
        ("a", "2"),
        ("a", "1"),
        ("b", "1"),
        ("a", "0"),
    ]
    assert found[0]["LastEvaluatedKey"] == item("a", 2, kind={"S": "k"}, at={"N": "-2"})
    assert found[0]["ConsumedCapacity"] == {
        "TableName": "things",
        "CapacityUnits": 0.5,
        "Table": {"CapacityUnits": 0.0},
        "GlobalSecondaryIndexes": {"by_kind": {"CapacityUnits": 0.5}},
    }
    assert {operation.table_id for operation in bench.served} == {102}


@pytest.mark.parametrize(
    ("count", "size", "consistent", "units"),
    [
        pytest.param(0, 0, False, 0.5, id="nothing costs the least, eventual"),
        pytest.param(0, 0, True, 1.0, id="nothing costs the least, strong"),
        pytest.param(40, 90, True, 1.0, id="small items are rounded up together"),
        pytest.param(50, 90, True, 2.0, id="just above a block"),
        pytest.param(50, 90, False, 1.0, id="half for an eventual read"),
    ],
)
def test_the_capacity_of_a_page_is_that_of_its_sum(
    bench: Any, count: int, size: int, consistent: bool, units: float
) -> None:
    for sk in range(1, count + 1):
        bench.store("things", item("a", sk, v={"S": "x" * (size - 7)}))
    request = {**by_pk("a"), "ConsistentRead": consistent, "ReturnConsumedCapacity": "TOTAL"}
    assert bench.call("Query", request).answer["ConsumedCapacity"] == {"TableName": "things", "CapacityUnits": units}


START = item("a", 2)
MIXED = "Can not use both expression and non-expression parameters in the same request: "


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            {"KeyConditionExpression": None},
            "ExpressionAttributeValues can only be specified when using expressions: "
            "FilterExpression and KeyConditionExpression are null",
        ),
        (
            {"KeyConditionExpression": None, "ExpressionAttributeValues": None},
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
        ),
        (
            {"AttributesToGet": ["a"]},
            MIXED + "Non-expression parameters: {AttributesToGet} Expression parameters: {KeyConditionExpression}",
        ),
        (
            {"KeyConditions": {}},
            MIXED + "Non-expression parameters: {KeyConditions} Expression parameters: {KeyConditionExpression}",
        ),
        ({"IndexName": "nothing"}, "The table does not have the specified index: nothing"),
        ({"IndexName": "dying"}, "The table does not have the specified index: dying"),
        ({"IndexName": "young"}, "Cannot read from backfilling global secondary index: young"),
        (
            {"IndexName": "by_kind", "ConsistentRead": True},
            "Consistent reads are not supported on global secondary indexes",
        ),
        ({"IndexName": "by_kind"}, "Query condition missed key schema element: kind"),
        ({"ExclusiveStartKey": {"pk": {"S": "a"}}}, "The provided starting key is invalid"),
        (
            {"ExclusiveStartKey": item("b", 2)},
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
        (
            {"FilterExpression": "pk = :pk"},
            "Filter Expression can only contain non-primary key attributes: Primary key attribute: pk",
        ),
        (
            {
                "IndexName": "by_kind",
                "KeyConditionExpression": "kind = :pk",
                "Select": "ALL_ATTRIBUTES",
            },
            "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global "
            "secondary index by_kind because its projection type is not ALL",
        ),
        (
            {"IndexName": "by_kind", "KeyConditionExpression": "kind = :pk", "ProjectionExpression": "lost"},
            "One or more parameter values were invalid: Global secondary index by_kind does not project [lost]",
        ),
        (
            {"ProjectionExpression": "pk.a"},
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
        ),
    ],
)
def test_query_refusals(bench: Any, members: dict[str, Any], text: str) -> None:
    request = {name: value for name, value in {**by_pk("a"), **members}.items() if value is not None}
    assert bench.call("Query", request).error == (NOT_VALID, text)
    assert [operation for operation in bench.served if operation.kind != data_pb2.CATALOG_READ] == []


def test_a_missing_table_is_told_after_the_expressions(bench: Any) -> None:
    assert bench.call("Query", {**by_pk("a"), "TableName": "gone"}).error[0] == "ResourceNotFoundException"
    faulty = {**by_pk("a"), "TableName": "gone", "FilterExpression": "a = :missing"}
    assert bench.call("Query", faulty).error[0] == NOT_VALID


@pytest.mark.parametrize("values", [{":v": "a"}, {":v": {"S": 1}}])
def test_a_wrong_json_type_comes_before_every_other_fault(bench: Any, values: dict[str, Any]) -> None:
    request = {"TableName": "things", "ExpressionAttributeValues": values}
    assert bench.call("Query", request).error[0] == "SerializationException"


def test_an_index_that_the_copy_has_not_seen_yet_is_read_after_a_strong_read(bench: Any) -> None:
    table = bench.catalog.tables[0]
    table.indexes[3].state = catalog_pb2.INDEX_ACTIVE
    table.revision += 1
    bench.catalog.version += 1
    request = {**by_pk("a"), "KeyConditionExpression": "kind = :pk", "IndexName": "young"}
    assert bench.call("Query", request).answer == {"Count": 0, "ScannedCount": 0, "Items": []}


# --- Scan -------------------------------------------------------------------------------------------------------------


def filled(bench: Any, count: int) -> list[dict[str, Any]]:
    stored = [{"pk": {"S": f"p{number}"}} for number in range(count)]
    for one in stored:
        bench.store("plain", one)
    return stored


def names(found: list[dict[str, Any]]) -> list[str]:
    return [one["pk"]["S"] for one in found]


@pytest.mark.parametrize("limit", [None, 1, 3, 7, 100])
def test_a_scan_gives_every_item_once_whatever_the_limit(bench: Any, limit: int | None) -> None:
    stored = filled(bench, 40)
    found = pages(bench, "Scan", {"TableName": "plain"} | ({"Limit": limit} if limit else {}))
    assert sorted(names(items_of(found))) == sorted(names(stored))
    if limit:
        assert all(page["Count"] == limit for page in found[:-1])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(total=st.integers(1, 12), limit=st.integers(1, 9), count=st.integers(0, 30))
def test_segments_share_a_table_without_gap_or_overlap(bench: Any, total: int, limit: int, count: int) -> None:
    bench.clear()
    stored = filled(bench, count)
    found: list[str] = []
    for segment in range(total):
        request = {"TableName": "plain", "Segment": segment, "TotalSegments": total, "Limit": limit}
        found += names(items_of(pages(bench, "Scan", request)))
    assert sorted(found) == sorted(names(stored))


def test_a_scan_with_a_limit_reads_no_more_partitions_than_it_needs(bench: Any) -> None:
    filled(bench, 600)
    bench.call("Scan", {"TableName": "plain", "Limit": 5})
    assert len(bench.served) == 1


def test_a_small_table_is_one_page(bench: Any) -> None:
    filled(bench, 30)
    answer = bench.call("Scan", {"TableName": "plain", "ReturnConsumedCapacity": "TOTAL"}).answer
    assert (answer["Count"], answer["ScannedCount"]) == (30, 30)
    assert "LastEvaluatedKey" not in answer
    assert answer["ConsumedCapacity"] == {"TableName": "plain", "CapacityUnits": 0.5}
    assert sorted(operation.partition for operation in bench.served) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "members",
    [
        {"FilterExpression": "begins_with(pk, :p)", "ExpressionAttributeValues": {":p": {"S": "p1"}}},
        {"ScanFilter": {"pk": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"S": "p1"}]}}},
    ],
)
def test_a_scan_filters_also_by_key(bench: Any, members: dict[str, Any]) -> None:
    filled(bench, 20)
    answer = bench.call("Scan", {"TableName": "plain", **members}).answer
    assert sorted(names(answer["Items"])) == sorted(["p1", *(f"p{number}" for number in range(10, 20))])
    assert (answer["Count"], answer["ScannedCount"]) == (11, 20)


@pytest.mark.parametrize("index", ["by_at", "by_kind", "by_all"])
@pytest.mark.parametrize("limit", [None, 2])
def test_an_index_is_scanned_over_all_partitions(bench: Any, index: str, limit: int | None) -> None:
    for number in range(30):
        bench.store(
            "things",
            item(f"p{number}", 1, kind={"S": f"k{number % 7}"}, at={"N": str(number)}),
        )
    bench.store("things", item("outside", 1))
    request = {"TableName": "things", "IndexName": index} | ({"Limit": limit} if limit else {})
    found = items_of(pages(bench, "Scan", request))
    assert sorted(names(found)) == sorted(f"p{number}" for number in range(30))


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Failure.NOT_DONE, "ServiceUnavailable"),
        (Failure.OVERLOADED, "ThrottlingException"),
    ],
)
def test_a_partition_that_does_not_answer_fails_the_page_once(bench: Any, failure: Failure, code: str) -> None:
    filled(bench, 30)
    bench.refuse = {3: failure, 5: failure}
    assert bench.call("Scan", {"TableName": "plain"}).error[0] == code


def test_a_table_that_is_gone_is_asked_for_once_more(bench: Any) -> None:
    for partition in bench.partitions.values():
        partition.dropped_tables.add(bench.copy.tables.find("us-east-1", "plain").table_id)
    made = bench.call("Scan", {"TableName": "plain"})
    assert made.error == ("ResourceNotFoundException", "Requested resource not found")


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            {"Segment": 1},
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is "
            "present",
        ),
        (
            {"TotalSegments": 2},
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is "
            "present",
        ),
        (
            {"Segment": 5, "TotalSegments": 5},
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            "Segment: 5 is not less than TotalSegments: 5",
        ),
        (
            {"ExclusiveStartKey": {"pk": {"S": "a"}, "b": {"S": "b"}}},
            "The provided starting key is invalid: The provided key element does not match the schema",
        ),
        (
            {"AttributesToGet": ["a", "a"]},
            "One or more parameter values were invalid: Duplicate value in attribute name: a",
        ),
        (
            {"ScanFilter": {}, "FilterExpression": "attribute_exists(a)"},
            MIXED + "Non-expression parameters: {ScanFilter} Expression parameters: {FilterExpression}",
        ),
        (
            {"FilterExpression": "pk.a = :a", "ExpressionAttributeValues": {":a": {"S": "a"}}},
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
        ),
    ],
)
def test_scan_refusals(bench: Any, members: dict[str, Any], text: str) -> None:
    assert bench.call("Scan", {"TableName": "plain", **members}).error == (NOT_VALID, text)

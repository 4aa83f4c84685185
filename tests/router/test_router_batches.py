"""BatchGetItem and BatchWriteItem over partitions in memory."""

from __future__ import annotations

from typing import Any

import pytest

from router.routing.pending import Failure
from wire import catalog_pb2, data_pb2

pytestmark = pytest.mark.unit

LOCAL = catalog_pb2.INDEX_LOCAL
GLOBAL = catalog_pb2.INDEX_GLOBAL
NOT_VALID = "ValidationException"
DUPLICATES = "Provided list of item keys contains duplicates"
THINGS_ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/things"
MISMATCH = "The provided key element does not match the schema"


def key(name: str) -> dict[str, Any]:
    return {"pk": {"S": name}}


def put(name: str, **attributes: Any) -> dict[str, Any]:
    return {"PutRequest": {"Item": {**key(name), **attributes}}}


def delete(name: str) -> dict[str, Any]:
    return {"DeleteRequest": {"Key": key(name)}}


@pytest.fixture
def bench(store_bench: Any) -> Any:
    store_bench.add_table("things", "pk S")
    store_bench.add_table("others", "pk S")
    store_bench.add_table(
        "indexed",
        "pk S sk N",
        store_bench.index("by_at", LOCAL, "pk S / at N", included=[]),
        store_bench.index("by_kind", GLOBAL, "kind S"),
    )
    return store_bench


def partition_of(bench: Any, name: str) -> int:
    table = bench.copy.tables.find("us-east-1", "things")
    return int(bench.copy.partition_map.locate(table.key_schema.item_key_of_key(key(name))[:16]))


# --- BatchGetItem -----------------------------------------------------------------------------------------------------


def test_get_answers_what_exists_by_table_in_the_order_asked(bench: Any) -> None:
    for name in "abc":
        bench.store("things", {**key(name), "v": {"N": "1.0"}})
    bench.store("others", key("x"))
    answer = bench.call(
        "BatchGetItem",
        {
            "RequestItems": {
                "things": {"Keys": [key("c"), key("missing"), key("a")]},
                "others": {"Keys": [key("x")], "ConsistentRead": True},
            }
        },
    ).answer
    assert answer == {
        "Responses": {
            "things": [{**key("c"), "v": {"N": "1"}}, {**key("a"), "v": {"N": "1"}}],
            "others": [key("x")],
        },
        "UnprocessedKeys": {},
    }
    kinds = {operation.table_id: operation.kind for operation in bench.served}
    assert kinds == {100: data_pb2.GET_EVENTUAL, 200: data_pb2.GET_STRONG}


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"ProjectionExpression": "#v", "ExpressionAttributeNames": {"#v": "v"}}, id="expression"),
        pytest.param({"AttributesToGet": ["v"]}, id="legacy"),
    ],
)
def test_get_projects_each_table_by_itself(bench: Any, members: dict[str, Any]) -> None:
    bench.store("things", {**key("a"), "v": {"N": "1"}, "w": {"N": "2"}})
    bench.store("things", key("b"))
    answer = bench.call("BatchGetItem", {"RequestItems": {"things": {"Keys": [key("a"), key("b")], **members}}}).answer
    assert answer["Responses"] == {"things": [{"v": {"N": "1"}}, {}]}


def test_get_measures_each_item_alone(bench: Any) -> None:
    bench.store("things", {**key("a"), "v": {"S": "x" * 5000}})
    bench.store("things", key("b"))
    request = {
        "RequestItems": {
            "things": {"Keys": [key("a"), key("b"), key("missing")]},
            "others": {"Keys": [key("missing")], "ConsistentRead": True},
        },
        "ReturnConsumedCapacity": "INDEXES",
    }
    assert bench.call("BatchGetItem", request).answer["ConsumedCapacity"] == [
        {"TableName": "things", "CapacityUnits": 2.0, "Table": {"CapacityUnits": 2.0}},
        {"TableName": "others", "CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}},
    ]


@pytest.mark.parametrize("failure", [Failure.NOT_DONE, Failure.OVERLOADED])
def test_keys_of_a_partition_that_cannot_serve_come_back_as_they_were_sent(bench: Any, failure: Failure) -> None:
    names = [f"k{number}" for number in range(30)]
    for name in names:
        bench.store("things", key(name))
    silent = partition_of(bench, "k0")
    bench.refuse[silent] = failure
    asked = {"Keys": [key(name) for name in names], "ConsistentRead": True, "AttributesToGet": ["pk"]}
    answer = bench.call("BatchGetItem", {"RequestItems": {"things": asked}}).answer
    lost = [key(name) for name in names if partition_of(bench, name) == silent]
    assert answer["UnprocessedKeys"] == {"things": {**asked, "Keys": lost}}
    assert answer["Responses"]["things"] == [key(name) for name in names if key(name) not in lost]


def test_a_batch_of_which_nothing_could_be_queued_is_throttled(bench: Any) -> None:
    bench.refuse = dict.fromkeys(range(1, 7), Failure.OVERLOADED)
    request = {"RequestItems": {"things": {"Keys": [key("a"), key("b")]}}}
    assert bench.call("BatchGetItem", request).error[0] == "ThrottlingException"
    writes = {"RequestItems": {"things": [put("a"), delete("b")]}}
    assert bench.call("BatchWriteItem", writes).error[0] == "ThrottlingException"


def test_items_beyond_the_size_of_an_answer_come_back_unprocessed(bench: Any) -> None:
    names = [f"k{number:02}" for number in range(50)]
    for name in names:
        bench.store("things", {**key(name), "v": {"S": "x" * 400_000}})
    asked = {"Keys": [key(name) for name in names]}
    answer = bench.call("BatchGetItem", {"RequestItems": {"things": asked}}).answer
    assert len(answer["Responses"]["things"]) == 41
    assert answer["UnprocessedKeys"] == {"things": {"Keys": [key(name) for name in names[41:]]}}


@pytest.mark.parametrize(
    ("requested", "code", "text"),
    [
        ({"gone": {"Keys": [key("a")]}}, "ResourceNotFoundException", "Requested resource not found"),
        ({"things": {"Keys": [key("a"), key("b"), key("a")]}}, NOT_VALID, DUPLICATES),
        ({"gone": {"Keys": [key("a"), key("a")]}}, NOT_VALID, DUPLICATES),
        ({"things": {"Keys": [key("a")]}, THINGS_ARN: {"Keys": [key("a")]}}, NOT_VALID, DUPLICATES),
        (
            {"things": {"Keys": [key(str(n)) for n in range(100)]}, "others": {"Keys": [key("a")]}},
            NOT_VALID,
            "Too many items requested for the BatchGetItem call",
        ),
        ({"things": {"Keys": [{}]}}, NOT_VALID, MISMATCH),
        ({"things": {"Keys": [{"pk": {"N": "1"}}]}}, NOT_VALID, MISMATCH),
        ({"gone": {"Keys": [{}]}}, "ResourceNotFoundException", "Requested resource not found"),
        (
            {"things": {"Keys": [key("a")], "AttributesToGet": ["a", "a"]}},
            NOT_VALID,
            "One or more parameter values were invalid: Duplicate value in attribute name: a",
        ),
        (
            {"things": {"Keys": [key("a")], "AttributesToGet": ["a"], "ProjectionExpression": "a"}},
            NOT_VALID,
            "Can not use both expression and non-expression parameters in the same request: "
            "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
    ],
)
def test_get_refusals(bench: Any, requested: dict[str, Any], code: str, text: str) -> None:
    assert bench.call("BatchGetItem", {"RequestItems": requested}).error == (code, text)
    assert [op for op in bench.served if op.kind != data_pb2.CATALOG_READ] == []


# --- BatchWriteItem ---------------------------------------------------------------------------------------------------


def test_write_puts_and_deletes_on_several_tables(bench: Any) -> None:
    bench.store("things", key("old"))
    request = {"RequestItems": {"things": [put("new", v={"N": "1.0"}), delete("old")], "others": [put("x")]}}
    assert bench.call("BatchWriteItem", request).answer == {"UnprocessedItems": {}}
    read = {"RequestItems": {"things": {"Keys": [key("new"), key("old")]}, "others": {"Keys": [key("x")]}}}
    assert bench.call("BatchGetItem", read).answer["Responses"] == {
        "things": [{**key("new"), "v": {"N": "1"}}],
        "others": [key("x")],
    }


def test_write_answers_capacity_by_table(bench: Any) -> None:
    bench.store("things", {**key("old"), "v": {"S": "x" * 2000}})
    request = {
        "RequestItems": {"things": [put("new"), delete("old")], "others": [put("x")]},
        "ReturnConsumedCapacity": "TOTAL",
    }
    assert bench.call("BatchWriteItem", request).answer["ConsumedCapacity"] == [
        {"TableName": "things", "CapacityUnits": 3.0},
        {"TableName": "others", "CapacityUnits": 1.0},
    ]


@pytest.mark.parametrize("failure", [Failure.NOT_DONE, Failure.OVERLOADED, Failure.UNKNOWN])
def test_writes_without_a_verdict_come_back_as_they_were_sent(bench: Any, failure: Failure) -> None:
    names = [f"k{number}" for number in range(25)]
    silent = partition_of(bench, "k0")
    bench.refuse[silent] = failure
    writes = [put(name, v={"N": "1"}) for name in names]
    answer = bench.call("BatchWriteItem", {"RequestItems": {"things": writes}}).answer
    lost = [write for write, name in zip(writes, names, strict=True) if partition_of(bench, name) == silent]
    assert answer["UnprocessedItems"] == {"things": lost}


def test_a_write_to_a_table_that_was_just_dropped_comes_back(bench: Any) -> None:
    made = _dispatch(bench, "BatchWriteItem", {"RequestItems": {"things": [put("a")]}})
    bench.submitted.pop().complete(data_pb2.Result(status=data_pb2.TABLE_GONE))
    assert made.answer == {"UnprocessedItems": {"things": [put("a")]}}


def test_a_collection_that_is_too_large_fails_the_batch(bench: Any) -> None:
    made = _dispatch(bench, "BatchWriteItem", {"RequestItems": {"things": [put("a")]}})
    bench.submitted.pop().complete(data_pb2.Result(status=data_pb2.COLLECTION_TOO_LARGE))
    assert made.error[0] == "ItemCollectionSizeLimitExceededException"


def _dispatch(bench: Any, target: str, body: dict[str, Any]) -> Any:
    run, bench.run = bench.run, lambda: None
    try:
        return bench.call(target, body)
    finally:
        bench.run = run


def test_collection_metrics_are_answered_once_for_each_collection(bench: Any) -> None:
    item = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    request = {
        "RequestItems": {
            "indexed": [{"PutRequest": {"Item": item}}, {"DeleteRequest": {"Key": {**item, "sk": {"N": "2"}}}}],
            "things": [put("x")],
        },
        "ReturnItemCollectionMetrics": "SIZE",
    }
    answer = bench.call("BatchWriteItem", request).answer
    assert answer["ItemCollectionMetrics"] == {
        "indexed": [{"ItemCollectionKey": {"pk": {"S": "a"}}, "SizeEstimateRangeGB": [0.0, 1.0]}]
    }


@pytest.mark.parametrize(
    ("requested", "code", "text"),
    [
        ({"gone": [put("a")]}, "ResourceNotFoundException", "Requested resource not found"),
        ({"things": [put("a"), delete("a")]}, NOT_VALID, DUPLICATES),
        ({"things": [delete("a"), put("a", v={"N": "1"})]}, NOT_VALID, DUPLICATES),
        ({"things": [put("a")], THINGS_ARN: [delete("a")]}, NOT_VALID, DUPLICATES),
        (
            {"things": [{}]},
            NOT_VALID,
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
            "datatypes",
        ),
        (
            {"things": [put(str(n)) for n in range(20)], "others": [put(str(n)) for n in range(6)]},
            NOT_VALID,
            "Too many items requested for the BatchWriteItem call",
        ),
        ({"gone": [put("a", v={"S": "x" * 410_000})]}, NOT_VALID, "Item size has exceeded the maximum allowed size"),
        ({"things": [{"PutRequest": {"Item": {}}}]}, NOT_VALID, MISMATCH),
        ({"things": [{"PutRequest": {"Item": {"pk": {"N": "1"}}}}]}, NOT_VALID, MISMATCH),
        ({"things": [{"DeleteRequest": {"Key": {**key("a"), "b": {"N": "1"}}}}]}, NOT_VALID, MISMATCH),
        (
            {"indexed": [{"PutRequest": {"Item": {**key("a"), "sk": {"N": "1"}, "kind": {"N": "1"}}}}]},
            NOT_VALID,
            "One or more parameter values were invalid: "
            "Type mismatch for Index Key kind Expected: S Actual: N IndexName: by_kind",
        ),
    ],
)
def test_write_refusals(bench: Any, requested: dict[str, Any], code: str, text: str) -> None:
    assert bench.call("BatchWriteItem", {"RequestItems": requested}).error == (code, text)
    assert [op for op in bench.served if op.kind != data_pb2.CATALOG_READ] == []

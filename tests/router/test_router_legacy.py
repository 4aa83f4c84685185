"""Legacy parameters of the item operations become expressions; writes on tables with indexes are metered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from dynamo.expressions import Bindings, apply_update, matches, parse_condition, parse_update
from wire import catalog_pb2, data_pb2

pytestmark = pytest.mark.unit

NOT_VALID = "ValidationException"
KEY = {"pk": {"S": "a"}, "sk": {"N": "1"}}
WRITES = ("PutItem", "UpdateItem", "DeleteItem")


@pytest.fixture
def bench(store_bench: Any) -> Any:
    store_bench.add_table(
        "things",
        "pk S sk N",
        store_bench.index("by_at", catalog_pb2.INDEX_LOCAL, "pk S / at N"),
        store_bench.index("by_kind", catalog_pb2.INDEX_GLOBAL, "kind S"),
    )
    store_bench.add_table("global_only", "pk S sk N", store_bench.index("by_kind", catalog_pb2.INDEX_GLOBAL, "kind S"))
    store_bench.run = lambda: None
    return store_bench


def request(name: str, **members: Any) -> dict[str, Any]:
    return {"TableName": "things", ("Item" if name == "PutItem" else "Key"): dict(KEY)} | members


def sent(bench: Any) -> data_pb2.Operation:
    (pending,) = bench.submitted
    return pending.operation


@pytest.mark.parametrize("name", WRITES)
def test_expected_becomes_a_condition(bench: Any, name: str) -> None:
    expected = {
        "a": {"ComparisonOperator": "EQ", "AttributeValueList": [{"N": "1.0"}]},
        "b": {"Exists": False},
    }
    made = bench.call(name, request(name, Expected=expected, ConditionalOperator="OR"))
    assert made.answers == []
    texts = orjson.loads(sent(bench).expressions)
    condition = parse_condition(texts["condition"], may_be_translated=True)
    bindings = Bindings(texts["names"], texts["values"])
    assert matches(condition, {"a": {"N": "1"}, "b": {"S": "x"}}, bindings)
    assert matches(condition, {"a": {"N": "2"}}, bindings)
    assert not matches(condition, {"a": {"N": "2"}, "b": {"S": "x"}}, bindings)


def test_attribute_updates_become_an_update(bench: Any) -> None:
    updates = {
        "a": {"Value": {"S": "new"}},
        "b": {"Action": "ADD", "Value": {"N": "2"}},
        "c": {"Action": "DELETE"},
    }
    bench.call("UpdateItem", request("UpdateItem", AttributeUpdates=updates, Expected={"c": {"Value": {"S": "x"}}}))
    texts = orjson.loads(sent(bench).expressions)
    bindings = Bindings(texts["names"], texts["values"])
    old = {**KEY, "b": {"N": "1"}, "c": {"S": "x"}}
    updated = apply_update(parse_update(texts["update"], may_be_translated=True), old, bindings)
    assert updated.item == {**KEY, "a": {"S": "new"}, "b": {"N": "3"}}
    assert matches(parse_condition(texts["condition"], may_be_translated=True), old, bindings)


@pytest.mark.parametrize("members", [{"AttributeUpdates": {}}, {"Expected": {}}])
def test_empty_legacy_parameters_say_nothing(bench: Any, members: dict[str, Any]) -> None:
    bench.call("UpdateItem", request("UpdateItem", **members))
    assert sent(bench).expressions == b""


def test_a_failed_expectation_may_return_the_item(bench: Any) -> None:
    members = {"Expected": {"a": {"Exists": False}}, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    bench.call("PutItem", request("PutItem", **members))
    assert sent(bench).flags == data_pb2.RETURN_OLD_ON_CONDITION_FAILURE


@pytest.mark.parametrize(
    ("name", "members", "text"),
    [
        (
            "PutItem",
            {"ConditionalOperator": "AND"},
            "ConditionalOperator cannot be used without Filter or Expected",
        ),
        (
            "PutItem",
            {"Expected": {"a": {}}},
            "One or more parameter values were invalid: Value must be provided when Exists is null for Attribute: a",
        ),
        (
            "UpdateItem",
            {"AttributeUpdates": {"pk": {"Value": {"S": "b"}}}},
            "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key",
        ),
        (
            "UpdateItem",
            {"AttributeUpdates": {"a": {"Action": "ADD", "Value": {"S": "b"}}}},
            "One or more parameter values were invalid: ADD action is not supported for the type S",
        ),
        (
            "GetItem",
            {"AttributesToGet": ["a", "b", "a"]},
            "One or more parameter values were invalid: Duplicate value in attribute name: a",
        ),
        (
            "GetItem",
            {"ProjectionExpression": "pk.a"},
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: Key: pk",
        ),
        (
            "UpdateItem",
            {"UpdateExpression": "REMOVE kind[0]"},
            "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "
            "IndexKey: kind",
        ),
        (
            "PutItem",
            {"Item": {**KEY, "kind": {"N": "1"}}},
            "One or more parameter values were invalid: "
            "Type mismatch for Index Key kind Expected: S Actual: N IndexName: by_kind",
        ),
    ],
)
def test_refusals(bench: Any, name: str, members: dict[str, Any], text: str) -> None:
    assert bench.call(name, request(name, **members)).error == (NOT_VALID, text)


def test_attributes_to_get_projects(bench: Any) -> None:
    bench.store("things", {**KEY, "a": {"N": "1"}, "b": {"N": "2"}})
    del bench.run
    answer = bench.call("GetItem", request("GetItem", AttributesToGet=["b", "sk"])).answer
    assert answer == {"Item": {"b": {"N": "2"}, "sk": {"N": "1"}}}


UNITS = [data_pb2.IndexUnits(index_id=101, units=1), data_pb2.IndexUnits(index_id=102, units=2)]


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("TOTAL", {"TableName": "things", "CapacityUnits": 5.0}),
        (
            "INDEXES",
            {
                "TableName": "things",
                "CapacityUnits": 5.0,
                "Table": {"CapacityUnits": 2.0},
                "LocalSecondaryIndexes": {"by_at": {"CapacityUnits": 1.0}},
                "GlobalSecondaryIndexes": {"by_kind": {"CapacityUnits": 2.0}},
            },
        ),
    ],
)
def test_indexes_take_their_part_of_a_write(bench: Any, name: str, mode: str, expected: dict[str, Any]) -> None:
    made = bench.call(name, request(name, ReturnConsumedCapacity=mode))
    assert sent(bench).flags == data_pb2.RETURN_SIZES
    result = data_pb2.Result(status=data_pb2.OK, old_size=100, new_size=1500, index_units=UNITS)
    bench.submitted.pop().complete(result)
    assert made.answer == {"ConsumedCapacity": expected}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize(
    ("collection_bytes", "bounds"),
    [(0, [0.0, 1.0]), ((1 << 30) - 1, [0.0, 1.0]), (1 << 30, [1.0, 2.0]), (5 << 30, [5.0, 6.0])],
)
def test_collection_metrics(bench: Any, name: str, collection_bytes: int, bounds: list[float]) -> None:
    made = bench.call(name, request(name, ReturnItemCollectionMetrics="SIZE"))
    assert sent(bench).flags == data_pb2.RETURN_COLLECTION_SIZE
    bench.submitted.pop().complete(data_pb2.Result(status=data_pb2.OK, collection_bytes=collection_bytes))
    assert made.answer == {
        "ItemCollectionMetrics": {"ItemCollectionKey": {"pk": {"S": "a"}}, "SizeEstimateRangeGB": bounds}
    }


@pytest.mark.parametrize("name", WRITES)
def test_a_table_without_local_indexes_has_no_collection_metrics(bench: Any, name: str) -> None:
    made = bench.call(name, request(name, TableName="global_only", ReturnItemCollectionMetrics="SIZE"))
    assert sent(bench).flags == 0
    bench.submitted.pop().complete(data_pb2.Result(status=data_pb2.OK))
    assert made.answer == {}


# --- operations that another operation runs ---------------------------------------------------------------------------


def inner_call(target: str) -> Any:
    made = SimpleNamespace(body=b"{}", target=target.encode(), metric=3, region="us-east-1", catalog_confirmed=False)
    made.host = "localhost"
    made.answers = []
    made.succeed = made.answers.append
    made.fail = lambda error: made.answers.append(error.code)
    return made


def test_a_native_operation_answers_its_inner_call(bench: Any) -> None:
    inner = inner_call("DynamoDB_20120810.ExecuteStatement")
    given = request("PutItem")
    bench.services.run_native("PutItem", inner, given)
    bench.submitted.pop().complete(data_pb2.Result(status=data_pb2.OK))
    assert inner.answers == [b"{}"]
    assert given == request("PutItem"), "the request is another's"


def test_a_native_operation_is_repeated_alone_after_a_catalog_read(bench: Any) -> None:
    inner = inner_call("DynamoDB_20120810.ExecuteStatement")
    bench.services.run_native("GetItem", inner, request("GetItem", TableName="gone"))
    (read,) = bench.submitted
    assert read.operation.kind == data_pb2.CATALOG_READ
    bench.submitted.clear()
    read.complete(data_pb2.Result(status=data_pb2.OK, item=bench.catalog.SerializeToString()))
    assert inner.answers == ["ResourceNotFoundException"]


def test_a_native_put_on_a_dropped_table_is_repeated_with_its_item(bench: Any) -> None:
    inner = inner_call("DynamoDB_20120810.ExecuteStatement")
    bench.services.run_native("PutItem", inner, request("PutItem"))
    bench.submitted.pop().complete(data_pb2.Result(status=data_pb2.TABLE_GONE))
    (read,) = bench.submitted
    bench.submitted.clear()
    read.complete(data_pb2.Result(status=data_pb2.OK, item=bench.catalog.SerializeToString()))
    assert sent(bench).kind == data_pb2.PUT


def test_what_a_native_operation_raises_is_its_answer(bench: Any) -> None:
    inner = inner_call("DynamoDB_20120810.ExecuteStatement")
    bench.services.run_native("PutItem", inner, {"TableName": "things", "Item": {}})
    assert inner.answers == [NOT_VALID]


MARKED = "\x00AND\nEQ #a :a"
QUERIED = {"KeyConditionExpression": "pk = :a"}
TEXTS = [
    *[(name, "ConditionExpression", {}) for name in WRITES],
    ("UpdateItem", "UpdateExpression", {}),
    ("GetItem", "ProjectionExpression", {}),
    ("BatchGetItem", "ProjectionExpression", {}),
    ("Query", "KeyConditionExpression", {}),
    ("Query", "FilterExpression", QUERIED),
    ("Query", "ProjectionExpression", QUERIED),
    ("Scan", "FilterExpression", {}),
    ("Scan", "ProjectionExpression", {}),
]


@pytest.mark.parametrize(("name", "parameter", "members"), TEXTS, ids=[f"{text[0]} {text[1]}" for text in TEXTS])
@pytest.mark.parametrize("padding", [0, 5000], ids=["short", "long"])
def test_no_text_of_a_client_is_a_translation(
    bench: Any, name: str, parameter: str, members: dict[str, Any], padding: int
) -> None:
    text = MARKED + " " * padding
    asked: dict[str, Any] = {parameter: text, "ExpressionAttributeNames": {"#a": "a"}, **members}
    if parameter != "ProjectionExpression" or members:
        asked["ExpressionAttributeValues"] = {":a": {"S": "x"}}
    if name == "BatchGetItem":
        body: dict[str, Any] = {"RequestItems": {"things": {"Keys": [KEY], **asked}}}
    else:
        body = (request(name) if name not in ("Query", "Scan") else {"TableName": "things"}) | asked
    expected = (
        f"Expression size has exceeded the maximum allowed size; expression size: {len(text)}"
        if padding
        else 'Syntax error; token: "\x00", near: "\x00AND"'
    )
    assert bench.call(name, body).error == (NOT_VALID, f"Invalid {parameter}: {expected}")
    assert bench.submitted == []


def test_a_parameter_of_many_attributes_goes_its_way(bench: Any) -> None:
    updates = {f"a{number}": {"Action": "PUT", "Value": {"N": "1"}} for number in range(15_000)}
    bench.call("UpdateItem", request("UpdateItem", AttributeUpdates=updates))
    texts = orjson.loads(sent(bench).expressions)
    update = parse_update(texts["update"], may_be_translated=True)
    assert len(apply_update(update, {**KEY}, Bindings(texts["names"], texts["values"])).item) == 15_002

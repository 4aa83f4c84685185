"""The parameters from before expressions, on every operation that takes them.

Sources: developer guide (legacy conditional parameters), recorded answers of the service.
"""

from __future__ import annotations

from typing import Any

import pytest
from conformance_support import CONDITION_FAILED, INVALID, VALIDATION, Tables, item, plain, refusal, value, values

pytestmark = pytest.mark.cluster

PEOPLE = [
    item(pk="a", sk=1, name="ann", age=30, tags={"x", "y"}, flag=True),
    item(pk="a", sk=2, name="bob", age=4, tags={"y"}, flag=False),
    item(pk="a", sk=3, name="carl", nothing=None),
    item(pk="a", sk=4, name="annika", age=31),
    item(pk="b", sk=1, name="zoe", age=50),
]


@pytest.fixture(scope="module")
def table(tables: Tables) -> str:
    return tables.make("pk:S sk:N", *PEOPLE)


@pytest.fixture(scope="module")
def scratch(tables: Tables) -> str:
    """A table for tests that write."""
    return tables.make("pk:S")


def compare(operator: str, *operands: object) -> dict[str, Any]:
    condition: dict[str, Any] = {"ComparisonOperator": operator}
    if operands:
        condition["AttributeValueList"] = [value(one) for one in operands]
    return condition


IN_A = {"pk": compare("EQ", "a")}


def sort_keys(found: Any) -> list[int]:
    return sorted(int(plain(one, "sk")) for one in found["Items"])


# --- KeyConditions ----------------------------------------------------------------------------------------------------

KEY_CONDITIONS = [
    pytest.param({}, [1, 2, 3, 4], id="partition key alone"),
    pytest.param({"sk": compare("EQ", 2)}, [2], id="EQ"),
    pytest.param({"sk": compare("LT", 2)}, [1], id="LT"),
    pytest.param({"sk": compare("LE", 2)}, [1, 2], id="LE"),
    pytest.param({"sk": compare("GT", 2)}, [3, 4], id="GT"),
    pytest.param({"sk": compare("GE", 2)}, [2, 3, 4], id="GE"),
    pytest.param({"sk": compare("BETWEEN", 2, 3)}, [2, 3], id="BETWEEN"),
]


@pytest.mark.parametrize(("conditions", "expected"), KEY_CONDITIONS)
def test_key_conditions_select(client: Any, table: str, conditions: dict[str, Any], expected: list[int]) -> None:
    found = client.query(TableName=table, KeyConditions=IN_A | conditions, ConsistentRead=True)
    assert sort_keys(found) == expected


def test_key_conditions_begin_with(tables: Tables) -> None:
    table = tables.make("pk:S sk:S", *(item(pk="a", sk=sk) for sk in ("alpha", "alps", "beta")))
    conditions = IN_A | {"sk": compare("BEGINS_WITH", "al")}
    found = tables.client.query(TableName=table, KeyConditions=conditions, ScanIndexForward=False, ConsistentRead=True)
    assert [plain(one, "sk") for one in found["Items"]] == ["alps", "alpha"]


# --- QueryFilter and ScanFilter ---------------------------------------------------------------------------------------

FILTERS = [
    pytest.param({"name": compare("EQ", "bob")}, [2], id="EQ"),
    pytest.param({"flag": compare("EQ", True)}, [1], id="EQ of a boolean"),
    pytest.param({"tags": compare("EQ", {"y", "x"})}, [1], id="EQ of a set"),
    pytest.param({"age": compare("NE", 4)}, [1, 3, 4], id="NE holds without the attribute"),
    pytest.param({"age": compare("LT", 31)}, [1, 2], id="LT"),
    pytest.param({"age": compare("LE", 30)}, [1, 2], id="LE"),
    pytest.param({"age": compare("GT", 4)}, [1, 4], id="GT"),
    pytest.param({"age": compare("GE", 31)}, [4], id="GE"),
    pytest.param({"age": compare("BETWEEN", 4, 30)}, [1, 2], id="BETWEEN"),
    pytest.param({"age": compare("IN", 4, 31)}, [2, 4], id="IN"),
    pytest.param({"age": compare("NULL")}, [3], id="NULL means that it is not there"),
    pytest.param({"nothing": compare("NOT_NULL")}, [3], id="NOT_NULL means that it is there"),
    pytest.param({"name": compare("CONTAINS", "nn")}, [1, 4], id="CONTAINS of a string"),
    pytest.param({"tags": compare("CONTAINS", "x")}, [1], id="CONTAINS of a set"),
    pytest.param({"name": compare("NOT_CONTAINS", "nn")}, [2, 3], id="NOT_CONTAINS"),
    pytest.param({"name": compare("BEGINS_WITH", "ann")}, [1, 4], id="BEGINS_WITH"),
    pytest.param({"name": compare("GT", "b"), "age": compare("NOT_NULL")}, [2], id="two conditions both hold"),
]


@pytest.mark.parametrize(("conditions", "expected"), FILTERS)
def test_a_filter_of_a_query(client: Any, table: str, conditions: dict[str, Any], expected: list[int]) -> None:
    found = client.query(TableName=table, KeyConditions=IN_A, QueryFilter=conditions, ConsistentRead=True)
    assert sort_keys(found) == expected
    assert found["ScannedCount"] == 4


@pytest.mark.parametrize(("conditions", "expected"), FILTERS)
def test_a_filter_of_a_scan(client: Any, table: str, conditions: dict[str, Any], expected: list[int]) -> None:
    found = client.scan(TableName=table, ScanFilter=conditions | IN_A, ConsistentRead=True)
    assert sort_keys(found) == expected


def test_conditions_joined_by_or(client: Any, table: str) -> None:
    conditions = {"age": compare("EQ", 4), "name": compare("EQ", "carl")}
    found = client.query(
        TableName=table, KeyConditions=IN_A, QueryFilter=conditions, ConditionalOperator="OR", ConsistentRead=True
    )
    assert sort_keys(found) == [2, 3]


def test_attributes_to_get(client: Any, table: str) -> None:
    names = {"AttributesToGet": ["name", "absent"], "ConsistentRead": True}
    key = item(pk="a", sk=1)
    assert client.get_item(TableName=table, Key=key, **names)["Item"] == item(name="ann")
    found = client.batch_get_item(RequestItems={table: {"Keys": [key], **names}})
    assert found["Responses"][table] == [item(name="ann")]
    conditions = IN_A | {"sk": compare("EQ", 1)}
    assert client.query(TableName=table, KeyConditions=conditions, **names)["Items"] == [item(name="ann")]
    assert sorted(plain(one, "name") for one in client.scan(TableName=table, **names)["Items"]) == [
        "ann", "annika", "bob", "carl", "zoe",
    ]  # fmt: skip


# --- Expected ---------------------------------------------------------------------------------------------------------

EXPECTATIONS = [
    pytest.param({"v": {"Value": value(1)}}, {}, True, id="value alone"),
    pytest.param({"v": {"Value": value(2)}}, {}, False, id="another value"),
    pytest.param({"v": {"Exists": True, "Value": value(1)}}, {}, True, id="exists with this value"),
    pytest.param({"v": {"Exists": False}}, {}, False, id="must not exist but does"),
    pytest.param({"absent": {"Exists": False}}, {}, True, id="must not exist and does not"),
    pytest.param({"v": compare("GE", 1)}, {}, True, id="comparison"),
    pytest.param({"v": compare("NOT_NULL")}, {}, True, id="NOT_NULL"),
    pytest.param({"w": compare("NULL")}, {}, True, id="NULL"),
    pytest.param({"s": compare("BEGINS_WITH", "te")}, {}, True, id="BEGINS_WITH"),
    pytest.param({"v": compare("EQ", 1), "s": compare("EQ", "x")}, {}, False, id="both must hold"),
    pytest.param(
        {"v": compare("EQ", 1), "s": compare("EQ", "x")}, {"ConditionalOperator": "OR"}, True, id="one of both holds"
    ),
]


@pytest.mark.parametrize(("expected", "members", "holds"), EXPECTATIONS)
@pytest.mark.parametrize("operation", ["put_item", "update_item", "delete_item"])
def test_expected(
    client: Any, scratch: str, operation: str, expected: dict[str, Any], members: dict[str, Any], holds: bool
) -> None:
    key, before = item(pk="e"), item(pk="e", v=1, s="text")
    client.put_item(TableName=scratch, Item=before)
    target = {
        "put_item": {"Item": key},
        "update_item": {"Key": key, "AttributeUpdates": {"v": {"Value": value(9)}}},
        "delete_item": {"Key": key},
    }[operation]
    request = {"TableName": scratch, "Expected": expected, **target, **members}
    call = getattr(client, operation)
    if holds:
        call(**request)
    else:
        assert refusal(call, **request) == CONDITION_FAILED
    changed = client.get_item(TableName=scratch, Key=key, ConsistentRead=True).get("Item") != before
    assert changed == holds


# --- AttributeUpdates -------------------------------------------------------------------------------------------------

UPDATES = [
    pytest.param({"v": {"Action": "PUT", "Value": value("new")}}, {"v": value("new")}, id="PUT"),
    pytest.param({"x": {"Value": value("new")}}, {"x": value("new")}, id="no action is PUT"),
    pytest.param({"v": {"Action": "ADD", "Value": value(5)}}, {"v": value(15)}, id="ADD to a number"),
    pytest.param({"x": {"Action": "ADD", "Value": value(5)}}, {"x": value(5)}, id="ADD to nothing"),
    pytest.param({"l": {"Action": "ADD", "Value": value([2])}}, {"l": value([1, 2])}, id="ADD to a list"),
    pytest.param({"s": {"Action": "ADD", "Value": value({"c"})}}, {"s": value({"a", "b", "c"})}, id="ADD to a set"),
    pytest.param({"s": {"Action": "DELETE", "Value": value({"a"})}}, {"s": value({"b"})}, id="DELETE from a set"),
    pytest.param({"v": {"Action": "DELETE"}}, {"v": None}, id="DELETE an attribute"),
    pytest.param(
        {"v": {"Action": "ADD", "Value": value(1)}, "l": {"Action": "DELETE"}},
        {"v": value(11), "l": None},
        id="several at once",
    ),
]


@pytest.mark.parametrize(("updates", "changed"), UPDATES)
def test_attribute_updates(client: Any, scratch: str, updates: dict[str, Any], changed: dict[str, Any]) -> None:
    before = item(pk="u", v=10, l=[1], s={"a", "b"})
    client.put_item(TableName=scratch, Item=before)
    answer = client.update_item(TableName=scratch, Key=item(pk="u"), AttributeUpdates=updates, ReturnValues="ALL_NEW")
    found = answer["Attributes"]
    if "s" in found:
        found["s"]["SS"].sort()
    assert found == {name: content for name, content in (before | changed).items() if content is not None}


def test_attribute_updates_make_an_item(client: Any, scratch: str) -> None:
    client.update_item(TableName=scratch, Key=item(pk="made"), AttributeUpdates={"v": {"Value": value(1)}})
    found = client.get_item(TableName=scratch, Key=item(pk="made"), ConsistentRead=True)
    assert found["Item"] == item(pk="made", v=1)


# --- refusals ---------------------------------------------------------------------------------------------------------


def mixed(old: str, new: str) -> str:
    return (
        "Can not use both expression and non-expression parameters in the same request: "
        f"Non-expression parameters: {{{old}}} Expression parameters: {{{new}}}"
    )


KEY = {"Key": item(pk="a", sk=1)}
REFUSALS = [
    pytest.param(
        "put_item",
        {
            "Item": item(pk="a", sk=1),
            "Expected": {"v": {"Exists": False}},
            "ConditionExpression": "attribute_exists(v)",
        },
        mixed("Expected", "ConditionExpression"),
        id="Expected and ConditionExpression",
    ),
    pytest.param(
        "update_item",
        KEY
        | {
            "AttributeUpdates": {"v": {"Value": value(1)}},
            "UpdateExpression": "SET v = :v",
            "ExpressionAttributeValues": values(v=1),
        },
        mixed("AttributeUpdates", "UpdateExpression"),
        id="AttributeUpdates and UpdateExpression",
    ),
    pytest.param(
        "get_item",
        KEY | {"AttributesToGet": ["v"], "ProjectionExpression": "v"},
        mixed("AttributesToGet", "ProjectionExpression"),
        id="AttributesToGet and ProjectionExpression",
    ),
    pytest.param(
        "get_item",
        KEY | {"AttributesToGet": ["v", "v"]},
        INVALID + "Duplicate value in attribute name: v",
        id="one attribute twice",
    ),
    pytest.param(
        "update_item",
        KEY | {"AttributeUpdates": {"pk": {"Value": value("b")}}},
        INVALID + "Cannot update attribute pk. This attribute is part of the key",
        id="update of the key",
    ),
    pytest.param(
        "update_item",
        KEY | {"AttributeUpdates": {"v": {"Action": "ADD", "Value": value("s")}}},
        INVALID + "ADD action is not supported for the type S",
        id="ADD of a string",
    ),
    pytest.param(
        "put_item",
        {"Item": item(pk="a", sk=1), "Expected": {"v": {}}},
        INVALID + "Value must be provided when Exists is null for Attribute: v",
        id="Expected without anything",
    ),
    pytest.param(
        "put_item",
        {"Item": item(pk="a", sk=1), "Expected": {"v": {"Exists": True}}},
        INVALID + "Value must be provided when Exists is true for Attribute: v",
        id="Exists without a value",
    ),
    pytest.param(
        "put_item",
        {"Item": item(pk="a", sk=1), "Expected": {"v": {"Exists": False, "Value": value(1)}}},
        INVALID + "Value cannot be used when Exists is false for Attribute: v",
        id="a value that must not exist",
    ),
    pytest.param(
        "scan",
        {"ScanFilter": {"v": compare("EQ", 1, 2)}},
        INVALID + "Invalid number of argument(s) for the EQ ComparisonOperator",
        id="two operands for one",
    ),
    pytest.param(
        "scan",
        {"ScanFilter": {"v": compare("BETWEEN", 1)}},
        INVALID + "Invalid number of argument(s) for the BETWEEN ComparisonOperator",
        id="one operand for two",
    ),
    pytest.param(
        "scan",
        {"ScanFilter": {"v": compare("BETWEEN", 2, 1)}},
        "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
        id="BETWEEN with its bounds exchanged",
    ),
    pytest.param(
        "scan",
        {"ScanFilter": {"v": compare("IN", 1, "s")}},
        INVALID + "AttributeValues inside AttributeValueList must be of same type",
        id="IN of two types",
    ),
    pytest.param(
        "scan",
        {"ScanFilter": {"v": compare("LT", True)}},
        INVALID + "ComparisonOperator LT is not valid for BOOL AttributeValue type",
        id="order of booleans",
    ),
    pytest.param(
        "query",
        {"KeyConditions": {"pk": compare("NE", "a")}},
        "Attempted conditional constraint is not an indexable operation",
        id="NE of a key",
    ),
    pytest.param(
        "query",
        {"KeyConditions": {"sk": compare("EQ", 1)}},
        "Query condition missed key schema element: pk",
        id="sort key alone",
    ),
    pytest.param(
        "query",
        {"KeyConditions": {"pk": compare("EQ", 1)}},
        INVALID + "Condition parameter type does not match schema type",
        id="key of another type",
    ),
    pytest.param(
        "query",
        {"KeyConditions": IN_A | {"sk": compare("EQ", 1), "v": compare("EQ", 1)}},
        "The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)",
        id="three key conditions",
    ),
    pytest.param(
        "query",
        {"KeyConditions": IN_A, "QueryFilter": {"sk": compare("EQ", 1)}},
        "QueryFilter can only contain non-primary key attributes: Primary key attribute: sk",
        id="filter on the sort key",
    ),
]


@pytest.mark.parametrize(("operation", "members", "message"), REFUSALS)
def test_a_legacy_request_is_refused(
    client: Any, table: str, operation: str, members: dict[str, Any], message: str
) -> None:
    assert refusal(getattr(client, operation), TableName=table, **members) == (VALIDATION, message)

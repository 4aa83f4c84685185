"""What is refused, with the exact code and text (shared/reference/dynamodb-semantics.md sections 2 and 15), over HTTP.

Sent as raw bytes: an SDK would refuse much of this before sending it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.cluster import LocalCluster
from harness.http import HttpConnection

pytestmark = pytest.mark.cluster

VALIDATION = "ValidationException"
INVALID = "One or more parameter values were invalid: "
KEY = {"pk": {"S": "a"}, "sk": {"N": "1"}}


@pytest.fixture(scope="module")
def http(shared_cluster: LocalCluster) -> Iterator[HttpConnection]:
    with shared_cluster.http() as connection:
        yield connection


@pytest.fixture(scope="module")
def table(new_table: Callable[..., str]) -> str:
    return new_table("S", "N")


def refused(http: HttpConnection, operation: str, request: object) -> tuple[int, str, str]:
    answer = http.call(operation, request)
    assert answer.status >= 400, answer.body
    return answer.status, *answer.error


# (operation, request without TableName, code, message)
ITEM_REFUSALS = [
    pytest.param("PutItem", {"Item": {"pk": {"S": "a"}}}, INVALID + "Missing the key sk in the item", id="no sort key"),
    pytest.param(
        "PutItem",
        {"Item": {"pk": {"N": "1"}, "sk": {"N": "1"}}},
        INVALID + "Type mismatch for key pk expected: S actual: N",
        id="key of another type",
    ),
    pytest.param(
        "GetItem", {"Key": {"pk": {"S": "a"}}}, "The provided key element does not match the schema", id="half a key"
    ),
    pytest.param(
        "GetItem",
        {"Key": KEY | {"more": {"S": "x"}}},
        "The provided key element does not match the schema",
        id="more than the key",
    ),
    pytest.param(
        "PutItem",
        {"Item": {"pk": {"S": ""}, "sk": {"N": "1"}}},
        "One or more parameter values are not valid. "
        "The AttributeValue for a key attribute cannot contain an empty string value. Key: pk",
        id="empty key",
    ),
    pytest.param(
        "PutItem",
        {"Item": {"pk": {"S": "é" * 1025}, "sk": {"N": "1"}}},
        INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes",
        id="partition key over 2048 bytes",
    ),
    pytest.param(
        "PutItem",
        {"Item": KEY | {"v": {"S": "x" * 409_600}}},
        "Item size has exceeded the maximum allowed size",
        id="item over 400 KB",
    ),
    pytest.param(
        "PutItem", {"Item": KEY | {"v": {"SS": []}}}, INVALID + "An string set  may not be empty", id="empty string set"
    ),
    pytest.param(
        "PutItem", {"Item": KEY | {"v": {"NS": []}}}, INVALID + "An number set  may not be empty", id="empty number set"
    ),
    pytest.param(
        "PutItem",
        {"Item": KEY | {"v": {"SS": ["a", "a"]}}},
        INVALID + "Input collection [a, a] contains duplicates.",
        id="set with duplicates",
    ),
    pytest.param(
        "PutItem",
        {"Item": KEY | {"v": {"NULL": False}}},
        INVALID + "Null attribute value types must have the value of true",
        id="null that is false",
    ),
    pytest.param(
        "PutItem",
        {"Item": KEY | {"v": {"N": "1" + "0" * 37 + "1"}}},
        "Attempting to store more than 38 significant digits in a Number",
        id="39 digits",
    ),
    pytest.param(
        "PutItem",
        {"Item": KEY | {"v": {"N": "1E126"}}},
        "Number overflow. Attempting to store a number with magnitude larger than supported range",
        id="number too large",
    ),
    pytest.param(
        "PutItem",
        {"Item": KEY | {"v": {"N": "1E-131"}}},
        "Number underflow. Attempting to store a number with magnitude smaller than supported range",
        id="number too small",
    ),
    pytest.param(
        "PutItem",
        {"Item": KEY | {"v": {"N": "one"}}},
        "The parameter cannot be converted to a numeric value: one",
        id="not a number",
    ),
    pytest.param(
        "PutItem",
        {"Item": KEY | {"v": {}}},
        "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        id="value without a type",
    ),
    pytest.param(
        "UpdateItem",
        {"Key": KEY, "UpdateExpression": "SET a = :v"},
        "Invalid UpdateExpression: An expression attribute value used in expression is not defined;"
        " attribute value: :v",
        id="undefined value",
    ),
    pytest.param(
        "UpdateItem",
        {"Key": KEY, "UpdateExpression": "INVALID SYNTAX"},
        'Invalid UpdateExpression: Syntax error; token: "INVALID", near: "INVALID SYNTAX"',
        id="syntax error",
    ),
    pytest.param(
        "UpdateItem",
        {"Key": KEY, "UpdateExpression": "SET pk = :v", "ExpressionAttributeValues": {":v": {"S": "b"}}},
        INVALID + "Cannot update attribute pk. This attribute is part of the key",
        id="update of a key attribute",
    ),
    pytest.param(
        "PutItem",
        {
            "Item": KEY,
            "ConditionExpression": "attribute_exists(a)",
            "ExpressionAttributeNames": {"#unused": "b"},
        },
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#unused}",
        id="unused name",
    ),
    pytest.param(
        "PutItem",
        {"Item": KEY, "ExpressionAttributeValues": {":v": {"S": "b"}}},
        "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
        id="values without an expression",
    ),
    pytest.param(
        "PutItem",
        {"Item": KEY, "ConditionExpression": "attribute_exists(pk)", "Expected": {"pk": {"Exists": False}}},
        "Can not use both expression and non-expression parameters in the same request:"
        " Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}",
        id="old and new parameters",
    ),
]


@pytest.mark.parametrize(("operation", "request_members", "message"), ITEM_REFUSALS)
def test_an_item_request_is_refused(
    http: HttpConnection, table: str, operation: str, request_members: dict[str, Any], message: str
) -> None:
    assert refused(http, operation, {"TableName": table, **request_members}) == (400, VALIDATION, message)


def test_an_update_may_not_grow_an_item_over_the_limit(http: HttpConnection, table: str) -> None:
    key = {"pk": {"S": "grows"}, "sk": {"N": "1"}}
    assert http.call("PutItem", {"TableName": table, "Item": key | {"v": {"S": "x" * 300_000}}}).status == 200
    update = {
        "TableName": table,
        "Key": key,
        "UpdateExpression": "SET w = :w",
        "ExpressionAttributeValues": {":w": {"S": "x" * 120_000}},
    }
    message = "Item size to update has exceeded the maximum allowed size"
    assert refused(http, "UpdateItem", update) == (400, VALIDATION, message)
    item = http.call("GetItem", {"TableName": table, "Key": key, "ConsistentRead": True}).json["Item"]
    assert item.keys() == {"pk", "sk", "v"}


@pytest.mark.parametrize(
    ("operand", "message"),
    [
        ("n + :v", "An operand in the update expression has an incorrect data type"),
        ("absent + :v", "The provided expression refers to an attribute that does not exist in the item"),
    ],
    ids=["wrong type in the item", "attribute that is not there"],
)
def test_an_update_that_the_item_does_not_allow_is_refused(
    http: HttpConnection, table: str, operand: str, message: str
) -> None:
    key = {"pk": {"S": "typed"}, "sk": {"N": "1"}}
    assert http.call("PutItem", {"TableName": table, "Item": key | {"n": {"S": "text"}}}).status == 200
    update = {
        "TableName": table,
        "Key": key,
        "UpdateExpression": f"SET n = {operand}",
        "ExpressionAttributeValues": {":v": {"N": "1"}},
    }
    assert refused(http, "UpdateItem", update) == (400, VALIDATION, message)


@pytest.mark.parametrize(("size", "fits"), [(409_600, True), (409_601, False)], ids=["exactly 400 KB", "one byte more"])
def test_the_item_limit_counts_names_and_values(http: HttpConnection, table: str, size: int, fits: bool) -> None:
    # pk + "limit" + sk + the number 1 (2 bytes) + v: 2 + 5 + 2 + 2 + 1 bytes around the text.
    item = {"pk": {"S": "limit"}, "sk": {"N": "1"}, "v": {"S": "x" * (size - 12)}}
    assert (http.call("PutItem", {"TableName": table, "Item": item}).status == 200) is fits


@pytest.mark.parametrize(
    ("table_name", "message"),
    [
        (
            "",
            "1 validation error detected: Value '' at 'tableName' failed to satisfy constraint:"
            " Member must have length greater than or equal to 1",
        ),
        (None, "1 validation error detected: Value null at 'tableName' failed to satisfy constraint:"
               " Member must not be null"),
        (
            "a b",
            "1 validation error detected: Value 'a b' at 'tableName' failed to satisfy constraint:"
            " Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        ),
    ],
    ids=["empty", "missing", "with a space"],
)  # fmt: skip
def test_a_table_name_that_cannot_be_one_is_refused(http: HttpConnection, table_name: str | None, message: str) -> None:
    request = {"Key": KEY} | ({} if table_name is None else {"TableName": table_name})
    assert refused(http, "GetItem", request) == (400, VALIDATION, message)


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        ("GetItem", {"Key": KEY}, "Requested resource not found"),
        ("PutItem", {"Item": KEY}, "Requested resource not found"),
        ("UpdateItem", {"Key": KEY}, "Requested resource not found"),
        ("DeleteItem", {"Key": KEY}, "Requested resource not found"),
        ("DescribeTable", {}, "Requested resource not found: Table: no-such-table not found"),
        ("DeleteTable", {}, "Requested resource not found: Table: no-such-table not found"),
    ],
)
def test_a_table_that_is_not_there(http: HttpConnection, operation: str, members: dict[str, Any], message: str) -> None:
    expected = (400, "ResourceNotFoundException", message)
    assert refused(http, operation, {"TableName": "no-such-table", **members}) == expected


def test_several_violations_are_listed_together(http: HttpConnection) -> None:
    request = {"TableName": "a b", "Key": KEY, "ReturnConsumedCapacity": "SOME"}
    assert refused(http, "GetItem", request) == (
        400,
        VALIDATION,
        "2 validation errors detected: Value 'SOME' at 'returnConsumedCapacity' failed to satisfy constraint:"
        " Member must satisfy enum value set: [INDEXES, TOTAL, NONE]; Value 'a b' at 'tableName' failed to satisfy"
        " constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
    )


KEYS = {"KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
DEFINED = {"AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}]}


@pytest.mark.parametrize(
    ("request_members", "message"),
    [
        pytest.param(
            {**KEYS, **DEFINED},
            "The parameter 'TableName' is required but was not present in the request",
            id="no name",
        ),
        pytest.param(
            {"TableName": "ab", **KEYS, **DEFINED},
            "1 validation error detected: Value 'ab' at 'tableName' failed to satisfy constraint:"
            " Member must have length greater than or equal to 3",
            id="name of two characters",
        ),
        pytest.param(
            {"TableName": "x" * 256, **KEYS, **DEFINED},
            f"1 validation error detected: Value '{'x' * 256}' at 'tableName' failed to satisfy constraint:"
            " Member must have length less than or equal to 255",
            id="name of 256 characters",
        ),
        pytest.param(
            {"TableName": "abc", **KEYS, "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "X"}]},
            "1 validation error detected: Value 'X' at 'attributeDefinitions.1.member.attributeType' failed to satisfy"
            " constraint: Member must satisfy enum value set: [B, N, S]",
            id="key of an unknown type",
        ),
    ],
)
def test_a_table_that_cannot_be_is_refused(http: HttpConnection, request_members: Any, message: str) -> None:
    assert refused(http, "CreateTable", request_members) == (400, VALIDATION, message)


def test_a_table_that_exists_is_not_made_again(http: HttpConnection, table: str) -> None:
    request = {"TableName": table, **KEYS, **DEFINED}
    expected = (400, "ResourceInUseException", f"Table already exists: {table}")
    assert refused(http, "CreateTable", request) == expected

"""Validation: constraints of the model gathered in one message, their order, wrong JSON types, unknown operations.

Sources: shared/reference section 15, answers of the service recorded by public suites. Sent as raw HTTP where an SDK
could not say it.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from conformance_support import NOT_FOUND, VALIDATION, Tables, item, refusal, values

pytestmark = pytest.mark.cluster

PATTERN = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
CAPACITY = "Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
SELECT = "Member must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"


@pytest.fixture(scope="module")
def table(tables: Tables) -> str:
    return tables.make("pk:S")


def said(*faults: tuple[str, str, str]) -> set[str]:
    """The parts of the message about (value, member, constraint), in any order."""
    return {f"Value '{of}' at '{member}' failed to satisfy constraint: {fault}" for of, member, fault in faults}


GATHERED = [
    pytest.param(
        "query",
        {"TableName": "a!b", "ReturnConsumedCapacity": "SOME", "Select": "ANY"},
        said(("a!b", "tableName", PATTERN), ("SOME", "returnConsumedCapacity", CAPACITY), ("ANY", "select", SELECT)),
        id="query",
    ),
    pytest.param(
        "scan",
        {"TableName": "good-name", "Limit": 0, "ReturnConsumedCapacity": "SOME"},
        said(
            ("0", "limit", "Member must have value greater than or equal to 1"),
            ("SOME", "returnConsumedCapacity", CAPACITY),
        ),
        id="scan",
    ),
    pytest.param(
        "batch_write_item",
        {"RequestItems": {"abc": [{"DeleteRequest": {"Key": {"pk": {"S": "a"}}}}]}, "ReturnConsumedCapacity": "x",
         "ReturnItemCollectionMetrics": "y"},
        said(
            ("x", "returnConsumedCapacity", CAPACITY),
            ("y", "returnItemCollectionMetrics", "Member must satisfy enum value set: [SIZE, NONE]"),
        ),
        id="batch write",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "members", "faults"), GATHERED)
def test_all_constraints_are_gathered_in_one_message(
    client: Any, operation: str, members: dict[str, Any], faults: set[str]
) -> None:
    code, message = refusal(getattr(client, operation), **members)
    assert code == VALIDATION
    head, _, rest = message.partition(" detected: ")
    assert head == f"{len(faults)} validation errors"
    assert set(rest.split("; ")) == faults


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values(p="a")}),
        ("scan", {}),
        ("put_item", {"Item": item(pk="a")}),
        ("get_item", {"Key": item(pk="a")}),
        ("update_item", {"Key": item(pk="a")}),
        ("delete_item", {"Key": item(pk="a")}),
    ],
)
def test_constraints_come_before_the_look_for_the_table(client: Any, operation: str, members: dict[str, Any]) -> None:
    call = getattr(client, operation)
    assert refusal(call, TableName="conformance-absent", **members) == NOT_FOUND
    code, message = refusal(call, TableName="conformance-absent", ReturnConsumedCapacity="SOME", **members)
    assert (code, CAPACITY in message) == (VALIDATION, True)


# --- raw requests -----------------------------------------------------------------------------------------------------


def post(endpoint: str, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Status and JSON of one raw request."""
    scope = "Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
    request = urllib.request.Request(
        endpoint,
        body,
        {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Authorization": f"AWS4-HMAC-SHA256 {scope}",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


WRONG_TYPES = [
    ("Query", {"TableName": 1}),
    ("Query", {"TableName": "abc", "Limit": "1"}),
    ("Query", {"TableName": "abc", "ExpressionAttributeValues": []}),
    ("Query", {"TableName": "abc", "ExpressionAttributeValues": {":v": "a"}}),
    ("Query", {"TableName": "abc", "ExpressionAttributeValues": {":v": {"S": 1}}}),
    ("Query", {"TableName": "abc", "ScanIndexForward": "yes"}),
    ("Scan", {"TableName": "abc", "Segment": "0"}),
    ("Scan", {"TableName": "abc", "ScanFilter": {"a": []}}),
    ("Scan", {"TableName": "abc", "AttributesToGet": "a"}),
    ("BatchGetItem", {"RequestItems": []}),
    ("BatchGetItem", {"RequestItems": {"abc": []}}),
    ("BatchGetItem", {"RequestItems": {"abc": {"Keys": {}}}}),
    ("BatchWriteItem", {"RequestItems": {"abc": {}}}),
    ("BatchWriteItem", {"RequestItems": {"abc": ["a"]}}),
    ("BatchWriteItem", {"RequestItems": {"abc": [{"PutRequest": []}]}}),
    ("PutItem", {"TableName": "abc", "Item": {"pk": {"B": 1}}}),
    ("PutItem", {"TableName": "abc", "Item": {"pk": {"SS": "a"}}}),
    ("UpdateTable", {"TableName": "abc", "GlobalSecondaryIndexUpdates": {}}),
    ("TagResource", {"ResourceArn": "a", "Tags": {}}),
    ("UpdateTimeToLive", {"TableName": "abc", "TimeToLiveSpecification": "on"}),
    ("ExecuteStatement", {"Statement": 1}),
    ("ExecuteStatement", {"Statement": "a", "Parameters": {}}),
    ("BatchExecuteStatement", {"Statements": "a"}),
]


@pytest.mark.parametrize(("operation", "request_"), WRONG_TYPES, ids=[f"{o} {json.dumps(r)}" for o, r in WRONG_TYPES])
def test_a_wrong_json_type_is_a_serialization_exception(endpoint: str, operation: str, request_: Any) -> None:
    status, answer = post(endpoint, operation, json.dumps(request_).encode())
    assert (status, answer["__type"].rpartition("#")[2]) == (400, "SerializationException")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"null", b"1", b'{"a":}', b"\xff\xfe"])
def test_a_body_that_is_no_object_is_a_serialization_exception(endpoint: str, body: bytes) -> None:
    status, answer = post(endpoint, "Query", body)
    assert (status, answer["__type"].rpartition("#")[2]) == (400, "SerializationException")


def test_an_operation_that_does_not_exist_is_unknown(endpoint: str) -> None:
    status, answer = post(endpoint, "NoSuchOperation", b"{}")
    assert (status, answer["__type"].rpartition("#")[2]) == (400, "UnknownOperationException")


def test_members_that_the_model_does_not_know_are_ignored(endpoint: str, table: str) -> None:
    status, answer = post(endpoint, "Scan", json.dumps({"TableName": table, "NoSuchMember": {"a": [1]}}).encode())
    assert (status, answer["Count"]) == (200, 0)


def test_null_is_the_same_as_nothing(endpoint: str, table: str) -> None:
    request = {"TableName": table, "FilterExpression": None, "Limit": None, "ExclusiveStartKey": None}
    status, answer = post(endpoint, "Scan", json.dumps(request).encode())
    assert (status, answer) == (200, {"Items": [], "Count": 0, "ScannedCount": 0})

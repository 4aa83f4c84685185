"""Request validation against the service model: types first, then all constraints together, in the service's words."""

from __future__ import annotations

import time
from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo.errors import DynamoError
from dynamo.requests import operation_names, validator_for
from dynamo.requests.model import input_shape

pytestmark = pytest.mark.unit

NULL = "Member must not be null"
PATTERN = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
STRUCTURE_FOUND = "Start of structure or map found where not expected"
REQUIRED_TABLE_NAME = "The parameter 'TableName' is required but was not present in the request"
PACKAGE = "com.amazonaws.dynamodb.v20120810."
ITEM = {"pk": {"S": "x"}}


def refusal(operation: str, body: Any) -> tuple[str, str]:
    with pytest.raises(DynamoError) as caught:
        validator_for(operation).validate(body)
    return caught.value.code, caught.value.message


def detected(*violations: tuple[str, str, str]) -> str:
    """The message for (value, path, rule) each; value None prints null without quotes."""
    plural = "" if len(violations) == 1 else "s"
    listed = "; ".join(
        f"Value {value} at '{path}' failed to satisfy constraint: {rule}" for value, path, rule in violations
    )
    return f"{len(violations)} validation error{plural} detected: {listed}"


def test_the_operations_are_those_of_the_model() -> None:
    names = operation_names()
    assert len(names) >= 58
    assert {"PutItem", "GetItem", "CreateTable", "TransactWriteItems", "ExecuteStatement"} <= names
    with pytest.raises(KeyError):
        validator_for("NoSuchOperation")


def test_the_operations_of_streams_are_known_apart() -> None:
    assert operation_names("dynamodbstreams") == {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"}


@pytest.mark.parametrize("operation", sorted(operation_names()))
def test_every_operation_compiles_and_judges_an_empty_body(operation: str) -> None:
    validator = validator_for(operation)
    required = [member.name for member in input_shape(operation).members if member.required]
    if required:
        code, message = refusal(operation, {})
        assert code == "ValidationException"
        assert "null" in message or message in (REQUIRED_TABLE_NAME, "Invalid TableArn")
    else:
        assert validator.validate({}) == {}


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        pytest.param("PutItem", {"TableName": "t", "Item": ITEM}, id="smallest put"),
        pytest.param(
            "PutItem",
            {
                "TableName": "Table_1.a-b",
                "Item": ITEM,
                "ReturnValues": "ALL_OLD",
                "ReturnConsumedCapacity": "INDEXES",
                "ConditionExpression": "attribute_not_exists(#a)",
                "ExpressionAttributeNames": {"#a": "a"},
                "ExpressionAttributeValues": {":v": {"N": "1"}},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            },
            id="full put",
        ),
        pytest.param("GetItem", {"TableName": "a" * 255, "Key": ITEM, "ConsistentRead": True}, id="get"),
        pytest.param("GetItem", {"TableName": "t", "Key": ITEM, "AttributesToGet": ["a"]}, id="get with a list"),
        pytest.param("ListTables", {}, id="nothing required"),
        pytest.param("ListTables", {"Limit": 100, "ExclusiveStartTableName": "abc"}, id="numbers in range"),
        pytest.param("BatchGetItem", {"RequestItems": {"t": {"Keys": [ITEM]}}}, id="nested"),
    ],
)
def test_a_plainly_valid_request_is_returned_as_it_is(operation: str, body: dict[str, Any]) -> None:
    original = deepcopy(body)
    validated = validator_for(operation).validate(body)
    assert validated is body
    assert validated == original


@pytest.mark.parametrize(
    ("operation", "body", "validated"),
    [
        pytest.param(
            "PutItem",
            {"TableName": "t", "Item": ITEM, "Unknown": {"x": 1}, "ReturnValues": None},
            {"TableName": "t", "Item": ITEM},
            id="unknown and null members go",
        ),
        pytest.param(
            "GetItem",
            {"TableName": "t", "Key": ITEM, "ConsistentRead": "TRUE"},
            {"TableName": "t", "Key": ITEM, "ConsistentRead": True},
            id="a boolean as a word",
        ),
        pytest.param("ListTables", {"Limit": 5.9}, {"Limit": 5}, id="a fraction is cut"),
        pytest.param(
            "GetItem",
            {"TableName": "arn:aws:dynamodb:us-east-1:123456789012:table/Music", "Key": ITEM},
            {"TableName": "arn:aws:dynamodb:us-east-1:123456789012:table/Music", "Key": ITEM},
            id="a table by its ARN",
        ),
    ],
)
def test_a_request_is_read_as_the_service_reads_it(operation: str, body: Any, validated: Any) -> None:
    assert validator_for(operation).validate(body) == validated


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        pytest.param("PutItem", [], f"Unrecognized collection type class {PACKAGE}PutItemInput", id="a list as body"),
        pytest.param("PutItem", "x", "Unexpected field type", id="a string as body"),
        pytest.param("PutItem", None, "Unexpected field type", id="null as body"),
        pytest.param("PutItem", {"TableName": 23}, "NUMBER_VALUE cannot be converted to String", id="number"),
        pytest.param("PutItem", {"TableName": 2.5}, "DECIMAL_VALUE cannot be converted to String", id="fraction"),
        pytest.param("PutItem", {"TableName": True}, "TRUE_VALUE cannot be converted to String", id="boolean"),
        pytest.param(
            "PutItem", {"TableName": []}, "Unrecognized collection type class java.lang.String", id="list for string"
        ),
        pytest.param("PutItem", {"TableName": {}}, STRUCTURE_FOUND, id="structure for string"),
        pytest.param("PutItem", {"Item": "x"}, "Unexpected field type", id="string for a map"),
        pytest.param(
            "PutItem",
            {"Item": []},
            f"Unrecognized collection type java.util.Map<java.lang.String, {PACKAGE}AttributeValue>",
            id="list for a map",
        ),
        pytest.param(
            "PutItem",
            {"Expected": []},
            f"Unrecognized collection type java.util.Map<java.lang.String, {PACKAGE}ExpectedAttributeValue>",
            id="list for a map of structures",
        ),
        pytest.param(
            "PutItem",
            {"ExpressionAttributeNames": []},
            "Unrecognized collection type java.util.Map<java.lang.String, java.lang.String>",
            id="list for a map of strings",
        ),
        pytest.param("PutItem", {"Expected": {"a": 5}}, "Unexpected value type in payload", id="element of a map"),
        pytest.param(
            "GetItem", {"ConsistentRead": 1}, "NUMBER_VALUE cannot be converted to Boolean", id="number for boolean"
        ),
        pytest.param("GetItem", {"ConsistentRead": "yes"}, "Unexpected token received from parser", id="other word"),
        pytest.param("GetItem", {"AttributesToGet": {}}, STRUCTURE_FOUND, id="map for a list"),
        pytest.param("GetItem", {"AttributesToGet": "a"}, "Unexpected field type", id="string for a list"),
        pytest.param(
            "ListTables", {"Limit": "5"}, "STRING_VALUE cannot be converted to Integer", id="string for number"
        ),
        pytest.param(
            "CreateTable",
            {"ProvisionedThroughput": {"ReadCapacityUnits": "5"}},
            "STRING_VALUE cannot be converted to Long",
            id="nested member",
        ),
        *(
            pytest.param(
                "CreateTable",
                orjson.loads(f'{{"WarmThroughput": {{"ReadUnitsPerSecond": {number}}}}}'),
                "NUMBER_VALUE cannot be converted to Long",
                id=f"{number} for a Long",
            )
            for number in ("9223372036854775808", "18446744073709551616", "1e300", "-1e300")
        ),
        *(
            pytest.param(
                operation,
                {"Limit": number},
                "NUMBER_VALUE cannot be converted to Integer",
                id=f"{number} for an Integer of {operation}",
            )
            for operation in ("Scan", "ListTables")
            for number in (2**31, -(2**31) - 1, 1e300)
        ),
        pytest.param("CreateTable", {"ProvisionedThroughput": 5}, "Unexpected field type", id="number for a structure"),
        pytest.param("CreateTable", {"KeySchema": ["a"]}, "Unexpected value type in payload", id="element of a list"),
        pytest.param(
            "PutItem",
            {"TableName": "not valid!", "Item": {"a": {"S": 5}}},
            "NUMBER_VALUE cannot be converted to String",
            id="types inside an item come before constraints",
        ),
        pytest.param(
            "PutItem",
            {"ReturnValues": "x", "Item": {"a": {"L": [5]}}},
            "Unexpected value type in payload",
            id="types deep inside an item come before constraints",
        ),
    ],
)
def test_wrong_json_types(operation: str, body: Any, message: str) -> None:
    assert refusal(operation, body) == ("SerializationException", message)


LONG = "a" * 256
RETURN_VALUES = "Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"
CAPACITY = "Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        pytest.param("PutItem", {}, detected(("null", "tableName", NULL), ("null", "item", NULL)), id="nothing given"),
        pytest.param(
            "PutItem",
            {"TableName": "", "ReturnValues": "x"},
            detected(("''", "tableName", "Member must have length greater than or equal to 1")),
            id="an empty table name stops early",
        ),
        pytest.param(
            "PutItem",
            {"TableName": "a;"},
            detected(("'a;'", "tableName", PATTERN), ("null", "item", NULL)),
            id="pattern",
        ),
        pytest.param(
            "PutItem", {"TableName": "name\n", "Item": ITEM}, detected(("'name\n'", "tableName", PATTERN)), id="newline"
        ),
        pytest.param(
            "PutItem",
            {"TableName": LONG, "Item": ITEM},
            detected((f"'{LONG}'", "tableName", "Member must have length less than or equal to 255")),
            id="long table name",
        ),
        pytest.param(
            "GetItem",
            {"TableName": "arn:" + "a" * 1021, "Key": ITEM},
            detected((f"'arn:{'a' * 1021}'", "tableName", "Member must have length less than or equal to 1024")),
            id="long ARN",
        ),
        pytest.param(
            "PutItem",
            {
                "TableName": "abc;",
                "ReturnConsumedCapacity": "hi",
                "ReturnItemCollectionMetrics": "hi",
                "ReturnValues": "hi",
            },
            detected(
                ("'hi'", "returnConsumedCapacity", CAPACITY),
                ("'abc;'", "tableName", PATTERN),
                ("null", "item", NULL),
                ("'hi'", "returnValues", RETURN_VALUES),
                ("'hi'", "returnItemCollectionMetrics", "Member must satisfy enum value set: [SIZE, NONE]"),
            ),
            id="all violations together, in the service's order",
        ),
        pytest.param(
            "GetItem",
            {"TableName": "t", "Key": ITEM, "AttributesToGet": []},
            detected(("'[]'", "attributesToGet", "Member must have length greater than or equal to 1")),
            id="empty list",
        ),
        pytest.param(
            "ListTables",
            {"Limit": 0},
            detected(("'0'", "limit", "Member must have value greater than or equal to 1")),
            id="number too small",
        ),
        pytest.param(
            "ListTables",
            {"Limit": 101},
            detected(("'101'", "limit", "Member must have value less than or equal to 100")),
            id="number too large",
        ),
        pytest.param(
            "BatchWriteItem",
            {"RequestItems": {"t": []}},
            detected(
                (
                    "'{t=[]}'",
                    "requestItems",
                    "Map value must satisfy constraint: [Member must have length less than or equal to 25, "
                    "Member must have length greater than or equal to 1]",
                )
            ),
            id="a rule for the values of a map",
        ),
        pytest.param(
            "BatchGetItem",
            {"RequestItems": {"t": {}}},
            detected(("null", "requestItems.t.member.keys", NULL)),
            id="a structure in a map",
        ),
        pytest.param(
            "GetItem",
            {"TableName": "t", "Key": ITEM, "AttributesToGet": ["a", None]},
            detected(("null", "attributesToGet.2.member", NULL)),
            id="null in a list",
        ),
        pytest.param("DescribeTable", {}, REQUIRED_TABLE_NAME, id="describe without a name"),
        pytest.param("UpdateTimeToLive", {}, REQUIRED_TABLE_NAME, id="time to live without a name"),
        pytest.param("TagResource", {"Tags": [{}]}, "Invalid TableArn", id="tags without an arn"),
        pytest.param(
            "CreateTable",
            {
                "TableName": "abc",
                "AttributeDefinitions": [],
                "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}],
                "LocalSecondaryIndexes": [{}],
                "GlobalSecondaryIndexes": [
                    {
                        "IndexName": "h;",
                        "KeySchema": [],
                        "Projection": {"NonKeyAttributes": [], "ProjectionType": "abc"},
                        "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 1},
                    }
                ],
            },
            detected(
                (
                    "'abc'",
                    "globalSecondaryIndexes.1.member.projection.projectionType",
                    "Member must satisfy enum value set: [ALL, INCLUDE, KEYS_ONLY]",
                ),
                (
                    "'[]'",
                    "globalSecondaryIndexes.1.member.projection.nonKeyAttributes",
                    "Member must have length greater than or equal to 1",
                ),
                (
                    "'h;'",
                    "globalSecondaryIndexes.1.member.indexName",
                    "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
                ),
                (
                    "'h;'",
                    "globalSecondaryIndexes.1.member.indexName",
                    "Member must have length greater than or equal to 3",
                ),
                (
                    "'0'",
                    "globalSecondaryIndexes.1.member.provisionedThroughput.readCapacityUnits",
                    "Member must have value greater than or equal to 1",
                ),
                (
                    "'[]'",
                    "globalSecondaryIndexes.1.member.keySchema",
                    "Member must have length greater than or equal to 1",
                ),
                ("null", "localSecondaryIndexes.1.member.projection", NULL),
                ("null", "localSecondaryIndexes.1.member.indexName", NULL),
                ("null", "localSecondaryIndexes.1.member.keySchema", NULL),
            ),
            id="members of indexes in the service's order",
        ),
        pytest.param("DeleteTable", {"TableName": None}, REQUIRED_TABLE_NAME, id="delete without a name"),
        pytest.param("CreateTable", {"KeySchema": []}, REQUIRED_TABLE_NAME, id="create without a name"),
        pytest.param(
            "CreateTable",
            {"TableName": "ab", "KeySchema": []},
            detected(("'ab'", "tableName", "Member must have length greater than or equal to 3")),
            id="the name of a new table comes first",
        ),
        pytest.param(
            "CreateTable",
            {"TableName": ""},
            detected(("''", "tableName", "Member must have length greater than or equal to 3")),
            id="an empty new name",
        ),
        pytest.param(
            "CreateTable",
            {"TableName": "abc"},
            detected(("null", "attributeDefinitions", NULL), ("null", "keySchema", NULL)),
            id="create with a name only",
        ),
        pytest.param(
            "CreateTable",
            {
                "TableName": "abc",
                "AttributeDefinitions": [],
                "KeySchema": [],
                "ProvisionedThroughput": {"ReadCapacityUnits": -1, "WriteCapacityUnits": -1},
            },
            detected(
                (
                    "'-1'",
                    "provisionedThroughput.writeCapacityUnits",
                    "Member must have value greater than or equal to 1",
                ),
                (
                    "'-1'",
                    "provisionedThroughput.readCapacityUnits",
                    "Member must have value greater than or equal to 1",
                ),
                ("'[]'", "keySchema", "Member must have length greater than or equal to 1"),
            ),
            id="members of a structure in the service's order",
        ),
        pytest.param(
            "CreateTable",
            {
                "TableName": "abc",
                "AttributeDefinitions": [{"AttributeName": "a", "AttributeType": "SS"}, {}],
                "KeySchema": [{"AttributeName": "pk", "KeyType": name} for name in ("HASH", "RANGE", "INVALID")],
            },
            detected(
                (
                    "'SS'",
                    "attributeDefinitions.1.member.attributeType",
                    "Member must satisfy enum value set: [B, N, S]",
                ),
                ("null", "attributeDefinitions.2.member.attributeName", NULL),
                ("null", "attributeDefinitions.2.member.attributeType", NULL),
                (
                    "'[KeySchemaElement(attributeName=pk, keyType=HASH), "
                    "KeySchemaElement(attributeName=pk, keyType=RANGE), "
                    "KeySchemaElement(attributeName=pk, keyType=INVALID)]'",
                    "keySchema",
                    "Member must have length less than or equal to 2",
                ),
                ("'INVALID'", "keySchema.3.member.keyType", "Member must satisfy enum value set: [HASH, RANGE]"),
            ),
            id="elements of lists",
        ),
        pytest.param(
            "CreateTable",
            {"TableName": "abc", "AttributeDefinitions": [], "KeySchema": [None] * 12},
            detected(
                (f"'[{', '.join(['null'] * 12)}]'", "keySchema", "Member must have length less than or equal to 2"),
                *[("null", f"keySchema.{number}.member", NULL) for number in range(1, 10)],
            ),
            id="ten violations at most",
        ),
    ],
)
def test_violations(operation: str, body: Any, message: str) -> None:
    assert refusal(operation, body) == ("ValidationException", message)


def test_a_body_of_a_million_faults_is_refused_quickly() -> None:
    body = {"TableName": "abc", "AttributeDefinitions": [None] * 1_000_000, "KeySchema": []}
    started_s = time.process_time()
    code, message = refusal("CreateTable", body)
    assert time.process_time() - started_s < 3
    assert code == "ValidationException"
    assert message.startswith("10 validation errors detected: ")


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "S", "Keys", "L"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.data(), st.sampled_from(sorted(operation_names())))
def test_any_json_is_accepted_or_refused_by_name(data: st.DataObject, operation: str) -> None:
    members = [member.name for member in input_shape(operation).members]
    body = data.draw(st.dictionaries(st.sampled_from([*members, "Other"]), json_values, max_size=4))
    try:
        validated = validator_for(operation).validate(body)
    except DynamoError as error:
        refused = error
    else:
        assert None not in validated.values()
        assert set(validated) <= set(members)
        # Reading is idempotent: what was validated is valid.
        assert validator_for(operation).validate(deepcopy(validated)) == validated
        return
    assert refused.code in ("ValidationException", "SerializationException")
    assert refused.message

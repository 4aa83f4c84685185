"""Operations against a port that records: what each request becomes on the wire, what each result is answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamo.errors import DynamoError
from dynamo.records import encode_record, record_json
from router.operations.call import Services, WriteIds
from router.operations.registry import OPERATIONS, Operations
from router.routing.catalog_copy import CatalogCopy
from router.routing.catalog_reader import CatalogReader
from router.routing.pending import Failure, Pending
from runtime.clock import ManualClock
from topology.ring import initial_boundaries
from wire import catalog_pb2, data_pb2

pytestmark = pytest.mark.unit

REGION = "us-east-1"
KEY = {"pk": {"S": "a"}, "sk": {"N": "1"}}


class Call:
    """A request without HTTP."""

    host = "localhost:8000"

    def __init__(self, target: str, body: object, region: str = REGION) -> None:
        self.target = f"DynamoDB_20120810.{target}".encode()
        self.body = body if isinstance(body, bytes) else orjson.dumps(body)
        self.region = region
        self.metric = 0
        self.catalog_confirmed = False
        self.answers: list[object] = []

    def succeed(self, body: bytes) -> None:
        self.answers.append(orjson.loads(body))

    def fail(self, error: DynamoError) -> None:
        self.answers.append(error)

    @property
    def answer(self) -> Any:
        assert len(self.answers) == 1, self.answers
        return self.answers[0]

    @property
    def error(self) -> tuple[str, str]:
        error = self.answer
        assert isinstance(error, DynamoError), error
        return error.code, error.message


class Bench:
    """The operations of a router with one catalog and a port that keeps what is submitted."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.copy = CatalogCopy()
        self.submitted: list[Pending] = []
        self.timers: list = []
        self.operations = Operations(CatalogReader(self))
        self.services = Services(
            port=self,
            copy=self.copy,
            clock=self.clock,
            write_ids=WriteIds(b"process!"),
            new_uuid=lambda: "new-uuid",
            table_activation_ms=2000,
            tables_max=2500,
            retry=self.operations.retry,
            run_guarded=self.operations.run_guarded,
            run_native=self.operations.run_native,
        )
        self.operations.bind(self.services)
        self.catalog = catalog_pb2.Catalog(version=1)
        self.catalog.partitions.add(id=0, first_hash=bytes(16), replicas=["n1"])
        for number, boundary in enumerate(initial_boundaries(4), start=1):
            self.catalog.partitions.add(id=number, first_hash=boundary, replicas=["n1"])
        self.add_table("things", 7)
        self.copy.replace(self.catalog)

    def add_table(self, name: str, table_id: int, state: int = catalog_pb2.TABLE_ACTIVE, **kept: object) -> None:
        self.catalog.tables.add(
            table_id=table_id,
            name=name,
            region=REGION,
            state=state,
            partition_key=catalog_pb2.KeyAttribute(name="pk", type=catalog_pb2.KEY_S),
            sort_key=catalog_pb2.KeyAttribute(name="sk", type=catalog_pb2.KEY_N),
            created_at_ms=1_700_000_000_500,
            uuid=f"uuid-{table_id}",
            settings_json=orjson.dumps(kept),
        )

    def newer(self) -> catalog_pb2.Catalog:
        self.catalog.version += 1
        return self.catalog

    def submit(self, pending: Pending) -> None:
        self.submitted.append(pending)

    def new_deadline_s(self) -> float:
        return self.clock.monotonic() + 3

    def call_later(self, delay_ms: int, callback: object) -> None:
        self.timers.append(callback)

    def catalog_received(self, catalog: catalog_pb2.Catalog) -> None:
        self.copy.replace(catalog)

    def call(self, target: str, body: object, region: str = REGION) -> Call:
        made = Call(target, body, region)
        self.operations.dispatch(made.target, made)
        return made

    @property
    def operation(self) -> data_pb2.Operation:
        (pending,) = self.submitted
        return pending.operation

    def complete(self, status: int = data_pb2.OK, **fields: Any) -> None:
        self.submitted.pop().complete(data_pb2.Result(status=status, **fields))

    def answer_catalog_read(self) -> None:
        assert self.submitted[-1].operation.kind == data_pb2.CATALOG_READ
        self.complete(item=self.catalog.SerializeToString())


@pytest.fixture
def bench() -> Bench:
    return Bench()


def request(operation: str, **members: object) -> dict[str, object]:
    item = {**KEY, "v": {"N": "1.50"}}
    base: dict[str, object] = {"TableName": "things"}
    base |= {"Item": item} if operation == "PutItem" else {"Key": KEY}
    return base | members


VALUES = {":v": {"N": "01"}}
ITEM_OPERATIONS = ("PutItem", "GetItem", "UpdateItem", "DeleteItem")
WRITES = ("PutItem", "UpdateItem", "DeleteItem")
KINDS = {
    "PutItem": data_pb2.PUT,
    "GetItem": data_pb2.GET_EVENTUAL,
    "UpdateItem": data_pb2.UPDATE,
    "DeleteItem": data_pb2.DELETE,
}


@pytest.mark.parametrize("name", ITEM_OPERATIONS)
def test_an_operation_names_table_partition_and_key(bench: Bench, name: str) -> None:
    bench.call(name, request(name))
    operation = bench.operation
    table = bench.copy.tables.find(REGION, "things")
    assert operation.kind == KINDS[name]
    assert operation.table_id == 7
    assert operation.key == table.key_schema.item_key_of_key(dict(KEY))
    assert operation.partition == bench.copy.partition_map.locate(operation.key[:16])
    assert operation.flags == 0
    assert operation.expressions == b""
    assert len(operation.request_id) == (0 if name == "GetItem" else 16)


def test_put_stores_the_canonical_item(bench: Bench) -> None:
    bench.call("PutItem", request("PutItem"))
    assert orjson.loads(record_json(bench.operation.item)) == {**KEY, "v": {"N": "1.5"}}


def test_update_carries_the_key_attributes(bench: Bench) -> None:
    bench.call("UpdateItem", request("UpdateItem", Key={"pk": {"S": "a"}, "sk": {"N": "1.0"}}))
    assert orjson.loads(bench.operation.item) == KEY


def test_writes_have_distinct_request_ids(bench: Bench) -> None:
    for _ in range(3):
        bench.call("PutItem", request("PutItem"))
    assert len({pending.operation.request_id for pending in bench.submitted}) == 3


def test_a_strong_get_is_a_strong_read(bench: Bench) -> None:
    bench.call("GetItem", request("GetItem", ConsistentRead=True))
    assert bench.operation.kind == data_pb2.GET_STRONG


@pytest.mark.parametrize(
    ("name", "members", "expected"),
    [
        ("PutItem", {"ConditionExpression": "attribute_not_exists(pk)"}, {"condition": "attribute_not_exists(pk)"}),
        (
            "DeleteItem",
            {"ConditionExpression": "#a = :v", "ExpressionAttributeNames": {"#a": "b"}},
            {"condition": "#a = :v", "names": {"#a": "b"}, "values": {":v": {"N": "1"}}},
        ),
        (
            "UpdateItem",
            {"UpdateExpression": "SET a = :v", "ConditionExpression": "attribute_exists(pk)"},
            {"condition": "attribute_exists(pk)", "update": "SET a = :v", "values": {":v": {"N": "1"}}},
        ),
        ("UpdateItem", {"UpdateExpression": "REMOVE a"}, {"update": "REMOVE a"}),
    ],
)
def test_expressions_go_to_the_leader_with_canonical_values(
    bench: Bench, name: str, members: dict[str, object], expected: dict[str, object]
) -> None:
    if "values" in expected:
        members = {**members, "ExpressionAttributeValues": VALUES}
    bench.call(name, request(name, **members))
    assert orjson.loads(bench.operation.expressions) == expected


@pytest.mark.parametrize(
    ("name", "members", "flags"),
    [
        ("PutItem", {"ReturnValues": "ALL_OLD"}, data_pb2.RETURN_OLD),
        ("PutItem", {"ReturnValues": "NONE"}, 0),
        ("DeleteItem", {"ReturnValues": "ALL_OLD"}, data_pb2.RETURN_OLD),
        ("UpdateItem", {"ReturnValues": "ALL_OLD"}, data_pb2.RETURN_OLD),
        ("UpdateItem", {"ReturnValues": "ALL_NEW"}, data_pb2.RETURN_ALL_NEW),
        ("UpdateItem", {"ReturnValues": "UPDATED_OLD"}, data_pb2.RETURN_UPDATED_OLD),
        ("UpdateItem", {"ReturnValues": "UPDATED_NEW"}, data_pb2.RETURN_UPDATED_NEW),
        ("PutItem", {"ReturnConsumedCapacity": "TOTAL"}, data_pb2.RETURN_SIZES),
        ("PutItem", {"ReturnConsumedCapacity": "NONE"}, 0),
        ("PutItem", {"ReturnItemCollectionMetrics": "SIZE"}, 0),
        (
            "PutItem",
            {"ConditionExpression": "attribute_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"},
            data_pb2.RETURN_OLD_ON_CONDITION_FAILURE,
        ),
        ("PutItem", {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}, 0),
    ],
)
def test_flags(bench: Bench, name: str, members: dict[str, object], flags: int) -> None:
    bench.call(name, request(name, **members))
    assert bench.operation.flags == flags


NOT_VALID = "ValidationException"
MIXED = "Can not use both expression and non-expression parameters in the same request: "


@pytest.mark.parametrize(
    ("name", "members", "code", "text"),
    [
        ("PutItem", {"ReturnValues": "ALL_NEW"}, NOT_VALID, "Return values set to invalid value"),
        ("DeleteItem", {"ReturnValues": "UPDATED_OLD"}, NOT_VALID, "Return values set to invalid value"),
        (
            "PutItem",
            {"Expected": {"a": {"Exists": False}}, "ConditionExpression": "attribute_exists(a)"},
            NOT_VALID,
            MIXED + "Non-expression parameters: {Expected} Expression parameters: {ConditionExpression}",
        ),
        (
            "UpdateItem",
            {"AttributeUpdates": {}, "ConditionalOperator": "AND", "UpdateExpression": "REMOVE a"},
            NOT_VALID,
            MIXED
            + "Non-expression parameters: {AttributeUpdates, ConditionalOperator} "
            + "Expression parameters: {UpdateExpression}",
        ),
        (
            "GetItem",
            {"AttributesToGet": ["a"], "ProjectionExpression": "a"},
            NOT_VALID,
            MIXED + "Non-expression parameters: {AttributesToGet} Expression parameters: {ProjectionExpression}",
        ),
        (
            "PutItem",
            {"ExpressionAttributeValues": VALUES},
            NOT_VALID,
            "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
        ),
        (
            "UpdateItem",
            {"ExpressionAttributeValues": VALUES},
            NOT_VALID,
            "ExpressionAttributeValues can only be specified when using expressions: "
            "UpdateExpression and ConditionExpression are null",
        ),
        (
            "GetItem",
            {"ExpressionAttributeNames": {"#a": "a"}},
            NOT_VALID,
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            "PutItem",
            {"ConditionExpression": "attribute_exists(a)", "ExpressionAttributeNames": {}},
            NOT_VALID,
            "ExpressionAttributeNames must not be empty",
        ),
        (
            "PutItem",
            {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":v": {}}},
            NOT_VALID,
            "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, must contain exactly "
            "one of the supported datatypes for key :v",
        ),
        (
            "PutItem",
            {"ConditionExpression": "attribute_exists(a)", "ExpressionAttributeNames": {"#unused": "b"}},
            NOT_VALID,
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#unused}",
        ),
        (
            "UpdateItem",
            {"UpdateExpression": "INVALID SYNTAX"},
            NOT_VALID,
            'Invalid UpdateExpression: Syntax error; token: "INVALID", near: "INVALID SYNTAX"',
        ),
        (
            "UpdateItem",
            {"UpdateExpression": "SET pk = :v", "ExpressionAttributeValues": {":v": {"S": "b"}}},
            NOT_VALID,
            "One or more parameter values were invalid: Cannot update attribute pk. This attribute is part of the key",
        ),
        (
            "PutItem",
            {"Item": {**KEY, "big": {"S": "x" * 410_000}}},
            NOT_VALID,
            "Item size has exceeded the maximum allowed size",
        ),
        (
            "PutItem",
            {"Item": {"pk": {"S": "a"}}},
            NOT_VALID,
            "One or more parameter values were invalid: Missing the key sk in the item",
        ),
        ("GetItem", {"Key": {"pk": {"S": "a"}}}, NOT_VALID, "The provided key element does not match the schema"),
        ("GetItem", {"TableName": ""}, NOT_VALID, "1 validation error detected: Value '' at 'tableName' failed"),
        ("GetItem", {"TableName": None}, NOT_VALID, "1 validation error detected: Value null at 'tableName' failed"),
        ("GetItem", {"TableName": "arn:aws:s3:::bucket"}, NOT_VALID, ""),
        ("GetItem", {"Key": "no map"}, "SerializationException", ""),
        ("GetItem", {"ConsistentRead": "yes please"}, "SerializationException", ""),
    ],
)
def test_refusals(bench: Bench, name: str, members: dict[str, object], code: str, text: str) -> None:
    call = bench.call(name, request(name, **members))
    assert call.error[0] == code
    assert call.error[1].startswith(text)
    assert bench.submitted == []


HALF = "x" * (1024 * 1024)


LONG_NAMES = {f"#{number}": "n" * 65_000 for number in range(40)}


@pytest.mark.parametrize(
    ("name", "names", "values", "text"),
    [
        *((name, LONG_NAMES, {}, "ExpressionAttributeNames exceeds max size") for name in ITEM_OPERATIONS),
        *((name, {}, {":v": HALF, ":w": HALF}, "ExpressionAttributeValues exceeds max size") for name in WRITES),
    ],
)
def test_placeholders_of_more_than_2_mb_are_refused(
    bench: Bench, name: str, names: dict[str, str], values: dict[str, str], text: str
) -> None:
    clause = " AND ".join([*(f"{one} = {one}" for one in names), *(f"a = {one}" for one in values)])
    members: dict[str, object] = {"ConditionExpression": clause}
    if name == "GetItem":
        members = {"ProjectionExpression": ", ".join(names)}
    if names:
        members["ExpressionAttributeNames"] = names
    if values:
        members["ExpressionAttributeValues"] = {one: {"S": value} for one, value in values.items()}
    assert bench.call(name, request(name, **members)).error == ("ValidationException", text)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"1", b"null", b'"x"', b"\xff", b'{"TableName":"\\ud800"}', b"[" * 5000]
)
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_body_that_is_no_json_object_is_a_serialization_exception(bench: Bench, name: str, body: bytes) -> None:
    assert bench.call(name, body).error[0] == "SerializationException"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (b"DynamoDB_20120810.TransactWriteItems", "The operation TransactWriteItems is not supported"),
        (b"DynamoDBStreams_20120810.DescribeStream", "The operation DescribeStream is not supported"),
        (b"DynamoDBStreams_20120810.GetRecords", "The operation GetRecords is not supported"),
        (b"DynamoDBStreams_20120810.GetShardIterator", "The operation GetShardIterator is not supported"),
        (b"DynamoDBStreams_20120810.ListStreams", "The operation ListStreams is not supported"),
        (b"DynamoDBStreams_20120810.GetItem", ""),
        (b"DynamoDB_20120810.ListStreams", ""),
        (b"DynamoDB_20120810.Nonsense", ""),
        (b"DynamoDB_20111205.GetItem", ""),
        (b"GetItem", ""),
        (b"", ""),
        (b"\xff.\xfe", ""),
    ],
)
def test_unknown_operations(bench: Bench, target: bytes, message: str) -> None:
    call = Call("x", {})
    bench.operations.dispatch(target, call)
    assert call.error == ("UnknownOperationException", message)


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "stored", "answer"),
    [
        ({}, {**KEY, "v": {"N": "1"}}, {"Item": {**KEY, "v": {"N": "1"}}}),
        ({}, None, {}),
        ({"ProjectionExpression": "v, nope"}, {**KEY, "v": {"N": "1"}}, {"Item": {"v": {"N": "1"}}}),
        ({"ProjectionExpression": "nope"}, KEY, {"Item": {}}),
        (
            {"ProjectionExpression": "#v", "ExpressionAttributeNames": {"#v": "v"}},
            {**KEY, "v": {"N": "1"}},
            {"Item": {"v": {"N": "1"}}},
        ),
        (
            {"ReturnConsumedCapacity": "TOTAL"},
            None,
            {"ConsumedCapacity": {"TableName": "things", "CapacityUnits": 0.5}},
        ),
        (
            {"ReturnConsumedCapacity": "INDEXES", "ConsistentRead": True},
            {**KEY, "v": {"S": "x" * 5000}},
            {
                "Item": {**KEY, "v": {"S": "x" * 5000}},
                "ConsumedCapacity": {"TableName": "things", "CapacityUnits": 2.0, "Table": {"CapacityUnits": 2.0}},
            },
        ),
    ],
    ids=["whole", "missing", "projected", "nothing of it", "by name", "capacity of nothing", "capacity strong"],
)
def test_get_answers(bench: Bench, members: dict[str, object], stored: object, answer: object) -> None:
    call = bench.call("GetItem", request("GetItem", **members))
    bench.complete(item=encode_record(stored) if stored is not None else b"")
    assert call.answer == answer


@pytest.mark.parametrize(
    ("members", "result", "answer"),
    [
        ({}, {}, {}),
        ({"ReturnValues": "ALL_OLD"}, {"item": b'{"a":{"S":"x"}}'}, {"Attributes": {"a": {"S": "x"}}}),
        ({"ReturnValues": "ALL_OLD"}, {"item": b"{}"}, {}),
        (
            {"ReturnConsumedCapacity": "TOTAL"},
            {"old_size": 3000, "new_size": 10},
            {"ConsumedCapacity": {"TableName": "things", "CapacityUnits": 3.0}},
        ),
    ],
    ids=["nothing", "attributes", "no attribute", "capacity of the larger"],
)
@pytest.mark.parametrize("name", WRITES)
def test_write_answers(
    bench: Bench, name: str, members: dict[str, object], result: dict[str, Any], answer: object
) -> None:
    call = bench.call(name, request(name, **members))
    bench.complete(**result)
    assert call.answer == answer


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        (data_pb2.CONDITION_FAILED, {}, ("ConditionalCheckFailedException", "The conditional request failed")),
        (data_pb2.VALIDATION_FAILED, {"message": "why"}, ("ValidationException", "why")),
    ],
)
@pytest.mark.parametrize("name", WRITES)
def test_verdicts_become_errors(bench: Bench, name: str, status: int, fields: dict, expected: tuple) -> None:
    call = bench.call(name, request(name))
    bench.complete(status, **fields)
    assert call.error == expected
    assert call.answer.status == 400


def test_a_failed_condition_shows_the_item_in_the_way(bench: Bench) -> None:
    call = bench.call("PutItem", request("PutItem"))
    bench.complete(data_pb2.CONDITION_FAILED, item=b'{"a":{"S":"x"}}')
    assert call.answer.members == {"Item": b'{"a":{"S":"x"}}'}


@pytest.mark.parametrize(
    ("failure", "code", "status"),
    [
        (Failure.UNKNOWN, "InternalServerError", 500),
        (Failure.NOT_DONE, "ServiceUnavailable", 503),
        (Failure.OVERLOADED, "ThrottlingException", 400),
    ],
)
@pytest.mark.parametrize("name", ITEM_OPERATIONS)
def test_no_verdict(bench: Bench, name: str, failure: Failure, code: str, status: int) -> None:
    call = bench.call(name, request(name))
    bench.submitted.pop().give_up(failure)
    assert (call.error[0], call.answer.status) == (code, status)


def test_an_answer_that_cannot_be_rendered_is_a_500(bench: Bench) -> None:
    call = bench.call("GetItem", request("GetItem", ProjectionExpression="v"))
    bench.complete(item=b"0000no json")
    assert call.error[0] == "InternalServerError"


# --- tables the copy does not show ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ITEM_OPERATIONS)
@pytest.mark.parametrize("state", [None, catalog_pb2.TABLE_CREATING, catalog_pb2.TABLE_DELETING])
def test_a_table_is_denied_only_after_a_strong_read(bench: Bench, name: str, state: int | None) -> None:
    if state is not None:
        bench.add_table("other", 8, state)
        bench.copy.replace(bench.newer())
    call = bench.call(name, request(name, TableName="other"))
    assert call.answers == []
    bench.answer_catalog_read()
    assert call.error == ("ResourceNotFoundException", "Requested resource not found")


@pytest.mark.parametrize("name", ITEM_OPERATIONS)
def test_a_table_that_the_copy_has_not_seen_yet_is_served_after_the_read(bench: Bench, name: str) -> None:
    call = bench.call(name, request(name, TableName="fresh"))
    bench.add_table("fresh", 9)
    bench.newer()
    bench.answer_catalog_read()
    assert call.answers == []
    assert bench.operation.table_id == 9


def test_a_table_that_was_made_anew_is_found_again(bench: Bench) -> None:
    call = bench.call("PutItem", request("PutItem"))
    bench.complete(data_pb2.TABLE_GONE)
    del bench.catalog.tables[:]
    bench.add_table("things", 11)
    bench.newer()
    bench.answer_catalog_read()
    assert bench.operation.table_id == 11
    bench.complete(data_pb2.TABLE_GONE)
    assert call.error == ("ResourceNotFoundException", "Requested resource not found")


def test_expressions_are_judged_before_the_table(bench: Bench) -> None:
    call = bench.call("PutItem", request("PutItem", TableName="nope", ConditionExpression="a ="))
    assert call.error[0] == "ValidationException"


@pytest.mark.parametrize(
    ("failure", "code"), [(Failure.NOT_DONE, "ServiceUnavailable"), (Failure.OVERLOADED, "ThrottlingException")]
)
def test_a_table_is_not_denied_when_the_read_fails(bench: Bench, failure: Failure, code: str) -> None:
    call = bench.call("GetItem", request("GetItem", TableName="other"))
    bench.submitted.pop().give_up(failure)
    assert call.error[0] == code


def test_one_catalog_read_serves_everyone_who_waited_and_later_ones_wait_for_the_next(bench: Bench) -> None:
    first = bench.call("GetItem", request("GetItem", TableName="other"))
    late = [bench.call("GetItem", request("GetItem", TableName="other")) for _ in range(3)]
    assert len(bench.submitted) == 1
    bench.answer_catalog_read()
    assert first.error[0] == "ResourceNotFoundException"
    assert [call.answers for call in late] == [[], [], []]
    assert bench.submitted == [], "reads keep their distance"
    bench.timers.pop()()
    bench.answer_catalog_read()
    assert {call.error[0] for call in late} == {"ResourceNotFoundException"}


def test_a_table_may_be_named_by_its_arn_and_lives_in_its_region(bench: Bench) -> None:
    arn = f"arn:aws:dynamodb:{REGION}:000000000000:table/things"
    call = bench.call("GetItem", request("GetItem", TableName=arn, ReturnConsumedCapacity="TOTAL"), region="eu-west-1")
    assert bench.operation.table_id == 7
    bench.complete()
    assert call.answer["ConsumedCapacity"]["TableName"] == arn
    elsewhere = bench.call("GetItem", request("GetItem"), region="eu-west-1")
    bench.answer_catalog_read()
    assert elsewhere.error[0] == "ResourceNotFoundException"


# --- tables -----------------------------------------------------------------------------------------------------------

CREATE = {
    "TableName": "fresh",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


def catalog_result(bench: Bench, outcome: int = catalog_pb2.CATALOG_OK) -> bytes:
    table = bench.catalog.tables[-1] if bench.catalog.tables else None
    return catalog_pb2.CatalogResult(outcome=outcome, table=table, version=bench.catalog.version).SerializeToString()


def accept_create(bench: Bench) -> None:
    """The catalog leader makes the table that was asked for."""
    command = catalog_pb2.CatalogCommand.FromString(bench.operation.item).create_table
    bench.catalog.tables.add(
        table_id=20,
        name=command.name,
        region=command.region,
        state=catalog_pb2.TABLE_CREATING,
        partition_key=command.partition_key,
        sort_key=command.sort_key,
        created_at_ms=command.created_at_ms,
        uuid=command.uuid,
        settings_json=command.settings_json,
    )
    bench.newer()
    bench.complete(item=catalog_result(bench))


def test_create_table_is_held_until_the_copy_shows_it_active(bench: Bench) -> None:
    call = bench.call("CreateTable", CREATE)
    operation = bench.operation
    assert (operation.kind, operation.partition) == (data_pb2.CATALOG_COMMAND, 0)
    accept_create(bench)
    bench.copy.replace(bench.catalog)
    assert call.answers == []
    bench.catalog.tables[-1].state = catalog_pb2.TABLE_ACTIVE
    bench.copy.replace(bench.newer())
    description = call.answer["TableDescription"]
    assert description["TableStatus"] == "CREATING"
    assert description["TableArn"] == f"arn:aws:dynamodb:{REGION}:000000000000:table/fresh"
    assert description["TableId"] == "new-uuid"
    assert description["KeySchema"] == CREATE["KeySchema"]
    assert description["AttributeDefinitions"] == CREATE["AttributeDefinitions"]
    assert description["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert description["CreationDateTime"] == bench.clock.wall_ms() / 1000
    again = bench.call("DescribeTable", {"TableName": "fresh"})
    warm = {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}
    assert again.answer["Table"] == {**description, "TableStatus": "ACTIVE", "WarmThroughput": warm}


def test_create_table_is_answered_at_the_latest_after_table_activation_ms(bench: Bench) -> None:
    call = bench.call("CreateTable", CREATE)
    accept_create(bench)
    bench.copy.replace(bench.catalog)
    bench.copy.tick(bench.clock.monotonic() + 1.9)
    assert call.answers == []
    bench.copy.tick(bench.clock.monotonic() + 2.1)
    assert call.answer["TableDescription"]["TableStatus"] == "CREATING"


def test_create_table_whose_outcome_was_unknown_knows_its_own_table_again(bench: Bench) -> None:
    call = bench.call("CreateTable", CREATE)
    first = bench.submitted.pop()
    first.give_up(Failure.UNKNOWN)
    assert bench.operation.item == first.operation.item
    bench.add_table("fresh", 21)
    bench.catalog.tables[-1].uuid = "new-uuid"
    bench.copy.replace(bench.newer())
    bench.complete(item=catalog_result(bench, catalog_pb2.CATALOG_TABLE_EXISTS))
    assert call.answer["TableDescription"]["TableId"] == "new-uuid"


def test_create_table_whose_outcome_stays_unknown_is_a_500(bench: Bench) -> None:
    call = bench.call("CreateTable", CREATE)
    bench.clock.advance(3)
    bench.submitted.pop().give_up(Failure.UNKNOWN)
    assert call.error[0] == "InternalServerError"
    assert bench.submitted == []


def test_create_table_that_is_refused_after_an_unknown_try_stays_unknown(bench: Bench) -> None:
    call = bench.call("CreateTable", CREATE)
    bench.submitted.pop().give_up(Failure.UNKNOWN)
    bench.clock.advance(3)
    bench.submitted.pop().give_up(Failure.NOT_DONE)
    assert call.error[0] == "InternalServerError"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (catalog_pb2.CATALOG_TABLE_EXISTS, ("ResourceInUseException", "Table already exists: fresh")),
        (
            catalog_pb2.CATALOG_LIMIT_EXCEEDED,
            (
                "LimitExceededException",
                "Subscriber limit exceeded: There is a limit of 2500 tables per subscriber",
            ),
        ),
    ],
)
def test_create_table_refusals(bench: Bench, outcome: int, expected: tuple[str, str]) -> None:
    call = bench.call("CreateTable", CREATE)
    bench.complete(item=catalog_result(bench, outcome))
    assert call.error == expected


def test_describe_provisioned_table(bench: Bench) -> None:
    kept = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4}
    bench.add_table("paid", 30, ProvisionedThroughput=kept, TableClass="STANDARD", DeletionProtectionEnabled=True)
    bench.copy.replace(bench.newer())
    table = bench.call("DescribeTable", {"TableName": "paid"}).answer["Table"]
    assert table["ProvisionedThroughput"] == {**kept, "NumberOfDecreasesToday": 0}
    assert table["TableClassSummary"] == {"TableClass": "STANDARD"}
    assert table["DeletionProtectionEnabled"] is True
    assert table["CreationDateTime"] == 1_700_000_000.5
    assert (table["ItemCount"], table["TableSizeBytes"]) == (0, 0)
    assert "BillingModeSummary" not in table


@pytest.mark.parametrize("name", ["DescribeTable", "DeleteTable"])
def test_a_missing_table_is_named(bench: Bench, name: str) -> None:
    call = bench.call(name, {"TableName": "nope"})
    bench.answer_catalog_read()
    assert call.error == ("ResourceNotFoundException", "Requested resource not found: Table: nope not found")


def test_delete_table_is_held_until_the_table_is_gone(bench: Bench) -> None:
    call = bench.call("DeleteTable", {"TableName": "things"})
    bench.answer_catalog_read()
    command = catalog_pb2.CatalogCommand.FromString(bench.operation.item).delete_table
    assert (command.name, command.region) == ("things", REGION)
    bench.catalog.tables[0].state = catalog_pb2.TABLE_DELETING
    bench.newer()
    bench.complete(item=catalog_result(bench))
    bench.copy.replace(bench.catalog)
    assert call.answers == []
    del bench.catalog.tables[:]
    bench.copy.replace(bench.newer())
    assert call.answer["TableDescription"]["TableStatus"] == "DELETING"


@pytest.mark.parametrize(
    ("outcome", "state", "expected"),
    [
        (
            catalog_pb2.CATALOG_TABLE_NOT_ACTIVE,
            catalog_pb2.TABLE_CREATING,
            (
                "ResourceInUseException",
                "Attempt to change a resource which is still in use: Table is being created: things",
            ),
        ),
        (
            catalog_pb2.CATALOG_TABLE_NOT_ACTIVE,
            catalog_pb2.TABLE_DELETING,
            (
                "ResourceInUseException",
                "Attempt to change a resource which is still in use: Table is being deleted: things",
            ),
        ),
        (
            catalog_pb2.CATALOG_TABLE_NOT_FOUND,
            catalog_pb2.TABLE_ACTIVE,
            ("ResourceNotFoundException", "Requested resource not found: Table: things not found"),
        ),
    ],
)
def test_delete_table_refusals(bench: Bench, outcome: int, state: int, expected: tuple[str, str]) -> None:
    call = bench.call("DeleteTable", {"TableName": "things"})
    bench.answer_catalog_read()
    bench.catalog.tables[0].state = state
    bench.complete(item=catalog_result(bench, outcome))
    assert call.error == expected


def test_a_protected_table_is_not_deleted(bench: Bench) -> None:
    bench.add_table("kept", 40, DeletionProtectionEnabled=True)
    bench.copy.replace(bench.newer())
    call = bench.call("DeleteTable", {"TableName": "kept"})
    bench.answer_catalog_read()
    assert call.error[0] == "ValidationException"
    assert "protected against deletion" in call.error[1]
    assert bench.submitted == []


def test_delete_table_with_unknown_outcome_is_a_500_and_not_repeated(bench: Bench) -> None:
    call = bench.call("DeleteTable", {"TableName": "things"})
    bench.answer_catalog_read()
    bench.submitted.pop().give_up(Failure.UNKNOWN)
    assert call.error[0] == "InternalServerError"
    assert bench.submitted == []


@pytest.mark.parametrize(
    ("body", "names", "last"),
    [
        ({}, ["a.1", "b-2", "c_3", "things"], None),
        ({"Limit": 2}, ["a.1", "b-2"], "b-2"),
        ({"Limit": 4}, ["a.1", "b-2", "c_3", "things"], None),
        ({"ExclusiveStartTableName": "b-2", "Limit": 1}, ["c_3"], "c_3"),
        ({"ExclusiveStartTableName": "bzz"}, ["c_3", "things"], None),
        ({"ExclusiveStartTableName": "zzz"}, [], None),
    ],
    ids=["all", "a page", "a page that ends it", "the next page", "start need not exist", "behind the last"],
)
def test_list_tables(bench: Bench, body: dict[str, object], names: list[str], last: str | None) -> None:
    for number, name in enumerate(["c_3", "a.1", "b-2"], start=50):
        bench.add_table(name, number)
    bench.copy.replace(bench.newer())
    answer = bench.call("ListTables", body).answer
    assert answer == {"TableNames": names} | ({"LastEvaluatedTableName": last} if last else {})


def test_a_router_without_a_catalog_reads_it_before_it_lists_tables(bench: Bench) -> None:
    bench.copy = CatalogCopy()
    bench.operations.bind(replace(bench.services, copy=bench.copy))
    call = bench.call("ListTables", {})
    assert call.answers == []
    bench.answer_catalog_read()
    assert call.answer == {"TableNames": ["things"]}


def test_list_tables_knows_only_its_region(bench: Bench) -> None:
    assert bench.call("ListTables", {}, region="eu-west-1").answer == {"TableNames": []}


# --- fuzz -------------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=8,
)
VALUE = st.dictionaries(st.sampled_from(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"]), JSON, max_size=2)
ATTRIBUTES = st.dictionaries(st.sampled_from(["pk", "sk", "a", ":v", ""]), VALUE | JSON, max_size=3)
TEXT = st.sampled_from(["a = :v", "SET a = :v", "a, b", "", "(", "attribute_exists(#a)"]) | st.text(max_size=12)
REQUESTS = st.fixed_dictionaries(
    {"TableName": st.just("things")},
    optional={
        "Key": st.just(KEY) | ATTRIBUTES | JSON,
        "Item": st.just(KEY) | ATTRIBUTES | JSON,
        "ConditionExpression": TEXT | JSON,
        "UpdateExpression": TEXT,
        "ProjectionExpression": TEXT,
        "ExpressionAttributeNames": st.dictionaries(st.sampled_from(["#a", "#b", "x"]), st.text(max_size=3)) | JSON,
        "ExpressionAttributeValues": ATTRIBUTES | JSON,
        "ReturnValues": st.sampled_from(["NONE", "ALL_OLD", "ALL_NEW"]) | JSON,
        "ReturnConsumedCapacity": st.sampled_from(["TOTAL", "INDEXES", "X"]),
        "KeySchema": JSON,
        "AttributeDefinitions": JSON,
        "Limit": JSON,
    },
)


@given(st.sampled_from(sorted(OPERATIONS)), REQUESTS | JSON)
@settings(max_examples=400)
def test_any_json_ends_in_one_answer_of_the_client_s_doing_or_in_one_operation(name: str, body: object) -> None:
    bench = Bench()
    try:
        encoded = orjson.dumps(body)
    except (TypeError, ValueError):
        return
    call = bench.call(name, encoded)
    assert len(call.answers) + len(bench.submitted) == 1
    if call.answers and isinstance(call.answer, DynamoError):
        assert call.answer.status == 400


@given(st.sampled_from(sorted(OPERATIONS)), st.binary(max_size=80))
def test_any_bytes_end_in_one_client_error_or_a_plain_answer(name: str, body: bytes) -> None:
    call = Bench().call(name, body)
    if isinstance(call.answer, DynamoError):
        assert call.answer.status == 400

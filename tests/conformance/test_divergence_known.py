"""What Trizone does otherwise than DynamoDB, each pinned: docs/divergence.md names these tests.

A test that fails here because Trizone has learnt something is deleted with its line there. They judge Trizone alone, so
with `--endpoint` they are skipped.
"""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from conformance_support import INVALID, VALIDATION, Index, Tables, item, put_all, refusal, table_request, values

pytestmark = pytest.mark.cluster


@pytest.fixture(autouse=True)
def _trizone_itself(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--endpoint"):
        pytest.skip("these are the differences of Trizone, not of another endpoint")


# --- not yet ----------------------------------------------------------------------------------------------------------

NOT_BUILT = [
    "TransactGetItems", "TransactWriteItems", "ExecuteTransaction", "CreateBackup", "DeleteBackup",
    "RestoreTableFromBackup", "RestoreTableToPointInTime", "UpdateContinuousBackups", "ExportTableToPointInTime",
    "ImportTable", "CreateGlobalTable", "UpdateGlobalTable", "UpdateGlobalTableSettings",
    "UpdateTableReplicaAutoScaling", "UpdateContributorInsights", "EnableKinesisStreamingDestination",
    "DisableKinesisStreamingDestination", "UpdateKinesisStreamingDestination", "SearchVectors",
]  # fmt: skip


@pytest.mark.parametrize("operation", NOT_BUILT)
def test_an_operation_that_is_not_built_is_unknown_by_its_name(client: Any, operation: str) -> None:
    method = next(name for name, found in client.meta.method_to_api_mapping.items() if found == operation)
    assert refusal(getattr(client, method)) == (
        "UnknownOperationException",
        f"The operation {operation} is not supported",
    )


@pytest.mark.parametrize("operation", ["list_streams", "describe_stream", "get_records", "get_shard_iterator"])
def test_the_operations_of_streams_are_unknown(endpoint: str, operation: str) -> None:
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    streams = boto3.client("dynamodbstreams", endpoint_url=endpoint, region_name="us-east-1", config=config, **keys)
    assert refusal(getattr(streams, operation))[0] == "UnknownOperationException"


NOT_BUILT_SETTINGS = [
    pytest.param({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}}, id="streams"),
    pytest.param({"SSESpecification": {"Enabled": True, "SSEType": "KMS"}}, id="KMS keys"),
]


@pytest.mark.parametrize("members", NOT_BUILT_SETTINGS)
def test_a_setting_that_is_not_built_is_refused_by_its_name(tables: Tables, members: dict[str, Any]) -> None:
    client, table = tables.client, tables.make("pk:S")
    for call, request in (
        (client.create_table, table_request("pk:S", **members)),
        (client.update_table, {"TableName": table, **members}),
    ):
        code, message = refusal(call, **request)
        assert code == VALIDATION
        assert message.endswith("not supported by this version of Trizone")


def test_replicas_in_other_regions_are_refused_by_their_name(tables: Tables) -> None:
    replicas = [{"Create": {"RegionName": "eu-west-1"}}]
    code, message = refusal(tables.client.update_table, TableName=tables.make("pk:S"), ReplicaUpdates=replicas)
    assert (code, "ReplicaUpdates" in message) == (VALIDATION, True)


def test_nothing_is_throttled_by_the_capacity_of_a_table(tables: Tables) -> None:
    one = {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}
    table = tables.make("pk:S", **one)
    # 600 units, where the service would give 300 that were saved up and one a second.
    for number in range(6):
        tables.client.put_item(TableName=table, Item=item(pk=f"k{number}", v="x" * 100_000))
    assert tables.client.describe_table(TableName=table)["Table"]["ProvisionedThroughput"]["WriteCapacityUnits"] == 1


def test_signatures_are_not_checked(endpoint: str, tables: Tables) -> None:
    table = tables.make("pk:S", item(pk="a"))
    unsigned = boto3.client(
        "dynamodb", endpoint_url=endpoint, region_name="us-east-1", config=Config(signature_version=UNSIGNED)
    )
    assert unsigned.get_item(TableName=table, Key=item(pk="a"), ConsistentRead=True)["Item"] == item(pk="a")


def test_a_resource_policy_is_kept_and_not_enforced(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S", item(pk="a"))
    arn = client.describe_table(TableName=table)["Table"]["TableArn"]
    statement = {"Effect": "Deny", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_resource_policy(ResourceArn=arn, Policy=policy, ConfirmRemoveSelfResourceAccess=True)
    assert client.get_item(TableName=table, Key=item(pk="a"), ConsistentRead=True)["Item"] == item(pk="a")


def test_there_is_no_https(endpoint: str) -> None:
    address = urlsplit(endpoint)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((address.hostname, address.port), timeout=5) as plain, pytest.raises(OSError):
        context.wrap_socket(plain)


# --- on purpose -------------------------------------------------------------------------------------------------------


def test_every_arn_has_the_account_of_zeros(tables: Tables) -> None:
    table = tables.make("pk:S")
    arn = tables.client.describe_table(TableName=table)["Table"]["TableArn"]
    assert arn == f"arn:aws:dynamodb:us-east-1:000000000000:table/{table}"


def test_counts_and_sizes_of_tables_and_indexes_are_zero(tables: Tables) -> None:
    items = [item(pk=f"k{n}", sk=n, g="x") for n in range(10)]
    table = tables.make("pk:S sk:N", *items, local=[Index("lsi", "pk:S l:N")], globals_=[Index("gsi", "g:S")])
    found = tables.client.describe_table(TableName=table)["Table"]
    assert (found["ItemCount"], found["TableSizeBytes"]) == (0, 0)
    for index in (*found["LocalSecondaryIndexes"], *found["GlobalSecondaryIndexes"]):
        assert (index["ItemCount"], index["IndexSizeBytes"]) == (0, 0)


def test_a_table_takes_writes_as_soon_as_create_table_has_answered(tables: Tables) -> None:
    client = tables.client
    for _ in range(3):
        request = table_request("pk:S")
        assert client.create_table(**request)["TableDescription"]["TableStatus"] == "CREATING"
        tables.adopt(request["TableName"])
        put_all(client, request["TableName"], [item(pk="a")])


def test_time_to_live_may_change_at_any_time(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S")
    for enabled in (True, False, True, False):
        wanted = {"Enabled": enabled, "AttributeName": "expires"}
        client.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)
        status = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["TimeToLiveStatus"]
        assert status == ("ENABLED" if enabled else "DISABLED")


def test_an_updated_item_is_measured_as_it_will_be(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S")
    fitting = 400 * 1024 - len("pk") - len("a") - len("v")
    update = {"TableName": table, "Key": item(pk="a"), "UpdateExpression": "SET v = :v"}
    client.update_item(**update, ExpressionAttributeValues=values(v="x" * fitting))
    assert refusal(client.update_item, **update, ExpressionAttributeValues=values(v="x" * (fitting + 1))) == (
        VALIDATION,
        "Item size to update has exceeded the maximum allowed size",
    )


DUPLICATES = {"SS": ["b", "a", "b"]}


def test_a_malformed_value_has_the_older_text_on_every_operation(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S")
    bad, number = item(pk="a") | {"v": DUPLICATES}, item(pk="a") | {"v": {"N": "1e2147483648"}}
    for one, message in (
        (bad, INVALID + "Input collection [b, a, b] contains duplicates."),
        (number, "Number overflow. Attempting to store a number with magnitude larger than supported range"),
    ):
        assert refusal(client.put_item, TableName=table, Item=one) == (VALIDATION, message)
        requests = {table: [{"PutRequest": {"Item": one}}]}
        assert refusal(client.batch_write_item, RequestItems=requests) == (VALIDATION, message)


def test_the_request_in_a_message_is_printed_in_a_form_of_our_own(tables: Tables) -> None:
    table = tables.make("pk:S")
    requests = {table: [{"PutRequest": {"Item": item(pk=f"k{n}")}} for n in range(26)]}
    _, message = refusal(tables.client.batch_write_item, RequestItems=requests)
    # The service prints its Java objects: {table=[WriteRequest(putRequest=PutRequest(item={pk=AttributeValue(s=k0, ...
    assert message.startswith(f"1 validation error detected: Value '{{{table}=[")
    assert "AttributeValue(s=k0, n=null, b=null" not in message


def test_names_of_internal_things_show(client: Any) -> None:
    assert client.list_tables(Limit=1)["ResponseMetadata"]["HTTPHeaders"]["server"] == "trizone"

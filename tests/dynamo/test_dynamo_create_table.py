"""CreateTable beyond the model: key schema, billing, what is refused as not built."""

from __future__ import annotations

from typing import Any

import pytest

from dynamo.errors import DynamoError
from dynamo.keys import KeyAttribute, KeySchema
from dynamo.requests import parse_create_table, validator_for

pytestmark = pytest.mark.unit

INVALID = "One or more parameter values were invalid: "
THROUGHPUT = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}


def definitions(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in pairs]


def schema(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": role} for name, role in pairs]


def body(**changes: Any) -> dict[str, Any]:
    """A valid request with `changes`; a change to None leaves the member out."""
    request = {
        "TableName": "Music",
        "AttributeDefinitions": definitions(("artist", "S")),
        "KeySchema": schema(("artist", "HASH")),
        "BillingMode": "PAY_PER_REQUEST",
        **changes,
    }
    return {name: value for name, value in request.items() if value is not None}


def parse(request: dict[str, Any]) -> Any:
    return parse_create_table(validator_for("CreateTable").validate(request))


def refusal(request: dict[str, Any]) -> str:
    with pytest.raises(DynamoError) as caught:
        parse(request)
    assert caught.value.code == "ValidationException"
    return caught.value.message


def test_a_table_with_a_partition_key() -> None:
    request = parse(body())
    assert request.name == "Music"
    assert request.key_schema == KeySchema(KeyAttribute("artist", "S"))
    assert request.billing_mode == "PAY_PER_REQUEST"
    assert request.settings == {"BillingMode": "PAY_PER_REQUEST"}


def test_a_table_with_everything_this_version_keeps() -> None:
    settings = {
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": THROUGHPUT,
        "Tags": [{"Key": "team", "Value": ""}],
        "TableClass": "STANDARD_INFREQUENT_ACCESS",
        "DeletionProtectionEnabled": False,
    }
    request = parse(
        body(
            AttributeDefinitions=definitions(("year", "N"), ("digest", "B")),
            KeySchema=schema(("digest", "HASH"), ("year", "RANGE")),
            StreamSpecification={"StreamEnabled": False},
            SSESpecification={"Enabled": False},
            **settings,
        )
    )
    assert request.key_schema == KeySchema(KeyAttribute("digest", "B"), KeyAttribute("year", "N"))
    assert request.settings == settings


def test_billing_is_provisioned_when_nothing_is_said() -> None:
    request = parse(body(BillingMode=None, ProvisionedThroughput=THROUGHPUT))
    assert request.billing_mode == "PROVISIONED"
    assert request.settings == {"ProvisionedThroughput": THROUGHPUT}


def test_a_key_name_of_255_bytes_is_taken() -> None:
    name = "é" * 127 + "a"
    request = parse(body(AttributeDefinitions=definitions((name, "S")), KeySchema=schema((name, "HASH"))))
    assert request.key_schema.names == (name,)


BOTH_NEEDED = (
    INVALID + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
)
NEITHER = (
    INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
)
NO_DEFINITION = "Invalid KeySchema: Some index key attribute have no definition"
AB = definitions(("a", "S"), ("b", "S"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"BillingMode": "PROVISIONED"}, BOTH_NEEDED, id="provisioned without throughput"),
        pytest.param({"BillingMode": None}, BOTH_NEEDED, id="provisioned by default without throughput"),
        pytest.param({"ProvisionedThroughput": THROUGHPUT}, NEITHER, id="on demand with throughput"),
        pytest.param(
            {"BillingMode": None, "ProvisionedThroughput": {"ReadCapacityUnits": 10**12 + 1, "WriteCapacityUnits": 1}},
            "Given value 1000000000001 for ReadCapacityUnits is out of bounds",
            id="read units out of bounds",
        ),
        pytest.param(
            {"BillingMode": None, "ProvisionedThroughput": {"ReadCapacityUnits": 10**12, "WriteCapacityUnits": 10**13}},
            "Given value 10000000000000 for WriteCapacityUnits is out of bounds",
            id="write units out of bounds",
        ),
        pytest.param({"AttributeDefinitions": []}, NO_DEFINITION, id="no definitions"),
        pytest.param(
            {"KeySchema": schema(("artist", "HASH"), ("artist", "RANGE"))},
            NO_DEFINITION,
            id="fewer definitions than keys",
        ),
        pytest.param(
            {"AttributeDefinitions": definitions(("other", "S"))},
            INVALID
            + "Some index key attributes are not defined in AttributeDefinitions. "
            + "Keys: [artist], AttributeDefinitions: [other]",
            id="key not defined",
        ),
        pytest.param(
            {"AttributeDefinitions": AB, "KeySchema": schema(("a", "HASH"), ("a", "RANGE"))},
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
            id="one attribute twice",
        ),
        pytest.param(
            {"AttributeDefinitions": AB, "KeySchema": schema(("a", "RANGE"), ("b", "HASH"))},
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
            id="range first",
        ),
        pytest.param(
            {"AttributeDefinitions": AB, "KeySchema": schema(("a", "HASH"), ("b", "HASH"))},
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
            id="hash twice",
        ),
        pytest.param(
            {"AttributeDefinitions": AB, "KeySchema": schema(("a", "HASH"))},
            INVALID
            + "Number of attributes in KeySchema does not exactly match number of attributes defined in "
            + "AttributeDefinitions",
            id="a definition too many",
        ),
        *(
            pytest.param(
                {
                    "AttributeDefinitions": definitions(("a", "S"), ("é" * 128, "S")),
                    "KeySchema": schema(*zip(names, ("HASH", "RANGE"), strict=True)),
                },
                "Attribute name size has exceeded the maximum size",
                id=f"a {role} key name of 128 characters and 256 bytes",
            )
            for role, names in (("partition", ("é" * 128, "a")), ("sort", ("a", "é" * 128)))
        ),
        pytest.param(
            {"GlobalSecondaryIndexes": []},
            INVALID + "List of GlobalSecondaryIndexes is empty",
            id="empty list of indexes",
        ),
    ],
)
def test_refused_as_the_service_refuses(changes: dict[str, Any], message: str) -> None:
    assert refusal(body(**changes)) == message


INDEX = {
    "IndexName": "by_year",
    "KeySchema": schema(("artist", "HASH"), ("year", "RANGE")),
    "Projection": {"ProjectionType": "ALL"},
}
WITH_YEAR = {"AttributeDefinitions": definitions(("artist", "S"), ("year", "N"))}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"LocalSecondaryIndexes": [INDEX], **WITH_YEAR}, "Local secondary indexes"),
        ({"GlobalSecondaryIndexes": [INDEX], **WITH_YEAR}, "Global secondary indexes"),
        ({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}}, "Streams"),
        ({"SSESpecification": {"Enabled": True}}, "Server-side encryption with KMS keys (SSESpecification)"),
        ({"SSESpecification": {"KMSMasterKeyId": "k"}}, "Server-side encryption with KMS keys (SSESpecification)"),
        ({"DeletionProtectionEnabled": True}, "DeletionProtectionEnabled"),
        ({"ResourcePolicy": "{}"}, "ResourcePolicy"),
        ({"OnDemandThroughput": {"MaxReadRequestUnits": 1}}, "OnDemandThroughput"),
        ({"WarmThroughput": {"ReadUnitsPerSecond": 1}}, "WarmThroughput"),
    ],
)
def test_what_is_not_built_is_refused_by_name(changes: dict[str, Any], what: str) -> None:
    assert refusal(body(**changes)) == f"{what}: not supported by this version of Trizone"


def test_tags_are_limited_and_distinct() -> None:
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    assert parse(body(Tags=tags[:50])).settings["Tags"] == tags[:50]
    assert "limit of 50" in refusal(body(Tags=tags))
    assert "Duplicate" in refusal(body(Tags=[tags[0], tags[0]]))

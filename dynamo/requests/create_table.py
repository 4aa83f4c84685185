"""CreateTable beyond the model: key schema, billing, and what this version does not offer.

Called by the router's CreateTable with a body that its validator accepted. Law: what is not built is refused by name,
never accepted and ignored, so nobody believes to have an index, a stream or encryption that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dynamo.errors import DynamoError, invalid_parameter, validation
from dynamo.keys import KeyAttribute, KeySchema
from dynamo.limits import CAPACITY_UNITS_MAX, KEY_ATTRIBUTE_NAME_BYTES_MAX, TAGS_PER_TABLE_MAX

# Members that are kept with the table as the client gave them.
_SETTINGS = ("BillingMode", "ProvisionedThroughput", "Tags", "TableClass", "DeletionProtectionEnabled")

_INDEX_MEMBERS: Final = {
    "LocalSecondaryIndexes": "Local secondary indexes",
    "GlobalSecondaryIndexes": "Global secondary indexes",
    "VectorIndexes": "Vector indexes",
}
_UNSUPPORTED_MEMBERS = (
    "ResourcePolicy",
    "WarmThroughput",
    "OnDemandThroughput",
    "GlobalTableSourceArn",
    "GlobalTableSettingsReplicationMode",
)


@dataclass(frozen=True, slots=True)
class CreateTableRequest:
    """A CreateTable that may be carried out.

    `settings` holds the members BillingMode, ProvisionedThroughput, Tags, TableClass and DeletionProtectionEnabled that
    the client gave, as JSON values.
    """

    name: str
    key_schema: KeySchema
    billing_mode: str
    settings: dict[str, Any]


def parse_create_table(body: dict[str, Any]) -> CreateTableRequest:
    """The table that a validated CreateTable body asks for. Raises ValidationException."""
    billing_mode = body.get("BillingMode", "PROVISIONED")
    _check_throughput(body.get("ProvisionedThroughput"), billing_mode)
    _refuse_empty_indexes(body)
    key_schema = _parse_key_schema(body)
    _refuse_unsupported(body)
    _check_tags(body.get("Tags", []))
    return CreateTableRequest(
        name=body["TableName"],
        key_schema=key_schema,
        billing_mode=billing_mode,
        settings={name: body[name] for name in _SETTINGS if name in body},
    )


def _check_throughput(throughput: dict[str, Any] | None, billing_mode: str) -> None:
    if billing_mode == "PAY_PER_REQUEST":
        if throughput is not None:
            raise invalid_parameter(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
            )
        return
    if throughput is None:
        raise invalid_parameter(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    for name in ("ReadCapacityUnits", "WriteCapacityUnits"):
        if throughput[name] > CAPACITY_UNITS_MAX:
            raise validation(f"Given value {throughput[name]} for {name} is out of bounds")


def _parse_key_schema(body: dict[str, Any]) -> KeySchema:
    elements = body["KeySchema"]
    defined = {definition["AttributeName"]: definition["AttributeType"] for definition in body["AttributeDefinitions"]}
    names = [element["AttributeName"] for element in elements]
    if len(names) > len(body["AttributeDefinitions"]):
        raise validation("Invalid KeySchema: Some index key attribute have no definition")
    if any(name not in defined for name in names):
        definitions = ", ".join(definition["AttributeName"] for definition in body["AttributeDefinitions"])
        raise invalid_parameter(
            "Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(names)}], AttributeDefinitions: [{definitions}]"
        )
    if len(names) == 2 and names[0] == names[1]:
        raise validation("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    if elements[0]["KeyType"] != "HASH":
        raise validation("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len(elements) == 2 and elements[1]["KeyType"] != "RANGE":
        raise validation("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
    # Definitions may serve an index as well; without one, each must belong to the key.
    if len(names) != len(body["AttributeDefinitions"]) and not any(member in body for member in _INDEX_MEMBERS):
        raise invalid_parameter(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions"
        )
    # The model counts characters. The text is that of DynamoDB Local for a key attribute; the service's was not seen.
    if any(len(name.encode()) > KEY_ATTRIBUTE_NAME_BYTES_MAX for name in names):
        raise validation("Attribute name size has exceeded the maximum size")
    partition, *rest = (KeyAttribute(name, defined[name]) for name in names)
    return KeySchema(partition, rest[0] if rest else None)


def _refuse_empty_indexes(body: dict[str, Any]) -> None:
    for member in ("LocalSecondaryIndexes", "GlobalSecondaryIndexes"):
        if body.get(member) == []:
            raise invalid_parameter(f"List of {member} is empty")


def _refuse_unsupported(body: dict[str, Any]) -> None:
    for member, noun in _INDEX_MEMBERS.items():
        if member in body:
            raise _unsupported(noun)
    if body.get("StreamSpecification", {}).get("StreamEnabled"):
        raise _unsupported("Streams")
    encryption = body.get("SSESpecification", {})
    # Enabled false, alone, asks for the default encryption, which is no promise of a key.
    if encryption.get("Enabled") or "SSEType" in encryption or "KMSMasterKeyId" in encryption:
        raise _unsupported("Server-side encryption with KMS keys (SSESpecification)")
    # Only UpdateTable takes it off again: without that the table could never be deleted.
    if body.get("DeletionProtectionEnabled"):
        raise _unsupported("DeletionProtectionEnabled")
    for member in _UNSUPPORTED_MEMBERS:
        if member in body:
            raise _unsupported(member)


def _check_tags(tags: list[dict[str, str]]) -> None:
    # Both texts are ours: the service's were not found recorded.
    if len(tags) > TAGS_PER_TABLE_MAX:
        raise invalid_parameter(f"The number of tags exceeds the limit of {TAGS_PER_TABLE_MAX}")
    if len({tag["Key"] for tag in tags}) != len(tags):
        raise invalid_parameter("Duplicate tag keys")


def _unsupported(what: str) -> DynamoError:
    return validation(f"{what}: not supported by this version of Trizone")

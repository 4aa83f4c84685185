"""CreateTable beyond the model: key schema, indexes, billing, and what this version does not offer.

Called by the router's CreateTable with a body that its validator accepted. Law: what is not built is refused by name,
never accepted and ignored, so nobody believes to have a stream or encryption that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dynamo.errors import DynamoError, invalid_parameter, validation
from dynamo.indexes import IndexKind
from dynamo.keys import KeyAttribute, KeySchema
from dynamo.limits import GLOBAL_INDEXES_MAX, KEY_ATTRIBUTE_NAME_BYTES_MAX, LOCAL_INDEXES_MAX
from dynamo.requests import throughput
from dynamo.requests.indexes import (
    FIRST_NOT_HASH,
    SAME_NAME,
    SECOND_NOT_RANGE,
    IndexRequest,
    check_global_keys,
    check_local_keys,
    check_projected_sum,
    check_projection,
    definitions_of,
    index_request,
    undefined_keys,
)
from dynamo.requests.resource_policy import canonical_policy
from dynamo.requests.tags import check_tags

# Members that are kept with the table as the client gave them.
_SETTINGS: Final = ("BillingMode", "ProvisionedThroughput", "Tags", "TableClass", "DeletionProtectionEnabled")
# The same, unless they are empty.
_STRUCTURES: Final = ("OnDemandThroughput", "WarmThroughput")
_UNSUPPORTED_MEMBERS: Final = ("GlobalTableSourceArn", "GlobalTableSettingsReplicationMode")


@dataclass(frozen=True, slots=True)
class CreateTableRequest:
    """A CreateTable that may be carried out.

    `settings` holds the members that the table keeps, as JSON values; `policy` is its ResourcePolicy in canonical form.
    Local indexes come first.
    """

    name: str
    key_schema: KeySchema
    billing_mode: str
    indexes: tuple[IndexRequest, ...]
    settings: dict[str, Any]
    policy: str | None


def parse_create_table(body: dict[str, Any]) -> CreateTableRequest:
    """The table that a validated CreateTable body asks for. Raises ValidationException."""
    billing_mode = body.get("BillingMode", throughput.PROVISIONED)
    throughput.check_table_throughput(body.get("ProvisionedThroughput"), billing_mode)
    key_schema = _parse_key_schema(body)
    indexes = _parse_indexes(body, key_schema, billing_mode)
    throughput.check_on_demand(body.get("OnDemandThroughput"), billing_mode)
    throughput.check_initial_warm(body.get("WarmThroughput"), body.get("ProvisionedThroughput"), billing_mode)
    _refuse_unsupported(body)
    check_tags(body.get("Tags", []))
    policy = body.get("ResourcePolicy")
    settings = {name: body[name] for name in _SETTINGS if name in body}
    return CreateTableRequest(
        name=body["TableName"],
        key_schema=key_schema,
        billing_mode=billing_mode,
        indexes=indexes,
        settings=settings | {name: body[name] for name in _STRUCTURES if body.get(name)},
        policy=None if policy is None else canonical_policy(policy),
    )


def _parse_key_schema(body: dict[str, Any]) -> KeySchema:
    elements = body["KeySchema"]
    defined = {definition["AttributeName"]: definition["AttributeType"] for definition in body["AttributeDefinitions"]}
    names = [element["AttributeName"] for element in elements]
    if len(names) > len(body["AttributeDefinitions"]):
        raise validation("Invalid KeySchema: Some index key attribute have no definition")
    if any(name not in defined for name in names):
        raise undefined_keys(names, _defined_names(body))
    if len(names) == 2 and names[0] == names[1]:
        raise validation(SAME_NAME)
    if elements[0]["KeyType"] != "HASH":
        raise validation(FIRST_NOT_HASH)
    if len(elements) == 2 and elements[1]["KeyType"] != "RANGE":
        raise validation(SECOND_NOT_RANGE)
    definitions_of(body["AttributeDefinitions"])
    # Definitions may serve an index as well; without one, each must belong to the key.
    has_indexes = any(_INDEX_MEMBERS.keys() & body.keys())
    if len(names) != len(body["AttributeDefinitions"]) and not has_indexes:
        raise invalid_parameter(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in "
            "AttributeDefinitions"
        )
    # The model counts characters. The text is that of DynamoDB Local for a key attribute; the service's was not seen.
    if any(len(name.encode()) > KEY_ATTRIBUTE_NAME_BYTES_MAX for name in names):
        raise validation("Attribute name size has exceeded the maximum size")
    partition, *rest = (KeyAttribute(name, defined[name]) for name in names)
    return KeySchema(partition, rest[0] if rest else None)


_INDEX_MEMBERS: Final = {
    "LocalSecondaryIndexes": IndexKind.LOCAL,
    "GlobalSecondaryIndexes": IndexKind.GLOBAL,
}


def _parse_indexes(body: dict[str, Any], key_schema: KeySchema, billing_mode: str) -> tuple[IndexRequest, ...]:
    defined = _defined_names(body)
    listed = [(kind, index) for member, kind in _INDEX_MEMBERS.items() for index in body.get(member, ())]
    for member in _INDEX_MEMBERS:
        if body.get(member) == []:
            raise invalid_parameter(f"List of {member} is empty")
    if "LocalSecondaryIndexes" in body and key_schema.sort is None:
        raise invalid_parameter(
            "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
        )
    for kind, index in listed:
        if kind is IndexKind.LOCAL:
            check_local_keys(index, key_schema, defined)
        else:
            check_global_keys(index, defined)
    if listed:
        _check_all_used(defined, key_schema, [index for _, index in listed])
    _check_each(listed, billing_mode)
    definitions = definitions_of(body["AttributeDefinitions"])
    return tuple(index_request(kind, index, definitions) for kind, index in listed)


def _check_all_used(defined: Sequence[str], key_schema: KeySchema, indexes: Sequence[dict[str, Any]]) -> None:
    used = [*key_schema.names]
    used += [element["AttributeName"] for index in indexes for element in index["KeySchema"]]
    used = list(dict.fromkeys(used))
    if any(name not in used for name in defined):
        raise invalid_parameter(
            f"Some AttributeDefinitions are not used. AttributeDefinitions: [{', '.join(defined)}], "
            f"keys used: [{', '.join(used)}]"
        )


def _check_each(listed: Sequence[tuple[IndexKind, dict[str, Any]]], billing_mode: str) -> None:
    """What may be wrong with an index besides its keys; then how many there are of each kind."""
    names: set[str] = set()
    for kind, index in listed:
        check_projection(index["Projection"])
        if kind is IndexKind.GLOBAL:
            provisioned = index.get("ProvisionedThroughput")
            throughput.check_index_throughput(index, billing_mode)
            throughput.check_on_demand(index.get("OnDemandThroughput"), billing_mode, index["IndexName"])
            warm = index.get("WarmThroughput")
            throughput.check_initial_warm(warm, provisioned, billing_mode, index["IndexName"])
        if index["IndexName"] in names:
            raise invalid_parameter(f"Duplicate index name: {index['IndexName']}")
        names.add(index["IndexName"])
    kinds = [kind for kind, _ in listed]
    if kinds.count(IndexKind.LOCAL) > LOCAL_INDEXES_MAX:
        raise invalid_parameter(f"Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES_MAX}")
    if kinds.count(IndexKind.GLOBAL) > GLOBAL_INDEXES_MAX:
        raise invalid_parameter(f"GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES_MAX}")
    check_projected_sum(index["Projection"] for _, index in listed)


def _defined_names(body: dict[str, Any]) -> list[str]:
    return [definition["AttributeName"] for definition in body["AttributeDefinitions"]]


def _refuse_unsupported(body: dict[str, Any]) -> None:
    if "VectorIndexes" in body:
        raise unsupported("Vector indexes")
    stream = body.get("StreamSpecification", {})
    if stream.get("StreamEnabled"):
        raise unsupported("Streams")
    if "StreamViewType" in stream:
        raise invalid_parameter("Table is being created with a stream disabled, UpdateViewType should not be specified")
    encryption = body.get("SSESpecification", {})
    # Enabled false, alone, asks for the default encryption, which is no promise of a key.
    if encryption.get("Enabled") or "SSEType" in encryption or "KMSMasterKeyId" in encryption:
        raise unsupported("Server-side encryption with KMS keys (SSESpecification)")
    for member in _UNSUPPORTED_MEMBERS:
        if member in body:
            raise unsupported(member)


def unsupported(what: str) -> DynamoError:
    """ValidationException for something of the API that is not built."""
    return validation(f"{what}: not supported by this version of Trizone")

"""Indexes as CreateTable and UpdateTable ask for them: key schemas, projections, how many.

Called by dynamo.requests.create_table and by the router's UpdateTable. Law: texts and their order are the service's,
recorded in the dynalite test-suite and, for keys of several attributes, by public probes of the real service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dynamo.errors import DynamoError, invalid_parameter, validation
from dynamo.indexes import IndexKind
from dynamo.keys import KeyAttribute, KeySchema, KeyType
from dynamo.limits import INDEX_KEY_ATTRIBUTES_MAX, PROJECTED_ATTRIBUTES_MAX

# AttributeDefinitions by name.
Definitions = Mapping[str, KeyType]

SAME_NAME: Final = "Both the Hash Key and the Range Key element in the KeySchema have the same name"
FIRST_NOT_HASH: Final = "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"
SECOND_NOT_RANGE: Final = "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """A valid index. `settings` is what DescribeTable shows besides: Projection, throughputs."""

    name: str
    kind: IndexKind
    partition: tuple[KeyAttribute, ...]
    sort: tuple[KeyAttribute, ...]
    projection: str  # ALL, KEYS_ONLY or INCLUDE
    included: tuple[str, ...]
    settings: dict[str, Any]


def definitions_of(listed: Sequence[Mapping[str, Any]]) -> Definitions:
    """AttributeDefinitions by name. Raises ValidationException for a name that comes twice."""
    definitions: dict[str, KeyType] = {}
    for definition in listed:
        name = definition["AttributeName"]
        if name in definitions:
            raise validation(f"Attribute Name is duplicated: {name}")
        definitions[name] = definition["AttributeType"]
    return definitions


def undefined_keys(names: Iterable[str], definitions: Iterable[str]) -> DynamoError:
    """A key attribute has no definition."""
    return invalid_parameter(
        "Some index key attributes are not defined in AttributeDefinitions. "
        f"Keys: [{', '.join(names)}], AttributeDefinitions: [{', '.join(definitions)}]"
    )


def check_local_keys(index: Mapping[str, Any], table_key: KeySchema, defined: Sequence[str]) -> None:
    """The KeySchema of a local index. Raises ValidationException."""
    elements = index["KeySchema"]
    names = _defined_names(elements, defined)
    if len(names) == 2 and names[0] == names[1]:
        raise validation(SAME_NAME)
    if elements[0]["KeyType"] != "HASH":
        raise validation(FIRST_NOT_HASH)
    if len(elements) == 1:
        raise invalid_parameter(f"Index KeySchema does not have a range key for index: {index['IndexName']}")
    if elements[1]["KeyType"] != "RANGE":
        raise validation(SECOND_NOT_RANGE)
    if names[0] != table_key.partition.name:
        raise invalid_parameter(
            "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
            f"{index['IndexName']}. index hash key: {names[0]}, table hash key: {table_key.partition.name}"
        )


def check_global_keys(index: Mapping[str, Any], defined: Sequence[str]) -> None:
    """The KeySchema of a global index: up to four HASH, then up to four RANGE. Raises ValidationException."""
    elements = index["KeySchema"]
    names = _defined_names(elements, defined)
    if len(set(names)) != len(names):
        several = "The KeySchema contains multiple key attributes with the same name"
        raise validation(SAME_NAME if len(names) == 2 else several)
    roles = [element["KeyType"] for element in elements]
    if roles[0] != "HASH":
        raise validation(FIRST_NOT_HASH)
    if roles != sorted(roles):  # HASH sorts before RANGE
        raise invalid_parameter("All HASH key attributes must precede RANGE key attributes in the KeySchema")
    for role in ("HASH", "RANGE"):
        if roles.count(role) > INDEX_KEY_ATTRIBUTES_MAX:
            raise invalid_parameter(f"The KeySchema exceeds the maximum allowed number of {role} key attributes")


def check_projection(projection: Mapping[str, Any]) -> None:
    """Raises ValidationException."""
    kind, included = projection.get("ProjectionType"), projection.get("NonKeyAttributes")
    if kind is None:
        raise invalid_parameter("Unknown ProjectionType: null")
    if included is not None and kind != "INCLUDE":
        raise invalid_parameter(f"ProjectionType is {kind}, but NonKeyAttributes is specified")
    if kind != "INCLUDE":
        return
    if included is None:
        raise invalid_parameter("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    for number, name in enumerate(included):
        if name in included[:number]:
            raise invalid_parameter(f"Duplicate element in NonKeyAttributes: {name}")


def check_projected_sum(projections: Iterable[Mapping[str, Any]]) -> None:
    """NonKeyAttributes over all indexes of a table. Raises ValidationException."""
    if sum(len(projection.get("NonKeyAttributes", ())) for projection in projections) > PROJECTED_ATTRIBUTES_MAX:
        # Nobody recorded the service's words for this.
        raise invalid_parameter(
            f"Number of NonKeyAttributes of all indexes exceeds per-table limit of {PROJECTED_ATTRIBUTES_MAX}"
        )


def index_request(kind: IndexKind, index: Mapping[str, Any], definitions: Definitions) -> IndexRequest:
    """The index of a member that the checks of this module accepted."""
    elements = index["KeySchema"]
    keys = {role: _attributes(elements, role, definitions) for role in ("HASH", "RANGE")}
    projection = dict(index["Projection"])
    if "NonKeyAttributes" in projection:
        # The service gives them back in this order.
        projection["NonKeyAttributes"] = sorted(projection["NonKeyAttributes"])
    settings = {"Projection": projection}
    # An empty structure is taken as if it were not there.
    kept = ("ProvisionedThroughput", "OnDemandThroughput", "WarmThroughput")
    settings |= {name: index[name] for name in kept if index.get(name)}
    return IndexRequest(
        name=index["IndexName"],
        kind=kind,
        partition=keys["HASH"],
        sort=keys["RANGE"],
        projection=projection["ProjectionType"],
        included=tuple(projection.get("NonKeyAttributes", ())),
        settings=settings,
    )


def _attributes(elements: Sequence[Mapping[str, Any]], role: str, types: Definitions) -> tuple[KeyAttribute, ...]:
    names = [element["AttributeName"] for element in elements if element["KeyType"] == role]
    return tuple(KeyAttribute(name, types[name]) for name in names)


def _defined_names(elements: Sequence[Mapping[str, Any]], defined: Sequence[str]) -> list[str]:
    names = [element["AttributeName"] for element in elements]
    if any(name not in defined for name in names):
        raise undefined_keys(names, defined)
    return names

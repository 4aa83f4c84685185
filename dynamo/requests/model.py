"""The official service model as a tree of shapes, one tree for each operation.

Called by dynamo.requests.validator when the first request of an operation arrives. Law: shapes come from botocore's
copy of the model, joined with dynamo.requests.differences; nothing about an operation is typed by hand elsewhere.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import orjson

from dynamo.limits import TABLE_ARN_CHARACTERS_MAX, TABLE_NAME_CHARACTERS_MAX, TABLE_NAME_CHARACTERS_MIN
from dynamo.requests.differences import (
    ENUM_ORDER,
    LENGTH_MAX,
    LENGTH_MIN,
    MEMBER_ORDER,
    NAMING_OPERATIONS,
    PATTERN_IN_PYTHON,
    REQUIRED,
    TABLE_NAME_PATTERN,
)

_MODEL_PATH = "data/{service}/2012-08-10/service-2.json.gz"

# As botocore names them: the service itself, and that of its streams.
Service = Literal["dynamodb", "dynamodbstreams"]

Kind = Literal[
    "String",
    "Boolean",
    "Integer",
    "Long",
    "Double",
    "Date",
    "Blob",
    "List",
    "Map",
    "Structure",
    # Left to dynamo.values: one attribute value, and a map of them.
    "AttributeValue",
    "AttributeMap",
]

_KIND_BY_TYPE: Final[dict[str, Kind]] = {
    "string": "String",
    "boolean": "Boolean",
    "integer": "Integer",
    "long": "Long",
    "float": "Double",
    "double": "Double",
    "timestamp": "Date",
    "blob": "Blob",
    "list": "List",
    "map": "Map",
    "structure": "Structure",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One node of a request: its JSON type and its constraints."""

    name: str
    kind: Kind
    members: tuple[Member, ...] = ()
    element: Shape | None = None  # of a list or of a map's values
    key: Shape | None = None  # of a map's keys
    # Length of strings and collections, value of numbers.
    minimum: int | None = None
    maximum: int | None = None
    pattern: re.Pattern[str] | None = None
    pattern_text: str = ""  # as the service prints it
    enum: tuple[str, ...] = ()
    # A table by name or ARN: the pattern and the limits of names hold only for names.
    is_table_reference: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A named member of a structure; `path_name` is how violations spell it."""

    name: str
    path_name: str
    shape: Shape
    required: bool


@cache
def load_service_model(service: Service = "dynamodb") -> dict[str, Any]:
    """The service model as botocore ships it."""
    packed = (resources.files("botocore") / _MODEL_PATH.format(service=service)).read_bytes()
    model: dict[str, Any] = orjson.loads(gzip.decompress(packed))
    return model


def input_shape(operation: str) -> Shape:
    """The request shape of `operation`. Raises KeyError when the model has no such operation."""
    model = load_service_model()
    described = model["operations"][operation]
    return _Builder(model["shapes"], names_tables=operation in NAMING_OPERATIONS).build(described["input"]["shape"])


class _Builder:
    """Turns shape descriptions into Shape objects. Only AttributeValue refers to itself, and it is a leaf here."""

    def __init__(self, described: dict[str, Any], *, names_tables: bool) -> None:
        self._described = described
        self._names_tables = names_tables

    def build(self, name: str, *, length_min: int | None = None, length_max: int | None = None) -> Shape:
        """The shape called `name`; the lengths replace those of its description."""
        shape = self._described[name]
        if name == "AttributeValue":
            return Shape(name, "AttributeValue")
        if shape["type"] == "map" and shape["value"]["shape"] == "AttributeValue":
            return Shape(name, "AttributeMap")
        pattern = shape.get("pattern", "")
        return Shape(
            name,
            _KIND_BY_TYPE[shape["type"]],
            members=self._members(name, shape) if shape["type"] == "structure" else (),
            element=self._element(shape),
            key=self.build(shape["key"]["shape"]) if shape["type"] == "map" else None,
            minimum=shape.get("min") if length_min is None else length_min,
            maximum=length_max or shape.get("max"),
            pattern=re.compile(PATTERN_IN_PYTHON.get(name, pattern), re.ASCII) if pattern else None,
            pattern_text=pattern,
            enum=_ordered_enum(name, shape),
        )

    def _element(self, shape: dict[str, Any]) -> Shape | None:
        if shape["type"] == "list":
            return self.build(shape["member"]["shape"])
        return self.build(shape["value"]["shape"]) if shape["type"] == "map" else None

    def _members(self, name: str, shape: dict[str, Any]) -> tuple[Member, ...]:
        described = shape.get("members", {})
        required = {*shape.get("required", ()), *REQUIRED.get(name, ())}
        first = MEMBER_ORDER.get(name, ())
        order = [*first, *(member for member in described if member not in first)]
        return tuple(
            Member(
                member,
                member[0].lower() + member[1:],
                self._member_shape(name, member, described[member]["shape"]),
                member in required,
            )
            for member in order
        )

    def _member_shape(self, structure: str, member: str, name: str) -> Shape:
        if member == "TableName" and name in ("TableArn", "TableName"):
            return self._table_reference(name)
        place = structure, member
        return self.build(name, length_min=LENGTH_MIN.get(place), length_max=LENGTH_MAX.get(place))

    def _table_reference(self, name: str) -> Shape:
        accepts_arn = name == "TableArn" and not self._names_tables
        return Shape(
            name,
            "String",
            minimum=1 if accepts_arn else TABLE_NAME_CHARACTERS_MIN,
            maximum=TABLE_ARN_CHARACTERS_MAX if accepts_arn else TABLE_NAME_CHARACTERS_MAX,
            pattern=re.compile(TABLE_NAME_PATTERN),
            pattern_text=TABLE_NAME_PATTERN,
            is_table_reference=accepts_arn,
        )


def _ordered_enum(name: str, shape: dict[str, Any]) -> tuple[str, ...]:
    values: list[str] = shape.get("enum", [])
    known = [value for value in ENUM_ORDER.get(name, ()) if value in values]
    # A value the model has learned since is listed last.
    return (*known, *(value for value in values if value not in known))

"""First pass over a request: JSON types, and the form every later step sees.

Called by dynamo.requests.validator when a request is not plainly valid. Law: the result has no null and no unknown
member, booleans and whole numbers are what they say, attribute values are type-checked in full but otherwise untouched;
the first wrong type in the body's order ends the request with SerializationException.
"""

from __future__ import annotations

from typing import Any, Final

from dynamo import json_types
from dynamo.errors import serialization
from dynamo.requests.model import Shape

# What an Integer and a Long can hold: they are Java's.
INTEGER_BOUNDS: Final = {"Integer": (-(2**31), 2**31 - 1), "Long": (-(2**63), 2**63 - 1)}


def read(shape: Shape, value: Any, *, is_element: bool = False) -> Any:
    """`value` in the form of `shape`; null is read as None. Raises SerializationException."""
    if value is None:
        return None
    kind = shape.kind
    if kind == "Structure":
        return _read_structure(shape, value, is_element)
    if kind == "AttributeMap":
        json_types.check_attribute_map(value)
        return value
    if kind == "AttributeValue":
        json_types.check_attribute_value(value, is_element=is_element)
        return value
    if kind == "List":
        return _read_list(shape, value)
    if kind == "Map":
        return _read_map(shape, value)
    json_types.check_scalar(value, kind)
    if kind == "Boolean" and type(value) is str:
        return value.lower() == "true"
    return _read_integer(kind, value) if kind in INTEGER_BOUNDS else value


def _read_integer(kind: str, value: int | float) -> int:
    least, most = INTEGER_BOUNDS[kind]
    # Compared as it came: the parser makes a float of whatever is beyond 64 bits, so `most` as a float is too much.
    if not least <= value <= most:
        raise serialization(f"NUMBER_VALUE cannot be converted to {kind}")
    return int(value)


def _read_structure(shape: Shape, value: Any, is_element: bool) -> dict[str, Any]:
    if type(value) is not dict:
        raise json_types.structure_error(value, shape.name, is_element=is_element)
    shapes = {member.name: member.shape for member in shape.members}
    result = {}
    for name, inner in value.items():
        member = shapes.get(name)
        if member is not None and inner is not None:
            result[name] = read(member, inner)
    return result


def _read_list(shape: Shape, value: Any) -> list[Any]:
    if type(value) is not list:
        raise json_types.list_error(value)
    assert shape.element is not None
    return [read(shape.element, element, is_element=True) for element in value]


def _read_map(shape: Shape, value: Any) -> dict[str, Any]:
    assert shape.element is not None
    if type(value) is not dict:
        element = "java.lang.String" if shape.element.kind == "String" else shape.element.name
        raise json_types.map_error(value, element)
    return {name: read(shape.element, element, is_element=True) for name, element in value.items()}

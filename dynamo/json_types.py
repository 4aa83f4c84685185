"""SerializationException texts: what the service says when a JSON value has the wrong type for its member.

Called by dynamo.values for attribute values and by dynamo.requests for everything else. Law: but for check_base64
nothing here is reached by a usual request, so clarity wins over speed. Source of the texts: answers of the real service
recorded by the dynalite test-suite.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from typing import Final

from dynamo.errors import DynamoError, serialization

_MODEL_PACKAGE = "com.amazonaws.dynamodb.v20120810."
_ATTRIBUTE_VALUE = "AttributeValue"
STRUCTURE_FOUND = "Start of structure or map found where not expected"
UNEXPECTED_FIELD = "Unexpected field type"
UNEXPECTED_VALUE = "Unexpected value type in payload"

# The Java class behind a scalar, as the service names it when a list stands in its place.
_JAVA_CLASS: Final = {
    "String": "java.lang.String",
    "Boolean": "java.lang.Boolean",
    "Integer": "java.lang.Integer",
    "Long": "java.lang.Long",
    "Double": "java.lang.Double",
    "Date": "java.util.Date",
    "Blob": "java.nio.ByteBuffer",
}

_BASE64_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")

# Deeper values are refused as nested too deeply before their types matter; the bound keeps recursion small.
_CHECKED_LEVELS_MAX = 64

_MEMBER_KIND: Final = {
    "S": "String",
    "N": "String",
    "B": "Blob",
    "BOOL": "Boolean",
    "NULL": "Boolean",
}
_SET_KIND: Final = {"SS": "String", "NS": "String", "BS": "Blob"}


def scalar_error(value: object, kind: str) -> DynamoError:
    """`value` where a scalar of `kind` (String, Boolean, Integer, Long, Double, Date, Blob) belongs."""
    if isinstance(value, dict):
        return serialization(STRUCTURE_FOUND)
    if isinstance(value, list):
        return serialization(f"Unrecognized collection type class {_JAVA_CLASS[kind]}")
    if kind == "Blob":
        return serialization("only base-64-encoded strings are convertible to bytes")
    if kind == "Boolean" and isinstance(value, str):
        return serialization("Unexpected token received from parser")
    return serialization(f"{_token(value)} cannot be converted to {kind}")


def list_error(value: object) -> DynamoError:
    """`value` where a list belongs."""
    return serialization(STRUCTURE_FOUND if isinstance(value, dict) else UNEXPECTED_FIELD)


def map_error(value: object, element: str) -> DynamoError:
    """`value` where a map to `element` (a shape name, or a Java class with dots) belongs."""
    if isinstance(value, list):
        name = element if "." in element else _MODEL_PACKAGE + element
        return serialization(f"Unrecognized collection type java.util.Map<java.lang.String, {name}>")
    return serialization(UNEXPECTED_FIELD)


def structure_error(value: object, shape: str, *, is_element: bool) -> DynamoError:
    """`value` where a structure belongs; `is_element`: inside a list or map instead of a named member."""
    if isinstance(value, list):
        return serialization(f"Unrecognized collection type class {_MODEL_PACKAGE}{shape}")
    return serialization(UNEXPECTED_VALUE if is_element else UNEXPECTED_FIELD)


def check_scalar(value: object, kind: str) -> None:
    """Raise SerializationException unless `value` can be read as `kind`."""
    if kind in ("String", "Blob"):
        accepted = isinstance(value, str)
    elif kind == "Boolean":
        # The parser takes the words as strings too.
        accepted = isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false"))
    else:
        accepted = isinstance(value, int | float) and not isinstance(value, bool)
    if not accepted:
        raise scalar_error(value, kind)
    if kind == "Blob" and isinstance(value, str):
        check_base64(value)


def check_base64(text: str) -> None:
    """Raise SerializationException unless `text` is the one canonical base64 form of some bytes."""
    try:
        a2b_base64(text, strict_mode=True)
        # Unused bits of the last group must be zero, or two texts would stand for the same bytes.
        tail = text[-4:]
        canonical = text[-1:] != "=" or b2a_base64(a2b_base64(tail), newline=False).decode() == tail
    except (Base64Error, ValueError):
        canonical = False
    if not canonical:
        raise _base64_error(text)


def check_attribute_map(value: object) -> None:
    """Raise SerializationException unless `value` has the JSON types of a map of attribute values, all levels."""
    if not isinstance(value, dict):
        raise map_error(value, _ATTRIBUTE_VALUE)
    _check_map(value, 1)


def check_attribute_value(value: object, level: int = 1, *, is_element: bool = True) -> None:
    """Raise SerializationException unless `value` has the JSON types of an AttributeValue, all levels."""
    if value is None or level > _CHECKED_LEVELS_MAX:
        return
    if not isinstance(value, dict):
        raise structure_error(value, _ATTRIBUTE_VALUE, is_element=is_element)
    for kind, inner in value.items():
        if inner is None:
            continue
        if kind in _MEMBER_KIND:
            check_scalar(inner, _MEMBER_KIND[kind])
        elif kind in _SET_KIND:
            if not isinstance(inner, list):
                raise list_error(inner)
            for element in inner:
                if element is not None:
                    check_scalar(element, _SET_KIND[kind])
        elif kind == "L":
            if not isinstance(inner, list):
                raise list_error(inner)
            for element in inner:
                check_attribute_value(element, level + 1)
        elif kind == "M":
            if not isinstance(inner, dict):
                raise map_error(inner, _ATTRIBUTE_VALUE)
            _check_map(inner, level + 1)


def _check_map(value: Mapping[object, object], level: int) -> None:
    for element in value.values():
        check_attribute_value(element, level)


def _token(value: object) -> str:
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if isinstance(value, int):
        return "NUMBER_VALUE"
    if isinstance(value, float):
        return "DECIMAL_VALUE"
    return "STRING_VALUE"


def _base64_error(text: str) -> DynamoError:
    if len(text) % 4:
        return serialization(f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(text)}")
    for character in text:
        if character not in _BASE64_ALPHABET:
            return serialization(f"Invalid Base64 character: '{character}'")
    return serialization("Invalid last non-pad Base64 character dectected")

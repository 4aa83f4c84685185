"""Attribute values and items in DynamoDB JSON form: validation, canonical form, size, comparison.

Called by the router for every request (canonical_item, item_size, encode_item) and by expressions on the leader. Law: a
canonical value has exactly one type member, canonical numbers, sets without duplicates and no unknown member, so what
is stored can be spliced into a reply as it is. Types are judged before content over the whole map, as the service does.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable
from typing import Any, Final

import orjson

from dynamo import numbers
from dynamo.errors import DynamoError, invalid_parameter, validation
from dynamo.json_types import check_attribute_map, check_attribute_value, check_base64
from dynamo.limits import ATTRIBUTE_NAME_BYTES_MAX, NESTING_LEVELS_MAX
from dynamo.numbers import normalize

AttributeValue = dict[str, Any]
Item = dict[str, AttributeValue]

encode_item: Final[Callable[[Item], bytes]] = orjson.dumps

# A name of this many characters cannot be too long whatever its characters are, so most are not encoded to be measured.
_SURELY_SHORT_CHARACTERS = ATTRIBUTE_NAME_BYTES_MAX // 4

_EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
_SEVERAL = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
)
_TOO_DEEP = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)


def decode_item(encoded: bytes) -> Item:
    """The item that `encode_item` wrote. Raises orjson.JSONDecodeError on anything that is not JSON."""
    item: Item = orjson.loads(encoded)
    return item


def canonical_item(raw: object) -> Item:
    """Validate and normalise a map of attribute values as parsed from JSON, in place; returns it.

    Used for Item, Key and ExpressionAttributeValues alike. `raw` must not be used after an error. Raises
    SerializationException for wrong JSON types anywhere in the map, else ValidationException with DynamoDB's texts.
    """
    if type(raw) is not dict:
        check_attribute_map(raw)
        raise AssertionError("check_attribute_map accepts dictionaries only")
    try:
        for name, value in raw.items():
            if not 0 < len(name) <= _SURELY_SHORT_CHARACTERS:
                _check_name(name)
            # Strings and numbers are most of what is stored: settled here, without a call a value.
            if type(value) is dict and len(value) == 1:
                ((kind, inner),) = value.items()
                if kind == "S":
                    if type(inner) is str:
                        continue
                elif kind == "N" and type(inner) is str:
                    number = normalize(inner)
                    if number is not inner:
                        value["N"] = number
                    continue
            replaced = _canonical(value, 1)
            if replaced is not value:
                raw[name] = replaced
    except DynamoError as error:
        raise _first_error(raw, error) from None
    return raw


def canonical_value(value: object) -> AttributeValue:
    """Validate and normalise one attribute value as parsed from JSON, in place where it can.

    Raises as canonical_item does; `value` must not be used after an error.
    """
    try:
        return _canonical(value, 1)
    except DynamoError:
        check_attribute_value(value)
        raise


def value_size(value: AttributeValue) -> int:
    """Bytes a canonical value counts for: developer guide, "DynamoDB item sizes and formats"."""
    for kind, inner in value.items():
        if kind == "S":
            return len(inner) if inner.isascii() else len(inner.encode())
        if kind == "N":
            return numbers.size_bytes(inner)
        if kind == "B":
            return _decoded_bytes(inner)
        if kind == "M":
            return 3 + len(inner) + item_size(inner)
        if kind == "L":
            return 3 + len(inner) + sum(map(value_size, inner))
        if kind == "SS":
            return sum(len(element.encode()) for element in inner)
        if kind == "NS":
            return sum(map(numbers.size_bytes, inner))
        if kind == "BS":
            return sum(map(_decoded_bytes, inner))
    return 1  # BOOL and NULL


def item_size(item: Item) -> int:
    """Bytes a canonical item counts for: attribute names in UTF-8 plus values. The limit is limits.ITEM_BYTES_MAX."""
    total = 0
    for name, value in item.items():
        total += len(name) if name.isascii() else len(name.encode())
        text = value.get("S")
        if text is not None and text.isascii():
            total += len(text)
        else:
            total += value_size(value)
    return total


def compare_values(left: AttributeValue, right: AttributeValue) -> int | None:
    """-1, 0 or 1 by DynamoDB's order of canonical scalars of one type; None when the two cannot be compared.

    S by UTF-8 bytes, N by value, B by unsigned bytes; every other type and every mixed pair is not comparable.
    """
    (kind,) = left
    inner, other = left[kind], right.get(kind)
    if other is None:
        return None
    if kind == "N":
        return numbers.compare(inner, other)
    if kind == "B":
        inner, other = a2b_base64(inner), a2b_base64(other)
    elif kind != "S":
        return None
    # Code point order of str is the byte order of its UTF-8 form.
    if inner == other:
        return 0
    return -1 if inner < other else 1


def equal_values(left: AttributeValue, right: AttributeValue) -> bool:
    """Deep equality of canonical values: lists in order, sets in any order, maps by name."""
    if left == right:
        return True
    (kind,) = left
    other = right.get(kind)
    if other is None:
        return False
    inner = left[kind]
    if kind == "M":
        return inner.keys() == other.keys() and all(equal_values(inner[name], other[name]) for name in inner)
    if kind == "L":
        return len(inner) == len(other) and all(map(equal_values, inner, other))
    if kind in ("SS", "NS", "BS"):
        return set(inner) == set(other)
    return False


def _first_error(raw: dict[str, Any], error: DynamoError) -> DynamoError:
    """The error the service would report first: JSON types of all values, then empty names, then what was found."""
    check_attribute_map(raw)
    if "" in raw:
        return validation("Empty attribute name")
    return error


def _canonical(value: Any, level: int) -> AttributeValue:
    """One value at nesting level `level` (a top-level attribute is 1)."""
    if type(value) is not dict:
        check_attribute_value(value)
        raise validation(_EMPTY)  # null
    if level > NESTING_LEVELS_MAX:
        raise validation(_TOO_DEEP)
    if len(value) != 1:
        return _canonical_of_several(value, level)
    ((kind, inner),) = value.items()
    canonical = _CANONICAL_BY_KIND.get(kind)
    if canonical is None or inner is None:
        raise validation(_EMPTY)
    replaced = canonical(inner, level)
    if replaced is not inner:
        value[kind] = replaced
    return value


def _canonical_of_several(value: dict[str, Any], level: int) -> AttributeValue:
    """Members that are null or unknown do not count; of the rest exactly one may be left."""
    members = {kind: inner for kind, inner in value.items() if inner is not None and kind in _CANONICAL_BY_KIND}
    if not members:
        raise validation(_EMPTY)
    # Content is judged before the count, as the service does.
    checked = {kind: _CANONICAL_BY_KIND[kind](inner, level) for kind, inner in members.items()}
    if len(checked) > 1:
        raise validation(_SEVERAL)
    return checked


def _string(inner: Any, _level: int) -> str:
    if type(inner) is not str:
        check_attribute_value({"S": inner})
    text: str = inner
    return text


def _number(inner: Any, _level: int) -> str:
    if type(inner) is not str:
        check_attribute_value({"N": inner})
    return normalize(inner)


def _binary(inner: Any, _level: int) -> str:
    """Base64 as it came: only the one canonical encoding of some bytes is accepted."""
    if type(inner) is not str:
        check_attribute_value({"B": inner})
    text: str = inner
    check_base64(text)
    return text


def _boolean(inner: Any, _level: int) -> bool:
    if type(inner) is bool:
        return inner
    check_attribute_value({"BOOL": inner})
    word: str = inner
    return word.lower() == "true"


def _null(inner: Any, level: int) -> bool:
    if inner is True or _boolean(inner, level):
        return True
    raise invalid_parameter("Null attribute value types must have the value of true")


def _string_set(inner: Any, _level: int) -> list[str]:
    elements = _elements("SS", inner)
    if not elements:
        raise invalid_parameter("An string set  may not be empty")
    if None in elements:
        raise invalid_parameter("An string set may not have a null string as a member")
    if len(set(elements)) != len(elements):
        raise invalid_parameter(f"Input collection [{', '.join(elements)}] contains duplicates.")
    return elements


def _number_set(inner: Any, _level: int) -> list[str]:
    elements = _elements("NS", inner)
    if not elements:
        raise invalid_parameter("An number set  may not be empty")
    canonical = [normalize(element or "") for element in elements]
    if len(set(canonical)) != len(canonical):
        raise validation("Input collection contains duplicates")
    return canonical


def _binary_set(inner: Any, level: int) -> list[str]:
    elements = _elements("BS", inner)
    if not elements:
        raise invalid_parameter("Binary sets should not be empty")
    if None in elements:
        raise invalid_parameter("Binary sets may not contain null or empty values")
    for element in elements:
        _binary(element, level)
    if len(set(elements)) != len(elements):
        raise invalid_parameter(f"Input collection [{', '.join(elements)}]of type BS contains duplicates.")
    return elements


def _elements(kind: str, inner: Any) -> list[Any]:
    """The elements of a set, each a string or null."""
    if type(inner) is not list or not all(type(element) is str for element in inner):
        check_attribute_value({kind: inner})
    elements: list[Any] = inner
    return elements


def _list(inner: Any, level: int) -> list[AttributeValue]:
    if type(inner) is not list:
        check_attribute_value({"L": inner})
    elements: list[AttributeValue] = inner
    for index, element in enumerate(elements):
        replaced = _canonical(element, level + 1)
        if replaced is not element:
            elements[index] = replaced
    return elements


def _map(inner: Any, level: int) -> Item:
    if type(inner) is not dict:
        check_attribute_value({"M": inner})
    members: Item = inner
    for name, element in members.items():
        if not 0 < len(name) <= _SURELY_SHORT_CHARACTERS:
            _check_name(name)
        replaced = _canonical(element, level + 1)
        if replaced is not element:
            members[name] = replaced
    return members


_CANONICAL_BY_KIND: Final[dict[str, Callable[[Any, int], Any]]] = {
    "S": _string,
    "N": _number,
    "B": _binary,
    "BOOL": _boolean,
    "NULL": _null,
    "SS": _string_set,
    "NS": _number_set,
    "BS": _binary_set,
    "L": _list,
    "M": _map,
}


def _check_name(name: str) -> None:
    if not name:
        raise validation("Empty attribute name")
    if len(name.encode()) > ATTRIBUTE_NAME_BYTES_MAX:
        raise validation("Attribute name is too large, must be less than 65536 bytes")


def _decoded_bytes(text: str) -> int:
    """Bytes behind canonical base64, without decoding it."""
    return len(text) // 4 * 3 - text.count("=", -2)

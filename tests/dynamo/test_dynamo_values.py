"""Attribute values: what is accepted, its canonical form, exact refusals, sizes, comparison."""

from __future__ import annotations

import base64
from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo import values
from dynamo.errors import DynamoError

pytestmark = pytest.mark.unit

INVALID = "One or more parameter values were invalid: "
EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
SEVERAL = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
TOO_DEEP = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)
STRUCTURE_FOUND = "Start of structure or map found where not expected"
PACKAGE = "com.amazonaws.dynamodb.v20120810."


def nested(levels: int, leaf: Any = None, kind: str = "M") -> dict[str, Any]:
    value = leaf if leaf is not None else {"S": "leaf"}
    for _ in range(levels):
        value = {"M": {"n": value}} if kind == "M" else {"L": [value]}
    return value


def refusal(raw: object) -> tuple[str, str]:
    with pytest.raises(DynamoError) as caught:
        values.canonical_item(raw)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        pytest.param({"S": ""}, {"S": ""}, id="empty string"),
        pytest.param({"S": "a\x00é😀"}, {"S": "a\x00é😀"}, id="any character"),
        pytest.param({"N": "1.0"}, {"N": "1"}, id="number is normalised"),
        pytest.param({"B": ""}, {"B": ""}, id="empty binary"),
        pytest.param({"B": "AAECAw=="}, {"B": "AAECAw=="}, id="binary"),
        pytest.param({"BOOL": False}, {"BOOL": False}, id="false"),
        pytest.param({"BOOL": "TRUE"}, {"BOOL": True}, id="true as a word"),
        pytest.param({"NULL": True}, {"NULL": True}, id="null"),
        pytest.param({"SS": ["", "a"]}, {"SS": ["", "a"]}, id="an empty string in a set"),
        pytest.param({"NS": ["1.0", "2e1"]}, {"NS": ["1", "20"]}, id="numbers of a set are normalised"),
        pytest.param({"BS": ["", "AA=="]}, {"BS": ["", "AA=="]}, id="an empty binary in a set"),
        pytest.param({"L": []}, {"L": []}, id="empty list"),
        pytest.param({"M": {}}, {"M": {}}, id="empty map"),
        pytest.param(
            {"M": {"a": {"L": [{"N": "1.0"}, {"S": "x", "N": None}]}}},
            {"M": {"a": {"L": [{"N": "1"}, {"S": "x"}]}}},
            id="nested values are normalised",
        ),
        pytest.param({"S": "x", "unknown": 1}, {"S": "x"}, id="unknown members go"),
        pytest.param({"S": "x", "N": None}, {"S": "x"}, id="null members go"),
        pytest.param(nested(31), nested(31), id="31 maps around a leaf"),
        pytest.param(nested(31, kind="L"), nested(31, kind="L"), id="31 lists around a leaf"),
        pytest.param(nested(31, {"M": {}}), nested(31, {"M": {}}), id="an empty map at the last level"),
    ],
)
def test_canonical_value(value: dict[str, Any], canonical: dict[str, Any]) -> None:
    assert values.canonical_value(deepcopy(value)) == canonical
    assert values.canonical_item({"a": deepcopy(value)}) == {"a": canonical}
    assert values.canonical_item({"a": deepcopy(canonical)}) == {"a": canonical}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param({}, EMPTY, id="no type"),
        pytest.param({"a": ""}, EMPTY, id="unknown type"),
        pytest.param({"S": None}, EMPTY, id="null content"),
        pytest.param(None, EMPTY, id="null value"),
        pytest.param({"L": [None]}, EMPTY, id="null in a list"),
        pytest.param({"M": {"a": None}}, EMPTY, id="null in a map"),
        pytest.param({"S": "a", "N": "1"}, SEVERAL, id="two types"),
        pytest.param(
            {"S": "a", "N": "x"}, "The parameter cannot be converted to a numeric value: x", id="content before count"
        ),
        pytest.param({"N": ""}, "The parameter cannot be converted to a numeric value", id="empty number"),
        pytest.param({"NS": ["1", "b"]}, "The parameter cannot be converted to a numeric value: b", id="bad in a set"),
        pytest.param(
            {"NULL": False}, INVALID + "Null attribute value types must have the value of true", id="NULL false"
        ),
        pytest.param({"SS": []}, INVALID + "An string set  may not be empty", id="empty string set"),
        pytest.param({"NS": []}, INVALID + "An number set  may not be empty", id="empty number set"),
        pytest.param({"BS": []}, INVALID + "Binary sets should not be empty", id="empty binary set"),
        pytest.param({"SS": ["a", "a"]}, INVALID + "Input collection [a, a] contains duplicates.", id="string twice"),
        pytest.param({"NS": ["1", "1.0"]}, "Input collection contains duplicates", id="number twice"),
        pytest.param(
            {"BS": ["Yg==", "Yg=="]},
            INVALID + "Input collection [Yg==, Yg==]of type BS contains duplicates.",
            id="binary twice",
        ),
        pytest.param(nested(32), TOO_DEEP, id="32 maps around a leaf"),
        pytest.param(nested(32, kind="L"), TOO_DEEP, id="32 lists around a leaf"),
        pytest.param(nested(400), TOO_DEEP, id="very deep"),
        pytest.param({"M": {"": {"S": "x"}}}, "Empty attribute name", id="empty name in a map"),
    ],
)
def test_invalid_value(value: Any, message: str) -> None:
    assert refusal({"a": value}) == ("ValidationException", message)
    assert refusal({"first": {"S": "ok"}, "m": {"M": {"a": value}}})[0] == "ValidationException"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"S": 23}, "NUMBER_VALUE cannot be converted to String"),
        ({"S": 34.56}, "DECIMAL_VALUE cannot be converted to String"),
        ({"S": True}, "TRUE_VALUE cannot be converted to String"),
        ({"N": False}, "FALSE_VALUE cannot be converted to String"),
        ({"N": 5}, "NUMBER_VALUE cannot be converted to String"),
        ({"S": []}, "Unrecognized collection type class java.lang.String"),
        ({"S": {}}, STRUCTURE_FOUND),
        ({"B": 5}, "only base-64-encoded strings are convertible to bytes"),
        ({"B": []}, "Unrecognized collection type class java.nio.ByteBuffer"),
        ({"B": {}}, STRUCTURE_FOUND),
        ({"B": "23456"}, "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
        ({"B": "=+/="}, "Invalid last non-pad Base64 character dectected"),
        ({"B": "+/+="}, "Invalid last non-pad Base64 character dectected"),
        ({"B": "YR=="}, "Invalid last non-pad Base64 character dectected"),
        ({"B": "YQ==YQ=="}, "Invalid last non-pad Base64 character dectected"),
        ({"B": "a*bc"}, "Invalid Base64 character: '*'"),
        ({"B": "ab\nc"}, "Invalid Base64 character: '\n'"),
        ({"B": "äbcd"}, "Invalid Base64 character: 'ä'"),
        ({"BS": ["YR=="]}, "Invalid last non-pad Base64 character dectected"),
        ({"BOOL": 1}, "NUMBER_VALUE cannot be converted to Boolean"),
        ({"BOOL": "yes"}, "Unexpected token received from parser"),
        ({"BOOL": []}, "Unrecognized collection type class java.lang.Boolean"),
        ({"NULL": "no"}, "Unexpected token received from parser"),
        ({"SS": "a"}, "Unexpected field type"),
        ({"SS": {}}, STRUCTURE_FOUND),
        ({"SS": [1]}, "NUMBER_VALUE cannot be converted to String"),
        ({"NS": [True]}, "TRUE_VALUE cannot be converted to String"),
        ({"L": {}}, STRUCTURE_FOUND),
        ({"L": 5}, "Unexpected field type"),
        ({"L": ["a"]}, "Unexpected value type in payload"),
        ({"L": [[]]}, f"Unrecognized collection type class {PACKAGE}AttributeValue"),
        ({"M": []}, f"Unrecognized collection type java.util.Map<java.lang.String, {PACKAGE}AttributeValue>"),
        ({"M": "a"}, "Unexpected field type"),
        ({"M": {"a": 5}}, "Unexpected value type in payload"),
        (5, "Unexpected value type in payload"),
        ("a", "Unexpected value type in payload"),
        ([], f"Unrecognized collection type class {PACKAGE}AttributeValue"),
    ],
)
def test_wrong_json_type(value: Any, message: str) -> None:
    assert refusal({"a": value}) == ("SerializationException", message)
    # Types of the whole map are judged before any content, wherever they stand.
    assert refusal({"bad": {"N": "abc"}, "a": value}) == ("SerializationException", message)
    with pytest.raises(DynamoError) as caught:
        values.canonical_value(value)
    assert caught.value.code == "SerializationException"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (5, "Unexpected field type"),
        ("a", "Unexpected field type"),
        ([], f"Unrecognized collection type java.util.Map<java.lang.String, {PACKAGE}AttributeValue>"),
    ],
)
def test_item_that_is_no_map(raw: object, message: str) -> None:
    assert refusal(raw) == ("SerializationException", message)


def test_names_have_limits() -> None:
    assert values.canonical_item({"n" * 65_535: {"S": ""}})
    assert values.canonical_item({"é" * 32_767: {"S": ""}})
    too_large = "Attribute name is too large, must be less than 65536 bytes"
    assert refusal({"n" * 65_536: {"S": ""}}) == ("ValidationException", too_large)
    assert refusal({"é" * 32_768: {"S": ""}}) == ("ValidationException", too_large)
    assert refusal({"a": {"M": {"é" * 32_768: {"S": ""}}}}) == ("ValidationException", too_large)


def test_an_empty_name_is_reported_before_bad_values() -> None:
    assert refusal({"a": nested(40), "": {"S": "x"}}) == ("ValidationException", "Empty attribute name")


def test_lone_surrogates_do_not_pass_the_parser() -> None:
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(b'{"a":{"S":"\\ud800"}}')


binaries = st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode())
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
number_texts = st.one_of(
    st.integers(-(10**20), 10**20).map(str), st.decimals(allow_nan=False, allow_infinity=False, places=5).map(str)
).filter(lambda text: len(text) < 30)
numbers_in_sets = st.lists(st.integers(-1000, 1000), min_size=1, max_size=5, unique=True)
scalars = st.one_of(
    texts.map(lambda text: {"S": text}),
    number_texts.map(lambda text: {"N": text}),
    binaries.map(lambda text: {"B": text}),
    st.booleans().map(lambda flag: {"BOOL": flag}),
    st.just({"NULL": True}),
    st.lists(texts, min_size=1, max_size=5, unique=True).map(lambda elements: {"SS": elements}),
    numbers_in_sets.map(lambda elements: {"NS": [f"{number}.0" for number in elements]}),
    st.lists(binaries, min_size=1, max_size=5, unique=True).map(lambda elements: {"BS": elements}),
)
any_value = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda elements: {"L": elements}),
        st.dictionaries(texts.filter(bool), inner, max_size=4).map(lambda members: {"M": members}),
    ),
    max_leaves=12,
)
items = st.dictionaries(texts.filter(bool), any_value, max_size=5)


@given(items)
def test_canonical_form_is_stable_and_survives_encoding(raw: dict[str, Any]) -> None:
    canonical = values.canonical_item(deepcopy(raw))
    assert values.canonical_item(deepcopy(canonical)) == canonical
    assert values.decode_item(values.encode_item(canonical)) == canonical
    assert values.item_size(canonical) == sum(
        len(name.encode()) + values.value_size(value) for name, value in canonical.items()
    )


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-10, 10), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"]), st.text(max_size=2)
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=10,
)


@given(json_values)
def test_any_json_is_accepted_or_refused_by_name(raw: Any) -> None:
    try:
        canonical = values.canonical_item(raw)
    except DynamoError as error:
        refused = error
    else:
        assert values.item_size(canonical) >= 0
        assert orjson.loads(values.encode_item(canonical)) == canonical
        return
    assert refused.code in ("ValidationException", "SerializationException")
    assert refused.message


@pytest.mark.parametrize(
    ("item", "size"),
    [
        pytest.param({}, 0, id="nothing"),
        pytest.param({"id": {"S": "abc"}}, 5, id="name and string"),
        pytest.param({"é": {"S": "é😀"}}, 2 + 6, id="UTF-8 bytes"),
        pytest.param({"n": {"N": "123"}}, 1 + 3, id="number"),
        pytest.param({"b": {"B": ""}}, 1, id="empty binary"),
        pytest.param({"b": {"B": "AA=="}}, 1 + 1, id="one byte"),
        pytest.param({"b": {"B": "AAA="}}, 1 + 2, id="two bytes"),
        pytest.param({"b": {"B": "AAAA"}}, 1 + 3, id="three bytes"),
        pytest.param({"t": {"BOOL": True}, "n": {"NULL": True}}, 4, id="flags take one byte"),
        pytest.param({"l": {"L": []}}, 1 + 3, id="empty list"),
        pytest.param({"l": {"L": [{"S": "ab"}, {"NULL": True}]}}, 1 + 3 + 2 + 2 + 1, id="list"),
        pytest.param({"m": {"M": {"key": {"S": "ab"}}}}, 1 + 3 + 1 + 3 + 2, id="map"),
        pytest.param({"s": {"SS": ["a", "é"]}}, 1 + 1 + 2, id="string set"),
        pytest.param({"s": {"NS": ["1", "123"]}}, 1 + 2 + 3, id="number set"),
        pytest.param({"s": {"BS": ["AA==", "AAAA"]}}, 1 + 1 + 3, id="binary set"),
    ],
)
def test_size(item: dict[str, Any], size: int) -> None:
    assert values.item_size(values.canonical_item(item)) == size


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        pytest.param({"S": "a"}, {"S": "b"}, -1, id="strings"),
        pytest.param({"S": "a"}, {"S": "a"}, 0, id="equal strings"),
        pytest.param({"S": "\uffff"}, {"S": "😀"}, -1, id="strings by UTF-8, not UTF-16"),
        pytest.param({"N": "9"}, {"N": "10"}, -1, id="numbers by value"),
        pytest.param({"N": "-1"}, {"N": "-1.5"}, 1, id="negative numbers by value"),
        pytest.param({"B": "/w=="}, {"B": "AAAA"}, 1, id="binaries by unsigned bytes, not by base64"),
        pytest.param({"B": "AA=="}, {"B": "AAA="}, -1, id="a prefix comes first"),
        pytest.param({"S": "1"}, {"N": "1"}, None, id="mixed types"),
        pytest.param({"BOOL": True}, {"BOOL": True}, None, id="booleans have no order"),
        pytest.param({"L": []}, {"L": []}, None, id="lists have no order"),
    ],
)
def test_comparison(left: dict[str, Any], right: dict[str, Any], expected: int | None) -> None:
    assert values.compare_values(left, right) == expected
    assert values.compare_values(right, left) == (None if expected is None else -expected)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        pytest.param({"S": "1"}, {"N": "1"}, False, id="types differ"),
        pytest.param({"BOOL": True}, {"BOOL": True}, True, id="booleans"),
        pytest.param({"SS": ["a", "b"]}, {"SS": ["b", "a"]}, True, id="sets in any order"),
        pytest.param({"SS": ["a", "b"]}, {"SS": ["a", "c"]}, False, id="sets differ"),
        pytest.param({"SS": ["1"]}, {"NS": ["1"]}, False, id="set types differ"),
        pytest.param({"L": [{"N": "1"}, {"N": "2"}]}, {"L": [{"N": "2"}, {"N": "1"}]}, False, id="lists are ordered"),
        pytest.param({"L": [{"NS": ["1", "2"]}]}, {"L": [{"NS": ["2", "1"]}]}, True, id="a set inside a list"),
        pytest.param({"M": {"a": {"S": "x"}}}, {"M": {"b": {"S": "x"}}}, False, id="names differ"),
        pytest.param(
            {"M": {"a": {"BS": ["AA==", "AQ=="]}, "b": {"S": ""}}},
            {"M": {"b": {"S": ""}, "a": {"BS": ["AQ==", "AA=="]}}},
            True,
            id="maps in any order",
        ),
    ],
)
def test_equality(left: dict[str, Any], right: dict[str, Any], equal: bool) -> None:
    assert values.equal_values(left, right) is equal
    assert values.equal_values(right, left) is equal

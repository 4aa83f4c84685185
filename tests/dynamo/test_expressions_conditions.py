"""What conditions decide, for every comparator and function and over missing and differently typed attributes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dynamo.errors import DynamoError
from dynamo.expressions import Bindings, matches, parse_condition
from dynamo.expressions.comparing import size_of

pytestmark = pytest.mark.unit

ITEM: dict[str, Any] = {
    "pk": {"S": "p"},
    "s": {"S": "hello"},
    "s2": {"S": "hello"},
    "n": {"N": "5"},
    "big": {"N": "100"},
    "neg": {"N": "-1.5"},
    "b": {"B": "aGkgdGhlcmU="},
    "t": {"BOOL": True},
    "f": {"BOOL": False},
    "z": {"NULL": True},
    "ss": {"SS": ["x", "y"]},
    "ns": {"NS": ["1", "2.5"]},
    "bs": {"BS": ["aGk="]},
    "l": {"L": [{"N": "2"}, {"S": "dog"}, {"L": [{"N": "3"}]}, {"SS": ["q", "r"]}]},
    "m": {"M": {"x": {"N": "1"}, "y": {"L": [{"N": "-1"}, {"M": {"deep": {"S": "end"}}}]}, "and": {"S": "w"}}},
    "e": {"S": ""},
    "u": {"S": "é𝄞"},
    "a.b": {"S": "dotted"},
}
VALUES: dict[str, Any] = {
    ":s": {"S": "hello"},
    ":ell": {"S": "ell"},
    ":he": {"S": "he"},
    ":zz": {"S": "zz"},
    ":n": {"N": "5"},
    ":four": {"N": "4"},
    ":ten": {"N": "10"},
    ":n2": {"N": "2"},
    ":b": {"B": "aGkgdGhlcmU="},
    ":here": {"B": "aGVyZQ=="},
    ":hi": {"B": "aGk="},
    ":t": {"BOOL": True},
    ":null": {"NULL": True},
    ":ssr": {"SS": ["y", "x"]},
    ":rq": {"SS": ["r", "q"]},
    ":l3": {"L": [{"N": "3"}]},
    ":x": {"S": "x"},
    ":nx": {"NS": ["2.5", "1"]},
    ":n25": {"N": "2.5"},
    ":m": {"M": {"deep": {"S": "end"}}},
    ":S": {"S": "S"},
    ":SS": {"S": "SS"},
    ":NULL": {"S": "NULL"},
    ":3": {"N": "3"},
}
NAMES = {"#and": "and", "#dotted": "a.b", "#m": "m", "#y": "y", "#s": "s"}


def holds(text: str, item: dict[str, Any] | None = ITEM) -> bool:
    before = copy.deepcopy(item)
    result = matches(parse_condition(text), item, Bindings(NAMES, VALUES))
    assert item == before
    return result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # equality
        ("s = :s", True),
        ("s = s2", True),
        (":s = s", True),
        ("#s = :s", True),
        ("s = :zz", False),
        ("n = :n", True),
        ("b = :b", True),
        ("t = :t", True),
        ("f = :t", False),
        ("z = :null", True),
        ("ss = :ssr", True),
        ("ns = :nx", True),
        ("n = :s", False),
        ("nowhere = :s", False),
        ("nowhere = absent", False),
        ("s <> :zz", True),
        ("s <> :s", False),
        ("n <> :s", True),
        ("nowhere <> :s", True),
        ("nowhere <> absent", True),
        # order
        ("n < :ten", True),
        ("big < :ten", False),
        ("n < :n", False),
        ("n <= :n", True),
        ("n >= :n", True),
        ("n > :four", True),
        ("neg < n", True),
        ("s < :zz", True),
        ("b < :b", False),
        ("b >= :hi", True),
        ("n < :zz", False),
        ("n > :zz", False),
        ("nowhere < :n", False),
        (":n > nowhere", False),
        ("t <= f", False),
        ("l > :n", False),
        # BETWEEN
        ("n BETWEEN :four AND :ten", True),
        ("n between :n and :n", True),
        ("n BETWEEN :ten AND big", False),
        ("s BETWEEN :he AND :zz", True),
        ("b BETWEEN :hi AND :b", True),
        ("n BETWEEN :he AND :zz", False),
        ("nowhere BETWEEN :four AND :ten", False),
        ("n BETWEEN nowhere AND :ten", False),
        ("n BETWEEN big AND neg", False),
        ("n BETWEEN neg AND :ten AND s = :s", True),
        # IN
        ("n IN (:four, :n)", True),
        ("n IN (:four, :s)", False),
        ("s IN (n, s2)", True),
        ("ss IN (:ssr)", True),
        ("nowhere IN (:n, absent)", False),
        ("n IN (absent, :n)", True),
        # functions
        ("attribute_exists(s)", True),
        ("attribute_exists(nowhere)", False),
        ("attribute_exists(m.y[1].deep)", True),
        ("attribute_exists(m.y[2])", False),
        ("attribute_exists(s.x)", False),
        ("attribute_exists(s[0])", False),
        ("attribute_exists(l.x)", False),
        ("attribute_exists(m[0])", False),
        ("attribute_exists(f)", True),
        ("attribute_not_exists(nowhere)", True),
        ("attribute_not_exists(z)", False),
        ("attribute_type(s, :S)", True),
        ("attribute_type(ss, :SS)", True),
        ("attribute_type(z, :NULL)", True),
        ("attribute_type(n, :S)", False),
        ("attribute_type(nowhere, :S)", False),
        ("attribute_type(:zz, :S)", True),
        ("begins_with(s, :he)", True),
        ("begins_with(s, :ell)", False),
        ("begins_with(b, :hi)", True),
        ("begins_with(b, :he)", False),
        ("begins_with(:s, s2)", True),
        ("begins_with(n, :he)", False),
        ("begins_with(nowhere, :he)", False),
        ("contains(s, :ell)", True),
        ("contains(s, :zz)", False),
        ("contains(s, e)", True),
        ("contains(b, :here)", True),
        ("contains(b, :ell)", False),
        ("contains(ss, :x)", True),
        ("contains(ss, :s)", False),
        ("contains(ss, :n)", False),
        ("contains(ns, :n25)", True),
        ("contains(ns, :n2)", False),
        ("contains(bs, :hi)", True),
        ("contains(bs, :x)", False),
        ("contains(l, :n2)", True),
        ("contains(l, :l3)", True),
        ("contains(l, :rq)", True),
        ("contains(l, :zz)", False),
        ("contains(m, :x)", False),
        ("contains(n, :n)", False),
        ("contains(nowhere, :x)", False),
        ("contains(l, nowhere)", False),
        ("size(s) = :n", True),
        ("size(ss) = :n2", True),
        ("size(l) >= :four", True),
        ("size(m) > size(ss)", True),
        ("size(b) > :n", True),
        ("size(:s) = n", True),
        ("size(u) = :3", True),
        ("size(n) = :n", False),
        ("size(n) <> :n", True),
        ("size(t) < :ten", False),
        ("size(nowhere) < :ten", False),
        ("size(s) = :s", False),
        ("size(s) BETWEEN :four AND :ten", True),
        ("size(s) IN (:four, :n)", True),
        # paths
        ("m.x = :n2", False),
        ("m.x < l[0]", True),
        ("m.#and <> :s", True),
        ("#m.#y[1] = :m", True),
        ("#dotted <> a.b", True),
        ("attribute_exists(a.b)", False),
        ("attribute_exists(#dotted)", True),
        ("(m.y)[0] < :n", True),
        # logic and precedence
        ("s = :s AND n = :n", True),
        ("s = :s aNd n = :ten", False),
        ("s = :zz OR n = :n", True),
        ("s = :zz oR n = :ten", False),
        ("s = :s OR n = :ten AND n = :four", True),
        ("(s = :s OR n = :ten) AND n = :four", False),
        ("NOT s = :zz", True),
        ("NOT s = :s", False),
        ("NOT s = :zz AND n = :ten", False),
        ("NOT (s = :zz AND n = :ten)", True),
        ("NOT NOT s = :s", True),
        ("NOT NOT NOT s = :s", False),
        ("NOT (NOT (s = :s))", True),
        ("NOT nowhere = :s", True),
        ("s = :zz OR s = :zz OR s = :s", True),
        ("(s = :s AND (n = :n OR n = :ten)) AND (t = :t OR s = :zz)", True),
        ("(attribute_exists(s)) AND (attribute_exists(n))", True),
        ("(attribute_exists(nowhere)) OR n = :n", True),
        ("(size(s)) > :four", True),
        ("(s) = (:s)", True),
        # nothing is evaluated once the outcome is known: the second part would need a placeholder that is missing
        ("s = :s OR s = :undefined", True),
        ("s = :zz AND s = :undefined", False),
    ],
)
def test_condition_on_an_item(text: str, expected: bool) -> None:
    assert holds(text) is expected
    assert holds(f"NOT ({text})") is not expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("attribute_not_exists(pk)", True), ("attribute_exists(pk)", False), ("pk = :s", False), ("pk <> :s", True)],
)
def test_an_item_that_does_not_exist_has_no_attributes(text: str, expected: bool) -> None:
    assert holds(text, None) is expected


@pytest.mark.parametrize(
    ("text", "placeholder"),
    [("a = :nope", "attribute value: :nope"), ("#nope = :s", "attribute name: #nope"), ("m.#no = :s", "#no")],
    ids=["value", "name", "nested-name"],
)
def test_undefined_placeholders_are_refused_even_without_the_checks(text: str, placeholder: str) -> None:
    with pytest.raises(DynamoError) as caught:
        matches(parse_condition(text, "FilterExpression"), ITEM, Bindings(None, VALUES))
    assert caught.value.message.startswith("Invalid FilterExpression: An expression attribute ")
    assert caught.value.message.endswith(placeholder)


@pytest.mark.parametrize("text", ["size(a, b) = :n", "size(size(s)) = :n", "begins_with(s)", "contains(s, s2, n)"])
def test_calls_that_the_checks_refuse_are_refused_when_evaluated(text: str) -> None:
    with pytest.raises(DynamoError, match="Invalid ConditionExpression: Incorrect"):
        holds(text)


def test_the_deepest_condition_that_300_operators_allow_is_decided() -> None:
    text, expected = "n = :n", True
    for _ in range(99):
        text, expected = f"NOT (n = :n AND {text})", not expected
    assert holds(text) is expected


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": ""}, 0),
        ({"S": "é𝄞"}, 3),
        ({"B": "aGk="}, 2),
        ({"SS": ["a", "b"]}, 2),
        ({"L": []}, 0),
        ({"M": {"a": {"N": "1"}}}, 1),
        ({"N": "1"}, None),
        ({"BOOL": True}, None),
        ({"NULL": True}, None),
    ],
)
def test_size_counts_utf16_units_bytes_and_elements(value: dict[str, Any], size: int | None) -> None:
    assert size_of(value) == size

"""Comparing values at most once each: the same answers as going through them each time, and how often they are read."""

from __future__ import annotations

from base64 import b64encode
from binascii import a2b_base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo.expressions import Bindings, comparing, evaluation, matches, parse_condition
from dynamo.expressions.comparing import Memo, begins_with, comparable, compare, contains, equal
from dynamo.queries.legacy import translate_filter
from dynamo.values import AttributeValue, compare_values, equal_values

pytestmark = pytest.mark.unit

WORDS = st.sampled_from(["", "a", "b", "ab", 'S":[', "ba"])
NUMBERS = st.sampled_from(["0", "1", "-1", "2.5"])
BYTES = st.binary(max_size=5).map(lambda raw: b64encode(raw).decode())
SCALARS = st.one_of(
    st.builds(lambda word: {"S": word}, WORDS),
    st.builds(lambda number: {"N": number}, NUMBERS),
    st.builds(lambda text: {"B": text}, BYTES),
    st.builds(lambda truth: {"BOOL": truth}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda words: {"SS": words}, st.lists(WORDS, min_size=1, max_size=3, unique=True)),
    st.builds(lambda numbers: {"NS": numbers}, st.lists(NUMBERS, min_size=1, max_size=3, unique=True)),
    st.builds(lambda texts: {"BS": texts}, st.lists(BYTES, min_size=1, max_size=3, unique=True)),
)
VALUES: st.SearchStrategy[AttributeValue] = st.recursive(
    SCALARS,
    lambda below: st.one_of(
        st.builds(lambda elements: {"L": elements}, st.lists(below, max_size=4)),
        st.builds(lambda members: {"M": members}, st.dictionaries(WORDS, below, max_size=3)),
    ),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def _nothing_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "_SHORT_ELEMENTS_MAX", 1)
    monkeypatch.setattr(comparing, "_SHORT_CHARACTERS_MAX", 1)
    # Both ways are taken below: some conditions have fewer candidates, some more.
    monkeypatch.setattr(evaluation, "_CANDIDATES_TRIED_MAX", 2)


def plainly_contains(container: AttributeValue, element: AttributeValue) -> bool:
    ((kind, inner),) = container.items()
    ((element_kind, searched),) = element.items()
    if kind == "L":
        return any(equal_values(candidate, element) for candidate in inner)
    if kind == element_kind == "B":
        return a2b_base64(searched) in a2b_base64(inner)
    if kind == element_kind == "S" or kind in ("SS", "NS", "BS"):
        return kind[0] == element_kind and searched in inner
    return False


def plainly_begins(value: AttributeValue, prefix: AttributeValue) -> bool:
    if "S" in value and "S" in prefix:
        return bool(value["S"].startswith(prefix["S"]))
    return "B" in value and "B" in prefix and a2b_base64(value["B"]).startswith(a2b_base64(prefix["B"]))


@given(st.lists(VALUES, min_size=2, max_size=5))
def test_two_values_compare_as_if_each_were_gone_through(values: list[AttributeValue]) -> None:
    memo: Memo = {}
    for _again in range(3):
        for first in values:
            for second in values:
                assert equal(first, second, memo) is equal_values(first, second)
                assert (comparable(first, memo) == comparable(second, memo)) is equal_values(first, second)
                assert contains(first, second, memo) is plainly_contains(first, second)
                assert compare(first, second, memo) == compare_values(first, second)
                assert begins_with(first, second) is plainly_begins(first, second)


@given(st.lists(VALUES, max_size=6), VALUES, st.booleans())
def test_a_list_of_the_request_holds_what_is_equal(elements: list[AttributeValue], item: Any, twice: bool) -> None:
    expected = any(equal_values(element, item) for element in elements)
    text = "contains(:l, a) OR contains(:l, a)" if twice else "contains(:l, a)"
    bindings = Bindings(None, {":l": {"L": elements}})
    assert [matches(parse_condition(text), item and {"a": item}, bindings) for _item in range(2)] == [expected] * 2


@given(st.lists(VALUES, min_size=1, max_size=6), st.lists(VALUES, min_size=1, max_size=4))
def test_in_finds_what_is_equal_among_values_and_paths(candidates: list[AttributeValue], items: list[Any]) -> None:
    values = {f":v{number}": value for number, value in enumerate(candidates)}
    bindings = Bindings(None, values)
    condition = parse_condition(f"a IN ({', '.join(values)}, b)", "of this test alone")
    for item in items:
        expected = any(equal_values(value, item) for value in candidates)
        assert matches(condition, {"a": item}, bindings) is expected
        assert matches(condition, {"a": item, "b": item}, bindings)


class Counted(list[Any]):
    """A list that counts how often it is gone through."""

    walks = 0

    def __iter__(self) -> Any:
        self.walks += 1
        return super().__iter__()

    def __contains__(self, element: object) -> bool:
        self.walks += 1
        return super().__contains__(element)


ASKED = 150


@pytest.mark.parametrize(
    ("kind", "elements", "searched"),
    [
        ("L", [{"N": str(number)} for number in range(40)], {"N": "-1"}),
        ("L", [{"M": {"a": {"N": str(number)}}} for number in range(40)], {"M": {"a": {"N": "-1"}}}),
        ("L", [{"SS": [str(number)]} for number in range(40)], {"SS": ["x"]}),
        ("SS", [str(number) for number in range(40)], {"S": "x"}),
    ],
    ids=["scalars", "documents", "sets", "a set"],
)
def test_what_a_condition_asks_many_times_is_gone_through_twice(kind: str, elements: Any, searched: Any) -> None:
    held = Counted(elements)
    condition = parse_condition(" OR ".join(["contains(l, :v)"] * ASKED))
    assert not matches(condition, {"l": {kind: held}}, Bindings(None, {":v": searched}))
    assert held.walks <= 2


def test_bytes_are_decoded_once_whatever_a_condition_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []

    def counted(text: str) -> bytes:
        decoded.append(text)
        return a2b_base64(text)

    monkeypatch.setattr(comparing, "a2b_base64", counted)
    held, searched = ({"B": b64encode(letter * 300).decode()} for letter in (b"a", b"b"))
    text = " OR ".join(["contains(a, :v)", "a > :v", "a BETWEEN :v AND :v", "size(a) > :n"] * 30)
    assert not matches(parse_condition(text), {"a": held}, Bindings(None, {":v": searched, ":n": {"N": "300"}}))
    assert sorted(decoded) == sorted([held["B"], searched["B"]])


def test_the_candidates_of_a_request_are_read_once_for_all_items() -> None:
    candidates = [{"N": str(number)} for number in range(2000)]
    translated = translate_filter({"n": {"ComparisonOperator": "IN", "AttributeValueList": candidates}}, None)
    assert translated is not None
    (name,) = translated.values
    listed = Counted(candidates)
    bindings = Bindings(translated.names, {name: {"L": listed}})
    condition = parse_condition(translated.text, "FilterExpression", may_be_translated=True)
    found = [matches(condition, {"n": {"N": str(number)}}, bindings) for number in range(-5, 5)]
    assert found == [False] * 5 + [True] * 5
    assert listed.walks == 1


def test_nothing_of_an_item_outlives_its_evaluation() -> None:
    bindings = Bindings(None, {":v": {"N": "1"}})
    condition = parse_condition("contains(l, :v) OR contains(l, :v)")
    for number in range(50):
        # Lists of the same size, often at the address of the one before.
        item = {"l": {"L": [{"N": str(number)}] * 20}}
        assert matches(condition, item, bindings) is (number == 1)
        assert bindings.memo == {}

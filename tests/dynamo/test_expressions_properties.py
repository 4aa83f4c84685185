"""Random texts and items: the parsers only ever refuse, evaluation changes nothing it is given, sums are right."""

from __future__ import annotations

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dynamo.errors import DynamoError
from dynamo.expressions import (
    Bindings,
    apply_update,
    check_expressions,
    matches,
    parse_condition,
    parse_projection,
    parse_update,
    project,
)
from dynamo.values import canonical_value

pytestmark = pytest.mark.unit

NAMES = {"#a": "a", "#b": "b.c"}
VALUES: dict[str, Any] = {
    ":n": {"N": "2"},
    ":s": {"S": "x"},
    ":ss": {"SS": ["x", "y"]},
    ":ns": {"NS": ["1", "2"]},
    ":l": {"L": [{"N": "1"}]},
    ":m": {"M": {"a": {"S": "x"}}},
    ":t": {"S": "N"},
    ":b": {"B": "AA=="},
    ":null": {"NULL": True},
}
WORDS = [
    *("a", "b", "c", "_", "status", "#a", "#b", "#", ":n", ":s", ":ss", ":ns", ":l", ":m", ":t", ":b", ":x", ":"),
    *("(", ")", "(", ")", "[", "]", "[0]", "[1]", ".", ",", "=", "<>", "<", "<=", ">", ">=", "+", "-", "0", "12", "!"),
    *("AND", "or", "NOT", "between", "IN", "SET", "remove", "Add", "DELETE"),
    *("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size", "f"),
    *("if_not_exists", "list_append"),
]
soup = st.lists(st.sampled_from(WORDS), max_size=40).flatmap(
    lambda words: st.sampled_from([" ", ""]).map(lambda glue: glue.join(words))
)

path = st.sampled_from(
    ["a", "b", "c", "#a", "#b", "a.b", "a.#b", "a[0]", "b[1].c", "c.a.b", "d[7]", "b.a[0]", "e.x", "missed"]
)
placeholder = st.sampled_from(sorted(VALUES))
operand = st.one_of(path, placeholder, path.map(lambda argument: f"size({argument})"))
simple = st.one_of(
    st.tuples(operand, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), operand).map(" ".join),
    st.tuples(operand, operand, operand).map(lambda three: f"{three[0]} BETWEEN {three[1]} AND {three[2]}"),
    st.tuples(operand, st.lists(operand, min_size=1, max_size=3)).map(lambda two: f"{two[0]} IN ({','.join(two[1])})"),
    path.map(lambda argument: f"attribute_exists({argument})"),
    st.tuples(st.sampled_from(["begins_with", "contains"]), operand, operand).map(
        lambda three: f"{three[0]}({three[1]}, {three[2]})"
    ),
    path.map(lambda argument: f"attribute_type({argument}, :t)"),
)
condition = st.recursive(
    simple,
    lambda inner: st.one_of(
        inner.map(lambda part: f"NOT {part}"),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(" ".join),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda three: f"({' '.join(three)}) OR a = b"),
    ),
    max_leaves=6,
)
right_side = st.one_of(
    operand.filter(lambda text: not text.startswith("size")),
    st.tuples(path, placeholder).map(lambda two: f"if_not_exists({two[0]}, {two[1]})"),
    st.tuples(path, st.sampled_from(["+", "-"]), placeholder).map(" ".join),
    st.tuples(path, st.sampled_from([":l", "b"])).map(lambda two: f"list_append({two[0]}, {two[1]})"),
)
sections = st.tuples(
    st.lists(st.tuples(path, right_side).map(" = ".join), max_size=3).map(lambda a: "SET " + ",".join(a) if a else ""),
    st.lists(path, max_size=3).map(lambda a: "REMOVE " + ",".join(a) if a else ""),
    st.lists(st.tuples(path, placeholder).map(" ".join), max_size=2).map(lambda a: "ADD " + ",".join(a) if a else ""),
    st.lists(st.tuples(path, placeholder).map(" ".join), max_size=2).map(
        lambda a: "DELETE " + ",".join(a) if a else ""
    ),
)
update = sections.map(" ".join).filter(str.strip)

value = st.recursive(
    st.sampled_from(list(VALUES.values())),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda elements: {"L": elements}),
        st.dictionaries(st.sampled_from("abcx"), inner, max_size=3).map(lambda members: {"M": members}),
    ),
    max_leaves=8,
)
item = st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e", "b.c"]), value, max_size=6).map(copy.deepcopy)


def attempt(function: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, str | None]:
    """The result, or the text of the refusal; anything but a DynamoError fails the test."""
    try:
        return function(*arguments, **options), None
    except DynamoError as error:
        return None, f"{error.code}: {error.message}"


@pytest.mark.parametrize("parse", [parse_condition, parse_update, parse_projection])
@given(text=st.one_of(st.text(max_size=60), soup, condition, update))
def test_any_text_is_parsed_or_refused(parse: Any, text: str) -> None:
    parsed, refusal = attempt(parse, text)
    if refusal is None:
        assert parse(text) is parsed
    else:
        assert refusal.startswith("ValidationException: Invalid ")


@given(text=condition, item=st.one_of(st.none(), item))
def test_what_the_checks_accept_is_decided_without_error_and_without_change(text: str, item: Any) -> None:
    parsed = parse_condition(text)
    before = copy.deepcopy((item, NAMES, VALUES))
    _, refusal = attempt(
        check_expressions,
        condition=parsed,
        update=None,
        projection=None,
        names={name: NAMES[name] for name in parsed.names} or None,
        values={name: VALUES[name] for name in parsed.values} or None,
        key_names=("pk",),
    )
    if refusal is None:
        result = matches(parsed, item, Bindings(NAMES, VALUES))
        assert matches(parse_condition(f"NOT ({text})"), item, Bindings(NAMES, VALUES)) is not result
    else:
        assert refusal.startswith("ValidationException: Invalid ConditionExpression: ")
    assert before == (item, NAMES, VALUES)


@given(text=update, item=item)
def test_an_update_gives_a_canonical_item_or_refuses_and_changes_nothing(text: str, item: Any) -> None:
    parsed = parse_update(text)
    before = copy.deepcopy((item, VALUES))
    result, refusal = attempt(apply_update, parsed, item, Bindings(NAMES, VALUES), want_updated=True)
    if refusal is None:
        for attribute in result.item.values():
            assert canonical_value(copy.deepcopy(attribute)) == attribute
        heads = {NAMES.get(action.head, action.head) for action in parsed.actions}
        for name in item.keys() - heads:
            assert result.item[name] is item[name]
        assert result.item.keys() - item.keys() <= heads
    else:
        assert refusal.startswith("ValidationException: ")
    assert before == (item, VALUES)


@example(item={"b": {"L": [{"N": "2"}, {"M": {"c": {"N": "2"}}}]}}, paths=["b[1].c"])
@given(item=item, paths=st.lists(path, min_size=1, max_size=4))
def test_a_projection_holds_nothing_that_is_not_in_the_item(item: Any, paths: list[str]) -> None:
    before = copy.deepcopy(item)
    chosen, refusal = attempt(project, parse_projection(", ".join(paths)), item, Bindings(NAMES, None))
    if refusal is None:
        assert chosen.keys() <= item.keys()
        assert all(_is_part(part, item[name]) for name, part in chosen.items())
    else:
        # The same path twice, which the checks would have found.
        assert "overlap" in refusal
    assert before == item


def _is_part(part: Any, whole: Any) -> bool:
    if part == whole:
        return True
    ((kind, inner),) = part.items()
    if kind not in ("M", "L") or kind not in whole:
        return False
    if kind == "M":
        return all(name in whole["M"] and _is_part(member, whole["M"][name]) for name, member in inner.items())
    remaining = iter(whole["L"])
    return all(any(_is_part(element, candidate) for candidate in remaining) for element in inner)


number = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=6)


@given(
    counters=st.dictionaries(st.sampled_from("abc"), number), steps=st.lists(st.tuples(st.sampled_from("abcd"), number))
)
def test_sums_agree_with_decimal_arithmetic(counters: dict[str, Decimal], steps: list[tuple[str, Decimal]]) -> None:
    model = dict(counters)
    stored: dict[str, Any] = {name: canonical_value({"N": str(counter)}) for name, counter in counters.items()}
    for at, (name, amount) in enumerate(steps):
        text = (
            f"ADD {name} :v",
            f"SET {name} = if_not_exists({name}, :zero) + :v",
            f"SET {name} = if_not_exists({name}, :zero) - :negative",
        )[at % 3]
        values = {":v": {"N": str(amount)}, ":zero": {"N": "0"}, ":negative": {"N": str(-amount)}}
        bindings = Bindings(None, {key: canonical_value(value) for key, value in values.items()})
        stored = apply_update(parse_update(text), stored, bindings).item
        model[name] = model.get(name, Decimal(0)) + amount
    assert {name: Decimal(counter["N"]) for name, counter in stored.items()} == model

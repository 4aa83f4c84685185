"""What updates make of items: every action, the old item on every right side, the errors an item can cause."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dynamo.errors import DynamoError
from dynamo.expressions import Bindings, Updated, apply_update, parse_update
from dynamo.limits import ITEM_BYTES_MAX
from dynamo.values import item_size

pytestmark = pytest.mark.unit

ITEM: dict[str, Any] = {
    "pk": {"S": "p"},
    "s": {"S": "hi"},
    "n": {"N": "3"},
    "ss": {"SS": ["b", "d"]},
    "ns": {"NS": ["9", "10"]},
    "bs": {"BS": ["/w=="]},
    "l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}, {"N": "3"}]},
    "m": {"M": {"x": {"N": "1"}, "l": {"L": [{"S": "a"}, {"M": {"k": {"S": "v"}}}]}}},
}
VALUES: dict[str, Any] = {
    ":s": {"S": "new"},
    ":one": {"N": "1"},
    ":half": {"N": "0.5"},
    ":ss": {"SS": ["a", "b"]},
    ":db": {"SS": ["d", "b"]},
    ":ns": {"NS": ["9.5", "9"]},
    ":bs": {"BS": ["AA=="]},
    ":l": {"L": [{"S": "z"}]},
    ":e": {"L": []},
    ":m": {"M": {}},
    ":max": {"N": "9" * 38 + "0" * 88},
}
NAMES = {"#n": "n", "#new": "new.dotted", "#k": "k"}

OPERAND_TYPE = "An operand in the update expression has an incorrect data type"
PATH_INVALID = "The document path provided in the update expression is invalid for update"
OVERLAP = "Two document paths overlap with each other; must remove or rewrite one of these paths"
MISSING = "The provided expression refers to an attribute that does not exist in the item"


def update(text: str, item: dict[str, Any] = ITEM, **options: bool) -> Updated:
    before, values_before = copy.deepcopy(item), copy.deepcopy(VALUES)
    result = apply_update(parse_update(text), item, Bindings(NAMES, VALUES), **options)
    assert item == before
    assert values_before == VALUES
    return result


def refusal(text: str, item: dict[str, Any] = ITEM) -> str:
    with pytest.raises(DynamoError) as caught:
        update(text, item)
    assert caught.value.code == "ValidationException"
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        pytest.param("SET s = :s", {"s": {"S": "new"}}, id="set-replaces"),
        pytest.param("SET #new = :s", {"new.dotted": {"S": "new"}}, id="set-creates-dot-in-name-is-no-path"),
        pytest.param("SET a = s", {"a": {"S": "hi"}}, id="set-copies"),
        pytest.param("SET s = n, n = s", {"s": {"N": "3"}, "n": {"S": "hi"}}, id="right-sides-see-the-old-item"),
        pytest.param("REMOVE s SET a = s", {"s": None, "a": {"S": "hi"}}, id="set-sees-what-remove-removes"),
        pytest.param("SET #n = #n + :one", {"n": {"N": "4"}}, id="increment"),
        pytest.param("SET n = :half - n", {"n": {"N": "-2.5"}}, id="subtract"),
        pytest.param("SET n = (n + n)", {"n": {"N": "6"}}, id="arithmetic-in-parentheses"),
        pytest.param("SET a = m.x + l[2]", {"a": {"N": "3"}}, id="nested-operands"),
        pytest.param("SET n = if_not_exists(n, :one)", {"n": {"N": "3"}}, id="if_not_exists-there"),
        pytest.param("SET c = if_not_exists(c, :one) + :one", {"c": {"N": "2"}}, id="counter-from-nothing"),
        pytest.param(
            "SET c = if_not_exists(a, if_not_exists(b, if_not_exists(n, :one)))", {"c": {"N": "3"}}, id="chain"
        ),
        pytest.param("SET c = if_not_exists(c, s)", {"c": {"S": "hi"}}, id="default-from-another-attribute"),
        pytest.param(
            "SET a = list_append(:l, l)", {"a": {"L": [{"S": "z"}, *ITEM["l"]["L"]]}}, id="list_append-in-order"
        ),
        pytest.param(
            "SET a = list_append(if_not_exists(a, :e), :l)", {"a": {"L": [{"S": "z"}]}}, id="list-from-nothing"
        ),
        pytest.param("REMOVE s, nowhere", {"s": None}, id="remove-and-nothing-to-remove"),
        pytest.param("ADD n :half", {"n": {"N": "3.5"}}, id="add-number"),
        pytest.param("ADD c :one", {"c": {"N": "1"}}, id="add-number-to-nothing"),
        pytest.param("ADD ss :ss", {"ss": {"SS": ["a", "b", "d"]}}, id="add-to-string-set-in-byte-order"),
        pytest.param("ADD ns :ns", {"ns": {"NS": ["9", "9.5", "10"]}}, id="add-to-number-set-in-number-order"),
        pytest.param("ADD bs :bs", {"bs": {"BS": ["AA==", "/w=="]}}, id="add-to-binary-set-in-byte-order"),
        pytest.param("ADD c :ss", {"c": {"SS": ["a", "b"]}}, id="add-set-to-nothing"),
        pytest.param("DELETE ss :ss", {"ss": {"SS": ["d"]}}, id="delete-from-set"),
        pytest.param("DELETE ss :db", {"ss": None}, id="delete-the-last-element-removes-the-attribute"),
        pytest.param("DELETE c :ss", {}, id="delete-from-nothing"),
        pytest.param("SET a = :s REMOVE s ADD n :one DELETE ss :ss",
                     {"a": {"S": "new"}, "s": None, "n": {"N": "4"}, "ss": {"SS": ["d"]}}, id="all-sections"),
        # nested
        pytest.param(
            "SET m.y = :s, m.l[1].#k = :one",
            {"m": {"M": {"x": {"N": "1"}, "y": {"S": "new"}, "l": {"L": [{"S": "a"}, {"M": {"k": {"N": "1"}}}]}}}},
            id="set-inside-maps-and-lists",
        ),
        pytest.param(
            "SET m.x = m.x + :one", {"m": {"M": {"x": {"N": "2"}, "l": ITEM["m"]["M"]["l"]}}}, id="nested-sum"
        ),
        pytest.param("ADD m.x :one", {"m": {"M": {"x": {"N": "2"}, "l": ITEM["m"]["M"]["l"]}}}, id="nested-add"),
        pytest.param("ADD m.x :one REMOVE m.l", {"m": {"M": {"x": {"N": "2"}}}}, id="two-changes-in-one-map"),
        pytest.param("REMOVE m.x, m.l", {"m": {"M": {}}}, id="an-emptied-map-stays"),
        pytest.param("REMOVE m.nothing", {}, id="remove-nothing-from-a-map"),
        pytest.param("DELETE m.nothing :ss", {}, id="delete-from-nothing-in-a-map"),
        pytest.param("REMOVE l[17]", {}, id="remove-past-the-end"),
        pytest.param(
            "SET l[1] = :s", {"l": {"L": [{"N": "0"}, {"S": "new"}, {"N": "2"}, {"N": "3"}]}}, id="set-element"
        ),
        pytest.param("SET l[9] = :s", {"l": {"L": [*ITEM["l"]["L"], {"S": "new"}]}}, id="set-past-the-end-appends"),
        pytest.param(
            "SET l[84] = :s, l[37] = :one, l[50] = s",
            {"l": {"L": [*ITEM["l"]["L"], {"N": "1"}, {"S": "hi"}, {"S": "new"}]}},
            id="appended-elements-come-in-index-order",
        ),
        pytest.param("ADD l[7] :one", {"l": {"L": [*ITEM["l"]["L"], {"N": "1"}]}}, id="add-past-the-end-appends"),
        pytest.param("REMOVE l[0], l[2]", {"l": {"L": [{"N": "1"}, {"N": "3"}]}}, id="indexes-mean-the-old-list"),
        pytest.param("REMOVE l[1] SET l[3] = :s", {"l": {"L": [{"N": "0"}, {"N": "2"}, {"S": "new"}]}},
                     id="remove-before-set-keeps-the-index"),
        pytest.param("SET l[3] = :s REMOVE l[1]", {"l": {"L": [{"N": "0"}, {"N": "2"}, {"S": "new"}]}},
                     id="set-before-remove-keeps-the-index"),
        pytest.param("REMOVE l[0], l[1], l[2], l[3]", {"l": {"L": []}}, id="an-emptied-list-stays"),
    ],
)  # fmt: skip
def test_update_of_an_item(text: str, changes: dict[str, Any]) -> None:
    expected = {**ITEM, **changes}
    assert update(text).item == {name: value for name, value in expected.items() if value is not None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("SET a = nowhere", MISSING, id="copy-of-nothing"),
        pytest.param("SET a = :s, b = a", MISSING, id="copy-of-what-this-update-sets"),
        pytest.param("SET a = nowhere + :one", MISSING, id="sum-with-nothing"),
        pytest.param("SET a = list_append(nowhere, :l)", MISSING, id="append-to-nothing"),
        pytest.param("SET a = if_not_exists(b, c)", MISSING, id="default-is-missing-too"),
        pytest.param("SET a = m.x.y", MISSING, id="path-through-a-number"),
        pytest.param("SET a = l[9]", MISSING, id="index-past-the-end"),
        pytest.param("SET a = s + :one", OPERAND_TYPE, id="sum-with-a-string"),
        pytest.param("SET a = :one - l", OPERAND_TYPE, id="difference-with-a-list"),
        pytest.param("SET a = list_append(ss, :l)", OPERAND_TYPE, id="append-to-a-set"),
        pytest.param("SET a = list_append(l, m)", OPERAND_TYPE, id="append-a-map"),
        pytest.param("ADD s :one", OPERAND_TYPE, id="add-to-a-string"),
        pytest.param("ADD ss :one", OPERAND_TYPE, id="add-number-to-a-set"),
        pytest.param("ADD ss :ns", OPERAND_TYPE, id="add-number-set-to-string-set"),
        pytest.param("ADD l :ss", OPERAND_TYPE, id="add-set-to-a-list"),
        pytest.param("DELETE n :ns", OPERAND_TYPE, id="delete-from-a-number"),
        pytest.param("DELETE ns :ss", OPERAND_TYPE, id="delete-other-set-type"),
        pytest.param("DELETE m.x :ss", OPERAND_TYPE, id="delete-from-a-nested-number"),
        *[
            pytest.param(f"{action[0]} {path}{action[1]}", PATH_INVALID, id=f"{action[0].lower()}-{name}")
            for action in [("SET", " = :s"), ("REMOVE", ""), ("ADD", " :ss"), ("DELETE", " :ss")]
            for name, path in [
                ("member-of-a-string", "s.x"),
                ("element-of-a-string", "s[0]"),
                ("member-of-nothing", "y.x"),
                ("element-of-nothing", "y[0]"),
                ("member-of-a-list", "l.x"),
                ("element-of-a-map", "m[0]"),
                ("below-a-missing-member", "m.nothing.x"),
                ("below-a-missing-element", "l[9].x"),
            ]
        ],
        pytest.param(
            "SET n = n + :max", "Attempting to store more than 38 significant digits in a Number", id="digits"
        ),
        pytest.param(
            "SET a = :max + :max",
            "Number overflow. Attempting to store a number with magnitude larger than supported range",
            id="sum-overflows",
        ),
        pytest.param(
            "SET a = :undefined",
            "Invalid UpdateExpression: An expression attribute value used in expression is not defined; "
            "attribute value: :undefined",
            id="undefined-value-without-the-checks",
        ),
        pytest.param(
            "SET m.#undefined = :s",
            "Invalid UpdateExpression: An expression attribute name used in the document path is not defined; "
            "attribute name: #undefined",
            id="undefined-name-without-the-checks",
        ),
        pytest.param("SET m.x = :s, m.x.y = :s", OVERLAP, id="overlap-without-the-checks"),
        pytest.param("SET m.x.y = :s, m.x = :s", OVERLAP, id="overlap-from-below-without-the-checks"),
        pytest.param("SET m.x = :s, m[0] = :s", PATH_INVALID, id="conflict-without-the-checks"),
        pytest.param("SET l[0] = :s, l.x = :s", PATH_INVALID, id="conflict-in-a-list-without-the-checks"),
    ],
)
def test_refused_because_of_the_item(text: str, message: str) -> None:
    assert refusal(text) == message


def test_remove_below_nothing_is_ignored_when_there_is_no_item() -> None:
    key = {"pk": {"S": "p"}}
    assert update("REMOVE x.y, z[0]", key, exists=False).item == key
    assert refusal("REMOVE x.y", key) == PATH_INVALID
    with pytest.raises(DynamoError, match="invalid for update"):
        update("SET x.y = :s", key, exists=False)


@pytest.mark.parametrize(
    ("text", "creates"),
    [("SET a = :s", True), ("ADD a :one REMOVE b", True), ("REMOVE a", False), ("DELETE a :ss REMOVE b", False)],
)
def test_only_set_and_add_create_an_item(text: str, creates: bool) -> None:
    assert parse_update(text).creates_item is creates


def test_item_may_grow_to_the_limit_and_not_beyond() -> None:
    item = {"pk": {"S": "p"}, "m": {"M": {}}}
    room = ITEM_BYTES_MAX - item_size(item) - len("a")
    for text, extra in [("SET a = :v", 0), ("SET m.a = :v", 1)]:
        parsed = parse_update(text)
        fits = apply_update(parsed, item, Bindings(None, {":v": {"S": "x" * (room - extra)}})).item
        assert item_size(fits) == ITEM_BYTES_MAX
        with pytest.raises(DynamoError) as caught:
            apply_update(parsed, item, Bindings(None, {":v": {"S": "x" * (room - extra + 1)}}))
        assert caught.value.message == "Item size to update has exceeded the maximum allowed size"


def test_a_full_item_can_shrink_and_keep_its_size() -> None:
    item = {"pk": {"S": "p"}, "n": {"N": "1"}, "a": {"S": ""}}
    item["a"] = {"S": "x" * (ITEM_BYTES_MAX - item_size(item))}
    assert item_size(update("SET n = n + :one", item).item) == ITEM_BYTES_MAX
    assert item_size(update("REMOVE a", item).item) < ITEM_BYTES_MAX
    assert refusal("SET n = n + :half", item) == "Item size to update has exceeded the maximum allowed size"


def test_nesting_is_limited_to_32_levels() -> None:
    def wrapped(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {"S": "leaf"}
        for _ in range(levels):
            value = {"M": {"k": value}}
        return value

    item = {"pk": {"S": "p"}, "m": wrapped(15)}
    path = "m" + ".k" * 14 + ".v"
    parsed = parse_update(f"SET {path} = :v")
    # The path has 16 levels, its last one is the first level of the value.
    apply_update(parsed, item, Bindings(None, {":v": wrapped(16)}))
    with pytest.raises(DynamoError) as caught:
        apply_update(parsed, item, Bindings(None, {":v": wrapped(17)}))
    assert caught.value.message == (
        "Nesting Levels have exceeded supported limits: "
        "Attributes in the item have nested levels beyond supported limit"
    )


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        pytest.param("SET s = :s, c = :one", {"s": {"S": "hi"}}, {"s": {"S": "new"}, "c": {"N": "1"}}, id="top-level"),
        pytest.param("SET s = s", {"s": {"S": "hi"}}, {"s": {"S": "hi"}}, id="same-value-counts"),
        pytest.param("REMOVE s", {"s": {"S": "hi"}}, {}, id="removed"),
        pytest.param("SET a = :s", {}, {"a": {"S": "new"}}, id="created"),
        pytest.param(
            "SET m.x = :s", {"m": {"M": {"x": {"N": "1"}}}}, {"m": {"M": {"x": {"S": "new"}}}}, id="only-the-member"
        ),
        pytest.param(
            "SET m.l[1].#k = :s, m.y = :one",
            {"m": {"M": {"l": {"L": [{"M": {"k": {"S": "v"}}}]}}}},
            {"m": {"M": {"l": {"L": [{"M": {"k": {"S": "new"}}}]}, "y": {"N": "1"}}}},
            id="list-elements-close-up",
        ),
        pytest.param(
            "REMOVE l[1], l[7]", {"l": {"L": [{"N": "1"}]}}, {"l": {"L": [{"N": "2"}]}}, id="what-moved-there"
        ),
        pytest.param("SET l[100] = :s", {}, {}, id="appended-elements-are-not-reported"),
        pytest.param("DELETE ss :db", {"ss": {"SS": ["b", "d"]}}, {}, id="set-emptied"),
    ],
)
def test_updated_attributes_before_and_after(text: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    result = update(text, want_updated=True)
    assert (result.updated_old, result.updated_new) == (old, new)
    assert update(text).updated_old == update(text).updated_new == {}


def test_what_an_update_leaves_alone_is_shared() -> None:
    result = update("SET m.x = :one").item
    assert result["l"] is ITEM["l"]
    assert result["m"]["M"]["l"] is ITEM["m"]["M"]["l"]

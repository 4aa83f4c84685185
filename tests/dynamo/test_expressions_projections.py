"""What projections choose of an item."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dynamo.errors import DynamoError
from dynamo.expressions import Bindings, parse_projection, project

pytestmark = pytest.mark.unit

ITEM: dict[str, Any] = {
    "p": {"S": "key"},
    "a": {"M": {"b": {"L": [{"N": "2"}, {"N": "4"}, {"M": {"x": {"S": "hi"}, "y": {"S": "yo"}}}]}, "c": {"N": "5"}}},
    "b": {"S": "hello"},
    "e": {"M": {}},
    "x.y": {"S": "dotted"},
}
NAMES = {"#a": "a", "#b": "b", "#xy": "x.y"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("b", {"b": {"S": "hello"}}, id="attribute"),
        pytest.param(" b  ,  p ", {"p": {"S": "key"}, "b": {"S": "hello"}}, id="several"),
        pytest.param("nowhere", {}, id="nowhere"),
        pytest.param("nowhere, b", {"b": {"S": "hello"}}, id="missing-and-there"),
        pytest.param("#b", {"b": {"S": "hello"}}, id="placeholder"),
        pytest.param("#xy", {"x.y": {"S": "dotted"}}, id="a-dot-in-a-name-is-no-path"),
        pytest.param("x.y", {}, id="a-path-is-no-name-with-a-dot"),
        pytest.param("a", {"a": ITEM["a"]}, id="whole-document"),
        pytest.param("a.c", {"a": {"M": {"c": {"N": "5"}}}}, id="member"),
        pytest.param("#a.#b[0]", {"a": {"M": {"b": {"L": [{"N": "2"}]}}}}, id="element"),
        pytest.param("a.b[2].y", {"a": {"M": {"b": {"L": [{"M": {"y": {"S": "yo"}}}]}}}}, id="below-an-element"),
        pytest.param(
            "a.b[2].y, a.b[0]",
            {"a": {"M": {"b": {"L": [{"N": "2"}, {"M": {"y": {"S": "yo"}}}]}}}},
            id="elements-close-up-in-list-order",
        ),
        pytest.param("a.b[1], a.c, b", {"a": {"M": {"b": {"L": [{"N": "4"}]}, "c": {"N": "5"}}}, "b": {"S": "hello"}},
                     id="merged"),
        pytest.param("a.b[3]", {}, id="past-the-end"),
        pytest.param("a.b[3].x", {}, id="below-past-the-end"),
        pytest.param("a.x.y", {}, id="below-a-missing-member"),
        pytest.param("a.b.x", {}, id="member-of-a-list"),
        pytest.param("a[0]", {}, id="element-of-a-map"),
        pytest.param("b.x", {}, id="member-of-a-string"),
        pytest.param("a.b[0][0]", {}, id="element-of-a-number"),
        pytest.param("e", {"e": {"M": {}}}, id="an-empty-map-by-name"),
        pytest.param("e.x", {}, id="nothing-of-an-empty-map"),
        pytest.param("a.x, a.b[0], x, a.b[3].x", {"a": {"M": {"b": {"L": [{"N": "2"}]}}}}, id="some-there"),
    ],
)  # fmt: skip
def test_projection(text: str, expected: dict[str, Any]) -> None:
    before = copy.deepcopy(ITEM)
    assert project(parse_projection(text), ITEM, Bindings(NAMES, None)) == expected
    assert before == ITEM


def test_undefined_name_is_refused_without_the_checks() -> None:
    with pytest.raises(DynamoError) as caught:
        project(parse_projection("a, #nope"), ITEM, Bindings(NAMES, None))
    assert caught.value.message == (
        "Invalid ProjectionExpression: An expression attribute name used in the document path is not defined; "
        "attribute name: #nope"
    )

"""Key conditions of expressions and of KeyConditions: texts and their order, as recorded from the service.

Most rows are answers of the real service in dynalite's test/query.js and in dynamodb-conformance.
"""

from __future__ import annotations

from typing import Any

import pytest

from dynamo.errors import DynamoError
from dynamo.expressions import Bindings
from dynamo.indexes import IndexDefinition, IndexKind
from dynamo.keys import KeyAttribute, KeySchema
from dynamo.queries.expressions import read_expressions
from dynamo.queries.key_conditions import KeyCondition, SortCondition, bind_key_conditions, key_conditions_of_expression
from dynamo.queries.layout import index_layout, table_layout
from dynamo.queries.legacy import key_conditions_of_parameter

pytestmark = pytest.mark.unit

S = {"S": "x"}
HASH = table_layout(KeySchema(KeyAttribute("a", "S")))
RANGE = table_layout(KeySchema(KeyAttribute("a", "S"), KeyAttribute("b", "S")))
NUMBER = table_layout(KeySchema(KeyAttribute("a", "S"), KeyAttribute("b", "N")))
MULTI = index_layout(
    IndexDefinition(
        7,
        "multi",
        IndexKind.GLOBAL,
        KeySchema(KeyAttribute("pk", "S")),
        (KeyAttribute("h", "S"), KeyAttribute("i", "S")),
        tuple(KeyAttribute(name, "S") for name in "abcd"),
        None,
    )
)


def gap(missing: str, present: str) -> str:
    return (
        f"RANGE key attributes {missing} must have equality conditions specified in the query because a condition is "
        f"present on key attribute {present}"
    )


def read(text: str, values: dict[str, Any] | None = None, names: dict[str, str] | None = None) -> Any:
    return read_expressions(
        key_condition=text, filter_text=None, projection=None, names=names, values=values
    ).key_conditions


def message(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(DynamoError) as raised:
        call(*arguments, **named)
    assert raised.value.code == "ValidationException"
    return raised.value.message


OPERATOR = "Invalid operator used in KeyConditionExpression: "
CONDITION = "Invalid condition in KeyConditionExpression: "
NESTED = "KeyConditionExpressions cannot contain nested operations"
PATHS = "KeyConditionExpressions cannot have conditions on nested attributes"
FIRST = " operator must have the key attribute as its first operand"
TYPE = "One or more parameter values were invalid: Condition parameter type does not match schema type"
TOO_MANY = "The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)"
TWICE = "KeyConditionExpressions must only contain one condition per key"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > b and size(b) > c or a > c", OPERATOR + "OR"),
        ("a in (b, size(c), d)", OPERATOR + "IN"),
        ("attribute_exists(a)", OPERATOR + "attribute_exists"),
        ("attribute_not_exists(a)", OPERATOR + "attribute_not_exists"),
        ("contains(a.d, b)", OPERATOR + "contains"),
        ("not a > b", OPERATOR + "NOT"),
        ("not not a > :a", OPERATOR + "NOT"),
        ("a <> b", OPERATOR + "<>"),
        (":a between size(b) and size(a) and b > :b", CONDITION + "BETWEEN" + FIRST),
        ("begins_with(:a, b) and a > :b", CONDITION + "begins_with" + FIRST),
        ("size(b) > a AND a.b > b AND b > c", NESTED),
        ("a > size(b.d)", NESTED),
        ("a between size(b) and size(a)", NESTED),
        ("b > a.b", CONDITION + "Multiple attribute names used in one condition"),
        ("b between c[1] and d", CONDITION + "Multiple attribute names used in one condition"),
        ("a between b and size(a)", CONDITION + "Multiple attribute names used in one condition"),
        ("begins_with(a, b)", CONDITION + "Multiple attribute names used in one condition"),
        ("b.d > a AND c.d > e.f", PATHS),
        ("b[0] > a", PATHS),
        (":b > :a AND a < :b", CONDITION + "No key attribute specified"),
        (":a > b AND :a < :b", CONDITION + "No key attribute specified"),
        ("b > :a AND b < :a and c = :a and d = :a", TWICE),
        ("(a > :a and b > :a) and (b > :a and c > :a)", TWICE),
        ("a > :a and a < :a or b = :a", OPERATOR + "OR"),
        ("a = :a and a = :a and b <> :a", TWICE),
    ],
)
def test_a_condition_that_is_none_on_keys_is_refused(text: str, expected: str) -> None:
    used = {name: {"S": "1"} for name in (":a", ":b") if name in text}
    assert message(read, text, used or None) == expected


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("", None, "Invalid KeyConditionExpression: The expression can not be empty;"),
        (
            "a between :b and :a",
            {":a": {"S": "a"}, ":b": {"N": "1"}},
            "Invalid KeyConditionExpression: The BETWEEN operator requires same data type for lower and upper bounds; "
            "lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:a}",
        ),
        (
            "a = :a AND begins_with(b, :n) AND b = :missing",
            {":a": S, ":n": {"N": "1"}},
            "Invalid KeyConditionExpression: Incorrect operand type for operator or function; "
            "operator or function: begins_with, operand type: N",
        ),
        (
            "a = :a",
            {":a": S, ":b": S},
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:b}",
        ),
        ("a = :a", {}, "ExpressionAttributeValues must not be empty"),
        (
            "\x00a = :a",
            {":a": S},
            'Invalid KeyConditionExpression: Syntax error; token: "\x00", near: "\x00a"',
        ),
    ],
)
def test_expression_faults_come_before_key_faults(text: str, values: dict[str, Any] | None, expected: str) -> None:
    assert message(read, text, values) == expected


def test_the_key_condition_is_judged_before_the_filter_is_parsed() -> None:
    def both(key_condition: str) -> None:
        read_expressions(key_condition=key_condition, filter_text="", projection="", names=None, values={":a": S})

    assert message(both, "attribute_type(a, b)").startswith("Invalid KeyConditionExpression: Incorrect operand type")
    # What makes it no condition on keys is seen last of all.
    assert message(both, "a = :a OR b = :a") == "Invalid FilterExpression: The expression can not be empty;"


def test_placeholders_of_names_and_turned_operands_are_resolved() -> None:
    conditions = read(":v >= #s AND #p = :v", {":v": S}, {"#p": "a", "#s": "b"})
    assert bind_key_conditions(conditions, RANGE) == KeyCondition((S,), (), SortCondition("<=", (S,)))


@pytest.mark.parametrize(
    ("layout", "text", "expected"),
    [
        (HASH, "a > :v", "Query key condition not supported"),
        (HASH, ":v >= a", "Query key condition not supported"),
        (HASH, "begins_with(a, :v)", "Query key condition not supported"),
        (HASH, "a between :v and :v", "Query key condition not supported"),
        (HASH, "a = :v AND b = :v", "Query key condition not supported"),
        (HASH, "y = :v and z = :v", "Query key condition not supported"),
        (HASH, "z = :v", "Query condition missed key schema element: a"),
        (RANGE, "b = :v", "Query condition missed key schema element: a"),
        (RANGE, "a = :v and c = :v", "Query condition missed key schema element: b"),
        (NUMBER, "a = :v and b = :v", TYPE),
        (RANGE, "a = :v and b > :v and c = :v", TOO_MANY),
        (MULTI, "h = :v", "Query condition missed key schema element: i"),
        (MULTI, "h = :v and i > :v", "Query key condition not supported"),
        (MULTI, "h = :v and i = :v and z = :v", "Query condition missed key schema element: a"),
        (MULTI, "h = :v and i = :v and a = :v and c = :v", gap("b", "c")),
        (MULTI, "h = :v and i = :v and a = :v and b > :v and c = :v", gap("b", "c")),
        (MULTI, "h = :v and i = :v and b = :v", gap("a", "b")),
    ],
)
def test_conditions_must_fit_the_key(layout: Any, text: str, expected: str) -> None:
    assert message(bind_key_conditions, read(text, {":v": S}), layout) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h = :v and i = :v", KeyCondition((S, S), (), None)),
        ("i = :v and a = :v and h = :v", KeyCondition((S, S), (), SortCondition("=", (S,)))),
        ("h = :v and i = :v and b < :v and a = :v", KeyCondition((S, S), (S,), SortCondition("<", (S,)))),
        (
            "h = :v and i = :v and a = :v and b = :v and c = :v and d between :v and :v",
            KeyCondition((S, S), (S, S, S), SortCondition("BETWEEN", (S, S))),
        ),
    ],
)
def test_conditions_on_a_key_of_several_attributes_come_in_any_order(text: str, expected: KeyCondition) -> None:
    assert bind_key_conditions(read(text, {":v": S}), MULTI) == expected


def legacy(operator: str, *values: dict[str, Any]) -> dict[str, Any]:
    return {"ComparisonOperator": operator, "AttributeValueList": list(values)}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, "Conditions can be of length 1 or 2 only"),
        (
            {"a": {"ComparisonOperator": "EQ"}},
            "One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator",
        ),
        (
            {"a": legacy("EQ", {}, {"S": ""})},
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ),
        (
            {"a": legacy("IN", {"S": "b"}, {"N": "1"})},
            "One or more parameter values were invalid: AttributeValues inside AttributeValueList must be of same type",
        ),
        (
            {"a": legacy("BETWEEN", {"S": "b"}, {"S": "a"})},
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
        ),
        (
            {"a": legacy("BEGINS_WITH", {"N": "1"})},
            "One or more parameter values were invalid: ComparisonOperator BEGINS_WITH is not valid for N "
            "AttributeValue type",
        ),
    ],
)
def test_key_conditions_are_judged_before_the_table(conditions: dict[str, Any], expected: str) -> None:
    assert message(key_conditions_of_parameter, conditions) == expected


@pytest.mark.parametrize("operator", ["NULL", "NOT_NULL", "NE", "CONTAINS", "NOT_CONTAINS", "IN"])
def test_an_operator_without_order_is_not_indexable(operator: str) -> None:
    values = [] if "NULL" in operator else [{"S": "a"}]
    conditions = key_conditions_of_parameter({"a": legacy(operator, *values)})
    assert message(bind_key_conditions, conditions, HASH) == (
        "Attempted conditional constraint is not an indexable operation"
    )


def test_key_conditions_mean_the_same_as_their_expression() -> None:
    parameter = key_conditions_of_parameter({"a": legacy("EQ", dict(S)), "b": legacy("BEGINS_WITH", dict(S))})
    expression = key_conditions_of_expression("begins_with(b, :v) AND a = :v", Bindings(None, {":v": S}))
    assert bind_key_conditions(parameter, RANGE) == bind_key_conditions(expression, RANGE)

"""Legacy parameters: texts as recorded from the service (dynalite, ExtendDB), meanings as in ScyllaDB's test-suite."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

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
from dynamo.limits import LEGACY_ATTRIBUTES_MAX, LEGACY_LISTED_VALUES_MAX
from dynamo.queries.legacy import (
    translate_attributes_to_get,
    translate_expected,
    translate_filter,
    translate_updates,
)
from dynamo.values import Item

pytestmark = pytest.mark.unit

INVALID = "One or more parameter values were invalid: "


def legacy(operator: str, *values: dict[str, Any]) -> dict[str, Any]:
    return {"ComparisonOperator": operator, "AttributeValueList": list(values)}


def message(call: Any, *arguments: Any) -> str:
    with pytest.raises(DynamoError) as raised:
        call(*arguments)
    return raised.value.message


def meets(item: Item | None, conditions: dict[str, Any], operator: str | None = None) -> bool:
    translated = translate_filter(conditions, operator)
    assert translated is not None
    # As the leader sees it.
    text = orjson.loads(orjson.dumps(translated.text))
    return matches(parse_condition(text, may_be_translated=True), item, Bindings(translated.names, translated.values))


ITEM: Item = {
    "n": {"N": "2"},
    "s": {"S": "hello"},
    "b": {"B": "aGkgdGhlcmU="},
    "ns": {"NS": ["2", "4"]},
    "l": {"L": [{"N": "2"}, {"BOOL": True}]},
    "t": {"BOOL": True},
    "z": {"NULL": True},
    "m": {"M": {"x": {"N": "1"}}},
    "odd name.with[0]": {"S": "x"},
}


@pytest.mark.parametrize(
    ("attribute", "condition", "expected"),
    [
        ("n", legacy("EQ", {"N": "2.0"}), True),
        ("n", legacy("EQ", {"S": "2"}), False),
        ("ns", legacy("EQ", {"NS": ["4", "2"]}), True),
        ("t", legacy("EQ", {"BOOL": True}), True),
        ("m", legacy("EQ", {"M": {"x": {"N": "1"}}}), True),
        ("missing", legacy("EQ", {"N": "2"}), False),
        ("n", legacy("NE", {"N": "2"}), False),
        ("n", legacy("NE", {"S": "2"}), True),
        ("missing", legacy("NE", {"N": "2"}), True),
        ("n", legacy("LT", {"N": "10"}), True),
        ("n", legacy("LE", {"N": "2"}), True),
        ("n", legacy("GT", {"N": "2"}), False),
        ("n", legacy("GE", {"N": "2"}), True),
        ("n", legacy("GE", {"S": "2"}), False),
        ("missing", legacy("LT", {"N": "10"}), False),
        ("z", legacy("NULL"), False),
        ("missing", legacy("NULL"), True),
        ("z", legacy("NOT_NULL"), True),
        ("missing", legacy("NOT_NULL"), False),
        ("s", legacy("CONTAINS", {"S": "ell"}), True),
        ("s", legacy("CONTAINS", {"N": "1"}), False),
        ("b", legacy("CONTAINS", {"B": "aGVyZQ=="}), True),
        ("ns", legacy("CONTAINS", {"N": "4"}), True),
        ("l", legacy("CONTAINS", {"N": "2"}), True),
        ("l", legacy("CONTAINS", {"BOOL": True}), True),
        ("missing", legacy("CONTAINS", {"N": "1"}), False),
        ("s", legacy("NOT_CONTAINS", {"S": "ell"}), False),
        ("s", legacy("NOT_CONTAINS", {"N": "1"}), True),
        ("ns", legacy("NOT_CONTAINS", {"N": "5"}), True),
        ("missing", legacy("NOT_CONTAINS", {"N": "1"}), False),
        ("s", legacy("BEGINS_WITH", {"S": "hell"}), True),
        ("n", legacy("BEGINS_WITH", {"S": "2"}), False),
        ("n", legacy("IN", {"N": "1"}, {"N": "2"}), True),
        ("ns", legacy("IN", {"N": "2"}, {"N": "4"}), False),
        ("missing", legacy("IN", {"N": "2"}), False),
        ("n", legacy("BETWEEN", {"N": "1"}, {"N": "2"}), True),
        ("n", legacy("BETWEEN", {"S": "1"}, {"S": "3"}), False),
        ("missing", legacy("BETWEEN", {"N": "1"}, {"N": "3"}), False),
        ("odd name.with[0]", legacy("EQ", {"S": "x"}), True),
    ],
)
def test_an_operator_means_what_it_means_in_the_service(attribute: str, condition: Any, expected: bool) -> None:
    assert meets(ITEM, {attribute: condition}) is expected


@pytest.mark.parametrize(
    ("operator", "expected"), [(None, False), ("AND", False), ("OR", True)], ids=["none", "AND", "OR"]
)
def test_conditions_are_joined_by_the_conditional_operator(operator: str | None, expected: bool) -> None:
    conditions = {"n": legacy("EQ", {"N": "2"}), "q": legacy("NOT_CONTAINS", {"S": "x"})}
    assert meets(ITEM, conditions, operator) is expected


@pytest.mark.parametrize(
    ("expected", "item", "outcome"),
    [
        ({"n": {"Value": {"N": "2"}}}, ITEM, True),
        ({"n": {"Value": {"N": "2"}, "Exists": True}}, ITEM, True),
        ({"n": {"Exists": False}}, ITEM, False),
        ({"n": {"Exists": False}}, None, True),
        ({"n": {"ComparisonOperator": "GT", "Value": {"N": "1"}}}, ITEM, True),
        ({"n": {"ComparisonOperator": "NOT_NULL"}}, ITEM, True),
        ({"n": {"ComparisonOperator": "NULL", "AttributeValueList": []}}, None, True),
    ],
)
def test_expected_in_all_its_forms(expected: Any, item: Item | None, outcome: bool) -> None:
    translated = translate_expected(expected, None)
    assert translated is not None
    bindings = Bindings(translated.names, translated.values)
    assert matches(parse_condition(translated.text, may_be_translated=True), item, bindings) is outcome


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"Value": {}}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        ({"Value": {"NS": ["1", ""]}}, "The parameter cannot be converted to a numeric value"),
        (
            {"ComparisonOperator": "LT"},
            INVALID + "Value or AttributeValueList must be used with ComparisonOperator: LT for Attribute: a",
        ),
        (
            {"ComparisonOperator": "LT", "Exists": True},
            INVALID + "Exists and ComparisonOperator cannot be used together for Attribute: a",
        ),
        (
            {"ComparisonOperator": "LT", "Value": {"S": "a"}, "AttributeValueList": [{"S": "a"}]},
            INVALID + "Value and AttributeValueList cannot be used together for Attribute: a",
        ),
        (
            {"AttributeValueList": [{"S": "a"}]},
            INVALID + "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        (
            {"AttributeValueList": [{"S": "a"}], "Exists": True},
            INVALID + "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
        ),
        (legacy("EQ"), INVALID + "Invalid number of argument(s) for the EQ ComparisonOperator"),
        (legacy("NULL", {"S": "a"}), INVALID + "Invalid number of argument(s) for the NULL ComparisonOperator"),
        (legacy("IN"), INVALID + "Invalid number of argument(s) for the IN ComparisonOperator"),
        (
            {"ComparisonOperator": "NULL", "Value": {"S": "a"}},
            INVALID + "Invalid number of argument(s) for the NULL ComparisonOperator",
        ),
        (
            {"ComparisonOperator": "BETWEEN", "Value": {"S": "a"}},
            INVALID + "Invalid number of argument(s) for the BETWEEN ComparisonOperator",
        ),
        ({}, INVALID + "Value must be provided when Exists is null for Attribute: a"),
        ({"Exists": True}, INVALID + "Value must be provided when Exists is true for Attribute: a"),
        (
            {"Exists": False, "Value": {"S": "a"}},
            INVALID + "Value cannot be used when Exists is false for Attribute: a",
        ),
        (
            legacy("IN", {"N": "3"}, {"S": "dog"}),
            INVALID + "AttributeValues inside AttributeValueList must be of same type",
        ),
        (
            legacy("BETWEEN", {"N": "4"}, {"N": "3"}),
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
        ),
    ],
)
def test_a_malformed_expectation_is_refused(condition: Any, expected: str) -> None:
    assert message(translate_expected, {"a": condition}, None) == expected


@pytest.mark.parametrize(
    ("operator", "types"),
    [
        ("LT", ["BOOL", "NULL", "SS", "NS", "BS", "M", "L"]),
        ("IN", ["BOOL", "NULL", "SS", "NS", "BS", "M", "L"]),
        ("BETWEEN", ["BOOL", "NULL", "SS", "NS", "BS", "M", "L"]),
        ("CONTAINS", ["SS", "NS", "BS", "M", "L"]),
        ("NOT_CONTAINS", ["SS", "NS", "BS", "M", "L"]),
        ("BEGINS_WITH", ["N", "BOOL", "NULL", "SS", "NS", "BS", "M", "L"]),
    ],
)
def test_an_operator_refuses_arguments_that_no_value_could_meet(operator: str, types: list[str]) -> None:
    samples: dict[str, Any] = {
        "N": "1", "BOOL": True, "NULL": True, "SS": ["a"], "NS": ["1"], "BS": ["abcd"], "M": {}, "L": []
    }  # fmt: skip
    for kind in types:
        arguments = [{kind: samples[kind]}] * (2 if operator == "BETWEEN" else 1)
        assert message(translate_filter, {"a": legacy(operator, *arguments)}, None) == (
            f"{INVALID}ComparisonOperator {operator} is not valid for {kind} AttributeValue type"
        )


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (None, "ConditionalOperator cannot be used without Filter or Expected"),
        ({}, "ConditionalOperator cannot be used without Filter or Expected"),
        (
            {"a": legacy("NULL")},
            "ConditionalOperator can only be used when Filter or Expected has two or more elements",
        ),
    ],
)
def test_a_conditional_operator_needs_two_conditions(conditions: Any, expected: str) -> None:
    assert message(translate_filter, conditions, "AND") == expected
    assert translate_expected(None, None) is None


def test_the_text_depends_on_the_shape_only() -> None:
    first = translate_filter({"a": legacy("EQ", {"N": "1"}), "b": legacy("NULL")}, None)
    second = translate_filter({"x": legacy("EQ", {"S": "y"}), "z": legacy("NULL")}, None)
    assert first is not None
    assert second is not None
    assert first.text == second.text
    assert parse_condition(first.text, may_be_translated=True) is parse_condition(second.text, may_be_translated=True)


# -- updates


def updated(updates: dict[str, Any], item: Item, *, exists: bool = True) -> Item:
    translated = translate_updates(updates)
    assert translated is not None
    bindings = Bindings(translated.names, translated.values)
    return apply_update(parse_update(translated.text, may_be_translated=True), item, bindings, exists=exists).item


@pytest.mark.parametrize(
    ("update", "old", "new"),
    [
        ({"Action": "PUT", "Value": {"N": "1.0"}}, {"S": "x"}, {"N": "1"}),
        ({"Value": {"S": "y"}}, None, {"S": "y"}),
        ({"Action": "DELETE"}, {"S": "x"}, None),
        ({"Action": "DELETE"}, None, None),
        ({"Action": "DELETE", "Value": {"SS": ["a"]}}, {"SS": ["a", "b"]}, {"SS": ["b"]}),
        ({"Action": "DELETE", "Value": {"SS": ["a"]}}, {"SS": ["a"]}, None),
        ({"Action": "DELETE", "Value": {"SS": ["a"]}}, None, None),
        ({"Action": "ADD", "Value": {"N": "5"}}, {"N": "10"}, {"N": "15"}),
        ({"Action": "ADD", "Value": {"N": "5"}}, None, {"N": "5"}),
        ({"Action": "ADD", "Value": {"SS": ["b"]}}, {"SS": ["a"]}, {"SS": ["a", "b"]}),
        ({"Action": "ADD", "Value": {"L": [{"N": "1"}]}}, {"L": [{"N": "1"}]}, {"L": [{"N": "1"}, {"N": "1"}]}),
        ({"Action": "ADD", "Value": {"L": [{"N": "1"}]}}, None, {"L": [{"N": "1"}]}),
    ],
)
def test_an_action_changes_its_attribute(update: Any, old: Any, new: Any) -> None:
    item: Item = {"pk": {"S": "k"}, **({"a": old} if old is not None else {})}
    assert updated({"a": update}, item) == {"pk": {"S": "k"}, **({"a": new} if new is not None else {})}


@pytest.mark.parametrize(
    ("action", "value"), [("DELETE", {"NS": ["1"]}), ("ADD", {"N": "1"}), ("ADD", {"L": []}), ("ADD", {"BS": ["YQ=="]})]
)
def test_an_action_on_another_type_is_a_mismatch(action: str, value: Any) -> None:
    updates = {"a": {"Action": action, "Value": value}}
    assert message(updated, updates, {"a": {"SS": ["a"]}}) == "Type mismatch for attribute to update"


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        ({"Action": "PUT"}, "Only DELETE action is allowed when no attribute value is specified"),
        ({}, "Only DELETE action is allowed when no attribute value is specified"),
        ({"Action": "DELETE", "Value": {"S": "a"}}, "DELETE action with value is not supported for the type S"),
        ({"Action": "ADD", "Value": {"BOOL": True}}, "ADD action is not supported for the type BOOL"),
    ],
)
def test_a_malformed_update_is_refused(update: Any, expected: str) -> None:
    assert message(translate_updates, {"a": update}) == INVALID + expected


def test_only_put_and_add_create_an_item() -> None:
    deletion = translate_updates({"a": {"Action": "DELETE"}})
    addition = translate_updates({"a": {"Action": "ADD", "Value": {"N": "1"}}})
    assert deletion is not None
    assert addition is not None
    assert not parse_update(deletion.text, may_be_translated=True).creates_item
    assert parse_update(addition.text, may_be_translated=True).creates_item
    assert translate_updates({}) is None


def test_a_key_attribute_cannot_be_updated() -> None:
    translated = translate_updates({"b": {"Action": "DELETE"}, "pk": {"Action": "DELETE"}})
    assert translated is not None

    def check() -> None:
        check_expressions(
            condition=None,
            update=parse_update(translated.text, may_be_translated=True),
            projection=None,
            names=translated.names,
            values=translated.values,
            key_names=("pk",),
            legacy=True,
        )

    assert message(check) == INVALID + "Cannot update attribute pk. This attribute is part of the key"


def test_as_many_attributes_as_an_item_is_likely_to_have_can_be_updated() -> None:
    updates = {f"a{number}": {"Value": {"N": "1"}} for number in range(15_000)}
    assert len(updated(updates, {})) == 15_000
    conditions = {f"a{number}": legacy("NOT_CONTAINS", {"S": "x"}) for number in range(2_000)}
    assert meets({f"a{number}": {"S": "y"} for number in range(2_000)}, conditions)
    candidates = [{"N": str(number)} for number in range(40_000)]
    assert meets(ITEM, {"n": legacy("IN", *candidates)})
    assert not meets({"n": {"N": "-1"}}, {"n": legacy("IN", *candidates)})
    translated = translate_attributes_to_get([f"a{number}" for number in range(20_000)] + ["n"])
    projection = parse_projection(translated.text, may_be_translated=True)
    assert project(projection, ITEM, Bindings(translated.names, None)) == {"n": ITEM["n"]}


@pytest.mark.parametrize(
    "parse", [parse_condition, parse_update, parse_projection], ids=["condition", "update", "projection"]
)
def test_a_client_cannot_write_a_translation(parse: Any) -> None:
    names = {
        parse_condition: "ConditionExpression",
        parse_update: "UpdateExpression",
        parse_projection: "ProjectionExpression",
    }
    for text in ("\x00a", "\x00SET #a :b", "\x00AND\nEQ #a :b", "\x00"):
        near = text.split()[0]
        assert message(parse, text) == f'Invalid {names[parse]}: Syntax error; token: "\x00", near: "{near}"'
        parsed = f"Expression size has exceeded the maximum allowed size; expression size: {len(text) + 5000}"
        assert message(parse, text + "x" * 5000) == f"Invalid {names[parse]}: {parsed}"


@pytest.mark.parametrize("parse", [parse_condition, parse_update])
@pytest.mark.parametrize(
    "text", ["\x00", "\x00AND", "\x00AND\nEQ", "\x00\nEQ #a", "\x00SET #a", "\x00NO\nEQ #a :a\nNULL #b", "\x00GO #a"]
)
def test_a_malformed_translation_is_refused(parse: Any, text: str) -> None:
    with pytest.raises(DynamoError, match="Syntax error"):
        parse(text, may_be_translated=True)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_condition, "\x00AND\n" + "\n".join(f"NULL #c{number}" for number in range(1000))),
        (parse_update, "\x00" + "\n".join(f"REMOVE #u{number}" for number in range(1000))),
        (parse_projection, "\x00" + "\n".join(f"#p{number}" for number in range(1000))),
    ],
    ids=["condition", "update", "projection"],
)
def test_texts_beyond_those_of_expressions_are_not_kept(parse: Any, text: str) -> None:
    assert parse(text, may_be_translated=True) is not parse(text, may_be_translated=True)
    short = text[: text.rindex("\n", 0, 500)]
    assert parse(short, may_be_translated=True) is parse(short, may_be_translated=True)


def test_as_many_attributes_as_the_limit_says() -> None:
    def names(count: int) -> dict[str, Any]:
        return {f"a{number}": {"Action": "DELETE"} for number in range(count)}

    assert updated(names(LEGACY_ATTRIBUTES_MAX), {"b": {"N": "1"}}) == {"b": {"N": "1"}}
    assert message(translate_updates, names(LEGACY_ATTRIBUTES_MAX + 1)) == (
        INVALID + "Too many attributes in one parameter, the limit is 32768"
    )
    values = [{"N": "1"}] * (LEGACY_LISTED_VALUES_MAX + 1)
    assert message(translate_filter, {"n": legacy("IN", *values)}, None) == (
        INVALID + "Too many values for the IN ComparisonOperator, the limit is 131072"
    )


# -- projections


def test_attributes_to_get_are_names_not_paths() -> None:
    translated = translate_attributes_to_get(["odd name.with[0]", "size", "missing"])
    item = project(
        parse_projection(translated.text, may_be_translated=True),
        {**ITEM, "size": {"N": "1"}},
        Bindings(translated.names, None),
    )
    assert item == {"odd name.with[0]": {"S": "x"}, "size": {"N": "1"}}


def test_attributes_to_get_refuse_duplicates() -> None:
    assert message(translate_attributes_to_get, ["a", "b", "a"]) == (INVALID + "Duplicate value in attribute name: a")


def test_placeholders_of_condition_update_and_projection_do_not_clash() -> None:
    condition = translate_expected({"a": {"Value": {"N": "1"}}}, None)
    update = translate_updates({"a": {"Value": {"N": "2"}}})
    assert condition is not None
    assert update is not None
    projection = translate_attributes_to_get(["a"])
    assert len({*condition.names, *update.names, *projection.names}) == 3
    assert not condition.values.keys() & update.values.keys()

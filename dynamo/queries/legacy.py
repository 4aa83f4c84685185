"""Legacy parameters (Expected, filters, AttributeUpdates, AttributesToGet, KeyConditions) as expressions.

Called by the router before the table is looked up. Law: what a legacy parameter means is said by an expression, so
leader and replicas know only expressions; the text depends on the shape of the parameter only, so that its parsed form
is found in the cache. Only this module makes translations (dynamo.expressions.translations), which no client can write.

Placeholders of conditions are #c0 and :c0, of updates #u0 and :u0, of projections #p0: names and values of several
translations can be joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dynamo.errors import invalid_parameter, validation
from dynamo.expressions.translations import write_condition, write_lines
from dynamo.limits import LEGACY_ATTRIBUTES_MAX, LEGACY_LISTED_VALUES_MAX
from dynamo.queries.key_conditions import AttributeCondition, KeyConditions
from dynamo.values import AttributeValue, Item, canonical_value, compare_values

# Arguments of a comparison operator: at least, at most.
_ONE: Final = (1, 1)
_ARGUMENTS: Final[Mapping[str, tuple[int, int | None]]] = {
    "EQ": _ONE,
    "NE": _ONE,
    "LE": _ONE,
    "LT": _ONE,
    "GE": _ONE,
    "GT": _ONE,
    "CONTAINS": _ONE,
    "NOT_CONTAINS": _ONE,
    "BEGINS_WITH": _ONE,
    "NULL": (0, 0),
    "NOT_NULL": (0, 0),
    "IN": (1, None),
    "BETWEEN": (2, 2),
}
_SCALARS: Final = frozenset({"S", "N", "B"})
# Types of the arguments; operators that are not here take all.
_TYPES: Final[Mapping[str, frozenset[str]]] = {
    "LE": _SCALARS,
    "LT": _SCALARS,
    "GE": _SCALARS,
    "GT": _SCALARS,
    "IN": _SCALARS,
    "BETWEEN": _SCALARS,
    "BEGINS_WITH": frozenset({"S", "B"}),
    "CONTAINS": _SCALARS | {"BOOL", "NULL"},
    "NOT_CONTAINS": _SCALARS | {"BOOL", "NULL"},
}
_KEY_OPERATORS: Final = {
    "EQ": "=",
    "LE": "<=",
    "LT": "<",
    "GE": ">=",
    "GT": ">",
    "BETWEEN": "BETWEEN",
    "BEGINS_WITH": "begins_with",
}
_SETS: Final = frozenset({"SS", "NS", "BS"})
_ADDABLE: Final = _SETS | {"N", "L"}


@dataclass(frozen=True, slots=True)
class Translated:
    """An expression and its placeholders; `values` are canonical. The text goes wherever an expression's text goes."""

    text: str
    names: dict[str, str]
    values: Item


class _Placeholders:
    """Numbers the names and values of one translation."""

    def __init__(self, kind: str) -> None:
        self.names: dict[str, str] = {}
        self.values: Item = {}
        self._kind = kind

    def name(self, attribute: str) -> str:
        """A placeholder for an attribute."""
        placeholder = f"#{self._kind}{len(self.names)}"
        self.names[placeholder] = attribute
        return placeholder

    def value(self, value: AttributeValue) -> str:
        """A placeholder for a value."""
        placeholder = f":{self._kind}{len(self.values)}"
        self.values[placeholder] = value
        return placeholder

    def translated(self, text: str) -> Translated:
        """The finished translation. Raises ValidationException when it is too long."""
        if len(self.names) > LEGACY_ATTRIBUTES_MAX:
            raise invalid_parameter(f"Too many attributes in one parameter, the limit is {LEGACY_ATTRIBUTES_MAX}")
        return Translated(text, self.names, self.values)


# -- conditions


def translate_filter(conditions: Mapping[str, Any] | None, conditional_operator: str | None) -> Translated | None:
    """QueryFilter or ScanFilter as a FilterExpression; None without one. Values become canonical in place.

    Raises SerializationException for wrong JSON types of values, else ValidationException.
    """
    checked: dict[str, tuple[str, list[AttributeValue]]] = {}
    for attribute, condition in (conditions or {}).items():
        operator = condition["ComparisonOperator"]
        values = [canonical_value(value) for value in condition.get("AttributeValueList") or ()]
        _check_arguments(operator, values)
        checked[attribute] = (operator, values)
    return _condition(checked, conditional_operator)


def translate_expected(expected: Mapping[str, Any] | None, conditional_operator: str | None) -> Translated | None:
    """Expected as a ConditionExpression; None without one. Raises as translate_filter does."""
    checked = {attribute: _expectation(attribute, condition) for attribute, condition in (expected or {}).items()}
    return _condition(checked, conditional_operator)


def key_conditions_of_parameter(conditions: Mapping[str, Any]) -> KeyConditions:
    """KeyConditions of a Query, as key_conditions_of_expression gives those of an expression.

    Raises SerializationException for wrong JSON types of values, else ValidationException.
    """
    keyed: dict[str, AttributeCondition] = {}
    for attribute, condition in conditions.items():
        operator = condition["ComparisonOperator"]
        values = [canonical_value(value) for value in condition.get("AttributeValueList") or ()]
        _check_arguments(operator, values)
        keyed[attribute] = AttributeCondition(_KEY_OPERATORS.get(operator, operator), tuple(values))
    if not keyed:
        raise validation("Conditions can be of length 1 or 2 only")
    return keyed


def _expectation(attribute: str, condition: Mapping[str, Any]) -> tuple[str, list[AttributeValue]]:
    """Operator and arguments of one entry of Expected, whichever of its three forms it has."""
    operator: str | None = condition.get("ComparisonOperator")
    listed = condition.get("AttributeValueList")
    single = condition.get("Value")
    exists: bool | None = condition.get("Exists")
    if listed is not None and single is not None:
        raise invalid_parameter(f"Value and AttributeValueList cannot be used together for Attribute: {attribute}")
    if operator is None:
        return _existence(attribute, listed, single, exists)
    if exists is not None:
        raise invalid_parameter(f"Exists and ComparisonOperator cannot be used together for Attribute: {attribute}")
    if listed is None and single is None and _ARGUMENTS[operator] != (0, 0):
        raise invalid_parameter(
            f"Value or AttributeValueList must be used with ComparisonOperator: {operator} for Attribute: {attribute}"
        )
    values = [canonical_value(value) for value in (listed if single is None else [single]) or ()]
    _check_arguments(operator, values)
    return operator, values


def _existence(attribute: str, listed: Any, single: Any, exists: bool | None) -> tuple[str, list[AttributeValue]]:
    """The older form, without an operator: Value, or Exists."""
    if listed is not None:
        raise invalid_parameter(
            f"AttributeValueList can only be used with a ComparisonOperator for Attribute: {attribute}"
        )
    if exists is False:
        if single is not None:
            raise invalid_parameter(f"Value cannot be used when Exists is false for Attribute: {attribute}")
        return "NULL", []
    if single is None:
        shown = "null" if exists is None else "true"
        raise invalid_parameter(f"Value must be provided when Exists is {shown} for Attribute: {attribute}")
    return "EQ", [canonical_value(single)]


def _check_arguments(operator: str, values: list[AttributeValue]) -> None:
    """Number, types and order of the arguments of an operator."""
    at_least, at_most = _ARGUMENTS[operator]
    if len(values) < at_least or (at_most is not None and len(values) > at_most):
        raise invalid_parameter(f"Invalid number of argument(s) for the {operator} ComparisonOperator")
    kinds = [next(iter(value)) for value in values]
    if len(set(kinds)) > 1:
        raise invalid_parameter("AttributeValues inside AttributeValueList must be of same type")
    allowed = _TYPES.get(operator)
    if kinds and allowed is not None and kinds[0] not in allowed:
        raise invalid_parameter(f"ComparisonOperator {operator} is not valid for {kinds[0]} AttributeValue type")
    if operator == "BETWEEN" and (compare_values(values[0], values[1]) or 0) > 0:
        raise validation(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
        )


def _condition(
    checked: Mapping[str, tuple[str, list[AttributeValue]]], conditional_operator: str | None
) -> Translated | None:
    if conditional_operator is not None and len(checked) < 2:
        raise validation(
            "ConditionalOperator can only be used when Filter or Expected has two or more elements"
            if checked
            else "ConditionalOperator cannot be used without Filter or Expected"
        )
    if not checked:
        return None
    placeholders = _Placeholders("c")
    clauses = []
    listed = 0
    for attribute, (operator, values) in checked.items():
        name = placeholders.name(attribute)
        if operator == "IN":
            listed += len(values)
            values = [{"L": values}]
        clauses.append(" ".join([operator, name, *[placeholders.value(value) for value in values]]))
    if listed > LEGACY_LISTED_VALUES_MAX:
        raise invalid_parameter(
            f"Too many values for the IN ComparisonOperator, the limit is {LEGACY_LISTED_VALUES_MAX}"
        )
    return placeholders.translated(write_condition(conditional_operator or "AND", clauses))


# -- updates and projections


def translate_updates(updates: Mapping[str, Any] | None) -> Translated | None:
    """AttributeUpdates as an UpdateExpression; None when there is nothing to update. Values become canonical in place.

    Raises SerializationException for wrong JSON types of values, else ValidationException.
    """
    placeholders = _Placeholders("u")
    actions = []
    for attribute, update in (updates or {}).items():
        action = update.get("Action") or "PUT"
        raw = update.get("Value")
        value = None if raw is None else canonical_value(raw)
        _check_action(action, value)
        name = placeholders.name(attribute)
        if value is None:
            actions.append(f"REMOVE {name}")
        else:
            actions.append(f"{'SET' if action == 'PUT' else action} {name} {placeholders.value(value)}")
    return placeholders.translated(write_lines(actions)) if actions else None


def translate_attributes_to_get(attributes: Iterable[str]) -> Translated:
    """AttributesToGet as a ProjectionExpression. Raises ValidationException for duplicates."""
    placeholders = _Placeholders("p")
    seen: set[str] = set()
    for attribute in attributes:
        if attribute in seen:
            raise invalid_parameter(f"Duplicate value in attribute name: {attribute}")
        seen.add(attribute)
        placeholders.name(attribute)
    return placeholders.translated(write_lines(list(placeholders.names)))


def _check_action(action: str, value: AttributeValue | None) -> None:
    if value is None:
        if action != "DELETE":
            raise invalid_parameter("Only DELETE action is allowed when no attribute value is specified")
        return
    (kind,) = value
    if action == "DELETE" and kind not in _SETS:
        raise invalid_parameter(f"DELETE action with value is not supported for the type {kind}")
    if action == "ADD" and kind not in _ADDABLE:
        raise invalid_parameter(f"ADD action is not supported for the type {kind}")

"""Validates the body of a request against the service model.

Called by the router once a request. Law: what `validate` returns satisfies the model, except that attribute values
(Item, Key, ExpressionAttributeValues, ...) are left to dynamo.values.canonical_item: their insides are looked at here
only when the request is not plainly valid, because a wrong JSON type anywhere is reported before any other violation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from dynamo.errors import validation
from dynamo.json_types import structure_error
from dynamo.limits import TABLE_NAME_CHARACTERS_MAX
from dynamo.requests.constraints import violation_error, violations
from dynamo.requests.differences import (
    NAMING_OPERATIONS,
    RESOURCE_ARN_FIRST_OPERATIONS,
    TABLE_NAME_FIRST_OPERATIONS,
    TOLD_WITHOUT_VALUE,
)
from dynamo.requests.model import Service, Shape, input_shape, load_service_model
from dynamo.requests.reading import INTEGER_BOUNDS, read

_Accepts = Callable[[Any], Any]
# The Python type a member must have, and a test of its value (None: the type is enough).
_Rule = tuple[type, _Accepts | None]

_TYPE_BY_KIND: Final[dict[str, type]] = {
    "String": str,
    "Blob": str,
    "Boolean": bool,
    "Integer": int,
    "Long": int,
    "Double": float,
    "Date": float,
    "List": list,
    "Map": dict,
    "Structure": dict,
    "AttributeValue": dict,
    "AttributeMap": dict,
}


class RequestValidator:
    """The compiled model of one operation's request."""

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self._shape = input_shape(operation)
        self._rules: dict[str, _Rule] = {member.name: _rule(member.shape) for member in self._shape.members}
        self._required = tuple(member.name for member in self._shape.members if member.required)
        self._table_name = next((member for member in self._shape.members if member.name == "TableName"), None)

    def validate(self, body: object) -> dict[str, Any]:
        """The request in `body` (parsed JSON) without null and unknown members; it may be `body` itself.

        Raises SerializationException for a wrong JSON type, else ValidationException with every violated constraint.
        """
        # A request that is plainly valid is settled here, one table look-up a member; every doubt goes the long way.
        if type(body) is dict:
            rules = self._rules
            for name, value in body.items():
                rule = rules.get(name)
                if rule is None or type(value) is not rule[0]:
                    break
                accepts = rule[1]
                if accepts is not None and not accepts(value):
                    break
            else:
                for name in self._required:
                    if name not in body:
                        break
                else:
                    return body
        return self._validate_in_full(body)

    def check_types(self, body: object) -> None:
        """The JSON types of a body, attribute values and all. Raises SerializationException for the first wrong one.

        `validate` leaves the insides of attribute values to later steps: whoever refuses a request before those asks
        here whether that refusal is due.
        """
        read(self._shape, body)

    def _validate_in_full(self, body: object) -> dict[str, Any]:
        if body is None:
            raise structure_error(body, self._shape.name, is_element=False)
        request: dict[str, Any] = read(self._shape, body)
        self._check_table_name(request)
        found = violations(self._shape, request)
        if found:
            raise violation_error([self._without_value(found[0])] if len(found) == 1 else found)
        return request

    def _without_value(self, violation: str) -> str:
        """The only violation of a request, in the words that the service has for it."""
        pattern = TOLD_WITHOUT_VALUE.get(self.operation)
        matched = pattern.fullmatch(violation) if pattern is not None else None
        if matched is None:
            return violation
        place, rule = matched.groups()
        first, *between = place.split(".")
        # The name of a table stands between member names, and keeps its case.
        names = [first[0].upper() + first[1:], *between]
        if len(names) > 1:
            names[-1] = names[-1].capitalize()
        return f"Value at '{'.'.join(names)}' {rule}"

    def _check_table_name(self, request: dict[str, Any]) -> None:
        """Faults of a table name or ARN that are reported alone, before everything else."""
        if self.operation in RESOURCE_ARN_FIRST_OPERATIONS and request.get("ResourceArn") is None:
            raise validation("Invalid TableArn")
        if self._table_name is None or not self._table_name.required:
            return
        name = request.get("TableName")
        if name is None:
            if self.operation in TABLE_NAME_FIRST_OPERATIONS:
                raise validation("The parameter 'TableName' is required but was not present in the request")
            return
        if name == "" or self.operation in NAMING_OPERATIONS:
            found = violations(self._table_name.shape, name, self._table_name.path_name)
            if found:
                raise violation_error(found)


@cache
def operation_names(service: Service = "dynamodb") -> frozenset[str]:
    """Every operation of the service model, built here or not."""
    return frozenset(load_service_model(service)["operations"])


@cache
def validator_for(operation: str) -> RequestValidator:
    """The validator of `operation`, compiled once. Raises KeyError for a name not in `operation_names`."""
    return RequestValidator(operation)


def _rule(shape: Shape) -> _Rule:
    return _TYPE_BY_KIND[shape.kind], _value_test(shape)


def _value_test(shape: Shape) -> _Accepts | None:
    """A test that accepts only values of the right type that need no conversion and violate nothing."""
    if shape.kind in ("AttributeValue", "AttributeMap", "Boolean"):
        return None
    if shape.kind == "Structure":
        return _structure_test(shape)
    tests = [test for test in (_scalar_test(shape), _elements_test(shape)) if test is not None]
    if len(tests) == 2:
        first, second = tests
        return lambda value: first(value) and second(value)
    return tests[0] if tests else None


def _scalar_test(shape: Shape) -> _Accepts | None:
    """Enumeration, pattern, length or range of one value."""
    if shape.enum:
        return frozenset(shape.enum).__contains__
    least = shape.minimum if shape.minimum is not None else 0
    most = shape.maximum
    # An ARN fails the pattern and is judged in full: it is rare, and its limits are others.
    if shape.is_table_reference:
        most = TABLE_NAME_CHARACTERS_MAX
    if shape.pattern is not None:
        matches = shape.pattern.fullmatch
        return lambda value: matches(value) and least <= len(value) and (most is None or len(value) <= most)
    if shape.kind in INTEGER_BOUNDS:
        lowest_held, highest_held = INTEGER_BOUNDS[shape.kind]
        least = lowest_held if shape.minimum is None else shape.minimum
        highest = highest_held if most is None else most
        return lambda value: least <= value <= highest
    if shape.minimum is None and most is None:
        return None
    if shape.kind == "Double":
        lowest = shape.minimum
        return lambda value: (lowest is None or value >= lowest) and (most is None or value <= most)
    return lambda value: least <= len(value) and (most is None or len(value) <= most)


def _elements_test(shape: Shape) -> _Accepts | None:
    """What a list or a map holds."""
    if shape.element is None:
        return None
    expected, accepts = _rule(shape.element)
    key_accepts = _value_test(shape.key) if shape.key is not None else None

    def test(value: Any) -> bool:
        if key_accepts is not None and not all(map(key_accepts, value)):
            return False
        elements = value.values() if type(value) is dict else value
        for element in elements:
            if type(element) is not expected or (accepts is not None and not accepts(element)):
                return False
        return True

    return test


def _structure_test(shape: Shape) -> _Accepts:
    rules = {member.name: _rule(member.shape) for member in shape.members}
    required = [member.name for member in shape.members if member.required]

    def test(value: dict[str, Any]) -> bool:
        for name, inner in value.items():
            rule = rules.get(name)
            if rule is None or type(inner) is not rule[0] or (rule[1] is not None and not rule[1](inner)):
                return False
        return all(name in value for name in required)

    return test

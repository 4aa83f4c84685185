"""The expressions of one Query or Scan, parsed and checked in the service's order.

Called by the router before the table is looked up. Law: one expression is judged completely before the next is even
parsed: the key condition, then the filter, then the projection; what only the placeholders show comes last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dynamo.expressions import Bindings, Condition, Projection, parse_condition, parse_projection
from dynamo.expressions.check import (
    check_condition,
    check_names_map,
    check_projection,
    check_unused_in_read,
    check_values_map,
)
from dynamo.queries.filters import FILTER
from dynamo.queries.key_conditions import KEY_CONDITION, KeyConditions, key_conditions_of_expression
from dynamo.values import Item

_NO_NAMES: Mapping[str, str] = {}
_NO_VALUES: Item = {}


@dataclass(frozen=True, slots=True)
class ReadExpressions:
    """What the expressions of a request say; None where it has none."""

    key_conditions: KeyConditions | None
    filter: Condition | None
    projection: Projection | None


def read_expressions(
    *,
    key_condition: str | None,
    filter_text: str | None,
    projection: str | None,
    names: Mapping[str, str] | None,
    values: Item | None,
) -> ReadExpressions:
    """Parse and check; `names` and `values` are the placeholders, canonical, None where the request has none.

    Raises ValidationException. Legacy parameters are not checked here but by dynamo.queries.legacy.
    """
    if names is not None:
        check_names_map(names)
    if values is not None:
        check_values_map(values)
    known_names = _NO_NAMES if names is None else names
    known_values = _NO_VALUES if values is None else values
    keys = _checked(key_condition, KEY_CONDITION, known_names, known_values)
    filtered = _checked(filter_text, FILTER, known_names, known_values)
    projected = None
    if projection is not None:
        projected = parse_projection(projection)
        check_projection(projected, known_names)
    check_unused_in_read(keys, filtered, projected, names, values)
    conditions = None
    if key_condition is not None:
        conditions = key_conditions_of_expression(key_condition, Bindings(names, values))
    return ReadExpressions(conditions, filtered, projected)


def _checked(text: str | None, parameter: str, names: Mapping[str, str], values: Item) -> Condition | None:
    if text is None:
        return None
    condition = parse_condition(text, parameter)
    check_condition(condition, names, values)
    return condition

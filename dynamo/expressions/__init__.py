"""Expressions of DynamoDB: condition, update and projection. See OVERVIEW.md.

The router parses and checks, the leader parses (from its own cache) and evaluates. Law: pure functions of their
arguments; every refusal is a DynamoError with the service's text; nothing handed in is changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from dynamo.errors import DynamoError
from dynamo.expressions.application import UPDATE, apply_compiled, compile_update
from dynamo.expressions.check import (
    PROJECTION,
    check_request,
    check_substitutions_size,
    check_translated,
    depends_on_request,
)
from dynamo.expressions.compiled import Bindings, Condition, Projection, Update, Updated
from dynamo.expressions.conditions import ConditionParser
from dynamo.expressions.evaluation import compile_condition
from dynamo.expressions.faults import invalid_expression, undefined_placeholder
from dynamo.expressions.nodes import paths_of
from dynamo.expressions.paths import resolve, select
from dynamo.expressions.updates import ProjectionParser, UpdateParser
from dynamo.limits import EXPRESSION_BYTES_MAX
from dynamo.values import Item

__all__ = [
    "CACHED_EXPRESSIONS_MAX",
    "Bindings",
    "Condition",
    "Projection",
    "Update",
    "Updated",
    "apply_update",
    "check_expressions",
    "check_substitutions_size",
    "matches",
    "parse_condition",
    "parse_projection",
    "parse_update",
    "project",
]

# Compiled texts kept of each kind. A text is at most 4 KB (translations of larger legacy parameters are not kept) and
# its compiled form a few hundred times that at worst; an application has tens of texts, one that builds values into its
# texts just evicts its own.
CACHED_EXPRESSIONS_MAX = 1024

CONDITION = "ConditionExpression"

_EMPTY: Item = {}


def parse_condition(text: str, parameter: str = CONDITION) -> Condition:
    """The condition in `text`. `parameter` is the request member it came in, FilterExpression for instance.

    Raises ValidationException with the text of the service. Cached by text and parameter; the result is immutable.
    """
    return (_parse_condition if len(text) <= EXPRESSION_BYTES_MAX else _parse_condition.__wrapped__)(text, parameter)


def parse_update(text: str) -> Update:
    """The update in `text`, an UpdateExpression. Raises ValidationException. Cached; the result is immutable."""
    return (_parse_update if len(text) <= EXPRESSION_BYTES_MAX else _parse_update.__wrapped__)(text)


def parse_projection(text: str) -> Projection:
    """The projection in `text`, a ProjectionExpression. Raises ValidationException. Cached; the result is immutable."""
    return _parse_projection(text)


def check_expressions(
    *,
    condition: Condition | None,
    update: Update | None,
    projection: Projection | None,
    names: Mapping[str, str] | None,
    values: Item | None,
    key_names: Collection[str],
    value_expressions: Sequence[str] = (CONDITION,),
    legacy: bool = False,
) -> None:
    """Everything that can be said of the expressions of one request without its item; raises ValidationException.

    `names` and `values` are ExpressionAttributeNames and the canonical ExpressionAttributeValues, None where the
    request has none; `key_names` the key attributes of the table, partition key first. `value_expressions` are the
    parameters of the operation that may use :values, for the error about values without any of them (UpdateItem passes
    UpdateExpression and ConditionExpression). `legacy` says that the expressions were translated by
    dynamo.queries.legacy, which has checked all but the key attributes; without it a translated text is refused,
    because then a client wrote it.
    """
    if legacy:
        check_translated(update, names, key_names)
        return
    check_request(
        condition=condition,
        update=update,
        projection=projection,
        names=names,
        values=values,
        key_names=key_names,
        value_expressions=value_expressions,
    )


def matches(condition: Condition, item: Item | None, bindings: Bindings) -> bool:
    """Whether the condition holds for a canonical item; None for an item that does not exist.

    Raises ValidationException only for expressions that check_expressions refuses.
    """
    try:
        return condition.test(_EMPTY if item is None else item, bindings.names, bindings.values)
    except KeyError as missing:
        raise _undefined(condition.parameter, missing) from missing


def apply_update(
    update: Update, item: Item, bindings: Bindings, *, want_updated: bool = False, exists: bool = True
) -> Updated:
    """The item after the update, and with `want_updated` the parts its paths name before and after (UPDATED_OLD, _NEW).

    `item` is the canonical item or, with `exists` False, the key attributes of the one that does not exist; see also
    Update.creates_item. `item` is not changed; what the update leaves alone is shared with the result. Raises
    ValidationException when the item does not fit the update: missing attributes, types, number range, size, nesting.
    """
    try:
        return apply_compiled(update, item, bindings.names, bindings.values, want_updated=want_updated, exists=exists)
    except KeyError as missing:
        raise _undefined(UPDATE, missing) from missing


def project(projection: Projection, item: Item, bindings: Bindings) -> Item:
    """The part of a canonical item that a projection names, nested as in the item; list elements close up in order.

    Raises ValidationException only for projections that check_expressions refuses.
    """
    if projection.flat:
        return {name: item[name] for name in projection.flat if name in item}
    try:
        return select(item, [resolve(path.elements, bindings.names) for path in projection.paths])
    except KeyError as missing:
        raise _undefined(PROJECTION, missing) from missing


@lru_cache(CACHED_EXPRESSIONS_MAX)
def _parse_condition(text: str, parameter: str) -> Condition:
    parser = ConditionParser(text, parameter)
    node = parser.parse()
    return Condition(
        parameter=parameter,
        node=node,
        test=compile_condition(node, parameter),
        units=tuple(unit for unit in parser.units if depends_on_request(unit, parameter)),
        paths=tuple(path for unit in parser.units for path in paths_of(unit.node)),
        negates=parser.negates,
        names=frozenset(placeholder for placeholder in parser.placeholders if placeholder[0] == "#"),
        values=frozenset(placeholder for placeholder in parser.placeholders if placeholder[0] == ":"),
        client_error=parser.client_error,
    )


@lru_cache(CACHED_EXPRESSIONS_MAX)
def _parse_update(text: str) -> Update:
    parser = UpdateParser(text, UPDATE)
    return compile_update(parser.parse(), tuple(parser.placeholders), tuple(parser.calls), parser.client_error)


@lru_cache(CACHED_EXPRESSIONS_MAX)
def _parse_projection(text: str) -> Projection:
    parser = ProjectionParser(text, PROJECTION)
    paths = parser.parse()
    heads = [path.elements[0] for path in paths]
    flat = not parser.placeholders and all(len(path.elements) == 1 for path in paths)
    return Projection(
        paths=paths,
        flat=tuple(head for head in heads if isinstance(head, str)) if flat else (),
        placeholders=tuple(parser.placeholders),
        names=frozenset(parser.placeholders),
    )


def _undefined(parameter: str, missing: KeyError) -> DynamoError:
    """The error for a placeholder that evaluation looked up in vain; any other KeyError is ours and goes on."""
    key = missing.args[0] if missing.args else None
    if isinstance(key, str) and key[:1] in ("#", ":"):
        return invalid_expression(parameter, undefined_placeholder(key))
    raise missing

"""Expressions of DynamoDB: condition, update and projection. See OVERVIEW.md.

The router parses and checks, the leader parses (from its own cache) and evaluates. Law: pure functions of their
arguments; every refusal is a DynamoError with the service's text; nothing handed in is changed.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
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
from dynamo.expressions.translations import is_translation, read_condition, read_projection, read_update
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

# Compiled texts kept of each kind. A text that is kept is at most 4 KB (larger ones are refused, or translations that
# are read again) and its compiled form a few hundred times that at worst; an application has tens of texts, one that
# builds values into its texts just evicts its own.
CACHED_EXPRESSIONS_MAX = 1024

CONDITION = "ConditionExpression"

_EMPTY: Item = {}


def parse_condition(text: str, parameter: str = CONDITION, *, may_be_translated: bool = False) -> Condition:
    """The condition in `text`. `parameter` is the request member it came in, FilterExpression for instance.

    `may_be_translated` says that no client wrote the text as it is: dynamo.queries.legacy did, or a router sent it
    that has judged it. Without it a translation is the syntax error that it would be at the service.

    Raises ValidationException with the text of the service. Cached by text and parameter; the result is immutable.
    """
    if may_be_translated and is_translation(text):
        return (_translated_condition if _is_kept(text) else _translated_condition.__wrapped__)(text, parameter)
    return (_parse_condition if _is_kept(text) else _parse_condition.__wrapped__)(text, parameter)


def parse_update(text: str, *, may_be_translated: bool = False) -> Update:
    """The update in `text`, an UpdateExpression; else as parse_condition."""
    if may_be_translated and is_translation(text):
        return (_translated_update if _is_kept(text) else _translated_update.__wrapped__)(text)
    return (_parse_update if _is_kept(text) else _parse_update.__wrapped__)(text)


def parse_projection(text: str, *, may_be_translated: bool = False) -> Projection:
    """The projection in `text`, a ProjectionExpression; else as parse_condition."""
    if may_be_translated and is_translation(text):
        return (_translated_projection if _is_kept(text) else _translated_projection.__wrapped__)(text)
    return (_parse_projection if _is_kept(text) else _parse_projection.__wrapped__)(text)


def _is_kept(text: str) -> bool:
    return len(text) <= EXPRESSION_BYTES_MAX


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
    dynamo.queries.legacy, which has checked all but the key attributes.
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
        return condition.test(_EMPTY if item is None else item, bindings)
    except KeyError as missing:
        raise _undefined(condition.parameter, missing) from missing
    finally:
        if bindings.memo:
            bindings.memo.clear()


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
        if projection.is_flat:
            chosen = bindings.sets.get(projection)
            if chosen is None:
                chosen = bindings.sets[projection] = _heads(projection, bindings.names)
            return {name: value for name, value in item.items() if name in chosen}
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
        is_translated=False,
    )


@lru_cache(CACHED_EXPRESSIONS_MAX)
def _translated_condition(text: str, parameter: str) -> Condition:
    """Without units and placeholders, for nothing is left to check but its paths against the table's keys."""
    node, paths = read_condition(text, parameter)
    return Condition(
        parameter=parameter,
        node=node,
        test=compile_condition(node, parameter),
        units=(),
        paths=paths,
        negates=False,
        names=frozenset(),
        values=frozenset(),
        is_translated=True,
    )


@lru_cache(CACHED_EXPRESSIONS_MAX)
def _parse_update(text: str) -> Update:
    parser = UpdateParser(text, UPDATE)
    return compile_update(parser.parse(), tuple(parser.placeholders), tuple(parser.calls), is_translated=False)


@lru_cache(CACHED_EXPRESSIONS_MAX)
def _translated_update(text: str) -> Update:
    """As with conditions."""
    return compile_update(read_update(text, UPDATE), (), (), is_translated=True)


@lru_cache(CACHED_EXPRESSIONS_MAX)
def _parse_projection(text: str) -> Projection:
    parser = ProjectionParser(text, PROJECTION)
    paths = parser.parse()
    heads = [path.elements[0] for path in paths]
    is_flat = all(len(path.elements) == 1 for path in paths)
    return Projection(
        paths=paths,
        is_flat=is_flat,
        flat=tuple(str(head) for head in heads) if is_flat and not parser.placeholders else (),
        placeholders=tuple(parser.placeholders),
        names=frozenset(parser.placeholders),
    )


@lru_cache(CACHED_EXPRESSIONS_MAX)
def _translated_projection(text: str) -> Projection:
    """As with conditions."""
    return Projection(paths=read_projection(text), is_flat=True, flat=(), placeholders=(), names=frozenset())


def _heads(projection: Projection, names: Mapping[str, str]) -> frozenset[Hashable]:
    """The attributes that a projection of single names asks for."""
    return frozenset([resolve(path.elements, names)[0] for path in projection.paths])


def _undefined(parameter: str, missing: KeyError) -> DynamoError:
    """The error for a placeholder that evaluation looked up in vain; any other KeyError is ours and goes on."""
    key = missing.args[0] if missing.args else None
    if isinstance(key, str) and key[:1] in ("#", ":"):
        return invalid_expression(parameter, undefined_placeholder(key))
    raise missing

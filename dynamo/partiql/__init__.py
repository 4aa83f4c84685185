"""PartiQL for DynamoDB: statements to native requests. See OVERVIEW.md.

Called by router.operations.statements. Law: pure functions of their arguments; every refusal is a DynamoError with the
service's text, in the service's order: the text of the statement, its parameters, then its table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from dynamo.errors import DynamoError, validation
from dynamo.expressions import check_expressions
from dynamo.partiql.compiler import StatementCompiler, unprefixed
from dynamo.partiql.faults import PARAMETER_COUNT, TOO_DEEP, malformed
from dynamo.partiql.parser import StatementParser
from dynamo.partiql.reads import Read, SelectPlan, cut, plan_select
from dynamo.partiql.statements import Change, Delete, Insert, Select, Statement, parameter_placeholder
from dynamo.partiql.tokens import Position, decode_token, encode_token
from dynamo.partiql.writes import Write, plan_write
from dynamo.values import AttributeValue, Item, canonical_value

__all__ = [
    "CACHED_STATEMENTS_MAX",
    "Change",
    "Delete",
    "Insert",
    "Position",
    "Read",
    "Select",
    "SelectPlan",
    "Statement",
    "Write",
    "bind",
    "cut",
    "decode_token",
    "encode_token",
    "parse_statement",
    "plan_select",
    "plan_write",
]

# A text is at most 8,192 characters and its compiled form some ten times that; an application has tens of texts.
CACHED_STATEMENTS_MAX = 512

_SET_TYPES = frozenset({"SS", "NS", "BS"})


@lru_cache(CACHED_STATEMENTS_MAX)
def parse_statement(text: str) -> Statement:
    """The statement in `text`. Raises ValidationException with the service's text. Cached; the result is immutable."""
    try:
        parser = StatementParser(text)
        tree = parser.parse()
        return StatementCompiler(text, parser.parameters).compile(tree)
    except RecursionError as error:
        # The levels are counted, but how much of the stack the caller has used is not known.
        raise malformed(TOO_DEEP) from error


def bind(statement: Statement, parameters: list[Any]) -> Item:
    """Every value of the statement by placeholder: those of its text and the `parameters` of the request, canonical.

    Raises ValidationException for a wrong number of parameters, a malformed value, or one of a type that its operator
    never takes.
    """
    if len(parameters) != statement.parameters:
        raise validation(PARAMETER_COUNT)
    values = statement.literals
    if parameters:
        values = dict(values)
        for index, parameter in enumerate(parameters):
            values[parameter_placeholder(index)] = canonical_value(parameter)
    try:
        _check(statement, values)
    except DynamoError as error:
        raise unprefixed(error) from error
    return values


def _check(statement: Statement, values: Item) -> None:
    """What the checks of expressions say of the statement with these values."""
    if isinstance(statement, Change):
        for parameter in statement.set_parameters:
            if _SET_TYPES.isdisjoint(values[parameter.placeholder]):
                raise validation(parameter.fault)
        check_expressions(
            condition=None,
            update=statement.update,
            projection=None,
            names=statement.names or None,
            values=_chosen(values, statement.placeholders),
            key_names=(),
        )
    where = statement.where
    if where is not None:
        check_expressions(
            condition=where.condition,
            update=None,
            projection=None,
            names=where.names or None,
            values=_chosen(values, where.placeholders),
            key_names=(),
        )


def _chosen(values: Item, placeholders: tuple[str, ...]) -> dict[str, AttributeValue] | None:
    return {placeholder: values[placeholder] for placeholder in placeholders} or None

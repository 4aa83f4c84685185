"""From the syntax tree of a statement to what can be run.

Called by dynamo.partiql.parse_statement through a cache. Law: everything that can be said of a statement without its
parameters and its table is said here, once for each text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dynamo.errors import DynamoError, validation
from dynamo.expressions import nodes as native
from dynamo.expressions import parse_condition, parse_update
from dynamo.limits import TABLE_NAME_CHARACTERS_MAX, TABLE_NAME_CHARACTERS_MIN
from dynamo.partiql import nodes as tree
from dynamo.partiql.conditions import ConditionCompiler
from dynamo.partiql.faults import INCOMPLETE_KEY, INVALID_TABLE_NAME, WRITE_ON_INDEX, located
from dynamo.partiql.literals import literal_value, struct_items
from dynamo.partiql.rendering import Renderer
from dynamo.partiql.statements import (
    Change,
    Column,
    Delete,
    Filter,
    Insert,
    Order,
    Select,
    Statement,
    parameter_placeholder,
)
from dynamo.partiql.updates import UpdateCompiler
from dynamo.values import AttributeValue

_Result = TypeVar("_Result")

_TABLE_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
_RETURN_VALUES = {
    (True, False): "ALL_OLD",
    (True, True): "ALL_NEW",
    (False, False): "UPDATED_OLD",
    (False, True): "UPDATED_NEW",
}


def unprefixed(error: DynamoError) -> DynamoError:
    """An error of an expression as a statement tells it: without the `Invalid FilterExpression: ` before it."""
    opening, colon, detail = error.message.partition(": ")
    if colon and opening.startswith("Invalid ") and opening.endswith("Expression"):
        return validation(detail)
    return error


class StatementCompiler:
    """Compiles one statement."""

    def __init__(self, text: str, parameters: int) -> None:
        self._text = text
        self._parameters = parameters
        self._conditions = ConditionCompiler(text)

    def compile(self, statement: tree.StatementTree) -> Statement:
        """The statement. Raises ValidationException."""
        table = statement.source.names[0]
        if not table.startswith("arn:") and not (
            TABLE_NAME_CHARACTERS_MIN <= len(table) <= TABLE_NAME_CHARACTERS_MAX
            and _TABLE_NAME_CHARACTERS.issuperset(table)
        ):
            raise validation(INVALID_TABLE_NAME)
        match statement:
            case tree.SelectTree():
                return self._select(statement, table)
            case tree.InsertTree():
                return self._insert(statement, table)
            case tree.UpdateTree():
                return self._update(statement, table)
            case tree.DeleteTree():
                return self._delete(statement, table)

    def _select(self, statement: tree.SelectTree, table: str) -> Select:
        names = statement.source.names
        columns = self._columns(statement.projection)
        return Select(
            text=self._text,
            table=table,
            parameters=self._parameters,
            where=self._where(statement.where),
            literals=self._conditions.literals,
            index=names[1] if len(names) > 1 else None,
            columns=columns,
            order=tuple(_order(term) for term in statement.order),
        )

    def _columns(self, projection: tuple[tree.Expression, ...] | None) -> tuple[Column, ...] | None:
        if projection is None:
            return None
        columns: dict[str, Column] = {}
        for expression in projection:
            if not isinstance(expression, tree.Path):
                raise located("Unexpected path component", self._text, expression.start, expression.length)
            column = Column(native.Path(path_elements(expression)), _column_name(path_elements(expression)))
            if column.name in columns:
                raise validation(f"Duplicate identifiers in select clause: {column.name}")
            columns[column.name] = column
        return tuple(columns.values())

    def _insert(self, statement: tree.InsertTree, table: str) -> Insert:
        value = statement.value
        if not isinstance(value, tree.Struct):
            raise validation(
                "Unsupported format in item expression. Please use struct format {...} to express item values for "
                "insert statement."
            )
        attributes: list[tuple[str, AttributeValue | str]] = []
        for name, member in struct_items(value):
            if isinstance(member, tree.Parameter):
                attributes.append((name, parameter_placeholder(member.index)))
            else:
                attributes.append((name, literal_value(member, self._text)))
        return Insert(
            text=self._text, table=table, parameters=self._parameters, literals={}, attributes=tuple(attributes)
        )

    def _update(self, statement: tree.UpdateTree, table: str) -> Change:
        where = self._write_where(statement.source, statement.where)
        compiler = UpdateCompiler(self._conditions)
        actions = tuple(compiler.action(assignment) for assignment in statement.assignments)
        renderer = Renderer()
        text = renderer.update(actions)
        returning = statement.returning
        return Change(
            text=self._text,
            table=table,
            parameters=self._parameters,
            where=where,
            literals=self._conditions.literals,
            actions=actions,
            update=_told_plainly(lambda: parse_update(text)),
            names=renderer.names,
            placeholders=renderer.placeholders,
            set_parameters=tuple(compiler.set_parameters),
            return_values=_RETURN_VALUES[returning.everything, returning.new] if returning is not None else "NONE",
        )

    def _delete(self, statement: tree.DeleteTree, table: str) -> Delete:
        returning = statement.returning
        if returning is not None and not (returning.everything and not returning.new):
            raise validation(
                f"Invalid returning clause: {returning.text}. Only RETURNING ALL OLD * is allowed in DELETE statements."
            )
        return Delete(
            text=self._text,
            table=table,
            parameters=self._parameters,
            where=self._write_where(statement.source, statement.where),
            literals=self._conditions.literals,
            return_values="NONE" if returning is None else "ALL_OLD",
        )

    def _write_where(self, source: tree.Source, where: tree.Expression | None) -> Filter:
        if len(source.names) > 1:
            raise validation(WRITE_ON_INDEX)
        compiled = self._where(where)
        if compiled is None:
            raise validation(INCOMPLETE_KEY)
        return compiled

    def _where(self, where: tree.Expression | None) -> Filter | None:
        if where is None:
            return None
        node = self._conditions.where(where)
        renderer = Renderer()
        text = renderer.condition(node)
        condition = _told_plainly(lambda: parse_condition(text))
        return Filter(node, condition, renderer.names, renderer.placeholders)


def path_elements(path: tree.Path) -> tuple[native.PathElement, ...]:
    """The elements of a path without wildcards: the parser has refused the others."""
    return tuple([element for element in path.elements if element is not None])


def _told_plainly(work: Callable[[], _Result]) -> _Result:
    try:
        return work()
    except DynamoError as error:
        raise unprefixed(error) from error


def _column_name(elements: tuple[native.PathElement, ...]) -> str:
    """The last name of a path with the indexes behind it: m.k[0] is k[0]."""
    name = ""
    for element in elements:
        name = f"{name}[{element}]" if isinstance(element, int) else element
    return name


def _order(term: tree.OrderTerm) -> Order:
    expression = term.expression
    if isinstance(expression, tree.Path):
        elements = path_elements(expression)
        if len(elements) == 1 and isinstance(elements[0], str):
            return Order(elements[0], "VariableReference", term.descending)
        return Order(None, "Path", term.descending)
    return Order(None, type(expression).__name__, term.descending)

"""The syntax tree of a PartiQL statement, as the grammar reads it.

Built by the parser, read by the compiler. Law: immutable; nothing here knows which forms DynamoDB accepts. `start` and
`length` of a node are those of the token that error texts point at; `depth` counts the nodes from it down to the lowest
leaf, for whoever walks the tree does so by recursion.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """Any expression."""

    start: int
    length: int
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Literal(Expression):
    """A scalar: `kind` is S, N, BOOL, NULL or ION; the sign of a number is part of `text`."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Missing(Expression):
    """MISSING."""


@dataclass(frozen=True, slots=True)
class Parameter(Expression):
    """A `?`; `index` counts from 0 in the order of the text."""

    index: int


@dataclass(frozen=True, slots=True)
class Path(Expression):
    """A document path, as a.b[3]; an element None is a wildcard ([*] or .*)."""

    elements: tuple[str | int | None, ...]


@dataclass(frozen=True, slots=True)
class Sequence(Expression):
    """A list [..], a bag <<..>> (`kind` list, bag) or a parenthesised list of an IN."""

    kind: str
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Struct(Expression):
    """A map {..}, with its keys as they were written."""

    members: tuple[tuple[Expression, Expression], ...]


@dataclass(frozen=True, slots=True)
class Operation(Expression):
    """An operator with its operands: or, and, not, a comparison, between, in, like, arithmetic."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class IsType(Expression):
    """`subject IS type`."""

    subject: Expression
    type_name: str


@dataclass(frozen=True, slots=True)
class Call(Expression):
    """A function call; `name` is in lower case."""

    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What stands after FROM, INTO or UPDATE: a table, and perhaps an index."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Returning:
    """`RETURNING ALL OLD *` and so on."""

    everything: bool
    new: bool

    @property
    def text(self) -> str:
        """The clause as error texts show it."""
        return f"RETURNING {'ALL' if self.everything else 'MODIFIED'} {'NEW' if self.new else 'OLD'} *"


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """One term of ORDER BY."""

    expression: Expression
    descending: bool


@dataclass(frozen=True, slots=True)
class SelectTree:
    """SELECT; `projection` None is `*`."""

    projection: tuple[Expression, ...] | None
    source: Source
    where: Expression | None
    order: tuple[OrderTerm, ...]


@dataclass(frozen=True, slots=True)
class InsertTree:
    """INSERT INTO source VALUE value."""

    source: Source
    value: Expression


@dataclass(frozen=True, slots=True)
class Assignment:
    """`SET path = value`; `value` None: `REMOVE path`."""

    path: Expression
    value: Expression | None


@dataclass(frozen=True, slots=True)
class UpdateTree:
    """UPDATE, and its FROM-first form."""

    source: Source
    assignments: tuple[Assignment, ...]
    where: Expression | None
    returning: Returning | None


@dataclass(frozen=True, slots=True)
class DeleteTree:
    """DELETE FROM."""

    source: Source
    where: Expression | None
    returning: Returning | None


StatementTree = SelectTree | InsertTree | UpdateTree | DeleteTree

"""A statement as it can be run: compiled once for each text, without its parameters and its table.

Made by the compiler, read by the planner. Law: immutable and compared by identity; values of the text stand under
placeholders :0, :1 ..., parameters under :p0, :p1 ...; names in conditions and paths are the attributes' own.
"""

from __future__ import annotations

from dataclasses import dataclass

from dynamo.expressions import Condition, Update
from dynamo.expressions.nodes import ConditionNode, Path, UpdateAction
from dynamo.values import AttributeValue, Item


def parameter_placeholder(index: int) -> str:
    """The placeholder of the `index`-th `?`."""
    return f":p{index}"


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """A WHERE: its tree, and its compiled form with the names it was rendered with, for the checks of each request."""

    node: ConditionNode
    condition: Condition
    names: dict[str, str]
    placeholders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One term of ORDER BY; `attribute` is None for what is no plain name, then `kind` says what it is."""

    attribute: str | None
    kind: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Column:
    """One projected path and the name of its value in the answer."""

    path: Path
    name: str

    @property
    def attribute(self) -> str:
        """The top-level attribute the path begins with."""
        head = self.path.elements[0]
        assert isinstance(head, str), "a document path starts with a name"
        return head


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Statement:
    """What all statements have. `literals` are the values written in the text; do not modify them."""

    text: str
    table: str
    parameters: int
    literals: Item
    where: Filter | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Select(Statement):
    """SELECT; `columns` None: every attribute."""

    index: str | None
    columns: tuple[Column, ...] | None
    order: tuple[Order, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Insert(Statement):
    """INSERT; an attribute's value is a literal, or the placeholder of a parameter."""

    attributes: tuple[tuple[str, AttributeValue | str], ...]


@dataclass(frozen=True, slots=True)
class SetParameter:
    """A parameter that must be a set: of set_add or set_delete; `fault` is the text when it is not."""

    placeholder: str
    fault: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Change(Statement):
    """UPDATE; `return_values` is the ReturnValues of UpdateItem."""

    actions: tuple[UpdateAction, ...]
    update: Update
    names: dict[str, str]
    placeholders: tuple[str, ...]
    set_parameters: tuple[SetParameter, ...]
    return_values: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Delete(Statement):
    """DELETE; `return_values` is the ReturnValues of DeleteItem."""

    return_values: str

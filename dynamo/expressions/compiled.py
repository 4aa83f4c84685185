"""What the parsers hand out: compiled expressions, and the placeholders of one request to run them with.

Built by dynamo.expressions.parse_*, held in its cache, used by any number of requests at once. Law: immutable; a
compiled expression knows no request, so whatever differs between two requests comes through Bindings.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from dynamo.expressions.comparing import Memo
from dynamo.expressions.nodes import (
    AddAction,
    Arithmetic,
    Call,
    CheckedUnit,
    ConditionNode,
    DeleteAction,
    Path,
    PathElement,
    UpdateAction,
)
from dynamo.values import AttributeValue, Item

# (item, names, values) -> the value, or None where the item has none.
Lookup = Callable[[Item, Mapping[str, str], Item], AttributeValue | None]
# (item, bindings) -> whether the condition holds.
Test = Callable[[Item, "Bindings"], bool]

_NO_NAMES: Mapping[str, str] = {}
_NO_VALUES: Item = {}


class Bindings:
    """ExpressionAttributeNames and ExpressionAttributeValues of one request; canonical, None where not given.

    Also what evaluating with them has worked out: `memo` of one item, emptied by dynamo.expressions.matches, and
    `sets` of the request, by whatever compiled part asked for them.
    """

    __slots__ = ("memo", "names", "sets", "values")

    def __init__(self, names: Mapping[str, str] | None, values: Item | None) -> None:
        self.names: Mapping[str, str] = _NO_NAMES if names is None else names
        self.values: Item = _NO_VALUES if values is None else values
        self.memo: Memo = {}
        self.sets: dict[object, frozenset[Hashable]] = {}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition; `parameter` is the request member that error texts name."""

    parameter: str
    node: ConditionNode
    test: Test
    # Simple conditions whose correctness depends on the request; the others were checked when the text was parsed.
    units: tuple[CheckedUnit, ...]
    # Every document path, in reading order.
    paths: tuple[Path, ...]
    # A NOT stands in the text.
    negates: bool
    names: frozenset[str]
    values: frozenset[str]
    # Translated from legacy parameters.
    is_translated: bool


@dataclass(frozen=True, slots=True)
class CompiledAction:
    """One action of an update: `compute` gives the new value at the path, None to have nothing there."""

    elements: tuple[PathElement, ...]
    head: str
    head_is_placeholder: bool
    # REMOVE alone is without effect, and not even checked, on an item that does not exist.
    removes: bool
    compute: Lookup


@dataclass(frozen=True, slots=True)
class Update:
    """An update; actions stand in the order of the text."""

    actions: tuple[CompiledAction, ...]
    # Every path is a single name.
    flat: bool
    # The update creates an item that does not exist: true unless it consists of REMOVE and DELETE.
    creates_item: bool
    paths: tuple[Path, ...]
    # For the checks: placeholders in reading order, calls inner first, and what has operand types to be checked.
    placeholders: tuple[str, ...]
    calls: tuple[Call, ...]
    arithmetic: tuple[Arithmetic, ...]
    operators: tuple[AddAction | DeleteAction, ...]
    nodes: tuple[UpdateAction, ...]
    names: frozenset[str]
    values: frozenset[str]


# Compared by identity, so that a request can keep what it makes of it.
@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A projection; paths stand in the order of the text."""

    paths: tuple[Path, ...]
    # Every path is a single name or #placeholder.
    is_flat: bool
    # The names when every path is a single name, else empty.
    flat: tuple[str, ...]
    placeholders: tuple[str, ...]
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Updated:
    """The outcome of an update: `updated_old` and `updated_new` hold what its paths name, nested as in the item."""

    item: Item
    updated_old: Item
    updated_new: Item

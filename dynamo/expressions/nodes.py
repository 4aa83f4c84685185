"""The syntax trees of expressions: plain values, built once per text and shared by every request that sends it.

Built by the parsers, read by the compiler and the checks. Law: immutable, and placeholders stay unresolved, because one
tree serves requests with different ExpressionAttributeNames and ExpressionAttributeValues.
"""

from __future__ import annotations

from dataclasses import dataclass

# A name, a #placeholder of a name (a bare name cannot begin with #), or a list index.
PathElement = str | int


@dataclass(frozen=True, slots=True)
class Path:
    """A document path, as a.#b[3]; the first element is never an index."""

    elements: tuple[PathElement, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A :placeholder, with its colon."""

    placeholder: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its operands in order."""

    function: str
    arguments: tuple[Operand, ...]


Operand = Path | Value | Call


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`, operator one of = <> < <= > >=."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    """`subject BETWEEN low AND high`, bounds included."""

    subject: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class In:
    """`subject IN (candidates)`."""

    subject: Operand
    candidates: tuple[Operand, ...]
    # There is one candidate, a list in the request, and its elements are meant.
    is_listed: bool = False


SimpleCondition = Comparison | Between | In | Call


@dataclass(frozen=True, slots=True)
class And:
    """True when every part is; parts are tried left to right."""

    parts: tuple[ConditionNode, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True when any part is; parts are tried left to right."""

    parts: tuple[ConditionNode, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when the part is not."""

    part: ConditionNode


ConditionNode = SimpleCondition | And | Or | Not


@dataclass(frozen=True, slots=True)
class CheckedUnit:
    """One simple condition with what the request-time checks need of it.

    `placeholders` are the #names and :values in reading order, `calls` the function calls, inner ones first.
    """

    node: SimpleCondition
    placeholders: tuple[str, ...]
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left + right` or `left - right` in a SET."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class SetAction:
    """`path = value`."""

    path: Path
    value: Operand | Arithmetic


@dataclass(frozen=True, slots=True)
class RemoveAction:
    """`path`, to be removed."""

    path: Path


@dataclass(frozen=True, slots=True)
class AddAction:
    """`path :value`: number addition or set union."""

    path: Path
    value: Value


@dataclass(frozen=True, slots=True)
class DeleteAction:
    """`path :value`: set difference."""

    path: Path
    value: Value


UpdateAction = SetAction | RemoveAction | AddAction | DeleteAction


def paths_of(node: SimpleCondition) -> list[Path]:
    """The document paths in a simple condition, in reading order."""
    # The last one is next.
    pending = list(reversed(operands_of(node)))
    paths = []
    while pending:
        operand = pending.pop()
        if isinstance(operand, Path):
            paths.append(operand)
        elif isinstance(operand, Call):
            pending.extend(reversed(operand.arguments))
    return paths


def operands_of(node: SimpleCondition) -> tuple[Operand, ...]:
    """The operands of a simple condition, in reading order; of a call its arguments."""
    if isinstance(node, Comparison):
        return (node.left, node.right)
    if isinstance(node, Between):
        return (node.subject, node.low, node.high)
    if isinstance(node, In):
        return (node.subject, *node.candidates)
    return node.arguments

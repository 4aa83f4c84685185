"""Translations of legacy parameters: the text that carries them from router to leader, read straight into nodes.

Written by dynamo.queries.legacy alone, read by dynamo.expressions for callers that say that a text may be one. A
parameter can name every attribute of an item, so its text is no expression of the grammar, whose parse costs twenty
times as much an attribute, but one line for each attribute: an operator or action and its placeholders, so that names
and values stay out of the text and parameters of one shape share one parse.

Law: what a line means is a node of the expression language. A text begins with MARK, which no grammar takes: from a
client it is the syntax error that any other stray character is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from dynamo.errors import DynamoError
from dynamo.expressions.faults import invalid_expression
from dynamo.expressions.nodes import (
    AddAction,
    And,
    Between,
    Call,
    Comparison,
    ConditionNode,
    DeleteAction,
    In,
    Not,
    Or,
    Path,
    RemoveAction,
    SetAction,
    UpdateAction,
    Value,
)

MARK: Final = "\x00"
LINE_END: Final = "\n"

_JOINED: Final[Mapping[str, type[And] | type[Or]]] = {"AND": And, "OR": Or}


def is_translation(text: str) -> bool:
    """Whether a text that is no client's is a translation."""
    return text[:1] == MARK


def write_condition(conditional_operator: str, lines: Sequence[str]) -> str:
    """The text of a condition; a line is a legacy operator, a #name and its :values, by single spaces."""
    return f"{MARK}{conditional_operator}{LINE_END}{LINE_END.join(lines)}"


def write_lines(lines: Sequence[str]) -> str:
    """The text of an update, whose lines are an action, a #name and perhaps a :value, or of #names to project."""
    return MARK + LINE_END.join(lines)


def read_condition(text: str, parameter: str) -> tuple[ConditionNode, tuple[Path, ...]]:
    """What write_condition wrote, and its attributes. Raises ValidationException for anything else."""
    joined, *lines = text[1:].split(LINE_END)
    parts: list[ConditionNode] = []
    paths = []
    try:
        if not lines:
            raise ValueError("a condition without conditions")
        for line in lines:
            operator, name, *values = line.split()
            path = Path((name,))
            paths.append(path)
            parts.append(_CONDITIONS[operator](path, values))
        return (parts[0] if len(parts) == 1 else _JOINED[joined](tuple(parts))), tuple(paths)
    except (KeyError, IndexError, ValueError) as error:
        raise _malformed(parameter) from error


def read_update(text: str, parameter: str) -> tuple[UpdateAction, ...]:
    """The actions of an update. Raises ValidationException for anything but what write_lines wrote of actions."""
    actions = []
    try:
        for line in text[1:].split(LINE_END):
            action, name, *values = line.split()
            actions.append(_ACTIONS[action](Path((name,)), values))
    except (KeyError, IndexError, ValueError) as error:
        raise _malformed(parameter) from error
    return tuple(actions)


def read_projection(text: str) -> tuple[Path, ...]:
    """The attributes of a projection."""
    return tuple([Path((name,)) for name in text[1:].split(LINE_END)])


def _malformed(parameter: str) -> DynamoError:
    return invalid_expression(parameter, f'Syntax error; token: "{MARK}", near: "{MARK}"')


def _comparison(operator: str) -> Callable[[Path, Sequence[str]], ConditionNode]:
    return lambda path, values: Comparison(operator, path, Value(values[0]))


def _call(function: str) -> Callable[[Path, Sequence[str]], ConditionNode]:
    return lambda path, values: Call(function, (path, *[Value(value) for value in values]))


_exists: Final = _call("attribute_exists")
_contains: Final = _call("contains")

_CONDITIONS: Final[Mapping[str, Callable[[Path, Sequence[str]], ConditionNode]]] = {
    "EQ": _comparison("="),
    # True for a missing attribute, as `<>` is.
    "NE": _comparison("<>"),
    "LE": _comparison("<="),
    "LT": _comparison("<"),
    "GE": _comparison(">="),
    "GT": _comparison(">"),
    "NULL": _call("attribute_not_exists"),
    "NOT_NULL": _exists,
    "CONTAINS": _contains,
    # False for a missing attribute, unlike NOT contains.
    "NOT_CONTAINS": lambda path, values: And((_exists(path, ()), Not(_contains(path, values)))),
    "BEGINS_WITH": _call("begins_with"),
    # The candidates are the elements of one list value: however many there are, the text is the same.
    "IN": lambda path, values: In(path, (Value(values[0]),), is_listed=True),
    "BETWEEN": lambda path, values: Between(path, Value(values[0]), Value(values[1])),
}
_ACTIONS: Final[Mapping[str, Callable[[Path, Sequence[str]], UpdateAction]]] = {
    "SET": lambda path, values: SetAction(path, Value(values[0])),
    "REMOVE": lambda path, _values: RemoveAction(path),
    "ADD": lambda path, values: AddAction(path, Value(values[0])),
    "DELETE": lambda path, values: DeleteAction(path, Value(values[0])),
}

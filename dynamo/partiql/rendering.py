"""Conditions and updates of statements to texts of the expression language.

Called by the compiler for the checks and by the planner for native requests. Law: one renderer serves all expressions
of one request, so that a name has one placeholder; the same tree always gives the same text, so that the caches of
dynamo.expressions hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynamo.expressions.nodes import (
    AddAction,
    And,
    Arithmetic,
    Between,
    Call,
    Comparison,
    ConditionNode,
    DeleteAction,
    In,
    Not,
    Operand,
    Or,
    Path,
    RemoveAction,
    SetAction,
    UpdateAction,
    Value,
)
from dynamo.values import Item


class Renderer:
    """Collects the placeholders of one request."""

    def __init__(self) -> None:
        self._placeholder_by_name: dict[str, str] = {}
        self._values: dict[str, None] = {}

    @property
    def names(self) -> dict[str, str]:
        """ExpressionAttributeNames."""
        return {placeholder: name for name, placeholder in self._placeholder_by_name.items()}

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The :placeholders used, in the order of their first use."""
        return tuple(self._values)

    def add_to(self, request: dict[str, Any], values: Item) -> None:
        """Put names and values into a native request; `values` has every value of the statement."""
        if self._placeholder_by_name:
            request["ExpressionAttributeNames"] = self.names
        if self._values:
            request["ExpressionAttributeValues"] = {key: values[key] for key in self._values}

    def name(self, attribute: str) -> str:
        """The placeholder of one attribute name."""
        return self._placeholder_by_name.setdefault(attribute, f"#{len(self._placeholder_by_name)}")

    def path(self, path: Path) -> str:
        """A document path."""
        text = ""
        for element in path.elements:
            if isinstance(element, int):
                text += f"[{element}]"
            else:
                text += f".{self.name(element)}" if text else self.name(element)
        return text

    def operand(self, operand: Operand) -> str:
        """A path, a value or a call."""
        if isinstance(operand, Path):
            return self.path(operand)
        if isinstance(operand, Value):
            self._values[operand.placeholder] = None
            return operand.placeholder
        return self._call(operand)

    def condition(self, node: ConditionNode) -> str:
        """A condition; only what binds looser than its surroundings stands in parentheses."""
        match node:
            case And(parts):
                return " AND ".join([self._within(part, Or) for part in parts])
            case Or(parts):
                return " OR ".join([self.condition(part) for part in parts])
            case Not(part):
                return f"NOT {self._within(part, And, Or)}"
            case Comparison(operator, left, right):
                return f"{self.operand(left)} {operator} {self.operand(right)}"
            case Between(subject, low, high):
                return f"{self.operand(subject)} BETWEEN {self.operand(low)} AND {self.operand(high)}"
            case In(subject, candidates):
                return f"{self.operand(subject)} IN ({', '.join([self.operand(value) for value in candidates])})"
            case Call():
                return self._call(node)

    def update(self, actions: Sequence[UpdateAction]) -> str:
        """An UpdateExpression; actions keep their order within each section."""
        sections: dict[str, list[str]] = {}
        for action in actions:
            match action:
                case SetAction(path, value):
                    sections.setdefault("SET", []).append(f"{self.path(path)} = {self._set_value(value)}")
                case RemoveAction(path):
                    sections.setdefault("REMOVE", []).append(self.path(path))
                case AddAction(path, added):
                    sections.setdefault("ADD", []).append(f"{self.path(path)} {self.operand(added)}")
                case DeleteAction(path, removed):
                    sections.setdefault("DELETE", []).append(f"{self.path(path)} {self.operand(removed)}")
        return " ".join([f"{section} {', '.join(texts)}" for section, texts in sections.items()])

    def _set_value(self, value: Operand | Arithmetic) -> str:
        if isinstance(value, Arithmetic):
            return f"{self.operand(value.left)} {value.operator} {self.operand(value.right)}"
        return self.operand(value)

    def _call(self, call: Call) -> str:
        return f"{call.function}({', '.join([self.operand(argument) for argument in call.arguments])})"

    def _within(self, node: ConditionNode, *looser: type[ConditionNode]) -> str:
        text = self.condition(node)
        return f"({text})" if isinstance(node, looser) else text

"""The grammars of UpdateExpression and ProjectionExpression.

Called by dynamo.expressions.parse_update and parse_projection. An update is up to four sections, SET, REMOVE, ADD and
DELETE, each at most once and in any order; a projection is a list of document paths.
"""

from __future__ import annotations

from typing import ClassVar

from dynamo.expressions.faults import function_misused
from dynamo.expressions.nodes import (
    AddAction,
    Arithmetic,
    Call,
    DeleteAction,
    Operand,
    Path,
    RemoveAction,
    SetAction,
    UpdateAction,
)
from dynamo.expressions.parser import (
    CONDITION_FUNCTIONS,
    FUNCTION_NAME,
    FUNCTION_PLACE,
    INDEX,
    NESTING,
    PARENTHESES,
    RESERVED,
    SECTION,
    UPDATE_FUNCTIONS,
    Parser,
)


class UpdateParser(Parser):
    """Parses one update; `parse` gives its actions in the order of the text."""

    keywords: ClassVar[frozenset[str]] = frozenset({"SET", "REMOVE", "ADD", "DELETE"})
    fault_order: ClassVar[tuple[str, ...]] = (
        PARENTHESES,
        RESERVED,
        FUNCTION_NAME,
        FUNCTION_PLACE,
        SECTION,
        INDEX,
        NESTING,
    )
    nestable_functions: ClassVar[frozenset[str]] = frozenset({"if_not_exists"})

    def parse(self) -> tuple[UpdateAction, ...]:
        """The actions. Raises ValidationException with the service's text for anything else than an update."""
        actions: list[UpdateAction] = []
        seen: set[str] = set()
        while not (self.at_end() and seen):
            section = self.keyword()
            if not section:
                self.fail()
            self.advance()
            if section in seen:
                self.note(SECTION, f'The "{section}" section can only be used once in an update expression;')
            seen.add(section)
            actions.append(self._action(section))
            while self.take(","):
                actions.append(self._action(section))
        self.raise_faults()
        return tuple(actions)

    def note_function(self, function: str) -> None:
        if function in CONDITION_FUNCTIONS:
            self.note(FUNCTION_NAME, f"The function is not allowed in an update expression; function: {function}")
        elif function not in UPDATE_FUNCTIONS:
            self.note(FUNCTION_NAME, f"Invalid function name; function: {function}")

    def _action(self, section: str) -> UpdateAction:
        """One action of a section."""
        path = self.path()
        if section == "SET":
            self.expect("=")
            return SetAction(path, self._set_value())
        if section == "REMOVE":
            return RemoveAction(path)
        if section == "ADD":
            return AddAction(path, self.value())
        return DeleteAction(path, self.value())

    def _set_value(self) -> Operand | Arithmetic:
        """The right side of a SET: an operand, or the sum or difference of two; parentheses around either."""
        unclosed = 0
        while self.take("("):
            unclosed += 1
        left = self.operand()
        # Parentheses that close here were around the left operand, the others are around the arithmetic.
        unclosed -= self._closing(unclosed)
        if not (self.next_is("+") or self.next_is("-")):
            if unclosed:
                self.fail()
            return left
        operator = self.advance().text
        self.count_operator()
        node = Arithmetic(operator, left, self.operand())
        for operand in (node.left, node.right):
            if isinstance(operand, Call) and operand.function not in self.nestable_functions:
                self.note(FUNCTION_PLACE, function_misused(operand.function))
        if self._closing(unclosed) < unclosed:
            self.fail()
        return node

    def _closing(self, unclosed: int) -> int:
        """Consume up to `unclosed` closing parentheses; how many there were."""
        closed = 0
        while closed < unclosed and self.take(")"):
            closed += 1
        if closed > 1:
            self.note_redundant_parentheses()
        return closed


class ProjectionParser(Parser):
    """Parses one projection; `parse` gives its paths in the order of the text."""

    fault_order: ClassVar[tuple[str, ...]] = (RESERVED, INDEX, NESTING)

    def parse(self) -> tuple[Path, ...]:
        """The paths. Raises ValidationException with the service's text for anything else than a projection."""
        paths = [self.path()]
        while self.take(","):
            paths.append(self.path())
        if not self.at_end():
            self.fail()
        self.raise_faults()
        return tuple(paths)

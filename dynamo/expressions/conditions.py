"""The grammar of conditions: ConditionExpression, and with another parameter name FilterExpression and key conditions.

Called by dynamo.expressions.parse_condition. Precedence, tightest first: comparison, BETWEEN, IN, functions; NOT; AND;
OR. Law: parenthesised levels are a list, not a recursion, because 4 KB of text can open four thousand of them.
"""

from __future__ import annotations

from typing import ClassVar

from dynamo.expressions.faults import function_misused
from dynamo.expressions.lexer import TokenKind
from dynamo.expressions.nodes import (
    And,
    Between,
    Call,
    CheckedUnit,
    Comparison,
    ConditionNode,
    In,
    Not,
    Operand,
    Or,
    SimpleCondition,
)
from dynamo.expressions.parser import (
    CONDITION_FUNCTIONS,
    FUNCTION_NAME,
    FUNCTION_PLACE,
    IN_OPERANDS,
    INDEX,
    NESTING,
    PARENTHESES,
    RESERVED,
    UPDATE_FUNCTIONS,
    Parser,
)
from dynamo.limits import EXPRESSION_IN_OPERANDS_MAX

COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})


class _Level:
    """What has been read of one parenthesised level: OR of ANDs, and the NOTs before the next term."""

    __slots__ = ("alternatives", "group_only", "negated", "prefixed", "terms")

    def __init__(self) -> None:
        self.alternatives: list[ConditionNode] = []
        self.terms: list[ConditionNode] = []
        # An odd number of NOTs stands before the next term.
        self.negated = False
        # At least one NOT stands before the next term.
        self.prefixed = False
        # The level holds one parenthesised term and nothing else: closing it makes redundant parentheses.
        self.group_only = False

    def is_empty(self) -> bool:
        """Whether nothing at all stands before the next term."""
        return not (self.alternatives or self.terms or self.prefixed)

    def add(self, node: ConditionNode, *, grouped: bool) -> None:
        """The next term of the current AND."""
        self.group_only = grouped and self.is_empty()
        self.terms.append(_negation(node) if self.negated else node)
        self.negated = self.prefixed = False

    def end_alternative(self) -> None:
        """An OR: the terms so far are one alternative."""
        self.alternatives.append(_joined(And, self.terms))
        self.terms = []

    def finish(self) -> ConditionNode:
        """The whole level as one node."""
        self.end_alternative()
        return _joined(Or, self.alternatives)


class ConditionParser(Parser):
    """Parses one condition; `parse` gives the tree, `units` its simple conditions in reading order."""

    keywords: ClassVar[frozenset[str]] = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN"})
    fault_order: ClassVar[tuple[str, ...]] = (
        PARENTHESES,
        FUNCTION_NAME,
        FUNCTION_PLACE,
        RESERVED,
        INDEX,
        NESTING,
        IN_OPERANDS,
    )
    nestable_functions: ClassVar[frozenset[str]] = frozenset({"size"})
    continues_grouped_paths: ClassVar[bool] = True

    def __init__(self, text: str, parameter: str) -> None:
        super().__init__(text, parameter)
        self.units: list[CheckedUnit] = []
        # A NOT was read; two that cancel leave no trace in the tree.
        self.negates = False
        self._placeholders_taken = 0
        self._calls_taken = 0

    def parse(self) -> ConditionNode:
        """The condition. Raises ValidationException with the service's text for anything else than a condition."""
        level = _Level()
        outer: list[_Level] = []
        while True:
            if self.take_keyword("NOT"):
                self.count_operator()
                self.negates = True
                level.negated = not level.negated
                level.prefixed = True
            elif self.take("("):
                outer.append(level)
                level = _Level()
            else:
                level = self._close_levels(self.operand(), level, outer)
                if self.take_keyword("AND"):
                    self.count_operator()
                elif self.take_keyword("OR"):
                    self.count_operator()
                    level.end_alternative()
                elif self.at_end() and not outer:
                    self.raise_faults()
                    return level.finish()
                else:
                    self.fail()

    def note_function(self, function: str) -> None:
        if function in UPDATE_FUNCTIONS:
            self.note(FUNCTION_NAME, f"The function is not allowed in a condition expression; function: {function}")
        elif function not in CONDITION_FUNCTIONS:
            self.note(FUNCTION_NAME, f"Invalid function name; function: {function}")

    def _close_levels(self, operand: Operand, level: _Level, outer: list[_Level]) -> _Level:
        """Complete the condition that begins with `operand` and close every level that ends after it.

        Returns the level that is open then. Parentheses may hold a bare operand, `(a) = b`, and hand it on to the
        comparison behind them.
        """
        grouped = False
        node: ConditionNode
        while True:
            compared = self._comparison(operand)
            if compared is not None:
                node, grouped = compared, False
                break
            if outer and level.is_empty() and self.take(")"):
                if grouped:
                    self.note_redundant_parentheses()
                level = outer.pop()
                continued = self.grouped(operand)
                grouped = continued is operand
                operand = continued
                continue
            if not isinstance(operand, Call):
                self.fail()
            node = self._completed(operand)
            break
        while True:
            level.add(node, grouped=grouped)
            if not (outer and self.take(")")):
                return level
            if level.group_only:
                self.note_redundant_parentheses()
            node = level.finish()
            level = outer.pop()
            grouped = True

    def _comparison(self, left: Operand) -> SimpleCondition | None:
        """The comparison that goes on after `left`, or None."""
        token = self.peek()
        node: SimpleCondition
        if token.kind is TokenKind.SYMBOL and token.text in COMPARATORS:
            self.advance()
            self.count_operator()
            node = Comparison(token.text, left, self.operand())
            operands: tuple[Operand, ...] = (node.left, node.right)
        elif self.take_keyword("BETWEEN"):
            self.count_operator()
            low = self.operand()
            if not self.take_keyword("AND"):
                self.fail()
            node = Between(left, low, self.operand())
            operands = (left, low, node.high)
        elif self.take_keyword("IN"):
            self.count_operator()
            node = In(left, self._candidates())
            operands = (left, *node.candidates)
        else:
            return None
        for operand in operands:
            if isinstance(operand, Call) and operand.function != "size":
                self.note(FUNCTION_PLACE, function_misused(operand.function))
        self._take_unit(node)
        return node

    def _candidates(self) -> tuple[Operand, ...]:
        """The list of an IN."""
        self.expect("(")
        candidates = [self.operand()]
        while self.take(","):
            candidates.append(self.operand())
        self.expect(")")
        if len(candidates) > EXPRESSION_IN_OPERANDS_MAX:
            self.note(
                IN_OPERANDS,
                f"The IN operator is provided with too many operands; number of operands: {len(candidates)}",
            )
        return tuple(candidates)

    def _completed(self, call: Call) -> Call:
        """A call that stands as a condition of its own."""
        if call.function == "size":
            self.note(FUNCTION_PLACE, function_misused(call.function))
        self._take_unit(call)
        return call

    def _take_unit(self, node: SimpleCondition) -> None:
        """Record a simple condition with the placeholders and calls read since the one before."""
        self.units.append(
            CheckedUnit(
                node,
                tuple(self.placeholders[self._placeholders_taken :]),
                tuple(self.calls[self._calls_taken :]),
            )
        )
        self._placeholders_taken = len(self.placeholders)
        self._calls_taken = len(self.calls)


def _negation(node: ConditionNode) -> ConditionNode:
    """NOT `node`; two NOTs cancel, so a chain of them is never deep."""
    return node.part if isinstance(node, Not) else Not(node)


def _joined(kind: type[And] | type[Or], parts: list[ConditionNode]) -> ConditionNode:
    """`parts` under one AND or OR; parts of the same kind are merged, which keeps the tree flat."""
    if len(parts) == 1:
        return parts[0]
    flat: list[ConditionNode] = []
    for part in parts:
        if isinstance(part, kind):
            flat.extend(part.parts)
        else:
            flat.append(part)
    return kind(tuple(flat))

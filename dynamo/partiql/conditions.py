"""The WHERE of a statement to a condition of the expression language.

Called by the compiler. Law: the result means what the statement says, in the nodes of dynamo.expressions with the
attributes' own names; which operands fit which operator is left to the checks of dynamo.expressions.
"""

from __future__ import annotations

from dynamo.errors import validation
from dynamo.expressions.faults import operand_count
from dynamo.expressions.nodes import (
    And,
    Between,
    Call,
    Comparison,
    ConditionNode,
    In,
    Not,
    Operand,
    Or,
    Path,
    Value,
)
from dynamo.partiql import nodes as tree
from dynamo.partiql.faults import INVALID_IN, located
from dynamo.partiql.keywords import TYPE_NAMES
from dynamo.partiql.literals import is_literal, literal_value
from dynamo.partiql.statements import parameter_placeholder
from dynamo.values import AttributeValue, Item

_COMPARATORS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_CONDITION_OPERATORS = frozenset({*_COMPARATORS, "and", "or", "not", "between", "in", "like"})
_FUNCTIONS = frozenset({"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"})
# `condition = operand` names the condition twice, so a chain of them would grow exponentially.
_DOUBLINGS_MAX = 4
_UNSUPPORTED_TYPE = (
    "Unsupported data type for IS operator: {}. Supported data types are "
    "[MISSING, NULL, BOOLEAN, BLOB, STRING, NUMERIC, STRUCT, TUPLE, LIST]"
)


class ConditionCompiler:
    """Compiles conditions and operands of one statement; `literals` collects its values by placeholder."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.literals: Item = {}
        self._doublings = 0

    def where(self, expression: tree.Expression) -> ConditionNode:
        """A whole WHERE. Raises ValidationException."""
        return self._condition(expression, "WHERE clause must contain an expression that resolves to a boolean")

    def operand(self, expression: tree.Expression) -> Operand:
        """A path, a value or size(). Raises ValidationException."""
        match expression:
            case tree.Path():
                return Path(tuple([element for element in expression.elements if element is not None]))
            case tree.Parameter(index):
                return Value(parameter_placeholder(index))
            case tree.Missing():
                raise validation("MISSING must be compared using IS operator")
            case tree.Call(name) if name == "size" or name in _FUNCTIONS:
                return self.call(expression)
            case tree.Call(name):
                raise self.unrecognized(expression)
            case tree.Operation(operator):
                operator = operator.removeprefix("unary ").upper()
                raise validation(f"Unsupported operator in Condition Expression. Operator: {operator}")
        if not is_literal(expression):
            raise located("Unexpected path component", self.text, expression.start, expression.length)
        return self.value(literal_value(expression, self.text))

    def call(self, call: tree.Call) -> Call:
        """A call of a function that the expression language has. Raises ValidationException."""
        if not call.arguments:
            # The expression language cannot even spell this.
            raise validation(operand_count(call.name, 0))
        return Call(call.name, tuple([self.operand(argument) for argument in call.arguments]))

    def value(self, value: AttributeValue) -> Value:
        """The placeholder of a value of the text."""
        placeholder = f":{len(self.literals)}"
        self.literals[placeholder] = value
        return Value(placeholder)

    def unrecognized(self, call: tree.Call) -> Exception:
        """The error for a function that is not known, or not at this place."""
        return located(f"Unrecognized function: {call.name}", self.text, call.start, call.length)

    def _condition(self, expression: tree.Expression, fault: str) -> ConditionNode:
        """A condition; `fault` is the text for an expression that is none."""
        match expression:
            case tree.Operation("and" | "or" as operator, operands):
                message = "The arguments to AND/OR must be Expressions"
                return _joined(operator, [self._condition(operand, message) for operand in operands])
            case tree.Operation("not", (operand,)):
                return _negated(self._condition(operand, "The argument to NOT must be a Type or Expression"))
            case tree.Operation("between", (subject, low, high)):
                return Between(self.operand(subject), self.operand(low), self.operand(high))
            case tree.Operation("in", (subject, candidates)):
                return self._in(subject, candidates)
            case tree.Operation(operator, (left, right)) if operator in _COMPARATORS:
                return self._comparison(_COMPARATORS[operator], left, right)
            case tree.Operation("like"):
                raise validation("Unsupported operator in Condition Expression. Operator: LIKE")
            case tree.IsType(subject, type_name):
                return self._is_type(subject, type_name)
            case tree.Call(name) if name in _FUNCTIONS or name == "size":
                return self.call(expression)
            case tree.Call():
                raise self.unrecognized(expression)
        raise validation(fault)

    def _comparison(self, operator: str, left: tree.Expression, right: tree.Expression) -> ConditionNode:
        if _is_condition(left):
            return self._compared_condition(operator, left, right)
        if _is_condition(right):
            mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(operator, operator)
            return self._compared_condition(mirrored, right, left)
        return Comparison(operator, self.operand(left), self.operand(right))

    def _compared_condition(self, operator: str, left: tree.Expression, right: tree.Expression) -> ConditionNode:
        """A condition compared with something else: it counts as a boolean value."""
        if operator not in ("=", "<>"):
            raise validation(
                f"Incorrect operand type for operator or function; operator or function: {operator}, operand type: BOOL"
            )
        condition = self._condition(left, "")
        equal = self._equals(condition, right)
        return equal if operator == "=" else _negated(equal)

    def _equals(self, condition: ConditionNode, other: tree.Expression) -> ConditionNode:
        if not is_literal(other):
            self._doublings += 1
            if self._doublings > _DOUBLINGS_MAX:
                raise validation("The expression contains too many comparisons of conditions")
        if _is_condition(other):
            second = self._condition(other, "")
            return _joined(
                "or",
                [_joined("and", [condition, second]), _joined("and", [_negated(condition), _negated(second)])],
            )
        if isinstance(other, tree.Literal) and other.kind == "BOOL":
            return condition if other.text == "true" else _negated(condition)
        operand = self.operand(other)
        if is_literal(other):
            # Nothing but a boolean equals a condition.
            return _joined("and", [condition, _negated(condition)])
        true, false = self.value({"BOOL": True}), self.value({"BOOL": False})
        return _joined(
            "or",
            [
                _joined("and", [condition, Comparison("=", operand, true)]),
                _joined("and", [_negated(condition), Comparison("=", operand, false)]),
            ],
        )

    def _in(self, subject: tree.Expression, candidates: tree.Expression) -> ConditionNode:
        if not isinstance(candidates, tree.Sequence) or not candidates.items:
            raise validation(INVALID_IN)
        if _is_condition(subject):
            condition = self._condition(subject, "")
            return _joined("or", [self._equals(condition, candidate) for candidate in candidates.items])
        if not isinstance(subject, tree.Path):
            raise validation(INVALID_IN)
        return In(self.operand(subject), tuple([self.operand(candidate) for candidate in candidates.items]))

    def _is_type(self, subject: tree.Expression, type_name: str) -> ConditionNode:
        if not isinstance(subject, tree.Path | tree.Literal | tree.Parameter):
            raise validation("The left hand side argument to IS must be a Variable Reference, Literal, or Path")
        kind = TYPE_NAMES.get(type_name)
        if kind is None:
            raise validation(_UNSUPPORTED_TYPE.format(type_name.upper()))
        operand = self.operand(subject)
        if kind == "MISSING":
            return Call("attribute_not_exists", (operand,))
        return Call("attribute_type", (operand, self.value({"S": kind})))


def _is_condition(expression: tree.Expression) -> bool:
    """Whether an expression says yes or no, rather than being a value."""
    match expression:
        case tree.Operation(operator):
            return operator in _CONDITION_OPERATORS
        case tree.IsType():
            return True
        case tree.Call(name):
            return name in _FUNCTIONS
    return False


def _negated(node: ConditionNode) -> ConditionNode:
    return node.part if isinstance(node, Not) else Not(node)


def _joined(operator: str, parts: list[ConditionNode]) -> ConditionNode:
    """Parts under one AND or OR, parts of the same kind merged."""
    kind = And if operator == "and" else Or
    flat: list[ConditionNode] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else (part,))
    return kind(tuple(flat))

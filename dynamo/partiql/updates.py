"""The SET and REMOVE of a statement to actions of the expression language.

Called by the compiler. Law: set_add and set_delete become ADD and DELETE, everything else keeps its form; operand types
are left to the checks of dynamo.expressions.
"""

from __future__ import annotations

from dynamo.errors import validation
from dynamo.expressions.nodes import (
    AddAction,
    Arithmetic,
    DeleteAction,
    Operand,
    Path,
    RemoveAction,
    SetAction,
    UpdateAction,
    Value,
)
from dynamo.partiql import nodes as tree
from dynamo.partiql.conditions import ConditionCompiler
from dynamo.partiql.faults import located
from dynamo.partiql.literals import literal_value
from dynamo.partiql.statements import SetParameter, parameter_placeholder

_SET_FUNCTIONS = frozenset({"set_add", "set_delete"})


class UpdateCompiler:
    """Compiles the actions of one statement; `set_parameters` collects parameters that must be sets."""

    def __init__(self, conditions: ConditionCompiler) -> None:
        self._conditions = conditions
        self.set_parameters: list[SetParameter] = []

    def action(self, assignment: tree.Assignment) -> UpdateAction:
        """One SET or REMOVE. Raises ValidationException."""
        target = assignment.path
        if not isinstance(target, tree.Path):
            name = target.name if isinstance(target, tree.Call) else type(target).__name__
            raise validation(f"Unrecognized assignment target: {name}")
        path = self._conditions.operand(target)
        assert isinstance(path, Path), "a path compiles to a path"
        value = assignment.value
        if value is None:
            return RemoveAction(path)
        if isinstance(value, tree.Call) and value.name in _SET_FUNCTIONS:
            return self._set_function(path, value)
        return SetAction(path, self._set_value(value))

    def _set_value(self, value: tree.Expression) -> Operand | Arithmetic:
        match value:
            case tree.Operation("+" | "-" as operator, (left, right)):
                return Arithmetic(operator, self._operand(left), self._operand(right))
            case tree.IsType():
                raise validation("IS operator is not supported in update expressions")
        return self._operand(value)

    def _operand(self, value: tree.Expression) -> Operand:
        match value:
            case tree.Operation(operator):
                name = operator.removeprefix("unary ").upper()
                raise validation(f"Unsupported operator in Update Expression. Operator: {name}")
            case tree.Call("list_append"):
                return self._conditions.call(value)
            case tree.Call():
                raise self._conditions.unrecognized(value)
        return self._conditions.operand(value)

    def _set_function(self, path: Path, call: tree.Call) -> UpdateAction:
        name = call.name.upper()
        text = self._conditions.text
        if len(call.arguments) != 2:
            raise located(f"{name} must have exactly two arguments", text, call.start, call.length)
        first, second = call.arguments
        if not isinstance(first, tree.Path) or self._conditions.operand(first) != path:
            message = f"The first argument to {name} must equal the assignment value"
            raise located(message, text, call.start, call.length)
        # The place is the first argument's: the service points there.
        fault = located(f"The second argument to {name} must be a value with type SET", text, first.start, first.length)
        if isinstance(second, tree.Parameter):
            value = Value(parameter_placeholder(second.index))
            self.set_parameters.append(SetParameter(value.placeholder, fault.message))
        elif isinstance(second, tree.Sequence) and second.kind == "bag":
            value = self._conditions.value(literal_value(second, text))
        else:
            raise fault
        return AddAction(path, value) if call.name == "set_add" else DeleteAction(path, value)

"""Conditions as closures: a tree is turned into Python functions once, a request only calls them.

compile_condition is called by dynamo.expressions.parse_condition, the result by `matches`. Law: total for every
canonical item; a missing attribute or a type that does not fit makes a condition false, never an error, because only
what the request itself contains is judged, and that by dynamo.expressions.check.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Mapping

from dynamo.expressions.compiled import Lookup, Test
from dynamo.expressions.faults import function_misused, invalid_expression, operand_count, operand_type
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
from dynamo.expressions.paths import compile_path
from dynamo.values import AttributeValue, Item, compare_values, equal_values

# Operands each function takes.
FUNCTION_OPERANDS: Mapping[str, int] = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
    "size": 1,
    "if_not_exists": 2,
    "list_append": 2,
}

_ORDERED: Mapping[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


def compile_condition(node: ConditionNode, parameter: str) -> Test:
    """The function that decides `node`.

    One Python frame a level, here and when it runs; the parser and the operator limit keep trees below 200 levels.
    """
    if isinstance(node, And | Or):
        parts = []
        for part in node.parts:
            parts.append(compile_condition(part, parameter))
        return _all(tuple(parts)) if isinstance(node, And) else _any(tuple(parts))
    if isinstance(node, Not):
        return _negated(compile_condition(node.part, parameter))
    if isinstance(node, Comparison):
        return _compile_comparison(node, parameter)
    if isinstance(node, Between):
        return _between(
            compile_operand(node.subject, parameter),
            compile_operand(node.low, parameter),
            compile_operand(node.high, parameter),
        )
    if isinstance(node, In):
        return _in(
            compile_operand(node.subject, parameter),
            tuple(compile_operand(candidate, parameter) for candidate in node.candidates),
        )
    return _compile_call(node, parameter)


def compile_operand(operand: Operand, parameter: str) -> Lookup:
    """The function that gives the value of an operand, None where there is none."""
    if isinstance(operand, Path):
        return compile_path(operand.elements)
    if isinstance(operand, Value):
        placeholder = operand.placeholder

        def bound(_item: Item, _names: Mapping[str, str], values: Item) -> AttributeValue | None:
            return values[placeholder]

        return bound
    if operand.function != "size":
        return _refused(parameter, function_misused(operand.function))
    if len(operand.arguments) != FUNCTION_OPERANDS["size"]:
        return _refused(parameter, operand_count("size", len(operand.arguments)))
    argument = operand.arguments[0]
    if isinstance(argument, Call):
        # A size is a number, which has no size; not followed further down, however deep the text nests it.
        return _refused(parameter, operand_type("size", "N"))
    return _size(compile_operand(argument, parameter))


def size_of(value: AttributeValue) -> int | None:
    """What size() gives: UTF-16 units of S, bytes of B, elements of sets, lists and maps; None for N, BOOL and NULL.

    Source: the service counts strings as Java does (recorded answers).
    """
    ((kind, inner),) = value.items()
    if kind == "S":
        return len(inner) if inner.isascii() else len(inner.encode("utf-16-le", "surrogatepass")) // 2
    if kind == "B":
        return len(a2b_base64(inner))
    if kind in ("N", "BOOL", "NULL"):
        return None
    return len(inner)


def _refused(parameter: str, detail: str) -> Lookup:
    """An operand that the checks refuse; it refuses by itself when it is evaluated without them."""

    def refuse(_item: Item, _names: Mapping[str, str], _values: Item) -> AttributeValue | None:
        raise invalid_expression(parameter, detail)

    return refuse


def _all(parts: tuple[Test, ...]) -> Test:
    def test(item: Item, names: Mapping[str, str], values: Item) -> bool:
        for part in parts:  # noqa: SIM110 - all() over a generator costs a frame for each level
            if not part(item, names, values):
                return False
        return True

    return test


def _any(parts: tuple[Test, ...]) -> Test:
    def test(item: Item, names: Mapping[str, str], values: Item) -> bool:
        for part in parts:  # noqa: SIM110 - as above
            if part(item, names, values):
                return True
        return False

    return test


def _negated(part: Test) -> Test:
    def test(item: Item, names: Mapping[str, str], values: Item) -> bool:
        return not part(item, names, values)

    return test


def _compile_comparison(node: Comparison, parameter: str) -> Test:
    left = compile_operand(node.left, parameter)
    right = compile_operand(node.right, parameter)
    if node.operator == "=":
        return _equal(left, right)
    if node.operator == "<>":
        # Also true when an attribute, or both, are missing.
        return _negated(_equal(left, right))
    decide = _ORDERED[node.operator]

    def ordered(item: Item, names: Mapping[str, str], values: Item) -> bool:
        first = left(item, names, values)
        second = right(item, names, values)
        if first is None or second is None:
            return False
        order = compare_values(first, second)
        return order is not None and decide(order)

    return ordered


def _equal(left: Lookup, right: Lookup) -> Test:
    def equal(item: Item, names: Mapping[str, str], values: Item) -> bool:
        first = left(item, names, values)
        second = right(item, names, values)
        # What is missing equals nothing, not even something else that is missing.
        if first is None or second is None:
            return False
        return first == second or equal_values(first, second)

    return equal


def _between(subject: Lookup, low: Lookup, high: Lookup) -> Test:
    def between(item: Item, names: Mapping[str, str], values: Item) -> bool:
        value = subject(item, names, values)
        lower = low(item, names, values)
        upper = high(item, names, values)
        if value is None or lower is None or upper is None:
            return False
        from_lower = compare_values(value, lower)
        from_upper = compare_values(value, upper)
        return from_lower is not None and from_upper is not None and from_lower >= 0 and from_upper <= 0

    return between


def _in(subject: Lookup, candidates: tuple[Lookup, ...]) -> Test:
    def found(item: Item, names: Mapping[str, str], values: Item) -> bool:
        value = subject(item, names, values)
        if value is None:
            return False
        for candidate in candidates:
            other = candidate(item, names, values)
            if other is not None and (value == other or equal_values(value, other)):
                return True
        return False

    return found


def _size(argument: Lookup) -> Lookup:
    def size(item: Item, names: Mapping[str, str], values: Item) -> AttributeValue | None:
        value = argument(item, names, values)
        count = None if value is None else size_of(value)
        return None if count is None else {"N": str(count)}

    return size


def _compile_call(call: Call, parameter: str) -> Test:
    function = call.function
    if len(call.arguments) != FUNCTION_OPERANDS[function]:
        return _as_test(_refused(parameter, operand_count(function, len(call.arguments))))
    first = compile_operand(call.arguments[0], parameter)
    if function == "attribute_exists":
        return _exists(first)
    if function == "attribute_not_exists":
        return _negated(_exists(first))
    if function == "size":
        return _as_test(_refused(parameter, function_misused(function)))
    second = compile_operand(call.arguments[1], parameter)
    return _of_two(_FUNCTIONS_OF_TWO[function], first, second)


def _as_test(refused: Lookup) -> Test:
    def test(item: Item, names: Mapping[str, str], values: Item) -> bool:
        return refused(item, names, values) is not None

    return test


def _exists(path: Lookup) -> Test:
    def exists(item: Item, names: Mapping[str, str], values: Item) -> bool:
        return path(item, names, values) is not None

    return exists


def _of_two(decide: Callable[[AttributeValue, AttributeValue], bool], first: Lookup, second: Lookup) -> Test:
    def test(item: Item, names: Mapping[str, str], values: Item) -> bool:
        left = first(item, names, values)
        right = second(item, names, values)
        return left is not None and right is not None and decide(left, right)

    return test


def _has_type(value: AttributeValue, type_name: AttributeValue) -> bool:
    return type_name.get("S") in value


def _begins_with(value: AttributeValue, prefix: AttributeValue) -> bool:
    if "S" in value and "S" in prefix:
        return bool(value["S"].startswith(prefix["S"]))
    if "B" in value and "B" in prefix:
        return a2b_base64(value["B"]).startswith(a2b_base64(prefix["B"]))
    return False


def _contains(container: AttributeValue, element: AttributeValue) -> bool:
    """A substring of S or B, a member of a set of the same scalar type, an equal element of a list."""
    ((kind, inner),) = container.items()
    ((element_kind, searched),) = element.items()
    if kind == "L":
        return any(equal_values(candidate, element) for candidate in inner)
    if kind == element_kind == "B":
        return a2b_base64(searched) in a2b_base64(inner)
    if kind == element_kind == "S" or kind in ("SS", "NS", "BS"):
        return kind[0] == element_kind and searched in inner
    return False


_FUNCTIONS_OF_TWO: Mapping[str, Callable[[AttributeValue, AttributeValue], bool]] = {
    "attribute_type": _has_type,
    "begins_with": _begins_with,
    "contains": _contains,
}

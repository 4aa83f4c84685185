"""Conditions as closures: a tree is turned into Python functions once, a request only calls them.

compile_condition is called by dynamo.expressions.parse_condition, the result by `matches`. Law: total for every
canonical item; a missing attribute or a type that does not fit makes a condition false, never an error, because only
what the request itself contains is judged, and that by dynamo.expressions.check. What an evaluation works out of large
values it keeps in its Bindings (dynamo.expressions.comparing).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

from dynamo.expressions.comparing import Memo, begins_with, comparable, compare, contains, equal, size_of
from dynamo.expressions.compiled import Bindings, Lookup, Test
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
from dynamo.values import AttributeValue, Item

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

# Candidates of an IN that are compared one by one: a set costs as much as so many comparisons of one item.
_CANDIDATES_TRIED_MAX = 8

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
        return _compile_in(node, parameter)
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


def _refused(parameter: str, detail: str) -> Lookup:
    """An operand that the checks refuse; it refuses by itself when it is evaluated without them."""

    def refuse(_item: Item, _names: Mapping[str, str], _values: Item) -> AttributeValue | None:
        raise invalid_expression(parameter, detail)

    return refuse


def _all(parts: tuple[Test, ...]) -> Test:
    def test(item: Item, bindings: Bindings) -> bool:
        for part in parts:  # noqa: SIM110 - all() over a generator costs a frame for each level
            if not part(item, bindings):
                return False
        return True

    return test


def _any(parts: tuple[Test, ...]) -> Test:
    def test(item: Item, bindings: Bindings) -> bool:
        for part in parts:  # noqa: SIM110 - as above
            if part(item, bindings):
                return True
        return False

    return test


def _negated(part: Test) -> Test:
    def test(item: Item, bindings: Bindings) -> bool:
        return not part(item, bindings)

    return test


def _compile_comparison(node: Comparison, parameter: str) -> Test:
    left = compile_operand(node.left, parameter)
    right = compile_operand(node.right, parameter)
    if node.operator == "=":
        return _of_two(equal, left, right)
    if node.operator == "<>":
        # Also true when an attribute, or both, are missing.
        return _negated(_of_two(equal, left, right))
    decide = _ORDERED[node.operator]

    def ordered(first: AttributeValue, second: AttributeValue, memo: Memo) -> bool:
        order = compare(first, second, memo)
        return order is not None and decide(order)

    return _of_two(ordered, left, right)


def _of_two(decide: Callable[[AttributeValue, AttributeValue, Memo], bool], first: Lookup, second: Lookup) -> Test:
    """False without both: what is missing equals nothing, not even something else that is missing."""

    def test(item: Item, bindings: Bindings) -> bool:
        names, values = bindings.names, bindings.values
        left = first(item, names, values)
        right = second(item, names, values)
        return left is not None and right is not None and decide(left, right, bindings.memo)

    return test


def _between(subject: Lookup, low: Lookup, high: Lookup) -> Test:
    def between(item: Item, bindings: Bindings) -> bool:
        names, values, memo = bindings.names, bindings.values, bindings.memo
        value = subject(item, names, values)
        lower = low(item, names, values)
        upper = high(item, names, values)
        if value is None or lower is None or upper is None:
            return False
        from_lower = compare(value, lower, memo)
        from_upper = compare(value, upper, memo)
        return from_lower is not None and from_upper is not None and from_lower >= 0 and from_upper <= 0

    return between


def _compile_in(node: In, parameter: str) -> Test:
    """More than a few candidates that the request gives are looked up in a set of them, made once for the request."""
    subject = compile_operand(node.subject, parameter)
    is_listed = node.is_listed
    given_ones = [candidate for candidate in node.candidates if isinstance(candidate, Value)]
    is_set = is_listed or len(given_ones) > _CANDIDATES_TRIED_MAX
    placeholders = tuple(candidate.placeholder for candidate in given_ones) if is_set else ()
    others = tuple(
        compile_operand(candidate, parameter)
        for candidate in node.candidates
        if not (is_set and isinstance(candidate, Value))
    )
    owner = object()

    def given(values: Item) -> frozenset[Hashable]:
        candidates: Sequence[AttributeValue] = [values[placeholder] for placeholder in placeholders]
        return _comparables(candidates[0]["L"] if is_listed else candidates)

    def found(item: Item, bindings: Bindings) -> bool:
        names, values, memo = bindings.names, bindings.values, bindings.memo
        value = subject(item, names, values)
        if value is None:
            return False
        if is_set:
            candidates = bindings.sets.get(owner)
            if candidates is None:
                candidates = bindings.sets[owner] = given(values)
            if comparable(value, memo) in candidates:
                return True
        for candidate in others:
            other = candidate(item, names, values)
            if other is not None and equal(value, other, memo):
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
    container = call.arguments[0]
    if function == "contains" and isinstance(container, Value):
        return _request_contains(container.placeholder, second)
    return _of_two(_FUNCTIONS_OF_TWO[function], first, second)


def _request_contains(placeholder: str, element: Lookup) -> Test:
    """contains in a value of the request: what is in a list or set is made a set once, not for every item."""
    owner = object()

    def test(item: Item, bindings: Bindings) -> bool:
        values, memo = bindings.values, bindings.memo
        container = values[placeholder]
        searched = element(item, bindings.names, values)
        if searched is None:
            return False
        ((kind, inner),) = container.items()
        if kind not in ("L", "SS", "NS", "BS"):
            return contains(container, searched, memo)
        elements = bindings.sets.get(owner)
        if elements is None:
            listed = inner if kind == "L" else [{kind[0]: member} for member in inner]
            elements = bindings.sets[owner] = _comparables(listed)
        return comparable(searched, memo) in elements

    return test


def _comparables(values: Sequence[AttributeValue]) -> frozenset[Hashable]:
    memo: Memo = {}
    return frozenset([comparable(value, memo) for value in values])


def _as_test(refused: Lookup) -> Test:
    def test(item: Item, bindings: Bindings) -> bool:
        return refused(item, bindings.names, bindings.values) is not None

    return test


def _exists(path: Lookup) -> Test:
    def exists(item: Item, bindings: Bindings) -> bool:
        return path(item, bindings.names, bindings.values) is not None

    return exists


def _has_type(value: AttributeValue, type_name: AttributeValue, _memo: Memo) -> bool:
    return type_name.get("S") in value


def _begins_with(value: AttributeValue, prefix: AttributeValue, _memo: Memo) -> bool:
    return begins_with(value, prefix)


_FUNCTIONS_OF_TWO: Mapping[str, Callable[[AttributeValue, AttributeValue, Memo], bool]] = {
    "attribute_type": _has_type,
    "begins_with": _begins_with,
    "contains": contains,
}

"""What can be judged of a request's expressions without an item: placeholders, operand types, paths, key attributes.

Called once a request by the router, through check_expressions; the leader evaluates without checking again. Law: a
request that passes here fails later only because of what its item contains. Errors come in the service's order: the
maps of placeholders, then expression by expression the first faulty clause, then unused placeholders, then key
attributes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from dynamo.errors import DynamoError, invalid_parameter, validation
from dynamo.expressions.application import UPDATE
from dynamo.expressions.compiled import Condition, Projection, Update
from dynamo.expressions.evaluation import FUNCTION_OPERANDS
from dynamo.expressions.faults import (
    document_path_required,
    invalid_expression,
    operand_count,
    operand_type,
    undefined_placeholder,
)
from dynamo.expressions.nodes import (
    AddAction,
    Between,
    Call,
    CheckedUnit,
    Comparison,
    Operand,
    Path,
    PathElement,
    Value,
)
from dynamo.expressions.paths import printed, resolve
from dynamo.limits import (
    ATTRIBUTE_NAME_BYTES_MAX,
    EXPRESSION_PLACEHOLDER_BYTES_MAX,
    EXPRESSION_SUBSTITUTIONS_BYTES_MAX,
)
from dynamo.values import AttributeValue, Item, compare_values, item_size

PROJECTION = "ProjectionExpression"
_NAMES_MAP = "ExpressionAttributeNames"
_VALUES_MAP = "ExpressionAttributeValues"

_NAME_PLACEHOLDER = re.compile(r"#[A-Za-z0-9_]+")
_VALUE_PLACEHOLDER = re.compile(r":[A-Za-z0-9_]+")

_NO_NAMES: Mapping[str, str] = {}
_NO_VALUES: Item = {}

_ATTRIBUTE_TYPES = frozenset({"S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M"})
_ORDERED_TYPES = frozenset({"S", "N", "B"})
_ORDERING = frozenset({"<", "<=", ">", ">="})
_SIZED_BY_NOTHING = frozenset({"N", "BOOL", "NULL"})
# How ADD and DELETE name the types they refuse; they alone use the long names.
_LONG_TYPE_NAMES = {
    "S": "STRING",
    "N": "NUMBER",
    "B": "BINARY",
    "SS": "STRING_SET",
    "NS": "NUMBER_SET",
    "BS": "BINARY_SET",
    "BOOL": "BOOLEAN",
    "NULL": "NULL",
    "L": "LIST",
    "M": "MAP",
}
_SETS = frozenset({"SS", "NS", "BS"})
_ADDABLE = _SETS | {"N"}


def check_request(
    *,
    condition: Condition | None,
    update: Update | None,
    projection: Projection | None,
    names: Mapping[str, str] | None,
    values: Item | None,
    key_names: Collection[str],
    value_expressions: Sequence[str],
) -> None:
    """The body of dynamo.expressions.check_expressions, which documents it."""
    expressions = [expression for expression in (condition, update, projection) if expression is not None]
    if names is not None:
        if not expressions:
            raise validation(f"{_NAMES_MAP} can only be specified when using expressions")
        check_names_map(names)
    if values is not None:
        if condition is None and update is None:
            verb = "is" if len(value_expressions) == 1 else "are"
            missing = f"{' and '.join(value_expressions)} {verb} null"
            raise validation(f"{_VALUES_MAP} can only be specified when using expressions: {missing}")
        check_values_map(values)
    known_names = _NO_NAMES if names is None else names
    known_values = _NO_VALUES if values is None else values
    if update is not None:
        _check_update(update, known_names, known_values)
    if condition is not None:
        check_condition(condition, known_names, known_values)
    if projection is not None:
        check_projection(projection, known_names)
    if names:
        _check_unused(_NAMES_MAP, names, [expression.names for expression in expressions])
    if values:
        used = [expression.values for expression in (condition, update) if expression is not None]
        _check_unused(_VALUES_MAP, values, used)
    if update is not None:
        _check_keys(update, known_names, key_names)


def check_translated(update: Update | None, names: Mapping[str, str] | None, key_names: Collection[str]) -> None:
    """What is left to check of expressions that dynamo.queries.legacy made: no update of a key attribute."""
    if update is not None:
        _check_keys(update, _NO_NAMES if names is None else names, key_names)


def check_unused_in_read(
    key_condition: Condition | None,
    filter_condition: Condition | None,
    projection: Projection | None,
    names: Mapping[str, str] | None,
    values: Item | None,
) -> None:
    """Refuse placeholders that no expression of a Query or Scan uses; the expressions themselves are checked."""
    conditions = [condition for condition in (key_condition, filter_condition) if condition is not None]
    used = [condition.names for condition in conditions]
    if projection is not None:
        used.append(projection.names)
    if names:
        _check_unused(_NAMES_MAP, names, used)
    if values:
        _check_unused(_VALUES_MAP, values, [condition.values for condition in conditions])


def check_substitutions_size(names: Mapping[str, str] | None, values: Item | None) -> None:
    """Refuse placeholders that expand to more than 2 MB together.

    Apart from check_request because it measures every value: a body below the limit cannot break it. Raises
    ValidationException.
    """
    total_bytes = 0
    for placeholder, name in (names or _NO_NAMES).items():
        total_bytes += len(placeholder.encode()) + len(name.encode())
    if total_bytes > EXPRESSION_SUBSTITUTIONS_BYTES_MAX:
        raise validation(f"{_NAMES_MAP} exceeds max size")
    if total_bytes + item_size(values or _NO_VALUES) > EXPRESSION_SUBSTITUTIONS_BYTES_MAX:
        raise validation(f"{_VALUES_MAP} exceeds max size")


# -- the maps of placeholders


def check_names_map(names: Mapping[str, str]) -> None:
    """Check ExpressionAttributeNames: placeholders and the names behind them."""
    if not names:
        raise validation(f"{_NAMES_MAP} must not be empty")
    for placeholder, name in names.items():
        _check_placeholder(_NAMES_MAP, _NAME_PLACEHOLDER, placeholder)
        if not name:
            raise validation(f"{_NAMES_MAP} contains invalid value: Empty attribute name for key {placeholder}")
        if len(name) > ATTRIBUTE_NAME_BYTES_MAX // 4 and len(name.encode()) > ATTRIBUTE_NAME_BYTES_MAX:
            raise validation("Attribute name is too large, must be less than 65536 bytes")


def check_values_map(values: Item) -> None:
    """Check the placeholders of ExpressionAttributeValues."""
    if not values:
        raise validation(f"{_VALUES_MAP} must not be empty")
    for placeholder in values:
        _check_placeholder(_VALUES_MAP, _VALUE_PLACEHOLDER, placeholder)


def _check_placeholder(parameter: str, syntax: re.Pattern[str], placeholder: str) -> None:
    # Usual placeholders are a sign and letters or digits: settled without the pattern, which takes five times as long.
    usual = placeholder[:1] == syntax.pattern[:1] and placeholder[1:].isalnum() and placeholder.isascii()
    if not usual and not syntax.fullmatch(placeholder):
        raise validation(f'{parameter} contains invalid key: Syntax error; key: "{placeholder}"')
    # ASCII by its syntax: characters are bytes.
    if len(placeholder) > EXPRESSION_PLACEHOLDER_BYTES_MAX:
        raise validation(
            f"{parameter} contains invalid key: The expression attribute map contains a key that is too long; "
            f"size of key: {len(placeholder)}"
        )


def _check_unused(parameter: str, defined: Iterable[str], used: Sequence[frozenset[str]]) -> None:
    unused = []
    for placeholder in defined:
        for names in used:
            if placeholder in names:
                break
        else:
            unused.append(placeholder)
    if unused:
        raise validation(f"Value provided in {parameter} unused in expressions: keys: {{{', '.join(unused)}}}")


# -- conditions


def check_condition(condition: Condition, names: Mapping[str, str], values: Item) -> None:
    """Check a condition that a client wrote, clause by clause."""
    for unit in condition.units:
        check_unit(unit, condition.parameter, names, values)


def check_unit(unit: CheckedUnit, parameter: str, names: Mapping[str, str], values: Item) -> None:
    """Check one simple condition: placeholders, operand counts, distinct operands, operand types, in this order."""
    for placeholder in unit.placeholders:
        if placeholder not in (names if placeholder[0] == "#" else values):
            raise invalid_expression(parameter, undefined_placeholder(placeholder))
    node = unit.node
    for call in unit.calls:
        if len(call.arguments) != FUNCTION_OPERANDS[call.function]:
            raise invalid_expression(parameter, operand_count(call.function, len(call.arguments)))
    for call in unit.calls:
        if len(call.arguments) == 2:
            _check_distinct(call.function, call.arguments[0], call.arguments[1], parameter, names)
    if isinstance(node, Comparison):
        _check_distinct(node.operator, node.left, node.right, parameter, names)
    for call in unit.calls:
        _FUNCTION_CHECKS[call.function](call, parameter, values)
    if isinstance(node, Comparison):
        if node.operator in _ORDERING:
            _check_ordered(node.operator, (node.left, node.right), parameter, values)
    elif isinstance(node, Between):
        _check_ordered("BETWEEN", (node.subject, node.low, node.high), parameter, values)
        _check_bounds(node, parameter, values)


def _check_distinct(operator: str, first: Operand, second: Operand, parameter: str, names: Mapping[str, str]) -> None:
    if not (isinstance(first, Path) and isinstance(second, Path)):
        return
    elements = resolve(first.elements, names)
    if elements == resolve(second.elements, names):
        raise invalid_expression(
            parameter,
            "The first operand must be distinct from the remaining operands for this operator or function; "
            f"operator: {operator}, first operand: {printed(elements)}",
        )


def _type_of(operand: Operand, values: Item) -> str | None:
    """The type an operand has in every item; None for a path, whose type the item decides."""
    if isinstance(operand, Value):
        return next(iter(values[operand.placeholder]))
    if isinstance(operand, Call):
        return "N" if operand.function == "size" else None
    return None


def _check_ordered(operator: str, operands: Iterable[Operand], parameter: str, values: Item) -> None:
    for operand in operands:
        type_name = _type_of(operand, values)
        if type_name is not None and type_name not in _ORDERED_TYPES:
            raise invalid_expression(parameter, operand_type(operator, type_name))


def _check_bounds(node: Between, parameter: str, values: Item) -> None:
    """Both bounds from the request: of one type and in order."""
    if not (isinstance(node.low, Value) and isinstance(node.high, Value)):
        return
    low, high = values[node.low.placeholder], values[node.high.placeholder]
    order = compare_values(low, high)
    if order is None:
        rule = "The BETWEEN operator requires same data type for lower and upper bounds"
    elif order > 0:
        rule = "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
    else:
        return
    raise invalid_expression(
        parameter,
        f"{rule}; lower bound operand: AttributeValue: {_shown(low)}, "
        f"upper bound operand: AttributeValue: {_shown(high)}",
    )


def _shown(value: AttributeValue) -> str:
    """A scalar as error texts show it: {N:5}."""
    ((type_name, inner),) = value.items()
    return f"{{{type_name}:{inner}}}"


def _check_takes_path(call: Call, parameter: str, _values: Item) -> None:
    if not isinstance(call.arguments[0], Path):
        raise invalid_expression(parameter, document_path_required(call.function))


def _check_attribute_type(call: Call, parameter: str, values: Item) -> None:
    """The second operand must be a :value that names a type."""
    second = call.arguments[1]
    type_name = _type_of(second, values)
    if type_name != "S" or not isinstance(second, Value):
        raise invalid_expression(
            parameter, operand_type("attribute_type", type_name or "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")
        )
    wanted = values[second.placeholder]["S"]
    if wanted not in _ATTRIBUTE_TYPES:
        raise invalid_expression(
            parameter,
            f"Invalid attribute type name found; type: {wanted}, valid types: {{B,NULL,SS,BOOL,L,BS,N,NS,S,M}}",
        )


def _check_begins_with(call: Call, parameter: str, values: Item) -> None:
    for argument in call.arguments:
        type_name = _type_of(argument, values)
        if type_name is not None and type_name not in ("S", "B"):
            raise invalid_expression(parameter, operand_type("begins_with", type_name))


def _check_size(call: Call, parameter: str, values: Item) -> None:
    type_name = _type_of(call.arguments[0], values)
    if type_name in _SIZED_BY_NOTHING:
        raise invalid_expression(parameter, operand_type("size", type_name))


def _check_list_append(call: Call, parameter: str, values: Item) -> None:
    for argument in call.arguments:
        if isinstance(argument, Value):
            type_name = next(iter(values[argument.placeholder]))
            if type_name != "L":
                raise invalid_expression(parameter, operand_type("list_append", type_name))


def _check_nothing(_call: Call, _parameter: str, _values: Item) -> None:
    """contains takes operands of every type."""


_FUNCTION_CHECKS: Mapping[str, Callable[[Call, str, Item], None]] = {
    "attribute_exists": _check_takes_path,
    "attribute_not_exists": _check_takes_path,
    "attribute_type": _check_attribute_type,
    "begins_with": _check_begins_with,
    "contains": _check_nothing,
    "size": _check_size,
    "if_not_exists": _check_takes_path,
    "list_append": _check_list_append,
}


def depends_on_request(unit: CheckedUnit, parameter: str) -> bool:
    """Whether a simple condition must be checked for every request: it has placeholders, or is faulty for all."""
    if unit.placeholders:
        return True
    try:
        check_unit(unit, parameter, _NO_NAMES, _NO_VALUES)
    except DynamoError:
        # Raised again in its turn, when the request is checked: a faulty placeholder before it comes first.
        return True
    return False


# -- updates and projections


def _check_update(update: Update, names: Mapping[str, str], values: Item) -> None:
    if not (update.names <= names.keys() and update.values <= values.keys()):
        # All names come before all values here, unlike in conditions.
        for sigil, defined in (("#", names), (":", values)):
            for placeholder in update.placeholders:
                if placeholder[0] == sigil and placeholder not in defined:
                    raise invalid_expression(UPDATE, undefined_placeholder(placeholder))
    if len(update.paths) > 1:
        check_overlap([resolve(path.elements, names) for path in update.paths], UPDATE)
    for node in update.operators:
        type_name = next(iter(values[node.value.placeholder]))
        if type_name not in (_ADDABLE if isinstance(node, AddAction) else _SETS):
            operator = "ADD" if isinstance(node, AddAction) else "DELETE"
            raise invalid_expression(
                UPDATE,
                "Incorrect operand type for operator or function; "
                f"operator: {operator}, operand type: {_LONG_TYPE_NAMES[type_name]}",
            )
    for call in update.calls:
        if len(call.arguments) != FUNCTION_OPERANDS[call.function]:
            raise invalid_expression(UPDATE, operand_count(call.function, len(call.arguments)))
        _FUNCTION_CHECKS[call.function](call, UPDATE, values)
    for arithmetic in update.arithmetic:
        for operand in (arithmetic.left, arithmetic.right):
            if isinstance(operand, Value) and "N" not in values[operand.placeholder]:
                type_name = next(iter(values[operand.placeholder]))
                raise invalid_expression(UPDATE, operand_type(arithmetic.operator, type_name))


def check_projection(projection: Projection, names: Mapping[str, str]) -> None:
    """Check a projection: placeholders, then overlapping paths."""
    for placeholder in projection.placeholders:
        if placeholder not in names:
            raise invalid_expression(PROJECTION, undefined_placeholder(placeholder))
    if len(projection.paths) > 1:
        check_overlap([resolve(path.elements, names) for path in projection.paths], PROJECTION)


def _check_keys(update: Update, names: Mapping[str, str], key_names: Collection[str]) -> None:
    heads = {names[action.head] if action.head_is_placeholder else action.head for action in update.actions}
    for name in key_names:
        if name in heads:
            raise invalid_parameter(f"Cannot update attribute {name}. This attribute is part of the key")


def check_overlap(paths: list[tuple[PathElement, ...]], parameter: str) -> None:
    """Refuse two paths of which one contains the other, or which take one attribute as a map and as a list.

    A tree of the paths so far finds the culprit in time linear in the text; only then its partner is looked for.
    """
    if len(set(paths)) == len(paths) and all(len(path) == 1 for path in paths):
        return
    tree: dict[PathElement, Any] = {}
    conflict: tuple[tuple[PathElement, ...], tuple[PathElement, ...]] | None = None
    for at, path in enumerate(paths):
        node = tree
        for depth, element in enumerate(path):
            if conflict is None and node and isinstance(next(iter(node)), str) is not isinstance(element, str):
                conflict = (_first_below(paths[:at], path[:depth]), path)
            # A path so far that ends here has an empty node, one that is just being made is not in the tree yet.
            known = element in node
            node = node.setdefault(element, {})
            if known and (not node or depth == len(path) - 1):
                raise _path_error("overlap", _first_overlap(paths[:at], path), path, parameter)
    if conflict is not None:
        raise _path_error("conflict", *conflict, parameter)


def _first_overlap(paths: list[tuple[PathElement, ...]], path: tuple[PathElement, ...]) -> tuple[PathElement, ...]:
    return next(other for other in paths if other[: len(path)] == path[: len(other)])


def _first_below(paths: list[tuple[PathElement, ...]], prefix: tuple[PathElement, ...]) -> tuple[PathElement, ...]:
    return next(other for other in paths if other[: len(prefix)] == prefix)


def _path_error(
    kind: str, first: tuple[PathElement, ...], second: tuple[PathElement, ...], parameter: str
) -> Exception:
    return invalid_expression(
        parameter,
        f"Two document paths {kind} with each other; must remove or rewrite one of these paths; "
        f"path one: {printed(first)}, path two: {printed(second)}",
    )

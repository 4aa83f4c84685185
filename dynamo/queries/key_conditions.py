"""Key conditions: which entries of a table or index a Query is about.

KeyConditionExpression and the legacy KeyConditions both become KeyConditions, by attribute name; bind_key_conditions
fits them to the keys of what is queried. Called by the router for Query and by PartiQL. Law: the structure of a text is
judged once and cached, a request only looks up its placeholders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple, cast

from dynamo.errors import DynamoError, invalid_parameter, validation
from dynamo.expressions import CACHED_EXPRESSIONS_MAX, Bindings, parse_condition
from dynamo.expressions.compiled import Condition
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
    SimpleCondition,
    Value,
    operands_of,
)
from dynamo.keys import KeyAttribute
from dynamo.queries.layout import KeyLayout
from dynamo.values import AttributeValue, Item

KEY_CONDITION: Final = "KeyConditionExpression"

SortOperator = Literal["=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"]

_INDEXABLE: Final = frozenset({"=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"})
# `:v < a` says `a > :v`.
_TURNED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

# The service's older limit; since indexes have several key attributes it holds for the number of those.
_CONDITIONS_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class AttributeCondition:
    """What a request says of one attribute; `operator` is a SortOperator or a legacy one that no key can have."""

    operator: str
    values: tuple[AttributeValue, ...]


# By attribute name, in the order of the request.
KeyConditions = Mapping[str, AttributeCondition]


@dataclass(frozen=True, slots=True)
class SortCondition:
    """The condition on the last sort attribute that has one; BETWEEN has two values, the others one."""

    operator: SortOperator
    values: tuple[AttributeValue, ...]


@dataclass(frozen=True, slots=True)
class KeyCondition:
    """Key conditions fitted to a key: one value for each partition attribute, equalities for leading sort attributes.

    `sort` is the condition on the sort attribute after `sort_equal`, None when there is none.
    """

    partition: tuple[AttributeValue, ...]
    sort_equal: tuple[AttributeValue, ...]
    sort: SortCondition | None


def key_conditions_of_expression(text: str, bindings: Bindings) -> KeyConditions:
    """The conditions in a KeyConditionExpression that has been parsed and checked (dynamo.queries.expressions).

    Raises ValidationException for what is a condition, but none on keys.
    """
    template = _template(text)
    conditions: dict[str, AttributeCondition] = {}
    for clause in template.clauses:
        name = bindings.names[clause.name] if clause.name[0] == "#" else clause.name
        if name in conditions:
            raise validation("KeyConditionExpressions must only contain one condition per key")
        conditions[name] = AttributeCondition(
            clause.operator, tuple([bindings.values[placeholder] for placeholder in clause.placeholders])
        )
    if template.fault:
        raise validation(template.fault)
    return conditions


def bind_key_conditions(conditions: KeyConditions, layout: KeyLayout, start_key: Item | None = None) -> KeyCondition:
    """Fit conditions to the keys of what is queried; `start_key` is the ExclusiveStartKey, judged along with them.

    Of the start key only the attributes of `layout` are judged here, attribute by attribute together with the
    conditions, as the service does (dynamo.queries.start_keys does the rest). Raises ValidationException.
    """
    _check_number(conditions, layout)
    if start_key is not None and len(start_key) != len(layout.key_names):
        raise validation("The provided starting key is invalid")
    partition = []
    for attribute in layout.partition:
        check_start_attribute(attribute, start_key)
        if len(layout.attributes) == 1 and len(conditions) > 1:
            raise validation("Query key condition not supported")
        condition = conditions.get(attribute.name)
        if condition is None:
            raise _missed(attribute)
        _check_fits(attribute, condition)
        if condition.operator != "=":
            raise validation("Query key condition not supported")
        partition.append(condition.values[0])
    sort = []
    foreign = _has_foreign(conditions, layout)
    for attribute in layout.sort:
        check_start_attribute(attribute, start_key)
        condition = conditions.get(attribute.name)
        if condition is not None:
            _check_fits(attribute, condition)
        elif foreign:
            raise _missed(attribute)
        sort.append(condition)
    return _bound(tuple(partition), sort, layout)


def check_start_attribute(attribute: KeyAttribute, start_key: Item | None) -> None:
    """One key attribute of an ExclusiveStartKey that belongs to what is read; raises ValidationException."""
    if start_key is None:
        return
    value = start_key.get(attribute.name)
    if value is None:
        raise validation("The provided starting key is invalid")
    if attribute.type not in value:
        raise validation("The provided key element does not match the schema")


def _check_number(conditions: KeyConditions, layout: KeyLayout) -> None:
    defined = len(layout.attributes)
    if len(conditions) > max(defined, _CONDITIONS_MAX):
        raise validation(
            f"The number of query conditions ({len(conditions)}) exceeds the number of key attributes defined in the "
            f"schema ({defined})"
        )


def _has_foreign(conditions: KeyConditions, layout: KeyLayout) -> bool:
    """Whether there is a condition on an attribute that is no key attribute."""
    return len(conditions) > sum(attribute.name in conditions for attribute in layout.attributes)


def _check_fits(attribute: KeyAttribute, condition: AttributeCondition) -> None:
    if condition.operator not in _INDEXABLE:
        raise validation("Attempted conditional constraint is not an indexable operation")
    for value in condition.values:
        if attribute.type not in value:
            raise invalid_parameter("Condition parameter type does not match schema type")


def _bound(
    partition: tuple[AttributeValue, ...], sort: list[AttributeCondition | None], layout: KeyLayout
) -> KeyCondition:
    """Sort conditions must be without gaps, all but the last equalities (developer guide, multi-attribute keys)."""
    count = len(sort)
    while count and sort[count - 1] is None:
        count -= 1
    if not count:
        return KeyCondition(partition, (), None)
    gaps = [
        attribute.name
        for attribute, condition in zip(layout.sort, sort[: count - 1], strict=False)
        if condition is None or condition.operator != "="
    ]
    if gaps:
        raise validation(
            f"RANGE key attributes {', '.join(gaps)} must have equality conditions specified in the query because a "
            f"condition is present on key attribute {layout.sort[count - 1].name}"
        )
    given = [condition for condition in sort[:count] if condition is not None]
    last = given.pop()
    return KeyCondition(
        partition,
        tuple([condition.values[0] for condition in given]),
        SortCondition(cast(SortOperator, last.operator), last.values),
    )


def _missed(attribute: KeyAttribute) -> DynamoError:
    return validation(f"Query condition missed key schema element: {attribute.name}")


# -- the structure of an expression


@dataclass(frozen=True, slots=True)
class _Clause:
    """One condition of a text; `name` is a name or a #placeholder."""

    name: str
    operator: str
    placeholders: tuple[str, ...]


class _Template(NamedTuple):
    """The clauses of a text up to its first fault; `fault` is the error text, empty for a proper key condition."""

    clauses: tuple[_Clause, ...]
    fault: str


class _FaultyError(Exception):
    """A text that is no key condition; the argument is the error text."""


@lru_cache(CACHED_EXPRESSIONS_MAX)
def _template(text: str) -> _Template:
    clauses: list[_Clause] = []
    try:
        _collect(parse_condition(text, KEY_CONDITION), clauses)
    except _FaultyError as fault:
        return _Template(tuple(clauses), str(fault))
    return _Template(tuple(clauses), "")


def _collect(condition: Condition, clauses: list[_Clause]) -> None:
    node: ConditionNode = condition.node
    for part in node.parts if isinstance(node, And) else (node,):
        # An AND holds no AND: the parser merges them.
        if isinstance(part, Or | Not):
            raise _operator_fault("OR" if isinstance(part, Or) else "NOT")
        assert not isinstance(part, And), "conditions under an AND are flat"
        clauses.append(_clause(part))
    if condition.negates:
        raise _operator_fault("NOT")


def _clause(node: SimpleCondition) -> _Clause:
    operator = _operator(node)
    operands = operands_of(node)
    path: Path | None = None
    placeholders = []
    for operand in operands:
        if isinstance(operand, Path):
            if path is not None:
                raise _condition_fault("Multiple attribute names used in one condition")
            if len(operand.elements) > 1:
                raise _FaultyError("KeyConditionExpressions cannot have conditions on nested attributes")
            path = operand
        elif isinstance(operand, Value):
            placeholders.append(operand.placeholder)
        else:
            raise _FaultyError("KeyConditionExpressions cannot contain nested operations")
    if path is None:
        raise _condition_fault("No key attribute specified")
    turned = operator in _TURNED and operands[0] is not path
    return _Clause(str(path.elements[0]), _TURNED[operator] if turned else operator, tuple(placeholders))


def _operator(node: SimpleCondition) -> str:
    """The operator of a condition that may be one on a key."""
    if isinstance(node, Comparison):
        if node.operator == "<>":
            raise _operator_fault("<>")
        return node.operator
    if isinstance(node, In):
        raise _operator_fault("IN")
    if isinstance(node, Between):
        _require_path_first("BETWEEN", node.subject)
        return "BETWEEN"
    assert isinstance(node, Call), "every simple condition is handled"
    if node.function != "begins_with":
        raise _operator_fault(node.function)
    _require_path_first("begins_with", node.arguments[0])
    return "begins_with"


def _require_path_first(operator: str, operand: Operand) -> None:
    if not isinstance(operand, Path):
        raise _condition_fault(f"{operator} operator must have the key attribute as its first operand")


def _operator_fault(operator: str) -> _FaultyError:
    return _FaultyError(f"Invalid operator used in KeyConditionExpression: {operator}")


def _condition_fault(detail: str) -> _FaultyError:
    return _FaultyError(f"Invalid condition in KeyConditionExpression: {detail}")

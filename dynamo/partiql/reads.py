"""A bound SELECT and its table to native reads.

Called by router.operations.statements. Law: a native request means exactly what the statement says, or the read carries
a residual condition that the caller applies to what comes back; requests are as the public operations take them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dynamo.errors import invalid_parameter, validation
from dynamo.expressions import Bindings, Condition, matches, parse_condition
from dynamo.expressions.nodes import And, Comparison, ConditionNode
from dynamo.indexes import IndexDefinition, IndexKind
from dynamo.keys import KeyAttribute, KeySchema
from dynamo.partiql.branches import (
    Branch,
    BranchFinder,
    attributes_of,
    check_key_type,
    conjunction,
    equal_values_of,
)
from dynamo.partiql.faults import (
    BATCH_NEEDS_KEY,
    CONSISTENT_READ_ON_GLOBAL_INDEX,
    MULTIPLE_KEY_ATTRIBUTES,
    ORDER_BY_NEEDS_PARTITION,
    ORDER_BY_WITHOUT_PARTITION,
    ORDER_BY_WITHOUT_WHERE,
)
from dynamo.partiql.rendering import Renderer
from dynamo.partiql.statements import Column, Select
from dynamo.values import Item

# Templates kept: one for each statement and key schema in use.
CACHED_TEMPLATES_MAX = 512


@dataclass(frozen=True, slots=True)
class Residual:
    """A condition that the native read could not take."""

    condition: Condition
    bindings: Bindings

    def holds(self, item: Item) -> bool:
        """Whether an item that came back belongs to the answer."""
        return matches(self.condition, item, self.bindings)


@dataclass(frozen=True, slots=True)
class Read:
    """One native read: GetItem, Query or Scan."""

    operation: str
    request: dict[str, Any]
    residual: Residual | None = None


@dataclass(frozen=True, slots=True)
class SelectPlan:
    """The reads of a SELECT in order.

    `columns` says how to cut the answer out of an item; None: the items that come back are the answer.
    """

    reads: tuple[Read, ...]
    columns: tuple[Column, ...] | None


def plan_select(
    select: Select,
    values: Item,
    table_key: KeySchema,
    index: IndexDefinition | None,
    *,
    consistent: bool = False,
    single_item: bool = False,
) -> SelectPlan:
    """The reads of a SELECT; `index` is the one the statement names. `single_item`: in a batch, only by the full key.

    Raises ValidationException.
    """
    if index is None:
        template = _item_template(select, table_key)
        if template is not None:
            return template.plan(select.table, values)
    return _SelectPlanner(select, values, table_key, index).plan(consistent=consistent, single_item=single_item)


@dataclass(frozen=True, slots=True)
class _ItemTemplate:
    """A SELECT of one item by its key and nothing else: the usual one, so its plans share all that they can."""

    key: tuple[tuple[KeyAttribute, str], ...]
    members: dict[str, Any]
    columns: tuple[Column, ...] | None

    def plan(self, table: str, values: Item) -> SelectPlan:
        key: Item = {}
        for attribute, placeholder in self.key:
            value = values[placeholder]
            check_key_type(attribute, value)
            key[attribute.name] = value
        return SelectPlan((Read("GetItem", {"TableName": table, "Key": key, **self.members}),), self.columns)


@lru_cache(CACHED_TEMPLATES_MAX)
def _item_template(select: Select, table_key: KeySchema) -> _ItemTemplate | None:
    """The template of a SELECT whose WHERE is one equality on each key attribute; None for any other."""
    if select.where is None or select.order:
        return None
    node = select.where.node
    placeholders: dict[str, str] = {}
    for part in node.parts if isinstance(node, And) else (node,):
        for name in table_key.names:
            values = equal_values_of(part, name) if isinstance(part, Comparison) else ()
            if values and name not in placeholders:
                placeholders[name] = values[0].placeholder
                break
        else:
            return None
    if len(placeholders) != len(table_key.names):
        return None
    members: dict[str, Any] = {}
    if select.columns is not None:
        renderer = Renderer()
        names = dict.fromkeys(column.attribute for column in select.columns)
        members["ProjectionExpression"] = ", ".join([renderer.name(name) for name in names])
        members["ExpressionAttributeNames"] = renderer.names
    nested = any(len(column.path.elements) > 1 for column in select.columns or ())
    key = tuple((attribute, placeholders[attribute.name]) for attribute in table_key.attributes)
    return _ItemTemplate(key, members, select.columns if nested else None)


class _SelectPlanner:
    """Plans one SELECT."""

    def __init__(self, select: Select, values: Item, table_key: KeySchema, index: IndexDefinition | None) -> None:
        self._select = select
        self._values = values
        self._table_key = table_key
        self._index = index
        if index is None:
            self._partition, self._sort = table_key.partition, table_key.sort
        else:
            if len(index.partition) > 1 or len(index.sort) > 1:
                raise validation(MULTIPLE_KEY_ATTRIBUTES)
            self._partition, self._sort = index.partition[0], index.sort[0] if index.sort else None

    def plan(self, *, consistent: bool, single_item: bool) -> SelectPlan:
        """The plan. Raises ValidationException."""
        if single_item and self._index is not None:
            raise validation(BATCH_NEEDS_KEY)
        self._check_index(consistent)
        where = self._select.where
        branches = None if where is None else self._find_branches(where.node)
        if single_item and not (branches is not None and len(branches) == 1 and self._is_one_item(branches[0])):
            raise validation(BATCH_NEEDS_KEY)
        if branches is None:
            if self._select.order:
                raise validation(ORDER_BY_WITHOUT_WHERE if where is None else ORDER_BY_WITHOUT_PARTITION)
            scan = (self._scan(),)
            return SelectPlan(scan, self._shape(scan))
        self._check_filters(branches)
        forward = self._direction(branches)
        reads = tuple([self._read(branch, forward) for branch in branches])
        return SelectPlan(reads, self._shape(reads))

    # What the statement may ask for.

    def _check_index(self, consistent: bool) -> None:
        index = self._index
        if index is None or index.kind is not IndexKind.GLOBAL:
            return
        if consistent:
            raise validation(CONSISTENT_READ_ON_GLOBAL_INDEX)
        projected = index.projected_names
        missing = [] if projected is None else [name for name in self._attributes if name not in projected]
        if missing:
            raise invalid_parameter(f"Global secondary index {index.name} does not project [{', '.join(missing)}]")

    def _check_filters(self, branches: list[Branch]) -> None:
        """A read by an index key may only filter on what the index holds; one clean branch excuses the others."""
        projected = None if self._index is None else self._index.projected_names
        if self._index is None or projected is None:
            return
        for branch in branches:
            missing = [
                name
                for name in dict.fromkeys(name for node in branch.filters for name in attributes_of(node))
                if name not in projected
            ]
            if not missing:
                return
        raise invalid_parameter(
            f"Secondary index {self._index.name} does not project one or more filter attributes: "
            f"[{', '.join(_hash_set_order(missing))}]"
        )

    def _find_branches(self, where: ConditionNode) -> list[Branch] | None:
        return BranchFinder(self._partition, self._sort, self._values).find(where)

    def _is_one_item(self, branch: Branch) -> bool:
        return self._names_item(branch) and not branch.filters

    def _names_item(self, branch: Branch) -> bool:
        if self._index is not None:
            return False
        return self._sort is None or (branch.sort is not None and branch.sort.operator == "=")

    def _direction(self, branches: list[Branch]) -> bool:
        """Put the branches in the order that ORDER BY asks for; whether each reads forwards."""
        terms = self._select.order
        if not terms:
            return True
        names = [self._partition.name, *([self._sort.name] if self._sort is not None else [])]
        descending: dict[str, bool] = {}
        for term in terms:
            if term.attribute is None:
                raise validation(f"Argument to ORDER BY must be of type VariableReference. Type: {term.kind}")
            if term.attribute not in names:
                raise validation(f"Attribute {term.attribute} in ORDER BY clause must be part of the primary key")
            descending.setdefault(term.attribute, term.descending)
        partitions = {branch.order[0] for branch in branches}
        if len(partitions) > 1 and self._partition.name not in descending:
            raise validation(ORDER_BY_NEEDS_PARTITION)
        # Recorded on the real service: with an ORDER BY that does not name it, the sort key comes in descending order.
        backward = self._sort is not None and descending.get(self._sort.name, True)
        branches.sort(key=lambda branch: branch.order[1], reverse=backward)
        branches.sort(key=lambda branch: branch.order[0], reverse=descending.get(self._partition.name, False))
        return not backward

    # Native requests.

    @property
    def _attributes(self) -> tuple[str, ...]:
        """The top-level attributes of the projection, in the order of the statement."""
        return tuple(dict.fromkeys(column.attribute for column in self._select.columns or ()))

    def _shape(self, reads: tuple[Read, ...]) -> tuple[Column, ...] | None:
        """How to cut columns out of items; None when the native projection gives just them."""
        columns = self._select.columns
        if columns is None:
            return None
        plain = all(len(column.path.elements) == 1 for column in columns)
        return None if plain and not any(read.residual for read in reads) else columns

    def _read(self, branch: Branch, forward: bool) -> Read:
        renderer = Renderer()
        if self._names_item(branch):
            return self._get(branch, renderer)
        request = self._request()
        condition = f"{renderer.name(self._partition.name)} = {renderer.operand(branch.partition)}"
        if branch.sort is not None:
            condition += f" AND {self._sort_condition(branch, renderer)}"
        request["KeyConditionExpression"] = condition
        if not forward:
            request["ScanIndexForward"] = False
        key_names = {self._partition.name, *([self._sort.name] if self._sort is not None else [])}
        residual = tuple([node for node in branch.filters if not key_names.isdisjoint(attributes_of(node))])
        filters = tuple([node for node in branch.filters if node not in residual])
        if filters:
            request["FilterExpression"] = renderer.condition(conjunction(filters))
        self._project(request, renderer, residual)
        renderer.add_to(request, self._values)
        return Read("Query", request, self._residual(residual))

    def _get(self, branch: Branch, renderer: Renderer) -> Read:
        key: Item = {self._partition.name: self._values[branch.partition.placeholder]}
        if self._sort is not None and branch.sort is not None:
            key[self._sort.name] = self._values[branch.sort.operands[0].placeholder]
        request: dict[str, Any] = {"TableName": self._select.table, "Key": key}
        self._project(request, renderer, branch.filters)
        renderer.add_to(request, self._values)
        return Read("GetItem", request, self._residual(branch.filters))

    def _scan(self) -> Read:
        renderer = Renderer()
        request = self._request()
        if self._select.where is not None:
            request["FilterExpression"] = renderer.condition(self._select.where.node)
        self._project(request, renderer, ())
        renderer.add_to(request, self._values)
        return Read("Scan", request)

    def _request(self) -> dict[str, Any]:
        request: dict[str, Any] = {"TableName": self._select.table}
        if self._select.index is not None:
            request["IndexName"] = self._select.index
        return request

    def _sort_condition(self, branch: Branch, renderer: Renderer) -> str:
        assert self._sort is not None, "a range is a range of a sort key"
        assert branch.sort is not None, "called for a branch with a range"
        name = renderer.name(self._sort.name)
        operands = [renderer.operand(operand) for operand in branch.sort.operands]
        if branch.sort.operator == "BETWEEN":
            return f"{name} BETWEEN {operands[0]} AND {operands[1]}"
        if branch.sort.operator == "begins_with":
            return f"begins_with({name}, {operands[0]})"
        return f"{name} {branch.sort.operator} {operands[0]}"

    def _project(self, request: dict[str, Any], renderer: Renderer, residual: tuple[ConditionNode, ...]) -> None:
        """Ask for the attributes of the projection, and those a residual condition looks at."""
        if self._select.columns is None:
            return
        looked_at = [name for node in residual for name in attributes_of(node)]
        names = dict.fromkeys([*self._attributes, *looked_at])
        request["ProjectionExpression"] = ", ".join([renderer.name(name) for name in names])

    def _residual(self, nodes: tuple[ConditionNode, ...]) -> Residual | None:
        if not nodes:
            return None
        renderer = Renderer()
        condition = parse_condition(renderer.condition(conjunction(nodes)))
        values = {placeholder: self._values[placeholder] for placeholder in renderer.placeholders}
        return Residual(condition, Bindings(renderer.names, values))


def cut(item: Item, columns: tuple[Column, ...]) -> Item:
    """The answer's form of an item: each column under its name, those that are not there left out."""
    row: Item = {}
    for column in columns:
        value: Any = {"M": item}
        for element in column.path.elements:
            if isinstance(element, int):
                elements = value.get("L")
                value = elements[element] if elements is not None and element < len(elements) else None
            else:
                value = value.get("M", {}).get(element)
            if value is None:
                break
        else:
            row[column.name] = value
    return row


def _hash_set_order(names: list[str]) -> list[str]:
    """Names in the order of a Java HashSet, which is the order in which the service's text lists them."""
    buckets = 16
    while len(names) > buckets * 3 // 4:
        buckets *= 2

    def bucket(name: str) -> int:
        code = 0
        units = name.encode("utf-16-be")
        for at in range(0, len(units), 2):
            code = (code * 31 + int.from_bytes(units[at : at + 2], "big")) & 0xFFFFFFFF
        return (code ^ (code >> 16)) & (buckets - 1)

    return sorted(names, key=bucket)

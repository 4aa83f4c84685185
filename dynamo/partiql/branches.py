"""Which key ranges a WHERE reads: its alternatives, each with a partition key value and perhaps a sort key range.

Called by the planner of SELECT. Law: the union of the branches is exactly what the WHERE selects; a branch whose range
is wider than its conditions keeps them as filters. A WHERE of which any alternative names no partition key value has no
branches: it is a scan.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Final

from dynamo.errors import validation
from dynamo.expressions.nodes import And, Between, Call, Comparison, ConditionNode, In, Not, Operand, Or, Path, Value
from dynamo.keys import KeyAttribute
from dynamo.numbers import sort_bytes
from dynamo.partiql.faults import OVERLAPPING, TOO_MANY_READS
from dynamo.values import AttributeValue, Item

# Reads that one statement may become (recorded on the real service).
READS_MAX: Final = 50

_MIRRORED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class SortRange:
    """A condition on the sort key that a Query takes; `operator` may be BETWEEN or begins_with."""

    operator: str
    operands: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One key range and the conditions that its items must meet besides."""

    partition: Value
    sort: SortRange | None
    filters: tuple[ConditionNode, ...]
    # Its place among the others: bytes of the partition key, bounds of the sort key (end exclusive, None: no end).
    order: tuple[bytes, bytes]
    end: bytes | None
    nodes: tuple[ConditionNode, ...]


class BranchFinder:
    """Finds the branches of one WHERE for one key."""

    def __init__(self, partition: KeyAttribute, sort: KeyAttribute | None, values: Item) -> None:
        self._partition = partition
        self._sort = sort
        self._values = values

    def find(self, where: ConditionNode) -> list[Branch] | None:
        """The branches in the order of their keys, or None for a scan.

        Raises ValidationException for a key value of the wrong type, overlapping ranges and too many branches.
        """
        if not self._is_keyed(where):
            return None
        if self._count(where) > READS_MAX:
            raise validation(TOO_MANY_READS)
        branches = []
        for nodes in self._alternatives(where):
            branch = self._branch(nodes)
            if branch is None:
                return None
            branches.append(branch)
        return self._without_overlap(sorted(branches, key=lambda branch: branch.order))

    # The shape of the WHERE.

    def _is_keyed(self, node: ConditionNode) -> bool:
        """Whether every alternative names a value of the partition key."""
        if isinstance(node, And):
            return any(map(self._is_keyed, node.parts))
        if isinstance(node, Or):
            return all(map(self._is_keyed, node.parts))
        return bool(self._partition_values(node))

    def _count(self, node: ConditionNode) -> int:
        if isinstance(node, And):
            return prod(map(self._count, node.parts))
        if isinstance(node, Or):
            return sum(map(self._count, node.parts)) if self._chooses_keys(node) else 1
        return max(1, len(self._partition_values(node)), len(self._sort_ranges(node)))

    def _alternatives(self, node: ConditionNode) -> list[tuple[ConditionNode, ...]]:
        """The node as alternatives of conjunctions; an OR that says nothing of the key stays whole."""
        if isinstance(node, And):
            return [sum(choice, ()) for choice in product(*map(self._alternatives, node.parts))]
        if isinstance(node, Or) and self._chooses_keys(node):
            return [alternative for part in node.parts for alternative in self._alternatives(part)]
        if isinstance(node, In) and (self._partition_values(node) or self._sort_ranges(node)):
            return [(Comparison("=", node.subject, candidate),) for candidate in node.candidates]
        return [(node,)]

    def _chooses_keys(self, node: ConditionNode) -> bool:
        if isinstance(node, And | Or):
            return any(map(self._chooses_keys, node.parts))
        return bool(self._partition_values(node) or self._sort_ranges(node))

    # Conditions on keys.

    def _partition_values(self, node: ConditionNode) -> tuple[Value, ...]:
        """The values that the node allows the partition key to have; empty when it does not say."""
        return equal_values_of(node, self._partition.name)

    def _sort_ranges(self, node: ConditionNode) -> tuple[SortRange, ...]:
        """The ranges of the sort key that the node allows; empty when it does not say, or says what no Query takes."""
        if self._sort is None:
            return ()
        name = self._sort.name
        equal = equal_values_of(node, name)
        if equal:
            return tuple([SortRange("=", (value,)) for value in equal])
        match node:
            case Comparison(operator, left, right) if operator in _MIRRORED:
                if _is_attribute(left, name) and isinstance(right, Value):
                    return (SortRange(operator, (right,)),)
                if _is_attribute(right, name) and isinstance(left, Value):
                    return (SortRange(_MIRRORED[operator], (left,)),)
            case Between(subject, Value() as low, Value() as high) if _is_attribute(subject, name):
                return (SortRange("BETWEEN", (low, high)),)
            case Call("begins_with", (subject, Value() as prefix)) if _is_attribute(subject, name):
                return (SortRange("begins_with", (prefix,)),)
        return ()

    def _branch(self, nodes: tuple[ConditionNode, ...]) -> Branch | None:
        """The branch of one conjunction; None when it names two values of the partition key."""
        partitions: list[Value] = []
        ranges: list[tuple[ConditionNode, SortRange]] = []
        rest: list[ConditionNode] = []
        for node in nodes:
            values = self._partition_values(node)
            found = () if values else self._sort_ranges(node)
            if values:
                partitions.append(values[0])
            elif found:
                ranges.append((node, found[0]))
            else:
                rest.append(node)
        partition = partitions[0]
        self._check_type(self._partition, partitions)
        if any(self._values[other.placeholder] != self._values[partition.placeholder] for other in partitions):
            return None
        sort, used = self._sort_range(ranges)
        start, end = self._bounds(sort)
        order = (self._bytes(partition), start)
        filters = tuple(rest + [node for node, _ in ranges if node not in used])
        return Branch(partition=partition, sort=sort, filters=filters, order=order, end=end, nodes=nodes)

    def _sort_range(
        self, ranges: list[tuple[ConditionNode, SortRange]]
    ) -> tuple[SortRange | None, tuple[ConditionNode, ...]]:
        """The range to read, and the conditions that it stands for in full; the others stay filters."""
        if not ranges:
            return None, ()
        assert self._sort is not None, "a table without a sort key has no conditions on it"
        for _, found in ranges:
            self._check_type(self._sort, found.operands)
        for wanted in (("=",), ("BETWEEN", "begins_with")):
            for node, found in ranges:
                if found.operator in wanted:
                    return found, (node,)
        low = next(((node, found) for node, found in ranges if found.operator in (">", ">=")), None)
        high = next(((node, found) for node, found in ranges if found.operator in ("<", "<=")), None)
        if low is None or high is None:
            node, found = ranges[0]
            return found, (node,)
        operands = (low[1].operands[0], high[1].operands[0])
        if self._bytes(operands[0]) > self._bytes(operands[1]):
            return low[1], (low[0],)
        # BETWEEN includes its bounds: a bound that does not stays a filter.
        used = tuple([node for node, found in (low, high) if found.operator in (">=", "<=")])
        return SortRange("BETWEEN", operands), used

    def _check_type(self, attribute: KeyAttribute, values: Iterable[Value]) -> None:
        for value in values:
            check_key_type(attribute, self._values[value.placeholder])

    # Order and overlap.

    def _without_overlap(self, branches: list[Branch]) -> list[Branch]:
        result: list[Branch] = []
        at = 0
        while at < len(branches):
            group = [branch for branch in branches[at:] if branch.order[0] == branches[at].order[0]]
            at += len(group)
            if len(group) > 1 and any(self._negates_sort(branch) for branch in group):
                group = [_merged(group)]
            reach: bytes | None = b""
            for branch in group:
                # An empty range (BETWEEN with bounds the wrong way round) overlaps nothing.
                if branch.end is not None and branch.end <= branch.order[1]:
                    continue
                if branch is not group[0] and (reach is None or branch.order[1] < reach):
                    raise validation(OVERLAPPING)
                reach = branch.end if reach is None or branch.end is None else max(reach, branch.end)
            result.extend(group)
        return result

    def _negates_sort(self, branch: Branch) -> bool:
        """Whether a filter denies something of the sort key: such branches may overlap."""
        if self._sort is None:
            return False
        name = self._sort.name
        for node in branch.filters:
            denies = isinstance(node, Not) or (isinstance(node, Comparison) and node.operator == "<>")
            if denies and name in attributes_of(node):
                return True
        return False

    def _bounds(self, sort: SortRange | None) -> tuple[bytes, bytes | None]:
        """The range as bytes: start included, end excluded."""
        if sort is None:
            return b"", None
        first = self._bytes(sort.operands[0])
        match sort.operator:
            case "=":
                return first, first + b"\x00"
            case "<":
                return b"", first
            case "<=":
                return b"", first + b"\x00"
            case ">":
                return first + b"\x00", None
            case ">=":
                return first, None
            case "BETWEEN":
                return first, self._bytes(sort.operands[1]) + b"\x00"
        stripped = first.rstrip(b"\xff")
        return first, stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None

    def _bytes(self, value: Value) -> bytes:
        return _order_bytes(self._values[value.placeholder])


def equal_values_of(node: ConditionNode, attribute: str) -> tuple[Value, ...]:
    """The values that `attribute = value` or `attribute IN [values]` allows; empty for any other condition."""
    match node:
        case Comparison("=", left, right):
            if _is_attribute(left, attribute) and isinstance(right, Value):
                return (right,)
            if _is_attribute(right, attribute) and isinstance(left, Value):
                return (left,)
        case In(subject, candidates) if _is_attribute(subject, attribute):
            values = tuple([candidate for candidate in candidates if isinstance(candidate, Value)])
            return values if len(values) == len(candidates) else ()
    return ()


def check_key_type(attribute: KeyAttribute, value: AttributeValue) -> None:
    """Raises ValidationException for a key value that is not of the schema's type."""
    if attribute.type not in value:
        raise validation(
            "Key attribute's data type should match its data type in table's schema: Key " + attribute.name
        )


def attributes_of(node: ConditionNode | Operand) -> list[str]:
    """The top-level attributes that a condition names, in reading order, each once."""
    found: dict[str, None] = {}
    pending: list[ConditionNode | Operand] = [node]
    while pending:
        match pending.pop():
            case Path(elements):
                found[str(elements[0])] = None
            case And(parts) | Or(parts):
                pending.extend(reversed(parts))
            case Not(part):
                pending.append(part)
            case Comparison(_, left, right):
                pending += (right, left)
            case Between(subject, low, high):
                pending += (high, low, subject)
            case In(subject, candidates):
                pending += (*reversed(candidates), subject)
            case Call(_, arguments):
                pending.extend(reversed(arguments))
    return list(found)


def conjunction(nodes: tuple[ConditionNode, ...]) -> ConditionNode:
    """All of `nodes`, at least one, as one condition."""
    return nodes[0] if len(nodes) == 1 else And(nodes)


def _merged(group: list[Branch]) -> Branch:
    """Branches of one partition key value as one that reads all of it."""
    first = group[0]
    either = Or(tuple([conjunction(branch.nodes) for branch in group]))
    return Branch(
        partition=first.partition,
        sort=None,
        filters=(either,),
        order=(first.order[0], b""),
        end=None,
        nodes=(either,),
    )


def _is_attribute(operand: Operand, name: str) -> bool:
    return isinstance(operand, Path) and operand.elements == (name,)


def _order_bytes(value: AttributeValue) -> bytes:
    """Bytes in the order of key values of one type."""
    ((kind, inner),) = value.items()
    if kind == "N":
        return sort_bytes(inner)
    if kind == "B":
        return a2b_base64(inner)
    text: str = inner
    return text.encode()

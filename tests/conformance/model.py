"""A table with indexes as DynamoDB's documentation describes it, in plain Python: the judge of random sequences.

Used by test_model_sequences.py. Law: slow, small and independent of the server's code; it knows what an operation
answers and what it leaves behind, and the code of an error but not its text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

Value = dict[str, Any]
Item = dict[str, Value]

VALIDATION = "ValidationException"
CONDITION_FAILED = "ConditionalCheckFailedException"
ORDERED = ("S", "N", "B")
# More digits than a number may have, so that nothing is rounded here.
EXACT = Context(prec=100)
KEY_BYTES_MAX = {"HASH": 2048, "RANGE": 1024}


class Refused(Exception):
    """The service answers with this error code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# --- values -----------------------------------------------------------------------------------------------------------


def kind_of(value: Value) -> str:
    """S, N, B, ..."""
    [kind] = value
    return kind


def canonical(value: Value) -> Any:
    """A value that equals another's exactly when DynamoDB holds the two for equal."""
    kind = kind_of(value)
    content = value[kind]
    if kind == "N":
        return kind, _number(content)
    if kind == "NS":
        return kind, frozenset(_number(one) for one in content)
    if kind in ("SS", "BS"):
        return kind, frozenset(content)
    if kind == "L":
        return kind, tuple(canonical(one) for one in content)
    if kind == "M":
        return kind, frozenset((name, canonical(one)) for name, one in content.items())
    return kind, content


def _number(text: str) -> Decimal:
    return Decimal(text).normalize(EXACT)


def canonical_item(item: Mapping[str, Value] | None) -> Any:
    """The same for a whole item."""
    return None if item is None else frozenset((name, canonical(value)) for name, value in item.items())


def order_of(value: Value) -> Any:
    """Orders values of one type: numbers by value, strings by their UTF-8 bytes, binary by byte."""
    kind = kind_of(value)
    if kind == "N":
        return Decimal(value["N"])
    return value["S"].encode() if kind == "S" else value["B"]


def set_kind(kind: str) -> bool:
    """SS, NS, BS."""
    return kind in ("SS", "NS", "BS")


# --- conditions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """A node: (operator, attribute, operands), or (AND|OR|NOT, "", conditions)."""

    operator: str
    attribute: str = ""
    operands: tuple[Any, ...] = ()

    def attributes(self) -> set[str]:
        """The attributes that it names."""
        if self.operator in ("AND", "OR", "NOT"):
            return {name for one in self.operands for name in one.attributes()}
        return {self.attribute}

    def holds(self, item: Mapping[str, Value]) -> bool:
        """Does it hold for this item? An item that is not there is empty."""
        if self.operator == "AND":
            return all(one.holds(item) for one in self.operands)
        if self.operator == "OR":
            return any(one.holds(item) for one in self.operands)
        if self.operator == "NOT":
            return not self.operands[0].holds(item)
        return _holds(self.operator, item.get(self.attribute), self.operands)


def _holds(operator: str, found: Value | None, operands: tuple[Value, ...]) -> bool:
    if operator == "attribute_exists":
        return found is not None
    if operator == "attribute_not_exists":
        return found is None
    if operator == "<>":
        return found is None or canonical(found) != canonical(operands[0])
    if found is None:
        return False
    if operator == "attribute_type":
        return kind_of(found) == operands[0]["S"]
    if operator == "IN":
        return any(canonical(found) == canonical(one) for one in operands)
    if operator == "size":
        return _size(found) == int(operands[0]["N"])
    if operator == "BETWEEN":
        return compare(found, operands[0], ">=") and compare(found, operands[1], "<=")
    if operator == "begins_with":
        return kind_of(found) == kind_of(operands[0]) and order_of(found).startswith(order_of(operands[0]))
    if operator == "contains":
        return _contains(found, operands[0])
    return compare(found, operands[0], operator)


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def compare(found: Value, operand: Value, operator: str) -> bool:
    """Values of two types never compare; only S, N and B have an order."""
    if operator == "=":
        return bool(canonical(found) == canonical(operand))
    kind = kind_of(found)
    return kind == kind_of(operand) and kind in ORDERED and COMPARE[operator](order_of(found), order_of(operand))


def _size(found: Value) -> int | None:
    kind = kind_of(found)
    if kind == "S":
        # The service counts what Java counts.
        return len(found["S"].encode("utf-16-le")) // 2
    return len(found[kind]) if kind in ("B", "SS", "NS", "BS", "L", "M") else None


def _contains(found: Value, operand: Value) -> bool:
    kind, wanted = kind_of(found), kind_of(operand)
    if kind in ("S", "B") and kind == wanted:
        return operand[wanted] in found[kind]
    if set_kind(kind):
        return kind == wanted + "S" and any(canonical({wanted: one}) == canonical(operand) for one in found[kind])
    return kind == "L" and any(canonical(one) == canonical(operand) for one in found["L"])


# --- updates ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Action:
    """One action of an update on one attribute; `source` is the attribute that an operand reads."""

    verb: str
    attribute: str
    operand: Value | None = None
    source: str = ""


def updated(before: Mapping[str, Value], actions: Iterable[Action]) -> Item:
    """The item after the actions, all of which read the item before. Raises Refused."""
    after = dict(before)
    for action in actions:
        result = _result(before, action)
        if result is None:
            after.pop(action.attribute, None)
        else:
            after[action.attribute] = result
    return after


def _result(before: Mapping[str, Value], action: Action) -> Value | None:
    old, operand = before.get(action.attribute), action.operand
    if action.verb == "REMOVE":
        return None
    assert operand is not None, "every other action has an operand"
    if action.verb == "SET":
        return operand
    if action.verb == "if_not_exists":
        return before.get(action.source, operand)
    if action.verb in ("+", "-"):
        return _sum(before.get(action.source), operand, action.verb)
    if action.verb == "list_append":
        source = before.get(action.source)
        if source is None or "L" not in source:
            raise Refused(VALIDATION)
        return {"L": source["L"] + operand["L"]}
    if action.verb == "ADD":
        return _added(old, operand)
    return _removed(old, operand)


def _sum(source: Value | None, operand: Value, sign: str) -> Value:
    if source is None or "N" not in source:
        raise Refused(VALIDATION)
    left, right = Decimal(source["N"]), Decimal(operand["N"])
    return {"N": str(EXACT.add(left, right) if sign == "+" else EXACT.subtract(left, right))}


def _added(old: Value | None, operand: Value) -> Value:
    kind = kind_of(operand)
    if old is None:
        return operand
    if kind_of(old) != kind:
        raise Refused(VALIDATION)
    if kind == "N":
        return _sum(old, operand, "+")
    present = {canonical({kind[0]: one}) for one in old[kind]}
    return {kind: old[kind] + [one for one in operand[kind] if canonical({kind[0]: one}) not in present]}


def _removed(old: Value | None, operand: Value) -> Value | None:
    kind = kind_of(operand)
    if old is None:
        return None
    if kind_of(old) != kind:
        raise Refused(VALIDATION)
    gone = {canonical({kind[0]: one}) for one in operand[kind]}
    left = [one for one in old[kind] if canonical({kind[0]: one}) not in gone]
    return {kind: left} if left else None


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelIndex:
    """An index; `includes` None means every attribute."""

    name: str
    hash_key: str
    range_key: str
    includes: tuple[str, ...] | None
    is_local: bool


@dataclass
class ModelTable:
    """Items by key, and views of them through indexes."""

    hash_key: str
    range_key: str
    kinds: Mapping[str, str]
    indexes: tuple[ModelIndex, ...]
    items: dict[Any, Item] = field(default_factory=dict)

    def key_of(self, item: Mapping[str, Value]) -> Item:
        """The attributes of the table's key."""
        return {name: item[name] for name in (self.hash_key, self.range_key)}

    def _place(self, item: Mapping[str, Value]) -> Any:
        return canonical_item(self.key_of(item))

    def get(self, key: Item) -> Item | None:
        """GetItem."""
        return self.items.get(self._place(key))

    def put(self, item: Item, condition: Condition | None = None) -> Item | None:
        """PutItem; the item before. Raises Refused."""
        self._check_index_keys(item)
        return self._write(item, item, condition)

    def delete(self, key: Item, condition: Condition | None = None) -> Item | None:
        """DeleteItem; the item before. Raises Refused."""
        return self._write(key, None, condition)

    def update(self, key: Item, actions: Iterable[Action], condition: Condition | None = None) -> Item | None:
        """UpdateItem; the item after. Raises Refused."""
        actions = list(actions)
        before = self.get(key)
        if condition is not None and not condition.holds(before or {}):
            raise Refused(CONDITION_FAILED)
        if before is None and all(action.verb in ("REMOVE", "DELETE") for action in actions):
            # What only takes away makes no item.
            return None
        after = updated(before if before is not None else key, actions)
        self._check_index_keys(after)
        self.items[self._place(key)] = after
        return after

    def _write(self, key: Item, after: Item | None, condition: Condition | None) -> Item | None:
        place = self._place(key)
        before = self.items.get(place)
        if condition is not None and not condition.holds(before or {}):
            raise Refused(CONDITION_FAILED)
        if after is None:
            self.items.pop(place, None)
        else:
            self.items[place] = after
        return before

    def _check_index_keys(self, item: Mapping[str, Value]) -> None:
        for index in self.indexes:
            for role, name in (("HASH", index.hash_key), ("RANGE", index.range_key)):
                if name in item and not self._can_be_key(name, item[name], role):
                    raise Refused(VALIDATION)

    def _can_be_key(self, name: str, value: Value, role: str) -> bool:
        kind = self.kinds[name]
        if kind_of(value) != kind:
            return False
        if kind == "N":
            return True
        size = len(order_of(value))
        return 0 < size <= KEY_BYTES_MAX[role]

    # --- reads --------------------------------------------------------------------------------------------------------

    def index(self, name: str) -> ModelIndex | None:
        """The index of this name; "" is the table."""
        return next((one for one in self.indexes if one.name == name), None)

    def projected(self, item: Item, index: ModelIndex | None) -> Item:
        """What the index holds of an item."""
        if index is None or index.includes is None:
            return item
        names = {self.hash_key, self.range_key, index.hash_key, index.range_key, *index.includes}
        return {name: value for name, value in item.items() if name in names}

    def rows(self, index: ModelIndex | None) -> list[Item]:
        """All items that are in the table or index, as it holds them, in no order."""
        if index is None:
            return list(self.items.values())
        keys = (index.hash_key, index.range_key)
        return [self.projected(item, index) for item in self.items.values() if all(name in item for name in keys)]

    def sort_key(self, index: ModelIndex | None) -> str:
        """The attribute that orders a Query."""
        return index.range_key if index else self.range_key

    def query(
        self, index: ModelIndex | None, partition: Value, sort_condition: Condition | None, *, forward: bool = True
    ) -> list[Item]:
        """The items that a Query reads, before its filter, in order; equal sort keys in any order."""
        hash_key = index.hash_key if index else self.hash_key
        found = [
            row
            for row in self.rows(index)
            if canonical(row[hash_key]) == canonical(partition)
            and (sort_condition is None or sort_condition.holds(row))
        ]
        sort_key = self.sort_key(index)
        return sorted(found, key=lambda row: order_of(row[sort_key]), reverse=not forward)

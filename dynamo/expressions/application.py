"""Updates as closures, and the application of one to an item.

compile_update is called by dynamo.expressions.parse_update; apply_compiled by dynamo.expressions.apply_update on the
leader, under the latch of the item. Laws: every right side sees the item as it was; the item handed in is not changed;
an update that fails changes nothing.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Mapping
from functools import cmp_to_key
from typing import Any, NamedTuple, Protocol

from dynamo import numbers
from dynamo.errors import validation
from dynamo.expressions.compiled import CompiledAction, Lookup, Update, Updated
from dynamo.expressions.faults import (
    ATTRIBUTE_MISSING,
    ATTRIBUTE_TYPE_MISMATCH,
    ITEM_TOO_LARGE,
    NESTING_TOO_DEEP,
    OPERAND_TYPE_INCORRECT,
    document_path_required,
    function_misused,
    invalid_expression,
    operand_count,
)
from dynamo.expressions.nodes import (
    AddAction,
    Arithmetic,
    Call,
    DeleteAction,
    Operand,
    Path,
    RemoveAction,
    SetAction,
    UpdateAction,
)
from dynamo.expressions.paths import Change, ChangeTree, change_members, compile_path, graft, resolve, select
from dynamo.limits import ITEM_BYTES_MAX, NESTING_LEVELS_MAX
from dynamo.values import AttributeValue, Item, item_size, value_size

UPDATE = "UpdateExpression"

# Once: an update of AttributeUpdates has thousands of actions.
_CREATING = SetAction | AddAction
_WITH_OPERATOR = AddAction | DeleteAction


class _Compute(Protocol):
    """A right side that always has a value; raises ValidationException where the item does not give it one."""

    def __call__(self, item: Item, names: Mapping[str, str], values: Item, /) -> AttributeValue: ...


def compile_update(
    nodes: tuple[UpdateAction, ...], placeholders: tuple[str, ...], calls: tuple[Call, ...], *, is_translated: bool
) -> Update:
    """The compiled form of parsed actions; `placeholders` in reading order, `calls` inner ones first.

    `is_translated` is true for the translation of AttributeUpdates, whose ADD takes lists too.
    """
    rules = _ATTRIBUTE_UPDATES if is_translated else _UPDATE_EXPRESSION
    actions = tuple([_compile_action(node, rules) for node in nodes])
    return Update(
        actions=actions,
        flat=all(len(action.elements) == 1 for action in actions),
        creates_item=any(isinstance(node, _CREATING) for node in nodes),
        paths=tuple(node.path for node in nodes),
        placeholders=placeholders,
        calls=calls,
        arithmetic=tuple(
            node.value for node in nodes if isinstance(node, SetAction) and isinstance(node.value, Arithmetic)
        ),
        operators=tuple([node for node in nodes if isinstance(node, _WITH_OPERATOR)]),
        nodes=nodes,
        names=frozenset(placeholder for placeholder in placeholders if placeholder[0] == "#"),
        values=frozenset(placeholder for placeholder in placeholders if placeholder[0] == ":"),
    )


def apply_compiled(
    update: Update, item: Item, names: Mapping[str, str], values: Item, *, want_updated: bool, exists: bool
) -> Updated:
    """Apply to `item`; raises ValidationException, and KeyError with a placeholder that is not defined."""
    changed = _apply_flat(update, item, names, values) if update.flat else None
    if changed is None:
        changed = _apply_nested(update, item, names, values, exists=exists)
    if not want_updated:
        return Updated(changed, {}, {})
    # The service reads both images through the paths of the text: after REMOVE l[0] the new l[0] is what moved there.
    paths = [resolve(path.elements, names) for path in update.paths]
    return Updated(changed, select(item, paths), select(changed, paths))


def _apply_flat(update: Update, item: Item, names: Mapping[str, str], values: Item) -> Item:
    """The update of top-level attributes only."""
    changed = dict(item)
    growth_bytes = 0
    for action in update.actions:
        name = names[action.head] if action.head_is_placeholder else action.head
        value = action.compute(item, names, values)
        old = changed.get(name)
        if old is not None:
            growth_bytes -= value_size(old)
        if value is None:
            changed.pop(name, None)
            continue
        growth_bytes += value_size(value)
        if old is None:
            growth_bytes += len(name.encode())
        changed[name] = value
    # An item that did not grow cannot have outgrown the limit, which spares counters the measuring of their item.
    if growth_bytes > 0 and item_size(changed) > ITEM_BYTES_MAX:
        raise validation(ITEM_TOO_LARGE)
    return changed


def _apply_nested(update: Update, item: Item, names: Mapping[str, str], values: Item, *, exists: bool) -> Item:
    """The update of any paths: all changes are computed from the old item, then made together."""
    tree: ChangeTree = {}
    for action in update.actions:
        if action.removes and not exists:
            # The service ignores REMOVE a.b without an item, where it refuses it without an attribute a.
            continue
        elements = resolve(action.elements, names)
        value = action.compute(item, names, values)
        if value is not None and len(elements) - 1 + _levels(value) > NESTING_LEVELS_MAX:
            raise validation(NESTING_TOO_DEEP)
        graft(tree, elements, Change(value))
    changed = change_members(item, tree)
    if item_size(changed) > ITEM_BYTES_MAX:
        raise validation(ITEM_TOO_LARGE)
    return changed


def _levels(value: AttributeValue) -> int:
    """Nesting levels of a value; 1 for a scalar or a set."""
    ((kind, inner),) = value.items()
    if kind == "M":
        return 1 + max(map(_levels, inner.values()), default=0)
    if kind == "L":
        return 1 + max(map(_levels, inner), default=0)
    return 1


class _Rules(NamedTuple):
    """Where ADD and DELETE of UpdateExpression and of AttributeUpdates differ."""

    addable: frozenset[str]
    mismatch: str


_UPDATE_EXPRESSION = _Rules(frozenset({"N", "SS", "NS", "BS"}), OPERAND_TYPE_INCORRECT)
_ATTRIBUTE_UPDATES = _Rules(frozenset({"N", "SS", "NS", "BS", "L"}), ATTRIBUTE_TYPE_MISMATCH)


def _compile_action(node: UpdateAction, rules: _Rules) -> CompiledAction:
    elements = node.path.elements
    head = elements[0]
    if not isinstance(head, str):
        raise AssertionError("a document path starts with a name")
    compute: Lookup
    if isinstance(node, SetAction):
        compute = _arithmetic(node.value) if isinstance(node.value, Arithmetic) else _operand(node.value)
    elif isinstance(node, AddAction):
        compute = _addition(compile_path(elements), node.value.placeholder, rules)
    elif isinstance(node, DeleteAction):
        compute = _deletion(compile_path(elements), node.value.placeholder, rules)
    else:
        compute = _nothing
    return CompiledAction(elements, head, head[0] == "#", isinstance(node, RemoveAction), compute)


def _nothing(_item: Item, _names: Mapping[str, str], _values: Item) -> AttributeValue | None:
    return None


def _operand(operand: Operand) -> _Compute:
    """The value of an operand on the right side of a SET."""
    if isinstance(operand, Path):
        return _required(compile_path(operand.elements))
    if isinstance(operand, Call):
        if operand.function == "if_not_exists":
            return _if_not_exists(operand)
        if operand.function == "list_append":
            return _list_append(operand)
        return _refused(function_misused(operand.function))
    placeholder = operand.placeholder

    def bound(_item: Item, _names: Mapping[str, str], values: Item) -> AttributeValue:
        return values[placeholder]

    return bound


def _refused(detail: str) -> _Compute:
    """A right side that the checks refuse; it refuses by itself when it is evaluated without them."""

    def refuse(_item: Item, _names: Mapping[str, str], _values: Item) -> AttributeValue:
        raise invalid_expression(UPDATE, detail)

    return refuse


def _required(path: Lookup) -> _Compute:
    def read(item: Item, names: Mapping[str, str], values: Item) -> AttributeValue:
        value = path(item, names, values)
        if value is None:
            raise validation(ATTRIBUTE_MISSING)
        return value

    return read


def _if_not_exists(call: Call) -> _Compute:
    """A chain of if_not_exists as one loop, so that its length costs no Python frames."""
    paths: list[Lookup] = []
    operand: Operand = call
    while isinstance(operand, Call) and operand.function == "if_not_exists":
        if len(operand.arguments) != 2:
            return _refused(operand_count("if_not_exists", len(operand.arguments)))
        path, operand = operand.arguments
        if not isinstance(path, Path):
            return _refused(document_path_required("if_not_exists"))
        paths.append(compile_path(path.elements))
    default = _refused(function_misused(operand.function)) if isinstance(operand, Call) else _operand(operand)
    tried = tuple(paths)

    def first_existing(item: Item, names: Mapping[str, str], values: Item) -> AttributeValue:
        for path in tried:
            value = path(item, names, values)
            if value is not None:
                return value
        return default(item, names, values)

    return first_existing


def _list_append(call: Call) -> _Compute:
    if len(call.arguments) != 2:
        return _refused(operand_count("list_append", len(call.arguments)))
    for argument in call.arguments:
        if isinstance(argument, Call) and argument.function != "if_not_exists":
            return _refused(function_misused(argument.function))
    first, second = map(_operand, call.arguments)

    def appended(item: Item, names: Mapping[str, str], values: Item) -> AttributeValue:
        left = first(item, names, values).get("L")
        right = second(item, names, values).get("L")
        if left is None or right is None:
            raise validation(OPERAND_TYPE_INCORRECT)
        return {"L": left + right}

    return appended


def _arithmetic(node: Arithmetic) -> _Compute:
    operate = numbers.add if node.operator == "+" else numbers.subtract
    first, second = _operand(node.left), _operand(node.right)

    def computed(item: Item, names: Mapping[str, str], values: Item) -> AttributeValue:
        left = first(item, names, values).get("N")
        right = second(item, names, values).get("N")
        if left is None or right is None:
            raise validation(OPERAND_TYPE_INCORRECT)
        return {"N": operate(left, right)}

    return computed


def _addition(path: Lookup, placeholder: str, rules: _Rules) -> Lookup:
    def added(item: Item, names: Mapping[str, str], values: Item) -> AttributeValue | None:
        operand = values[placeholder]
        old = path(item, names, values)
        ((kind, inner),) = operand.items()
        if kind not in rules.addable:
            raise validation(rules.mismatch)
        if old is None:
            return operand
        present = old.get(kind)
        if present is None:
            raise validation(rules.mismatch)
        if kind == "N":
            return {"N": numbers.add(present, inner)}
        if kind == "L":
            return {"L": present + inner}
        return {kind: _ordered(kind, {*present, *inner})}

    return added


def _deletion(path: Lookup, placeholder: str, rules: _Rules) -> Lookup:
    def deleted(item: Item, names: Mapping[str, str], values: Item) -> AttributeValue | None:
        operand = values[placeholder]
        old = path(item, names, values)
        ((kind, inner),) = operand.items()
        if kind not in ("SS", "NS", "BS"):
            raise validation(rules.mismatch)
        if old is None:
            return None
        present = old.get(kind)
        if present is None:
            raise validation(rules.mismatch)
        left = set(present).difference(inner)
        # There is no empty set: the attribute goes with its last element.
        return {kind: _ordered(kind, left)} if left else None

    return deleted


_BY_VALUE = cmp_to_key(numbers.compare)


def _ordered(kind: str, elements: set[str]) -> list[str]:
    """The elements of a set in the order the service returns them: strings and bytes bytewise, numbers by value."""
    if kind == "SS":
        return sorted(elements)
    key: Any = _BY_VALUE if kind == "NS" else a2b_base64
    return sorted(elements, key=key)

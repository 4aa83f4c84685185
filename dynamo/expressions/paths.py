"""Document paths at work: reading a value, choosing a part of an item, changing an item along its paths.

Called by the evaluation of conditions and updates. Law: an item is never changed in place; what a change does not
touch is shared between the old and the new item, and only the containers along the changed paths are copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dynamo.errors import validation
from dynamo.expressions.compiled import Lookup
from dynamo.expressions.faults import DOCUMENT_PATH_INVALID, PATHS_OVERLAP
from dynamo.expressions.nodes import PathElement
from dynamo.values import AttributeValue, Item


class Change:
    """A leaf of a tree of changes: the new value, or None to remove what is there."""

    __slots__ = ("value",)

    def __init__(self, value: AttributeValue | None) -> None:
        self.value = value


# Elements of paths as nested dictionaries; a Change ends a path.
ChangeTree = dict[PathElement, Any]


def compile_path(elements: tuple[PathElement, ...]) -> Lookup:
    """A function that reads the value at a path; the usual lengths have their own, shorter, form."""
    head = elements[0]
    if not isinstance(head, str):
        raise AssertionError("a document path starts with a name")
    if len(elements) > 1:
        return _compile_nested(head, elements[1:])
    if head[0] == "#":

        def by_placeholder(item: Item, names: Mapping[str, str], _values: Item) -> AttributeValue | None:
            return item.get(names[head])

        return by_placeholder

    def by_name(item: Item, _names: Mapping[str, str], _values: Item) -> AttributeValue | None:
        return item.get(head)

    return by_name


def _compile_nested(head: str, rest: tuple[PathElement, ...]) -> Lookup:
    head_is_placeholder = head[0] == "#"

    def nested(item: Item, names: Mapping[str, str], _values: Item) -> AttributeValue | None:
        value = item.get(names[head] if head_is_placeholder else head)
        for element in rest:
            if value is None:
                return None
            if isinstance(element, int):
                elements = value.get("L")
                value = elements[element] if elements is not None and element < len(elements) else None
            else:
                name = names[element] if element[0] == "#" else element
                members = value.get("M")
                value = None if members is None else members.get(name)
        return value

    return nested


def resolve(elements: tuple[PathElement, ...], names: Mapping[str, str]) -> tuple[PathElement, ...]:
    """The path with its #placeholders replaced. Raises KeyError with the first one that `names` lacks."""
    return tuple(
        [names[element] if isinstance(element, str) and element[0] == "#" else element for element in elements]
    )


def printed(elements: tuple[PathElement, ...]) -> str:
    """A resolved path as error texts show it: a.b[3] is [a, b, [3]]."""
    return f"[{', '.join(f'[{element}]' if isinstance(element, int) else element for element in elements)}]"


def graft(tree: ChangeTree, elements: tuple[PathElement, ...], change: Change) -> None:
    """Add one path to a tree.

    Raises ValidationException when it overlaps a path that is there: the checks refuse that with the exact text before
    anything is evaluated, this is the guard that no change gets lost without them.
    """
    node = tree
    for element in elements[:-1]:
        node = node.setdefault(element, {})
        if isinstance(node, Change):
            raise validation(PATHS_OVERLAP)
    if elements[-1] in node:
        raise validation(PATHS_OVERLAP)
    node[elements[-1]] = change


def change_members(members: Item, tree: ChangeTree) -> Item:
    """A copy of the attributes of an item, or the members of a map, with the changes of `tree`.

    Raises ValidationException when a path leads through something that is not there or is of another type.
    """
    changed = dict(members)
    for name, change in tree.items():
        if not isinstance(name, str):
            raise validation(DOCUMENT_PATH_INVALID)
        if not isinstance(change, Change):
            changed[name] = _change_value(members.get(name), change)
        elif change.value is None:
            changed.pop(name, None)
        else:
            changed[name] = change.value
    return changed


def _change_value(value: AttributeValue | None, tree: ChangeTree) -> AttributeValue:
    """A copy of a map or a list with the changes of `tree` in it."""
    if value is not None:
        members = value.get("M")
        if members is not None:
            return {"M": change_members(members, tree)}
        elements = value.get("L")
        if elements is not None:
            return {"L": _change_elements(elements, tree)}
    raise validation(DOCUMENT_PATH_INVALID)


def _change_elements(elements: list[AttributeValue], tree: ChangeTree) -> list[AttributeValue]:
    """A copy of a list with the changes of `tree`.

    Every index means the old list; those past its end append, in their order.
    """
    changed = list(elements)
    appended: list[AttributeValue] = []
    removed: list[int] = []
    for index in sorted(_indexes(tree)):
        change = tree[index]
        if index < len(elements):
            if not isinstance(change, Change):
                changed[index] = _change_value(elements[index], change)
            elif change.value is None:
                removed.append(index)
            else:
                changed[index] = change.value
        elif not isinstance(change, Change):
            raise validation(DOCUMENT_PATH_INVALID)
        elif change.value is not None:
            appended.append(change.value)
    for index in reversed(removed):
        del changed[index]
    changed.extend(appended)
    return changed


def _indexes(tree: ChangeTree) -> list[int]:
    """The keys of a tree over a list. Raises when a name is among them."""
    indexes = [index for index in tree if isinstance(index, int)]
    if len(indexes) != len(tree):
        raise validation(DOCUMENT_PATH_INVALID)
    return indexes


def select(item: Item, paths: Iterable[tuple[PathElement, ...]]) -> Item:
    """The part of an item that resolved paths name, nested as in the item; list elements close up in their order.

    Paths that lead nowhere are left out, with the containers that only they would need.
    """
    tree: ChangeTree = {}
    for elements in paths:
        graft(tree, elements, _CHOSEN)
    return _select_members(item, tree)


_CHOSEN = Change(None)


def _select_members(members: Item, tree: ChangeTree) -> Item:
    selected: Item = {}
    for name, below in tree.items():
        value = members.get(name) if isinstance(name, str) else None
        if value is not None:
            part = value if below is _CHOSEN else _select_value(value, below)
            if part is not None:
                selected[str(name)] = part
    return selected


def _select_value(value: AttributeValue, tree: ChangeTree) -> AttributeValue | None:
    """The part of a map or a list that `tree` names; None when it names nothing there."""
    members = value.get("M")
    if members is not None:
        chosen_members = _select_members(members, tree)
        return {"M": chosen_members} if chosen_members else None
    elements = value.get("L")
    if elements is None:
        return None
    chosen: list[AttributeValue] = []
    for index in sorted(index for index in tree if isinstance(index, int)):
        if index < len(elements):
            below = tree[index]
            part = elements[index] if below is _CHOSEN else _select_value(elements[index], below)
            if part is not None:
                chosen.append(part)
    return {"L": chosen} if chosen else None

"""What comparators and functions say of two values, in time that does not grow with how often a condition asks.

Called by the closures of dynamo.expressions.evaluation. An item can hold a list of two hundred thousand elements, and
a condition can ask three hundred times about it. Law: whatever costs time in proportion to a value (the elements of a
list by type, the bytes behind base64, the form by which documents are compared) is made at most once for each value and
evaluation, and kept in a Memo; equality is that of dynamo.values.equal_values.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Hashable
from typing import Final

import orjson

from dynamo.values import AttributeValue, compare_values, value_size

# By purpose and id() of what is inside a value: valid as long as item and request are, which one evaluation is.
Memo = dict[tuple[str, int], Hashable]

_SCALARS: Final = frozenset({"S", "N", "B", "BOOL", "NULL"})
_SETS: Final = frozenset({"SS", "NS", "BS"})
# Up to so many elements are looked through each time.
_SHORT_ELEMENTS_MAX: Final = 16
# Base64 up to so many characters is decoded each time.
_SHORT_CHARACTERS_MAX: Final = 256
_ASKED_ONCE: Final = "asked once"


def equal(first: AttributeValue, second: AttributeValue, memo: Memo) -> bool:
    """Deep equality of canonical values: lists in order, sets in any order, maps by name."""
    # Most of what is compared, settled in half the time.
    text = first.get("S")
    if text is not None:
        return bool(text == second.get("S"))
    ((kind, inner),) = first.items()
    other = second.get(kind)
    if other is None:
        return False
    if kind in _SCALARS:
        return bool(inner == other)
    if len(inner) != len(other):
        return False
    return inner is other or _form(first, memo) == _form(second, memo)


def comparable(value: AttributeValue, memo: Memo) -> Hashable:
    """What equals the same of another canonical value exactly when the two are equal."""
    ((kind, inner),) = value.items()
    return (kind, inner if kind in _SCALARS else _form(value, memo))


def compare(first: AttributeValue, second: AttributeValue, memo: Memo) -> int | None:
    """-1, 0 or 1 as dynamo.values.compare_values says; None when the two cannot be compared."""
    if "B" not in first or "B" not in second:
        return compare_values(first, second)
    left, right = _decoded(first["B"], memo), _decoded(second["B"], memo)
    return (left > right) - (left < right)


def contains(container: AttributeValue, element: AttributeValue, memo: Memo) -> bool:
    """A substring of S or B, a member of a set of the same scalar type, an equal element of a list."""
    ((kind, inner),) = container.items()
    ((element_kind, searched),) = element.items()
    if kind == "L":
        return _has_element(inner, element, memo)
    if kind in _SETS:
        return kind[0] == element_kind and _has_member(inner, searched, memo)
    if kind != element_kind:
        return False
    if kind == "B":
        return _decoded(searched, memo) in _decoded(inner, memo)
    return kind == "S" and searched in inner


def begins_with(value: AttributeValue, prefix: AttributeValue) -> bool:
    """Whether S or B begins with another of its type; of base64 only the last group is decoded."""
    if "S" in value and "S" in prefix:
        return bool(value["S"].startswith(prefix["S"]))
    if "B" not in value or "B" not in prefix:
        return False
    text: str = value["B"]
    beginning: str = prefix["B"]
    if not beginning.endswith("="):
        return text.startswith(beginning)
    whole = len(beginning) - 4
    return text.startswith(beginning[:whole]) and a2b_base64(text[whole : whole + 4]).startswith(
        a2b_base64(beginning[whole:])
    )


def size_of(value: AttributeValue) -> int | None:
    """What size() gives: UTF-16 units of S, bytes of B, elements of sets, lists and maps; None for N, BOOL and NULL.

    Source: the service counts strings as Java does (recorded answers).
    """
    ((kind, inner),) = value.items()
    if kind == "S":
        return len(inner) if inner.isascii() else len(inner.encode("utf-16-le", "surrogatepass")) // 2
    if kind == "B":
        return value_size(value)
    if kind in _SCALARS:
        return None
    return len(inner)


def _has_member(members: list[str], searched: str, memo: Memo) -> bool:
    """Looked through the first time, by a set of all of them from the second on."""
    if len(members) <= _SHORT_ELEMENTS_MAX:
        return searched in members
    key = ("members", id(members))
    known = memo.get(key)
    if known is None:
        memo[key] = _ASKED_ONCE
        return searched in members
    if not isinstance(known, frozenset):
        known = memo[key] = frozenset(members)
    return searched in known


def _has_element(elements: list[AttributeValue], element: AttributeValue, memo: Memo) -> bool:
    """The same for elements of any type, of which only those of the type that is searched for are looked at."""
    ((kind, searched),) = element.items()
    if kind not in _SCALARS:
        return _has_document(elements, element, memo)
    if len(elements) <= _SHORT_ELEMENTS_MAX:
        return element in elements
    key = (kind, id(elements))
    known = memo.get(key)
    if known is None:
        memo[key] = _ASKED_ONCE
        # Scalars are equal exactly when their dictionaries are, which the list finds out by itself.
        return element in elements
    if not isinstance(known, frozenset):
        known = memo[key] = frozenset([candidate[kind] for candidate in elements if kind in candidate])
    return searched in known


def _has_document(elements: list[AttributeValue], element: AttributeValue, memo: Memo) -> bool:
    """The same for a set, list or map: only what has as many elements can be equal."""
    ((kind, searched),) = element.items()
    length = len(searched)
    key = (f"{kind} of {length}", id(elements))
    known = memo.get(key)
    if known is None and kind not in _SETS and not _holds_sets(_form(element, memo)):
        memo[key] = _ASKED_ONCE
        return element in elements
    if not isinstance(known, frozenset):
        alike = [candidate for candidate in elements if kind in candidate and len(candidate[kind]) == length]
        known = memo[key] = frozenset([_document(candidate) for candidate in alike])
    return bool(known) and _form(element, memo) in known


def _form(value: AttributeValue, memo: Memo) -> Hashable:
    """The document of a set, list or map, made once."""
    ((_kind, inner),) = value.items()
    key = ("document", id(inner))
    form = memo.get(key)
    if form is None:
        form = memo[key] = _document(value)
    return form


def _document(value: AttributeValue) -> Hashable:
    """The same for what is equal: the elements of a set in order, else JSON with names in order and sets as well."""
    ((kind, inner),) = value.items()
    if kind in _SETS:
        return tuple(sorted(inner))
    document = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return orjson.dumps(_ordered(value), option=orjson.OPT_SORT_KEYS) if _holds_sets(document) else document


def _holds_sets(document: Hashable) -> bool:
    """Whether there may be sets in a list or map: a name may look like one, then it is only gone through in vain."""
    return isinstance(document, bytes) and b'S":[' in document


def _ordered(value: AttributeValue) -> AttributeValue:
    ((kind, inner),) = value.items()
    if kind in _SETS:
        return {kind: sorted(inner)}
    if kind == "L":
        return {kind: [_ordered(element) for element in inner]}
    if kind == "M":
        return {kind: {name: _ordered(element) for name, element in inner.items()}}
    return value


def _decoded(text: str, memo: Memo) -> bytes:
    if len(text) <= _SHORT_CHARACTERS_MAX:
        return a2b_base64(text)
    key = ("bytes", id(text))
    decoded = memo.get(key)
    if not isinstance(decoded, bytes):
        decoded = memo[key] = a2b_base64(text)
    return decoded

"""What one copy would answer: the sequential meaning of every call. Pure.

Used by histories.search, which tries orders of calls, and by tests that make histories of a real single copy.
"""

from __future__ import annotations

from histories.records import Action, Call, elements_of


def step(value: str | None, call: Call) -> tuple[bool, str | None]:
    """Whether `call` may take effect on `value`, and the value after it. Raises ValueError for an insertion into a set:
    histories.sets judges those."""
    action = call.action
    if action is Action.READ:
        return call.observed == value, value
    if action is Action.SWAP_IF:
        if call.failed:
            return value != call.expected and value == call.observed, value
        return value == call.expected, call.value
    if action is Action.ADD:
        total = str(int(value or "0") + 1)
        return call.is_open or call.observed is None or call.observed == total, total
    if action is Action.APPEND:
        longer = f"{value} {call.value}" if value else call.value
        return call.is_open or not call.sees_new or call.observed == longer, longer
    if action is Action.INSERT:
        raise ValueError("insertions into sets are not judged by an order of calls")
    fits = call.is_open or not call.sees_old or call.observed == value
    return fits, call.value if action is Action.PUT else None


def needs(call: Call) -> tuple[bool, str | None]:
    """Whether `call` can only take effect on one value, and which."""
    action = call.action
    if action is Action.READ:
        return True, call.observed
    if action is Action.SWAP_IF:
        return True, call.observed if call.failed else call.expected
    if call.is_open:
        return False, None
    if action is Action.ADD and call.observed is not None:
        before = int(call.observed) - 1
        return before > 0, str(before)
    if action is Action.APPEND and call.sees_new:
        return True, " ".join(elements_of(call.observed)[:-1]) or None
    if action in (Action.PUT, Action.DELETE) and call.sees_old:
        return True, call.observed
    return False, None


def is_observer(call: Call) -> bool:
    """Whether `call` changes nothing."""
    return call.action is Action.READ or call.failed

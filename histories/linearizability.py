"""Whether one key's history could have come from a single copy: a search for an order of its calls. Pure.

Called by simulation.run for every key. Source: Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with
the memory of visited states of Lowe, "Testing for linearizability" (2017). Law: a call takes effect once, between its
invocation and its return; an open call takes effect at any time after its invocation or never.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from histories.records import Action, Call

# Visited states after which a history is called undecided rather than searched for hours.
STATES_MAX = 400_000


class Verdict(enum.Enum):
    """The end of a search."""

    LINEARIZABLE = 1
    VIOLATED = 2
    UNDECIDED = 3


def step(value: str | None, call: Call) -> tuple[bool, str | None]:
    """Whether `call` may take effect on `value`, and the value after it."""
    if call.action is Action.READ:
        return call.observed == value, value
    if call.action is Action.SWAP_IF:
        if call.failed:
            return value != call.expected and value == call.observed, value
        return value == call.expected, call.value
    if call.action is Action.ADD:
        total = str(int(value or "0") + 1)
        return call.is_open or call.observed == total, total
    fits = call.is_open or not call.sees_old or call.observed == value
    return fits, call.value if call.action is Action.PUT else None


def judge(calls: Sequence[Call]) -> Verdict:
    """Search an order for the calls of one key, which begins without a value."""
    ordered = _relevant(calls)
    wanted = sum(1 << position for position, call in enumerate(ordered) if not call.is_open)
    stack: list[tuple[int, str | None]] = [(0, None)]
    visited: set[tuple[int, str | None]] = set(stack)
    while stack:
        taken, value = stack.pop()
        if taken & wanted == wanted:
            return Verdict.LINEARIZABLE
        for position in _choices(ordered, taken, value):
            fits, after = step(value, ordered[position])
            state = (taken | 1 << position, after)
            if fits and state not in visited:
                visited.add(state)
                stack.append(state)
        if len(visited) > STATES_MAX:
            return Verdict.UNDECIDED
    return Verdict.VIOLATED


def _relevant(calls: Sequence[Call]) -> list[Call]:
    """The calls in order of invocation, without open ones that cannot matter.

    Written values are unique: an open write whose value nobody saw can be left out of every order that it is in. An
    open read says nothing.
    """
    seen = {call.observed for call in calls} | {call.expected for call in calls}
    kept = []
    for call in calls:
        if call.is_open and (
            call.action is Action.READ or (call.action in (Action.PUT, Action.SWAP_IF) and call.value not in seen)
        ):
            continue
        kept.append(call)
    return sorted(kept, key=lambda call: call.invoked_at)


def _choices(ordered: Sequence[Call], taken: int, value: str | None) -> list[int]:
    """The calls worth trying next.

    A call that only observes, and observes what is there, can be taken at once without trying anything else: every
    order from here stays one when it is moved to the front.
    """
    candidates = _candidates(ordered, taken)
    for position in candidates:
        call = ordered[position]
        if (call.action is Action.READ or call.failed) and call.observed == value:
            return [position]
    return candidates


def _candidates(ordered: Sequence[Call], taken: int) -> list[int]:
    """Which calls may be next: invoked before every call that is not taken returned. The last one is tried first."""
    first_return = min(call.returned_at for position, call in enumerate(ordered) if not taken >> position & 1)
    completed: list[int] = []
    open_calls: list[int] = []
    alike: set[tuple[Action, str | None, str | None]] = set()
    for position, call in enumerate(ordered):
        if call.invoked_at > first_return:
            break
        if taken >> position & 1:
            continue
        if not call.is_open:
            completed.append(position)
            continue
        # Of open calls that do the same, the first invoked can always stand for the others.
        kind = (call.action, call.value, call.expected)
        if kind not in alike:
            alike.add(kind)
            open_calls.append(position)
    completed.sort(key=lambda position: -ordered[position].returned_at)
    return open_calls + completed

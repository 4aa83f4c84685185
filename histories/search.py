"""A search for an order of the calls of one key: the general method, for any mix of actions. Pure.

Called by histories.linearizability where no faster method applies. Source: Wing and Gong, "Testing and Verifying
Concurrent Objects" (1993), with the memory of visited states and the just-in-time order of Lowe, "Testing for
linearizability" (2017): calls are put in order only when one of them returns and has to have happened. So at a moment
when no call is under way nothing but the value is left of the past: the history is cut there by itself.

Law: a call takes effect once, between its invocation and its return; an open call takes effect at any time after its
invocation or never.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from histories.judgement import AROUND_MAX, Judgement, Verdict, around
from histories.model import is_observer, needs, step
from histories.records import Action, Call

# Visited states after which a history is called undecided rather than searched for hours.
STATES_MAX = 400_000

# Events passed, which calls under way took effect, value.
State = tuple[int, int, str | None]


@dataclass(slots=True)
class _Plan:
    """The history as events in order of time, and what is known of it before the search.

    A call keeps the slot that it gets at its invocation until it returns; a mask has a bit for each slot.
    """

    calls: list[Call]
    bits: list[int] = field(default_factory=list)
    is_observer: list[bool] = field(default_factory=list)
    # Overwrites whatever is there; and, of these, those whose value nobody saw.
    is_blind: list[bool] = field(default_factory=list)
    is_unseen: list[bool] = field(default_factory=list)
    # (whether it is a return, position of the call)
    events: list[tuple[bool, int]] = field(default_factory=list)
    # Before each event: the calls under way.
    under_way: list[tuple[int, ...]] = field(default_factory=list)
    # The value that a completed call needs, where that value is written once.
    needs: list[str | None] = field(default_factory=list)
    # Such a value -> the last event that invokes a call which needs it.
    needed_until: dict[str, int] = field(default_factory=dict)


def search(calls: Sequence[Call], states_max: int = STATES_MAX) -> Judgement:
    """Search an order for the calls of one key, which begins without a value."""
    plan = _plan(relevant(calls))
    furthest = _advance(plan, (0, 0, None))
    stack = [furthest]
    visited = {furthest}
    while stack:
        state = stack.pop()
        if state[0] == len(plan.events):
            return Judgement(verdict=Verdict.LINEARIZABLE, method="search", states=len(visited))
        if state[0] > furthest[0]:
            furthest = state
        for following in _successors(plan, state):
            advanced = _advance(plan, following)
            if advanced not in visited:
                visited.add(advanced)
                stack.append(advanced)
        if len(visited) > states_max:
            reason = f"the search visited more than STATES_MAX = {states_max} states"
            return Judgement(verdict=Verdict.UNDECIDED, method="search", reason=reason, states=len(visited))
    return _violation(plan, furthest, len(visited))


def relevant(calls: Sequence[Call]) -> list[Call]:
    """The calls in order of invocation, without those that cannot matter.

    Where written values are unique, an open write whose value nobody saw can be left out of every order that it is in;
    where they are not, somebody saw it. An open read says nothing; neither does a call that was refused.
    """
    seen = {call.observed for call in calls} | {call.expected for call in calls}
    kept = []
    for call in calls:
        if call.is_open and (
            call.action is Action.READ or (call.action in (Action.PUT, Action.SWAP_IF) and call.value not in seen)
        ):
            continue
        if call.failed and call.action is not Action.SWAP_IF:
            continue
        kept.append(call)
    return sorted(kept, key=lambda call: call.invoked_at)


def _plan(calls: list[Call]) -> _Plan:
    plan = _Plan(calls)
    plan.is_observer = [is_observer(call) for call in calls]
    seen = {needs(call)[1] for call in calls}
    once = _written_once(calls)
    for call in calls:
        plan.is_blind.append(call.action in (Action.PUT, Action.DELETE) and not needs(call)[0])
        plan.is_unseen.append(plan.is_blind[-1] and call.action is Action.PUT and call.value not in seen)
        value = needs(call)[1]
        plan.needs.append(value if value in once and not call.is_open else None)
    # Of equal times the invocation comes first: calls that touch are concurrent.
    timed = [(call.invoked_at, False, position) for position, call in enumerate(calls)]
    timed += [(call.returned_at, True, position) for position, call in enumerate(calls) if not call.is_open]
    plan.events = [(is_return, position) for _, is_return, position in sorted(timed)]
    plan.bits = [0] * len(calls)
    free: list[int] = []
    under_way: dict[int, None] = {}
    for number, (is_return, position) in enumerate(plan.events):
        plan.under_way.append(tuple(under_way))
        if is_return:
            del under_way[position]
            free.append(plan.bits[position])
            continue
        plan.bits[position] = free.pop() if free else 1 << len(under_way)
        under_way[position] = None
        value = plan.needs[position]
        if value is not None:
            plan.needed_until[value] = number
    return plan


def _written_once(calls: Sequence[Call]) -> set[str | None]:
    if any(call.action in (Action.ADD, Action.APPEND) for call in calls):
        return set()  # their values are made, not written
    writers = Counter(call.value for call in calls if call.value is not None and not call.failed)
    return {value for value, count in writers.items() if count == 1}


def _advance(plan: _Plan, state: State) -> State:
    """Pass events until a call returns that has not taken effect.

    A call that only observes, and observes what is there, takes effect at once: every order stays one when it is moved
    to the first place where it fits.
    """
    number, mask, value = state
    for position in plan.under_way[number] if number < len(plan.events) else ():
        if plan.is_observer[position] and step(value, plan.calls[position])[0]:
            mask |= plan.bits[position]
    while number < len(plan.events):
        is_return, position = plan.events[number]
        bit = plan.bits[position]
        if is_return:
            if not mask & bit:
                break
            mask &= ~bit
        elif plan.is_observer[position] and step(value, plan.calls[position])[0]:
            mask |= bit
        number += 1
    return number, mask, value


def _successors(plan: _Plan, state: State) -> list[State]:
    """What one more call under way makes of the state, while one that has not taken effect returns.

    The best guess is last, to be tried first: the returning call itself, then one that makes the value it needs, then
    the others, those that return first before those that return last.
    """
    number, mask, value = state
    returning = plan.events[number][1]
    does_need, wanted = needs(plan.calls[returning])
    untaken = [position for position in plan.under_way[number] if not mask & plan.bits[position]]
    # A value that nobody writes again cannot be lost before all who need it have seen it.
    if value is not None and plan.needed_until.get(value, -1) > number:
        return []
    needing = [position for position in untaken if value is not None and plan.needs[position] == value]
    # What nobody saw can have happened just before anything that overwrites it.
    unseen = sum(plan.bits[position] for position in untaken if plan.is_unseen[position])
    found: list[tuple[int, float, State]] = []
    alike: set[tuple[Action, str | None, str | None]] = set()
    for position in untaken:
        call = plan.calls[position]
        if plan.is_observer[position] or (needing and needing != [position]):
            continue
        if call.is_open:
            # Of open calls that do the same, the first invoked can always stand for the others.
            kind = (call.action, call.value, call.expected)
            if kind in alike:
                continue
            alike.add(kind)
        fits, after = step(value, call)
        if fits:
            guess = 2 if position == returning else int(does_need and after == wanted)
            taken = mask | plan.bits[position] | (unseen if plan.is_blind[position] else 0)
            found.append((guess, -call.returned_at, (number, taken, after)))
    found.sort(key=lambda one: one[:2])
    return [following for _, _, following in found]


def _violation(plan: _Plan, furthest: State, states: int) -> Judgement:
    number, mask, value = furthest
    stuck = plan.calls[plan.events[number][1]]
    others = [
        plan.calls[position]
        for position in plan.under_way[number]
        if plan.calls[position] is not stuck and not mask & plan.bits[position]
    ]
    shown = "nothing" if value is None else repr(value)
    return Judgement(
        verdict=Verdict.VIOLATED,
        method="search",
        reason=f"in every order a call cannot be placed; in the order that goes furthest the value is {shown} and this "
        "call does not fit before it returns",
        calls=(stuck,),
        around=tuple(others[:AROUND_MAX]) or around(plan.calls, [stuck]),
        states=states,
    )

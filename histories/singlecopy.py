"""Histories that a real single copy gave: what every checker has to accept. Pure.

Used by tests/histories and by tests/bench/checkers.py. Law: every call takes effect at a moment between its
invocation and its return, on the one value there is; so the history is linearizable by construction. Some calls are
left open although they took effect, some although they did not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from histories.model import step
from histories.records import Action, Call, elements_of

REGISTER = (Action.READ, Action.READ, Action.PUT, Action.PUT, Action.SWAP_IF, Action.DELETE)
REGISTER_WITHOUT_DELETE = (Action.READ, Action.READ, Action.PUT, Action.PUT, Action.SWAP_IF)
COUNTER = (Action.READ, Action.ADD)
LIST = (Action.READ, Action.APPEND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What clients do: `actions` are drawn evenly; pauses and latencies are in seconds."""

    actions: tuple[Action, ...] = REGISTER
    clients: int = 8
    calls: int = 200
    unknown_share: float = 0.05
    mean_latency_s: float = 0.01
    mean_pause_s: float = 0.002
    # Values of which many are alike: no longer a register with unique values.
    values: int | None = None


def single_copy(draw: random.Random, shape: Shape, key: str = "k") -> list[Call]:
    """The calls of one key, in order of invocation."""
    planned = _planned(draw, shape, key)
    value: str | None = None
    past: list[str | None] = [None]
    calls = []
    for number, (_, call) in enumerate(sorted(planned, key=lambda one: one[0])):
        _fill(draw, shape, call, number, value, past)
        is_open = call.action is not Action.READ and draw.random() < shape.unknown_share
        happens = not is_open or draw.random() < 0.5
        if happens:
            if not call.failed:
                value = step(value, call)[1]
                past.append(value)
            if call.action in (Action.ADD, Action.APPEND):
                call.observed = value
        if is_open:
            call.returned_at, call.failed, call.observed = float("inf"), False, None
        calls.append(call)
    return sorted(calls, key=lambda call: call.invoked_at)


def _planned(draw: random.Random, shape: Shape, key: str) -> list[tuple[float, Call]]:
    """For each call the moment that it takes effect, and its times."""
    planned = []
    for client in range(shape.clients):
        now = draw.uniform(0, shape.mean_latency_s)
        for _ in range(shape.calls // shape.clients):
            effect = now + draw.expovariate(2 / shape.mean_latency_s)
            end = effect + draw.expovariate(2 / shape.mean_latency_s)
            call = Call(
                key=key, action=draw.choice(shape.actions), invoked_at=now, returned_at=end, client=f"c{client}"
            )
            planned.append((effect, call))
            now = end + draw.expovariate(1 / shape.mean_pause_s)
    return planned


def _fill(
    draw: random.Random, shape: Shape, call: Call, number: int, value: str | None, past: list[str | None]
) -> None:
    """Choose what the call writes, and what it sees."""
    if call.action is Action.READ:
        call.observed = value
        return
    if call.action in (Action.PUT, Action.SWAP_IF, Action.APPEND):
        call.value = f"v{number if shape.values is None else draw.randrange(shape.values)}"
    if call.action in (Action.PUT, Action.DELETE) and draw.random() < 0.3:
        call.sees_old, call.observed = True, value
    elif call.action is Action.APPEND:
        call.sees_new = draw.random() < 0.3
    elif call.action is Action.SWAP_IF:
        call.expected = value if draw.random() < 0.7 else draw.choice(past[-20:])
        call.failed = call.expected != value
        call.observed = value if call.failed else None


def mutations(draw: random.Random, calls: list[Call]) -> dict[str, list[Call]]:
    """The history with one lie each: after all calls a read that is stale, one that misses a write that was
    acknowledged, and one that shows what nobody wrote. No single copy gives any of them."""
    end = max(call.returned_at for call in calls if not call.is_open) + 1
    key, actions = calls[0].key, {call.action for call in calls}

    def after(offset: float, action: Action, value: str | None = None, observed: str | None = None) -> Call:
        start = end + offset
        return Call(key=key, action=action, invoked_at=start, returned_at=start + 0.5, value=value, observed=observed)

    if Action.ADD in actions or Action.APPEND in actions:
        reads = [call for call in calls if call.action is Action.READ]
        seen = max((call.observed or "" for call in reads), key=lambda text: (len(text), text), default="")
        if Action.ADD in actions:
            attempts = sum(call.action is Action.ADD for call in calls)
            return {
                "lost": [*calls, after(0, Action.ADD, observed=str(attempts)), after(1, Action.READ, observed="1")],
                "phantom": [*calls, after(0, Action.READ, observed=str(attempts + 1))],
            }
        elements = elements_of(seen)
        draw.shuffle(elements)
        return {
            "lost": [*calls, after(0, Action.APPEND, value="w"), after(1, Action.READ, observed=seen)],
            "phantom": [*calls, after(0, Action.READ, observed=f"{seen} nobody".strip())],
        }
    # An open deletion may explain one read that finds nothing, but not one more than there are.
    lost = list(calls)
    for number in range(1 + sum(call.is_open and call.action is Action.DELETE for call in calls)):
        lost += [after(2 * number, Action.PUT, value=f"w{number}"), after(2 * number + 1, Action.READ)]
    stale = [
        after(0, Action.PUT, value="w1"),
        after(1, Action.PUT, value="w2"),
        after(2, Action.READ, observed="w1"),
    ]
    return {"stale": [*calls, *stale], "lost": lost, "phantom": [*calls, after(0, Action.READ, observed="nobody")]}

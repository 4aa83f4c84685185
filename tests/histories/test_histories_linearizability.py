"""The checker itself: histories that one copy could have given, and histories that none could."""

from __future__ import annotations

import math
import random

import pytest

from histories.linearizability import Verdict, judge, step
from histories.records import Action, Call

pytestmark = pytest.mark.unit

OPEN = math.inf


def read(start: float, end: float, observed: str | None) -> Call:
    return Call(key="k", action=Action.READ, invoked_at=start, returned_at=end, observed=observed)


def put(start: float, end: float, value: str, *old: str | None) -> Call:
    observed = old[0] if old else None
    return Call(
        key="k",
        action=Action.PUT,
        invoked_at=start,
        returned_at=end,
        value=value,
        sees_old=bool(old),
        observed=observed,
    )


def delete(start: float, end: float) -> Call:
    return Call(key="k", action=Action.DELETE, invoked_at=start, returned_at=end)


def swap(start: float, end: float, expected: str, value: str, *failed_on: str | None) -> Call:
    return Call(
        key="k",
        action=Action.SWAP_IF,
        invoked_at=start,
        returned_at=end,
        value=value,
        expected=expected,
        failed=bool(failed_on),
        observed=failed_on[0] if failed_on else None,
    )


def add(start: float, end: float, total: str | None = None) -> Call:
    return Call(key="k", action=Action.ADD, invoked_at=start, returned_at=end, observed=total)


GOOD = [
    pytest.param([], id="nothing happened"),
    pytest.param([read(0, 1, None)], id="a read of nothing"),
    pytest.param([put(0, 1, "a"), read(2, 3, "a")], id="a read after a write"),
    pytest.param([put(0, 5, "a"), read(1, 2, None), read(3, 4, "a")], id="reads on both sides of a slow write"),
    pytest.param([put(0, 5, "a"), put(1, 4, "b"), read(6, 7, "a")], id="concurrent writes in either order"),
    pytest.param([put(0, OPEN, "a"), read(1, 2, None), read(3, 4, "a")], id="an unknown write that happened later"),
    pytest.param([put(0, OPEN, "a"), put(1, 2, "b"), read(3, 4, "b")], id="an unknown write that never happened"),
    pytest.param([put(0, 1, "a"), delete(2, OPEN), read(3, 4, "a"), read(5, 6, None)], id="an unknown deletion"),
    pytest.param([put(0, 1, "a"), put(2, 3, "b", "a")], id="a write that returns the old value"),
    pytest.param([put(0, 1, "a"), swap(2, 3, "a", "b"), read(4, 5, "b")], id="a swap that fits"),
    pytest.param([put(0, 1, "a"), swap(2, 3, "x", "b", "a"), read(4, 5, "a")], id="a swap that does not fit"),
    pytest.param([put(0, 1, "a"), swap(2, OPEN, "a", "b"), swap(3, 4, "b", "c")], id="an unknown swap that was seen"),
    pytest.param([add(0, 1, "1"), add(2, OPEN), add(3, OPEN), add(4, 5, "3"), read(6, 7, "4")], id="unknown additions"),
]

BAD = [
    pytest.param([read(0, 1, "a")], id="a value from nowhere"),
    pytest.param([put(0, 1, "a"), read(2, 3, None)], id="a lost write"),
    pytest.param([put(0, 1, "a"), put(2, 3, "b"), read(4, 5, "a")], id="a stale read"),
    pytest.param([put(0, 9, "a"), read(1, 2, "a"), read(3, 4, None)], id="a read that goes back"),
    pytest.param([put(0, OPEN, "a"), read(1, 2, "a"), read(3, 4, None)], id="an unknown write that un-happens"),
    pytest.param([read(0, 1, "a"), put(2, 3, "a")], id="a read from the future"),
    pytest.param([put(0, 1, "a"), put(2, 3, "b", None)], id="a wrong old value"),
    pytest.param([put(0, 1, "a"), swap(2, 3, "x", "b")], id="a swap that cannot fit"),
    pytest.param([put(0, 1, "a"), swap(2, 3, "a", "b", "a")], id="a swap that failed though it fits"),
    pytest.param([put(0, 1, "a"), swap(2, 3, "a", "b"), swap(2, 3, "a", "c")], id="two swaps from one value"),
    pytest.param([add(0, 1, "1"), add(2, 3, "1")], id="a lost addition"),
    pytest.param([add(0, 1, "1"), add(2, OPEN), add(3, 4, "4")], id="more than was added"),
]


@pytest.mark.parametrize("calls", GOOD)
def test_histories_of_one_copy(calls: list[Call]) -> None:
    assert judge(calls) is Verdict.LINEARIZABLE


@pytest.mark.parametrize("calls", BAD)
def test_histories_that_no_copy_gives(calls: list[Call]) -> None:
    assert judge(calls) is Verdict.VIOLATED


def generated(seed: int) -> list[Call]:
    """A history that a single copy gave: every call takes effect at a point inside its interval, some are left open."""
    draw = random.Random(seed)
    points = sorted(draw.uniform(0, 30) for _ in range(60))
    value: str | None = None
    calls = []
    for number, point in enumerate(points):
        start, end = point - draw.uniform(0, 2), point + draw.uniform(0, 2)
        action = draw.choice((Action.READ, Action.READ, Action.PUT, Action.SWAP_IF, Action.DELETE))
        call = Call(key="k", action=action, invoked_at=start, returned_at=end)
        if action is Action.READ:
            call.observed = value
        elif action is Action.DELETE:
            value = None
        else:
            call.value = f"v{number}"
            if action is Action.SWAP_IF:
                call.expected = value if value is not None and draw.random() < 0.7 else "x"
                call.failed = call.expected != value
                call.observed = value if call.failed else None
            if not call.failed:
                value = call.value
        if action is not Action.READ and draw.random() < 0.15:
            call.returned_at, call.failed, call.observed = OPEN, False, None
        calls.append(call)
    draw.shuffle(calls)
    return calls


@pytest.mark.parametrize("seed", range(25))
def test_what_one_copy_gave_is_accepted_and_a_stale_read_in_it_is_not(seed: int) -> None:
    calls = generated(seed)
    assert judge(calls) is Verdict.LINEARIZABLE
    last = max(call.returned_at for call in calls if not call.is_open)
    stale = [put(last + 1, last + 2, "x"), put(last + 3, last + 4, "y"), read(last + 5, last + 6, "x")]
    assert judge([*calls, *stale]) is Verdict.VIOLATED


def test_many_open_calls_that_do_the_same_do_not_explode() -> None:
    calls = [add(number * 0.1, OPEN) for number in range(60)]
    calls += [read(7 + number, 7.5 + number, str(number)) for number in range(2, 60, 2)]
    assert judge(calls) is Verdict.LINEARIZABLE
    assert judge([*calls, read(900, 901, "61")]) is Verdict.VIOLATED


def test_a_step_changes_the_value_only_as_its_call_says() -> None:
    assert step("a", read(0, 1, "a")) == (True, "a")
    assert step("a", put(0, 1, "b")) == (True, "b")
    assert step("a", delete(0, 1)) == (True, None)
    assert step(None, add(0, 1, "1")) == (True, "1")

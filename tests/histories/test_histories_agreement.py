"""The checkers against each other and against the plainest one: every order of a small history, tried."""

from __future__ import annotations

import copy
import math
import random

import pytest

from histories.linearizability import Verdict, examine
from histories.model import step
from histories.records import Action, Call
from histories.search import search
from histories.singlecopy import COUNTER, LIST, REGISTER, REGISTER_WITHOUT_DELETE, Shape, mutations, single_copy

pytestmark = pytest.mark.unit

MIXES = {
    "registers": REGISTER,
    "registers without deletions": REGISTER_WITHOUT_DELETE,
    "swaps and deletions": (Action.READ, Action.DELETE, Action.SWAP_IF, Action.PUT),
    "counters": COUNTER,
    "lists": LIST,
    "counters that are deleted": (Action.READ, Action.ADD, Action.DELETE),
    "lists that are deleted": (Action.READ, Action.APPEND, Action.DELETE),
}


def has_an_order(calls: list[Call]) -> bool:
    """Try every order: the meaning of linearizability, written down."""
    calls = [call for call in calls if not (call.failed and call.action is not Action.SWAP_IF)]
    visited = set()

    def finish(left: frozenset[int], value: str | None) -> bool:
        if all(calls[position].is_open for position in left):
            return True
        if (left, value) in visited:
            return False
        visited.add((left, value))
        first_return = min(calls[position].returned_at for position in left)
        for position in left:
            if calls[position].invoked_at <= first_return:
                fits, after = step(value, calls[position])
                if fits and finish(left - {position}, after):
                    return True
        return False

    return finish(frozenset(range(len(calls))), None)


def damaged(draw: random.Random, calls: list[Call]) -> list[Call]:
    """The history with something changed that may or may not make it impossible."""
    calls = [copy.copy(call) for call in calls]
    for _ in range(draw.randrange(1, 4)):
        one, other = draw.choice(calls), draw.choice(calls)
        what = draw.random()
        is_alike = one.action is other.action and one.failed == other.failed
        if what < 0.4 and is_alike and not one.is_open and not other.is_open:
            one.observed, other.observed = other.observed, one.observed
        elif what < 0.7 and not one.is_open:
            moved = draw.uniform(-0.02, 0.02)
            one.invoked_at, one.returned_at = one.invoked_at + moved, one.returned_at + moved
        elif what < 0.85 and one.action is Action.READ:
            one.observed = other.observed
        elif not one.is_open and not one.failed and one.action is not Action.READ:
            one.returned_at, one.observed = math.inf, None
    return calls


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES.keys())
@pytest.mark.parametrize("values", [None, 3], ids=["unique values", "values written again"])
def test_all_methods_agree_with_every_order_tried(mix: tuple[Action, ...], values: int | None) -> None:
    verdicts = set()
    for seed in range(150):
        print(f"seed {seed}")
        draw = random.Random(seed)
        shape = Shape(
            actions=mix,
            clients=draw.choice((2, 3, 4)),
            calls=draw.choice((4, 6, 9)),
            unknown_share=draw.choice((0, 0.2, 0.5)),
            values=values,
            mean_pause_s=draw.choice((0.001, 0.01)),
        )
        original = single_copy(draw, shape)
        for calls in (original, damaged(draw, original)):
            try:
                expected = Verdict.LINEARIZABLE if has_an_order(calls) else Verdict.VIOLATED
            except ValueError:
                continue  # a text where a number should be: no such history can be written down
            assert examine(calls).verdict is expected
            assert search(calls).verdict is expected
            verdicts.add(expected)
    assert verdicts == {Verdict.LINEARIZABLE, Verdict.VIOLATED}


LONG = {
    "8 clients": Shape(clients=8, calls=400),
    "32 clients": Shape(clients=32, calls=960),
    "32 clients without deletions": Shape(actions=REGISTER_WITHOUT_DELETE, clients=32, calls=960),
    "half of all calls open": Shape(clients=8, calls=400, unknown_share=0.5),
    "a counter": Shape(actions=COUNTER, clients=16, calls=800),
    "a list": Shape(actions=LIST, clients=16, calls=400),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", LONG.values(), ids=LONG.keys())
def test_what_one_copy_gave_is_accepted_and_with_a_lie_it_is_not(shape: Shape, seed: int) -> None:
    print(f"seed {seed}")
    draw = random.Random(seed)
    calls = single_copy(draw, shape)
    assert examine(calls).verdict is Verdict.LINEARIZABLE
    for lie, lying in mutations(draw, calls).items():
        judgement = examine(lying)
        assert judgement.verdict is Verdict.VIOLATED, lie
        assert judgement.calls
        assert len(judgement.text().splitlines()) < 25


def test_a_hard_history_is_not_searched() -> None:
    calls = single_copy(random.Random(1), Shape(clients=32, calls=4992))
    judgement = examine(calls)
    assert (judgement.verdict, judgement.method, judgement.states) == (Verdict.LINEARIZABLE, "chains", 0)


def test_a_search_that_grows_too_large_is_undecided_and_names_its_limit() -> None:
    shape = Shape(clients=16, calls=320, values=4)
    lying = mutations(random.Random(2), single_copy(random.Random(2), shape))["stale"]
    judgement = examine(lying, states_max=500)
    assert judgement.verdict is Verdict.UNDECIDED
    assert "STATES_MAX = 500" in judgement.reason


def test_eventual_reads_and_refused_calls_are_not_judged() -> None:
    calls = [
        Call(key="k", action=Action.PUT, invoked_at=0, returned_at=1, value="a"),
        Call(key="k", action=Action.PUT, invoked_at=2, returned_at=3, value="b", failed=True),
        Call(key="k", action=Action.READ, invoked_at=4, returned_at=5, observed=None, is_strong=False),
        Call(key="k", action=Action.READ, invoked_at=4, returned_at=5, observed="a"),
    ]
    assert examine(calls).verdict is Verdict.LINEARIZABLE


def test_an_explanation_shows_the_calls_that_contradict_each_other() -> None:
    calls = [
        Call(key="k", action=Action.PUT, invoked_at=0, returned_at=1, value="a", client="c1"),
        Call(key="k", action=Action.PUT, invoked_at=2, returned_at=3, value="b", client="c2"),
        Call(key="k", action=Action.READ, invoked_at=4, returned_at=5, observed="a", client="c3"),
    ]
    text = examine(calls).text()
    assert "c3 read k saw 'a'" in text
    assert "c2 put k 'b'" in text

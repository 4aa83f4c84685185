"""The order of blocks: which chain of a register's calls came when. Pure.

Called by histories.linearizability with what histories.chains made. Blocks keep their order in time: a block comes
after each that has a call which returned before one of its own was invoked; a block that no untaken one has to precede
is ready. Beyond that only one thing of the past matters: whether there is a value, for those blocks that need none.
Law: no choice is ever a mistake, so there is nothing to search:

- Nobody needs a value (who does is inside a chain): having none is never worse. So what does not change that there is
  a value, or that there is none, is taken as soon as it is ready.
- Of ready blocks that need and leave the same, the one that must end first can come first: they can change places.
- Without a value, a creation (needs nothing, leaves a value) goes before a write, and a write before a deletion. Take
  an order that has them the other way and move the one to the front: it is ready, what it leaves is lost by the
  deletion or the write that followed at once, and where it was the others now find nothing instead of a value.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from histories.chains import Block
from histories.judgement import Judgement, Verdict, around
from histories.records import Call

_METHOD = "chains"


@dataclass(slots=True)
class _Order:
    """Blocks in order of `ready_from`, and for each position who of those from there on must end first and second."""

    blocks: list[Block]
    ready_from: list[float] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    second: list[int] = field(default_factory=list)

    def must_end(self, position: int) -> float:
        """When a block must end; never, for the position after the last."""
        return self.blocks[position].must_end if position < len(self.blocks) else math.inf


@dataclass(frozen=True, slots=True)
class _State:
    """All blocks before `passed` but for `waiting` are taken, and none after."""

    passed: int
    waiting: tuple[int, ...]
    has_value: bool


def order_blocks(blocks: Sequence[Block]) -> Judgement:
    """Find an order of the blocks of a key that begins without a value."""
    order = _prepare(blocks)
    state = _open_up(order, 0, [], has_value=False)
    while not _is_done(order, state):
        chosen = _choose(order, state)
        if not chosen:
            return _violation(order, state)
        has_value = not order.blocks[chosen[-1]].leaves_nothing
        waiting = [position for position in state.waiting if position not in chosen]
        state = _open_up(order, state.passed, waiting, has_value=has_value)
    return Judgement(verdict=Verdict.LINEARIZABLE, method=_METHOD)


def _prepare(blocks: Sequence[Block]) -> _Order:
    order = _Order(sorted(blocks, key=lambda block: block.ready_from))
    order.ready_from = [block.ready_from for block in order.blocks]
    count = len(order.blocks)
    order.first, order.second = [count] * (count + 1), [count] * (count + 1)
    for position in range(count - 1, -1, -1):
        three = (position, order.first[position + 1], order.second[position + 1])
        order.first[position], order.second[position] = sorted(three, key=order.must_end)[:2]
    return order


def _open_up(order: _Order, passed: int, waiting: list[int], *, has_value: bool) -> _State:
    """Pass all blocks that no untaken block holds back, and the one that must end first, when only it is in its way."""
    while True:
        one, two = _two_first(order, passed, waiting)
        limit = order.must_end(one)
        if one >= passed and one < len(order.blocks):
            # A block does not hold back itself.
            limit = max(limit, min(order.ready_from[one], order.must_end(two)))
        up_to = bisect.bisect_right(order.ready_from, limit, lo=passed)
        if up_to == passed:
            return _State(passed, tuple(waiting), has_value)
        waiting = [*waiting, *range(passed, up_to)]
        passed = up_to


def _two_first(order: _Order, passed: int, waiting: Sequence[int]) -> tuple[int, int]:
    candidates = [*waiting, order.first[passed], order.second[passed]]
    one = min(candidates, key=order.must_end)
    candidates.remove(one)
    return one, min(candidates, key=order.must_end)


def _ready(order: _Order, state: _State) -> list[int]:
    """The waiting blocks that nothing untaken has to precede, in order of when they must end."""
    one, two = _two_first(order, state.passed, state.waiting)
    limit, own_limit = order.must_end(one), order.must_end(two)
    ready = [
        position
        for position in state.waiting
        if order.ready_from[position] <= (own_limit if position == one else limit)
    ]
    return sorted(ready, key=order.must_end)


def _choose(order: _Order, state: _State) -> list[int]:
    """The blocks to take next, all of which need and leave the same; none: there is no order."""
    ready = _ready(order, state)
    if state.has_value:
        keeping = _of_kind(order, ready, needs_nothing=False, leaves_nothing=False)
        return keeping or _of_kind(order, ready, needs_nothing=False, leaves_nothing=True)[:1]
    keeping = _of_kind(order, ready, needs_nothing=True, leaves_nothing=True)
    return (
        keeping
        or _of_kind(order, ready, needs_nothing=True, leaves_nothing=False)[:1]
        or _of_kind(order, ready, needs_nothing=False, leaves_nothing=False)[:1]
        # An open deletion need not happen: where there is nothing, it is kept for later.
        or [one for one in ready if not order.blocks[one].is_optional][:1]
    )


def _of_kind(order: _Order, ready: Sequence[int], *, needs_nothing: bool, leaves_nothing: bool) -> list[int]:
    blocks = order.blocks
    return [
        one
        for one in ready
        if blocks[one].needs_nothing == needs_nothing and blocks[one].leaves_nothing == leaves_nothing
    ]


def _is_done(order: _Order, state: _State) -> bool:
    return state.passed == len(order.blocks) and all(order.blocks[one].is_optional for one in state.waiting)


def _violation(order: _Order, state: _State) -> Judgement:
    """The block that must end first of those left, and one that can come neither before nor after it."""
    left = [*state.waiting, *range(state.passed, len(order.blocks))]
    mandatory = [position for position in left if not order.blocks[position].is_optional]
    first = min(mandatory, key=order.must_end)
    block = order.blocks[first]
    every = [call for one in order.blocks for call in one.calls]
    for position in mandatory:
        other = order.blocks[position]
        if position != first and block.must_end < other.ready_from and other.must_end < block.ready_from:
            shown = [*_bounds(block), *_bounds(other)]
            return Judgement(
                verdict=Verdict.VIOLATED,
                method=_METHOD,
                reason="calls that belong to two writes overlap so that neither write can come first",
                calls=tuple(_unique(shown)),
                around=around(every, shown),
            )
    shown = _bounds(block)
    return Judgement(
        verdict=Verdict.VIOLATED,
        method=_METHOD,
        reason="in every order of the writes a call cannot be placed; in the order that goes furthest there is "
        f"{'a value' if state.has_value else 'nothing'} where it has to take effect",
        calls=tuple(_unique(shown)),
        around=around(every, shown),
    )


def _bounds(block: Block) -> list[Call]:
    """The first call of a block, the one that returned first and the one that was invoked last: what binds it."""
    return [
        block.calls[0],
        min(block.calls, key=lambda call: call.returned_at),
        max(block.calls, key=lambda call: call.invoked_at),
    ]


def _unique(calls: Sequence[Call]) -> list[Call]:
    return list({id(call): call for call in calls}.values())

"""Registers whose written values are unique: what calls saw ties them into chains that nothing can come between. Pure.

Called by histories.linearizability. A call that saw a value, or swapped it for another, took effect after its writer
and before any other write; so a chain (a write, its readers, the swap of it, the readers of that, ...) is one block
of every order, and only blocks are to be ordered (histories.blocks). Source: Gibbons and Korach, "Testing Shared
Memories" (1997), here with swaps, old values and deletions. Law: as in histories.search.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from histories.judgement import Impossible
from histories.model import is_observer, needs
from histories.records import Action, Call


@dataclass(slots=True)
class Block:
    """Calls that take effect without another write between them.

    `needs_nothing`: it begins where there is no value; `leaves_nothing`: it ends so. `must_end` is the first return of
    its calls: whatever was invoked later comes later. `ready_from` is the last invocation of its calls.
    """

    calls: list[Call]
    needs_nothing: bool
    leaves_nothing: bool
    must_end: float = math.inf
    ready_from: float = -math.inf
    is_optional: bool = False


@dataclass(slots=True)
class _Readings:
    """Who needs which value."""

    observers: dict[str, list[Call]] = field(default_factory=dict)
    changers: dict[str, Call] = field(default_factory=dict)


def applies(calls: Sequence[Call]) -> bool:
    """Whether these calls are of a register and no value is written twice."""
    written = set()
    for call in calls:
        if call.action not in (Action.READ, Action.PUT, Action.DELETE, Action.SWAP_IF):
            return False
        if call.failed or call.action not in (Action.PUT, Action.SWAP_IF):
            continue
        if call.value is None or call.value in written:
            return False
        written.add(call.value)
    return True


def make_blocks(calls: Sequence[Call]) -> list[Block]:
    """The blocks of a register's calls; raises Impossible."""
    writers = {call.value: call for call in calls if call.value is not None and not call.failed}
    kept = _kept(calls, writers)
    readings, blocks, starts = _Readings(), [], []
    for call in kept:
        does_need, needed = needs(call)
        if call.action is Action.SWAP_IF and call.failed and call.observed == call.expected:
            raise Impossible("a swap failed although it saw what it expected", [call])
        writes = call.value is not None and not call.failed and call.action is not Action.READ
        if not does_need or needed is None:
            if writes:
                starts.append(call)
            else:
                # A deletion of whatever is there, or one who saw nothing.
                is_open = call.is_open
                blocks.append(_bounded(Block([call], does_need, True, is_optional=is_open)))
        elif needed not in writers:
            raise Impossible(f"a call saw {needed!r}, which nobody wrote", [call])
        elif is_observer(call):
            readings.observers.setdefault(needed, []).append(call)
        elif needed in readings.changers:
            raise Impossible(f"two calls replaced the same {needed!r}", [readings.changers[needed], call])
        else:
            readings.changers[needed] = call
    blocks += [_chain(start, readings) for start in starts]
    in_blocks = sum(len(block.calls) for block in blocks)
    if in_blocks != len(kept):
        placed = {id(call) for block in blocks for call in block.calls}
        raise Impossible("these swaps need each other's values", [one for one in kept if id(one) not in placed][:10])
    return blocks


def _kept(calls: Sequence[Call], writers: dict[str, Call]) -> list[Call]:
    """The calls without open ones that cannot matter: reads, and writes of values that nobody kept saw."""
    completed = [call for call in calls if not call.is_open]
    kept = [call for call in calls if call.is_open and call.action is Action.DELETE]
    wanted: set[str] = set()
    queue = deque(completed)
    while queue:
        call = queue.popleft()
        if call.failed and call.action is not Action.SWAP_IF:
            continue
        kept.append(call)
        needed = needs(call)[1]
        if needed is not None and needed not in wanted:
            wanted.add(needed)
            writer = writers.get(needed)
            if writer is not None and writer.is_open:
                queue.append(writer)
    return kept


def _chain(start: Call, readings: _Readings) -> Block:
    """The block that begins with this write; raises Impossible when its calls cannot follow one another in time."""
    block = Block([], needs(start)[0], False)
    latest: Call | None = None
    changer: Call | None = start
    while changer is not None:
        value = changer.value if changer.action is not Action.DELETE else None
        stage = [changer] if value is None else [changer, *readings.observers.get(value, ())]
        for call in stage:
            before = latest if call is changer or (latest and latest.invoked_at > changer.invoked_at) else changer
            if before is not None and call.returned_at < before.invoked_at:
                raise Impossible("the second call returned before the first was invoked, but saw it", [before, call])
        block.calls += stage
        latest = max([*stage, latest or changer], key=lambda call: call.invoked_at)
        block.leaves_nothing = value is None
        changer = readings.changers.get(value) if value is not None else None
    return _bounded(block)


def _bounded(block: Block) -> Block:
    block.must_end = min(call.returned_at for call in block.calls)
    block.ready_from = max(call.invoked_at for call in block.calls)
    return block

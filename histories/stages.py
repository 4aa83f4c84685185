"""Whether counters and append lists could have come from a single copy: their values say which call came when. Pure.

Called by histories.linearizability for keys that are only added to, or only appended to, and read. The k-th addition
makes stage k; whoever saw the number k, or a list of k elements, took effect in stage k. So there is one order of
stages and nothing to search but which of the additions with an unknown sum fill the holes. Law: as in
histories.search.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from histories.judgement import Impossible
from histories.records import Action, Call, elements_of


@dataclass(slots=True)
class Stages:
    """Stage k begins with `adders[k]`, when it is known, and goes on with those who saw its value.

    `loose` are additions of unknown place that must or may happen; `holes_allowed`: they may fill stages without adder.
    """

    adders: list[Call | None] = field(default_factory=lambda: [None])
    observers: list[list[Call]] = field(default_factory=lambda: [[]])
    loose: list[Call] = field(default_factory=list)
    holes_allowed: bool = True

    def reach(self, stage: int) -> None:
        """Make room for `stage`."""
        while len(self.adders) <= stage:
            self.adders.append(None)
            self.observers.append([])

    def calls_of(self, stage: int) -> list[Call]:
        """The adder and those who saw its value."""
        adder = self.adders[stage]
        return self.observers[stage] if adder is None else [adder, *self.observers[stage]]


def counter_stages(calls: Sequence[Call]) -> Stages:
    """The stages of a counter that begins at nothing; raises Impossible."""
    stages = Stages()
    attempts = sum(call.action is Action.ADD for call in calls)
    for call in calls:
        if call.action is Action.ADD and (call.is_open or call.observed is None):
            stages.loose.append(call)
            continue
        stage = int(call.observed or "0")
        if not 0 <= stage <= attempts or (call.observed == "0"):
            raise Impossible(f"a call saw {stage}, of {attempts} additions that were tried", [call])
        stages.reach(stage)
        if call.action is Action.READ:
            stages.observers[stage].append(call)
            continue
        other = stages.adders[stage]
        if other is not None or stage == 0:
            raise Impossible(f"two additions made the same sum {stage}", [one for one in (other, call) if one])
        stages.adders[stage] = call
    return stages


def list_stages(calls: Sequence[Call]) -> Stages:
    """The stages of a list that begins without an element, elements being unique; raises Impossible."""
    seen = [call for call in calls if call.action is Action.READ or (call.sees_new and not call.is_open)]
    longest = max(seen, key=lambda call: len(call.observed or ""), default=None)
    elements = elements_of(longest.observed) if longest is not None else []
    appended = {call.value: call for call in calls if call.action is Action.APPEND}
    stages = Stages(holes_allowed=False)
    stages.reach(len(elements))
    whole = longest.observed or "" if longest is not None else ""
    for number, element in enumerate(elements, start=1):
        adder = appended.pop(element, None)
        if adder is None:
            assert longest is not None
            why = "is twice in a list" if element in elements[: number - 1] else "was appended by nobody"
            raise Impossible(f"the element {element!r} {why}", [longest])
        stages.adders[number] = adder
    # Lengths of the texts of all prefixes, to find the stage of what a call saw without taking it apart.
    lengths = [0, *itertools.accumulate(len(element) + 1 for element in elements)]
    for call in seen:
        text = call.observed or ""
        stage = bisect.bisect_left(lengths, len(text) + 1) if text else 0
        if not whole.startswith(text) or (text and (stage >= len(lengths) or lengths[stage] != len(text) + 1)):
            assert longest is not None
            raise Impossible("two calls saw lists of which neither begins with the other", [call, longest])
        if call.action is Action.READ:
            stages.observers[stage].append(call)
        elif stages.adders[stage] is not call:
            raise Impossible("an append saw a list that does not end with its element", [call])
    stages.loose = [call for call in appended.values() if not call.is_open]
    return stages


def check_stages(stages: Stages) -> None:
    """Raises Impossible when the stages cannot follow one another in time."""
    count = len(stages.adders)
    # The call of earlier stages that was invoked last: nothing of a later stage may have returned before.
    latest: list[Call | None] = [None] * (count + 1)
    current: Call | None = None
    for stage in range(count):
        latest[stage] = current
        adder = stages.adders[stage]
        for call in stages.calls_of(stage):
            before = current if adder is None or call is adder else _later(current, adder)
            if before is not None and call.returned_at < before.invoked_at:
                raise Impossible(
                    f"the second call returned before the first was invoked, but took effect after it: it is of stage "
                    f"{stage}",
                    [before, call],
                )
        for call in stages.calls_of(stage):
            current = _later(current, call)
    latest[count] = current
    _fill(stages, latest)


def _later(one: Call | None, other: Call) -> Call:
    return other if one is None or other.invoked_at > one.invoked_at else one


def _fill(stages: Stages, latest: Sequence[Call | None]) -> None:
    """Give every stage without adder a loose addition: of those invoked in time, the one that returned first."""
    count = len(stages.adders)
    # The call of this or a later stage that returned first: an addition has to be invoked before.
    first: list[Call | None] = [None] * (count + 1)
    for stage in range(count - 1, -1, -1):
        first[stage] = min(
            (call for call in [first[stage + 1], *stages.calls_of(stage)] if call is not None),
            key=lambda call: call.returned_at,
            default=None,
        )
    waiting = sorted(stages.loose, key=lambda call: call.invoked_at, reverse=True)
    ready: list[tuple[float, float, int, Call]] = []
    number = itertools.count()
    for stage in range(1, count):
        if stages.adders[stage] is not None:
            continue
        deadline = first[stage]
        limit = math.inf if deadline is None else deadline.returned_at
        while stages.holes_allowed and waiting and waiting[-1].invoked_at <= limit:
            call = waiting.pop()
            heapq.heappush(ready, (call.returned_at, call.invoked_at, next(number), call))
        if not ready:
            raise Impossible(
                f"no addition can have made the sum {stage}: fewer were invoked before this call returned",
                [deadline] if deadline is not None else [],
            )
        _check_not_late(heapq.heappop(ready)[3], latest[stage])
    for call in [*waiting, *(one[3] for one in ready)]:
        if not call.is_open:
            _check_not_late(call, latest[count])


def _check_not_late(call: Call, before: Call | None) -> None:
    if before is not None and call.returned_at < before.invoked_at:
        raise Impossible("an addition returned and a call that was invoked later did not see it", [call, before])

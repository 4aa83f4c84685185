"""Figures from what the clients saw: samples for the charts, totals, and times without a success. Pure.

Called by chaos.runner when the load has ended. Law: a time without a success is measured between answers that came, of
requests sent at a fixed rate (chaos.workloads.probes), so a hanging request cannot hide it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from chaos.clients.log import Operation, Told
from chaos.result import FaultSpan, Gap, Sample, Total
from histories.percentiles import percentile

SAMPLE_S = 0.25
# A fault's effect may outlast it: what was broken has to connect, catch up and lead again.
AFTERMATH_S = 3.0
KINDS = ("write", "read", "eventual")


def samples(operations: Iterable[Operation]) -> list[Sample]:
    """Slices of SAMPLE_S by kind, by when the operations ended."""
    slices: dict[tuple[int, str], list[Operation]] = defaultdict(list)
    for operation in operations:
        slices[int(operation.ended_s // SAMPLE_S), operation.kind].append(operation)
    found = []
    for (number, kind), ended in sorted(slices.items()):
        ok, failed, unknown, times = _count(ended)
        found.append(
            Sample(
                at_s=round(number * SAMPLE_S, 3),
                width_s=SAMPLE_S,
                kind=kind,
                ok=ok,
                failed=failed,
                unknown=unknown,
                p50_ms=round(percentile(times, 0.5), 2),
                p99_ms=round(percentile(times, 0.99), 2),
                max_ms=round(times[-1] if times else 0.0, 2),
            )
        )
    return found


def totals(operations: Sequence[Operation]) -> list[Total]:
    """All operations by kind."""
    found = []
    for kind in KINDS:
        own = [operation for operation in operations if operation.kind == kind]
        if own:
            ok, failed, unknown, times = _count(own)
            found.append(
                Total(
                    kind=kind,
                    ok=ok,
                    failed=failed,
                    unknown=unknown,
                    p50_ms=round(percentile(times, 0.5), 2),
                    p99_ms=round(percentile(times, 0.99), 2),
                    max_ms=round(times[-1] if times else 0.0, 2),
                )
            )
    return found


def _count(operations: Iterable[Operation]) -> tuple[int, int, int, list[float]]:
    failed = unknown = 0
    times = []
    for operation in operations:
        if operation.told is Told.OK:
            times.append((operation.ended_s - operation.began_s) * 1000)
        elif operation.told is Told.FAILED:
            failed += 1
        else:
            unknown += 1
    times.sort()
    return len(times), failed, unknown, times


def gaps(
    operations: Iterable[Operation], faults: Sequence[FaultSpan], led_by_victims: Mapping[int, frozenset[int]]
) -> list[Gap]:
    """For every fault, kind and partition the longest time without a success from its injection to its aftermath.

    `led_by_victims`: the partitions that the fault's victims led when it came, by the fault's position. Only probes
    count: the other clients wait for each other. A partition in which no probe ever succeeded has a row too: it is the
    worst of all, and must not pass as one that was never asked.
    """
    successes: dict[tuple[str, int], list[float]] = defaultdict(list)
    for operation in operations:
        if operation.is_probe:
            moments = successes[operation.kind, operation.partition]
            if operation.told is Told.OK:
                moments.append(operation.ended_s)
    for moments in successes.values():
        moments.sort()
    return [
        Gap(
            kind=kind,
            partition=partition,
            fault=number,
            ms=round(longest_s(moments, fault.began_s, fault.ended_s + AFTERMATH_S) * 1000, 1),
            led_by_victim=partition in led_by_victims.get(number, frozenset()),
        )
        for number, fault in enumerate(faults)
        for (kind, partition), moments in sorted(successes.items())
    ]


def slowest_writes(
    operations: Sequence[Operation], faults: Sequence[FaultSpan], led_by_victims: Mapping[int, frozenset[int]]
) -> dict[int, float]:
    """By a fault's position the 99th percentile, in ms, of writes during it in the slowest partition its victims led.

    A fault during which no such write succeeded has none.
    """
    found = {}
    for number, fault in enumerate(faults):
        times: dict[int, list[float]] = defaultdict(list)
        led = led_by_victims.get(number, frozenset())
        for one in operations:
            is_inside = fault.began_s <= one.began_s and one.ended_s <= fault.ended_s
            if is_inside and one.kind == "write" and one.told is Told.OK and one.partition in led:
                times[one.partition].append((one.ended_s - one.began_s) * 1000)
        if times:
            found[number] = max(percentile(sorted(own), 0.99) for own in times.values())
    return found


def longest_s(moments: Sequence[float], from_s: float, to_s: float) -> float:
    """The longest time between successive ascending `moments` that overlaps the time from `from_s` to `to_s`.

    A time that is open at the end counts up to `to_s`.
    """
    begin = max(0, bisect_right(moments, from_s) - 1)
    end = bisect_left(moments, to_s)
    inside = list(moments[begin : end + 1])
    if not inside:
        return to_s - from_s
    longest = max((later - earlier for earlier, later in pairwise(inside)), default=0.0)
    before = max(0.0, inside[0] - from_s)
    after = max(0.0, to_s - inside[-1]) if end >= len(moments) else 0.0
    return max(longest, before, after)

"""How stale eventual reads were, by the AZ of their clients. Pure.

Called by chaos.runner. Law: every figure is a lower bound that the history proves: a value counts as replaced from the
moment on at which a later one was acknowledged.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence

from chaos.measures import percentile
from chaos.result import Staleness
from histories.records import Action, Call

BOUNDS_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, -1.0)


def by_zone(calls: Sequence[Call]) -> list[Staleness]:
    """A row for every AZ whose clients read at eventual consistency."""
    replaced = _replaced(calls)
    order = _order(calls)
    rows: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if not call.is_strong and not call.is_open:
            rows[call.router_az].append(call)
    return [_row(az, own, replaced, order) for az, own in sorted(rows.items())]


def _writes(calls: Sequence[Call]) -> dict[str, list[Call]]:
    """Acknowledged writes by key, in order of their acknowledgement."""
    writes: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        is_write = call.action in (Action.PUT, Action.SWAP_IF, Action.DELETE) and not call.failed
        if is_write and not call.is_open:
            writes[call.key].append(call)
    for own in writes.values():
        own.sort(key=lambda call: call.returned_at)
    return writes


def _replaced(calls: Sequence[Call]) -> dict[tuple[str, str], float]:
    """When a value was certainly replaced: the first acknowledgement of a write that began after its own."""
    found: dict[tuple[str, str], float] = {}
    for key, own in _writes(calls).items():
        later = sorted((call.invoked_at, call.returned_at) for call in own)
        # The earliest acknowledgement among all writes that began at or after each position.
        earliest, best = [0.0] * len(later), float("inf")
        for position in range(len(later) - 1, -1, -1):
            best = min(best, later[position][1])
            earliest[position] = best
        begins = [began for began, _ in later]
        for call in own:
            position = bisect_left(begins, call.returned_at)
            if call.value is not None and position < len(later):
                found[key, call.value] = earliest[position]
    return found


def _order(calls: Sequence[Call]) -> dict[tuple[str, str], tuple[float, float]]:
    """When each value was written: (invoked, acknowledged)."""
    return {
        (call.key, call.value): (call.invoked_at, call.returned_at)
        for call in calls
        if call.action in (Action.PUT, Action.SWAP_IF) and not call.failed and call.value is not None
    }


def _row(
    az: str,
    reads: Sequence[Call],
    replaced: dict[tuple[str, str], float],
    order: dict[tuple[str, str], tuple[float, float]],
) -> Staleness:
    ages_ms: list[float] = []
    went_back = 0
    last: dict[tuple[str, str], str] = {}
    for call in sorted(reads, key=lambda call: call.invoked_at):
        if call.observed is None:
            continue
        since_s = replaced.get((call.key, call.observed))
        if since_s is not None and since_s < call.invoked_at:
            ages_ms.append((call.invoked_at - since_s) * 1000)
        before = last.get((call.client, call.key))
        if before is not None and before != call.observed:
            old, new = order.get((call.key, call.observed)), order.get((call.key, before))
            # Certainly older: acknowledged before the one seen earlier was begun.
            went_back += old is not None and new is not None and old[1] < new[0]
        last[call.client, call.key] = call.observed
    ages_ms.sort()
    counts = Counter(next(bound for bound in BOUNDS_MS if age <= bound or bound < 0) for age in ages_ms)
    return Staleness(
        az=az,
        reads=len(reads),
        stale=len(ages_ms),
        went_back=went_back,
        p50_ms=round(percentile(ages_ms, 0.5), 1),
        p99_ms=round(percentile(ages_ms, 0.99), 1),
        max_ms=round(ages_ms[-1] if ages_ms else 0.0, 1),
        histogram=tuple((bound, counts[bound]) for bound in BOUNDS_MS),
        served_by=dict(Counter(call.served_by for call in reads if call.served_by)),
    )

"""How stale eventual reads were, by the AZ of their clients: the report of histories.sessions in the result's shape.
Pure.

Called by chaos.runner. Law: every figure is a lower bound that the history proves.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from chaos.result import Staleness
from histories.records import Call
from histories.sessions import report_sessions
from histories.staleness import BUCKETS_MS, Reads

# Upper bounds of the histogram's buckets; the last one has none.
BOUNDS_MS = (*map(float, BUCKETS_MS), -1.0)


def by_zone(calls: Sequence[Call]) -> list[Staleness]:
    """A row for every AZ whose clients read at eventual consistency."""
    served_by: dict[str, Counter[str]] = defaultdict(Counter)
    for call in calls:
        if call.is_eventual and not call.is_open and call.served_by:
            served_by[call.router_az][call.served_by] += 1
    return [_row(reads, served_by[reads.router_az]) for reads in report_sessions(calls).by_router_az]


def _row(reads: Reads, served_by: Counter[str]) -> Staleness:
    return Staleness(
        az=reads.router_az,
        reads=reads.reads,
        stale=reads.stale,
        went_back=reads.went_back,
        missed_own_write=reads.missed_own_write,
        versions_max=max((behind for behind, _ in reads.versions_behind), default=0),
        p50_ms=round(reads.stale_ms_p50, 1),
        p99_ms=round(reads.stale_ms_p99, 1),
        max_ms=round(reads.stale_ms_max, 1),
        histogram=tuple(zip(BOUNDS_MS, reads.histogram, strict=True)),
        served_by=dict(served_by),
    )

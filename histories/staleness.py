"""The report of what eventual reads showed: how stale, how often back in time, seen from which AZ. Pure.

Made by histories.sessions, shown by `trizone history check`. Law: every figure is a lower bound that the history
proves; what could have been concurrent is not counted as stale.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from histories.percentiles import percentile

# Upper bounds of the histogram's buckets, in milliseconds; the last bucket has none.
BUCKETS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
PHANTOMS_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """What one eventual read proves. `versions` newer ones had been acknowledged before it began, the first of them
    `stale_ms` before."""

    versions: int
    stale_ms: float
    went_back: bool
    missed_own_write: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """Figures of a group of eventual reads; a "" as AZ is one that was not written down.

    `stale_ms` figures are over the stale reads: time from the acknowledgement of a newer value to the read's
    invocation. `histogram` has one count for each of BUCKETS_MS and one for what is longer; `versions_behind` pairs a
    number of newer acknowledged versions with a count of reads.
    """

    router_az: str
    served_az: str
    reads: int
    stale: int
    went_back: int
    missed_own_write: int
    stale_ms_p50: float
    stale_ms_p99: float
    stale_ms_max: float
    histogram: tuple[int, ...]
    versions_behind: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReport:
    """All eventual reads, those of each router's AZ, and of each pair of AZs; `phantoms` show what nobody had
    written: a violation.

    `unjudged` reads are of keys whose versions have no order (sets, banks, values written again).
    """

    total: Reads
    by_router_az: tuple[Reads, ...]
    by_az: tuple[Reads, ...]
    phantoms: tuple[str, ...]
    unjudged: int

    @property
    def is_sound(self) -> bool:
        """Whether eventual reads only ever returned values that somebody wrote."""
        return not self.phantoms


def summed(seen: Sequence[Seen], router_az: str = "", served_az: str = "") -> Reads:
    """The figures of these reads."""
    ages = sorted(one.stale_ms for one in seen if one.versions)
    counts = Counter(bisect.bisect_left(BUCKETS_MS, age) for age in ages)
    versions = Counter(one.versions for one in seen if one.versions)
    return Reads(
        router_az=router_az,
        served_az=served_az,
        reads=len(seen),
        stale=len(ages),
        went_back=sum(one.went_back for one in seen),
        missed_own_write=sum(one.missed_own_write for one in seen),
        stale_ms_p50=percentile(ages, 0.5),
        stale_ms_p99=percentile(ages, 0.99),
        stale_ms_max=ages[-1] if ages else 0.0,
        histogram=tuple(counts[bucket] for bucket in range(len(BUCKETS_MS) + 1)),
        versions_behind=tuple(sorted(versions.items())),
    )


def bucket_names() -> list[str]:
    """Labels of the histogram's buckets, in order."""
    bounds = [0, *BUCKETS_MS]
    named = [f"{low}-{high} ms" for low, high in itertools.pairwise(bounds)]
    return [*named, f"> {bounds[-1]} ms"]


def to_text(report: SessionReport) -> str:
    """The report for a terminal."""
    lines = [_line("all", report.total)] if report.total.reads else ["no eventual reads"]
    if report.total.stale:
        most = max(report.total.histogram)
        for name, count in zip(bucket_names(), report.total.histogram, strict=True):
            if count:
                lines.append(f"  stale for {name:>13} {count:>8} {'#' * max(1, round(40 * count / most))}")
        most_behind = report.total.versions_behind[:12]
        lines.append("  versions behind: " + ", ".join(f"{behind}: {count}" for behind, count in most_behind))
    for row in report.by_az:
        lines.append(_line(f"router in {row.router_az or '?'}, answered from {row.served_az or '?'}", row))
    if report.unjudged:
        lines.append(f"{report.unjudged} reads of keys whose versions have no order: not judged")
    lines += [f"PHANTOM: {phantom}" for phantom in report.phantoms[:PHANTOMS_SHOWN_MAX]]
    return "\n".join(lines)


def _line(name: str, row: Reads) -> str:
    stale = f"{row.stale} stale ({100 * row.stale / row.reads:.2f} %)"
    text = f"{name}: {row.reads} reads, {stale}, went back {row.went_back}, missed own write {row.missed_own_write}"
    if row.stale:
        text += f"; stale by p50 {row.stale_ms_p50:.1f}, p99 {row.stale_ms_p99:.1f}, max {row.stale_ms_max:.1f} ms"
    return text


def grouped(rows: Iterable[tuple[tuple[str, str], Seen]]) -> tuple[Reads, ...]:
    """The figures of each pair of (router's AZ, answering AZ)."""
    groups: dict[tuple[str, str], list[Seen]] = {}
    for pair, seen in rows:
        groups.setdefault(pair, []).append(seen)
    return tuple(summed(seen, *pair) for pair, seen in sorted(groups.items()))

"""The report of what eventual reads showed: how stale, how often back in time, seen from which AZ. Pure.

Made by histories.sessions, shown by `trizone history check` and by the reports of chaos runs. Law: every figure is a
lower bound that the history proves; what could have been concurrent is not counted as stale.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

# Upper bounds of the histogram's buckets, in milliseconds; the last bucket has none.
BUCKETS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsFrom:
    """The eventual reads through routers of one AZ that nodes of one AZ answered; "" is an AZ that was not written
    down."""

    router_az: str
    served_az: str
    reads: int
    stale: int
    went_back: int
    missed_own_write: int
    stale_ms_p50: float
    stale_ms_p99: float
    stale_ms_max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReport:
    """Staleness of eventual reads. A read that is not stale is 0 versions and 0 ms behind.

    `stale_ms` figures are over stale reads only: time from the acknowledgement of a newer value to the read's
    invocation. `histogram` has one count for each of BUCKETS_MS and one for what is longer; `versions_behind` maps a
    number of newer acknowledged versions to a count of reads.
    """

    reads: int
    stale: int
    went_back: int
    missed_own_write: int
    stale_ms_p50: float
    stale_ms_p99: float
    stale_ms_max: float
    histogram: tuple[int, ...]
    versions_behind: tuple[tuple[int, int], ...]
    by_az: tuple[ReadsFrom, ...]
    # Reads that show what nobody had written: not staleness but a violation.
    phantoms: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether eventual reads only ever returned values that somebody wrote."""
        return not self.phantoms


def bucket_names() -> list[str]:
    """Labels of the histogram's buckets, in order."""
    bounds = [0, *BUCKETS_MS]
    named = [f"{low}-{high} ms" for low, high in itertools.pairwise(bounds)]
    return [*named, f"> {bounds[-1]} ms"]


def to_text(report: SessionReport) -> str:
    """The report for a terminal."""
    if not report.reads:
        return "eventual reads: none"
    lines = [
        f"eventual reads: {report.reads}, stale {_share(report.stale, report.reads)}, "
        f"went back {report.went_back}, missed the client's own write {report.missed_own_write}"
    ]
    if report.stale:
        lines.append(
            f"  stale for at least: p50 {report.stale_ms_p50:.1f} ms, p99 {report.stale_ms_p99:.1f} ms, "
            f"max {report.stale_ms_max:.1f} ms"
        )
        most = max(report.histogram)
        for name, count in zip(bucket_names(), report.histogram, strict=True):
            if count:
                lines.append(f"  {name:>14} {count:>8} {'#' * max(1, round(40 * count / most))}")
        versions = ", ".join(f"{behind}: {count}" for behind, count in report.versions_behind[:12] if behind)
        lines.append(f"  versions behind: {versions}")
    for row in report.by_az:
        lines.append(
            f"  router in {row.router_az or '?'}, answered from {row.served_az or '?'}: {row.reads} reads, "
            f"stale {_share(row.stale, row.reads)}, went back {row.went_back}, missed own {row.missed_own_write}, "
            f"p99 {row.stale_ms_p99:.1f} ms"
        )
    lines += [f"  PHANTOM: {phantom}" for phantom in report.phantoms[:20]]
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.2f} %)"

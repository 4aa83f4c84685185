"""What a comparison found: a line for each operation and peer, medians over the rounds, ratios, the table. Pure.

Called by compare.py. Laws: a throughput counts answers 2xx only; a peer that answers errors wins nothing, so a line
with more than ERRORS_MAX of them has no ratio, neither to it nor from it; a ratio is between two medians of the table.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench_generators import CpuMeter, Measured
from bench_requests import OPERATIONS

COMPARED = ("put", "strong", "eventual")
OURS = "trizone"
# Of all answers: a socket that was lost once does not void a line.
ERRORS_MAX = 0.01


@dataclass(frozen=True, slots=True)
class Visit:
    """One operation at one peer in one round."""

    peer: str
    round: int
    measured: Measured
    memory_bytes: int  # of all processes of the peer, afterwards

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        rate = self.measured.operations_per_s
        return {"peer": self.peer, "round": self.round, "memory_bytes": self.memory_bytes} | {
            **asdict(self.measured),
            "operations_per_s": rate,
        }


@dataclass(frozen=True, slots=True)
class Line:
    """Medians over the rounds. CPU is of one core, all processes of the peer together."""

    operation: str
    peer: str
    rounds: int
    operations_per_s: float
    slowest_per_s: float
    fastest_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_percent: float
    others_percent: float
    memory_bytes: float
    answers: int
    errors: int

    @property
    def counts(self) -> bool:
        """Is it a result, rather than mostly or partly errors?"""
        return self.operations_per_s > 0 and self.errors <= ERRORS_MAX * (self.answers + self.errors)


def peer_cpu(measured: Measured) -> float:
    """Per cent of one core, all processes of the peer together."""
    apart = (CpuMeter.LOAD, CpuMeter.OTHERS)
    return sum(percent or 0.0 for name, percent in measured.cpu_percent.items() if name not in apart)


def line(visits: Sequence[Visit]) -> Line:
    """The line of visits of one peer with one operation; there is at least one."""

    def median(value: Callable[[Visit], float]) -> float:
        return statistics.median(value(visit) for visit in visits)

    rates = [visit.measured.operations_per_s for visit in visits]
    return Line(
        operation=visits[0].measured.operation,
        peer=visits[0].peer,
        rounds=len(visits),
        operations_per_s=statistics.median(rates),
        slowest_per_s=min(rates),
        fastest_per_s=max(rates),
        p50_ms=median(lambda visit: visit.measured.p50_ms),
        p99_ms=median(lambda visit: visit.measured.p99_ms),
        cpu_percent=median(lambda visit: peer_cpu(visit.measured)),
        others_percent=median(lambda visit: visit.measured.cpu_percent.get(CpuMeter.OTHERS) or 0.0),
        memory_bytes=median(lambda visit: visit.memory_bytes),
        answers=sum(visit.measured.operations for visit in visits),
        errors=sum(visit.measured.errors for visit in visits),
    )


def lines(visits: Sequence[Visit]) -> list[Line]:
    """By operation, in it by throughput."""
    found = []
    for operation in dict.fromkeys(visit.measured.operation for visit in visits):
        peers = dict.fromkeys(visit.peer for visit in visits)
        some = [
            [visit for visit in visits if (visit.peer, visit.measured.operation) == (peer, operation)] for peer in peers
        ]
        found += sorted((line(one) for one in some if one), key=lambda one: -one.operations_per_s)
    return found


def find(found: Sequence[Line], operation: str, peer: str) -> Line | None:
    """The line, if it was measured."""
    return next((one for one in found if (one.operation, one.peer) == (operation, peer)), None)


def ratio(found: Sequence[Line], operation: str, peer: str) -> float | None:
    """Our throughput by the peer's; None when one of them was not measured or does not count."""
    ours, its = find(found, operation, OURS), find(found, operation, peer)
    if ours is None or its is None or not ours.counts or not its.counts:
        return None
    return ours.operations_per_s / its.operations_per_s


def table(found: Sequence[Line], titles: Mapping[str, str], missing: Mapping[str, str]) -> list[str]:
    """The table as lines of text; `missing`: why a peer was not visited, or not to the end."""
    text = [
        f"{'operation':<17}{'':<24}{'operations/s':>13}{'slowest':>9}{'fastest':>9}{'p50 ms':>8}{'p99 ms':>8}"
        f"{'CPU %':>7}{'MB':>7}{'others %':>10}{'errors':>8}{'Trizone is':>12}"
    ]
    for one in found:
        times = ratio(found, one.operation, one.peer)
        memory_mb = one.memory_bytes / 1e6
        shown = "" if one.peer == OURS else "-" if times is None else f"{times:.2f} x"
        text.append(
            f"{OPERATIONS[one.operation].title:<17}{titles[one.peer]:<24}{one.operations_per_s:>13,.0f}"
            f"{one.slowest_per_s:>9,.0f}{one.fastest_per_s:>9,.0f}{one.p50_ms:>8.2f}{one.p99_ms:>8.2f}"
            f"{one.cpu_percent:>7.0f}{memory_mb:>7.0f}{one.others_percent:>10.0f}{one.errors:>8}{shown:>12}"
        )
    text += [f"{titles[peer]}: {reason}" for peer, reason in missing.items()]
    return text


def ratios(found: Sequence[Line]) -> dict[str, dict[str, float | None]]:
    """By peer and operation."""
    peers = [peer for peer in dict.fromkeys(one.peer for one in found) if peer != OURS]
    return {
        peer: {one.operation: ratio(found, one.operation, peer) for one in found if one.peer == peer} for peer in peers
    }

"""What one seed came to, as it travels from a worker process to the one that prints: one line of JSON. Pure.

Made by simulation.worker, summed up by simulation.__main__. Law: plain JSON and no pickle (law 4); every number of a
report is carried, also those that later work adds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from simulation.run import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run of one seed."""

    seed: int
    # Empty: all was well.
    violation: str = ""
    digest: str = ""
    virtual_s: float = 0.0
    # Name of a counter of the report -> its value.
    counts: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether the run was judged, all of it, and nothing was found."""
        return not self.violation and not self.counts.get("undecided")

    def line(self) -> bytes:
        """The line that carries it, with its end."""
        return orjson.dumps({name: getattr(self, name) for name in self.__slots__}) + b"\n"


def outcome_of(report: Report) -> Outcome:
    """The outcome that a report tells of."""
    numbers = {item.name: getattr(report, item.name) for item in fields(report) if item.name != "seed"}
    return Outcome(
        seed=report.seed,
        violation=report.violation,
        digest=report.digest,
        virtual_s=report.virtual_s,
        counts={name: value for name, value in numbers.items() if type(value) is int},
        faults=report.faults,
    )


def parse_outcome(line: bytes) -> Outcome:
    """The outcome that `line` carries. Raises ValueError when it carries none."""
    members: dict[str, Any] = orjson.loads(line)
    return Outcome(**members)


def describe(outcome: Outcome) -> str:
    """One line for a person."""
    verdict = "VIOLATION" if outcome.violation else "ok" if outcome.is_good else "UNDECIDED"
    counts = ", ".join(f"{count} {name}" for name, count in outcome.counts.items())
    faults = " ".join(f"{name}={count}" for name, count in outcome.faults.items())
    head = f"seed {outcome.seed}: {verdict}; {outcome.virtual_s:.1f} s virtual, {counts}"
    return f"{head}; {faults or 'no fault'}; digest {outcome.digest}"


class Totals:
    """The sum of many outcomes."""

    def __init__(self) -> None:
        self.seeds = 0
        self.violations = 0
        self.good = 0
        self.virtual_s = 0.0
        self.counts: dict[str, int] = {}
        self.faults: dict[str, int] = {}

    def add(self, outcome: Outcome) -> None:
        """One more seed."""
        self.seeds += 1
        self.violations += bool(outcome.violation)
        self.good += outcome.is_good
        self.virtual_s += outcome.virtual_s
        for totals, counts in ((self.counts, outcome.counts), (self.faults, outcome.faults)):
            for name, count in counts.items():
                totals[name] = totals.get(name, 0) + count

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        faults = " ".join(f"{name}={count}" for name, count in sorted(self.faults.items()))
        return f"{self.virtual_s:.0f} s virtual, {counts}; faults: {faults or 'none'}"

"""What Trizone is meant to reach, and the verdict on a figure. Pure.

The figures come from comparison.py (against etcd) and goal_runs.py. Law: a goal is reached only by a figure that was
measured in this run without errors; what could not be measured says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from comparison import Line, find, ratio


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit. `group`: what has to be run for it; `at_least`: larger is better."""

    name: str
    group: str
    title: str
    limit: float
    unit: str
    at_least: bool


def _goals(group: str, at_least: bool, *rows: tuple[str, str, float, str]) -> list[Goal]:
    return [Goal(name, group, title, limit, unit, at_least) for name, title, limit, unit in rows]


GOALS = {
    goal.name: goal
    for goal in (
        *_goals(
            "etcd",
            True,
            ("etcd-put", "PutItem against etcd's put", 2.0, "times"),
            ("etcd-strong", "strong GetItem against etcd's linearizable get", 2.0, "times"),
            ("etcd-eventual", "eventual GetItem against etcd's serializable get", 3.0, "times"),
        ),
        *_goals("start", False, ("start", "`trizone up` until it serves", 3.0, "s")),
        *_goals(
            "rates",
            True,
            ("update", "UpdateItem with a condition against PutItem", 0.7, "times"),
            ("batch", "BatchWriteItem of 25", 40_000, "items/s"),
            ("query20", "Query of 20 items", 5_000, "/s"),
        ),
        *_goals(
            "half",
            False,
            ("half-put", "p99 of PutItem at half its peak rate", 10.0, "ms"),
            ("half-strong", "p99 of strong GetItem at half its peak rate", 10.0, "ms"),
            ("half-eventual", "p99 of eventual GetItem at half its peak rate", 10.0, "ms"),
        ),
        *_goals(
            "lone",
            False,
            ("lone-put", "p50 of PutItem of a lone client", 3.0, "ms"),
            ("lone-strong", "p50 of strong GetItem of a lone client", 1.0, "ms"),
        ),
        *_goals(
            "idle",
            False,
            ("idle-cpu", "idle cluster of 24 partitions: CPU, all processes together", 5.0, "% of a core"),
            ("idle-memory", "idle cluster of 24 partitions: memory of the largest node", 120.0, "MB"),
        ),
        *_goals(
            "partitions",
            True,
            ("partitions-put", "PutItem with 24 partitions against 6", 0.8, "times"),
            ("partitions-strong", "strong GetItem with 24 partitions against 6", 0.8, "times"),
            ("partitions-eventual", "eventual GetItem with 24 partitions against 6", 0.8, "times"),
        ),
        *_goals(
            "million",
            False,
            ("million-put", "p50 of PutItem at 1 million items against 10,000", 1.15, "times"),
            ("million-strong", "p50 of strong GetItem at 1 million items against 10,000", 1.15, "times"),
            ("million-eventual", "p50 of eventual GetItem at 1 million items against 10,000", 1.15, "times"),
        ),
    )
}
GROUPS = tuple(dict.fromkeys(goal.group for goal in GOALS.values()))


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal and its figure; None when there is none, for the reason in `detail`."""

    goal: Goal
    figure: float | None
    detail: str = ""

    @property
    def reached(self) -> bool | None:
        """None when it was not measured. A limit itself is good enough for what is to be at least it, else not."""
        if self.figure is None:
            return None
        return self.figure >= self.goal.limit if self.goal.at_least else self.figure < self.goal.limit

    @property
    def word(self) -> str:
        """For the table."""
        return {None: "not measured", True: "reached", False: "missed"}[self.reached]

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return {**asdict(self.goal), "figure": self.figure, "verdict": self.word, "detail": self.detail}


def verdict(name: str, figure: float | None, detail: str = "", *, errors: int = 0) -> Verdict:
    """On one figure; errors void it."""
    if errors:
        return Verdict(GOALS[name], None, f"{errors} errors; {detail}".removesuffix("; "))
    return Verdict(GOALS[name], figure, detail)


def unmeasured(group: str, reason: str) -> list[Verdict]:
    """Every goal of a group that could not be run."""
    return [Verdict(goal, None, reason) for goal in GOALS.values() if goal.group == group]


def against_etcd(found: Sequence[Line], reason: str) -> list[Verdict]:
    """From the lines of a comparison; `reason`: why etcd is not among them, if so."""
    verdicts = []
    for operation in ("put", "strong", "eventual"):
        ours, its = (find(found, operation, peer) for peer in ("trizone", "etcd"))
        if ours is None or its is None:
            verdicts.append(verdict(f"etcd-{operation}", None, reason or "not measured in this run"))
            continue
        detail = f"{ours.operations_per_s:,.0f}/s and {its.operations_per_s:,.0f}/s"
        times = ratio(found, operation, "etcd")
        if times is None:
            detail = f"{ours.errors} errors of Trizone, {its.errors} of etcd; {detail}"
        verdicts.append(verdict(f"etcd-{operation}", times, detail))
    return verdicts


def report(verdicts: Sequence[Verdict]) -> list[str]:
    """The verdicts as lines of text."""
    text = []
    for one in verdicts:
        limit = f"{'at least' if one.goal.at_least else 'under'} {one.goal.limit:,g} {one.goal.unit}"
        figure = "-" if one.figure is None else f"{one.figure:,.2f}" if one.figure < 100 else f"{one.figure:,.0f}"
        text.append(f"{one.word:<13}{one.goal.title:<62}{limit:<24}{figure:>9}   {one.detail}".rstrip())
    return text

"""A seeded defect: what is broken, in which clusters it shows soon, and as what it is found.

Law: a seed catches a defect only if the same seed, in the same cluster but without it, is good.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from simulation import knobs, run
from simulation.knobs import Fault, Knobs, Load, draw_knobs
from simulation.run import run_seed

Patch = pytest.MonkeyPatch
# Enough to break things a few times; whoever lets a defect in finds it in longer runs as well.
_FAULTS_END_S = 8.0
_REQUEST_RATE = 80.0
# A defect that so many seeds do not notice is one that the simulation does not find.
_SEEDS_MAX = 60


def nothing(_patch: Patch) -> None:
    """The code as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One case of a test; seeds are drawn as ever, but for what makes this defect show."""

    defect: Callable[[Patch], None]
    found_as: str
    # No defect: what makes this one show soon, and is there without it as well.
    amid: Callable[[Patch], None] = nothing
    loads: tuple[Load, ...] = (Load.REGISTERS,)
    faults: tuple[Fault, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    # Members of the knobs' ReplicationSettings.
    replication: dict[str, Any] = field(default_factory=dict)

    def shape_clusters(self, patch: Patch) -> None:
        """Draw clusters that are busy and short-lived, in which the defect shows soon."""
        patch.setattr(knobs, "_DENSE_PROBABILITY", 1.0)
        patch.setattr(run, "draw_knobs", lambda randomness: self._shaped(draw_knobs(randomness)))
        self.amid(patch)

    def _shaped(self, drawn: Knobs) -> Knobs:
        changes: dict[str, Any] = {"faults_end_s": _FAULTS_END_S, "request_rate": _REQUEST_RATE, "loads": self.loads}
        # What costs least, and shows as much unless a case says otherwise.
        changes |= {"machines": 3, "partitions": 2}
        changes["faults"] = self.faults or tuple(fault for fault in drawn.faults if fault is not Fault.MOVE)
        if self.replication:
            changes["replication"] = replace(drawn.replication, **self.replication)
        return replace(drawn, **{**changes, **self.more})


def must_be_caught(patch: Patch, case: Defect) -> None:
    """Run seeds with the defect until one is violated, as expected; that seed is good without it."""
    case.shape_clusters(patch)
    with patch.context() as broken:
        case.defect(broken)
        seed, violation = _first_caught(case)
    assert re.search(case.found_as, violation), f"seed {seed} finds something else: {violation}"
    control = run_seed(seed)
    assert not control.violation, f"seed {seed} finds something without the defect too: {control.violation}"
    assert not control.undecided, f"seed {seed} is undecided without the defect"


def _first_caught(case: Defect) -> tuple[int, str]:
    for seed in range(1, _SEEDS_MAX + 1):
        violation = run_seed(seed).violation
        if violation:
            return seed, violation
    pytest.fail(f"{_SEEDS_MAX} seeds do not notice: {case.defect.__doc__}")


def name_of(case: Defect) -> str:
    """The id of a case."""
    return case.defect.__name__

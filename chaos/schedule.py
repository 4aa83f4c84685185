"""When each fault comes: drawn from the seed before the run begins. Pure.

Called by chaos.runner. Law: the same scenario and seed give the same schedule; who is hit is found when it comes, with
randomness that belongs to that one injection, so one that is late changes no other.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from chaos.faults.base import Fault
from chaos.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Planned:
    """One injection."""

    number: int
    fault: Fault
    at_s: float
    # Seconds until it is healed; None: it ends by itself.
    for_s: float | None
    rng: random.Random


def plan(scenario: Scenario, seed: int) -> list[Planned]:
    """Every injection of a run, in order of time."""
    drawn: list[tuple[float, float | None, Fault, random.Random]] = []
    for number, fault in enumerate(scenario.faults):
        rng = random.Random(f"{seed}/schedule/{number}")
        at_s = fault.at.draw(rng)
        for time in range(fault.times):
            for_s = fault.for_.draw(rng) if fault.for_ is not None else None
            drawn.append((at_s, for_s, fault, random.Random(f"{seed}/victim/{number}/{time}")))
            at_s += fault.every.draw(rng) if fault.every is not None else 0.0
    drawn.sort(key=lambda entry: entry[0])
    return [Planned(number, fault, at_s, for_s, rng) for number, (at_s, for_s, fault, rng) in enumerate(drawn)]

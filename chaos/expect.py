"""The expectations of a scenario against what was measured. Pure.

Called by chaos.runner. Law: what could not be measured does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chaos.result import Expectation, FaultSpan, Gap, LeaderChange, Total
from chaos.scenario import Bounds, Effect, Expectations
from histories.percentiles import percentile


@dataclass(slots=True)
class Measured:
    """What expectations are held against."""

    faults: Sequence[FaultSpan] = ()
    gaps: Sequence[Gap] = ()
    # By a fault's position (measures.slowest_writes).
    slowest_writes_ms: Mapping[int, float] = field(default_factory=dict)
    leaders: Sequence[LeaderChange] = ()
    totals: Sequence[Total] = ()
    elections: int | None = None
    converged_s: float | None = None
    # Processes that ended by themselves: (name, exit status), each.
    exits: Sequence[tuple[str, int | None]] = ()
    # Victims by the name of the fault.
    hit: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # Nodes that rebuilt a replica, by what their logs say.
    rebuilt: Sequence[str] = ()
    # Troubles with injecting and healing, and what was left behind.
    troubles: Sequence[str] = ()


def judge(expect: Expectations, seen: Measured) -> list[Expectation]:
    """Every expectation with its figure."""
    found = [_troubles(seen), _converged(expect, seen), _exits(expect, seen)]
    for kind, name in (("write", "write_gap_ms"), ("read", "read_gap_ms"), ("eventual", "eventual_gap_ms")):
        bounds: Bounds | None = getattr(expect, name)
        if bounds is not None:
            found += _gaps(name, bounds, [gap for gap in seen.gaps if gap.kind == kind])
    if expect.elections is not None:
        held = seen.elections is not None and seen.elections <= expect.elections
        found.append(_line("elections", f"at most {expect.elections}", str(seen.elections), held))
    if expect.failed_requests is not None:
        failed = sum(total.failed + total.unknown for total in seen.totals)
        wanted = f"at most {expect.failed_requests}"
        found.append(_line("failed_requests", wanted, str(failed), failed <= expect.failed_requests))
    for name in expect.rebuilt:
        victims = list(seen.hit.get(name, ()))
        held = bool(victims) and all(victim in seen.rebuilt for victim in victims)
        measured = f"rebuilt: {', '.join(seen.rebuilt) or 'none'}"
        found.append(_line("rebuilt", f"{', '.join(victims) or 'nobody was hit'} ({name})", measured, held))
    for label, effect in expect.effects.items():
        found += _effects(label, effect, seen)
    return found


def _line(name: str, wanted: str, measured: str, held: bool) -> Expectation:
    return Expectation(name=name, wanted=wanted, measured=measured, held=held)


def worst_gaps(gaps: Sequence[Gap]) -> list[float]:
    """For every fault the worst partition's time without a success, ascending."""
    return sorted(_worst_by_fault(gaps).values())


def _worst_by_fault(gaps: Sequence[Gap]) -> dict[int, float]:
    worst: dict[int, float] = {}
    for gap in gaps:
        worst[gap.fault] = max(worst.get(gap.fault, 0.0), gap.ms)
    return worst


def _effects(label: str, effect: Effect, seen: Measured) -> list[Expectation]:
    """Every injection of the fault called `label` did what it must do at least."""
    numbers = [number for number, fault in enumerate(seen.faults) if fault.label == label]
    gaps = _worst_by_fault([gap for gap in seen.gaps if gap.kind == "write"])
    found = []
    for name, least_ms, values in (
        ("write_gap_ms", effect.write_gap_ms, gaps),
        ("write_p99_ms", effect.write_p99_ms, seen.slowest_writes_ms),
    ):
        if least_ms is not None:
            # What was not measured is no effect.
            figures = [values.get(number, 0.0) for number in numbers]
            measured = ", ".join(f"{figure:.0f} ms" for figure in figures) or "nothing measured"
            held = bool(figures) and min(figures) >= least_ms
            found.append(_line(name, f"at least {least_ms:g} ms each time ({label})", measured, held))
    if effect.leads_again:
        back = [_leads_again(seen.faults[number], seen.leaders) for number in numbers]
        measured = ", ".join(back) or "nothing measured"
        found.append(_line("leads_again", f"one of those it hit ({label})", measured, bool(back) and all(back)))
    return found


def _leads_again(fault: FaultSpan, leaders: Sequence[LeaderChange]) -> str:
    """The first victim that took a partition over after the fault came; empty for none."""
    return next((one.leader for one in leaders if one.at_s > fault.began_s and one.leader in fault.victims), "")


def _gaps(name: str, bounds: Bounds, gaps: Sequence[Gap]) -> list[Expectation]:
    values = worst_gaps(gaps)
    figures = {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "max": values[-1] if values else 0.0}
    found = []
    for figure, limit in bounds.model_dump().items():
        if limit is not None:
            measured = f"{figures[figure]:.0f} ms over {len(values)} faults" if values else "nothing measured"
            held = bool(values) and figures[figure] <= limit
            found.append(_line(name, f"{figure} at most {limit:g} ms", measured, held))
    return found


def _troubles(seen: Measured) -> Expectation:
    measured = "; ".join(seen.troubles) or "all were"
    return _line("faults", "injected, healed, and nothing left behind", measured, not seen.troubles)


def _converged(expect: Expectations, seen: Measured) -> Expectation:
    wanted = f"every replica has caught up within {expect.converged_s:g} s"
    if seen.converged_s is None:
        return _line("converged", wanted, "not in time", False)
    return _line("converged", wanted, f"{seen.converged_s:.1f} s", seen.converged_s <= expect.converged_s)


def _exits(expect: Expectations, seen: Measured) -> Expectation:
    """Exactly the processes that had to end by themselves did, with the right status."""
    due = sorted((victim, status) for label, status in expect.node_exits.items() for victim in seen.hit.get(label, ()))
    wanted = ", ".join(f"{name} with status {status}" for name, status in due) or "nobody ends by itself"
    came = sorted((name, -1 if status is None else status) for name, status in seen.exits)
    measured = ", ".join(f"{name} with status {status}" for name, status in came) or "nobody"
    labels_hit = all(seen.hit.get(label) for label in expect.node_exits)
    return _line("ends", wanted, measured, labels_hit and came == due)

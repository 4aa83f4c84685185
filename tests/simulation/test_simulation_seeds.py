"""The simulation of the real node code: many seeds without a violation, and one seed the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from simulation.__main__ import explain
from simulation.knobs import Fault, Load, draw_knobs
from simulation.limited import limited
from simulation.run import Report, Run, run_seed
from simulation.story import Story
from simulation.workloads.registers import Registers
from simulation.world import World

pytestmark = pytest.mark.simulation

# A sample: `make sim` runs thousands. As many seeds as fit; a slow machine runs fewer, never none.
BUDGET_S = 20.0
SEEDS_MIN = 30
SEEDS_MAX = 200
# TRIZONE_SIM_FIRST moves the window, so that a nightly run sees other seeds than a commit does.
FIRST_SEED = int(os.environ.get("TRIZONE_SIM_FIRST", "1"))


def run_batch() -> list[Report]:
    """Run seeds until the budget is used; fails at the first violation."""
    reports: list[Report] = []
    end = time.perf_counter() + BUDGET_S
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS_MAX):
        report = run_seed(seed)
        assert not report.violation, explain(run_seed(seed, Story()))
        reports.append(report)
        if time.perf_counter() > end and len(reports) >= SEEDS_MIN:
            break
    return reports


@pytest.mark.timeout(300)
def test_no_seed_finds_a_violation_and_together_they_see_everything(measured: Callable[[str], None]) -> None:
    reports = run_batch()
    totals = {
        name: sum(getattr(report, name) for report in reports)
        for name in ("events", "answered", "unknown", "elections", "crashes", "snapshots", "undecided")
    }
    measured(f"simulation: {len(reports)} seeds from {FIRST_SEED}, {totals}")
    # A simulation in which nothing happens proves nothing.
    assert totals["answered"] > 100 * len(reports)
    assert totals["elections"] > 2 * len(reports)
    assert totals["unknown"] > len(reports)
    assert totals["crashes"] > len(reports)
    assert totals["snapshots"] > 0
    assert totals["undecided"] == 0
    assert len({fault for report in reports for fault in report.faults}) == len(Fault)
    assert len({report.digest for report in reports}) == len(reports)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [3, 12])
def test_a_seed_gives_the_same_run_in_every_process(seed: int) -> None:
    program = f"from simulation.run import run_seed; r = run_seed({seed}); print(r.digest, r.events, r.answered)"
    outputs = set()
    for hash_seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=240,
        )
        outputs.add(done.stdout.splitlines()[-1])
    report = run_seed(seed)
    outputs.add(f"{report.digest} {report.events} {report.answered}")
    assert len(outputs) == 1


def test_no_two_workloads_write_the_same_value() -> None:
    # Or one's commit would hide what the other never committed and showed all the same.
    both = {Load.REGISTERS, Load.INDEXES}
    seed = next(
        seed
        for seed in range(FIRST_SEED, FIRST_SEED + 1000)
        if both <= set(draw_knobs(World(seed).random_stream("knobs")).loads)
    )
    print("seed", seed)
    run = Run(seed)
    try:
        with limited(run.knobs):
            run.execute()
    finally:
        run.cluster.end()
    written = [
        {call.value for call in workload.calls if call.value is not None and not call.is_open}
        for workload in run.workloads
        if isinstance(workload, Registers)
    ]
    assert len(written) == 2
    assert not written[0] & written[1]
    committed = {value.decode() for value in run.cluster.checks.committed_at}
    for values in written:
        assert values & committed


def test_a_violation_tells_its_story_and_how_to_repeat_it() -> None:
    report = run_seed(1, Story())
    report.violation = "something broke"
    text = explain(report)
    assert "n1 starts" in text
    assert "faults end" in text
    assert "something broke" in text
    assert text.endswith("repeat with: make sim SEED=1")


def test_keeping_the_story_does_not_change_the_run() -> None:
    story = Story()
    assert run_seed(2, story).digest == run_seed(2).digest
    assert len(story.lines) > 1000


def test_a_story_can_be_narrowed_to_one_key_or_one_group_and_keeps_what_concerns_all() -> None:
    story = Story()
    run_seed(1, story)
    # What a seed works on changes with the simulation.
    keys_of: dict[int | None, set[str]] = {}
    for line in story.lines:
        if line.key is not None:
            keys_of.setdefault(line.group, set()).add(line.key)
    group, keys = next((group, keys) for group, keys in keys_of.items() if len(keys) > 1)
    key = min(keys)
    of_key, of_group = story.of(key=key), story.of(group=group)
    assert {line.key for line in of_key} == {None, key}
    assert {line.group for line in of_group} == {None, group}
    assert {line.key for line in of_group} > {None, key}
    for lines in (of_key, of_group):
        assert any(line.text.startswith("fault ") for line in lines)
        assert 0 < len(lines) < len(story.lines)

"""The runner of many seeds: all cores, outcomes in order, a violation by its seed, nothing left behind."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from simulation import __main__, pool
from simulation.outcome import Outcome, Totals, parse_outcome
from simulation.pool import Pool
from simulation.progress import Bar, Lines
from simulation.run import run_seed

pytestmark = pytest.mark.simulation

ROOT = Path(__file__).parents[2]
# A worker whose partitions never store what they have applied.
DEFECT = (
    "from node.machine.state import PartitionState; PartitionState.flush = lambda self: None; "
    "from simulation.worker import main; main()"
)
# A worker that is killed at its second seed.
DYING = (
    "import os, sys; from simulation import worker; seen = []; original = worker.run\n"
    "def run(seed):\n"
    "    if seed == 3: os.kill(os.getpid(), 9)\n"
    "    return original(seed)\n"
    "worker.run = run; worker.main()"
)


# A worker that finds nothing in its second seed, and could not judge all of it.
UNDECIDING = (
    "from simulation import run; original = run.run_seed\n"
    "def run_seed(seed):\n"
    "    report = original(seed)\n"
    "    report.undecided += seed == 2\n"
    "    return report\n"
    "run.run_seed = run_seed; from simulation.worker import main; main()"
)
WRONG = [
    ["--key", "g1r0"],
    ["--group", "1"],
    ["--processes", "0"],
    ["--seeds", "0"],
    ["--seconds", "0"],
    ["--seconds", "-1"],
    ["--seconds", "nan"],
]


def always() -> bool:
    return True


def test_an_outcome_survives_its_line() -> None:
    outcome = Outcome(seed=7, violation='a "quote"\nand a line', digest="ab", counts={"events": 3}, faults={"kill": 1})
    line = outcome.line()
    assert line.count(b"\n") == 1
    assert parse_outcome(line) == outcome


def test_outcomes_come_in_the_order_of_the_seeds_and_say_what_a_run_here_says() -> None:
    with Pool(2) as workers:
        outcomes = list(workers.run(iter(range(1, 6)), always))
    assert [outcome.seed for outcome in outcomes] == [1, 2, 3, 4, 5]
    report = run_seed(3)
    assert (outcomes[2].digest, outcomes[2].counts["events"]) == (report.digest, report.events)


def test_a_worker_that_dies_takes_only_its_seed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PROGRAM", ("-c", DYING))
    with Pool(2) as workers:
        outcomes = list(workers.run(iter(range(1, 7)), always))
    assert [outcome.seed for outcome in outcomes if outcome.violation] == [3]
    assert "status -9" in outcomes[2].violation
    assert [outcome.seed for outcome in outcomes] == [1, 2, 3, 4, 5, 6]


def test_a_violation_is_printed_with_the_command_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pool, "PROGRAM", ("-c", DEFECT))
    seeds = 2
    assert __main__.main(["--seeds", str(seeds)]) == 1
    output = capsys.readouterr().out
    assert "VIOLATION" in output
    assert "repeat with: make sim SEED=" in output
    assert f"{seeds} seeds (1 to {seeds})" in output


def test_a_seed_that_could_not_be_judged_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pool, "PROGRAM", ("-c", UNDECIDING))
    assert __main__.main(["--seeds", "2"]) == 1
    output = capsys.readouterr().out
    assert "seed 2: UNDECIDED" in output
    assert "repeat with: make sim SEED=2" in output
    assert "SEED=1\n" not in output
    assert "2 seeds (1 to 2), 0 violations" in output


def test_no_seed_at_all_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--seconds", "0.000001"]) == 1
    assert capsys.readouterr().out.startswith("0 seeds")


def test_a_time_limit_ends_the_run_and_says_how_many_seeds_fitted(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--seeds", "100000", "--seconds", "2"]) == 0
    assert " seeds of 100000 (the time was up) (1 to " in capsys.readouterr().out


def test_ctrl_c_leaves_no_process_behind() -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "simulation", "--seconds", "60"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    process = psutil.Process(started.pid)
    end = time.monotonic() + 20
    while len(process.children()) < len(os.sched_getaffinity(0)):
        assert time.monotonic() < end, "the workers do not start"
        time.sleep(0.05)
    children = process.children()
    # As a terminal does: to the whole group.
    os.killpg(started.pid, signal.SIGINT)
    output, _ = started.communicate(timeout=20)
    assert started.returncode == 130
    assert output.endswith("stopped\n")
    gone, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    assert len(gone) == len(children)


@pytest.mark.parametrize("arguments", WRONG)
def test_options_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        __main__.main(arguments)
    assert refused.value.code == 2


def test_progress_is_a_bar_on_a_terminal_and_a_line_now_and_then_elsewhere() -> None:
    screen = io.StringIO()
    with Bar(Console(file=screen, force_terminal=True, width=100), 10, None) as bar:
        bar.say("seed 3: VIOLATION [x]")
        bar.advance(4, 1, 2.0)
    assert "seed 3: VIOLATION [x]" in screen.getvalue()
    assert "4/10" in screen.getvalue()
    lines: list[str] = []
    with Lines(lines.append) as plain:
        for second in range(1, 100):
            plain.advance(second, 0, float(second))
    assert lines == [f"{second} seeds, 0 violations, {second} s, 1.00 seeds/s" for second in (30, 60, 90)]


def test_totals_add_up_what_outcomes_count() -> None:
    totals = Totals()
    for seed in (1, 2):
        totals.add(Outcome(seed=seed, virtual_s=2.5, counts={"events": 3}, faults={"kill": seed}))
    totals.add(Outcome(seed=3, violation="broken"))
    assert (totals.seeds, totals.violations, totals.good) == (3, 1, 2)
    assert str(totals) == "5 s virtual, 6 events; faults: kill=3"

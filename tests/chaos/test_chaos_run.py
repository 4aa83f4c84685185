"""Whole runs on real processes: a scenario that passes, one that must not, and one that is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chaos import result as results
from chaos import scenario as scenarios
from chaos.cli import settings_of
from chaos.injection import Injection
from chaos.result import RunResult
from chaos.runner import Run
from chaos.saved import Saved
from chaos.targets.local import LocalTarget
from harness.cluster import processes_below
from harness.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]

SCENARIO = """\
name: short
about: Kills the leader of a partition, then cuts another one off from everybody.
seconds: 9
workload:
  registers: {}
  counters: {}
  sets: {}
  bank: {}
  eventual: {each: 1}
  probes: {}
faults:
  - {fault: kill, victim: leader of partition 3, at: 1, for: 1, name: first}
  - {fault: isolate, victim: other than first, at: 6, for: 1.5}
expect:
  write_gap_ms: {max: %d}
"""


def play(tmp_path: Path, text: str, seed: int = 7) -> tuple[RunResult, Path]:
    scenario = scenarios.load(text, "short.yaml")
    target = LocalTarget(tmp_path / "cluster", settings=settings_of(scenario))
    folder = tmp_path / "report"
    run = Run(scenario, seed, target, folder, command="trizone chaos run short", rules=Injection(target))
    return run.run(), folder


def test_a_scenario_runs_from_the_empty_cluster_to_the_saved_result(tmp_path: Path) -> None:
    found, folder = play(tmp_path, SCENARIO % 8000)
    assert found.passed, (found.broke, found.expectations, found.verdicts, found.events)
    assert results.load(folder / Saved.RESULT) == found
    assert [fault.name for fault in found.faults] == ["kill", "isolate"]
    assert {total.kind for total in found.totals} == {"write", "read", "eventual"}
    assert all(total.ok > 50 for total in found.totals)
    assert {verdict.name for verdict in found.verdicts} >= {"linearizability", "sets", "replicas agree"}
    assert found.leaders
    assert found.samples
    # The kill cost the partitions of the victim an election, and the others next to nothing.
    assert any(gap.led_by_victim for gap in found.gaps if gap.fault == 0)
    # Readers in every AZ, each served by somebody.
    assert {row.az for row in found.staleness} == {"az-a", "az-b", "az-c"}
    assert all(row.served_by for row in found.staleness)
    assert (folder / Saved.HISTORY).stat().st_size > 1000
    assert not processes_below(tmp_path)


def test_a_promise_that_is_not_kept_fails_the_run_and_keeps_the_logs(tmp_path: Path) -> None:
    found, folder = play(tmp_path, SCENARIO.replace("for: 1.5", "for: 0.5") % 1)
    assert not found.passed
    assert [line.name for line in found.expectations if not line.held] == ["write_gap_ms"]
    assert all(verdict.held for verdict in found.verdicts), "only the bound was not kept"
    assert (folder / "logs" / "n1.log").stat().st_size > 0
    assert not processes_below(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_heals_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(SCENARIO.replace("seconds: 9", "seconds: 60") % 8000)
    command = [sys.executable, "-m", "chaos", "run", str(path), "--seed", "7", "--report", str(tmp_path / "report")]
    log = (tmp_path / "output").open("wb")
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment)
    try:
        wait_until(
            lambda: b"kill n" in (tmp_path / "output").read_bytes() or child.poll() is not None,
            timeout_s=60,
            what="the first fault was injected",
        )
        child.send_signal(number)
        status = child.wait(60)
    finally:
        child.kill()
        log.close()
    text = (tmp_path / "output").read_text()
    assert status == 1, text
    assert "interrupted; what was seen so far is in" in text
    found = json.loads((tmp_path / "report" / Saved.RESULT).read_bytes())
    assert found["broke"] == "interrupted"
    assert found["faults"][0]["ended_s"] >= found["faults"][0]["began_s"]
    assert not processes_below(tmp_path)
    assert not list(tmp_path.glob("trizone-chaos-*")), "the cluster's folder is removed"

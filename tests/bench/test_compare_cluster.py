"""The comparison against real clusters: what is missing is said, what is measured is true, nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from leftovers import left_in
from peers.install import run_to_end
from peers.peer import Processes

from tools.errors import CommandError
from tools.signals import StopRequests

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

COMPARE = Path(__file__).parent / "compare.py"


def command(tmp_path: Path, *options: str) -> list[str]:
    folders = ["--folder", str(tmp_path / "data"), "--cache", str(tmp_path / "cache"), "--generator", "own"]
    return [sys.executable, str(COMPARE), "--rounds", "1", "--seconds", "0.5", "--items", "200", *folders, *options]


def compared(tmp_path: Path, *options: str, path: str | None = None) -> tuple[str, dict[str, Any]]:
    """What a run said, and its JSON; it has succeeded and left nothing."""
    report = tmp_path / "report.json"
    done = subprocess.run(
        [*command(tmp_path, *options), "--json", str(report)],
        capture_output=True,
        text=True,
        check=False,
        timeout=220,
        env=os.environ if path is None else {**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((tmp_path / "data").iterdir()) == []
    assert left_in(tmp_path) == []
    return done.stdout, json.loads(report.read_text())


def test_peers_that_cannot_be_installed_have_a_line_and_the_goals_are_visited(tmp_path: Path) -> None:
    # A machine without any program but our own.
    said, found = compared(
        tmp_path, "--peers", "etcd,dynalite,dynamodb-local", "--goals", "etcd,start,lone,idle", path=str(tmp_path)
    )
    for title, program in (("etcd, three nodes", "apt-get"), ("dynalite on disk", "node")):
        assert f"{title}: could not be installed: there is no `{program}` on the PATH" in said
    assert [visit["operation"] for visit in found["visits"]] == ["put", "strong", "eventual"]
    for visit in found["visits"]:
        assert visit["errors"] == 0
        assert visit["operations"] > 0
        assert visit["memory_bytes"] > 50e6
    verdicts = {goal["name"]: goal for goal in found["goals"]}
    assert {verdicts[f"etcd-{name}"]["verdict"] for name in ("put", "strong", "eventual")} == {"not measured"}
    measured = ("start", "lone-put", "lone-strong", "idle-cpu", "idle-memory")
    assert all(verdicts[name]["figure"] > 0 for name in measured)
    assert len(verdicts) == 3 + len(measured)


@pytest.mark.skipif(shutil.which("etcd") is None, reason="no etcd on this machine, and tests install nothing")
def test_etcd_is_visited_beside_trizone_and_stopped(tmp_path: Path) -> None:
    said, found = compared(tmp_path, "--peers", "etcd", "--goals", "etcd", "--apart")
    visits = {(visit["peer"], visit["operation"]): visit for visit in found["visits"]}
    assert len(visits) == 6
    assert all(visit["errors"] == 0 and visit["operations"] > 0 for visit in visits.values())
    assert {"etcd1", "etcd2", "etcd3", "load", "others"} == visits["etcd", "put"]["cpu_percent"].keys()
    assert all(goal["figure"] > 0 for goal in found["goals"])
    assert all(times > 0 for times in found["ratios"]["etcd"].values())
    assert "etcd, three nodes" in said


def start_and_wait(processes: Processes, command: list[str], folder: Path) -> None:
    processes.start("peer", command, folder)
    processes.wait(lambda: False)


def test_an_interrupted_comparison_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        command(tmp_path, "--peers", "none", "--goals", "none", "--seconds", "60"), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "items of 100 bytes loaded" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 1
    assert list((tmp_path / "data").iterdir()) == []
    assert left_in(tmp_path) == []


def test_a_process_that_ends_while_it_starts_is_an_error_with_its_words(tmp_path: Path) -> None:
    with StopRequests() as stops:
        processes = Processes(stops)
        command = [sys.executable, "-c", "print('no such disk'); exit(3)"]
        with pytest.raises(CommandError, match="peer has ended:\n    no such disk"):
            start_and_wait(processes, command, tmp_path)
        processes.stop()


def test_an_installation_that_fails_says_what_its_program_said() -> None:
    with StopRequests() as stops:
        with pytest.raises(CommandError, match="exit status 7:\n    no such package"):
            run_to_end([sys.executable, "-c", "print('no such package'); exit(7)"], stops)
        assert run_to_end([sys.executable, "-c", "print('done')"], stops) == "done\n"

"""The benchmark and the example against a real cluster: what they say is true and nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench_cluster import own_cluster
from bench_generators import CpuMeter, Load, OwnGenerator
from bench_requests import OPERATIONS
from leftovers import left_in

from tools.signals import StopRequests

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

BENCH = Path(__file__).parent
ROOT = BENCH.parents[1]


def test_a_bench_measures_every_operation_and_leaves_nothing_behind(tmp_path: Path) -> None:
    data, report = tmp_path / "data", tmp_path / "report.json"
    data.mkdir()
    command = [sys.executable, str(BENCH / "run.py"), "--seconds", "0.5", "--connections", "1,8", "--items", "200"]
    command += ["--operations", ",".join(OPERATIONS)]
    command += ["--generator", "own", "--folder", str(data), "--json", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    results: list[dict[str, Any]] = json.loads(report.read_text())["results"]
    assert [(one["operation"], one["connections"]) for one in results] == [
        (operation, connections) for operation in OPERATIONS for connections in (1, 8)
    ]
    for one in results:
        assert one["operations"] > 0
        assert one["errors"] == 0
        assert 0 < one["p50_ms"] <= one["p99_ms"] <= one["max_ms"]
        assert {"n1", "n2", "n3", "r1", "load", "others"} == one["cpu_percent"].keys()
    assert list(data.iterdir()) == []
    assert left_in(data) == []


def test_answers_that_are_errors_are_counted_as_errors_and_the_example_passes(tmp_path: Path) -> None:
    said: list[str] = []
    with StopRequests() as stops, own_cluster(tmp_path, "sync", stops, said.append) as target:
        load = Load(target.host, target.port, OPERATIONS["strong"], 4, 10, 0.3)
        measured = OwnGenerator().run(load, CpuMeter(target.processes), stops)
        assert measured.operations == 0
        assert measured.errors > 0
        assert "ResourceNotFoundException" in measured.first_error

        command = [sys.executable, str(ROOT / "examples" / "load_time_zones.py"), "--threads", "8"]
        command += ["--endpoint", f"http://{target.host}:{target.port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "refused, with the item in the way" in done.stdout
        assert "0 items differ from the file" in done.stdout
    assert list(tmp_path.iterdir()) == []

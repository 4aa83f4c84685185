"""The command on a real cluster: up, what is seen of kills and stops, down, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tools.processes import identify, wait_for_end

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

CONFIG = Path(__file__).parents[2] / "cluster.yaml"


class Cluster:
    """`trizone` commands on one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.http_port = server.getsockname()[1]

    def arguments(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "tools.cli", *arguments, "--data", str(self.data)]

    def up(self, *arguments: str) -> list[str]:
        return self.arguments("up", "--config", str(CONFIG), "--http-port", str(self.http_port), *arguments)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.arguments(*arguments), capture_output=True, text=True, check=False, timeout=120)

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return document

    def processes(self) -> list[psutil.Process]:
        """Everything that runs with this folder's settings."""
        settings = str(self.data / "cluster.yaml")
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            if settings in (process.info["cmdline"] or ()) and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "data")
    yield made
    stopped = made.run("down")
    left = made.processes()
    for process in left:
        process.kill()
    assert stopped.returncode == 0, stopped.stderr
    assert left == []


def test_a_detached_cluster_from_up_to_down(cluster: Cluster) -> None:
    up = subprocess.run(cluster.up("--detach"), capture_output=True, text=True, check=False, timeout=120)
    assert up.returncode == 0, up.stdout + up.stderr
    assert f"router r1 serves http://127.0.0.1:{cluster.http_port}" in up.stdout
    assert "6 of 6 partitions have leaders" in up.stdout
    before = cluster.status()
    assert before["healthy"]
    assert len(cluster.processes()) == 4

    assert cluster.run("kill", "n1").returncode == 0
    again = cluster.run("kill", "n1")
    assert (again.returncode, "node n1 is not running" in again.stderr) == (1, True)
    killed = cluster.status()
    assert [node["up"] for node in killed["nodes"]] == [False, True, True]
    assert killed["nodes"][0]["reason"].startswith("not running")

    missing = subprocess.run(cluster.up("--detach"), capture_output=True, text=True, check=False, timeout=120)
    assert missing.returncode == 0, missing.stdout + missing.stderr
    assert "node n1 (az-a) started" in missing.stdout
    assert "node n2 runs already" in missing.stdout
    after = cluster.status()
    assert after["healthy"]
    assert after["cluster_id"] == before["cluster_id"]
    assert [node["address"] for node in after["nodes"]] == [node["address"] for node in before["nodes"]]

    assert cluster.run("stop", "n2").returncode == 0
    assert cluster.run("start", "n2").returncode == 0
    assert "runs already" in cluster.run("start", "n2").stdout
    assert '"component":"node:n2"' in cluster.run("logs", "n2", "-n", "5").stdout
    assert cluster.run("down").returncode == 0
    assert cluster.processes() == []
    assert "nothing is running" in cluster.run("down").stdout


def read_until(up: subprocess.Popen[str], text: str) -> list[str]:
    lines = []
    assert up.stdout is not None
    for line in up.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} never came: {''.join(lines)}")


def test_the_foreground_reports_deaths_refuses_a_second_and_stops_all_on_ctrl_c(cluster: Cluster) -> None:
    with subprocess.Popen(cluster.up(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
        read_until(up, "Ctrl-C stops")
        second = subprocess.run(cluster.up(), capture_output=True, text=True, check=False, timeout=60)
        assert (second.returncode, f"pid {up.pid}" in second.stderr) == (1, True)
        cluster.run("kill", "n3")
        read_until(up, "was ended by SIGKILL")
        read_until(up, "`trizone start n3")
        cluster.run("start", "n3")
        read_until(up, "node n3 is back")
        up.send_signal(signal.SIGINT)
        output, _ = up.communicate(timeout=60)
    assert up.returncode == 0, output
    assert output.index("router r1 stopped") < output.index("node n1 stopped")
    assert cluster.processes() == []


def test_a_foreground_whose_terminal_is_gone_goes_on_and_stops_its_cluster_in_order(cluster: Cluster) -> None:
    with subprocess.Popen(cluster.up(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
        read_until(up, "Ctrl-C stops")
        assert up.stdout is not None
        up.stdout.close()
        cluster.run("kill", "n3")
        # Its report of that goes nowhere; the cluster stays.
        assert cluster.run("start", "n3").returncode == 0
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
    for name, event in (
        ("r1", "router_stopped"),
        ("n1", "node_stopped"),
        ("n2", "node_stopped"),
        ("n3", "node_stopped"),
    ):
        assert f'"event":"{event}"' in cluster.run("logs", name, "-n", "5").stdout, name
    assert cluster.processes() == []


def test_a_foreground_killed_with_9_leaves_nothing_behind(cluster: Cluster) -> None:
    with subprocess.Popen(cluster.up(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
        read_until(up, "Ctrl-C stops")
        records = [identify("one", process.pid) for process in cluster.processes()]
        assert len(records) == 4
        os.kill(up.pid, signal.SIGKILL)
    for record in records:
        assert record is not None
        assert wait_for_end([record], 20.0) == [record]


def test_an_up_that_fails_says_why_and_stops_what_it_started(cluster: Cluster) -> None:
    (cluster.data / "nodes").mkdir(parents=True)
    (cluster.data / "nodes" / "n2").write_text("a file where the node's folder should be")
    failed = subprocess.run(cluster.up("--detach"), capture_output=True, text=True, check=False, timeout=120)
    assert failed.returncode == 1
    assert "error: node n2 ended with exit status" in failed.stderr
    assert "nodes/n2" in failed.stderr
    assert "n2.log" in failed.stderr
    assert cluster.processes() == []

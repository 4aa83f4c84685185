"""The router as a process: starts without nodes, says it cannot serve, stops cleanly, explains why it cannot run."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
START_S = 30


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def write_settings(folder: Path, ports: list[int], *, operation_ms: int = 3000) -> Path:
    nodes = "\n".join(
        f"- {{id: n{number}, az: az-{number}, port: {ports[number]}, metrics_port: {ports[number + 3]}}}"
        for number in (1, 2, 3)
    )
    config = folder / "cluster.yaml"
    config.write_text(
        f"nodes:\n{nodes}\nrouters:\n- {{id: r1, az: az-1, http_port: {ports[0]}, metrics_port: {ports[7]}}}\n"
        f"timeouts: {{operation_ms: {operation_ms}}}\n"
    )
    (folder / "cluster-id").write_text("some-cluster\n")
    return config


def command(config: Path, router_id: str = "r1") -> list[str]:
    return [sys.executable, "-m", "router", "--config", str(config), "--id", router_id]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    ports = free_ports(8)
    config = write_settings(tmp_path, ports, operation_ms=1200)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command(config), cwd=ROOT, stderr=log)
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", ports[0]), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, "the router did not begin to listen"
                time.sleep(0.05)
        yield process, ports
    finally:
        process.kill()
        process.wait()


def test_without_nodes_it_is_unhealthy_denies_nothing_and_stops_cleanly(
    running: tuple[subprocess.Popen[bytes], list[int]],
) -> None:
    process, ports = running
    connection = http.client.HTTPConnection("127.0.0.1", ports[0], timeout=10)
    connection.request("GET", "/")
    health = connection.getresponse()
    assert (health.status, health.read()[:11]) == (503, b"unavailable")
    headers = {"X-Amz-Target": "DynamoDB_20120810.DescribeTable"}
    connection.request("POST", "/", '{"TableName":"some"}', headers)
    answer = connection.getresponse()
    assert answer.status == 503
    assert b"ServiceUnavailable" in answer.read()
    metrics = http.client.HTTPConnection("127.0.0.1", ports[7], timeout=10)
    metrics.request("GET", "/metrics")
    text = metrics.getresponse().read().decode()
    assert 'trizone_router_requests_total{error="ServiceUnavailable",operation="DescribeTable"} 1.0' in text
    assert 'trizone_router_stream_connected{node="n1"} 0.0' in text
    assert "trizone_router_catalog_reads_total 1.0" in text
    metrics.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    connection.close()


def test_a_request_under_way_is_answered_before_it_stops(running: tuple[subprocess.Popen[bytes], list[int]]) -> None:
    process, ports = running
    connection = http.client.HTTPConnection("127.0.0.1", ports[0], timeout=10)
    headers = {"X-Amz-Target": "DynamoDB_20120810.DescribeTable"}
    connection.request("POST", "/", '{"TableName":"some"}', headers)
    # Its own metrics say that the router has it: a signal sent before that could overtake the request.
    deadline = time.monotonic() + 1
    while True:
        metrics = http.client.HTTPConnection("127.0.0.1", ports[7], timeout=10)
        metrics.request("GET", "/metrics")
        text = metrics.getresponse().read().decode()
        metrics.close()
        if "trizone_router_in_flight 1.0" in text:
            break
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGTERM)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (503, "close")
    assert process.wait(10) == 0
    connection.close()


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        ("unknown router", "no router with id 'r9'"),
        ("no cluster id", "cluster-id"),
        ("empty cluster id", "is empty"),
        ("bad settings", "cluster.yaml:1"),
        ("no settings", "No such file"),
        ("port taken", "router_failed"),
    ],
)
def test_why_it_cannot_run(tmp_path: Path, mistake: str, text: str) -> None:
    ports = free_ports(8)
    config = write_settings(tmp_path, ports)
    holder = None
    if mistake == "no cluster id":
        (tmp_path / "cluster-id").unlink()
    elif mistake == "empty cluster id":
        (tmp_path / "cluster-id").write_text("\n")
    elif mistake == "bad settings":
        config.write_text("nodez: []\n")
    elif mistake == "no settings":
        config.unlink()
    elif mistake == "port taken":
        holder = socket.create_server(("127.0.0.1", ports[0]))
    try:
        router_id = "r9" if mistake == "unknown router" else "r1"
        done = subprocess.run(command(config, router_id), cwd=ROOT, capture_output=True, timeout=START_S, check=False)
    finally:
        if holder is not None:
            holder.close()
    assert done.returncode == 1
    assert text in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()

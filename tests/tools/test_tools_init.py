"""`trizone init` and `trizone health`: what containers need of the command."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tools import cli
from tools.errors import CommandError
from tools.folder import ClusterFolder
from tools.probe import ask_routers

pytestmark = pytest.mark.unit

SETTINGS = """
nodes:
  - {id: n1, az: az-a, host: n1, listen_host: 0.0.0.0, port: 7101, metrics_port: 7201, data: /var/lib/trizone/nodes/n1}
  - {id: n2, az: az-b, host: n2, listen_host: 0.0.0.0, port: 7101, metrics_port: 7201, data: /var/lib/trizone/nodes/n2}
  - {id: n3, az: az-c, host: n3, listen_host: 0.0.0.0, port: 7101, metrics_port: 7201, data: /var/lib/trizone/nodes/n3}
routers:
  - {id: r1, az: az-a, http_host: r1, listen_host: 0.0.0.0, http_port: 8000, metrics_port: 7201}
partitions: {count: 6, replicas: 3}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(SETTINGS)
    return path


def test_the_folder_holds_what_the_processes_read_and_nothing_runs(tmp_path: Path, config: Path) -> None:
    cli.init(config=config, data=tmp_path / "shared")
    folder = ClusterFolder(tmp_path / "shared")
    settings = folder.settings()
    assert len(folder.cluster_id()) == 36
    assert [node.address for node in settings.nodes] == ["n1:7101", "n2:7101", "n3:7101"]
    assert {node.bind_address for node in settings.nodes} == {"0.0.0.0:7101"}
    assert settings.node("n2").data == "/var/lib/trizone/nodes/n2"
    assert list(folder.run_path.iterdir()) == []


def test_ports_are_those_of_the_file_even_if_they_are_taken_here(tmp_path: Path, config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(SETTINGS.replace("http_port: 8000", f"http_port: {port}"))
        cli.init(config=config, data=tmp_path / "shared")
    assert ClusterFolder(tmp_path / "shared").settings().routers[0].http_port == port


def test_again_it_keeps_the_id_and_takes_new_settings(tmp_path: Path, config: Path) -> None:
    cli.init(config=config, data=tmp_path / "shared")
    first = ClusterFolder(tmp_path / "shared").cluster_id()
    config.write_text(SETTINGS + "durability: os\n")
    cli.init(config=config, data=tmp_path / "shared")
    folder = ClusterFolder(tmp_path / "shared")
    assert folder.cluster_id() == first
    assert folder.settings().durability == "os"


def test_settings_that_do_not_fit_the_data_are_refused(tmp_path: Path, config: Path) -> None:
    cli.init(config=config, data=tmp_path / "shared")
    config.write_text(SETTINGS.replace("count: 6", "count: 7"))
    with pytest.raises(CommandError, match=r"partitions.count: was 6, now 7"):
        cli.init(config=config, data=tmp_path / "shared")


class Healthy(BaseHTTPRequestHandler):
    """The answer of a router that serves."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"healthy: dynamodb.us-east-1")

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_health_dials_where_the_process_is_bound_not_its_name(tmp_path: Path, config: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # The name cannot be resolved, as in a container whose networks are cut off.
        text = SETTINGS.replace("http_host: r1", "http_host: r1.invalid")
        config.write_text(text.replace("http_port: 8000", f"http_port: {server.server_port}"))
        cli.init(config=config, data=tmp_path / "shared")
        assert not ask_routers(ClusterFolder(tmp_path / "shared").settings().routers)[0].ready
        cli.health("r1", data=tmp_path / "shared")
        server.shutdown()


@pytest.mark.parametrize("name", ["n1", "r1"])
def test_health_fails_where_nothing_serves(tmp_path: Path, config: Path, name: str) -> None:
    free = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            free.append(probe.getsockname()[1])
    text = SETTINGS.replace("http_port: 8000", f"http_port: {free[0]}")
    config.write_text(text.replace("port: 7101", f"port: {free[1]}"))
    cli.init(config=config, data=tmp_path / "shared")
    with pytest.raises(CommandError, match=f"{name} does not serve: no connection"):
        cli.health(name, data=tmp_path / "shared")


def test_health_of_nobody_names_who_is_there(tmp_path: Path, config: Path) -> None:
    cli.init(config=config, data=tmp_path / "shared")
    with pytest.raises(CommandError) as refused:
        cli.health("n9", data=tmp_path / "shared")
    assert refused.value.hint == "known: n1, n2, n3, r1"

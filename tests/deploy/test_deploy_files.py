"""The files of a deployment agree with each other and with the source tree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.image import ROOT, source_digest, source_files
from deploy.project import FILE, SETTINGS_FILE, WAY_IN, Ports
from topology.settings import load_settings

pytestmark = pytest.mark.unit

COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
SETTINGS = load_settings(SETTINGS_FILE.read_text(), "cluster.yaml")
MEMBERS = sorted(SETTINGS.zones)


def test_there_is_a_service_for_every_process_and_for_nothing_else() -> None:
    assert sorted(SERVICES) == sorted([*MEMBERS, "init"])


@pytest.mark.parametrize("name", MEMBERS)
def test_a_service_starts_and_asks_the_process_of_its_name(name: str) -> None:
    service = SERVICES[name]
    module = "router" if name.startswith("r") else "node"
    assert service["command"] == ["python", "-m", module, "--config", "data/cluster.yaml", "--id", name]
    assert service["healthcheck"]["test"] == ["CMD", "trizone", "health", name]


@pytest.mark.parametrize("name", [*MEMBERS, "init"])
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", MEMBERS)
def test_limits_and_time_to_drain(name: str) -> None:
    service = SERVICES[name]
    assert {"mem_limit", "cpus", "pids_limit", "ulimits"} <= service.keys()
    assert int(service["stop_grace_period"].removesuffix("s")) * 1000 > SETTINGS.timeouts.drain_ms


@pytest.mark.parametrize("name", [node.id for node in SETTINGS.nodes])
def test_a_node_keeps_its_data_on_its_own_volume(name: str) -> None:
    assert f"{name}:/var/lib/trizone/nodes" in SERVICES[name]["volumes"]
    assert SETTINGS.node(name).data.startswith("/var/lib/trizone/nodes/")
    assert COMPOSE["volumes"].keys() == {"cluster", *(node.id for node in SETTINGS.nodes)}


@pytest.mark.parametrize("name", MEMBERS)
def test_ports_of_this_machine_can_be_chosen(name: str) -> None:
    variable = next(iter(Ports({name: 1}, {}).environment()))
    inside = 8000 if name.startswith("r") else 7101
    assert any(re.fullmatch(rf".*:\$\{{{variable}:-\d+\}}:{inside}", port) for port in SERVICES[name]["ports"])


def ways(source: str, target: str) -> list[str]:
    """The networks on which `source` finds `target` under the host name of its settings."""
    host = next(node.host for node in SETTINGS.nodes if node.id == target)
    joined, offered = SERVICES[source]["networks"], SERVICES[target]["networks"]
    return [name for name in joined if name in offered and host in offered[name].get("aliases", ())]


@pytest.mark.parametrize("target", [node.id for node in SETTINGS.nodes])
@pytest.mark.parametrize("source", MEMBERS)
def test_there_is_one_way_from_each_process_to_each_node_and_a_cut_az_closes_it(source: str, target: str) -> None:
    if source == target:
        return
    found = ways(source, target)
    # Two ways would be two addresses: a stream could go by one that is to be cut, or survive on one that is not.
    assert len(found) == 1, found
    crosses = SETTINGS.zones[source] != SETTINGS.zones[target]
    assert found[0].startswith(WAY_IN) == crosses
    assert COMPOSE["networks"][found[0]].get("internal", False) == crosses


def test_the_image_is_built_from_all_packages_and_ignores_the_rest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    shown = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert shown == {*packages, "pyproject.toml", "requirements.lock"}
    assert "*" in lines


def test_an_image_is_named_by_its_sources(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.hatch.build.targets.wheel]\npackages = ["node"]\n')
    (tmp_path / "requirements.lock").write_text("")
    module = tmp_path / "node" / "a.py"
    module.parent.mkdir()
    module.write_text("one")
    first = source_digest(tmp_path)
    (tmp_path / "node" / "__pycache__").mkdir()
    (tmp_path / "node" / "__pycache__" / "a.pyc").write_text("x")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("x")
    assert source_digest(tmp_path) == first
    module.write_text("two")
    assert source_digest(tmp_path) != first


def test_the_dockerfile_has_what_it_copies() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    assert copied
    assert all((ROOT / name).exists() for names in copied for name in names)
    # Without wheels in it, the folder still has to be sent.
    assert Path("deploy/wheelhouse/README.md") in source_files()

"""Ports and folders of a cluster: free, remembered, and refused when they no longer fit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tools.errors import CommandError
from tools.resolve import CHOSEN_PORT_MIN, Previous, Resolved, resolve
from topology.settings import ClusterSettings, load_settings

pytestmark = pytest.mark.unit

TEXT = """\
nodes:
  - {id: n1, az: az-a, port: 7101, metrics_port: 7201}
  - {id: n2, az: az-b, port: 7102, metrics_port: 7202}
  - {id: n3, az: az-c, port: 7103, metrics_port: 7203, data: /fast/n3}
routers:
  - {id: r1, az: az-a, http_port: 8000, metrics_port: 7211}
  - {id: r2, az: az-b, http_port: 8010, metrics_port: 7212}
"""
FOLDER = Path("/data/one")
FIRST, END = 20_000, 20_100


def wanted(*changes: tuple[str, str]) -> ClusterSettings:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_settings(text, "cluster.yaml")


def run(
    settings: ClusterSettings | None = None,
    *,
    previous: Resolved | None = None,
    http_port: int | None = None,
    running: Iterable[str] = (),
    busy: Iterable[int] = (),
    first_port: int = FIRST,
) -> Resolved:
    busy_ports = frozenset(busy)
    return resolve(
        settings or wanted(),
        folder=FOLDER,
        previous=Previous(previous.settings, previous.ports) if previous else None,
        http_port=http_port,
        running=frozenset(running),
        is_free=lambda host, port: port not in busy_ports,
        first_port=first_port,
        end_port=END,
    )


def ports(resolved: Resolved) -> dict[str, int]:
    return {name: use.given for name, use in resolved.ports.items()}


ASKED = {
    "r1.http_port": 8000,
    "r2.http_port": 8010,
    "n1.port": 7101,
    "n1.metrics_port": 7201,
    "n2.port": 7102,
    "n2.metrics_port": 7202,
    "n3.port": 7103,
    "n3.metrics_port": 7203,
    "r1.metrics_port": 7211,
    "r2.metrics_port": 7212,
}


def test_free_ports_are_taken_as_asked_and_folders_become_absolute() -> None:
    resolved = run()
    assert ports(resolved) == ASKED
    assert [node.data for node in resolved.settings.nodes] == ["/data/one/nodes/n1", "/data/one/nodes/n2", "/fast/n3"]


def test_the_settings_have_the_ports_that_are_remembered() -> None:
    resolved = run(busy=[7102, 7211])
    assert resolved.settings.node("n2").port == resolved.ports["n2.port"].given == FIRST
    assert resolved.settings.router("r1").metrics_port == resolved.ports["r1.metrics_port"].given == FIRST + 1
    assert resolved.ports["n2.port"].asked == 7102
    load_settings(resolved.settings.model_dump_json(), "resolved")


def test_busy_ports_of_a_new_folder_are_replaced_by_free_ones_and_no_others() -> None:
    resolved = run(busy=[7101, 7203, FIRST])
    assert ports(resolved) == ASKED | {"n1.port": FIRST + 1, "n3.metrics_port": FIRST + 2}


def test_a_second_cluster_leaves_every_port_of_the_file_to_the_first() -> None:
    given = ports(run(http_port=9000))
    assert (given["r1.http_port"], given["r2.http_port"]) == (9000, 9001)
    others = [port for name, port in given.items() if not name.endswith("http_port")]
    assert sorted(others) == list(range(FIRST, FIRST + 8))


def test_the_port_of_the_file_given_by_option_is_the_first_cluster() -> None:
    assert ports(run(http_port=8000)) == ASKED | {"r2.http_port": 8001}


def test_a_chosen_port_is_never_one_the_file_asks_for() -> None:
    settings = wanted(("7203", str(FIRST)))
    assert ports(run(settings, busy=[7101]))["n1.port"] == FIRST + 1


def test_choosing_goes_round_when_the_end_is_reached() -> None:
    assert ports(run(busy=[7101, END - 1], first_port=END - 1))["n1.port"] == CHOSEN_PORT_MIN


def test_no_free_port_is_said() -> None:
    with pytest.raises(CommandError, match="no free port"):
        run(busy=[7101, *range(CHOSEN_PORT_MIN, END)])


def test_a_folder_keeps_its_ports_from_one_up_to_the_next() -> None:
    first = run(http_port=9000, busy=[7101])
    assert ports(run(previous=first)) == ports(first)
    assert ports(run(previous=run(previous=first), first_port=FIRST + 50)) == ports(first)


def test_members_that_run_keep_ports_that_look_busy() -> None:
    first = run()
    assert ports(run(previous=first, running=["n1", "r1"], busy=[7101, 7201, 8000, 7211])) == ASKED


def test_an_http_port_asked_for_again_replaces_the_remembered_one() -> None:
    first = run(http_port=9000)
    again = run(previous=first, http_port=9100)
    assert (ports(again)["r1.http_port"], ports(again)["r2.http_port"]) == (9100, 9101)
    assert ports(again)["n1.port"] == ports(first)["n1.port"]


def test_a_port_changed_in_the_file_replaces_the_remembered_one() -> None:
    first = run(http_port=9000)
    again = run(wanted(("8000", "8500"), ("7211", "7311")), previous=first)
    assert ports(again)["r1.http_port"] == 8500
    assert ports(again)["r1.metrics_port"] == 7311
    assert ports(again)["r2.http_port"] == 9001


def test_a_metrics_port_busy_later_is_replaced() -> None:
    assert ports(run(previous=run(), busy=[7201])) == ASKED | {"n1.metrics_port": FIRST}


def test_a_router_may_be_added() -> None:
    text = TEXT + "  - {id: r3, az: az-c, http_port: 8020, metrics_port: 7213}\n"
    again = run(load_settings(text, "cluster.yaml"), previous=run())
    assert ports(again) == ASKED | {"r3.http_port": 8020, "r3.metrics_port": 7213}


@pytest.mark.parametrize(
    ("arguments", "message", "exit_code"),
    [
        pytest.param({"busy": [8000]}, "port 8000 for router r1 is in use", 1, id="busy HTTP port"),
        pytest.param({"http_port": 9000, "busy": [9001]}, "port 9001 for router r2 is in use", 1, id="busy second one"),
        pytest.param(
            {"previous": run(), "busy": [7102]}, "port 7102 of node n2 is in use", 1, id="busy node of a folder"
        ),
        pytest.param(
            {"previous": run(), "http_port": 9000, "running": ["r1"]}, "already serves port 8000", 2, id="router runs"
        ),
        pytest.param({"http_port": 65535}, "leaves no port for router r2", 2, id="no room to count up"),
        pytest.param({"previous": run(), "http_port": 7102}, "would both use port 7102", 2, id="a node's port"),
        pytest.param(
            {"previous": run(), "settings": wanted(("7102", "7109"))},
            "n2: port was 7102 when",
            2,
            id="node port changed",
        ),
    ],
)
def test_refused(arguments: dict[str, object], message: str, exit_code: int) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        run(**arguments)  # type: ignore[arg-type]
    assert caught.value.exit_code == exit_code


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        pytest.param([("routers:", "partitions: {count: 7}\nrouters:")], "partitions.count: was 6, now 7", id="count"),
        pytest.param([("az: az-b, port", "az: az-x, port")], "node n2: az was az-b, now az-x", id="AZ"),
        pytest.param([("id: n2", "id: n9")], "node n2: is missing", id="missing node"),
        pytest.param([("id: n2", "id: n9")], "node n9: is new", id="new node"),
        pytest.param(
            [("port: 7102", "host: 10.0.0.1, port: 7102")], "node n2: host was 127.0.0.1, now 10.0.0.1", id="host"
        ),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused_with_what_changed(
    changes: list[tuple[str, str]], line: str
) -> None:
    with pytest.raises(CommandError) as caught:
        run(wanted(*changes), previous=run())
    assert f"  {line}" in str(caught.value).splitlines()
    assert "--data" in caught.value.hint
    assert caught.value.exit_code == 2


def test_timeouts_and_limits_may_change() -> None:
    changed = run(wanted(("routers:", "timeouts: {operation_ms: 4000}\nrouters:")), previous=run())
    assert changed.settings.timeouts.operation_ms == 4000

"""cluster.yaml: what loads, and the line and words of what does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology.settings import ClusterSettings, SettingsError, load_settings, nodes_by_az

pytestmark = pytest.mark.unit

# Lines 1 to 6; `extra` begins on line 7.
GOOD = """\
nodes:
  - {id: n1, az: az-a, port: 7101, metrics_port: 7201}
  - {id: n2, az: az-b, port: 7102, metrics_port: 7202}
  - {id: n3, az: az-c, port: 7103, metrics_port: 7203}
routers:
  - {id: r1, az: az-a, http_port: 8000, metrics_port: 7211}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(text, "cluster.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.problems)
    return lines


def test_the_shipped_file_loads_and_gives_the_defaults() -> None:
    path = Path(__file__).parents[2] / "cluster.yaml"
    shipped = load_settings(path.read_text(), "cluster.yaml")
    assert shipped == load_settings(GOOD, "good")
    assert nodes_by_az(shipped) == {"az-a": ["n1"], "az-b": ["n2"], "az-c": ["n3"]}


def test_defaults_are_the_documented_ones() -> None:
    settings = load_settings(GOOD, "good")
    assert settings.model_dump(exclude={"nodes", "routers"}) == {
        "cluster": {"name": "trizone"},
        "partitions": {"count": 6, "replicas": 3},
        "replication": {
            "election_timeout_min_ms": 500,
            "election_timeout_max_ms": 1000,
            "heartbeat_ms": 100,
            "append_bytes_max": 262144,
            "append_window_entries": 4096,
            "log_entries_kept": 20000,
            "log_bytes_kept": 16777216,
            "snapshot_chunk_bytes": 262144,
            "read_lease": False,
            "pacing_us": 0,
        },
        "durability": "sync",
        "storage": {
            "memtable_bytes": 67108864,
            "block_cache_bytes": 134217728,
            "wal_recycle_files": 4,
            "on_damage": "rebuild",
        },
        "timeouts": {"operation_ms": 3000, "connect_ms": 1000, "drain_ms": 5000, "table_activation_ms": 2000},
        "limits": {
            "request_body_bytes_max": 16777216,
            "operations_in_flight_max": 8192,
            "proposals_in_flight_max": 4096,
            "connections_max": 4096,
            "tables_max": 2500,
        },
        "background": {"ttl_sweep_interval_ms": 60000},
        "fault_injection": {"enabled": False},
        "logging": {"level": "info"},
    }


def test_members_are_found_by_id_with_address_and_folder() -> None:
    text = GOOD.replace("{id: n2, az: az-b,", '{id: n2, az: az-b, host: "::1", data: /fast/n2,')
    settings = load_settings(text, "good")
    assert (settings.node("n1").address, settings.node("n1").data_folder) == ("127.0.0.1:7101", "nodes/n1")
    assert (settings.node("n2").address, settings.node("n2").data_folder) == ("[::1]:7102", "/fast/n2")
    assert settings.router("r1").endpoint == "http://127.0.0.1:8000"
    with pytest.raises(KeyError, match="n9"):
        settings.node("n9")
    with pytest.raises(KeyError, match="n1"):
        settings.router("n1")


def test_a_process_listens_where_others_dial_it_or_where_it_is_told() -> None:
    text = GOOD.replace("{id: n2, az: az-b,", "{id: n2, az: az-b, host: n2, listen_host: 0.0.0.0,")
    settings = load_settings(text, "good")
    assert settings.node("n1").bind_address == settings.node("n1").address
    assert (settings.node("n2").address, settings.node("n2").bind_address) == ("n2:7102", "0.0.0.0:7102")
    assert settings.router("r1").bind_host == "127.0.0.1"


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param("limits:\n  # tables_max: 3\n", id="a section with every key commented out is its defaults"),
        pytest.param("partitions: &p\n  count: 3\n", id="anchors are plain YAML"),
        pytest.param("replication: {heartbeat_ms: 166}\n", id="an election timeout of just over three heartbeats"),
        pytest.param("timeouts: {operation_ms: 1001}\n", id="operations one millisecond longer than an election"),
        pytest.param("replication: {append_window_entries: 20000}\n", id="a window as long as the log kept"),
        pytest.param("durability: os\n", id="durability os"),
        pytest.param("limits: {request_body_bytes_max: 33554432}\n", id="request bodies of 32 MiB"),
    ],
)
def test_accepted(extra: str) -> None:
    assert isinstance(load_settings(GOOD + extra, "good"), ClusterSettings)


def test_same_port_on_different_hosts_is_accepted() -> None:
    text = GOOD.replace("port: 7102, metrics_port: 7202", "host: 10.0.0.2, port: 7101, metrics_port: 7201")
    assert load_settings(text, "good").nodes[1].port == 7101


def mistakes() -> Iterator[object]:
    """The cases of settings_mistakes.txt: the whole text and the problems expected of it."""
    blocks = (Path(__file__).parent / "settings_mistakes.txt").read_text().split("\n## ")[1:]
    for block in blocks:
        name, *lines = block.splitlines()
        text = GOOD
        for line in lines:
            if line.startswith("~ "):
                old, new = line[2:].split(" => ")
                assert text.count(old) == 1, name
                text = text.replace(old, new)
        extra = "\n".join(line[2:] for line in lines if line.startswith("+ "))
        expected = [f"cluster.yaml:{line[2:]}" for line in lines if line.startswith("= ")]
        assert expected, name
        yield pytest.param(text + extra, expected, id=name)


@pytest.mark.parametrize(("text", "expected"), list(mistakes()))
def test_a_mistake_is_named_with_its_line(text: str, expected: list[str]) -> None:
    assert sorted(problems(text)) == sorted(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", ["cluster.yaml:1: the file is empty; `nodes` and `routers` are required"], id="empty"),
        pytest.param(
            "# only\n", ["cluster.yaml:1: the file is empty; `nodes` and `routers` are required"], id="comment"
        ),
        pytest.param("\n- a", ["cluster.yaml:2: a mapping of settings is expected, such as `nodes: ...`"], id="a list"),
        pytest.param(
            "nodes:\n\t- a",
            ["cluster.yaml:2: not valid YAML: found character '\\t' that cannot start any token"],
            id="a tab",
        ),
        pytest.param(
            "nodes: [\n",
            ["cluster.yaml:2: not valid YAML: expected the node content, but found '<stream end>'"],
            id="an open bracket",
        ),
        pytest.param(
            "a: 1\n---\nb: 2\n",
            ["cluster.yaml:2: not valid YAML: but found another document"],
            id="two documents",
        ),
        pytest.param(
            "durability: !!python/name:os.system x",
            [
                "cluster.yaml:1: not valid YAML: could not determine a constructor for the tag "
                "'tag:yaml.org,2002:python/name:os.system'"
            ],
            id="a tag that would import",
        ),
        pytest.param(
            "a: &x [*x]", ["cluster.yaml:1: not valid YAML: nested too deeply or too large"], id="an alias to itself"
        ),
        pytest.param("{" * 3000, ["cluster.yaml:1: not valid YAML: nested too deeply"], id="thousands of braces"),
        pytest.param(
            "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
            "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
            "e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
            ["cluster.yaml:1: not valid YAML: nested too deeply or too large"],
            id="aliases that multiply",
        ),
        pytest.param(
            "nodes: []\nrouters: 5\n",
            [
                "cluster.yaml:1: nodes: must have at least one entry",
                "cluster.yaml:2: routers: must be a list, not 5",
            ],
            id="no nodes and no list",
        ),
    ],
)
def test_a_file_that_is_no_cluster(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_every_problem_is_reported_at_once_in_the_order_of_lines() -> None:
    text = GOOD.replace("7102", "0").replace("id: r1", "id: R1") + "durability: x\nlimits:\n  tables_max: y\n"
    assert [line.split(": ")[0:2] for line in problems(text)] == [
        ["cluster.yaml:3", "nodes[1].port"],
        ["cluster.yaml:6", "routers[0].id"],
        ["cluster.yaml:7", "durability"],
        ["cluster.yaml:9", "limits.tables_max"],
    ]


@given(st.text(alphabet=st.sampled_from("abno:-[]{}&*!|>#\n\t 01'\"?,\\~<%@`"), max_size=80))
def test_any_text_is_refused_with_a_line_and_never_crashes(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^f:\d+: "):
        load_settings(text, "f")


def test_settings_cannot_be_changed_after_loading() -> None:
    settings = load_settings(GOOD, "good")
    with pytest.raises(ValueError, match="frozen"):
        settings.durability = "os"  # type: ignore[misc]

"""What a person sees of a cluster: status, metrics, logs; and what people run against it: aws-cli and the examples."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.cluster import LocalCluster
from harness.waiting import wait_until

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
KEY = {"pk": {"S": "a"}}


# --- trizone status -------------------------------------------------------------------------------------------------


def test_status_as_json_shows_every_partition_and_replica(shared_cluster: LocalCluster) -> None:
    shared_cluster.wait_spread()
    shown = shared_cluster.command("status", "--json")
    assert shown.returncode == 0, shown.stderr
    status = json.loads(shown.stdout)
    assert status["healthy"] is True
    assert {node["id"]: (node["az"], node["up"]) for node in status["nodes"]} == {
        "n1": ("az-a", True),
        "n2": ("az-b", True),
        "n3": ("az-c", True),
    }
    assert [router["ready"] for router in status["routers"]] == [True, True]
    assert [partition["id"] for partition in status["partitions"]] == list(range(7))
    for partition in status["partitions"]:
        replicas = {replica["node"]: replica for replica in partition["replicas"]}
        # One replica in each AZ: every node stands in an AZ of its own.
        assert replicas.keys() == {"n1", "n2", "n3"}
        assert partition["term"] >= 1
        leading = [name for name, replica in replicas.items() if replica["role"] == "leader"]
        assert leading == [partition["leader"]]
        for replica in replicas.values():
            assert replica["last_index"] >= replica["commit_index"] >= replica["applied_index"] >= 1
            assert replica["lag"] == 0
    led = [sum(part["leader"] == name for part in status["partitions"] if part["id"]) for name in ("n1", "n2", "n3")]
    assert led == [2, 2, 2]


def test_status_as_a_table_shows_the_same(shared_cluster: LocalCluster) -> None:
    shown = shared_cluster.command("status")
    assert shown.returncode == 0, shown.stderr
    for text in ("partition", "leader", "term", "commit", "applied", "lag", "0 catalog", "3 of 3 nodes up"):
        assert text in shown.stdout
    assert shared_cluster.endpoint() in shown.stdout


# --- metrics and logs -----------------------------------------------------------------------------------------------


def samples(host: str, port: int) -> dict[str, float]:
    """The sum of every metric of a process."""
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def test_every_process_counts_what_it_does(
    shared_cluster: LocalCluster, dynamodb: Any, new_table: Callable[..., str]
) -> None:
    # Every node leads something once leaders are spread, so each gets operations; gauges follow within a second.
    shared_cluster.wait_spread()
    table = new_table()
    routers = [samples(router.http_host, router.metrics_port) for router in shared_cluster.settings.routers]
    for number in range(60):
        dynamodb.put_item(TableName=table, Item={"pk": {"S": str(number)}})
        dynamodb.get_item(TableName=table, Key={"pk": {"S": str(number)}}, ConsistentRead=True)
    after = [samples(router.http_host, router.metrics_port) for router in shared_cluster.settings.routers]
    for name in ("trizone_router_requests_total", "trizone_router_request_seconds_count"):
        assert after[0][name] - routers[0].get(name, 0) >= 120
    assert {"trizone_router_outstanding_operations", "trizone_router_stream_connected"} <= after[0].keys()
    counting = (
        "trizone_node_proposals",
        "trizone_node_elections_won_total",
        "trizone_node_sync_seconds_count",
        "trizone_node_operations_total",
        "trizone_node_applied_index",
    )
    for node in shared_cluster.settings.nodes:
        wait_until(
            lambda node=node: all(samples(node.host, node.metrics_port).get(name, 0) > 0 for name in counting),
            timeout_s=10,
            what=f"{node.id} counts {counting}",
        )
        counted = samples(node.host, node.metrics_port)
        for name in (
            "trizone_node_commit_lag_entries",
            "trizone_node_apply_lag_entries",
            "trizone_node_follower_lag_entries",
            "trizone_node_queue_depth",
        ):
            assert counted[name] >= 0, (node.id, name)


@pytest.mark.parametrize("name", ["n1", "n2", "n3", "r1", "r2"])
def test_every_log_line_is_an_event_with_its_process_and_time(shared_cluster: LocalCluster, name: str) -> None:
    events = shared_cluster.log_events(name)
    assert events
    kind = "node" if name.startswith("n") else "router"
    for event in events:
        assert event["component"] == f"{kind}:{name}"
        assert event.keys() >= {"event", "level", "timestamp"}
        assert event["level"] in ("info", "warning")


# --- what people run ------------------------------------------------------------------------------------------------


def aws_command() -> str:
    """The aws-cli of this environment, or one on the path; skips without any."""
    beside = Path(sys.executable).with_name("aws")
    found = str(beside) if beside.exists() else shutil.which("aws")
    if found is None:
        pytest.skip("aws-cli is not installed (no `aws` beside this python or on the path)")
    return found


def test_a_session_with_the_aws_command_line(shared_cluster: LocalCluster, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }
    command = [aws_command(), "dynamodb"]
    options = ["--endpoint-url", shared_cluster.endpoint(), "--region", "us-east-1", "--output", "json"]

    def aws(*arguments: str, fails: str = "") -> Any:
        done = subprocess.run(
            [*command, *arguments, *options], capture_output=True, text=True, check=False, timeout=60, env=environment
        )
        if fails:
            assert done.returncode != 0
            assert fails in done.stderr
            return None
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def key(number: int) -> list[str]:
        return ["--table-name", "Music", "--key", json.dumps({"Artist": {"S": "Nina"}, "Year": {"N": str(number)}})]

    aws(
        *("create-table", "--table-name", "Music", "--billing-mode", "PAY_PER_REQUEST"),
        *("--key-schema", "AttributeName=Artist,KeyType=HASH", "AttributeName=Year,KeyType=RANGE"),
        *("--attribute-definitions", "AttributeName=Artist,AttributeType=S", "AttributeName=Year,AttributeType=N"),
    )
    aws("wait", "table-exists", "--table-name", "Music")
    item = {"Artist": {"S": "Nina"}, "Year": {"N": "1965"}, "Songs": {"SS": ["Feeling Good"]}}
    aws("put-item", "--table-name", "Music", "--item", json.dumps(item))
    assert aws("get-item", *key(1965), "--consistent-read")["Item"] == item
    updated = aws(
        *("update-item", *key(1965), "--update-expression", "ADD Plays :one", "--return-values", "UPDATED_NEW"),
        *("--condition-expression", "attribute_exists(Songs)"),
        *("--expression-attribute-values", '{":one": {"N": "1"}}'),
    )
    assert updated["Attributes"] == {"Plays": {"N": "1"}}
    scanned = aws("scan", "--table-name", "Music", "--consistent-read")
    assert (scanned["Items"], scanned["Count"]) == ([item | updated["Attributes"]], 1)
    refusal = ["--condition-expression", "attribute_not_exists(Plays)"]
    aws("delete-item", *key(1965), *refusal, fails="ConditionalCheckFailedException")
    aws("delete-item", *key(1965))
    assert aws("get-item", *key(1965), "--consistent-read") is None
    wanted = json.dumps([{"Get": {"TableName": "Music", "Key": {"Artist": {"S": "Nina"}, "Year": {"N": "1965"}}}}])
    aws("transact-get-items", "--transact-items", wanted, fails="UnknownOperationException")
    aws("delete-table", "--table-name", "Music")
    aws("describe-table", "--table-name", "Music", fails="ResourceNotFoundException")


def test_the_example_loads_its_data_set(shared_cluster: LocalCluster) -> None:
    example = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "load_time_zones.py"), "--endpoint", shared_cluster.endpoint()],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert example.returncode == 0, example.stdout + example.stderr

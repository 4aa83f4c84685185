"""Two clusters on one machine through the `trizone` command; and data that is still there at the next `up`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.clients import client_of
from harness.cluster import LocalCluster
from harness.settings import free_http_port

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

CONFIG = Path(__file__).parents[2] / "cluster.yaml"
KEY = {"pk": {"S": "a"}}


def trizone(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def create(client: Any, name: str) -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})


def test_a_second_cluster_beside_the_first_and_its_data_after_down_and_up(
    shared_cluster: LocalCluster, dynamodb: Any, new_table: Callable[..., str], tmp_path: Path
) -> None:
    shared = new_table()
    dynamodb.put_item(TableName=shared, Item=KEY)
    data = tmp_path / "other"
    port = free_http_port(data, 1)
    up = ("up", "--config", str(CONFIG), "--data", str(data), "--http-port", str(port), "--detach")
    try:
        first = trizone(*up)
        assert first.returncode == 0, first.stderr
        assert f"http://127.0.0.1:{port}" in first.stdout
        used = yaml.safe_load((data / "cluster.yaml").read_text())
        other = client_of(f"http://127.0.0.1:{port}")
        assert other.list_tables()["TableNames"] == []
        create(other, "kept")
        for number in range(50):
            other.put_item(TableName="kept", Item={"pk": {"S": str(number)}, "v": {"N": str(number)}})
        assert "kept" not in dynamodb.list_tables()["TableNames"]

        assert trizone("down", "--data", str(data)).returncode == 0
        # The first one has noticed nothing.
        assert "Item" in dynamodb.get_item(TableName=shared, Key=KEY, ConsistentRead=True)

        again = trizone(*up)
        assert again.returncode == 0, again.stderr
        # A node's address is part of its identity.
        kept = yaml.safe_load((data / "cluster.yaml").read_text())
        assert kept == used
        for number in range(50):
            item = other.get_item(TableName="kept", Key={"pk": {"S": str(number)}}, ConsistentRead=True)["Item"]
            assert item["v"] == {"N": str(number)}
    finally:
        down = trizone("down", "--data", str(data))
    assert down.returncode == 0, down.stderr

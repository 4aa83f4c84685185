"""Time to live on real processes: visible until swept, swept on demand and by itself, with all index entries.

Issue 3: "UpdateTimeToLive and DescribeTimeToLive (with the sweeper: expired items stay visible until swept, interval
configurable, a force-now admin call)".
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from harness.cluster import LocalCluster
from harness.settings import HOST
from harness.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

HOUR_S = 3600
_numbers = count(1)


@pytest.fixture(scope="module")
def cluster(make_cluster: Callable[..., LocalCluster]) -> LocalCluster:
    """Sweeps only when told to."""
    return make_cluster(overrides={"background": {"ttl_sweep_interval_ms": 24 * HOUR_S * 1000}})


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Any:
    return cluster.dynamodb()


def expiring_table(client: Any, **more: Any) -> str:
    """An ACTIVE table with partition key `pk`, sort key `sk` and time to live by `ttl`."""
    name = f"expiring-{next(_numbers)}"
    definitions = [{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")]
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=definitions + more.pop("AttributeDefinitions", []),
        BillingMode="PAY_PER_REQUEST",
        **more,
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    client.update_time_to_live(TableName=name, TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True})
    return name


def put(client: Any, table: str, key: str, ttl: object, **more: Any) -> None:
    client.put_item(TableName=table, Item={"pk": {"S": key}, "sk": {"S": "s"}, "ttl": ttl, **more})


def number(seconds: int) -> dict[str, str]:
    return {"N": str(seconds)}


def keys(client: Any, table: str, **options: Any) -> set[str]:
    pages = client.get_paginator("scan").paginate(TableName=table, **options)
    return {item["pk"]["S"] for page in pages for item in page["Items"]}


def sweep(cluster: LocalCluster) -> int:
    ended = cluster.command("ttl", "sweep")
    assert ended.returncode == 0, ended.stderr
    found = re.fullmatch(r"(\d+) expired items? deleted\n", ended.stdout)
    assert found is not None, ended.stdout
    return int(found[1])


def metric(cluster: LocalCluster, name: str) -> float:
    """A metric without labels, summed over the nodes."""
    total = 0.0
    for node in cluster.settings.nodes:
        with urllib.request.urlopen(f"http://{HOST}:{node.metrics_port}/metrics") as answer:
            found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
        assert found is not None, f"{name} of {node.id}"
        total += float(found[1])
    return total


def test_expired_items_are_there_until_they_are_swept(cluster: LocalCluster, client: Any) -> None:
    table = expiring_table(client)
    now_s = int(time.time())
    stay = {
        "later": number(now_s + HOUR_S),
        "text": {"S": str(now_s - HOUR_S)},
        "older than five years": number(now_s - 6 * 365 * 24 * HOUR_S),
        "milliseconds": number((now_s - HOUR_S) * 1000),
    }
    go = {f"expired {offset}": number(now_s - offset) for offset in range(1, 60)}
    for key, ttl in (stay | go).items():
        put(client, table, key, ttl)
    assert keys(client, table, ConsistentRead=True) == stay.keys() | go.keys()
    before = metric(cluster, "trizone_ttl_deleted_total")
    assert sweep(cluster) == len(go)
    assert keys(client, table, ConsistentRead=True) == stay.keys()
    assert metric(cluster, "trizone_ttl_deleted_total") == before + len(go)
    assert metric(cluster, "trizone_ttl_last_sweep_timestamp_seconds") >= now_s
    assert sweep(cluster) == 0


def test_an_item_that_was_given_more_time_stays(cluster: LocalCluster, client: Any) -> None:
    table = expiring_table(client)
    now_s = int(time.time())
    put(client, table, "revived", number(now_s - HOUR_S))
    put(client, table, "not revived", number(now_s - HOUR_S))
    client.update_item(
        TableName=table,
        Key={"pk": {"S": "revived"}, "sk": {"S": "s"}},
        UpdateExpression="SET #ttl = :later",
        ExpressionAttributeNames={"#ttl": "ttl"},
        ExpressionAttributeValues={":later": number(now_s + HOUR_S)},
    )
    assert sweep(cluster) == 1
    assert keys(client, table, ConsistentRead=True) == {"revived"}


def test_where_time_to_live_was_disabled_nothing_goes(cluster: LocalCluster, client: Any) -> None:
    table = expiring_table(client)
    put(client, table, "expired", number(int(time.time()) - HOUR_S))
    client.update_time_to_live(TableName=table, TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": False})
    assert sweep(cluster) == 0
    assert keys(client, table, ConsistentRead=True) == {"expired"}


def test_index_entries_go_with_their_item(cluster: LocalCluster, client: Any) -> None:
    everything = {"ProjectionType": "ALL"}
    table = expiring_table(
        client,
        AttributeDefinitions=[
            {"AttributeName": "g", "AttributeType": "S"},
            {"AttributeName": "l", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "global",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": everything,
            }
        ],
        LocalSecondaryIndexes=[
            {
                "IndexName": "local",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}],
                "Projection": everything,
            }
        ],
    )
    now_s = int(time.time())
    for key in range(40):
        ttl = number(now_s + (HOUR_S if key % 4 == 0 else -HOUR_S))
        put(client, table, str(key), ttl, g={"S": f"g{key % 7}"}, l={"S": f"l{key}"})
    everyone, left = {str(key) for key in range(40)}, {str(key) for key in range(0, 40, 4)}

    def global_is(expected: set[str]) -> bool:
        return keys(client, table, IndexName="global") == expected

    wait_until(lambda: global_is(everyone), timeout_s=20, what="every item is in the global index")
    assert keys(client, table, IndexName="local", ConsistentRead=True) == everyone
    assert sweep(cluster) == 30
    # In the same batch as the item; the global index follows.
    assert keys(client, table, IndexName="local", ConsistentRead=True) == left
    wait_until(lambda: global_is(left), timeout_s=20, what="no expired item is left in the global index")


def test_a_sweep_that_misses_a_node_says_so(cluster: LocalCluster, client: Any) -> None:
    table = expiring_table(client)
    for key in range(30):
        put(client, table, str(key), number(int(time.time()) - HOUR_S))
    cluster.kill("n3")
    try:
        ended = cluster.command("ttl", "sweep")
        assert ended.returncode == 1
        assert "no answer from n3 (unavailable)" in ended.stderr
    finally:
        cluster.start_process("n3")
    cluster.wait_whole()
    sweep(cluster)
    assert keys(client, table, ConsistentRead=True) == set()


def test_nodes_sweep_by_themselves_at_the_interval_of_the_settings(make_cluster: Callable[..., LocalCluster]) -> None:
    client = make_cluster(overrides={"background": {"ttl_sweep_interval_ms": 200}}).dynamodb()
    table = expiring_table(client)
    now_s = int(time.time())
    # More than one slice deletes at once.
    for key in range(300):
        put(client, table, str(key), number(now_s + (HOUR_S if key < 3 else -HOUR_S)))
    wait_until(
        lambda: keys(client, table, ConsistentRead=True) == {"0", "1", "2"},
        timeout_s=20,
        what="what is expired is gone",
    )

"""Increments while leaders are killed: each that is acknowledged counts once, also those whose first answer was lost.

Clients here never repeat by themselves: what is sent again is sent by the router.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.request import urlopen

import pytest

from harness.clients import make_table
from harness.cluster import LocalCluster
from harness.http import ConnectionLost
from harness.load import keys_for_partitions
from harness.settings import HOST
from harness.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

TABLE = "counters"
PARTITIONS = 6
CLIENTS_PER_KEY = 4
PROGRESS_TIMEOUT_S = 30.0
# A write may meet a leader that the router only guesses at; more would mean that repeats do not work.
UNKNOWN_MAX = 3


@dataclass(slots=True)
class Counted:
    """What the clients of one key were told."""

    key: str
    values: list[int] = field(default_factory=list)
    unknown: int = 0
    refused: int = 0


@pytest.fixture(scope="module")
def cluster(make_cluster: Callable[..., LocalCluster]) -> LocalCluster:
    made = make_cluster()
    make_table(made.dynamodb(), TABLE)
    return made


def increment_until(cluster: LocalCluster, counted: Counted, stop: threading.Event, lock: threading.Lock) -> None:
    request = {
        "TableName": TABLE,
        "Key": {"pk": {"S": counted.key}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
        "ReturnValues": "UPDATED_NEW",
    }
    while not stop.is_set():
        try:
            with cluster.http() as http:
                while not stop.is_set():
                    answer = http.call("UpdateItem", request)
                    with lock:
                        if answer.status == 200:
                            counted.values.append(int(answer.json["Attributes"]["n"]["N"]))
                        elif answer.status == 500:
                            counted.unknown += 1
                        else:
                            counted.refused += 1
        except ConnectionLost:
            with lock:
                counted.unknown += 1


def repeats_of(cluster: LocalCluster) -> float:
    """The router's writes that were sent again with their request id."""
    port = cluster.settings.routers[0].metrics_port
    with urlopen(f"http://{HOST}:{port}/metrics", timeout=5.0) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("trizone_router_write_repeats_total "))


def test_increments_on_their_way_to_a_killed_leader_count_once(
    cluster: LocalCluster, measured: Callable[[str], None]
) -> None:
    cluster.wait_spread()
    keys = [Counted(key) for key in keys_for_partitions(PARTITIONS, 1, prefix="counter")]
    stop, lock = threading.Event(), threading.Lock()
    threads = [
        threading.Thread(target=increment_until, args=(cluster, counted, stop, lock), name=counted.key)
        for counted in keys
        for _ in range(CLIENTS_PER_KEY)
    ]

    def flows(increments: int = 40) -> None:
        before = {counted.key: len(counted.values) for counted in keys}
        wait_until(
            lambda: all(len(counted.values) >= before[counted.key] + increments for counted in keys),
            timeout_s=PROGRESS_TIMEOUT_S,
            what=f"{increments} more increments of every key",
        )

    began = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        flows()
        for victim in ("n1", "n2", "n3"):
            wait_until(
                lambda victim=victim: any(
                    leader == victim for partition, leader in cluster.leaders().items() if partition
                ),
                timeout_s=PROGRESS_TIMEOUT_S,
                what=f"{victim} leads a partition",
            )
            cluster.kill(victim)
            flows()
            cluster.start_process(victim)
            flows()
    finally:
        stop.set()
        for thread in threads:
            thread.join(30.0)
    cluster.wait_whole()
    repeats = repeats_of(cluster)
    with cluster.http() as http:
        for counted in keys:
            key = {"pk": {"S": counted.key}}
            item = http.call("GetItem", {"TableName": TABLE, "Key": key, "ConsistentRead": True}).json["Item"]
            value, acknowledged = int(item["n"]["N"]), len(counted.values)
            assert len(set(counted.values)) == acknowledged, f"{counted.key}: two increments were told the same value"
            assert acknowledged <= value <= acknowledged + counted.unknown, f"{counted.key}: {value} of {counted}"
    total = sum(len(counted.values) for counted in keys)
    unknown = sum(counted.unknown for counted in keys)
    measured(
        f"kill -9 of each node under increments: {total} acknowledged in {time.monotonic() - began:.1f} s,"
        f" {repeats:.0f} repeats, {unknown} unknown, {sum(counted.refused for counted in keys)} refused"
    )
    assert repeats > 0, "nothing was on its way to any of the killed leaders"
    assert unknown <= UNKNOWN_MAX

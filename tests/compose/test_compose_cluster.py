"""A cluster of real containers: clients are served, and what breaks of it is really broken and really mended."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from chaos.targets.base import Ended, TargetError
from chaos.targets.compose import ComposeTarget
from deploy.docker import docker
from harness.clients import client_of
from harness.http import HttpConnection
from harness.load import Load, keys_for_partitions
from harness.waiting import wait_until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(300)]

WHOLE_TIMEOUT_S = 60.0
_tables = count(1)


@pytest.fixture
def table(containers: ComposeTarget) -> str:
    """A new table with the key `pk`."""
    name = f"table-{next(_tables)}"
    host, port = containers.http_address("r1")
    client = client_of(f"http://{host}:{port}")
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return name


def test_a_session_of_boto3_through_both_routers(containers: ComposeTarget, table: str) -> None:
    one, other = (client_of("http://{}:{}".format(*containers.http_address(name))) for name in ("r1", "r2"))
    for number in range(20):
        item = {"pk": {"S": f"k{number}"}, "v": {"N": str(number)}}
        one.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(pk)")
    with pytest.raises(one.exceptions.ConditionalCheckFailedException):
        one.put_item(TableName=table, Item={"pk": {"S": "k1"}}, ConditionExpression="attribute_not_exists(pk)")
    read = other.get_item(TableName=table, Key={"pk": {"S": "k7"}}, ConsistentRead=True)
    assert read["Item"]["v"] == {"N": "7"}
    updated = other.update_item(
        TableName=table,
        Key={"pk": {"S": "k7"}},
        UpdateExpression="ADD v :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        ReturnValues="UPDATED_NEW",
    )
    assert updated["Attributes"]["v"] == {"N": "8"}
    assert len(one.scan(TableName=table, ConsistentRead=True)["Items"]) == 20
    one.delete_item(TableName=table, Key={"pk": {"S": "k7"}})
    assert "Item" not in other.get_item(TableName=table, Key={"pk": {"S": "k7"}}, ConsistentRead=True)


def under_load(
    containers: ComposeTarget, table: str, hurt: Callable[[Load], None], router: str, say: Callable[[str], None]
) -> None:
    """`hurt` while clients of one router write and read strongly; no acknowledged write is lost, no read goes back."""
    address = containers.http_address(router)
    load = Load(table, address, keys_for_partitions(containers.partitions, 1), readers=2)
    with load.running():
        wait_until(lambda: all(load.acknowledged().values()), timeout_s=30, what="every key was written")
        hurt(load)
        before = load.acknowledged()
        wait_until(
            lambda: all(load.acknowledged()[key] > before[key] + 3 for key in before),
            timeout_s=60,
            what="every key is written again",
        )
    containers.wait_whole(WHOLE_TIMEOUT_S)
    with HttpConnection(*address) as http:
        load.check_final(http)
    say(str(load.report()))
    assert load.report().violations == ()
    assert containers.ended() == []


def advance(load: Load) -> None:
    """Until every key was written once more than now."""
    before = load.acknowledged()
    wait_until(
        lambda: all(load.acknowledged()[key] > before[key] for key in before), timeout_s=60, what="every key moved on"
    )


def test_a_container_that_is_killed(containers: ComposeTarget, table: str, measured: Callable[[str], None]) -> None:
    def hurt(load: Load) -> None:
        containers.kill(["n2"])
        assert not containers.is_running("n2")
        advance(load)
        assert {row.leader for row in containers.status().partitions} == {"n1", "n3"}
        containers.start_process("n2")

    under_load(containers, table, hurt, "r1", measured)


def test_an_az_whose_network_is_cut(containers: ComposeTarget, table: str, measured: Callable[[str], None]) -> None:
    def hurt(load: Load) -> None:
        containers.cut_az("az-a")
        advance(load)
        # Everybody runs and answers this machine; n1 and its router are alone in their AZ.
        nodes = {node.id: node for node in containers.status().nodes}
        assert all(node.up for node in nodes.values())
        wait_until(lambda: not peers_of(containers, "n1"), timeout_s=15, what="n1 sees nobody")
        assert {row.leader for row in containers.status().partitions} <= {"n2", "n3"}
        assert "down" in docker(
            *("exec", containers.container("r1"), "sh", "-c", "trizone status || true"), timeout_s=30
        )
        containers.join_az("az-a")

    # r2 is in az-b: its clients are served by the two AZs that see each other.
    under_load(containers, table, hurt, "r2", measured)


def peers_of(containers: ComposeTarget, node: str) -> tuple[str, ...]:
    return next(row.peers for row in containers.status().nodes if row.id == node)


def test_a_container_that_is_paused(containers: ComposeTarget, table: str, measured: Callable[[str], None]) -> None:
    def hurt(load: Load) -> None:
        containers.pause("n3")
        assert containers.is_running("n3"), "it is alive, only silent"
        advance(load)
        assert not next(node for node in containers.status().nodes if node.id == "n3").up
        containers.resume("n3")

    under_load(containers, table, hurt, "r1", measured)


def test_a_container_that_is_stopped_hands_over(containers: ComposeTarget, table: str) -> None:
    containers.terminate("n1")
    assert '"event":"node_drained"' in containers.log_text("n1")
    assert containers.ended() == []
    containers.start_process("n1")
    containers.wait_whole(WHOLE_TIMEOUT_S)


def test_an_end_that_nobody_asked_for_is_told_once(containers: ComposeTarget) -> None:
    subprocess.run(["kill", "-9", str(containers.pid("r2"))], check=True)
    told = wait_until(containers.ended, timeout_s=20, what="the end is told")
    assert told == [Ended("r2", -9)]
    assert containers.ended() == []
    containers.start_process("r2")
    containers.wait_whole(WHOLE_TIMEOUT_S)


def test_containers_are_unprivileged_and_read_only(containers: ComposeTarget) -> None:
    container = containers.container("n1")
    assert docker("exec", container, "id", "-u").strip() == "10001"
    refused = docker("exec", container, "sh", "-c", "touch /opt/trizone/x 2>&1 || true")
    assert "Read-only file system" in refused
    shown = docker("inspect", "--format", "{{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}", container)
    assert shown.strip() == "[ALL] [no-new-privileges:true]"
    assert containers.data_folder("n1").joinpath("CURRENT").exists() or any(containers.data_folder("n1").iterdir())


def test_health_checks_say_healthy(containers: ComposeTarget) -> None:
    def healthy() -> bool:
        shown = [
            docker("inspect", "--format", "{{.State.Health.Status}}", containers.container(member.name)).strip()
            for member in containers.members
        ]
        return set(shown) == {"healthy"}

    wait_until(healthy, timeout_s=150, what="every container is healthy")


def test_a_second_cluster_beside_it_and_nothing_of_it_left(containers: ComposeTarget, tmp_path: Path) -> None:
    beside = ComposeTarget(tmp_path, settings={"partitions": {"count": 1}})
    try:
        beside.start()
        assert beside.status().cluster_id != containers.status().cluster_id
        # What is paused or cut must go as well.
        beside.pause("n1")
        beside.cut_az("az-b")
    finally:
        beside.close()
    listed = [docker(kind, "ls", "--format", "{{json .}}") for kind in KINDS]
    assert not any(beside.name in text for text in listed)
    with pytest.raises(TargetError, match="never started"):
        beside.is_running("n1")


KINDS = ("container", "network", "volume")

"""Tables through their life: made, used at once, listed, described, deleted, made again; in two regions."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.cluster import LocalCluster

pytestmark = pytest.mark.cluster

KEY = {"pk": {"S": "a"}}


def create(client: Any, name: str) -> Any:
    return client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )["TableDescription"]


def test_a_client_that_writes_right_after_the_waiter_always_succeeds(shared_cluster: LocalCluster) -> None:
    clients = [shared_cluster.dynamodb(router=number) for number in (0, 1)]

    def create_and_use(number: int) -> None:
        name = f"waited-{number}"
        own, other = clients[number % 2], clients[1 - number % 2]
        assert create(own, name)["TableStatus"] == "CREATING"
        own.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        # ACTIVE means every router and every replica: strong, eventual, through either router.
        other.put_item(TableName=name, Item=KEY | {"v": {"N": str(number)}})
        own.put_item(TableName=name, Item={"pk": {"S": "b"}})
        assert own.get_item(TableName=name, Key=KEY, ConsistentRead=True)["Item"]["v"] == {"N": str(number)}
        other.get_item(TableName=name, Key=KEY, ConsistentRead=False)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create_and_use, range(20)))


def test_a_table_is_described_as_it_was_made(dynamodb: Any, new_table: Callable[..., str]) -> None:
    name = new_table("S", "N")
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    defined = {attribute["AttributeName"]: attribute["AttributeType"] for attribute in table["AttributeDefinitions"]}
    assert defined == {"pk": "S", "sk": "N"}
    assert re.fullmatch(rf"arn:aws:dynamodb:us-east-1:\d{{12}}:table/{name}", table["TableArn"])
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", table["TableId"])
    by_arn = dynamodb.describe_table(TableName=table["TableArn"])["Table"]
    assert by_arn["TableId"] == table["TableId"]


def test_tables_are_listed_in_pages(dynamodb: Any) -> None:
    names = [f"listed-{number:02d}" for number in range(7)]
    for name in names:
        create(dynamodb, name)
    pages = list(dynamodb.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 3}))
    found = [name for page in pages for name in page["TableNames"]]
    assert all(len(page["TableNames"]) == 3 for page in pages[:-1])
    assert len(found) == len(set(found))
    assert [name for name in found if name.startswith("listed-")] == names
    first = dynamodb.list_tables(ExclusiveStartTableName="listed-02", Limit=2)
    assert first["TableNames"] == ["listed-03", "listed-04"]
    assert first["LastEvaluatedTableName"] == "listed-04"


def test_a_deleted_table_is_gone_and_a_new_one_of_its_name_is_empty(shared_cluster: LocalCluster) -> None:
    client, other = shared_cluster.dynamodb(), shared_cluster.dynamodb(router=1)
    seen = set()
    for _ in range(3):
        seen.add(create(client, "again")["TableId"])
        client.get_waiter("table_exists").wait(TableName="again", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        for reader in (client, other):
            assert "Item" not in reader.get_item(TableName="again", Key=KEY, ConsistentRead=True)
            assert "Item" not in reader.get_item(TableName="again", Key=KEY, ConsistentRead=False)
        client.put_item(TableName="again", Item=KEY)
        assert client.delete_table(TableName="again")["TableDescription"]["TableStatus"] == "DELETING"
        client.get_waiter("table_not_exists").wait(TableName="again", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        for gone in (client, other):
            with pytest.raises(ClientError) as caught:
                gone.put_item(TableName="again", Item=KEY)
            assert caught.value.response["Error"] == {
                "Code": "ResourceNotFoundException",
                "Message": "Requested resource not found",
            }
    assert len(seen) == 3


def test_of_many_racing_creators_of_one_name_one_wins(shared_cluster: LocalCluster) -> None:
    clients = [shared_cluster.dynamodb(router=number % 2) for number in range(4)]

    def attempt(number: int) -> str:
        try:
            return str(create(clients[number % 4], "raced")["TableId"])
        except clients[0].exceptions.ResourceInUseException:
            return ""

    with ThreadPoolExecutor(8) as pool:
        won = [table_id for table_id in pool.map(attempt, range(8)) if table_id]
    assert len(won) == 1
    clients[0].get_waiter("table_exists").wait(TableName="raced", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    assert clients[1].describe_table(TableName="raced")["Table"]["TableId"] == won[0]


def test_regions_are_separate(shared_cluster: LocalCluster) -> None:
    here, there = (shared_cluster.dynamodb(region=region) for region in ("us-east-1", "eu-central-1"))
    for client in (here, there):
        create(client, "both")
        client.get_waiter("table_exists").wait(TableName="both", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    create(there, "only-there")
    assert "only-there" not in here.list_tables()["TableNames"]
    assert there.list_tables()["TableNames"] == ["both", "only-there"]
    assert ":eu-central-1:" in there.describe_table(TableName="both")["Table"]["TableArn"]
    here.put_item(TableName="both", Item=KEY)
    assert "Item" not in there.get_item(TableName="both", Key=KEY, ConsistentRead=True)
    there.delete_table(TableName="both")
    assert "Item" in here.get_item(TableName="both", Key=KEY, ConsistentRead=True)

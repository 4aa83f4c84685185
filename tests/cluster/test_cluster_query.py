"""Query through boto3 on a cluster: pages over many items, and what an index answers once it is fed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

ITEMS = 300
FED_S_MAX = 20


def write_all(client: Any, table: str, items: list[dict[str, Any]]) -> None:
    """Batches of 25 until nothing is left unprocessed."""
    waiting = [{"PutRequest": {"Item": item}} for item in items]
    while waiting:
        batch, waiting = waiting[:25], waiting[25:]
        left = client.batch_write_item(RequestItems={table: batch})["UnprocessedItems"]
        waiting += left.get(table, [])


@pytest.fixture(scope="module")
def collection(dynamodb: Any, new_table: Callable[..., str]) -> str:
    table = new_table("S", "N")
    items = [
        {"pk": {"S": f"p{number % 3}"}, "sk": {"N": str(number)}, "v": {"S": "x" * 10_000}} for number in range(ITEMS)
    ]
    write_all(dynamodb, table, items)
    return table


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("page", [{}, {"PageSize": 7}])
def test_pages_of_a_collection_are_in_order_and_complete(
    dynamodb: Any, collection: str, forward: bool, page: dict[str, int]
) -> None:
    pages = dynamodb.get_paginator("query").paginate(
        TableName=collection,
        KeyConditionExpression="pk = :p",
        ExpressionAttributeValues={":p": {"S": "p1"}},
        ScanIndexForward=forward,
        ConsistentRead=True,
        PaginationConfig=page,
    )
    found = [int(item["sk"]["N"]) for part in pages for item in part["Items"]]
    assert found == sorted((number for number in range(ITEMS) if number % 3 == 1), reverse=not forward)


def test_a_filter_a_projection_and_capacity(dynamodb: Any, collection: str) -> None:
    answer = dynamodb.query(
        TableName=collection,
        KeyConditionExpression="pk = :p AND sk < :ten",
        FilterExpression="size(v) > :small AND attribute_exists(v)",
        ProjectionExpression="sk",
        ExpressionAttributeValues={":p": {"S": "p1"}, ":ten": {"N": "10"}, ":small": {"N": "5"}},
        ConsistentRead=True,
        ReturnConsumedCapacity="TOTAL",
    )
    assert [item["sk"]["N"] for item in answer["Items"]] == ["1", "4", "7"]
    assert (answer["Count"], answer["ScannedCount"]) == (3, 3)
    # Three items of a little over 10,000 bytes: eight blocks of 4 KB.
    assert answer["ConsumedCapacity"]["CapacityUnits"] == 8


def test_an_eventual_query_catches_up(dynamodb: Any, new_table: Callable[..., str]) -> None:
    table = new_table("S", "S")
    dynamodb.put_item(TableName=table, Item={"pk": {"S": "a"}, "sk": {"S": "b"}})
    until = time.monotonic() + FED_S_MAX
    while not dynamodb.query(
        TableName=table,
        KeyConditionExpression="pk = :p AND begins_with(sk, :b)",
        ExpressionAttributeValues={":p": {"S": "a"}, ":b": {"S": "b"}},
    )["Count"]:
        assert time.monotonic() < until, "an eventual read never showed the item"


@pytest.fixture(scope="module")
def indexed(dynamodb: Any) -> str:
    table = f"indexed-{uuid.uuid4()}"
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": kind} for name, kind in (("pk", "S"), ("sk", "N"), ("at", "N"))
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        LocalSecondaryIndexes=[
            {
                "IndexName": "by_at",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "at_first",
                "KeySchema": [{"AttributeName": "at", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    write_all(
        dynamodb,
        table,
        [
            {"pk": {"S": f"p{number % 2}"}, "sk": {"N": str(number)}, "at": {"N": str(-number // 10)}, "v": {"S": "v"}}
            for number in range(40)
        ],
    )
    return table


def test_a_local_index_is_read_in_its_order_at_once(dynamodb: Any, indexed: str) -> None:
    answer = dynamodb.query(
        TableName=indexed,
        IndexName="by_at",
        KeyConditionExpression="pk = :p",
        ExpressionAttributeValues={":p": {"S": "p0"}},
        ConsistentRead=True,
    )
    assert [int(item["at"]["N"]) for item in answer["Items"]] == sorted(-number // 10 for number in range(0, 40, 2))
    assert "v" not in answer["Items"][0]


def test_a_global_index_is_fed(dynamodb: Any, indexed: str) -> None:
    until = time.monotonic() + FED_S_MAX
    expected = sorted(number for number in range(40) if -number // 10 == -2)
    while True:
        answer = dynamodb.query(
            TableName=indexed,
            IndexName="at_first",
            KeyConditionExpression="#at = :at",
            ExpressionAttributeNames={"#at": "at"},
            ExpressionAttributeValues={":at": {"N": "-2"}},
        )
        found = sorted(int(item["sk"]["N"]) for item in answer["Items"])
        if found == expected:
            break
        assert time.monotonic() < until, found

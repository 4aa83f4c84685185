"""Batches through boto3 on a cluster: several tables at once, and what comes back when a partition cannot serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.cluster import LocalCluster

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def tables(new_table: Callable[..., str]) -> tuple[str, str]:
    return new_table("S"), new_table("S", "N")


def test_a_batch_is_written_read_and_deleted(dynamodb: Any, tables: tuple[str, str]) -> None:
    first, second = tables
    one = [{"pk": {"S": f"k{number}"}, "v": {"N": str(number)}} for number in range(12)]
    two = [{"pk": {"S": "k"}, "sk": {"N": str(number)}} for number in range(12)]
    written = dynamodb.batch_write_item(
        RequestItems={
            first: [{"PutRequest": {"Item": item}} for item in one],
            second: [{"PutRequest": {"Item": item}} for item in two],
        },
        ReturnConsumedCapacity="TOTAL",
    )
    assert written["UnprocessedItems"] == {}
    assert {one["TableName"]: one["CapacityUnits"] for one in written["ConsumedCapacity"]} == {first: 12, second: 12}
    keys = {
        first: {"Keys": [{"pk": item["pk"]} for item in one], "ConsistentRead": True},
        second: {"Keys": [*two, {"pk": {"S": "k"}, "sk": {"N": "99"}}], "ConsistentRead": True},
    }
    read = dynamodb.batch_get_item(RequestItems=keys)
    assert read["UnprocessedKeys"] == {}
    assert sorted(read["Responses"][first], key=str) == sorted(one, key=str)
    assert sorted(read["Responses"][second], key=str) == sorted(two, key=str)
    dynamodb.batch_write_item(RequestItems={second: [{"DeleteRequest": {"Key": key}} for key in two]})
    assert dynamodb.batch_get_item(RequestItems=keys)["Responses"][second] == []


def test_a_missing_table_refuses_the_whole_batch(dynamodb: Any, tables: tuple[str, str]) -> None:
    put = [{"PutRequest": {"Item": {"pk": {"S": "never"}}}}]
    with pytest.raises(ClientError) as caught:
        dynamodb.batch_write_item(RequestItems={tables[0]: put, "no-such-table": put})
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    assert "Item" not in dynamodb.get_item(TableName=tables[0], Key={"pk": {"S": "never"}}, ConsistentRead=True)


def test_what_no_partition_can_serve_comes_back_unprocessed(make_cluster: Callable[..., LocalCluster]) -> None:
    cluster = make_cluster()
    client = cluster.dynamodb()
    client.create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName="table", WaiterConfig={"Delay": 1})
    puts = [{"PutRequest": {"Item": {"pk": {"S": f"k{number}"}}}} for number in range(10)]
    assert client.batch_write_item(RequestItems={"table": puts})["UnprocessedItems"] == {}
    # A majority of every partition: no write and no strong read can be served.
    cluster.kill("n2")
    cluster.kill("n3")
    assert client.batch_write_item(RequestItems={"table": puts})["UnprocessedItems"] == {"table": puts}
    keys = {"Keys": [put["PutRequest"]["Item"] for put in puts], "ConsistentRead": True}
    answer = client.batch_get_item(RequestItems={"table": keys})
    assert (answer["Responses"], answer["UnprocessedKeys"]) == ({"table": []}, {"table": keys})

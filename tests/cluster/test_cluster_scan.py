"""Scan through boto3 on a cluster: every item once, by pages, limits and segments."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

ITEMS = 400


@pytest.fixture(scope="module")
def table(dynamodb: Any, new_table: Callable[..., str]) -> str:
    name = new_table("S")
    waiting = [
        {"PutRequest": {"Item": {"pk": {"S": f"p{number}"}, "v": {"S": "x" * 9_000}}}} for number in range(ITEMS)
    ]
    while waiting:
        batch, waiting = waiting[:25], waiting[25:]
        waiting += dynamodb.batch_write_item(RequestItems={name: batch})["UnprocessedItems"].get(name, [])
    return name


def scanned(dynamodb: Any, table: str, **options: Any) -> list[str]:
    page = options.pop("page", {})
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table, ConsistentRead=True, PaginationConfig=page, **options
    )
    return [item["pk"]["S"] for part in pages for item in part["Items"]]


EVERY = sorted(f"p{number}" for number in range(ITEMS))


@pytest.mark.parametrize("page", [{}, {"PageSize": 37}])
def test_a_scan_gives_every_item_once(dynamodb: Any, table: str, page: dict[str, int]) -> None:
    assert sorted(scanned(dynamodb, table, page=page)) == EVERY


def test_a_page_is_about_a_megabyte(dynamodb: Any, table: str) -> None:
    answer = dynamodb.scan(TableName=table, ConsistentRead=True, ReturnConsumedCapacity="TOTAL")
    # The item that reaches 1,048,576 bytes belongs to the page: 117 of 9,003 to 9,005 bytes.
    assert answer["Count"] == 117
    assert "LastEvaluatedKey" in answer
    assert answer["ConsumedCapacity"]["CapacityUnits"] == 258


@pytest.mark.parametrize("total", [2, 5, 16])
def test_parallel_segments_share_the_table(dynamodb: Any, table: str, total: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        parts = pool.map(lambda segment: scanned(dynamodb, table, Segment=segment, TotalSegments=total), range(total))
        assert sorted(name for part in parts for name in part) == EVERY


def test_a_count_of_filtered_items(dynamodb: Any, table: str) -> None:
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        Select="COUNT",
        FilterExpression="begins_with(pk, :p)",
        ExpressionAttributeValues={":p": {"S": "p39"}},
        ConsistentRead=True,
    )
    counts = [(part["Count"], part["ScannedCount"], "Items" in part) for part in pages]
    assert sum(count for count, _, _ in counts) == 11
    assert sum(evaluated for _, evaluated, _ in counts) == ITEMS
    assert not any(has_items for _, _, has_items in counts)

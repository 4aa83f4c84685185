"""Pages of Query and Scan: when there is a LastEvaluatedKey, what it holds, where a page ends.

Sources: developer guide (paginating query results), and the service's answers recorded by public suites: a page that a
limit ended has a LastEvaluatedKey even if nothing follows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conformance_support import Index, Tables, item, items_of, pages, plain, settled, values

pytestmark = pytest.mark.cluster

ITEMS = 10
PAGE_BYTES = 1 << 20
BIG_ITEM_BYTES = 100_000
# The item that crosses 1 MB is the last of its page.
BIG_ITEMS_A_PAGE = -(-PAGE_BYTES // BIG_ITEM_BYTES)
BY_KEY: dict[str, Any] = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values(p="a")}


@pytest.fixture(scope="module")
def table(tables: Tables) -> str:
    return tables.make(
        "pk:S sk:N",
        *(item(pk="a", sk=n, same="s", team="t", v=n % 2) for n in range(ITEMS)),
        local=[Index("by_same", "pk:S same:S", "KEYS_ONLY")],
        globals_=[Index("by_team", "team:S same:S", "KEYS_ONLY")],
    )


@pytest.fixture(scope="module")
def big_table(tables: Tables) -> str:
    """25 items of 100,000 bytes under one partition key."""
    overhead = len("pk") + len("a") + len("sk") + 2 + len("v")
    return tables.make("pk:S sk:N", *(item(pk="a", sk=n + 10, v="x" * (BIG_ITEM_BYTES - overhead)) for n in range(25)))


@pytest.fixture(params=["query", "scan"])
def read(request: pytest.FixtureRequest, client: Any, table: str) -> Callable[..., Any]:
    """A strong Query, or Scan, of the ten items."""
    if request.param == "query":
        return lambda **members: client.query(TableName=table, ConsistentRead=True, **BY_KEY, **members)
    return lambda **members: client.scan(TableName=table, ConsistentRead=True, **members)


def keys(page: Any) -> list[int]:
    return [int(plain(one, "sk")) for one in page["Items"]]


def test_a_limit_below_the_rest_gives_the_key_of_the_last_item(read: Callable[..., Any]) -> None:
    page = read(Limit=4)
    assert keys(page) == [0, 1, 2, 3]
    assert page["LastEvaluatedKey"] == item(pk="a", sk=3)
    assert keys(read(ExclusiveStartKey=page["LastEvaluatedKey"])) == [4, 5, 6, 7, 8, 9]


def test_a_limit_reached_exactly_at_the_end_still_gives_a_key(read: Callable[..., Any]) -> None:
    page = read(Limit=ITEMS)
    assert page["LastEvaluatedKey"] == item(pk="a", sk=9)
    rest = read(ExclusiveStartKey=page["LastEvaluatedKey"], Limit=ITEMS)
    assert (rest["Items"], rest["Count"], rest["ScannedCount"]) == ([], 0, 0)
    assert "LastEvaluatedKey" not in rest


def test_a_limit_above_the_rest_gives_no_key(read: Callable[..., Any]) -> None:
    page = read(Limit=ITEMS + 1)
    assert len(page["Items"]) == ITEMS
    assert "LastEvaluatedKey" not in page


def test_a_limit_counts_what_is_read_not_what_the_filter_leaves(client: Any, table: str) -> None:
    placeholders = {"ExpressionAttributeValues": values(p="a", none="nothing")}
    page = client.query(
        TableName=table, ConsistentRead=True, Limit=3, FilterExpression="v = :none", **BY_KEY | placeholders
    )
    assert (page["Items"], page["Count"], page["ScannedCount"]) == ([], 0, 3)
    assert page["LastEvaluatedKey"] == item(pk="a", sk=2)


def test_a_page_may_start_at_a_key_that_no_item_has(read: Callable[..., Any]) -> None:
    assert keys(read(ExclusiveStartKey=item(pk="a", sk=100))) == []
    # The number is written in another way, and between two items.
    assert keys(read(ExclusiveStartKey={"pk": {"S": "a"}, "sk": {"N": "75E-1"}})) == [8, 9]


def test_backwards_pages_go_down(client: Any, table: str) -> None:
    found = list(pages(client.query, TableName=table, ConsistentRead=True, ScanIndexForward=False, Limit=4, **BY_KEY))
    assert [keys(page) for page in found] == [[9, 8, 7, 6], [5, 4, 3, 2], [1, 0]]
    assert found[0]["LastEvaluatedKey"] == item(pk="a", sk=6)


def test_a_range_is_paged_within_its_bounds(client: Any, table: str) -> None:
    request = {
        "KeyConditionExpression": "pk = :p AND sk BETWEEN :x AND :y",
        "ExpressionAttributeValues": values(p="a", x=2, y=6),
    }
    found = list(pages(client.query, TableName=table, ConsistentRead=True, Limit=2, **request))
    assert [keys(page) for page in found] == [[2, 3], [4, 5], [6]]


def test_an_item_deleted_between_two_pages_does_not_stop_them(tables: Tables) -> None:
    table = tables.make("pk:S sk:N", *(item(pk="a", sk=n) for n in range(6)))
    first = tables.client.query(TableName=table, ConsistentRead=True, Limit=3, **BY_KEY)
    tables.client.delete_item(TableName=table, Key=first["LastEvaluatedKey"])
    rest = tables.client.query(
        TableName=table, ConsistentRead=True, ExclusiveStartKey=first["LastEvaluatedKey"], **BY_KEY
    )
    assert keys(rest) == [3, 4, 5]


def test_a_key_of_a_local_index_holds_the_keys_of_both(client: Any, table: str) -> None:
    found = list(pages(client.query, TableName=table, IndexName="by_same", ConsistentRead=True, Limit=3, **BY_KEY))
    # All have the same sort key in the index: nobody says which comes first.
    assert [len(page["Items"]) for page in found] == [3, 3, 3, 1]
    assert sorted(key for page in found for key in keys(page)) == list(range(ITEMS))
    assert found[0]["LastEvaluatedKey"] == item(pk="a", sk=keys(found[0])[-1], same="s")


def test_a_key_of_a_global_index_holds_the_keys_of_both(client: Any, table: str) -> None:
    request = {"KeyConditionExpression": "team = :t", "ExpressionAttributeValues": values(t="t")}

    def look() -> Any:
        found = list(pages(client.query, TableName=table, IndexName="by_team", Limit=4, **request))
        return sorted(key for page in found for key in keys(page)), [len(page["Items"]) for page in found]

    settled(look, (list(range(ITEMS)), [4, 4, 2]))
    last = client.query(TableName=table, IndexName="by_team", Limit=4, **request)["LastEvaluatedKey"]
    assert last.keys() == {"pk", "sk", "team", "same"}


@pytest.mark.parametrize("index", ["by_same", "by_team"])
def test_an_index_is_scanned_in_pages(client: Any, table: str, index: str) -> None:
    settled(
        lambda: sorted(keys({"Items": items_of(client.scan, TableName=table, IndexName=index, Limit=3)})),
        list(range(ITEMS)),
    )


# --- 1 MB -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [True, False], ids=["forwards", "backwards"])
def test_a_query_page_ends_with_the_item_that_crosses_a_megabyte(client: Any, big_table: str, direction: bool) -> None:
    found = list(pages(client.query, TableName=big_table, ConsistentRead=True, ScanIndexForward=direction, **BY_KEY))
    assert [len(page["Items"]) for page in found] == [BIG_ITEMS_A_PAGE, BIG_ITEMS_A_PAGE, 25 - 2 * BIG_ITEMS_A_PAGE]
    ordered = [key for page in found for key in keys(page)]
    assert ordered == (list(range(10, 35)) if direction else list(range(34, 9, -1)))


def test_a_scan_page_ends_with_the_item_that_crosses_a_megabyte(client: Any, big_table: str) -> None:
    found = list(pages(client.scan, TableName=big_table, ConsistentRead=True))
    assert [len(page["Items"]) for page in found] == [BIG_ITEMS_A_PAGE, BIG_ITEMS_A_PAGE, 25 - 2 * BIG_ITEMS_A_PAGE]


def test_a_page_is_measured_before_filter_and_projection(client: Any, big_table: str) -> None:
    page = client.scan(
        TableName=big_table, ConsistentRead=True, FilterExpression="attribute_not_exists(v)", ProjectionExpression="sk"
    )
    assert (page["Items"], page["ScannedCount"]) == ([], BIG_ITEMS_A_PAGE)
    assert page["LastEvaluatedKey"] == item(pk="a", sk=9 + BIG_ITEMS_A_PAGE)


def test_a_page_of_counts_ends_at_a_megabyte_too(client: Any, big_table: str) -> None:
    page = client.query(TableName=big_table, ConsistentRead=True, Select="COUNT", **BY_KEY)
    assert (page["Count"], page["LastEvaluatedKey"]) == (BIG_ITEMS_A_PAGE, item(pk="a", sk=9 + BIG_ITEMS_A_PAGE))


def test_the_lower_of_both_limits_ends_the_page(client: Any, big_table: str) -> None:
    assert len(client.scan(TableName=big_table, ConsistentRead=True, Limit=5)["Items"]) == 5
    assert len(client.scan(TableName=big_table, ConsistentRead=True, Limit=20)["Items"]) == BIG_ITEMS_A_PAGE


def test_a_scan_over_many_partition_keys_pages_at_a_megabyte(tables: Tables) -> None:
    table = tables.make("pk:S", *(item(pk=f"key-{n}", v="x" * 60_000) for n in range(40)))
    found = list(pages(tables.client.scan, TableName=table, ConsistentRead=True))
    full = -(-PAGE_BYTES // 60_009)
    assert [len(page["Items"]) for page in found] == [full, full, 40 - 2 * full]
    assert len({plain(one, "pk") for page in found for one in page["Items"]}) == 40

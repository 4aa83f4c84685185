"""ConsumedCapacity and ItemCollectionMetrics of every operation, on tables with and without indexes.

Sources: shared/reference section 3, the API reference (ConsumedCapacity), figures measured on the service by public
suites: index writes, identical overwrites, reads before filter and projection.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from conformance_support import Index, Tables, item, item_size, settled, values

pytestmark = pytest.mark.cluster

KB = 1024


@pytest.fixture(scope="module")
def plain_table(tables: Tables) -> str:
    return tables.make("pk:S sk:N")


@pytest.fixture(scope="module")
def table(tables: Tables) -> str:
    """A local index over everything, a global one over its keys and `proj`."""
    return tables.make(
        "pk:S sk:N",
        local=[Index("lsi", "pk:S ls:S")],
        globals_=[Index("gsi", "gp:S", ["proj"])],
    )


@pytest.fixture
def key() -> dict[str, Any]:
    """A key of the test's own."""
    return item(pk=uuid.uuid4().hex[:8], sk=1)


def parts(consumed: dict[str, Any]) -> dict[str, Any]:
    """INDEXES as {total, table, lsi, gsi}, without what is absent."""
    indexes = consumed.get("LocalSecondaryIndexes", {}) | consumed.get("GlobalSecondaryIndexes", {})
    found = {"total": consumed["CapacityUnits"], "table": consumed["Table"]["CapacityUnits"]}
    return found | {name: index["CapacityUnits"] for name, index in indexes.items()}


def sized(key: dict[str, Any], size: int) -> dict[str, Any]:
    """An item of this key and size; its number counts 2 bytes."""
    names = {name: content for name, content in key.items() if "N" not in content}
    rest = item_size(names) + len("sk") + 2 + len("v")
    return key | item(v="x" * (size - rest))


# --- writes without indexes -------------------------------------------------------------------------------------------

WRITE_SIZES = [(1, 1 * KB), (2, 1 * KB + 1), (2, 2 * KB), (10, 10 * KB)]


@pytest.mark.parametrize(("units", "size"), WRITE_SIZES)
def test_a_put_costs_a_unit_for_each_kilobyte(
    client: Any, plain_table: str, key: dict[str, Any], units: int, size: int
) -> None:
    answer = client.put_item(TableName=plain_table, Item=sized(key, size), ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": plain_table, "CapacityUnits": float(units)}


def test_a_write_costs_the_larger_of_before_and_after(client: Any, plain_table: str, key: dict[str, Any]) -> None:
    client.put_item(TableName=plain_table, Item=sized(key, 5 * KB))
    shrunk = client.put_item(TableName=plain_table, Item=key, ReturnConsumedCapacity="TOTAL")
    assert shrunk["ConsumedCapacity"]["CapacityUnits"] == 5
    client.put_item(TableName=plain_table, Item=sized(key, 3 * KB))
    deleted = client.delete_item(TableName=plain_table, Key=key, ReturnConsumedCapacity="TOTAL")
    assert deleted["ConsumedCapacity"]["CapacityUnits"] == 3
    absent = client.delete_item(TableName=plain_table, Key=key, ReturnConsumedCapacity="TOTAL")
    assert absent["ConsumedCapacity"]["CapacityUnits"] == 1


def test_none_and_nothing_give_no_capacity(client: Any, plain_table: str, key: dict[str, Any]) -> None:
    assert "ConsumedCapacity" not in client.put_item(TableName=plain_table, Item=key)
    assert "ConsumedCapacity" not in client.put_item(TableName=plain_table, Item=key, ReturnConsumedCapacity="NONE")


def test_indexes_of_a_table_without_any_shows_the_table_alone(
    client: Any, plain_table: str, key: dict[str, Any]
) -> None:
    answer = client.put_item(TableName=plain_table, Item=key, ReturnConsumedCapacity="INDEXES")
    assert answer["ConsumedCapacity"] == {
        "TableName": plain_table,
        "CapacityUnits": 1.0,
        "Table": {"CapacityUnits": 1.0},
    }


# --- writes with indexes ----------------------------------------------------------------------------------------------

FULL = item(gp="g", ls="l", proj="p", oth="o")


def put(client: Any, table: str, attributes: dict[str, Any]) -> dict[str, Any]:
    answer = client.put_item(TableName=table, Item=attributes, ReturnConsumedCapacity="INDEXES")
    return parts(answer["ConsumedCapacity"])


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param(item(gp="g", proj="p"), {"total": 2, "table": 1, "gsi": 1}, id="one that the global index holds"),
        pytest.param(item(ls="l"), {"total": 2, "table": 1, "lsi": 1}, id="one that the local index holds"),
        pytest.param(FULL, {"total": 3, "table": 1, "gsi": 1, "lsi": 1}, id="one that both hold"),
        pytest.param(item(oth="o"), {"total": 1, "table": 1}, id="one that none holds"),
        pytest.param(
            item(gp="g", oth="x" * 3000), {"total": 4, "table": 3, "gsi": 1}, id="sized by what the index projects"
        ),
        pytest.param(
            item(gp="g", proj="x" * 3000), {"total": 6, "table": 3, "gsi": 3}, id="a large projected attribute"
        ),
    ],
)
def test_a_put_costs_its_index_entries(
    client: Any, table: str, key: dict[str, Any], attributes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert put(client, table, key | attributes) == expected


def test_total_holds_the_indexes_without_naming_them(client: Any, table: str, key: dict[str, Any]) -> None:
    answer = client.put_item(TableName=table, Item=key | FULL, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": table, "CapacityUnits": 3.0}


def test_an_identical_overwrite_costs_no_index_anything(client: Any, table: str, key: dict[str, Any]) -> None:
    put(client, table, key | FULL)
    assert put(client, table, key | FULL) == {"total": 1, "table": 1}


@pytest.mark.parametrize(
    ("expression", "placeholders", "expected"),
    [
        pytest.param("SET oth = :v", {"v": "o2"}, {"total": 2, "table": 1, "lsi": 1}, id="not projected by the global"),
        pytest.param("SET proj = :v", {"v": "p2"}, {"total": 3, "table": 1, "lsi": 1, "gsi": 1}, id="projected"),
        pytest.param(
            "SET gp = :v", {"v": "g2"}, {"total": 4, "table": 1, "lsi": 1, "gsi": 2}, id="key of the global index"
        ),
        pytest.param(
            "REMOVE gp", {}, {"total": 3, "table": 1, "lsi": 1, "gsi": 1}, id="key of the global index removed"
        ),
        pytest.param("SET ls = :v", {"v": "l2"}, {"total": 3, "table": 1, "lsi": 2}, id="key of the local index"),
    ],
)
def test_an_update_costs_what_it_changes_in_the_indexes(
    client: Any,
    table: str,
    key: dict[str, Any],
    expression: str,
    placeholders: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    put(client, table, key | FULL)
    request = {"ExpressionAttributeValues": values(**placeholders)} if placeholders else {}
    answer = client.update_item(
        TableName=table, Key=key, UpdateExpression=expression, ReturnConsumedCapacity="INDEXES", **request
    )
    assert parts(answer["ConsumedCapacity"]) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param(FULL, {"total": 3, "table": 1, "lsi": 1, "gsi": 1}, id="held by both"),
        pytest.param(item(oth="o"), {"total": 1, "table": 1}, id="held by none"),
    ],
)
def test_a_delete_costs_the_index_entries_it_removes(
    client: Any, table: str, key: dict[str, Any], attributes: dict[str, Any], expected: dict[str, Any]
) -> None:
    put(client, table, key | attributes)
    answer = client.delete_item(TableName=table, Key=key, ReturnConsumedCapacity="INDEXES")
    assert parts(answer["ConsumedCapacity"]) == expected


def test_a_batch_of_writes_sums_by_table(client: Any, table: str, plain_table: str, key: dict[str, Any]) -> None:
    second = key | item(sk=2)
    requests = {
        table: [{"PutRequest": {"Item": key | item(gp="g")}}, {"PutRequest": {"Item": second}}],
        plain_table: [{"PutRequest": {"Item": sized(key, 3 * KB)}}, {"DeleteRequest": {"Key": second}}],
    }
    answer = client.batch_write_item(RequestItems=requests, ReturnConsumedCapacity="INDEXES")
    found = {one["TableName"]: parts(one) for one in answer["ConsumedCapacity"]}
    assert found == {table: {"total": 3, "table": 2, "gsi": 1}, plain_table: {"total": 4, "table": 4}}


# --- reads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strong", "factor"), [(True, 1.0), (False, 0.5)], ids=["strong", "eventual"])
@pytest.mark.parametrize(("units", "size"), [(1, 4 * KB), (2, 4 * KB + 1), (3, 12 * KB)])
def test_a_get_costs_a_unit_for_each_4_kilobytes(
    client: Any, plain_table: str, key: dict[str, Any], units: int, size: int, strong: bool, factor: float
) -> None:
    client.put_item(TableName=plain_table, Item=sized(key, size))

    def look() -> Any:
        answer = client.get_item(
            TableName=plain_table,
            Key=key,
            ConsistentRead=strong,
            ReturnConsumedCapacity="TOTAL",
            ProjectionExpression="sk",
        )
        return answer["ConsumedCapacity"]["CapacityUnits"]

    settled(look, units * factor)


def test_what_is_not_there_costs_the_least(client: Any, plain_table: str) -> None:
    absent = {"Key": item(pk="absent", sk=1), "ReturnConsumedCapacity": "TOTAL"}
    for strong, units in ((True, 1.0), (False, 0.5)):
        answer = client.get_item(TableName=plain_table, ConsistentRead=strong, **absent)
        assert answer["ConsumedCapacity"]["CapacityUnits"] == units


def test_a_batch_of_reads_rounds_each_item(client: Any, plain_table: str, key: dict[str, Any]) -> None:
    second = key | item(sk=2)
    client.put_item(TableName=plain_table, Item=sized(key, 5 * KB))
    client.put_item(TableName=plain_table, Item=second)
    requests = {plain_table: {"Keys": [key, second, key | item(sk=3)], "ConsistentRead": True}}
    answer = client.batch_get_item(RequestItems=requests, ReturnConsumedCapacity="TOTAL")
    # 5 KB, a small one, and one that is not there.
    assert answer["ConsumedCapacity"] == [{"TableName": plain_table, "CapacityUnits": 4.0}]


@pytest.fixture(scope="module")
def read_table(tables: Tables) -> str:
    """Ten items of 1,000 bytes under one partition key, entries of a few bytes in two indexes."""
    items = [sized(item(pk="a", sk=n), 990) | item(ls=f"l{n}", gp="g") for n in range(10)]
    made = tables.make(
        "pk:S sk:N",
        *items,
        local=[Index("lsi", "pk:S ls:S", "KEYS_ONLY")],
        globals_=[Index("gsi", "gp:S ls:S", "KEYS_ONLY")],
    )
    settled(lambda: tables.client.scan(TableName=made, IndexName="gsi")["Count"], 10)
    return made


BY_KEY: dict[str, Any] = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values(p="a")}
BY_TEAM: dict[str, Any] = {"KeyConditionExpression": "gp = :g", "ExpressionAttributeValues": values(g="g")}


@pytest.mark.parametrize(("strong", "units"), [(True, 3.0), (False, 1.5)], ids=["strong", "eventual"])
@pytest.mark.parametrize("operation", ["query", "scan"])
@pytest.mark.parametrize(
    "members",
    [
        pytest.param({}, id="everything"),
        pytest.param({"FilterExpression": "attribute_not_exists(v)"}, id="a filter that leaves nothing"),
        pytest.param({"ProjectionExpression": "sk"}, id="a projection"),
        pytest.param({"Select": "COUNT"}, id="a count"),
    ],
)
def test_a_page_costs_the_sum_of_what_is_read(
    client: Any, read_table: str, operation: str, members: dict[str, Any], strong: bool, units: float
) -> None:
    request = (BY_KEY if operation == "query" else {}) | members
    call: Callable[..., Any] = getattr(client, operation)
    answer = call(TableName=read_table, ConsistentRead=strong, ReturnConsumedCapacity="TOTAL", **request)
    assert answer["ConsumedCapacity"] == {"TableName": read_table, "CapacityUnits": units}


@pytest.mark.parametrize(("strong", "units"), [(True, 1.0), (False, 0.5)], ids=["strong", "eventual"])
def test_a_query_that_finds_nothing_costs_the_least(client: Any, read_table: str, strong: bool, units: float) -> None:
    request = BY_KEY | {"ExpressionAttributeValues": values(p="nobody")}
    answer = client.query(TableName=read_table, ConsistentRead=strong, ReturnConsumedCapacity="TOTAL", **request)
    assert answer["ConsumedCapacity"]["CapacityUnits"] == units


@pytest.mark.parametrize(
    ("index", "request_members", "expected"),
    [
        pytest.param("lsi", BY_KEY, {"total": 0.5, "table": 0, "lsi": 0.5}, id="entries of the local index"),
        pytest.param(
            "lsi",
            BY_KEY | {"ConsistentRead": True},
            {"total": 1, "table": 0, "lsi": 1},
            id="entries of the local index, strongly",
        ),
        pytest.param(
            "lsi",
            BY_KEY | {"Select": "ALL_ATTRIBUTES", "ConsistentRead": True},
            {"total": 11, "table": 10, "lsi": 1},
            id="every item fetched through the local index is rounded by itself",
        ),
        pytest.param(
            "lsi",
            BY_KEY | {"ProjectionExpression": "v"},
            {"total": 5.5, "table": 5, "lsi": 0.5},
            id="an attribute fetched through the local index, eventually",
        ),
        pytest.param("gsi", BY_TEAM, {"total": 0.5, "table": 0, "gsi": 0.5}, id="entries of the global index"),
    ],
)
def test_a_query_of_an_index_costs_its_entries(
    client: Any, read_table: str, index: str, request_members: dict[str, Any], expected: dict[str, Any]
) -> None:
    answer = client.query(TableName=read_table, IndexName=index, ReturnConsumedCapacity="INDEXES", **request_members)
    assert parts(answer["ConsumedCapacity"]) == expected


# --- item collections -------------------------------------------------------------------------------------------------


def test_a_write_gives_the_size_of_its_item_collection(client: Any, table: str, key: dict[str, Any]) -> None:
    expected = {"ItemCollectionKey": {"pk": key["pk"]}, "SizeEstimateRangeGB": [0.0, 1.0]}
    size = {"TableName": table, "ReturnItemCollectionMetrics": "SIZE"}
    assert client.put_item(Item=key | FULL, **size)["ItemCollectionMetrics"] == expected
    updated = client.update_item(Key=key, UpdateExpression="SET v = :v", ExpressionAttributeValues=values(v=1), **size)
    assert updated["ItemCollectionMetrics"] == expected
    assert client.delete_item(Key=key, **size)["ItemCollectionMetrics"] == expected


def test_a_batch_gives_the_sizes_of_its_item_collections(client: Any, table: str, key: dict[str, Any]) -> None:
    answer = client.batch_write_item(
        RequestItems={table: [{"PutRequest": {"Item": key}}]}, ReturnItemCollectionMetrics="SIZE"
    )
    expected = {"ItemCollectionKey": {"pk": key["pk"]}, "SizeEstimateRangeGB": [0.0, 1.0]}
    assert answer["ItemCollectionMetrics"] == {table: [expected]}


def test_there_are_no_item_collections_without_local_indexes(
    client: Any, plain_table: str, key: dict[str, Any]
) -> None:
    answer = client.put_item(TableName=plain_table, Item=key, ReturnItemCollectionMetrics="SIZE")
    assert "ItemCollectionMetrics" not in answer


def test_nobody_asked_for_item_collections(client: Any, table: str, key: dict[str, Any]) -> None:
    assert "ItemCollectionMetrics" not in client.put_item(TableName=table, Item=key)
    assert "ItemCollectionMetrics" not in client.put_item(TableName=table, Item=key, ReturnItemCollectionMetrics="NONE")

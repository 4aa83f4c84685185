"""Local secondary indexes: order, projections, items fetched from the table, and what keys they refuse.

Sources: developer guide (local secondary indexes), the API reference (Query), recorded answers of the service.
"""

from __future__ import annotations

from typing import Any

import pytest
from conformance_support import INVALID, VALIDATION, Index, Tables, item, plain, refusal, values

pytestmark = pytest.mark.cluster

INDEXES = [
    Index("by_age", "pk:S age:N"),
    Index("by_name", "pk:S name:S", "KEYS_ONLY"),
    Index("by_bin", "pk:S bin:B", ["extra"]),
]
EMPTY = (
    "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
    "The AttributeValue for a key attribute cannot contain an empty "
)
ANN = item(pk="a", sk=1, age=30, name="ann", bin=b"\x02", extra="x1", oth="o1")
BOB = item(pk="a", sk=2, age=4, name="bob", bin=b"\x01", extra="x2", oth="o2")
CARL = item(pk="a", sk=3, age=-5, name="carl", oth="o3")
BARE = item(pk="a", sk=4, oth="o4")
ELSEWHERE = item(pk="b", sk=1, age=1, name="dora", oth="o5")


@pytest.fixture(scope="module")
def table(tables: Tables) -> str:
    return tables.make("pk:S sk:N", ANN, BOB, CARL, BARE, ELSEWHERE, local=INDEXES)


def read(client: Any, table: str, index: str, condition: str = "pk = :p", **members: Any) -> list[Any]:
    placeholders = values(p="a") | members.pop("placeholders", {})
    found: list[Any] = client.query(
        TableName=table,
        IndexName=index,
        KeyConditionExpression=condition,
        ExpressionAttributeValues=placeholders,
        **{"ConsistentRead": True} | members,
    )["Items"]
    return found


def only(one: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: content for name, content in one.items() if name in names}


def test_an_index_orders_by_its_own_key_and_holds_only_items_that_have_it(client: Any, table: str) -> None:
    assert read(client, table, "by_age") == [CARL, BOB, ANN]
    assert read(client, table, "by_age", ScanIndexForward=False) == [ANN, BOB, CARL]
    assert [plain(one, "sk") for one in read(client, table, "by_bin")] == ["2", "1"]


@pytest.mark.parametrize(
    ("index", "condition", "placeholder", "sort_keys"),
    [
        pytest.param("by_age", "age = :x", 4, ["2"], id="number, ="),
        pytest.param("by_age", "age < :x", 30, ["3", "2"], id="number, <"),
        pytest.param("by_age", "age BETWEEN :x AND :x", 30, ["1"], id="number, BETWEEN"),
        pytest.param("by_name", "begins_with(#n, :x)", "b", ["2"], id="string, begins_with"),
        pytest.param("by_name", "#n >= :x", "bob", ["2", "3"], id="string, >="),
        pytest.param("by_bin", "bin > :x", b"\x01", ["1"], id="binary, >"),
    ],
)
def test_a_condition_on_the_key_of_the_index(
    client: Any, table: str, index: str, condition: str, placeholder: Any, sort_keys: list[str]
) -> None:
    names = {"ExpressionAttributeNames": {"#n": "name"}} if "#n" in condition else {}
    found = read(client, table, index, f"pk = :p AND {condition}", placeholders=values(x=placeholder), **names)
    assert [plain(one, "sk") for one in found] == sort_keys


@pytest.mark.parametrize(
    ("index", "members", "expected"),
    [
        pytest.param("by_name", {}, [only(ANN, "pk", "sk", "name")], id="KEYS_ONLY gives the keys of both"),
        pytest.param(
            "by_name",
            {"Select": "ALL_PROJECTED_ATTRIBUTES"},
            [only(ANN, "pk", "sk", "name")],
            id="projected attributes of KEYS_ONLY",
        ),
        pytest.param("by_name", {"Select": "ALL_ATTRIBUTES"}, [ANN], id="all attributes are fetched from the table"),
        pytest.param(
            "by_name", {"ProjectionExpression": "oth, sk"}, [only(ANN, "oth", "sk")], id="one attribute is fetched"
        ),
        pytest.param(
            "by_bin", {}, [only(ANN, "pk", "sk", "bin", "extra")], id="INCLUDE gives keys and what it includes"
        ),
        pytest.param("by_age", {}, [ANN], id="ALL gives everything"),
    ],
)
def test_what_an_index_gives(client: Any, table: str, index: str, members: dict[str, Any], expected: list[Any]) -> None:
    found = [one for one in read(client, table, index, **members) if plain(one, "sk") == "1"]
    assert found == expected


def test_a_filter_sees_an_attribute_that_all_attributes_fetches(client: Any, table: str) -> None:
    placeholders = values(o="o2")
    members = {"Select": "ALL_ATTRIBUTES", "FilterExpression": "oth = :o", "placeholders": placeholders}
    assert read(client, table, "by_name", **members) == [BOB]


def test_count_of_an_index(client: Any, table: str) -> None:
    answer = client.query(
        TableName=table,
        IndexName="by_age",
        KeyConditionExpression="pk = :p",
        ExpressionAttributeValues=values(p="a"),
        Select="COUNT",
        ConsistentRead=True,
    )
    assert (answer["Count"], answer["ScannedCount"]) == (3, 3)


def test_a_scan_of_an_index_gives_all_its_entries(client: Any, table: str) -> None:
    found = client.scan(TableName=table, IndexName="by_name", ConsistentRead=True)["Items"]
    names = sorted(plain(one, "name") for one in found)
    assert names == ["ann", "bob", "carl", "dora"]
    assert all(one.keys() == {"pk", "sk", "name"} for one in found)


def test_a_scan_of_an_index_can_fetch_whole_items(client: Any, table: str) -> None:
    found = client.scan(TableName=table, IndexName="by_name", Select="ALL_ATTRIBUTES", ConsistentRead=True)["Items"]
    assert sorted(plain(one, "oth") for one in found) == ["o1", "o2", "o3", "o5"]


def test_an_index_follows_every_write_at_once(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S sk:N", local=INDEXES)
    key = item(pk="a", sk=1)

    def ages() -> list[Any]:
        return [plain(one, "age") for one in read(client, table, "by_age")]

    client.put_item(TableName=table, Item=key | item(age=10))
    assert ages() == ["10"]
    client.update_item(
        TableName=table, Key=key, UpdateExpression="SET age = age + :x", ExpressionAttributeValues=values(x=5)
    )
    assert ages() == ["15"]
    client.update_item(TableName=table, Key=key, UpdateExpression="REMOVE age")
    assert ages() == []
    client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": key | item(age=1)}}]})
    assert ages() == ["1"]
    client.delete_item(TableName=table, Key=key)
    assert ages() == []


def test_equal_index_keys_are_all_kept(tables: Tables) -> None:
    client, table = (
        tables.client,
        tables.make("pk:S sk:N", *(item(pk="a", sk=n, age=7) for n in range(12)), local=INDEXES),
    )
    found = read(client, table, "by_age", "pk = :p AND age = :x", placeholders=values(x=7))
    assert sorted(int(plain(one, "sk")) for one in found) == list(range(12))


# --- keys that an index refuses ---------------------------------------------------------------------------------------

PUT_REFUSALS = [
    pytest.param(
        item(age="old"),
        INVALID + "Type mismatch for Index Key age Expected: N Actual: S IndexName: by_age",
        id="another type",
    ),
    pytest.param(
        item(age=None),
        INVALID + "Type mismatch for Index Key age Expected: N Actual: NULL IndexName: by_age",
        id="NULL",
    ),
    pytest.param(
        item(name=["x"]),
        INVALID + "Type mismatch for Index Key name Expected: S Actual: L IndexName: by_name",
        id="list",
    ),
    pytest.param(item(name=""), EMPTY + "string value. IndexName: by_name, IndexKey: name", id="empty string"),
    pytest.param(item(bin=b""), EMPTY + "binary value. IndexName: by_bin, IndexKey: bin", id="empty binary"),
    pytest.param(
        item(name="x" * 1025),
        INVALID + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes",
        id="over 1024 bytes",
    ),
]


@pytest.mark.parametrize(("attributes", "message"), PUT_REFUSALS)
def test_a_put_with_a_key_that_an_index_cannot_hold_is_refused(
    client: Any, table: str, attributes: dict[str, Any], message: str
) -> None:
    refused = item(pk="refused", sk=1) | attributes
    assert refusal(client.put_item, TableName=table, Item=refused) == (VALIDATION, message)
    assert "Item" not in client.get_item(TableName=table, Key=item(pk="refused", sk=1), ConsistentRead=True)


@pytest.mark.parametrize(
    ("attribute", "content"),
    [("age", "old"), ("age", None), ("name", ""), ("name", "x" * 1025), ("bin", b""), ("bin", {"a": 1})],
    ids=["another type", "NULL", "empty string", "over 1024 bytes", "empty binary", "map"],
)
def test_an_update_to_a_key_that_an_index_cannot_hold_is_refused(
    client: Any, table: str, attribute: str, content: Any
) -> None:
    code, _ = refusal(
        client.update_item,
        TableName=table,
        Key=item(pk="refused", sk=2),
        UpdateExpression="SET #a = :v",
        ExpressionAttributeNames={"#a": attribute},
        ExpressionAttributeValues=values(v=content),
    )
    assert code == VALIDATION
    assert "Item" not in client.get_item(TableName=table, Key=item(pk="refused", sk=2), ConsistentRead=True)


# --- CreateTable ------------------------------------------------------------------------------------------------------


def test_describe_table_shows_the_indexes(client: Any, table: str) -> None:
    found = client.describe_table(TableName=table)["Table"]
    shown = {index["IndexName"]: index for index in found["LocalSecondaryIndexes"]}
    assert shown.keys() == {"by_age", "by_name", "by_bin"}
    assert shown["by_age"]["KeySchema"] == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "age", "KeyType": "RANGE"},
    ]
    assert shown["by_age"]["Projection"] == {"ProjectionType": "ALL"}
    assert shown["by_bin"]["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["extra"]}
    assert shown["by_name"]["IndexArn"] == found["TableArn"] + "/index/by_name"
    assert "IndexStatus" not in shown["by_age"]

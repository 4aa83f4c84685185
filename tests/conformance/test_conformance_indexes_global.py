"""Global secondary indexes: what they hold, how they follow, keys of several attributes, and what keys they refuse.

Sources: developer guide (global secondary indexes), the API reference, recorded answers of the service.
"""

from __future__ import annotations

from typing import Any

import pytest
from conformance_support import INVALID, VALIDATION, Index, Tables, item, items_of, plain, refusal, settled, values

pytestmark = pytest.mark.cluster

INDEXES = [
    Index("all", "team:S score:N"),
    Index("keys", "team:S", "KEYS_ONLY"),
    Index("some", "num:N bin:B", ["extra"]),
    Index("turned", "sk:N pk:S", "KEYS_ONLY"),
]
A1 = item(pk="a", sk=1, team="red", score=10, num=7, bin=b"\x01", extra="x", oth="o")
A2 = item(pk="a", sk=2, team="red", score=-3, oth="o")
B1 = item(pk="b", sk=1, team="red", score=5, num=7, bin=b"\x00", oth="o")
B2 = item(pk="b", sk=2, team="blue", score=5)
NO_SCORE = item(pk="c", sk=1, team="red", oth="o")
NO_TEAM = item(pk="c", sk=2, score=1)
ITEMS = [A1, A2, B1, B2, NO_SCORE, NO_TEAM]


def read(client: Any, table: str, index: str, condition: str, names: Any = None, **placeholders: Any) -> list[Any]:
    found: list[Any] = items_of(
        client.query,
        TableName=table,
        IndexName=index,
        KeyConditionExpression=condition,
        ExpressionAttributeValues=values(**placeholders),
        **({"ExpressionAttributeNames": names} if names else {}),
    )
    return found


@pytest.fixture(scope="module")
def table(tables: Tables) -> str:
    """A table whose indexes hold all they will hold."""
    made = tables.make("pk:S sk:N", *ITEMS, globals_=INDEXES)
    for index, count in (("all", 4), ("keys", 5), ("some", 2), ("turned", 6)):
        settled(lambda index=index: len(items_of(tables.client.scan, TableName=made, IndexName=index)), count)
    return made


def only(one: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: content for name, content in one.items() if name in names}


def test_an_index_holds_the_items_that_have_all_its_keys_in_its_order(client: Any, table: str) -> None:
    assert read(client, table, "all", "team = :t", t="red") == [A2, B1, A1]
    assert read(client, table, "all", "team = :t", t="blue") == [B2]
    assert read(client, table, "all", "team = :t", t="green") == []


def test_an_index_without_sort_key_holds_any_number_of_items_under_one_key(client: Any, table: str) -> None:
    found = read(client, table, "keys", "team = :t", t="red")
    expected = [only(one, "pk", "sk", "team") for one in (A1, A2, B1, NO_SCORE)]
    assert sorted(found, key=lambda one: plain(one, "pk", "sk")) == expected


@pytest.mark.parametrize(
    ("index", "condition", "placeholders", "expected"),
    [
        pytest.param("all", "team = :t AND score > :s", {"t": "red", "s": -3}, [B1, A1], id="number, >"),
        pytest.param("all", "team = :t AND score BETWEEN :s AND :s", {"t": "red", "s": 5}, [B1], id="number, BETWEEN"),
        pytest.param(
            "some",
            "num = :n",
            {"n": 7},
            [only(one, "pk", "sk", "num", "bin", "extra") for one in (B1, A1)],
            id="INCLUDE gives keys and what it includes",
        ),
        pytest.param(
            "some",
            "num = :n AND begins_with(bin, :b)",
            {"n": 7, "b": b"\x01"},
            [only(A1, "pk", "sk", "num", "bin", "extra")],
            id="binary, begins_with",
        ),
        pytest.param(
            "turned",
            "sk = :s",
            {"s": 1},
            [only(one, "pk", "sk") for one in (A1, B1, NO_SCORE)],
            id="the table's keys in the other order",
        ),
    ],
)
def test_a_condition_on_the_keys_of_the_index(
    client: Any, table: str, index: str, condition: str, placeholders: dict[str, Any], expected: list[Any]
) -> None:
    assert read(client, table, index, condition, **placeholders) == expected


def test_a_filter_on_an_index(client: Any, table: str) -> None:
    answer = client.query(
        TableName=table,
        IndexName="all",
        KeyConditionExpression="team = :t",
        FilterExpression="pk = :p",
        ExpressionAttributeValues=values(t="red", p="a"),
    )
    # The table's keys are no keys of the index: a filter may name them.
    assert (answer["Items"], answer["ScannedCount"]) == ([A2, A1], 3)


def test_an_index_follows_every_write(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S sk:N", globals_=[Index("all", "team:S score:N")])
    key = item(pk="a", sk=1)

    def look() -> list[Any]:
        found = items_of(client.scan, TableName=table, IndexName="all")
        return sorted(plain(one, "team", "score", "v") for one in found)

    client.put_item(TableName=table, Item=key | item(team="red", score=1))
    settled(look, [("red", "1", None)])
    client.update_item(
        TableName=table, Key=key, UpdateExpression="SET v = :v", ExpressionAttributeValues=values(v="new")
    )
    settled(look, [("red", "1", "new")])
    client.update_item(
        TableName=table, Key=key, UpdateExpression="SET team = :t", ExpressionAttributeValues=values(t="blue")
    )
    settled(look, [("blue", "1", "new")])
    client.update_item(TableName=table, Key=key, UpdateExpression="REMOVE score")
    settled(look, [])
    client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": key | item(team="red", score=9)}}]})
    settled(look, [("red", "9", None)])
    client.delete_item(TableName=table, Key=key)
    settled(look, [])


def test_many_quick_changes_end_in_the_last_one(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S", globals_=[Index("all", "team:S score:N")])
    for number in range(60):
        moved = item(pk=f"k{number % 3}", team=f"t{number % 4}", score=number)
        client.put_item(TableName=table, Item=moved)
    settled(
        lambda: sorted(
            plain(one, "pk", "team", "score") for one in items_of(client.scan, TableName=table, IndexName="all")
        ),
        [("k0", "t1", "57"), ("k1", "t2", "58"), ("k2", "t3", "59")],
    )


# --- keys of several attributes ---------------------------------------------------------------------------------------

MULTIPLE = Index("multiple", "h1:S h2:N* r1:S r2:N r3:B")
LETTERS = [
    item(pk="1", h1="x", h2=1, r1="a", r2=2, r3=b"\x01"),
    item(pk="2", h1="x", h2=1, r1="a", r2=10, r3=b"\x01"),
    item(pk="3", h1="x", h2=1, r1="a", r2=10, r3=b"\x02"),
    item(pk="4", h1="x", h2=1, r1="b", r2=-1, r3=b"\x00"),
    item(pk="5", h1="x", h2=2, r1="a", r2=2, r3=b"\x01"),
    item(pk="6", h1="x", h2=1, r1="c", r3=b"\x01"),
]


@pytest.fixture(scope="module")
def multiple(tables: Tables) -> str:
    made = tables.make("pk:S", *LETTERS, globals_=[MULTIPLE])
    settled(lambda: len(items_of(tables.client.scan, TableName=made, IndexName="multiple")), 5)
    return made


@pytest.mark.parametrize(
    ("condition", "placeholders", "expected"),
    [
        pytest.param("h1 = :h AND h2 = :n", {}, "1234", id="all hash attributes"),
        pytest.param("h1 = :h AND h2 = :n AND r1 = :r", {"r": "a"}, "123", id="the first range attribute"),
        pytest.param("h1 = :h AND h2 = :n AND r1 > :r", {"r": "a"}, "4", id="a range of the first"),
        pytest.param("h1 = :h AND h2 = :n AND r1 = :r AND r2 = :s", {"r": "a", "s": 10}, "23", id="the first two"),
        pytest.param(
            "h1 = :h AND h2 = :n AND r1 = :r AND r2 < :s", {"r": "a", "s": 10}, "1", id="a range of the second"
        ),
        pytest.param(
            "h1 = :h AND h2 = :n AND r1 = :r AND r2 = :s AND r3 >= :b",
            {"r": "a", "s": 10, "b": b"\x02"},
            "3",
            id="a range of the last",
        ),
        pytest.param("r1 = :r AND h2 = :n AND h1 = :h", {"r": "b"}, "4", id="in any order"),
    ],
)
def test_a_key_of_several_attributes(
    client: Any, multiple: str, condition: str, placeholders: dict[str, Any], expected: str
) -> None:
    found = read(client, multiple, "multiple", condition, h="x", n=1, **placeholders)
    assert "".join(plain(one, "pk") for one in found) == expected


@pytest.mark.parametrize(
    ("condition", "placeholders", "message"),
    [
        pytest.param(
            "h1 = :h AND h2 = :n AND r2 = :s",
            {"s": 2},
            "RANGE key attributes r1 must have equality conditions specified in the query because a condition is "
            "present on key attribute r2",
            id="a gap",
        ),
        pytest.param(
            "h1 = :h AND h2 = :n AND r1 > :r AND r2 = :s",
            {"r": "a", "s": 2},
            "RANGE key attributes r1 must have equality conditions specified in the query because a condition is "
            "present on key attribute r2",
            id="a range before the last",
        ),
    ],
)
def test_a_condition_with_a_gap_is_refused(
    client: Any, multiple: str, condition: str, placeholders: dict[str, Any], message: str
) -> None:
    code, said = refusal(
        client.query,
        TableName=multiple,
        IndexName="multiple",
        KeyConditionExpression=condition,
        ExpressionAttributeValues=values(h="x", n=1, **placeholders),
    )
    assert code == VALIDATION
    assert message in said


def test_half_of_the_hash_attributes_are_refused(client: Any, multiple: str) -> None:
    request = {"KeyConditionExpression": "h1 = :h", "ExpressionAttributeValues": values(h="x")}
    assert refusal(client.query, TableName=multiple, IndexName="multiple", **request)[0] == VALIDATION


def test_pages_of_a_key_of_several_attributes(client: Any, multiple: str) -> None:
    request = {
        "IndexName": "multiple",
        "KeyConditionExpression": "h1 = :h AND h2 = :n",
        "ExpressionAttributeValues": values(h="x", n=1),
        "Limit": 1,
    }
    first = client.query(TableName=multiple, **request)
    assert first["LastEvaluatedKey"].keys() == {"pk", "h1", "h2", "r1", "r2", "r3"}
    assert "".join(plain(one, "pk") for one in items_of(client.query, TableName=multiple, **request)) == "1234"


# --- refusals ---------------------------------------------------------------------------------------------------------

QUERY_REFUSALS = [
    pytest.param(
        {"IndexName": "keys", "Select": "ALL_ATTRIBUTES"},
        INVALID + "Select type ALL_ATTRIBUTES is not supported for global secondary index keys because its projection "
        "type is not ALL",
        id="all attributes of an index that has not all",
    ),
    pytest.param(
        {"IndexName": "keys", "ProjectionExpression": "oth"},
        INVALID + "Global secondary index keys does not project [oth]",
        id="an attribute that the index has not",
    ),
    pytest.param(
        {"IndexName": "keys", "ConsistentRead": True},
        "Consistent reads are not supported on global secondary indexes",
        id="strong read",
    ),
    pytest.param(
        {"IndexName": "all", "ExclusiveStartKey": item(team="red", score=1)},
        "The provided starting key is invalid",
        id="start key without the table's keys",
    ),
]


@pytest.mark.parametrize(("members", "message"), QUERY_REFUSALS)
def test_a_query_of_an_index_is_refused(client: Any, table: str, members: dict[str, Any], message: str) -> None:
    request = {"KeyConditionExpression": "team = :t", "ExpressionAttributeValues": values(t="red")}
    assert refusal(client.query, TableName=table, **request, **members) == (VALIDATION, message)


EMPTY = (
    "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
    "The AttributeValue for a key attribute cannot contain an empty "
)
PUT_REFUSALS = [
    pytest.param(
        item(score="high"),
        INVALID + "Type mismatch for Index Key score Expected: N Actual: S IndexName: all",
        id="another type",
    ),
    pytest.param(
        item(score=None),
        INVALID + "Type mismatch for Index Key score Expected: N Actual: NULL IndexName: all",
        id="NULL",
    ),
    pytest.param(
        item(num={1}), INVALID + "Type mismatch for Index Key num Expected: N Actual: NS IndexName: some", id="set"
    ),
    pytest.param(item(bin=b""), EMPTY + "binary value. IndexName: some, IndexKey: bin", id="empty binary"),
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
    [("score", "high"), ("score", None), ("team", ""), ("team", "x" * 2049), ("bin", b""), ("team", ["a"])],
    ids=["another type", "NULL", "empty string", "over 2048 bytes", "empty binary", "list"],
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


def test_describe_table_shows_the_indexes(client: Any, table: str) -> None:
    found = client.describe_table(TableName=table)["Table"]
    shown = {index["IndexName"]: index for index in found["GlobalSecondaryIndexes"]}
    assert shown.keys() == {"all", "keys", "some", "turned"}
    assert all(index["IndexStatus"] == "ACTIVE" for index in shown.values())
    assert shown["some"]["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["extra"]}
    assert shown["some"]["KeySchema"] == [
        {"AttributeName": "num", "KeyType": "HASH"},
        {"AttributeName": "bin", "KeyType": "RANGE"},
    ]
    assert shown["keys"]["IndexArn"] == found["TableArn"] + "/index/keys"

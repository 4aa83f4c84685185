"""What a boto3 client does with items: every attribute type, reads, updates, conditions, return values.

Expectations: shared/reference/dynamodb-semantics.md and the API reference (PutItem, GetItem, UpdateItem, DeleteItem).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr
from botocore.exceptions import ClientError

from harness.cluster import LocalCluster

pytestmark = pytest.mark.cluster


class Things:
    """A table (pk S, sk N) on which each test works with an item of its own."""

    def __init__(self, client: Any, table: str) -> None:
        self.client = client
        self.table = table
        self.key = {"pk": {"S": f"item-{uuid.uuid4()}"}, "sk": {"N": "1"}}

    def put(self, **options: Any) -> Any:
        attributes = options.pop("attributes", {})
        return self.client.put_item(TableName=self.table, Item=self.key | attributes, **options)

    def get(self, **options: Any) -> Any:
        return self.client.get_item(TableName=self.table, Key=self.key, **({"ConsistentRead": True} | options))

    def item(self) -> Any:
        """The item without its key; None when there is none."""
        found = self.get().get("Item")
        return None if found is None else {name: found[name] for name in found.keys() - self.key.keys()}

    def update(self, expression: str, values: Any = None, **options: Any) -> Any:
        if values:
            options["ExpressionAttributeValues"] = values
        return self.client.update_item(TableName=self.table, Key=self.key, UpdateExpression=expression, **options)

    def delete(self, **options: Any) -> Any:
        return self.client.delete_item(TableName=self.table, Key=self.key, **options)


@pytest.fixture(scope="module")
def things_table(new_table: Callable[..., str]) -> str:
    return new_table("S", "N")


@pytest.fixture
def things(dynamodb: Any, things_table: str) -> Things:
    return Things(dynamodb, things_table)


def fails(call: Callable[[], Any]) -> Any:
    """The error answer of a call that must be refused."""
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response


DEEP: dict[str, Any] = {"S": "the innermost"}
for _ in range(31):
    DEEP = {"L": [DEEP]}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"S": "text"}, id="string"),
        pytest.param({"S": ""}, id="empty string"),
        pytest.param({"S": 'é ✓ 𝄞 "quoted" \\ \n \x00 \u2028'}, id="any unicode text"),
        pytest.param({"N": "0"}, id="zero"),
        pytest.param({"N": "-12345678901234567890123456789012345678"}, id="number of 38 digits"),
        pytest.param({"B": bytes(range(256))}, id="every byte"),
        pytest.param({"B": b""}, id="no byte"),
        pytest.param({"BOOL": True}, id="true"),
        pytest.param({"BOOL": False}, id="false"),
        pytest.param({"NULL": True}, id="null"),
        pytest.param({"L": []}, id="empty list"),
        pytest.param({"M": {}}, id="empty map"),
        pytest.param({"L": [{"S": "a"}, {"N": "1"}, {"L": [{"M": {"x": {"NULL": True}}}]}]}, id="nested list"),
        pytest.param({"M": {"a": {"M": {"b": {"SS": ["x"]}}}, "é": {"S": ""}}}, id="nested map"),
        pytest.param(DEEP, id="32 levels"),
    ],
)
def test_a_value_comes_back_as_it_was_put(things: Things, value: Any) -> None:
    things.put(attributes={"value": value})
    assert things.item() == {"value": value}
    assert things.get(ConsistentRead=True)["Item"]["pk"] == things.key["pk"]


@pytest.mark.parametrize(
    ("kind", "elements"),
    [("SS", {"b", "a", "é"}), ("NS", {"1", "-2.5", "1000"}), ("BS", {b"\x00", b"\xff\xfe"})],
    ids=["strings", "numbers", "binaries"],
)
def test_a_set_comes_back_with_the_same_elements(things: Things, kind: str, elements: set[Any]) -> None:
    things.put(attributes={"value": {kind: list(elements)}})
    assert set(things.item()["value"][kind]) == elements


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1.0", "1"),
        ("1E2", "100"),
        ("-0", "0"),
        ("0.10", "0.1"),
        ("+5", "5"),
        ("007", "7"),
        ("1.500e-3", "0.0015"),
        ("9.9999999999999999999999999999999999999E+125", "99999999999999999999999999999999999999" + "0" * 88),
        ("1E-130", "0." + "0" * 129 + "1"),
    ],
)
def test_numbers_are_normalised(things: Things, written: str, stored: str) -> None:
    things.put(attributes={"value": {"N": written}})
    assert things.item() == {"value": {"N": stored}}


def test_equal_numbers_are_one_sort_key(dynamodb: Any, things: Things) -> None:
    things.put(attributes={"v": {"S": "first"}})
    key = {"pk": things.key["pk"], "sk": {"N": "1.00"}}
    assert dynamodb.get_item(TableName=things.table, Key=key, ConsistentRead=True)["Item"]["v"] == {"S": "first"}


@pytest.mark.parametrize(("kind", "value"), [("S", "a"), ("N", "1"), ("B", b"\x00\xff")], ids=["S", "N", "B"])
def test_a_table_may_have_any_key_type_and_no_sort_key(
    dynamodb: Any, new_table: Callable[..., str], kind: str, value: Any
) -> None:
    table = new_table(kind)
    item = {"pk": {kind: value}, "v": {"N": "1"}}
    dynamodb.put_item(TableName=table, Item=item)
    assert dynamodb.get_item(TableName=table, Key={"pk": {kind: value}}, ConsistentRead=True)["Item"] == item


def test_the_resource_interface_and_its_decimals_work(shared_cluster: LocalCluster, things: Things) -> None:
    resource = boto3.resource(
        "dynamodb",
        endpoint_url=shared_cluster.endpoint(),
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    table = resource.Table(things.table)
    key = {"pk": things.key["pk"]["S"], "sk": 1}
    table.put_item(Item=key | {"price": Decimal("12.50"), "tags": {"a", "b"}, "deep": {"list": [1, None, True]}})
    table.update_item(
        Key=key,
        UpdateExpression="SET price = price + :more",
        ConditionExpression=Attr("price").gt(Decimal("12")) & Attr("tags").contains("a"),
        ExpressionAttributeValues={":more": Decimal("0.25")},
    )
    item = table.get_item(Key=key, ConsistentRead=True)["Item"]
    assert (item["price"], item["tags"], item["deep"]) == (Decimal("12.75"), {"a", "b"}, {"list": [1, None, True]})


def test_a_missing_item_is_no_item_and_no_error(things: Things) -> None:
    assert "Item" not in things.get()
    assert "Item" not in things.get(ConsistentRead=False)


def test_an_eventual_read_sees_the_write_in_the_end(things: Things) -> None:
    from harness.waiting import wait_until

    things.put(attributes={"v": {"N": "1"}})
    wait_until(lambda: things.get(ConsistentRead=False).get("Item"), timeout_s=5, what="the replica has the item")


def test_a_strong_read_sees_every_write_at_once(things: Things) -> None:
    for number in range(100):
        things.put(attributes={"v": {"N": str(number)}})
        assert things.item() == {"v": {"N": str(number)}}


@pytest.mark.parametrize("router", [0, 1], ids=["the same router", "the other router"])
def test_a_write_through_one_router_is_read_through(shared_cluster: LocalCluster, things: Things, router: int) -> None:
    things.put(attributes={"v": {"N": "7"}})
    client = shared_cluster.dynamodb(router=router)
    answer = client.get_item(TableName=things.table, Key=things.key, ConsistentRead=True)
    assert answer["Item"]["v"] == {"N": "7"}


# --- ProjectionExpression -------------------------------------------------------------------------------------------


def test_a_projection_returns_only_the_paths_it_names(things: Things) -> None:
    attributes = {"a": {"M": {"b": {"L": [{"N": "0"}, {"N": "1"}]}, "c": {"S": "x"}}}, "size": {"N": "2"}}
    things.put(attributes=attributes)
    answer = things.get(
        ProjectionExpression="a.b[1], #size, absent", ExpressionAttributeNames={"#size": "size"}, ConsistentRead=False
    )
    strong = things.get(ProjectionExpression="a.b[1], #size, absent", ExpressionAttributeNames={"#size": "size"})
    assert strong["Item"] == {"a": {"M": {"b": {"L": [{"N": "1"}]}}}, "size": {"N": "2"}}
    assert "Item" not in answer or answer["Item"] == strong["Item"]


# --- UpdateExpression -----------------------------------------------------------------------------------------------

START = {
    "n": {"N": "10"},
    "s": {"S": "text"},
    "parts": {"L": [{"N": "1"}, {"N": "2"}]},
    "nested": {"M": {"x": {"N": "1"}}},
    "strings": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1"]},
}


@pytest.mark.parametrize(
    ("expression", "values", "changes"),
    [
        ("SET n = :v", {":v": {"S": "new"}}, {"n": {"S": "new"}}),
        ("SET n = n + :v", {":v": {"N": "0.5"}}, {"n": {"N": "10.5"}}),
        ("SET n = n - :v", {":v": {"N": "12"}}, {"n": {"N": "-2"}}),
        ("SET fresh = if_not_exists(fresh, :v)", {":v": {"N": "3"}}, {"fresh": {"N": "3"}}),
        ("SET n = if_not_exists(n, :v) + :v", {":v": {"N": "3"}}, {"n": {"N": "13"}}),
        (
            "SET parts = list_append(parts, :v)",
            {":v": {"L": [{"S": "x"}]}},
            {"parts": {"L": [{"N": "1"}, {"N": "2"}, {"S": "x"}]}},
        ),
        (
            "SET parts = list_append(:v, parts)",
            {":v": {"L": [{"S": "x"}]}},
            {"parts": {"L": [{"S": "x"}, {"N": "1"}, {"N": "2"}]}},
        ),
        ("SET parts[0] = :v", {":v": {"S": "x"}}, {"parts": {"L": [{"S": "x"}, {"N": "2"}]}}),
        ("SET nested.y = :v", {":v": {"N": "2"}}, {"nested": {"M": {"x": {"N": "1"}, "y": {"N": "2"}}}}),
        ("SET n = s, s = n", {}, {"n": {"S": "text"}, "s": {"N": "10"}}),
        ("REMOVE n, parts[0]", {}, {"n": None, "parts": {"L": [{"N": "2"}]}}),
        ("REMOVE nested.x", {}, {"nested": {"M": {}}}),
        ("ADD n :v, fresh :v", {":v": {"N": "-1"}}, {"n": {"N": "9"}, "fresh": {"N": "-1"}}),
        ("ADD numbers :v", {":v": {"NS": ["1", "2"]}}, {"numbers": {"NS": ["1", "2"]}}),
        ("DELETE strings :v", {":v": {"SS": ["a", "z"]}}, {"strings": {"SS": ["b"]}}),
        ("DELETE strings :v", {":v": {"SS": ["a", "b"]}}, {"strings": None}),
        (
            "SET s = :s REMOVE n ADD fresh :n DELETE strings :d",
            {":s": {"S": "x"}, ":n": {"N": "1"}, ":d": {"SS": ["a"]}},
            {"s": {"S": "x"}, "n": None, "fresh": {"N": "1"}, "strings": {"SS": ["b"]}},
        ),
        ("SET n = n + :v", {":v": {"N": "1E-27"}}, {"n": {"N": "10.000000000000000000000000001"}}),
    ],
)
def test_an_update_changes_exactly_what_it_says(
    things: Things, expression: str, values: dict[str, Any], changes: dict[str, Any]
) -> None:
    things.put(attributes=START)
    things.update(expression, values)
    expected = {name: value for name, value in (START | changes).items() if value is not None}
    found = things.item()
    assert _sorted_sets(found) == _sorted_sets(expected)


def _sorted_sets(item: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {kind: sorted(value) if kind in ("SS", "NS") else value for kind, value in typed.items()}
        for name, typed in item.items()
    }


def test_an_update_of_a_missing_item_creates_it_with_its_key(things: Things) -> None:
    things.update("ADD hits :one", {":one": {"N": "1"}})
    assert things.get()["Item"] == things.key | {"hits": {"N": "1"}}


def test_an_update_without_an_expression_creates_a_bare_item(things: Things) -> None:
    things.client.update_item(TableName=things.table, Key=things.key)
    assert things.get()["Item"] == things.key


def test_concurrent_updates_lose_nothing(shared_cluster: LocalCluster, things: Things) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def add(number: int) -> None:
        client = shared_cluster.dynamodb(router=number % 2) if number < 2 else things.client
        client.update_item(
            TableName=things.table,
            Key=things.key,
            UpdateExpression="ADD hits :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(add, range(400)))
    assert things.item() == {"hits": {"N": "400"}}


# --- ReturnValues ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("NONE", None),
        ("ALL_OLD", {"a": {"N": "1"}, "b": {"N": "2"}}),
        ("ALL_NEW", {"a": {"N": "5"}, "b": {"N": "2"}}),
        ("UPDATED_OLD", {"a": {"N": "1"}}),
        ("UPDATED_NEW", {"a": {"N": "5"}}),
    ],
)
def test_return_values_of_an_update(things: Things, wanted: str, expected: dict[str, Any] | None) -> None:
    things.put(attributes={"a": {"N": "1"}, "b": {"N": "2"}})
    answer = things.update("SET a = :v", {":v": {"N": "5"}}, ReturnValues=wanted)
    whole = expected is not None and wanted.startswith("ALL")
    assert answer.get("Attributes") == (things.key | expected if whole and expected else expected)


@pytest.mark.parametrize("name", ["put", "delete"])
@pytest.mark.parametrize("wanted", ["NONE", "ALL_OLD"])
def test_return_values_of_put_and_delete(things: Things, name: str, wanted: str) -> None:
    before = things.put(attributes={"a": {"N": "1"}}, ReturnValues=wanted)
    assert "Attributes" not in before
    answer = getattr(things, name)(ReturnValues=wanted)
    assert answer.get("Attributes") == (things.key | {"a": {"N": "1"}} if wanted == "ALL_OLD" else None)


def test_consumed_capacity_follows_size_and_consistency(things: Things) -> None:
    put = things.put(attributes={"v": {"S": "x" * 2500}}, ReturnConsumedCapacity="TOTAL")
    assert put["ConsumedCapacity"] == {"TableName": things.table, "CapacityUnits": 3.0}
    units = [
        things.get(ConsistentRead=strong, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]["CapacityUnits"]
        for strong in (True, False)
    ]
    assert units == [1.0, 0.5]


# --- conditions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "values", "holds"),
    [
        ("attribute_exists(pk)", {}, True),
        ("attribute_not_exists(pk)", {}, False),
        ("n = :v", {":v": {"N": "10.0"}}, True),
        ("n <> :v", {":v": {"N": "10"}}, False),
        ("n BETWEEN :low AND :high", {":low": {"N": "9"}, ":high": {"N": "11"}}, True),
        ("n IN (:a, :b)", {":a": {"N": "1"}, ":b": {"N": "10"}}, True),
        ("begins_with(s, :v)", {":v": {"S": "te"}}, True),
        ("contains(strings, :v)", {":v": {"S": "z"}}, False),
        ("attribute_type(s, :v)", {":v": {"S": "S"}}, True),
        ("size(s) = :v", {":v": {"N": "4"}}, True),
        ("n > :v AND NOT (s = :s OR attribute_exists(absent))", {":v": {"N": "9"}, ":s": {"S": "x"}}, True),
        ("absent = :v", {":v": {"N": "1"}}, False),
        ("n < :v", {":v": {"S": "a string never compares"}}, False),
    ],
)
@pytest.mark.parametrize("name", ["put", "update", "delete"])
def test_a_condition_decides_every_kind_of_write(
    things: Things, name: str, condition: str, values: dict[str, Any], holds: bool
) -> None:
    things.put(attributes=START)
    options: dict[str, Any] = {"ConditionExpression": condition}
    if values:
        options["ExpressionAttributeValues"] = dict(values)
    if name == "update":
        options["ExpressionAttributeValues"] = options.get("ExpressionAttributeValues", {}) | {":new": {"N": "99"}}
        options |= {"UpdateExpression": "SET n = :new"}
        call = lambda: things.client.update_item(TableName=things.table, Key=things.key, **options)  # noqa: E731
    else:
        call = lambda: getattr(things, name)(**options)  # noqa: E731
    if holds:
        call()
        after = {"put": {}, "update": START | {"n": {"N": "99"}}, "delete": None}[name]
        found = things.item()
        assert (found and _sorted_sets(found)) == (after and _sorted_sets(after))
    else:
        answer = fails(call)
        assert answer["Error"] == {
            "Code": "ConditionalCheckFailedException",
            "Message": "The conditional request failed",
        }
        assert "Item" not in answer
        assert _sorted_sets(things.item()) == _sorted_sets(START)


@pytest.mark.parametrize("name", ["put", "update", "delete"])
def test_a_failed_condition_returns_the_item_when_asked(things: Things, name: str) -> None:
    things.put(attributes={"n": {"N": "1"}})
    options = {"ConditionExpression": "n = :v", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    values = {":v": {"N": "2"}}
    if name == "update":
        answer = fails(lambda: things.update("SET n = :v", values, **options))
    else:
        answer = fails(lambda: getattr(things, name)(ExpressionAttributeValues=values, **options))
    assert answer["Item"] == things.key | {"n": {"N": "1"}}


def test_only_one_of_many_racing_creators_wins(things: Things) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def create(number: int) -> bool:
        try:
            things.put(attributes={"winner": {"N": str(number)}}, ConditionExpression="attribute_not_exists(pk)")
        except things.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(create, range(32)))
    assert sum(won) == 1
    assert things.item() == {"winner": {"N": str(won.index(True))}}


def test_delete_removes_the_item_and_is_idempotent(things: Things) -> None:
    things.put()
    things.delete()
    assert things.item() is None
    things.delete()

"""Query: order, key conditions, filters, and what is refused.

Sources: the API reference (Query), answers of the service recorded by public suites, shared/reference section 15.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from conformance_support import INVALID, NOT_FOUND, VALIDATION, Index, Tables, item, plain, refusal, values

pytestmark = pytest.mark.cluster

KEYS = "pk:S sk:N"
EMPTY_KEY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string "
    "value. Key: pk"
)


@pytest.fixture(scope="module")
def table(tables: Tables) -> str:
    """Ten items under pk=a (sk 0..9, even ones with `even`), one under pk=b, and a global index by `team`."""
    numbers = [item(pk="a", sk=n, v=f"v{n}", **({"even": True} if n % 2 == 0 else {})) for n in range(10)]
    return tables.make(KEYS, *numbers, item(pk="b", sk=5, v="other"), globals_=[Index("by_team", "team:S")])


def sorted_keys(client: Any, table: str, **request: Any) -> list[Any]:
    found = client.query(TableName=table, ConsistentRead=True, **request)
    return [plain(one, "sk") for one in found["Items"]]


# --- order ------------------------------------------------------------------------------------------------------------

ORDERS = [
    pytest.param(
        "N",
        ["-1E+125", "-100", "-99.5", "-1E-130", "0", "1E-130", "0.5", "2", "10", "10.01", "1E+125"],
        id="numbers sort by value",
    ),
    pytest.param(
        "S", ["A", "B", "Z", "a", "aa", "b", "~", "\x7f", "é", "～", "𝄞"], id="strings sort by their UTF-8 bytes"
    ),
    pytest.param(
        "B",
        [b"\x00", b"\x00\x00", b"\x00\x01", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff\x00", b"\xff\xff"],
        id="binary sorts by unsigned bytes, the shorter first",
    ),
]


@pytest.mark.parametrize(("kind", "ordered"), ORDERS)
def test_items_come_in_the_order_of_their_sort_keys(tables: Tables, kind: str, ordered: list[Any]) -> None:
    keys = [Decimal(key) for key in ordered] if kind == "N" else ordered
    # Written in an order that is none.
    table = tables.make(f"pk:S sk:{kind}", *(item(pk="a", sk=keys[at * 7 % len(keys)]) for at in range(len(keys))))
    request = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values(p="a")}
    read = (lambda key: Decimal(key)) if kind == "N" else (lambda key: key)
    assert [read(key) for key in sorted_keys(tables.client, table, **request)] == keys
    backwards = sorted_keys(tables.client, table, ScanIndexForward=False, **request)
    assert [read(key) for key in backwards] == keys[::-1]


# --- key conditions ---------------------------------------------------------------------------------------------------

CONDITIONS = [
    pytest.param("pk = :p", {}, range(10), id="partition key alone"),
    pytest.param("pk = :p AND sk = :x", {"x": 3}, [3], id="="),
    pytest.param("pk = :p AND sk < :x", {"x": 3}, [0, 1, 2], id="<"),
    pytest.param("pk = :p AND sk <= :x", {"x": 3}, [0, 1, 2, 3], id="<="),
    pytest.param("pk = :p AND sk > :x", {"x": 7}, [8, 9], id=">"),
    pytest.param("pk = :p AND sk >= :x", {"x": 7}, [7, 8, 9], id=">="),
    pytest.param("pk = :p AND sk BETWEEN :x AND :y", {"x": 2, "y": 4}, [2, 3, 4], id="BETWEEN includes both ends"),
    pytest.param("pk = :p AND sk BETWEEN :x AND :x", {"x": 2}, [2], id="BETWEEN one value and itself"),
    pytest.param("sk > :x AND pk = :p", {"x": 7}, [8, 9], id="the conditions in the other order"),
    pytest.param(":p = pk AND :x <= sk", {"x": 8}, [8, 9], id="the value on the left"),
    pytest.param("(pk = :p) AND (sk > :x)", {"x": 8}, [9], id="parentheses"),
    pytest.param("pk = :p AND sk > :x", {"x": Decimal("8.5")}, [9], id="a number between two keys"),
    pytest.param("pk = :p AND sk > :x", {"x": 9}, [], id="nothing in range"),
    pytest.param("pk = :p and sk between :x and :y", {"x": 2, "y": 3}, [2, 3], id="keywords in lower case"),
]


@pytest.mark.parametrize(("condition", "placeholders", "expected"), CONDITIONS)
def test_a_key_condition_selects(
    client: Any, table: str, condition: str, placeholders: dict[str, Any], expected: Any
) -> None:
    answer = client.query(
        TableName=table,
        KeyConditionExpression=condition,
        ExpressionAttributeValues=values(p="a", **placeholders),
        ConsistentRead=True,
    )
    assert [int(plain(one, "sk")) for one in answer["Items"]] == list(expected)
    assert (answer["Count"], answer["ScannedCount"]) == (len(expected), len(expected))
    assert "LastEvaluatedKey" not in answer


@pytest.mark.parametrize(
    ("kind", "keys", "prefix", "expected"),
    [
        pytest.param("S", ["a", "ab", "abc", "b", "é"], "ab", ["ab", "abc"], id="string prefix"),
        pytest.param("S", ["a", "é", "éa", "f"], "é", ["é", "éa"], id="prefix of two bytes"),
        pytest.param(
            "B",
            [b"\xff", b"\xff\xff", b"\xff\xff\x01", b"\xfe"],
            b"\xff\xff",
            [b"\xff\xff", b"\xff\xff\x01"],
            id="binary",
        ),
    ],
)
def test_begins_with_selects_by_prefix(
    tables: Tables, kind: str, keys: list[Any], prefix: Any, expected: list[Any]
) -> None:
    table = tables.make(f"pk:S sk:{kind}", *(item(pk="a", sk=key) for key in keys))
    request = {
        "KeyConditionExpression": "pk = :p AND begins_with(sk, :x)",
        "ExpressionAttributeValues": values(p="a", x=prefix),
    }
    assert sorted_keys(tables.client, table, **request) == expected


def test_a_partition_key_that_no_item_has_gives_an_empty_page(client: Any, table: str) -> None:
    answer = client.query(
        TableName=table,
        KeyConditionExpression="pk = :p",
        ExpressionAttributeValues=values(p="none"),
        ConsistentRead=True,
    )
    assert (answer["Items"], answer["Count"], answer["ScannedCount"]) == ([], 0, 0)
    assert "LastEvaluatedKey" not in answer


def test_a_table_without_sort_key_gives_its_one_item(tables: Tables) -> None:
    table = tables.make("pk:N", item(pk=1, v="one"), item(pk=2, v="two"))
    answer = tables.client.query(
        TableName=table, KeyConditionExpression="pk = :p", ExpressionAttributeValues=values(p=2), ConsistentRead=True
    )
    assert answer["Items"] == [item(pk=2, v="two")]


def test_a_number_key_is_found_however_it_is_written(client: Any, table: str) -> None:
    answer = client.query(
        TableName=table,
        KeyConditionExpression="pk = :p AND sk = :x",
        ExpressionAttributeValues={":p": {"S": "a"}, ":x": {"N": "0.30E1"}},
        ConsistentRead=True,
    )
    assert answer["Items"] == [item(pk="a", sk=3, v="v3")]


def test_a_write_is_seen_by_the_next_strong_query(tables: Tables) -> None:
    table = tables.make(KEYS)
    for number in range(20):
        tables.client.put_item(TableName=table, Item=item(pk="a", sk=number))
        request = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values(p="a"), "Select": "COUNT"}
        assert tables.client.query(TableName=table, ConsistentRead=True, **request)["Count"] == number + 1


# --- filter, projection, select ---------------------------------------------------------------------------------------


def test_a_filter_comes_after_reading(client: Any, table: str) -> None:
    answer = client.query(
        TableName=table,
        KeyConditionExpression="pk = :p",
        FilterExpression="even = :t AND v <> :v",
        ExpressionAttributeValues=values(p="a", t=True, v="v4"),
        ConsistentRead=True,
    )
    assert [plain(one, "v") for one in answer["Items"]] == ["v0", "v2", "v6", "v8"]
    assert (answer["Count"], answer["ScannedCount"]) == (4, 10)


def test_a_projection_leaves_out_what_an_item_has_not(client: Any, table: str) -> None:
    answer = client.query(
        TableName=table,
        KeyConditionExpression="pk = :p AND sk < :x",
        ProjectionExpression="even, #v",
        ExpressionAttributeNames={"#v": "v"},
        ExpressionAttributeValues=values(p="a", x=2),
        ConsistentRead=True,
    )
    assert answer["Items"] == [item(even=True, v="v0"), item(v="v1")]


def test_a_projection_that_matches_nothing_keeps_an_empty_item(client: Any, table: str) -> None:
    answer = client.query(
        TableName=table,
        KeyConditionExpression="pk = :p AND sk < :x",
        ProjectionExpression="absent",
        ExpressionAttributeValues=values(p="a", x=2),
        ConsistentRead=True,
    )
    assert (answer["Items"], answer["Count"]) == ([{}, {}], 2)


def test_select_count_answers_without_items(client: Any, table: str) -> None:
    answer = client.query(
        TableName=table,
        KeyConditionExpression="pk = :p",
        FilterExpression="attribute_exists(even)",
        ExpressionAttributeValues=values(p="a"),
        Select="COUNT",
        ConsistentRead=True,
    )
    assert (answer["Count"], answer["ScannedCount"]) == (5, 10)
    assert "Items" not in answer


@pytest.mark.parametrize(
    ("select", "members"),
    [
        pytest.param("ALL_ATTRIBUTES", {}, id="all attributes"),
        pytest.param("SPECIFIC_ATTRIBUTES", {"ProjectionExpression": "pk, sk, v, even"}, id="specific attributes"),
    ],
)
def test_select_says_again_what_is_read(client: Any, table: str, select: str, members: dict[str, Any]) -> None:
    request = {"KeyConditionExpression": "pk = :p AND sk = :x", "ExpressionAttributeValues": values(p="a", x=2)}
    answer = client.query(TableName=table, Select=select, ConsistentRead=True, **request, **members)
    assert answer["Items"] == [item(pk="a", sk=2, v="v2", even=True)]


# --- refusals ---------------------------------------------------------------------------------------------------------

P = values(p="a")
BY_KEY = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": P}
STARTING_KEY = "The provided starting key is invalid"


def condition(text: str, **placeholders: Any) -> dict[str, Any]:
    request: dict[str, Any] = {"KeyConditionExpression": text}
    return request | ({"ExpressionAttributeValues": values(**placeholders)} if placeholders else {})


REFUSALS = [
    pytest.param(
        {},
        "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
        id="no key condition",
    ),
    pytest.param(
        condition("", p="a"), "Invalid KeyConditionExpression: The expression can not be empty;", id="empty expression"
    ),
    pytest.param(condition("sk = :x", x=1), "Query condition missed key schema element: pk", id="sort key alone"),
    pytest.param(
        condition("v = :x", x="v1"), "Query condition missed key schema element: pk", id="an attribute that is no key"
    ),
    pytest.param(
        condition("pk = :p AND v = :x", p="a", x="v1"),
        "Query condition missed key schema element: sk",
        id="partition key and an attribute that is no key",
    ),
    pytest.param(condition("pk > :p", p="a"), "Query key condition not supported", id="partition key not by equality"),
    pytest.param(
        condition("begins_with(pk, :p)", p="a"), "Query key condition not supported", id="prefix of a partition key"
    ),
    pytest.param(
        condition("pk = :p", p=1),
        INVALID + "Condition parameter type does not match schema type",
        id="partition key of another type",
    ),
    pytest.param(
        condition("pk = :p AND sk > :x", p="a", x="1"),
        INVALID + "Condition parameter type does not match schema type",
        id="sort key of another type",
    ),
    pytest.param(condition("pk = :p", p=""), EMPTY_KEY, id="empty partition key"),
    pytest.param(
        condition("pk = :p OR sk = :x", p="a", x=1),
        "Invalid operator used in KeyConditionExpression: OR",
        id="OR",
    ),
    pytest.param(condition("NOT pk = :p", p="a"), "Invalid operator used in KeyConditionExpression: NOT", id="NOT"),
    pytest.param(
        condition("pk = :p AND sk <> :x", p="a", x=1),
        "Invalid operator used in KeyConditionExpression: <>",
        id="<>",
    ),
    pytest.param(
        condition("pk = :p AND sk IN (:x)", p="a", x=1),
        "Invalid operator used in KeyConditionExpression: IN",
        id="IN",
    ),
    pytest.param(
        condition("pk = :p AND attribute_exists(sk)", p="a"),
        "Invalid operator used in KeyConditionExpression: attribute_exists",
        id="attribute_exists",
    ),
    pytest.param(
        condition("pk = :p AND contains(sk, :x)", p="a", x="1"),
        "Invalid operator used in KeyConditionExpression: contains",
        id="contains",
    ),
    pytest.param(
        condition("pk = :p AND sk > :x AND sk < :y", p="a", x=1, y=3),
        "KeyConditionExpressions must only contain one condition per key",
        id="two conditions on one key",
    ),
    pytest.param(
        condition("pk = :p AND sk.part = :x", p="a", x=1),
        "KeyConditionExpressions cannot have conditions on nested attributes",
        id="nested attribute",
    ),
    *(
        pytest.param(
            condition(text, p="a", x=operand, **more),
            "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: "
            f"{operator}, operand type: {kind}",
            id=f"{operator} of a {kind}",
        )
        for text, operand, more, operator, kind in (
            ("pk = :p AND begins_with(sk, :x)", 1, {}, "begins_with", "N"),
            ("pk = :p AND begins_with(sk, :x)", True, {}, "begins_with", "BOOL"),
            ("pk = :p AND sk < :x", True, {}, "<", "BOOL"),
            ("pk = :p AND :x >= sk", True, {}, ">=", "BOOL"),
            ("pk = :p AND sk BETWEEN :x AND :y", False, {"y": True}, "BETWEEN", "BOOL"),
        )
    ),
    pytest.param(
        condition("pk = :p AND begins_with(sk, :x)", p="a", x="1"),
        INVALID + "Condition parameter type does not match schema type",
        id="prefix of a number",
    ),
    pytest.param(
        condition("pk = :p AND sk = :x", p="a", x=True),
        INVALID + "Condition parameter type does not match schema type",
        id="sort key equal to a boolean",
    ),
    pytest.param(
        condition("pk = :p AND sk > :x AND v = :y", p="a", x=1, y=2),
        "The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)",
        id="three conditions",
    ),
    pytest.param(
        condition("pk = sk"),
        "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
        id="one key against the other",
    ),
    pytest.param(
        condition("pk = :p AND sk BETWEEN :x AND :y", p="a", x=3, y=1),
        "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to "
        "lower bound; lower bound operand: AttributeValue: {N:3}, upper bound operand: AttributeValue: {N:1}",
        id="BETWEEN with its bounds exchanged",
    ),
    pytest.param(
        condition("pk = :missing", p="a"),
        "Invalid KeyConditionExpression: An expression attribute value used in expression is not defined; "
        "attribute value: :missing",
        id="undefined value",
    ),
    pytest.param(
        BY_KEY | {"ExpressionAttributeNames": {"#n": "v"}},
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#n}",
        id="unused name",
    ),
    pytest.param(
        {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values(p="a", q="b")},
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:q}",
        id="unused value",
    ),
    pytest.param(
        BY_KEY | {"FilterExpression": "sk = :p"},
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk",
        id="filter on the sort key",
    ),
    pytest.param(
        BY_KEY | {"FilterExpression": "#missing = :p"},
        "Invalid FilterExpression: An expression attribute name used in the document path is not defined; "
        "attribute name: #missing",
        id="undefined name in the filter",
    ),
    pytest.param(
        BY_KEY | {"ProjectionExpression": "a, a.b"},
        "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of these "
        "paths; path one: [a], path two: [a, b]",
        id="projection that overlaps itself",
    ),
    pytest.param(
        BY_KEY | {"IndexName": "absent"}, "The table does not have the specified index: absent", id="unknown index"
    ),
    pytest.param(
        condition("team = :p", p="a") | {"IndexName": "by_team", "ConsistentRead": True},
        "Consistent reads are not supported on global secondary indexes",
        id="strong read of a global index",
    ),
    pytest.param(
        BY_KEY | {"Select": "ALL_ATTRIBUTES", "ProjectionExpression": "v"},
        "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES",
        id="all attributes and a projection",
    ),
    pytest.param(
        BY_KEY | {"Select": "ALL_PROJECTED_ATTRIBUTES"},
        "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        id="projected attributes without an index",
    ),
    pytest.param(
        BY_KEY | {"Select": "SOME"},
        "1 validation error detected: Value 'SOME' at 'select' failed to satisfy constraint: Member must satisfy enum "
        "value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]",
        id="unknown Select",
    ),
    pytest.param(
        BY_KEY | {"Limit": 0},
        "1 validation error detected: Value at 'Limit' failed to satisfy constraint: Member must have value greater "
        "than or equal to 1",
        id="Limit 0",
    ),
    pytest.param(BY_KEY | {"ExclusiveStartKey": item(pk="a")}, STARTING_KEY, id="start key without sort key"),
    pytest.param(
        BY_KEY | {"ExclusiveStartKey": item(pk="a", sk=1, v="v")}, STARTING_KEY, id="start key with more than the key"
    ),
    pytest.param(
        BY_KEY | {"ExclusiveStartKey": item(pk="b", sk=1)},
        "The provided starting key is outside query boundaries based on provided conditions",
        id="start key of another partition key",
    ),
    pytest.param(
        condition("pk = :p AND sk > :x", p="a", x=5) | {"ExclusiveStartKey": item(pk="a", sk=2)},
        "The provided starting key does not match the range key predicate",
        id="start key outside the range",
    ),
    pytest.param(
        BY_KEY | {"KeyConditions": {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}}},
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {KeyConditions} Expression parameters: {KeyConditionExpression}",
        id="key condition in both languages",
    ),
]


@pytest.mark.parametrize(("request_members", "message"), REFUSALS)
def test_a_query_is_refused(client: Any, table: str, request_members: dict[str, Any], message: str) -> None:
    assert refusal(client.query, TableName=table, **request_members) == (VALIDATION, message)


def test_select_of_specific_attributes_needs_a_projection(client: Any, table: str) -> None:
    assert refusal(client.query, TableName=table, Select="SPECIFIC_ATTRIBUTES", **BY_KEY)[0] == VALIDATION


def test_a_table_that_does_not_exist_is_not_found(client: Any) -> None:
    assert refusal(client.query, TableName="conformance-absent", **BY_KEY) == NOT_FOUND


def test_expressions_are_checked_before_the_table_is_looked_up(client: Any) -> None:
    request = BY_KEY | {"FilterExpression": "a ="}
    code, message = refusal(client.query, TableName="conformance-absent", **request)
    assert code == VALIDATION
    assert message.startswith("Invalid FilterExpression: Syntax error; ")

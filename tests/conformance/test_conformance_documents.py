"""Items round-trip bit for bit: every type, 32 levels, 400 KB, sets, numbers, the empty string, keys of every type.

Sources: developer guide (data types, quotas), shared/reference section 2, recorded answers of the service.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from conformance_support import INVALID, VALIDATION, Tables, item, refusal, values

pytestmark = pytest.mark.cluster

LEVELS_MAX = 32
ITEM_BYTES_MAX = 400 * 1024


def nested(levels: int, kind: str) -> dict[str, Any]:
    """A value that is `levels` deep, the innermost being a string."""
    found: dict[str, Any] = {"S": "the innermost"}
    for _ in range(levels - 1):
        found = {"L": [found]} if kind == "L" else {"M": {"a": found}}
    return found


@pytest.fixture(scope="module")
def table(tables: Tables) -> str:
    return tables.make("pk:S")


EVERYTHING: dict[str, Any] = {
    "string": {"S": 'é ✓ 𝄞 "quoted" \\ / \n\r\t\x00\x1f\x7f\u2028'},
    "empty string": {"S": ""},
    "zero": {"N": "0"},
    "small": {"N": "-0.0000000001"},
    "digits": {"N": "12345678901234567890123456789012345678"},
    "bytes": {"B": bytes(range(256))},
    "empty bytes": {"B": b""},
    "true": {"BOOL": True},
    "false": {"BOOL": False},
    "null": {"NULL": True},
    "empty list": {"L": []},
    "empty map": {"M": {}},
    "list": {"L": [{"S": "a"}, {"N": "1"}, {"L": [{"M": {"x": {"NULL": True}}}]}]},
    "map": {"M": {"é": {"SS": ["one"]}, "a.b": {"N": "1"}}},
    "one string": {"SS": ["a"]},
    "one number": {"NS": ["-1.5"]},
    "one binary": {"BS": [b"\x00\xff"]},
    "deep": nested(LEVELS_MAX - 1, "L"),
}


def test_every_type_comes_back_as_it_was_put_by_every_read(client: Any, table: str) -> None:
    whole = {"pk": {"S": "everything"}} | {f"n {name}": content for name, content in EVERYTHING.items()}
    client.put_item(TableName=table, Item=whole)
    key = item(pk="everything")
    assert client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"] == whole
    requests = {table: {"Keys": [key], "ConsistentRead": True}}
    assert client.batch_get_item(RequestItems=requests)["Responses"][table] == [whole]
    found = client.query(
        TableName=table,
        KeyConditionExpression="pk = :p",
        ExpressionAttributeValues=values(p="everything"),
        ConsistentRead=True,
    )
    assert found["Items"] == [whole]
    assert whole in client.scan(TableName=table, ConsistentRead=True)["Items"]
    assert client.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")["Attributes"] == whole


@pytest.mark.parametrize(
    ("kind", "elements"),
    [
        ("SS", ["b", "a", "é", ""]),
        ("NS", ["1", "-2.5", "1000", "0"]),
        ("BS", [b"", b"\x00", b"\xff\xfe"]),
    ],
)
def test_a_set_comes_back_with_the_same_elements(client: Any, table: str, kind: str, elements: list[Any]) -> None:
    client.put_item(TableName=table, Item=item(pk=kind) | {"v": {kind: elements}})
    found = client.get_item(TableName=table, Key=item(pk=kind), ConsistentRead=True)["Item"]["v"]
    assert found.keys() == {kind}
    assert sorted(found[kind]) == sorted(elements)


@pytest.mark.parametrize("kind", ["L", "M"])
def test_32_levels_are_kept_and_33_refused(client: Any, table: str, kind: str) -> None:
    deep = item(pk="deep") | {"v": nested(LEVELS_MAX, kind)}
    client.put_item(TableName=table, Item=deep)
    assert client.get_item(TableName=table, Key=item(pk="deep"), ConsistentRead=True)["Item"] == deep
    too_deep = deep | {"v": nested(LEVELS_MAX + 1, kind)}
    assert refusal(client.put_item, TableName=table, Item=too_deep) == (
        VALIDATION,
        "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported "
        "limit",
    )


def test_400_kb_are_kept_and_one_byte_more_refused(client: Any, table: str) -> None:
    # Names and values count: pk + big + v.
    largest = item(pk="big", v="x" * (ITEM_BYTES_MAX - len("pk") - len("big") - len("v")))
    client.put_item(TableName=table, Item=largest)
    assert client.get_item(TableName=table, Key=item(pk="big"), ConsistentRead=True)["Item"] == largest
    larger = largest | {"v": {"S": largest["v"]["S"] + "x"}}
    message = "Item size has exceeded the maximum allowed size"
    assert refusal(client.put_item, TableName=table, Item=larger) == (VALIDATION, message)
    requests = {table: [{"PutRequest": {"Item": larger}}]}
    assert refusal(client.batch_write_item, RequestItems=requests) == (VALIDATION, message)


def test_an_item_that_grows_over_400_kb_is_refused(client: Any, table: str) -> None:
    client.put_item(TableName=table, Item=item(pk="grows", v="x" * 300_000))
    assert refusal(
        client.update_item,
        TableName=table,
        Key=item(pk="grows"),
        UpdateExpression="SET w = :w",
        ExpressionAttributeValues=values(w="y" * 200_000),
    ) == (VALIDATION, "Item size to update has exceeded the maximum allowed size")


# --- keys -------------------------------------------------------------------------------------------------------------

KEYS = [
    pytest.param("S", ["a", " ", "\x00", "é", "x" * 2048, "𝄞", "a\x00b", "/", "%2F"], id="strings"),
    pytest.param(
        "N", [Decimal(n) for n in ("0", "-1", "1E+125", "-1E-130", "0.1", "99999999999999999999")], id="numbers"
    ),
    pytest.param("B", [b"\x00", b"\x00\x00", b"\xff" * 2048, b"\x00\x01", b"\x01\x00"], id="binaries"),
]


@pytest.mark.parametrize(("kind", "keys"), KEYS)
def test_partition_keys_of_every_type(tables: Tables, kind: str, keys: list[Any]) -> None:
    client, table = tables.client, tables.make(f"pk:{kind}")
    for number, key in enumerate(keys):
        client.put_item(TableName=table, Item=item(pk=key, v=number))
    for number, key in enumerate(keys):
        found = client.get_item(TableName=table, Key=item(pk=key), ConsistentRead=True)["Item"]
        assert found["v"] == {"N": str(number)}
    assert client.scan(TableName=table, ConsistentRead=True)["Count"] == len(keys)


def test_partition_and_sort_keys_are_not_run_together(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:B sk:B")
    pairs = [(b"\x00", b"\x00\x00"), (b"\x00\x00", b"\x00"), (b"\x01\x02", b"\x03"), (b"\x01", b"\x02\x03")]
    for number, (pk, sk) in enumerate(pairs):
        client.put_item(TableName=table, Item=item(pk=pk, sk=sk, v=number))
    for number, (pk, sk) in enumerate(pairs):
        request = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": values(p=pk)}
        found = client.query(TableName=table, ConsistentRead=True, **request)["Items"]
        assert found == [item(pk=pk, sk=sk, v=number)]


# --- values that are refused ------------------------------------------------------------------------------------------

REFUSED = [
    pytest.param({"SS": []}, INVALID + "An string set  may not be empty", id="empty string set"),
    pytest.param({"NS": []}, INVALID + "An number set  may not be empty", id="empty number set"),
    pytest.param({"BS": []}, INVALID + "Binary sets should not be empty", id="empty binary set"),
    pytest.param(
        {"SS": ["a", "a"]}, INVALID + "Input collection [a, a] contains duplicates.", id="string twice in a set"
    ),
    pytest.param({"NS": ["1", "1.0"]}, "Input collection contains duplicates", id="number twice in a set"),
    pytest.param({"NULL": False}, INVALID + "Null attribute value types must have the value of true", id="NULL false"),
    pytest.param({"N": "1a"}, "The parameter cannot be converted to a numeric value: 1a", id="no number"),
    pytest.param({"N": ""}, "The parameter cannot be converted to a numeric value", id="empty number"),
    pytest.param({"N": "1" * 39}, "Attempting to store more than 38 significant digits in a Number", id="39 digits"),
    pytest.param(
        {"N": "1E126"},
        "Number overflow. Attempting to store a number with magnitude larger than supported range",
        id="too large a number",
    ),
    pytest.param(
        {"N": "1E-131"},
        "Number underflow. Attempting to store a number with magnitude smaller than supported range",
        id="too small a number",
    ),
    pytest.param(
        {}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes", id="no type"
    ),
    pytest.param(
        {"S": "a", "N": "1"},
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
        id="two types",
    ),
]


@pytest.mark.parametrize("place", ["top", "in a list", "in a map"])
@pytest.mark.parametrize(("content", "message"), REFUSED)
def test_a_malformed_value_is_refused_wherever_it_stands(
    client: Any, table: str, content: dict[str, Any], message: str, place: str
) -> None:
    placed = {"top": content, "in a list": {"L": [{"S": "x"}, content]}, "in a map": {"M": {"x": content}}}[place]
    bad = item(pk="bad") | {"v": placed}
    assert refusal(client.put_item, TableName=table, Item=bad) == (VALIDATION, message)
    requests = {table: [{"PutRequest": {"Item": bad}}]}
    assert refusal(client.batch_write_item, RequestItems=requests) == (VALIDATION, message)
    # Inside expressions the service says which value it is.
    code, said = refusal(
        client.query,
        TableName=table,
        KeyConditionExpression="pk = :p",
        FilterExpression="v = :v",
        ExpressionAttributeValues={":p": {"S": "a"}, ":v": placed},
    )
    assert code == VALIDATION
    assert said == f"ExpressionAttributeValues contains invalid value: {message} for key :v"

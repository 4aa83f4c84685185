"""BatchGetItem and BatchWriteItem: what they read and write, their limits, and what is refused.

Sources: the API reference, answers of the service recorded by public suites, shared/reference sections 2 and 15.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from conformance_support import INVALID, NOT_FOUND, VALIDATION, Index, Tables, item, plain, refusal

pytestmark = pytest.mark.cluster

MISMATCH = "The provided key element does not match the schema"
DUPLICATES = "Provided list of item keys contains duplicates"
EMPTY = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty "
INDEX_EMPTY = (
    "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
    "The AttributeValue for a key attribute cannot contain an empty "
)
# A request as a test writes it: TABLE and SORTED stand for the tables' names.
TABLE, SORTED, INDEXED = "<table>", "<sorted>", "<indexed>"


@pytest.fixture(scope="module")
def names(tables: Tables) -> dict[str, str]:
    indexes = [Index("by_team", "team:S"), Index("by_blob", "blob:B")]
    return {
        TABLE: tables.make("pk:S", *(item(pk=f"k{n}", n=n, v="x") for n in range(120))),
        SORTED: tables.make("pk:S sk:N", *(item(pk="a", sk=n, v=f"v{n}") for n in range(5))),
        INDEXED: tables.make("pk:S sk:N", local=[Index("by_age", "pk:S age:N")], globals_=indexes),
    }


def named(names: dict[str, str], members: dict[str, Any]) -> dict[str, Any]:
    return {names.get(name, name): content for name, content in members.items()}


def put(**attributes: object) -> dict[str, Any]:
    return {"PutRequest": {"Item": item(**attributes)}}


def delete(**key: object) -> dict[str, Any]:
    return {"DeleteRequest": {"Key": item(**key)}}


# --- BatchGetItem -----------------------------------------------------------------------------------------------------


def test_items_of_several_tables_come_by_table(client: Any, names: dict[str, str]) -> None:
    answer = client.batch_get_item(
        RequestItems=named(
            names,
            {
                TABLE: {"Keys": [item(pk="k1"), item(pk="absent"), item(pk="k2")], "ConsistentRead": True},
                SORTED: {"Keys": [item(pk="a", sk=3)], "ConsistentRead": True},
            },
        )
    )
    found = answer["Responses"]
    assert sorted(plain(one, "pk") for one in found[names[TABLE]]) == ["k1", "k2"]
    assert found[names[SORTED]] == [item(pk="a", sk=3, v="v3")]
    assert answer["UnprocessedKeys"] == {}


def test_a_table_without_any_of_the_items_has_an_empty_list(client: Any, names: dict[str, str]) -> None:
    answer = client.batch_get_item(RequestItems={names[TABLE]: {"Keys": [item(pk="absent")]}})
    assert answer["Responses"] == {names[TABLE]: []}


def test_a_hundred_keys_are_read_at_once(client: Any, names: dict[str, str]) -> None:
    keys = [item(pk=f"k{n}") for n in range(100)]
    answer = client.batch_get_item(RequestItems={names[TABLE]: {"Keys": keys, "ConsistentRead": True}})
    assert len(answer["Responses"][names[TABLE]]) == 100


def test_a_projection_holds_for_its_table(client: Any, names: dict[str, str]) -> None:
    projected = {"ProjectionExpression": "#n, absent", "ExpressionAttributeNames": {"#n": "n"}}
    answer = client.batch_get_item(
        RequestItems={names[TABLE]: {"Keys": [item(pk="k1")], "ConsistentRead": True, **projected}}
    )
    assert answer["Responses"][names[TABLE]] == [item(n=1)]


def test_a_projection_that_matches_nothing_keeps_an_empty_item(client: Any, names: dict[str, str]) -> None:
    answer = client.batch_get_item(
        RequestItems={names[TABLE]: {"Keys": [item(pk="k1")], "ProjectionExpression": "absent"}}
    )
    assert answer["Responses"][names[TABLE]] == [{}]


def test_more_than_16_mb_leaves_keys_unprocessed_and_all_are_read_in_the_end(tables: Tables) -> None:
    count, client = 45, tables.client
    table = tables.make("pk:S", *(item(pk=f"k{n}", v="x" * 390_000) for n in range(count)))
    left: dict[str, Any] = {table: {"Keys": [item(pk=f"k{n}") for n in range(count)], "ConsistentRead": True}}
    answers = []
    while left:
        answer = client.batch_get_item(RequestItems=left)
        answers.append({plain(one, "pk") for one in answer["Responses"][table]})
        left = answer["UnprocessedKeys"]
        assert left.keys() <= {table}
        assert len(answers) < count
    assert 0 < len(answers[0]) < count
    assert sorted(key for page in answers for key in page) == sorted(f"k{n}" for n in range(count))


GET_REFUSALS = [
    pytest.param({}, "The requestItems parameter is required for BatchGetItem", id="no table"),
    pytest.param({TABLE: {"Keys": [item(pk="a"), item(pk="a")]}}, DUPLICATES, id="one key twice"),
    pytest.param(
        {SORTED: {"Keys": [item(pk="a", sk=1), {"pk": {"S": "a"}, "sk": {"N": "1.0"}}]}},
        DUPLICATES,
        id="one key twice in different spellings of its number",
    ),
    pytest.param({TABLE: {"Keys": [item(pk=1)]}}, MISMATCH, id="key of another type"),
    pytest.param({TABLE: {"Keys": [item(pk="a", sk=1)]}}, MISMATCH, id="more than the key"),
    pytest.param({SORTED: {"Keys": [item(pk="a")]}}, MISMATCH, id="half a key"),
    pytest.param({TABLE: {"Keys": [item(pk="")]}}, EMPTY + "string value. Key: pk", id="empty key"),
    pytest.param(
        {TABLE: {"Keys": [item(pk="a")], "ProjectionExpression": "a, a"}},
        "Invalid ProjectionExpression: Two document paths overlap with each other; must remove or rewrite one of these "
        "paths; path one: [a], path two: [a]",
        id="projection that overlaps itself",
    ),
    pytest.param(
        {TABLE: {"Keys": [item(pk="a")], "ProjectionExpression": "a", "AttributesToGet": ["a"]}},
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: "
        "{AttributesToGet} Expression parameters: {ProjectionExpression}",
        id="projection in both languages",
    ),
]


@pytest.mark.parametrize(("members", "message"), GET_REFUSALS)
def test_a_batch_of_reads_is_refused(client: Any, names: dict[str, str], members: dict[str, Any], message: str) -> None:
    assert refusal(client.batch_get_item, RequestItems=named(names, members)) == (VALIDATION, message)


def test_more_than_a_hundred_keys_are_refused(client: Any, names: dict[str, str]) -> None:
    keys = [item(pk=f"k{n}") for n in range(101)]
    assert refusal(client.batch_get_item, RequestItems={names[TABLE]: {"Keys": keys}}) == (
        VALIDATION,
        f"1 validation error detected: Value at 'RequestItems.{names[TABLE]}.member.Keys' failed to satisfy "
        "constraint: Member must have length less than or equal to 100",
    )


def test_more_than_a_hundred_keys_of_two_tables_are_refused(client: Any, names: dict[str, str]) -> None:
    members = {
        TABLE: {"Keys": [item(pk=f"k{n}") for n in range(60)]},
        SORTED: {"Keys": [item(pk="a", sk=n) for n in range(60)]},
    }
    assert refusal(client.batch_get_item, RequestItems=named(names, members)) == (
        VALIDATION,
        "Too many items requested for the BatchGetItem call",
    )


def test_one_table_that_does_not_exist_fails_the_whole_read(client: Any, names: dict[str, str]) -> None:
    members = {TABLE: {"Keys": [item(pk="k1")]}, "conformance-absent": {"Keys": [item(pk="a")]}}
    assert refusal(client.batch_get_item, RequestItems=named(names, members)) == NOT_FOUND


# --- BatchWriteItem ---------------------------------------------------------------------------------------------------


def test_puts_and_deletes_of_several_tables_are_done(tables: Tables) -> None:
    client, first = tables.client, tables.make("pk:S", item(pk="old"), item(pk="kept"))
    second = tables.make("pk:S sk:N", item(pk="a", sk=1))
    answer = client.batch_write_item(
        RequestItems={
            first: [put(pk="new", v={"a": [1]}), delete(pk="old"), delete(pk="never there")],
            second: [delete(pk="a", sk=1), put(pk="a", sk=2)],
        }
    )
    assert answer["UnprocessedItems"] == {}
    found = client.scan(TableName=first, ConsistentRead=True)["Items"]
    assert sorted(found, key=lambda one: plain(one, "pk")) == [item(pk="kept"), item(pk="new", v={"a": [1]})]
    assert client.scan(TableName=second, ConsistentRead=True)["Items"] == [item(pk="a", sk=2)]


def test_twenty_five_items_are_written_at_once(tables: Tables) -> None:
    table = tables.make("pk:S")
    tables.client.batch_write_item(RequestItems={table: [put(pk=f"k{n}") for n in range(25)]})
    assert tables.client.scan(TableName=table, ConsistentRead=True)["Count"] == 25


def test_a_put_replaces_the_whole_item(tables: Tables) -> None:
    table = tables.make("pk:S", item(pk="a", old=1))
    tables.client.batch_write_item(RequestItems={table: [put(pk="a", new=2)]})
    assert tables.client.get_item(TableName=table, Key=item(pk="a"), ConsistentRead=True)["Item"] == item(pk="a", new=2)


WRITE_REFUSALS = [
    pytest.param({}, "The requestItems parameter is required for BatchWriteItem", id="no table"),
    pytest.param({TABLE: [put(pk="a"), delete(pk="a")]}, DUPLICATES, id="put and delete of one key"),
    pytest.param({TABLE: [put(pk="a", v=1), put(pk="a", v=2)]}, DUPLICATES, id="two puts of one key"),
    pytest.param({TABLE: [put(pk=5)]}, MISMATCH, id="put with a key of another type"),
    pytest.param({TABLE: [put(pk=["x"])]}, MISMATCH, id="put with a list for key"),
    pytest.param({TABLE: [put(other="x")]}, MISMATCH, id="put without key"),
    pytest.param({TABLE: [delete(pk="a", sk=1)]}, MISMATCH, id="delete with more than the key"),
    pytest.param({TABLE: [put(pk="")]}, EMPTY + "string value. Key: pk", id="put with an empty key"),
    pytest.param(
        {TABLE: [put(pk="a", v="x" * 409_600)]},
        "Item size has exceeded the maximum allowed size",
        id="item over 400 KB",
    ),
    pytest.param(
        {INDEXED: [put(pk="a", sk=1, team=5)]},
        INVALID + "Type mismatch for Index Key team Expected: S Actual: N IndexName: by_team",
        id="global index key of another type",
    ),
    pytest.param(
        {INDEXED: [put(pk="a", sk=1, team=["x"])]},
        INVALID + "Type mismatch for Index Key team Expected: S Actual: L IndexName: by_team",
        id="global index key that is a list",
    ),
    pytest.param(
        {INDEXED: [put(pk="a", sk=1, age="old")]},
        INVALID + "Type mismatch for Index Key age Expected: N Actual: S IndexName: by_age",
        id="local index key of another type",
    ),
    pytest.param(
        {INDEXED: [put(pk="a", sk=1, team="")]},
        INDEX_EMPTY + "string value. IndexName: by_team, IndexKey: team",
        id="empty index key",
    ),
    pytest.param(
        {INDEXED: [put(pk="a", sk=1, blob=b"")]},
        INDEX_EMPTY + "binary value. IndexName: by_blob, IndexKey: blob",
        id="empty binary index key",
    ),
]


@pytest.mark.parametrize(("members", "message"), WRITE_REFUSALS)
def test_a_batch_of_writes_is_refused(
    client: Any, names: dict[str, str], members: dict[str, Any], message: str
) -> None:
    assert refusal(client.batch_write_item, RequestItems=named(names, members)) == (VALIDATION, message)


@pytest.mark.parametrize("tables_used", [1, 2], ids=["of one table", "of two tables"])
def test_more_than_25_writes_are_refused(client: Any, names: dict[str, str], tables_used: int) -> None:
    members = {TABLE: [put(pk=f"k{n}") for n in range(26 if tables_used == 1 else 13)]}
    if tables_used == 2:
        members[SORTED] = [put(pk="a", sk=n) for n in range(13)]
    code, message = refusal(client.batch_write_item, RequestItems=named(names, members))
    assert code == VALIDATION
    if tables_used == 1:
        # Between stands the whole request as the service prints it.
        assert re.fullmatch(
            r"1 validation error detected: Value '\{.+\}' at 'requestItems' failed to satisfy constraint: "
            r"Map value must satisfy constraint: \[Member must have length less than or equal to 25, "
            r"Member must have length greater than or equal to 1\]",
            message,
            re.DOTALL,
        )
    else:
        assert message == "Too many items requested for the BatchWriteItem call"


def test_a_refused_batch_writes_nothing(tables: Tables) -> None:
    table = tables.make("pk:S")
    assert refusal(tables.client.batch_write_item, RequestItems={table: [put(pk="good"), put(pk=1)]})[0] == VALIDATION
    assert tables.client.scan(TableName=table, ConsistentRead=True)["Count"] == 0


def test_one_table_that_does_not_exist_fails_the_whole_write(client: Any, names: dict[str, str]) -> None:
    members = {TABLE: [put(pk="from the failed batch")], "conformance-absent": [put(pk="a")]}
    assert refusal(client.batch_write_item, RequestItems=named(names, members)) == NOT_FOUND
    key = item(pk="from the failed batch")
    assert "Item" not in client.get_item(TableName=names[TABLE], Key=key, ConsistentRead=True)


def test_a_write_request_that_is_neither_put_nor_delete_is_refused(client: Any, names: dict[str, str]) -> None:
    assert refusal(client.batch_write_item, RequestItems={names[TABLE]: [{}]}) == (
        VALIDATION,
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
    )


def test_a_write_request_that_is_both_put_and_delete_is_refused(client: Any, names: dict[str, str]) -> None:
    both = put(pk="a") | delete(pk="b")
    assert refusal(client.batch_write_item, RequestItems={names[TABLE]: [both]})[0] == VALIDATION

"""Attributes of a write that no index key can be: which index is named, and in which words."""

from __future__ import annotations

import pytest

from dynamo.errors import DynamoError
from dynamo.indexes import IndexDefinition, IndexKind, IndexState
from dynamo.keys import KeyAttribute, KeySchema
from dynamo.requests.index_keys import check_index_keys, check_updated_index_keys
from dynamo.values import Item

pytestmark = pytest.mark.unit

TABLE = KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", "S"))


def index(
    name: str,
    partition: str = "g:S",
    sort: str = "",
    kind: IndexKind = IndexKind.GLOBAL,
    state: IndexState = IndexState.ACTIVE,
) -> IndexDefinition:
    def keys(text: str) -> tuple[KeyAttribute, ...]:
        pairs = [part.split(":") for part in text.split()]
        return tuple(KeyAttribute(key, letter) for key, letter in pairs)  # type: ignore[arg-type]

    return IndexDefinition(1, name, kind, TABLE, keys(partition), keys(sort), None, state)


INDEXES = (
    index("zeta", "g:S", "r:N"),
    index("alpha", "pk:S", "r:N", IndexKind.LOCAL),
    index("beta", "b:B", "t:S"),
)
KEY: Item = {"pk": {"S": "a"}, "sk": {"S": "b"}}

INVALID = "One or more parameter values were invalid: "
NOT_VALID = "One or more parameter values are not valid. "
PUT_EMPTY = (
    NOT_VALID + "A value specified for a secondary index key is not supported. "
    "The AttributeValue for a key attribute cannot contain an empty {} value. IndexName: {}, IndexKey: {}"
)
UPDATE_EMPTY = (
    NOT_VALID + "The update expression attempted to update a secondary index key to a value that is not supported. "
    "The AttributeValue for a key attribute cannot contain an empty {} value."
)
HASH_SIZE = INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes"
RANGE_SIZE = INVALID + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
UPDATE_SIZE = INVALID + "The update expression attempted to update the secondary index key beyond allowed size limits."
UPDATE_TYPE = "The update expression attempted to update the secondary index key to unsupported type"


def mismatch(name: str, expected: str, actual: str, of_index: str) -> str:
    return f"{INVALID}Type mismatch for Index Key {name} Expected: {expected} Actual: {actual} IndexName: {of_index}"


CASES = [
    pytest.param({"g": {"N": "1"}}, mismatch("g", "S", "N", "zeta"), UPDATE_TYPE, id="wrong type"),
    pytest.param({"g": {"NULL": True}}, mismatch("g", "S", "NULL", "zeta"), UPDATE_TYPE, id="null"),
    pytest.param({"g": {"L": []}}, mismatch("g", "S", "L", "zeta"), UPDATE_TYPE, id="a list"),
    pytest.param({"r": {"S": "1"}}, mismatch("r", "N", "S", "alpha"), UPDATE_TYPE, id="the first index by name"),
    pytest.param(
        {"b": {"B": ""}, "r": {"S": ""}}, mismatch("r", "N", "S", "alpha"), UPDATE_TYPE, id="a type before a value"
    ),
    pytest.param(
        {"g": {"S": ""}}, PUT_EMPTY.format("string", "zeta", "g"), UPDATE_EMPTY.format("string"), id="empty string"
    ),
    pytest.param(
        {"b": {"B": ""}}, PUT_EMPTY.format("binary", "beta", "b"), UPDATE_EMPTY.format("binary"), id="empty binary"
    ),
    pytest.param({"g": {"S": "é" * 1025}}, HASH_SIZE, UPDATE_SIZE, id="hash attribute too long"),
    pytest.param({"t": {"S": "x" * 1025}}, RANGE_SIZE, UPDATE_SIZE, id="range attribute too long"),
]


@pytest.mark.parametrize(("attributes", "put_message", "update_message"), CASES)
def test_an_unfit_attribute_is_refused(attributes: Item, put_message: str, update_message: str) -> None:
    with pytest.raises(DynamoError) as caught:
        check_index_keys(INDEXES, KEY | attributes)
    assert (caught.value.code, caught.value.message) == ("ValidationException", put_message)
    for old in (None, KEY, KEY | {"g": {"S": "was"}}):
        with pytest.raises(DynamoError) as caught:
            check_updated_index_keys(INDEXES, KEY | attributes, old)
        assert (caught.value.code, caught.value.message) == ("ValidationException", update_message)


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({}, id="no index key attribute"),
        pytest.param({"g": {"S": "x" * 2048}, "t": {"S": "x" * 1024}, "b": {"B": "AA=="}}, id="as long as may be"),
        pytest.param({"r": {"N": "1"}, "other": {"NULL": True}}, id="part of a key"),
    ],
)
def test_what_fits_or_is_missing_is_accepted(attributes: Item) -> None:
    check_index_keys(INDEXES, KEY | attributes)
    check_updated_index_keys(INDEXES, KEY | attributes, KEY)


def test_an_update_is_not_held_responsible_for_what_it_did_not_touch() -> None:
    unfit = KEY | {"g": {"N": "1"}}
    check_updated_index_keys(INDEXES, unfit | {"other": {"S": "x"}}, unfit)
    with pytest.raises(DynamoError):
        check_updated_index_keys(INDEXES, unfit | {"g": {"N": "2"}}, unfit)


def test_a_type_that_the_request_itself_tells_is_refused_as_in_a_put() -> None:
    with pytest.raises(DynamoError) as caught:
        check_updated_index_keys(INDEXES, KEY | {"g": {"N": "1"}}, KEY, {"g"})
    assert caught.value.message == mismatch("g", "S", "N", "zeta")
    with pytest.raises(DynamoError) as caught:
        check_updated_index_keys(INDEXES, KEY | {"g": {"S": ""}}, KEY, {"g"})
    assert caught.value.message == UPDATE_EMPTY.format("string")


def test_an_index_that_is_being_deleted_asks_for_nothing() -> None:
    check_index_keys([index("gone", state=IndexState.DELETING)], KEY | {"g": {"N": "1"}})
    with pytest.raises(DynamoError):
        check_index_keys([index("new", state=IndexState.BACKFILLING)], KEY | {"g": {"N": "1"}})

"""Item keys: order, distinctness, placement, exact refusals."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo.errors import DynamoError
from dynamo.keys import PARTITION_HASH_BYTES, KeyAttribute, KeySchema, partition_hash
from dynamo.numbers import normalize

pytestmark = pytest.mark.unit

INVALID = "One or more parameter values were invalid: "
NOT_VALID = "One or more parameter values are not valid. "
MISMATCH = "The provided key element does not match the schema"
HASH_TOO_LARGE = INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes"
SORT_TOO_LARGE = INVALID + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"

HASH_ONLY = KeySchema(KeyAttribute("pk", "S"))
COMPOSITE = KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", "N"))
BINARY = KeySchema(KeyAttribute("pk", "B"), KeyAttribute("sk", "S"))


def message(action: Any, argument: Any) -> str:
    with pytest.raises(DynamoError) as caught:
        action(argument)
    assert caught.value.code == "ValidationException"
    text: str = caught.value.message
    return text


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
# Zero bytes and their neighbours are where an escaping can go wrong.
tricky_bytes = st.one_of(
    st.binary(min_size=1, max_size=8), st.lists(st.sampled_from([0, 1, 254, 255]), min_size=1, max_size=6).map(bytes)
)
number_texts = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.builds(lambda digits, exponent: f"{digits}e{exponent}", st.integers(-999, 999), st.integers(-120, 120)),
).map(normalize)
# A value in DynamoDB JSON with what it is ordered by.
values_by_type: dict[str, st.SearchStrategy[tuple[str, Any]]] = {
    "S": texts.map(lambda text: (text, text.encode())),
    "N": number_texts.map(lambda text: (text, Decimal(text))),
    "B": tricky_bytes.map(lambda data: (encoded(data), data)),
}


@pytest.mark.parametrize("partition_type", ["S", "N", "B"])
@pytest.mark.parametrize("sort_type", ["S", "N", "B"])
def test_order_and_distinctness(partition_type: Any, sort_type: Any) -> None:
    schema = KeySchema(KeyAttribute("pk", partition_type), KeyAttribute("sk", sort_type))
    pairs = st.tuples(values_by_type[partition_type], values_by_type[sort_type])

    @given(pairs, pairs, st.booleans())
    def check(left: Any, right: Any, same_partition: bool) -> None:
        (left_partition, left_sort), (right_partition, right_sort) = left, right
        if same_partition:
            right_partition = left_partition
        one, other = (
            schema.item_key_of_key({"pk": {partition_type: partition[0]}, "sk": {sort_type: sort[0]}})
            for partition, sort in ((left_partition, left_sort), (right_partition, right_sort))
        )
        equal = left_partition[1] == right_partition[1] and left_sort[1] == right_sort[1]
        assert (one == other) is equal
        if left_partition[1] == right_partition[1]:
            assert partition_hash(one) == partition_hash(other)
            assert (one < other) is (left_sort[1] < right_sort[1])

    check()


@given(tricky_bytes, tricky_bytes)
def test_no_partition_key_is_a_prefix_of_another(left: bytes, right: bytes) -> None:
    # Without the hash, which hides what the escaping must guarantee by itself.
    schema = KeySchema(KeyAttribute("pk", "B"))
    one, other = (schema.item_key_of_key({"pk": {"B": encoded(data)}})[PARTITION_HASH_BYTES:] for data in (left, right))
    assert one.startswith(other) is (left == right)
    assert (one < other) is (left < right)


@given(texts, number_texts)
def test_item_and_key_give_the_same_bytes(text: str, number: str) -> None:
    key = {"pk": {"S": text}, "sk": {"N": number}}
    item = {"other": {"S": "x"}, **key}
    assert COMPOSITE.item_key_of_item(item) == COMPOSITE.item_key_of_key(key)
    assert COMPOSITE.key_of_item(item) == key


def test_the_layout_is_stable() -> None:
    # Stored data and the ring depend on these bytes: a change here is a change of the storage format.
    key = COMPOSITE.item_key_of_key({"pk": {"S": "a\x00b"}, "sk": {"N": "-12.5"}})
    assert key.hex() == "d37d9b1a9872524f18ed705976a2bf51" + "6100ff620001" + "7e7cf2ccff"


def test_the_type_of_the_partition_key_counts_for_the_hash() -> None:
    as_string = KeySchema(KeyAttribute("pk", "S")).item_key_of_key({"pk": {"S": "abc"}})
    as_binary = KeySchema(KeyAttribute("pk", "B")).item_key_of_key({"pk": {"B": encoded(b"abc")}})
    assert partition_hash(as_string) != partition_hash(as_binary)


@pytest.mark.parametrize(
    ("schema", "item", "expected"),
    [
        pytest.param(HASH_ONLY, {}, INVALID + "Missing the key pk in the item", id="no partition key"),
        pytest.param(COMPOSITE, {"pk": {"S": "a"}}, INVALID + "Missing the key sk in the item", id="no sort key"),
        pytest.param(
            HASH_ONLY, {"pk": {"N": "1"}}, INVALID + "Type mismatch for key pk expected: S actual: N", id="type of pk"
        ),
        pytest.param(
            COMPOSITE,
            {"pk": {"S": "a"}, "sk": {"M": {}}},
            INVALID + "Type mismatch for key sk expected: N actual: M",
            id="type of sk",
        ),
        pytest.param(
            HASH_ONLY,
            {"pk": {"S": ""}},
            NOT_VALID + "The AttributeValue for a key attribute cannot contain an empty string value. Key: pk",
            id="empty string",
        ),
        pytest.param(
            BINARY,
            {"pk": {"B": ""}, "sk": {"S": "a"}},
            NOT_VALID + "The AttributeValue for a key attribute cannot contain an empty binary value. Key: pk",
            id="empty binary",
        ),
        pytest.param(
            BINARY,
            {"pk": {"B": "AA=="}, "sk": {"S": ""}},
            NOT_VALID + "The AttributeValue for a key attribute cannot contain an empty string value. Key: sk",
            id="empty sort key",
        ),
        pytest.param(HASH_ONLY, {"pk": {"S": "a" * 2049}}, HASH_TOO_LARGE, id="long partition key"),
        pytest.param(HASH_ONLY, {"pk": {"S": "é" * 1025}}, HASH_TOO_LARGE, id="long in bytes"),
        pytest.param(BINARY, {"pk": {"B": encoded(bytes(2049))}, "sk": {"S": "a"}}, HASH_TOO_LARGE, id="long binary"),
        pytest.param(BINARY, {"pk": {"B": "AA=="}, "sk": {"S": "a" * 1025}}, SORT_TOO_LARGE, id="long sort key"),
    ],
)
def test_items_without_a_proper_key(schema: KeySchema, item: Any, expected: str) -> None:
    assert message(schema.item_key_of_item, item) == expected


@pytest.mark.parametrize(
    ("schema", "key", "expected"),
    [
        pytest.param(HASH_ONLY, {}, MISMATCH, id="empty"),
        pytest.param(HASH_ONLY, {"other": {"S": "a"}}, MISMATCH, id="other name"),
        pytest.param(HASH_ONLY, {"pk": {"S": "a"}, "x": {"S": "a"}}, MISMATCH, id="one too many"),
        pytest.param(HASH_ONLY, {"pk": {"N": "1"}}, MISMATCH, id="wrong type"),
        pytest.param(COMPOSITE, {"pk": {"S": "a"}}, MISMATCH, id="no sort key"),
        pytest.param(COMPOSITE, {"pk": {"S": ""}, "sk": {"S": "1"}}, MISMATCH, id="type before content"),
        pytest.param(HASH_ONLY, {"pk": {"S": "a" * 2049}}, HASH_TOO_LARGE, id="long partition key"),
        pytest.param(BINARY, {"pk": {"B": "AA=="}, "sk": {"S": "a" * 1025}}, SORT_TOO_LARGE, id="long sort key"),
        pytest.param(
            HASH_ONLY,
            {"pk": {"S": ""}},
            NOT_VALID + "The AttributeValue for a key attribute cannot contain an empty string value. Key: pk",
            id="empty string",
        ),
    ],
)
def test_keys_that_do_not_fit(schema: KeySchema, key: Any, expected: str) -> None:
    assert message(schema.item_key_of_key, key) == expected


def test_largest_keys_are_accepted() -> None:
    key = {"pk": {"B": encoded(bytes(2048))}, "sk": {"S": "a" * 1024}}
    assert len(BINARY.item_key_of_key(key)) == PARTITION_HASH_BYTES + 2 * 2048 + 2 + 1024


def test_description() -> None:
    assert COMPOSITE.names == ("pk", "sk")
    assert COMPOSITE.key_schema_json() == [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ]
    assert COMPOSITE.attribute_definitions_json() == [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
    ]
    assert HASH_ONLY.key_schema_json() == [{"AttributeName": "pk", "KeyType": "HASH"}]

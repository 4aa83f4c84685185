"""Key schema of a table and the bytes that name an item: hash, partition key, sort key.

Called by the router for every request; nodes treat the result as opaque bytes in order. Law: distinct keys never have
the same bytes, the first 16 bytes place the item on the ring, and within one partition key byte order is DynamoDB's
sort order (S by UTF-8 bytes, N by value, B by unsigned bytes).

Layout of an item key:

    blake2b-128(type, partition key) | partition key, self-delimiting | sort key (nothing without one)

S and B partition keys write 0x00 as 0x00 0xFF and end with 0x00 0x01; a number is self-delimiting as it is.
"""

from __future__ import annotations

from binascii import a2b_base64
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from dynamo.errors import DynamoError, invalid_parameter, validation
from dynamo.limits import PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX
from dynamo.numbers import sort_bytes
from dynamo.values import Item

KeyType = Literal["S", "N", "B"]

PARTITION_HASH_BYTES = 16
_END = b"\x00\x01"
_ESCAPED_ZERO = b"\x00\xff"


@dataclass(frozen=True, slots=True)
class KeyAttribute:
    """One attribute of a primary key."""

    name: str
    type: KeyType


@dataclass(frozen=True, slots=True)
class KeySchema:
    """The primary key of a table. Items and keys given to its methods must be canonical (dynamo.values)."""

    partition: KeyAttribute
    sort: KeyAttribute | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the key attributes, partition key first."""
        return (self.partition.name,) if self.sort is None else (self.partition.name, self.sort.name)

    @property
    def attributes(self) -> tuple[KeyAttribute, ...]:
        """The key attributes, partition key first."""
        return (self.partition,) if self.sort is None else (self.partition, self.sort)

    def item_key_of_item(self, item: Item) -> bytes:
        """The item key of a whole item, as PutItem stores it.

        Raises ValidationException when a key attribute is missing, of the wrong type, empty or too large.
        """
        partition = _encode_partition(self.partition, _key_text_of_item(self.partition, item))
        sort = self.sort
        if sort is None:
            return partition
        return partition + _encode_sort(sort, _key_text_of_item(sort, item))

    def item_key_of_key(self, key: Item) -> bytes:
        """The item key of a Key member, as GetItem, UpdateItem and DeleteItem name an item.

        Raises ValidationException when the attributes are not exactly those of the schema, or a value is empty or too
        large.
        """
        sort = self.sort
        if len(key) != (1 if sort is None else 2):
            raise _schema_mismatch()
        partition_text = _key_text(self.partition, key)
        if sort is None:
            return _encode_partition(self.partition, partition_text)
        # Both types are judged before either content.
        sort_text = _key_text(sort, key)
        return _encode_partition(self.partition, partition_text) + _encode_sort(sort, sort_text)

    def key_of_item(self, item: Item) -> Item:
        """The key attributes of an item that has them."""
        return {name: item[name] for name in self.names}

    def key_schema_json(self) -> list[dict[str, Any]]:
        """The KeySchema member of a table description."""
        return [
            {"AttributeName": attribute.name, "KeyType": role}
            for attribute, role in zip(self.attributes, ("HASH", "RANGE"), strict=False)
        ]

    def attribute_definitions_json(self) -> list[dict[str, Any]]:
        """The AttributeDefinitions member of a table description."""
        return [{"AttributeName": attribute.name, "AttributeType": attribute.type} for attribute in self.attributes]


def partition_hash(item_key: bytes) -> bytes:
    """The 16 bytes that place an item on the ring; equal for all items of one item collection."""
    return item_key[:PARTITION_HASH_BYTES]


def _key_text_of_item(attribute: KeyAttribute, item: Item) -> str:
    value = item.get(attribute.name)
    if value is None:
        raise invalid_parameter(f"Missing the key {attribute.name} in the item")
    text: str | None = value.get(attribute.type)
    if text is None:
        (actual,) = value
        raise invalid_parameter(f"Type mismatch for key {attribute.name} expected: {attribute.type} actual: {actual}")
    return text


def _key_text(attribute: KeyAttribute, key: Item) -> str:
    value = key.get(attribute.name)
    text: str | None = None if value is None else value.get(attribute.type)
    if text is None:
        raise _schema_mismatch()
    return text


def _encode_partition(attribute: KeyAttribute, text: str) -> bytes:
    """Hash and self-delimiting form of a partition key value."""
    if attribute.type == "N":
        encoded = sort_bytes(text)
        return blake2b(b"N" + encoded, digest_size=PARTITION_HASH_BYTES).digest() + encoded
    raw = _raw_bytes(attribute, text)
    if len(raw) > PARTITION_KEY_BYTES_MAX:
        # The missing space is the service's.
        raise invalid_parameter(
            f"Size of hashkey has exceeded the maximum size limit of{PARTITION_KEY_BYTES_MAX} bytes"
        )
    # The type goes into the hash, so that equal bytes of tables with different key types still spread differently.
    tag = b"S" if attribute.type == "S" else b"B"
    digest = blake2b(tag + raw, digest_size=PARTITION_HASH_BYTES).digest()
    return digest + escape(raw) + _END


def escape(raw: bytes) -> bytes:
    """Bytes that keep their order and never hold the end mark; a prefix of `raw` becomes a prefix of the result."""
    return raw.replace(b"\x00", _ESCAPED_ZERO) if b"\x00" in raw else raw


def delimited(kind: KeyType, text: str) -> bytes:
    """A key value in order-preserving form that ends by itself, so that more may follow; any length, even empty."""
    if kind == "N":
        return sort_bytes(text)
    return escape(text.encode() if kind == "S" else a2b_base64(text)) + _END


def combined_hash(encoded: bytes) -> bytes:
    """The ring hash of a partition key of several attributes, from their delimited forms one after the other."""
    return blake2b(b"M" + encoded, digest_size=PARTITION_HASH_BYTES).digest()


def _encode_sort(attribute: KeyAttribute, text: str) -> bytes:
    """Order-preserving form of a sort key value; the last part of a key, so it needs no end."""
    if attribute.type == "N":
        return sort_bytes(text)
    raw = _raw_bytes(attribute, text)
    if len(raw) > SORT_KEY_BYTES_MAX:
        raise invalid_parameter(
            f"Aggregated size of all range keys has exceeded the size limit of {SORT_KEY_BYTES_MAX} bytes"
        )
    return raw


def _raw_bytes(attribute: KeyAttribute, text: str) -> bytes:
    if not text:
        kind = "string" if attribute.type == "S" else "binary"
        raise validation(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
            f"empty {kind} value. Key: {attribute.name}"
        )
    return text.encode() if attribute.type == "S" else a2b_base64(text)


def _schema_mismatch() -> DynamoError:
    return validation("The provided key element does not match the schema")

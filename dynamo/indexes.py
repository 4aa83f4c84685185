"""Secondary indexes: what an index holds of an item, and where its entries lie. Pure.

Called by the leader for every write to a table with indexes, and by the router to validate and to find ranges. Law:
whether an item is in an index, with which key and which attributes, is a function of the item and the definition only,
so every node and every backfill decides alike.

An entry's key, below the index id:

    local    hash | table partition key | index sort key, delimited | table sort key
    global   hash of the index partition key | its attributes, delimited | sort attributes, delimited | table key

The hash of a global index is combined_hash of its partition attributes. The table key of a global entry is the item's
key without its hash: it makes entries of equal index keys distinct, and of one item at most one.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Final

from dynamo.keys import PARTITION_HASH_BYTES, KeyAttribute, KeySchema, combined_hash, delimited
from dynamo.limits import PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX
from dynamo.values import AttributeValue, Item

_KEY_BYTES_MAX: Final = {"HASH": PARTITION_KEY_BYTES_MAX, "RANGE": SORT_KEY_BYTES_MAX}


class IndexKind(Enum):
    """Where the entries of an index lie."""

    LOCAL = "local"
    GLOBAL = "global"
    COLLECTION_SIZES = "collection sizes"  # hidden: sizes of item collections


class IndexState(Enum):
    """IndexStatus of the API reference; BACKFILLING shows as CREATING with Backfilling true."""

    CREATING = "CREATING"
    BACKFILLING = "BACKFILLING"
    ACTIVE = "ACTIVE"
    DELETING = "DELETING"


class Fault(Enum):
    """Why an attribute cannot be part of an index key."""

    TYPE = "type"
    EMPTY = "empty"
    TOO_LONG = "too long"


@dataclass(frozen=True)
class IndexDefinition:
    """One index of a table whose own key is `table_key`."""

    index_id: int
    name: str
    kind: IndexKind
    table_key: KeySchema
    partition: tuple[KeyAttribute, ...]
    sort: tuple[KeyAttribute, ...]
    # None: every attribute. Else the NonKeyAttributes of the index, without key attributes.
    included: tuple[str, ...] | None
    state: IndexState = IndexState.ACTIVE
    settings_json: bytes = field(default=b"", compare=False)

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        """Index key attributes, then those of the table's key that are not among them: what LastEvaluatedKey holds."""
        return _distinct([attribute.name for attribute in (*self.partition, *self.sort)] + [*self.table_key.names])

    @cached_property
    def projected_names(self) -> tuple[str, ...] | None:
        """Every attribute that an entry may hold; None: all of the item's."""
        return None if self.included is None else _distinct([*self.key_names, *self.included])

    def fault_in(self, item: Item) -> tuple[KeyAttribute, Fault] | None:
        """The first index key attribute that an item has and that no index can hold; None when all can be indexed.

        A missing attribute is no fault: such an item is just not in the index.
        """
        for role, attributes in (("HASH", self.partition), ("RANGE", self.sort)):
            for attribute in attributes:
                value = item.get(attribute.name)
                fault = None if value is None else key_fault(attribute, value, _KEY_BYTES_MAX[role])
                if fault is not None:
                    return attribute, fault
        return None

    def holds(self, item: Item) -> bool:
        """Whether the item has all index key attributes, each fit to be one."""
        return all(attribute.name in item for attribute in (*self.partition, *self.sort)) and not self.fault_in(item)

    def entry_key(self, item: Item, item_key: bytes) -> bytes | None:
        """The key of the item's entry, None when the item is not in the index. `item_key`: dynamo.keys."""
        if not self.holds(item):
            return None
        sort = b"".join([_delimited(attribute, item) for attribute in self.sort])
        if self.kind is IndexKind.LOCAL:
            end = partition_end(self.table_key, item, item_key)
            return item_key[:end] + sort + item_key[end:]
        partition = b"".join([_delimited(attribute, item) for attribute in self.partition])
        return combined_hash(partition) + partition + sort + item_key[PARTITION_HASH_BYTES:]

    def projected(self, item: Item) -> Item:
        """The attributes of the item that the index holds; the item itself when it holds all."""
        names = self.projected_names
        return item if names is None else {name: item[name] for name in names if name in item}


def partition_end(table_key: KeySchema, item: Item, item_key: bytes) -> int:
    """Where the partition key ends in an item key: the prefix that all items of one collection share."""
    if table_key.sort is None:
        return len(item_key)
    return PARTITION_HASH_BYTES + len(_delimited(table_key.partition, item))


def key_fault(attribute: KeyAttribute, value: AttributeValue, bytes_max: int) -> Fault | None:
    """Why a canonical value cannot be this key attribute; None when it can."""
    text = value.get(attribute.type)
    if text is None:
        return Fault.TYPE
    if attribute.type == "N":
        return None
    if not text:
        return Fault.EMPTY
    length = len(text.encode()) if attribute.type == "S" else len(a2b_base64(text))
    return Fault.TOO_LONG if length > bytes_max else None


def _delimited(attribute: KeyAttribute, item: Item) -> bytes:
    return delimited(attribute.type, item[attribute.name][attribute.type])


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))

"""The one table of clusters without a catalog group: its keys, items and indexes, as log entries and records have them.

Used by simulation.quiet and the tests on it, and for its key by the workloads. Pure.
"""

from __future__ import annotations

from functools import lru_cache

import orjson

from dynamo.keys import KeyAttribute, KeySchema
from dynamo.records import encode_record, record_json
from dynamo.values import Item
from topology.ring import PartitionRing, initial_boundaries
from wire import catalog_pb2, log_pb2

TABLE_ID = 7
# All items of a group are one item collection.
TABLE_KEY = KeySchema(KeyAttribute("g", "S"), KeyAttribute("k", "S"))
# The machines and partitions of such a cluster: every machine holds everything.
NODES = ("n1", "n2", "n3")
GROUPS = (1, 2)
_GROUP_KEY = catalog_pb2.KeyAttribute(name="g", type=catalog_pb2.KEY_S)
_ITEM_KEY = catalog_pb2.KeyAttribute(name="k", type=catalog_pb2.KEY_S)
_VALUE = catalog_pb2.KeyAttribute(name="v", type=catalog_pb2.KEY_S)

FROM_START = (
    catalog_pb2.Index(
        index_id=TABLE_ID + 1,
        name="by-value-local",
        kind=catalog_pb2.INDEX_LOCAL,
        partition_keys=[_GROUP_KEY],
        sort_keys=[_VALUE],
        projection=catalog_pb2.PROJECT_KEYS_ONLY,
    ),
    catalog_pb2.Index(index_id=TABLE_ID + 2, name="", kind=catalog_pb2.INDEX_COLLECTION_SIZES),
    # Entries of it move from partition to partition.
    catalog_pb2.Index(
        index_id=TABLE_ID + 3,
        name="by-value",
        kind=catalog_pb2.INDEX_GLOBAL,
        partition_keys=[_VALUE],
        projection=catalog_pb2.PROJECT_ALL,
    ),
)
# Entries of this one stay where they are and change.
ADDED = catalog_pb2.Index(
    index_id=TABLE_ID + 4,
    name="by-key",
    kind=catalog_pb2.INDEX_GLOBAL,
    partition_keys=[_ITEM_KEY],
    sort_keys=[_GROUP_KEY],
    projection=catalog_pb2.PROJECT_INCLUDE,
    included=["n", "v"],
)


@lru_cache
def ring_over(groups: tuple[int, ...]) -> PartitionRing:
    """Where hashes lie in a cluster with these partitions."""
    return PartitionRing(initial_boundaries(len(groups)), groups)


RING = ring_over(GROUPS)


def key_item(key: str) -> Item:
    """The key attributes of an item."""
    return {"g": {"S": key[:2]}, "k": {"S": key}}


def to_item(key: str, value: str) -> bytes:
    """The record of the item that holds a register's value."""
    return encode_record({**key_item(key), "v": {"S": value}})


def from_item(item: bytes) -> str | None:
    """The value in a record or in returned attributes (JSON); None: there is no item."""
    if not item:
        return None
    attributes = orjson.loads(item if item.startswith(b"{") else record_json(item))
    text: str = attributes["v"]["S"] if "v" in attributes else attributes["n"]["N"]
    return text


def simulated_catalog(version: int = 1, index_delay_ms: int = 0) -> catalog_pb2.Catalog:
    """What nodes of the simulation are told: where hashes lie."""
    catalog = catalog_pb2.Catalog(version=version, index_delay_ms=index_delay_ms)
    for group_id in GROUPS:
        catalog.partitions.add(id=group_id, first_hash=RING.range_of(group_id)[0], replicas=NODES)
    return catalog


def begin_entry(index: catalog_pb2.Index, *, backfill: bool = False) -> log_pb2.LogEntry:
    """What makes a partition maintain an index of the simulated table."""
    begin = log_pb2.BeginIndex(
        table_id=TABLE_ID, index=index, backfill=backfill, partition_key=_GROUP_KEY, sort_key=_ITEM_KEY
    )
    return log_pb2.LogEntry(begin_indexes=[begin])

"""One write against one item of a table that has indexes: the decision and what it does to them. Pure.

Called by node.partition on the leader. Law: judged by the indexes that this partition's own log began, never by the
catalog, so that a leader whose catalog is old misses no index; and whatever refuses the write does so before anything
of it is in the log entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dynamo.indexes import IndexDefinition, IndexKind, partition_end
from node.evaluate import OK, Decision, decide_write
from node.indexing.changes import (
    CollectionTooLarge,
    Effects,
    Locate,
    collection_bytes,
    effects_of,
    version_of,
)
from node.indexing.cluster import CatalogUnknown
from node.storage import keyspace
from wire import data_pb2

# The newest row at a logical key.
Newest = Callable[[bytes], bytes | None]


def judge_indexed(
    operation: data_pb2.Operation,
    old: bytes | None,
    indexes: Sequence[IndexDefinition],
    *,
    newest: Newest,
    locate: Locate,
    is_overloaded: bool,
) -> tuple[Decision, Effects | None]:
    """Judge a write against the item's record `old`; effects when there is something to store.

    `is_overloaded`: the outbox takes no more, so that only writes without global indexes are possible.
    """
    if is_overloaded and any(index.kind is IndexKind.GLOBAL for index in indexes):
        return Decision(data_pb2.OVERLOADED), None
    decision = decide_write(operation, old, indexes)

    def bytes_before(index_id: int, key: bytes) -> int:
        return collection_bytes(newest(keyspace.item_key(index_id, key)))

    if not decision.changes:
        if decision.status == OK and old is not None and operation.flags & data_pb2.RETURN_COLLECTION_SIZE:
            decision = decision._replace(collection_bytes=_unchanged_collection(operation, old, indexes, bytes_before))
        return decision, None
    try:
        effects = effects_of(
            indexes,
            operation.key,
            version_of(old),
            version_of(decision.item),
            locate=locate,
            collection_bytes_before=bytes_before,
        )
    except CollectionTooLarge:
        return Decision(data_pb2.COLLECTION_TOO_LARGE), None
    except CatalogUnknown:
        return Decision(data_pb2.UNAVAILABLE), None
    units = tuple(effects.units) if operation.flags & data_pb2.RETURN_SIZES else ()
    return decision._replace(index_units=units, collection_bytes=_reported(operation, effects)), effects


def _reported(operation: data_pb2.Operation, effects: Effects) -> int:
    if effects.collection is None or not operation.flags & data_pb2.RETURN_COLLECTION_SIZE:
        return 0
    return effects.collection[2]


def _unchanged_collection(
    operation: data_pb2.Operation,
    old: bytes,
    indexes: Sequence[IndexDefinition],
    bytes_before: Callable[[int, bytes], int],
) -> int:
    """The size of the collection of an item that stays as it is."""
    sizes = next((index for index in indexes if index.kind is IndexKind.COLLECTION_SIZES), None)
    version = version_of(old)
    if sizes is None or version is None:
        return 0
    return bytes_before(sizes.index_id, operation.key[: partition_end(sizes.table_key, version.item, operation.key)])

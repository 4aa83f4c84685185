"""BatchWriteItem (API reference: BatchWriteItem): up to 25 puts and deletes on several tables.

Called by router.operations.registry. Each is a write of its own; one without a verdict comes back in UnprocessedItems
(a write whose outcome is not known too: putting or deleting once more does no harm that the first did not do).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from dynamo.errors import validation
from dynamo.limits import BATCH_WRITE_REQUESTS_MAX, ITEM_BYTES_MAX
from dynamo.records import encode_record
from dynamo.requests.index_keys import check_index_keys
from dynamo.values import Item, canonical_item, item_size
from router.operations.batch import Batch, BatchPart, check_distinct, find_tables, raise_refusals
from router.operations.call import Call, Services
from router.operations.metering import CAPACITY_MODES, Consumed, collection_metrics_json, wants_collection_metrics
from router.routing.partition_map import PartitionMap
from topology.tables import TableInfo
from wire import data_pb2


class _Write(NamedTuple):
    """One WriteRequest: `given` as the client sent it; `attributes` are the item of a put or the key of a delete."""

    given: dict[str, Any]
    is_put: bool
    attributes: Item
    size: int  # of a put's item


class _WritePart(BatchPart):
    __slots__ = ("table_name", "write")

    def __init__(self, operation: data_pb2.Operation, deadline_s: float, table_name: str, write: _Write) -> None:
        super().__init__(operation, deadline_s)
        self.table_name = table_name
        self.write = write


def batch_write_item(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the last write ends."""
    requested: dict[str, Any] = request["RequestItems"]
    if not requested:
        raise validation("The requestItems parameter is required for BatchWriteItem")
    writes = _read_request(requested)
    tables = find_tables(services, call, requested)
    deadline_s = services.port.new_deadline_s()
    parts: list[BatchPart] = []
    for name, of_table in writes.items():
        for write, operation in zip(of_table, _operations(services, request, tables[name], of_table), strict=True):
            parts.append(_WritePart(operation, deadline_s, name, write))
    check_distinct(parts)
    Batch(services, call, parts, lambda ended: call.succeed(_render(request, tables, ended))).submit()


def _read_request(requested: dict[str, Any]) -> dict[str, list[_Write]]:
    """Everything that can be said without the tables. Raises DynamoError."""
    if sum(map(len, requested.values())) > BATCH_WRITE_REQUESTS_MAX:
        raise validation("Too many items requested for the BatchWriteItem call")
    writes = {}
    for name, given in requested.items():
        if any(("PutRequest" in one) == ("DeleteRequest" in one) for one in given):
            raise validation(
                "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported "
                "datatypes"
            )
        writes[name] = [_read_write(one) for one in given]
    return writes


def _read_write(given: dict[str, Any]) -> _Write:
    if "DeleteRequest" in given:
        return _Write(given, False, canonical_item(given["DeleteRequest"]["Key"]), 0)
    item = canonical_item(given["PutRequest"]["Item"])
    size = item_size(item)
    if size > ITEM_BYTES_MAX:
        raise validation("Item size has exceeded the maximum allowed size")
    return _Write(given, True, item, size)


def _operations(
    services: Services, request: dict[str, Any], table: TableInfo, writes: Sequence[_Write]
) -> list[data_pb2.Operation]:
    """The operations on one table. Raises ValidationException for keys that do not fit it."""
    partition_map = services.copy.partition_map
    assert isinstance(partition_map, PartitionMap), "a table and the map come from the same catalog"
    flags = data_pb2.RETURN_SIZES if request.get("ReturnConsumedCapacity") in CAPACITY_MODES else 0
    if wants_collection_metrics(request, table):
        flags |= data_pb2.RETURN_COLLECTION_SIZE
    operations = []
    for write in writes:
        key = _item_key(table, write)
        operations.append(
            data_pb2.Operation(
                partition=partition_map.locate(key[:16]),
                kind=data_pb2.PUT if write.is_put else data_pb2.DELETE,
                table_id=table.table_id,
                key=key,
                item=encode_record(write.attributes, write.size) if write.is_put else b"",
                flags=flags,
                request_id=services.write_ids.next(),
            )
        )
    return operations


def _item_key(table: TableInfo, write: _Write) -> bytes:
    if not write.is_put:
        return table.key_schema.item_key_of_key(write.attributes)
    item = write.attributes
    for attribute in table.key_schema.attributes:
        if attribute.type not in item.get(attribute.name, {}):
            # Unlike PutItem, which names the attribute.
            raise validation("The provided key element does not match the schema")
    key = table.key_schema.item_key_of_item(item)
    if table.indexes:
        check_index_keys(table.indexes, item)
    return key


def _render(request: dict[str, Any], tables: dict[str, TableInfo], parts: Sequence[BatchPart]) -> bytes:
    """The body. Raises DynamoError when the batch as a whole has failed."""
    raise_refusals(parts)
    unprocessed: dict[str, list[dict[str, Any]]] = {}
    metrics: dict[str, list[dict[str, Any]]] = {}
    consumed: dict[str, Consumed] = {}
    for part in parts:
        assert isinstance(part, _WritePart)
        name = part.table_name
        result = part.result
        if result is None or result.status == data_pb2.TABLE_GONE:
            # Gone: the name may belong to a newer table by now, which the client's next try will find out.
            unprocessed.setdefault(name, []).append(part.write.given)
            continue
        consumed.setdefault(name, Consumed()).add_write(tables[name], result)
        if part.operation.flags & data_pb2.RETURN_COLLECTION_SIZE:
            _add_metrics(metrics.setdefault(name, []), tables[name], part.write, result)
    members: dict[str, Any] = {}
    mode = request.get("ReturnConsumedCapacity")
    if mode in CAPACITY_MODES:
        members["ConsumedCapacity"] = [of.as_json(mode, name) for name, of in consumed.items()]
    if metrics:
        members["ItemCollectionMetrics"] = metrics
    members["UnprocessedItems"] = unprocessed
    return orjson.dumps(members)


def _add_metrics(listed: list[dict[str, Any]], table: TableInfo, write: _Write, result: data_pb2.Result) -> None:
    """One entry for each collection: a later write of the same one replaces what was said before."""
    found = collection_metrics_json(table, write.attributes, result.collection_bytes)
    listed[:] = [other for other in listed if other["ItemCollectionKey"] != found["ItemCollectionKey"]]
    listed.append(found)

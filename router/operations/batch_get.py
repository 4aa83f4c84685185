"""BatchGetItem (API reference: BatchGetItem): up to 100 items of several tables in one answer.

Called by router.operations.registry. Each key is a read of its own, so the batch is no unit of isolation; a key that
cannot be read in time, or whose item no longer fits into the answer, comes back in UnprocessedKeys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from dynamo.capacity import read_units
from dynamo.errors import validation
from dynamo.expressions import Bindings, project
from dynamo.limits import BATCH_GET_BYTES_MAX, BATCH_GET_KEYS_MAX
from dynamo.records import record_json, record_size
from dynamo.values import Item, canonical_item, decode_item, encode_item
from router.operations.batch import Batch, BatchPart, check_distinct, duplicates_error, find_tables, raise_refusals
from router.operations.call import Call, Services
from router.operations.items import result_error
from router.operations.metering import CAPACITY_MODES, Consumed
from router.operations.parameters import Expressions, ParameterNames
from router.routing.partition_map import PartitionMap
from topology.tables import TableInfo
from wire import data_pb2

_PARAMETERS = ParameterNames(("ProjectionExpression",), ("AttributesToGet",))


class _TableKeys(NamedTuple):
    """What the request asks of one table: `given` as the client sent it, `keys` canonical."""

    given: dict[str, Any]
    keys: list[Item]
    expressions: Expressions | None

    @property
    def is_consistent(self) -> bool:
        return bool(self.given.get("ConsistentRead"))


class _KeyRead(BatchPart):
    """`position` is the key's place in the table's list."""

    __slots__ = ("position", "table_name")

    def __init__(self, operation: data_pb2.Operation, deadline_s: float, table_name: str, position: int) -> None:
        super().__init__(operation, deadline_s)
        self.table_name = table_name
        self.position = position


def batch_get_item(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the last read ends."""
    requested: dict[str, Any] = request["RequestItems"]
    if not requested:
        raise validation("The requestItems parameter is required for BatchGetItem")
    asked = _read_request(requested, len(call.body))
    tables = find_tables(services, call, requested)
    partition_map = services.copy.partition_map
    assert isinstance(partition_map, PartitionMap), "a table and the map come from the same catalog"
    deadline_s = services.port.new_deadline_s()
    reads: list[BatchPart] = [
        _KeyRead(operation, deadline_s, name, position)
        for name, keys in asked.items()
        for position, operation in enumerate(_operations(tables[name], keys, partition_map))
    ]
    check_distinct(reads)

    def finish(parts: Sequence[BatchPart]) -> None:
        if not call.catalog_confirmed and any(_is_gone(part) for part in parts):
            # The name may belong to a newer table by now; reading everything again does no harm.
            services.retry(call)
        else:
            call.succeed(_Answer(request, asked).render(parts))

    Batch(services, call, reads, finish).submit()


def _is_gone(part: BatchPart) -> bool:
    return part.result is not None and part.result.status == data_pb2.TABLE_GONE


def _read_request(requested: dict[str, Any], body_bytes: int) -> dict[str, _TableKeys]:
    """Everything that can be said without the tables, table by table in the request's order. Raises DynamoError."""
    asked = {}
    keys_left = BATCH_GET_KEYS_MAX
    for name, given in requested.items():
        expressions = None
        if _PARAMETERS.check_combination(given):
            expressions = Expressions(given, body_bytes)
            expressions.check(())
        keys = []
        seen = set()
        for raw in given["Keys"]:
            key = canonical_item(raw)
            identity = orjson.dumps(key, option=orjson.OPT_SORT_KEYS)
            if identity in seen:
                raise duplicates_error()
            seen.add(identity)
            keys.append(key)
        keys_left -= len(keys)
        if keys_left < 0:
            raise validation("Too many items requested for the BatchGetItem call")
        asked[name] = _TableKeys(given, keys, expressions)
    return asked


def _operations(table: TableInfo, asked: _TableKeys, partition_map: PartitionMap) -> list[data_pb2.Operation]:
    kind = data_pb2.GET_STRONG if asked.is_consistent else data_pb2.GET_EVENTUAL
    if asked.expressions is not None:
        asked.expressions.check_paths(table)
    operations = []
    for key_attributes in asked.keys:
        key = table.key_schema.item_key_of_key(key_attributes)
        operations.append(
            data_pb2.Operation(partition=partition_map.locate(key[:16]), kind=kind, table_id=table.table_id, key=key)
        )
    return operations


class _Answer:
    """The answer of one batch, built table by table."""

    def __init__(self, request: dict[str, Any], asked: dict[str, _TableKeys]) -> None:
        self._request = request
        self._asked = asked
        self._bytes_left = BATCH_GET_BYTES_MAX
        self._items: dict[str, list[bytes]] = {name: [] for name in asked}
        self._unprocessed: dict[str, list[int]] = {}
        self._consumed = {name: Consumed() for name in asked}

    def render(self, parts: Sequence[BatchPart]) -> bytes:
        """The body. Raises DynamoError when the batch as a whole has failed."""
        raise_refusals(parts)
        for part in parts:
            assert isinstance(part, _KeyRead)
            self._add(part)
        members = []
        mode = self._request.get("ReturnConsumedCapacity")
        if mode in CAPACITY_MODES:
            consumed = [of.as_json(mode, name) for name, of in self._consumed.items()]
            members.append(b'"ConsumedCapacity":' + orjson.dumps(consumed))
        responses = [orjson.dumps(name) + b":[" + b",".join(items) + b"]" for name, items in self._items.items()]
        members.append(b'"Responses":{' + b",".join(responses) + b"}")
        members.append(b'"UnprocessedKeys":' + orjson.dumps(self._unprocessed_keys()))
        return b"{" + b",".join(members) + b"}"

    def _add(self, read: _KeyRead) -> None:
        name = read.table_name
        asked = self._asked[name]
        result = read.result
        if result is None:
            self._unprocessed.setdefault(name, []).append(read.position)
            return
        if result.status == data_pb2.TABLE_GONE:
            # Deleted while it was read: the request fails as if it had come a moment later.
            raise result_error(result)
        record = result.item
        size = record_size(record) if record else 0
        if size > self._bytes_left:
            # A smaller one behind it is not let through either: the client asks again for all of them in order.
            self._bytes_left = 0
            self._unprocessed.setdefault(name, []).append(read.position)
            return
        self._bytes_left -= size
        self._consumed[name].table_units += read_units(size, asked.is_consistent)
        if record:
            self._items[name].append(_projected(record, asked.expressions))

    def _unprocessed_keys(self) -> dict[str, Any]:
        unprocessed = {}
        for name, positions in self._unprocessed.items():
            given = self._asked[name].given
            unprocessed[name] = {**given, "Keys": [given["Keys"][position] for position in positions]}
        return unprocessed


def _projected(record: bytes, expressions: Expressions | None) -> bytes:
    encoded = record_json(record)
    if expressions is None or expressions.projection is None:
        return encoded
    return encode_item(project(expressions.projection, decode_item(encoded), Bindings(expressions.names, None)))

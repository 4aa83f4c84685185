"""What the four item operations share: pending operations that answer a call, capacity, error mapping.

Called by the item operations. Law: a node's verdict is rendered once, here; an outcome that is not known is a 500 and a
refusal a 503 or a throttling error, never a success and never a failed condition.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from dynamo.capacity import consumed_capacity_json
from dynamo.errors import (
    DynamoError,
    conditional_check_failed,
    internal_server_error,
    item_collection_too_large,
    resource_not_found,
    service_unavailable,
    throttling,
    validation,
)
from router.operations.call import Call, Services
from router.operations.metering import (
    CAPACITY_MODES,
    Consumed,
    collection_metrics_json,
    wants_collection_metrics,
)
from router.operations.parameters import Expressions
from router.operations.tables import denied, find_active
from router.routing.partition_map import PartitionMap
from router.routing.pending import Failure, Pending
from topology.tables import TableInfo
from wire import data_pb2


def failure_error(failure: Failure) -> DynamoError:
    """The answer for an operation that ended without a node's verdict."""
    if failure is Failure.UNKNOWN:
        return internal_server_error()
    return throttling() if failure is Failure.OVERLOADED else service_unavailable()


def result_error(result: data_pb2.Result) -> DynamoError:
    """The answer for a verdict other than OK."""
    status = result.status
    if status == data_pb2.CONDITION_FAILED:
        return conditional_check_failed(result.item)
    if status == data_pb2.VALIDATION_FAILED:
        return validation(result.message)
    if status == data_pb2.TABLE_GONE:
        return resource_not_found()
    if status == data_pb2.COLLECTION_TOO_LARGE:
        return item_collection_too_large()
    return internal_server_error()


def capacity_member(request: dict[str, Any], units: float) -> bytes:
    """The encoded ConsumedCapacity; the table is named as the request named it (API reference: ConsumedCapacity)."""
    return orjson.dumps(consumed_capacity_json(request["ReturnConsumedCapacity"], request["TableName"], units))


class ItemPending(Pending):
    """One item operation that answers `call` when it ends."""

    __slots__ = ("call", "request", "services")

    def __init__(
        self, services: Services, call: Call, request: dict[str, Any], operation: data_pb2.Operation, deadline_s: float
    ) -> None:
        super().__init__(operation, deadline_s)
        self.services = services
        self.call = call
        self.request = request

    def complete(self, result: data_pb2.Result) -> None:
        """Answer with the node's verdict."""
        status = result.status
        if status == data_pb2.OK:
            try:
                body = self.render(result)
            except Exception:
                # Once more where errors become answers: rendering is a function of the result alone.
                self.services.run_guarded(self.call, lambda: self.call.succeed(self.render(result)))
                return
            self.call.succeed(body)
        elif status == data_pb2.TABLE_GONE and not self.call.catalog_confirmed:
            # Nothing happened; the name may belong to a newer table by now.
            self.services.retry(self.call)
        else:
            self.call.fail(result_error(result))

    def give_up(self, failure: Failure) -> None:
        """Answer that there is no verdict."""
        self.call.fail(failure_error(failure))

    def render(self, result: data_pb2.Result) -> bytes:
        """The body of a successful answer."""
        raise NotImplementedError


class WritePending(ItemPending):
    """PutItem, UpdateItem, DeleteItem. A request that wants collection metrics keeps its key attributes in `Key`."""

    __slots__ = ("table",)

    table: TableInfo

    def render(self, result: data_pb2.Result) -> bytes:
        """Attributes, capacity and collection metrics when asked for, else `{}`."""
        item = result.item
        request = self.request
        wants_capacity = request.get("ReturnConsumedCapacity") in CAPACITY_MODES
        wants_metrics = self.operation.flags & data_pb2.RETURN_COLLECTION_SIZE
        if not item and not wants_capacity and not wants_metrics:
            return b"{}"
        members = []
        if item and item != b"{}":
            members.append(b'"Attributes":' + item)
        if wants_capacity:
            consumed = Consumed()
            consumed.add_write(self.table, result)
            consumed_json = consumed.as_json(request["ReturnConsumedCapacity"], request["TableName"])
            members.append(b'"ConsumedCapacity":' + orjson.dumps(consumed_json))
        if wants_metrics:
            metrics = collection_metrics_json(self.table, request["Key"], result.collection_bytes)
            members.append(b'"ItemCollectionMetrics":' + orjson.dumps(metrics))
        return b"{" + b",".join(members) + b"}"


def common_flags(request: dict[str, Any]) -> int:
    """Flags of a write that follow from parameters all three writes have."""
    flags = 0
    if request.get("ReturnConsumedCapacity") in CAPACITY_MODES:
        flags = data_pb2.RETURN_SIZES
    returned = request.get("ReturnValuesOnConditionCheckFailure")
    if returned == "ALL_OLD" and ("ConditionExpression" in request or "Expected" in request):
        flags |= data_pb2.RETURN_OLD_ON_CONDITION_FAILURE
    return flags


def all_old_or_none(request: dict[str, Any]) -> int:
    """The flag for ReturnValues of PutItem and DeleteItem. Raises ValidationException for the values of UpdateItem."""
    given = request.get("ReturnValues", "NONE")
    if given == "NONE":
        return 0
    if given != "ALL_OLD":
        raise validation("Return values set to invalid value")
    return data_pb2.RETURN_OLD


class WriteTarget(NamedTuple):
    """Where a write goes: an active table, and its expressions once they are checked against it."""

    table: TableInfo
    expressions: Expressions | None


def find_write_target(services: Services, call: Call, request: dict[str, Any], *, has_expressions: bool) -> WriteTarget:
    """Check the expressions, then the table. Raises DynamoError.

    In DynamoDB's order: a fault in an expression is told even of a table that does not exist.
    """
    expressions = Expressions(request, len(call.body)) if has_expressions else None
    table = find_active(services, call, request["TableName"])
    if expressions is not None:
        expressions.check(table.key_schema.names if table is not None else ())
    if table is None:
        raise denied(call)
    if expressions is not None:
        expressions.check_paths(table)
    return WriteTarget(table, expressions)


def submit_write(
    services: Services,
    call: Call,
    request: dict[str, Any],
    target: WriteTarget,
    *,
    kind: data_pb2.OperationKind,
    key: bytes,
    item: bytes,
    flags: int,
) -> None:
    """Send one write to its partition; `call` is answered when it ends."""
    partition_map = services.copy.partition_map
    assert isinstance(partition_map, PartitionMap), "a table and the map come from the same catalog"
    table = target.table
    if table.indexes and wants_collection_metrics(request, table):
        flags |= data_pb2.RETURN_COLLECTION_SIZE
    operation = data_pb2.Operation(
        partition=partition_map.locate(key[:16]),
        kind=kind,
        table_id=table.table_id,
        key=key,
        item=item,
        expressions=target.expressions.encode() if target.expressions is not None else b"",
        flags=flags,
        request_id=services.write_ids.next(),
    )
    pending = WritePending(services, call, request, operation, services.port.new_deadline_s())
    pending.table = table
    services.port.submit(pending)

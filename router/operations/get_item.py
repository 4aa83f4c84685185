"""GetItem (API reference: GetItem): strong reads from the leader, eventual ones from the nearest replica.

Called by router.operations.registry. Without a projection the stored bytes are spliced into the answer undecoded.
"""

from __future__ import annotations

from typing import Any

from dynamo.capacity import read_units
from dynamo.expressions import Bindings, project
from dynamo.records import RECORD_HEAD_BYTES, record_size
from dynamo.values import canonical_item, decode_item, encode_item
from router.operations.call import Call, Services
from router.operations.items import ItemPending, capacity_member
from router.operations.metering import CAPACITY_MODES
from router.operations.parameters import Expressions, ParameterNames
from router.operations.tables import denied, find_active
from router.routing.partition_map import PartitionMap
from wire import data_pb2

_PARAMETERS = ParameterNames(("ProjectionExpression",), ("AttributesToGet",))


class _GetPending(ItemPending):
    __slots__ = ("expressions",)

    def __init__(
        self,
        services: Services,
        call: Call,
        request: dict[str, Any],
        operation: data_pb2.Operation,
        deadline_s: float,
        expressions: Expressions | None,
    ) -> None:
        super().__init__(services, call, request, operation, deadline_s)
        self.expressions = expressions

    def render(self, result: data_pb2.Result) -> bytes:
        """`{"Item": ...}`, `{}` for a missing item, plus ConsumedCapacity when asked for."""
        record = result.item
        if self.expressions is None and self.request.get("ReturnConsumedCapacity") not in CAPACITY_MODES:
            return b'{"Item":%b}' % record[RECORD_HEAD_BYTES:] if record else b"{}"
        return self._render_slowly(record)

    def _render_slowly(self, record: bytes) -> bytes:
        members = []
        if record:
            encoded = record[RECORD_HEAD_BYTES:]
            expressions = self.expressions
            if expressions is not None and expressions.projection is not None:
                bindings = Bindings(expressions.names, None)
                encoded = encode_item(project(expressions.projection, decode_item(encoded), bindings))
            members.append(b'"Item":' + encoded)
        if self.request.get("ReturnConsumedCapacity") in CAPACITY_MODES:
            size = record_size(record) if record else 0
            units = read_units(size, self.request.get("ConsistentRead", False))
            members.append(b'"ConsumedCapacity":' + capacity_member(self.request, units))
        return b"{" + b",".join(members) + b"}"


def get_item(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the operation ends."""
    has_expressions = _PARAMETERS.check_combination(request)
    key_attributes = canonical_item(request["Key"])
    expressions = Expressions(request, len(call.body)) if has_expressions else None
    table = find_active(services, call, request["TableName"])
    if expressions is not None:
        # A projection may name key attributes: only updates may not.
        expressions.check(())
    if table is None:
        raise denied(call)
    key = table.key_schema.item_key_of_key(key_attributes)
    if expressions is not None:
        expressions.check_paths(table)
    partition_map = services.copy.partition_map
    assert isinstance(partition_map, PartitionMap), "a table and the map come from the same catalog"
    operation = data_pb2.Operation(
        partition=partition_map.locate(key[:16]),
        kind=data_pb2.GET_STRONG if request.get("ConsistentRead") else data_pb2.GET_EVENTUAL,
        table_id=table.table_id,
        key=key,
    )
    services.port.submit(_GetPending(services, call, request, operation, services.port.new_deadline_s(), expressions))

"""DeleteItem (API reference: DeleteItem): remove an item, perhaps on a condition.

Called by router.operations.registry.
"""

from __future__ import annotations

from typing import Any

from dynamo.values import canonical_item
from router.operations.call import Call, Services
from router.operations.items import WritePending, all_old_or_none, common_flags
from router.operations.parameters import Expressions, ParameterNames
from router.operations.tables import denied, find_active
from router.routing.partition_map import PartitionMap
from wire import data_pb2

_PARAMETERS = ParameterNames(("ConditionExpression",), ("Expected", "ConditionalOperator"))


def delete_item(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the operation ends."""
    has_expressions = _PARAMETERS.check_combination(request)
    key_attributes = canonical_item(request["Key"])
    flags = all_old_or_none(request) | common_flags(request)
    expressions = Expressions(request, len(call.body)) if has_expressions else None
    table = find_active(services, call, request["TableName"])
    if expressions is not None:
        expressions.check(table.key_schema.names if table is not None else ())
    if table is None:
        raise denied(call)
    key = table.key_schema.item_key_of_key(key_attributes)
    partition_map = services.copy.partition_map
    assert isinstance(partition_map, PartitionMap), "a table and the map come from the same catalog"
    operation = data_pb2.Operation(
        partition=partition_map.locate(key[:16]),
        kind=data_pb2.DELETE,
        table_id=table.table_id,
        key=key,
        expressions=expressions.encode(request) if expressions is not None else b"",
        flags=flags,
        request_id=services.write_ids.next(),
    )
    services.port.submit(WritePending(services, call, request, operation, services.port.new_deadline_s()))

"""PutItem (API reference: PutItem): store a whole item, perhaps on a condition.

Called by router.operations.registry. The canonical item is encoded once, here; the leader stores these bytes.
"""

from __future__ import annotations

from typing import Any

from dynamo.errors import validation
from dynamo.limits import ITEM_BYTES_MAX
from dynamo.values import canonical_item, encode_item, item_size
from router.operations.call import Call, Services
from router.operations.items import WritePending, all_old_or_none, common_flags
from router.operations.parameters import Expressions, ParameterNames
from router.operations.tables import denied, find_active
from router.routing.partition_map import PartitionMap
from wire import data_pb2

_PARAMETERS = ParameterNames(("ConditionExpression",), ("Expected", "ConditionalOperator"))


def put_item(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the operation ends."""
    has_expressions = _PARAMETERS.check_combination(request)
    item = canonical_item(request["Item"])
    flags = all_old_or_none(request) | common_flags(request)
    if item_size(item) > ITEM_BYTES_MAX:
        raise validation("Item size has exceeded the maximum allowed size")
    expressions = Expressions(request, len(call.body)) if has_expressions else None
    table = find_active(services, call, request["TableName"])
    if expressions is not None:
        expressions.check(table.key_schema.names if table is not None else ())
    if table is None:
        raise denied(call)
    key = table.key_schema.item_key_of_item(item)
    partition_map = services.copy.partition_map
    assert isinstance(partition_map, PartitionMap), "a table and the map come from the same catalog"
    operation = data_pb2.Operation(
        partition=partition_map.locate(key[:16]),
        kind=data_pb2.PUT,
        table_id=table.table_id,
        key=key,
        item=encode_item(item),
        expressions=expressions.encode(request) if expressions is not None else b"",
        flags=flags,
        request_id=services.write_ids.next(),
    )
    # Not needed for the answer: a queue of writes should hold each item once.
    del request["Item"]
    services.port.submit(WritePending(services, call, request, operation, services.port.new_deadline_s()))

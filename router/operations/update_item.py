"""UpdateItem (API reference: UpdateItem): change attributes of an item, or create it.

Called by router.operations.registry. The leader evaluates the expressions against the item; here they are only checked.
"""

from __future__ import annotations

from typing import Any

from dynamo.values import canonical_item, encode_item
from router.operations.call import Call, Services
from router.operations.items import common_flags, find_write_target, submit_write
from router.operations.parameters import ParameterNames
from wire import data_pb2

_PARAMETERS = ParameterNames(
    ("UpdateExpression", "ConditionExpression"), ("AttributeUpdates", "Expected", "ConditionalOperator")
)
_RETURN_FLAGS = {
    "NONE": 0,
    "ALL_OLD": data_pb2.RETURN_OLD,
    "ALL_NEW": data_pb2.RETURN_ALL_NEW,
    "UPDATED_OLD": data_pb2.RETURN_UPDATED_OLD,
    "UPDATED_NEW": data_pb2.RETURN_UPDATED_NEW,
}


def update_item(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the operation ends."""
    has_expressions = _PARAMETERS.check_combination(request)
    key_attributes = canonical_item(request["Key"])
    flags = _RETURN_FLAGS[request.get("ReturnValues", "NONE")] | common_flags(request)
    target = find_write_target(services, call, request, has_expressions=has_expressions)
    key = target.table.key_schema.item_key_of_key(key_attributes)
    request["Key"] = key_attributes
    item = encode_item(key_attributes)
    submit_write(services, call, request, target, kind=data_pb2.UPDATE, key=key, item=item, flags=flags)

"""DeleteItem (API reference: DeleteItem): remove an item, perhaps on a condition.

Called by router.operations.registry.
"""

from __future__ import annotations

from typing import Any

from dynamo.values import canonical_item
from router.operations.call import Call, Services
from router.operations.items import all_old_or_none, common_flags, find_write_target, submit_write
from router.operations.parameters import ParameterNames
from wire import data_pb2

_PARAMETERS = ParameterNames(("ConditionExpression",), ("Expected", "ConditionalOperator"))


def delete_item(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the operation ends."""
    has_expressions = _PARAMETERS.check_combination(request)
    key_attributes = canonical_item(request["Key"])
    flags = all_old_or_none(request) | common_flags(request)
    target = find_write_target(services, call, request, has_expressions=has_expressions)
    key = target.table.key_schema.item_key_of_key(key_attributes)
    request["Key"] = key_attributes
    submit_write(services, call, request, target, kind=data_pb2.DELETE, key=key, item=b"", flags=flags)

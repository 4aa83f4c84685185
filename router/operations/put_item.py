"""PutItem (API reference: PutItem): store a whole item, perhaps on a condition.

Called by router.operations.registry. The canonical item is encoded once, here; the leader stores these bytes.
"""

from __future__ import annotations

from typing import Any

from dynamo.errors import validation
from dynamo.limits import ITEM_BYTES_MAX
from dynamo.records import encode_record
from dynamo.requests.index_keys import check_index_keys
from dynamo.values import canonical_item, item_size
from router.operations.call import Call, Services
from router.operations.items import all_old_or_none, common_flags, find_write_target, submit_write
from router.operations.parameters import ParameterNames
from wire import data_pb2

_PARAMETERS = ParameterNames(("ConditionExpression",), ("Expected", "ConditionalOperator"))


def put_item(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the operation ends."""
    has_expressions = _PARAMETERS.check_combination(request)
    item = canonical_item(request["Item"])
    flags = all_old_or_none(request) | common_flags(request)
    size = item_size(item)
    if size > ITEM_BYTES_MAX:
        raise validation("Item size has exceeded the maximum allowed size")
    target = find_write_target(services, call, request, has_expressions=has_expressions)
    table = target.table
    key = table.key_schema.item_key_of_item(item)
    if table.indexes:
        check_index_keys(table.indexes, item)
        request["Key"] = table.key_schema.key_of_item(item)
    # Not needed for the answer: a queue of writes should hold each item once.
    del request["Item"]
    record = encode_record(item, size)
    submit_write(services, call, request, target, kind=data_pb2.PUT, key=key, item=record, flags=flags)

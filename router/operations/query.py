"""Query (API reference: Query): a page of one item collection of a table or an index, in sort key order.

Called by router.operations.registry. All entries of a collection lie in one partition, so a page is one range read and
the answer is its bytes between a few members.
"""

from __future__ import annotations

from typing import Any

from dynamo.errors import validation
from dynamo.limits import PAGE_BYTES_MAX
from dynamo.queries.key_conditions import KeyConditions
from dynamo.queries.legacy import key_conditions_of_parameter
from dynamo.queries.start_keys import query_range
from router.operations.call import Call, Services
from router.operations.items import ItemPending
from router.operations.parameters import ParameterNames
from router.operations.range_pages import Page, RangePlan
from router.operations.range_request import RangeRequest
from router.operations.tables import denied, find_active
from router.routing.partition_map import PartitionMap, RangeSlice
from wire import data_pb2

_PARAMETERS = ParameterNames(
    ("ProjectionExpression", "FilterExpression", "KeyConditionExpression"),
    ("AttributesToGet", "QueryFilter", "ConditionalOperator", "KeyConditions"),
)


class _QueryPending(ItemPending):
    __slots__ = ("plan",)

    plan: RangePlan

    def render(self, result: data_pb2.Result) -> bytes:
        """The page."""
        page = Page()
        page.add(result)
        return self.plan.render(page)


def query(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the read ends."""
    _PARAMETERS.check_combination(request)
    read = RangeRequest(request)
    conditions = _read(read, len(call.body))
    table = find_active(services, call, request["TableName"])
    if table is None:
        raise denied(call)
    layout = read.layout(call, table)
    backward = request.get("ScanIndexForward") is False
    key_range = query_range(conditions, layout, read.start_key, backward=backward)
    plan = read.plan(table, layout, filters_keys=False, backward=backward)
    partition_map = services.copy.partition_map
    assert isinstance(partition_map, PartitionMap), "a table and the map come from the same catalog"
    part = RangeSlice(partition_map.locate(key_range.start[:16]), key_range.start, key_range.end)
    operation = plan.operation(part, plan.limit, PAGE_BYTES_MAX)
    pending = _QueryPending(services, call, request, operation, services.port.new_deadline_s())
    pending.plan = plan
    services.port.submit(pending)


def _read(read: RangeRequest, body_bytes: int) -> KeyConditions:
    """Everything but the table, in the service's order. Raises DynamoError."""
    request = read.request
    read.read_legacy_filter("QueryFilter")
    read.read_legacy_projection()
    read.read_start_key()
    legacy = request.get("KeyConditions")
    if legacy is None and "KeyConditionExpression" not in request:
        raise validation(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
        )
    read.read_expressions(body_bytes)
    conditions = read.key_conditions
    if conditions is None:
        assert legacy is not None, "one of both is given"
        return key_conditions_of_parameter(legacy)
    return conditions

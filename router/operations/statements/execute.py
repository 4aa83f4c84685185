"""ExecuteStatement (API reference): one PartiQL statement.

Called by router.operations.registry. The usual shapes, one item by its key and a write without RETURNING, are answered
without decoding what the native operation gave.
"""

from __future__ import annotations

from typing import Any

import orjson

from dynamo.partiql import Position, Read, Select, SelectPlan, decode_token, encode_token
from router.operations.call import Call, Services
from router.operations.metering import CAPACITY_MODES
from router.operations.statements.preparation import Bound, bind_request, find_table, plan_select, plan_write
from router.operations.statements.running import Answer, InnerCall, Options, SelectRun, run_write

_NO_ITEMS = b'{"Items":[]}'
_ITEM = b'{"Item":'


def execute_statement(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the last native operation of the statement ends."""
    bound = bind_request(request)
    statement = bound.statement
    token = request.get("NextToken")
    position = None if token is None else decode_token(statement, bound.values, token)
    table = find_table(services, call, bound)
    capacity = request.get("ReturnConsumedCapacity")
    if capacity not in CAPACITY_MODES:
        capacity = None
    if not isinstance(statement, Select):
        write = plan_write(bound, statement, table, capacity)
        run_write(services, call, write, lambda answer: call.succeed(_body(bound, answer)), call.fail)
        return
    plan = plan_select(bound, statement, table)
    options = Options(consistent=request.get("ConsistentRead", False), capacity=capacity, limit=request.get("Limit"))
    lone = _lone_item(plan)
    if lone is not None and position is None and capacity is None:
        _get(services, call, lone, options)
        return
    run = SelectRun(services, call, plan, options, lambda answer: call.succeed(_body(bound, answer)), call.fail)
    run.start(position)


def _lone_item(plan: SelectPlan) -> Read | None:
    """The read of a plan that gives one item as it is stored or projected; None for any other plan."""
    read = plan.reads[0]
    if len(plan.reads) > 1 or read.operation != "GetItem" or read.residual is not None or plan.columns is not None:
        return None
    return read


def _get(services: Services, call: Call, read: Read, options: Options) -> None:
    def splice(body: bytes) -> None:
        item = body.removeprefix(_ITEM)
        call.succeed(_NO_ITEMS if item == body else b'{"Items":[%b]}' % item[:-1])

    request = dict(read.request)
    if options.consistent:
        request["ConsistentRead"] = True
    services.run_native(read.operation, InnerCall(call, splice, call.fail), request)


def _body(bound: Bound, answer: Answer) -> bytes:
    if not answer.items and answer.capacity is None and answer.position is None:
        return _NO_ITEMS
    members: dict[str, Any] = {"Items": answer.items}
    position: Position | None = answer.position
    if position is not None:
        members["NextToken"] = encode_token(bound.statement, bound.values, position)
        if position.start_key is not None:
            members["LastEvaluatedKey"] = position.start_key
    if answer.capacity is not None:
        members["ConsumedCapacity"] = answer.capacity
    return orjson.dumps(members)

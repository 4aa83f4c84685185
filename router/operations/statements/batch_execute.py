"""BatchExecuteStatement (API reference): up to 25 statements, each with an answer or an error of its own.

Called by router.operations.registry. Law: every statement is prepared before the first one runs, so a table that must
be looked up in the catalog never repeats a write; each SELECT reads one item by its key.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from dynamo.errors import DynamoError, validation
from dynamo.partiql import Select
from dynamo.partiql.faults import BATCH_MIXED
from router.operations.call import Call, Services
from router.operations.metering import CAPACITY_MODES
from router.operations.statements.preparation import Bound, bind_request, find_table, plan_select, plan_write
from router.operations.statements.running import Answer, Options, SelectRun, added_capacity, run_write

_CODES = {
    "ConditionalCheckFailedException": "ConditionalCheckFailed",
    "DuplicateItemException": "DuplicateItem",
    "ItemCollectionSizeLimitExceededException": "ItemCollectionSizeLimitExceeded",
    "ProvisionedThroughputExceededException": "ProvisionedThroughputExceeded",
    "RequestLimitExceeded": "RequestLimitExceeded",
    "ResourceNotFoundException": "ResourceNotFound",
    "ThrottlingException": "ThrottlingError",
    "TransactionConflictException": "TransactionConflict",
    "ValidationException": "ValidationError",
}

_Start = Callable[[Callable[[Answer], None], Callable[[DynamoError], None]], None]


def batch_execute_statement(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the last statement ends."""
    statements: list[dict[str, Any]] = request["Statements"]
    batch = _Batch(call, request, len(statements))
    bound: dict[int, Bound] = {}
    for position, statement in enumerate(statements):
        try:
            bound[position] = bind_request(statement)
        except DynamoError as error:
            if error.code != "ValidationException":
                raise
            batch.refused(position, error)
    if len({isinstance(one.statement, Select) for one in bound.values()}) > 1:
        raise validation(BATCH_MIXED)
    starts: list[tuple[int, Bound, _Start]] = []
    for position, one in bound.items():
        try:
            starts.append((position, one, _prepare(services, call, one, batch.capacity_mode)))
        except DynamoError as error:
            batch.refused(position, error)
    batch.run(starts)


def _prepare(services: Services, call: Call, bound: Bound, capacity: str | None) -> _Start:
    """What runs the statement. Raises DynamoError, or NeedsCatalog."""
    table = find_table(services, call, bound)
    statement = bound.statement
    if not isinstance(statement, Select):
        write = plan_write(bound, statement, table, capacity)
        return lambda done, failed: run_write(services, call, write, done, failed)
    plan = plan_select(bound, statement, table, single_item=True)
    options = Options(consistent=bound.request.get("ConsistentRead", False), capacity=capacity)
    return lambda done, failed: SelectRun(services, call, plan, options, done, failed).start(None)


class _Batch:
    """The answers of one batch as they come in."""

    def __init__(self, call: Call, request: dict[str, Any], statements: int) -> None:
        self._call = call
        mode = request.get("ReturnConsumedCapacity")
        self.capacity_mode = mode if mode in CAPACITY_MODES else None
        self._responses: list[dict[str, Any]] = [{} for _ in range(statements)]
        self._capacity: dict[str, dict[str, Any]] = {}
        self._running = 0

    def refused(self, position: int, error: DynamoError) -> None:
        """A statement that does not run."""
        self._responses[position] = {"Error": _error_json(error)}

    def run(self, starts: list[tuple[int, Bound, _Start]]) -> None:
        """Start every statement that is left; the last to end answers the call."""
        # One more than there are, so that an answer that comes at once does not end the batch.
        self._running = len(starts) + 1
        for position, bound, start in starts:
            table = bound.statement.table
            start(partial(self._ended, position, table), partial(self._failed, position, table))
        self._end_one()

    def _ended(self, position: int, table: str, answer: Answer) -> None:
        response = self._responses[position]
        response["TableName"] = table
        if answer.items:
            response["Item"] = answer.items[0]
        if answer.capacity is not None:
            self._capacity[table] = added_capacity(self._capacity.get(table), answer.capacity)
        self._end_one()

    def _failed(self, position: int, table: str, error: DynamoError) -> None:
        self._responses[position] = {"Error": _error_json(error), "TableName": table}
        self._end_one()

    def _end_one(self) -> None:
        self._running -= 1
        if self._running:
            return
        members: dict[str, Any] = {"Responses": self._responses}
        if self.capacity_mode is not None:
            members["ConsumedCapacity"] = list(self._capacity.values())
        self._call.succeed(orjson.dumps(members))


def _error_json(error: DynamoError) -> dict[str, Any]:
    """The BatchStatementError structure."""
    shown: dict[str, Any] = {"Code": _CODES.get(error.code, "InternalServerError"), "Message": error.message}
    item = error.members.get("Item")
    if item is not None:
        shown["Item"] = orjson.loads(item)
    return shown

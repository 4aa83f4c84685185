"""From a statement of a request to a plan on its table, before anything runs.

Called by the two operations. Law: the order of complaints is the service's: the statement's text, its parameters, its
table, what it asks of the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dynamo.errors import validation
from dynamo.partiql import Change, Delete, Insert, Select, SelectPlan, Write, bind, parse_statement
from dynamo.partiql import plan_select as plan_reads
from dynamo.partiql import plan_write as plan_one_write
from dynamo.partiql.faults import NO_SUCH_INDEX
from dynamo.values import Item
from router.operations.call import Call, Services
from router.operations.tables import denied, find_active
from topology.tables import TableInfo


@dataclass(frozen=True, slots=True)
class Bound:
    """A statement with its values. `request` is the structure that has Statement and Parameters."""

    statement: Select | Insert | Change | Delete
    values: Item
    request: dict[str, Any]


def bind_request(request: dict[str, Any]) -> Bound:
    """Parse and bind. Raises ValidationException or SerializationException."""
    statement = parse_statement(request["Statement"])
    assert isinstance(statement, Select | Insert | Change | Delete), "there are four kinds of statements"
    return Bound(statement, bind(statement, request.get("Parameters", [])), request)


def find_table(services: Services, call: Call, bound: Bound) -> TableInfo:
    """The statement's table. Raises ResourceNotFoundException (NeedsCatalog before a strong read)."""
    table = find_active(services, call, bound.statement.table)
    if table is None:
        raise denied(call)
    return table


def plan_select(bound: Bound, select: Select, table: TableInfo, *, single_item: bool = False) -> SelectPlan:
    """The reads of a SELECT. Raises ValidationException."""
    index = None
    if select.index is not None:
        index = table.index(select.index)
        if index is None:
            raise validation(NO_SUCH_INDEX)
    return plan_reads(
        select,
        bound.values,
        table.key_schema,
        index,
        consistent=bound.request.get("ConsistentRead", False),
        single_item=single_item,
    )


def plan_write(bound: Bound, statement: Insert | Change | Delete, table: TableInfo, capacity: str | None) -> Write:
    """The native write, with what its answer is to show. Raises ValidationException."""
    write = plan_one_write(statement, bound.values, table.key_schema)
    returned = bound.request.get("ReturnValuesOnConditionCheckFailure")
    if returned is not None and not write.duplicate and "ConditionExpression" in write.request:
        write.request["ReturnValuesOnConditionCheckFailure"] = returned
    if capacity is not None:
        write.request["ReturnConsumedCapacity"] = capacity
    return write

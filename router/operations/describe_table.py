"""DescribeTable and ListTables (API reference): answered from the router's copy of the catalog.

Called by router.operations.registry. A table the copy does not show is denied only after a strong catalog read.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import orjson

from dynamo.limits import LIST_TABLES_PAGE_MAX
from router.operations.call import Call, NeedsCatalog, Services
from router.operations.table_description import describe
from router.operations.tables import find_any


def describe_table(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ResourceNotFoundException."""
    table = find_any(services, call, request["TableName"])
    call.succeed(orjson.dumps({"Table": describe(table, services.clock.wall_ms())}))


def list_tables(services: Services, call: Call, request: dict[str, Any]) -> None:
    """One page of names, sorted; ExclusiveStartTableName need not exist (any more)."""
    if services.copy.version == 0 and not call.catalog_confirmed:
        # A router that has just started knows of no table, which is not that there is none.
        raise NeedsCatalog
    names = services.copy.tables.names(call.region)
    start = request.get("ExclusiveStartTableName")
    # Bytes order, as TablesByName.names sorts.
    begin = bisect_right(names, start.encode(), key=str.encode) if start is not None else 0
    limit = request.get("Limit", LIST_TABLES_PAGE_MAX)
    page = names[begin : begin + limit]
    answer: dict[str, Any] = {"TableNames": page}
    if page and begin + limit < len(names):
        answer["LastEvaluatedTableName"] = page[-1]
    call.succeed(orjson.dumps(answer))

"""DeleteTable (API reference): one catalog command, answered when the table is gone.

Called by router.operations.registry. The answer says DELETING and is held until the copy no longer shows the table (at
most timeouts.table_activation_ms), for the same reason as in create_table. Law: a table is deleted only at the revision
whose deletion protection was judged here, so none that any router has set and acknowledged is overlooked.
"""

from __future__ import annotations

from typing import Any

import orjson

from dynamo.errors import DynamoError, internal_server_error, resource_in_use, resource_not_found, validation
from router import limits
from router.operations.call import Call, NeedsCatalog, Services
from router.operations.catalog_command import submit_command
from router.operations.change_table import info_of, still_in_use
from router.operations.table_description import describe
from router.operations.tables import find_any
from topology.tables import ACTIVE, TableInfo
from wire import catalog_pb2 as pb


def delete_table(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ResourceNotFoundException, ResourceInUseException, ValidationException; else `call` is answered later."""
    if not call.catalog_confirmed:
        # Protection that another router has just taken off must be known: the catalog refuses only what is overlooked.
        raise NeedsCatalog
    _delete(services, call, find_any(services, call, request["TableName"]), limits.TABLE_CHANGE_ATTEMPTS_MAX)


def _delete(services: Services, call: Call, table: TableInfo, attempts_left: int) -> None:
    if table.settings.get("DeletionProtectionEnabled"):
        raise validation(
            "Resource cannot be deleted as it is currently protected against deletion. "
            "Disable deletion protection first."
        )
    command = pb.DeleteTable(name=table.name, region=table.region, table_id=table.table_id, if_revision=table.revision)

    def decided(result: pb.CatalogResult) -> None:
        if result.outcome == pb.CATALOG_CONFLICT and attempts_left:
            # Somebody changed the table meanwhile, or made another of its name: judged again as it is now.
            _delete(services, call, info_of(result.table), attempts_left - 1)
        else:
            _deleted(services, call, result, table)

    submit_command(services, call, pb.CatalogCommand(delete_table=command), decided, idempotent=False)


def _deleted(services: Services, call: Call, result: pb.CatalogResult, table: TableInfo) -> None:
    if result.outcome != pb.CATALOG_OK:
        raise _refusal(result, table.name)
    table_id = result.table.table_id
    description = describe(table, services.clock.wall_ms(), "DELETING")
    body = orjson.dumps({"TableDescription": description})
    deadline_s = services.clock.monotonic() + services.table_activation_ms / 1000
    services.copy.watch(
        lambda tables: tables.version >= result.version and table_id not in tables.by_id,
        lambda _in_time: call.succeed(body),
        deadline_s,
    )


def _refusal(result: pb.CatalogResult, name: str) -> DynamoError:
    if result.outcome == pb.CATALOG_TABLE_NOT_FOUND:
        return resource_not_found(f"Requested resource not found: Table: {name} not found")
    if result.outcome == pb.CATALOG_CONFLICT:
        return still_in_use(result.table.state, name)
    if result.outcome == pb.CATALOG_TABLE_NOT_ACTIVE:
        if result.table.state == ACTIVE:
            return resource_in_use(
                "Attempt to change a resource which is still in use: Cannot delete table while indexes are being "
                "created, updated, or deleted."
            )
        return still_in_use(result.table.state, name)
    return internal_server_error()

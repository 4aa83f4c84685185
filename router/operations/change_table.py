"""One change of a table: worked out from what is known, sent with the revision it was worked out from.

Called by everything that changes a table after it was made. Law: the catalog takes a change only at the revision that
its maker saw, so no two changes overwrite each other; the loser works its change out again. A refusal that depends on
the table is given only on the word of a catalog read that began after the request did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from dynamo.errors import DynamoError, internal_server_error, resource_in_use, resource_not_found
from router import limits
from router.operations.call import Call, Services
from router.operations.catalog_command import submit_command
from router.operations.tables import denied, find_any
from topology.tables import CREATING, DELETING, NO_TABLES, TableInfo, tables_of
from wire import catalog_pb2 as pb


@dataclass(slots=True)
class TableChange:
    """What becomes different. `settings` replaces the table's; `index_settings` those of indexes, by id."""

    settings: dict[str, Any] | None = None
    add_indexes: list[pb.Index] = field(default_factory=list)
    delete_indexes: list[int] = field(default_factory=list)
    index_settings: dict[int, dict[str, Any]] = field(default_factory=dict)


# The change of a table as it is now; None: it is as wanted already. Raises DynamoError.
Plan = Callable[[TableInfo], TableChange | None]
# The answer's JSON from the table before and after the change.
Answer = Callable[[TableInfo, TableInfo], bytes]


def change_table(
    services: Services, call: Call, given: str, plan: Plan, answer: Answer, not_found: DynamoError | None = None
) -> None:
    """Change the table that the request calls `given`; answered when this router's copy shows the change.

    Raises ResourceNotFoundException (or `not_found`), ResourceInUseException and whatever `plan` raises.
    """
    table = find_any(services, call, given, not_found)
    _Changing(services, call, plan, answer).begin(table)


def still_in_use(state: pb.TableState, name: str) -> DynamoError:
    """ResourceInUseException of a table that is in `state`."""
    doing = {CREATING: "created", DELETING: "deleted"}.get(state, "updated")
    return resource_in_use(f"Attempt to change a resource which is still in use: Table is being {doing}: {name}")


def info_of(table: pb.Table) -> TableInfo:
    """A table of a catalog result."""
    (info,) = tables_of(pb.Catalog(tables=[table]), NO_TABLES).by_id.values()
    return info


class _Changing:
    """One change on its way."""

    def __init__(self, services: Services, call: Call, plan: Plan, answer: Answer) -> None:
        self._services = services
        self._call = call
        self._plan = plan
        self._answer = answer
        self._attempts_left = limits.TABLE_CHANGE_ATTEMPTS_MAX

    def begin(self, table: TableInfo) -> None:
        try:
            change = self._changes(table)
        except DynamoError as error:
            raise denied(self._call, error) from error
        self._send(table, change)

    def _changes(self, table: TableInfo) -> TableChange | None:
        if not table.is_active:
            raise still_in_use(table.state, table.name)
        return self._plan(table)

    def _send(self, table: TableInfo, change: TableChange | None) -> None:
        if change is None:
            self._call.succeed(self._answer(table, table))
            return
        command = pb.CatalogCommand(
            change_table=pb.ChangeTable(
                table_id=table.table_id,
                if_revision=table.revision,
                settings_json=b"" if change.settings is None else orjson.dumps(change.settings),
                add_indexes=change.add_indexes,
                delete_indexes=change.delete_indexes,
                index_settings=[
                    pb.IndexSettings(index_id=index_id, settings_json=orjson.dumps(settings))
                    for index_id, settings in change.index_settings.items()
                ],
            )
        )
        submit_command(
            self._services, self._call, command, lambda result: self._decided(result, table), idempotent=False
        )

    def _decided(self, result: pb.CatalogResult, table: TableInfo) -> None:
        match result.outcome:
            case pb.CATALOG_OK:
                self._finish(result, table)
            case pb.CATALOG_CONFLICT if self._attempts_left:
                self._attempts_left -= 1
                newer = info_of(result.table)
                self._send(newer, self._changes(newer))
            case pb.CATALOG_CONFLICT | pb.CATALOG_TABLE_NOT_ACTIVE:
                raise still_in_use(result.table.state, table.name)
            case pb.CATALOG_TABLE_NOT_FOUND:
                raise resource_not_found(f"Requested resource not found: Table: {table.name} not found")
            case _:
                raise internal_server_error()

    def _finish(self, result: pb.CatalogResult, table: TableInfo) -> None:
        body = self._answer(table, info_of(result.table))
        # In time or not, it is done: the answer is the same.
        deadline_s = self._services.clock.monotonic() + self._services.table_activation_ms / 1000
        version = result.version
        self._services.copy.watch(
            lambda tables: tables.version >= version, lambda _in_time: self._call.succeed(body), deadline_s
        )

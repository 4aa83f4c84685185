"""CreateTable (API reference): one catalog command, answered when the table serves.

Called by router.operations.registry. The answer says CREATING, as the service's does, but is held until this router's
copy shows the table ACTIVE (at most timeouts.table_activation_ms): boto3's waiter asks once at once and then only every
20 s, so a client's first look should already see it.
"""

from __future__ import annotations

from typing import Any

import orjson

from dynamo.errors import DynamoError, internal_server_error, limit_exceeded, resource_in_use
from dynamo.requests import CreateTableRequest, parse_create_table
from router.operations.call import Call, Services
from router.operations.catalog_command import submit_command
from router.operations.table_description import describe
from topology.tables import NO_TABLES, TablesByName, tables_of
from wire import catalog_pb2 as pb

_KEY_TYPES = {"S": pb.KEY_S, "N": pb.KEY_N, "B": pb.KEY_B}


def create_table(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ValidationException; else `call` is answered when the catalog group has decided and the table serves."""
    wanted = parse_create_table(request)
    uuid = services.new_uuid()
    command = pb.CatalogCommand(create_table=_command(services, call, wanted, uuid))
    submit_command(
        services,
        call,
        command,
        lambda result: _created(services, call, result, wanted.name, uuid),
        idempotent=True,
    )


def _command(services: Services, call: Call, wanted: CreateTableRequest, uuid: str) -> pb.CreateTable:
    schema = wanted.key_schema
    command = pb.CreateTable(
        name=wanted.name,
        region=call.region,
        partition_key=pb.KeyAttribute(name=schema.partition.name, type=_KEY_TYPES[schema.partition.type]),
        created_at_ms=services.clock.wall_ms(),
        uuid=uuid,
        settings_json=orjson.dumps(wanted.settings),
        tables_max=services.tables_max,
    )
    if schema.sort is not None:
        command.sort_key.CopyFrom(pb.KeyAttribute(name=schema.sort.name, type=_KEY_TYPES[schema.sort.type]))
    return command


def _created(services: Services, call: Call, result: pb.CatalogResult, name: str, uuid: str) -> None:
    outcome = result.outcome
    # Our own table in the way: an earlier try of the same command had succeeded after all.
    if outcome not in (pb.CATALOG_OK, pb.CATALOG_TABLE_EXISTS) or result.table.uuid != uuid:
        raise _refusal(outcome, name, services.tables_max)
    table_id = result.table.table_id
    (table,) = tables_of(pb.Catalog(tables=[result.table]), NO_TABLES).by_id.values()
    body = orjson.dumps({"TableDescription": describe(table, "CREATING")})

    def serves(tables: TablesByName) -> bool:
        known = tables.by_id.get(table_id)
        # A version that does not hold it any more, after the command: deleted again meanwhile, nothing to wait for.
        return known.is_active if known is not None else tables.version >= result.version

    # In time or not, the table exists: the answer is the same.
    deadline_s = services.clock.monotonic() + services.table_activation_ms / 1000
    services.copy.watch(serves, lambda _in_time: call.succeed(body), deadline_s)


def _refusal(outcome: pb.CatalogOutcome, name: str, tables_max: int) -> DynamoError:
    if outcome == pb.CATALOG_TABLE_EXISTS:
        return _exists(name)
    if outcome == pb.CATALOG_LIMIT_EXCEEDED:
        return limit_exceeded(f"Subscriber limit exceeded: There is a limit of {tables_max} tables per subscriber")
    return internal_server_error()


def _exists(name: str) -> DynamoError:
    return resource_in_use(f"Table already exists: {name}")

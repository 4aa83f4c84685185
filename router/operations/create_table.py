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
from dynamo.requests.throughput import PAY_PER_REQUEST
from router.operations.call import Call, Services
from router.operations.catalog_command import submit_command
from router.operations.change_table import info_of
from router.operations.index_messages import index_messages, key_message
from router.operations.resource_policy import new_policy
from router.operations.table_description import LAST_ON_DEMAND_MS, describe
from topology.tables import TablesByName
from wire import catalog_pb2 as pb


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
    now_ms = services.clock.wall_ms()
    settings = dict(wanted.settings)
    if wanted.billing_mode == PAY_PER_REQUEST:
        settings[LAST_ON_DEMAND_MS] = now_ms
    if wanted.policy is not None:
        settings["ResourcePolicy"] = new_policy(wanted.policy, None, now_ms)
    return pb.CreateTable(
        name=wanted.name,
        region=call.region,
        partition_key=key_message(schema.partition),
        sort_key=None if schema.sort is None else key_message(schema.sort),
        created_at_ms=now_ms,
        uuid=uuid,
        settings_json=orjson.dumps(settings),
        tables_max=services.tables_max,
        indexes=index_messages(wanted.indexes),
    )


def _created(services: Services, call: Call, result: pb.CatalogResult, name: str, uuid: str) -> None:
    outcome = result.outcome
    # Our own table in the way: an earlier try of the same command had succeeded after all.
    if outcome not in (pb.CATALOG_OK, pb.CATALOG_TABLE_EXISTS) or result.table.uuid != uuid:
        raise _refusal(outcome, name, services.tables_max)
    table_id = result.table.table_id
    table = info_of(result.table)
    body = orjson.dumps({"TableDescription": describe(table, services.clock.wall_ms(), "CREATING")})

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

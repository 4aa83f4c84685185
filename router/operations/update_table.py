"""UpdateTable (API reference): billing, throughput, indexes, table class, deletion protection.

Called by router.operations.registry. Law: a request is carried out whole, in one catalog command, or not at all. What
is only a setting is in force at once; the answer says UPDATING as the service's does, of the table and of each index
whose units change, with the throughput from before.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from dynamo.errors import DynamoError, invalid_parameter, resource_in_use, validation
from dynamo.indexes import IndexState
from dynamo.requests import throughput
from dynamo.requests.update_table import check_update_table, online_actions
from router.operations.call import Call, Services
from router.operations.change_table import TableChange, change_table
from router.operations.index_updates import IN_USE, plan_index_updates
from router.operations.table_description import (
    LAST_ON_DEMAND_MS,
    LAST_TABLE_CLASS_MS,
    billing_mode,
    describe,
    index_settings,
    warm_throughput,
)
from router.operations.throughput_changes import with_throughput, with_warm
from topology.tables import TableInfo

# Changes whose answer shows the table ACTIVE unless units change: in force with the answer, in the service too.
_IMMEDIATE: Final = frozenset(
    {"TableName", "AttributeDefinitions", "OnDemandThroughput", "WarmThroughput", "GlobalSecondaryIndexUpdates"}
)


def update_table(services: Services, call: Call, request: dict[str, Any]) -> None:
    """`call` is answered when the catalog group has decided and this router shows it.

    Raises ValidationException, ResourceNotFoundException, ResourceInUseException, LimitExceededException.
    """
    check_update_table(request)
    clock = services.clock
    change_table(
        services,
        call,
        request["TableName"],
        lambda table: _plan(table, request, clock.wall_ms()),
        lambda before, after: _answer(before, after, request, clock.wall_ms()),
    )


def _plan(table: TableInfo, request: dict[str, Any], now_ms: int) -> TableChange:
    if request.get("StreamSpecification") is not None:
        raise validation(f"Table has no stream to disable: TableName: {table.name}")
    was_on_demand = billing_mode(table.settings) == throughput.PAY_PER_REQUEST
    mode = request.get("BillingMode", billing_mode(table.settings))
    settings = dict(table.settings)
    change = TableChange()
    if "BillingMode" in request or "ProvisionedThroughput" in request:
        _check_settled(table)
        settings = _with_billing(settings, request, was_on_demand, now_ms)
    if request.get("OnDemandThroughput"):
        wanted = request["OnDemandThroughput"]
        throughput.check_on_demand(wanted, mode, may_clear=True)
        settings["OnDemandThroughput"] = throughput.merged_on_demand(settings.get("OnDemandThroughput"), wanted)
    if request.get("WarmThroughput"):
        settings = with_warm(settings, warm_throughput(settings, mode), request["WarmThroughput"])
    plan_index_updates(table, request, mode, was_on_demand, now_ms, change)
    _switch_indexes(table, change, was_on_demand, mode)
    change.settings = _with_plain_members(table, settings, request, now_ms)
    return change


def _check_settled(table: TableInfo) -> None:
    for state, doing in ((IndexState.DELETING, "deleted"), (IndexState.CREATING, "created")):
        names = [index.name for index in table.indexes if index.state is state]
        if names:
            raise resource_in_use(
                f"{IN_USE}Can't change table IOPS when an index is being {doing}. Table: {table.name} "
                f"Indexes: [{', '.join(names)}]"
            )


def _with_billing(
    settings: dict[str, Any], request: dict[str, Any], was_on_demand: bool, now_ms: int
) -> dict[str, Any]:
    """The settings with the request's BillingMode and ProvisionedThroughput."""
    mode = request.get("BillingMode", billing_mode(settings))
    wanted = request.get("ProvisionedThroughput")
    if mode == throughput.PAY_PER_REQUEST:
        if wanted is not None:
            raise throughput.neither_units()
        return settings if was_on_demand else _to_on_demand(settings, now_ms)
    if wanted is None:
        raise _must_be_specified()
    if not was_on_demand:
        return with_throughput(settings, wanted, now_ms) | {"BillingMode": mode}
    warm = warm_throughput(settings, throughput.PAY_PER_REQUEST)
    kept = {name: value for name, value in settings.items() if name != "OnDemandThroughput"}
    return {**kept, "BillingMode": mode, "ProvisionedThroughput": wanted, "WarmThroughput": warm}


def _to_on_demand(settings: dict[str, Any], now_ms: int) -> dict[str, Any]:
    kept = {name: value for name, value in settings.items() if name != "ProvisionedThroughput"}
    return {**kept, "BillingMode": throughput.PAY_PER_REQUEST, LAST_ON_DEMAND_MS: now_ms}


def _must_be_specified() -> DynamoError:
    return invalid_parameter("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")


def _switch_indexes(table: TableInfo, change: TableChange, was_on_demand: bool, mode: str) -> None:
    """With the table's billing mode changes that of its global indexes: nothing is assigned to them by itself."""
    is_on_demand = mode == throughput.PAY_PER_REQUEST
    if is_on_demand == was_on_demand:
        return
    dropped = "ProvisionedThroughput" if is_on_demand else "OnDemandThroughput"
    for index in table.global_indexes:
        settings = change.index_settings.get(index.index_id)
        if settings is None:
            if not is_on_demand:
                raise invalid_parameter(f"ProvisionedThroughput must be specified for index: {index.name}")
            settings = index_settings(index)
        change.index_settings[index.index_id] = {name: value for name, value in settings.items() if name != dropped}


def _with_plain_members(
    table: TableInfo, settings: dict[str, Any], request: dict[str, Any], now_ms: int
) -> dict[str, Any] | None:
    """The settings with TableClass and DeletionProtectionEnabled; None when nothing differs from the table's."""
    if "DeletionProtectionEnabled" in request:
        settings["DeletionProtectionEnabled"] = request["DeletionProtectionEnabled"]
    if "TableClass" in request and request["TableClass"] != settings.get("TableClass", "STANDARD"):
        settings |= {"TableClass": request["TableClass"], LAST_TABLE_CLASS_MS: now_ms}
    return None if settings == table.settings else settings


def _answer(before: TableInfo, after: TableInfo, request: dict[str, Any], now_ms: int) -> bytes:
    old = describe(before, now_ms)
    shown = describe(after, now_ms)
    _keep_units(shown, old)
    old_indexes = {index["IndexName"]: index for index in old.get("GlobalSecondaryIndexes", ())}
    updating = [
        index
        for index in shown.get("GlobalSecondaryIndexes", ())
        if index["IndexName"] in old_indexes and _keep_units(index, old_indexes[index["IndexName"]])
    ]
    for index in updating:
        index["IndexStatus"] = "UPDATING"
    if updating or online_actions(request) or not _IMMEDIATE.issuperset(request):
        shown["TableStatus"] = "UPDATING"
    return orjson.dumps({"TableDescription": shown})


def _keep_units(shown: dict[str, Any], old: dict[str, Any]) -> bool:
    """Show the units of a table or an index from before the change; whether they are others than those after it."""
    units, before = shown["ProvisionedThroughput"], old["ProvisionedThroughput"]
    differs = any(units[name] != before[name] for name in throughput.UNITS)
    units |= {name: before[name] for name in (*throughput.UNITS, "NumberOfDecreasesToday")}
    return differs

"""TableDescription of the API reference, from what the catalog holds.

Called by the control operations. Pure: the time is an argument. ItemCount and sizes are 0: the service itself refreshes
them about every six hours only, so no client may rely on them.
"""

from __future__ import annotations

from typing import Any

import orjson

from dynamo.indexes import IndexDefinition, IndexKind, IndexState
from dynamo.requests.throughput import PAY_PER_REQUEST, PROVISIONED, initial_warm
from router.operations.tables import table_arn
from router.operations.throughput_changes import HISTORY, decreases_today
from topology.tables import ACTIVE, CREATING, TableInfo

# Members of a table's settings that only this process and its like read: times of changes, in ms since 1970.
LAST_ON_DEMAND_MS = "LastUpdateToPayPerRequestMs"
LAST_TABLE_CLASS_MS = "LastTableClassUpdateMs"

_SHOWN_STATES = {
    IndexState.CREATING: "CREATING",
    IndexState.BACKFILLING: "CREATING",
    IndexState.ACTIVE: "ACTIVE",
    IndexState.DELETING: "DELETING",
}


def table_status(table: TableInfo) -> str:
    """TableStatus. A table that gains or loses an index is UPDATING, but for a backfill; it serves all the same."""
    if table.state == CREATING:
        return "CREATING"
    if table.state != ACTIVE:
        return "DELETING"
    is_updating = any(index.state in (IndexState.CREATING, IndexState.DELETING) for index in table.indexes)
    return "UPDATING" if is_updating else "ACTIVE"


def billing_mode(settings: dict[str, Any]) -> str:
    """BillingMode of a table's settings."""
    return str(settings.get("BillingMode", PROVISIONED))


def describe(table: TableInfo, now_ms: int, status: str | None = None) -> dict[str, Any]:
    """`status` overrides the catalog's: CreateTable answers CREATING although it waited for ACTIVE."""
    settings = table.settings
    mode = billing_mode(settings)
    description: dict[str, Any] = {
        "AttributeDefinitions": _attribute_definitions(table),
        "TableName": table.name,
        "KeySchema": table.key_schema.key_schema_json(),
        "TableStatus": status or table_status(table),
        "CreationDateTime": table.created_at_ms / 1000,
        "ProvisionedThroughput": _throughput(settings, now_ms),
        "TableSizeBytes": 0,
        "ItemCount": 0,
        "TableArn": table_arn(table.region, table.name),
        "TableId": table.uuid,
        "DeletionProtectionEnabled": settings.get("DeletionProtectionEnabled", False),
    }
    if LAST_ON_DEMAND_MS in settings:
        description["BillingModeSummary"] = {
            "BillingMode": mode,
            "LastUpdateToPayPerRequestDateTime": settings[LAST_ON_DEMAND_MS] / 1000,
        }
    if "TableClass" in settings:
        description["TableClassSummary"] = {"TableClass": settings["TableClass"]}
        if LAST_TABLE_CLASS_MS in settings:
            description["TableClassSummary"]["LastUpdateDateTime"] = settings[LAST_TABLE_CLASS_MS] / 1000
    if settings.get("OnDemandThroughput"):
        description["OnDemandThroughput"] = settings["OnDemandThroughput"]
    # The service's answer to CreateTable does not tell it yet.
    if status != "CREATING" or "WarmThroughput" in settings:
        description["WarmThroughput"] = warm_throughput(settings, mode) | {"Status": "ACTIVE"}
    _add_indexes(description, table, mode, now_ms, status)
    return description


def warm_throughput(settings: dict[str, Any], mode: str) -> dict[str, int]:
    """WarmThroughput of a table or index: what it was raised to, never less than it has anyway."""
    initial = initial_warm(None if mode == PAY_PER_REQUEST else settings.get("ProvisionedThroughput"))
    raised: dict[str, int] = settings.get("WarmThroughput", {})
    return {name: max(value, raised.get(name, 0)) for name, value in initial.items()}


def index_settings(index: IndexDefinition) -> dict[str, Any]:
    """Projection and throughputs of an index."""
    settings: dict[str, Any] = orjson.loads(index.settings_json) if index.settings_json else {}
    return settings


def _attribute_definitions(table: TableInfo) -> list[dict[str, str]]:
    attributes = {attribute.name: attribute.type for attribute in table.key_schema.attributes}
    for index in table.indexes:
        attributes |= {attribute.name: attribute.type for attribute in (*index.partition, *index.sort)}
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in sorted(attributes.items())]


def _throughput(settings: dict[str, Any], now_ms: int) -> dict[str, Any]:
    units = settings.get("ProvisionedThroughput", {})
    history = settings.get(HISTORY, {})
    shown: dict[str, Any] = {
        "NumberOfDecreasesToday": decreases_today(history, now_ms),
        "ReadCapacityUnits": units.get("ReadCapacityUnits", 0),
        "WriteCapacityUnits": units.get("WriteCapacityUnits", 0),
    }
    for member, name in (("LastIncreaseDateTime", "LastIncreaseMs"), ("LastDecreaseDateTime", "LastDecreaseMs")):
        if name in history:
            shown[member] = history[name] / 1000
    return shown


def _add_indexes(description: dict[str, Any], table: TableInfo, mode: str, now_ms: int, status: str | None) -> None:
    local = [_index(table, index) for index in table.local_indexes]
    if local:
        description["LocalSecondaryIndexes"] = local
    indexes = [_global_index(table, index, mode, now_ms, status) for index in table.global_indexes]
    if indexes:
        description["GlobalSecondaryIndexes"] = indexes


def _index(table: TableInfo, index: IndexDefinition) -> dict[str, Any]:
    partition = (table.key_schema.partition,) if index.kind is IndexKind.LOCAL else index.partition
    roles = [("HASH", partition), ("RANGE", index.sort)]
    return {
        "IndexName": index.name,
        "KeySchema": [
            {"AttributeName": attribute.name, "KeyType": role} for role, attributes in roles for attribute in attributes
        ],
        "Projection": index_settings(index).get("Projection", {"ProjectionType": "ALL"}),
        "IndexSizeBytes": 0,
        "ItemCount": 0,
        "IndexArn": f"{table_arn(table.region, table.name)}/index/{index.name}",
    }


def _global_index(
    table: TableInfo, index: IndexDefinition, mode: str, now_ms: int, status: str | None
) -> dict[str, Any]:
    settings = index_settings(index)
    shown = _index(table, index)
    shown["IndexStatus"] = _SHOWN_STATES[index.state]
    # An index that was made with its table never says this.
    if table.state == ACTIVE and index.state in (IndexState.CREATING, IndexState.BACKFILLING):
        shown["Backfilling"] = index.state is IndexState.BACKFILLING
    shown["ProvisionedThroughput"] = _throughput(settings, now_ms)
    if settings.get("OnDemandThroughput"):
        shown["OnDemandThroughput"] = settings["OnDemandThroughput"]
    if status != "CREATING" or "WarmThroughput" in settings:
        shown["WarmThroughput"] = warm_throughput(settings, mode) | {"Status": "ACTIVE"}
    return shown

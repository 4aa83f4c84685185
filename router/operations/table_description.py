"""TableDescription of the API reference, from what the catalog holds.

Called by the control operations. Pure. ItemCount and TableSizeBytes are 0: the service itself refreshes them about
every six hours only, so no client may rely on them.
"""

from __future__ import annotations

from typing import Any

from router.operations.tables import table_arn
from topology.tables import ACTIVE, CREATING, TableInfo

STATUS_NAMES = {CREATING: "CREATING", ACTIVE: "ACTIVE"}


def describe(table: TableInfo, status: str | None = None) -> dict[str, Any]:
    """`status` overrides the catalog's: CreateTable answers CREATING although it waited for ACTIVE."""
    settings = table.settings
    created_s = table.created_at_ms / 1000
    throughput = settings.get("ProvisionedThroughput", {})
    description: dict[str, Any] = {
        "AttributeDefinitions": table.key_schema.attribute_definitions_json(),
        "TableName": table.name,
        "KeySchema": table.key_schema.key_schema_json(),
        "TableStatus": status or STATUS_NAMES.get(table.state, "DELETING"),
        "CreationDateTime": created_s,
        "ProvisionedThroughput": {
            "NumberOfDecreasesToday": 0,
            "ReadCapacityUnits": throughput.get("ReadCapacityUnits", 0),
            "WriteCapacityUnits": throughput.get("WriteCapacityUnits", 0),
        },
        "TableSizeBytes": 0,
        "ItemCount": 0,
        "TableArn": table_arn(table.region, table.name),
        "TableId": table.uuid,
        "DeletionProtectionEnabled": settings.get("DeletionProtectionEnabled", False),
    }
    if settings.get("BillingMode") == "PAY_PER_REQUEST":
        description["BillingModeSummary"] = {
            "BillingMode": "PAY_PER_REQUEST",
            "LastUpdateToPayPerRequestDateTime": created_s,
        }
    if "TableClass" in settings:
        description["TableClassSummary"] = {"TableClass": settings["TableClass"]}
    return description

"""The true state of what a table does not have here: backups, exports, replicas, insights, streams to Kinesis.

Called by router.operations.registry. Law: reading the state of such a feature is answered truthfully (none, disabled,
not found); an operation that would change it is an UnknownOperationException, never a success without effect.
"""

from __future__ import annotations

from typing import Any

import orjson

from dynamo.errors import DynamoError, resource_not_found
from router.operations.call import Call, Services
from router.operations.table_description import table_status
from router.operations.tables import find_any
from topology.tables import TableInfo


def describe_continuous_backups(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises TableNotFoundException."""
    name = request["TableName"]
    find_any(services, call, name, DynamoError("TableNotFoundException", f"Table not found: {_bare(name)}"))
    point_in_time = {"PointInTimeRecoveryStatus": "DISABLED"}
    status = {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": point_in_time}
    call.succeed(orjson.dumps({"ContinuousBackupsDescription": status}))


def list_backups(_services: Services, call: Call, _request: dict[str, Any]) -> None:
    """There are none."""
    call.succeed(b'{"BackupSummaries":[]}')


def list_exports(_services: Services, call: Call, _request: dict[str, Any]) -> None:
    """There are none."""
    call.succeed(b'{"ExportSummaries":[]}')


def list_imports(_services: Services, call: Call, _request: dict[str, Any]) -> None:
    """There are none."""
    call.succeed(b'{"ImportSummaryList":[]}')


def list_global_tables(_services: Services, call: Call, _request: dict[str, Any]) -> None:
    """There are none."""
    call.succeed(b'{"GlobalTables":[]}')


def list_contributor_insights(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Those of no table are enabled, and only such are listed. Raises ResourceNotFoundException."""
    if "TableName" in request:
        find_any(services, call, request["TableName"])
    call.succeed(b'{"ContributorInsightsSummaries":[]}')


def describe_contributor_insights(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ResourceNotFoundException for a table or an index."""
    table = find_any(services, call, request["TableName"])
    answer = {"TableName": table.name, "ContributorInsightsStatus": "DISABLED"}
    name = request.get("IndexName")
    if name is not None:
        if name not in [index.name for index in table.global_indexes]:
            raise resource_not_found(f"Requested resource not found: Index: {name} not found for table: {table.name}")
        answer["IndexName"] = name
    call.succeed(orjson.dumps(answer))


def describe_kinesis_streaming_destination(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ResourceNotFoundException."""
    table = find_any(services, call, request["TableName"])
    call.succeed(orjson.dumps({"TableName": table.name, "KinesisDataStreamDestinations": []}))


def describe_table_replica_auto_scaling(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ResourceNotFoundException."""
    table: TableInfo = find_any(services, call, request["TableName"])
    description = {"TableName": table.name, "TableStatus": table_status(table), "Replicas": []}
    call.succeed(orjson.dumps({"TableAutoScalingDescription": description}))


def describe_backup(_services: Services, _call: Call, request: dict[str, Any]) -> None:
    """Raises BackupNotFoundException."""
    raise DynamoError("BackupNotFoundException", f"Backup not found: {request['BackupArn']}")


def describe_export(_services: Services, _call: Call, request: dict[str, Any]) -> None:
    """Raises ExportNotFoundException."""
    raise DynamoError("ExportNotFoundException", f"Export not found: {request['ExportArn']}")


def describe_import(_services: Services, _call: Call, request: dict[str, Any]) -> None:
    """Raises ImportNotFoundException."""
    raise DynamoError("ImportNotFoundException", f"Import not found: {request['ImportArn']}")


def describe_global_table(_services: Services, _call: Call, request: dict[str, Any]) -> None:
    """Raises GlobalTableNotFoundException, for its settings too."""
    name = request["GlobalTableName"]
    raise DynamoError(
        "GlobalTableNotFoundException", f"Global table not found: Global table with name: '{name}' does not exist."
    )


def _bare(name: str) -> str:
    return name.rsplit("/", 1)[-1]

"""UpdateTimeToLive and DescribeTimeToLive (API reference): the setting; expired items are swept by the nodes.

Called by router.operations.registry. The setting TimeToLive of a table is {"AttributeName", "Enabled", "ChangedAtMs"}.
It may be changed as often as one likes, where the service lets half an hour to an hour pass.
"""

from __future__ import annotations

from typing import Any

import orjson

from dynamo.errors import DynamoError, validation
from router.operations.call import Call, Services
from router.operations.change_table import TableChange, change_table
from router.operations.tables import denied, find_any
from topology.tables import ACTIVE, CREATING, TableInfo

SETTING = "TimeToLive"


def update_time_to_live(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ValidationException, ResourceNotFoundException, ResourceInUseException; else answered when it is done."""
    wanted = request["TimeToLiveSpecification"]
    if not wanted["AttributeName"]:
        raise validation("TimeToLiveSpecification.AttributeName must be non empty")
    body = orjson.dumps({"TimeToLiveSpecification": wanted})

    def plan(table: TableInfo) -> TableChange:
        _check(table.settings.get(SETTING, {}), wanted)
        changed = {**wanted, "ChangedAtMs": services.clock.wall_ms()}
        return TableChange(settings={**table.settings, SETTING: changed})

    change_table(services, call, request["TableName"], plan, lambda _before, _after: body)


def describe_time_to_live(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ResourceNotFoundException, ValidationException."""
    table = find_any(services, call, request["TableName"])
    if table.state != ACTIVE:
        state = "CREATING" if table.state == CREATING else "DELETING"
        raise denied(call, _wrong_state(state))
    setting = table.settings.get(SETTING, {})
    description = {"TimeToLiveStatus": "DISABLED"}
    if setting.get("Enabled"):
        description = {"TimeToLiveStatus": "ENABLED", "AttributeName": setting["AttributeName"]}
    call.succeed(orjson.dumps({"TimeToLiveDescription": description}))


def _check(current: dict[str, Any], wanted: dict[str, Any]) -> None:
    if not current.get("Enabled"):
        if not wanted["Enabled"]:
            raise validation("TimeToLive is already disabled")
        return
    if wanted["AttributeName"] != current["AttributeName"]:
        raise validation(
            "TimeToLive is active on a different AttributeName: current AttributeName is " + current["AttributeName"]
        )
    if wanted["Enabled"]:
        raise validation("TimeToLive is already enabled")


def _wrong_state(state: str) -> DynamoError:
    return validation(f"Cannot describe time to live while table is in {state} state: Current table state is {state}")

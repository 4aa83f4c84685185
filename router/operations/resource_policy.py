"""PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy (API reference): kept and given back, without any effect.

Called by router.operations.registry. The setting ResourcePolicy of a table is {"Policy", "RevisionId"}; a revision is
the time of its change in ms, at least one more than the one before.
"""

from __future__ import annotations

from typing import Any

import orjson

from dynamo.requests.resource_policy import canonical_policy, check_expected_revision, policy_not_found
from router.operations.call import Call, Services
from router.operations.change_table import TableChange, change_table
from router.operations.resources import check_policy_arn
from router.operations.tables import find_any
from topology.tables import TableInfo

SETTING = "ResourcePolicy"


def new_policy(text: str, current: dict[str, Any] | None, now_ms: int) -> dict[str, str]:
    """The setting after a put of `text` (canonical); the same text keeps its revision."""
    if current is None:
        return {"Policy": text, "RevisionId": str(now_ms)}
    if current["Policy"] == text:
        return current
    return {"Policy": text, "RevisionId": str(max(now_ms, int(current["RevisionId"]) + 1))}


def put_resource_policy(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ValidationException, ResourceNotFoundException, PolicyNotFoundException; else answered when it is done."""
    arn, expected = request["ResourceArn"], request.get("ExpectedRevisionId")
    check_policy_arn(arn)
    text = canonical_policy(request["Policy"])

    def plan(table: TableInfo) -> TableChange | None:
        current = table.settings.get(SETTING)
        check_expected_revision(current, expected, arn, table.name)
        wanted = new_policy(text, current, services.clock.wall_ms())
        return None if wanted == current else TableChange(settings={**table.settings, SETTING: wanted})

    def answer(_before: TableInfo, after: TableInfo) -> bytes:
        return orjson.dumps({"RevisionId": after.settings[SETTING]["RevisionId"]})

    change_table(services, call, arn, plan, answer)


def get_resource_policy(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ValidationException, ResourceNotFoundException, PolicyNotFoundException."""
    arn = request["ResourceArn"]
    check_policy_arn(arn)
    current = find_any(services, call, arn).settings.get(SETTING)
    if current is None:
        raise policy_not_found(arn)
    call.succeed(orjson.dumps(current))


def delete_resource_policy(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Deleting what is not there succeeds, unless a revision was expected.

    Raises ValidationException, ResourceNotFoundException, PolicyNotFoundException; else answered when it is done.
    """
    arn, expected = request["ResourceArn"], request.get("ExpectedRevisionId")
    check_policy_arn(arn)

    def plan(table: TableInfo) -> TableChange | None:
        current = table.settings.get(SETTING)
        check_expected_revision(current, expected, arn, table.name)
        if current is None:
            return None
        return TableChange(settings={name: value for name, value in table.settings.items() if name != SETTING})

    def answer(before: TableInfo, _after: TableInfo) -> bytes:
        current = before.settings.get(SETTING)
        return orjson.dumps({} if current is None else {"RevisionId": current["RevisionId"]})

    change_table(services, call, arn, plan, answer)

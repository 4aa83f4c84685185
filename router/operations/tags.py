"""TagResource, UntagResource, ListTagsOfResource (API reference): tags are settings of their table.

Called by router.operations.registry. All tags fit one page, so no NextToken is given and any that comes is ignored, as
the service does.
"""

from __future__ import annotations

from typing import Any

import orjson

from dynamo.errors import validation
from dynamo.requests.tags import check_tag_keys, check_tags, merged_tags
from router.operations.call import Call, Services
from router.operations.change_table import Plan, TableChange, change_table
from router.operations.resources import check_tagged_arn, tagged_not_found
from router.operations.tables import find_any
from topology.tables import TableInfo


def tag_resource(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ValidationException, ResourceNotFoundException, ResourceInUseException; else answered when it is done."""
    arn, tags = request["ResourceArn"], request["Tags"]
    check_tagged_arn(arn)
    if not tags:
        raise validation("Atleast one Tag needs to be provided as Input.")
    check_tags(tags)

    def plan(table: TableInfo) -> TableChange | None:
        present = table.settings.get("Tags", [])
        return _change(table, merged_tags(present, tags))

    _change_tags(services, call, arn, plan)


def untag_resource(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ValidationException, ResourceNotFoundException, ResourceInUseException; else answered when it is done."""
    arn, keys = request["ResourceArn"], request["TagKeys"]
    check_tagged_arn(arn)
    if not keys:
        raise validation("Atleast one Tag Key needs to be provided as Input.")
    check_tag_keys(keys)

    def plan(table: TableInfo) -> TableChange | None:
        return _change(table, [tag for tag in table.settings.get("Tags", []) if tag["Key"] not in keys])

    _change_tags(services, call, arn, plan)


def list_tags_of_resource(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises ValidationException, ResourceNotFoundException."""
    arn = request["ResourceArn"]
    check_tagged_arn(arn)
    table = find_any(services, call, arn, tagged_not_found(arn))
    call.succeed(orjson.dumps({"Tags": table.settings.get("Tags", [])}))


def _change(table: TableInfo, tags: list[dict[str, str]]) -> TableChange | None:
    if tags == table.settings.get("Tags", []):
        return None
    return TableChange(settings={**table.settings, "Tags": tags})


def _change_tags(services: Services, call: Call, arn: str, plan: Plan) -> None:
    # The service answers with no body at all.
    change_table(services, call, arn, plan, lambda _before, _after: b"", tagged_not_found(arn))

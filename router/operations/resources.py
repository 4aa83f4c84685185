"""Tables named by ResourceArn.

Called by the operations on tags and resource policies. Law: only the ARN of a table is taken, never a bare name.
"""

from __future__ import annotations

import re
from typing import Final

from dynamo.errors import DynamoError, invalid_parameter, resource_not_found, validation
from router.operations.tables import ACCOUNT_ID

_TABLE_ARN: Final = re.compile(r"arn:aws:dynamodb:[^:]*:\d+:table/[a-zA-Z0-9_.-]{3,255}")


def check_tagged_arn(arn: str) -> None:
    """Raises ValidationException for anything but a table, in the words of the operations on tags."""
    if not _TABLE_ARN.fullmatch(arn):
        raise validation(f"Invalid TableArn: Invalid ResourceArn provided as input {arn}")


def tagged_not_found(arn: str) -> DynamoError:
    """ResourceNotFoundException of the operations on tags; the spelling is the service's."""
    return resource_not_found(f"Requested resource not found: ResourcArn: {arn} not found")


def check_policy_arn(arn: str) -> None:
    """Raises ValidationException for anything but a table, in the words of the operations on resource policies."""
    if not arn.startswith("arn:"):
        raise invalid_parameter(f"ARNs must start with 'arn:': {arn}")
    if re.fullmatch(r"arn:aws:dynamodb:[^:]*:\d+:table/[^/]+/index/.+", arn):
        raise invalid_parameter(
            f"Invalid resource arn provided, only table or stream is accepted. Provided resource arn: {arn}"
        )
    if not _TABLE_ARN.fullmatch(arn):
        raise invalid_parameter(f"Provided Arn is not a DynamoDB resource arn: {arn}")
    if arn.split(":")[4] != ACCOUNT_ID:
        raise validation("This action is only supported by accounts that match the resource owner’s account.")

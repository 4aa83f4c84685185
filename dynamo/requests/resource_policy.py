"""Resource policies: the form of the document and the revision a change expects.

Called by CreateTable and by Put- and DeleteResourcePolicy (API reference). Pure. A policy is kept and given back; it
does not decide who may do what. Texts: public probes of the real service, and tests verified against it.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from dynamo.errors import DynamoError, invalid_parameter
from dynamo.limits import RESOURCE_POLICY_BYTES_MAX

# What ExpectedRevisionId says when there must be no policy yet.
NO_POLICY: Final = "NO_POLICY"


def canonical_policy(text: str) -> str:
    """The policy without white space between its parts, as the service gives it back. Raises ValidationException."""
    if len(text.encode()) > RESOURCE_POLICY_BYTES_MAX:
        raise invalid_parameter(f"Maximum policy size of {RESOURCE_POLICY_BYTES_MAX} bytes exceeded")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _invalid("This policy contains invalid Json") from None
    if not isinstance(document, dict):
        raise _invalid("This policy contains invalid Json")
    statements = document.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise _invalid("Could not parse the policy: Statement is empty!")
    for statement in statements:
        if not isinstance(statement, dict) or not ("Resource" in statement or "NotResource" in statement):
            raise _invalid("Missing required field Resource")
    return orjson.dumps(document).decode()


def check_expected_revision(current: dict[str, Any] | None, expected: str | None, arn: str, table_name: str) -> None:
    """`current`: {"Policy", "RevisionId"} or None. Raises PolicyNotFoundException when another one is expected."""
    if expected is None or (current is None and expected == NO_POLICY):
        return
    if current is None:
        raise policy_not_found(arn)
    revision = current["RevisionId"]
    if expected == NO_POLICY:
        raise policy_not_found(
            f"Requested policy update expecting none to be present for table {table_name}, "
            f"but a policy exists with revision id {revision}."
        )
    if expected != revision:
        raise policy_not_found(
            f"Requested update for policy with revision id {expected}, "
            f"but the policy associated to target table {table_name} has revision id {revision}."
        )


def policy_not_found(detail: str) -> DynamoError:
    """PolicyNotFoundException; `detail` is the ARN, or what was expected instead."""
    return DynamoError(
        "PolicyNotFoundException", f"Resource-based policy not found for the provided ResourceArn: {detail}"
    )


def _invalid(detail: str) -> DynamoError:
    return invalid_parameter(f"Invalid policy document: {detail}")

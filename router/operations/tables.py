"""Finding the table a request names.

Called by every operation. Laws: a table is denied only on the word of a catalog read that began after the request did;
an ARN of another account never names a table of ours.
"""

from __future__ import annotations

from dynamo.errors import DynamoError, resource_not_found, validation
from router.operations.call import Call, NeedsCatalog, Services
from topology.tables import TableInfo

ACCOUNT_ID = "000000000000"


def split_table_name(given: str, region: str) -> tuple[str, str]:
    """(region, table name) of a TableName parameter, which may be an ARN (API reference: TableName of GetItem).

    Raises ValidationException for something that begins like an ARN and is not one of a table.
    """
    if not given.startswith("arn:"):
        return region, given
    parts = given.split(":", 5)
    if len(parts) == 6 and parts[2] == "dynamodb" and parts[5].startswith("table/"):
        name = parts[5].removeprefix("table/")
        if name and "/" not in name:
            return parts[3] or region, name
    raise validation(f"Invalid TableArn: {given}")


def table_arn(region: str, name: str) -> str:
    """The ARN of a table of this cluster's one account."""
    return f"arn:aws:dynamodb:{region}:{ACCOUNT_ID}:table/{name}"


def _located(call: Call, given: str) -> tuple[str, str]:
    """(region, table name). Raises ValidationException, and AccessDeniedException for a table of another account.

    No account but ours is known, so no policy of another can allow anything: the service's words for that.
    """
    region, name = split_table_name(given, call.region)
    if given.startswith("arn:") and given.split(":", 5)[4] not in ("", ACCOUNT_ID):
        action = "dynamodb:" + call.target.rpartition(b".")[2].decode("latin-1")
        raise DynamoError(
            "AccessDeniedException",
            f"User: arn:aws:iam::{ACCOUNT_ID}:root is not authorized to perform: {action} on resource: {given} "
            f"because no resource-based policy allows the {action} action",
        )
    return region, name


def find_active(services: Services, call: Call, given: str) -> TableInfo | None:
    """The table for reading and writing items, or None when the copy shows no active one. Hot path.

    Raises AccessDeniedException for a table of another account.
    """
    region, name = (call.region, given) if given[:4] != "arn:" else _located(call, given)
    table = services.copy.tables.find(region, name)
    return table if table is not None and table.is_active else None


def denied(call: Call, error: DynamoError | None = None) -> Exception:
    """What to raise for a table the copy does not show: a strong read first, then `error`."""
    if call.catalog_confirmed:
        return error or resource_not_found()
    return NeedsCatalog()


def find_any(services: Services, call: Call, given: str, not_found: DynamoError | None = None) -> TableInfo:
    """The table in any state, for the control plane.

    Raises ResourceNotFoundException, or `not_found` in its place (and NeedsCatalog before either), and
    AccessDeniedException for a table of another account.
    """
    region, name = _located(call, given)
    table = services.copy.tables.find(region, name)
    if table is None:
        error = not_found or resource_not_found(f"Requested resource not found: Table: {name} not found")
        raise denied(call, error)
    return table

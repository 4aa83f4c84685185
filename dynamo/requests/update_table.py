"""UpdateTable as far as the request alone tells: what it must say, what may stand together, what is not built.

Called by the router's UpdateTable with a body that its validator accepted, before it looks for the table. Law: texts
and their order are the service's (dynalite test-suite, public probes of the real service).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dynamo.errors import DynamoError, invalid_parameter, limit_exceeded, validation
from dynamo.requests import throughput
from dynamo.requests.create_table import unsupported

_ACTIONS: Final = ("Update", "Create", "Delete")

# Anything that UpdateTable can change. The first of those not built is refused by name.
_UNSUPPORTED: Final = {
    "ReplicaUpdates": "Global tables (ReplicaUpdates)",
    "GlobalTableWitnessUpdates": "Global tables (GlobalTableWitnessUpdates)",
    "MultiRegionConsistency": "Global tables (MultiRegionConsistency)",
    "GlobalTableSettingsReplicationMode": "GlobalTableSettingsReplicationMode",
    "DisassociationProtectionEnabled": "DisassociationProtectionEnabled",
    "VectorIndexUpdates": "Vector indexes",
}
_CHANGES: Final = (
    *("ProvisionedThroughput", "BillingMode", "StreamSpecification", "GlobalSecondaryIndexUpdates"),
    *("SSESpecification", "DeletionProtectionEnabled", "TableClass", "OnDemandThroughput", "WarmThroughput"),
    *_UNSUPPORTED,
)
# These stand alone; the noun of the complaint.
_ALONE: Final = {
    "SSESpecification": "Server-Side Encryption modification",
    "TableClass": "TableClass modification",
    "DeletionProtectionEnabled": "DeletionProtection modification",
}


def check_update_table(body: Mapping[str, Any]) -> None:
    """Raises ValidationException for a request that no table could follow."""
    # An empty structure or list is taken as if it were not there.
    given = [name for name in _CHANGES if body.get(name) not in (None, {}, [])]
    if not given:
        raise validation(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
            "SSESpecification or ReplicaUpdates is required"
        )
    if body.get("GlobalSecondaryIndexUpdates") == []:
        raise invalid_parameter("List of GlobalSecondaryIndexUpdates is empty")
    provisioned = body.get("ProvisionedThroughput")
    if provisioned is not None:
        if body.get("BillingMode") == throughput.PAY_PER_REQUEST:
            raise throughput.neither_units()
        throughput.check_bounds(provisioned)
    _check_index_updates(body.get("GlobalSecondaryIndexUpdates", ()))
    _check_combination(given, online_actions(body))
    _refuse_unsupported(body)


def action_of(update: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(Update, Create or Delete; what it says) of one GlobalSecondaryIndexUpdate that was checked."""
    return next((name, update[name]) for name in _ACTIONS if name in update)


def online_actions(body: Mapping[str, Any]) -> int:
    """How many indexes are to be created or deleted."""
    updates = body.get("GlobalSecondaryIndexUpdates", ())
    return sum("Create" in update or "Delete" in update for update in updates)


def online_index_limit() -> DynamoError:
    """More than one index of a table would be coming or going."""
    return limit_exceeded(
        "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
    )


def _check_index_updates(updates: Sequence[Mapping[str, Any]]) -> None:
    names: set[str] = set()
    for update in updates:
        given = [name for name in _ACTIONS if name in update]
        if not given:
            raise invalid_parameter(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                "GlobalSecondaryIndexUpdate.Delete must not be null"
            )
        if len(given) > 1:
            raise invalid_parameter(
                "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object"
            )
        name = update[given[0]]["IndexName"]
        if name in names:
            raise invalid_parameter(
                f"Only one global secondary index update per index is allowed simultaneously. Index: {name}"
            )
        names.add(name)
        if update.get("Update", {}).get("WarmThroughput") == {}:
            raise invalid_parameter(
                "WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond specified for "
                f"index: {name}"
            )


def _check_combination(given: Sequence[str], online: int) -> None:
    for name, noun in _ALONE.items():
        if name in given and len(given) > 1:
            raise invalid_parameter(f"{noun} must be the only operation in the request")
    if "WarmThroughput" in given and len(given) > 1:
        if online:
            raise invalid_parameter("Create global secondary index cannot be specified when updating WarmThroughput")
        raise invalid_parameter("WarmThroughput must be the only operation in the request")
    if "OnDemandThroughput" in given and not {*given} <= {"OnDemandThroughput", "BillingMode"}:
        raise invalid_parameter("OnDemandThroughput can only be combined with BillingMode in an UpdateTable request")
    if online and "ProvisionedThroughput" in given:
        raise invalid_parameter("You cannot create or delete index while updating table IOPS")
    if online and "StreamSpecification" in given:
        raise invalid_parameter("You cannot create or delete index while changing stream status")


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    for member, what in _UNSUPPORTED.items():
        if body.get(member) not in (None, []):
            raise unsupported(what)
    if body.get("StreamSpecification", {}).get("StreamEnabled"):
        raise unsupported("Streams")
    encryption = body.get("SSESpecification")
    if encryption is not None:
        if encryption.get("Enabled") or "SSEType" in encryption or "KMSMasterKeyId" in encryption:
            raise unsupported("Server-side encryption with KMS keys (SSESpecification)")
        if encryption:
            raise invalid_parameter("Table is already encrypted by default")

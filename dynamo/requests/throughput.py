"""Throughput of tables and indexes: which of its forms a billing mode allows, and within which bounds.

Called by dynamo.requests.create_table and by the router's UpdateTable. Law: pure rules about what a request says; what
changes, and when, is the caller's. Sources of the texts: the dynalite test-suite, public probes of the real service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dynamo.errors import DynamoError, invalid_parameter, validation
from dynamo.limits import CAPACITY_UNITS_MAX, WARM_READ_UNITS, WARM_WRITE_UNITS

Throughput = Mapping[str, Any]

PAY_PER_REQUEST: Final = "PAY_PER_REQUEST"
PROVISIONED: Final = "PROVISIONED"
UNITS: Final = ("ReadCapacityUnits", "WriteCapacityUnits")
# What WarmThroughput and ProvisionedThroughput call the same direction.
_WARM_UNITS: Final = {"ReadUnitsPerSecond": "ReadCapacityUnits", "WriteUnitsPerSecond": "WriteCapacityUnits"}
_ON_DEMAND_WARM: Final = {"ReadUnitsPerSecond": WARM_READ_UNITS, "WriteUnitsPerSecond": WARM_WRITE_UNITS}


def neither_units() -> DynamoError:
    """ProvisionedThroughput for an on-demand table."""
    return invalid_parameter(
        "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
    )


def check_table_throughput(throughput: Throughput | None, billing_mode: str) -> None:
    """ProvisionedThroughput of a new table. Raises ValidationException."""
    if billing_mode == PAY_PER_REQUEST:
        if throughput is not None:
            raise neither_units()
        return
    if throughput is None:
        raise invalid_parameter(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    check_bounds(throughput)


def check_bounds(throughput: Throughput, index_name: str = "") -> None:
    """ProvisionedThroughput or WarmThroughput. Raises ValidationException for more units than there can be."""
    of_index = f" for index {index_name}" if index_name else ""
    for name in (*UNITS, *_WARM_UNITS):
        if throughput.get(name, 0) > CAPACITY_UNITS_MAX:
            raise validation(f"Given value {throughput[name]} for {name} is out of bounds{of_index}")


def check_index_throughput(index: Mapping[str, Any], billing_mode: str) -> None:
    """ProvisionedThroughput of a global index in CreateTable. Raises ValidationException."""
    name, throughput = index["IndexName"], index.get("ProvisionedThroughput")
    if billing_mode == PAY_PER_REQUEST:
        if throughput is not None:
            raise invalid_parameter(
                f"ProvisionedThroughput should not be specified for index: {name} when BillingMode is PAY_PER_REQUEST"
            )
    elif throughput is None:
        raise invalid_parameter(f"ProvisionedThroughput is not specified for index: {name}")
    else:
        check_bounds(throughput, name)


def check_on_demand(
    limits: Throughput | None, billing_mode: str, index_name: str = "", *, may_clear: bool = False
) -> None:
    """OnDemandThroughput; `may_clear`: -1 takes a limit away. Raises ValidationException."""
    for name in ("MaxReadRequestUnits", "MaxWriteRequestUnits"):
        value = (limits or {}).get(name)
        if value is None:
            continue
        if billing_mode != PAY_PER_REQUEST:
            of_index = f" for index : {index_name}" if index_name else ""
            raise invalid_parameter(
                f"{name} for OnDemandThroughput{of_index} cannot be specified when the table BillingMode is PROVISIONED"
            )
        if not 1 <= value <= CAPACITY_UNITS_MAX and not (may_clear and value == -1):
            subject = f"index : {index_name}" if index_name else "table"
            raise invalid_parameter(f"Requested {name} for OnDemandThroughput for {subject} is outside of valid range")


def merged_on_demand(current: Throughput | None, wanted: Throughput) -> dict[str, int]:
    """OnDemandThroughput after an update: member by member, -1 clears one."""
    merged = {**(current or {}), **wanted}
    return {name: value for name, value in merged.items() if value != -1}


def initial_warm(throughput: Throughput | None) -> dict[str, int]:
    """The WarmThroughput of a table or index that nobody warmed: its provisioned units, or those of on-demand."""
    if throughput is None:
        return dict(_ON_DEMAND_WARM)
    return {warm: throughput[units] for warm, units in _WARM_UNITS.items()}


def check_initial_warm(
    warm: Throughput | None, throughput: Throughput | None, billing_mode: str, index_name: str = ""
) -> None:
    """WarmThroughput of a new table or index. Raises ValidationException: less than there is anyway, or too much."""
    subject = f"index {index_name}" if index_name else "table"
    initial = initial_warm(None if billing_mode == PAY_PER_REQUEST else throughput)
    for name, units in _WARM_UNITS.items():
        value = (warm or {}).get(name)
        if value is not None and value < initial[name]:
            than = (
                "initial throughput for OnDemand"
                if billing_mode == PAY_PER_REQUEST
                else f"{units} of ProvisionedThroughput"
            )
            raise invalid_parameter(f"Requested {name} for WarmThroughput for {subject} is lower than {than}")
    check_bounds(warm or {}, index_name)


def raised_warm(current: Throughput, wanted: Throughput, index_name: str = "") -> dict[str, int]:
    """WarmThroughput after an update. Raises ValidationException for a decrease, or more than there can be."""
    subject = f"index {index_name}" if index_name else "table"
    for name, value in wanted.items():
        if value < current[name]:
            raise invalid_parameter(
                f"Requested {name} for WarmThroughput for {subject} is lower than current WarmThroughput, "
                "decreasing WarmThroughput is not supported"
            )
    check_bounds(wanted, index_name)
    return {**current, **wanted}

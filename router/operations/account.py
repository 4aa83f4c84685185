"""DescribeLimits and DescribeEndpoints (API reference).

Called by router.operations.registry. The quotas are those of a new account; nothing here enforces them.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from dynamo.limits import ACCOUNT_UNITS_MAX, TABLE_UNITS_MAX
from router.operations.call import Call, Services

_LIMITS: Final = orjson.dumps(
    {
        "AccountMaxReadCapacityUnits": ACCOUNT_UNITS_MAX,
        "AccountMaxWriteCapacityUnits": ACCOUNT_UNITS_MAX,
        "TableMaxReadCapacityUnits": TABLE_UNITS_MAX,
        "TableMaxWriteCapacityUnits": TABLE_UNITS_MAX,
    }
)
_CACHE_PERIOD_MINUTES: Final = 1440


def describe_limits(_services: Services, call: Call, _request: dict[str, Any]) -> None:
    """Raises nothing."""
    call.succeed(_LIMITS)


def describe_endpoints(_services: Services, call: Call, _request: dict[str, Any]) -> None:
    """The endpoint is the one the client came to: whatever leads there leads to a router."""
    endpoint = {"Address": call.host, "CachePeriodInMinutes": _CACHE_PERIOD_MINUTES}
    call.succeed(orjson.dumps({"Endpoints": [endpoint]}))

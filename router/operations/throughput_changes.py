"""What an UpdateTable does to the throughput of a table or index, and the record that is kept of it.

Called by router.operations.update_table. Pure: the time is an argument. Law: at most four decreases in a UTC day, then
one in an hour (API reference, ProvisionedThroughputDescription); a refused one leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from dynamo.errors import DynamoError, limit_exceeded, validation
from dynamo.limits import THROUGHPUT_DECREASE_INTERVAL_S, THROUGHPUT_DECREASES_MAX
from dynamo.requests.throughput import UNITS, raised_warm

# The member of a table's or an index's settings that holds LastIncreaseMs, LastDecreaseMs, Day and Decreases.
HISTORY: Final = "ThroughputHistory"
_DAY_MS: Final = 86_400_000

Settings = dict[str, Any]


def decreases_today(history: Mapping[str, Any], now_ms: int) -> int:
    """NumberOfDecreasesToday; days are those of UTC."""
    count: int = history.get("Decreases", 0) if history.get("Day") == now_ms // _DAY_MS else 0
    return count


def with_throughput(settings: Settings, wanted: Mapping[str, int], now_ms: int, index_name: str = "") -> Settings:
    """The settings with other provisioned units.

    Raises ValidationException when nothing would change, LimitExceededException when it is a decrease too many.
    """
    current = settings["ProvisionedThroughput"]
    differences = [wanted[name] - current[name] for name in UNITS]
    if not any(differences):
        raise _unchanged(current, index_name)
    history = dict(settings.get(HISTORY, {}))
    if min(differences) < 0:
        count = decreases_today(history, now_ms)
        _check_decrease(history, count, now_ms)
        history |= {"LastDecreaseMs": now_ms, "Day": now_ms // _DAY_MS, "Decreases": count + 1}
    if max(differences) > 0:
        history["LastIncreaseMs"] = now_ms
    changed = {**settings, "ProvisionedThroughput": {name: wanted[name] for name in UNITS}, HISTORY: history}
    return _keeping_warmth(settings, changed)


def _keeping_warmth(settings: Settings, changed: Settings) -> Settings:
    """Units once provisioned stay warm: the highest ever is remembered."""
    current = settings["ProvisionedThroughput"]
    reached = {"ReadUnitsPerSecond": current[UNITS[0]], "WriteUnitsPerSecond": current[UNITS[1]]}
    warm = settings.get("WarmThroughput", {})
    changed["WarmThroughput"] = {name: max(value, warm.get(name, 0)) for name, value in reached.items()}
    return changed


def with_warm(settings: Settings, current: Mapping[str, int], wanted: Mapping[str, int], name: str = "") -> Settings:
    """The settings with a higher WarmThroughput. Raises ValidationException for a decrease."""
    return {**settings, "WarmThroughput": raised_warm(current, wanted, name)}


def _unchanged(current: Mapping[str, int], index_name: str) -> DynamoError:
    subject, short = (f"index {index_name}", "index") if index_name else ("table", "table")
    read, write = (current[name] for name in UNITS)
    return validation(
        f"The provisioned throughput for the {subject} will not change. The requested value equals the current value. "
        f"Current ReadCapacityUnits provisioned for the {short}: {read}. Requested ReadCapacityUnits: {read}. "
        f"Current WriteCapacityUnits provisioned for the {short}: {write}. Requested WriteCapacityUnits: {write}. "
        "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    )


def _check_decrease(history: Mapping[str, Any], count: int, now_ms: int) -> None:
    if count < THROUGHPUT_DECREASES_MAX:
        return
    last_ms = history["LastDecreaseMs"]
    next_ms = min(last_ms + THROUGHPUT_DECREASE_INTERVAL_S * 1000, (now_ms // _DAY_MS + 1) * _DAY_MS)
    if now_ms < next_ms:
        raise limit_exceeded(
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. "
            f"After the first {THROUGHPUT_DECREASES_MAX} decreases, each subsequent decrease in the same UTC day can "
            f"be performed at most once every {THROUGHPUT_DECREASE_INTERVAL_S} seconds. "
            f"Number of decreases today: {count}. Last decrease at {_spoken(last_ms)}. "
            f"Next decrease can be made at {_spoken(next_ms)}"
        )


def _spoken(at_ms: int) -> str:
    """As in `Thursday, October 8, 2026 at 11:20:48 PM Coordinated Universal Time`."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    hour = at.hour % 12 or 12
    return f"{at:%A, %B} {at.day}, {at.year} at {hour}:{at:%M:%S %p} Coordinated Universal Time"

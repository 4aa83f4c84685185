"""Everything the clients of one run saw, in memory: operations for the charts, calls for the checkers.

Written by the load's thread, read by the progress display beside it (counters only) and, when the load has ended, by
chaos.runner. Law: nothing is judged here.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field

from histories.records import Call


class Told(enum.Enum):
    """How an operation ended for its client."""

    OK = "ok"  # it has happened (or was a condition that failed: that is an answer too)
    FAILED = "failed"  # it certainly has not happened
    UNKNOWN = "unknown"  # nobody knows


@dataclass(frozen=True, slots=True)
class Operation:
    """One request for the charts. Times in seconds since the load began."""

    kind: str  # write, read, eventual
    partition: int
    # Of an open loop: when it was due, not when it could be sent.
    began_s: float
    ended_s: float
    told: Told
    router: str
    is_probe: bool


@dataclass(slots=True)
class Live:
    """Counters for the progress display."""

    ended: int = 0
    errors: int = 0


@dataclass(slots=True)
class ClientLog:
    """What was seen so far."""

    operations: list[Operation] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    # Keys that are banks, with their totals.
    totals: dict[str, int] = field(default_factory=dict)
    # "write 500 InternalServerError" -> count
    errors: Counter[str] = field(default_factory=Counter)
    # Answers that no fault explains.
    unexpected: list[str] = field(default_factory=list)
    live: Live = field(default_factory=Live)

    def add(self, operation: Operation) -> None:
        """One operation has ended."""
        self.operations.append(operation)
        self.live.ended += 1
        if operation.told is not Told.OK:
            self.live.errors += 1

"""How long the sync under way has kept a running process waiting. Pure.

Asked by node.host at every tick of its timer. Law: time in which this process did not run (stopped by a signal, a
machine that slept) is not the disk's: its sync may end with the next thing that happens.
"""

from __future__ import annotations

# Looks further apart than this: the process itself stood still.
LOOKS_APART_S = 1.0


class SyncWatch:
    """The sync under way, if there is one."""

    __slots__ = ("_looked_at", "is_overdue", "started_at")

    def __init__(self) -> None:
        self.started_at: float | None = None
        # Set by whoever acts on it, until the sync ends.
        self.is_overdue = False
        self._looked_at = 0.0

    def started(self, now: float) -> None:
        """A sync begins."""
        self.started_at = self._looked_at = now

    def ended(self, now: float) -> float:
        """It is over; returns how long it took in seconds, 0 when none was under way."""
        started_at, self.started_at = self.started_at, None
        self.is_overdue = False
        return now - started_at if started_at is not None else 0.0

    def waited_s(self, now: float) -> float:
        """Seconds that the sync under way has had while this process ran, 0 when there is none."""
        if self.started_at is None:
            return 0.0
        stood_still_s = now - self._looked_at
        if stood_still_s > LOOKS_APART_S:
            self.started_at += stood_still_s
        self._looked_at = now
        return now - self.started_at

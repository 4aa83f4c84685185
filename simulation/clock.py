"""The clock of a simulated machine: a rate of its own that changes, and a wall clock that is wrong and is set.

Made by simulation.process for every machine, disturbed by simulation.faults; a process keeps it over restarts as
machines do. Law: monotonic time never goes back and its rate stays within the bound that leases count on; wall time
may jump anywhere.
"""

from __future__ import annotations

import random

from simulation.world import World

_WALL_START_MS = 1_700_000_000_000
_WALL_ERROR_MS = 1000


class DriftingClock:
    """Implements runtime.clock.Clock."""

    def __init__(self, world: World, randomness: random.Random, drift: float) -> None:
        """`drift`: how much faster or slower than true time the clock may be."""
        self._world = world
        self._randomness = randomness
        self._drift = drift
        # What it showed when its rate last changed, and when that was.
        self._shown_s = randomness.uniform(1000.0, 2000.0)
        self._since_s = 0.0
        self._rate = 1.0
        self.change_rate()
        self._wall_offset_ms = _WALL_START_MS + randomness.randint(-_WALL_ERROR_MS, _WALL_ERROR_MS)

    def monotonic(self) -> float:
        """Seconds of this machine."""
        return self._shown_s + (self._world.now - self._since_s) * self._rate

    def wall_ms(self) -> int:
        """Milliseconds since the epoch, as this machine believes."""
        return self._wall_offset_ms + int(self._world.now * 1000)

    def change_rate(self) -> None:
        """Go on at another speed."""
        self._shown_s, self._since_s = self.monotonic(), self._world.now
        self._rate = 1.0 + self._randomness.uniform(-self._drift, self._drift)

    def jump(self, milliseconds: int) -> None:
        """Set the wall clock forward, or back when negative."""
        self._wall_offset_ms += milliseconds

    def correct(self) -> None:
        """Set the wall clock right, but for a small error, as a time server does."""
        self._wall_offset_ms = _WALL_START_MS + self._randomness.randint(-50, 50)

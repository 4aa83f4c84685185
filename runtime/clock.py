"""Time as an argument: the only module that reads a clock.

Used by every shell; pure code receives numbers. Law: nothing outside runtime/ calls time.time or time.monotonic, so
that the simulation can run the same code in virtual time.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds for intervals, wall milliseconds for timestamps."""

    def monotonic(self) -> float:
        """Seconds that never go back; the origin means nothing."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch; may jump."""
        ...


class SystemClock:
    """The machine's clock."""

    # Bound once: the hot path calls these for every batch.
    monotonic = staticmethod(time.monotonic)

    @staticmethod
    def wall_ms() -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000


class SkewedClock:
    """A clock that is wrong on purpose (node.faults): the wall clock by an offset, the monotonic one by its rate.

    Law: `monotonic` never goes back, whatever the rate was and will be.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = self._origin = clock.monotonic()
        self._rate = 1.0
        self._offset_ms = 0

    def skew(self, *, offset_ms: int, rate: float) -> None:
        """From now on the wall clock is `offset_ms` off and a second lasts 1/`rate` seconds (`rate` > 0)."""
        if rate <= 0:
            raise ValueError("time does not stand still")
        now = self._clock.monotonic()
        self._origin += (now - self._since) * self._rate
        self._since, self._rate, self._offset_ms = now, rate, offset_ms

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._origin + (self._clock.monotonic() - self._since) * self._rate

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch, plus the offset."""
        return self._clock.wall_ms() + self._offset_ms


def block_thread(seconds: float) -> None:
    """Stand still, as a process does that swaps or collects garbage: a fault (node.faults), nothing else."""
    time.sleep(seconds)


class ManualClock:
    """A clock that moves only when told to, for tests and simulation."""

    def __init__(self, start_s: float = 1000.0, wall_start_ms: int = 1_700_000_000_000) -> None:
        self.now_s = start_s
        self._wall_offset_ms = wall_start_ms - int(start_s * 1000)

    def monotonic(self) -> float:
        """The current virtual time in seconds."""
        return self.now_s

    def wall_ms(self) -> int:
        """The current virtual wall time in milliseconds."""
        return int(self.now_s * 1000) + self._wall_offset_ms

    def advance(self, seconds: float) -> None:
        """Move time forward by `seconds` (>= 0)."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self.now_s += seconds


class HybridClock:
    """Hybrid logical clock: wall milliseconds in the upper 48 bits, a counter in the lower 16.

    Source: Kulkarni et al., "Logical Physical Clocks" (2014). Law: `next` is strictly increasing on one node and larger
    than every value passed to `observe`, so that a new leader never stamps an entry earlier than its predecessor did.
    """

    __slots__ = ("_clock", "_last")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """A timestamp later than all before."""
        self._last = max(self._last + 1, self._clock.wall_ms() << 16)
        return self._last

    def reading(self) -> int:
        """A timestamp that is earlier than every one that `next` will give, and not earlier than any before."""
        self._last = max(self._last, self._clock.wall_ms() << 16)
        return self._last

    def observe(self, timestamp: int) -> None:
        """Never stamp at or before `timestamp` again."""
        if timestamp > self._last:
            self._last = timestamp

"""The shell around router.routing.waves: wakes the writers of all streams when a wave leaves.

Owned by router.routing.dispatcher, called by every NodeLink. Law: what waits leaves, by a wave or by the timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router.routing.waves import Waves


class Departures:
    """One for all streams of a router. Must be made on the running loop."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._loop = asyncio.get_running_loop()
        self._waves = Waves()
        self._wake_writers: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def add_writer(self, wake: Callable[[], None]) -> None:
        """`wake` lets a stream send what waits for it, if anything does."""
        self._wake_writers.append(wake)

    def queued(self, size: int) -> None:
        """One more operation of `size` bytes waits. Hot path."""
        self._waves.queued(size)
        self._look()

    def dequeued(self, count: int, size: int) -> None:
        """So many operations are in a frame now, or were forgotten with their stream."""
        self._waves.dequeued(count, size)

    def left(self, count: int) -> None:
        """So many of them are under way."""
        self._waves.left(count, self._now_s())

    def answered(self, count: int) -> None:
        """A frame brought so many results, and they are dealt with: what clients ask next may be queued already."""
        self._waves.answered(count, self._now_s())
        if self._waves.waiting:
            self._look()

    def lost(self, count: int) -> None:
        """A stream broke with so many operations under way on it."""
        self._waves.lost(count)
        if self._waves.waiting:
            self._look()

    def _look(self) -> None:
        if self._waves.may_leave:
            self._leave()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._waves.hold_s, self._held_long)

    def _held_long(self) -> None:
        self._timer = None
        if self._waves.waiting:
            self._leave()

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for wake in self._wake_writers:
            wake()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

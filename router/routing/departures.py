"""The shell around router.routing.waves: wakes the writers of all streams when a wave leaves.

Owned by router.routing.dispatcher, called by every NodeLink. Law: what waits leaves, by a wave or by the timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router.routing.waves import Stream, Waves


class Departures:
    """One for all streams of a router. Must be made on the running loop."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._loop = asyncio.get_running_loop()
        self._waves = Waves()
        self._wake_writers: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def add_stream(self, wake: Callable[[], None]) -> Stream:
        """`wake` lets a stream send what waits for it, if anything does."""
        self._wake_writers.append(wake)
        return self._waves.new_stream()

    def queued(self, size: int) -> None:
        """One more operation of `size` bytes waits. Hot path."""
        self._waves.queued(size)
        self._look()

    def dequeued(self, count: int, size: int) -> None:
        """So many operations are in a frame now, or were forgotten with their stream."""
        self._waves.dequeued(count, size)

    def left(self, stream: Stream, count: int) -> None:
        """So many of them are under way."""
        self._waves.left(stream, count, self._now_s())

    def answered(self, stream: Stream, count: int) -> None:
        """A frame brought so many results, and they are dealt with: what clients ask next may be queued already."""
        self._waves.answered(stream, count, self._now_s())
        if self._waves.waiting:
            self._look()

    def lost(self, stream: Stream) -> None:
        """A stream broke with what was under way on it."""
        self._waves.lost(stream)
        if self._waves.waiting:
            self._look()

    def _look(self) -> None:
        if self._waves.may_leave:
            self._leave()
        elif self._timer is None and not self._is_closed:
            self._timer = self._loop.call_later(self._waves.hold_s, self._held_long)

    def _held_long(self) -> None:
        self._timer = None
        self._waves.held_long(self._now_s())
        if self._waves.waiting:
            self._leave()

    def _leave(self) -> None:
        self._stop_timer()
        for wake in self._wake_writers:
            wake()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Stop the timer; it is not set again."""
        self._is_closed = True
        self._stop_timer()

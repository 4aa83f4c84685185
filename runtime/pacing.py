"""Pauses shorter than a millisecond on the event loop.

Used by a node's gRPC streams between two frames, when replication.pacing_us says so. uvloop's and asyncio's timers have
millisecond resolution (uvloop turns 0.5 ms into none at all), which is too coarse: a Linux timerfd fires on time. One
pacer serves all streams of the process: pauses that overlap end together. Law: a waiter is always woken, at the latest
by `close`.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class Pacer:
    """`await pause()` takes at most `pause_us` microseconds; 0 means no pause."""

    def __init__(self, pause_us: int) -> None:
        self._pause_us = pause_us
        self._waiters: list[asyncio.Future[None]] = []
        self._loop = asyncio.get_running_loop()
        self._timer_fd = -1
        if pause_us and sys.platform == "linux":
            libc = ctypes.CDLL(None, use_errno=True)
            descriptor = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK_CLOEXEC)
            if descriptor >= 0:
                self._timer_fd = descriptor
                self._set_time = libc.timerfd_settime
                seconds, rest_us = divmod(pause_us, 1_000_000)
                self._spec = _TimerSpec(_TimeSpec(0, 0), _TimeSpec(seconds, rest_us * 1000))
                self._spec_pointer = ctypes.byref(self._spec)
                self._loop.add_reader(descriptor, self._fired)

    async def pause(self) -> None:
        """Wait until the current pause is over."""
        if not self._pause_us:
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._add(waiter)
        await waiter

    def call_later(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the current pause is over."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        waiter.add_done_callback(lambda _: callback())
        self._add(waiter)

    def _add(self, waiter: asyncio.Future[None]) -> None:
        self._waiters.append(waiter)
        if not self._pause_us:
            self._loop.call_soon(self._wake)
        elif len(self._waiters) == 1 and not self._arm():
            self._loop.call_later(self._pause_us / 1_000_000, self._wake)

    def _arm(self) -> bool:
        return self._timer_fd >= 0 and self._set_time(self._timer_fd, 0, self._spec_pointer, None) == 0

    def _fired(self) -> None:
        try:
            os.read(self._timer_fd, 8)
        except BlockingIOError:
            return
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """Wake everyone and release the timer."""
        self._wake()
        if self._timer_fd >= 0:
            self._loop.remove_reader(self._timer_fd)
            os.close(self._timer_fd)
            self._timer_fd = -1
            self._pause_us = 0

"""Streams whose frames pass through fault rules: the shell around replication.transport.shaping.

Built by node.faults.links, and only where fault injection is switched on; without it no stream knows of this module.
Laws: a pipe holds a bounded number of bytes and then stops taking, as a full socket does; whoever waits on a pipe is
woken by a change of the rules.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic

from replication.transport.shaping import Frame, LinkEffects, Shaper

# Frames under way in one direction of one stream; then the sender waits.
PIPE_BYTES_MAX = 16 * 1024 * 1024


class LinkBroken(ConnectionError):
    """A fault rule broke the stream."""


class ShapedPipe(Generic[Frame]):
    """One direction of one stream."""

    def __init__(self, effects: LinkEffects, monotonic: Callable[[], float], draw: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._draw = draw
        self._shaper: Shaper[Frame] = Shaper(monotonic(), effects)
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._ended = False
        self._reset = False
        self._closed = False

    def change(self, effects: LinkEffects) -> None:
        """Other rules hold from now on."""
        self._shaper.change(self._monotonic(), effects)
        self._changed.set()

    def reset(self) -> None:
        """Break the stream now."""
        self._reset = True
        self._changed.set()

    async def put(self, frame: Frame, size: int) -> None:
        """Add a frame; waits while the pipe is full. Raises LinkBroken when nobody reads it any more."""
        await self._has_room.wait()
        if self._closed:
            raise LinkBroken("the stream has ended")
        self._shaper.push(frame, size, self._monotonic(), self._draw)
        if self._shaper.queued_bytes > PIPE_BYTES_MAX:
            self._has_room.clear()
        self._changed.set()

    def end(self) -> None:
        """No more frames come. The reader hears of it behind the last one, and not while the link is cut."""
        self._ended = True
        self._changed.set()

    def close(self) -> None:
        """Nobody reads any more: writers that wait for room must not wait for ever."""
        self._closed = True
        self._has_room.set()

    async def get(self) -> Frame | None:
        """The next frame as soon as it may pass; None behind the last one. Raises LinkBroken."""
        shaper = self._shaper
        while True:
            now = self._monotonic()
            if self._reset:
                raise LinkBroken("reset by a fault rule")
            if shaper.breaks_at <= now:
                raise LinkBroken("silent for longer than keepalive waits, by a fault rule")
            frame = shaper.pop(now)
            if frame is not None:
                if shaper.queued_bytes <= PIPE_BYTES_MAX:
                    self._has_room.set()
                return frame
            if self._ended and not len(shaper) and not shaper.is_cut:
                return None
            self._changed.clear()
            await self._until_changed(shaper.next_at() - now)

    async def _until_changed(self, at_most_s: float) -> None:
        try:
            async with asyncio.timeout(None if at_most_s == math.inf else at_most_s):
                await self._changed.wait()
        except TimeoutError:
            return


async def feed(frames: AsyncIterator[Any], pipe: ShapedPipe[Any]) -> None:
    """Put every frame into the pipe, then its end, also when the frames end with an error."""
    try:
        async for frame in frames:
            await pipe.put(frame, frame.ByteSize())
    finally:
        pipe.end()


class ShapedCall:
    """The dialling side of a stream (write, read, cancel of a gRPC call) whose written frames pass a pipe."""

    def __init__(self, call: Any, pipe: ShapedPipe[Any], closed: Callable[[], None]) -> None:
        self._call = call
        self._pipe = pipe
        self._closed = closed
        self._broken: LinkBroken | None = None
        self._pump = asyncio.ensure_future(self._send())

    async def _send(self) -> None:
        try:
            while (frame := await self._pipe.get()) is not None:
                await self._call.write(frame)
        except LinkBroken as error:
            self._broken = error
            self._call.cancel()
        except Exception:
            # The reader hears of the same end, with its reason.
            self._call.cancel()
        finally:
            self._pipe.close()

    async def write(self, frame: Any) -> None:
        """Queue one frame."""
        await self._pipe.put(frame, frame.ByteSize())

    async def read(self) -> Any:
        """The other side's next message. Raises LinkBroken when a rule broke the stream."""
        try:
            return await self._call.read()
        except asyncio.CancelledError:
            current = asyncio.current_task()
            # Cancelling a call beneath its reader looks like the reader's own cancellation, which would end the link.
            if self._broken is not None and current is not None and not current.cancelling():
                raise self._broken from None
            raise

    def cancel(self) -> None:
        """Give the stream up."""
        self._pump.cancel()
        self._call.cancel()
        self._closed()

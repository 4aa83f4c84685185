"""When a frame may pass that a fault rule delays, loses or silences. Pure: time and randomness are arguments.

Used by replication.transport.shaped for one direction of one stream. Law 3 holds under every rule: frames pass in the
order in which they came, and none is ever missing from the middle of a stream. What a network drops, TCP sends again:
it shows as delay, and in the end as a broken stream.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Frame = TypeVar("Frame")

# A silent stream is broken after keepalive_time_ms + keepalive_timeout_ms (wire.services): so long nobody notices.
KEEPALIVE_S = 4.0
# How TCP sends again: Linux begins with 200 ms and doubles.
RETRANSMISSION_S = 0.2


class Direction(enum.IntEnum):
    """Seen from this node."""

    IN = 1
    OUT = 2


@dataclass(frozen=True, slots=True)
class LinkEffects:
    """What all rules in force do to one direction of one link."""

    cut: bool = False
    latency_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0  # the chance that a frame is lost, 0 to 1
    bytes_per_s: int = 0  # 0: no limit

    def with_more(self, other: LinkEffects) -> LinkEffects:
        """Both on one link."""
        limits = [limit for limit in (self.bytes_per_s, other.bytes_per_s) if limit]
        return LinkEffects(
            cut=self.cut or other.cut,
            latency_s=self.latency_s + other.latency_s,
            jitter_s=self.jitter_s + other.jitter_s,
            loss=1 - (1 - self.loss) * (1 - other.loss),
            bytes_per_s=min(limits, default=0),
        )


NO_EFFECTS = LinkEffects()


class Shaper(Generic[Frame]):
    """One direction of one stream: frames that wait, and since when nothing gets through."""

    def __init__(self, now: float, effects: LinkEffects) -> None:
        self.queued_bytes = 0
        self._queue: deque[tuple[float, int, Frame]] = deque()
        self._effects = NO_EFFECTS
        self._last_due = 0.0
        self._line_free_at = 0.0
        # When the stream breaks unless the rules change before.
        self._cut_breaks_at = math.inf
        self._loss_breaks_at = math.inf
        self.change(now, effects)

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def is_cut(self) -> bool:
        """Nothing passes now, not even the news that the stream ended."""
        return self._effects.cut

    def change(self, now: float, effects: LinkEffects) -> None:
        """From `now` on these effects hold. A healed link lets everything through at once."""
        if not effects.cut:
            self._cut_breaks_at = math.inf
        elif not self._effects.cut:
            self._cut_breaks_at = now + KEEPALIVE_S
        if not effects.loss:
            self._loss_breaks_at = math.inf
        self._effects = effects

    def push(self, frame: Frame, size: int, now: float, draw: Callable[[], float]) -> None:
        """A frame of `size` bytes came; `draw` gives numbers in [0, 1)."""
        effects = self._effects
        due = now
        if effects.latency_s or effects.jitter_s:
            due += effects.latency_s + effects.jitter_s * draw()
        if effects.loss:
            due += self._retransmissions_s(now, draw)
        # First-in-first-out: none overtakes a frame that jitter or loss holds up.
        self._last_due = max(self._last_due, due)
        self._queue.append((self._last_due, size, frame))
        self.queued_bytes += size

    def _retransmissions_s(self, now: float, draw: Callable[[], float]) -> float:
        waited_s, step_s = 0.0, RETRANSMISSION_S
        while draw() < self._effects.loss:
            waited_s += step_s
            step_s *= 2
            if waited_s > KEEPALIVE_S:
                self._loss_breaks_at = min(self._loss_breaks_at, now + KEEPALIVE_S)
                break
        return waited_s

    def pop(self, now: float) -> Frame | None:
        """The next frame if it may pass now."""
        if not self._queue or self._passes_at() > now:
            return None
        _, size, frame = self._queue.popleft()
        self.queued_bytes -= size
        if self._effects.bytes_per_s:
            self._line_free_at = max(self._line_free_at, now) + size / self._effects.bytes_per_s
        if not self._queue and self._effects == NO_EFFECTS:
            self._last_due = self._line_free_at = 0.0
        return frame

    def _passes_at(self) -> float:
        if self._effects.cut:
            return math.inf
        if self._effects == NO_EFFECTS:
            return -math.inf
        return max(self._queue[0][0], self._line_free_at if self._effects.bytes_per_s else 0.0)

    def next_at(self) -> float:
        """When to look again: a frame may pass or the stream breaks; infinity: not before something changes."""
        return min(self.breaks_at, self._passes_at() if self._queue else math.inf)

    @property
    def breaks_at(self) -> float:
        """When the stream is to be broken unless the rules change; infinity: it stays."""
        return min(self._cut_breaks_at, self._loss_breaks_at)

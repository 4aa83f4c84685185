"""Virtual time: one queue of events, one story of what happened, one digest of it.

Created by simulation.run for every seed; everything that happens in a run is an event of this queue. Law: nothing here
or above reads a clock, hashes an address or iterates over a set of strings, so that a seed gives the same digest in
every process.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import deque
from collections.abc import Callable

Action = Callable[[], None]
# The end of the story that a failure shows.
STORY_LINES_KEPT = 400
# A run that handles more than this has a loop without time in it.
EVENTS_MAX = 2_000_000


class Violation(Exception):
    """What must never happen happened; the message says what, where and when."""


class World:
    """Time, randomness and the story of one run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.randomness = self.random_stream("world")
        self.lines: deque[str] = deque(maxlen=STORY_LINES_KEPT)
        self.events = 0
        # The first one made, so that no coroutine can swallow it.
        self.first_violation: Violation | None = None
        self._queue: list[tuple[float, int, Action]] = []
        self._count = 0
        self._digest = hashlib.blake2b(digest_size=16)

    def random_stream(self, name: str) -> random.Random:
        """An independent stream: what one part draws does not shift what another one gets."""
        return random.Random(f"{self.seed}/{name}")

    def at(self, delay_s: float, action: Action) -> None:
        """Let `action` happen `delay_s` (>= 0) seconds from now; equal times happen in the order of the calls."""
        self._count += 1
        heapq.heappush(self._queue, (self.now + delay_s, self._count, action))

    def run_until(self, end: float, is_over: Callable[[], bool] | None = None) -> None:
        """Handle events up to time `end`, or until `is_over` after one of them. Raises Violation."""
        queue = self._queue
        while queue and queue[0][0] <= end:
            self.now, _, action = heapq.heappop(queue)
            self.events += 1
            if self.events > EVENTS_MAX:
                raise self.violation(f"more than {EVENTS_MAX} events: the cluster is busy with itself")
            action()
            if self.first_violation is not None:
                raise self.first_violation
            if is_over is not None and is_over():
                return
        self.now = end

    def tell(self, line: str) -> None:
        """Add to the story and to the digest."""
        line = f"{self.now:.6f} {line}"
        self.lines.append(line)
        self._digest.update(line.encode())

    def violation(self, what: str) -> Violation:
        """The exception to raise when `what` went wrong now; it ends the run whoever catches it."""
        violation = Violation(f"at {self.now:.6f} s: {what}")
        self.first_violation = self.first_violation or violation
        return violation

    @property
    def digest(self) -> str:
        """Of everything told so far, in hexadecimal."""
        return self._digest.hexdigest()

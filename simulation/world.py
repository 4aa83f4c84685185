"""Virtual time: one queue of events, one digest of what happened and, when somebody will read it, its story.

Created by simulation.run for every seed; everything that happens in a run is an event of this queue. Law: nothing here
or above reads a clock, hashes an address or iterates over a set of strings, so that a seed gives the same digest in
every process, whether its story is kept or not.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from array import array
from collections.abc import Callable

from simulation.loop import kept_between_events
from simulation.story import Story

Action = Callable[[], None]
# A run that handles more than this has a loop without time in it.
EVENTS_MAX = 2_000_000


class Violation(Exception):
    """What must never happen happened; the message says what, where and when."""


class World:
    """Time, randomness and the story of one run."""

    def __init__(self, seed: int, story: Story | None = None) -> None:
        self.seed = seed
        self.now = 0.0
        self.randomness = self.random_stream("world")
        # The first one made, so that no coroutine can swallow it.
        self.first_violation: Violation | None = None
        self.story = story
        self._queue: list[tuple[float, int, Action]] = []
        self._count = 0
        # When every event happened: whatever differs between two runs soon shifts one of them.
        self._times = array("d")
        self._digest = hashlib.blake2b(digest_size=16)
        # Add bytes that travelled or were answered to the digest.
        self.witness = self._digest.update

    @property
    def events(self) -> int:
        """How many events were handled."""
        return len(self._times)

    def random_stream(self, name: str) -> random.Random:
        """An independent stream: what one part draws does not shift what another one gets."""
        return random.Random(f"{self.seed}/{name}")

    def at(self, delay_s: float, action: Action) -> None:
        """Let `action` happen `delay_s` (>= 0) seconds from now; equal times happen in the order of the calls."""
        self._count += 1
        heapq.heappush(self._queue, (self.now + delay_s, self._count, action))

    def run_until(self, end: float, is_over: Callable[[], bool] | None = None) -> None:
        """Handle events up to time `end`, or until `is_over` after one of them. Raises Violation."""
        with kept_between_events():
            self._run_until(end, is_over)

    def _run_until(self, end: float, is_over: Callable[[], bool] | None) -> None:
        queue, times, pop = self._queue, self._times, heapq.heappop
        while queue and queue[0][0] <= end:
            self.now, _, action = pop(queue)
            times.append(self.now)
            action()
            if self.first_violation is not None:
                raise self.first_violation
            if is_over is not None and is_over():
                return
            if len(times) > EVENTS_MAX:
                raise self.violation(f"more than {EVENTS_MAX} events: the cluster is busy with itself")
        self.now = end

    def tell(self, text: str, *arguments: object, group: int | None = None, key: str | None = None) -> None:
        """Add a line to the story, of a group or of a key of it if it is about one.

        With arguments `text` is a str.format template that costs nothing while nobody keeps the story; what it tells
        must then be in the digest by other means. Without arguments the text is in the digest itself.
        """
        if not arguments:
            self._digest.update(text.encode())
        if self.story is not None:
            self.story.add(self.now, text.format(*arguments) if arguments else text, group=group, key=key)

    def violation(self, what: str) -> Violation:
        """The exception to raise when `what` went wrong now; it ends the run whoever catches it."""
        violation = Violation(f"at {self.now:.6f} s: {what}")
        self.first_violation = self.first_violation or violation
        return violation

    @property
    def digest(self) -> str:
        """Of everything that happened so far, in hexadecimal."""
        digest = self._digest.copy()
        digest.update(self._times.tobytes())
        return digest.hexdigest()

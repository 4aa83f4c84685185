"""One life of a process on virtual time: what it does happens when it is alive and not paused, or never.

Base of simulation.process (nodes) and simulation.router. Law: a paused process does nothing at all while its sockets go
on collecting, a dead one has no effect any more; an exception that nobody expects ends the run.
"""

from __future__ import annotations

import random
from collections import deque

from runtime.clock import Clock
from simulation.loop import VirtualLoop
from simulation.world import Action, Violation, World

# Between two things that waited for a resumed process.
ARRIVAL_SPACING_S = (0.00001, 0.0001)


class Life:
    """A process between its start and its death; its coroutines run on `loop`, after each thing that happens in it."""

    def __init__(self, name: str, world: World, randomness: random.Random, clock: Clock) -> None:
        self.name = name
        self.is_alive = True
        self.loop = VirtualLoop(self.later, clock, lambda error: self._broke(error))
        self._world = world
        self._randomness = randomness
        self.last_paused_at = -1.0
        self._paused_until = 0.0
        self._deferred: deque[Action] = deque()

    def post(self, action: Action) -> None:
        """Do `action` in this process: now, or when it is resumed, or never when it died."""
        if not self.is_alive:
            return
        if self._deferred or self._world.now < self._paused_until:
            self._deferred.append(action)
        else:
            self.run(action)

    def later(self, delay_s: float, action: Action) -> None:
        """Do `action` in this process after a while."""
        self._world.at(delay_s, lambda: self.post(action))

    def run(self, action: Action) -> None:
        """Do `action` now, and then what coroutines have to do because of it."""
        try:
            self.loop.run(action)
        except Violation:
            raise
        except Exception as error:
            self._broke(error)

    def begin(self, action: Action) -> None:
        """Do `action` now, as a callback of the loop: it may begin coroutines."""

        def call() -> None:
            self.loop.call_soon(action)

        self.run(call)

    def _broke(self, error: BaseException) -> None:
        if self.is_alive:
            raise self._world.violation(f"{self.name} broke: {error!r}") from error

    def die(self) -> None:
        """No effect from now on; coroutines end a moment later, unseen."""
        self.is_alive = False
        self._deferred.clear()
        # Not at once: a coroutine of this very process may be what ends it.
        self._world.at(0.0, self.loop.bury)

    # ------------------------------------------------------------------ pauses
    @property
    def is_paused(self) -> bool:
        """Whether nothing happens, or the backlog of a pause is worked off."""
        return bool(self._deferred) or self._world.now < self._paused_until

    def pause(self, seconds: float) -> None:
        """Stop the process as SIGSTOP does; its sockets go on collecting."""
        self._paused_until = max(self._paused_until, self._world.now + seconds)
        self.last_paused_at = max(self.last_paused_at, self._paused_until)
        self._world.at(seconds, self.resume)

    def resume(self) -> None:
        """Go on, unless a longer pause holds: what came meanwhile is handled first, in order, with turns in between."""
        if not self.is_alive or self._world.now < self._paused_until or not self._deferred:
            return
        action = self._deferred.popleft()
        self.run(action)
        self._world.at(self._randomness.uniform(*ARRIVAL_SPACING_S), self.resume)

    def end_pause(self) -> None:
        """Resume whatever the pause."""
        self._paused_until = 0.0
        self.resume()

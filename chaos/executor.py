"""Carries out a schedule: injects, heals, lets long faults take their steps, and heals everything at the end.

Run by chaos.runner on the main thread, beside the load. Law: whatever happens in here or is raised from outside
(Ctrl-C), `heal_all` mends what was broken; what cannot be mended is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chaos.arena import RunArena
from chaos.faults.base import State, Steps
from chaos.faults.registry import word_of
from chaos.result import FaultSpan
from chaos.schedule import Planned
from chaos.targets.base import TargetError
from chaos.victims import NoVictim
from tools.errors import CommandError

STEP_INTERVAL_S = 0.05
# Rules of faults that end by themselves may stay for so long.
STEPS_S = 60.0
SETTLE_S = 90.0
# What a fault may raise when the cluster does not do what it was asked to.
TROUBLE = (TargetError, CommandError, NoVictim, OSError)


@dataclass(slots=True, eq=False)
class Running:
    """One injection under way, or over."""

    planned: Planned
    began_s: float
    state: State = field(default_factory=State)
    steps: Steps | None = None
    ended_s: float | None = None

    @property
    def word(self) -> str:
        """kill, pause, ..."""
        return self.state.word or word_of(type(self.planned.fault))


class Executor:
    """The faults of one run."""

    def __init__(
        self,
        arena: RunArena,
        planned: Sequence[Planned],
        on_idle: Callable[[], None],
        is_settled: Callable[[], bool] = lambda: True,
    ) -> None:
        """`on_idle` is called between steps, may raise to end the run; `is_settled`: is the cluster whole and calm?"""
        self._is_settled = is_settled
        self._arena = arena
        self._left = list(planned)
        self._on_idle = on_idle
        self._running: list[Running] = []
        self.done: list[Running] = []
        # Over, but not mended yet.
        self.unhealed: list[Running] = []
        self.troubles: list[str] = []
        self._waited_since_s: float | None = None

    def run(self, seconds: float) -> None:
        """Until every fault has been injected and healed, and `seconds` are over."""
        while self._left or self._running or self._arena.now_s() < seconds:
            self._on_idle()
            now_s = self._arena.now_s()
            if self._left and self._left[0].at_s <= now_s and self._may_come(self._left[0]):
                self._inject(self._left.pop(0))
                continue
            for running in list(self._running):
                self._advance(running)
            time.sleep(self._pause_s())

    def _may_come(self, planned: Planned) -> bool:
        """A fault that waits for a calm cluster waits for SETTLE_S at most, and is then told as a trouble."""
        if not planned.fault.when_settled or (not self._running and self._is_settled()):
            self._waited_since_s = None
            return True
        now_s = self._arena.now_s()
        if self._waited_since_s is None:
            self._waited_since_s = now_s
        if now_s - self._waited_since_s > SETTLE_S:
            self._trouble(f"the cluster was not calm within {SETTLE_S:g} s before {word_of(type(planned.fault))}")
            self._waited_since_s = None
            return True
        return False

    def _pause_s(self) -> float:
        due_s = [planned.at_s for planned in self._left[:1]]
        due_s += [running.began_s + (running.planned.for_s or 0.0) for running in self._running if not running.steps]
        next_s = min((moment - self._arena.now_s() for moment in due_s), default=STEP_INTERVAL_S)
        # A fault that waits for a calm cluster is due already: that must not become a tight circle.
        return min(STEP_INTERVAL_S, next_s) if next_s > 0 else STEP_INTERVAL_S / 5

    def _inject(self, planned: Planned) -> None:
        arena, fault = self._arena, planned.fault
        arena.rng = planned.rng
        running = Running(planned, arena.now_s())
        running.state.id = f"chaos-{planned.number}"
        running.state.for_s = planned.for_s if planned.for_s is not None else STEPS_S
        # Known before it begins: what it breaks half way is healed too.
        self._running.append(running)
        try:
            running.steps = fault.inject(arena, running.state)
            if running.steps is not None:
                next(running.steps, None)
        except TROUBLE as error:
            self._trouble(f"{running.word} could not be injected: {error}")
            self._finish(running)
            return
        if fault.name:
            arena.hit[fault.name] = list(running.state.victims)
        detail = f": {running.state.detail}" if running.state.detail else ""
        arena.say("fault", f"{running.word} {running.state.words}{detail}")

    def _advance(self, running: Running) -> None:
        if running.steps is not None:
            try:
                next(running.steps)
            except StopIteration:
                running.steps = None
            except TROUBLE as error:
                running.steps = None
                self._trouble(f"{running.word}: {error}")
            if running.steps is not None:
                return
            if running.planned.for_s is None:
                self._finish(running)
                return
        if self._arena.now_s() >= running.began_s + (running.planned.for_s or 0.0):
            self._finish(running)

    def _finish(self, running: Running) -> None:
        """Its time is over: heal it. One that cannot be healed is kept for `heal_all`, and lasts until then."""
        self._running.remove(running)
        self.done.append(running)
        self._heal(running)

    def _heal(self, running: Running) -> None:
        running.steps = None
        try:
            running.planned.fault.heal(self._arena, running.state)
        except Exception as error:
            # Whatever it is: others must be healed too, and this one is tried again.
            if running not in self.unhealed:
                self.unhealed.append(running)
            self._trouble(f"{running.word} {running.state.words} could not be healed: {error or type(error).__name__}")
            return
        if running in self.unhealed:
            self.unhealed.remove(running)
        running.ended_s = self._arena.now_s()
        self._arena.say("heal", f"{running.word} {running.state.words} healed")

    def heal_all(self) -> None:
        """Heal whatever is active or could not be healed before, the last first."""
        self._left.clear()
        unhealed = list(self.unhealed)
        for running in reversed(list(self._running)):
            self._finish(running)
        for running in reversed(unhealed):
            self._heal(running)

    def _trouble(self, text: str) -> None:
        if text not in self.troubles:
            self.troubles.append(text)
        self._arena.say("error", text)

    def spans(self) -> list[FaultSpan]:
        """Every injection for the report, in order of time."""
        known = sorted([*self.done, *self._running], key=lambda running: running.began_s)
        return [
            FaultSpan(
                name=running.word,
                victim=running.state.words,
                began_s=round(running.began_s, 3),
                ended_s=round(running.ended_s if running.ended_s is not None else self._arena.now_s(), 3),
                detail=running.state.detail,
                victims=tuple(running.state.victims),
                label=running.planned.fault.name,
            )
            for running in known
        ]

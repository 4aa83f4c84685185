"""What the faults of one run act through: the target, the fault services, the victims so far, notes.

Made by chaos.runner. Law: everything that was broken is known here, so that it can be mended and looked for.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from chaos import victims
from chaos.faults.base import Rules, Steps
from chaos.result import Event
from chaos.targets.base import Target, TargetError
from chaos.victims import View

# Starting a process that is alive already, or waiting for a fact, is looked at this often.
LOOK_INTERVAL_S = 0.1


class RunArena:
    """One run's arena."""

    def __init__(self, target: Target, injection: Rules | None) -> None:
        self.target = target
        # Replaced for every injection: chaos.executor.
        self.rng = random.Random(0)
        self.hit: dict[str, list[str]] = {}
        self.events: list[Event] = []
        # Exit statuses that are right, by process.
        self.expected_ends: dict[str, int] = {}
        # Processes that may end so without the scenario's saying so.
        self.explained: set[str] = set()
        self.injection = injection
        self._zero_s = time.monotonic()
        self.on_event: Callable[[Event], None] = lambda _event: None

    def begin(self, zero_s: float) -> None:
        """Times are counted from `zero_s` (monotonic) on."""
        self._zero_s = zero_s

    def now_s(self) -> float:
        """Seconds since the load began."""
        return time.monotonic() - self._zero_s

    def view(self) -> View:
        """The cluster as it is now."""
        leaders = {partition.id: partition.leader for partition in self.target.status().partitions}
        return View(self.target.members, leaders, self.hit)

    def pick(self, text: str) -> list[str]:
        """The victims named by `text`, now."""
        down = frozenset(member.name for member in self.target.members if not self.target.is_running(member.name))
        return victims.choose(text, replace(self.view(), down=down), self.rng)

    def say(self, kind: str, text: str) -> None:
        """A line for the report and the progress display."""
        event = Event(at_s=round(self.now_s(), 3), kind=kind, text=text)
        self.events.append(event)
        self.on_event(event)

    def note(self, text: str) -> None:
        """A remark of a fault."""
        self.say("note", text)

    def expect_end(self, name: str, *, status: int, is_counted: bool = True) -> None:
        """This process will end by itself with this status."""
        self.expected_ends[name] = status
        if not is_counted:
            self.explained.add(name)

    def set_rules(self, node: str, rules: Sequence[Any]) -> None:
        """Add fault rules on a node."""
        if self.injection is None:
            raise TargetError("this run was started without fault injection")
        self.injection.set_rules(node, rules)

    def clear_rules(self, node: str, ids: Sequence[str]) -> None:
        """Heal these rules of a node."""
        if self.injection is not None and self.target.is_running(node):
            self.injection.clear_rules(node, ids)

    def bring_back(self, names: Sequence[str]) -> None:
        """Start those of `names` that do not run."""
        missing = [name for name in names if not self.target.is_running(name)]
        if missing:
            self.target.start_processes(missing)

    def wait(self, fact: Callable[[], bool], what: str, timeout_s: float) -> Steps:
        """Steps until `fact`."""
        deadline_s = time.monotonic() + timeout_s
        while not fact():
            if time.monotonic() > deadline_s:
                raise TargetError(f"after {timeout_s:g} s still not so: {what}")
            yield

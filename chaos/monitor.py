"""Watches who leads while a run goes on, on a thread of its own.

Made by chaos.runner. Law: nothing is invented: a node that is silent says nothing, so a change is only what somebody
said, in the newest term.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from dataclasses import replace

from chaos.result import LeaderChange
from chaos.targets.base import Target
from tools.status import ClusterStatus

LOOK_INTERVAL_S = 0.15
# A paused node must not hold up what is seen of the others for long.
ANSWER_TIMEOUT_S = 0.4
END_TIMEOUT_S = 10.0


class Monitor:
    """Leaders over time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._ending = threading.Event()
        # The zero of time moves while the other thread looks.
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._zero_s = time.monotonic()
        self._terms_before: dict[int, int] = {}
        self._terms: dict[int, int] = {}
        self.leaders: dict[int, str] = {}
        self.changes: list[LeaderChange] = []

    def start(self) -> None:
        """Look once now, then again and again."""
        self._look()
        self._thread.start()

    def begin(self, zero_s: float) -> None:
        """Times and elections are counted from `zero_s` (monotonic) on."""
        with self._lock:
            moved_s = zero_s - self._zero_s
            self._zero_s = zero_s
            self.changes = [replace(change, at_s=round(change.at_s - moved_s, 3)) for change in self.changes]
            self._terms_before = dict(self._terms)

    def stop(self) -> None:
        """Look a last time and end."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(END_TIMEOUT_S)
        self._look()

    @property
    def elections(self) -> int:
        """New terms since `begin`, over all groups."""
        return sum(max(0, term - self._terms_before.get(group, term)) for group, term in self._terms.items())

    def quiet_s(self) -> float:
        """Seconds since the last change of a leader."""
        last_s = max((change.at_s for change in self.changes), default=0.0)
        return time.monotonic() - self._zero_s - last_s

    def led_at(self, names: frozenset[str], moment_s: float) -> frozenset[int]:
        """The partitions that one of `names` led at a moment."""
        found = set()
        for partition in self.leaders:
            own = [change for change in self.changes if change.partition == partition]
            position = bisect_right([change.at_s for change in own], moment_s)
            if position and own[position - 1].leader in names:
                found.add(partition)
        return frozenset(found)

    def _run(self) -> None:
        while not self._ending.wait(LOOK_INTERVAL_S):
            self._look()

    def _look(self) -> None:
        status = self._target.status(ANSWER_TIMEOUT_S)
        with self._lock:
            self._note(status)

    def _note(self, status: ClusterStatus) -> None:
        at_s = round(time.monotonic() - self._zero_s, 3)
        for row in status.partitions:
            known = self._terms.get(row.id, -1)
            # A paused leader that is back may say for a moment that it still leads: an older term is no news.
            if row.term < known:
                continue
            self._terms[row.id] = row.term
            if self.leaders.get(row.id) != row.leader:
                self.leaders[row.id] = row.leader
                self.changes.append(LeaderChange(at_s=at_s, partition=row.id, leader=row.leader, term=row.term))

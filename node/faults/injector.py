"""Puts fault rules in force and ends them when their time is over.

Made by node.__main__ where `fault_injection.enabled` is true, told by node.faults.service. Law: after a rule's end, by
call or by time, nothing of it is left: links, disk and clocks are told together.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable

from node.faults.links import FaultyLinks
from node.faults.plan import STALL_MS_MAX, Plan, describe
from node.faults.store import FaultyStore
from replication.ports import Store
from runtime.clock import Clock, SkewedClock, SystemClock, block_thread
from runtime.logs import get_logger
from wire import faults_pb2 as pb

log = get_logger()

# After the answer to the call that asked for it has left.
STALL_AFTER_S = 0.05


class FaultInjector:
    """The faults of one node process; made on its event loop."""

    def __init__(
        self, node_id: str, store: Store, randomness: random.Random, stall: Callable[[float], None] = block_thread
    ) -> None:
        self._node_id = node_id
        # Rules end, and frames are late, by the machine's clock, whatever the node is made to believe.
        self._real_clock: Clock = SystemClock()
        self._loop = asyncio.get_running_loop()
        self._stall = stall
        self._plan = Plan()
        self._timer: asyncio.TimerHandle | None = None
        self.clock = SkewedClock(self._real_clock)
        self.store = FaultyStore(store, self._real_clock)
        self.links = FaultyLinks(self._plan, self._real_clock, randomness)

    def set(self, rules: Iterable[pb.FaultRule], *, keep: bool) -> None:
        """Put rules in force. Raises WrongRule; then nothing has changed."""
        new = self._plan.set(rules, keep=keep, now=self._real_clock.monotonic())
        log.warning("faults_set", faults=self.texts(), new=[rule.id for rule in new])
        self._changed(new)
        stall_ms = sum(rule.machine.stall_ms for rule in new if rule.HasField("machine"))
        if stall_ms:
            # Together no longer than one rule may: a loop that stands still hears of no end.
            self._loop.call_later(STALL_AFTER_S, self._stall, min(stall_ms, STALL_MS_MAX) / 1000)

    def clear(self, ids: Iterable[str] = ()) -> None:
        """Heal the rules of these ids, or all."""
        self._plan.clear(ids)
        log.warning("faults_cleared", left=self.texts())
        self._changed([])

    def close(self) -> None:
        """Heal everything: a node that drains must reach the others."""
        if self._plan.active():
            self.clear()

    def _changed(self, new: list[pb.FaultRule]) -> None:
        machine = self._plan.machine_effects()
        self.clock.skew(offset_ms=machine.clock_offset_ms, rate=machine.clock_rate)
        self.store.change(machine)
        self.links.rules_changed(new)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        next_end = self._plan.next_end()
        if next_end < math.inf:
            wait_s = max(0.0, next_end - self._real_clock.monotonic())
            self._timer = self._loop.call_later(wait_s, self._expire)

    def _expire(self) -> None:
        over = self._plan.expire(self._real_clock.monotonic())
        if over:
            log.warning("faults_expired", ids=over, left=self.texts())
        self._changed([])

    def texts(self) -> list[str]:
        """Every rule in force in words, for status and logs."""
        return [f"{active.rule.id}: {describe(active.rule)}" for active in self._plan.active()]

    def describe(self) -> pb.FaultsReply:
        """Every rule in force with the time it has left."""
        reply = pb.FaultsReply(node_id=self._node_id)
        now = self._real_clock.monotonic()
        for active in self._plan.active():
            left_ms = max(0, math.ceil((active.ends_at - now) * 1000))
            reply.faults.add(rule=active.rule, ms_left=left_ms, text=describe(active.rule))
        return reply

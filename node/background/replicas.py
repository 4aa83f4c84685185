"""Replicas where the catalog wants them: drives the members of each partition that this node leads, a step at a time.

Runs on every node, started by node.__main__. What the next step is says node.background.moves; this proposes it, and
node.background.tables tells the catalog when the last one is done.

Laws: nothing is remembered that a crash could take away. A step is taken only by a catalog that the catalog's leader
confirmed since this leadership began: a leader with an older one would bring back what its predecessor has moved.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from node.background.moves import HandOver, Wait, next_step, partition_of
from node.host import NodeHost
from replication.membership import MembershipChange
from replication.outcomes import Outcome
from replication.raft import RaftReplica
from runtime.clock import Clock
from runtime.logs import get_logger
from wire import catalog_pb2

log = get_logger()

CHECK_INTERVAL_S = 0.1
# How often a replica that the catalog names no more asks whether it may go.
ASK_INTERVAL_S = 1.0
# Writes pause while a leadership is handed over: one that did not happen is not tried again in a hurry.
HAND_OVER_RETRY_S = 2.0


@dataclass(slots=True)
class _Leadership:
    """What is remembered of a partition while this node leads it, in one term."""

    term: int
    # When it was first seen.
    since: float
    handed_over_at: float = -math.inf
    # Why it got no further when last looked at: said once, not every time.
    told: str | None = None


class ReplicaDaemon:
    """One node's part in moving replicas."""

    def __init__(
        self, host: NodeHost, clock: Clock, confirmed_at: Callable[[], float], settled: Callable[[], None]
    ) -> None:
        """`confirmed_at`: when the catalog of this node was last known to be the newest, in monotonic seconds.

        `settled` is called when a change of members is committed: there may be something to tell the catalog.
        """
        self._host = host
        self._clock = clock
        self._confirmed_at = confirmed_at
        self._settled = settled
        self._leaderships: dict[int, _Leadership] = {}
        self._asked_at = -math.inf

    async def run(self) -> None:
        """Drive until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            self.drive()

    def drive(self) -> None:
        """Take the step that is next in each partition led here, where one can be taken now."""
        led = self._host.led_groups()
        self._leaderships = {known: one for known, one in self._leaderships.items() if known in led}
        catalog, now = self._host.catalog, self._clock.monotonic()
        for group_id in led:
            partition = partition_of(catalog, group_id)
            group = self._host.group(group_id)
            if partition is not None and group.is_ready_leader:
                self._look(group, partition, now)
        if now - self._asked_at >= ASK_INTERVAL_S:
            self._asked_at = now
            self._ask_for_strangers(catalog)

    def _ask_for_strangers(self, catalog: catalog_pb2.Catalog | None) -> None:
        """Replicas that the catalog names no more hear of nothing by themselves."""
        for group_id in self._host.strangers:
            partition = partition_of(catalog, group_id)
            if partition is not None:
                self._host.group(group_id).ask_whether_member(partition.replicas)

    def _look(self, group: RaftReplica, partition: catalog_pb2.Partition, now: float) -> None:
        leadership = self._leaderships.get(group.group_id)
        if leadership is None or leadership.term != group.term:
            leadership = self._leaderships[group.group_id] = _Leadership(group.term, now)
        if group.is_membership_committed and self._confirmed_at() > leadership.since:
            self._step(leadership, group, partition, now)

    def _step(self, leadership: _Leadership, group: RaftReplica, partition: catalog_pb2.Partition, now: float) -> None:
        step = next_step(group.membership, partition, self._host.settings.node_id, group.is_nearly_caught_up)
        reason: str | None = None
        if isinstance(step, Wait):
            reason = f"{step.learner} has not caught up"
        elif isinstance(step, HandOver):
            reason = self._hand_over(leadership, group, step, now)
        elif step is not None:
            reason = self._change(group, step)
        if reason is not None and reason != leadership.told:
            log.info("move_waits", partition=group.group_id, reason=reason)
        leadership.told = reason

    def _hand_over(self, leadership: _Leadership, group: RaftReplica, step: HandOver, now: float) -> str | None:
        if not step.targets:
            return "no replica that stays has caught up and could lead"
        if now - leadership.handed_over_at >= HAND_OVER_RETRY_S:
            leadership.handed_over_at = now
            log.info("leadership_hand_over", partition=group.group_id, target=step.targets[0])
            self._host.start_transfer(group.group_id, step.targets[0])
        return None

    def _change(self, group: RaftReplica, change: MembershipChange) -> str | None:
        """Propose a change; why it was refused."""

        def ended(outcome: Outcome, _: object) -> None:
            if outcome is Outcome.COMMITTED:
                members = group.membership
                log.info(
                    "membership_changed",
                    partition=group.group_id,
                    voters=list(members.voters),
                    learners=list(members.learners),
                    index=members.index,
                )
                self._settled()

        refusal = group.change_membership(change, ended)
        if refusal is not None:
            return f"{change.kind.value} {change.node_id}: {refusal}"
        self._host.wake(group.group_id)
        return None

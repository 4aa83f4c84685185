"""What a router knows of one partition: who leads it, in which term, which replicas it has, and what waits for it.

Kept and changed by router.routing.state.
"""

from __future__ import annotations

from collections import deque

from router.routing.pending import Pending


class Route:
    """What is known of one partition."""

    __slots__ = ("leader", "leader_term", "parked", "probe_turn", "probed_at_s", "reads", "replicas", "term")

    def __init__(self) -> None:
        self.leader = ""
        # The newest heard of, and the one in which `leader` leads; the latter is 0 when it is believed without a term.
        self.term = 0
        self.leader_term = 0
        self.replicas: tuple[str, ...] = ()
        # Replicas in the order eventual reads prefer them.
        self.reads: tuple[str, ...] = ()
        self.parked: deque[Pending] = deque()
        self.probed_at_s = 0.0
        self.probe_turn = 0

    def has_deposed(self, node_id: str, pending: Pending) -> bool:
        """Whether another node leads, in a later term than the one that the write given to `node_id` is meant for."""
        if self.leader in ("", node_id):
            return False
        return self.leader_term > pending.operation.term or not pending.operation.term

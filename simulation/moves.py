"""The fault MOVE: an operator who wants the replicas of a partition on other machines.

Driven by simulation.faults; what must become of it says simulation.placed. Law: an operator asks as
`trizone partition move` does, goes where the leader of the catalog is said to be, and asks for nothing that the
placement forbids: one replica in each zone.
"""

from __future__ import annotations

import asyncio
import itertools
import random

import grpc
import grpc.aio

from simulation.cluster import Cluster
from simulation.knobs import ZONES
from topology.moves import find, wanted_replicas
from wire import data_pb2, services

# Of a cluster of pace 1.
_CALL_TIMEOUT_S = 1.0
_TRIES_MAX = 6


class Operator:
    """The one who moves replicas."""

    def __init__(self, cluster: Cluster, randomness: random.Random) -> None:
        self.accepted = 0
        self._cluster = cluster
        self._randomness = randomness
        self._addresses = {node.id: node.address for node in cluster.settings.nodes}
        by_zone: dict[str, list[str]] = {}
        for node_id in cluster.knobs.nodes:
            by_zone.setdefault(ZONES[node_id], []).append(node_id)
        self._targets = list(itertools.product(*by_zone.values()))

    def move(self) -> None:
        """Ask for another place of some partition: also of one that is on its way, which may be refused."""
        group_id = self._randomness.choice(self._cluster.knobs.groups)
        catalog = self._cluster.newest_catalog()
        partition = find(catalog, group_id) if catalog is not None else None
        if partition is None:
            return
        wanted = set(wanted_replicas(partition))
        others = [target for target in self._targets if set(target) != wanted]
        if not others:
            # Three machines are where they are.
            return
        target = self._randomness.choice(others)
        request = data_pb2.MoveRequest(partition=group_id, target_replicas=target)
        first = self._randomness.choice(partition.replicas)

        def begin() -> None:
            asyncio.get_running_loop().create_task(self._ask(request, first), name="operator")

        self._cluster.clients.begin(begin)

    async def _ask(self, request: data_pb2.MoveRequest, node_id: str) -> None:
        """Until somebody who leads the catalog has said something, a few times."""
        pace = self._cluster.knobs.pace
        for _ in range(_TRIES_MAX):
            reply = await self._ask_node(request, node_id, _CALL_TIMEOUT_S * pace)
            if reply is not None and (reply.accepted or reply.reason):
                self.accepted += reply.accepted
                answer = "accepted" if reply.accepted else reply.reason
                self._cluster.world.tell(f"move of {request.partition} to {list(request.target_replicas)}: {answer}")
                return
            node_id = (reply.leader if reply is not None else "") or self._randomness.choice(self._cluster.knobs.nodes)
            await asyncio.sleep(self._randomness.uniform(0.05, 0.3) * pace)

    async def _ask_node(
        self, request: data_pb2.MoveRequest, node_id: str, timeout_s: float
    ) -> data_pb2.MoveReply | None:
        channel = self._cluster.pipes.open_channel(self._cluster.clients)(self._addresses[node_id])
        call = channel.unary_unary(
            services.ADMIN_MOVE,
            request_serializer=data_pb2.MoveRequest.SerializeToString,
            response_deserializer=data_pb2.MoveReply.FromString,
        )
        try:
            reply: data_pb2.MoveReply = await call(request, timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return None
        return reply

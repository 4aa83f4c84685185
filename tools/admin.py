"""What an operator asks nodes to do: sweep expired items, delay global indexes, move replicas.

Called by the commands of tools.cli. Law: asking twice does no harm, so a call that failed is just made again; who did
not answer is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from tools.errors import CommandError
from tools.probe import reachable_host
from topology.settings import NodeSettings, join_address
from wire import data_pb2 as pb
from wire.services import ADMIN_MOVE, ADMIN_SET_INDEX_DELAY, ADMIN_SWEEP, CHANNEL_OPTIONS

# A sweep reads every row of its tables.
SWEEP_TIMEOUT_S = 600.0
COMMAND_TIMEOUT_S = 5.0


class Operator:
    """Channels to all nodes of a cluster; close it."""

    def __init__(self, nodes: Sequence[NodeSettings]) -> None:
        self._channels = {
            node.id: grpc.insecure_channel(
                join_address(reachable_host(node.host), node.port), options=list(CHANNEL_OPTIONS)
            )
            for node in nodes
        }

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels.values():
            channel.close()

    def sweep(self) -> int:
        """Have every node delete what is expired in the partitions it leads; the number of items deleted.

        Raises CommandError when a node did not answer: others may have taken its partitions over meanwhile.
        """
        waiting = {
            node: self._sweep_call(channel).future(pb.SweepRequest(), timeout=SWEEP_TIMEOUT_S)
            for node, channel in self._channels.items()
        }
        deleted, silent = 0, []
        for node, future in waiting.items():
            try:
                deleted += future.result().deleted
            except grpc.RpcError as error:
                silent.append(f"{node} ({_reason(error)})")
        if silent:
            raise CommandError(
                f"{deleted} expired items deleted, but no answer from {', '.join(silent)}",
                hint="the same again, once every partition has a leader",
            )
        return deleted

    @staticmethod
    def _sweep_call(channel: grpc.Channel) -> Any:
        return channel.unary_unary(
            ADMIN_SWEEP,
            request_serializer=pb.SweepRequest.SerializeToString,
            response_deserializer=pb.SweepReply.FromString,
        )

    def set_index_delay(self, index_delay_ms: int) -> None:
        """Set the delay through the catalog's leader, whoever it is. Raises CommandError when there is none."""
        request = pb.IndexDelayRequest(index_delay_ms=index_delay_ms)
        self._ask_catalog_leader(ADMIN_SET_INDEX_DELAY, request, pb.IndexDelayReply, "the delay was not set")

    def move(self, partition: int, target: Sequence[str]) -> None:
        """Let the catalog say where the replicas of a partition shall be. Raises CommandError with why it does not."""
        request = pb.MoveRequest(partition=partition, target_replicas=target)
        reply: pb.MoveReply = self._ask_catalog_leader(
            ADMIN_MOVE, request, pb.MoveReply, f"partition {partition} was not moved"
        )
        if not reply.accepted:
            raise CommandError(f"partition {partition} is not moved: {reply.reason}")

    def _ask_catalog_leader(self, method: str, request: Any, reply_type: Any, failure: str) -> Any:
        """The answer of the catalog's leader, whoever it is. Raises CommandError when there is none."""
        refusals = []
        for node, channel in self._channels.items():
            call: Any = channel.unary_unary(
                method,
                request_serializer=type(request).SerializeToString,
                response_deserializer=reply_type.FromString,
            )
            try:
                reply = call(request, timeout=COMMAND_TIMEOUT_S)
            except grpc.RpcError as error:
                refusals.append(f"{node}: {_reason(error)}")
                continue
            if reply.accepted or getattr(reply, "reason", ""):
                return reply
            refusals.append(f"{node} does not lead the catalog")
        raise CommandError(f"{failure}: {', '.join(refusals)}", hint="the same again, once the catalog has a leader")


def _reason(error: grpc.RpcError) -> str:
    # Every error of a call is also the call, which the type stubs do not say.
    code: grpc.StatusCode = error.code()
    return code.name.lower().replace("_", " ")

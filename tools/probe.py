"""Asks running processes how they are: nodes over gRPC, routers over HTTP.

Called by `trizone status` and by the supervisor while it waits. Law: an answer or the reason why there is none, always
within the given time; one dead process never delays what is said of the others.
"""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc

from topology.settings import NodeSettings, RouterSettings, join_address
from wire import data_pb2 as pb
from wire.services import ADMIN_STATUS, CHANNEL_OPTIONS

PROBE_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class NodeAnswer:
    """What a node said, or why it said nothing."""

    node_id: str
    status: pb.NodeStatus | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RouterAnswer:
    """Whether a router is ready to serve, or why not."""

    router_id: str
    ready: bool
    reason: str = ""


class NodeProbe:
    """Asks all nodes at once over channels that stay open between calls."""

    def __init__(self, nodes: Sequence[NodeSettings], cluster_id: str) -> None:
        self._cluster_id = cluster_id
        self._addresses = {node.id: join_address(reachable_host(node.host), node.port) for node in nodes}
        self._channels: dict[str, grpc.Channel] = {}
        self._calls: dict[str, Any] = {}
        for node_id in self._addresses:
            self._open(node_id)

    def __enter__(self) -> NodeProbe:
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels.values():
            channel.close()

    def _open(self, node_id: str) -> None:
        channel = grpc.insecure_channel(self._addresses[node_id], options=list(CHANNEL_OPTIONS))
        self._channels[node_id] = channel
        self._calls[node_id] = channel.unary_unary(
            ADMIN_STATUS,
            request_serializer=pb.StatusRequest.SerializeToString,
            response_deserializer=pb.NodeStatus.FromString,
        )

    def ask(self, timeout_s: float = PROBE_TIMEOUT_S) -> list[NodeAnswer]:
        """One answer for each node, in the order of the settings."""
        waiting = {node_id: call.future(pb.StatusRequest(), timeout=timeout_s) for node_id, call in self._calls.items()}
        return [self._answer(node_id, future) for node_id, future in waiting.items()]

    def _answer(self, node_id: str, future: Any) -> NodeAnswer:
        try:
            status: pb.NodeStatus = future.result()
        except grpc.RpcError:
            if future.code() == grpc.StatusCode.UNAVAILABLE:
                # gRPC looks after a channel without calls under way every five seconds only: a node that has just
                # started would go unnoticed for so long. A new channel connects with its first call.
                self._channels[node_id].close()
                self._open(node_id)
            return NodeAnswer(node_id, None, _reason(future.code(), future.details() or ""))
        except grpc.FutureCancelledError:
            return NodeAnswer(node_id, None, "the call was cancelled")
        if status.node_id != node_id or status.cluster_id != self._cluster_id:
            # Its port was taken over by a node of another cluster.
            who = f"node {status.node_id} of cluster {status.cluster_id}"
            return NodeAnswer(node_id, None, f"{who} answers at its address")
        return NodeAnswer(node_id, status)


def _reason(code: grpc.StatusCode, details: str) -> str:
    if code == grpc.StatusCode.UNAVAILABLE:
        return "no connection"
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return "no answer in time"
    return f"{code.name}: {details}"


def ask_routers(routers: Sequence[RouterSettings], timeout_s: float = PROBE_TIMEOUT_S) -> list[RouterAnswer]:
    """GET / of every router, all at once; ready means 200 and a text that begins with `healthy`."""
    with ThreadPoolExecutor(max_workers=min(32, len(routers))) as pool:
        return list(pool.map(lambda router: _ask_router(router, timeout_s), routers))


def _ask_router(router: RouterSettings, timeout_s: float) -> RouterAnswer:
    connection = http.client.HTTPConnection(reachable_host(router.http_host), router.http_port, timeout=timeout_s)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        # A router's answer is a short line; whatever else listens there may send more.
        text = response.read(256).decode("utf-8", errors="replace").strip()
    except TimeoutError:
        return RouterAnswer(router.id, False, "no answer in time")
    except ConnectionRefusedError:
        return RouterAnswer(router.id, False, "no connection")
    except (OSError, http.client.HTTPException) as error:
        return RouterAnswer(router.id, False, str(error) or type(error).__name__)
    finally:
        connection.close()
    if response.status == 200 and text.startswith("healthy"):
        return RouterAnswer(router.id, True)
    return RouterAnswer(router.id, False, f"HTTP {response.status}: {text}")


def reachable_host(host: str) -> str:
    """Where to dial a server that listens on `host`: a wildcard listens everywhere, but is no address to dial."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)

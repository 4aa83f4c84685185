"""The gRPC services by name, without generated service classes: method paths and typed handlers.

Used by the shells of node, router, replication and tools. Law: this is the only place where a method path is spelt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from wire import data_pb2, replication_pb2

DATA_PIPE = "/trizone.v1.Data/Pipe"
PEER_PIPE = "/trizone.v1.Peer/Pipe"
ADMIN_STATUS = "/trizone.v1.Admin/Status"
ADMIN_TRANSFER = "/trizone.v1.Admin/Transfer"
ADMIN_SWEEP = "/trizone.v1.Admin/Sweep"
ADMIN_SET_INDEX_DELAY = "/trizone.v1.Admin/SetIndexDelay"
ADMIN_MOVE = "/trizone.v1.Admin/Move"
CONTROL_REPORT = "/trizone.v1.Control/Report"
FAULTS_SET = "/trizone.v1.Faults/SetRules"
FAULTS_CLEAR = "/trizone.v1.Faults/ClearRules"
FAULTS_DESCRIBE = "/trizone.v1.Faults/Describe"
# The metadata key that every call of Faults must carry.
FAULT_TOKEN_METADATA = "trizone-fault-token"

# Frames are bounded by their senders well below this; a larger one is refused by gRPC as RESOURCE_EXHAUSTED.
FRAME_BYTES_MAX = 64 * 1024 * 1024

CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 50),
    # Also the time-out of one attempt to connect: a handshake on a busy machine takes its time.
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
    # Several clusters and restarts in one test process: never share a connection between channels.
    ("grpc.use_local_subchannel_pool", 1),
)
SERVER_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    # Two processes on one port would each get half of the connections: refuse the second.
    ("grpc.so_reuseport", 0),
    # A router or node that vanished without closing must not be counted as connected for hours.
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
)

_Deserializer = Callable[[bytes], Any]
# How a process reaches a server at an address: the network, or that of a simulation.
OpenChannel = Callable[[str], grpc.aio.Channel]


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel of its own to the server at `address`."""
    return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)


def data_pipe(channel: grpc.aio.Channel) -> grpc.aio.StreamStreamCall[data_pb2.RouterFrame, data_pb2.NodeFrame]:
    """Open a router's stream to a node."""
    call: Any = channel.stream_stream(
        DATA_PIPE,
        request_serializer=data_pb2.RouterFrame.SerializeToString,
        response_deserializer=data_pb2.NodeFrame.FromString,
    )
    stream: grpc.aio.StreamStreamCall[data_pb2.RouterFrame, data_pb2.NodeFrame] = call()
    return stream


def peer_pipe(
    channel: grpc.aio.Channel,
) -> grpc.aio.StreamStreamCall[replication_pb2.PeerFrame, replication_pb2.PeerAck]:
    """Open a node's stream to another node."""
    call: Any = channel.stream_stream(
        PEER_PIPE,
        request_serializer=replication_pb2.PeerFrame.SerializeToString,
        response_deserializer=replication_pb2.PeerAck.FromString,
    )
    stream: grpc.aio.StreamStreamCall[replication_pb2.PeerFrame, replication_pb2.PeerAck] = call()
    return stream


StreamHandler = Callable[[AsyncIterator[Any], "grpc.aio.ServicerContext[Any, Any]"], AsyncIterator[Any]]
UnaryHandler = Callable[[Any, "grpc.aio.ServicerContext[Any, Any]"], Awaitable[Any]]


def stream_handler(path: str, request: _Deserializer, handler: StreamHandler) -> grpc.GenericRpcHandler:
    """A bidirectional method at `path`."""
    service, method = path.strip("/").split("/")
    rpc: Any = grpc.stream_stream_rpc_method_handler(
        handler,
        request_deserializer=request,
        response_serializer=lambda message: message.SerializeToString(),
    )
    return grpc.method_handlers_generic_handler(service, {method: rpc})


def unary_handlers(
    handlers: dict[str, tuple[_Deserializer, UnaryHandler]],
) -> list[grpc.GenericRpcHandler]:
    """Request-response methods by path."""
    services: dict[str, dict[str, Any]] = {}
    for path, (request, handler) in handlers.items():
        service, method = path.strip("/").split("/")
        services.setdefault(service, {})[method] = grpc.unary_unary_rpc_method_handler(
            handler,
            request_deserializer=request,
            response_serializer=lambda message: message.SerializeToString(),
        )
    return [grpc.method_handlers_generic_handler(service, methods) for service, methods in services.items()]

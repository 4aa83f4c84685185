"""Raft messages over gRPC: one stream for each ordered pair of nodes, all groups multiplexed.

Started by node.__main__. The dialling side only sends, the accepting side only answers the hello. Law 3: a stream is
first-in-first-out and fenced: every connection has a larger epoch than the one before, the acceptor drops what still
arrives on an older stream, and both ends are told when the stream goes down. A message is never carried over to the
next connection: the groups start again by probing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import grpc
import grpc.aio

from replication.messages import CorruptMessage, Message, decode, encode_into
from runtime.logs import get_logger
from runtime.pacing import Pacer
from wire import replication_pb2, services

log = get_logger()

# Frames wait here while one is being written. A peer that stops reading is cut off rather than buffered for.
QUEUED_BYTES_MAX = 48 * 1024 * 1024
_HELLO_TIMEOUT_S = 2.0
# All the ways in which a stream ends that are the network's or the other process's doing. A writer that wakes between
# the end of the call and the end of its reader gets InvalidStateError: it must not end the process.
_BROKEN = (
    grpc.aio.AioRpcError,
    grpc.aio.UsageError,
    asyncio.InvalidStateError,
    TimeoutError,
    OSError,
    EOFError,
)
_RECONNECT_DELAY_S = 0.1
# A message that can wait leaves with the next one that cannot, at the latest after this.
CAN_WAIT_S = 0.005


class PeerEvents(Protocol):
    """What the node's host hears from its links."""

    def message_arrived(self, sender: str, group_id: int, message: Message) -> None:
        """One message of a live stream."""
        ...

    def peer_connected(self, peer: str) -> None:
        """The stream to `peer` is up."""
        ...

    def peer_disconnected(self, peer: str) -> None:
        """The stream to `peer` is down."""
        ...

    def peer_lost(self, peer: str) -> None:
        """The stream from `peer` ended."""
        ...


class PeerLink:
    """The stream from this node to one other."""

    def __init__(
        self,
        *,
        node_id: str,
        cluster_id: str,
        peer: str,
        address: str,
        first_epoch: int,
        pacer: Pacer,
        events: PeerEvents,
        count_frame: Callable[[], None],
        open_call: Callable[[grpc.aio.Channel], Any] = services.peer_pipe,
    ) -> None:
        """`open_call` opens the stream on a channel; with fault injection it is a shaped one."""
        self.peer = peer
        self.is_up = False
        self._node_id = node_id
        self._cluster_id = cluster_id
        self._address = address
        self._epoch = first_epoch
        self._pacer = pacer
        self._events = events
        self._count_frame = count_frame
        self._open_call = open_call
        self._frame = replication_pb2.PeerFrame()
        self._queued_bytes = 0
        self._overflowed = False
        self._wake = asyncio.Event()
        self._waiting: asyncio.TimerHandle | None = None

    def send(self, group_id: int, message: Message) -> None:
        """Queue one message; dropped while the link is down."""
        if not self.is_up or self._overflowed:
            return
        encode_into(self._frame, group_id, message)
        for entry in message.entries:
            self._queued_bytes += len(entry[0])
        self._queued_bytes += len(message.chunk)
        if self._queued_bytes > QUEUED_BYTES_MAX:
            # Dropping one message of a stream would reorder it: the whole connection has to go.
            self._overflowed = True
        if not message.can_wait or self._overflowed:
            self._wake.set()
        elif self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(CAN_WAIT_S, self._wake.set)

    async def run(self) -> None:
        """Connect, send and reconnect until cancelled."""
        while True:
            try:
                await self._connect_and_send()
            except _BROKEN as error:
                reason = error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
                was_up = self.is_up
                self._down()
                if was_up:
                    log.info("peer_link_down", peer=self.peer, reason=reason)
            finally:
                self._down()
            await asyncio.sleep(_RECONNECT_DELAY_S)

    def _down(self) -> None:
        was_up, self.is_up = self.is_up, False
        self._frame = replication_pb2.PeerFrame()
        self._queued_bytes = 0
        self._overflowed = False
        self._wait_no_more()
        if was_up:
            self._events.peer_disconnected(self.peer)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    async def _connect_and_send(self) -> None:
        async with grpc.aio.insecure_channel(self._address, options=services.CHANNEL_OPTIONS) as channel:
            call = self._open_call(channel)
            try:
                await self._greet(call)
                self.is_up = True
                log.info("peer_link_up", peer=self.peer, epoch=self._epoch)
                self._events.peer_connected(self.peer)
                # The acceptor never speaks again: this read ends with the stream, noticed without sending.
                ended = asyncio.ensure_future(call.read())
                ended.add_done_callback(self._stream_ended)
                try:
                    await self._send_until(call, ended)
                finally:
                    ended.cancel()
            finally:
                call.cancel()

    def _stream_ended(self, ended: asyncio.Future[Any]) -> None:
        if not ended.cancelled():
            # Looked at, or it is reported as an error that nobody wanted to know.
            ended.exception()
        self._wake.set()

    async def _greet(self, call: Any) -> None:
        self._epoch += 1
        hello = replication_pb2.PeerHello(
            node_id=self._node_id, cluster_id=self._cluster_id, epoch=self._epoch, target=self.peer
        )
        async with asyncio.timeout(_HELLO_TIMEOUT_S):
            await call.write(replication_pb2.PeerFrame(hello=hello))
            answer = await call.read()
        if not isinstance(answer, replication_pb2.PeerAck):
            raise ConnectionError("the peer closed the stream")
        # Epochs start at the wall clock; if that was set back, go on above what the peer has seen.
        self._epoch = max(self._epoch, answer.epoch)
        if not answer.accepted:
            log.error("peer_refused", peer=self.peer, address=self._address, reason=answer.reason)
            raise ConnectionError(answer.reason)

    async def _send_until(self, call: Any, ended: asyncio.Future[Any]) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._wait_no_more()
            if ended.done():
                raise ConnectionError("the stream ended")
            if self._overflowed:
                raise ConnectionError("the peer does not read")
            frame, self._frame = self._frame, replication_pb2.PeerFrame()
            count = len(frame.messages)
            if not count:
                continue
            self._queued_bytes = 0
            await call.write(frame)
            self._count_frame()
            # Frames of a busy stream keep a distance, so that each carries more; a lone message never waits.
            if count > 1:
                await self._pacer.pause()


class PeerLinks:
    """All streams from this node; implements node.host.Links."""

    def __init__(self) -> None:
        self.links: dict[str, PeerLink] = {}

    def add(self, link: PeerLink) -> None:
        """Send to `link.peer` through `link`."""
        self.links[link.peer] = link

    def send(self, target: str, group_id: int, message: Message) -> None:
        """Queue for the stream to `target`."""
        self.links[target].send(group_id, message)


class PeerService:
    """The accepting side."""

    def __init__(
        self,
        *,
        node_id: str,
        cluster_id: str,
        peers: frozenset[str],
        events: PeerEvents,
        count_frame: Callable[[], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._node_id = node_id
        self._cluster_id = cluster_id
        self._peers = peers
        self._events = events
        self._count_frame = count_frame
        self._broken = broken
        self._epochs: dict[str, int] = {}

    def _refusal(self, hello: replication_pb2.PeerHello) -> str:
        if hello.cluster_id != self._cluster_id:
            return f"this node belongs to cluster {self._cluster_id}, not {hello.cluster_id}"
        if hello.target != self._node_id:
            return f"this node is {self._node_id}, not {hello.target}"
        if hello.node_id not in self._peers:
            return f"node {hello.node_id} is not part of the cluster"
        if hello.epoch <= self._epochs.get(hello.node_id, 0):
            return f"epoch {hello.epoch} is older than the one seen"
        return ""

    async def pipe(
        self, frames: AsyncIterator[replication_pb2.PeerFrame], _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[replication_pb2.PeerAck]:
        """Serve one incoming stream until it ends."""
        first = await anext(aiter(frames), None)
        if first is None:
            return
        hello = first.hello
        reason = self._refusal(hello)
        sender, epoch = hello.node_id, hello.epoch
        if reason:
            yield replication_pb2.PeerAck(accepted=False, reason=reason, epoch=self._epochs.get(sender, 0))
            return
        # Before anything is awaited: of two connections that arrive together, the newer one must win.
        self._epochs[sender] = epoch
        yield replication_pb2.PeerAck(accepted=True, epoch=epoch)
        try:
            async for frame in frames:
                if self._epochs[sender] != epoch:
                    return  # a newer connection took over
                self._count_frame()
                self._deliver(sender, frame)
        except CorruptMessage as error:
            log.error("corrupt_message", peer=sender, reason=str(error))
        finally:
            if self._epochs[sender] == epoch:
                self._events.peer_lost(sender)

    def _deliver(self, sender: str, frame: replication_pb2.PeerFrame) -> None:
        arrived = self._events.message_arrived
        try:
            for raw in frame.messages:
                arrived(sender, raw.group, decode(raw))
        except CorruptMessage:
            raise
        except Exception as error:
            # A group that breaks an invariant while taking a message must stop the process, not just this stream.
            self._broken(error)
            raise

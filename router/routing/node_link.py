"""The stream to one node: connect, greet, bundle operations into frames, hand results back, reconnect.

Owned by router.routing.dispatcher. A thin shell: every decision is in router.routing.state and router.routing.waves.
Laws: operations of one wave share one frame and frames leave in order; a frame is marked sent before its write begins,
so a failed write never passes for an operation that was not sent.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Protocol

import grpc.aio
from google.protobuf.message import DecodeError

from router import limits
from router.metrics import StreamCounts
from router.routing.departures import Departures
from router.routing.pending import RANGE_KINDS, Pending
from runtime.logs import get_logger
from wire import data_pb2 as pb
from wire.services import OpenChannel, data_pipe, open_channel

log = get_logger()

# Of an encoded operation beyond its item and expressions: key, ids, tags.
_OPERATION_OVERHEAD_BYTES = 128

# All the ways in which a stream ends that are the network's or the other process's doing.
_BROKEN = (
    grpc.aio.AioRpcError,
    grpc.aio.UsageError,
    asyncio.InvalidStateError,
    DecodeError,
    OSError,
    TimeoutError,
    EOFError,
)

_Call = grpc.aio.StreamStreamCall[pb.RouterFrame, pb.NodeFrame]


class LinkOwner(Protocol):
    """Who acts on what the stream says."""

    def link_up(self, node_id: str, hybrid_time: int) -> None:
        """The node has greeted, at this time of its own; operations may be sent."""
        ...

    def link_down(self, node_id: str) -> None:
        """The stream is lost."""
        ...

    def frame_received(self, node_id: str, frame: pb.NodeFrame) -> None:
        """Anything after the greeting."""
        ...


class WrongPeer(Exception):
    """The process at the address is not the node it should be."""


class NodeLink:
    """One node's stream, made again whenever it breaks."""

    def __init__(
        self,
        *,
        node_id: str,
        address: str,
        hello: pb.RouterHello,
        owner: LinkOwner,
        departures: Departures,
        counts: StreamCounts,
        connect_ms: int,
        rng: random.Random,
        open_channel: OpenChannel = open_channel,
    ) -> None:
        self.node_id = node_id
        self.address = address
        # With the number of the stream it is this link's own.
        self._hello = pb.RouterHello()
        self._hello.CopyFrom(hello)
        self._owner = owner
        self._departures = departures
        self._stream = departures.add_stream(self._leave)
        # Pages of Query and Scan under way: they take their own time, and nobody is to wait for them.
        self._pages: set[int] = set()
        self._counts = counts
        self._connect_s = connect_ms / 1000
        self._rng = rng
        self._open_channel = open_channel
        self._queue: list[Pending] = []
        self._queued_bytes = 0
        self._catalog_version = 0
        self._acknowledge = False
        self._wake = asyncio.Event()
        self._first_frame = pb.NodeFrame()

    # --- called by the dispatcher -------------------------------------------------------------------------------

    def send(self, pending: Pending) -> bool:
        """Queue for the next frame; False when the queue is at its byte limit. Hot path."""
        operation = pending.operation
        size = pending.bytes = len(operation.item) + len(operation.expressions) + _OPERATION_OVERHEAD_BYTES
        if self._queued_bytes + size > limits.QUEUED_BYTES_MAX:
            return False
        self._queued_bytes += size
        self._queue.append(pending)
        self._departures.queued(size)
        return True

    def _leave(self) -> None:
        if self._queue:
            self._wake.set()

    def acknowledge(self, catalog_version: int) -> None:
        """Tell the node which catalog this router serves from."""
        self._catalog_version = catalog_version
        self._acknowledge = True
        self._wake.set()

    async def run(self) -> None:
        """Keep the stream until cancelled.

        Nothing else ends it: without its link a node would stay unknown to this router until the router is restarted.
        """
        attempt = 0
        while True:
            wait_ms = 0.0
            try:
                await self._connect_and_serve()
                attempt = 0
            except WrongPeer as error:
                log.error("wrong_node", node=self.node_id, address=self.address, reason=str(error))
                wait_ms = limits.MISMATCH_RETRY_MS
            except _BROKEN as error:
                if attempt == 0:
                    # Once for each outage: a node that stays down would fill the log.
                    reason = error.details() if isinstance(error, grpc.aio.AioRpcError) else repr(error)
                    log.warning("node_unreachable", node=self.node_id, address=self.address, reason=reason)
            except asyncio.CancelledError:
                # A call that was cancelled beneath this task raises it too: only the task's own ends the link.
                if _is_cancelled():
                    raise
                log.warning(
                    "node_unreachable", node=self.node_id, address=self.address, reason="the call was cancelled"
                )
            except Exception as error:
                log.error("link_failed", node=self.node_id, address=self.address, exc_info=error)
            if _is_cancelled():
                # An error on the way out has taken the cancellation's place; without it `close` would wait for ever.
                raise asyncio.CancelledError
            if not wait_ms:
                ceiling = min(limits.RECONNECT_MS_MAX, limits.RECONNECT_MS_MIN << min(attempt, 6))
                wait_ms = ceiling * (0.5 + self._rng.random() / 2)
            attempt += 1
            await asyncio.sleep(wait_ms / 1000)

    # --- one connection -----------------------------------------------------------------------------------------

    async def _connect_and_serve(self) -> None:
        """Returns when a stream that had been up ends; raises when none came up."""
        # One for each connection: a channel that has failed waits out a back-off of its own.
        async with self._open_channel(self.address) as channel:
            call = data_pipe(channel)
            try:
                async with asyncio.timeout(self._connect_s):
                    await self._greet(call)
                try:
                    self._up()
                    await self._serve(call)
                finally:
                    self._down()
            finally:
                call.cancel()

    async def _greet(self, call: _Call) -> None:
        # The node ends older streams: what may still lie in them must not be done after what is repeated on this one.
        self._hello.stream += 1
        first = pb.RouterFrame(hello=self._hello, catalog_version=self._catalog_version)
        await call.write(first)
        frame = await self._read(call)
        if not frame.HasField("hello"):
            raise WrongPeer("its first frame is no greeting")
        hello = frame.hello
        if hello.cluster_id != self._hello.cluster_id:
            raise WrongPeer(f"it belongs to cluster {hello.cluster_id}, this router to {self._hello.cluster_id}")
        if hello.node_id != self.node_id:
            raise WrongPeer(f"it is node {hello.node_id}")
        self._first_frame = frame

    async def _read(self, call: _Call) -> pb.NodeFrame:
        received = await call.read()
        if not isinstance(received, pb.NodeFrame):  # grpc.aio.EOF
            # Raises AioRpcError with the status unless the node ended the stream in order.
            code = await call.code()
            raise EOFError(f"the node ended the stream ({code.name})")
        return received

    def _up(self) -> None:
        self._counts.connected = 1
        self._counts.connects += 1
        self._forget_queue()
        if self._catalog_version > 0:
            self._acknowledge = True
            self._wake.set()
        self._owner.link_up(self.node_id, self._first_frame.hybrid_time)
        log.info("node_connected", node=self.node_id, address=self.address)
        self._owner.frame_received(self.node_id, self._first_frame)

    def _down(self) -> None:
        self._counts.connected = 0
        self._forget_queue()
        self._pages.clear()
        self._departures.lost(self._stream)
        # First: operations on the stream must end or move whatever becomes of the log line.
        self._owner.link_down(self.node_id)
        log.warning("node_disconnected", node=self.node_id, address=self.address)

    def _forget_queue(self) -> None:
        self._departures.dequeued(len(self._queue), self._queued_bytes)
        self._queue.clear()
        self._queued_bytes = 0

    async def _serve(self, call: _Call) -> None:
        """Read until the stream breaks; a failing writer ends it too."""
        writer = asyncio.create_task(self._write(call), name=f"write:{self.node_id}")
        # A reader that waits for a node learns of a failed write only from its call.
        writer.add_done_callback(lambda _: call.cancel())
        counts, owner, node_id = self._counts, self._owner, self.node_id
        try:
            while True:
                frame = await self._read(call)
                counts.frames_received += 1
                owner.frame_received(node_id, frame)
                results = frame.results
                if results:
                    counts.received_batches.observe(len(results))
                    self._departures.answered(self._stream, len(results) - self._pages_in(results))
        except _BROKEN as error:
            log.info("stream_ended", node=node_id, reason=repr(error))
        except asyncio.CancelledError:
            # The call's own cancellation looks like the task's: only the latter asks this task to end.
            if _is_cancelled():
                raise
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def _pages_in(self, results: Sequence[pb.Result]) -> int:
        if not self._pages:
            return 0
        answered = self._pages.intersection([result.id for result in results])
        self._pages -= answered
        return len(answered)

    async def _write(self, call: _Call) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            frame = pb.RouterFrame()
            operations = self._take()
            if operations:
                frame.operations.extend(operations)
            elif not self._acknowledge:
                continue
            if self._acknowledge:
                self._acknowledge = False
                frame.catalog_version = self._catalog_version
            await call.write(frame)
            self._counts.frames_sent += 1
            if operations:
                self._counts.sent_batches.observe(len(operations))

    def _take(self) -> list[pb.Operation]:
        """The operations of the next frame, marked as sent.

        What was given up or went to another node while it waited is left out, and so is what waits here twice.
        """
        queue = self._queue
        count = frame_bytes = 0
        for pending in queue:
            if count and (frame_bytes + pending.bytes > limits.FRAME_BYTES_MAX or count >= limits.FRAME_OPERATIONS_MAX):
                break
            count += 1
            frame_bytes += pending.bytes
        taken = queue[:count]
        self._queue = queue[count:]
        self._queued_bytes -= frame_bytes
        if self._queue:
            self._wake.set()
        operations = []
        for pending in taken:
            if not pending.done and not pending.sent and pending.node == self.node_id:
                pending.sent = True
                operations.append(pending.operation)
        self._departures.dequeued(count, frame_bytes)
        if operations:
            pages = [operation.id for operation in operations if operation.kind in RANGE_KINDS]
            self._pages.update(pages)
            self._departures.left(self._stream, len(operations) - len(pages))
        return operations


def _is_cancelled() -> bool:
    """Is the running task itself asked to end?"""
    current = asyncio.current_task()
    return current is not None and bool(current.cancelling())

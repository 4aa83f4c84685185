"""Every stream of a node passes through here where fault injection is on: opened, shaped, told of new rules.

Wired by node.__main__ around the handlers and calls of replication.transport.grpc, node.service and
node.background.tables, which do not know of it. Law: the only way in and out for a frame is the pipe of its end, so a
cut leaves no side door; the management calls (status, faults) stay open, as a console of a machine does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio

from node.faults.plan import LinkEnd, Plan, matches
from replication.transport.shaped import LinkBroken, ShapedCall, ShapedPipe, feed
from replication.transport.shaping import Direction
from runtime.clock import Clock
from runtime.logs import get_logger
from wire import data_pb2, faults_pb2, replication_pb2, services

log = get_logger()

NameOf = Callable[[Any], str]


class FaultyLinks:
    """All open pipes of this node."""

    def __init__(self, plan: Plan, clock: Clock, randomness: random.Random) -> None:
        self._plan = plan
        self._clock = clock
        self._randomness = randomness
        self._pipes: dict[ShapedPipe[Any], LinkEnd] = {}

    def rules_changed(self, new: list[faults_pb2.FaultRule]) -> None:
        """Give every pipe its effects; `new` rules that reset break what is open now."""
        resets = [rule.link for rule in new if rule.HasField("link") and rule.link.reset]
        for pipe, end in self._pipes.items():
            pipe.change(self._plan.link_effects(end))
            if any(matches(fault, end) for fault in resets):
                pipe.reset()

    def _open(self, end: LinkEnd) -> ShapedPipe[Any]:
        effects = self._plan.link_effects(end)
        pipe: ShapedPipe[Any] = ShapedPipe(effects, self._clock.monotonic, self._randomness.random)
        self._pipes[pipe] = end
        return pipe

    def _close(self, pipe: ShapedPipe[Any]) -> None:
        self._pipes.pop(pipe, None)
        pipe.close()

    @contextmanager
    def _opened(self, end: LinkEnd) -> Any:
        pipe = self._open(end)
        try:
            yield pipe
        finally:
            self._close(pipe)

    # ------------------------------------------------------------------ streams between nodes
    def dial_peer(self, peer: str) -> Callable[[grpc.aio.Channel], ShapedCall]:
        """In place of wire.services.peer_pipe: the stream to `peer`."""

        def dial(channel: grpc.aio.Channel) -> ShapedCall:
            pipe = self._open(LinkEnd(False, peer, Direction.OUT))
            return ShapedCall(services.peer_pipe(channel), pipe, lambda: self._close(pipe))

        return dial

    def accept_peers(self, handler: services.StreamHandler) -> services.StreamHandler:
        """Around PeerService.pipe. The two directions of a link are two streams: here is what comes in."""

        async def pipe(frames: AsyncIterator[replication_pb2.PeerFrame], context: Any) -> AsyncIterator[Any]:
            first = await anext(aiter(frames), None)
            if first is None:
                return
            with self._opened(LinkEnd(False, first.hello.node_id, Direction.IN)) as incoming:
                await incoming.put(first, first.ByteSize())
                feeder = asyncio.ensure_future(feed(frames, incoming))
                try:
                    async for answer in handler(_drain(incoming, first.hello.node_id), context):
                        yield answer
                finally:
                    await _end(feeder)

        return pipe

    # ------------------------------------------------------------------ routers' streams
    def accept_routers(self, handler: services.StreamHandler) -> services.StreamHandler:
        """Around NodeService.pipe: both directions of one stream."""

        async def pipe(frames: AsyncIterator[data_pb2.RouterFrame], context: Any) -> AsyncIterator[Any]:
            first = await anext(aiter(frames), None)
            if first is None:
                return
            name = first.hello.router_id
            with (
                self._opened(LinkEnd(True, name, Direction.IN)) as incoming,
                self._opened(LinkEnd(True, name, Direction.OUT)) as outgoing,
            ):
                await incoming.put(first, first.ByteSize())
                feeder = asyncio.ensure_future(feed(frames, incoming))
                pump = asyncio.ensure_future(feed(handler(_drain(incoming, name), context), outgoing))
                try:
                    async for answer in _drain(outgoing, name):
                        yield answer
                finally:
                    await _end(feeder, pump)

        return pipe

    # ------------------------------------------------------------------ single calls between nodes
    async def _pass_once(self, end: LinkEnd) -> None:
        with self._opened(end) as pipe:
            await pipe.put(end, 0)
            await pipe.get()

    def dial_report(self, peer: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Around one request to `peer` and its answer."""

        async def shaped(request: Any, **options: float) -> Any:
            try:
                async with asyncio.timeout(options["timeout"]):
                    await self._pass_once(LinkEnd(False, peer, Direction.OUT))
                    answer = await call(request, **options)
                    await self._pass_once(LinkEnd(False, peer, Direction.IN))
                    return answer
            except (TimeoutError, LinkBroken) as error:
                nothing = grpc.aio.Metadata()
                raise grpc.aio.AioRpcError(
                    grpc.StatusCode.DEADLINE_EXCEEDED, nothing, nothing, details=f"a fault rule: {error}"
                ) from error

        return shaped

    def accept_reports(self, handler: services.UnaryHandler, name_of: NameOf) -> services.UnaryHandler:
        """Around a handler of such requests; `name_of` tells who asks."""

        async def shaped(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                await self._pass_once(LinkEnd(False, name_of(request), Direction.IN))
                answer = await handler(request, context)
                await self._pass_once(LinkEnd(False, name_of(request), Direction.OUT))
                return answer
            except LinkBroken as error:
                await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))

        return shaped


async def _drain(pipe: ShapedPipe[Any], name: str) -> AsyncIterator[Any]:
    """What comes out of the pipe; a broken stream ends, as for any other reason."""
    try:
        while (frame := await pipe.get()) is not None:
            yield frame
    except LinkBroken as error:
        log.info("stream_broken_by_fault", name=name, reason=str(error))


async def _end(*tasks: asyncio.Future[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

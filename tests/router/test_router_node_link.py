"""NodeLink against a real gRPC server: nothing but its own cancellation ends it, and a lost stream is told first."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from router.metrics import StreamCounts
from router.routing import node_link
from router.routing.departures import Departures
from router.routing.node_link import NodeLink
from runtime.clock import SystemClock
from wire import data_pb2 as pb
from wire import services

pytestmark = pytest.mark.integration

WAIT_S = 20


class Owner:
    """Records what the link says; `defects` of its calls of link_up fail."""

    def __init__(self, defects: int = 0) -> None:
        self.said: list[str] = []
        self.defects = defects
        self.served = asyncio.Event()
        self.lost = asyncio.Event()

    def link_up(self, node_id: str, hybrid_time: int) -> None:
        self.said.append("up")
        if self.defects:
            self.defects -= 1
            raise RuntimeError("a defect")
        self.served.set()

    def link_down(self, node_id: str) -> None:
        self.said.append("down")
        self.lost.set()

    def frame_received(self, node_id: str, frame: pb.NodeFrame) -> None:
        return


class Node:
    """The other end: refuses the first `refusals` streams with a status, greets on the others."""

    def __init__(self, refusals: int, status: grpc.StatusCode) -> None:
        self.refusals = refusals
        self.status = status
        self.break_off = asyncio.Event()

    async def pipe(self, frames: AsyncIterator[pb.RouterFrame], context: Any) -> AsyncIterator[pb.NodeFrame]:
        await anext(frames)
        if self.refusals:
            self.refusals -= 1
            await context.abort(self.status, "not now")
        yield pb.NodeFrame(hello=pb.NodeHello(node_id="n1", cluster_id="c", az="az-a"))
        await self.break_off.wait()


async def with_link(owner: Owner, node: Node, scenario: Callable[[asyncio.Task[None]], Awaitable[None]]) -> None:
    server = grpc.aio.server(options=services.SERVER_OPTIONS)
    server.add_generic_rpc_handlers(
        (services.stream_handler(services.DATA_PIPE, pb.RouterFrame.FromString, node.pipe),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    departures = Departures(SystemClock.monotonic)
    link = NodeLink(
        node_id="n1",
        address=f"127.0.0.1:{port}",
        hello=pb.RouterHello(router_id="r1", cluster_id="c", az="az-a"),
        owner=owner,
        departures=departures,
        counts=StreamCounts(),
        connect_ms=5000,
        rng=random.Random(1),
    )
    task = asyncio.create_task(link.run())
    try:
        await scenario(task)
    finally:
        node.break_off.set()
        task.cancel()
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), WAIT_S)
        departures.close()
        await server.stop(None)
    assert task.cancelled()


@pytest.mark.parametrize("status", [grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE], ids=lambda one: one.name)
def test_a_greeting_that_is_refused_is_tried_again(status: grpc.StatusCode) -> None:
    async def run() -> None:
        owner, node = Owner(), Node(2, status)

        async def scenario(task: asyncio.Task[None]) -> None:
            await asyncio.wait_for(owner.served.wait(), WAIT_S)
            assert owner.said == ["up"]
            assert not task.done()

        await with_link(owner, node, scenario)

    asyncio.run(run())


def test_a_defect_costs_one_connection_and_not_the_link() -> None:
    async def run() -> None:
        owner, node = Owner(defects=1), Node(0, grpc.StatusCode.OK)

        async def scenario(task: asyncio.Task[None]) -> None:
            await asyncio.wait_for(owner.served.wait(), WAIT_S)
            assert owner.said == ["up", "down", "up"]

        await with_link(owner, node, scenario)

    asyncio.run(run())


class UnwritableLog:
    """A logger that fails when a stream is lost."""

    def info(self, event: str, **fields: Any) -> None:
        return

    error = info

    def warning(self, event: str, **fields: Any) -> None:
        if event == "node_disconnected":
            raise OSError(28, "No space left on device")


def test_a_lost_stream_is_told_before_it_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_link, "log", UnwritableLog())

    async def run() -> None:
        owner, node = Owner(), Node(0, grpc.StatusCode.OK)

        async def scenario(task: asyncio.Task[None]) -> None:
            await asyncio.wait_for(owner.served.wait(), WAIT_S)
            owner.served.clear()
            node.break_off.set()
            await asyncio.wait_for(owner.lost.wait(), WAIT_S)
            await asyncio.wait_for(owner.served.wait(), WAIT_S)
            assert owner.said[:3] == ["up", "down", "up"]

        await with_link(owner, node, scenario)

    asyncio.run(run())

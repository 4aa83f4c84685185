"""Fault injection over real sockets: who may ask for it, and what streams and single calls then go through."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest

from harness.waiting import wait_until
from node.faults.injector import FaultInjector
from node.faults.service import FaultService, NoToken, read_token
from node.storage.memory import MemoryStore
from replication.messages import Kind, Message
from replication.transport.grpc import PeerLink, PeerService
from replication.transport.shaping import KEEPALIVE_S
from runtime.pacing import Pacer
from tools.faults import IN, OUT, FaultClient, FaultError, link_rule, machine_rule
from wire import data_pb2, replication_pb2, services

pytestmark = pytest.mark.integration

TOKEN = "0123456789abcdef0123456789abcdef"
WAIT_S = 10.0


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 3 * WAIT_S))  # type: ignore[arg-type]


@dataclass
class Events:
    """What a node's host hears from its peers."""

    indexes: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def message_arrived(self, sender: str, group_id: int, message: Message) -> None:
        self.indexes.append(message.index)
        self.changed.set()

    def peer_connected(self, peer: str) -> None:
        self.tell(f"connected {peer}")

    def peer_disconnected(self, peer: str) -> None:
        self.tell(f"disconnected {peer}")

    def peer_lost(self, peer: str) -> None:
        self.tell(f"lost {peer}")

    def tell(self, text: str) -> None:
        self.told.append(text)
        self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


async def echo_router(frames: AsyncIterator[data_pb2.RouterFrame], _context: Any) -> AsyncIterator[data_pb2.NodeFrame]:
    """A node's side of a router stream that answers every frame."""
    async for _ in frames:
        yield data_pb2.NodeFrame()


@dataclass
class Pair:
    """Node n1 dials node n2; n2 also serves routers. Both can be told to break things."""

    n1: FaultInjector
    n2: FaultInjector
    link: PeerLink
    heard_by_n1: Events
    heard_by_n2: Events
    address: str
    sent: int = 0

    def send(self, count: int = 1) -> None:
        for _ in range(count):
            self.sent += 1
            self.link.send(1, Message(Kind.APPEND_OK, 1, index=self.sent))

    async def connected(self) -> None:
        await self.heard_by_n1.until(lambda: self.link.is_up)


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    n1, n2 = (FaultInjector(name, MemoryStore(), random.Random(7)) for name in ("n1", "n2"))
    heard_by_n1, heard_by_n2 = Events(), Events()
    service = PeerService(
        node_id="n2",
        cluster_id="c",
        peers=frozenset({"n1"}),
        events=heard_by_n2,
        count_frame=lambda: None,
        broken=lambda error: heard_by_n2.tell(f"broken {error}"),
    )

    async def report(request: data_pb2.NodeReport, _context: Any) -> data_pb2.NodeReportReply:
        return data_pb2.NodeReportReply(accepted=True)

    server = grpc.aio.server(options=services.SERVER_OPTIONS)
    handlers = [
        services.stream_handler(
            services.PEER_PIPE, replication_pb2.PeerFrame.FromString, n2.links.accept_peers(service.pipe)
        ),
        services.stream_handler(
            services.DATA_PIPE, data_pb2.RouterFrame.FromString, n2.links.accept_routers(echo_router)
        ),
        *services.unary_handlers(
            {
                services.CONTROL_REPORT: (
                    data_pb2.NodeReport.FromString,
                    n2.links.accept_reports(report, lambda request: request.node_id),
                )
            }
        ),
        *FaultService(n2, TOKEN).handlers(),
    ]
    server.add_generic_rpc_handlers(tuple(handlers))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    pacer = Pacer(200)
    link = PeerLink(
        node_id="n1",
        cluster_id="c",
        peer="n2",
        address=address,
        first_epoch=1,
        pacer=pacer,
        events=heard_by_n1,
        count_frame=lambda: None,
        open_call=n1.links.dial_peer("n2"),
    )
    task = asyncio.create_task(link.run())
    made = Pair(n1, n2, link, heard_by_n1, heard_by_n2, address)
    try:
        await made.connected()
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        n1.close()
        n2.close()
        await server.stop(grace=None)
        pacer.close()


@pytest.mark.parametrize("at", ["sender", "receiver"])
def test_latency_and_loss_keep_the_order(at: str) -> None:
    async def scenario() -> None:
        async with pair() as nodes:
            nodes.send(100)
            rule = link_rule(
                for_s=5, peer="n1" if at == "receiver" else "n2", latency_ms=100, jitter_ms=50, loss_percent=5
            )
            (nodes.n2 if at == "receiver" else nodes.n1).set([rule], keep=False)
            started_at = time.monotonic()
            for _ in range(50):
                nodes.send(10)
                await asyncio.sleep(0.001)
            await nodes.heard_by_n2.until(lambda: len(nodes.heard_by_n2.indexes) == 600)
            assert nodes.heard_by_n2.indexes == list(range(1, 601))
            assert time.monotonic() - started_at > 0.1

    run(scenario)


@pytest.mark.parametrize(("at", "direction"), [("sender", OUT), ("receiver", IN)])
def test_a_cut_is_silence_then_both_ends_learn_of_it_and_nobody_connects_until_it_heals(
    at: str, direction: int
) -> None:
    async def scenario() -> None:
        async with pair() as nodes:
            injector = nodes.n2 if at == "receiver" else nodes.n1
            rule = link_rule(for_s=60, peer="n1" if at == "receiver" else "n2", cut=True, direction=direction)
            injector.set([rule], keep=False)
            began_at = time.monotonic()
            nodes.send(3)
            await nodes.heard_by_n1.until(lambda: not nodes.link.is_up)
            assert time.monotonic() - began_at == pytest.approx(KEEPALIVE_S, abs=0.8), "not before keepalive"
            await nodes.heard_by_n2.until(lambda: nodes.heard_by_n2.told == ["lost n1"])
            # Longer than a hello waits: an attempt to connect has failed meanwhile.
            await asyncio.sleep(2.5)
            assert not nodes.link.is_up
            injector.clear()
            await nodes.connected()
            nodes.send()
            await nodes.heard_by_n2.until(lambda: bool(nodes.heard_by_n2.indexes))
            assert nodes.heard_by_n2.indexes == [4], "what was under way is lost with its stream, nothing before"

    run(scenario)


def test_a_cut_that_expires_in_time_delivers_everything_late() -> None:
    async def scenario() -> None:
        async with pair() as nodes:
            nodes.n1.set([link_rule(for_s=0.5, peer="n2", cut=True)], keep=False)
            nodes.send(5)
            await asyncio.sleep(0.3)
            assert nodes.heard_by_n2.indexes == []
            await nodes.heard_by_n2.until(lambda: nodes.heard_by_n2.indexes == [1, 2, 3, 4, 5])
            assert nodes.n1.describe().faults == []
            assert nodes.heard_by_n1.told == ["connected n2"]

    run(scenario)


def test_the_other_direction_goes_on() -> None:
    async def scenario() -> None:
        async with pair() as nodes:
            nodes.n1.set([link_rule(for_s=60, peer="n2", cut=True, direction=IN)], keep=False)
            nodes.n2.set([link_rule(for_s=60, peer="n1", cut=True, direction=OUT)], keep=False)
            nodes.send(5)
            await nodes.heard_by_n2.until(lambda: nodes.heard_by_n2.indexes == [1, 2, 3, 4, 5])

    run(scenario)


def test_a_reset_breaks_the_stream_once() -> None:
    async def scenario() -> None:
        async with pair() as nodes:
            rule = link_rule(id="r", for_s=60, peer="n2", reset=True)
            nodes.n1.set([rule], keep=False)
            await nodes.heard_by_n2.until(lambda: nodes.heard_by_n2.told == ["lost n1"])
            await nodes.heard_by_n1.until(lambda: nodes.heard_by_n1.told[1:] == ["disconnected n2", "connected n2"])
            nodes.n1.set([rule], keep=False)
            nodes.send()
            await nodes.heard_by_n2.until(lambda: nodes.heard_by_n2.indexes == [1])
            assert nodes.heard_by_n1.told[3:] == []

    run(scenario)


@asynccontextmanager
async def router_stream(address: str, name: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address, options=services.CHANNEL_OPTIONS) as channel:
        call = services.data_pipe(channel)
        try:
            await call.write(data_pb2.RouterFrame(hello=data_pb2.RouterHello(router_id=name)))
            yield call
        finally:
            call.cancel()


def test_a_router_is_cut_off_without_another_router_noticing() -> None:
    async def scenario() -> None:
        async with pair() as nodes, router_stream(nodes.address, "r1") as r1, router_stream(nodes.address, "r2") as r2:
            for call in (r1, r2):
                assert isinstance(await call.read(), data_pb2.NodeFrame)
            nodes.n2.set([link_rule(for_s=60, router="r1", cut=True)], keep=False)
            began_at = time.monotonic()
            for call in (r1, r2):
                await call.write(data_pb2.RouterFrame())
            assert isinstance(await r2.read(), data_pb2.NodeFrame)
            assert await r1.read() is grpc.aio.EOF
            assert time.monotonic() - began_at == pytest.approx(KEEPALIVE_S, abs=0.8)
            async with router_stream(nodes.address, "r1") as again:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await again.read()

    run(scenario)


def test_reports_between_nodes_are_cut_with_their_link() -> None:
    async def scenario() -> None:
        async with pair() as nodes, grpc.aio.insecure_channel(nodes.address) as channel:
            call = nodes.n1.links.dial_report(
                "n2",
                channel.unary_unary(
                    services.CONTROL_REPORT,
                    request_serializer=data_pb2.NodeReport.SerializeToString,
                    response_deserializer=data_pb2.NodeReportReply.FromString,
                ),
            )
            report = data_pb2.NodeReport(node_id="n1")
            assert (await call(report, timeout=0.5)).accepted
            for injector, peer in ((nodes.n1, "n2"), (nodes.n2, "n1")):
                injector.set([link_rule(for_s=60, peer=peer, cut=True)], keep=False)
                with pytest.raises(grpc.aio.AioRpcError) as failed:
                    await call(report, timeout=0.3)
                assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
                injector.clear()
            assert (await call(report, timeout=0.5)).accepted

    run(scenario)


def test_no_call_without_the_token() -> None:
    async def scenario() -> None:
        async with pair() as nodes:

            def ask(token: str) -> list[str]:
                refused = []
                with FaultClient(nodes.address, token) as client:
                    for call in (
                        client.describe,
                        client.clear,
                        lambda: client.set([machine_rule(for_s=1, sync_fails=True)]),
                    ):
                        with pytest.raises(FaultError) as error:
                            call()
                        assert error.value.hint
                        refused.append(error.value.code)
                return refused

            for token in ("", "x" * 32, TOKEN[:-1]):
                refused = await asyncio.to_thread(ask, token)
                assert refused == [grpc.StatusCode.UNAUTHENTICATED] * 3
            assert nodes.n2.describe().faults == []

    run(scenario)


def test_rules_over_the_wire() -> None:
    async def scenario() -> None:
        async with pair() as nodes:

            def talk() -> None:
                with FaultClient(nodes.address, TOKEN) as client:
                    first = client.set([link_rule(id="a", for_s=5, peer="n1", latency_ms=5)])
                    assert first.node_id == "n2"
                    assert 0 < first.faults[0].ms_left <= 5000
                    both = client.set([machine_rule(id="b", for_s=5, sync_delay_ms=5)], keep=True)
                    assert [active.rule.id for active in both.faults] == ["a", "b"]
                    with pytest.raises(FaultError, match="loss_percent") as error:
                        client.set([link_rule(for_s=5, peer="n1", loss_percent=-1)])
                    assert error.value.code == grpc.StatusCode.INVALID_ARGUMENT
                    assert [active.rule.id for active in client.clear(["a"]).faults] == ["b"]
                    assert client.clear().faults == []

            await asyncio.to_thread(talk)

    run(scenario)


def test_where_it_is_off_there_is_no_such_service() -> None:
    async def scenario() -> None:
        server = grpc.aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()

        def ask() -> None:
            with FaultClient(f"127.0.0.1:{port}", TOKEN) as client, pytest.raises(FaultError) as error:
                client.describe()
            assert error.value.code == grpc.StatusCode.UNIMPLEMENTED
            assert "--fault-injection" in error.value.hint

        await asyncio.to_thread(ask)
        await server.stop(grace=None)

    run(scenario)


def test_the_disk_fails_as_told_and_a_slow_sync_heals_with_its_rule() -> None:
    async def scenario() -> None:
        injector = FaultInjector("n1", MemoryStore(), random.Random(7))
        injector.set([machine_rule(id="slow", for_s=0.3, sync_delay_ms=60_000)], keep=False)
        started_at = time.monotonic()
        await asyncio.to_thread(injector.store.sync)
        assert time.monotonic() - started_at == pytest.approx(0.3, abs=0.25), "it ended with its rule"
        injector.set([machine_rule(for_s=5, sync_fails=True)], keep=False)
        with pytest.raises(OSError, match="Input/output error"):
            injector.store.sync()
        injector.set([machine_rule(for_s=5, disk_full=True)], keep=False)
        with pytest.raises(OSError, match="No space left"):
            injector.store.write_batch()
        injector.clear()
        injector.store.write_batch()
        injector.store.sync()

    run(scenario)


def test_a_stall_and_skewed_clocks() -> None:
    async def scenario() -> None:
        stalled = asyncio.Event()
        injector = FaultInjector("n1", MemoryStore(), random.Random(7), stall=lambda seconds: stalled.set())
        injector.set(
            [machine_rule(for_s=0.2, stall_ms=5, clock_offset_ms=3_600_000, clock_drift_ppm=500_000)], keep=False
        )
        assert injector.clock.wall_ms() / 1000 - time.time() == pytest.approx(3600, abs=1)
        before, real = injector.clock.monotonic(), time.monotonic()
        async with asyncio.timeout(WAIT_S):
            await stalled.wait()
        ratio = (injector.clock.monotonic() - before) / (time.monotonic() - real)
        assert ratio == pytest.approx(1.5, abs=0.1)
        await asyncio.to_thread(wait_until, lambda: not injector.texts(), timeout_s=WAIT_S, what="the rule ended")
        assert injector.clock.wall_ms() / 1000 - time.time() == pytest.approx(0, abs=1)

    run(scenario)


def test_where_the_token_comes_from(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIZONE_FAULT_TOKEN", raising=False)
    with pytest.raises(NoToken, match=r"fault-token cannot be read .* TRIZONE_FAULT_TOKEN is not set"):
        read_token(tmp_path)
    (tmp_path / "fault-token").write_text(TOKEN + "\n")
    assert read_token(tmp_path) == TOKEN
    monkeypatch.setenv("TRIZONE_FAULT_TOKEN", "y" * 32)
    assert read_token(tmp_path) == "y" * 32, "the variable wins"
    monkeypatch.setenv("TRIZONE_FAULT_TOKEN", "short")
    with pytest.raises(NoToken, match="at least 32"):
        read_token(tmp_path)

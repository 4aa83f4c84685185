"""The peer transport over real sockets: who may connect, in what order messages arrive, who is told of its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import grpc.aio
import pytest

from replication.messages import Kind, Message
from replication.transport.grpc import PeerLink, PeerLinks, PeerService
from runtime.pacing import Pacer
from wire import replication_pb2, services

pytestmark = pytest.mark.integration

WAIT_S = 8.0
CLUSTER = "c1"


class Events:
    """What a node's host hears, with a way to wait for it."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, int, Message]] = []
        self.told: list[str] = []
        self._changed = asyncio.Event()

    def _note(self) -> None:
        self._changed.set()

    def message_arrived(self, sender: str, group_id: int, message: Message) -> None:
        self.messages.append((sender, group_id, message))
        self._note()

    def peer_connected(self, peer: str) -> None:
        self.told.append(f"connected {peer}")
        self._note()

    def peer_disconnected(self, peer: str) -> None:
        self.told.append(f"disconnected {peer}")
        self._note()

    def peer_lost(self, peer: str) -> None:
        self.told.append(f"lost {peer}")
        self._note()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for events until `holds`."""
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


@dataclass
class Acceptor:
    """The service of node n2 on a free port."""

    server: grpc.aio.Server
    events: Events
    address: str
    broken: list[BaseException] = field(default_factory=list)


@asynccontextmanager
async def accepting(port: int = 0, events: Events | None = None) -> AsyncIterator[Acceptor]:
    """Run n2's side; peers n1 and n3 may connect."""
    events = events or Events()
    broken: list[BaseException] = []
    service = PeerService(
        node_id="n2",
        cluster_id=CLUSTER,
        peers=frozenset({"n1", "n3"}),
        events=events,
        count_frame=lambda: None,
        broken=broken.append,
    )
    server = grpc.aio.server(options=services.SERVER_OPTIONS)
    handler = services.stream_handler(services.PEER_PIPE, replication_pb2.PeerFrame.FromString, service.pipe)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield Acceptor(server, events, f"127.0.0.1:{port}", broken)
    finally:
        await server.stop(grace=None)


@asynccontextmanager
async def dialling(address: str, events: Events, first_epoch: int = 10) -> AsyncIterator[PeerLinks]:
    """Run n1's link to n2."""
    pacer = Pacer(200)
    links = PeerLinks()
    link = PeerLink(
        node_id="n1",
        cluster_id=CLUSTER,
        peer="n2",
        address=address,
        first_epoch=first_epoch,
        pacer=pacer,
        events=events,
        count_frame=lambda: None,
    )
    links.add(link)
    task = asyncio.create_task(link.run())
    try:
        yield links
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        pacer.close()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 3 * WAIT_S))  # type: ignore[arg-type]


def hello(**changed: object) -> replication_pb2.PeerFrame:
    fields: dict[str, object] = {"node_id": "n1", "cluster_id": CLUSTER, "epoch": 5, "target": "n2"}
    return replication_pb2.PeerFrame(hello=replication_pb2.PeerHello(**(fields | changed)))  # type: ignore[arg-type]


def frame(index: int) -> replication_pb2.PeerFrame:
    return replication_pb2.PeerFrame(
        messages=[replication_pb2.RaftMessage(group=1, kind=Kind.APPEND_OK, term=1, index=index)]
    )


@asynccontextmanager
async def raw_stream(address: str) -> AsyncIterator[grpc.aio.StreamStreamCall]:
    """A stream whose frames the test writes itself."""
    async with grpc.aio.insecure_channel(address, options=services.CHANNEL_OPTIONS) as channel:
        call = services.peer_pipe(channel)
        try:
            yield call
        finally:
            call.cancel()


async def say_hello(call: grpc.aio.StreamStreamCall, **changed: object) -> replication_pb2.PeerAck:
    await call.write(hello(**changed))
    answer = await call.read()
    assert isinstance(answer, replication_pb2.PeerAck)
    return answer


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"cluster_id": "c9"}, "belongs to cluster c1, not c9", id="another cluster"),
        pytest.param({"target": "n3"}, "this node is n2, not n3", id="meant for another node"),
        pytest.param({"node_id": "n7"}, "n7 is not part of the cluster", id="a stranger"),
        pytest.param({"epoch": 4}, "epoch 4 is older", id="an older epoch"),
        pytest.param({"epoch": 5}, "epoch 5 is older", id="an epoch that was used"),
    ],
)
def test_a_hello_that_must_not_be_accepted_is_refused_with_the_reason(changed: dict[str, object], reason: str) -> None:
    async def scenario() -> None:
        async with accepting() as node, raw_stream(node.address) as first, raw_stream(node.address) as second:
            assert (await say_hello(first)).accepted
            answer = await say_hello(second, **changed)
            assert not answer.accepted
            assert reason in answer.reason
            await first.write(frame(1))
            await node.events.until(lambda: len(node.events.messages) == 1)
            assert node.events.told == [], "the stream that was there goes on"

    run(scenario)


def test_a_refused_link_never_counts_as_connected() -> None:
    async def scenario() -> None:
        async with accepting() as node:
            events = Events()
            async with raw_stream(node.address) as stranger:
                assert not (await say_hello(stranger, cluster_id="c9")).accepted
                assert await stranger.read() is grpc.aio.EOF
            assert node.events.told == []
            assert events.told == []

    run(scenario)


def test_messages_arrive_complete_and_in_order() -> None:
    async def scenario() -> None:
        async with accepting() as node:
            events = Events()
            async with dialling(node.address, events) as links:
                await events.until(lambda: events.told == ["connected n2"])
                for index in range(3000):
                    entries = [(b"payload %d" % index, index + 1, 7)]
                    links.send("n2", index % 5, Message(Kind.APPEND, 7, index=index, entries=entries))
                    if index % 100 == 0:
                        await asyncio.sleep(0)
                await node.events.until(lambda: len(node.events.messages) == 3000)
            arrived = [(group, message.index, message.entries[0][0]) for _, group, message in node.events.messages]
            assert arrived == [(index % 5, index, b"payload %d" % index) for index in range(3000)]
            assert {sender for sender, _, _ in node.events.messages} == {"n1"}

    run(scenario)


def test_a_message_that_can_wait_leaves_with_the_next_one_in_order_and_alone_after_a_while() -> None:
    async def scenario() -> None:
        async with accepting() as node:
            events = Events()
            async with dialling(node.address, events) as links:
                await events.until(lambda: events.told == ["connected n2"])
                wake = links.links["n2"]._wake
                links.send("n2", 1, Message(Kind.APPEND, 1, index=1, can_wait=True))
                assert not wake.is_set(), "it waits"
                links.send("n2", 1, Message(Kind.APPEND_OK, 1, index=2))
                assert wake.is_set(), "company came"
                await node.events.until(lambda: len(node.events.messages) == 2)
                links.send("n2", 1, Message(Kind.APPEND, 1, index=3, can_wait=True))
                assert not wake.is_set(), "it waits"
                await node.events.until(lambda: len(node.events.messages) == 3)
            arrived = [(message.index, message.can_wait) for _, _, message in node.events.messages]
            assert arrived == [(1, True), (2, False), (3, True)]

    run(scenario)


def test_messages_for_a_link_that_is_down_are_dropped_not_kept() -> None:
    async def scenario() -> None:
        async with accepting() as node:
            events = Events()
            async with dialling(node.address, events) as links:
                links.send("n2", 1, Message(Kind.APPEND_OK, 1, index=1))
                await events.until(lambda: events.told == ["connected n2"])
                links.send("n2", 1, Message(Kind.APPEND_OK, 1, index=2))
                await node.events.until(lambda: bool(node.events.messages))
            assert [message.index for _, _, message in node.events.messages] == [2]

    run(scenario)


def test_both_ends_are_told_when_the_dialler_dies() -> None:
    async def scenario() -> None:
        async with accepting() as node:
            events = Events()
            async with dialling(node.address, events):
                await events.until(lambda: events.told == ["connected n2"])
            await node.events.until(lambda: node.events.told == ["lost n1"])
            assert events.told == ["connected n2", "disconnected n2"]

    run(scenario)


def test_the_dialler_is_told_when_the_acceptor_dies_and_connects_again_to_the_next_one() -> None:
    async def scenario() -> None:
        events = Events()
        async with accepting() as first:
            address, port = first.address, int(first.address.rsplit(":", 1)[1])
            link = dialling(address, events)
            links = await link.__aenter__()
            await events.until(lambda: events.told == ["connected n2"])
        try:
            await events.until(lambda: events.told[-1] == "disconnected n2")
            links.send("n2", 1, Message(Kind.APPEND_OK, 1, index=1))
            async with accepting(port) as second:
                await events.until(lambda: events.told[-1] == "connected n2")
                links.send("n2", 1, Message(Kind.APPEND_OK, 1, index=2))
                await second.events.until(lambda: bool(second.events.messages))
                assert [message.index for _, _, message in second.events.messages] == [2]
        finally:
            await link.__aexit__(None, None, None)

    run(scenario)


def test_a_newer_connection_fences_the_older_one() -> None:
    async def scenario() -> None:
        async with accepting() as node, raw_stream(node.address) as old, raw_stream(node.address) as new:
            assert (await say_hello(old, epoch=5)).accepted
            await old.write(frame(1))
            await node.events.until(lambda: len(node.events.messages) == 1)
            assert (await say_hello(new, epoch=6)).accepted
            await old.write(frame(2))
            # The old stream is closed instead of being read: its message is gone for good.
            assert await old.read() is grpc.aio.EOF
            await new.write(frame(3))
            await node.events.until(lambda: len(node.events.messages) == 2)
            assert [message.index for _, _, message in node.events.messages] == [1, 3]
            assert node.events.told == [], "the end of a fenced stream says nothing about the peer"

    run(scenario)


def test_a_dialler_whose_clock_was_set_back_gets_through() -> None:
    async def scenario() -> None:
        async with accepting() as node:
            async with raw_stream(node.address) as earlier:
                assert (await say_hello(earlier, epoch=1_000_000)).accepted
            await node.events.until(lambda: node.events.told == ["lost n1"])
            events = Events()
            async with dialling(node.address, events, first_epoch=10):
                await events.until(lambda: events.told == ["connected n2"])

    run(scenario)


def test_a_corrupt_chunk_ends_the_stream_and_nothing_else() -> None:
    async def scenario() -> None:
        async with accepting() as node, raw_stream(node.address) as call:
            assert (await say_hello(call)).accepted
            bad = replication_pb2.RaftMessage(group=1, kind=Kind.SNAPSHOT_CHUNK, term=1, chunk=b"abc", checksum=1)
            await call.write(replication_pb2.PeerFrame(messages=[bad]))
            await node.events.until(lambda: node.events.told == ["lost n1"])
            assert node.events.messages == []
            assert node.broken == []

    run(scenario)


def test_a_broken_invariant_while_taking_a_message_reaches_the_process() -> None:
    class Breaking(Events):
        def message_arrived(self, sender: str, group_id: int, message: Message) -> None:
            raise RuntimeError("two leaders")

    async def scenario() -> None:
        events = Breaking()
        async with accepting(events=events) as node, raw_stream(node.address) as call:
            assert (await say_hello(call)).accepted
            await call.write(frame(1))
            await events.until(lambda: events.told == ["lost n1"])
            assert [str(error) for error in node.broken] == ["two leaders"]

    run(scenario)

"""Streams of routers to nodes, and single calls between nodes: channels of grpc.aio on virtual time.

Used by simulation.router and simulation.services, which give these channels to the real links and handlers. Law 3 of
DESIGN and nothing better: first-in-first-out within a stream; a break is seen by both ends, not at the same time, and
of what was under way some prefix arrives; a cut silences one direction, and is noticed only if it lasts. Every message
is carried as its bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import grpc
import grpc.aio

from simulation.life import Life
from simulation.network import NOTICED_AT_ONCE_S, NOTICED_LATE_S, Network
from simulation.world import World
from wire import services

Decode = Callable[[bytes], Any]
StreamHandler = Callable[[AsyncIterator[Any], Any], AsyncIterator[Any]]
CallHandler = Callable[[Any, Any], Awaitable[Any]]
_LONG_LATENCY_PROBABILITY = 0.02
_LONG_LATENCY_S = 0.05
_NOT_IN_ORDER = 1e-7


@dataclass(frozen=True, slots=True)
class Server:
    """What a process answers at its address: handlers by method path."""

    life: Life
    streams: dict[str, tuple[Decode, StreamHandler]]
    calls: dict[str, tuple[Decode, CallHandler]]


def _broken(code: grpc.StatusCode, why: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), why)


class _Inbox:
    """What arrived at one end of a stream and was not read yet. Belongs to a process and dies with it."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.is_ended = False
        self._arrived: deque[bytes] = deque()
        self._reader: asyncio.Future[None] | None = None

    def arrive(self, data: bytes) -> None:
        """Take one message, unless the end was noticed before."""
        if not self.is_ended:
            self._arrived.append(data)
            self._wake()

    def end(self) -> None:
        """No message comes any more."""
        self.is_ended = True
        self._wake()

    def cancel(self) -> None:
        """The owner gives the stream up: whoever reads is cancelled, as by grpc.aio."""
        self.is_ended = True
        self._arrived.clear()
        if self._reader is not None:
            self._reader.cancel()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def next(self) -> bytes | None:
        """The next message; None after the last one."""
        while not self._arrived:
            if self.is_ended:
                return None
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._arrived.popleft()


class _Flow:
    """One direction of a stream."""

    __slots__ = ("delivered", "inbox", "kept", "last_arrival", "sent", "source", "stalled")

    def __init__(self, source: Life, inbox: _Inbox) -> None:
        self.source = source
        self.inbox = inbox
        self.sent = 0
        self.delivered = 0
        # Set by a break: messages from this one on are lost.
        self.kept = -1
        self.last_arrival = 0.0
        self.stalled: list[bytes] = []

    @property
    def pair(self) -> tuple[str, str]:
        """Who sends to whom."""
        return self.source.name, self.inbox.life.name


class _Connection:
    """A stream from its first message to its break."""

    def __init__(self, pipes: Pipes, client: Life, server: Server) -> None:
        self.client = client
        self.server = server.life
        self.there = _Flow(client, _Inbox(server.life))
        self.back = _Flow(server.life, _Inbox(client))
        self.is_broken = False
        self.handler: asyncio.Task[None] | None = None
        self.pipes = pipes

    async def serve(self, decode: Decode, handler: StreamHandler) -> None:
        """Run the server's handler to its end, on the server's loop."""
        async for message in handler(_Requests(self.there.inbox, decode), None):
            self.pipes.send(self, self.back, message.SerializeToString())
        self.pipes.break_off(self, 0.0, 0.0, in_order=True)

    def ended_at_client(self) -> None:
        """The client notices the end."""
        self.back.inbox.end()

    def ended_at_server(self) -> None:
        """The server notices the end: its handler is cancelled."""
        self.there.inbox.end()
        if self.handler is not None and not self.handler.done():
            self.handler.cancel()


class _Context:
    """What a handler of single calls does with grpc.aio.ServicerContext."""

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        """End the call with an error. Always raises."""
        raise _broken(code, details)


class _Requests:
    """The messages of a client, as a handler reads them."""

    def __init__(self, inbox: _Inbox, decode: Decode) -> None:
        self._inbox = inbox
        self._decode = decode

    def __aiter__(self) -> _Requests:
        return self

    async def __anext__(self) -> Any:
        data = await self._inbox.next()
        if data is None:
            raise StopAsyncIteration
        return self._decode(data)


class _Call:
    """The client's end of a stream, with as much of grpc.aio.StreamStreamCall as links use."""

    def __init__(self, connection: _Connection | None, encode: Callable[[Any], bytes], decode: Decode) -> None:
        self._connection = connection
        self._encode = encode
        self._decode = decode

    async def write(self, message: Any) -> None:
        """Send one message. Raises AioRpcError once the end is known."""
        connection = self._connection
        if connection is None or connection.back.inbox.is_ended:
            raise _broken(grpc.StatusCode.UNAVAILABLE, "connection reset")
        connection.pipes.send(connection, connection.there, self._encode(message))

    async def read(self) -> Any:
        """The next message, or EOF where the server ended the stream. Raises AioRpcError after a break."""
        connection = self._connection
        data = await connection.back.inbox.next() if connection is not None else None
        if data is not None:
            return self._decode(data)
        if connection is not None and connection.handler is not None and connection.handler.done():
            return grpc.aio.EOF
        raise _broken(grpc.StatusCode.UNAVAILABLE, "connection reset")

    async def code(self) -> grpc.StatusCode:
        """The status of a stream that the server ended."""
        return grpc.StatusCode.OK

    def cancel(self) -> None:
        """Give the stream up."""
        if self._connection is not None:
            self._connection.back.inbox.cancel()
            self._connection.pipes.cancelled(self._connection)


class _Channel:
    """A channel to one address, with as much of grpc.aio.Channel as links and daemons use."""

    def __init__(self, pipes: Pipes, client: Life, address: str) -> None:
        self._pipes = pipes
        self._client = client
        self._address = address

    async def __aenter__(self) -> _Channel:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def close(self) -> None:
        """Nothing is held."""

    def stream_stream(
        self, path: str, request_serializer: Callable[[Any], bytes], response_deserializer: Decode
    ) -> Callable[[], _Call]:
        """How to open a stream."""
        return lambda: _Call(
            self._pipes.connect(self._client, self._address, path), request_serializer, response_deserializer
        )

    def unary_unary(
        self, path: str, request_serializer: Callable[[Any], bytes], response_deserializer: Decode
    ) -> Callable[..., Awaitable[Any]]:
        """How to call once."""

        async def call(request: Any, timeout: float) -> Any:  # noqa: ASYNC109 - the name that grpc.aio gives it
            answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._pipes.call(self._client, self._address, path, request_serializer(request), answered)
            try:
                async with asyncio.timeout(timeout):
                    return response_deserializer(await answered)
            except TimeoutError as error:
                raise _broken(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer") from error

        return call


class Pipes:
    """Every channel of the run."""

    def __init__(self, world: World, network: Network, latency_s: float) -> None:
        self._world = world
        self._network = network
        self._latency_s = latency_s
        self._randomness = world.random_stream("pipes")
        self._servers: dict[str, Server] = {}
        self._connections: dict[_Connection, None] = {}
        self._cuts: dict[tuple[str, str], int] = {}
        self._slow: dict[tuple[str, str], tuple[float, float]] = {}

    # ------------------------------------------------------------------ processes
    def serve(self, address: str, server: Server) -> None:
        """A process listens."""
        self._servers[address] = server

    def died(self, life: Life) -> None:
        """Break every stream of a process that died; it listens no more."""
        self._servers = {address: server for address, server in self._servers.items() if server.life is not life}
        for connection in list(self._connections):
            if connection.client is life or connection.server is life:
                self.break_off(connection, self._notice_delay(), self._notice_delay())

    def open_channel(self, client: Life) -> services.OpenChannel:
        """How a process reaches servers."""
        return lambda address: cast(grpc.aio.Channel, _Channel(self, client, address))

    def _notice_delay(self) -> float:
        bounds = NOTICED_AT_ONCE_S if self._randomness.random() < 0.7 else NOTICED_LATE_S
        return self._randomness.uniform(*bounds)

    # ------------------------------------------------------------------ streams
    def is_cut(self, source: str, target: str) -> bool:
        """Whether nothing gets from `source` to `target`."""
        return self._cuts.get((source, target), 0) > 0 or self._network.is_cut(source, target)

    def _latency(self, source: str, target: str) -> float:
        latency = self._randomness.uniform(0.2, 1.8) * self._latency_s
        if self._randomness.random() < _LONG_LATENCY_PROBABILITY:
            latency += self._randomness.uniform(0.0, _LONG_LATENCY_S)
        slow_until, extra = self._slow.get((source, target), (0.0, 0.0))
        return latency + extra if self._world.now < slow_until else latency

    def connect(self, client: Life, address: str, path: str) -> _Connection | None:
        """Begin a stream; None when nobody listens."""
        server = self._servers.get(address)
        if server is None:
            return None
        connection = _Connection(self, client, server)
        self._connections[connection] = None
        decode, handler = server.streams[path]

        def accept() -> None:
            # Here and not at the first message: a server may be restarted between the two.
            connection.handler = server.life.loop.create_task(connection.serve(decode, handler))

        delay_s = self._latency(client.name, server.life.name)
        connection.there.last_arrival = self._world.now + delay_s
        self._world.at(delay_s, lambda: server.life.post(accept))
        return connection

    def send(self, connection: _Connection, flow: _Flow, data: bytes) -> None:
        """Take one message; it is lost when the stream is broken, whoever knows of that."""
        if connection.is_broken:
            return
        number = flow.sent
        flow.sent += 1
        arrival = max(self._world.now + self._latency(*flow.pair), flow.last_arrival + _NOT_IN_ORDER)
        flow.last_arrival = arrival
        self._world.at(arrival - self._world.now, lambda: self._arrive(connection, flow, number, data))

    def _arrive(self, connection: _Connection, flow: _Flow, number: int, data: bytes) -> None:
        if connection.is_broken and number >= flow.kept:
            return
        # What comes behind something that stalled must not overtake it.
        if flow.stalled or self.is_cut(*flow.pair):
            flow.stalled.append(data)
        else:
            self._deliver(flow, data)

    def _deliver(self, flow: _Flow, data: bytes) -> None:
        flow.delivered += 1
        flow.inbox.life.post(lambda: flow.inbox.arrive(data))

    def cancelled(self, connection: _Connection) -> None:
        """The client gave a stream up; the server hears of it unless nothing gets there."""
        is_cut = self.is_cut(*connection.there.pair)
        self.break_off(connection, 0.0, self._notice_delay() if is_cut else self._latency(*connection.there.pair))

    def break_off(
        self, connection: _Connection, client_delay_s: float, server_delay_s: float, *, in_order: bool = False
    ) -> None:
        """End a stream: some prefix of what is under way still arrives (all `in_order`), and each end learns of it."""
        if connection.is_broken:
            return
        connection.is_broken = True
        del self._connections[connection]
        for flow in (connection.there, connection.back):
            under_way = 0 if flow.stalled else flow.sent - flow.delivered
            flow.stalled.clear()
            flow.kept = flow.delivered + (under_way if in_order else self._randomness.randint(0, under_way))
        if in_order:
            client_delay_s = max(client_delay_s, connection.back.last_arrival - self._world.now + _NOT_IN_ORDER)
        # Not before it was accepted, or the handler would outlive the stream.
        server_delay_s = max(server_delay_s, connection.there.last_arrival - self._world.now + _NOT_IN_ORDER)
        self._world.at(client_delay_s, lambda: connection.client.post(connection.ended_at_client))
        self._world.at(server_delay_s, lambda: connection.server.post(connection.ended_at_server))

    # ------------------------------------------------------------------ single calls
    def call(self, client: Life, address: str, path: str, data: bytes, answered: asyncio.Future[bytes]) -> None:
        """Carry a request there and its answer back; nothing comes back where something is cut."""
        server = self._servers.get(address)

        def refuse() -> None:
            if not answered.done():
                answered.set_exception(_broken(grpc.StatusCode.UNAVAILABLE, "connection refused"))

        if server is None:
            self._world.at(self._latency_s, lambda: client.post(refuse))
            return
        names = client.name, server.life.name

        def answer(reply: bytes) -> None:
            if not answered.done():
                answered.set_result(reply)

        async def handle() -> None:
            decode, handler = server.calls[path]
            try:
                reply = (await handler(decode(data), _Context())).SerializeToString()
            except grpc.aio.AioRpcError:
                # It was given up there: to the caller that is an answer as good as none.
                return
            if not self.is_cut(*reversed(names)):
                delay_s = self._latency(*reversed(names))
                self._world.at(delay_s, lambda: client.post(lambda: answer(reply)))

        def begin() -> None:
            server.life.loop.create_task(handle())

        def arrive() -> None:
            if not self.is_cut(*names):
                server.life.post(begin)

        self._world.at(self._latency(*names), arrive)

    # ------------------------------------------------------------------ faults
    def reset(self, one: str, other: str) -> None:
        """Break the streams between two processes as a reset does."""
        for connection in self._between(one, other):
            self.break_off(connection, self._notice_delay(), self._notice_delay())

    def cut(self, source: str, target: str, seconds: float) -> None:
        """Silence one direction; streams notice if it lasts."""
        pair = (source, target)
        self._cuts[pair] = self._cuts.get(pair, 0) + 1
        self._world.at(seconds, lambda: self._heal(pair))
        self._world.at(self._randomness.uniform(*NOTICED_LATE_S), lambda: self._keepalive_missed(pair))

    def _keepalive_missed(self, pair: tuple[str, str]) -> None:
        if self.is_cut(*pair):
            for connection in self._between(*pair):
                self.break_off(connection, self._notice_delay(), self._notice_delay())

    def _heal(self, pair: tuple[str, str]) -> None:
        self._cuts[pair] = max(0, self._cuts.get(pair, 0) - 1)
        if self._cuts[pair]:
            return
        for connection in self._between(*pair):
            for flow in (connection.there, connection.back):
                if flow.pair == pair:
                    stalled, flow.stalled = flow.stalled, []
                    for data in stalled:
                        self._deliver(flow, data)

    def _between(self, one: str, other: str) -> list[_Connection]:
        names = {one, other}
        return [found for found in self._connections if {found.client.name, found.server.name} == names]

    def slow(self, source: str, target: str, seconds: float, extra_s: float) -> None:
        """Add `extra_s` to every message of one direction for a while."""
        self._slow[source, target] = (self._world.now + seconds, extra_s)

    def heal_all(self) -> None:
        """End every cut and slowness."""
        self._slow.clear()
        for pair in [pair for pair, count in self._cuts.items() if count]:
            self._cuts[pair] = 1
            self._heal(pair)

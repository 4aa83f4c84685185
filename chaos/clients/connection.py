"""One HTTP connection to a router on asyncio, and the pool of them: bytes out, bytes in, nothing retried.

Used by chaos.clients.session. Law: whether a request had left when its connection failed is never lost: `Unsent` says
that it certainly had no effect, `Lost` that nobody knows.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import httptools

# Open-loop clients open another connection when all wait for an answer; a router refuses at its own limit.
CONNECTIONS_MAX = 1500
CONNECT_TIMEOUT_S = 1.0
# Being connected to one router at a time: a storm of them would leave the clients no time for answers.
CONNECTING_MAX = 32


class Unsent(Exception):
    """The request never left."""


class Lost(Exception):
    """The request left, and no answer came."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    body: bytes
    served_by: str  # the node, of a request that asked for it


class Connection(asyncio.Protocol):
    """One kept connection with at most one request under way."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._body = b""
        self._served_by = ""
        self.is_open = False

    async def call(self, data: bytes, timeout_s: float) -> Reply:
        """Send one whole request and return its answer. Raises Unsent or Lost."""
        if not self.is_open or self._transport is None:
            raise Unsent("the connection is closed")
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._waiter
        except TimeoutError:
            raise Lost(f"no answer within {timeout_s:g} s") from None
        finally:
            if not self._waiter.done() or self._waiter.cancelled() or self._waiter.exception() is not None:
                # An answer that comes later must not be taken for that of the next request.
                self.close()
            self._waiter = None

    def close(self) -> None:
        """End the connection."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        # uvloop's transports are not of asyncio's class.
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has ended it, or `close` did."""
        self.is_open = False
        self._end(Lost(str(exc) if exc else "the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(Lost(f"not HTTP: {error}"))
            self.close()

    def _end(self, error: Lost) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    # --- httptools

    def on_message_begin(self) -> None:
        """An answer begins."""
        self._body = b""
        self._served_by = ""

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if name.lower() == b"x-trizone-served-by":
            # n1;az-a
            self._served_by = value.decode("latin-1").partition(";")[0]

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if not self._parser.should_keep_alive():
            self.is_open = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(Reply(self._parser.get_status_code(), self._body, self._served_by))


class Pool:
    """Kept connections to one router."""

    def __init__(self, name: str, az: str, host: str, port: int) -> None:
        self.name = name
        self.az = az
        self._address = (host, port)
        self._idle: list[Connection] = []
        self._open = 0
        self._connecting = asyncio.Semaphore(CONNECTING_MAX)

    async def call(self, data: bytes, timeout_s: float) -> Reply:
        """One request on a free connection. Raises Unsent or Lost."""
        connection = await self._take()
        try:
            return await connection.call(data, timeout_s)
        finally:
            if connection.is_open:
                self._idle.append(connection)
            else:
                self._open -= 1

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
            self._open -= 1
        if self._open >= CONNECTIONS_MAX:
            raise Unsent(f"{CONNECTIONS_MAX} connections to {self.name} are busy")
        self._open += 1
        try:
            async with self._connecting, asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await asyncio.get_running_loop().create_connection(Connection, *self._address)
        except (OSError, TimeoutError) as error:
            self._open -= 1
            raise Unsent(str(error) or type(error).__name__) from error
        return connection

    def close(self) -> None:
        """End all connections that nobody uses."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

"""The listening socket and what its connections share.

Owned by router.process. Law: connections, buffered body bytes and waiting times are bounded; one timer sweeps all
connections, and one call a loop turn flushes all answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router import limits
from router.http.answers import RequestIds
from router.http.exchange import Exchange
from router.http.protocol import HttpConnection
from router.metrics import Counts
from router.operations.registry import METRIC_NAMES, Operations
from runtime.clock import Clock
from runtime.logs import get_logger

log = get_logger()

# Operations that one node answers.
_TRACED_METRICS = frozenset(
    METRIC_NAMES.index(name) for name in ("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query")
)


class HttpServer:
    """Accepts connections and hands whole requests to the operations.

    `ready` says whether the router can serve (health check). `body_bytes_max` is the limit of one body.
    `answering` says whose verdict is being handled now (`n1;az-a`), for answers that are traced.
    """

    def __init__(
        self,
        *,
        operations: Operations,
        counts: Counts,
        clock: Clock,
        request_ids: RequestIds,
        ready: Callable[[], bool],
        body_bytes_max: int,
        connections_max: int,
        answering: Callable[[], str] = lambda: "",
    ) -> None:
        self.counts = counts
        self.request_ids = request_ids
        self.body_bytes_max = body_bytes_max
        self.body_bytes_buffered = 0
        # Coarse clock of the sweeper: connections stamp their activity with it instead of asking the time.
        self.now_s = clock.monotonic()
        self._clock = clock
        self._operations = operations
        self._ready = ready
        self._answering = answering
        self._connections_max = connections_max
        self._connections: set[HttpConnection] = set()
        self._dirty: list[HttpConnection] = []
        self._server: asyncio.Server | None = None
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drained: asyncio.Event | None = None
        self._draining = False

    # --- life ---------------------------------------------------------------------------------------------------

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use `loop` for flushes and the sweeper."""
        self._loop = loop

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port (of interest with port 0). Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self.attach(loop)
        self._server = await loop.create_server(lambda: HttpConnection(self), host, port, backlog=1024)
        self._sweep_timer = loop.call_later(limits.SWEEP_INTERVAL_MS / 1000, self._sweep)
        sockets = self._server.sockets
        return int(sockets[0].getsockname()[1]) if sockets else port

    async def stop(self, drain_ms: int) -> None:
        """Stop accepting, let answers that are due leave for at most `drain_ms`, close everything."""
        self._draining = True
        if self._server is not None:
            self._server.close()
        self._drained = asyncio.Event()
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            try:
                await asyncio.wait_for(self._drained.wait(), drain_ms / 1000)
            except TimeoutError:
                log.warning("drain_timed_out", connections=len(self._connections))
        for connection in list(self._connections):
            connection.abort()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()

    # --- called by connections ----------------------------------------------------------------------------------

    def admit(self, connection: HttpConnection) -> bool:
        """Whether there is room for one more connection."""
        if self._draining or len(self._connections) >= self._connections_max:
            return False
        self._connections.add(connection)
        self.counts.connections = len(self._connections)
        return True

    def forget(self, connection: HttpConnection) -> None:
        """The connection has ended."""
        self._connections.discard(connection)
        self.counts.connections = len(self._connections)
        if self._drained is not None and not self._connections:
            self._drained.set()

    def flush_soon(self, connection: HttpConnection) -> None:
        """Write this connection's answers when the current batch of results has been handled."""
        dirty = self._dirty
        dirty.append(connection)
        if len(dirty) == 1:
            assert self._loop is not None, "attach comes before connections"
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    def handle_operation(self, exchange: Exchange) -> None:
        """A POST / has arrived."""
        exchange.received_at = self._clock.monotonic()
        self.counts.in_flight += 1
        self._operations.dispatch(exchange.target, exchange)

    def served_by(self, exchange: Exchange) -> str:
        """`node;az` while that node's verdict answers this request; "" for requests that several nodes may answer."""
        return self._answering() if exchange.metric in _TRACED_METRICS else ""

    def finished(self, exchange: Exchange) -> None:
        """An exchange has its answer."""
        if exchange.received_at:
            counts = self.counts
            counts.in_flight -= 1
            counts.observe(exchange.metric, exchange.error_code, self._clock.monotonic() - exchange.received_at)

    def health(self, exchange: Exchange) -> tuple[int, bytes]:
        """The service's ping: 200 with `healthy: host ` when the router can serve, else 503."""
        if self._ready() and not self._draining:
            return 200, f"healthy: dynamodb.{exchange.region}.amazonaws.com ".encode()
        return 503, b"unavailable: no catalog or no node yet\n"

    def _sweep(self) -> None:
        assert self._loop is not None, "the sweeper runs on the attached loop"
        self.now_s = now_s = self._clock.monotonic()
        for connection in list(self._connections):
            connection.sweep(now_s)
        self._sweep_timer = self._loop.call_later(limits.SWEEP_INTERVAL_MS / 1000, self._sweep)

"""One HTTP/1.1 connection: bytes in, requests out, answers in request order.

Made by router.http.server for every connection, on the event loop. Law: whatever a peer sends, it gets an answer or its
connection is closed; nothing it sends raises out of here, and what it can make us hold is bounded by router.limits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from router import limits
from router.http import answers, refusals
from router.http.exchange import Exchange, TracedExchange
from router.http.headers import (
    AUTHORIZATION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    KINDS,
    TARGET,
    TRACE,
    TRANSFER_ENCODING,
    UPGRADE,
    head_without_offer,
)
from runtime.logs import get_logger

if TYPE_CHECKING:
    from router.http.server import HttpServer

log = get_logger()


class _Refused(Exception):
    """Stops the parser in the middle of a request that has been refused."""


class HttpConnection(asyncio.Protocol):
    """The protocol of one connection; also the callback object of its httptools parser."""

    __slots__ = (
        "_authorization",
        "_close_after_answers",
        "_content_length",
        "_current",
        "_expects_continue",
        "_head_began_in_feed",
        "_head_bytes",
        "_header_count",
        "_held",
        "_linger",
        "_linger_until_s",
        "_offers_upgrade",
        "_parser",
        "_path",
        "_queue",
        "_reading_head",
        "_reading_paused",
        "_request_began_s",
        "_target",
        "_transfer_encoding",
        "_transport",
        "_writing_paused",
        "active_at_s",
        "dirty",
        "exchange_class",
        "host",
        "server",
        "stalled_at_s",
    )

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        # Requests received whole and not yet answered, or answered and waiting for one before them.
        self._queue: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._path = self._target = self._authorization = self._transfer_encoding = b""
        self._head_bytes = self._header_count = self._content_length = 0
        # What the next request becomes; its own wish holds for it alone.
        self.exchange_class: type[Exchange] = Exchange
        self._reading_head = False
        self._head_began_in_feed = False
        self._expects_continue = self._offers_upgrade = False
        self._request_began_s = 0.0
        self._reading_paused = False
        self._writing_paused = False
        self._held: list[bytes] = []
        # Answers after which the connection ends: no further request is read.
        self._close_after_answers = False
        # A refusal in the middle of a request: see _close.
        self._linger = False
        self._linger_until_s = 0.0
        # Server.now_s (coarse) of the last byte received or answer sent.
        self.active_at_s = server.now_s
        self.stalled_at_s = 0.0
        # Whether the server's flush of this loop turn already knows this connection.
        self.dirty = False
        # As the latest request names this endpoint.
        self.host = b""

    # --- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=limits.WRITE_BUFFER_BYTES_HIGH)
        if not self.server.admit(self):
            self.server.counts.connections_refused += 1
            self._transport.write(answers.answer(503, refusals.BUSY, self.server.request_ids.next(), keep_alive=False))
            self._transport.close()
            self._close_after_answers = True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The peer is gone. Operations that are under way end by themselves; their answers go nowhere."""
        self._forget_current()
        self._queue.clear()
        self._held.clear()
        self._transport = None
        # The parser holds this object: without this every closed connection waits for the cycle collector.
        self._parser = None
        self.server.forget(self)

    def pause_writing(self) -> None:
        """The peer does not read its answers: stop taking requests from it."""
        self._writing_paused = True
        self.stalled_at_s = self.server.now_s
        self._pause_reading()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._writing_paused = False
        self._resume_reading()

    def eof_received(self) -> bool:
        """The peer will send nothing more; answers that are due still go out."""
        if not self._queue:
            return False
        self._close_after_answers = True
        return True

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer."""
        self.active_at_s = self.server.now_s
        if self._close_after_answers:
            return
        if self._reading_paused:
            # One read may already have been under way when reading was paused.
            self._held.append(data)
            return
        if rest := self._take_in(data):
            self._held.append(rest)

    def _take_in(self, data: bytes) -> bytes:
        """Feed the parser; returns what is left because reading was paused on the way.

        In slices, or one large read of tiny requests would begin thousands of operations at once, whatever
        limits.PIPELINED_REQUESTS_MAX says.
        """
        if len(data) <= limits.FEED_BYTES_MAX:
            self._feed(data)
            return b""
        for begin in range(0, len(data), limits.FEED_BYTES_MAX):
            if self._reading_paused:
                return data[begin:]
            self._feed(data[begin : begin + limits.FEED_BYTES_MAX])
        return b""

    def _feed(self, data: bytes) -> None:
        parser = self._parser
        if parser is None or self._close_after_answers:
            return
        self._head_began_in_feed = False
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            self._ignore_upgrade(parser, data[stopped.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            if cause is None:
                self._refuse(400, refusals.MALFORMED)
            elif not isinstance(cause, _Refused):
                # A defect of ours, not of the peer's bytes: this connection is lost, the process goes on.
                log.error("http_callback_failed", exc_info=cause)
                self._refuse(500, refusals.FAILED)
        if self._reading_head and not self._head_began_in_feed:
            # Bytes of a head that has not ended: the parser buffers a partial header without a limit of its own. The
            # slice in which the head began is bounded by itself (and may hold whole requests before it).
            self._head_bytes += len(data)
            if self._head_bytes > limits.HEADER_BYTES_MAX:
                self._refuse(431, refusals.HEADERS_TOO_LARGE)

    def _ignore_upgrade(self, parser: httptools.HttpRequestParser, rest: bytes) -> None:
        """Go on in HTTP/1.1 after an offer to upgrade, as RFC 9110 7.8 lets a server do.

        The parser has stopped behind the head (Java's HttpClient offers h2c with its first POST, body and all): a new
        one gets the head again, without the offer. After CONNECT there is nothing to go on with.
        """
        if not self._offers_upgrade or self._close_after_answers or parser.get_method() == b"CONNECT":
            self._finish_after_answers()
            return
        headers = (
            (b"X-Amz-Target", self._target),
            (b"Authorization", self._authorization),
            (b"Transfer-Encoding", self._transfer_encoding),
            (b"Content-Length", b"%d" % self._content_length if self._content_length else b""),
            (b"Expect", b"100-continue" if self._expects_continue else b""),
        )
        self._parser = httptools.HttpRequestParser(self)
        self._feed(head_without_offer(parser.get_method(), self._path, headers) + rest)

    # --- httptools ----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._close_after_answers:
            raise _Refused
        self._current = None
        self._path = self._target = self._authorization = self._transfer_encoding = b""
        self._content_length = self._head_bytes = self._header_count = 0
        self._expects_continue = self._offers_upgrade = False
        self._reading_head = self._head_began_in_feed = True
        self._request_began_s = self.server.now_s

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._path += url
        if len(self._path) > limits.URL_BYTES_MAX:
            self._stop(431, refusals.HEADERS_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer of a chunked body."""
        self._header_count += 1
        # A head that arrives in one slice is bounded by it; what counts is what one request adds up to.
        if self._header_count > limits.HEADERS_MAX or len(value) > limits.HEADER_BYTES_MAX:
            self._stop(431, refusals.HEADERS_TOO_LARGE)
        if not self._reading_head:
            return
        kind = KINDS.get(name.lower())
        if kind is None:
            return
        if kind == TARGET:
            self._target = value
        elif kind == AUTHORIZATION:
            self._authorization = value
        elif kind == HOST:
            self.host = value
        elif kind == CONTENT_LENGTH:
            self._content_length = int(value) if len(value) < 20 and value.isdigit() else 1 << 62
        elif kind == UPGRADE:
            self._offers_upgrade = True
        elif kind == TRANSFER_ENCODING:
            self._transfer_encoding = value
        elif kind == EXPECT:
            self._expects_continue = value.lower() == b"100-continue"
        elif kind == TRACE and value == b"1":
            self.exchange_class = TracedExchange

    def on_headers_complete(self) -> None:
        """The head has ended: refuse what is too large before its body is read."""
        parser = self._parser
        assert parser is not None, "the parser calls back only while it exists"
        self._reading_head = False
        current = self._current = self.exchange_class(self)
        current.target = self._target
        current.authorization = self._authorization
        current.keep_alive = parser.should_keep_alive()
        current.expects_continue = self._expects_continue
        if self._offers_upgrade and self._upgrade_stops_parser():
            return  # comes again, see _ignore_upgrade
        if self._content_length > self.server.body_bytes_max:
            self._stop(413, refusals.BODY_TOO_LARGE)
        if current.expects_continue and not self._queue:
            self._write_continue(current)

    def _write_continue(self, current: Exchange) -> None:
        # Only when every earlier answer has left: an interim answer belongs to the request in front of it.
        current.expects_continue = False
        if self._transport is not None:
            self._transport.write(answers.CONTINUE)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        current = self._current
        if current is None:
            return
        size = len(data)
        if current.parts is None:
            if size == self._content_length:
                current.body = data
                return
            current.parts = []
        current.parts_bytes += size
        self.server.body_bytes_buffered += size
        if current.parts_bytes > self.server.body_bytes_max:
            self._stop(413, refusals.BODY_TOO_LARGE)
        if self.server.body_bytes_buffered > limits.BODY_BYTES_BUFFERED_MAX:
            self._stop(503, refusals.BUSY)
        current.parts.append(data)

    def on_message_complete(self) -> None:
        """A request has arrived whole."""
        current = self._current
        if current is None or self._close_after_answers:
            return
        if self._offers_upgrade and self._upgrade_stops_parser():
            self._current = None
            return
        if current.parts is not None:
            current.body = b"".join(current.parts)
            self._forget_current()
        self._current = None
        self._queue.append(current)
        if not current.keep_alive:
            self._close_after_answers = True
        if len(self._queue) >= limits.PIPELINED_REQUESTS_MAX:
            self._pause_reading()
        self._dispatch(current)

    def _upgrade_stops_parser(self) -> bool:
        parser = self._parser
        return parser is not None and bool(parser.should_upgrade()) and parser.get_method() != b"CONNECT"

    # --- requests -----------------------------------------------------------------------------------------------

    def _dispatch(self, exchange: Exchange) -> None:
        server = self.server
        parser = self._parser
        assert parser is not None, "the parser calls back only while it exists"
        method = parser.get_method()
        if method == b"POST":
            if self._path == b"/":
                server.handle_operation(exchange)
            else:
                exchange.respond(404, refusals.METHOD_NOT_ALLOWED)
        elif method in (b"GET", b"HEAD"):
            head_only = method == b"HEAD"
            if self._path == b"/":
                status, body = server.health(exchange)
                exchange.respond(status, body, content_type=answers.TEXT_TYPE, head_only=head_only)
            else:
                exchange.respond(404, refusals.METHOD_NOT_ALLOWED, head_only=head_only)
        else:
            exchange.respond(405, refusals.METHOD_NOT_ALLOWED)

    def answered(self, exchange: Exchange) -> None:
        """`exchange` has its answer; it leaves with the server's flush at the end of this loop turn."""
        if not self.dirty and self._transport is not None:
            self.dirty = True
            self.server.flush_soon(self)
        self.server.finished(exchange)

    def flush(self) -> None:
        """Write every answer whose turn has come, in one write."""
        self.dirty = False
        transport = self._transport
        queue = self._queue
        if transport is None or not queue:
            return
        first = queue[0].encoded
        if first is None:
            return
        queue.popleft()
        if not queue:
            transport.write(first)
        else:
            ready = [first]
            while queue and (encoded := queue[0].encoded) is not None:
                ready.append(encoded)
                queue.popleft()
            transport.write(b"".join(ready))
        self.active_at_s = self.server.now_s
        if queue:
            return
        if self._close_after_answers:
            self._close()
        else:
            if self._current is not None and self._current.expects_continue:
                self._write_continue(self._current)
            if self._reading_paused and not self._writing_paused:
                self._resume_reading()

    # --- refusing, pausing, closing -----------------------------------------------------------------------------

    def _stop(self, status: int, body: bytes) -> None:
        """Refuse from inside a parser callback."""
        self._refuse(status, body)
        raise _Refused

    def _refuse(self, status: int, body: bytes) -> None:
        """Answer after all answers that are due, then close: what follows cannot be understood or is unwanted."""
        if self._close_after_answers:
            return
        self._forget_current()
        self._reading_head = False
        self._close_after_answers = True
        self._linger = True
        exchange = Exchange(self)
        exchange.keep_alive = False
        self.server.counts.refuse(status)
        self._queue.append(exchange)
        exchange.respond(status, body)

    def _finish_after_answers(self) -> None:
        self._close_after_answers = True
        if not self._queue:
            self._close()

    def _close(self) -> None:
        """Every answer is written: end the connection."""
        transport = self._transport
        if transport is None:
            return
        if self._linger and not self._linger_until_s and transport.can_write_eof():
            self._linger_until_s = self.server.now_s + limits.LINGER_MS_MAX / 1000
            # Refused in the middle of a request: keep reading (and dropping) until the peer has seen the answer; the
            # sweeper closes for good.
            transport.write_eof()
        else:
            transport.close()

    def _forget_current(self) -> None:
        current = self._current
        if current is not None and current.parts is not None:
            self.server.body_bytes_buffered -= current.parts_bytes
            current.parts = None
            current.parts_bytes = 0
        self._current = None

    def _pause_reading(self) -> None:
        if not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            # Not while what was held is fed: the transport has not been resumed yet.
            if self._transport.is_reading():
                self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self._reading_paused or len(self._queue) >= limits.PIPELINED_REQUESTS_MAX:
            return
        self._reading_paused = False
        held, self._held = self._held, []
        for position, data in enumerate(held):
            if self._close_after_answers:
                break
            if rest := data if self._reading_paused else self._take_in(data):
                self._held = [rest, *held[position + 1 :]]
                return
        if not self._reading_paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # --- called by the server -----------------------------------------------------------------------------------

    def sweep(self, now_s: float) -> None:
        """Close what has waited too long; called once for each sweep interval."""
        transport = self._transport
        if transport is None:
            return
        quiet_ms = (now_s - self.active_at_s) * 1000
        if self._linger_until_s:
            if now_s >= self._linger_until_s:
                transport.abort()
        elif self._writing_paused:
            if (now_s - self.stalled_at_s) * 1000 > limits.WRITE_STALL_MS_MAX:
                transport.abort()
        elif self._queue:
            return  # the operation's own time-out answers it
        elif self._reading_head or self._current is not None:
            reading_ms = (now_s - self._request_began_s) * 1000
            if self._reading_head:
                late = reading_ms > limits.HEADER_READ_MS_MAX
            else:
                late = quiet_ms > limits.BODY_IDLE_MS_MAX or reading_ms > limits.REQUEST_READ_MS_MAX
            if late:
                self._refuse(408, refusals.TIMED_OUT)
        elif quiet_ms > limits.KEEP_ALIVE_IDLE_MS_MAX:
            transport.close()

    def drain(self) -> None:
        """The router is stopping: finish what has been received, then close."""
        if self._queue:
            # The last answer says so, or the client would send its next request into a closing connection.
            self._queue[-1].keep_alive = False
        self._finish_after_answers()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def busy(self) -> bool:
        """Whether an answer is still due."""
        return bool(self._queue)

"""HttpConnection fed with raw bytes in any pieces: order, limits, refusals. A transport that only records."""

from __future__ import annotations

import re
from zlib import crc32

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo.errors import validation
from router import limits
from router.http.answers import RequestIds
from router.http.protocol import HttpConnection
from router.http.server import HttpServer
from router.metrics import Counts
from runtime.clock import ManualClock

pytestmark = pytest.mark.unit

BODY_MAX = 1000


class Loop:
    """call_soon of an event loop, run by hand."""

    def __init__(self) -> None:
        self.ready: list = []

    def call_soon(self, callback) -> None:
        self.ready.append(callback)

    def turn(self) -> None:
        ready, self.ready = self.ready, []
        for callback in ready:
            callback()


class Transport:
    """Records what a connection does to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = self.aborted = self.eof = self.paused = False

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = self.closed = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def is_reading(self) -> bool:
        return not self.paused

    def is_closing(self) -> bool:
        return self.closed


class Handler:
    """Echoes at once, or holds calls until the test answers them."""

    def __init__(self) -> None:
        self.calls: list = []
        self.hold = False

    def dispatch(self, target: bytes, call) -> None:
        self.calls.append(call)
        if target == b"boom":
            raise RuntimeError("a defect")
        if target == b"error":
            call.fail(validation("no"))
        elif not self.hold:
            call.succeed(call.body)


class Peer:
    """One connection as its peer sees it."""

    def __init__(self, connections_max: int = 10) -> None:
        self.clock = ManualClock()
        self.handler = Handler()
        self.loop = Loop()
        self.is_ready = True
        self.server = HttpServer(
            operations=self.handler,
            counts=Counts(("unknown",)),
            clock=self.clock,
            request_ids=RequestIds(bytes(range(1, 33))),
            ready=lambda: self.is_ready,
            body_bytes_max=BODY_MAX,
            connections_max=connections_max,
        )
        self.server.attach(self.loop)
        self.transport = Transport()
        self.connection = HttpConnection(self.server)
        self.connection.connection_made(self.transport)

    def send(self, data: bytes, pieces: list[int] | None = None) -> None:
        at = 0
        for size in pieces or []:
            if at < len(data):
                self.connection.data_received(data[at : at + size])
                self.loop.turn()
                at += size
        if at < len(data):
            self.connection.data_received(data[at:])
        self.loop.turn()

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.server.now_s = self.clock.monotonic()
        self.connection.sweep(self.server.now_s)
        self.loop.turn()

    def answers(self) -> list[tuple[int, dict[str, str], bytes]]:
        return parse_answers(b"".join(self.transport.written))


def parse_answers(data: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    result = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", "0"))
        result.append((int(first.split()[1]), headers, data[:length]))
        data = data[length:]
    return result


def post(body: bytes, *headers: str, target: str = "echo") -> bytes:
    lines = ["POST / HTTP/1.1", "Host: x", f"X-Amz-Target: {target}", *headers]
    if not any(line.lower().startswith("transfer-encoding") for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*pieces: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return post(b"", "Transfer-Encoding: chunked") + body


PIECES = st.lists(st.integers(1, 60), max_size=80)


@given(PIECES, st.lists(st.binary(max_size=50), min_size=1, max_size=6), st.booleans())
def test_pipelined_requests_in_any_pieces_are_answered_in_order(pieces: list[int], bodies: list, chunk: bool) -> None:
    peer = Peer()
    data = b"".join(chunked(*(bytes([byte]) for byte in body)) if chunk else post(body) for body in bodies)
    peer.send(data, pieces)
    answers = peer.answers()
    assert [body for _, _, body in answers] == bodies
    assert all(status == 200 for status, _, _ in answers)
    assert not peer.transport.closed
    assert peer.server.body_bytes_buffered == 0


def test_answers_that_are_ready_out_of_order_leave_in_request_order_and_in_one_write() -> None:
    peer = Peer()
    peer.handler.hold = True
    peer.send(post(b"1") + post(b"2") + post(b"3"))
    first, second, third = peer.handler.calls
    third.succeed(b"third")
    second.succeed(b"second")
    peer.loop.turn()
    assert peer.transport.written == []
    first.succeed(b"first")
    peer.loop.turn()
    assert len(peer.transport.written) == 1
    assert [body for _, _, body in peer.answers()] == [b"first", b"second", b"third"]


def test_an_answer_carries_id_checksum_length_and_type() -> None:
    peer = Peer()
    peer.send(post(b'{"a":1}') * 2)
    ids = set()
    for status, headers, body in peer.answers():
        assert status == 200
        assert re.fullmatch("[A-Z0-9]{52}", headers["x-amzn-requestid"])
        assert headers["x-amz-crc32"] == str(crc32(body))
        assert headers["content-type"] == "application/x-amz-json-1.0"
        assert headers["connection"] == "keep-alive"
        ids.add(headers["x-amzn-requestid"])
    assert len(ids) == 2


def test_a_second_answer_of_one_call_is_dropped() -> None:
    peer = Peer()
    peer.handler.hold = True
    peer.send(post(b""))
    (call,) = peer.handler.calls
    call.succeed(b"one")
    call.fail(validation("two"))
    peer.loop.turn()
    assert [body for _, _, body in peer.answers()] == [b"one"]


def test_an_error_is_rendered_with_type_and_message() -> None:
    peer = Peer()
    peer.send(post(b"", target="error"))
    ((status, _, body),) = peer.answers()
    assert status == 400
    assert orjson.loads(body)["message"] == "no"
    assert orjson.loads(body)["__type"].endswith("#ValidationException")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET / HTTP/1.1", 200),
        ("HEAD / HTTP/1.1", 200),
        ("GET /favicon.ico HTTP/1.1", 404),
        ("POST /other HTTP/1.1", 404),
        ("PUT / HTTP/1.1", 405),
        ("DELETE / HTTP/1.1", 405),
        ("OPTIONS / HTTP/1.1", 405),
    ],
)
def test_method_and_path(request_line: str, status: int) -> None:
    peer = Peer()
    peer.send(f"{request_line}\r\nHost: x\r\n\r\n".encode())
    head, _, body = b"".join(peer.transport.written).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert bool(body) is not request_line.startswith("HEAD")
    assert not peer.transport.closed


def test_health_says_whether_the_router_serves() -> None:
    peer = Peer()
    credential = "Authorization: AWS4-HMAC-SHA256 Credential=AK/20240101/eu-west-1/dynamodb/aws4_request, Signature=x"
    peer.send(f"GET / HTTP/1.1\r\nHost: x\r\n{credential}\r\n\r\n".encode())
    peer.is_ready = False
    peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    (ready, _, text), (unready, _, _) = peer.answers()
    assert (ready, text) == (200, b"healthy: dynamodb.eu-west-1.amazonaws.com ")
    assert unready == 503


@pytest.mark.parametrize(
    "data",
    [
        b"BAD\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nHo st: x\r\n\r\n",
    ],
    ids=["no method", "TLS", "negative length", "two lengths", "bad chunk", "HTTP/2", "space in a header name"],
)
@pytest.mark.parametrize("before", [0, 2])
def test_malformed_is_answered_400_after_the_answers_due_and_then_closed(data: bytes, before: int) -> None:
    peer = Peer()
    peer.handler.hold = True
    peer.send(post(b"x") * before + data)
    assert len(peer.handler.calls) == before
    for call in peer.handler.calls:
        call.succeed(b"ok")
    peer.loop.turn()
    assert [status for status, _, _ in peer.answers()] == [200] * before + [400]
    assert peer.server.counts.http_refusals == {400: 1}
    assert peer.answers()[-1][1]["connection"] == "close"
    assert peer.transport.eof
    peer.wait(limits.LINGER_MS_MAX / 1000 + 1)
    assert peer.transport.closed


@pytest.mark.parametrize("how", ["declared", "chunked", "declared with Expect"])
def test_a_body_over_the_limit_is_refused_while_it_is_read(how: str) -> None:
    peer = Peer()
    if how == "chunked":
        piece = b"%x\r\n%b\r\n" % (400, b"x" * 400)
        peer.send(post(b"", "Transfer-Encoding: chunked") + piece * 2)
        assert peer.answers() == []
        peer.send(piece)
    else:
        extra = ["Expect: 100-continue"] if how.endswith("Expect") else []
        lines = ["POST / HTTP/1.1", "Host: x", f"Content-Length: {BODY_MAX + 1}", *extra]
        peer.send("\r\n".join(lines).encode() + b"\r\n\r\n")
    ((status, headers, body),) = peer.answers()
    assert status == 413
    assert peer.server.counts.http_refusals == {413: 1}
    assert headers["connection"] == "close"
    assert orjson.loads(body)["__type"] == "com.amazon.coral.service#RequestEntityTooLargeException"
    assert peer.handler.calls == []
    assert peer.server.body_bytes_buffered == 0
    peer.send(b"y" * 5000)
    assert len(peer.answers()) == 1


def test_a_body_beyond_what_all_connections_may_buffer_is_refused_and_counted() -> None:
    peer = Peer()
    peer.server.body_bytes_buffered = limits.BODY_BYTES_BUFFERED_MAX
    peer.send(post(b"x" * 100), [100, 20])
    assert [status for status, _, _ in peer.answers()] == [503]
    assert peer.server.counts.http_refusals == {503: 1}
    assert peer.server.body_bytes_buffered == limits.BODY_BYTES_BUFFERED_MAX


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    peer = Peer()
    peer.send(post(b"x" * BODY_MAX) + chunked(b"y" * BODY_MAX))
    assert [body for _, _, body in peer.answers()] == [b"x" * BODY_MAX, b"y" * BODY_MAX]


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\n" + b"".join(b"H%d: x\r\n" % number for number in range(limits.HEADERS_MAX + 1)) + b"\r\n",
        b"POST / HTTP/1.1\r\nH: " + b"x" * (limits.HEADER_BYTES_MAX + 1) + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nH: " + b"x" * (limits.HEADER_BYTES_MAX * 2),
        b"GET /" + b"x" * limits.URL_BYTES_MAX * 2 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["too many headers", "a header too long", "a header that does not end", "a path too long"],
)
def test_a_head_over_the_limits_is_refused(data: bytes) -> None:
    peer = Peer()
    peer.send(data, [1000] * 200)
    assert [status for status, _, _ in peer.answers()] == [431]
    assert peer.server.counts.http_refusals == {431: 1}
    assert peer.handler.calls == []


def test_a_burst_of_whole_requests_with_a_partial_head_behind_is_not_too_large() -> None:
    peer = Peer()
    one = post(b"x" * 900)
    count = limits.HEADER_BYTES_MAX // len(one) + 5
    peer.send(one * count + b"POST / HTTP/1.1\r\nHost")
    assert [status for status, _, _ in peer.answers()] == [200] * count


@pytest.mark.parametrize("before", [False, True], ids=["alone", "behind an answer that is due"])
def test_expect_continue(before: bool) -> None:
    peer = Peer()
    peer.handler.hold = before
    if before:
        peer.send(post(b"first"))
    head, _, body = post(b"hello", "Expect: 100-continue").partition(b"\r\n\r\n")
    peer.send(head + b"\r\n\r\n")
    if before:
        assert peer.transport.written == []
        peer.handler.calls[0].succeed(b"1")
        peer.loop.turn()
        peer.handler.hold = False
    assert peer.transport.written[-1] == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(body)
    assert peer.answers()[-1][2] == b"hello"


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", False),
        (b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", True),
        (b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", True),
        (b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx", True),
        (
            b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\nx\r\n0\r\n\r\n",
            True,
        ),
    ],
    ids=["1.0", "1.0 kept", "1.1 close", "1.1", "upgrade offered", "upgrade offered, chunked"],
)
def test_keep_alive(data: bytes, kept: bool) -> None:
    peer = Peer()
    peer.send(data, [50, 20])
    assert [(status, body) for status, _, body in peer.answers()] == [(200, b"x")]
    assert peer.transport.closed is not kept
    if kept:
        peer.send(post(b"next"))
        assert peer.answers()[-1][2] == b"next"


def test_connect_is_refused_and_closed() -> None:
    peer = Peer()
    peer.send(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n\x16\x03")
    assert [status for status, _, _ in peer.answers()] == [405]
    assert peer.transport.closed


def test_many_pipelined_requests_stop_the_reading_until_answers_have_left() -> None:
    peer = Peer()
    peer.handler.hold = True
    peer.send(post(b"x") * limits.PIPELINED_REQUESTS_MAX)
    assert peer.transport.paused
    peer.send(post(b"held"))
    assert len(peer.handler.calls) == limits.PIPELINED_REQUESTS_MAX
    peer.handler.hold = False
    for call in list(peer.handler.calls):
        call.succeed(b"ok")
    peer.loop.turn()
    peer.loop.turn()
    assert not peer.transport.paused
    assert peer.answers()[-1][2] == b"held"


def test_one_read_of_tiny_requests_does_not_begin_them_all() -> None:
    peer = Peer()
    peer.handler.hold = True
    bodies = [b"%d" % number for number in range(10 * limits.PIPELINED_REQUESTS_MAX)]
    one = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b"
    data = b"".join(one % (len(body), body) for body in bodies)
    most = limits.PIPELINED_REQUESTS_MAX + limits.FEED_BYTES_MAX // len(one % (1, b"0"))
    assert len(bodies) > 2 * most, "more than what may begin"
    peer.send(data)
    assert peer.transport.paused
    peer.send(post(b"behind"))
    answered = 0
    while answered < len(bodies) + 1:
        waiting = peer.handler.calls[answered:]
        assert 0 < len(waiting) <= most
        answered += len(waiting)
        for call in waiting:
            call.succeed(call.body)
        peer.loop.turn()
    assert [body for _, _, body in peer.answers()] == [*bodies, b"behind"]
    assert not peer.transport.paused


def test_a_peer_that_does_not_read_is_not_read_from_and_then_cut() -> None:
    peer = Peer()
    peer.connection.pause_writing()
    assert peer.transport.paused
    peer.connection.resume_writing()
    assert not peer.transport.paused
    peer.connection.pause_writing()
    peer.wait(limits.WRITE_STALL_MS_MAX / 1000 + 1)
    assert peer.transport.aborted


@pytest.mark.parametrize(
    ("data", "seconds", "status"),
    [
        (b"POST / HT", limits.HEADER_READ_MS_MAX / 1000 + 1, 408),
        (post(b"xx")[:-1], limits.BODY_IDLE_MS_MAX / 1000 + 1, 408),
        (b"", limits.KEEP_ALIVE_IDLE_MS_MAX / 1000 + 1, None),
        (post(b"x"), limits.KEEP_ALIVE_IDLE_MS_MAX / 1000 + 1, 200),
    ],
    ids=["head", "body", "never a request", "idle after an answer"],
)
def test_a_silent_peer_is_closed(data: bytes, seconds: float, status: int | None) -> None:
    peer = Peer()
    peer.send(data) if data else None
    peer.wait(1)
    assert not peer.transport.closed
    peer.wait(seconds)
    assert [answer[0] for answer in peer.answers()] == ([] if status is None else [status])
    peer.wait(limits.LINGER_MS_MAX / 1000 + 1)
    assert peer.transport.closed


def test_a_head_that_drips_is_ended_however_steadily() -> None:
    peer = Peer()
    for byte in b"POST / HTTP/1.1\r\nX: yyyyyyyyy":
        peer.send(bytes([byte]))
        peer.wait(limits.HEADER_READ_MS_MAX / 10_000)
    assert [answer[0] for answer in peer.answers()] == [408]
    assert peer.server.counts.http_refusals == {408: 1}


def test_an_operation_under_way_keeps_its_connection() -> None:
    peer = Peer()
    peer.handler.hold = True
    peer.send(post(b"x"))
    peer.wait(limits.KEEP_ALIVE_IDLE_MS_MAX / 1000 + 1)
    assert not peer.transport.closed


def test_over_connections_max_a_connection_is_answered_503_and_closed() -> None:
    peer = Peer(connections_max=1)
    second, transport = HttpConnection(peer.server), Transport()
    second.connection_made(transport)
    assert transport.closed
    assert parse_answers(b"".join(transport.written))[0][0] == 503
    second.data_received(post(b"x"))
    second.connection_lost(None)
    assert peer.server.counts.connections == 1
    peer.connection.connection_lost(None)
    assert peer.server.counts.connections == 0


def test_a_lost_connection_gives_back_what_it_held_and_late_answers_go_nowhere() -> None:
    peer = Peer()
    peer.handler.hold = True
    peer.send(post(b"x") + post(b"y" * 100)[:-1], [200])
    peer.send(b"")
    peer.connection.connection_lost(None)
    assert peer.server.body_bytes_buffered == 0
    peer.handler.calls[0].succeed(b"late")
    peer.loop.turn()
    assert peer.transport.written == []
    assert peer.server.counts.in_flight == 0


def test_a_peer_that_sends_its_last_byte_still_gets_its_answers() -> None:
    peer = Peer()
    peer.handler.hold = True
    peer.send(post(b"x"))
    assert peer.connection.eof_received() is True
    peer.handler.calls[0].succeed(b"ok")
    peer.loop.turn()
    assert [body for _, _, body in peer.answers()] == [b"ok"]
    assert peer.transport.closed


def test_draining_closes_idle_connections_at_once_and_busy_ones_after_their_answer() -> None:
    idle, busy = Peer(), Peer()
    busy.handler.hold = True
    busy.send(post(b"x"))
    idle.connection.drain()
    busy.connection.drain()
    assert idle.transport.closed
    assert not busy.transport.closed
    busy.handler.calls[0].succeed(b"ok")
    busy.loop.turn()
    assert busy.transport.closed
    assert [headers["connection"] for _, headers, _ in busy.answers()] == ["close"]


def test_a_defect_in_the_handler_costs_one_connection_and_nothing_else() -> None:
    peer = Peer()
    peer.send(post(b"", target="boom"))
    assert peer.connection.busy
    peer.handler.calls[0].succeed(b"")
    peer.loop.turn()
    assert [status for status, _, _ in peer.answers()] == [200, 500]
    assert peer.transport.eof


@given(st.binary(max_size=400), PIECES)
def test_any_bytes_end_in_an_answer_below_500_or_wait_for_more(data: bytes, pieces: list[int]) -> None:
    peer = Peer()
    peer.send(data, pieces)
    assert all(status < 500 for status, _, _ in peer.answers())

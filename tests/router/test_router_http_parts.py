"""Small parts of the door and of a link: scopes, answers, request ids, metrics, the frame queue, pacing."""

from __future__ import annotations

import asyncio
import random
from zlib import crc32

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from dynamo.errors import DynamoError, conditional_check_failed, serialization, throttling, validation
from router import limits
from router.http.answers import RequestIds, answer, error_body, error_status, without_body
from router.http.authorization import DEFAULT_SCOPE, Scope, parse_scope
from router.metrics import Counts, Gauges, Histogram, RouterCollector, StreamCounts
from router.operations.call import WriteIds
from router.operations.tables import split_table_name
from router.routing.departures import Departures
from router.routing.node_link import NodeLink
from router.routing.pending import Failure, Pending
from runtime.clock import SystemClock
from runtime.pacing import Pacer
from wire import data_pb2 as pb

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("header", "scope"),
    [
        (
            b"AWS4-HMAC-SHA256 Credential=AKID/20240101/eu-west-1/dynamodb/aws4_request, SignedHeaders=a, Signature=b",
            Scope("AKID", "eu-west-1"),
        ),
        (b"AWS4-HMAC-SHA256 Credential=AK/ID/20240101/us-east-1/dynamodb/aws4_request", Scope("AK/ID", "us-east-1")),
        (b"AWS4-HMAC-SHA256 Credential=AKID/20240101/local host/dynamodb/aws4_request", Scope("AKID", "us-east-1")),
        (b"AWS4-HMAC-SHA256 Credential=AKID", DEFAULT_SCOPE),
        (b"Basic abc", DEFAULT_SCOPE),
        (b"", DEFAULT_SCOPE),
        (b"Credential=" + b"x" * 5000, DEFAULT_SCOPE),
    ],
    ids=["usual", "slash in the key", "impossible region", "no scope", "other scheme", "none", "huge"],
)
def test_credential_scope(header: bytes, scope: Scope) -> None:
    assert parse_scope(header) == scope


@given(st.binary(max_size=200))
def test_any_authorization_gives_a_scope(header: bytes) -> None:
    assert parse_scope(b"Credential=" + header).region


def test_request_ids_differ_between_processes_and_calls() -> None:
    first, second = RequestIds(b"\x01" * 32), RequestIds(b"\x02" * 32)
    made = {ids.next() for ids in (first, second) for _ in range(100)}
    assert len(made) == 200
    assert {len(one) for one in made} == {52}


def test_write_ids_differ_and_are_16_bytes() -> None:
    ids = WriteIds(b"12345678")
    assert {len(ids.next()), len(ids.next())} == {16}
    assert ids.next() != ids.next()


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (serialization(), {"__type": "com.amazon.coral.service#SerializationException"}),
        (
            conditional_check_failed(b'{"a":{"S":"x"}}'),
            {
                "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                "message": "The conditional request failed",
                "Item": {"a": {"S": "x"}},
            },
        ),
        (
            validation('quote " and \ud800'),
            {"__type": "com.amazon.coral.validate#ValidationException", "message": 'quote " and ?'},
        ),
        (
            throttling(),
            {
                "__type": "com.amazon.coral.service#ThrottlingException",
                "message": "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically "
                "scaling your table or index so please try again shortly. If exceptions persist, check if you have a "
                "hot key: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html",
            },
        ),
    ],
    ids=["no message", "members", "text a client sent", "a full queue has the text of an on-demand table"],
)
def test_error_body(error: DynamoError, body: object) -> None:
    assert orjson.loads(error_body(error)) == body


@pytest.mark.parametrize(("given_status", "sent"), [(400, 400), (503, 503), (502, 500), (409, 400)])
def test_error_status_is_one_that_is_sent(given_status: int, sent: int) -> None:
    assert error_status(DynamoError("X", "", status=given_status)) == sent


def test_the_answer_to_head_describes_the_body_it_leaves_out() -> None:
    whole = answer(200, b"text", b"id", keep_alive=True)
    assert b"Content-Length: 4\r\n" in without_body(whole)
    assert b"x-amz-crc32: %d\r\n" % crc32(b"text") in whole
    assert whole == without_body(whole) + b"text"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", ("r", "plain")),
        ("arn:aws:dynamodb:eu-west-1:123456789012:table/named", ("eu-west-1", "named")),
        ("arn:aws:dynamodb::123456789012:table/named", ("r", "named")),
    ],
)
def test_table_names_and_arns(name: str, expected: tuple[str, str]) -> None:
    assert split_table_name(name, "r") == expected


@pytest.mark.parametrize(
    "name", ["arn:", "arn:aws:s3:::x", "arn:aws:dynamodb:r:1:table/", "arn:aws:dynamodb:r:1:table/x/y"]
)
def test_what_is_no_table_s_arn(name: str) -> None:
    with pytest.raises(DynamoError):
        split_table_name(name, "r")


def test_histogram_bounds_are_inclusive_and_cumulated() -> None:
    histogram = Histogram((1, 2))
    for value in (1, 2, 2, 3):
        histogram.observe(value)
    assert histogram.buckets() == [("1", 1), ("2", 3), ("+Inf", 4)]
    assert histogram.total == 8


def test_metrics_say_what_was_counted() -> None:
    counts = Counts(("unknown", "GetItem"))
    counts.observe(1, "", 0.004)
    counts.observe(1, "ThrottlingException", 0.2)
    counts.stream("n1").frames_sent = 3
    counts.refuse(413)
    registry = CollectorRegistry()
    gauges = Gauges(parked=lambda: 4, outstanding=lambda: {"n1": 5}, catalog_version=lambda: 6, catalog_reads=lambda: 7)
    registry.register(RouterCollector(counts, gauges))
    text = generate_latest(registry).decode()
    for line in (
        'trizone_router_requests_total{error="",operation="GetItem"} 1.0',
        'trizone_router_requests_total{error="ThrottlingException",operation="GetItem"} 1.0',
        'trizone_router_request_seconds_bucket{le="0.005",operation="GetItem"} 1.0',
        'trizone_router_request_seconds_count{operation="GetItem"} 2.0',
        'trizone_router_frames_sent_total{node="n1"} 3.0',
        'trizone_router_outstanding_operations{node="n1"} 5.0',
        "trizone_router_parked_operations 4.0",
        "trizone_router_catalog_version 6.0",
        "trizone_router_catalog_reads_total 7.0",
        'trizone_router_http_refusals_total{status="413"} 1.0',
    ):
        assert line in text


class Silent(Pending):
    """An operation whose end does not matter here."""

    __slots__ = ()

    def complete(self, result: pb.Result) -> None:
        raise AssertionError("no result comes in this test")

    def give_up(self, failure: Failure) -> None:
        raise AssertionError("nothing is given up in this test")


def pending(number: int, item_bytes: int = 10) -> Silent:
    made = Silent(pb.Operation(id=number, kind=pb.PUT, item=b"x" * item_bytes), 1.0)
    made.node = "n1"
    return made


async def make_link() -> NodeLink:
    return NodeLink(
        node_id="n1",
        address="127.0.0.1:1",
        hello=pb.RouterHello(),
        owner=None,
        departures=Departures(SystemClock.monotonic),
        counts=StreamCounts(),
        connect_ms=1000,
        rng=random.Random(1),
    )


def test_operations_that_arrived_together_share_one_frame_in_order() -> None:
    link = asyncio.run(make_link())
    waiting = [pending(number) for number in range(5)]
    assert all(link.send(one) for one in waiting)
    waiting[2].done = True
    assert [operation.id for operation in link._take()] == [0, 1, 3, 4]
    assert [one.sent for one in waiting] == [True, True, False, True, True], "given up while queued: never sent"
    assert link._take() == []


def test_what_went_to_another_node_while_it_waited_is_left_out_and_what_came_back_leaves_once() -> None:
    link = asyncio.run(make_link())
    moved, returned = pending(1), pending(2)
    for one in (moved, returned, returned):
        link.send(one)
    moved.node = "n2"
    assert [operation.id for operation in link._take()] == [2]


def test_a_frame_is_bounded_and_the_rest_follows() -> None:
    link = asyncio.run(make_link())
    size = limits.FRAME_BYTES_MAX // 2
    waiting = [pending(number, size) for number in range(3)]
    assert all(link.send(one) for one in waiting)
    assert [len(link._take()) for _ in range(3)] == [1, 1, 1]


def test_an_operation_larger_than_a_frame_goes_alone() -> None:
    link = asyncio.run(make_link())
    assert link.send(pending(1, limits.FRAME_BYTES_MAX * 2))
    assert len(link._take()) == 1


def test_pages_are_not_counted_among_what_holds_others_up_and_a_lost_stream_leaves_no_count() -> None:
    link = asyncio.run(make_link())
    waiting = [pending(number) for number in range(1, 9)]
    for one in waiting[:3]:
        one.operation.kind = pb.RANGE_EVENTUAL
    assert all(link.send(one) for one in waiting)
    link._take()
    stream = link._stream
    assert stream.under_way == 5
    assert link._pages_in([pb.Result(id=number) for number in (1, 2, 7)]) == 2
    assert link._pages == {3}
    link._counts.connected = 1
    link._owner = type("Owner", (), {"link_down": lambda *_: None})()
    link._down()
    assert (stream.under_way, link._pages) == (0, set())


def test_a_full_queue_refuses_and_takes_again_when_frames_have_left() -> None:
    link = asyncio.run(make_link())
    size = limits.QUEUED_BYTES_MAX // 8
    number = 0
    while link.send(pending(number, size)):
        number += 1
    assert number == 7
    link._take()
    assert link.send(pending(99, size))


@pytest.mark.parametrize("pause_us", [0, 300, 2000])
def test_a_pause_ends_and_pauses_that_overlap_end_together(pause_us: int) -> None:
    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        pacer = Pacer(pause_us)
        began_s = loop.time()
        await asyncio.wait_for(asyncio.gather(pacer.pause(), pacer.pause()), 5)
        elapsed_s = loop.time() - began_s
        # Closing wakes whoever still waits.
        waiting = asyncio.ensure_future(pacer.pause())
        await asyncio.sleep(0)
        pacer.close()
        await asyncio.wait_for(waiting, 5)
        return elapsed_s

    assert asyncio.run(scenario()) >= pause_us / 1_000_000 * 0.9

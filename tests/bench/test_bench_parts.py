"""The pure parts of the benchmark and of the example: requests, percentiles, wrk's output, the data set."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path

import pytest
from bench_cluster import endpoint_target
from bench_generators import Load, Measured, read_wrk, wrk_file
from bench_load import content_length, percentile
from bench_requests import (
    DIALECTS,
    ITEMS_OF_A_QUERY,
    OPERATIONS,
    QUERY_FILL,
    VALUE_CHARACTERS,
    bodies,
    headers,
    query_items,
    wire_requests,
)
from run import heading, parse, row

from dynamo.keys import KeyAttribute, KeySchema
from dynamo.values import canonical_item, item_size
from tools.errors import CommandError

pytestmark = pytest.mark.unit

DATA = Path(__file__).parents[2] / "examples" / "time_zones.csv"


@pytest.mark.parametrize(
    ("ordered", "fraction", "expected"),
    [
        ([], 0.99, 0.0),
        ([7.0], 0.5, 7.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([float(number) for number in range(1, 101)], 0.99, 99.0),
        ([float(number) for number in range(1, 102)], 0.99, 100.0),
        ([1.0, 2.0, 3.0], 1.0, 3.0),
    ],
    ids=["no values", "one value", "lower of two", "99 of 100", "rounds up", "the largest"],
)
def test_percentile_is_the_nearest_rank(ordered: list[float], fraction: float, expected: float) -> None:
    assert percentile(ordered, fraction) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 42\r\nServer: x",
        b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length:42",
        b"HTTP/1.1 200 OK\r\ncontent-length: 42\r\nX: y",
    ],
    ids=["in the middle", "last, no space", "lower case"],
)
def test_content_length_is_read(head: bytes) -> None:
    assert content_length(head) == 42


def test_an_answer_without_content_length_is_refused() -> None:
    with pytest.raises(ValueError, match="without Content-Length"):
        content_length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked")


@pytest.mark.parametrize("name", OPERATIONS)
def test_requests_name_their_operation_and_are_whole(name: str) -> None:
    operation = OPERATIONS[name]
    requests = wire_requests(operation, 2000, "example")
    expected = {"query": 20, "query20": 20, "scan": 20, "batch": 80}.get(name, 2000)
    assert len(set(requests)) == len(requests) == expected
    for request in requests:
        head, _, body = request.partition(b"\r\n\r\n")
        assert content_length(head) == len(body)
        assert f"DynamoDB_20120810.{operation.target}".encode() in head
        parsed = json.loads(body)
        assert parsed.get("ConsistentRead") == (True if name == "strong" else None)
        tables = list(parsed["RequestItems"]) if name == "batch" else [parsed["TableName"]]
        assert tables == [operation.table]
        if name == "put":
            assert len(parsed["Item"]["value"]["S"]) == VALUE_CHARACTERS


@pytest.mark.parametrize(
    ("items", "keys"), [(1, 1), (199, 1), (10_000, 100)], ids=["at least one", "whole keys only", "the default"]
)
def test_a_query_finds_one_hundred_items_of_about_one_hundred_bytes(items: int, keys: int) -> None:
    found = query_items(items)
    queries, segments = (bodies(OPERATIONS[name], items) for name in ("query", "scan"))
    for number, query in enumerate(queries):
        its_items = found[number * ITEMS_OF_A_QUERY : (number + 1) * ITEMS_OF_A_QUERY]
        assert {item["pk"]["S"] for item in its_items} == {query["ExpressionAttributeValues"][":pk"]["S"]}
        assert [item["sk"]["N"] for item in its_items] == [str(position) for position in range(ITEMS_OF_A_QUERY)]
    assert [(one["Segment"], one["TotalSegments"]) for one in segments] == [(number, keys) for number in range(keys)]
    assert (len(queries), len(found)) == (keys, keys * ITEMS_OF_A_QUERY)
    assert {90 <= item_size(item) <= 110 for item in found} == {True}
    assert [body["Item"] for body in bodies(QUERY_FILL, items)] == found


def test_wrk_is_given_the_same_bodies() -> None:
    operation = OPERATIONS["put"]
    head, _, bodies = wrk_file(DIALECTS["dynamodb"](operation, 5)).partition("\n\n")
    path, *lines = head.splitlines()
    assert path == "/"
    assert dict(line.split(": ", 1) for line in lines) == headers("PutItem")
    sent = [request.partition(b"\r\n\r\n")[2] for request in wire_requests(operation, 5, "example")]
    assert [line.encode() for line in bodies.splitlines()] == sent


LOAD = Load("127.0.0.1", 8000, OPERATIONS["strong"], 16, 100, 2.0)


def test_errors_of_wrk_are_counted_and_not_in_the_throughput() -> None:
    output = (
        "Running 2s test\n  ...\n\n"
        '{"requests": 1000, "duration_us": 2000000, "p50_us": 1500, "p99_us": 9000, "max_us": 20000,'
        ' "status_errors": 100, "broken": 3}\n'
    )
    measured = read_wrk(output, LOAD, {"load": 5.0})
    assert (measured.operations, measured.operations_per_s, measured.errors) == (900, 450.0, 103)
    assert (measured.p50_ms, measured.p99_ms, measured.max_ms) == (1.5, 9.0, 20.0)


def test_wrk_without_a_result_is_an_error_with_its_words() -> None:
    with pytest.raises(CommandError, match="unable to connect"):
        read_wrk("unable to connect to 127.0.0.1:1 Connection refused\n", LOAD, {})


def test_a_row_fits_its_heading_and_shows_what_is_not_known() -> None:
    measured = Measured("put", 256, 123456, 10.0, 1.0, 2.0, 3.0, 7, "why", {"n1": 99.6, "load": None})
    names = ["n1", "load"]
    assert len(row(measured, names)) == len(heading(names))
    assert row(measured, names).split() == ["PutItem", "256", "12,346", "1.00", "2.00", "7", "100", "-"]


@pytest.mark.parametrize("text", ["https://127.0.0.1:8000", "127.0.0.1:8000", "http://h", "http://h:x", "http://h:1/a"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="is no endpoint"):
        endpoint_target(text)


@pytest.mark.parametrize(
    "arguments",
    [["--connections", "0"], ["--connections", "1,,2"], ["--operations", "get"], ["--seconds", "0"]],
    ids=" ".join,
)
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(arguments)
    assert stopped.value.code == 2
    assert arguments[1] in capsys.readouterr().err or arguments[0] == "--seconds"


def test_every_row_of_the_data_set_is_an_item_with_a_key_of_its_own() -> None:
    schema = KeySchema(KeyAttribute("zone", "S"), KeyAttribute("from", "S"))
    with DATA.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    keys = set()
    for entry in rows:
        datetime.strptime(entry["from"], "%Y-%m-%dT%H:%M:%SZ")
        assert abs(int(entry["utc_offset_s"])) <= 14 * 3600
        assert entry["daylight_saving"] in ("yes", "no")
        item = canonical_item(
            {
                "zone": {"S": entry["zone"]},
                "from": {"S": entry["from"]},
                "countries": {"SS": entry["countries"].split(" ")},
            }
        )
        keys.add(schema.item_key_of_item(item))
    assert (len(rows), len(keys)) == (4044, 4044)
    assert len({entry["zone"] for entry in rows}) == 312

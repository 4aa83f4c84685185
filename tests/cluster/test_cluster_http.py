"""The wire as a client's library sees it: headers, checksums, unknown operations, too large bodies, any bytes."""

from __future__ import annotations

import json
import os
import random
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zlib import crc32

import boto3
import psutil
import pytest

from harness.cluster import LocalCluster
from harness.http import ConnectionLost, HttpConnection, request_bytes
from router.operations.registry import OPERATIONS

pytestmark = pytest.mark.cluster

BODY_BYTES_MAX = 16 * 1024 * 1024
KEY = {"pk": {"S": "a"}}
FUZZED = {"DeleteItem", "DescribeTable", "GetItem", "ListTables", "PutItem", "UpdateItem"}


@pytest.fixture
def http(shared_cluster: LocalCluster) -> Iterator[HttpConnection]:
    with shared_cluster.http() as connection:
        yield connection


@pytest.fixture(scope="module")
def table(new_table: Callable[..., str]) -> str:
    return new_table()


def test_every_answer_names_its_request_and_its_checksum(http: HttpConnection, table: str) -> None:
    answers = [
        http.call("PutItem", {"TableName": table, "Item": KEY}),
        http.call("GetItem", {"TableName": table, "Key": KEY, "ConsistentRead": True}),
        http.call("GetItem", {"TableName": "no-such-table", "Key": KEY}),
        http.call("Nonsense", {}),
        http.call("PutItem", b"not json"),
    ]
    for answer in answers:
        assert int(answer.headers["x-amz-crc32"]) == crc32(answer.body), answer
        assert re.fullmatch(r"[A-Z0-9]{52}", answer.headers["x-amzn-requestid"])
        assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    assert len({answer.headers["x-amzn-requestid"] for answer in answers}) == len(answers)


def test_an_answer_says_who_served_it_when_it_is_asked(
    shared_cluster: LocalCluster, http: HttpConnection, table: str
) -> None:
    zones = {node.id: node.az for node in shared_cluster.settings.nodes}
    item = {"TableName": table, "Key": KEY}
    query = {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": "a"}},
    }
    leaders = {}
    for operation, request in {
        "PutItem": {"TableName": table, "Item": KEY},
        "UpdateItem": item,
        "GetItem": item | {"ConsistentRead": True},
        "Query": query | {"ConsistentRead": True},
        "DeleteItem": item,
    }.items():
        served_by = http.call(operation, request, headers="X-Trizone-Trace: 1\r\n").headers["x-trizone-served-by"]
        node, az = served_by.split(";")
        assert zones[node] == az
        leaders[operation] = node
    assert len(set(leaders.values())) == 1, "one key, one leader"
    # An eventual read is served in the router's own AZ.
    assert http.call("GetItem", item, headers="x-trizone-trace: 1\r\n").headers["x-trizone-served-by"] == "n1;az-a"
    condition = item | {"ConditionExpression": "attribute_exists(nothing)"}
    failed = http.call("DeleteItem", condition, headers="x-trizone-trace: 1\r\n")
    leader = leaders["GetItem"]
    assert (failed.status, failed.headers["x-trizone-served-by"]) == (400, f"{leader};{zones[leader]}")
    assert int(failed.headers["x-amz-crc32"]) == crc32(failed.body)
    for untraced in (
        http.call("GetItem", item),
        http.call("GetItem", item, headers="x-trizone-trace: 0\r\n"),
        http.call("ListTables", {}, headers="x-trizone-trace: 1\r\n"),
        http.call("GetItem", b"not json", headers="x-trizone-trace: 1\r\n"),
    ):
        assert "x-trizone-served-by" not in untraced.headers


def test_error_types_carry_their_name_space(http: HttpConnection) -> None:
    missing = http.call("GetItem", {"TableName": "no-such-table", "Key": KEY})
    assert missing.json["__type"] == "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
    unreadable = http.call("PutItem", b"not json")
    assert (unreadable.status, unreadable.error[0]) == (400, "SerializationException")


def test_operations_not_built_yet_say_so_by_name(http: HttpConnection) -> None:
    unbuilt = sorted(_operation_names() - OPERATIONS.keys())
    assert len(unbuilt) > 10
    for name in unbuilt:
        answer = http.call(name, {})
        assert (answer.status, answer.error[0]) == (400, "UnknownOperationException"), name
        assert name in answer.error[1]


def _operation_names() -> set[str]:
    client = boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local")
    return set(client.meta.service_model.operation_names)


@pytest.mark.parametrize("target", ["DynamoDB_20120810.Nonsense", "Other_20120810.GetItem", "x.", "x" * 4000 + "."])
def test_targets_that_are_no_operation_are_unknown(http: HttpConnection, target: str) -> None:
    answer = http.call(target, {})
    assert (answer.status, answer.error[0]) == (400, "UnknownOperationException")


def test_the_health_check_of_the_service(http: HttpConnection) -> None:
    http.send(b"GET / HTTP/1.1\r\nHost: trizone\r\n\r\n")
    answer = http.read_answer()
    assert answer.status == 200
    assert answer.body.startswith(b"healthy: ")


def test_pipelined_requests_are_answered_in_order(http: HttpConnection, table: str) -> None:
    items = [{"pk": {"S": f"pipelined-{number}"}, "v": {"N": str(number)}} for number in range(40)]
    puts = [request_bytes("PutItem", json.dumps({"TableName": table, "Item": item}).encode()) for item in items]
    gets = [
        request_bytes(
            "GetItem",
            json.dumps({"TableName": table, "Key": {"pk": item["pk"]}, "ConsistentRead": True}).encode(),
        )
        for item in items
    ]
    http.send(b"".join(puts))
    assert [http.read_answer().status for _ in puts] == [200] * len(puts)
    http.send(b"".join(gets))
    assert [http.read_answer().json["Item"] for _ in gets] == items


# --- a body over the limit ------------------------------------------------------------------------------------------


def test_a_body_announced_too_large_is_refused_before_it_is_sent(http: HttpConnection) -> None:
    head = request_bytes("PutItem", b"").replace(b"Content-Length: 0", b"Content-Length: %d" % (BODY_BYTES_MAX + 1))
    http.send(head + b"{")
    assert http.read_answer().status == 413


def test_a_body_of_unknown_length_is_refused_while_it_is_read(shared_cluster: LocalCluster) -> None:
    head = request_bytes("PutItem", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    router = psutil.Process(shared_cluster.pid("r1"))
    before = router.memory_info().rss
    with shared_cluster.http() as http:
        http.send(head)
        # The last chunk never comes: only a server that counts while it reads can answer.
        for _ in range(BODY_BYTES_MAX // 0x100000 + 1):
            http.send(chunk)
        answer = http.read_answer()
    assert answer.status == 413
    assert router.memory_info().rss - before < 4 * BODY_BYTES_MAX


def test_a_body_at_the_limit_is_read_and_judged(http: HttpConnection) -> None:
    answer = http.call("PutItem", b"{" + b" " * (BODY_BYTES_MAX - 2) + b"}")
    assert (answer.status, answer.error[0]) == (400, "ValidationException")


def test_a_request_cut_off_in_the_middle_harms_nobody(shared_cluster: LocalCluster, table: str) -> None:
    whole = request_bytes("PutItem", json.dumps({"TableName": table, "Item": KEY}).encode())
    for end in range(1, len(whole), 7):
        with shared_cluster.http() as cut:
            cut.send(whole[:end])
    with shared_cluster.http() as http:
        assert http.call("GetItem", {"TableName": table, "Key": KEY}).status == 200


# --- anything at all ------------------------------------------------------------------------------------------------


class Fuzz:
    """Requests nobody meant: names, keys, values and bytes of any content."""

    def __init__(self, seed: int, table: str) -> None:
        self._random = random.Random(seed)
        self._table = table

    def text(self) -> str:
        alphabet = self._random.choice(
            ["abc", "\x00\x01\x1f\x7f", "é𝄞\u2028\ufeff\U0010ffff", '{}[]",:#.()= ', "0123456789.eE+-", "\ud800\udfff"]
        )
        length = self._random.choice(
            [0, 1, 2, 3, 30, 255, 256, 1025, 2049, 70_000 if self._random.random() < 0.05 else 5]
        )
        return "".join(self._random.choice(alphabet) for _ in range(length))

    def value(self, depth: int = 0) -> Any:
        kinds: list[Callable[[], Any]] = [
            lambda: {"S": self.text()},
            lambda: {"N": self.text()},
            lambda: {"N": str(self._random.randint(-(10**40), 10**40))},
            lambda: {"B": self.text()},
            lambda: {"B": secrets.token_hex(8)},
            lambda: {self._random.choice(["SS", "NS", "BS"]): [self.text() for _ in range(self._random.randrange(4))]},
            lambda: {"BOOL": self._random.choice([True, False, None, "true", 1])},
            lambda: {"NULL": self._random.choice([True, False, None])},
            lambda: self.junk(),
        ]
        if depth < 40:
            kinds += [
                lambda: {"L": [self.value(depth + 1) for _ in range(self._random.randrange(3))]},
                lambda: {"M": {self.text(): self.value(depth + 1) for _ in range(self._random.randrange(3))}},
            ] * 2
        return self._random.choice(kinds)()

    def junk(self) -> Any:
        return self._random.choice([None, True, 0, -1, 1e300, 2**70, "", self.text(), [], {}, [[]], {"S": None}])

    def attributes(self) -> Any:
        item = {self.text(): self.value() for _ in range(self._random.randrange(4))}
        if self._random.random() < 0.7:
            item["pk"] = {"S": self.text()} if self._random.random() < 0.8 else self.value()
        return item

    def expression(self) -> str:
        words = [
            *(
                "SET",
                "REMOVE",
                "ADD",
                "DELETE",
                "AND",
                "OR",
                "NOT",
                "BETWEEN",
                "IN",
                "(",
                ")",
                ",",
                "=",
                "<>",
                "+",
                "-",
            ),
            *("a", "b[0]", "#n", ":v", ".", "[", "]", "size(a)", "if_not_exists(a, :v)", "list_append(a, :v)"),
            *("attribute_exists(a)", "pk", self.text()),
        ]
        return " ".join(self._random.choice(words) for _ in range(self._random.randrange(12)))

    def request(self) -> tuple[str, bytes]:
        name = self._random.choice(sorted(FUZZED) + ["PutItem", "UpdateItem"] * 2)
        table = self._table if self._random.random() < 0.8 else self._random.choice([self.text(), self.junk()])
        request: dict[str, Any] = {"TableName": table}
        if name == "ListTables":
            request |= {"Limit": self.junk(), "ExclusiveStartTableName": self.text()}
        else:
            request["Item" if name == "PutItem" else "Key"] = (
                self.attributes() if self._random.random() < 0.95 else self.junk()
            )
        if self._random.random() < 0.4 and name != "ListTables":
            parameter = {"UpdateItem": "UpdateExpression", "GetItem": "ProjectionExpression"}.get(
                name, "ConditionExpression"
            )
            request[parameter] = self.expression()
            request["ExpressionAttributeNames"] = {"#n": self.text()}
            request["ExpressionAttributeValues"] = {":v": self.value()}
        if self._random.random() < 0.1:
            request[self.text() or "x"] = self.junk()
        encoded = json.dumps(request, ensure_ascii=self._random.random() < 0.5).encode("utf-8", "surrogatepass")
        if self._random.random() < 0.1:
            position = self._random.randrange(len(encoded))
            encoded = encoded[:position] + self._random.randbytes(3) + encoded[position + 1 :]
        return name, encoded


def test_names_keys_and_values_of_any_content_are_answered(shared_cluster: LocalCluster, table: str) -> None:
    seed = int(os.environ.get("TRIZONE_SEED") or secrets.randbits(32))
    print(f"TRIZONE_SEED={seed}")
    pids = [shared_cluster.pid(name) for name in ("n1", "n2", "n3", "r1", "r2")]

    statuses: Counter[int] = Counter()

    def attack(number: int) -> list[str]:
        fuzz, strange = Fuzz(seed + number, table), []
        with shared_cluster.http(router=number % 2) as http:
            for _ in range(400):
                name, body = fuzz.request()
                try:
                    answer = http.call(name, body)
                except ConnectionLost as lost:
                    strange.append(f"{name} {body[:500]!r}: {lost}")
                    continue
                statuses[answer.status] += 1
                if not (answer.status == 200 or 400 <= answer.status < 500):
                    strange.append(f"{name} {body[:500]!r}: {answer}")
        return strange

    with ThreadPoolExecutor(4) as pool:
        strange = [line for lines in pool.map(attack, range(4)) for line in lines]
    assert not strange, f"TRIZONE_SEED={seed}\n" + "\n".join(strange[:10])
    # Neither all refused nor all accepted: the requests come close to meaning something.
    assert min(statuses[200], statuses[400]) > 100, statuses
    assert pids == [shared_cluster.pid(name) for name in ("n1", "n2", "n3", "r1", "r2")]
    for name in ("r1", "r2"):
        assert '"operation_failed"' not in shared_cluster.log_text(name)
    assert shared_cluster.wait_whole().healthy


def test_bytes_that_are_not_http_are_refused_or_cut_off(shared_cluster: LocalCluster, table: str) -> None:
    seed = int(os.environ.get("TRIZONE_SEED") or secrets.randbits(32))
    print(f"TRIZONE_SEED={seed}")
    chance = random.Random(seed)
    whole = request_bytes("PutItem", json.dumps({"TableName": table, "Item": KEY}).encode())
    for _ in range(150):
        data = bytearray(chance.choice([whole, chance.randbytes(300)]))
        for _ in range(chance.randrange(1, 20)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with shared_cluster.http() as http:
            # A server that waits for the rest of a request is right to; this peer sends no more.
            http.send(bytes(data) + b"\r\n\r\n")
    with shared_cluster.http() as http:
        assert http.call("GetItem", {"TableName": table, "Key": KEY}).status == 200
    assert '"http_callback_failed"' not in shared_cluster.log_text("r1")

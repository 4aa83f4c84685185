"""What the load generator sends when: closed loops, and the open rate whose latencies a stalled server cannot hide."""

from __future__ import annotations

import base64
import json

import pytest
from bench_requests import DIALECTS, OPERATIONS, WireRequests, etcd_body, key_name, values
from bench_runs import IDLE, RateRun, Run

pytestmark = pytest.mark.unit

REQUESTS = [b"a", b"b", b"c"]


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Connection:
    """Keeps what it was given; one that is lost takes nothing."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.since: list[float] = []
        self.left = False
        self.lost = False

    def go(self) -> None:
        if self.lost:
            return
        request = self.run.next_request(self)
        if request is None:
            self.left = True
            self.run.leave()
        elif request is not IDLE:
            self.since.append(self.run.since())


def started(rate: float, seconds: float, connections: int) -> tuple[Clock, RateRun, list[Connection]]:
    clock = Clock()
    run = RateRun(REQUESTS, seconds, rate, clock)
    clients = [Connection(run) for _ in range(connections)]
    run.open = connections
    run.begin()
    for client in clients:
        client.go()
    return clock, run, clients


def test_a_rate_is_kept_and_the_run_ends() -> None:
    clock, run, clients = started(rate=1000, seconds=10, connections=1)
    while run.arrive():
        clock.now_s += 0.01
        # Every answer comes at once.
        while clients[0].since and run._waiting:
            clients[0].go()
    assert 9_500 < len(clients[0].since) < 10_500
    assert clients[0].since == sorted(clients[0].since)


def test_requests_that_a_stalled_server_delays_count_from_when_they_were_due() -> None:
    clock, run, (client,) = started(rate=100, seconds=1, connections=1)
    run.arrive()
    assert client.since == []
    # Nothing is answered for a second: what was due meanwhile waits, each since its own moment.
    clock.now_s += 2.0
    assert run.arrive()
    while not client.left:
        run.answered(run.now() - client.since[-1], True, b"")
        client.go()
        run.arrive()
    assert 70 < len(client.since) < 130
    assert all(100.0 < since < 101.0 for since in client.since)
    assert min(run.latencies_s) > 1.0
    assert run.errors == 0


def test_what_is_never_sent_is_an_error_and_a_lost_connection_takes_nothing() -> None:
    clock, run, (client,) = started(rate=100, seconds=1, connections=1)
    client.lost = True
    clock.now_s += 5.0
    assert run.arrive()
    waiting = len(run._waiting)
    assert waiting > 50
    run.finish()
    assert run.errors == waiting


def test_each_request_once() -> None:
    run = Run(REQUESTS, float("inf"), len(REQUESTS), Clock())
    client = Connection(run)
    assert [run.next_request(client) for _ in range(4)] == [b"c", b"b", b"a", None]


@pytest.mark.parametrize(
    ("name", "path", "more"),
    [
        ("put", "/v3/kv/put", {"value"}),
        ("strong", "/v3/kv/range", set()),
        ("eventual", "/v3/kv/range", {"serializable"}),
    ],
)
def test_etcd_is_sent_the_keys_and_values_of_the_others(name: str, path: str, more: set[str]) -> None:
    requests = DIALECTS["etcd"](OPERATIONS[name], 30)
    assert (requests.path, len(requests.bodies)) == (path, 30)
    for number, text in enumerate(requests.bodies):
        body = json.loads(text)
        assert body.keys() == {"key"} | more
        assert base64.b64decode(body["key"]).decode() == key_name(number)
        assert body.get("serializable", True) is True
    written = [base64.b64decode(json.loads(text).get("value", "")).decode() for text in requests.bodies]
    assert written == (values(30) if name == "put" else [""] * 30)
    whole = WireRequests(requests, "here")[7]
    head, _, body_bytes = whole.partition(b"\r\n\r\n")
    assert head.startswith(f"POST {path} HTTP/1.1\r\nHost: here\r\n".encode())
    assert f"Content-Length: {len(body_bytes)}".encode() in head.split(b"\r\n")


def test_etcd_has_no_other_operation() -> None:
    with pytest.raises(ValueError, match="update"):
        etcd_body("update", "key")


def test_a_batch_writes_every_item_once_and_an_update_changes_its_item() -> None:
    batches = [json.loads(text) for text in DIALECTS["dynamodb"](OPERATIONS["batch"], 60).bodies]
    puts = [one["PutRequest"]["Item"]["pk"]["S"] for batch in batches for one in batch["RequestItems"]["bench"]]
    assert puts == [key_name(number) for number in range(60)]
    assert [len(batch["RequestItems"]["bench"]) for batch in batches] == [25, 25, 10]
    for number, text in enumerate(DIALECTS["dynamodb"](OPERATIONS["update"], 60).bodies):
        update = json.loads(text)
        assert update["ConditionExpression"] == "attribute_exists(pk)"
        assert update["ExpressionAttributeValues"][":value"]["S"] != values(60)[number]


def test_a_short_query_asks_for_twenty_items() -> None:
    for text in DIALECTS["dynamodb"](OPERATIONS["query20"], 10_000).bodies:
        found = json.loads(text)["ExpressionAttributeValues"]
        first, last = int(found[":first"]["N"]), int(found[":last"]["N"])
        assert (last - first, first >= 0, last < 100) == (19, True, True)


def test_texts_of_a_million_items_come_round() -> None:
    assert values(10_003)[10_000:] == values(3)

"""The requests of the benchmark as bytes on the wire. Pure.

Used by bench_load (the load generator), by run.py and bench_tables for the tables and their checks, and by compare.py,
which sends the same keys and values to etcd in its own dialect. Law: the same arguments give the same bytes, so that
two runs send the same load; all bodies are built before the clock starts.
"""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TABLE = "bench"
# The table with a sort key, for Query and Scan: this many items under each partition key, of about 100 bytes each.
QUERY_TABLE = "bench_query"
ITEMS_OF_A_QUERY = 100
QUERY_VALUE_CHARACTERS = 70
# What `query20` reads of them.
ITEMS_OF_A_SHORT_QUERY = 20
# The most BatchWriteItem takes.
ITEMS_OF_A_BATCH = 25
# So many texts differ; with more items they come round again, far enough apart for no block to hold one twice.
TEXTS_MAX = 10_000
REGION = "us-east-1"
VALUE_CHARACTERS = 100
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# Read for the region, not checked; dynalite refuses what has no date.
AUTHORIZATION = (
    f"AWS4-HMAC-SHA256 Credential=bench/20250101/{REGION}/dynamodb/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
    "Signature=0000000000000000000000000000000000000000000000000000000000000000"
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the table of results."""

    name: str  # on the command line
    title: str  # in the table
    target: str  # the API's action
    table: str = TABLE
    items: int = 1  # in each


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("put", "PutItem", "PutItem"),
        Operation("strong", "strong GetItem", "GetItem"),
        Operation("eventual", "eventual GetItem", "GetItem"),
        Operation("query", "Query 100 items", "Query", QUERY_TABLE, ITEMS_OF_A_QUERY),
        Operation("scan", "Scan segment", "Scan", QUERY_TABLE),
        Operation("update", "UpdateItem if", "UpdateItem"),
        Operation("batch", "BatchWriteItem 25", "BatchWriteItem", items=ITEMS_OF_A_BATCH),
        Operation("query20", "Query 20 items", "Query", QUERY_TABLE, ITEMS_OF_A_SHORT_QUERY),
    )
}
# What `make bench` measures unless it is told otherwise.
USUAL_OPERATIONS = ("put", "strong", "eventual", "query", "scan")
# Loads QUERY_TABLE; not among what is measured.
QUERY_FILL = Operation("query-fill", "PutItem", "PutItem", QUERY_TABLE)
SENDABLE = OPERATIONS | {QUERY_FILL.name: QUERY_FILL}


def key_name(number: int) -> str:
    """The partition key of item `number`."""
    return f"key-{number:08d}"


def values(count: int, characters: int = VALUE_CHARACTERS) -> list[str]:
    """One text for each item. Random: what compresses to nothing would flatter the store."""
    source = random.Random(1)
    texts = ["".join(source.choices(_ALPHABET, k=characters)) for _ in range(min(count, TEXTS_MAX))]
    return [texts[number % TEXTS_MAX] for number in range(count)]


def partition_keys(count: int) -> int:
    """How many partition keys QUERY_TABLE has when the bench is asked for `count` items; at least one."""
    return max(1, count // ITEMS_OF_A_QUERY)


def query_items(count: int) -> list[dict[str, Any]]:
    """The items of QUERY_TABLE: ITEMS_OF_A_QUERY for each partition key."""
    texts = values(partition_keys(count) * ITEMS_OF_A_QUERY, QUERY_VALUE_CHARACTERS)
    return [
        {
            "pk": {"S": key_name(number // ITEMS_OF_A_QUERY)},
            "sk": {"N": str(number % ITEMS_OF_A_QUERY)},
            "value": {"S": text},
        }
        for number, text in enumerate(texts)
    ]


def _range_bodies(operation: Operation, count: int) -> list[dict[str, Any]]:
    """A Query of each partition key, or a Scan of each of as many segments."""
    keys = partition_keys(count)
    if operation.target == "Scan":
        return [{"TableName": QUERY_TABLE, "Segment": number, "TotalSegments": keys} for number in range(keys)]
    condition, found = "pk = :pk", [{":pk": {"S": key_name(number)}} for number in range(keys)]
    if operation.items == ITEMS_OF_A_SHORT_QUERY:
        condition += " AND sk BETWEEN :first AND :last"
        for number, values_of in enumerate(found):
            first = number * 7 % (ITEMS_OF_A_QUERY - ITEMS_OF_A_SHORT_QUERY)
            values_of |= {":first": {"N": str(first)}, ":last": {"N": str(first + ITEMS_OF_A_SHORT_QUERY - 1)}}
    return [
        {"TableName": QUERY_TABLE, "KeyConditionExpression": condition, "ExpressionAttributeValues": values_of}
        for values_of in found
    ]


def _update_bodies(count: int) -> list[dict[str, Any]]:
    """Gives each item, if it is there, the text of the next one: what was loaded and what is written differ."""
    texts = values(count)
    return [
        {
            "TableName": TABLE,
            "Key": {"pk": {"S": key_name(number)}},
            "UpdateExpression": "SET #value = :value",
            "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeNames": {"#value": "value"},
            "ExpressionAttributeValues": {":value": {"S": texts[(number + 1) % count]}},
        }
        for number in range(count)
    ]


def bodies(operation: Operation, count: int) -> list[dict[str, Any]]:
    """The requests for `count` items: one for each, or for each batch; of Query and Scan one for each partition key."""
    if operation.target in ("Query", "Scan"):
        return _range_bodies(operation, count)
    if operation.target == "UpdateItem":
        return _update_bodies(count)
    items = (
        query_items(count)
        if operation.table == QUERY_TABLE
        else [{"pk": {"S": key_name(number)}, "value": {"S": text}} for number, text in enumerate(values(count))]
    )
    if operation.target == "PutItem":
        return [{"TableName": operation.table, "Item": item} for item in items]
    if operation.target == "BatchWriteItem":
        puts = [{"PutRequest": {"Item": item}} for item in items]
        starts = range(0, count, ITEMS_OF_A_BATCH)
        return [{"RequestItems": {TABLE: puts[start : start + ITEMS_OF_A_BATCH]}} for start in starts]
    strong = {"ConsistentRead": True} if operation.name == "strong" else {}
    return [{"TableName": TABLE, "Key": {"pk": {"S": key_name(number)}}} | strong for number in range(count)]


def headers(target: str) -> dict[str, str]:
    """The headers an AWS SDK sends, but for client versions."""
    return {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Date": "20250101T000000Z",
        "X-Amz-Target": f"DynamoDB_20120810.{target}",
        "Authorization": AUTHORIZATION,
        "Accept-Encoding": "identity",
    }


ETCD_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}


def etcd_text(text: str) -> str:
    """A key or a value as etcd's JSON has it."""
    return b64encode(text.encode()).decode("ascii")


def etcd_body(operation: str, key: str, value: str = "") -> tuple[str, dict[str, Any]]:
    """Path and body of `put`, `strong` (linearizable) or `eventual` (serializable) in etcd's JSON gateway."""
    if operation == "put":
        return "/v3/kv/put", {"key": etcd_text(key), "value": etcd_text(value)}
    if operation == "strong":
        return "/v3/kv/range", {"key": etcd_text(key)}
    if operation == "eventual":
        return "/v3/kv/range", {"key": etcd_text(key), "serializable": True}
    raise ValueError(f"etcd has no {operation!r}")


@dataclass(frozen=True, slots=True)
class RequestSet:
    """What a load generator sends: POST of one of `bodies` to `path`."""

    path: str
    headers: Mapping[str, str]
    bodies: Sequence[str]


def _dynamodb_requests(operation: Operation, count: int) -> RequestSet:
    encoded = [json.dumps(body, separators=(",", ":")) for body in bodies(operation, count)]
    return RequestSet("/", headers(operation.target), encoded)


def _etcd_requests(operation: Operation, count: int) -> RequestSet:
    path, encoded = "", []
    for number, text in enumerate(values(count)):
        path, body = etcd_body(operation.name, key_name(number), text)
        encoded.append(json.dumps(body, separators=(",", ":")))
    return RequestSet(path, ETCD_HEADERS, encoded)


# How a peer is spoken to: the same keys and values in each.
DIALECTS: dict[str, Callable[[Operation, int], RequestSet]] = {
    "dynamodb": _dynamodb_requests,
    "etcd": _etcd_requests,
}


class WireRequests(Sequence[bytes]):
    """A request set as whole HTTP requests. Head and body are joined when one is asked for: a million would not fit."""

    def __init__(self, requests: RequestSet, host: str) -> None:
        self._bodies = [body.encode() for body in requests.bodies]
        lines = "".join(f"{name}: {value}\r\n" for name, value in requests.headers.items())
        start = f"POST {requests.path} HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: "
        self._heads = {size: f"{start}{size}\r\n\r\n".encode("ascii") for size in set(map(len, self._bodies))}

    def __len__(self) -> int:
        return len(self._bodies)

    def __getitem__(self, number: Any) -> Any:
        body = self._bodies[number]
        return self._heads[len(body)] + body


def wire_requests(operation: Operation, count: int, host: str, dialect: str = "dynamodb") -> WireRequests:
    """The requests for `count` items as whole HTTP requests, ready to be written."""
    return WireRequests(DIALECTS[dialect](operation, count), host)

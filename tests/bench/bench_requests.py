"""The requests of the benchmark as bytes on the wire. Pure.

Used by bench_load (the load generator) and by run.py for the tables and their checks. Law: the same arguments give the
same bytes, so that two runs send the same load; all requests are built before the clock starts.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

TABLE = "bench"
# The table with a sort key, for Query and Scan: this many items under each partition key, of about 100 bytes each.
QUERY_TABLE = "bench_query"
ITEMS_OF_A_QUERY = 100
QUERY_VALUE_CHARACTERS = 70
REGION = "us-east-1"
VALUE_CHARACTERS = 100
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# Read by the router for the region, not checked: signatures come later.
AUTHORIZATION = (
    f"AWS4-HMAC-SHA256 Credential=bench/20250101/{REGION}/dynamodb/aws4_request, "
    "SignedHeaders=content-type;host;x-amz-target, "
    "Signature=0000000000000000000000000000000000000000000000000000000000000000"
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the table of results."""

    name: str  # on the command line
    title: str  # in the table
    target: str  # the API's action
    table: str = TABLE


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("put", "PutItem", "PutItem"),
        Operation("strong", "strong GetItem", "GetItem"),
        Operation("eventual", "eventual GetItem", "GetItem"),
        Operation("query", "Query 100 items", "Query", QUERY_TABLE),
        Operation("scan", "Scan segment", "Scan", QUERY_TABLE),
    )
}
# Loads QUERY_TABLE; not among what is measured.
QUERY_FILL = Operation("query-fill", "PutItem", "PutItem", QUERY_TABLE)
SENDABLE = OPERATIONS | {QUERY_FILL.name: QUERY_FILL}


def key_name(number: int) -> str:
    """The partition key of item `number`."""
    return f"key-{number:08d}"


def values(count: int, characters: int = VALUE_CHARACTERS) -> list[str]:
    """One text for each item. Random: what compresses to nothing would flatter the store."""
    source = random.Random(1)
    return ["".join(source.choices(_ALPHABET, k=characters)) for _ in range(count)]


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
    return [
        {
            "TableName": QUERY_TABLE,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": key_name(number)}},
        }
        for number in range(keys)
    ]


def bodies(operation: Operation, count: int) -> list[dict[str, Any]]:
    """The requests for `count` items: one for each, of Query and Scan one for each partition key."""
    if operation.target in ("Query", "Scan"):
        return _range_bodies(operation, count)
    if operation.table == QUERY_TABLE:
        return [{"TableName": QUERY_TABLE, "Item": item} for item in query_items(count)]
    if operation.target == "PutItem":
        return [
            {"TableName": TABLE, "Item": {"pk": {"S": key_name(number)}, "value": {"S": text}}}
            for number, text in enumerate(values(count))
        ]
    strong = {"ConsistentRead": True} if operation.name == "strong" else {}
    return [{"TableName": TABLE, "Key": {"pk": {"S": key_name(number)}}} | strong for number in range(count)]


def headers(target: str) -> dict[str, str]:
    """The headers an AWS SDK sends, but for dates and client versions."""
    return {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{target}",
        "Authorization": AUTHORIZATION,
        "Accept-Encoding": "identity",
    }


def wire_requests(operation: Operation, count: int, host: str) -> list[bytes]:
    """The requests for `count` items as whole HTTP requests, ready to be written."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers(operation.target).items())
    encoded = []
    for body in bodies(operation, count):
        payload = json.dumps(body, separators=(",", ":")).encode()
        start = f"POST / HTTP/1.1\r\nHost: {host}\r\n{head}Content-Length: {len(payload)}\r\n\r\n"
        encoded.append(start.encode("ascii") + payload)
    return encoded

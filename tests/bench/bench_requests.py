"""The requests of the benchmark as bytes on the wire. Pure.

Used by bench_load (the load generator) and by run.py for the table and its check. Law: the same arguments give the same
bytes, so that two runs send the same load; all requests are built before the clock starts.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

TABLE = "bench"
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


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("put", "PutItem", "PutItem"),
        Operation("strong", "strong GetItem", "GetItem"),
        Operation("eventual", "eventual GetItem", "GetItem"),
    )
}


def key_name(number: int) -> str:
    """The partition key of item `number`."""
    return f"key-{number:08d}"


def values(count: int) -> list[str]:
    """One text of VALUE_CHARACTERS for each item. Random: what compresses to nothing would flatter the store."""
    source = random.Random(1)
    return ["".join(source.choices(_ALPHABET, k=VALUE_CHARACTERS)) for _ in range(count)]


def bodies(operation: Operation, count: int) -> list[dict[str, Any]]:
    """The request of each of `count` items."""
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
    """`count` whole HTTP requests, ready to be written."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers(operation.target).items())
    encoded = []
    for body in bodies(operation, count):
        payload = json.dumps(body, separators=(",", ":")).encode()
        start = f"POST / HTTP/1.1\r\nHost: {host}\r\n{head}Content-Length: {len(payload)}\r\n\r\n"
        encoded.append(start.encode("ascii") + payload)
    return encoded

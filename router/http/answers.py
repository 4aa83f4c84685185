"""Answer bytes: status line, headers, body, error bodies.

Called by router.http.protocol. Pure. Law: every answer has its length, its checksum and a request id of its own, and
the two headers a DynamoDB SDK checks (`x-amzn-RequestId`, `x-amz-crc32`) describe exactly the body that follows.
"""

from __future__ import annotations

from itertools import count
from zlib import crc32

import orjson

from dynamo.errors import DynamoError

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Request Entity Too Large",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}
SERVED_BY = b"x-trizone-served-by"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
JSON_TYPE = b"application/x-amz-json-1.0"
TEXT_TYPE = b"text/plain"

# One % operation an answer: the status line and everything that does not change is laid down once for each status.
_HEAD = (
    b"HTTP/1.1 %d %b\r\nServer: trizone\r\nContent-Type: %b\r\nConnection: %b\r\n"
    b"x-amzn-RequestId: %%b\r\nx-amz-crc32: %%d\r\nContent-Length: %%d\r\n\r\n"
)


def _head_template(status: int, content_type: bytes, keep_alive: bool) -> bytes:
    return _HEAD % (status, _REASONS[status], content_type, b"keep-alive" if keep_alive else b"close")


_TEMPLATES = {
    (status, content_type, keep_alive): _head_template(status, content_type, keep_alive)
    for status in _REASONS
    for content_type in (JSON_TYPE, TEXT_TYPE)
    for keep_alive in (True, False)
}
_OK_KEPT = _TEMPLATES[200, JSON_TYPE, True]
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_REQUEST_ID_LENGTH = 52
_COUNTER_DIGITS = 13


class RequestIds:
    """52 characters A-Z0-9, as DynamoDB's: a random part for the process and a counter, so never twice."""

    __slots__ = ("_count", "_format")

    def __init__(self, random_bytes: bytes) -> None:
        if len(random_bytes) < 26:
            raise ValueError("a request id needs at least 26 random bytes to be unique between processes")
        number = int.from_bytes(random_bytes, "big")
        characters = []
        for _ in range(_REQUEST_ID_LENGTH - _COUNTER_DIGITS):
            number, digit = divmod(number, len(_ALPHABET))
            characters.append(_ALPHABET[digit])
        self._format = "".join(characters).encode() + b"%%0%dd" % _COUNTER_DIGITS
        self._count = count()

    def next(self) -> bytes:
        """The next id."""
        return self._format % next(self._count)


def ok_answer(body: bytes, request_id: bytes) -> bytes:
    """200 with a JSON body on a kept connection: the hot path."""
    return _OK_KEPT % (request_id, crc32(body), len(body)) + body


def answer(status: int, body: bytes, request_id: bytes, *, keep_alive: bool, content_type: bytes = JSON_TYPE) -> bytes:
    """Any answer. `status` must be one this server sends."""
    return _TEMPLATES[status, content_type, keep_alive] % (request_id, crc32(body), len(body)) + body


def with_header(whole: bytes, name: bytes, value: str) -> bytes:
    """The same answer with one header more."""
    return whole.replace(b"\r\n\r\n", b"\r\n%b: %b\r\n\r\n" % (name, value.encode("latin-1")), 1)


def without_body(whole: bytes) -> bytes:
    """The head of an answer alone, for HEAD requests: lengths as if the body followed."""
    return whole[: whole.index(b"\r\n\r\n") + 4]


def error_body(error: DynamoError) -> bytes:
    """`{"__type": ..., "message": ..., further members}`; an empty message is left out, as the service does."""
    parts = [b'{"__type":', orjson.dumps(error.type_name)]
    if error.message:
        # A message may quote what the client sent; lone surrogates cannot come out of orjson but may out of slicing.
        text = error.message.encode("utf-8", "replace").decode()
        parts += [b',"message":', orjson.dumps(text)]
    for name, encoded in error.members.items():
        parts += [b",", orjson.dumps(name), b":", encoded]
    parts.append(b"}")
    return b"".join(parts)


def error_status(error: DynamoError) -> int:
    """The HTTP status of an error; one this server has no status line for becomes 400 or 500 by class."""
    if error.status in _REASONS:
        return error.status
    return 500 if error.status >= 500 else 400

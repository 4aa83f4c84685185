"""A DynamoDB client of raw bytes: what an SDK hides (headers, checksums, connections), and faster than an SDK.

Used by the cluster tests and harness.load. Law: nothing is retried and nothing repaired: what came back is shown.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

ANSWER_TIMEOUT_S = 15.0
_READ_BYTES = 65536


class ConnectionLost(Exception):
    """The connection ended before the whole answer came; `sent` says whether the request had left."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON values."""
        return json.loads(self.body)

    @property
    def error(self) -> tuple[str, str]:
        """(short error code, message) of an error answer."""
        document = self.json
        return document["__type"].rpartition("#")[2], document.get("message", document.get("Message", ""))


def request_bytes(operation: str, body: bytes, *, region: str = "us-east-1", headers: str = "") -> bytes:
    """A whole POST of one operation (`PutItem`, or with a dot the whole target). `headers`: further lines with CRLF."""
    target = operation if "." in operation else f"DynamoDB_20120810.{operation}"
    head = (
        "POST / HTTP/1.1\r\nHost: trizone\r\nContent-Type: application/x-amz-json-1.0\r\n"
        f"X-Amz-Target: {target}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential=local/20260101/{region}/dynamodb/aws4_request,"
        " SignedHeaders=host, Signature=0\r\n"
        f"{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


class HttpConnection:
    """One kept connection to a router, opened with the first request."""

    def __init__(self, host: str, port: int, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._address = (host, port)
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._received = b""

    def __enter__(self) -> HttpConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._received = None, b""

    def call(self, operation: str, request: object, *, region: str = "us-east-1", headers: str = "") -> Answer:
        """Send one operation and return its answer. `request`: JSON values or the body; `headers`: with CRLF."""
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        self.send(request_bytes(operation, body, region=region, headers=headers))
        return self.read_answer()

    def send(self, data: bytes) -> None:
        """Send bytes as they are. Raises ConnectionLost."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, timeout=self._timeout_s)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise ConnectionLost(str(error), sent=False) from error
        try:
            self._socket.sendall(data)
        except OSError as error:
            self.close()
            raise ConnectionLost(str(error), sent=True) from error

    def read_answer(self) -> Answer:
        """The next answer. Raises ConnectionLost."""
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            self._receive()
        lines = self._received[:end].decode("latin-1").split("\r\n")
        headers = dict(self._header(line) for line in lines[1:])
        status = int(lines[0].split(" ", 2)[1])
        whole = end + 4 + int(headers.get("content-length", 0))
        while len(self._received) < whole:
            self._receive()
        body, self._received = self._received[end + 4 : whole], self._received[whole:]
        if headers.get("connection") == "close":
            self.close()
        return Answer(status, headers, body)

    @staticmethod
    def _header(line: str) -> tuple[str, str]:
        name, _, value = line.partition(":")
        return name.lower(), value.strip()

    def _receive(self) -> None:
        if self._socket is None:
            raise ConnectionLost("no connection", sent=True)
        try:
            data = self._socket.recv(_READ_BYTES)
        except OSError as error:
            self.close()
            raise ConnectionLost(str(error) or type(error).__name__, sent=True) from error
        if not data:
            self.close()
            raise ConnectionLost("the server closed the connection", sent=True)
        self._received += data

"""One request and its answer.

Made by router.http.protocol when a request has arrived whole, handed to the operations as their `Call`. Law: answered
exactly once; a second answer is dropped (an operation that failed after it had answered must not shift the answers of a
pipelined connection).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamo.errors import DynamoError
from router.http import answers
from router.http.authorization import parse_scope

if TYPE_CHECKING:
    from router.http.protocol import HttpConnection


class Exchange:
    """A request from its first byte to its answer. The operations see it through router.operations.call.Call."""

    __slots__ = (
        "authorization",
        "body",
        "catalog_confirmed",
        "connection",
        "encoded",
        "error_code",
        "expects_continue",
        "keep_alive",
        "metric",
        "parts",
        "parts_bytes",
        "received_at",
        "target",
    )

    def __init__(self, connection: HttpConnection) -> None:
        self.connection = connection
        self.target = b""
        self.authorization = b""
        self.body = b""
        # Body pieces while it is being received; None for the usual body that came in one piece.
        self.parts: list[bytes] | None = None
        self.parts_bytes = 0
        self.expects_continue = False
        self.keep_alive = True
        # The finished answer, waiting for those before it on the same connection.
        self.encoded: bytes | None = None
        # For metrics: the index of the operation, the error answered ("" is success) and when the request was whole.
        self.metric = 0
        self.error_code = ""
        self.received_at = 0.0
        # Set once a strong catalog read that began after this request has ended (router.operations.tables).
        self.catalog_confirmed = False

    @property
    def region(self) -> str:
        """The region of the credential scope."""
        return parse_scope(self.authorization).region

    @property
    def host(self) -> str:
        """The endpoint that the client came to: the Host header of its connection's latest request."""
        return self.connection.host.decode("latin-1")

    def succeed(self, body: bytes) -> None:
        """Answer 200 with this JSON."""
        if self.encoded is not None:
            return
        connection = self.connection
        request_id = connection.server.request_ids.next()
        if self.keep_alive:
            self.encoded = answers.ok_answer(body, request_id)
        else:
            self.encoded = answers.answer(200, body, request_id, keep_alive=False)
        connection.answered(self)

    def fail(self, error: DynamoError) -> None:
        """Answer an error."""
        self.error_code = error.code
        self.respond(answers.error_status(error), answers.error_body(error))

    def respond(
        self, status: int, body: bytes, *, content_type: bytes = answers.JSON_TYPE, head_only: bool = False
    ) -> None:
        """Answer with any status and body."""
        if self.encoded is not None:
            return
        connection = self.connection
        encoded = answers.answer(
            status,
            body,
            connection.server.request_ids.next(),
            keep_alive=self.keep_alive,
            content_type=content_type,
        )
        self.encoded = answers.without_body(encoded) if head_only else encoded
        connection.answered(self)


class TracedExchange(Exchange):
    """A request with `x-trizone-trace: 1`: its answer says who served it. A class of its own, so others pay nothing."""

    __slots__ = ()

    def __init__(self, connection: HttpConnection) -> None:
        super().__init__(connection)
        connection.exchange_class = Exchange

    def succeed(self, body: bytes) -> None:
        """Answer 200 with this JSON."""
        self.respond(200, body)

    def respond(
        self, status: int, body: bytes, *, content_type: bytes = answers.JSON_TYPE, head_only: bool = False
    ) -> None:
        """Answer with any status and body, and the node whose verdict it is."""
        is_first = self.encoded is None
        super().respond(status, body, content_type=content_type, head_only=head_only)
        served_by = self.connection.server.served_by(self)
        if is_first and served_by and self.encoded is not None:
            self.encoded = answers.with_header(self.encoded, answers.SERVED_BY, served_by)

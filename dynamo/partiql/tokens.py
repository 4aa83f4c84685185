"""NextToken of a SELECT: where the next page begins, bound to the statement that it belongs to.

Called by router.operations.statements. Law: a token is opaque to clients, carries its version, and serves only the same
statement with the same parameters; Limit and ConsistentRead may differ between pages (recorded on the real service).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from dynamo.errors import validation
from dynamo.partiql.faults import INVALID_NEXT_TOKEN, NEXT_TOKEN_MISMATCH
from dynamo.partiql.statements import Statement
from dynamo.values import Item

_VERSION = b"\x01"
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Position:
    """The next page: a read of the plan, and the ExclusiveStartKey in it (None: its beginning)."""

    read: int
    start_key: Item | None


def encode_token(statement: Statement, values: Item, position: Position) -> str:
    """The token for the page at `position` of the bound statement."""
    state = orjson.dumps([position.read, position.start_key])
    return b64encode(_VERSION + _digest(statement, values) + state).decode()


def decode_token(statement: Statement, values: Item, token: str) -> Position:
    """Where the page begins. Raises ValidationException for no token of ours, or one of another request."""
    try:
        raw = b64decode(token, validate=True)
    except ValueError as error:
        raise validation(INVALID_NEXT_TOKEN) from error
    head = len(_VERSION) + _DIGEST_BYTES
    if len(raw) <= head or raw[: len(_VERSION)] != _VERSION:
        raise validation(INVALID_NEXT_TOKEN)
    if raw[len(_VERSION) : head] != _digest(statement, values):
        raise validation(NEXT_TOKEN_MISMATCH)
    return _position(raw[head:])


def _position(state: bytes) -> Position:
    try:
        decoded = orjson.loads(state)
    except orjson.JSONDecodeError as error:
        raise validation(INVALID_NEXT_TOKEN) from error
    match decoded:
        case [int(read), (None | dict()) as start_key] if read >= 0:
            return Position(read, start_key)
    raise validation(INVALID_NEXT_TOKEN)


def _digest(statement: Statement, values: Item) -> bytes:
    encoded = orjson.dumps([statement.text, values])
    return blake2b(encoded, digest_size=_DIGEST_BYTES).digest()

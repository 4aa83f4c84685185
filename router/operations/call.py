"""What an operation sees of a request, and what it needs to work.

`Call` is implemented by router.http.exchange; nothing here knows HTTP. Law: an operation answers its call exactly once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from dynamo.errors import DynamoError
from router.routing.catalog_copy import CatalogCopy
from router.routing.pending import Pending
from runtime.clock import Clock


class Call(Protocol):
    """One request."""

    body: bytes
    target: bytes
    metric: int
    # A strong catalog read that began after this request has ended: the copy may be believed when it denies a table.
    catalog_confirmed: bool

    @property
    def region(self) -> str:
        """The region the request is addressed to."""
        ...

    @property
    def host(self) -> str:
        """The endpoint that the client came to, as it calls it (its Host header)."""
        ...

    def succeed(self, body: bytes) -> None:
        """Answer with this JSON."""
        ...

    def fail(self, error: DynamoError) -> None:
        """Answer an error."""
        ...


class SubmitPort(Protocol):
    """The dispatcher, as operations see it."""

    def submit(self, pending: Pending) -> None:
        """Route an operation; it ends with a call of `complete` or `give_up`."""
        ...

    def new_deadline_s(self) -> float:
        """The deadline of an operation that begins now."""
        ...


class WriteIds:
    """16 bytes that name one write for ever: 8 random ones for the process, 8 that count."""

    __slots__ = ("_count", "_prefix")

    def __init__(self, random_bytes: bytes) -> None:
        if len(random_bytes) != 8:
            raise ValueError("the process's part of a write id is 8 bytes")
        self._prefix = random_bytes
        self._count = count()

    def next(self) -> bytes:
        """The next id."""
        return self._prefix + next(self._count).to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class Services:
    """What every operation is given once, at start.

    `retry` runs a call from its beginning after a strong catalog read; `run_guarded` runs a callback of a call so that
    whatever it raises becomes the call's answer; `run_native` runs the operation of a name for an inner call with a
    request that satisfies the service model: whatever is raised becomes that call's answer, and a catalog read that it
    needs repeats that call alone.
    """

    port: SubmitPort
    copy: CatalogCopy
    clock: Clock
    write_ids: WriteIds
    new_uuid: Callable[[], str]
    table_activation_ms: int
    tables_max: int
    retry: Callable[[Call], None]
    run_guarded: Callable[[Call, Callable[[], None]], None]
    run_native: Callable[[str, Call, dict[str, Any]], None]


class NeedsCatalog(Exception):
    """The copy shows no active table of this name, or is not there yet, and no strong read has confirmed that."""

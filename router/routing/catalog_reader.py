"""Strong catalog reads for names this router does not know.

Called by router.operations before a table is denied. Law: a request is answered from a read that began after the
request arrived; one read is under way at a time and serves everyone who was waiting when it began, and reads begin no
more often than limits.CATALOG_READ_INTERVAL_MS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dynamo.errors import DynamoError, internal_server_error, service_unavailable, throttling
from router import limits
from router.routing.pending import Failure, Pending
from topology.placement import CATALOG_PARTITION
from wire import catalog_pb2, data_pb2

Confirmed = Callable[[DynamoError | None], None]


class ReadPort(Protocol):
    """What the reader needs of the dispatcher."""

    def submit(self, pending: Pending) -> None:
        """Route an operation."""
        ...

    def new_deadline_s(self) -> float:
        """The deadline of an operation that begins now."""
        ...

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> None:
        """Run `callback` once after a delay."""
        ...

    def catalog_received(self, catalog: catalog_pb2.Catalog) -> None:
        """Put a catalog into the copy if it is newer."""
        ...


class _Read(Pending):
    __slots__ = ("_reader",)

    def __init__(self, reader: CatalogReader, deadline_s: float) -> None:
        operation = data_pb2.Operation(partition=CATALOG_PARTITION, kind=data_pb2.CATALOG_READ)
        super().__init__(operation, deadline_s)
        self._reader = reader

    def complete(self, result: data_pb2.Result) -> None:
        self._reader.read_ended(result, None)

    def give_up(self, failure: Failure) -> None:
        error = throttling() if failure is Failure.OVERLOADED else service_unavailable()
        self._reader.read_ended(None, error)


class CatalogReader:
    """`confirm` calls back with None once the copy is as new as the request, or with the error to answer."""

    def __init__(self, port: ReadPort) -> None:
        self._port = port
        self._waiting: list[Confirmed] = []
        self._served: list[Confirmed] = []
        self._reading = False
        self._resting = False
        self.reads = 0

    def confirm(self, callback: Confirmed) -> None:
        """Call back after a strong catalog read that begins now or later."""
        if len(self._waiting) >= limits.CATALOG_WAITERS_MAX:
            callback(throttling())
            return
        self._waiting.append(callback)
        self._begin()

    def _begin(self) -> None:
        if self._reading or self._resting or not self._waiting:
            return
        self._reading = self._resting = True
        self.reads += 1
        self._served, self._waiting = self._waiting, []
        self._port.call_later(limits.CATALOG_READ_INTERVAL_MS, self._rested)
        self._port.submit(_Read(self, self._port.new_deadline_s()))

    def _rested(self) -> None:
        self._resting = False
        self._begin()

    def read_ended(self, result: data_pb2.Result | None, error: DynamoError | None) -> None:
        """The read under way has its answer."""
        self._reading = False
        served, self._served = self._served, []
        if result is not None:
            if result.status == data_pb2.OK and result.item:
                self._port.catalog_received(catalog_pb2.Catalog.FromString(result.item))
            else:
                error = internal_server_error()
        for callback in served:
            callback(error)
        self._begin()

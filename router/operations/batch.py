"""What BatchGetItem and BatchWriteItem share: one operation an item, all sent at once, joined when the last has ended.

Called by router.operations.batch_get and batch_write. Law: an item without a verdict is given back as unprocessed,
as the client sent it (numbers normalised), never guessed; the call is answered once, when every item has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dynamo.errors import DynamoError, throttling
from router.operations.call import Call, Services
from router.operations.items import result_error
from router.operations.tables import denied, find_active
from router.routing.pending import Failure, Pending
from topology.tables import TableInfo
from wire import data_pb2


class BatchPart(Pending):
    """One item: afterwards `result` is the node's verdict, or `failure` why there is none."""

    __slots__ = ("batch", "failure", "result")

    def __init__(self, operation: data_pb2.Operation, deadline_s: float) -> None:
        super().__init__(operation, deadline_s)
        self.batch: Batch | None = None
        self.result: data_pb2.Result | None = None
        self.failure: Failure | None = None

    def complete(self, result: data_pb2.Result) -> None:
        """Keep the verdict."""
        self.result = result
        self._ended()

    def give_up(self, failure: Failure) -> None:
        """Keep why there is no verdict."""
        self.failure = failure
        self._ended()

    def _ended(self) -> None:
        assert self.batch is not None, "parts are submitted by their batch"
        self.batch.part_ended()


class Batch:
    """The items of one request; `finish` answers the call when all have ended, in whatever order."""

    __slots__ = ("_call", "_finish", "_left", "_services", "parts")

    def __init__(
        self, services: Services, call: Call, parts: Sequence[BatchPart], finish: Callable[[Sequence[BatchPart]], None]
    ) -> None:
        self.parts = parts
        self._services = services
        self._call = call
        self._finish = finish
        self._left = len(parts)

    def submit(self) -> None:
        """Send every part; some may end before this returns."""
        for part in self.parts:
            part.batch = self
        for part in self.parts:
            self._services.port.submit(part)

    def part_ended(self) -> None:
        """Called by each part once."""
        self._left -= 1
        if not self._left:
            self._services.run_guarded(self._call, lambda: self._finish(self.parts))


def raise_refusals(parts: Sequence[BatchPart]) -> None:
    """Raise what no retry of the client's would mend: a verdict that is an error, and throttling of every item."""
    for part in parts:
        if part.result is not None and part.result.status not in (data_pb2.OK, data_pb2.TABLE_GONE):
            raise result_error(part.result)
    if all(part.failure is Failure.OVERLOADED for part in parts):
        raise throttling()


def find_tables(services: Services, call: Call, requested: dict[str, Any]) -> dict[str, TableInfo]:
    """The tables of RequestItems, by the name the request gives them.

    Raises ResourceNotFoundException (or NeedsCatalog before that) when one does not exist: nothing is sent then.
    """
    tables: dict[str, TableInfo] = {}
    for name in requested:
        table = find_active(services, call, name)
        if table is None:
            raise denied(call)
        tables[name] = table
    return tables


def check_distinct(parts: Sequence[BatchPart]) -> None:
    """Refuse two parts about one item, also of a table that the request names both plainly and by its ARN."""
    if len({(part.operation.table_id, part.operation.key) for part in parts}) != len(parts):
        raise duplicates_error()


def duplicates_error() -> DynamoError:
    """The ValidationException for two requests about one item."""
    return DynamoError("ValidationException", "Provided list of item keys contains duplicates")

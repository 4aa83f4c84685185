"""Running the native operations of one planned statement.

Called by the two operations. Law: a run ends exactly once, with an answer or with an error; one read at a time, so that
no more than a page of each waits in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from dynamo.errors import DynamoError, validation
from dynamo.limits import PAGE_BYTES_MAX
from dynamo.partiql import Position, Read, SelectPlan, Write, cut
from dynamo.partiql.faults import INVALID_NEXT_TOKEN, duplicate_item
from dynamo.values import Item
from router.operations.call import Call, Services

_NESTING = "Nesting Levels have exceeded supported limits"


class InnerCall:
    """The call of a native operation: it lives in the client's call and answers to functions."""

    __slots__ = ("_fail", "_succeed", "body", "catalog_confirmed", "host", "metric", "region", "target")

    def __init__(self, outer: Call, succeed: Callable[[bytes], None], fail: Callable[[DynamoError], None]) -> None:
        self.body = outer.body
        self.target = outer.target
        self.metric = outer.metric
        self.catalog_confirmed = outer.catalog_confirmed
        self.region = outer.region
        self.host = outer.host
        self._succeed = succeed
        self._fail = fail

    def succeed(self, body: bytes) -> None:
        """Hand the answer on."""
        self._succeed(body)

    def fail(self, error: DynamoError) -> None:
        """Hand the error on."""
        self._fail(error)


@dataclass(slots=True)
class Answer:
    """What a statement gave: rows, what they cost, and where the next page begins."""

    items: list[Item]
    capacity: dict[str, Any] | None = None
    position: Position | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the request asks of every read."""

    consistent: bool = False
    capacity: str | None = None
    limit: int | None = None


class SelectRun:
    """The reads of one SELECT, one after the other, until the page is full or nothing is left."""

    def __init__(
        self,
        services: Services,
        outer: Call,
        plan: SelectPlan,
        options: Options,
        done: Callable[[Answer], None],
        failed: Callable[[DynamoError], None],
    ) -> None:
        self._services = services
        self._inner = InnerCall(outer, self._succeeded, failed)
        self._plan = plan
        self._options = options
        self._done = done
        self._answer = Answer([])
        self._at = 0
        self._limit_left = options.limit
        self._bytes = 0

    def start(self, position: Position | None) -> None:
        """Begin, at `position` when the request continues an earlier page. Raises ValidationException."""
        if position is None:
            self._run(None)
            return
        if position.read >= len(self._plan.reads):
            raise validation(INVALID_NEXT_TOKEN)
        self._at = position.read
        self._run(position.start_key)

    def _run(self, start_key: Item | None) -> None:
        read = self._plan.reads[self._at]
        request = dict(read.request)
        if self._options.consistent:
            request["ConsistentRead"] = True
        if self._options.capacity is not None:
            request["ReturnConsumedCapacity"] = self._options.capacity
        if read.operation != "GetItem":
            if self._limit_left is not None:
                request["Limit"] = self._limit_left
            if start_key is not None:
                request["ExclusiveStartKey"] = start_key
        self._services.run_native(read.operation, self._inner, request)

    def _succeeded(self, body: bytes) -> None:
        # A defect of ours becomes this statement's error and stays away from the stream the answer came on.
        self._services.run_guarded(self._inner, lambda: self._take(body))

    def _take(self, body: bytes) -> None:
        page = orjson.loads(body)
        read = self._plan.reads[self._at]
        self._bytes += len(body)
        items: list[Item]
        if read.operation == "GetItem":
            items = [page["Item"]] if "Item" in page else []
            scanned = len(items)
        else:
            items, scanned = page["Items"], page["ScannedCount"]
        self._answer.items += self._rows(read, items)
        if "ConsumedCapacity" in page:
            self._answer.capacity = added_capacity(self._answer.capacity, page["ConsumedCapacity"])
        if self._limit_left is not None:
            self._limit_left -= scanned
        last_key = page.get("LastEvaluatedKey")
        self._at += last_key is None
        if last_key is None and self._at < len(self._plan.reads) and not self._is_full():
            self._run(None)
            return
        if self._at < len(self._plan.reads):
            self._answer.position = Position(self._at, last_key)
        self._done(self._answer)

    def _is_full(self) -> bool:
        return self._bytes >= PAGE_BYTES_MAX or (self._limit_left is not None and self._limit_left <= 0)

    def _rows(self, read: Read, items: list[Item]) -> list[Item]:
        residual = read.residual
        if residual is not None:
            items = [item for item in items if residual.holds(item)]
        columns = self._plan.columns
        return items if columns is None else [cut(item, columns) for item in items]


def run_write(
    services: Services,
    outer: Call,
    write: Write,
    done: Callable[[Answer], None],
    failed: Callable[[DynamoError], None],
) -> None:
    """Run the native write; its Attributes are the one row of the answer."""

    def take(body: bytes) -> None:
        page = orjson.loads(body)
        attributes = page.get("Attributes")
        done(Answer([attributes] if attributes else [], page.get("ConsumedCapacity")))

    inner = InnerCall(
        outer,
        lambda body: services.run_guarded(inner, lambda: take(body)),
        lambda error: failed(_write_error(write, error)),
    )
    services.run_native(write.operation, inner, write.request)


def _write_error(write: Write, error: DynamoError) -> DynamoError:
    """The error of a native write as a statement tells it."""
    if write.duplicate and error.code == "ConditionalCheckFailedException":
        return duplicate_item()
    if error.code == "ValidationException" and error.message.startswith(f"{_NESTING}:"):
        return validation(_NESTING)
    return error


def added_capacity(left: dict[str, Any] | None, right: dict[str, Any]) -> dict[str, Any]:
    """The sum of two ConsumedCapacity structures of one table."""
    if left is None:
        return right
    total = dict(left)
    for name, value in right.items():
        if isinstance(value, dict):
            total[name] = added_capacity(left.get(name), value)
        elif isinstance(value, float | int):
            total[name] = left.get(name, 0.0) + value
    return total

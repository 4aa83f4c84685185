"""What Query and Scan share: what is read, the operation that reads it, and the answer of one page.

Called by router.operations.query and scan. Law: items stay the bytes the node sent; an answer is put together from
them without decoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from dynamo.errors import validation
from dynamo.indexes import IndexDefinition, IndexKind, IndexState
from router.operations.call import Call
from router.operations.metering import CAPACITY_MODES, Consumed
from router.operations.tables import denied
from router.routing.partition_map import RangeSlice
from topology.tables import TableInfo
from wire import data_pb2

# Of RangeRead.limit on the wire.
_LIMIT_MAX: Final = (1 << 32) - 1


class Page:
    """Answers of one or more partitions, put together in key order."""

    __slots__ = ("bytes_read", "count", "fetched_units", "items", "last_key", "scanned")

    def __init__(self) -> None:
        # Each a run of item JSONs joined by commas.
        self.items: list[bytes] = []
        self.count = 0
        self.scanned = 0
        self.bytes_read = 0
        self.fetched_units = 0
        self.last_key = b""

    def add(self, result: data_pb2.Result) -> None:
        """Put a partition's answer behind those before it."""
        if result.item:
            self.items.append(result.item)
        self.count += result.count
        self.scanned += result.scanned
        self.bytes_read += result.bytes_read
        self.fetched_units += result.fetched_units
        self.last_key = result.last_key


@dataclass(frozen=True, slots=True)
class RangePlan:
    """One Query or Scan, checked: everything but which keys."""

    request: dict[str, Any]
    table: TableInfo
    index: IndexDefinition | None
    key_names: tuple[str, ...]
    expressions: bytes
    is_consistent: bool
    count_only: bool
    # Of a local index: the attributes it holds (empty: all), and whether whole items are wanted all the same.
    projected: tuple[str, ...]
    fetch: bool
    backward: bool = False

    @property
    def limit(self) -> int:
        """Entries of a page at most; 0: any number. No page has as many as the largest number that can be sent."""
        given: int = self.request.get("Limit", 0)
        return min(given, _LIMIT_MAX)

    @property
    def entries_id(self) -> int:
        """Operation.table_id: whose entries are read, below which keys lie."""
        index = self.index
        return index.index_id if index is not None and index.kind is IndexKind.GLOBAL else self.table.table_id

    def operation(self, part: RangeSlice, limit: int, bytes_max: int) -> data_pb2.Operation:
        """The read of one partition's part; `limit` 0: any number of entries."""
        local = self.index if self.index is not None and self.index.kind is IndexKind.LOCAL else None
        return data_pb2.Operation(
            partition=part.partition,
            kind=data_pb2.RANGE_STRONG if self.is_consistent else data_pb2.RANGE_EVENTUAL,
            table_id=self.entries_id,
            expressions=self.expressions,
            range=data_pb2.RangeRead(
                index_id=local.index_id if local is not None else 0,
                start=part.start,
                end=part.end,
                backward=self.backward,
                limit=limit,
                bytes_max=bytes_max,
                count_only=self.count_only,
                key_names=self.key_names,
                projected=self.projected,
                fetch=self.fetch,
            ),
        )

    def render(self, page: Page) -> bytes:
        """The body of the answer, members in the service's order (alphabetical)."""
        members = []
        request = self.request
        mode = request.get("ReturnConsumedCapacity")
        if mode in CAPACITY_MODES:
            members.append(b'"ConsumedCapacity":' + self._consumed(mode, page))
        members.append(b'"Count":%d' % page.count)
        if not self.count_only:
            members.append(b'"Items":[' + b",".join(page.items) + b"]")
        if page.last_key:
            members.append(b'"LastEvaluatedKey":' + page.last_key)
        members.append(b'"ScannedCount":%d' % page.scanned)
        return b"{" + b",".join(members) + b"}"

    def _consumed(self, mode: str, page: Page) -> bytes:
        consumed = Consumed()
        consumed.add_page(
            self.index,
            bytes_read=page.bytes_read,
            fetched_units=page.fetched_units,
            consistent=self.is_consistent,
        )
        return orjson.dumps(consumed.as_json(mode, self.request["TableName"]))


def find_index(call: Call, table: TableInfo, request: dict[str, Any]) -> IndexDefinition | None:
    """The index that IndexName asks for, None without one.

    Raises ValidationException when it cannot be read (or NeedsCatalog before that).
    """
    name = request.get("IndexName")
    if name is None:
        return None
    index = table.index(name)
    if index is None or index.state is IndexState.DELETING:
        raise denied(call, validation(f"The table does not have the specified index: {name}"))
    if index.state is not IndexState.ACTIVE:
        raise denied(call, validation(f"Cannot read from backfilling global secondary index: {name}"))
    return index

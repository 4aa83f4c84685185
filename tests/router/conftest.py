"""A router over partitions in memory: real operations, a port that keeps what is submitted, and answers on demand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from dynamo.errors import DynamoError
from dynamo.indexes import IndexKind
from dynamo.records import encode_record, record_size
from dynamo.values import canonical_item, item_size
from node.ranges import RangeReader, TableGone
from node.storage import keyspace
from router.operations.call import Services, WriteIds
from router.operations.registry import Operations
from router.routing.catalog_copy import CatalogCopy
from router.routing.catalog_reader import CatalogReader
from router.routing.pending import Failure, Pending
from runtime.clock import ManualClock
from topology.ring import initial_boundaries
from wire import catalog_pb2, data_pb2

REGION = "us-east-1"
PARTITIONS = 6
_TYPES = {"S": catalog_pb2.KEY_S, "N": catalog_pb2.KEY_N, "B": catalog_pb2.KEY_B}


class RecordedCall:
    """A request without HTTP."""

    def __init__(self, target: str, body: object) -> None:
        self.target = f"DynamoDB_20120810.{target}".encode()
        self.body = body if isinstance(body, bytes) else orjson.dumps(body)
        self.region = REGION
        self.metric = 0
        self.catalog_confirmed = False
        self.answers: list[object] = []
        self.raw = b""

    def succeed(self, body: bytes) -> None:
        self.raw = body
        self.answers.append(orjson.loads(body))

    def fail(self, error: DynamoError) -> None:
        self.answers.append(error)

    @property
    def answer(self) -> Any:
        assert len(self.answers) == 1, self.answers
        assert not isinstance(self.answers[0], DynamoError), self.answers[0]
        return self.answers[0]

    @property
    def error(self) -> tuple[str, str]:
        assert len(self.answers) == 1, self.answers
        error = self.answers[0]
        assert isinstance(error, DynamoError), error
        return error.code, error.message


class MemoryRows:
    """One partition, as node.ranges reads it."""

    def __init__(self) -> None:
        self.dropped_tables: set[int] = set()
        self.rows: dict[bytes, bytes] = {}

    def get(self, logical_key: bytes) -> bytes | None:
        return self.rows.get(logical_key)

    def scan(self, start: bytes, end: bytes, *, backward: bool = False) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted((key for key in self.rows if start <= key < end), reverse=backward):
            yield bytes(keyspace.PREFIX_BYTES) + key, self.rows[key]


class StoreBench:
    """Six partitions; every submitted operation waits until `run` serves it, in random order."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.copy = CatalogCopy()
        self.submitted: list[Pending] = []
        self.served: list[data_pb2.Operation] = []
        self.refuse: dict[int, Failure] = {}  # by partition
        self.operations = Operations(CatalogReader(self))
        self.services = Services(
            port=self,
            copy=self.copy,
            clock=self.clock,
            write_ids=WriteIds(b"process!"),
            new_uuid=lambda: "new-uuid",
            table_activation_ms=2000,
            tables_max=2500,
            retry=self.operations.retry,
            run_guarded=self.operations.run_guarded,
            run_native=self.operations.run_native,
        )
        self.operations.bind(self.services)
        self.partitions = {number: MemoryRows() for number in range(1, PARTITIONS + 1)}
        self.catalog = catalog_pb2.Catalog(version=1)
        self.catalog.partitions.add(id=0, first_hash=bytes(16), replicas=["n1"])
        for number, boundary in enumerate(initial_boundaries(PARTITIONS), start=1):
            self.catalog.partitions.add(id=number, first_hash=boundary, replicas=["n1"])
        self.copy.replace(self.catalog)
        self._random = random.Random(1)

    # --- the catalog --------------------------------------------------------------------------------------------

    def add_table(self, name: str, keys: str, *indexes: catalog_pb2.Index) -> None:
        """`keys`: "pk S sk N"."""
        table_id = 100 * (len(self.catalog.tables) + 1)
        words = keys.split()
        table = self.catalog.tables.add(
            table_id=table_id,
            name=name,
            region=REGION,
            state=catalog_pb2.TABLE_ACTIVE,
            partition_key=catalog_pb2.KeyAttribute(name=words[0], type=_TYPES[words[1]]),
            revision=1,
        )
        if len(words) > 2:
            table.sort_key.CopyFrom(catalog_pb2.KeyAttribute(name=words[2], type=_TYPES[words[3]]))
        for number, index in enumerate(indexes, start=1):
            index.index_id = table_id + number
            table.indexes.append(index)
        self.catalog.version += 1
        self.copy.replace(self.catalog)

    @staticmethod
    def index(
        name: str,
        kind: int,
        keys: str,
        *,
        included: list[str] | None = None,
        state: int = catalog_pb2.INDEX_ACTIVE,
    ) -> catalog_pb2.Index:
        """`keys`: "pk S / sk N"; `included` None: all attributes."""
        partition, _, sort = keys.partition("/")

        def attributes(text: str) -> list[catalog_pb2.KeyAttribute]:
            words = text.split()
            return [
                catalog_pb2.KeyAttribute(name=key, type=_TYPES[of])
                for key, of in zip(words[::2], words[1::2], strict=True)
            ]

        return catalog_pb2.Index(
            name=name,
            kind=kind,
            partition_keys=attributes(partition),
            sort_keys=attributes(sort),
            projection=catalog_pb2.PROJECT_ALL if included is None else catalog_pb2.PROJECT_INCLUDE,
            included=included or [],
            state=state,
        )

    # --- items --------------------------------------------------------------------------------------------------

    def store(self, table_name: str, raw: dict[str, Any]) -> None:
        """Put an item and its index entries where a cluster has them."""
        table = self.copy.tables.find(REGION, table_name)
        assert table is not None
        item = canonical_item(raw)
        key = table.key_schema.item_key_of_item(item)
        rows = self._rows_of(key)
        rows[keyspace.item_key(table.table_id, key)] = encode_record(item)
        for index in table.indexes:
            entry = index.entry_key(item, key)
            if entry is None:
                continue
            projected = index.projected(item)
            if index.kind is IndexKind.LOCAL:
                rows[keyspace.item_key(index.index_id, entry)] = item_size(projected).to_bytes(4, "big") + key
            else:
                self._rows_of(entry)[keyspace.item_key(index.index_id, entry)] = encode_record(projected)

    def clear(self) -> None:
        """Forget every item."""
        for partition in self.partitions.values():
            partition.rows.clear()

    def _rows_of(self, key: bytes) -> dict[bytes, bytes]:
        partition_map = self.copy.partition_map
        assert partition_map is not None
        return self.partitions[partition_map.locate(key[:16])].rows

    # --- the port -----------------------------------------------------------------------------------------------

    def submit(self, pending: Pending) -> None:
        self.submitted.append(pending)

    def new_deadline_s(self) -> float:
        return self.clock.monotonic() + 3

    def call_later(self, delay_ms: int, callback: object) -> None:
        """The reader's rest between two catalog reads: not needed here."""

    def catalog_received(self, catalog: catalog_pb2.Catalog) -> None:
        self.copy.replace(catalog)

    # --- driving ------------------------------------------------------------------------------------------------

    def call(self, target: str, body: object) -> RecordedCall:
        """Dispatch and serve everything that follows from it."""
        made = RecordedCall(target, body)
        self.operations.dispatch(made.target, made)
        self.run()
        return made

    def run(self) -> None:
        """Serve what was submitted, in random order, until nothing is left."""
        while self.submitted:
            pending = self.submitted.pop(self._random.randrange(len(self.submitted)))
            operation = pending.operation
            self.served.append(operation)
            failure = self.refuse.get(operation.partition)
            if failure is not None:
                pending.give_up(failure)
            else:
                pending.complete(self._serve(operation))

    def _serve(self, operation: data_pb2.Operation) -> data_pb2.Result:
        if operation.kind == data_pb2.CATALOG_READ:
            return data_pb2.Result(status=data_pb2.OK, item=self.catalog.SerializeToString())
        if operation.kind in (data_pb2.RANGE_STRONG, data_pb2.RANGE_EVENTUAL):
            return self._serve_range(operation)
        rows = self.partitions[operation.partition].rows
        key = keyspace.item_key(operation.table_id, operation.key)
        old = rows.get(key, b"")
        result = data_pb2.Result(status=data_pb2.OK, old_size=record_size(old) if old else 0)
        if operation.kind in (data_pb2.GET_STRONG, data_pb2.GET_EVENTUAL):
            result.item = old
        elif operation.kind == data_pb2.PUT:
            rows[key] = operation.item
            result.new_size = record_size(operation.item)
        else:
            assert operation.kind == data_pb2.DELETE
            rows.pop(key, None)
        return result

    def _serve_range(self, operation: data_pb2.Operation) -> data_pb2.Result:
        reader = RangeReader(self.partitions[operation.partition], operation, ManualClock().monotonic)
        try:
            while not reader.is_done:
                reader.step(1000)
        except TableGone:
            return data_pb2.Result(status=data_pb2.TABLE_GONE)
        page = reader.page()
        return data_pb2.Result(
            status=data_pb2.OK,
            item=page.items,
            count=page.count,
            scanned=page.scanned,
            bytes_read=page.bytes_read,
            fetched_units=page.fetched_units,
            last_key=page.last_key,
        )


@pytest.fixture
def store_bench() -> StoreBench:
    return StoreBench()

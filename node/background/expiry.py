"""Time to live: finds expired items in the partitions that this node leads, and has them deleted.

Started by node.__main__; `sweep` is also called by node.service when an operator asks for it. Items are found by
reading rows as they lie, in slices of a millisecond with pauses between, and deleted by the leader as any write is,
which judges the newest item again: one that was given more time meanwhile stays.

Laws: an expired item is visible until it was swept; a sweep never holds the loop longer than a slice, and never has
more than EXPIRES_IN_FLIGHT_MAX deletions under way. No slice is looked at of a table that the newest catalog of this
node no longer has time to live for, or by another attribute: what was disabled stops within a slice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import orjson

from dynamo.expiry import expiry_mark, is_expired, may_be_expired
from dynamo.records import record_json
from dynamo.values import decode_item
from node.host import NodeHost
from node.machine.state import PartitionState
from node.partition import Partition
from node.storage import keyspace
from runtime.clock import Clock
from runtime.logs import get_logger
from topology.placement import CATALOG_PARTITION
from wire import catalog_pb2, data_pb2

log = get_logger()

EXPIRES_IN_FLIGHT_MAX = 128
# How long a slice may hold the loop, and after how many rows the clock is looked at (about 2 microseconds a row).
SLICE_S = 0.001
_ROWS_BETWEEN_LOOKS = 32
# A sweep that is due leaves nine tenths of the loop to clients; one that somebody waits for takes half of it.
PAUSE_S = 0.009
FORCED_PAUSE_S = 0.001


class ExpiringTable(NamedTuple):
    """A table with time to live."""

    table_id: int
    attribute: str
    mark: bytes


class Slice(NamedTuple):
    """What one slice found: keys of expired items below the table id, and where the next one begins (None: nowhere)."""

    expired: list[bytes]
    cursor: bytes | None


def expiring_tables(catalog: catalog_pb2.Catalog) -> list[ExpiringTable]:
    """The ACTIVE tables whose time to live is enabled."""
    found = []
    for table in catalog.tables:
        if table.state != catalog_pb2.TABLE_ACTIVE or b'"TimeToLive"' not in table.settings_json:
            continue
        time_to_live = orjson.loads(table.settings_json).get("TimeToLive") or {}
        if time_to_live.get("Enabled"):
            attribute = time_to_live["AttributeName"]
            found.append(ExpiringTable(table.table_id, attribute, expiry_mark(attribute)))
    return found


def sweep_slice(
    state: PartitionState,
    table: ExpiringTable,
    cursor: bytes,
    now_s: int,
    monotonic: Callable[[], float],
    ends_at: float,
) -> Slice:
    """Look at rows from `cursor` (a logical key) on until `ends_at` (of `monotonic`) or until enough are expired."""
    expired: list[bytes] = []
    start, end = keyspace.table_range(table.table_id)
    head = keyspace.PREFIX_BYTES + len(start)
    mark = table.mark
    for number, (key, record) in enumerate(state.scan(cursor, end), start=1):
        is_decoded = may_be_expired(record, mark, now_s)
        if is_decoded and is_expired(decode_item(record_json(record)), table.attribute, now_s):
            expired.append(key[head:])
        elif not is_decoded and number % _ROWS_BETWEEN_LOOKS:
            continue
        if len(expired) >= EXPIRES_IN_FLIGHT_MAX or monotonic() >= ends_at:
            # The least key above this one.
            return Slice(expired, key[keyspace.PREFIX_BYTES :] + b"\0")
    return Slice(expired, None)


class ExpirySweeper:
    """One node's sweeps, never two at once."""

    def __init__(self, host: NodeHost, clock: Clock, interval_s: float) -> None:
        self._host = host
        self._clock = clock
        self._interval_s = interval_s
        self._one_at_a_time = asyncio.Lock()
        # When the next pause is due: a slice of time is shared by tables and partitions that hold little.
        self._slice_ends_at = 0.0
        self._catalog_version = 0
        self._tables: list[ExpiringTable] = []

    async def run(self) -> None:
        """Sweep at every interval until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self.sweep(PAUSE_S)

    async def sweep(self, pause_s: float) -> int:
        """Look at every row of every partition led here; the number of items deleted.

        One that is under way is waited for first: it has passed rows that may have expired since.
        """
        async with self._one_at_a_time:
            began_at = self._clock.monotonic()
            self._slice_ends_at = began_at + SLICE_S
            deleted = 0
            for table in self._expiring_tables():
                for group_id in self._host.led_groups():
                    partition = self._host.partitions.get(group_id)  # it may have left this node meanwhile
                    if group_id != CATALOG_PARTITION and partition is not None:
                        deleted += await self._sweep_rows(group_id, partition, table, pause_s)
            took_s = self._clock.monotonic() - began_at
            self._host.metrics.swept(took_s, self._clock.wall_ms() / 1000)
            if deleted:
                log.info("expired_items_deleted", deleted=deleted, took_s=round(took_s, 3))
            return deleted

    def _expiring_tables(self) -> list[ExpiringTable]:
        """As the newest catalog here says; cheap while it stays the same."""
        catalog = self._host.catalog
        version = catalog.version if catalog is not None else 0
        if version != self._catalog_version:
            self._tables = expiring_tables(catalog) if catalog is not None else []
            self._catalog_version = version
        return self._tables

    async def _sweep_rows(self, group_id: int, partition: Partition, table: ExpiringTable, pause_s: float) -> int:
        cursor: bytes | None = keyspace.table_range(table.table_id)[0]
        deleted = 0
        while cursor is not None and partition.group.is_leader and table in self._expiring_tables():
            now_s = self._clock.wall_ms() // 1000
            expired, cursor = sweep_slice(
                partition.state, table, cursor, now_s, self._clock.monotonic, self._slice_ends_at
            )
            if expired:
                deleted += await self._expire(group_id, partition, table, expired, now_s)
            if expired or cursor is not None or self._clock.monotonic() >= self._slice_ends_at:
                await asyncio.sleep(pause_s)
                self._slice_ends_at = self._clock.monotonic() + SLICE_S
        return deleted

    async def _expire(
        self, group_id: int, partition: Partition, table: ExpiringTable, keys: list[bytes], now_s: int
    ) -> int:
        expiry = data_pb2.Expiry(attribute=table.attribute, now_s=now_s)
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[bool | None]] = []
        for key in keys:
            answer: asyncio.Future[bool | None] = loop.create_future()
            answers.append(answer)
            partition.expire(table.table_id, key, expiry, _setter(answer))
        self._host.wake(group_id)
        # What was refused or is unknown (None) is found again by the next sweep.
        deleted = sum(answer is True for answer in await asyncio.gather(*answers))
        self._host.metrics.ttl_deleted.inc(deleted)
        return deleted


def _setter(answer: asyncio.Future[bool | None]) -> Callable[[bool | None], None]:
    def set_answer(deleted: bool | None) -> None:
        # Whoever asked for the sweep may be gone.
        if not answer.done():
            answer.set_result(deleted)

    return set_answer

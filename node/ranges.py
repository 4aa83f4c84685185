"""One page of a Query or Scan in one partition, evaluated in slices. Pure but for the store it reads.

Driven by node.range_turns. Every slice scans anew from where the one before ended: no iterator outlives a slice, so
none pins memory or files, and a snapshot that is installed meanwhile is simply read on. Within a slice all is of one
moment, and no slice sees an older moment than the one before.

A slice is bounded by units of work, which is what bounds it in virtual time, and by the clock, because nobody can say
beforehand what a filter costs: one entry is judged whole, the next is not begun when the time is up.

Law: entries are judged in key order, each is counted before it is filtered, and the one that fills the page is part of
it. `last_key` is set exactly when the limit or the bytes ended the page, whether or not anything follows: so it is at
the service.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from dynamo.expressions import Bindings, Condition, Projection, matches, parse_condition, parse_projection, project
from dynamo.limits import PAGE_BYTES_MAX
from dynamo.records import RECORD_HEAD_BYTES, record_json, record_size
from dynamo.values import Item, decode_item, encode_item
from node.storage import keyspace
from wire import data_pb2

# A slice is paid in units of about half a microsecond: one for an entry passed on as it lies, these for the others.
_UNITS_OF_SLICE: Final = 16
_UNITS_OF_POINTER: Final = 4
_UNITS_OF_DECODING: Final = 3
_DECODED_BYTES_OF_UNIT_BITS: Final = 7
# One read capacity unit, by which attributes that a local index lacks are charged.
_FETCHED_UNIT_BYTES: Final = 4096
_FILTER: Final = "FilterExpression"
# A record begins with its item's size, an entry of a local index with its projected item's: both four bytes.
_SIZE: Final = struct.Struct(">I")
_NO_ENTRY: Final = (b"", b"")


class Rows(Protocol):
    """What a reader asks of a partition's state (node.machine.state)."""

    dropped_tables: set[int]

    def get(self, logical_key: bytes) -> bytes | None:
        """The value at a logical key."""
        ...

    def scan(self, start: bytes, end: bytes, *, backward: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with logical keys in [start, end), their keys with keyspace.PREFIX_BYTES in front."""
        ...


class TableGone(Exception):
    """The table or index was dropped."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a range read answers; see data_pb2.Result."""

    items: bytes
    count: int
    scanned: int
    bytes_read: int
    fetched_units: int
    last_key: bytes


class RangeReader:
    """One range read under way: `step` until `is_done`, then `page`.

    Raises ValidationException for expressions that the router should have refused.
    """

    def __init__(self, rows: Rows, operation: data_pb2.Operation, monotonic: Callable[[], float]) -> None:
        """`monotonic` gives seconds, by which `step` is told when to end."""
        asked = operation.range
        self._rows = rows
        self._monotonic = monotonic
        self._table_id = operation.table_id
        self._entries_id = asked.index_id or operation.table_id
        self._has_pointers = bool(asked.index_id)
        self._start = keyspace.item_key(self._entries_id, asked.start)
        self._end = (
            keyspace.item_key(self._entries_id, asked.end) if asked.end else keyspace.table_range(self._entries_id)[1]
        )
        self._backward = asked.backward
        self._limit = asked.limit
        # Whatever a router asks for.
        self._bytes_max = min(asked.bytes_max or PAGE_BYTES_MAX, PAGE_BYTES_MAX)
        self._keeps_items = not asked.count_only
        self._key_names = asked.key_names
        self._fetches = self._has_pointers and asked.fetch
        self._held = () if asked.fetch or not asked.index_id else tuple(asked.projected)
        self._filter: Condition | None = None
        self._projection: Projection | None = None
        self._bindings = Bindings(None, None)
        if operation.expressions:
            self._read_expressions(operation.expressions)
        self._decodes = self._filter is not None or (
            self._keeps_items and (self._projection is not None or bool(self._held))
        )
        self._items: list[bytes] = []
        self._count = 0
        self._scanned = 0
        self._bytes_read = 0
        self._fetched_units = 0
        self._last_value = b""
        self._is_full = False
        self.is_done = False

    def _read_expressions(self, expressions: bytes) -> None:
        texts = orjson.loads(expressions)
        self._bindings = Bindings(texts.get("names"), texts.get("values"))
        if "filter" in texts:
            self._filter = parse_condition(texts["filter"], _FILTER, may_be_translated=True)
        if "projection" in texts:
            self._projection = parse_projection(texts["projection"], may_be_translated=True)

    # ------------------------------------------------------------------ evaluation
    def step(self, units: int, until_s: float = math.inf) -> int:
        """Go on for about `units` of work or until the clock says `until_s`, at least by one entry; returns the units.

        Raises TableGone, and ValidationException when an item does not fit the filter.
        """
        dropped = self._rows.dropped_tables
        if dropped and (self._table_id in dropped or self._entries_id in dropped):
            raise TableGone
        entries = self._rows.scan(self._start, self._end, backward=self._backward)
        if self._decodes or self._has_pointers:
            return self._step_judging(entries, units, until_s)
        return self._step_passing(entries, units)

    def _step_passing(self, entries: Iterator[tuple[bytes, bytes]], units: int) -> int:
        """Records go into the answer as they lie."""
        size_of, bytes_max, bytes_read, items = _SIZE.unpack_from, self._bytes_max, self._bytes_read, self._items
        keeps_items = self._keeps_items
        entries_max = max(1, min(units, self._limit - self._scanned) if self._limit else units)
        evaluated, entry = 0, _NO_ENTRY
        for entry in entries:
            record = entry[1]
            bytes_read += size_of(record)[0]
            if keeps_items:
                items.append(record[RECORD_HEAD_BYTES:])
            evaluated += 1
            if evaluated == entries_max or bytes_read >= bytes_max:
                break
        else:
            self.is_done = True
        self._bytes_read = bytes_read
        self._scanned += evaluated
        self._count += evaluated
        self._slice_ended(entry)
        return _UNITS_OF_SLICE + evaluated

    def _step_judging(self, entries: Iterator[tuple[bytes, bytes]], units: int, until_s: float) -> int:
        """Entries that are pointers, or have to be decoded."""
        size_of, entry, taken, monotonic = _SIZE.unpack_from, _NO_ENTRY, _UNITS_OF_SLICE, self._monotonic
        for entry in entries:
            value = entry[1]
            self._bytes_read += size_of(value)[0]
            self._scanned += 1
            taken += self._judge(value)
            if taken >= units or self._reached_limit() or monotonic() >= until_s:
                break
        else:
            self.is_done = True
        self._slice_ended(entry)
        return taken

    def _judge(self, value: bytes) -> int:
        """Filter and keep one entry; returns the units it took."""
        if not (self._decodes or self._keeps_items or self._fetches):
            self._count += 1
            return 1
        record, taken = self._record_of(value), _UNITS_OF_POINTER
        if self._fetches:
            self._fetched_units += -(-record_size(record) // _FETCHED_UNIT_BYTES)
        if not self._decodes:
            self._count += 1
            if self._keeps_items:
                self._items.append(record_json(record))
            return taken
        item = decode_item(record_json(record))
        shown = {name: item[name] for name in self._held if name in item} if self._held else item
        if self._filter is None or matches(self._filter, shown, self._bindings):
            self._count += 1
            if self._keeps_items:
                self._items.append(self._answer_of(shown, record))
        return taken + _UNITS_OF_DECODING + (len(record) >> _DECODED_BYTES_OF_UNIT_BITS)

    def _answer_of(self, shown: Item, record: bytes) -> bytes:
        if self._projection is not None:
            return encode_item(project(self._projection, shown, self._bindings))
        return encode_item(shown) if self._held else record_json(record)

    def _record_of(self, value: bytes) -> bytes:
        """The record that an entry is, or points to."""
        if not self._has_pointers:
            return value
        record = self._rows.get(keyspace.item_key(self._table_id, value[_SIZE.size :]))
        # Entry and item are written in one batch: one without the other is a broken store.
        if record is None:
            raise LookupError(f"index {self._entries_id} points to an item that table {self._table_id} does not have")
        return record

    def _reached_limit(self) -> bool:
        return self._bytes_read >= self._bytes_max or self._scanned == self._limit != 0

    def _slice_ended(self, last_entry: tuple[bytes, bytes]) -> None:
        """Remember where to go on."""
        if last_entry is not _NO_ENTRY:
            position = last_entry[0][keyspace.PREFIX_BYTES :]
            self._last_value = last_entry[1]
            if self._backward:
                self._end = position
            else:
                self._start = position + b"\x00"
        if not self.is_done and self._reached_limit():
            self.is_done = self._is_full = True

    # ------------------------------------------------------------------ the answer
    def page(self) -> Page:
        """The answer. Only when `is_done`, right after the last step: an index entry's item is looked up again."""
        return Page(
            b",".join(self._items),
            self._count,
            self._scanned,
            self._bytes_read,
            self._fetched_units,
            self._last_key() if self._is_full else b"",
        )

    def _last_key(self) -> bytes:
        item = decode_item(record_json(self._record_of(self._last_value)))
        return orjson.dumps({name: item[name] for name in self._key_names})

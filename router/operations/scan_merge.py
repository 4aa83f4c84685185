"""Which partitions a page of a Scan asks, with how much room, and how their answers become one page. Pure.

Called by router.operations.scan, one ScanMerge for each request. Law: the page is what one walk over the ring in order
would give: an answer is merged only when everything before it is, and one that was read with more room than is left
is thrown away and asked for again with exactly what is left, so that no entry is lost or given twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dynamo.keys import PARTITION_HASH_BYTES
from router.limits import SCAN_PARTITIONS_AT_ONCE_MAX
from router.operations.range_pages import Page
from router.routing.partition_map import RangeSlice
from wire import data_pb2

_RING_END = 1 << (8 * PARTITION_HASH_BYTES)


class Ask(NamedTuple):
    """A read of slice number `position` with the room that the page had when it was asked."""

    position: int
    limit: int  # entries; 0: any number
    bytes_max: int


class ScanMerge:
    """One page over `slices`, at least one; `limit` entries (0: any number) or `bytes_max`, whichever comes first."""

    def __init__(self, slices: Sequence[RangeSlice], limit: int, bytes_max: int) -> None:
        self.page = Page()
        self.ended = False
        self._spans = [_span(part) for part in slices]
        self._limit = limit
        self._bytes_max = bytes_max
        self._head = 0
        self._width = 1
        self._asked: set[int] = set()
        self._held: dict[int, tuple[Ask, data_pb2.Result]] = {}

    def begin(self) -> list[Ask]:
        """What to ask first."""
        return [self._ask(0)]

    def received(self, ask: Ask, result: data_pb2.Result) -> list[Ask]:
        """Take an answer; what to ask now. Once `ended` is true the page is whole and answers are ignored."""
        self._asked.discard(ask.position)
        if self.ended:
            return []
        self._held[ask.position] = (ask, result)
        while (held := self._held.pop(self._head, None)) is not None:
            if not self._fits(*held):
                # It fills the page: what lies behind it is of no use any more.
                self._held.clear()
                return [self._ask(self._head)]
            if self._merge(held[1]):
                return []
        return [] if self._asked else self._next_wave()

    def _room(self) -> tuple[int, int]:
        limit_left = self._limit - self.page.scanned if self._limit else 0
        return limit_left, self._bytes_max - self.page.bytes_read

    def _ask(self, position: int) -> Ask:
        self._asked.add(position)
        return Ask(position, *self._room())

    def _fits(self, ask: Ask, result: data_pb2.Result) -> bool:
        limit_left, bytes_left = self._room()
        if (ask.limit, ask.bytes_max) == (limit_left, bytes_left):
            return True
        within_limit = not limit_left or result.scanned < limit_left
        return not result.last_key and within_limit and result.bytes_read < bytes_left

    def _merge(self, result: data_pb2.Result) -> bool:
        """Put the head's answer into the page; whether that ends it."""
        self.page.add(result)
        self._head += 1
        self.ended = bool(result.last_key) or self._head == len(self._spans)
        if self.ended:
            self._held.clear()
        return self.ended

    def _next_wave(self) -> list[Ask]:
        """As many slices at once as will fill the page, if the rest of the ring is like what was read of it."""
        left = len(self._spans) - self._head
        self._width = max(1, min(self._estimate(), left, SCAN_PARTITIONS_AT_ONCE_MAX))
        return [self._ask(position) for position in range(self._head, self._head + self._width)]

    def _estimate(self) -> int:
        page = self.page
        if not page.scanned:
            return 2 * self._width
        limit_left, bytes_left = self._room()
        read_span = sum(self._spans[: self._head])
        spans = [bytes_left * read_span // max(1, page.bytes_read)]
        if limit_left:
            spans.append(limit_left * read_span // page.scanned)
        span_left = min(spans)
        width = 0
        for span in self._spans[self._head :]:
            span_left -= span
            if span_left < 0:
                break
            width += 1
        return width


def _span(part: RangeSlice) -> int:
    """How much of the ring a slice covers, at least 1: hashes are uniform, so entries are about in proportion."""
    start = int.from_bytes(part.start[:PARTITION_HASH_BYTES].ljust(PARTITION_HASH_BYTES, b"\x00"), "big")
    end = part.end[:PARTITION_HASH_BYTES].ljust(PARTITION_HASH_BYTES, b"\x00")
    return max(1, (int.from_bytes(end, "big") if part.end else _RING_END) - start)

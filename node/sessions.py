"""The node's side of a router's stream: answers collected in one frame, written when the router can take it.

Created by node.service for every stream, filled by node.partition and node.host. Law: answers of one loop turn leave
in one message; what is under way is bounded by the operations the router may have in flight.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from node.evaluate import OK, Decision
from node.ranges import Page
from wire import catalog_pb2, data_pb2

# Bytes of items in one frame from which on the next answer goes into another one.
FRAME_ITEM_BYTES_MAX = 1024 * 1024
# Bytes of items waiting to be sent from which on a router's further operations are refused as OVERLOADED.
QUEUED_BYTES_MAX = 32 * 1024 * 1024


class RouterSession:
    """One router connected to this node."""

    def __init__(self, note_dirty: Callable[[RouterSession], None]) -> None:
        self.router_id = ""
        # Of the router's process, and the number of this one among its streams to this node; empty: not told.
        self.process_id = b""
        self.stream = 0
        # A newer stream of the same process is open: what still arrives here must not come after what came there.
        self.is_outdated = False
        self.catalog_version = 0
        self.in_flight = 0
        self.closed = False
        self.ready = asyncio.Event()
        self._frame = data_pb2.NodeFrame()
        self._results = self._frame.results
        self._frame_bytes = 0
        # Item bytes that wait for a router that reads slowly.
        self.queued_bytes = 0
        self._full_frames: deque[tuple[data_pb2.NodeFrame, int]] = deque()
        self._is_dirty = False
        self._note_dirty = note_dirty

    def _add_bytes(self, size: int) -> None:
        """Items can be 400 KB: a frame that is full is closed, so that none grows beyond what gRPC carries."""
        self._frame_bytes += size
        self.queued_bytes += size
        if self._frame_bytes >= FRAME_ITEM_BYTES_MAX:
            self._full_frames.append((self._frame, self._frame_bytes))
            self._begin_frame()

    def _begin_frame(self) -> None:
        self._frame = data_pb2.NodeFrame()
        self._results = self._frame.results
        self._frame_bytes = 0

    def _touch(self) -> None:
        if not self._is_dirty:
            self._is_dirty = True
            self._note_dirty(self)

    def answer(self, operation_id: int, status: data_pb2.ResultStatus, item: bytes = b"") -> None:
        """Answer one operation without further members."""
        self.in_flight -= 1
        self._results.add(id=operation_id, status=status, item=item)
        if item:
            self._add_bytes(len(item))
        if not self._is_dirty:
            self._touch()

    def refuse(self, operation_id: int, status: data_pb2.ResultStatus, leader: str | None = None) -> None:
        """Say that nothing happened, and who leads if known."""
        self.in_flight -= 1
        self._results.add(id=operation_id, status=status, leader=leader or "")
        self._touch()

    def answer_write(self, operation_id: int, decision: Decision) -> None:
        """Answer a write that was judged against its item."""
        self.in_flight -= 1
        self._results.add(
            id=operation_id,
            status=decision.status,
            item=decision.returned,
            message=decision.message,
            old_size=decision.old_size,
            new_size=decision.new_size,
            index_units=decision.index_units,
            collection_bytes=decision.collection_bytes,
        )
        self._add_bytes(len(decision.returned))
        self._touch()

    def answer_again(self, operation_id: int, answer: data_pb2.Result) -> None:
        """Answer a write that was applied before as it was answered then."""
        self.in_flight -= 1
        result = self._results.add()
        result.CopyFrom(answer)
        result.id = operation_id
        self._add_bytes(len(answer.item))
        self._touch()

    def answer_range(self, operation_id: int, page: Page) -> None:
        """Answer a range read with its page."""
        self.in_flight -= 1
        self._results.add(
            id=operation_id,
            status=OK,
            item=page.items,
            count=page.count,
            scanned=page.scanned,
            bytes_read=page.bytes_read,
            fetched_units=page.fetched_units,
            last_key=page.last_key,
        )
        self._add_bytes(len(page.items) + len(page.last_key))
        self._touch()

    def push_catalog(self, catalog: catalog_pb2.Catalog) -> None:
        """Send the whole catalog with the next frame."""
        self._frame.catalog.CopyFrom(catalog)
        self._touch()

    def push_leader(self, partition: int, leader: str | None, term: int) -> None:
        """Send a change of leadership with the next frame."""
        self._frame.leaders.add(partition=partition, leader=leader or "", term=term)
        self._touch()

    def wake(self) -> None:
        """Called once a turn for a dirty session: let the writer go."""
        self._is_dirty = False
        self.ready.set()

    def take_frame(self) -> data_pb2.NodeFrame:
        """The oldest frame collected, perhaps empty; `ready` stays set while there are more."""
        if self._full_frames:
            full_frame, size = self._full_frames.popleft()
            self.queued_bytes -= size
            return full_frame
        frame = self._frame
        self.queued_bytes -= self._frame_bytes
        self._begin_frame()
        self.ready.clear()
        return frame

"""Range reads share the event loop: each gets a slice, then others their turn.

Filled by node.partition as range reads arrive (eventual) or as their barrier is passed (strong), run by node.host in
loop callbacks of its own. A read that one slice answers is answered where it arrived, as long as this callback has not
done its share; what is longer takes turns with its like, and with reads that have not begun.

Law: no callback does much more than CALLBACK_UNITS of work; what is under way is bounded (OVERLOADED beyond: nothing
happened, the router asks again); nothing is read for a router that went away or does not take its answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from dynamo.errors import DynamoError
from node.evaluate import Decision
from node.ranges import RangeReader, Rows, TableGone
from node.sessions import QUEUED_BYTES_MAX, RouterSession
from runtime.logs import get_logger
from wire import data_pb2

log = get_logger()

# What one callback does before the loop goes on, in units of half a microsecond (node.ranges): half a millisecond.
CALLBACK_UNITS: Final = 1024
# Reads that have not begun: they hold no more than their operation.
READS_WAITING_MAX: Final = 1024
# Reads that have begun and not ended: each holds up to a page of items.
READS_OPEN_MAX: Final = 128


class _Read:
    """A range read and where its answer goes."""

    __slots__ = ("operation", "reader", "rows", "session")

    def __init__(self, rows: Rows, session: RouterSession, operation: data_pb2.Operation) -> None:
        self.rows = rows
        self.session = session
        self.operation = operation
        self.reader: RangeReader | None = None


class RangeTurns:
    """All range reads of a node."""

    def __init__(self, wants_callback: Callable[[], object]) -> None:
        self._wants_callback = wants_callback
        self._is_called_back = False
        self._units_left = CALLBACK_UNITS
        self._waiting: deque[_Read] = deque()
        self._open: deque[_Read] = deque()

    @property
    def under_way(self) -> int:
        """Reads that are not answered yet."""
        return len(self._waiting) + len(self._open)

    def read(self, rows: Rows, session: RouterSession, operation: data_pb2.Operation) -> None:
        """Take a range read; answered now if a slice is enough for it and nobody waits."""
        read = _Read(rows, session, operation)
        if self._units_left > 0 and not self._waiting:
            self._give_slice(read, self._units_left)
        elif len(self._waiting) < READS_WAITING_MAX:
            self._waiting.append(read)
        else:
            session.refuse(operation.id, data_pb2.OVERLOADED)
        self._call_back()

    def run(self) -> None:
        """One callback's share. Reads that have not begun go first, for most are short; half is kept for the others."""
        self._is_called_back = False
        self._units_left = CALLBACK_UNITS
        waiting, opened = self._waiting, self._open
        kept = CALLBACK_UNITS // 2 if opened else 0
        while waiting and self._units_left > kept:
            self._give_slice(waiting.popleft(), self._units_left - kept)
        while opened and self._units_left > 0:
            self._give_slice(opened.popleft(), self._units_left)
        if self._units_left < CALLBACK_UNITS:
            self._call_back()

    def _call_back(self) -> None:
        if not self._is_called_back:
            self._is_called_back = True
            self._wants_callback()

    def _give_slice(self, read: _Read, units: int) -> None:
        session, operation = read.session, read.operation
        if session.closed:
            return
        if session.queued_bytes >= QUEUED_BYTES_MAX:
            session.refuse(operation.id, data_pb2.OVERLOADED)
            return
        try:
            reader = read.reader
            if reader is None:
                reader = read.reader = RangeReader(read.rows, operation)
            self._units_left -= reader.step(units)
            if reader.is_done:
                session.answer_range(operation.id, reader.page())
            elif len(self._open) < READS_OPEN_MAX:
                self._open.append(read)
            else:
                session.refuse(operation.id, data_pb2.OVERLOADED)
        except TableGone:
            session.refuse(operation.id, data_pb2.TABLE_GONE)
        except DynamoError as error:
            session.answer_write(operation.id, Decision(data_pb2.VALIDATION_FAILED, message=error.message))
        except Exception as error:
            # A fault of ours in one read must not end the process: its client would carry it to the next node.
            log.error("range_not_read", table=operation.table_id, exc_info=error)
            session.refuse(operation.id, data_pb2.UNAVAILABLE)

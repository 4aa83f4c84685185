"""Range reads share the event loop: each gets a slice, then others their turn.

Filled by node.partition as range reads arrive (eventual) or as their barrier is passed (strong), run by node.host in
loop callbacks of its own. A read that one slice answers is answered where it arrived, as long as this callback has not
done its share; what is longer takes turns with its like, and with reads that have not begun.

Law: no callback does much more than CALLBACK_UNITS of work or takes much longer than CALLBACK_S; what is under way is
bounded (OVERLOADED beyond: nothing happened, the router asks again), and what waits for its turn has cost nothing yet;
nothing is read for a router that went away, does not take its answers or has long given up waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from dynamo.errors import DynamoError
from node.evaluate import Decision
from node.ranges import RangeReader, Rows, TableGone
from node.sessions import QUEUED_BYTES_MAX, RouterSession
from node.storage.errors import StoreError
from runtime.logs import get_logger
from wire import data_pb2

log = get_logger()

# What one callback does before the loop goes on, in units of half a microsecond (node.ranges): half a millisecond.
CALLBACK_UNITS: Final = 1024
# And the time it takes: units do not know what a filter costs.
CALLBACK_S: Final = 0.001
# A read that has been here for so long is given up: no router waits longer (timeouts.operation_ms, 3 s by default), and
# a client that asks again and again must not leave a trail of pages that are computed for nobody.
READ_S_MAX: Final = 3.0
# Reads that have not begun: they hold no more than their operation.
READS_WAITING_MAX: Final = 1024
# Reads that have begun and not ended: each holds up to a page of items.
READS_OPEN_MAX: Final = 128


class _Read:
    """A range read and where its answer goes."""

    __slots__ = ("arrived_s", "operation", "reader", "rows", "session")

    def __init__(self, rows: Rows, session: RouterSession, operation: data_pb2.Operation, arrived_s: float) -> None:
        self.rows = rows
        self.session = session
        self.operation = operation
        self.arrived_s = arrived_s
        self.reader: RangeReader | None = None


class RangeTurns:
    """All range reads of a node."""

    def __init__(self, wants_callback: Callable[[], object], monotonic: Callable[[], float]) -> None:
        """`wants_callback` asks for a call of `run` soon; `monotonic` gives seconds."""
        self._wants_callback = wants_callback
        self._monotonic = monotonic
        self._is_called_back = False
        # What is left for this callback, or until the next one for reads that arrive.
        self._units_left = CALLBACK_UNITS
        self._seconds_left = CALLBACK_S
        self._waiting: deque[_Read] = deque()
        self._open: deque[_Read] = deque()

    @property
    def under_way(self) -> int:
        """Reads that are not answered yet."""
        return len(self._waiting) + len(self._open)

    def read(self, rows: Rows, session: RouterSession, operation: data_pb2.Operation) -> None:
        """Take a range read; answered now if a slice is enough for it and nobody waits."""
        read = _Read(rows, session, operation, self._monotonic())
        if self._has_share() and self._may_begin() and not self._waiting:
            self._give_slice(read)
        elif len(self._waiting) < READS_WAITING_MAX:
            self._waiting.append(read)
        else:
            session.refuse(operation.id, data_pb2.OVERLOADED)
        self._call_back()

    def run(self) -> None:
        """One callback's share. Reads that have not begun go first, for most are short; half is kept for the others."""
        self._is_called_back = False
        self._units_left, self._seconds_left = CALLBACK_UNITS, CALLBACK_S
        waiting, opened = self._waiting, self._open
        kept = 0.5 if opened else 0.0
        while waiting and self._may_begin() and self._has_share(kept):
            self._give_slice(waiting.popleft(), kept)
        while opened and self._has_share():
            self._give_slice(opened.popleft())
        # Also when all is answered: the share of reads that arrive is made whole again.
        if self._units_left < CALLBACK_UNITS or waiting or opened:
            self._call_back()

    def drop(self, rows: Rows) -> None:
        """The replica with these rows leaves: a page of it would end where they were deleted, and look complete."""
        for reads in (self._waiting, self._open):
            dropped = [read for read in reads if read.rows is rows]
            for read in dropped:
                reads.remove(read)
                read.session.refuse(read.operation.id, data_pb2.WRONG_PARTITION)

    def _may_begin(self) -> bool:
        """Whether one more read may hold items; the others wait without having cost anything."""
        return len(self._open) < READS_OPEN_MAX

    def _has_share(self, kept: float = 0.0) -> bool:
        """Whether more than `kept` of a callback's share is left."""
        return self._units_left > CALLBACK_UNITS * kept and self._seconds_left > CALLBACK_S * kept

    def _call_back(self) -> None:
        if not self._is_called_back:
            self._is_called_back = True
            self._wants_callback()

    def _give_slice(self, read: _Read, kept: float = 0.0) -> None:
        """Go on with a read until `kept` of the share is left, and answer it or put it back among the open ones."""
        session, operation = read.session, read.operation
        if session.closed:
            return
        started_s = self._monotonic()
        if session.queued_bytes >= QUEUED_BYTES_MAX or started_s - read.arrived_s > READ_S_MAX:
            session.refuse(operation.id, data_pb2.OVERLOADED)
            return
        try:
            self._go_on(read, int(self._units_left - CALLBACK_UNITS * kept), started_s, kept)
        except TableGone:
            session.refuse(operation.id, data_pb2.TABLE_GONE)
        except DynamoError as error:
            session.answer_write(operation.id, Decision(data_pb2.VALIDATION_FAILED, message=error.message))
        except StoreError:
            raise
        except Exception as error:
            # A fault of ours in one read must not end the process: its client would carry it to the next node.
            log.error("range_not_read", table=operation.table_id, exc_info=error)
            session.refuse(operation.id, data_pb2.UNAVAILABLE)
        self._seconds_left -= self._monotonic() - started_s

    def _go_on(self, read: _Read, units: int, started_s: float, kept: float) -> None:
        reader = read.reader
        if reader is None:
            reader = read.reader = RangeReader(read.rows, read.operation, self._monotonic)
        self._units_left -= reader.step(units, started_s + self._seconds_left - CALLBACK_S * kept)
        if reader.is_done:
            read.session.answer_range(read.operation.id, reader.page())
        else:
            self._open.append(read)

"""One log entry on its way from a leader: what it holds, and who waits for it.

Made and answered by node.partition. Law: the writers are in the order of the entry's mutations; everybody who waits is
answered once, when the entry has ended.
"""

from __future__ import annotations

from node.evaluate import OK, Decision
from node.indexing.leader import Ended
from node.machine.state import LOG_ENTRY_VERSION, WithoutEffect
from node.sessions import RouterSession
from wire import data_pb2, log_pb2


class Proposal:
    """One log entry under way."""

    __slots__ = (
        "_looked_at",
        "_places",
        "catalog_waiters",
        "ended",
        "entry",
        "held_bytes",
        "holds_own",
        "index",
        "joined",
        "keys",
        "readers",
        "size",
        "writers",
    )

    def __init__(self, hybrid_time: int) -> None:
        self.entry = log_pb2.LogEntry(version=LOG_ENTRY_VERSION, hybrid_time=hybrid_time)
        self.index = 0
        self.size = 0
        # What it is charged with: what arrived, from the append on at least what is in the log.
        self.held_bytes = 0
        self.keys: list[bytes] = []
        # Writes that this entry holds; a None decision is a plain OK.
        self.writers: list[tuple[RouterSession, int, Decision | None]] = []
        # Repeats of them: the place of the writer, and where its answer goes too.
        self.joined: list[tuple[int, RouterSession, int]] = []
        # Answers that store nothing but saw state that this entry's commit proves.
        self.readers: list[tuple[RouterSession, int, Decision]] = []
        self.catalog_waiters: list[tuple[RouterSession, int]] = []
        # What this node itself wants to know of its entries: whether they are committed.
        self.ended: list[Ended] = []
        self.holds_own = False
        # Request id -> place, as far as somebody asked.
        self._places: dict[bytes, int] = {}
        self._looked_at = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to propose."""
        return not (self.writers or self.catalog_waiters or self.holds_own)

    @property
    def operations(self) -> int:
        """How many operations of routers wait for it."""
        return len(self.writers) + len(self.joined) + len(self.readers) + len(self.catalog_waiters)

    def place_of(self, request_id: bytes) -> int | None:
        """The place of the mutation with this request id; None: it is not in this entry."""
        mutations = self.entry.mutations
        # Each is looked at once for all repeats: after a lost stream there may be thousands.
        for place in range(self._looked_at, len(mutations)):
            self._places[mutations[place].request_id] = place
        self._looked_at = len(mutations)
        return self._places.get(request_id)

    def answer_committed(self, result: object) -> None:
        """Tell everybody; `result` is what apply returned."""
        for place, (session, operation_id, _) in enumerate(self.writers):
            self._answer_writer(place, session, operation_id, result)
        for place, session, operation_id in self.joined:
            self._answer_writer(place, session, operation_id, result)
        for session, operation_id, decision in self.readers:
            session.answer_write(operation_id, decision)
        if self.catalog_waiters:
            assert isinstance(result, list)
            # The daemons' commands come first in the entry, then those of waiting routers, in order.
            answers = result[len(result) - len(self.catalog_waiters) :]
            for (session, operation_id), answer in zip(self.catalog_waiters, answers, strict=True):
                session.answer(operation_id, OK, answer.SerializeToString())

    def _answer_writer(self, place: int, session: RouterSession, operation_id: int, result: object) -> None:
        decision = self.writers[place][2]
        if isinstance(result, WithoutEffect) and place in result.gone:
            session.answer(operation_id, data_pb2.TABLE_GONE)
        elif isinstance(result, WithoutEffect) and place in result.repeated:
            # Asked again, it is answered as it was the first time.
            session.refuse(operation_id, data_pb2.UNKNOWN)
        elif decision is None:
            session.answer(operation_id, OK)
        else:
            session.answer_write(operation_id, decision)

    def answer_not_committed(self, leader: str | None) -> None:
        """Tell everybody that it is not known whether the entry will be, and that what it only proved is refused."""
        for session, operation_id, _ in self.writers:
            session.refuse(operation_id, data_pb2.UNKNOWN)
        for _, session, operation_id in self.joined:
            session.refuse(operation_id, data_pb2.UNKNOWN)
        for session, operation_id in self.catalog_waiters:
            session.refuse(operation_id, data_pb2.UNKNOWN)
        for session, operation_id, _ in self.readers:
            session.refuse(operation_id, data_pb2.NOT_LEADER, leader)

"""What a replica that lost its disk must be told before it may vote again, and the mark that says so. Pure.

Used by replication.following (the replica that rebuilds), replication.leading (the leader that answers it), the journal
and the start of a node. The protocol and its proof: docs/decisions/0012.

Law: a marked replica votes for nobody, and nothing it says counts. The mark is durable before the replica says a word,
and goes only in the batch that makes it true that it has voted for nobody else and holds all it ever acknowledged.

Record: META `r group(4)` -> `version(1) nonce(8)`; the nonce tells this life of the replica from its earlier ones.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from replication.ports import Family, Store
from replication.records import rebuild_key

_MARK = struct.Struct("<BQ")
MARK_VERSION = 1
# A request without an answer is repeated: the answer, a question on its way to a member, or the leader may be lost.
ASK_AGAIN_S = 0.3
# A rebuild that gets no further is reported this often.
REPORT_EVERY_S = 10.0


class MarkUnreadable(Exception):
    """A mark of another version: nobody here knows what the replica may do."""


def mark_rebuilding(store: Store, groups: Iterable[int], nonce: int) -> None:
    """Collect the marks of `groups`, which lost everything they had; `nonce` (64 bits) is of this life of the disk.

    They must be synced before any of these groups is opened.
    """
    for group_id in groups:
        store.put(Family.META, rebuild_key(group_id), _MARK.pack(MARK_VERSION, nonce))


def read_mark(store: Store, group_id: int) -> int | None:
    """The nonce of a group that is being rebuilt, None for one that is whole. Raises MarkUnreadable."""
    record = store.get(Family.META, rebuild_key(group_id))
    if record is None:
        return None
    version, nonce = _MARK.unpack(record)
    if version != MARK_VERSION:
        raise MarkUnreadable(f"group {group_id}: rebuild mark version {version}, this program reads {MARK_VERSION}")
    return int(nonce)


def clear_mark(store: Store, group_id: int) -> None:
    """Collect the end of a rebuild."""
    store.delete(Family.META, rebuild_key(group_id))


@dataclass(frozen=True, slots=True)
class Grant:
    """What a leader of `term`, confirmed by every other member, promises a replica that asked it."""

    term: int
    # The leader's last entry at that moment: whatever the replica acknowledged and still counts lies at or below it.
    index: int
    # What was committed by then: with it applied, an eventual read shows no older state than before the loss.
    commit_index: int


class Rebuild:
    """The side of the replica that rebuilds, from its start to the end of the rebuild or of the process."""

    __slots__ = ("_asked_at", "_asked_term", "_grant", "_matched_index", "_matched_term", "nonce", "received_bytes")

    def __init__(self, nonce: int) -> None:
        self.nonce = nonce
        self.received_bytes = 0
        self._asked_at = 0.0
        self._asked_term = 0
        self._matched_term = 0
        self._matched_index = 0
        self._grant: Grant | None = None

    def should_ask(self, now: float, term: int) -> bool:
        """Whether the leader of `term` is to be asked now; counts as asked."""
        if self._grant is not None and self._grant.term == term:
            return False
        if self._asked_term == term and now - self._asked_at < ASK_AGAIN_S:
            return False
        self._asked_term, self._asked_at = term, now
        return True

    def matched(self, term: int, index: int) -> None:
        """The log equals that of the leader of `term` up to `index`."""
        if term != self._matched_term:
            self._matched_term, self._matched_index = term, 0
        self._matched_index = max(self._matched_index, index)

    def granted(self, grant: Grant) -> None:
        """Take an answer to this life's request, from the leader of the present term."""
        self._grant = grant

    def complete_index(self, term: int, applied_index: int) -> int | None:
        """Up to where the log equals the leader's, when nothing is missing any more in `term`; else None.

        A grant is good only in its own term: another leader's log may end before its index.
        """
        grant = self._grant
        if grant is None or grant.term != term or self._matched_term != term:
            return None
        if self._matched_index < grant.index or applied_index < grant.commit_index:
            return None
        return self._matched_index


class _Request:
    __slots__ = ("asked_at", "confirmed", "grant", "nonce", "reported_at", "round_number")

    def __init__(self, nonce: int, round_number: int, now: float) -> None:
        self.nonce = nonce
        self.round_number = round_number
        self.confirmed: set[str] = set()
        self.grant: Grant | None = None
        self.asked_at = self.reported_at = now


class RebuildRequests:
    """The leader's side, of one term: who asked, and which members have confirmed this leader since."""

    def __init__(self) -> None:
        self._requests: dict[str, _Request] = {}
        self._rounds = 0

    def clear(self) -> None:
        """Another term begins or this leadership is over. Rounds are never reused."""
        self._requests.clear()

    def drop(self, peer: str) -> None:
        """The rebuild of `peer` is done."""
        self._requests.pop(peer, None)

    def asked(self, peer: str, nonce: int, now: float) -> int:
        """`peer` asks in its life `nonce`; returns the number of the round that confirms this leader for it.

        The round begins with the first request of that life. Repeated requests share it: what it has to show is that
        the members are in this term after the loss.
        """
        request = self._requests.get(peer)
        if request is None or request.nonce != nonce:
            self._rounds += 1
            request = self._requests[peer] = _Request(nonce, self._rounds, now)
        return request.round_number

    def confirmed(self, member: str, round_number: int) -> None:
        """`member` follows this leader in its term, since a round began."""
        for request in self._requests.values():
            if request.round_number <= round_number:
                request.confirmed.add(member)

    def missing(self, peer: str, members: Iterable[str]) -> list[str]:
        """Those of the other `members` that have not confirmed this leader for `peer`."""
        request = self._requests[peer]
        return sorted(member for member in members if member != peer and member not in request.confirmed)

    def grant(self, peer: str, term: int, index: int, commit_index: int) -> tuple[int, Grant]:
        """The nonce and the promise for `peer`, for whom nobody is missing. It stays what it was when first given."""
        request = self._requests[peer]
        if request.grant is None:
            request.grant = Grant(term, index, commit_index)
        return request.nonce, request.grant

    def waiting(self) -> list[str]:
        """Those who asked and got no promise yet."""
        return [peer for peer, request in self._requests.items() if request.grant is None]

    def report_due(self, peer: str, now: float) -> float | None:
        """How many seconds `peer` has waited, when that is to be reported again."""
        request = self._requests[peer]
        if now - request.reported_at < REPORT_EVERY_S:
            return None
        request.reported_at = now
        return now - request.asked_at

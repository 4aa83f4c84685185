"""Read index: one quorum round confirms all strong reads that wait for it. Pure.

Used by replication.leading. Source: Raft dissertation (Ongaro 2014) section 6.4. Law: a read is confirmed
only by a round that started after the read arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence, Set

from replication.group import ReadCallback


def lease_end(echoed_sent_at: Sequence[float], followers_needed: int, election_timeout_min_s: float) -> float:
    """Until when nobody else can be elected, by this leader's clock (dissertation 6.4.1).

    `echoed_sent_at`: for each follower the newest send time it echoed; it stays loyal for a time-out from then.
    """
    newest_first = sorted(echoed_sent_at, reverse=True)
    # A fifth of the time-out is kept back for clocks that run at different rates.
    return newest_first[followers_needed - 1] + election_timeout_min_s * 0.8


class ReadBarriers:
    """Waiting reads in arrival order, each with the round that may confirm it."""

    __slots__ = ("_acknowledged", "_confirmed_round", "_sent_round", "_waiting")

    def __init__(self) -> None:
        self._sent_round = 0
        self._confirmed_round = 0
        self._waiting: deque[tuple[int, int, ReadCallback]] = deque()
        self._acknowledged: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, commit_index: int, callback: ReadCallback) -> None:
        """Let a read wait for the next round."""
        self._waiting.append((self._sent_round + 1, commit_index, callback))

    def start_round(self) -> int | None:
        """The number of a new round to send to every follower, or None.

        None when no read waits for one, or while a round is under way: the reads that come meanwhile share the next.
        """
        if not self._waiting or self._waiting[-1][0] <= self._sent_round or self._sent_round > self._confirmed_round:
            return None
        self._sent_round += 1
        return self._sent_round

    def resend_round(self) -> int | None:
        """The newest round, when reads still wait for it: its messages may be lost with a link."""
        return self._sent_round if self._waiting and self._sent_round else None

    def acknowledged(self, follower: str, round_number: int, followers_needed: int) -> list[tuple[int, ReadCallback]]:
        """Note a confirmation; returns the reads (commit index, callback) that are confirmed by it."""
        if round_number <= self._acknowledged.get(follower, 0):
            return []
        self._acknowledged[follower] = round_number
        rounds = sorted(self._acknowledged.values(), reverse=True)
        if len(rounds) < followers_needed:
            return []
        confirmed_round = rounds[followers_needed - 1]
        self._confirmed_round = max(self._confirmed_round, confirmed_round)
        confirmed: list[tuple[int, ReadCallback]] = []
        while self._waiting and self._waiting[0][0] <= confirmed_round:
            _, commit_index, callback = self._waiting.popleft()
            confirmed.append((commit_index, callback))
        return confirmed

    def count_only(self, followers: Set[str]) -> None:
        """Others vote no more: what they confirmed must not count in another majority."""
        self._acknowledged = {one: number for one, number in self._acknowledged.items() if one in followers}

    def fail_all(self) -> list[ReadCallback]:
        """Give up: leadership is lost. Rounds of this leadership are never reused."""
        callbacks = [callback for _, _, callback in self._waiting]
        self._waiting.clear()
        self._confirmed_round = self._sent_round
        self._acknowledged.clear()
        return callbacks

"""Whether queued operations leave for the nodes now, or with those that the next answers will bring. Pure.

Owned by router.routing.departures, one for all streams of a router. A frame costs a node as much as ten operations, and
each one that arrives apart begins a turn, an append to both followers and a sync of its own. Clients that wait for an
answer before they ask again therefore do best when they are served together: what arrives while most are under way
waits until half of all are answered, and leaves to all nodes at the same moment.

Law: with few operations under way none waits, so a lone client never does; and none waits longer than answers lately
took, nor than HOLD_S_MAX.
"""

from __future__ import annotations

# Up to so many operations under way hold nobody up.
FEW_UNDER_WAY = 4
# So many bytes fill a frame: they gain nothing by waiting.
WAITING_BYTES_MAX = 256 * 1024
HOLD_S_MAX = 0.020
_WEIGHT_OF_NEWEST = 0.2


class Waves:
    """Operations of one router that wait and that are under way, on all its streams."""

    __slots__ = ("_answered", "_awaited", "_began_at", "_turnaround_s", "under_way", "waiting", "waiting_bytes")

    def __init__(self) -> None:
        self.waiting = 0
        self.waiting_bytes = 0
        self.under_way = 0
        # How long it takes until as many results have come as operations are under way.
        self._turnaround_s = 0.0
        self._answered = 0
        self._awaited = 0
        self._began_at: float | None = None

    def queued(self, size: int) -> None:
        """One more operation of `size` bytes waits."""
        self.waiting += 1
        self.waiting_bytes += size

    def dequeued(self, count: int, size: int) -> None:
        """So many of them, of `size` bytes together, wait no more."""
        self.waiting -= count
        self.waiting_bytes -= size

    def left(self, count: int, now_s: float) -> None:
        """So many operations left in a frame."""
        self.under_way += count
        if self._began_at is None:
            self._began_at = now_s
            self._awaited = self._answered + self.under_way

    def answered(self, count: int, now_s: float) -> None:
        """A frame brought so many results."""
        self.under_way -= count
        self._answered += count
        if self._began_at is not None and self._answered >= self._awaited:
            self._turnaround_s += _WEIGHT_OF_NEWEST * (now_s - self._began_at - self._turnaround_s)
            self._began_at = None

    def lost(self, count: int) -> None:
        """A stream broke with so many operations under way on it."""
        self.under_way -= count
        self._began_at = None

    @property
    def may_leave(self) -> bool:
        """Whether what waits should leave now."""
        under_way = self.under_way
        return (
            under_way <= FEW_UNDER_WAY
            or self.waiting >= under_way
            or self.waiting_bytes >= WAITING_BYTES_MAX
        )

    @property
    def hold_s(self) -> float:
        """How long what waits may be held from now on."""
        return min(HOLD_S_MAX, self._turnaround_s)

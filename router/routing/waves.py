"""Whether queued operations leave for the nodes now, or with those that the next answers will bring. Pure.

Owned by router.routing.departures, one for all streams of a router. A frame costs a node as much as ten operations, and
each one that arrives apart begins a turn, an append to both followers and a sync of its own. Clients that wait for an
answer before they ask again therefore do best when they are served together: what arrives while more are under way
waits until half of all are answered, and leaves to all nodes at the same moment.

Law: with few operations under way none waits, so a lone client never does; and none waits longer than answers lately
took, nor than HOLD_S_MAX. A stream that has gone silent holds nobody up, nor do pages of Query and Scan, which take
their own time.
"""

from __future__ import annotations

# Up to so many operations under way hold nobody up.
FEW_UNDER_WAY = 4
# So many bytes fill a frame: they gain nothing by waiting.
WAITING_BYTES_MAX = 256 * 1024
HOLD_S_MAX = 0.020
# A stream that has brought nothing for so long is not waited for, until it speaks again.
SILENCE_S_MAX = 0.050
_WEIGHT_OF_NEWEST = 0.2


class Stream:
    """What is under way on one stream to a node; changed by Waves only."""

    __slots__ = ("heard_at", "is_silent", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        # When it last brought something, or began to owe something.
        self.heard_at = 0.0
        self.is_silent = False


class Waves:
    """Operations of one router that wait and that are under way, on all its streams."""

    __slots__ = (
        "_answered",
        "_awaited",
        "_began_at",
        "_streams",
        "_turnaround_s",
        "under_way",
        "waiting",
        "waiting_bytes",
    )

    def __init__(self) -> None:
        self.waiting = 0
        self.waiting_bytes = 0
        # On streams that are not silent.
        self.under_way = 0
        self._streams: list[Stream] = []
        # How long it takes until as many results have come as operations are under way.
        self._turnaround_s = 0.0
        self._answered = 0
        self._awaited = 0
        self._began_at: float | None = None

    def new_stream(self) -> Stream:
        """One more node, for as long as this router lives."""
        self._streams.append(stream := Stream())
        return stream

    def queued(self, size: int) -> None:
        """One more operation of `size` bytes waits."""
        self.waiting += 1
        self.waiting_bytes += size

    def dequeued(self, count: int, size: int) -> None:
        """So many of them, of `size` bytes together, wait no more."""
        self.waiting -= count
        self.waiting_bytes -= size

    def left(self, stream: Stream, count: int, now_s: float) -> None:
        """So many operations left in a frame."""
        if not stream.under_way:
            stream.heard_at = now_s
        stream.under_way += count
        if stream.is_silent:
            return
        self.under_way += count
        if self._began_at is None:
            self._began_at = now_s
            self._awaited = self._answered + self.under_way

    def answered(self, stream: Stream, count: int, now_s: float) -> None:
        """A frame brought so many results."""
        if stream.is_silent:
            stream.is_silent = False
            self.under_way += stream.under_way
        stream.heard_at = now_s
        stream.under_way -= count
        self.under_way -= count
        self._answered += count
        if self._began_at is not None and self._answered >= self._awaited:
            self._turnaround_s += _WEIGHT_OF_NEWEST * (now_s - self._began_at - self._turnaround_s)
            self._began_at = None

    def lost(self, stream: Stream) -> None:
        """A stream broke: nothing is under way on it any more."""
        if not stream.is_silent:
            self.under_way -= stream.under_way
        stream.under_way = 0
        stream.is_silent = False
        self._began_at = None

    def held_long(self, now_s: float) -> None:
        """What waits was held as long as may be: see whether a stream is the reason."""
        for stream in self._streams:
            if stream.under_way and not stream.is_silent and now_s - stream.heard_at > SILENCE_S_MAX:
                stream.is_silent = True
                self.under_way -= stream.under_way
                self._began_at = None

    @property
    def may_leave(self) -> bool:
        """Whether what waits should leave now."""
        return (
            self.under_way <= FEW_UNDER_WAY or self.waiting >= self.under_way or self.waiting_bytes >= WAITING_BYTES_MAX
        )

    @property
    def hold_s(self) -> float:
        """How long what waits may be held from now on."""
        return min(HOLD_S_MAX, self._turnaround_s)

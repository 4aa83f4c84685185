"""Flow control from a leader to one follower: probe until the logs meet, then stream within a window. Pure.

Used by replication.leading. Source: etcd raft's tracker (probe and replicate states). Law: while probing only one
append is under way, and an answer to anything but that one changes nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from replication.group import ReplicationSettings
from replication.messages import Kind, LogEntry, Message

# A probe without an answer for this long is sent again.
# A follower whose oldest append is not acknowledged for so long is slow: another one is asked first.
SLOW_S = 0.05
PROBE_RETRY_S = 0.5
# What an entry costs on the wire besides its payload.
_ENTRY_OVERHEAD_BYTES = 16


class Progress:
    """What a leader knows of one follower."""

    __slots__ = (
        "_under_way",
        "acknowledged_index",
        "answered_at",
        "counts",
        "echoed_sent_at",
        "probe_outstanding",
        "probe_sent_at",
        "probing",
        "under_way_bytes",
    )

    def __init__(self) -> None:
        # False while the follower is being rebuilt: it may have forgotten what it acknowledged and whom it voted for.
        self.counts = True
        self.answered_at = -math.inf
        self.acknowledged_index = 0
        self.echoed_sent_at = 0.0
        self.probing = True
        self.probe_outstanding = False
        self.probe_sent_at = 0.0
        self.under_way_bytes = 0
        # Last index, bytes and time of each append that is not acknowledged.
        self._under_way: deque[tuple[int, int, float]] = deque()

    def probe(self) -> None:
        """Nothing under way can be counted on any more."""
        self._under_way.clear()
        self.under_way_bytes = 0
        self.probing = True
        self.probe_outstanding = False

    def distrust(self) -> None:
        """The follower lost its disk: nothing it said before is true any more, and what it says now does not count."""
        self.counts = False
        self.acknowledged_index = 0
        self.echoed_sent_at = 0.0
        self.probe()

    def sent(self, last_index: int, size_bytes: int, now: float) -> None:
        """An append that ends with `last_index` left."""
        self._under_way.append((last_index, size_bytes, now))
        self.under_way_bytes += size_bytes

    def keeps_up(self, now: float) -> bool:
        """Whether it acknowledges appends soon: one with a slow disk answers heartbeats, and no commit may need it."""
        return not self.probing and (not self._under_way or now - self._under_way[0][2] < SLOW_S)

    def heard(self, sent_at: float) -> None:
        """The follower echoed a send time of ours."""
        if sent_at > self.echoed_sent_at:
            self.echoed_sent_at = sent_at

    def accepted(self, index: int, next_index: int) -> int:
        """The follower's log is durable and equal up to `index`; returns the next index to send."""
        if index > self.acknowledged_index:
            self.acknowledged_index = index
        while self._under_way and self._under_way[0][0] <= self.acknowledged_index:
            self.under_way_bytes -= self._under_way.popleft()[1]
        if self.probing:
            self.probing = self.probe_outstanding = False
            # What the probe held beyond `index` is sent again. Its answer may be lost: left in the window, it would
            # be waited for without end.
            self._under_way.clear()
            self.under_way_bytes = 0
            return max(self.acknowledged_index, index) + 1
        return max(next_index, self.acknowledged_index + 1)

    def lost_entries(self, index: int, next_index: int) -> bool:
        """Whether a rejection answers the probe under way and denies what was acknowledged before.

        The follower's disk was replaced, or lost what it had only written.
        """
        return self.probing and self.probe_outstanding and 0 < index == next_index - 1 <= self.acknowledged_index

    def restart_from(self, hint: int) -> None:
        """Send again from `hint`; what was committed by the lost copies stays committed."""
        self.acknowledged_index = max(0, hint - 1)

    def rejected(self, index: int, hint: int, next_index: int) -> int | None:
        """The follower lacks `index`; returns the next index to try, or None for a stale or empty rejection."""
        if index == 0 or index <= self.acknowledged_index:
            return None
        if self.probing and self.probe_outstanding and index != next_index - 1:
            return None
        self.probe()
        return max(self.acknowledged_index + 1, min(next_index, index, hint))


def next_append(
    progress: Progress,
    log: Sequence[LogEntry],
    next_index: int,
    term: int,
    commit_index: int,
    now: float,
    settings: ReplicationSettings,
) -> Message | None:
    """The next append with entries for this follower, or None when nothing is to be sent or the window is full.

    `log[0]` is the base; `next_index` must lie above it.
    """
    base, last = log[0][1], log[-1][1]
    if next_index > last and not (progress.probing and not progress.probe_outstanding):
        return None
    if progress.probing:
        if progress.probe_outstanding and now - progress.probe_sent_at < PROBE_RETRY_S:
            return None
        progress.probe_outstanding = True
        progress.probe_sent_at = now
    elif (
        next_index - 1 - progress.acknowledged_index >= settings.append_window_entries
        or progress.under_way_bytes >= settings.append_window_bytes
    ):
        return None
    start = stop = next_index - base
    size = 0
    while stop < len(log) and size < settings.append_bytes_max:
        size += len(log[stop][0]) + _ENTRY_OVERHEAD_BYTES
        stop += 1
    previous = log[start - 1]
    progress.sent(log[stop - 1][1], size, now)
    return Message(
        Kind.APPEND,
        term,
        index=previous[1],
        log_term=previous[2],
        commit_index=commit_index,
        sent_at=now,
        entries=log[start:stop],
    )

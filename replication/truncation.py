"""How much of a log may go. Pure.

Called by replication.leading after every step. Law: only applied entries go; a follower that is catching up is waited
for, up to a named limit, for else it would need one snapshot after the other under load.
"""

from __future__ import annotations

from collections.abc import Iterable

from replication.group import ReplicationSettings

# How many times its usual length a log may reach for the sake of a follower that is not there,
OVER_FOR_ABSENT_MAX = 2.0
# and for the sake of one that is catching up.
OVER_FOR_PRESENT_MAX = 8.0


def times_over(entries: int, payload_bytes: int, settings: ReplicationSettings) -> float:
    """The length of a log as a multiple of what is usually kept."""
    return max(entries / settings.log_entries_kept, payload_bytes / settings.log_bytes_kept)


def entries_to_drop(
    *, entries: int, first_index: int, applied_index: int, over: float, absent: Iterable[int], present: Iterable[int]
) -> int:
    """How many entries behind `first_index` to drop from a log that is `over` times its usual length.

    `absent` and `present` are the indexes that followers have: of those that are not heard, and of those that are.
    """
    floor = applied_index
    if over <= OVER_FOR_PRESENT_MAX:
        floor = min([floor, *present])
    if over <= OVER_FOR_ABSENT_MAX:
        floor = min([floor, *absent])
    # A quarter stays, so that a replica that missed a moment catches up from the log.
    return max(0, min(floor - first_index, entries * 3 // 4))

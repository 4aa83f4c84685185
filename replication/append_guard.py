"""What a follower does with an append: a pure judgement made before the engine sees the message.

Called by replication.following for every APPEND. The engine always cuts its log after `prevLogIdx`; so a duplicate or
delayed append below the tail would throw away entries that were already acknowledged. Law: entries that match are
never cut, and nothing at or below the commit index is ever replaced (Raft section 5.3).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from replication.messages import LogEntry


class Action(enum.Enum):
    """What to do with an append."""

    REJECT = 1  # no such previous entry: `index` is the one refused, `hint` where to go on
    MATCHED = 2  # nothing new: the log equals the leader's up to `index`
    APPEND = 3  # give the engine `entries` after (`index`, `log_term`)
    CONFLICT = 4  # the leader contradicts a committed entry: the process must stop


class Verdict(NamedTuple):
    """An action with its arguments."""

    action: Action
    at_index: int
    log_term: int = 0
    hint: int = 0
    entries: Sequence[LogEntry] = ()


def judge_append(
    log: Sequence[LogEntry], commit_index: int, index: int, log_term: int, entries: Sequence[LogEntry]
) -> Verdict:
    """Judge an append of `entries` after (`index`, `log_term`) against `log` (first element: the base)."""
    base = log[0][1]
    last = log[-1][1]
    if index < base:
        # What lies at or below the base is committed here, hence equal to the leader's.
        covered = min(base - index, len(entries))
        entries = entries[covered:]
        if index + covered < base:
            entries = ()
        index, log_term = base, log[0][2]
    if index > last:
        return Verdict(Action.REJECT, index, hint=last + 1)
    if log[index - base][2] != log_term:
        if index <= commit_index:
            return Verdict(Action.CONFLICT, index)
        return Verdict(Action.REJECT, index, hint=_start_of_term(log, index - base, commit_index))
    matching = 0
    position = index + 1 - base
    while (
        matching < len(entries)
        and position + matching < len(log)
        and log[position + matching][2] == entries[matching][2]
    ):
        matching += 1
    matched_index = index + matching
    if matching == len(entries) and last > matched_index:
        return Verdict(Action.MATCHED, matched_index)
    if last > matched_index and matched_index + 1 <= commit_index:
        return Verdict(Action.CONFLICT, matched_index + 1)
    return Verdict(
        Action.APPEND,
        matched_index,
        log_term=log[matched_index - base][2],
        entries=entries[matching:] if matching else entries,
    )


def _start_of_term(log: Sequence[LogEntry], position: int, commit_index: int) -> int:
    """The first uncommitted index of the term at `position`: a diverged tail is skipped a term a round trip."""
    term = log[position][2]
    while position > 1 and log[position - 1][2] == term and log[position - 1][1] > commit_index:
        position -= 1
    return log[position][1]

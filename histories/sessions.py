"""What eventual reads owe their clients: how stale they were, whether they went back or missed the client's own
writes. Pure.

Called by histories.check. Law: only what the history proves is counted. A version is known from the moment on at
which its write, or a call that saw it, returned; a version is newer than another one when its write was invoked after
the other was known. What overlaps is nobody's staleness.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from histories import chains
from histories.records import Action, Call, by_key, elements_of
from histories.staleness import Seen, SessionReport, grouped, summed

# Newer versions that are counted one by one; a read that is further behind is reported as this far.
VERSIONS_COUNTED_MAX = 10_000


class Versions(Protocol):
    """The order of one key's versions, as numbers: a version of mark m is older than all of marks greater than its
    limit."""

    def phantom(self, read: Call) -> str:
        """Why nobody can have written what the read saw; empty: somebody can."""

    def limit(self, read: Call) -> float:
        """Marks above this are newer than what the read saw."""

    def mark(self, call: Call) -> float | None:
        """The mark of what a read saw or a write wrote."""

    def behind(self, limit: float, at: float) -> tuple[int, float]:
        """How many newer versions were known before `at`, and since when the first of them."""


def report_sessions(calls: Iterable[Call]) -> SessionReport:
    """Judge the eventual reads of a history; their clients' own writes count, whoever else wrote."""
    rows: list[tuple[tuple[str, str], Seen]] = []
    phantoms: list[str] = []
    unjudged = 0
    for own in by_key(calls).values():
        reads = [call for call in own if call.is_eventual and not call.is_open]
        if not reads:
            continue
        versions = _versions(own)
        if versions is None:
            unjudged += len(reads)
            continue
        phantoms += [f"{why}: {read.describe()}" for read in reads if (why := versions.phantom(read))]
        sound = [read for read in reads if not versions.phantom(read)]
        rows += _judged(sound, own, versions)
    return SessionReport(
        total=summed([seen for _, seen in rows]),
        by_router_az=grouped(((router_az, ""), seen) for (router_az, _), seen in rows),
        by_az=grouped(rows),
        phantoms=tuple(phantoms),
        unjudged=unjudged,
    )


def _versions(calls: Sequence[Call]) -> Versions | None:
    written = {call.action for call in calls} - {Action.READ}
    if written in ({Action.ADD}, {Action.APPEND}):
        return _Counted.of(calls)
    return _Written.of(calls) if chains.applies(calls) else None


def _judged(reads: Sequence[Call], calls: Sequence[Call], versions: Versions) -> list[tuple[tuple[str, str], Seen]]:
    seen_before = _Marks.of((read for read in reads), versions)
    own_writes = _Marks.of(
        (call for call in calls if call.action is not Action.READ and not call.is_open and not call.failed), versions
    )
    rows = []
    for read in reads:
        limit = versions.limit(read)
        newer, since = versions.behind(limit, read.invoked_at)
        rows.append(
            (
                (read.router_az, read.served_az),
                Seen(
                    newer,
                    (read.invoked_at - since) * 1000 if newer else 0.0,
                    seen_before.highest(read.client, read.invoked_at) > limit,
                    own_writes.highest(read.client, read.invoked_at) > limit,
                ),
            )
        )
    return rows


@dataclass(slots=True)
class _Marks:
    """For each client: times of return, and the highest mark until then."""

    times: dict[str, list[float]] = field(default_factory=dict)
    marks: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, calls: Iterable[Call], versions: Versions) -> _Marks:
        """Collect the marks of these calls."""
        marks = cls()
        for call in sorted(calls, key=lambda call: call.returned_at):
            mark = versions.mark(call)
            if mark is None:
                continue
            highest = marks.marks.setdefault(call.client, [])
            marks.times.setdefault(call.client, []).append(call.returned_at)
            highest.append(max(mark, highest[-1]) if highest else mark)
        return marks

    def highest(self, client: str, before: float) -> float:
        """The highest mark of calls that had returned; of nobody's calls when the client has no name."""
        position = bisect.bisect_left(self.times.get(client, ()), before) if client else 0
        return self.marks[client][position - 1] if position else -math.inf


@dataclass(slots=True)
class _Written:
    """A register whose values are unique: a version's mark is when its write was invoked."""

    invoked_at: dict[str, float]
    known_at: dict[str, float]
    # (invoked, returned) of deletions
    deletions: list[tuple[float, float]]
    # All versions in order of when they were known.
    order: list[tuple[float, float]]

    @classmethod
    def of(cls, calls: Sequence[Call]) -> _Written:
        """The versions in these calls."""
        invoked_at: dict[str, float] = {}
        known_at: dict[str, float] = {}
        deletions = []
        for call in calls:
            if call.failed or call.action is Action.READ:
                pass
            elif call.action is Action.DELETE:
                deletions.append((call.invoked_at, call.returned_at))
            elif call.value is not None:
                invoked_at[call.value] = call.invoked_at
                known_at[call.value] = min(call.returned_at, known_at.get(call.value, math.inf))
            shown = call.observed if call.observed is not None else None if call.failed else call.expected
            if shown is not None:
                known_at[shown] = min(call.returned_at, known_at.get(shown, math.inf))
        order = [(known, invoked_at[value]) for value, known in known_at.items() if value in invoked_at]
        order += [(returned, invoked) for invoked, returned in deletions]
        return cls(invoked_at, known_at, deletions, sorted(one for one in order if one[0] < math.inf))

    def phantom(self, read: Call) -> str:
        """Why nobody can have written what the read saw; empty: somebody can."""
        if read.observed is None or self.invoked_at.get(read.observed, math.inf) <= read.returned_at:
            return ""
        return "written later" if read.observed in self.invoked_at else "written by nobody"

    def limit(self, read: Call) -> float:
        """When what the read saw was known; of deletions the last one that it may have seen."""
        if read.observed is not None:
            return self.known_at[read.observed]
        return max((returned for invoked, returned in self.deletions if invoked <= read.returned_at), default=-math.inf)

    def mark(self, call: Call) -> float | None:
        """The invocation of the write."""
        if call.action is Action.READ:
            return None if call.observed is None else self.invoked_at[call.observed]
        return call.invoked_at

    def behind(self, limit: float, at: float) -> tuple[int, float]:
        """How many newer versions were known before `at`, and since when the first of them."""
        newer, since = 0, at
        for position in range(bisect.bisect_left(self.order, (at,)) - 1, -1, -1):
            known, invoked = self.order[position]
            if known <= limit or newer == VERSIONS_COUNTED_MAX:
                break
            if invoked > limit:
                newer, since = newer + 1, known
        return newer, since


@dataclass(slots=True)
class _Counted:
    """A counter, or a list by its length: a version's mark is its number."""

    is_list: bool
    # Times at which the number was known to be higher than before, and the number.
    times: list[float]
    numbers: list[float]
    attempts: list[float]
    elements: dict[str, float]

    @classmethod
    def of(cls, calls: Sequence[Call]) -> _Counted:
        """The versions in these calls."""
        is_list = any(call.action is Action.APPEND for call in calls)
        changes = [call for call in calls if call.action is not Action.READ and not call.failed]
        elements = {call.value or "": call.invoked_at for call in changes}
        found = cls(is_list, [], [], sorted(call.invoked_at for call in changes), elements)
        acknowledged = 0
        for call in sorted((call for call in calls if not call.is_open), key=lambda call: call.returned_at):
            acknowledged += call.action is not Action.READ and not call.failed
            number = max(acknowledged, found.mark(call) or 0)
            if not found.numbers or number > found.numbers[-1]:
                found.times.append(call.returned_at)
                found.numbers.append(number)
        return found

    def phantom(self, read: Call) -> str:
        """Why nobody can have written what the read saw; empty: somebody can."""
        if self.is_list:
            strange = [
                element
                for element in elements_of(read.observed)
                if self.elements.get(element, math.inf) > read.returned_at
            ]
            return f"{strange[0]!r} was not appended" if strange else ""
        tried = bisect.bisect_right(self.attempts, read.returned_at)
        return f"only {tried} additions had been tried" if int(read.observed or "0") > tried else ""

    def limit(self, read: Call) -> float:
        """The number itself."""
        return self.mark(read) or 0

    def mark(self, call: Call) -> float | None:
        """The number that the call saw or made."""
        if call.observed is None:
            return 0 if call.action is Action.READ else None
        return len(elements_of(call.observed)) if self.is_list else int(call.observed)

    def behind(self, limit: float, at: float) -> tuple[int, float]:
        """How many newer versions were known before `at`, and since when the first of them."""
        position = bisect.bisect_left(self.times, at)
        if not position or self.numbers[position - 1] <= limit:
            return 0, at
        return int(self.numbers[position - 1] - limit), self.times[bisect.bisect_right(self.numbers, limit)]

"""Sums that must hold: the total of a bank, and the value of a counter between what was acknowledged and attempted.
Pure.

Called by histories.check, and by workloads for what they read. Law: every read is judged, not only the last one; a
counter is bounded from below by additions acknowledged before the read began, from above by those invoked before it
ended.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from histories.records import Action, Call, amounts_of

PROBLEMS_MAX = 20


def check_total(calls: Sequence[Call], total: int) -> list[str]:
    """What is wrong with the snapshots of a bank (`records.totals_text`): another total, or an overdrawn account.

    Eventual reads are judged too: an old snapshot has the same total. The first PROBLEMS_MAX problems are listed.
    """
    problems = []
    for call in calls:
        if call.action is not Action.READ or call.is_open:
            continue
        try:
            amounts = amounts_of(call.observed)
        except ValueError:
            problems.append(f"not a snapshot of a bank: {call.describe()}")
            continue
        if sum(amounts.values()) != total:
            problems.append(f"the total is {sum(amounts.values())} instead of {total}: {call.describe()}")
        elif min(amounts.values(), default=0) < 0:
            problems.append(f"an account is overdrawn: {call.describe()}")
    return problems[:PROBLEMS_MAX]


def check_bounds(calls: Sequence[Call]) -> list[str]:
    """What is wrong with the reads of a counter: fewer than were acknowledged (strong reads), more than were attempted
    (all reads)."""
    additions = [call for call in calls if call.action is Action.ADD and not call.failed]
    acknowledged = sorted(call.returned_at for call in additions if not call.is_open)
    attempted = sorted(call.invoked_at for call in additions)
    problems = []
    for call in calls:
        if call.action is not Action.READ or call.is_open:
            continue
        value = int(call.observed or "0")
        least = bisect.bisect_left(acknowledged, call.invoked_at)
        most = bisect.bisect_right(attempted, call.returned_at)
        if call.is_strong and value < least:
            problems.append(f"{least} additions were acknowledged before: {call.describe()}")
        elif value > most:
            problems.append(f"only {most} additions had been tried: {call.describe()}")
    return problems[:PROBLEMS_MAX]

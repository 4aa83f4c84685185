"""The verdicts of the whole history: linearizability of every key, and what eventual reads may show. Pure.

Called by chaos.runner after the load; the workloads' own verdicts come beside these. Law: a search that gave up is no
verdict that holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from chaos.result import Verdict
from histories.judgement import Verdict as Found
from histories.linearizability import examine
from histories.records import Action, Call

SHOWN_MAX = 5


def linearizable(calls: Sequence[Call]) -> Verdict:
    """Every key's strong calls could have come from a single copy."""
    by_key: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.is_strong:
            by_key[call.key].append(call)
    violated, undecided = [], []
    for key, own in sorted(by_key.items()):
        found = examine(own)
        if found.verdict is Found.VIOLATED:
            violated.append(f"{key} is not linearizable: {found.text()}")
        elif found.verdict is Found.UNDECIDED:
            undecided.append(key)
    checked = sum(len(own) for own in by_key.values())
    detail = f"{checked} calls on {len(by_key)} keys"
    if undecided:
        detail += f"; undecided: {', '.join(undecided[:SHOWN_MAX])}"
    return Verdict(
        name="linearizable",
        held=not violated and not undecided,
        decided=not undecided,
        detail=detail,
        violations=tuple(violated[:SHOWN_MAX]),
    )


def eventual_values(calls: Sequence[Call]) -> Verdict:
    """Eventual reads only ever return what somebody wrote, never what nobody could have written yet."""
    written: dict[tuple[str, str], float] = {}
    for call in calls:
        if call.action in (Action.PUT, Action.SWAP_IF) and not call.failed and call.value is not None:
            written[call.key, call.value] = call.invoked_at
    reads = [call for call in calls if not call.is_strong and not call.is_open]
    wrong = []
    for call in reads:
        if call.observed is None:
            continue
        began_s = written.get((call.key, call.observed))
        if began_s is None:
            wrong.append(f"{call.key}: {call.client} read {call.observed!r}, which nobody wrote")
        elif began_s > call.returned_at:
            wrong.append(f"{call.key}: {call.client} read {call.observed!r} before it was written")
    detail = f"{len(reads)} eventual reads"
    return Verdict(name="eventual values", held=not wrong, detail=detail, violations=tuple(wrong[:SHOWN_MAX]))


def expected_answers(unexpected: Sequence[str]) -> Verdict:
    """Clients were told nothing that no fault explains."""
    return Verdict(
        name="answers",
        held=not unexpected,
        detail="every error was a refusal or an unknown outcome",
        violations=tuple(unexpected[:SHOWN_MAX]),
    )

"""The verdicts of the whole history, as histories.check gives them, and of the answers themselves. Pure.

Called by chaos.runner after the load; the workloads' own verdicts come beside these. Law: a search that gave up is no
verdict that holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaos.result import Verdict
from histories.check import check_history
from histories.judgement import Verdict as Found
from histories.records import Call

ANSWERS_SHOWN_MAX = 5
LINES_SHOWN_MAX = 50


def of_history(calls: Sequence[Call], totals: Mapping[str, int]) -> list[Verdict]:
    """One verdict for each checker that had something to judge; `totals` are banks."""
    return [
        Verdict(
            name=finding.checker,
            held=finding.verdict is Found.LINEARIZABLE,
            decided=finding.verdict is not Found.UNDECIDED,
            detail=finding.summary,
            violations=tuple(finding.details.splitlines()[:LINES_SHOWN_MAX]),
        )
        for finding in check_history(calls, totals).findings
    ]


def expected_answers(unexpected: Sequence[str]) -> Verdict:
    """Clients were told nothing that no fault explains."""
    return Verdict(
        name="answers",
        held=not unexpected,
        detail="every error was a refusal or an unknown outcome",
        violations=tuple(unexpected[:ANSWERS_SHOWN_MAX]),
    )

"""All checkers over one history: a finding for each, and the report of eventual reads. Pure.

Called by `trizone history check` and by chaos runs. Law: which checker judges a key follows from what was done to it
and from the header; a key that none judges is named, never passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from histories.judgement import Verdict
from histories.linearizability import examine
from histories.records import Action, Call, by_key
from histories.sessions import report_sessions
from histories.sets import check_set
from histories.staleness import SessionReport, to_text
from histories.totals import check_bounds, check_total

# Keys whose violations are explained at length.
EXPLAINED_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one checker says; `details` explains what is violated or undecided, in lines."""

    checker: str
    verdict: Verdict
    summary: str
    details: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What all checkers say of a history."""

    findings: tuple[Finding, ...]
    sessions: SessionReport

    @property
    def verdict(self) -> Verdict:
        """The worst one; undecided when there was nothing to judge."""
        verdicts = {finding.verdict for finding in self.findings}
        if Verdict.VIOLATED in verdicts:
            return Verdict.VIOLATED
        return Verdict.LINEARIZABLE if verdicts == {Verdict.LINEARIZABLE} else Verdict.UNDECIDED


def check_history(calls: Iterable[Call], totals: Mapping[str, int] | None = None) -> Findings:
    """Run every checker that has something to judge; `totals` are banks (`files.Header`)."""
    keys = by_key(calls)
    banks = {key: own for key, own in keys.items() if key in (totals or {})}
    sets = {key: own for key, own in keys.items() if any(call.action is Action.INSERT for call in own)}
    others = {key: own for key, own in keys.items() if key not in banks and key not in sets}
    counters = {key: own for key, own in others.items() if {call.action for call in own} == {Action.READ, Action.ADD}}
    sessions = report_sessions(call for own in others.values() for call in own)
    findings = []
    if others:
        findings.append(_linearizable(others))
    if counters:
        problems = {key: check_bounds(own) for key, own in counters.items()}
        findings.append(_by_problems("counter bounds", problems, counters))
    if banks:
        problems = {key: check_total(own, (totals or {})[key]) for key, own in banks.items()}
        findings.append(_by_problems("bank totals", problems, banks))
    if sets:
        findings.append(_sets(sets))
    if sessions.total.reads or sessions.phantoms:
        findings.append(_eventual(sessions))
    return Findings(findings=tuple(findings), sessions=sessions)


def _linearizable(keys: Mapping[str, Sequence[Call]]) -> Finding:
    judged = {key: examine(own) for key, own in keys.items()}
    bad = {key: found for key, found in judged.items() if found.verdict is not Verdict.LINEARIZABLE}
    violated = [key for key, found in bad.items() if found.verdict is Verdict.VIOLATED]
    count = sum(not call.is_eventual for own in keys.values() for call in own)
    unknown = sum(call.is_open for own in keys.values() for call in own)
    summary = f"{count} calls on {len(keys)} keys, {unknown} with an unknown outcome"
    if bad:
        summary += f": {len(violated)} keys violated, {len(bad) - len(violated)} undecided"
    shown = [*violated, *(key for key in bad if key not in violated)][:EXPLAINED_MAX]
    return Finding(
        checker="linearizability",
        verdict=_worst(found.verdict for found in judged.values()),
        summary=summary,
        details="\n".join(f"{key}: {judged[key].verdict.name}: {judged[key].text()}" for key in shown),
    )


def _by_problems(checker: str, problems: Mapping[str, Sequence[str]], keys: Mapping[str, Sequence[Call]]) -> Finding:
    found = [f"{key}: {problem}" for key, own in problems.items() for problem in own]
    reads = sum(call.action is Action.READ and not call.is_open for own in keys.values() for call in own)
    return Finding(
        checker=checker,
        verdict=Verdict.VIOLATED if found else Verdict.LINEARIZABLE,
        summary=f"{reads} reads of {len(keys)} keys" + (f": {len(found)} wrong" if found else ""),
        details="\n".join(found),
    )


def _sets(keys: Mapping[str, Sequence[Call]]) -> Finding:
    reports = {key: check_set(own) for key, own in keys.items()}
    return Finding(
        checker="sets",
        verdict=_worst(report.verdict for report in reports.values()),
        summary=f"{sum(report.acknowledged for report in reports.values())} elements acknowledged, "
        f"{sum(report.unknown for report in reports.values())} unknown: "
        f"{sum(len(report.lost) for report in reports.values())} lost, "
        f"{sum(len(report.resurrected) for report in reports.values())} resurrected, "
        f"{sum(len(report.phantoms) for report in reports.values())} phantom",
        details="\n".join(f"{key}: {report.text()}" for key, report in reports.items() if report.text()),
    )


def _eventual(sessions: SessionReport) -> Finding:
    return Finding(
        checker="eventual reads show what somebody wrote",
        verdict=Verdict.LINEARIZABLE if sessions.is_sound else Verdict.VIOLATED,
        summary=f"{sessions.total.reads + len(sessions.phantoms)} reads"
        + (f": {len(sessions.phantoms)} phantoms" if sessions.phantoms else ""),
        details="" if sessions.is_sound else to_text(sessions),
    )


def _worst(verdicts: Iterable[Verdict]) -> Verdict:
    return max(verdicts, key=(Verdict.LINEARIZABLE, Verdict.UNDECIDED, Verdict.VIOLATED).index)

"""`trizone history ...`: judge a saved history again.

A sub-command of tools.cli. Law: exit code 0 when every checker holds, 1 when one is violated, 2 when the file cannot be
read or a checker could not decide: what was not judged is not good.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.markup import escape

from histories.check import Findings, check_history
from histories.files import History, HistoryError, load
from histories.judgement import Verdict
from histories.staleness import to_text
from tools.console import out, show
from tools.errors import EXIT_FAILED, EXIT_USAGE, CommandError

history = typer.Typer(no_args_is_help=True, help="What clients asked and were told: judge it again.")

_SAID = {
    Verdict.LINEARIZABLE: "[green]holds[/green]",
    Verdict.VIOLATED: "[bold red]VIOLATED[/bold red]",
    Verdict.UNDECIDED: "[yellow]undecided[/yellow]",
}
_WORDS = {Verdict.LINEARIZABLE: "holds", Verdict.VIOLATED: "violated", Verdict.UNDECIDED: "undecided"}


@history.callback()
def _group() -> None:
    """What clients asked and were told: judge it again."""


@history.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A history: .jsonl, or .jsonl.gz.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Judge a saved history: orders of calls, sets, totals, and what eventual reads showed.

    Example: trizone history check chaos-reports/kill-leader-7/history.jsonl
    """
    try:
        loaded = load(file)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", exit_code=EXIT_USAGE) from error
    except HistoryError as error:
        raise CommandError(str(error), hint="the file is damaged or no history", exit_code=EXIT_USAGE) from error
    findings = check_history(loaded.calls, loaded.header.totals)
    if as_json:
        typer.echo(orjson.dumps(_document(loaded, findings)))
    else:
        _show(loaded, findings)
    if findings.verdict is not Verdict.LINEARIZABLE:
        raise typer.Exit(EXIT_FAILED if findings.verdict is Verdict.VIOLATED else EXIT_USAGE)


def _document(loaded: History, findings: Findings) -> dict[str, Any]:
    return {
        "verdict": _WORDS[findings.verdict],
        "calls": len(loaded.calls),
        "complete": loaded.is_complete,
        "seed": loaded.header.seed,
        "scenario": loaded.header.scenario,
        "command": loaded.header.command,
        "checkers": [
            {
                "checker": finding.checker,
                "verdict": _WORDS[finding.verdict],
                "summary": finding.summary,
                "details": finding.details,
            }
            for finding in findings.findings
        ],
        "sessions": asdict(findings.sessions),
    }


def _show(loaded: History, findings: Findings) -> None:
    header = loaded.header
    named = [f"{len(loaded.calls)} calls", header.scenario, "" if header.seed is None else f"seed {header.seed}"]
    show(out, escape(", ".join(part for part in named if part)))
    if header.command:
        show(out, escape(f"made by: {header.command}"), soft_wrap=True)
    if not loaded.is_complete:
        show(out, "[yellow]the history has no end: its run was cut off; what is there is judged[/yellow]")
    for finding in findings.findings:
        show(out, f"{_SAID[finding.verdict]}  {escape(finding.checker)}: {escape(finding.summary)}", soft_wrap=True)
        if finding.details:
            show(out, escape(finding.details), soft_wrap=True)
    if not findings.findings:
        show(out, "[yellow]there is nothing to judge[/yellow]")
    if findings.sessions.total.reads:
        show(out, escape(f"eventual reads:\n{to_text(findings.sessions)}"), soft_wrap=True)

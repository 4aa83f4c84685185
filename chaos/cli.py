"""`trizone chaos`: list, run, report.

Loaded by tools.cli through the entry point `trizone.commands`, and by `python -m chaos`. Law: exit code 0 when
everything held, 1 when something did not, 2 for wrong usage.
"""

from __future__ import annotations

import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chaos import result as results
from chaos import scenario as scenarios
from chaos.faults.registry import CLASSES, word_of
from chaos.injection import Injection
from chaos.progress import Progress, total_table, verdict_table
from chaos.result import RunResult
from chaos.runner import Run
from chaos.saved import Saved
from chaos.scenario import Scenario, ScenarioError
from chaos.targets.base import Target
from chaos.targets.compose import ComposeTarget
from chaos.targets.local import LocalTarget
from tools.errors import EXIT_FAILED, EXIT_USAGE, CommandError
from tools.invocation import TRIZONE

REPORTS = Path("chaos-reports")
SEED_MAX = 1_000_000

app = typer.Typer(
    name="chaos",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Break a cluster of its own on purpose, and judge what clients saw.",
)
out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
err = Console(highlight=False, stderr=True)


@app.callback()
def _group() -> None:
    """Break a cluster of its own on purpose, and judge what clients saw."""


@app.command("list")
def list_scenarios() -> None:
    """Show the scenarios that come with the program, and the faults that one can use.

    Example: trizone chaos list
    """
    table = Table(title="scenarios", title_justify="left", header_style="bold")
    for heading in ("name", "seconds", "what happens"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    for name in scenarios.names():
        found = scenarios.load_file(scenarios.FOLDER / f"{name}.yaml")
        table.add_row(name, f"{found.seconds:g}", escape(found.about))
    out.print(table)
    faults = Table(title="faults", title_justify="left", header_style="bold")
    faults.add_column("fault")
    faults.add_column("does")
    for kind in CLASSES:
        faults.add_row(word_of(kind), escape((kind.__doc__ or "").strip().splitlines()[0]))
    out.print(faults)


@app.command()
def run(
    what: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A scenario's name, or a file of your own.")],
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Decides times, victims and operations. Without: a new one.")
    ] = None,
    against: Annotated[str, typer.Option("--against", help="local or compose.")] = "local",
    report: Annotated[
        Path | None, typer.Option("--report", help="The folder for the results. Without: below chaos-reports.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the cluster's folder: settings and logs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json instead of tables.")] = False,
) -> None:
    """Start a cluster, break it as the scenario says, and judge what the clients saw.

    Example: trizone chaos run kill-leader
    Example: trizone chaos run kill-leader --seed 7             the same times, victims and operations again
    Example: trizone chaos run my-own.yaml --report /tmp/mine
    """
    scenario = _scenario(what)
    chosen = seed if seed is not None else random.SystemRandom().randrange(SEED_MAX)
    make = _targets().get(against)
    if make is None:
        raise CommandError(f"--against {against}: known are {', '.join(_targets())}", exit_code=EXIT_USAGE)
    if scenario.needs_containers and against == LocalTarget.kind:
        hint = f"{TRIZONE} chaos run {what} --against {ComposeTarget.kind}"
        raise CommandError("this scenario disconnects networks: it needs containers", hint=hint, exit_code=EXIT_USAGE)
    if scenario.needs_local and against != LocalTarget.kind:
        hint = f"{TRIZONE} chaos run {what}"
        reason = "this scenario works on files or limits of processes, which containers keep to themselves"
        raise CommandError(reason, hint=hint, exit_code=EXIT_USAGE)
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    folder = report or REPORTS / f"{scenario.name}-{chosen}-{moment}"
    try:
        # Before minutes are spent on a result that cannot be saved.
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "choose another folder with --report DIR"
        raise CommandError(
            f"no result can be saved in {folder}: {error.strerror}", hint=hint, exit_code=EXIT_USAGE
        ) from error
    command = f"{TRIZONE} chaos run {what} --seed {chosen}" + (f" --against {against}" if against != "local" else "")
    work = Path(tempfile.mkdtemp(prefix="trizone-chaos-"))
    try:
        found = play(scenario, chosen, make(work, scenario), folder, command, quiet=as_json)
    except KeyboardInterrupt:
        out.print(f"interrupted; what was seen so far is in {folder}")
        raise typer.Exit(EXIT_FAILED) from None
    finally:
        if not keep:
            shutil.rmtree(work, ignore_errors=True)
    if as_json:
        typer.echo(results.to_json(found).decode())
    else:
        _show(found, folder)
        if keep:
            out.print(f"cluster   {work}", soft_wrap=True)
    if not found.passed:
        raise typer.Exit(EXIT_FAILED)


@app.command("report")
def show_report(
    path: Annotated[Path, typer.Argument(metavar="RESULT.json", help="The result of a run.")],
) -> None:
    """Show a result again, and write its report beside it.

    Example: trizone chaos report chaos-reports/kill-leader-7/result.json
    """
    try:
        found = results.load(path)
    except FileNotFoundError:
        raise CommandError(f"there is no result {path}", exit_code=EXIT_USAGE) from None
    except OSError as error:
        hint = "name the file result.json of a run"
        raise CommandError(f"{path}: {error.strerror}", hint=hint, exit_code=EXIT_USAGE) from error
    except results.ResultUnreadable as error:
        raise CommandError(str(error), exit_code=EXIT_USAGE) from error
    Saved(path.parent).write_report(found)
    _show(found, path.parent)
    if not found.passed:
        raise typer.Exit(EXIT_FAILED)


def play(
    scenario: Scenario, seed: int, target: Target, folder: Path, command: str, *, quiet: bool = False
) -> RunResult:
    """One run with its display."""
    progress = Progress(out, quiet=quiet)
    rules = Injection(target) if scenario.needs_injection else None
    one = Run(scenario, seed, target, folder, command=command, rules=rules, on_event=progress.event)
    if not quiet:
        out.print(f"[bold]{scenario.name}[/], seed {seed}: {escape(scenario.about)}", soft_wrap=True)
    progress.watch(one.live)
    previous = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        return one.run()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        progress.end()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End like Ctrl-C: everything is healed and stopped first."""
    del number, frame
    raise KeyboardInterrupt


def _show(found: RunResult, folder: Path) -> None:
    out.print(verdict_table(found))
    out.print(total_table(found))
    for text, count in sorted(found.errors.items(), key=lambda entry: -entry[1])[:8]:
        out.print(f"  {count:6} {escape(text)}")
    if found.broke:
        out.print(f"[red]broken off[/]: {escape(found.broke)}", soft_wrap=True)
    out.print("[bold green]PASSED[/]" if found.passed else "[bold red]FAILED[/]")
    out.print(f"result    {folder / Saved.RESULT}", soft_wrap=True)
    if (folder / Saved.REPORT).exists():
        out.print(f"report    {folder / Saved.REPORT}", soft_wrap=True)
    out.print(f"seed      {found.seed}")
    out.print(f"again     {found.command}", soft_wrap=True)


def _scenario(what: str) -> Scenario:
    """The scenario of this name, or in this file. Raises CommandError (usage)."""
    path = Path(what) if what.endswith((".yaml", ".yml")) or "/" in what else scenarios.FOLDER / f"{what}.yaml"
    try:
        return scenarios.load_file(path)
    except FileNotFoundError:
        hint = f"known: {', '.join(scenarios.names())}"
        raise CommandError(f"there is no scenario {what!r}", hint=hint, exit_code=EXIT_USAGE) from None
    except OSError as error:
        hint = "name a scenario or a YAML file"
        raise CommandError(f"{path}: {error.strerror}", hint=hint, exit_code=EXIT_USAGE) from error
    except ScenarioError as error:
        raise CommandError(str(error), hint="correct the lines above", exit_code=EXIT_USAGE) from error


def _targets() -> dict[str, Callable[[Path, Scenario], Target]]:
    """What --against may name."""
    return {
        LocalTarget.kind: lambda folder, scenario: LocalTarget(folder, settings=settings_of(scenario)),
        ComposeTarget.kind: lambda folder, scenario: ComposeTarget(folder, settings=settings_of(scenario), say=_say),
    }


def _say(text: str) -> None:
    # Not to standard output: that may be JSON.
    err.print(escape(text), soft_wrap=True)


def settings_of(scenario: Scenario) -> dict[str, object]:
    """Sections of cluster.yaml for a scenario: its own, and the fault service where it is used."""
    injection = {"fault_injection": {"enabled": True}} if scenario.needs_injection else {}
    return {**scenario.settings, **injection}

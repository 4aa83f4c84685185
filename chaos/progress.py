"""What a person sees while a run goes on: a live table on a terminal, plain lines in a pipe.

Used by chaos.cli. Law: printing never fails a run.
"""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.live import Live as LiveDisplay
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from chaos.clients.log import Operation, Told
from chaos.measures import KINDS
from chaos.result import Event, RunResult
from chaos.runner import Live
from histories.percentiles import percentile

LOOK_BACK_S = 2.0
EVENTS_SHOWN = 8
REFRESHES_PER_S = 4
COLOURS = {"fault": "red", "heal": "green", "error": "bold red", "process": "yellow"}


class Progress:
    """One run's display."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._live: Live | None = None
        self._display: LiveDisplay | None = None

    def watch(self, live: Live) -> None:
        """Show this run until `end`."""
        self._live = live
        if self._console.is_terminal and not self._quiet:
            self._display = LiveDisplay(
                get_renderable=self._render, console=self._console, refresh_per_second=REFRESHES_PER_S, transient=True
            )
            self._display.start()

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self._display is not None:
            self._display.stop()
            self._display = None

    def event(self, event: Event) -> None:
        """One thing has happened."""
        if not self._quiet:
            colour = COLOURS.get(event.kind, "dim")
            self._console.print(f"[{colour}]{event.at_s:8.2f} s  {escape(event.text)}[/]", soft_wrap=True)

    def _render(self) -> RenderableType:
        live = self._live
        if live is None or live.log is None or live.arena is None:
            return Text("")
        now_s = live.arena.now_s()
        head = f"{live.phase}; {max(0.0, now_s):.0f} s of {live.seconds:.0f} s"
        if live.monitor is None:
            return Text(live.phase)
        table = Table(header_style="bold", box=None)
        for heading in ("", "per s", "errors", "p50 ms", "p99 ms"):
            table.add_column(heading, justify="left" if not heading else "right")
        recent = _recent(live.log.operations, now_s - LOOK_BACK_S)
        for kind in KINDS:
            own = [operation for operation in recent if operation.kind == kind]
            times = sorted((one.ended_s - one.began_s) * 1000 for one in own if one.told is Told.OK)
            errors = sum(one.told is not Told.OK for one in own)
            table.add_row(
                kind,
                f"{len(own) / LOOK_BACK_S:.0f}",
                f"[red]{errors}[/]" if errors else "0",
                f"{percentile(times, 0.5):.1f}",
                f"{percentile(times, 0.99):.1f}",
            )
        leaders = " ".join(f"{part}:{leader or '-'}" for part, leader in sorted(live.monitor.leaders.items()))
        return Group(Text(head, style="bold"), table, Text(f"leaders  {leaders}"))


def _recent(operations: list[Operation], since_s: float) -> list[Operation]:
    found = []
    for operation in reversed(operations):
        if operation.ended_s < since_s:
            break
        found.append(operation)
    return found


def verdict_table(result: RunResult) -> Table:
    """Verdicts and expectations, a line each."""
    table = Table(title=f"{result.scenario}, seed {result.seed}", title_justify="left", header_style="bold")
    for heading in ("", "what", "wanted", "found"):
        table.add_column(heading)
    for verdict in result.verdicts:
        found = verdict.detail if verdict.held else "\n".join(verdict.violations) or verdict.detail
        table.add_row(_mark(verdict.held), verdict.name, "no violation", escape(found))
    for line in result.expectations:
        table.add_row(_mark(line.held), line.name, escape(line.wanted), escape(line.measured))
    return table


def total_table(result: RunResult) -> Table:
    """What the clients got."""
    table = Table(header_style="bold", box=None)
    for heading in ("", "ok", "refused", "unknown", "p50 ms", "p99 ms", "max ms"):
        table.add_column(heading, justify="left" if not heading else "right")
    for total in result.totals:
        figures = (total.ok, total.failed, total.unknown)
        times = (total.p50_ms, total.p99_ms, total.max_ms)
        table.add_row(total.kind, *map(str, figures), *(f"{value:.1f}" for value in times))
    return table


def _mark(held: bool) -> str:
    return "[green]held[/]" if held else "[red]BROKEN[/]"

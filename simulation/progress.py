"""Shows how far many seeds are: a bar on a terminal, a plain line now and then elsewhere.

Used by simulation.__main__. Law: what a run found is printed for good and above the bar.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

PLAIN_INTERVAL_S = 30.0


class Shown(Protocol):
    """Either way to show it; a context manager."""

    def __enter__(self) -> Shown: ...
    def __exit__(self, *_: object) -> None: ...
    def say(self, text: str) -> None:
        """Print something for good."""
        ...

    def advance(self, seeds: int, violations: int, elapsed_s: float) -> None:
        """`seeds` are done by now."""
        ...


class Bar:
    """For a person at a terminal."""

    def __init__(self, console: Console, seeds: int, seconds: float | None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            *([MofNCompleteColumn()] if seconds is None else [TaskProgressColumn()]),
            TextColumn("{task.fields[found]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._seconds = seconds
        self._task = self._progress.add_task("simulation", total=seconds or seeds, found="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def advance(self, seeds: int, violations: int, elapsed_s: float) -> None:
        """Move the bar."""
        colour = "red" if violations else "green"
        found = f"{seeds} seeds, {seeds / elapsed_s:.2f}/s, [{colour}]{violations} violations[/]"
        completed = seeds if self._seconds is None else min(elapsed_s, self._seconds)
        self._progress.update(self._task, completed=completed, found=found)


class Lines:
    """For a file or another program."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._next_s = PLAIN_INTERVAL_S

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def say(self, text: str) -> None:
        """Print a line."""
        self._write(text)

    def advance(self, seeds: int, violations: int, elapsed_s: float) -> None:
        """Print a line if the last one is long ago."""
        if elapsed_s >= self._next_s:
            self._next_s = elapsed_s + PLAIN_INTERVAL_S
            self._write(f"{seeds} seeds, {violations} violations, {elapsed_s:.0f} s, {seeds / elapsed_s:.2f} seeds/s")

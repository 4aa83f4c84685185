"""The terminal of the `trizone` command: lines and tables for people.

Used by tools.cli and the modules of its sub-commands. Law: printing never fails: a terminal that is gone must not keep
a cluster from being stopped.
"""

from __future__ import annotations

import contextlib
import os
import sys

from rich.console import Console, RenderableType
from rich.markup import escape

PIPE_COLUMNS = 160


class QuietConsole(Console):
    """A console whose reader may go away."""

    def on_broken_pipe(self) -> None:
        """Raise on: by itself rich would end the process here, in the middle of whatever it does."""
        raise


# Tables are cut to the window on a terminal; a pipe has no width, and 80 columns would cut them too.
out = QuietConsole(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
err = QuietConsole(highlight=False, stderr=True, soft_wrap=True)


def show(console: Console, thing: RenderableType = "", *, soft_wrap: bool | None = None) -> None:
    """Print a line or a table; when nobody can read it any more (EPIPE, EIO), fall silent for good."""
    try:
        console.print(thing, soft_wrap=soft_wrap)
    except (OSError, ValueError):
        fall_silent(console)


def fall_silent(console: Console) -> None:
    """Write nothing more to this console, and let what is buffered go nowhere."""
    console.quiet = True
    # What is still in a buffer goes nowhere: the interpreter would try it again at its end and exit with 120.
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, console.file.fileno())
        os.close(nowhere)


def say(text: str) -> None:
    """A line for people. Never raises."""
    show(out, escape(text), soft_wrap=True)

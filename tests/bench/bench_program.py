"""What the programs of the benchmark, run.py and compare.py, have in common: how they speak and how they end."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from typing import Any

from bench_generators import Generator

from tools.errors import EXIT_FAILED, CommandError, InterruptedByUser
from tools.signals import StopRequests

IN_MEMORY = "warning: the data lies in memory, where a sync costs nothing; --folder DIR on a disk measures it"


def say(text: str) -> None:
    """One line, at once, also into a pipe."""
    print(text, flush=True)


def say_about(about: dict[str, Any]) -> None:
    """What the numbers depend on, in one line."""
    say(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in about.items()))


def machine(generator: Generator) -> dict[str, Any]:
    """What every program's numbers depend on."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "generator": generator.name}


def run_program(program: Callable[[StopRequests], int]) -> int:
    """The exit status of `program`, or that of its error, which is told, or of Ctrl-C."""
    try:
        with StopRequests() as stops:
            return program(stops)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"next: {error.hint}", file=sys.stderr)
        return error.exit_code
    except InterruptedByUser:
        return EXIT_FAILED

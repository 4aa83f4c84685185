"""Run seeds on all cores: `python -m simulation --seeds 100 --first 1`, or one again with its story: `--seed 17`.

Called by `make sim`. Exit status: 0 every seed is good, 1 a violation, a history that could not be decided or no seed
at all, 2 wrong arguments, 130 stopped by Ctrl-C; a failure prints the command that repeats it.
"""

from __future__ import annotations

import argparse
import os
import sys

from rich.console import Console

from runtime import logs
from runtime.clock import SystemClock
from simulation.outcome import Totals, describe, outcome_of
from simulation.pool import Pool
from simulation.progress import Bar, Lines, Shown
from simulation.run import Report, run_seed
from simulation.story import Story

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130


def explain(report: Report, *, group: int | None = None, key: str | None = None) -> str:
    """A run with what led to its end: its story, narrowed to a group or a key, and how to repeat it."""
    lines = report.story.of(group=group, key=key) if report.story is not None else []
    story = "\n".join(map(str, lines))
    return f"{story}\n{report.knobs}\n{report.violation or 'no violation'}\nrepeat with: make sim SEED={report.seed}"


def write(text: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def replay(seed: int, group: int | None, key: str | None) -> int:
    """Run one seed here and tell its story; returns the exit status."""
    # What the nodes log of elections is in the story.
    logs.configure(component="simulation", level="critical")
    report = run_seed(seed, Story())
    write(explain(report, group=group, key=key))
    outcome = outcome_of(report)
    write(describe(outcome))
    return 0 if outcome.is_good else EXIT_FAILURE


def run_many(options: argparse.Namespace) -> int:
    """Run many seeds on many processes; returns the exit status."""
    seconds: float | None = options.seconds
    count: int = options.seeds if options.seeds is not None else (sys.maxsize if seconds else 100)
    first: int = options.first
    monotonic = SystemClock.monotonic
    console = Console()
    shown: Shown = Bar(console, count, seconds) if console.is_terminal else Lines(write)
    totals = Totals()
    last = first
    started_at = monotonic()

    def may_begin() -> bool:
        return seconds is None or monotonic() - started_at < seconds

    with Pool(options.processes) as pool, shown:
        for outcome in pool.run(iter(range(first, first + count)), may_begin):
            totals.add(outcome)
            last = outcome.seed
            if not outcome.is_good:
                why = outcome.violation or "a history grew too large to be judged"
                shown.say(f"{describe(outcome)}\n{why}\nrepeat with: make sim SEED={outcome.seed}")
            shown.advance(totals.seeds, totals.violations, monotonic() - started_at)
    elapsed_s = monotonic() - started_at
    left_out = f" of {count} (the time was up)" if seconds and options.seeds and totals.seeds < count else ""
    write(
        f"{totals.seeds} seeds{left_out} ({first} to {last}), {totals.violations} violations, {elapsed_s:.1f} s on "
        f"{options.processes} processes, {totals.seeds / elapsed_s:.2f} seeds/s: {totals}"
    )
    # What proves nothing must not look like a proof.
    return 0 if totals.seeds and totals.good == totals.seeds else EXIT_FAILURE


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options; exits with status 2 when they are wrong."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description="A seeded cluster in virtual time.")
    parser.add_argument("--seed", type=int, help="run only this seed, here, and tell its story")
    parser.add_argument("--key", help="with --seed: only the story of this key")
    parser.add_argument("--group", type=int, help="with --seed: only the story of this group")
    parser.add_argument("--seeds", type=int, help="how many seeds to run (100, or with --seconds as many as fit)")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seconds", type=float, help="begin no seed after this time")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="one a core by default")
    options = parser.parse_args(arguments)
    if options.seed is None and (options.key is not None or options.group is not None):
        parser.error("--key and --group narrow the story of --seed")
    if options.processes < 1:
        parser.error("--processes must be at least 1")
    if options.seeds is not None and options.seeds < 1:
        parser.error("--seeds must be at least 1")
    if options.seconds is not None and not options.seconds > 0:
        parser.error("--seconds must be more than 0")
    return options


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit status."""
    options = parse(arguments)
    try:
        if options.seed is not None:
            return replay(options.seed, options.group, options.key)
        return run_many(options)
    except KeyboardInterrupt:
        write("stopped")
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

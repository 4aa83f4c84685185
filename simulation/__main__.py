"""Run seeds: `python -m simulation --seeds 100 --first 1`, or one again with its story: `--seed 17`.

Called by `make sim`. Exit status: 0 no violation, 1 a violation; a failure prints the command that repeats it.
"""

from __future__ import annotations

import argparse
import sys
import time

from runtime import logs
from simulation.run import Report, run_seed

_TOTALS = ("events", "answered", "refused", "unknown", "undecided", "elections", "crashes", "snapshots")


def describe(report: Report) -> str:
    """One line for one run."""
    verdict = "VIOLATION" if report.violation else "ok"
    faults = " ".join(f"{name}={count}" for name, count in report.faults.items())
    return (
        f"seed {report.seed}: {verdict}; {report.virtual_s:.1f} s virtual, {report.events} events, "
        f"{report.answered} answered, {report.refused} refused, {report.unknown} unknown, "
        f"{report.elections} elections, {report.crashes} crashes, {report.snapshots} snapshots; {faults}; "
        f"digest {report.digest}"
    )


def explain(report: Report) -> str:
    """A violation with what led to it and how to repeat it."""
    story = "\n".join(report.story)
    return f"{story}\n{report.knobs}\n{report.violation}\nrepeat with: make sim SEED={report.seed}"


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description="A seeded cluster in virtual time.")
    parser.add_argument("--seed", type=int, help="run only this seed")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    options = parser.parse_args(arguments)
    # What the nodes log of elections is in the story.
    logs.configure(component="simulation", level="critical")
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    started_at = time.perf_counter()
    failures = 0
    totals = dict.fromkeys(_TOTALS, 0)
    for seed in seeds:
        report = run_seed(seed)
        for name in totals:
            totals[name] += getattr(report, name)
        if report.violation or options.seed is not None:
            sys.stdout.write(describe(report) + "\n")
        if report.violation:
            failures += 1
            sys.stdout.write((explain(report) if options.seed is not None else report.violation) + "\n")
            sys.stdout.write(f"repeat with: make sim SEED={seed}\n")
            sys.stdout.flush()
    seconds = time.perf_counter() - started_at
    counts = ", ".join(f"{count} {name}" for name, count in totals.items())
    sys.stdout.write(f"{len(seeds)} seeds, {failures} violations, {seconds:.1f} s: {counts}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A process that runs the seeds it is told on its standard input and writes one line of JSON for each.

Started by simulation.pool, one a core. Law: it ends when its input does, so that none outlives who started it; what
breaks in a run is an outcome of that seed, not the end of the worker.
"""

from __future__ import annotations

import gc
import signal
import sys
import traceback

from runtime import logs
from simulation.outcome import Outcome, outcome_of
from simulation.run import run_seed


def run(seed: int) -> Outcome:
    """Run one seed; a simulation that breaks is a violation as well."""
    try:
        return outcome_of(run_seed(seed))
    except Exception:
        return Outcome(seed=seed, violation=f"the simulation broke:\n{traceback.format_exc()}")


def main() -> None:
    """Serve until the input ends."""
    # Ctrl-C reaches the whole group of processes: who started this one closes the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What the nodes log of elections is in the story.
    logs.configure(component="simulation", level="critical")
    # A run makes few cycles: they are collected between two runs, not again and again in the middle of one.
    gc.freeze()
    gc.disable()
    for line in sys.stdin:
        sys.stdout.buffer.write(run(int(line)).line())
        sys.stdout.buffer.flush()
        gc.collect()


if __name__ == "__main__":
    main()

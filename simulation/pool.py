"""Many seeds on all cores: hands seeds to worker processes and gives their outcomes back in the order of the seeds.

Used by simulation.__main__. Law: nothing outlives `close`, which Ctrl-C reaches as well; a worker that dies takes only
the seed down that it ran.
"""

from __future__ import annotations

import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator

from simulation.outcome import Outcome, parse_outcome

END_BOUND_S = 5.0
# What a worker process runs.
PROGRAM = ("-m", "simulation.worker")


class Worker:
    """One process of simulation.worker."""

    def __init__(self) -> None:
        self.seed: int | None = None
        self._process = subprocess.Popen([sys.executable, *PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self.output = self._process.stdin, self._process.stdout

    def give(self, seed: int) -> None:
        """Let it run a seed."""
        self.seed = seed
        try:
            self._input.write(b"%d\n" % seed)
            self._input.flush()
        except BrokenPipeError:
            # It died meanwhile: its output ends, which tells.
            return

    def take(self) -> Outcome:
        """The outcome of its seed, which is there or about to be."""
        assert self.seed is not None
        line = self.output.readline()
        if not line.endswith(b"\n"):
            status = self._process.wait()
            return Outcome(seed=self.seed, violation=f"the worker process died with status {status}")
        return parse_outcome(line)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Kill it and wait for it."""
        self._process.kill()
        self._process.wait(END_BOUND_S)
        self._input.close()
        self.output.close()


class Pool:
    """Worker processes; a context manager."""

    def __init__(self, processes: int) -> None:
        self._workers = [Worker() for _ in range(processes)]

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()

    def run(self, seeds: Iterator[int], may_begin: Callable[[], bool]) -> Iterator[Outcome]:
        """Outcomes in the order of `seeds`; no seed is begun any more once `may_begin` is false."""
        order: list[int] = []
        done: dict[int, Outcome] = {}
        with selectors.DefaultSelector() as selector:

            def begin(worker: Worker) -> None:
                seed = next(seeds, None) if may_begin() else None
                if seed is None:
                    return
                order.append(seed)
                worker.give(seed)
                selector.register(worker.output, selectors.EVENT_READ, worker)

            for worker in self._workers:
                begin(worker)
            while selector.get_map():
                for key, _ in selector.select():
                    worker = key.data
                    selector.unregister(worker.output)
                    outcome = worker.take()
                    done[outcome.seed] = outcome
                    begin(self._replaced(worker) if worker.has_ended else worker)
                while order and order[0] in done:
                    yield done.pop(order.pop(0))

    def _replaced(self, dead: Worker) -> Worker:
        dead.end()
        self._workers.remove(dead)
        worker = Worker()
        self._workers.append(worker)
        return worker

"""One run: a cluster of real nodes and routers, clients and faults, from one seed, judged from beginning to end.

Called by simulation.__main__ and by tests/simulation. Law: a run ends with every fault healed, and then everything must
come to rest in a bounded time, hold every acknowledged write and be explained by what clients asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from simulation.cluster import Cluster
from simulation.faults import Faults
from simulation.knobs import Knobs, draw_knobs
from simulation.limited import limited
from simulation.story import Story
from simulation.workloads import make_workload
from simulation.workloads.base import WORKERS, Scene
from simulation.world import Violation, World

# Times of a cluster of pace 1, in seconds. For elections, the catalog's first entry and tables.
SETUP_BOUND_S = 20.0
AFTER_FAULTS_S = 1.5
FINAL_READS_BOUND_S = 5.0
_LOOK_S = 0.2


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run did; `violation` is empty when all was well."""

    seed: int
    knobs: Knobs
    violation: str = ""
    digest: str = ""
    events: int = 0
    virtual_s: float = 0.0
    answered: int = 0
    refused: int = 0
    unknown: int = 0
    elections: int = 0
    crashes: int = 0
    snapshots: int = 0
    moves: int = 0
    undecided: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    # None unless it was asked for.
    story: Story | None = None


class Run:
    """The parts of one run."""

    def __init__(self, seed: int, story: Story | None = None) -> None:
        self.world = World(seed, story)
        self.knobs = draw_knobs(self.world.random_stream("knobs"))
        self.cluster = Cluster(self.world, self.knobs)
        self.faults = Faults(self.cluster)
        scene = Scene(self.world, self.knobs, self.cluster.clients, self.cluster.machines, self.cluster.checks)
        pause_s = WORKERS * len(self.knobs.loads) / self.knobs.request_rate
        self.workloads = [make_workload(load, scene, pause_s) for load in self.knobs.loads]

    def execute(self) -> None:
        """Run to the end. Raises Violation."""
        world, pace = self.world, self.knobs.pace
        self.cluster.start()
        self._do([workload.setup() for workload in self.workloads], SETUP_BOUND_S * pace, "set up")
        for workload in self.workloads:
            self.cluster.clients.begin(workload.start)
        self.faults.begin()
        world.run_until(self.knobs.faults_end_s)
        self.faults.stop()
        for workload in self.workloads:
            self.cluster.clients.begin(partial(workload.writes_end_in, AFTER_FAULTS_S * pace))
        world.run_until(world.now + AFTER_FAULTS_S * pace)
        for workload in self.workloads:
            workload.stop()
        self._converge()
        self._do([workload.finish() for workload in self.workloads], FINAL_READS_BOUND_S * pace, "read what is there")
        left = self.cluster.left_behind()
        if left:
            raise world.violation(left)
        for workload in self.workloads:
            workload.judge()

    def _do(self, work: list[Coroutine[Any, Any, None]], bound_s: float, what: str) -> None:
        """Let clients do something that must succeed within a bound."""
        tasks: list[asyncio.Task[None]] = []

        def begin() -> None:
            tasks.extend(asyncio.get_running_loop().create_task(one) for one in work)

        self.cluster.clients.begin(begin)
        self.world.run_until(self.world.now + bound_s, lambda: all(task.done() for task in tasks))
        for task, workload in zip(tasks, self.workloads, strict=True):
            if not task.done():
                raise self.world.violation(f"{workload.name}: clients could not {what} within {bound_s:.0f} s")
            task.result()

    # ------------------------------------------------------------------ the end
    def _unrest(self) -> str:
        """What keeps the cluster from being at rest; empty: it is."""
        for workload in self.workloads:
            if workload.waiting:
                return f"{workload.name} waits for answers"
        return self.cluster.unrest() or next(filter(None, (workload.unrest() for workload in self.workloads)), "")

    def _converge(self) -> None:
        bound_s = self.knobs.convergence_bound_s
        end = self.world.now + bound_s
        while self.world.now < end:
            self.world.run_until(self.world.now + _LOOK_S * self.knobs.pace)
            if not self._unrest():
                return
        raise self.world.violation(f"no rest {bound_s:.0f} s after the last fault: {self._unrest()}")

    def report(self, violation: str) -> Report:
        """What happened so far."""
        clients, checks = self.cluster.clients, self.cluster.checks
        crashes = [machine.crashes for machine in self.cluster.machines.values()]
        crashes += [router.crashes for router in self.cluster.routers.values()]
        return Report(
            seed=self.world.seed,
            knobs=self.knobs,
            violation=violation,
            digest=self.world.digest,
            events=self.world.events,
            virtual_s=self.world.now,
            answered=clients.answered,
            refused=clients.refused,
            unknown=clients.unknown,
            elections=checks.elections,
            crashes=sum(crashes),
            snapshots=checks.snapshots,
            moves=self.faults.operator.accepted,
            undecided=sum(workload.undecided for workload in self.workloads),
            faults=dict(sorted(self.faults.counts.items())),
            story=self.world.story,
        )


def run_seed(seed: int, story: Story | None = None) -> Report:
    """Run one seed to its end or to its first violation, and fill its story if one is given."""
    run = Run(seed, story)
    try:
        with limited(run.knobs):
            run.execute()
    except Violation as violation:
        return run.report(str(violation))
    finally:
        run.cluster.end()
    return run.report("")

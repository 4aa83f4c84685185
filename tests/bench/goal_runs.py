"""Measures what the goals are about on clusters of its own: a visit for each group of goals.py.

Called by compare.py once the peers are gone. Laws: two figures that are compared were measured in turn, round by round,
in the same minutes; a latency at a rate counts from when a request was due; what goes wrong in one group leaves its
goals unmeasured and the other groups alone.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench_cluster import CONFIG, Target, own_cluster, pause
from bench_generators import CpuMeter, Generator, Load, Measured, OwnGenerator, started
from bench_requests import OPERATIONS, QUERY_TABLE, TABLE
from bench_tables import Tables
from comparison import COMPARED
from goals import Verdict, unmeasured, verdict
from peers.peer import free_ports

from runtime.clock import SystemClock
from tools.errors import CommandError
from tools.signals import StopRequests
from tools.supervisor import Say

MANY_PARTITIONS = 24
WARM_UP_S = 1.0
# Enough that a request that is due finds a free one at half the peak.
RATE_CONNECTIONS = 256
# An idle cluster is looked at so long after it was started, and so many times the seconds of a run.
SETTLE_S = 5.0
IDLE_RUNS = 4
UP_TIMEOUT_S = 60.0
# What `trizone up` prints when everything serves.
UP_LINE = b"endpoint"
MB = 1e6


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how often, how much. `peaks`: operations/s that were measured before, by operation."""

    folder: Path
    seconds: float
    rounds: int
    connections: int
    items: int
    many_items: int
    peaks: Mapping[str, float]


Runs = dict[tuple[str, str], list[Measured]]


def median(runs: Iterable[Measured], value: Callable[[Measured], float]) -> float:
    """Of one figure over the rounds."""
    return statistics.median(value(run) for run in runs)


def rate(runs: Iterable[Measured]) -> float:
    """The median throughput."""
    return median(runs, lambda run: run.operations_per_s)


def errors(*runs: Sequence[Measured]) -> int:
    """All of them."""
    return sum(run.errors for some in runs for run in some)


class GoalRuns:
    """The visits. `generator`: the closed loop with which peaks are measured."""

    def __init__(self, plan: Plan, generator: Generator, stops: StopRequests, say: Say) -> None:
        self._plan = plan
        self._generator = generator
        self._stops = stops
        self._say = say
        self._peaks = dict(plan.peaks)

    def visit(self, groups: Sequence[str]) -> list[Verdict]:
        """The verdicts of these groups, in this order of work: what needs no cluster, one, two."""
        verdicts = self._guarded("start", groups, self._start)
        with ExitStack() as running:
            alone: dict[str, Callable[[Target], list[Verdict]]] = {
                "rates": self._rates, "half": self._half, "lone": self._lone
            }  # fmt: skip
            beside: dict[str, Callable[[Target], list[Verdict]]] = {"million": self._million}
            wanted = {*alone, *beside, "partitions", "idle"} & set(groups)
            if not wanted:
                return verdicts
            try:
                usual = self._cluster(running)
                self._fill(usual, self._plan.items, query="rates" in wanted)
            except CommandError as error:
                return verdicts + [one for group in groups if group in wanted for one in unmeasured(group, str(error))]
            for group, run in alone.items():
                verdicts += self._guarded(group, groups, lambda run=run: run(usual))
            if wanted & {"idle", "partitions"}:
                with ExitStack() as many:
                    verdicts += self._many_partitions(many, usual, groups)
            for group, run in beside.items():
                verdicts += self._guarded(group, groups, lambda run=run: run(usual))
        return verdicts

    def _guarded(self, group: str, groups: Sequence[str], run: Callable[[], list[Verdict]]) -> list[Verdict]:
        if group not in groups:
            return []
        self._say(f"goals: {group}")
        try:
            return run()
        except CommandError as error:
            return unmeasured(group, str(error))

    # --- clusters and runs

    def _cluster(self, running: ExitStack, partitions: int | None = None) -> Target:
        quiet: Say = lambda _: None  # noqa: E731
        cluster = own_cluster(self._plan.folder, "sync", self._stops, quiet, partitions=partitions)
        return running.enter_context(cluster)

    def _fill(self, target: Target, items: int, *, query: bool = False, batches: bool = False) -> None:
        tables = Tables(target, self._stops, self._say)
        with tables.made(TABLE):
            tables.fill(items, batches=batches)
        if query:
            with tables.made(QUERY_TABLE):
                tables.fill_query(items)

    def _run(
        self,
        target: Target,
        operation: str,
        seconds: float,
        *,
        connections: int = 0,
        items: int = 0,
        at_rate: float | None = None,
    ) -> Measured:
        load = Load(
            target.host,
            target.port,
            OPERATIONS[operation],
            connections or self._plan.connections,
            items or self._plan.items,
            seconds,
            rate=at_rate,
        )
        generator = self._generator if at_rate is None else OwnGenerator()
        return generator.run(load, CpuMeter(target.processes), self._stops)

    def _at_rate(self, target: Target, operation: str, rate: float, items: int) -> Measured:
        """Warm, then measured, so many requests a second."""
        self._run(target, operation, WARM_UP_S, connections=RATE_CONNECTIONS, items=items, at_rate=rate)
        return self._run(target, operation, self._plan.seconds, connections=RATE_CONNECTIONS, items=items, at_rate=rate)

    def _in_turn(self, targets: Mapping[str, Target], operations: Sequence[str], connections: int = 0) -> Runs:
        """Every operation at every target, round by round, by (name of the target, operation)."""
        runs: Runs = {(name, operation): [] for name in targets for operation in operations}
        for number in range(self._plan.rounds):
            for operation in operations:
                for name, target in targets.items():
                    self._run(target, operation, WARM_UP_S, connections=connections)
                    found = self._run(target, operation, self._plan.seconds, connections=connections)
                    runs[name, operation].append(found)
                    title = OPERATIONS[operation].title
                    self._say(f"  round {number + 1}, {name}: {title} {found.operations_per_s:,.0f}/s")
        return runs

    def _peak(self, target: Target, operation: str) -> float:
        if operation not in self._peaks:
            runs = self._in_turn({"peak": target}, [operation])
            self._peaks[operation] = rate(runs["peak", operation])
        if not self._peaks[operation]:
            raise CommandError(f"{OPERATIONS[operation].title} has no peak: nothing was answered 2xx")
        return self._peaks[operation]

    # --- the groups

    def _start(self) -> list[Verdict]:
        times = [self._up_once() for _ in range(self._plan.rounds)]
        shown = ", ".join(f"{seconds:.2f}" for seconds in times)
        return [verdict("start", statistics.median(times), f"in turn {shown} s")]

    def _up_once(self) -> float:
        """Seconds from starting `trizone up` on a new folder to its word that it serves."""
        with tempfile.TemporaryDirectory(prefix="trizone-bench-", dir=self._plan.folder) as parent:
            data = Path(parent) / "data"
            (port,) = free_ports(data, 1)
            command = [sys.executable, "-P", "-m", "tools.cli", "up", "--config", str(CONFIG)]
            command += ["--data", str(data), "--http-port", str(port)]
            began = SystemClock.monotonic()
            # Killed at the end, should anything go wrong, it takes its nodes along.
            with started(command, self._stops, "`trizone up`") as up:
                while not up.read_line(UP_TIMEOUT_S).startswith(UP_LINE):
                    pass
                took_s = SystemClock.monotonic() - began
                up.process.terminate()
                up.read_all(UP_TIMEOUT_S)
                up.process.wait()
        return took_s

    def _rates(self, usual: Target) -> list[Verdict]:
        runs = self._in_turn({"6 partitions": usual}, ["put", "update", "batch", "query20"])
        put, update, batch, query = (runs["6 partitions", name] for name in ("put", "update", "batch", "query20"))
        items = rate(batch) * OPERATIONS["batch"].items
        return [
            verdict(
                "update",
                rate(update) / rate(put) if rate(put) else None,
                f"{rate(update):,.0f}/s and {rate(put):,.0f}/s",
                errors=errors(update, put),
            ),
            verdict("batch", items, f"{rate(batch):,.0f} batches/s", errors=errors(batch)),
            verdict("query20", rate(query), f"p50 {median(query, _p50):.2f} ms", errors=errors(query)),
        ]

    def _half(self, usual: Target) -> list[Verdict]:
        verdicts = []
        for operation in COMPARED:
            half = self._peak(usual, operation) / 2
            runs = []
            for _ in range(self._plan.rounds):
                runs.append(self._at_rate(usual, operation, half, self._plan.items))
            load = median(runs, lambda run: run.cpu_percent.get(CpuMeter.LOAD) or 0.0)
            detail = (
                f"{rate(runs):,.0f}/s of {half:,.0f}/s, p50 {median(runs, _p50):.2f} ms, load generator {load:.0f} %"
            )
            verdicts.append(verdict(f"half-{operation}", median(runs, _p99), detail, errors=errors(runs)))
        return verdicts

    def _lone(self, usual: Target) -> list[Verdict]:
        runs = self._in_turn({"lone client": usual}, ["put", "strong"], connections=1)
        return [
            verdict(
                f"lone-{operation}",
                median(found, _p50),
                f"p99 {median(found, _p99):.2f} ms, {rate(found):,.0f}/s",
                errors=errors(found),
            )
            for (_, operation), found in runs.items()
        ]

    def _many_partitions(self, running: ExitStack, usual: Target, groups: Sequence[str]) -> list[Verdict]:
        wanted = [group for group in ("idle", "partitions") if group in groups]
        try:
            many = self._cluster(running, MANY_PARTITIONS)
        except CommandError as error:
            return [one for group in wanted for one in unmeasured(group, str(error))]
        verdicts = self._guarded("idle", groups, lambda: self._idle(many))
        return verdicts + self._guarded("partitions", groups, lambda: self._partitions(usual, many))

    def _idle(self, many: Target) -> list[Verdict]:
        pause(self._stops, SETTLE_S)
        meter = CpuMeter(many.processes)
        # This process takes the place of the load generator: it does nothing but wait.
        meter.start(os.getpid())
        pause(self._stops, IDLE_RUNS * self._plan.seconds)
        percent = {name: share or 0.0 for name, share in meter.stop().items() if name in many.processes}
        memory = {name: process.memory_info().rss / MB for name, process in many.processes.items()}
        nodes = [name for name in memory if name.startswith("n")]
        detail = ", ".join(f"{name} {share:.1f}" for name, share in percent.items())
        sizes = ", ".join(f"{name} {size:.0f}" for name, size in memory.items())
        return [
            verdict("idle-cpu", sum(percent.values()), detail),
            verdict("idle-memory", max(memory[name] for name in nodes), sizes),
        ]

    def _partitions(self, usual: Target, many: Target) -> list[Verdict]:
        self._fill(many, self._plan.items)
        runs = self._in_turn({"6 partitions": usual, f"{MANY_PARTITIONS} partitions": many}, COMPARED)
        verdicts = []
        for operation in COMPARED:
            few, more = runs["6 partitions", operation], runs[f"{MANY_PARTITIONS} partitions", operation]
            times = rate(more) / rate(few) if rate(few) else None
            detail = f"{rate(more):,.0f}/s and {rate(few):,.0f}/s"
            verdicts.append(verdict(f"partitions-{operation}", times, detail, errors=errors(few, more)))
        return verdicts

    def _million(self, usual: Target) -> list[Verdict]:
        with ExitStack() as running:
            large = self._cluster(running)
            self._fill(large, self._plan.many_items, batches=True)
            return [self._more_items(operation, usual, large) for operation in COMPARED]

    def _more_items(self, operation: str, usual: Target, large: Target) -> Verdict:
        """The same rate at both, in turn: half of what the small one can take."""
        half = self._peak(usual, operation) / 2
        targets = {"few": (usual, self._plan.items), "many": (large, self._plan.many_items)}
        runs: dict[str, list[Measured]] = {name: [] for name in targets}
        for _ in range(self._plan.rounds):
            for name, (target, items) in targets.items():
                runs[name].append(self._at_rate(target, operation, half, items))
        few, many = runs["few"], runs["many"]
        before_ms, after_ms = median(few, _p50), median(many, _p50)
        detail = (
            f"p50 {before_ms:.2f} to {after_ms:.2f} ms, p99 {median(few, _p99):.2f} to {median(many, _p99):.2f} ms,"
            f" with {self._plan.many_items:,} items, at {half:,.0f}/s"
        )
        times = after_ms / before_ms if before_ms else None
        return verdict(f"million-{operation}", times, detail, errors=errors(few, many))


def _p50(run: Measured) -> float:
    return run.p50_ms


def _p99(run: Measured) -> float:
    return run.p99_ms

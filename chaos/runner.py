"""One run of one scenario, from the empty cluster to the result.

Called by chaos.cli and the tests, on the main thread. Laws: whatever happens, faults are healed, clients
end, and the target is closed; a run that broke off is a failed run with its reason in the result.
"""

from __future__ import annotations

import os
import platform
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from chaos import expect, measures, verdicts
from chaos.arena import RunArena
from chaos.clients.log import ClientLog
from chaos.executor import Executor
from chaos.faults.base import Rules
from chaos.load import Load
from chaos.monitor import Monitor
from chaos.result import FORMAT, Cluster, Event, FaultSpan, RunResult, Verdict
from chaos.saved import Saved
from chaos.scenario import Scenario
from chaos.schedule import plan
from chaos.staleness import by_zone
from chaos.targets.base import Target, TargetError, behind
from tools.errors import CommandError

WHOLE_TIMEOUT_S = 60.0
# Load before the first fault's time begins to count: caches and connections are warm.
WARM_UP_S = 1.0
# Load after everything is healed: what is only then broken shows too.
COOL_DOWN_S = 2.0
CONVERGED_LOOK_S = 0.1
# Leaders that have not moved for so long stay: longer than a node waits before it hands one over.
SETTLED_S = 2.5
SETTLED_TIMEOUT_S = 20.0


@dataclass(slots=True)
class Live:
    """What the progress display reads while the run goes on."""

    phase: str = "starting the cluster"
    log: ClientLog | None = None
    arena: RunArena | None = None
    monitor: Monitor | None = None
    seconds: float = 0.0


class Run:
    """A run under way."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        target: Target,
        folder: Path,
        *,
        command: str,
        rules: Rules | None = None,
        on_event: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        """`folder` receives the result; `rules` are the fault services of the target, where it has them."""
        self._scenario = scenario
        self._seed = seed
        self._target = target
        self._saved = Saved(folder)
        self._command = command
        self._rules = rules
        self._log = ClientLog()
        self._arena = RunArena(target, rules)
        self._arena.on_event = on_event
        self._monitor: Monitor | None = None
        self._load: Load | None = None
        self._executor = Executor(self._arena, plan(scenario, seed), self._look_for_ends, self._is_settled)
        self._exits: list[tuple[str, int | None]] = []
        self._verdicts: list[Verdict] = []
        self._converged_s: float | None = None
        self._loaded_s = 0.0
        self._broke = ""
        self._cluster: Cluster | None = None
        self._rebuilt: list[str] = []
        self.live = Live(log=self._log, arena=self._arena, seconds=scenario.seconds)

    def run(self) -> RunResult:
        """The whole run. KeyboardInterrupt is raised on when everything has been cleaned up and saved."""
        began_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._saved.drop_old_logs()
        interrupted: KeyboardInterrupt | None = None
        try:
            self._play()
        except (TargetError, CommandError) as error:
            self._broke = str(error)
            self._arena.say("error", self._broke)
        except Exception as error:
            # A defect of this program: the history up to here is worth keeping, and the text says where it was.
            self._broke = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
            self._arena.say("error", f"{type(error).__name__}: {error}")
        except KeyboardInterrupt as error:
            self._broke = "interrupted"
            interrupted = error
        finally:
            self._clean_up()
        result = self._result(began_at)
        if not result.passed:
            self._saved.keep_logs(self._target)
        self._saved.write(result, self._log.calls, self._log.totals)
        if interrupted is not None:
            raise interrupted
        return result

    # --- the play ---------------------------------------------------------------------------------------------------

    def _play(self) -> None:
        target = self._target
        target.start()
        self.live.phase = "waiting until the cluster is whole"
        target.wait_whole(WHOLE_TIMEOUT_S)
        self._cluster = _describe(target)
        self._load = Load(target, self._scenario.workload, self._seed, self._log)
        self._load.setup()
        for fault in self._scenario.faults:
            fault.prepare(self._arena)
        self._monitor = self.live.monitor = Monitor(target)
        self._monitor.start()
        self.live.phase = "waiting until leaders have settled"
        self._await_settled(self._monitor)
        self.live.phase = "load and faults"
        self._begin()
        try:
            self._executor.run(self._scenario.seconds)
        finally:
            self._executor.heal_all()
        self.live.phase = "healed; waiting until all replicas have caught up"
        self._await_converged()
        self._pause(COOL_DOWN_S)
        self._loaded_s = self._arena.now_s()
        self._load.stop()
        self._monitor.stop()
        self.live.phase = "checking what the clients saw"
        target.wait_whole(WHOLE_TIMEOUT_S)
        self._look_for_ends()
        self._verdicts += self._load.check()
        self._verdicts += [
            *verdicts.of_history(self._log.calls, self._log.totals),
            verdicts.expected_answers(self._log.unexpected),
        ]

    def _is_settled(self) -> bool:
        return self._monitor is not None and self._monitor.quiet_s() >= SETTLED_S and not lacking(self._target)

    def _await_settled(self, monitor: Monitor) -> None:
        """A new cluster spreads its leaders first: that is no effect of a fault."""
        deadline_s = time.monotonic() + SETTLED_TIMEOUT_S
        while monitor.quiet_s() < SETTLED_S and time.monotonic() < deadline_s:
            self._pause(CONVERGED_LOOK_S)

    def _begin(self) -> None:
        assert self._load is not None, "the play has made it"
        assert self._monitor is not None, "the play has made it"
        zero_s = time.monotonic() + WARM_UP_S
        self._arena.begin(zero_s)
        self._monitor.begin(zero_s)
        self._load.start(zero_s)
        self._pause(WARM_UP_S)

    def _await_converged(self) -> None:
        """Replicas catch up under load; how long that takes is part of the result."""
        began_s = time.monotonic()
        deadline_s = began_s + self._scenario.expect.converged_s
        while (missing := lacking(self._target)) and time.monotonic() < deadline_s:
            self._look_for_ends()
            time.sleep(CONVERGED_LOOK_S)
        if missing:
            self._arena.say("error", f"not converged: {missing}")
            return
        self._converged_s = time.monotonic() - began_s
        self._arena.say("note", f"every replica has caught up, {self._converged_s:.1f} s after the last fault")

    def _pause(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            self._look_for_ends()
            time.sleep(0.05)

    def _look_for_ends(self) -> None:
        """Processes that ended by themselves are part of the result, whether a fault explains them or not."""
        for ended in self._target.ended():
            due = self._arena.expected_ends.pop(ended.name, None)
            is_due = due is not None and due == ended.status
            if not (is_due and ended.name in self._arena.explained):
                self._exits.append((ended.name, ended.status))
            kind = "process" if is_due else "error"
            self._arena.say(kind, f"{ended.name} ended by itself with status {ended.status}")

    def _clean_up(self) -> None:
        """End everything that was begun; each step also when the one before failed."""
        # An impatient second Ctrl-C would leave the cluster broken: what follows has an end by itself.
        stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        previous = {number: signal.signal(number, signal.SIG_IGN) for number in stops}
        try:
            self._end_parts()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _end_parts(self) -> None:
        steps: list[tuple[str, Callable[[], None]]] = [("faults", self._executor.heal_all)]
        if self._load is not None:
            steps += [("clients", self._load.stop), ("clients", self._load.close)]
        if self._monitor is not None:
            steps.append(("monitor", self._monitor.stop))
        if self._cluster is not None:
            steps.append(("fault rules", self._look_for_rules))
            steps.append(("logs", self._read_logs))
        if self._rules is not None:
            steps.append(("fault services", self._rules.close))
        steps.append(("logs", lambda: self._saved.remember_logs(self._target)))
        steps.append(("cluster", self._target.close))
        for what, step in steps:
            try:
                step()
            except Exception as error:
                # Whatever it is: the steps after it must come, for the last one removes the cluster.
                self._executor.troubles.append(f"{what}: {error}")
                self._arena.say("error", f"cleaning up, {what}: {error}")

    def _look_for_rules(self) -> None:
        left = self._rules.left() if self._rules is not None else []
        if left:
            raise TargetError(f"rules are still in force: {', '.join(left)}")

    def _read_logs(self) -> None:
        nodes = [member.name for member in self._target.members if not member.is_router]
        self._rebuilt = [name for name in nodes if REBUILT_EVENT in self._target.log_text(name)]

    # --- the result -------------------------------------------------------------------------------------------------

    def _result(self, began_at: str) -> RunResult:
        operations = self._log.operations
        spans = self._executor.spans()
        led = self._led_by_victims(spans)
        gaps = measures.gaps(operations, spans, led)
        totals = measures.totals(operations)
        seen = expect.Measured(
            faults=spans,
            gaps=gaps,
            slowest_writes_ms=measures.slowest_writes(operations, spans, led),
            leaders=self._monitor.changes if self._monitor is not None else (),
            totals=totals,
            elections=self._monitor.elections if self._monitor is not None else None,
            converged_s=self._converged_s,
            exits=self._exits,
            hit=self._arena.hit,
            rebuilt=self._rebuilt,
            troubles=self._executor.troubles,
        )
        judged = expect.judge(self._scenario.expect, seen)
        held = all(line.held for line in judged) and all(one.held for one in self._verdicts) and bool(self._verdicts)
        return RunResult(
            format=FORMAT,
            scenario=self._scenario.name,
            about=self._scenario.about,
            seed=self._seed,
            command=self._command,
            began_at=began_at,
            seconds=round(self._loaded_s or max(0.0, self._arena.now_s()), 3),
            cluster=self._cluster or _nothing(self._target.kind),
            passed=held and not self._broke,
            verdicts=tuple(self._verdicts),
            expectations=tuple(judged),
            totals=tuple(totals),
            errors=dict(self._log.errors),
            faults=tuple(spans),
            gaps=tuple(gaps),
            samples=tuple(measures.samples(operations)),
            leaders=tuple(self._monitor.changes) if self._monitor is not None else (),
            staleness=tuple(by_zone(self._log.calls)),
            events=tuple(self._arena.events),
            history_file=Saved.HISTORY,
            logs=tuple(self._saved.log_names),
            broke=self._broke,
        )

    def _led_by_victims(self, spans: list[FaultSpan]) -> dict[int, frozenset[int]]:
        if self._monitor is None:
            return {}
        return {
            number: self._monitor.led_at(frozenset(span.victims), span.began_s) for number, span in enumerate(spans)
        }


def lacking(target: Target) -> str:
    """What is missing until every process runs and every replica is close behind its leader; empty for nothing."""
    down = [member.name for member in target.members if not target.is_running(member.name)]
    if down:
        return f"{', '.join(down)} do not run"
    status = target.status()
    if not status.healthy:
        return "a partition has no leader"
    routers = sum(member.is_router for member in target.members)
    apart = [node.id for node in status.nodes if len(node.peers) < len(status.nodes) - 1 or node.routers < routers]
    if apart:
        return f"{', '.join(apart)} are not connected to all others"
    late = [f"{node} in partition {partition}" for node, partition in behind(status)]
    return f"behind: {', '.join(late)}" if late else ""


# What a node logs of a replica that its peers rebuild; that it has come to an end is part of having converged.
REBUILT_EVENT = "replica_rebuilding"


def _describe(target: Target) -> Cluster:
    members = target.members
    try:
        release = version("trizone-server")
    except PackageNotFoundError:
        release = "not installed"
    return Cluster(
        against=target.kind,
        nodes={member.name: member.az for member in members if not member.is_router},
        routers={member.name: member.az for member in members if member.is_router},
        partitions=target.partitions,
        machine=f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
        version=release,
    )


def _nothing(kind: str) -> Cluster:
    return Cluster(against=kind, nodes={}, routers={}, partitions=0, machine="", version="")

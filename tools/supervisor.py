"""Brings a cluster up step by step, looks after it in the foreground, and takes it down in order.

Called by tools.cli. Laws: a step is reported when it is true, not when it was tried; when `up` fails, everything it
started is stopped again; when the foreground ends, nothing is left behind; a process that dies is reported, not
restarted, because people kill nodes on purpose.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable, Sequence

from runtime.clock import SystemClock
from tools.errors import CommandError, InterruptedByUser
from tools.folder import ClusterFolder
from tools.invocation import TRIZONE
from tools.probe import NodeProbe, ask_routers
from tools.processes import (
    ProcessRecord,
    ProcessTable,
    identify,
    last_lines,
    module_command,
    send,
    start,
    wait_for_end,
)
from tools.signals import StopRequests
from tools.status import ClusterStatus, collect
from topology.settings import ClusterSettings

START_TIMEOUT_S = 60.0
LOOK_INTERVAL_S = 0.1
# How often the foreground looks for processes that others started (`trizone start`). Ends wake it at once.
WATCH_INTERVAL_S = 1.0
# A process gets its own drain time and this to end; then SIGKILL.
STOP_MARGIN_S = 2.0
KILL_TIMEOUT_S = 10.0
LOG_LINES_SHOWN = 12

Say = Callable[[str], None]


class Supervisor:
    """All processes of one data folder."""

    def __init__(
        self, folder: ClusterFolder, settings: ClusterSettings, stops: StopRequests, say: Say, *, die_with_parent: bool
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._stops = stops
        self._say = say
        self._die_with_parent = die_with_parent
        self._table = ProcessTable(folder.run_path)
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._clock = SystemClock()
        self.node_names = [node.id for node in settings.nodes]
        self.router_names = [router.id for router in settings.routers]
        self._zones = settings.zones

    # --- up

    def up(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start what is missing and wait until the cluster serves.

        Raises CommandError with the reason and the last log lines, or InterruptedByUser; what this call started is
        stopped again in both cases.
        """
        cluster_id = self._folder.cluster_id()
        started: list[ProcessRecord] = []
        deadline = self._clock.monotonic() + timeout_s
        try:
            with NodeProbe(self._settings.nodes, cluster_id) as probe:
                self._start_missing(self.node_names, started)
                self._await_nodes(probe, started, deadline)
                self._start_missing(self.router_names, started)
                self._await_leaders(probe, started, deadline)
                self._await_routers(started, deadline)
        except BaseException as reason:
            # Whatever it was, also a bug of ours: a cluster that is half up must not stay behind unseen.
            if started:
                self._say("interrupted: stopping" if isinstance(reason, InterruptedByUser) else "stopping what started")
                self._stop_in_order(started)
            raise

    def start_one(self, name: str, *options: str, timeout_s: float = START_TIMEOUT_S) -> bool:
        """Start the process called `name` and wait until it answers; False when it runs already.

        `options` are for the process itself.
        """
        return self.start_some([name], timeout_s, *options) > 0

    def start_some(self, names: Sequence[str], timeout_s: float = START_TIMEOUT_S, *options: str) -> int:
        """Start those of `names` that do not run, all at once, and wait until they answer; how many these were.

        Raises CommandError or InterruptedByUser; what this call started is stopped again in both cases.
        """
        cluster_id = self._folder.cluster_id()
        started: list[ProcessRecord] = []
        missing = [name for name in names if self._table.find(name) is None]
        deadline = self._clock.monotonic() + timeout_s
        try:
            self._start_missing(missing, started, *options)
            nodes = [node for node in self._settings.nodes if node.id in missing]
            if nodes:
                with NodeProbe(nodes, cluster_id) as probe:
                    self._await_nodes(probe, started, deadline)
            routers = [name for name in missing if name in self.router_names]
            if routers:
                self._await_routers(started, deadline, routers)
        except BaseException:
            self._stop_in_order(started)
            raise
        return len(missing)

    def _start_missing(self, names: Sequence[str], started: list[ProcessRecord], *options: str) -> None:
        for name in names:
            title = self.title(name)
            running = self._table.find(name)
            if running is not None:
                self._say(f"{title} runs already, pid {running.pid}")
                continue
            module = "router" if name in self.router_names else "node"
            child = start(
                module_command(module, self._folder.settings_path, name, *options),
                self._folder.log_path(name),
                die_with_parent=self._die_with_parent,
            )
            self._children[child.pid] = child
            record = identify(name, child.pid)
            if record is None:
                raise self._ended_early(ProcessRecord(name, child.pid, 0.0))
            # Before its pid file: should the disk be full, it is stopped again like the others.
            started.append(record)
            self._table.add(record)
            self._say(f"{title} ({self._zones[name]}) started, pid {child.pid}")

    def _await_nodes(self, probe: NodeProbe, started: Sequence[ProcessRecord], deadline: float) -> None:
        silent: dict[str, str] | None = None
        while silent is None or silent:
            before = silent
            answers = probe.ask()
            silent = {answer.node_id: answer.reason for answer in answers if answer.status is None}
            for answer in answers:
                if answer.node_id not in silent and (before is None or answer.node_id in before):
                    self._say(f"node {answer.node_id} answers")
            if silent:
                missing = ", ".join(f"node {name}: {reason}" for name, reason in silent.items())
                self._pause(started, deadline, missing)

    def _await_leaders(self, probe: NodeProbe, started: Sequence[ProcessRecord], deadline: float) -> None:
        catalog_leader, with_leader = "", 0
        while True:
            status = collect(self._settings, self._folder.cluster_id(), probe.ask(), (), {})
            if status.catalog_leader and not catalog_leader:
                self._say(f"catalog group has a leader: {status.catalog_leader}")
            if status.with_leader > with_leader:
                self._say(f"{status.with_leader} of {self._settings.partitions.count} partitions have leaders")
            catalog_leader, with_leader = status.catalog_leader or catalog_leader, max(with_leader, status.with_leader)
            if status.healthy:
                return
            missing = [str(partition.id) for partition in status.partitions if not partition.leader]
            self._pause(started, deadline, f"no leader for partitions {', '.join(missing)}")

    def _await_routers(
        self, started: Sequence[ProcessRecord], deadline: float, names: Sequence[str] | None = None
    ) -> None:
        waiting = [router for router in self._settings.routers if names is None or router.id in names]
        while waiting:
            ready = {answer.router_id: answer for answer in ask_routers(waiting)}
            for router in waiting:
                if ready[router.id].ready:
                    self._say(f"router {router.id} serves {router.endpoint}")
            waiting = [router for router in waiting if not ready[router.id].ready]
            if waiting:
                missing = ", ".join(f"router {router.id}: {ready[router.id].reason}" for router in waiting)
                self._pause(started, deadline, missing)

    def _pause(self, started: Sequence[ProcessRecord], deadline: float, missing: str) -> None:
        """Until something may have changed. Raises when a process ended, the user stops it, or the time is over."""
        ended = wait_for_end(started, LOOK_INTERVAL_S, self._stops.wake)
        if self._stops.take():
            raise InterruptedByUser
        if ended:
            raise self._ended_early(ended[0])
        if self._clock.monotonic() > deadline:
            logs = f"{self._folder.path / 'logs'}/*.log"
            raise CommandError(f"the cluster did not start in time: {missing}", hint=f"the logs are in {logs}")

    def _ended_early(self, record: ProcessRecord) -> CommandError:
        path = self._folder.log_path(record.name)
        lines = "".join(f"\n  {line}" for line in last_lines(path, LOG_LINES_SHOWN)) or "\n  (its log is empty)"
        return CommandError(
            f"{self.title(record.name)} {self._exit_status(record)} while starting. Its last log lines:{lines}",
            hint=f"the whole log is {path}",
        )

    # --- watch

    def watch(self) -> None:
        """Report processes that end or come back, until the user asks to stop or no process is left."""
        current = {record.name: record for record in self._table.live(self._names)}
        while current and not self._stops.take():
            ended = wait_for_end(list(current.values()), WATCH_INTERVAL_S, self._stops.wake)
            for record in ended:
                self._report_end(record)
                self._table.remove(record)
                del current[record.name]
            for record in self._table.live(self._names):
                if record.name not in current:
                    self._say(f"{self.title(record.name)} is back, pid {record.pid}")
                current[record.name] = record
        if not current:
            raise CommandError("every process of the cluster has ended", hint=f"start it again with `{TRIZONE} up`")

    def _report_end(self, record: ProcessRecord) -> None:
        status = self._exit_status(record)
        self._say(f"{self.title(record.name)} (pid {record.pid}) {status}")
        if "exit status" in status and not status.endswith(" 0"):
            for line in last_lines(self._folder.log_path(record.name), LOG_LINES_SHOWN):
                self._say(f"  {line}")
        again = f"{TRIZONE} start {record.name}{self._folder.option}"
        self._say(f"the cluster goes on without it; `{again}` starts it again")

    def _exit_status(self, record: ProcessRecord) -> str:
        child = self._children.get(record.pid)
        if child is None:
            # Only a parent is told.
            return "has ended"
        try:
            code = child.wait(timeout=KILL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "has ended"
        if code >= 0:
            return f"ended with exit status {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"

    # --- down

    def stop_all(self) -> int:
        """Stop routers, then nodes; returns how many processes were running."""
        live = self._table.live(self._names)
        self._stop_in_order(live)
        return len(live)

    def stop_one(self, name: str, number: signal.Signals = signal.SIGTERM) -> bool:
        """Stop the process called `name`, at once with SIGKILL; False when it is not running."""
        record = self._table.find(name)
        if record is None:
            return False
        if number == signal.SIGKILL:
            self._kill([record], "killed")
        else:
            self._stop([record])
        return True

    def kill_some(self, names: Sequence[str]) -> int:
        """SIGKILL those of `names` that run, at the same moment, and wait for their end; how many these were."""
        records = self._table.live(names)
        self._kill(records, "killed")
        return len(records)

    def _stop_in_order(self, records: Sequence[ProcessRecord]) -> None:
        # Routers first: clients get their last answers from nodes that still run.
        try:
            self._stop([record for record in records if record.name in self.router_names])
        finally:
            self._stop([record for record in records if record.name not in self.router_names])

    def _stop(self, records: Sequence[ProcessRecord]) -> None:
        """SIGTERM, time to drain, then SIGKILL; a further Ctrl-C ends the waiting."""
        # Of the signals so far one is why we are here.
        self._stops.take()
        left = [record for record in records if send(record, signal.SIGTERM) or self._forget(record)]
        drain_s = self._settings.timeouts.drain_ms / 1000 + STOP_MARGIN_S
        deadline = self._clock.monotonic() + drain_s
        impatient = False
        while left and not impatient and self._clock.monotonic() < deadline:
            for record in wait_for_end(left, deadline - self._clock.monotonic(), self._stops.wake):
                left.remove(record)
                self._forget(record)
                self._say(f"{self.title(record.name)} stopped")
            impatient = self._stops.take()
        if left:
            self._kill(left, "killed at once" if impatient else f"did not stop within {drain_s:g} s: killed")

    def _kill(self, records: Sequence[ProcessRecord], how: str) -> None:
        left = [record for record in records if send(record, signal.SIGKILL) or self._forget(record)]
        deadline = self._clock.monotonic() + KILL_TIMEOUT_S
        while left:
            for record in wait_for_end(left, max(0.0, deadline - self._clock.monotonic())):
                left.remove(record)
                self._forget(record)
                self._say(f"{self.title(record.name)} {how}")
            if left and self._clock.monotonic() >= deadline:
                names = ", ".join(f"{record.name} (pid {record.pid})" for record in left)
                raise CommandError(f"still there after SIGKILL: {names}", hint="they may wait for a disk that hangs")

    def _forget(self, record: ProcessRecord) -> bool:
        """Remove its pid file and reap it if it is our child. False, for use in a condition."""
        # A pid file that stays names a process that has ended: nobody takes it for a live one.
        with contextlib.suppress(OSError):
            self._table.remove(record)
        child = self._children.pop(record.pid, None)
        if child is not None:
            child.wait()
        return False

    # --- status

    def status(self) -> ClusterStatus:
        """Ask every process now."""
        pids = {record.name: record.pid for record in self._table.live(self._names)}
        cluster_id = self._folder.cluster_id()
        with NodeProbe(self._settings.nodes, cluster_id) as probe:
            answers = probe.ask()
        return collect(self._settings, cluster_id, answers, ask_routers(self._settings.routers), pids)

    @property
    def _names(self) -> list[str]:
        return [*self.node_names, *self.router_names]

    def running(self) -> frozenset[str]:
        """Names of the processes that run now."""
        return frozenset(record.name for record in self._table.live(self._names))

    def title(self, name: str) -> str:
        """`node n1` or `router r1`. Raises CommandError for a name that is neither."""
        if name in self.router_names:
            return f"router {name}"
        if name in self.node_names:
            return f"node {name}"
        raise CommandError(f"there is no process {name!r} in this cluster", hint=f"known: {', '.join(self._names)}")

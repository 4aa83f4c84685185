"""A cluster of local processes in a folder of its own, to be hurt.

Made by chaos.cli and the tests. Law: processes die with this one (harness.cluster), so a runner that is killed leaves
nothing; which ends were asked for is known, so any other end is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chaos.targets.base import Ended, Member, NotSupported, TargetError
from harness.cluster import LocalCluster, processes_below
from harness.settings import HOST
from harness.waiting import NeverHappened
from tools.errors import CommandError
from tools.probe import PROBE_TIMEOUT_S, NodeProbe
from tools.processes import ProcessRecord
from tools.status import ClusterStatus, collect

ROUTERS = 3


class LocalTarget:
    """Three nodes and three routers in three AZs, as processes of this machine."""

    kind = "local"

    def __init__(self, folder: Path, *, routers: int = ROUTERS, settings: Mapping[str, object] | None = None) -> None:
        """Nothing runs yet. `settings` are further sections of cluster.yaml."""
        self._cluster = LocalCluster(folder, routers=routers, overrides=settings or {})
        self._records: dict[str, ProcessRecord] = {}
        self._ended: list[Ended] = []
        # A probe belongs to the thread that asks.
        self._probes = threading.local()
        self._opened: list[NodeProbe] = []

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and wait until it serves."""
        try:
            self._cluster.start()
        except CommandError as error:
            raise TargetError(str(error)) from error
        self._remember_all([member.name for member in self.members])

    def wait_whole(self, timeout_s: float) -> None:
        """Until every process serves, every partition has a leader and no replica lags."""
        try:
            self._cluster.wait_whole(timeout_s)
        except NeverHappened as never:
            raise TargetError(str(never)) from never

    def close(self) -> None:
        """Kill everything and drop the data; settings and logs stay."""
        for probe in self._opened:
            probe.__exit__()
        self._opened.clear()
        self._records.clear()
        try:
            self._cluster.close()
        except RuntimeError as error:
            raise TargetError(str(error)) from error
        left = processes_below(self._cluster.data)
        if left:
            raise TargetError(f"left behind: {left}")

    # --- who is there -----------------------------------------------------------------------------------------------

    @property
    def partitions(self) -> int:
        """Data partitions."""
        return self._cluster.settings.partitions.count

    @property
    def members(self) -> Sequence[Member]:
        """All nodes and routers."""
        settings = self._cluster.settings
        nodes = [Member(node.id, node.az, False) for node in settings.nodes]
        return nodes + [Member(router.id, router.az, True) for router in settings.routers]

    def http_address(self, router: str) -> tuple[str, int]:
        """Where clients reach a router."""
        return HOST, self._cluster.settings.router(router).http_port

    def grpc_address(self, node: str) -> tuple[str, int]:
        """Where a node's gRPC services are reached."""
        return HOST, self._cluster.settings.node(node).port

    def status(self, timeout_s: float = PROBE_TIMEOUT_S) -> ClusterStatus:
        """What the nodes say now."""
        probe: NodeProbe | None = getattr(self._probes, "own", None)
        settings, cluster_id = self._cluster.settings, self._cluster.cluster_id
        if probe is None:
            probe = self._probes.own = NodeProbe(settings.nodes, cluster_id)
            self._opened.append(probe)
        return collect(settings, cluster_id, probe.ask(timeout_s), (), {})

    def is_running(self, name: str) -> bool:
        """Does the process exist?"""
        record = self._records.get(name)
        return record is not None and record.is_alive

    def ended(self) -> Sequence[Ended]:
        """Processes that ended by themselves."""
        self._collect_ended()
        told, self._ended = self._ended, []
        return told

    def _collect_ended(self) -> None:
        gone = [record for record in list(self._records.values()) if not record.is_alive]
        for record in gone:
            del self._records[record.name]
            self._ended.append(Ended(record.name, self._cluster.exit_status(record.name, record)))

    # --- one process ------------------------------------------------------------------------------------------------

    def kill(self, names: Sequence[str]) -> None:
        """SIGKILL all of them at the same moment."""
        self._collect_ended()
        for name in names:
            self._records.pop(name, None)
        self._asked(lambda: self._cluster.supervisor.kill_some(names))

    def terminate(self, name: str) -> None:
        """SIGTERM, and wait until it has ended."""
        self._collect_ended()
        self._records.pop(name, None)
        self._asked(lambda: self._cluster.supervisor.stop_one(name))

    def start_process(self, name: str) -> None:
        """Start it again and wait until it answers."""
        self.start_processes([name])

    def start_processes(self, names: Sequence[str]) -> None:
        """Start several at once."""
        # Before their successors take the place of those that ended.
        self._collect_ended()
        self._asked(lambda: self._cluster.supervisor.start_some(names))
        self._remember_all(names)

    def rebuild(self, node: str) -> None:
        """Set what is left of its data aside and start it with --rebuild."""
        self._collect_ended()
        self._asked(lambda: self._cluster.rebuild(node))
        self._remember_all([node])

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self._asked(lambda: self._cluster.pause(name))

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self._asked(lambda: self._cluster.resume(name))

    def _asked(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (CommandError, RuntimeError, ProcessLookupError) as error:
            raise TargetError(str(error)) from error

    def _remember_all(self, names: Sequence[str]) -> None:
        """Raises TargetError when one has ended again already; the others are remembered."""

        def remember(name: str) -> None:
            self._records[name] = self._cluster.record(name)

        failures = []
        for name in names:
            try:
                self._asked(lambda name=name: remember(name))  # type: ignore[misc]
            except TargetError as error:
                failures.append(str(error))
        if failures:
            raise TargetError(f"ended as soon as started: {'; '.join(failures)}")

    # --- networks ---------------------------------------------------------------------------------------------------

    def cut_az(self, az: str) -> None:
        """Not possible: all processes share this machine's network."""
        raise NotSupported(f"the networks of {az} cannot be disconnected: local processes have none of their own")

    def join_az(self, az: str) -> None:
        """There is nothing to connect: it can never have been cut."""

    # --- what lies on disk ------------------------------------------------------------------------------------------

    def pid(self, name: str) -> int:
        """The process id."""
        record = self._records.get(name)
        if record is None or not record.is_alive:
            raise TargetError(f"{name} does not run")
        return record.pid

    def data_folder(self, node: str) -> Path:
        """Where a node's files lie."""
        return self._cluster.data / self._cluster.settings.node(node).data_folder

    def log_text(self, name: str) -> str:
        """All that the process has logged."""
        return self._cluster.log_text(name)

    def fault_token_path(self) -> Path:
        """The file with the secret of the fault-injection service."""
        return self._cluster.data / "fault-token"

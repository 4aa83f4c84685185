"""A real cluster in a folder of its own: started, watched, hurt and stopped through the code behind `trizone`.

Used by the fixtures of tests/conftest.py. Laws: processes are started from the main thread only and die with this one
(the kernel ties a child to the thread that made it, tools.launch), so a killed test run leaves nothing behind; what
`close` finds still running after it stopped everything is an error.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from harness.http import HttpConnection
from harness.settings import HOST, Overrides, free_http_port, node_names, settings_text
from harness.waiting import wait_until
from runtime.clock import SystemClock
from tools.folder import ClusterFolder, read_settings
from tools.ports import ephemeral_begin, first_chosen_port, is_free
from tools.probe import NodeProbe
from tools.processes import ProcessRecord, ProcessTable, identify, wait_for_end
from tools.resolve import resolve
from tools.signals import StopRequests
from tools.status import ClusterStatus
from tools.supervisor import Supervisor
from topology.settings import ClusterSettings
from wire import data_pb2

WHOLE_TIMEOUT_S = 30.0
END_TIMEOUT_S = 20.0
COMMAND_TIMEOUT_S = 90.0


class LocalCluster:
    """Three nodes or more in three AZs and some routers, as processes of this machine."""

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 3,
        routers: int = 1,
        overrides: Overrides | None = None,
        data_folders: Mapping[str, Path] | None = None,
    ) -> None:
        """Nothing runs yet; `folder` must not be another cluster's. The rest: harness.settings.settings_text."""
        self.data = folder / "data"
        self._config = folder / "cluster.yaml"
        self._nodes = nodes
        self._routers = routers
        folder.mkdir(parents=True, exist_ok=True)
        text = settings_text(nodes=nodes, routers=routers, overrides=overrides or {}, data_folders=data_folders or {})
        self._config.write_text(text, encoding="utf-8")
        self._folder = ClusterFolder(self.data)
        self._stops = StopRequests()
        self._supervisor: Supervisor | None = None
        self._settings: ClusterSettings | None = None
        self.said: list[str] = []

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start what is missing and wait until the cluster serves."""
        self._require_main_thread()
        self._folder.create()
        previous = self._folder.previous()
        first = previous.settings.routers[0].http_port if previous else free_http_port(self.data, self._routers)
        table = ProcessTable(self._folder.run_path)
        end_port = ephemeral_begin()
        resolved = resolve(
            read_settings(self._config),
            folder=self._folder.path,
            previous=previous,
            http_port=first,
            running=frozenset(record.name for record in table.live(node_names(self._nodes) + self.router_names)),
            is_free=is_free,
            first_port=first_chosen_port(self._folder.path, end_port),
            end_port=end_port,
        )
        self._folder.remember(resolved)
        self._settings = resolved.settings
        if self._supervisor is None:
            self._supervisor = Supervisor(
                self._folder, resolved.settings, self._stops, self.said.append, die_with_parent=True
            )
        self._supervisor.up()

    def stop(self) -> None:
        """Stop everything in order, as `trizone down` does; the data stays."""
        self.supervisor.stop_all()

    def close(self) -> None:
        """Kill everything and drop the data, keep settings and logs. Raises RuntimeError when a process is left."""
        if self._supervisor is not None:
            for name in sorted(self._supervisor.running()):
                # Nobody needs the data any more: no drain.
                self._supervisor.stop_one(name, signal.SIGKILL)
        left = processes_below(self.data)
        for process in left:
            process.kill()
        shutil.rmtree(self.data / "nodes", ignore_errors=True)
        os.close(self._stops.wake)
        if left:
            raise RuntimeError(f"left behind by the cluster in {self.data}: {left}")

    @staticmethod
    def _require_main_thread() -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a process started in another thread would die with that thread")

    # --- one process ------------------------------------------------------------------------------------------------

    def start_process(self, name: str) -> None:
        """Start one process again and wait until it answers."""
        self._require_main_thread()
        if not self.supervisor.start_one(name):
            raise RuntimeError(f"{name} runs already")

    def rebuild(self, name: str) -> None:
        """`trizone start NAME --rebuild`: its data set aside, rebuilt from its peers."""
        self._require_main_thread()
        self._folder.set_data_aside(self.settings.node(name).data_folder, SystemClock().wall_ms())
        if not self.supervisor.start_one(name, "--rebuild"):
            raise RuntimeError(f"{name} runs already")

    def kill(self, name: str) -> None:
        """kill -9, and wait until the process has ended."""
        if not self.supervisor.stop_one(name, signal.SIGKILL):
            raise RuntimeError(f"{name} does not run")

    def terminate(self, name: str) -> None:
        """SIGTERM, and wait until the process has drained and ended (killed when it takes too long)."""
        if not self.supervisor.stop_one(name):
            raise RuntimeError(f"{name} does not run")

    def pause(self, name: str) -> None:
        """SIGSTOP: alive, its connections open, and silent."""
        os.kill(self.pid(name), signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        os.kill(self.pid(name), signal.SIGCONT)

    def pid(self, name: str) -> int:
        """The process id. Raises RuntimeError when it does not run."""
        return self._record(name).pid

    def _record(self, name: str) -> ProcessRecord:
        record = ProcessTable(self._folder.run_path).find(name)
        if record is None:
            raise RuntimeError(f"{name} does not run")
        return record

    def wait_ended(self, timeout_s: float = END_TIMEOUT_S) -> None:
        """Until no process of the cluster runs."""
        wait_until(lambda: not self.supervisor.running(), timeout_s=timeout_s, what="every process has ended")

    def exit_status(self, name: str, record: ProcessRecord, timeout_s: float = END_TIMEOUT_S) -> int:
        """Wait for the process of `record` to end by itself; its exit status, negative for a signal."""
        if not wait_for_end([record], timeout_s):
            raise RuntimeError(f"{name} (pid {record.pid}) did not end within {timeout_s:g} s")
        # Looked at, not reaped: the supervisor is the parent that reports and reaps it.
        ended = os.waitid(os.P_PID, record.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None, "without WNOHANG there is always an answer"
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def record(self, name: str) -> ProcessRecord:
        """The running process, to be waited for. Raises RuntimeError when it does not run."""
        record = identify(name, self.pid(name))
        if record is None:
            raise RuntimeError(f"{name} has ended a moment ago")
        return record

    # --- looking ----------------------------------------------------------------------------------------------------

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor. Raises RuntimeError before `start`."""
        if self._supervisor is None:
            raise RuntimeError("the cluster was never started")
        return self._supervisor

    @property
    def settings(self) -> ClusterSettings:
        """The resolved settings. Raises RuntimeError before `start`."""
        if self._settings is None:
            raise RuntimeError("the cluster was never started")
        return self._settings

    @property
    def cluster_id(self) -> str:
        """The cluster's uuid."""
        return self._folder.cluster_id()

    @property
    def router_names(self) -> list[str]:
        """r1, r2, ..."""
        return [f"r{number + 1}" for number in range(self._routers)]

    def status(self) -> ClusterStatus:
        """What the processes say now."""
        return self.supervisor.status()

    def replicas(self, node: str) -> dict[int, data_pb2.ReplicaStatus]:
        """What one node says of its replicas, by partition: more than the status shows (first index)."""
        with NodeProbe([self.settings.node(node)], self._folder.cluster_id()) as probe:
            answer = probe.ask()[0]
        if answer.status is None:
            raise RuntimeError(f"{node}: {answer.reason}")
        return {replica.partition: replica for replica in answer.status.replicas}

    def wait_whole(self, timeout_s: float = WHOLE_TIMEOUT_S, lag_entries_max: int = 0) -> ClusterStatus:
        """Until every process serves, every partition has a leader and no replica lags.

        Under writes some replica always does, for nodes are asked one after the other: allow for that.
        """

        def look() -> ClusterStatus | None:
            status = self.status()
            replicas = [replica for partition in status.partitions for replica in partition.replicas]
            whole = (
                status.healthy
                and all(node.up and len(node.peers) == self._nodes - 1 for node in status.nodes)
                and all(router.ready for router in status.routers)
                and all(node.routers == self._routers for node in status.nodes)
                and all(replica.lag is not None and replica.lag <= lag_entries_max for replica in replicas)
            )
            return status if whole else None

        return wait_until(look, timeout_s=timeout_s, what="all processes serve and all replicas have caught up")

    def wait_spread(self, timeout_s: float = WHOLE_TIMEOUT_S) -> ClusterStatus:
        """Whole, and every node leads a third of the data partitions again."""

        def look() -> ClusterStatus | None:
            status = self.wait_whole(timeout_s)
            led = [sum(part.leader == node.id for part in status.partitions if part.id) for node in status.nodes]
            return status if max(led) == min(led) else None

        return wait_until(look, timeout_s=timeout_s, what="leaders are spread over the nodes")

    def leaders(self) -> dict[int, str]:
        """Leader by partition, "" for none; 0 is the catalog."""
        return {partition.id: partition.leader for partition in self.status().partitions}

    def log_events(self, name: str) -> list[dict[str, Any]]:
        """Every line of a process's log. Raises ValueError for a line that is not JSON."""
        lines = self._folder.log_path(name).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def log_text(self, name: str) -> str:
        """A process's whole log; empty when it has none."""
        path = self._folder.log_path(name)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    # --- clients ----------------------------------------------------------------------------------------------------

    def endpoint(self, router: int = 0) -> str:
        """`http://127.0.0.1:port` of a router."""
        return self.settings.routers[router].endpoint

    def http(self, router: int = 0) -> HttpConnection:
        """A raw connection to a router."""
        return HttpConnection(HOST, self.settings.routers[router].http_port)

    def dynamodb(self, *, router: int = 0, region: str = "us-east-1", retries: bool = False) -> Any:
        """A boto3 client of a router."""
        # boto3 is for development only; chaos runs clusters without it.
        from harness.clients import client_of

        return client_of(self.endpoint(router), region=region, retries=retries)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `trizone ARGUMENTS --data ...` as a user would. Not for `down`, which would stop this process's own."""
        command = [sys.executable, "-m", "tools.cli", *arguments, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT_S)


def processes_below(folder: Path) -> list[psutil.Process]:
    """Live processes that were started with settings in `folder` or below."""
    prefix = str(folder.resolve()) + os.sep
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        arguments: list[str] = process.info["cmdline"] or []
        is_ours = "--config" in arguments and any(argument.startswith(prefix) for argument in arguments)
        if is_ours and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found

"""A cluster of containers, to be hurt: deploy/compose.yaml under a name of its own.

Made by chaos.cli and the tests. Laws: pauses, kills and cuts are the engine's own (freezer, SIGKILL, networks
disconnected), nothing is pretended; ends are learned from the engine's events, and those that were asked for are not
told; `close` leaves no container, network or volume of this run.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml

from chaos.targets.base import Ended, Member, NotSupported, TargetError
from chaos.targets.deaths import Deaths
from deploy.docker import EngineError, docker, reason_without_engine
from deploy.image import ensure_image
from deploy.project import SETTINGS_FILE, Ports, Project
from harness.settings import HOST, free_http_port
from harness.waiting import NeverHappened, wait_until
from tools.folder import write_whole
from tools.probe import PROBE_TIMEOUT_S, NodeProbe, ask_routers
from tools.status import ClusterStatus, collect
from topology.settings import ClusterSettings, load_settings

START_TIMEOUT_S = 90.0
STOP_MARGIN_S = 15
SHARED_FOLDER = "/var/lib/trizone/data"

Say = Callable[[str], None]


def unused(_: str) -> None:
    """Says nothing."""


class ComposeTarget:
    """Three nodes in three AZs and two routers, each in a container."""

    kind = "compose"

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, object] | None = None,
        image: str = "",
        say: Say = unused,
    ) -> None:
        """Nothing runs yet. `settings` are further sections of cluster.yaml; `image`: one that the engine has."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._image = image
        self._say = say
        document = yaml.safe_load(SETTINGS_FILE.read_text(encoding="utf-8")) | dict(settings or {})
        text = yaml.safe_dump(document, sort_keys=False)
        self.settings: ClusterSettings = load_settings(text, str(SETTINGS_FILE))
        self._config = folder / "cluster.yaml"
        self._config.write_text(text, encoding="utf-8")
        # The container that reads it has another user.
        self._config.chmod(0o644)
        self._token = secrets.token_hex(32)
        write_whole(self.fault_token_path(), f"{self._token}\n")
        self.fault_token_path().chmod(0o600)
        first = free_http_port(folder, len(self.settings.routers) + len(self.settings.nodes))
        routers = {router.id: first + number for number, router in enumerate(self.settings.routers)}
        nodes = {node.id: first + len(routers) + number for number, node in enumerate(self.settings.nodes)}
        self._ports = Ports(nodes, routers)
        self.name = f"trizone-{secrets.token_hex(4)}"
        self._project: Project | None = None
        self._deaths: Deaths | None = None
        self._cluster_id = ""
        # As the containers are reached from here.
        self._outside = self.settings.model_copy(
            update={
                "nodes": tuple(
                    node.model_copy(update={"host": HOST, "port": nodes[node.id]}) for node in self.settings.nodes
                ),
                "routers": tuple(
                    one.model_copy(update={"http_host": HOST, "http_port": routers[one.id]})
                    for one in self.settings.routers
                ),
            }
        )
        # A probe belongs to the thread that asks.
        self._probes = threading.local()
        self._opened: list[NodeProbe] = []

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Build the image when the engine has none of this source, start everything and wait until it serves."""
        reason = reason_without_engine()
        if reason:
            raise TargetError(f"{reason}. `make test-compose` starts an engine of its own where it can")
        with _translated():
            image = self._image or ensure_image(self._say)
            self._project = Project(
                self.name, image=image, settings=self._config, ports=self._ports, fault_token=self._token
            )
            self._project.up()
            self._deaths = Deaths(self.name)
            self._await("the cluster serves", lambda: self._is_whole(lags=True), START_TIMEOUT_S)

    def wait_whole(self, timeout_s: float) -> None:
        """Until every process serves, every partition has a leader and no replica lags."""
        self._await("all processes serve and all replicas have caught up", self._is_whole, timeout_s)

    def _await(self, what: str, look: Callable[[], bool], timeout_s: float) -> None:
        try:
            wait_until(look, timeout_s=timeout_s, what=what)
        except NeverHappened as never:
            raise TargetError(f"{never}\n{self._complaints()}") from never

    def _complaints(self) -> str:
        """The last lines of whoever has ended: why a cluster did not start."""
        lines = []
        for member in self.members:
            if not self.is_running(member.name):
                lines += [f"{member.name}: {line}" for line in self.log_text(member.name).splitlines()[-3:]]
        return "\n".join(lines)

    def _is_whole(self, *, lags: bool = False) -> bool:
        """Everybody serves and is connected; unless `lags`, no replica is behind."""
        try:
            if not self._cluster_id:
                self._cluster_id = self._running.read_file("n1", f"{SHARED_FOLDER}/cluster-id").strip()
        except EngineError:
            return False
        status = self.status()
        replicas = [replica for partition in status.partitions for replica in partition.replicas]
        return (
            status.healthy
            and all(node.up and len(node.peers) == len(self.settings.nodes) - 1 for node in status.nodes)
            and all(node.routers == len(self.settings.routers) for node in status.nodes)
            and all(answer.ready for answer in ask_routers(self._outside.routers))
            and (lags or all(replica.lag == 0 for replica in replicas))
        )

    def close(self) -> None:
        """Remove every container, network and volume; the settings stay."""
        for probe in self._opened:
            probe.__exit__()
        self._opened.clear()
        project, self._project = self._project, None
        if self._deaths is not None:
            self._deaths.close()
        if project is not None:
            with _translated():
                project.remove()

    @property
    def _running(self) -> Project:
        if self._project is None:
            raise TargetError("the cluster was never started")
        return self._project

    # --- who is there -----------------------------------------------------------------------------------------------

    @property
    def partitions(self) -> int:
        """Data partitions."""
        return self.settings.partitions.count

    @property
    def members(self) -> Sequence[Member]:
        """All nodes and routers."""
        nodes = [Member(node.id, node.az, False) for node in self.settings.nodes]
        return nodes + [Member(router.id, router.az, True) for router in self.settings.routers]

    def http_address(self, router: str) -> tuple[str, int]:
        """Where clients reach a router."""
        return HOST, self._ports.routers[router]

    def grpc_address(self, node: str) -> tuple[str, int]:
        """Where a node's gRPC services are reached."""
        return HOST, self._ports.nodes[node]

    def status(self, timeout_s: float = PROBE_TIMEOUT_S) -> ClusterStatus:
        """What the nodes say now."""
        if not self._cluster_id:
            raise TargetError("the cluster was never started")
        probe: NodeProbe | None = getattr(self._probes, "own", None)
        if probe is None:
            probe = self._probes.own = NodeProbe(self._outside.nodes, self._cluster_id)
            self._opened.append(probe)
        return collect(self._outside, self._cluster_id, probe.ask(timeout_s), (), {})

    def container(self, name: str) -> str:
        """The container's id. Raises TargetError."""
        with _translated():
            return self._running.container(name)

    def is_running(self, name: str) -> bool:
        """Does the container run? A paused one does."""
        with _translated():
            return self._running.inspect(name, "{{.State.Running}}") == "true"

    def ended(self) -> Sequence[Ended]:
        """Containers that ended by themselves."""
        return [Ended(name, status) for name, status in self._told.unasked()]

    @property
    def _told(self) -> Deaths:
        if self._deaths is None:
            raise TargetError("the cluster was never started")
        return self._deaths

    # --- one process ------------------------------------------------------------------------------------------------

    def kill(self, names: Sequence[str]) -> None:
        """SIGKILL all of them at the same moment."""
        self._end(names, "kill")

    def terminate(self, name: str) -> None:
        """SIGTERM, and wait until it has ended; it is killed when it takes too long."""
        drain_s = self.settings.timeouts.drain_ms // 1000 + STOP_MARGIN_S
        self._end([name], "stop", "--time", str(drain_s))

    def _end(self, names: Sequence[str], *command: str) -> None:
        if not names:
            return
        with _translated(), self._told.asked(Counter(names)):
            containers = self._running.containers()
            docker(*command, *(containers[name] for name in names))

    def start_process(self, name: str) -> None:
        """Start it again and wait until it answers."""
        self.start_processes([name])

    def start_processes(self, names: Sequence[str]) -> None:
        """Start several at once."""
        with _translated():
            containers = self._running.containers()
            docker("start", *(containers[name] for name in names))
        self._await(f"{', '.join(names)} answer", lambda: all(map(self._answers, names)), START_TIMEOUT_S)

    def _answers(self, name: str) -> bool:
        routers = [router for router in self._outside.routers if router.id == name]
        if routers:
            return ask_routers(routers)[0].ready
        return any(node.id == name and node.up for node in self.status().nodes)

    def rebuild(self, node: str) -> None:
        """The entry point of a container takes no further options."""
        raise NotSupported(f"{node}: containers are not rebuilt from here")

    def pause(self, name: str) -> None:
        """Freeze all its threads: alive, connections open, silent."""
        with _translated():
            docker("pause", self._running.container(name))

    def resume(self, name: str) -> None:
        """Thaw it."""
        with _translated():
            docker("unpause", self._running.container(name))

    # --- networks ---------------------------------------------------------------------------------------------------

    def cut_az(self, az: str) -> None:
        """Disconnect everything in an AZ from the networks of the others; inside it all goes on."""
        with _translated():
            self._running.cut(self._in_az(az))

    def join_az(self, az: str) -> None:
        """Connect it again. What is connected already stays so."""
        with _translated():
            self._running.join(self._in_az(az))

    def _in_az(self, az: str) -> list[str]:
        names = [member.name for member in self.members if member.az == az]
        if not names:
            raise TargetError(f"nobody is in {az!r}")
        return names

    # --- what lies on disk ------------------------------------------------------------------------------------------

    def pid(self, name: str) -> int:
        """The process id as this machine sees it. Raises NotSupported with an engine elsewhere."""
        with _translated():
            first = int(self._running.inspect(name, "{{.State.Pid}}"))
        if first == 0:
            raise TargetError(f"{name} does not run")
        try:
            # The container's first process only reaps and forwards signals (`init: true`).
            return psutil.Process(first).children()[0].pid
        except (psutil.Error, IndexError) as error:
            raise NotSupported("the engine's processes cannot be seen from here") from error

    def data_folder(self, node: str) -> Path:
        """Where a node's files lie. Raises NotSupported where the engine keeps them out of reach."""
        with _translated():
            folder = self._running.volume_folder(node) / node
        try:
            if folder.is_dir():
                return folder
        except OSError:
            pass
        raise NotSupported("the engine's volumes cannot be reached from here: that takes its own machine, and root")

    def log_text(self, name: str) -> str:
        """All that the process has logged."""
        with _translated():
            return self._running.log_text(name)

    def fault_token_path(self) -> Path:
        """The file with the secret of the fault-injection service."""
        return self._folder / "fault-token"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        raise TargetError(str(error)) from error

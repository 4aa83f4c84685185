"""The peers with three nodes: etcd, and Trizone itself.

Called by compare.py through `peer.Peer`. Laws: etcd syncs before it acknowledges, as it does unless told otherwise,
with its data on the disk that Trizone's is on; it is asked at its leader, where it need not forward anything.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from bench_cluster import Target, own_cluster
from peers.install import Cache, run_to_end
from peers.peer import HOST, DynamoDbPeer, EtcdPeer, Processes, free_ports

from tools.errors import CommandError
from tools.signals import StopRequests
from tools.supervisor import Say

NODES = 3


class Etcd(EtcdPeer):
    """A cluster of three."""

    name = "etcd"
    title = "etcd, three nodes"
    keeps = "three copies, synced"

    def __init__(self, stops: StopRequests, say: Say) -> None:
        super().__init__(stops, say)
        self._processes = Processes(stops)
        self._ports: list[int] = []

    def install(self, cache: Cache) -> None:
        """From Debian."""
        self._program = cache.etcd()
        self.version = run_to_end([self._program, "--version"], self.stops).splitlines()[0].rpartition(" ")[2]

    def start(self, folder: Path) -> None:
        """Three processes, one leader."""
        ports = free_ports(folder, 2 * NODES)
        self._ports, between = ports[:NODES], ports[NODES:]
        names = [f"etcd{number}" for number in range(1, NODES + 1)]
        cluster = ",".join(f"{name}=http://{HOST}:{port}" for name, port in zip(names, between, strict=True))
        for name, port, peer_port in zip(names, self._ports, between, strict=True):
            command: list[str | Path] = [self._program, "--name", name, "--data-dir", folder / name]
            for kind, own in (("client", port), ("peer", peer_port)):
                advertise = "--advertise-client-urls" if kind == "client" else "--initial-advertise-peer-urls"
                command += [f"--listen-{kind}-urls", f"http://{HOST}:{own}", advertise, f"http://{HOST}:{own}"]
            command += ["--initial-cluster", cluster, "--initial-cluster-state", "new"]
            command += ["--initial-cluster-token", folder.name, "--logger", "zap", "--log-level", "warn"]
            self._processes.start(name, command, folder)
        self._processes.wait(self._serves)

    def _serves(self) -> bool:
        try:
            return self._leader_port() is not None
        except CommandError:
            return False

    def _leader_port(self) -> int | None:
        """The leader's port once all agree on it."""
        known = [self.call(port, "/v3/maintenance/status", {}) for port in self._ports]
        leaders = {one.get("leader", "0") for one in known}
        members = [one["header"]["member_id"] for one in known]
        if len(leaders) != 1 or leaders == {"0"}:
            return None
        return dict(zip(members, self._ports, strict=True)).get(leaders.pop())

    def target(self) -> Target:
        """The leader, now. Raises CommandError when there is none."""
        watched = self._processes.watched()
        port = self._leader_port()
        if port is None:
            raise CommandError("etcd has no leader")
        return Target(HOST, port, watched, {})

    def stop(self) -> None:
        """End all three."""
        self._processes.stop()


class Trizone(DynamoDbPeer):
    """Three nodes and a router, as `make up` starts them."""

    name = "trizone"
    title = "Trizone, three nodes"
    keeps = "three copies, synced"

    def __init__(self, stops: StopRequests, say: Say) -> None:
        super().__init__(stops, say)
        self._running = ExitStack()
        self._target: Target | None = None

    def install(self, cache: Cache) -> None:
        """It is here."""
        del cache

    def start(self, folder: Path) -> None:
        """A cluster of its own under `folder`."""
        cluster = own_cluster(folder, "sync", self.stops, lambda _: None)
        self._target = self._running.enter_context(cluster)

    def target(self) -> Target:
        """The router."""
        assert self._target is not None, "started"
        return self._target

    def stop(self) -> None:
        """End all four."""
        self._target = None
        self._running.close()

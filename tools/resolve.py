"""From the cluster.yaml a person wrote to the one the processes read: absolute folders, ports that are free.

Called by `trizone up`. Pure: whether a port is free is asked through a function. Laws: a data folder keeps its ports
from one `up` to the next, and a file that no longer fits the data in the folder is refused before anything starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.errors import EXIT_USAGE, CommandError
from tools.invocation import TRIZONE
from topology.settings import ClusterSettings, NodeSettings, RouterSettings

# (host, port) -> may a process bind it now?
IsFree = Callable[[str, int], bool]

HTTP_PORT = "http_port"
GRPC_PORT = "port"

# Chosen ports begin here. They end below the range of ports that the kernel gives to outgoing connections: a router
# that dials a dead node's port again and again would sooner or later be given that very port as its own and hold it
# (TCP connects to itself), and the node could not start again.
CHOSEN_PORT_MIN = 10_000


@dataclass(frozen=True, slots=True)
class PortUse:
    """One port of one process: what the file asks for and what the process gets."""

    member: str
    key: str
    asked: int
    given: int

    @property
    def name(self) -> str:
        """`n1.port`, the key under which a folder remembers it."""
        return f"{self.member}.{self.key}"


@dataclass(frozen=True, slots=True)
class Previous:
    """What a data folder remembers of its last `up`."""

    settings: ClusterSettings
    ports: Mapping[str, PortUse]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings to run with, and the ports to remember."""

    settings: ClusterSettings
    ports: dict[str, PortUse]


@dataclass(slots=True)
class _Chooser:
    """Finds free ports, none of them twice."""

    is_free: IsFree
    next_port: int
    end_port: int
    taken: set[tuple[str, int]]

    def choose(self, host: str) -> int:
        span = self.end_port - CHOSEN_PORT_MIN
        for step in range(span):
            port = CHOSEN_PORT_MIN + (self.next_port - CHOSEN_PORT_MIN + step) % span
            if (host, port) not in self.taken and self.is_free(host, port):
                self.taken.add((host, port))
                self.next_port = port + 1
                return port
        raise CommandError(f"no free port on {host} between {CHOSEN_PORT_MIN} and {self.end_port}")


def differences(previous: ClusterSettings, wanted: ClusterSettings) -> list[str]:
    """What in `wanted` does not fit data that was written under `previous`, one line each."""
    found = []
    if previous.partitions.count != wanted.partitions.count:
        found.append(f"partitions.count: was {previous.partitions.count}, now {wanted.partitions.count}")
    before = {node.id: node for node in previous.nodes}
    after = {node.id: node for node in wanted.nodes}
    found += [f"node {name}: is missing" for name in before if name not in after]
    found += [f"node {name}: is new" for name in after if name not in before]
    for name in before.keys() & after.keys():
        for key in ("az", "host"):
            was, now = getattr(before[name], key), getattr(after[name], key)
            if was != now:
                found.append(f"node {name}: {key} was {was}, now {now}")
    return sorted(found)


def resolve(
    wanted: ClusterSettings,
    *,
    folder: Path,
    previous: Previous | None,
    http_port: int | None,
    running: frozenset[str],
    is_free: IsFree,
    first_port: int,
    end_port: int,
) -> Resolved:
    """The settings to run `wanted` with in `folder` (absolute).

    `http_port` is the first router's, the next ones count up. Members in `running` keep their ports. Chosen ports lie
    from CHOSEN_PORT_MIN to `end_port`, beginning at `first_port`. Raises CommandError when the file does not fit the
    folder, or a port that cannot be replaced is in use.
    """
    if previous is not None:
        _check_fit(previous.settings, wanted, folder)
    asked = list(_asked(wanted))
    chooser = _Chooser(is_free, first_port, end_port, {(host, use.asked) for use, host in asked})
    ports: dict[str, PortUse] = {}
    # A second cluster beside the first: the file's ports belong to the first one, running or not.
    beside = http_port is not None and previous is None and http_port != wanted.routers[0].http_port
    router_number = {router.id: number for number, router in enumerate(wanted.routers)}
    for use, host in asked:
        known = previous.ports.get(use.name) if previous is not None else None
        if use.member in running and known is not None:
            given = _running_port(use, known, http_port, router_number)
        elif use.key == HTTP_PORT:
            given = _http_port(use, known, http_port, router_number[use.member])
            _require_free(use, host, given, is_free)
        elif use.key == GRPC_PORT and known is not None:
            given = _known_grpc_port(use, known, folder)
            _require_free(use, host, given, is_free)
        else:
            # Nothing remembers a metrics port, and nobody yet a new folder's gRPC port: a busy one is replaced.
            given = known.given if known is not None and known.asked == use.asked else use.asked
            if (beside and known is None) or not is_free(host, given):
                given = chooser.choose(host)
        chooser.taken.add((host, given))
        ports[use.name] = PortUse(use.member, use.key, use.asked, given)
    _check_unique(wanted, ports)
    return Resolved(_with_ports(wanted, ports, folder), ports)


def _asked(settings: ClusterSettings) -> Iterator[tuple[PortUse, str]]:
    """Every port of the file with its host; HTTP first, so that nothing chosen can stand in its way."""
    for router in settings.routers:
        yield PortUse(router.id, HTTP_PORT, router.http_port, 0), router.bind_host
    for node in settings.nodes:
        yield PortUse(node.id, GRPC_PORT, node.port, 0), node.bind_host
        yield PortUse(node.id, "metrics_port", node.metrics_port, 0), node.bind_host
    for router in settings.routers:
        yield PortUse(router.id, "metrics_port", router.metrics_port, 0), router.bind_host


def _check_fit(previous: ClusterSettings, wanted: ClusterSettings, folder: Path) -> None:
    found = differences(previous, wanted)
    if found:
        raise CommandError(
            f"the settings do not fit the data in {folder}:\n" + "\n".join(f"  {line}" for line in found),
            hint="undo these changes, or start a new cluster in another folder with --data DIR",
            exit_code=EXIT_USAGE,
        )


def _running_port(use: PortUse, known: PortUse, http_port: int | None, router_number: Mapping[str, int]) -> int:
    if use.key == HTTP_PORT and http_port is not None and known.given != http_port + router_number[use.member]:
        raise CommandError(
            f"router {use.member} already serves port {known.given}",
            hint=f"stop the cluster with `{TRIZONE} down` before you change its port",
            exit_code=EXIT_USAGE,
        )
    return known.given


def _http_port(use: PortUse, known: PortUse | None, http_port: int | None, number: int) -> int:
    if http_port is not None:
        port = http_port + number
        if port > 65535:
            raise CommandError(f"--http-port {http_port} leaves no port for router {use.member}", exit_code=EXIT_USAGE)
        return port
    return known.given if known is not None and known.asked == use.asked else use.asked


def _known_grpc_port(use: PortUse, known: PortUse, folder: Path) -> int:
    # The replicated catalog holds the nodes' addresses.
    if use.asked not in (known.asked, known.given):
        raise CommandError(
            f"node {use.member}: port was {known.given} when {folder} was made, now {use.asked}",
            hint=f"set it back to {known.asked}, or start a new cluster in another folder with --data DIR",
            exit_code=EXIT_USAGE,
        )
    return known.given


def _require_free(use: PortUse, host: str, port: int, is_free: IsFree) -> None:
    if is_free(host, port):
        return
    if use.key == HTTP_PORT:
        raise CommandError(
            f"port {port} for router {use.member} is in use by another process",
            hint=f"stop that process, or choose another port: {TRIZONE} up --http-port {min(port + 1000, 65000)}",
        )
    raise CommandError(
        f"port {port} of node {use.member} is in use by another process",
        hint="stop that process: other nodes and routers know this node by its port",
    )


def _check_unique(wanted: ClusterSettings, ports: Mapping[str, PortUse]) -> None:
    """Remembered, asked and chosen ports come from different places: none may meet another one."""
    hosts: dict[str, str] = {node.id: node.host for node in wanted.nodes}
    hosts |= {router.id: router.http_host for router in wanted.routers}
    seen: dict[tuple[str, int], str] = {}
    for name, use in ports.items():
        first = seen.setdefault((hosts[use.member], use.given), name)
        if first != name:
            raise CommandError(
                f"{name} and {first} would both use port {use.given}",
                hint="choose another --http-port, or change the port in the settings",
                exit_code=EXIT_USAGE,
            )


def _with_ports(wanted: ClusterSettings, ports: Mapping[str, PortUse], folder: Path) -> ClusterSettings:
    def node(one: NodeSettings) -> NodeSettings:
        return one.model_copy(
            update={
                "port": ports[f"{one.id}.port"].given,
                "metrics_port": ports[f"{one.id}.metrics_port"].given,
                # An absolute path in the file stays as it is.
                "data": str(folder / one.data_folder),
            }
        )

    def router(one: RouterSettings) -> RouterSettings:
        return one.model_copy(
            update={
                "http_port": ports[f"{one.id}.http_port"].given,
                "metrics_port": ports[f"{one.id}.metrics_port"].given,
            }
        )

    return wanted.model_copy(
        update={
            "nodes": tuple(node(one) for one in wanted.nodes),
            "routers": tuple(router(one) for one in wanted.routers),
        }
    )

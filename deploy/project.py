"""One compose project: a cluster of containers with a name of its own, its networks, volumes and containers.

Used by chaos.targets.compose and deploy.prove. Laws: what belongs to the project is found by the labels that compose
sets, whichever version made it; `remove` leaves nothing of it and says so when it cannot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.docker import EngineError, compose_command, docker, run

FILE = Path(__file__).with_name("compose.yaml")
SETTINGS_FILE = Path(__file__).with_name("cluster.yaml")
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
UP_TIMEOUT_S = 180.0
# Networks by which an AZ is reached from the others, see compose.yaml.
WAY_IN = "into-"
CALLS_MAX = 8
REMOVE_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Ports:
    """Where this machine reaches the containers, on 127.0.0.1, by name of node and router."""

    nodes: Mapping[str, int]
    routers: Mapping[str, int]

    def environment(self) -> dict[str, str]:
        """As compose.yaml wants them."""
        return {f"TRIZONE_{name.upper()}_PORT": str(port) for name, port in {**self.nodes, **self.routers}.items()}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A container's place in one network."""

    service: str
    network: str
    aliases: tuple[str, ...]


_Command = Callable[[Attachment, str], list[str]]


class Project:
    """Containers, networks and volumes of one name."""

    def __init__(self, name: str, *, image: str, settings: Path, ports: Ports, fault_token: str = "") -> None:
        """Nothing exists yet. `settings`: the cluster.yaml to run with."""
        self.name = name
        self._environment = {
            "TRIZONE_IMAGE": image,
            "TRIZONE_SETTINGS": str(settings.resolve()),
            "TRIZONE_FAULT_TOKEN": fault_token,
            **ports.environment(),
        }
        # Every attachment that compose made, to be made again after a cut.
        self._attachments: list[Attachment] = []

    # --- life

    def up(self) -> None:
        """Create and start everything. Raises EngineError; what was created until then stays for `remove`."""
        command = [*compose_command(), "--file", str(FILE), "--project-name", self.name]
        run([*command, "up", "--detach", "--no-build"], timeout_s=UP_TIMEOUT_S, environment=self._environment)
        self._attachments = self._attached()

    def remove(self) -> None:
        """Remove every container, network and volume of the project. Raises EngineError when something is left."""
        for _ in range(REMOVE_ROUNDS):
            containers = self._listed("container", "ls", "--all")
            if containers:
                self._quietly("rm", "--force", "--volumes", *containers)
            for kind in ("network", "volume"):
                if names := self._listed(kind, "ls"):
                    self._quietly(kind, "rm", *names)
            left = self.left()
            if not left:
                return
        raise EngineError(f"left behind by {self.name}: {', '.join(left)}")

    def left(self) -> list[str]:
        """What exists of the project, in words."""
        return [
            f"{kind} {name}"
            for kind, options in (("container", ["--all"]), ("network", []), ("volume", []))
            for name in self._listed(kind, "ls", *options)
        ]

    @staticmethod
    def _quietly(*arguments: str) -> None:
        # What could not be removed is seen by looking, not by the complaint.
        try:
            docker(*arguments)
        except EngineError:
            return

    def _listed(self, *command: str) -> list[str]:
        return docker(*command, "--quiet", "--filter", f"label={PROJECT_LABEL}={self.name}").split()

    # --- containers

    def containers(self) -> dict[str, str]:
        """Container id by service, of containers that run or have ended."""
        shown = f'{{{{.ID}}}} {{{{.Label "{SERVICE_LABEL}"}}}}'
        mine = f"label={PROJECT_LABEL}={self.name}"
        lines = docker("container", "ls", "--all", "--no-trunc", "--filter", mine, "--format", shown).splitlines()
        return {service: container for container, service in (line.split() for line in lines)}

    def container(self, service: str) -> str:
        """The container's id. Raises EngineError when there is none."""
        found = self.containers().get(service)
        if found is None:
            raise EngineError(f"{service} has no container in project {self.name}")
        return found

    def inspect(self, service: str, template: str) -> str:
        """`docker inspect --format TEMPLATE` of a service's container."""
        return docker("container", "inspect", "--format", template, self.container(service)).strip()

    def read_file(self, service: str, path: str) -> str:
        """A text file inside a running container."""
        return docker("exec", self.container(service), "cat", path)

    def log_text(self, service: str) -> str:
        """Everything the service wrote since its container was made."""
        return docker("logs", self.container(service), merged=True)

    def volume_folder(self, volume: str) -> Path:
        """Where the engine keeps a volume, if it is on this machine."""
        return Path(docker("volume", "inspect", "--format", "{{.Mountpoint}}", f"{self.name}_{volume}").strip())

    # --- networks

    def _attached(self) -> list[Attachment]:
        containers = self.containers()
        documents = json.loads(docker("container", "inspect", *containers.values()))
        services = {container: service for service, container in containers.items()}
        found = []
        for document in documents:
            service = services[document["Id"]]
            for network, place in document["NetworkSettings"]["Networks"].items():
                # The engine adds the short id as an alias by itself.
                aliases = [name for name in place["Aliases"] or () if not document["Id"].startswith(name)]
                found.append(Attachment(service, network, tuple(aliases)))
        return found

    def cut(self, services: Sequence[str]) -> None:
        """Disconnect these from every way into an AZ: only what is in their own AZ still reaches them."""
        self._each(
            [one for one in self._ways(services) if one.network in self._networks_of(one.service)],
            lambda one, container: ["network", "disconnect", one.network, container],
        )

    def join(self, services: Sequence[str]) -> None:
        """Connect them again, under their names."""
        self._each(
            [one for one in self._ways(services) if one.network not in self._networks_of(one.service)],
            lambda one, container: [
                "network",
                "connect",
                *(word for alias in one.aliases for word in ("--alias", alias)),
                one.network,
                container,
            ],
        )

    def _ways(self, services: Sequence[str]) -> list[Attachment]:
        prefix = f"{self.name}_{WAY_IN}"
        return [one for one in self._attachments if one.service in services and one.network.startswith(prefix)]

    def _networks_of(self, service: str) -> frozenset[str]:
        return frozenset(json.loads(self.inspect(service, "{{json .NetworkSettings.Networks}}")))

    def _each(self, attachments: Sequence[Attachment], command: _Command) -> None:
        """All at once: a cut that takes half a second for each container is no cut."""
        containers = self.containers()
        with ThreadPoolExecutor(CALLS_MAX) as pool:
            calls = [pool.submit(docker, *command(one, containers[one.service])) for one in attachments]
        for call in calls:
            call.result()

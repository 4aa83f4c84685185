"""What a cluster must be able to do so that it can be hurt: the contract of chaos.targets.local and .compose.

Called by chaos.runner and chaos.faults. Laws: every call is made from the main thread, except `status`, which a sampler
calls beside it; what a call says has happened when it returns; `close` leaves nothing behind and says so when it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tools.probe import PROBE_TIMEOUT_S
from tools.status import ClusterStatus

# Under load the newest entries are always on their way.
LAG_ENTRIES_MAX = 50
# Roles of replicas that are as good as any other; not while they learn, are rebuilt or install a snapshot.
ORDINARY_ROLES = frozenset(("leader", "follower"))


class TargetError(Exception):
    """The target could not do what it was asked; the text says why, for a person."""


class NotSupported(TargetError):
    """This kind of target cannot do that at all."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node or router of the cluster."""

    name: str
    az: str
    is_router: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended without being asked to by this target."""

    name: str
    # The exit status, negative for a signal; None when it cannot be known.
    status: int | None


class Target(Protocol):
    """A cluster of its own for one run."""

    kind: str  # what --against calls it

    # --- life

    def start(self) -> None:
        """Start everything and wait until it serves. Raises TargetError."""

    def wait_whole(self, timeout_s: float) -> None:
        """Until every process serves, every partition has a leader and no replica lags. Raises TargetError."""

    def close(self) -> None:
        """Stop everything, also what is paused or half started. Raises TargetError when something is left behind."""

    # --- who is there

    @property
    def partitions(self) -> int:
        """Data partitions; they are numbered from 1."""

    @property
    def members(self) -> Sequence[Member]:
        """All nodes and routers, in the order of the settings."""

    def http_address(self, router: str) -> tuple[str, int]:
        """Where clients reach a router."""

    def grpc_address(self, node: str) -> tuple[str, int]:
        """Where a node's gRPC services are reached from this process."""

    def status(self, timeout_s: float = PROBE_TIMEOUT_S) -> ClusterStatus:
        """What the nodes say now; one that does not answer in time is shown as down. Routers are not asked.

        Called from two threads.
        """

    def is_running(self, name: str) -> bool:
        """Does the process exist? A paused one does."""

    def ended(self) -> Sequence[Ended]:
        """Processes that ended by themselves since the last call; each is told once."""

    # --- what can be done to one process

    def kill(self, names: Sequence[str]) -> None:
        """SIGKILL all of them at the same moment, and wait until they have ended."""

    def terminate(self, name: str) -> None:
        """SIGTERM, and wait until it has drained and ended."""

    def start_process(self, name: str) -> None:
        """Start it again and wait until it answers."""

    def start_processes(self, names: Sequence[str]) -> None:
        """Start several at once: what cannot serve without the others need not answer alone."""

    def rebuild(self, node: str) -> None:
        """Set aside the data of a node that is down, and start it to be rebuilt by its peers. Raises NotSupported."""

    def pause(self, name: str) -> None:
        """SIGSTOP: alive, connections open, silent."""

    def resume(self, name: str) -> None:
        """SIGCONT."""

    # --- what can be done to networks

    def cut_az(self, az: str) -> None:
        """Disconnect everything in an AZ from the other AZs; inside it all goes on. Raises NotSupported."""

    def join_az(self, az: str) -> None:
        """Connect it again; what is connected already stays so. Raises NotSupported."""

    # --- what lies on disk

    def pid(self, name: str) -> int:
        """The process id, as this process sees it. Raises NotSupported where that means nothing."""

    def data_folder(self, node: str) -> Path:
        """Where a node's files lie; may be changed while the node is stopped. Raises NotSupported."""

    def log_text(self, name: str) -> str:
        """All that the process has logged, JSON lines."""

    def fault_token_path(self) -> Path:
        """The file with the secret of the fault-injection service (tools.faults)."""


def behind(status: ClusterStatus) -> list[tuple[str, int]]:
    """(node, partition) of every replica that is not an ordinary one close behind its leader."""
    return [
        (replica.node, partition.id)
        for partition in status.partitions
        for replica in partition.replicas
        if replica.lag is None or replica.lag > LAG_ENTRIES_MAX or replica.role not in ORDINARY_ROLES
    ]


def has_caught_up(target: Target, node: str) -> bool:
    """Is every replica of a node close behind its leader, with a leader in every partition?"""
    status = target.status()
    has_replicas = any(replica.node == node for partition in status.partitions for replica in partition.replicas)
    return has_replicas and status.healthy and all(name != node for name, _ in behind(status))

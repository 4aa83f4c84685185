"""What must hold between the values of cluster.yaml, each rule with its reason.

Called by topology.settings after every single value is right. Law: a rule yields the path of the key to change and a
reason that a reader can act on; it never raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from topology.requests import OPERATIONS_PER_REQUEST_MEMORY_MIN, REQUEST_MEMORY_MS
from topology.yaml_lines import Path, render_path

if TYPE_CHECKING:
    from topology.settings import ClusterSettings

# A follower must miss this many heartbeats in a row before it stands for election: one late message is normal.
HEARTBEATS_PER_ELECTION_TIMEOUT_MIN = 3
REPLICAS = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """A relation that does not hold."""

    path: Path
    reason: str


def check(settings: ClusterSettings) -> list[Finding]:
    """Every relation that does not hold, in the order of the file's sections."""
    rules = (_unique_ids, _unique_ports, _data_folders, _zones, _replication, _timeouts)
    return [finding for rule in rules for finding in rule(settings)]


def _unique_ids(settings: ClusterSettings) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    members = [("nodes", number, node.id) for number, node in enumerate(settings.nodes)]
    members += [("routers", number, router.id) for number, router in enumerate(settings.routers)]
    for section, number, name in members:
        if name in seen:
            # Logs, pid files and `trizone stop NAME` know nodes and routers by one name space.
            yield Finding((section, number, "id"), f"{name!r} is already the id of {seen[name]}")
        else:
            seen[name] = f"{section}[{number}]"


def _unique_ports(settings: ClusterSettings) -> Iterator[Finding]:
    uses: list[tuple[Path, str, int]] = []
    for number, node in enumerate(settings.nodes):
        uses.append((("nodes", number, "port"), node.host, node.port))
        uses.append((("nodes", number, "metrics_port"), node.host, node.metrics_port))
    for number, router in enumerate(settings.routers):
        uses.append((("routers", number, "http_port"), router.http_host, router.http_port))
        uses.append((("routers", number, "metrics_port"), router.http_host, router.metrics_port))
    seen: dict[tuple[str, int], Path] = {}
    for path, host, port in uses:
        first = seen.setdefault((host, port), path)
        if first != path:
            yield Finding(path, f"port {port} on {host} is already used by {render_path(first)}")


def _data_folders(settings: ClusterSettings) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for number, node in enumerate(settings.nodes):
        folder = node.data_folder.rstrip("/")
        # `..` would let one cluster write into another one's folder.
        if ".." in folder.split("/"):
            yield Finding(("nodes", number, "data"), f"{node.data!r} must not contain '..'")
        # Two nodes of one id share a folder as well; that mistake is reported by itself.
        if seen.get(folder, node.id) != node.id:
            yield Finding(("nodes", number, "data"), f"{folder!r} is already the data folder of {seen[folder]}")
        seen.setdefault(folder, node.id)


def _zones(settings: ClusterSettings) -> Iterator[Finding]:
    replicas = settings.partitions.replicas
    if replicas != REPLICAS:
        yield Finding(
            ("partitions", "replicas"),
            f"must be {REPLICAS}, not {replicas}: one replica in each of three AZs is what survives the loss of any one"
            " of them; a single replica would lose data and more would slow every write",
        )
    counts: dict[str, int] = {}
    for node in settings.nodes:
        counts[node.az] = counts.get(node.az, 0) + 1
    if len(counts) < REPLICAS:
        fullest = max(counts, key=lambda az: counts[az])
        yield Finding(
            ("nodes",),
            f"two replicas of a partition would share AZ {fullest}: {REPLICAS} replicas need nodes in {REPLICAS} AZs,"
            f" and these nodes stand in {len(counts)} ({', '.join(sorted(counts))})",
        )


def _replication(settings: ClusterSettings) -> Iterator[Finding]:
    timing = settings.replication
    shortest_ms = timing.heartbeat_ms * HEARTBEATS_PER_ELECTION_TIMEOUT_MIN
    if timing.election_timeout_min_ms <= shortest_ms:
        yield Finding(
            ("replication", "election_timeout_min_ms"),
            f"{timing.election_timeout_min_ms} ms is impossible with heartbeat_ms {timing.heartbeat_ms}: it must be"
            f" more than {shortest_ms} ms ({HEARTBEATS_PER_ELECTION_TIMEOUT_MIN} heartbeats), or one late heartbeat"
            " starts an election",
        )
    if timing.election_timeout_max_ms <= timing.election_timeout_min_ms:
        yield Finding(
            ("replication", "election_timeout_max_ms"),
            f"{timing.election_timeout_max_ms} ms must be greater than election_timeout_min_ms"
            f" ({timing.election_timeout_min_ms} ms): the random part between them is what keeps two candidates apart",
        )
    if timing.log_entries_kept < timing.append_window_entries:
        yield Finding(
            ("replication", "log_entries_kept"),
            f"{timing.log_entries_kept} must be at least append_window_entries ({timing.append_window_entries}): a"
            " follower that is only one window behind would need a whole snapshot",
        )


def _timeouts(settings: ClusterSettings) -> Iterator[Finding]:
    operation_ms = settings.timeouts.operation_ms
    election_ms = settings.replication.election_timeout_max_ms
    if operation_ms <= election_ms:
        yield Finding(
            ("timeouts", "operation_ms"),
            f"{operation_ms} ms must be greater than replication.election_timeout_max_ms ({election_ms} ms): every"
            " operation that meets an election would fail instead of waiting for the new leader",
        )
    longest_ms = REQUEST_MEMORY_MS // OPERATIONS_PER_REQUEST_MEMORY_MIN
    if operation_ms > longest_ms:
        yield Finding(
            ("timeouts", "operation_ms"),
            f"{operation_ms} ms must not be greater than {longest_ms} ms: a write whose answer was lost is repeated"
            f" until then, and partitions remember for {REQUEST_MEMORY_MS} ms what they have applied",
        )
    if settings.timeouts.connect_ms > operation_ms:
        yield Finding(
            ("timeouts", "connect_ms"),
            f"{settings.timeouts.connect_ms} ms must not be greater than operation_ms ({operation_ms} ms): nobody waits"
            " for such a connection any more",
        )

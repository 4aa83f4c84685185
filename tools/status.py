"""The state of a cluster as values, tables and JSON, from what its processes answered.

Called by `trizone status` and at the end of `trizone up`. Pure. Law: nothing is invented: what no process said is shown
as unknown, and a leader is only who says so itself, in the highest term.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from tools.probe import NodeAnswer, RouterAnswer
from topology.catalog import bootstrap_catalog
from topology.settings import ClusterSettings
from wire import data_pb2 as pb


@dataclass(frozen=True, slots=True)
class ReplicaRow:
    """One replica. Indexes are of the partition's log; None: its node did not answer."""

    node: str
    # leader, follower, candidate, installing, rebuilding, learner; leaving: the group does not count it; down
    role: str
    commit_index: int | None
    applied_index: int | None
    last_index: int | None
    lag: int | None  # entries the leader has and this replica has not applied; None: not known


@dataclass(frozen=True, slots=True)
class PartitionRow:
    """One Raft group. Partition 0 is the catalog and owns no hashes."""

    id: int
    first_hash: str
    leader: str
    term: int
    replicas: tuple[ReplicaRow, ...]
    # Changes that its global indexes lack, and the age of the oldest; None: no leader said so.
    index_backlog_records: int | None = None
    index_lag_ms: int | None = None
    # Where its replicas are being moved; empty: nowhere.
    target_replicas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node process."""

    id: str
    az: str
    address: str
    up: bool
    reason: str
    pid: int | None
    leads: int
    peers: tuple[str, ...]
    routers: int
    uptime_s: float
    # Can it be told to break things, and what it was told (node.faults)?
    fault_injection: bool = False
    faults: tuple[str, ...] = ()
    # Why its store was set aside when it started; empty: it was whole.
    damage: str = ""


@dataclass(frozen=True, slots=True)
class RouterRow:
    """One router process."""

    id: str
    az: str
    endpoint: str
    ready: bool
    reason: str
    pid: int | None


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """Everything `trizone status` shows."""

    cluster: str
    cluster_id: str
    nodes: tuple[NodeRow, ...]
    routers: tuple[RouterRow, ...]
    partitions: tuple[PartitionRow, ...]

    @property
    def with_leader(self) -> int:
        """How many data partitions have a leader."""
        return sum(1 for partition in self.partitions if partition.leader and partition.id != 0)

    @property
    def catalog_leader(self) -> str:
        """Who leads the catalog group; empty: nobody."""
        return next((partition.leader for partition in self.partitions if partition.id == 0), "")

    @property
    def healthy(self) -> bool:
        """Does every partition, the catalog included, have a leader?"""
        return all(partition.leader for partition in self.partitions)

    def to_json(self) -> dict[str, Any]:
        """The whole status as JSON values."""
        return {"healthy": self.healthy, **asdict(self)}


def collect(
    settings: ClusterSettings,
    cluster_id: str,
    nodes: Sequence[NodeAnswer],
    routers: Sequence[RouterAnswer],
    pids: Mapping[str, int],
) -> ClusterStatus:
    """The status of the cluster from its processes' answers; `pids` are those of live processes by name."""
    answers = {answer.node_id: answer for answer in nodes}
    by_partition: dict[int, dict[str, pb.ReplicaStatus]] = {}
    for answer in nodes:
        for replica in answer.status.replicas if answer.status is not None else ():
            by_partition.setdefault(replica.partition, {})[answer.node_id] = replica
    # Where no replica can be asked, the placement of a new cluster says where the replicas are.
    first = {part.id: part for part in bootstrap_catalog(settings, cluster_id).partitions}
    partitions = tuple(
        _partition_row(
            number,
            first[number].first_hash.hex() if number in first and number != 0 else "",
            by_partition.get(number, {}),
            first[number].replicas if number in first else (),
        )
        for number in sorted(first.keys() | by_partition.keys())
    )
    router_answers = {answer.router_id: answer for answer in routers}
    return ClusterStatus(
        cluster=settings.cluster.name,
        cluster_id=cluster_id,
        nodes=tuple(
            _node_row(node.id, node.az, node.address, answers.get(node.id), partitions, pids) for node in settings.nodes
        ),
        routers=tuple(
            RouterRow(
                id=router.id,
                az=router.az,
                endpoint=router.endpoint,
                ready=router.id in router_answers and router_answers[router.id].ready,
                reason=router_answers[router.id].reason if router.id in router_answers else "not asked",
                pid=pids.get(router.id),
            )
            for router in settings.routers
        ),
        partitions=partitions,
    )


def _partition_row(
    number: int, first_hash: str, replicas: Mapping[str, pb.ReplicaStatus], placed: Sequence[str]
) -> PartitionRow:
    leaders = [(replica.term, node) for node, replica in replicas.items() if replica.role == "leader"]
    # A leader that was cut off may not know of its successor yet; the higher term is the later one.
    term, leader = max(leaders, default=(max((replica.term for replica in replicas.values()), default=0), ""))
    last_index = replicas[leader].last_index if leader else None
    known = replicas.get(leader)
    # Without a leader whoever is furthest knows best who belongs to it.
    told = known or max(replicas.values(), key=lambda replica: (replica.term, replica.last_index), default=None)
    members = {*told.voters, *told.learners} if told is not None else set(placed)
    return PartitionRow(
        id=number,
        first_hash=first_hash,
        leader=leader,
        term=term,
        replicas=tuple(
            _replica_row(node, replicas.get(node), last_index, is_member=node in members)
            for node in sorted(members | set(replicas))
        ),
        index_backlog_records=known.index_backlog_records if known is not None else None,
        index_lag_ms=known.index_lag_ms if known is not None else None,
        target_replicas=tuple(told.target_replicas) if told is not None else (),
    )


def _replica_row(node: str, replica: pb.ReplicaStatus | None, last_index: int | None, *, is_member: bool) -> ReplicaRow:
    if replica is None:
        return ReplicaRow(node, "down", None, None, None, None)
    # The answers are taken one after the other: a replica may be seen later than its leader, and ahead of it.
    lag = max(0, last_index - replica.applied_index) if last_index is not None else None
    if not is_member:
        # Its group goes on without it: what it lacks is of no interest, and it is about to be deleted.
        return ReplicaRow(node, "leaving", replica.commit_index, replica.applied_index, replica.last_index, None)
    return ReplicaRow(node, replica.role, replica.commit_index, replica.applied_index, replica.last_index, lag)


def _node_row(
    name: str,
    az: str,
    address: str,
    answer: NodeAnswer | None,
    partitions: Sequence[PartitionRow],
    pids: Mapping[str, int],
) -> NodeRow:
    status = answer.status if answer is not None else None
    reason = answer.reason if answer is not None else "not asked"
    if status is None and name not in pids:
        reason = f"not running ({reason})"
    return NodeRow(
        id=name,
        az=az,
        address=address,
        up=status is not None,
        reason=reason,
        pid=status.pid if status is not None and status.pid else pids.get(name),
        leads=sum(1 for partition in partitions if partition.leader == name),
        peers=tuple(sorted(status.connected_peers)) if status is not None else (),
        routers=status.connected_routers if status is not None else 0,
        uptime_s=status.uptime_s if status is not None else 0.0,
        fault_injection=status is not None and status.fault_injection,
        faults=tuple(status.faults) if status is not None else (),
        damage=status.damage if status is not None else "",
    )


def process_table(status: ClusterStatus) -> Table:
    """Nodes and routers, one a line."""
    table = Table(title=f"cluster {status.cluster}", title_justify="left", header_style="bold")
    for heading in ("process", "AZ", "address", "pid", "state", "leads", "peers"):
        table.add_column(heading, justify="right" if heading in ("pid", "leads") else "left")
    for node in status.nodes:
        state = "[green]up[/]" if node.up else f"[red]down[/]: {escape(node.reason)}"
        leads = str(node.leads) if node.up else ""
        table.add_row(f"node {node.id}", node.az, node.address, _text(node.pid), state, leads, " ".join(node.peers))
    for router in status.routers:
        state = "[green]serves[/]" if router.ready else f"[red]down[/]: {escape(router.reason)}"
        table.add_row(f"router {router.id}", router.az, router.endpoint, _text(router.pid), state, "", "")
    return table


def partition_table(status: ClusterStatus) -> Table:
    """Every partition with its leader and, a line each, its replicas."""
    table = Table(title="partitions", title_justify="left", header_style="bold")
    for heading in ("partition", "from hash", "leader", "term", "replica", "role", "commit", "applied", "last", "lag"):
        numeric = heading in ("term", "commit", "applied", "last", "lag")
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for partition in status.partitions:
        name = str(partition.id) if partition.id else "0 catalog"
        leader = partition.leader or "[red]none[/]"
        # Eight hex digits tell slices apart; --json has all thirty-two.
        head = (name, partition.first_hash[:8], leader, str(partition.term))
        for number, replica in enumerate(partition.replicas):
            table.add_row(
                *(head if number == 0 else ("", "", "", "")),
                replica.node,
                "[red]down[/]" if replica.role == "down" else replica.role,
                *map(_text, (replica.commit_index, replica.applied_index, replica.last_index, replica.lag)),
                end_section=number == len(partition.replicas) - 1,
            )
    return table


def index_lag_table(status: ClusterStatus) -> Table:
    """How far the global indexes are behind the items of each data partition."""
    table = Table(title="changes on their way to global indexes", title_justify="left", header_style="bold")
    for heading in ("partition", "leader", "records", "oldest, ms"):
        table.add_column(heading, justify="left" if heading == "leader" else "right")
    for partition in status.partitions:
        if partition.id != 0:
            leader = partition.leader or "[red]none[/]"
            numbers = map(_text, (partition.index_backlog_records, partition.index_lag_ms))
            table.add_row(str(partition.id), leader, *numbers)
    return table


def damage_lines(status: ClusterStatus) -> list[str]:
    """A line for every node whose store was found damaged when it started."""
    return [
        f"store of {node.id} was damaged, rebuilt from its peers: {node.damage}" for node in status.nodes if node.damage
    ]


def move_lines(status: ClusterStatus) -> list[str]:
    """A line for every partition whose replicas are being moved."""
    return [
        f"partition {partition.id} is being moved to {', '.join(partition.target_replicas)}"
        for partition in status.partitions
        if partition.target_replicas
    ]


def fault_lines(status: ClusterStatus) -> list[str]:
    """A warning where fault injection is on, and a line for every fault in force."""
    able = [node.id for node in status.nodes if node.fault_injection]
    if not able:
        return []
    faults = [f"fault on {node.id}: {text}" for node in status.nodes for text in node.faults]
    return [f"warning: fault injection is on in {', '.join(able)}", *faults]


def summary(status: ClusterStatus) -> str:
    """One line: is the cluster whole?"""
    data = [partition for partition in status.partitions if partition.id != 0]
    up = sum(1 for node in status.nodes if node.up)
    serving = sum(1 for router in status.routers if router.ready)
    catalog = f"led by {status.catalog_leader}" if status.catalog_leader else "without a leader"
    return (
        f"{up} of {len(status.nodes)} nodes up, {serving} of {len(status.routers)} routers serve,"
        f" {status.with_leader} of {len(data)} partitions have a leader, catalog {catalog}"
    )


def _text(value: int | None) -> str:
    return "-" if value is None else str(value)

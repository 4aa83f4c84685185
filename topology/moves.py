"""What a command makes of where one partition's replicas are: its next record, the same one, or a refusal.

Called by topology.catalog. The catalog says where replicas shall be (a target) and where they are (what the partition's
own log says, by the index at which it says so). Law: pure and total; a record of replicas is only ever replaced by one
of a later index, so what a late or repeated command says is never believed twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from topology.placement import CATALOG_PARTITION, REPLICAS
from wire import catalog_pb2 as pb


@dataclass(frozen=True, slots=True)
class Placed:
    """What becomes of a command; without `partition` nothing changes."""

    outcome: pb.CatalogOutcome
    partition: pb.Partition | None = None
    reason: str = ""


def wanted_replicas(partition: pb.Partition) -> tuple[str, ...]:
    """Where the replicas shall be: the target of a move under way, else where they are."""
    return tuple(partition.target_replicas or partition.replicas)


def find(catalog: pb.Catalog, partition_id: int) -> pb.Partition | None:
    """The record of a partition."""
    return next((one for one in catalog.partitions if one.id == partition_id), None)


def holders(partition: pb.Partition) -> tuple[str, ...]:
    """Who holds a replica, and behind them who is to hold one."""
    coming = [node_id for node_id in partition.target_replicas if node_id not in partition.replicas]
    return (*partition.replicas, *coming)


def names(partition: pb.Partition, node_id: str) -> bool:
    """Whether a node holds a replica or is to hold one."""
    return node_id in partition.replicas or node_id in partition.target_replicas


def with_target(partition: pb.Partition, command: pb.MovePartition, nodes: Iterable[pb.Node]) -> Placed:
    """`partition` on its way to the target that `command` names.

    The way back is always open: a target among the replicas that the catalog knows ends a move that cannot go on.
    """
    az_of = {node.id: node.az for node in nodes}
    reason = _refusal(command.target_replicas, az_of)
    if partition.id == CATALOG_PARTITION:
        reason = "the catalog's own group stays where it is"
    if reason:
        return Placed(pb.CATALOG_REPLICAS_REFUSED, reason=reason)
    if command.if_generation != partition.generation:
        moved = f"its replicas have changed: they are at generation {partition.generation}, not {command.if_generation}"
        return Placed(pb.CATALOG_CONFLICT, reason=moved)
    target = _by_az(command.target_replicas, az_of)
    if target == wanted_replicas(partition):
        return Placed(pb.CATALOG_OK)
    if partition.target_replicas and not set(target) <= set(partition.replicas):
        under_way = f"it is being moved to {', '.join(partition.target_replicas)}"
        return Placed(pb.CATALOG_CONFLICT, reason=under_way)
    changed = _copy(partition)
    del changed.target_replicas[:]
    if set(target) != set(partition.replicas):
        changed.target_replicas.extend(target)
    return Placed(pb.CATALOG_OK, changed)


def with_replicas(partition: pb.Partition, command: pb.SetReplicas, nodes: Iterable[pb.Node]) -> Placed:
    """`partition` with the replicas that its log says."""
    az_of = {node.id: node.az for node in nodes}
    reported = set(command.replicas)
    if partition.id == CATALOG_PARTITION or len(reported) != len(command.replicas) or not reported:
        return Placed(pb.CATALOG_REPLICAS_REFUSED, reason=f"these are no replicas: {', '.join(command.replicas)}")
    if not reported <= az_of.keys():
        return Placed(pb.CATALOG_REPLICAS_REFUSED, reason=f"no node {', '.join(sorted(reported - az_of.keys()))}")
    if command.generation <= partition.generation:
        # Idempotent: said again, or by a leader that was overtaken.
        return Placed(pb.CATALOG_OK)
    # A leader that had not heard of it may have finished a move that was taken back meanwhile: the wish stays.
    wanted = wanted_replicas(partition)
    changed = _copy(partition)
    changed.generation = command.generation
    del changed.replicas[:]
    changed.replicas.extend(_by_az(reported, az_of))
    del changed.target_replicas[:]
    if reported != set(wanted):
        changed.target_replicas.extend(wanted)
    if partition.preferred_leader not in reported:
        # Who comes in the place of the preferred leader is preferred: leaders stay as spread as they were.
        added = [node_id for node_id in changed.replicas if node_id not in partition.replicas]
        changed.preferred_leader = (added or changed.replicas)[0]
    return Placed(pb.CATALOG_OK, changed)


def _refusal(target: Sequence[str], az_of: dict[str, str]) -> str:
    """Why these nodes cannot hold the replicas of a partition; empty: they can."""
    unknown = [node_id for node_id in target if node_id not in az_of]
    if unknown:
        return f"there is no node {', '.join(unknown)}"
    if len(target) != REPLICAS or len(set(target)) != REPLICAS:
        return f"{REPLICAS} different nodes are needed, not {', '.join(target) or 'none'}"
    if len({az_of[node_id] for node_id in target}) != REPLICAS:
        placed = ", ".join(f"{node_id} in {az_of[node_id]}" for node_id in target)
        return f"two of them share an AZ: {placed}"
    return ""


def _by_az(node_ids: Iterable[str], az_of: dict[str, str]) -> tuple[str, ...]:
    """In the order in which the placement lists replicas."""
    return tuple(sorted(node_ids, key=lambda node_id: (az_of[node_id], node_id)))


def _copy(partition: pb.Partition) -> pb.Partition:
    changed = pb.Partition()
    changed.CopyFrom(partition)
    return changed

"""What a partition needs next to have its replicas where the catalog wants them. Pure.

Called by node.background.replicas in every partition that a node leads, and by node.background.tables for what is said
to the catalog. Law: everything is derived anew from the group's membership and the catalog, so that whoever leads next
goes on where the last one stopped, and what an abandoned move left behind is cleared away by the same steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from replication.membership import ChangeKind, Membership, MembershipChange
from topology.moves import find, wanted_replicas
from topology.placement import CATALOG_PARTITION
from wire import catalog_pb2, data_pb2


@dataclass(frozen=True, slots=True)
class HandOver:
    """The leader is to go itself: one of these, best first, leads from then on."""

    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done until this learner has caught up."""

    learner: str


Step = MembershipChange | HandOver | Wait


def next_step(
    membership: Membership, partition: catalog_pb2.Partition, leader: str, is_caught_up: Callable[[str], bool]
) -> Step | None:
    """The next step of the leader of a partition; None: its members are those that the catalog wants.

    Never more than one voter too many: a fourth one makes a majority of three, and each further one costs more. Of
    those that are to go one that does not follow goes first, for it makes a majority harder to get.
    """
    wanted = wanted_replicas(partition)
    voters, learners = membership.voters, membership.learners
    leaving = sorted(set(voters) - set(wanted), key=lambda node: (is_caught_up(node), node))
    unwanted = [node for node in learners if node not in wanted]
    if unwanted:
        return MembershipChange(ChangeKind.REMOVE, unwanted[0])
    if len(voters) > len(wanted):
        others = [node for node in leaving if node != leader]
        if others:
            return MembershipChange(ChangeKind.REMOVE, others[0])
        return HandOver(_next_leaders(partition, membership, leader, is_caught_up))
    if learners:
        ready = [node for node in learners if is_caught_up(node)]
        return MembershipChange(ChangeKind.PROMOTE, ready[0]) if ready else Wait(learners[0])
    missing = [node for node in wanted if node not in voters]
    if missing:
        return MembershipChange(ChangeKind.ADD_LEARNER, missing[0])
    return None


def _next_leaders(
    partition: catalog_pb2.Partition, membership: Membership, leader: str, is_caught_up: Callable[[str], bool]
) -> tuple[str, ...]:
    staying = [
        node
        for node in wanted_replicas(partition)
        if node in membership.voters and node != leader and is_caught_up(node)
    ]
    return tuple(sorted(staying, key=lambda node: (node != partition.preferred_leader, node)))


def settled(
    membership: Membership, partition: catalog_pb2.Partition, *, is_committed: bool
) -> data_pb2.SettledReplicas | None:
    """What is to be said to the catalog: members that are those it wants, at an index that it does not know yet.

    Not what they are half way: readers are sent to replicas that stay, and a node's replica is deleted for good when
    the catalog does not name it any more.
    """
    if not is_committed or membership.learners or membership.index <= partition.generation:
        return None
    if set(membership.voters) != set(wanted_replicas(partition)):
        return None
    return data_pb2.SettledReplicas(partition=partition.id, replicas=membership.voters, generation=membership.index)


def replica_commands(
    catalog: catalog_pb2.Catalog, said: dict[int, data_pb2.SettledReplicas]
) -> list[catalog_pb2.CatalogCommand]:
    """What the catalog's leader proposes for what leaders said of their partitions, in their order."""
    commands = []
    for partition in catalog.partitions:
        settled_replicas = said.get(partition.id)
        if settled_replicas is not None and settled_replicas.generation > partition.generation:
            command = catalog_pb2.SetReplicas(
                partition=partition.id, replicas=settled_replicas.replicas, generation=settled_replicas.generation
            )
            commands.append(catalog_pb2.CatalogCommand(set_replicas=command))
    return commands


def preferred_leader(partition: catalog_pb2.Partition, membership: Membership) -> str:
    """Who shall lead in the long run; empty while the replicas move and it is to go, or does not vote."""
    preferred = partition.preferred_leader
    return preferred if preferred in wanted_replicas(partition) and preferred in membership.voters else ""


def partition_of(catalog: catalog_pb2.Catalog | None, group_id: int) -> catalog_pb2.Partition | None:
    """The catalog's record of a partition whose replicas may move; None without one."""
    if catalog is None or group_id == CATALOG_PARTITION:
        return None
    partition = find(catalog, group_id)
    return partition if partition is not None and partition.replicas else None

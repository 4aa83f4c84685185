"""Whether every replica is where the catalog says, and nothing of one that went is left. Pure looking.

Asked by simulation.cluster at the end of a run. Law: the catalog has the last word: a partition has three voters, those
that it names, and no disk holds data of a partition of which its node has no replica.
"""

from __future__ import annotations

from node.host import NodeHost
from node.machine.state import STATE_FAMILIES
from node.storage import keyspace
from replication.retirement import stored_groups
from simulation.process import Machine
from topology.placement import REPLICAS
from wire import catalog_pb2


def unrest_of_replicas(catalog: catalog_pb2.Catalog, hosts: dict[str, NodeHost]) -> str:
    """What is not yet where the catalog wants it; empty: every partition has three voters, there and nowhere else."""
    for partition in catalog.partitions:
        if partition.target_replicas:
            return f"partition {partition.id} is on its way to {list(partition.target_replicas)}"
        placed = sorted(partition.replicas)
        holders = sorted(node_id for node_id, host in hosts.items() if partition.id in host.partitions)
        if holders != placed or len(placed) != REPLICAS:
            return f"group {partition.id} is on {holders}, and the catalog says {placed}"
        for node_id in holders:
            replica = hosts[node_id].group(partition.id)
            membership = replica.membership
            if sorted(membership.voters) != placed or membership.learners or not replica.is_membership_committed:
                return f"group {partition.id} on {node_id} has the members {membership}, and the catalog says {placed}"
    return ""


def left_behind(machine: Machine, host: NodeHost) -> str:
    """What a replica that has gone left on a disk; empty: nothing but its term, its vote and the word that it went."""
    for group_id in machine.placement:
        if group_id in host.partitions:
            continue
        start, end = keyspace.group_range(group_id)
        for family in STATE_FAMILIES:
            if next(iter(machine.store.scan(family, start, end)), None) is not None:
                return f"{machine.node_id} holds data of group {group_id}, of which it has no replica"
        if group_id in stored_groups(machine.store):
            return f"{machine.node_id} would open group {group_id} again, of which it has no replica"
    return ""

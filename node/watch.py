"""Gauges of a node, refreshed once a second.

Started by node.__main__. Law: reading is cheap and changes nothing; what is shown may be a second old.
"""

from __future__ import annotations

import asyncio

from node.host import NodeHost
from replication.transport.grpc import PeerLinks

INTERVAL_S = 1.0


def read_host(host: NodeHost, links: PeerLinks) -> None:
    """Set every gauge from the state now."""
    metrics = host.metrics
    metrics.flush_turns()
    metrics.held_messages.set(host.held_messages)
    metrics.routers.set(len(host.sessions))
    metrics.peers.set(sum(link.is_up for link in links.links.values()))
    for group_id, partition in host.partitions.items():
        status = host.group(group_id).status()
        metrics.proposals.labels(group_id).set(partition.proposals_total)
        metrics.applied_index.labels(group_id).set(status.applied_index)
        metrics.commit_index.labels(group_id).set(status.commit_index)
        metrics.apply_lag.labels(group_id).set(status.commit_index - status.applied_index)
        metrics.commit_lag.labels(group_id).set(status.last_index - status.commit_index)
        metrics.term.labels(group_id).set(status.term)
        metrics.is_leader.labels(group_id).set(status.role == "leader")
        metrics.rebuilding.labels(group_id).set(status.role == "rebuilding")
        metrics.log_entries.labels(group_id).set(status.last_index - status.first_index)
        metrics.queue_depth.labels(group_id).set(partition.in_flight)
        is_leader = status.role == "leader"
        metrics.index_backlog.labels(group_id).set(partition.index_backlog if is_leader else 0)
        metrics.index_lag.labels(group_id).set(partition.index_lag_ms() / 1000 if is_leader else 0)
        others = set(status.membership.members) - {host.settings.node_id}
        for follower in sorted(others):
            # A follower's gauge must not keep the lag it had when this node led.
            acknowledged = status.match_index.get(follower, status.last_index)
            metrics.follower_lag.labels(group_id, follower).set(status.last_index - acknowledged)
        for other in links.links.keys() - others:
            metrics.follower_lag.remove(group_id, other)


async def watch_host(host: NodeHost, links: PeerLinks) -> None:
    """Refresh until cancelled."""
    while True:
        read_host(host, links)
        await asyncio.sleep(INTERVAL_S)

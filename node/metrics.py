"""What a node counts: Prometheus metrics, pre-bound so that the hot path only adds.

Created by node.__main__, fed by node.host and node.service. Law: no label look-up for each operation; gauges are read
from the objects when scraped.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from wire import data_pb2

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class NodeMetrics:
    """Counters of one node process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        operations = Counter("trizone_node_operations", "Operations received, by kind", ["kind"], registry=registry)
        # Kind 0 counts what a newer router may send.
        self._operations = {
            value: operations.labels(kind=name.lower()) for name, value in data_pb2.OperationKind.items()
        }
        self._turns = Counter("trizone_node_turns", "Loop turns that did work", registry=registry)
        self._turn_seconds = Counter("trizone_node_turn_seconds", "Time spent in turns", registry=registry)
        # Plain numbers, added to the counters once a second: a turn is too short for a lock and a histogram.
        self.new_turns = 0
        self.new_turn_seconds = 0.0
        self.sync_seconds = Histogram(
            "trizone_node_sync_seconds", "Length of a log sync", buckets=_SECONDS, registry=registry
        )
        self.frames = Counter("trizone_node_frames", "gRPC frames", ["stream", "direction"], registry=registry)
        self.router_frames_in = self.frames.labels(stream="router", direction="in")
        self.router_frames_out = self.frames.labels(stream="router", direction="out")
        self.peer_frames_in = self.frames.labels(stream="peer", direction="in")
        self.peer_frames_out = self.frames.labels(stream="peer", direction="out")
        self.frame_operations = Histogram(
            "trizone_node_frame_operations", "Operations in a router's frame", buckets=_SIZES, registry=registry
        )
        self.elections = Counter(
            "trizone_node_elections_won", "Leaderships begun here", ["partition"], registry=registry
        )
        self.leader_changes = Counter(
            "trizone_node_leader_changes", "Changes of leader seen", ["partition"], registry=registry
        )
        labels = ["partition"]
        self.proposals = Gauge("trizone_node_proposals", "Log entries proposed here", labels, registry=registry)
        self.applied_index = Gauge("trizone_node_applied_index", "Last index applied", labels, registry=registry)
        self.commit_index = Gauge("trizone_node_commit_index", "Last index known committed", labels, registry=registry)
        self.apply_lag = Gauge(
            "trizone_node_apply_lag_entries", "Committed and not yet applied", labels, registry=registry
        )
        self.commit_lag = Gauge("trizone_node_commit_lag_entries", "Logged, uncommitted", labels, registry=registry)
        self.term = Gauge("trizone_node_term", "Raft term", labels, registry=registry)
        self.is_leader = Gauge("trizone_node_is_leader", "1 on the leader", labels, registry=registry)
        self.rebuilding = Gauge("trizone_node_rebuilding", "1 while rebuilt from its peers", labels, registry=registry)
        self.store_damaged = Gauge("trizone_node_store_damaged", "1: damaged at this start", registry=registry)
        self.log_entries = Gauge("trizone_node_log_entries", "Entries kept in the log", labels, registry=registry)
        self.queue_depth = Gauge(
            "trizone_node_queue_depth", "Operations that wait for a commit or a turn", labels, registry=registry
        )
        self.follower_lag = Gauge(
            "trizone_node_follower_lag_entries",
            "On the leader: entries a follower has not acknowledged",
            ["partition", "follower"],
            registry=registry,
        )
        self.held_messages = Gauge("trizone_node_held_messages", "Messages that wait for a sync", registry=registry)
        self.routers = Gauge("trizone_node_routers", "Routers connected", registry=registry)
        self.peers = Gauge("trizone_node_peers", "Nodes connected", registry=registry)
        self.index_backlog = Gauge(
            "trizone_index_backlog_records",
            "On the leader: changes of global indexes that their partitions have not applied",
            labels,
            registry=registry,
        )
        self.index_lag = Gauge(
            "trizone_index_lag_seconds", "On the leader: the age of the oldest of them", labels, registry=registry
        )
        self.ttl_deleted = Counter("trizone_ttl_deleted", "Expired items deleted from here", registry=registry)
        self._ttl_sweep_seconds = Gauge(
            "trizone_ttl_sweep_seconds", "Length of the last sweep for expired items", registry=registry
        )
        self._ttl_last_sweep = Gauge(
            "trizone_ttl_last_sweep_timestamp_seconds", "When that sweep ended, since 1970", registry=registry
        )

    def forget_partition(self, partition: int) -> None:
        """Its replica left: a gauge that stays would tell of it for ever."""
        gauges = (
            self.proposals,
            self.applied_index,
            self.commit_index,
            self.apply_lag,
            self.commit_lag,
            self.term,
            self.is_leader,
            self.rebuilding,
            self.log_entries,
            self.queue_depth,
            self.index_backlog,
            self.index_lag,
        )
        for gauge in gauges:
            gauge.remove(partition)
        self.follower_lag.remove_by_labels({"partition": str(partition)})

    def flush_turns(self) -> None:
        """Move the turns since the last call into the counters."""
        self._turns.inc(self.new_turns)
        self._turn_seconds.inc(self.new_turn_seconds)
        self.new_turns, self.new_turn_seconds = 0, 0.0

    def swept(self, took_s: float, ended_at_s: float) -> None:
        """A sweep for expired items has ended."""
        self._ttl_sweep_seconds.set(took_s)
        self._ttl_last_sweep.set(ended_at_s)

    def count_operations(self, counts: dict[int, int]) -> None:
        """Add one frame's operations by kind."""
        for kind, count in counts.items():
            self._operations.get(kind, self._operations[0]).inc(count)

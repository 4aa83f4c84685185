"""Four real hosts whose groups move, driven step by step in virtual time, and the catalog that moves them.

Messages take one step and pass through their encoding; syncs take one step, too. The catalog is the real state machine,
kept by the test, which is what the catalog's leader would be; every node has its daemon that moves replicas.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from node.background.moves import partition_of, replica_commands, settled
from node.background.replicas import ReplicaDaemon
from node.host import NodeHost
from node.metrics import NodeMetrics
from node.ports import HostSettings
from node.sessions import RouterSession
from node.storage.memory import MemoryStore
from replication.group import ReplicationSettings
from replication.messages import Message, decode, encode_into
from runtime.clock import ManualClock
from topology.catalog import CatalogState, bootstrap_catalog
from topology.settings import load_settings
from wire import catalog_pb2, data_pb2, replication_pb2

GROUP = 1
STEP_S = 0.01
ZONES = {"n1": "az-a", "n2": "az-b", "n3": "az-c", "n4": "az-c"}
TABLE_ID = 7
# A few entries a log, so that who comes late is sent a snapshot of several chunks.
SHORT_LOG = ReplicationSettings(append_window_entries=16, log_entries_kept=16, snapshot_chunk_bytes=64)


class Stopped(Exception):
    """A process ended itself."""


@dataclass(slots=True)
class Machine:
    """A disk, and the process that runs on it."""

    node_id: str
    store: MemoryStore = field(default_factory=MemoryStore)
    host: NodeHost | None = None
    daemon: ReplicaDaemon | None = None
    lives: int = 0


class _Ways:
    """node.ports.Links and Loop of one life of a process; nothing of an earlier life has an effect."""

    def __init__(self, cluster: MovingCluster, machine: Machine) -> None:
        self._cluster = cluster
        self._machine = machine
        self._life = machine.lives

    def _later(self, callback: Callable[[], None]) -> None:
        life, machine = self._life, self._machine
        self._cluster.queue.append(lambda: callback() if machine.lives == life and machine.host else None)

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._later(callback)

    call_spaced = call_soon

    def sync_in_thread(self, _sync: Callable[[], None], ended: Callable[[BaseException | None], None]) -> None:
        covered, store = self._machine.store.unsynced_batches, self._machine.store

        def finish() -> None:
            store.sync_first(covered)
            ended(None)

        self._later(finish)

    def send(self, target: str, group_id: int, message: Message) -> None:
        frame = replication_pb2.PeerFrame()
        encode_into(frame, group_id, message)
        self._cluster.post(self._machine.node_id, target, frame.SerializeToString())


class Asker(RouterSession):
    """A router's stream to one process, with what came back."""

    def __init__(self, host: NodeHost) -> None:
        super().__init__(host.session_dirty)
        self._host = host
        self._number = 0
        self.leaders: list[data_pb2.PartitionLeader] = []
        host.session_opened(self)

    def ask(self, kind: data_pb2.OperationKind, key: str, value: str = "") -> int:
        self._number += 1
        operation = data_pb2.Operation(
            id=self._number, partition=GROUP, kind=kind, table_id=TABLE_ID, key=key.encode(), item=value.encode()
        )
        self._host.operations_arrived(self, [operation])
        return self._number

    def answers(self) -> dict[int, data_pb2.Result]:
        """All since the last look."""
        frame = self.take_frame()
        self.leaders.extend(frame.leaders)
        return {result.id: result for result in frame.results}


class MovingCluster:
    """n4 stands in the zone of n3; every partition begins on n1, n2, n3."""

    def __init__(self, seed: int = 1, replication: ReplicationSettings = SHORT_LOG) -> None:
        self.clock = ManualClock()
        self.random = random.Random(seed)
        self.queue: deque[Callable[[], None]] = deque()
        self.cut: set[str] = set()
        self._replication = replication
        self.catalog = CatalogState()
        self.catalog.apply(catalog_pb2.CatalogCommand(bootstrap=catalog_pb2.Bootstrap(catalog=_first_catalog())))
        self.machines = {node_id: Machine(node_id) for node_id in ZONES}
        for machine in self.machines.values():
            self.start(machine.node_id)

    # ------------------------------------------------------------------ processes and links
    def start(self, node_id: str) -> None:
        machine = self.machines[node_id]
        machine.lives += 1
        ways = _Ways(self, machine)
        first = {one.id: ("n1", "n2", "n3") for one in self.catalog.catalog.partitions if one.id}
        host = machine.host = NodeHost(
            HostSettings(
                node_id=node_id,
                partitions=first,
                replication=self._replication,
                proposals_in_flight_max=64,
                durable=True,
            ),
            store=machine.store,
            links=ways,
            loop=ways,
            clock=self.clock,
            randomness=random.Random(self.random.random()),
            metrics=NodeMetrics(CollectorRegistry()),
            stop_process=_stop,
        )
        machine.daemon = ReplicaDaemon(host, self.clock, lambda: float("inf"), lambda: None)
        for peer in self.machines.values():
            if peer is not machine and peer.host is not None and not {node_id, peer.node_id} & self.cut:
                host.peer_connected(peer.node_id)
                peer.host.peer_connected(node_id)
        host.take_remote_catalog(self.catalog.catalog)

    def crash(self, node_id: str, *, power_loss: bool = True) -> None:
        """End a process; with `power_loss` some of what was written since the last sync is gone."""
        machine = self.machines[node_id]
        written = machine.store.unsynced_batches
        machine.store = machine.store.crash(self.random.randint(0, written) if power_loss else written)
        machine.host = machine.daemon = None
        for peer in self.machines.values():
            if peer.host is not None:
                peer.host.peer_lost(node_id)
                peer.host.peer_disconnected(node_id)

    def isolate(self, node_id: str) -> None:
        """Nothing reaches it and nothing comes from it, and all notice."""
        self.cut.add(node_id)
        for peer in self._others(node_id):
            for host, lost in ((peer, node_id), (self.host(node_id), peer.settings.node_id)):
                host.peer_lost(lost)
                host.peer_disconnected(lost)

    def heal(self, node_id: str) -> None:
        self.cut.discard(node_id)
        for peer in self._others(node_id):
            peer.peer_connected(node_id)
            self.host(node_id).peer_connected(peer.settings.node_id)

    def _others(self, node_id: str) -> list[NodeHost]:
        return [one.host for one in self.machines.values() if one.node_id != node_id and one.host is not None]

    def post(self, sender: str, target: str, frame: bytes) -> None:
        life = self.machines[target].lives

        def deliver() -> None:
            machine = self.machines[target]
            if machine.host is not None and machine.lives == life and not {sender, target} & self.cut:
                for raw in replication_pb2.PeerFrame.FromString(frame).messages:
                    machine.host.message_arrived(sender, raw.group, decode(raw))

        self.queue.append(deliver)

    # ------------------------------------------------------------------ time
    def step(self) -> None:
        """What is due happens in its order, then time goes on and everybody looks at the clock."""
        for _ in range(len(self.queue)):
            self.queue.popleft()()
        self.clock.advance(STEP_S)
        for machine in self.machines.values():
            if machine.host is not None and machine.daemon is not None:
                machine.host.timer()
                machine.daemon.drive()
                self._report(machine.host)

    def _report(self, host: NodeHost) -> None:
        """What node.background.tables does: say what settled, and hear of the newest catalog."""
        if host.settings.node_id in self.cut:
            return
        for group_id in host.led_groups():
            group, partition = host.group(group_id), partition_of(host.catalog, group_id)
            if partition is not None and group.is_ready_leader:
                said = settled(group.membership, partition, is_committed=group.is_membership_committed)
                for command in replica_commands(self.catalog.catalog, {group_id: said} if said else {}):
                    self.catalog.apply(command)
        host.take_remote_catalog(self.catalog.catalog)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def until(self, is_true: Callable[[], bool], what: str, within_s: float = 30.0) -> None:
        for _ in range(round(within_s / STEP_S)):
            if is_true():
                return
            self.step()
        raise AssertionError(f"not within {within_s} s: {what}")

    # ------------------------------------------------------------------ looking and asking
    def host(self, node_id: str) -> NodeHost:
        host = self.machines[node_id].host
        assert host is not None, f"{node_id} does not run"
        return host

    def holders(self) -> set[str]:
        """The running nodes with a replica."""
        return {one.node_id for one in self.machines.values() if one.host is not None and GROUP in one.host.partitions}

    def leader(self) -> NodeHost | None:
        leaders = [host for node in self.holders() if (host := self.host(node)).group(GROUP).is_ready_leader]
        return max(leaders, key=lambda host: host.group(GROUP).term, default=None)

    def wait_leader(self) -> NodeHost:
        self.until(lambda: self.leader() is not None, "somebody leads")
        leader = self.leader()
        assert leader is not None
        return leader

    def hand_to(self, node_id: str) -> None:
        """Let a voter lead."""
        while self.wait_leader().settings.node_id != node_id:
            self.wait_leader().start_transfer(GROUP, node_id)
            self.run(1.0)

    def record(self) -> catalog_pb2.Partition:
        partition = partition_of(self.catalog.catalog, GROUP)
        assert partition is not None
        return partition

    def move(self, *target: str) -> None:
        command = catalog_pb2.MovePartition(
            partition=GROUP, target_replicas=target, if_generation=self.record().generation
        )
        result = self.catalog.apply(catalog_pb2.CatalogCommand(move_partition=command))
        assert result.outcome == catalog_pb2.CATALOG_OK, result.reason

    def is_on(self, *nodes: str) -> bool:
        """The catalog, the group and the disks agree, and no move is under way."""
        record, leader = self.record(), self.leader()
        return (
            leader is not None
            and not record.target_replicas
            and set(record.replicas) == set(nodes) == self.holders()
            and set(leader.group(GROUP).membership.members) == set(nodes)
        )

    def write(self, key: str, value: str) -> bool:
        """Whether the leader, if there is one, acknowledged it soon."""
        leader = self.leader()
        if leader is None:
            return False
        asker = Asker(leader)
        number = asker.ask(data_pb2.PUT, key, value)
        for _ in range(20):
            answer = asker.answers().get(number)
            if answer is not None:
                leader.session_closed(asker)
                return answer.status == data_pb2.OK
            self.step()
        leader.session_closed(asker)
        return False

    def read(self, key: str) -> str:
        asker = Asker(self.wait_leader())
        number = asker.ask(data_pb2.GET_STRONG, key)
        self.run(0.5)
        answer = asker.answers()[number]
        assert answer.status == data_pb2.OK
        return answer.item.decode()


def _stop(error: BaseException) -> None:
    raise Stopped(str(error)) from error


def _first_catalog() -> catalog_pb2.Catalog:
    lines = [
        f"  - {{id: {node}, az: {az}, port: {7100 + number}, metrics_port: {7200 + number}}}"
        for number, (node, az) in enumerate(ZONES.items())
        if node != "n4"
    ]
    text = "\n".join(["nodes:", *lines, "routers:", "  - {id: r1, az: az-a, http_port: 8000, metrics_port: 7301}"])
    catalog = bootstrap_catalog(load_settings(text + "\npartitions: {count: 2}\n", "cluster.yaml"), "c-1")
    catalog.nodes.add(id="n4", az=ZONES["n4"], address="127.0.0.1:7104")
    return catalog

"""The simulated cluster without clients and faults, for tests that want one thing to happen at one moment.

Used by tests/node. Law: the same machines, network and checks as a run of a seed; only who acts differs.
"""

from __future__ import annotations

from replication.group import ReplicationSettings
from simulation.checks import Checks
from simulation.knobs import Knobs
from simulation.network import Network
from simulation.process import Machine, Process, SimulatedSession
from simulation.table import GROUPS, NODES, simulated_catalog
from simulation.world import World
from wire import catalog_pb2, data_pb2

SETTLE_BOUND_S = 10.0


def quiet_knobs(replication: ReplicationSettings, proposals_in_flight_max: int = 64) -> Knobs:
    """A fast network, fast disks and equal clocks."""
    return Knobs(
        replication=replication,
        proposals_in_flight_max=proposals_in_flight_max,
        latency_s=0.0005,
        sync_s=0.001,
        slow_sync_probability=0.0,
        clock_drift=0.0,
        fault_interval_s=1.0,
        faults=(),
        faults_end_s=0.0,
    )


class Asker:
    """A router's session on one process, with every answer it got in order."""

    def __init__(self, process: Process, number: int, process_id: bytes = b"", stream: int = 0) -> None:
        self.results: list[data_pb2.Result] = []
        self._process = process
        self._session = SimulatedSession(process, number, self._take)
        self._session.process_id = process_id
        self._session.stream = stream
        self._operation_number = 0
        process.host.session_opened(self._session)

    def _take(self, data: bytes) -> None:
        self.results.extend(data_pb2.NodeFrame.FromString(data).results)

    def ask(self, *operations: data_pb2.Operation) -> list[int]:
        """Hand operations to the node in one frame now; returns the ids they were given."""
        numbers = []
        for operation in operations:
            self._operation_number += 1
            operation.id = self._operation_number
            numbers.append(operation.id)
        self._process.host.operations_arrived(self._session, list(operations))
        return numbers

    @property
    def statuses(self) -> dict[int, int]:
        """Operation id -> status of its answer."""
        return {result.id: result.status for result in self.results}

    def result(self, number: int) -> data_pb2.Result:
        """The answer to one operation."""
        return next(result for result in self.results if result.id == number)


class QuietCluster:
    """Three machines, started and settled."""

    def __init__(
        self, *, seed: int = 1, replication: ReplicationSettings | None = None, proposals_in_flight_max: int = 64
    ) -> None:
        self.world = World(seed)
        knobs = quiet_knobs(replication or ReplicationSettings(), proposals_in_flight_max)
        self.checks = Checks(self.world)
        self.network = Network(self.world, self.checks, knobs.latency_s)
        placement = dict.fromkeys(GROUPS, NODES)
        self.machines = {
            node_id: Machine(node_id, self.world, self.network, self.checks, knobs, placement) for node_id in NODES
        }
        self._sessions = 0
        self.catalog = simulated_catalog()
        for machine in self.machines.values():
            machine.on_start.append(lambda process: process.host.take_remote_catalog(self.catalog))
            machine.start()
        for group_id in GROUPS:
            self.settle(group_id)

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.world.run_until(self.world.now + seconds)

    def process(self, node_id: str) -> Process:
        """The process that runs on a machine."""
        process = self.machines[node_id].process
        assert process is not None
        return process

    def _running(self) -> list[Process]:
        return [machine.process for machine in self.machines.values() if machine.process is not None]

    def settle(self, group_id: int) -> Process:
        """Wait until all running replicas follow one ready leader and have applied everything; returns its process.

        Raises Violation when that takes longer than SETTLE_BOUND_S.
        """
        self.world.run_until(self.world.now + SETTLE_BOUND_S, lambda: self._is_settled(group_id))
        if not self._is_settled(group_id):
            raise self.world.violation(f"group {group_id} does not settle")
        return self.leader(group_id)

    def _is_settled(self, group_id: int) -> bool:
        replicas = [process.host.group(group_id) for process in self._running()]
        marks = {
            (replica.applied_index, replica.journal.last_index, replica.leader_id, replica.term) for replica in replicas
        }
        applied, last, _, _ = next(iter(marks))
        return len(marks) == 1 and applied == last and sum(replica.is_ready_leader for replica in replicas) == 1

    def leader(self, group_id: int) -> Process:
        """The process whose replica leads in the highest term."""
        leaders = [process for process in self._running() if process.host.group(group_id).is_leader]
        return max(leaders, key=lambda process: process.host.group(group_id).term)

    def follower(self, group_id: int) -> Process:
        """A process that does not lead."""
        return next(process for process in self._running() if not process.host.group(group_id).is_leader)

    def publish(self, catalog: catalog_pb2.Catalog) -> None:
        """Let every node hear of a newer catalog."""
        self.catalog = catalog
        for process in self._running():
            process.host.take_remote_catalog(catalog)

    def isolate(self, node_id: str, seconds: float) -> None:
        """Cut a node off from the others, and let all notice."""
        for peer in NODES:
            if peer != node_id:
                self.network.cut(node_id, peer, seconds)
                self.network.cut(peer, node_id, seconds)

    def silence(self, node_id: str) -> None:
        """Let nothing pass between a node and the others, and no stream break, until `network.heal_all`."""
        for peer in NODES:
            if peer != node_id:
                self.network.silence(node_id, peer)
                self.network.silence(peer, node_id)

    def asker(self, process: Process, process_id: bytes = b"", stream: int = 0) -> Asker:
        """A new router's session on a process; with `process_id` one of the streams of that router's process."""
        self._sessions += 1
        return Asker(process, self._sessions, process_id, stream)

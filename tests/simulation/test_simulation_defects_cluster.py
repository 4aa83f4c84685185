"""More defects that the simulation finds: of transports, disks and clocks, of routers, tables and catalogs."""

from __future__ import annotations

from typing import Any

import pytest
from defect_support import Defect, Patch, must_be_caught, name_of

from node.machine.requests import RequestMemory
from node.machine.state import PartitionState
from node.partition import Partition
from node.sessions import RouterSession
from node.storage import keyspace
from node.storage.memory import MemoryStore
from replication import raft
from replication.elections import ElectingReplica
from replication.messages import decode
from replication.ports import Family
from replication.raft import RaftReplica
from router.routing.catalog_copy import CatalogCopy
from router.routing.partition_map import PartitionMap
from router.routing.state import RoutingState
from simulation.knobs import Fault, Load
from simulation.network import Network, Stream
from simulation.router import RouterProcess
from wire import data_pb2, log_pb2, replication_pb2

pytestmark = pytest.mark.simulation


def commit_on_one_ack(patch: Patch) -> None:
    """An entry is committed as soon as its leader has it: no follower is waited for."""
    original = RaftReplica.synced

    def synced(self: Any, covered_index: int) -> None:
        original(self, covered_index)
        if self.is_leader:
            for node in self.other_voters:
                self.match_index[node] = max(self.match_index[node], self.journal.durable_index)

    patch.setattr(RaftReplica, "synced", synced)


def reorder_the_transport(patch: Patch) -> None:
    """Every message takes its own time, 1 to 250 ms, whatever is before or behind it.

    Broken here is the network of the simulation, and its own verifier finds it: this shows that the verifier works, and
    nothing of the fencing in replication.transport.grpc, which is not in the simulation (tests/replication has it:
    test_a_newer_connection_fences_the_older_one). What lies above withstands nearly all of it by now (no cut of entries
    that match, acknowledgements with terms).
    """

    def transmit(self: Any, stream: Stream, data: bytes) -> None:
        number = stream.sent
        stream.sent += 1
        delay_s = self._randomness.uniform(0.001, 0.25)
        stream.last_arrival = max(stream.last_arrival, self._world.now + delay_s)
        self._world.at(delay_s, lambda: self._arrive(stream, number, data))

    patch.setattr(Network, "_transmit", transmit)


def repeat_at_random_much_later(patch: Patch) -> None:
    """Messages come again up to two seconds later, on whatever connection there is: epochs fence nothing.

    The epochs of the simulation's network, as in `reorder_the_transport`: not those of the real transport.
    """

    def receive(self: Any, stream: Stream, number: int, data: bytes) -> None:
        source, target = stream.source.node_id, stream.target
        self._checks.frame_received(source, target, stream.epoch, number)
        for raw in replication_pb2.PeerFrame.FromString(data).messages:
            target.host.message_arrived(source, raw.group, decode(raw))
        if self._randomness.random() < 0.1:
            self._world.at(
                self._randomness.uniform(0.0, 2.0), lambda: target.post(lambda: self._receive(stream, number, data))
            )

    patch.setattr(Network, "_receive", receive)


def tear_batches(patch: Patch) -> None:
    """A power loss keeps the first half of the batch that it tears."""
    original = MemoryStore.crash

    def crash(self: Any, batches_kept: int = 0) -> MemoryStore:
        if batches_kept < len(self._unsynced):
            torn = self._unsynced[batches_kept].before
            del torn[: len(torn) // 2]
        return original(self, batches_kept)

    patch.setattr(MemoryStore, "crash", crash)


def trust_leases_too_long(patch: Patch) -> None:
    """A lease holds two seconds longer than followers promised."""
    original = raft.lease_end
    patch.setattr(raft, "lease_end", lambda *arguments: original(*arguments) + 2.0)


def never_step_down_for_silence(patch: Patch) -> None:
    """No defect with leases that are right: a leader that hears no majority goes on believing that it leads."""
    original = ElectingReplica._heard_from_quorum

    def heard_from_quorum(self: Any, within_s: float) -> bool:
        return within_s == self._settings.election_timeout_max_s or original(self, within_s)

    patch.setattr(ElectingReplica, "_heard_from_quorum", heard_from_quorum)


def show_uncommitted_writes(patch: Patch) -> None:
    """An eventual read at a leader shows writes that are under way."""
    original = Partition.arrive

    def arrive(self: Any, session: RouterSession, operation: data_pb2.Operation, kind: Any) -> bool:
        if kind == data_pb2.GET_EVENTUAL:
            item = self._newest(keyspace.item_key(operation.table_id, operation.key))
            session.answer(operation.id, data_pb2.OK, item or b"")
            return False
        return original(self, session, operation, kind)

    patch.setattr(Partition, "arrive", arrive)


def keep_rows_of_dropped_tables(patch: Patch) -> None:
    """A dropped table is remembered as dropped, and its rows stay."""

    def drop(self: Any, entry: log_pb2.LogEntry) -> None:
        for one in entry.drop_tables:
            self._store.put(Family.DATA, self._prefix + keyspace.dropped_table_key(one.table_id), b"")
            self.dropped_tables.add(one.table_id)
            self._index_records.drop(self._prefix, one.table_id)

    patch.setattr(PartitionState, "_drop", drop)


def forget_request_ids(patch: Patch) -> None:
    """Partitions remember no request id: a repeat that reaches the next leader is applied a second time."""

    def remember(self: Any, _prefix: bytes, entry: Any, _answers: Any) -> None:
        for request_id in entry.request_ids:
            del self.applied[request_id]

    patch.setattr(RequestMemory, "remember", remember)


def repeat_unknown_writes(patch: Patch) -> None:
    """A router sends a write again whose outcome is unknown, as if it had not been sent: not as a repeat."""
    original = RoutingState.node_down

    def node_down(self: Any, node_id: str, now_s: float) -> None:
        for pending in self._outstanding.get(node_id, {}).values():
            pending.sent = False
        original(self, node_id, now_s)

    patch.setattr(RoutingState, "node_down", node_down)


def lose_an_answer(patch: Patch) -> None:
    """A router forgets now and then whom an answer is for."""
    original = RouterProcess._reply

    def reply(self: Any, request: Any, answer: Any) -> None:
        if self._randomness.random() < 0.02:
            request.is_answered = False
            return
        original(self, request, answer)

    patch.setattr(RouterProcess, "_reply", reply)


def look_in_the_wrong_partition(patch: Patch) -> None:
    """A router that was started a second time has the partitions of the ring in another order."""
    original = PartitionMap.__init__

    def init(self: Any, catalog: Any) -> None:
        original(self, catalog)
        if catalog.version % 2:
            locate, last = self.locate, max(one.id for one in catalog.partitions)
            self.locate = lambda key_hash: last + 1 - locate(key_hash)

    patch.setattr(PartitionMap, "__init__", init)


def confirm_catalogs_unread(patch: Patch) -> None:
    """A router tells nodes that it serves a catalog, and goes on with the one before now and then."""
    original = CatalogCopy.replace

    def replace(self: Any, catalog: Any) -> bool:
        tables, changed = self.tables, original(self, catalog)
        if changed and catalog.version % 3 == 0:
            self.tables = tables
        return changed

    patch.setattr(CatalogCopy, "replace", replace)


_LEADERS = (Fault.ISOLATE, Fault.CUT, Fault.TRANSFER)

DEFECTS = [
    Defect(
        defect=commit_on_one_ack,
        faults=(Fault.ISOLATE, Fault.KILL),
        found_as="without committed entry|not linearizable|was committed|broke|stopped itself",
    ),
    Defect(
        defect=reorder_the_transport,
        found_as="the transport brings frame",
    ),
    Defect(
        defect=repeat_at_random_much_later,
        found_as="the transport brings frame",
    ),
    Defect(
        defect=tear_batches,
        faults=(Fault.POWER_LOSS, Fault.BLACKOUT),
        more={"sync_s": 0.02, "slow_sync_probability": 0.2},
        found_as="cannot start|another state|without committed entry|stopped itself|first ",
    ),
    Defect(
        defect=trust_leases_too_long,
        # Check-quorum ends most leases before they harm.
        amid=never_step_down_for_silence,
        faults=_LEADERS,
        replication={"read_lease": True},
        found_as="not linearizable",
    ),
    Defect(defect=show_uncommitted_writes, faults=_LEADERS, found_as="not committed by then"),
    Defect(defect=keep_rows_of_dropped_tables, loads=(Load.TABLES,), found_as="which is gone"),
    Defect(
        defect=forget_request_ids,
        loads=(Load.COUNTERS, Load.LISTS),
        faults=(Fault.KILL, Fault.ISOLATE, Fault.ROUTER_RESET),
        found_as="not linearizable|lost|twice",
    ),
    Defect(
        defect=repeat_unknown_writes,
        loads=(Load.COUNTERS, Load.LISTS),
        faults=(Fault.ROUTER_RESET, Fault.ROUTER_CUT, Fault.KILL),
        found_as="not linearizable|lost|twice",
    ),
    Defect(defect=lose_an_answer, found_as="has not answered"),
    Defect(defect=look_in_the_wrong_partition, loads=(Load.REGISTERS, Load.TABLES), found_as="not linearizable|shows"),
    Defect(
        defect=confirm_catalogs_unread,
        loads=(Load.TABLES,),
        found_as="ACTIVE and was answered|is not there|serves catalog",
    ),
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("case", DEFECTS, ids=name_of)
def test_the_simulation_catches_also(monkeypatch: pytest.MonkeyPatch, case: Defect) -> None:
    must_be_caught(monkeypatch, case)

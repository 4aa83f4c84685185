"""One storage node of the simulation: a machine with its disk, and the process that runs on it between two crashes.

Created by simulation.run, broken by simulation.faults. The process runs the real node.host.NodeHost on virtual time;
what it is given of its own is a clock that may drift, links, a loop and a store whose syncs take time. Law: a paused
process does nothing at all, a dead one has no effect any more, and a power loss takes what no finished sync covers.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry

from node.host import NodeHost
from node.machine.state import STATE_FAMILIES, PartitionState
from node.metrics import NodeMetrics
from node.ports import HostSettings
from node.service import hand_over
from node.sessions import RouterSession
from node.storage import keyspace
from node.storage.errors import StoreError
from node.storage.memory import MemoryStore, StateSums
from replication import rebuild
from replication.messages import Message
from simulation.checks import Checks
from simulation.clock import DriftingClock
from simulation.knobs import Knobs
from simulation.life import Life
from simulation.network import Network
from simulation.world import Violation, World
from topology.placement import CATALOG_PARTITION
from wire import catalog_pb2

# How long a turn waits for its place on the event loop.
TURN_DELAY_S = (0.00002, 0.0003)
SPACED_TURN_DELAY_S = (0.0003, 0.0008)
SLOW_SYNC_S = (0.01, 0.3)
# A supervisor restarts at once, a person later.
DRAIN_S = 2.0
DRAIN_GRACE_S = 0.01
RESTART_S = ((0.01, 0.1), (0.1, 2.0))
# While its disk is full a process stops itself at its first write; a supervisor does not give up.
_FULL_RESTART_S = (0.1, 0.5)


class SyncFailed(Exception):
    """The fault FAILED_SYNC: the disk refused a sync."""


class Process(Life):
    """One life of a node process; implements node.host.Links and node.host.Loop."""

    def __init__(self, machine: Machine, number: int) -> None:
        randomness = machine.world.random_stream(f"{machine.node_id}/{number}")
        super().__init__(machine.node_id, machine.world, randomness, machine.clock)
        self.node_id = machine.node_id
        self.machine = machine
        self.accepted_epochs: dict[str, int] = {}
        self._timer_interval_s = machine.knobs.timer_interval_s
        self.host = NodeHost(
            HostSettings(
                node_id=machine.node_id,
                partitions=dict(machine.placement),
                replication=machine.knobs.replication,
                proposals_in_flight_max=machine.knobs.proposals_in_flight_max,
                durable=True,
                busy_arrivals=machine.knobs.busy_arrivals,
            ),
            store=machine.store,
            links=self,
            loop=self,
            clock=machine.clock,
            randomness=random.Random(self._randomness.random()),
            metrics=machine.metrics,
            stop_process=self._stop,
        )
        machine.checks.watch(machine.node_id, self.host)
        self.later(self._timer_interval_s, self._timer)

    def _timer(self) -> None:
        self.host.timer()
        self.later(self._timer_interval_s, self._timer)

    def _stop(self, error: BaseException) -> None:
        if isinstance(error, SyncFailed):
            self.machine.crash(power_loss=False)
        elif isinstance(error, StoreError) and self.machine.store.is_full:
            self.machine.crash(power_loss=False, restart_after_s=self._randomness.uniform(*_FULL_RESTART_S))
        elif isinstance(error, Violation):
            raise error
        else:
            raise self._world.violation(f"{self.node_id} stopped itself: {error!r}") from error

    def drain_and_stop(self) -> None:
        """What SIGTERM does: hand the leaderships over, then end and be started again."""

        async def drain() -> None:
            self.host.refuse_leadership()
            await hand_over(self.host, self.host.led_groups(), None, DRAIN_S)
            self.host.refuse_held()
            # The answers that told of it leave first.
            await asyncio.sleep(DRAIN_GRACE_S)
            self.machine.crash(power_loss=False)

        self.loop.create_task(drain(), name="drain")

    def data_states(self) -> dict[int, PartitionState]:
        """What this node has applied, of every partition of data that it holds."""
        partitions = self.host.partitions
        return {group_id: one.state for group_id, one in partitions.items() if group_id != CATALOG_PARTITION}

    # ------------------------------------------------------------------ node.host.Links, node.host.Loop
    def send(self, target: str, group_id: int, message: Message) -> None:
        """Queue for the stream to `target`."""
        if self.is_alive:
            self.machine.network.send(self, target, group_id, message)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Give the host its turn."""
        self._later_turn(TURN_DELAY_S, callback)

    def call_spaced(self, callback: Callable[[], None]) -> None:
        """The same after a short pause."""
        self._later_turn(SPACED_TURN_DELAY_S, callback)

    def _later_turn(self, bounds: tuple[float, float], callback: Callable[[], None]) -> None:
        self._world.at(self._randomness.uniform(*bounds), lambda: self._turn_due(callback))

    def _turn_due(self, callback: Callable[[], None]) -> None:
        if not self.is_alive:
            return
        if self._world.now < self._paused_until:
            self._deferred.append(lambda: self._turn(callback))
        else:
            # Even while a resumed process has a backlog: turns come between arrivals, not behind all of them.
            self.run(lambda: self._turn(callback))

    def _turn(self, callback: Callable[[], None]) -> None:
        callback()
        if self.is_alive:
            self.machine.checks.turn_ended(self.node_id, self.host, self.machine.store)

    def sync_in_thread(self, _sync: Callable[[], None], ended: Callable[[BaseException | None], None]) -> None:
        """A sync that covers what is written now and ends later."""
        machine = self.machine
        covered = machine.store.unsynced_batches
        seconds = machine.sync_seconds(self._randomness)

        def finished() -> None:
            if machine.next_sync_fails:
                machine.next_sync_fails = False
                ended(SyncFailed("input/output error"))
                return
            machine.store.sync_first(covered)
            ended(None)

        self.later(seconds, finished)


def _empty_store() -> MemoryStore:
    return MemoryStore(StateSums(STATE_FAMILIES, keyspace.PREFIX_BYTES))


class Machine:
    """A node's disk and clock, and whether its process runs."""

    def __init__(
        self,
        node_id: str,
        world: World,
        network: Network,
        checks: Checks,
        knobs: Knobs,
        placement: Mapping[int, tuple[str, ...]],
    ) -> None:
        """`placement`: where every partition of the cluster was at first."""
        self.node_id = node_id
        self.placement = placement
        self.world = world
        self.network = network
        self.checks = checks
        self.knobs = knobs
        self.store = _empty_store()
        self.metrics = NodeMetrics(CollectorRegistry())
        self.process: Process | None = None
        self.next_sync_fails = False
        self.slow_syncs_until = 0.0
        self.crashes = 0
        self.lost_disks = 0
        # Called with the new process: clients connect.
        self.on_start: list[Callable[[Process], None]] = []
        self.on_crash: list[Callable[[Process], None]] = []
        self._randomness = world.random_stream(node_id)
        self.clock = DriftingClock(world, self._randomness, knobs.clock_drift)

    def start(self) -> None:
        """Start the process unless it runs."""
        if self.process is not None:
            return
        self.world.tell(f"{self.node_id} starts")
        self.checks.process_starts(self.node_id)
        try:
            self.process = process = Process(self, self.crashes)
        except Exception as error:
            raise self.world.violation(f"{self.node_id} cannot start: {error!r}") from error
        self.network.process_started(process, tuple(peer for peer in self.knobs.nodes if peer != self.node_id))
        for started in self.on_start:
            started(process)

    def crash(self, *, power_loss: bool, restart_after_s: float | None = None) -> None:
        """End the process at once and start it again after a while; power loss takes unsynced batches away."""
        process = self.process
        if process is None:
            return
        written = kept = self.store.unsynced_batches
        if power_loss:
            # The journal is torn at some byte, often where the last sync ended.
            torn_at = self._randomness.choice((0, self._randomness.randint(0, self.store.unsynced_bytes)))
            kept = self.store.batches_within(torn_at)
        self.world.tell(f"{self.node_id} crashes, keeps {kept} of {written} unsynced batches")
        process.die()
        self.process = None
        self.crashes += 1
        self.next_sync_fails = False
        self.store = self.store.crash(kept)
        self.network.process_died(process)
        for crashed in self.on_crash:
            crashed(process)
        seconds = (
            self._randomness.uniform(*self._randomness.choice(RESTART_S))
            if restart_after_s is None
            else restart_after_s
        )
        self.world.at(seconds, self.start)

    def lose_disk(self, restart_after_s: float | None = None) -> None:
        """End the process and take everything that was written; it starts again from an empty disk, marked."""
        self.crash(power_loss=True, restart_after_s=restart_after_s)
        self.world.tell(f"{self.node_id} loses its disk")
        self.lost_disks += 1
        self.checks.disk_lost(self.node_id)
        self.store = _empty_store()
        # As node.identity does: nobody knows which replicas had moved here.
        rebuild.mark_rebuilding(self.store, sorted(self.placement), self._randomness.getrandbits(64))
        self.store.write_batch()
        self.store.sync()

    @property
    def rebuilding(self) -> list[int]:
        """Groups whose replica here is being rebuilt, or would be after a power loss now; if it ever comes here."""
        durable = self.store.crash()
        return [group_id for group_id in self.placement if rebuild.read_mark(durable, group_id) is not None]

    def sync_seconds(self, randomness: random.Random) -> float:
        """How long the sync that starts now takes."""
        if self.world.now < self.slow_syncs_until or randomness.random() < self.knobs.slow_sync_probability:
            return randomness.uniform(*SLOW_SYNC_S)
        return self.knobs.sync_s * randomness.uniform(0.3, 1.7)


def newest_catalog(machines: Iterable[Machine]) -> catalog_pb2.Catalog | None:
    """The newest one that a running node knows."""
    catalogs = [machine.process.host.catalog for machine in machines if machine.process is not None]
    return max(filter(None, catalogs), key=lambda catalog: catalog.version, default=None)


class SimulatedSession(RouterSession):
    """A router's stream seen from the node: `wake` lets its writer take the frame a moment later."""

    def __init__(self, process: Process, number: int, deliver: Callable[[bytes], None]) -> None:
        super().__init__(process.host.session_dirty)
        self._process = process
        self._number = number
        self._deliver = deliver
        self._writer_runs = False

    def __hash__(self) -> int:
        # The host keeps sessions in a set: its order must not depend on addresses.
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other

    def wake(self) -> None:
        """The turn is over: start the writer unless it is about to write."""
        super().wake()
        if not self._writer_runs:
            self._writer_runs = True
            self._process.later(0.0001, self._write)

    def _write(self) -> None:
        self._writer_runs = False
        self._deliver(self.take_frame().SerializeToString())

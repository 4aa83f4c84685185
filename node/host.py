"""The node around its groups: one loop turn handles everything that arrived, then one batch, then one sync.

Built by node.__main__ (real store, gRPC links) and by the simulation (memory twins). Messages and operations are
handed in as they arrive; the turn then judges and proposes, ticks the groups, ships appends, writes the shared batch
and starts a sync in a thread, if none runs. Which groups are here says node.holdings. Law 2: an answer leaves after
the batch with its effect is written; a message that tells of a journalled fact leaves after its sync. A failed write
or sync stops the process: what is on disk is not known.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from node.durability import Durability
from node.holdings import Holdings
from node.indexing.cluster import CatalogCluster
from node.machine.catalog import CatalogPartitionState
from node.machine.state import PartitionState
from node.metrics import NodeMetrics
from node.partition import Partition
from node.ports import HostSettings, Links, Loop, stops_process
from node.range_turns import RangeTurns
from node.sessions import RouterSession
from node.sync_watch import SyncWatch
from replication.group import ReplicaParts
from replication.journal import GroupJournal
from replication.messages import Kind, Message
from replication.ports import Store
from replication.raft import RaftReplica
from replication.retirement import retire, retired_groups, stored_groups
from runtime.clock import Clock, HybridClock
from runtime.logs import get_logger
from topology.placement import CATALOG_PARTITION
from wire import catalog_pb2, data_pb2

log = get_logger()

# A sync that takes longer than this will not end: the process stops, and its replicas are rebuilt elsewhere or later.
SYNC_STUCK_S = 30.0


class NodeHost:
    """All replicas of one node; implements replication.ports.Host."""

    def __init__(
        self,
        settings: HostSettings,
        *,
        store: Store,
        links: Links,
        loop: Loop,
        clock: Clock,
        randomness: random.Random,
        metrics: NodeMetrics,
        stop_process: Callable[[BaseException], None],
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.hybrid_clock = HybridClock(clock)
        # In the order in which they came: that of a set of objects differs from run to run.
        self.sessions: dict[RouterSession, None] = {}
        self.partitions: dict[int, Partition] = {}
        self.remote_catalog: catalog_pb2.Catalog | None = None
        self.on_catalog_changed: Callable[[], None] = lambda: None
        self._catalog_state: CatalogPartitionState | None = None
        self._catalog_dirty = False
        self._cluster = CatalogCluster(
            lambda: self.catalog, settings.partitions, leader_of=self._leader_of, send=self._send_to_partition
        )
        self._store = store
        self._links = links
        self._loop = loop
        self._clock = clock
        self._monotonic = clock.monotonic
        self._randomness = randomness
        self.stop_process = stop_process
        self._range_turns = RangeTurns(lambda: loop.call_soon(self._read_ranges), clock.monotonic)
        self._durability: Durability[tuple[str, int, Message]] = Durability()
        self._groups: dict[int, RaftReplica] = {}
        self._holdings = Holdings(settings.node_id, settings.partitions)
        # Groups held here that the catalog does not name this node for; nearly always none.
        self._strangers: list[int] = []
        # Peers whose stream is up, in the order in which they came: a group that is opened later is told of them.
        self._connected: dict[str, None] = {}
        self._states: dict[int, PartitionState] = {}
        self._dirty: set[int] = set()
        self._journals_changed: set[int] = set()
        self._unsynced: set[int] = set()
        self._dirty_sessions: list[RouterSession] = []
        self._is_kicked = False
        self._arrivals = 0
        self._is_busy = False
        self._sync_watch = SyncWatch()
        for group_id, voters in self._holdings.at_start(stored_groups(store), retired_groups(store)).items():
            self._open_group(group_id, voters)
        # What opening collected (a first entry, leftovers of a snapshot) goes out with the first turn.
        self._kick()

    def _open_group(self, group_id: int, first_voters: tuple[str, ...]) -> RaftReplica:
        state: PartitionState
        if group_id == CATALOG_PARTITION:
            state = self._catalog_state = CatalogPartitionState(
                self._store, group_id, self.hybrid_clock, self._catalog_changed
            )
        else:
            state = PartitionState(self._store, group_id, self.hybrid_clock)
        group = RaftReplica(
            ReplicaParts(
                group_id=group_id,
                self_id=self.settings.node_id,
                journal=GroupJournal(self._store, self, group_id, first_voters),
                machine=state,
                host=self,
                monotonic=self._monotonic,
                randomness=self._randomness,
                settings=self.settings.replication,
            )
        )
        self._states[group_id] = state
        self._groups[group_id] = group
        self.partitions[group_id] = Partition(
            group,
            state,
            self.hybrid_clock,
            self._range_turns,
            self.settings.proposals_in_flight_max,
            self._cluster,
            self._clock.wall_ms,
        )
        for peer in self._connected:
            group.peer_connected(peer)
        return group

    def _close_strangers(self) -> None:
        """Delete the replicas that left this node. In a turn, before its batch: nothing of them may follow."""
        for group_id in self._strangers:
            group = self._groups[group_id]
            if not group.is_leader and self._holdings.is_over(
                group_id, group.membership, is_dismissed=group.is_dismissed
            ):
                self._close_group(group_id)
        self._strangers = [group_id for group_id in self._strangers if group_id in self._groups]

    def _close_group(self, group_id: int) -> None:
        """Collect, in one batch, the end of a replica and of all its data: a crash leaves both or neither."""
        group, partition = self._groups.pop(group_id), self.partitions.pop(group_id)
        state = self._states.pop(group_id)
        for forgotten in (self._dirty, self._journals_changed, self._unsynced):
            forgotten.discard(group_id)
        # What waits for a sync tells of a log that will be gone by then.
        self._durability.drop(lambda held: held[1] == group_id)
        partition.refuse_held()
        self._range_turns.drop(state)
        state.delete()
        retire(self._store, group_id, group.journal.newest_position)
        self._durability.journal_changed()
        self.metrics.forget_partition(group_id)
        for session in self.sessions:
            session.push_leader(group_id, None, group.term)
        log.info("replica_closed", partition=group_id, membership_index=group.membership.index)

    # ------------------------------------------------------------------ replication.ports.Host
    def send(self, group_id: int, target: str, message: Message, *, durable: bool) -> None:
        """Send now, or after the sync of everything journalled so far."""
        if durable and self._durability.must_hold:
            self._durability.hold((target, group_id, message), can_wait=message.can_wait)
        else:
            self._links.send(target, group_id, message)

    def journal_changed(self, group_id: int) -> None:
        """The group's journal collected writes that need a sync."""
        self._journals_changed.add(group_id)
        self._durability.journal_changed()

    def wake(self, group_id: int) -> None:
        """Give the group a turn, if it is still here."""
        if group_id in self._groups:
            self._dirty.add(group_id)
            self._kick()

    def leadership_changed(self, group_id: int) -> None:
        """Tell the routers and count."""
        group = self._groups[group_id]
        self.metrics.leader_changes.labels(partition=group_id).inc()
        log.info("leader_seen", partition=group_id, leader=group.leader_id, term=group.term)
        if group.is_leader:
            self.metrics.elections.labels(partition=group_id).inc()
        for session in self.sessions:
            session.push_leader(group_id, group.leader_id, group.term)

    # ------------------------------------------------------------------ arrivals
    @stops_process
    def operations_arrived(self, session: RouterSession, operations: list[data_pb2.Operation]) -> None:
        """Take a router's operations; nobody waits for those of an outdated stream."""
        if session.is_outdated:
            return
        partitions, dirty = self.partitions, self._dirty
        counts: dict[int, int] = {}
        session.in_flight += len(operations)
        self._arrivals += len(operations)
        for operation in operations:
            partition_id, kind = operation.partition, operation.kind
            counts[kind] = counts.get(kind, 0) + 1
            partition = partitions.get(partition_id)
            if partition is None:
                session.refuse(operation.id, data_pb2.WRONG_PARTITION)
            elif partition.arrive(session, operation, kind):
                dirty.add(partition_id)
        self.metrics.count_operations(counts)
        self._kick()

    @stops_process
    def message_arrived(self, sender: str, group_id: int, message: Message) -> None:
        """Take one Raft message."""
        group = self._groups.get(group_id)
        kind = message.kind
        if group is None:
            if not self._holdings.may_open(group_id, kind):
                return
            log.info("replica_opened", partition=group_id, leader=sender, term=message.term)
            group = self._open_group(group_id, ())
        if kind is Kind.FEED or kind is Kind.FEED_DONE:
            self._take_feed_message(sender, group_id, message)
            return
        group.receive(sender, message)
        # Dealt with by receiving it: a read barrier, and a follower's word that commits nothing (yet).
        if kind is Kind.READ_BARRIER or (kind is Kind.APPEND_OK and group.is_leader and not group.may_commit()):
            return
        self._arrivals += 1
        self._dirty.add(group_id)
        self._kick()

    def _take_feed_message(self, sender: str, group_id: int, message: Message) -> None:
        indexing = self.partitions[group_id].indexing
        if message.kind is Kind.FEED:
            indexing.feed_arrived(sender, message)
        else:
            indexing.feed_answered(sender, message, self._monotonic())
        self.wake(group_id)

    def _send_to_partition(self, node_id: str, group_id: int, message: Message) -> None:
        """Hand a feed's message to a replica of a group, here or elsewhere; lost when its node cannot be reached."""
        if node_id == self.settings.node_id:
            self.message_arrived(node_id, group_id, message)
        else:
            self._links.send(node_id, group_id, message)

    def _leader_of(self, group_id: int) -> str | None:
        group = self._groups.get(group_id)
        return group.leader_id if group is not None else None

    @stops_process
    def peer_connected(self, peer: str) -> None:
        """The stream to `peer` is up."""
        self._connected[peer] = None
        self._tell_groups(lambda group: group.peer_connected(peer))

    @stops_process
    def peer_disconnected(self, peer: str) -> None:
        """The stream to `peer` is down."""
        self._connected.pop(peer, None)
        self._tell_groups(lambda group: group.peer_disconnected(peer))

    @stops_process
    def peer_lost(self, peer: str) -> None:
        """`peer` closed its stream to this node."""
        self._tell_groups(lambda group: group.peer_lost(peer))

    def _tell_groups(self, tell: Callable[[RaftReplica], None]) -> None:
        """Every group, a member's or not: who is none today may be one tomorrow."""
        for group_id, group in self._groups.items():
            tell(group)
            self._dirty.add(group_id)
        self._kick()

    @stops_process
    def session_opened(self, session: RouterSession) -> None:
        """A router connected: it gets the catalog and all leaders.

        Its older streams are over. A write is repeated on the new one; if it came on an old one after that, it could
        happen although the repeat was told that it did not.
        """
        for other in self.sessions:
            if session.process_id and other.process_id == session.process_id:
                other.is_outdated |= other.stream < session.stream
        self.sessions[session] = None
        catalog = self.catalog
        if catalog is not None:
            session.push_catalog(catalog)
        for group_id, group in self._groups.items():
            session.push_leader(group_id, group.leader_id, group.term)
        self._kick()

    def session_closed(self, session: RouterSession) -> None:
        """A router went away; what it waits for goes on and is answered to nobody."""
        session.closed = True
        self.sessions.pop(session, None)

    def session_dirty(self, session: RouterSession) -> None:
        """A session collected something to send."""
        self._dirty_sessions.append(session)
        self._kick()

    @stops_process
    def timer(self) -> None:
        """Called every few milliseconds: give a turn to groups whose time has come."""
        now = self._monotonic()
        self._watch_sync(now)
        for group_id, group in self._groups.items():
            if now > group.next_event_at():
                self._dirty.add(group_id)
            partition = self.partitions[group_id]
            if partition.is_paused or now > partition.indexing.next_event_at:
                self._dirty.add(group_id)
        self._durability.hurry()
        if self._dirty or self._durability.wants_sync:
            self._kick()

    def _watch_sync(self, now: float) -> None:
        """A disk that hangs must not keep leaderships: followers answer heartbeats, but nothing can commit here."""
        waited_s = self._sync_watch.waited_s(now)
        if waited_s > SYNC_STUCK_S:
            self.stop_process(TimeoutError(f"a sync has not ended for {waited_s:.0f} s"))
        elif waited_s > 2 * self.settings.replication.election_timeout_max_s:
            if not self._sync_watch.is_overdue:
                log.error("sync_overdue", waited_s=round(waited_s, 1), led=self.led_groups())
            self._sync_watch.is_overdue = True
            for group in self._groups.values():
                group.resign()

    # ------------------------------------------------------------------ the catalog
    @property
    def catalog(self) -> catalog_pb2.Catalog | None:
        """The newest catalog this node knows, None before the first."""
        if self._catalog_state is not None:
            catalog = self._catalog_state.catalog.catalog
            return catalog if catalog.version else None
        return self.remote_catalog

    @property
    def catalog_version(self) -> int:
        """The version of that catalog, 0 without one."""
        catalog = self.catalog
        return catalog.version if catalog is not None else 0

    def take_remote_catalog(self, catalog: catalog_pb2.Catalog) -> None:
        """A node outside the catalog group heard of a newer catalog."""
        if self._catalog_state is None and catalog.version > self.catalog_version:
            self.remote_catalog = catalog
            self._catalog_changed()
            self._kick()

    def _catalog_changed(self) -> None:
        self._catalog_dirty = True

    def _publish_catalog(self) -> None:
        self._catalog_dirty = False
        catalog = self.catalog
        if catalog is not None:
            for session in self.sessions:
                session.push_catalog(catalog)
            self._holdings.take(catalog)
            self._strangers = self._holdings.strangers(self._groups)
            if self._strangers:
                self._kick()
        self.on_catalog_changed()

    @stops_process
    def _read_ranges(self) -> None:
        self._range_turns.run()

    # ------------------------------------------------------------------ the turn
    def _kick(self) -> None:
        if not self._is_kicked:
            self._is_kicked = True
            # With replication.pacing_us a busy node waits a moment for more to share the turn; a quiet one never does.
            if self._is_busy:
                self._loop.call_spaced(self._turn)
            else:
                self._loop.call_soon(self._turn)

    @stops_process
    def _turn(self) -> None:
        self._is_kicked = False
        now = self._monotonic()
        self._is_busy = self._arrivals >= self.settings.busy_arrivals
        self._arrivals = 0
        if self._strangers:
            self._close_strangers()
        dirty, self._dirty = self._dirty, set()
        groups, partitions = self._groups, self.partitions
        # Sorted: the order of effects must not depend on hashing, or a simulated run could not be repeated.
        ordered = sorted(dirty) if len(dirty) > 1 else list(dirty)
        for group_id in ordered:
            partitions[group_id].turn(now)
        for group_id in ordered:
            group = groups[group_id]
            group.tick()
            group.ship(is_busy=self._is_busy)
            partition = partitions[group_id]
            if partition.is_paused:
                partition.try_transfer(now)
                if partition.end_pause(now):
                    self.wake(group_id)
            elif partition.has_arrivals and (group.is_ready_leader or not group.is_leader):
                self.wake(group_id)
        for group_id in ordered:
            self._states[group_id].flush()
        self._write_and_sync()
        for group_id in ordered:
            self._states[group_id].batch_written()
            groups[group_id].batch_written()
            if partitions[group_id].indexing.batch_written(now):
                self.wake(group_id)
        if self._catalog_dirty:
            self._publish_catalog()
        sessions, self._dirty_sessions = self._dirty_sessions, []
        for session in sessions:
            session.wake()
        metrics = self.metrics
        metrics.new_turns += 1
        metrics.new_turn_seconds += self._monotonic() - now

    def _write_and_sync(self) -> None:
        self._store.write_batch()
        changed, groups = self._journals_changed, self._groups
        # For a follower's part wait only those whom its answers are for, and those say whether they can wait.
        can_wait = not any(groups[group_id].is_leader for group_id in changed)
        self._unsynced |= changed
        changed.clear()
        self._durability.batch_written(can_wait=can_wait)
        if not self._durability.start_sync():
            return
        unsynced = [self._groups[group_id] for group_id in sorted(self._unsynced)]
        covered = [(group, group.journal.sync_starts()) for group in unsynced]
        self._unsynced.clear()
        if not self.settings.durable:
            self._sync_ended(covered, None)
            return
        self._sync_watch.started(self._monotonic())
        self._loop.sync_in_thread(self._store.sync, lambda error: self._sync_ended(covered, error))

    @stops_process
    def _sync_ended(self, covered: list[tuple[RaftReplica, int]], error: BaseException | None) -> None:
        if error is not None:
            # After a failed sync the kernel may have dropped the pages: nothing that follows could be trusted.
            self.stop_process(error)
            return
        if self._sync_watch.started_at is not None:
            self.metrics.sync_seconds.observe(self._sync_watch.ended(self._monotonic()))
        for group, index in covered:
            group_id = group.group_id
            if self._groups.get(group_id) is not group:
                continue  # it left meanwhile, and is perhaps back with another log: what was synced is not of that one
            group.synced(index)
            # Only a leader's commit can move by it; what a follower has to say is among the held messages.
            if group.is_leader and group.may_commit():
                self._dirty.add(group_id)
        for target, group_id, message in self._durability.sync_ended():
            self._links.send(target, group_id, message)
        if self._dirty or self._durability.wants_sync:
            self._kick()

    # ------------------------------------------------------------------ for people
    def start_transfer(self, group_id: int, target: str | None) -> None:
        """Hand the leadership of a group to another replica."""
        self.partitions[group_id].start_transfer(self._monotonic(), target)
        self.wake(group_id)

    def refuse_leadership(self) -> None:
        """This node is about to stop: nobody may hand it a leadership."""
        for group in self._groups.values():
            group.accepts_leadership = False

    def refuse_held(self) -> None:
        """The last thing before the process ends: tell routers what was never begun, so that they go elsewhere."""
        for partition in self.partitions.values():
            partition.refuse_held()

    @property
    def strangers(self) -> list[int]:
        """The groups here that the catalog does not name this node for."""
        return self._strangers

    def led_groups(self) -> list[int]:
        """The groups that this node leads."""
        return [group_id for group_id, group in self._groups.items() if group.is_leader]

    def group(self, group_id: int) -> RaftReplica:
        """One replica. Raises KeyError when this node has none."""
        return self._groups[group_id]

    @property
    def held_messages(self) -> int:
        """Messages that wait for a sync."""
        return len(self._durability)

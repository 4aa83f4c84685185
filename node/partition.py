"""The leader's side of one partition: judge what arrived, propose it as one log entry, answer when it is committed.

Driven by node.host once a loop turn. Writes are judged against the newest state this leader knows: what is proposed
and not yet applied (the overlay), else the store. So writes of one item need no lock and many turns can be under way.

Law: a write is answered OK only after commit and apply. An answer that only reads (a strong get, a failed condition)
is given only when, after its arrival, a quorum confirmed this leader and everything it saw is committed: it rides on
an entry appended after it, or on a read barrier. A repeat of a write is never proposed when the write is applied or
under way, nor when nobody can know that any more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from dynamo.indexes import IndexDefinition
from node.evaluate import ANSWER_FLAGS, OK, Decision, decide_write, depends_on_item
from node.expiry import ExpiryDone, ExpirySession
from node.indexing.changes import Effects, collection_row
from node.indexing.cluster import ClusterView
from node.indexing.judge import judge_indexed
from node.indexing.leader import Ended, IndexLeader
from node.machine.requests import REQUEST_ID_BYTES
from node.machine.state import PartitionState
from node.proposal import Proposal
from node.range_turns import RangeTurns
from node.sessions import RouterSession
from node.storage import keyspace
from node.storage.errors import StoreError
from node.write_queue import Arrived, Batch, WriteQueue, size_of
from replication.outcomes import Outcome
from replication.raft import RaftReplica
from runtime.clock import HybridClock
from runtime.logs import get_logger
from wire import catalog_pb2, data_pb2, log_pb2

log = get_logger()

# One log entry never grows beyond this by more than one operation: an append must fit into a frame.
PROPOSAL_BYTES_MAX = 1024 * 1024
# How long new writes wait while leadership is being handed over, before this leader goes on.
TRANSFER_PAUSE_S = 0.5


_RANGE_STRONG, _RANGE_EVENTUAL = data_pb2.RANGE_STRONG, data_pb2.RANGE_EVENTUAL
_EVENTUAL_READS = frozenset((data_pb2.GET_EVENTUAL, _RANGE_EVENTUAL))
_READS = frozenset((data_pb2.GET_STRONG, data_pb2.CATALOG_READ, _RANGE_STRONG))
_WRITES = frozenset((data_pb2.PUT, data_pb2.UPDATE, data_pb2.DELETE, data_pb2.CATALOG_COMMAND, data_pb2.EXPIRE))


class Partition:
    """What this node does for one partition while it leads it, and its eventual reads."""

    def __init__(
        self,
        group: RaftReplica,
        state: PartitionState,
        hybrid_clock: HybridClock,
        range_turns: RangeTurns,
        proposals_in_flight_max: int,
        cluster: ClusterView,
        wall_ms: Callable[[], int],
    ) -> None:
        self.group = group
        self.state = state
        self._hybrid_clock = hybrid_clock
        self._range_turns = range_turns
        self._writes = WriteQueue(proposals_in_flight_max)
        self._reads: list[Arrived] = []
        self._overlay: dict[bytes, tuple[bytes | None, int]] = {}
        self._proposals: deque[Proposal] = deque()
        self._paused_until = 0.0
        self._transfer_target: str | None = None
        self._invited = False
        self._own_commands: list[tuple[log_pb2.LogEntry, Ended | None]] = []
        self._cluster = cluster
        self._expiry = ExpirySession()
        self.indexing = IndexLeader(group, state, cluster, wall_ms, self.propose_own)
        self.proposals_total = 0

    # ------------------------------------------------------------------ arrivals
    def arrive(self, session: RouterSession, operation: data_pb2.Operation, kind: int) -> bool:
        """Take one operation of `kind`. True: the partition wants a turn."""
        if kind in _EVENTUAL_READS:
            if self.group.rebuild is not None or not self.group.is_voter:
                session.refuse(operation.id, data_pb2.UNAVAILABLE)
            elif kind == _RANGE_EVENTUAL:
                self._range_turns.read(self.state, session, operation)
            else:
                item = self.state.get(keyspace.item_key(operation.table_id, operation.key))
                session.answer(operation.id, OK, item or b"")
            return False
        if kind in _READS:
            self._reads.append(Arrived(session, operation))
        elif kind not in _WRITES:
            session.refuse(operation.id, data_pb2.UNAVAILABLE)
            return False
        elif not self._writes.add(session, operation):
            session.refuse(operation.id, data_pb2.OVERLOADED)
            return False
        return True

    def propose_own(self, entry: log_pb2.LogEntry, ended: Ended | None = None) -> None:
        """Let an entry of this node's own (table drops, catalog commands, feeds) go with the next turn.

        `ended` is told whether it was committed; False means that it was not or that this is not known.
        """
        self._own_commands.append((entry, ended))

    def expire(self, table_id: int, key: bytes, expiry: data_pb2.Expiry, done: ExpiryDone) -> None:
        """Delete an item if it is expired by the time that it is judged. The partition wants a turn.

        `done` gets True when the item was deleted, False when it is not expired, None when refused or unknown.
        """
        operation = self._expiry.operation(self.group.group_id, table_id, key, expiry, done)
        self.arrive(self._expiry, operation, data_pb2.EXPIRE)

    @property
    def has_arrivals(self) -> bool:
        """Whether work waits for a turn."""
        if self._reads or self._own_commands:
            return True
        # Full: a proposal ends within a turn, which asks again behind it.
        return not self._is_full and (bool(self._writes) or self.indexing.wants_step())

    @property
    def _is_full(self) -> bool:
        return self._writes.is_full and self.group.is_ready_leader

    @property
    def in_flight(self) -> int:
        """Operations that wait for a commit or a turn."""
        return self._writes.operations + len(self._reads)

    @property
    def index_backlog(self) -> int:
        """Changes of global indexes that are not known to be applied by their partitions."""
        return self.state.outbox_count

    def index_lag_ms(self) -> int:
        """Age of the oldest of them, 0 without any."""
        return self.indexing.lag_ms

    def is_backfilled(self, index_id: int) -> bool:
        """Whether every item of this partition is in the index; false for an index that has not begun here."""
        return self.state.is_backfilled(index_id)

    # ------------------------------------------------------------------ one turn
    def turn(self, now: float) -> None:
        """Judge and propose everything that arrived, as far as the log has room."""
        if self._writes and now >= self._paused_until and self.group.is_ready_leader:
            for session, operation in self._writes.note_time(now):
                session.refuse(operation.id, data_pb2.OVERLOADED)
        if not self.has_arrivals:
            return
        if not self.group.is_ready_leader:
            self._refuse_all()
            return
        if now < self._paused_until:
            return
        if self._writes or self._own_commands or self.indexing.wants_step():
            self._propose_arrived()
        if self._reads:
            self._read_arrived()

    def _refuse_all(self) -> None:
        # A leader that has not applied its own no-op yet is not refused work: it is about to be ready.
        if not self.group.is_leader:
            self.refuse_held()

    def refuse_held(self) -> None:
        """Say of everything that waits for a turn that nothing happened."""
        leader = self.group.leader_id
        writes = self._writes.clear()
        reads, self._reads = self._reads, []
        own, self._own_commands = self._own_commands, []
        self._paused_until = 0.0
        for session, operation in (*writes, *reads):
            session.refuse(operation.id, data_pb2.NOT_LEADER, leader)
        for _, ended in own:
            if ended is not None:
                ended(False)

    def _propose_arrived(self) -> None:
        proposal = self._propose_own(Proposal(self._hybrid_clock.next()))
        while not self._is_full and (batch := self._writes.next_batch()) is not None:
            proposal = self._judge_batch(proposal, batch)
        proposal = self._add_backfill_step(proposal)
        if not proposal.is_empty:
            self._append(proposal)
            return
        self._writes.held_bytes -= proposal.held_bytes
        if proposal.readers:
            self._confirm(proposal.readers)

    def _judge_batch(self, proposal: Proposal, batch: Batch) -> Proposal:
        """Judge until the log has no room; the rest waits."""
        for position, (session, operation) in enumerate(batch.writes):
            if proposal.size >= PROPOSAL_BYTES_MAX:
                proposal = self._next_if_full(proposal)
                if self._is_full:
                    self._writes.put_back(batch, position)
                    break
            proposal.held_bytes += size_of(operation)
            try:
                self._judge(proposal, session, operation)
            except StoreError:
                raise
            except Exception as error:
                # A fault of ours in judging one request must not end the process: its client would carry it to the next
                # leader. Nothing of it is in the entry, for what can fail comes before.
                log.error("operation_not_judged", partition=self.group.group_id, exc_info=error)
                proposal.readers.append((session, operation.id, Decision(data_pb2.UNAVAILABLE)))
        return proposal

    def _next_if_full(self, proposal: Proposal) -> Proposal:
        if proposal.size < PROPOSAL_BYTES_MAX:
            return proposal
        self._append(proposal)
        return Proposal(self._hybrid_clock.next())

    def _propose_own(self, proposal: Proposal) -> Proposal:
        own, self._own_commands = self._own_commands, []
        for entry, ended in own:
            proposal = self._next_if_full(proposal)
            proposal.entry.MergeFrom(entry)
            proposal.size += entry.ByteSize()
            proposal.holds_own = True
            if ended is not None:
                proposal.ended.append(ended)
        return proposal

    def _add_backfill_step(self, proposal: Proposal) -> Proposal:
        """Behind everything judged so far: the step sees it."""
        if self._is_full or not self.indexing.wants_step():
            return proposal
        proposal = self._next_if_full(proposal)
        ended = self.indexing.add_step(proposal.entry, self._newer)
        if ended is not None:
            proposal.size += proposal.entry.backfill_steps[-1].ByteSize()
            proposal.holds_own = True
            proposal.ended.append(ended)
        return proposal

    def _judge(self, proposal: Proposal, session: RouterSession, operation: data_pb2.Operation) -> None:
        if operation.kind == data_pb2.CATALOG_COMMAND:
            proposal.entry.catalog_commands.append(catalog_pb2.CatalogCommand.FromString(operation.item))
            proposal.catalog_waiters.append((session, operation.id))
            return
        if operation.term and operation.term != self.group.term:
            # Its router may have asked another leader since, and believed what that one answered.
            self._end(session, operation, data_pb2.NOT_LEADER)
            return
        if operation.is_repeat and self._answer_again(proposal, session, operation):
            return
        table_id = operation.table_id
        if table_id in self.state.dropped_tables:
            proposal.readers.append((session, operation.id, Decision(data_pb2.TABLE_GONE)))
            return
        key = keyspace.item_key(table_id, operation.key)
        item: bytes | None
        effects: Effects | None = None
        indexes = self.state.indexes.get(table_id)
        if indexes is not None:
            decision, effects = self._judge_indexed(operation, key, indexes)
            if effects is None:
                proposal.readers.append((session, operation.id, decision))
                return
            item = decision.item
        elif not depends_on_item(operation):
            decision = None
            item = operation.item if operation.kind == data_pb2.PUT else None
        else:
            decision = decide_write(operation, self._newest(key))
            if not decision.changes:
                proposal.readers.append((session, operation.id, decision))
                return
            item = decision.item
        if item is None:
            mutation = proposal.entry.mutations.add(
                table_id=table_id, key=operation.key, deleted=True, request_id=operation.request_id
            )
        else:
            mutation = proposal.entry.mutations.add(
                table_id=table_id, key=operation.key, item=item, request_id=operation.request_id
            )
        # An answer is remembered with its request id, or not at all.
        if decision is not None and operation.flags & ANSWER_FLAGS and len(operation.request_id) == REQUEST_ID_BYTES:
            decision.fill(proposal.entry.answers.add(place=len(proposal.writers)).answer)
            proposal.size += len(decision.returned)
        if effects is not None:
            self._add_effects(proposal, mutation, effects)
        proposal.size += len(key) + (len(item) if item is not None else 0)
        proposal.keys.append(key)
        proposal.writers.append((session, operation.id, decision))
        # The index is not known before the append; it is filled in there.
        self._overlay[key] = (item, 0)

    def _answer_again(self, proposal: Proposal, session: RouterSession, operation: data_pb2.Operation) -> bool:
        """Whether a write that was sent before needs no judging: it is applied, under way, or of a forgotten time."""
        request_id = operation.request_id
        answer = self.state.answer_again(request_id)
        if answer is not None:
            # Applied is committed, whoever leads: this needs no proof.
            self._writes.operations -= 1
            session.answer_again(operation.id, answer)
            return True
        for under_way in (proposal, *self._proposals):
            place = under_way.place_of(request_id)
            if place is not None:
                under_way.joined.append((place, session, operation.id))
                return True
        forgotten = self.state.forgotten_time
        if forgotten and operation.issued_at <= forgotten:
            self._end(session, operation, data_pb2.FORGOTTEN)
            return True
        return False

    def _end(self, session: RouterSession, operation: data_pb2.Operation, status: data_pb2.ResultStatus) -> None:
        """Answer a write that is being judged: it is not proposed."""
        self._writes.operations -= 1
        session.refuse(operation.id, status, self.group.leader_id)

    def _judge_indexed(
        self, operation: data_pb2.Operation, key: bytes, indexes: tuple[IndexDefinition, ...]
    ) -> tuple[Decision, Effects | None]:
        return judge_indexed(
            operation,
            self._newest(key),
            indexes,
            newest=self._newest,
            locate=self._cluster.locate,
            is_overloaded=self.indexing.is_overloaded,
        )

    def _add_effects(self, proposal: Proposal, mutation: log_pb2.Mutation, effects: Effects) -> None:
        mutation.local_writes.extend(effects.local_writes)
        mutation.index_changes.extend(effects.changes)
        proposal.size += effects.size
        if effects.collection is not None:
            # Several writes of one collection may be under way: they add up here as writes of one item do.
            index_id, collection_key, size = effects.collection
            key = keyspace.item_key(index_id, collection_key)
            proposal.keys.append(key)
            self._overlay[key] = (collection_row(size) if size else None, 0)

    def _newer(self, key: bytes, stored: bytes | None) -> bytes | None:
        """What is under way for a logical key, else what the store holds."""
        pending = self._overlay.get(key)
        return pending[0] if pending is not None else stored

    def _newest(self, key: bytes) -> bytes | None:
        pending = self._overlay.get(key)
        return pending[0] if pending is not None else self.state.get(key)

    def _append(self, proposal: Proposal) -> None:
        index = self.group.propose(
            proposal.entry.SerializeToString(), lambda outcome, result: self._proposal_ended(proposal, outcome, result)
        )
        # turn() checked leadership and nothing since can have changed it: receive() does not run inside a turn.
        assert index is not None
        self.proposals_total += 1
        proposal.index = index
        # Small updates of large items and writes to many indexes put far more into the log than what arrived.
        more = max(0, proposal.size - proposal.held_bytes)
        proposal.held_bytes += more
        self._writes.held_bytes += more
        self._writes.proposed_bytes += proposal.size
        overlay = self._overlay
        for key in proposal.keys:
            overlay[key] = (overlay[key][0], index)
        self._proposals.append(proposal)

    def _proposal_ended(self, proposal: Proposal, outcome: Outcome, result: object) -> None:
        if self._proposals and self._proposals[0] is proposal:
            self._proposals.popleft()
        else:
            self._proposals.remove(proposal)
        overlay = self._overlay
        for key in proposal.keys:
            pending = overlay.get(key)
            if pending is not None and pending[1] == proposal.index:
                del overlay[key]
        self._writes.operations -= proposal.operations
        self._writes.held_bytes -= proposal.held_bytes
        self._writes.proposed_bytes -= proposal.size
        for ended in proposal.ended:
            ended(outcome is Outcome.COMMITTED)
        if outcome is Outcome.COMMITTED:
            proposal.answer_committed(result)
        else:
            proposal.answer_not_committed(self.group.leader_id)

    # ------------------------------------------------------------------ answers that store nothing
    def _confirm(self, readers: list[tuple[RouterSession, int, Decision]]) -> None:
        """Answer decisions that store nothing: leadership must be proven and what they saw must be committed."""
        # Of the last write that they may have seen. The log may end with entries about its members, and those are
        # no proposals of this partition.
        needed_index = self._proposals[-1].index if self._proposals else 0

        def confirmed(index: int | None) -> None:
            if index is None:
                self._writes.operations -= len(readers)
                for session, operation_id, _ in readers:
                    session.refuse(operation_id, data_pb2.NOT_LEADER, self.group.leader_id)
            elif self.group.applied_index < needed_index and self._proposals:
                # They saw a write that is still under way: they are true only if it commits.
                waiting = next(proposal for proposal in self._proposals if proposal.index >= needed_index)
                waiting.readers += readers
            else:
                self._writes.operations -= len(readers)
                for session, operation_id, decision in readers:
                    session.answer_write(operation_id, decision)

        self.group.read_barrier(confirmed)

    def _read_arrived(self) -> None:
        reads, self._reads = self._reads, []

        def confirmed(index: int | None) -> None:
            if index is None:
                for session, operation in reads:
                    session.refuse(operation.id, data_pb2.NOT_LEADER, self.group.leader_id)
                return
            # The index was the commit index of an earlier turn: that turn's batch is written, so the store shows it.
            get = self.state.get
            for session, operation in reads:
                if operation.kind == data_pb2.CATALOG_READ:
                    session.answer(operation.id, OK, self.state.get_catalog())
                elif operation.table_id in self.state.dropped_tables:
                    session.refuse(operation.id, data_pb2.TABLE_GONE)
                elif operation.kind == _RANGE_STRONG:
                    self._range_turns.read(self.state, session, operation)
                else:
                    item = get(keyspace.item_key(operation.table_id, operation.key))
                    session.answer(operation.id, OK, item or b"")

        self.group.read_barrier(confirmed)

    # ------------------------------------------------------------------ handing over
    def start_transfer(self, now: float, target: str | None) -> None:
        """Hold new work and hand leadership to `target` (None: whoever has the whole log) as soon as it is ready."""
        if self.group.is_leader and not self._paused_until:
            self._paused_until = now + TRANSFER_PAUSE_S
            self._transfer_target = target
            self._invited = False

    def try_transfer(self, now: float) -> None:
        """Called each turn: invite the target once it is caught up."""
        if now < self._paused_until and not self._invited and not self._proposals:
            self._invited = self.group.transfer_leadership(self._transfer_target)

    @property
    def is_paused(self) -> bool:
        """Whether a hand-over was started and neither happened nor was given up."""
        return self._paused_until > 0.0

    def end_pause(self, now: float) -> bool:
        """True once when a hand-over was given up or happened: held work must get a turn."""
        if self._paused_until and (now >= self._paused_until or not self.group.is_leader):
            self._paused_until = 0.0
            return True
        return False

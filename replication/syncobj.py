"""Raft on pysyncobj 0.3.17: the only place that knows the engine. One object is one replica of one group.

Created and driven by node.host on its event loop; the follower side is in append_guard, flow control in progress, reads
in read_barrier, snapshots in snapshot. pysyncobj keeps terms, votes, the append rule and the commit rule. Added here,
without a fork: acknowledgements with terms, the follower guard, pre-vote, leader stickiness, check-quorum, read index,
durable acknowledgement, leadership transfer, our own snapshots and log truncation.

Law: the engine sees only messages that passed a guard, and says only what is stamped with its term here. The adapter
depends on private names of the engine, so it refuses to run with any other version (docs/decisions/0003).
"""

from __future__ import annotations

import hashlib
import inspect
import math
import random
import zlib
from collections.abc import Callable
from typing import Any

import pysyncobj.syncobj as engine
from pysyncobj import SyncObjConf
from pysyncobj.node import Node
from pysyncobj.transport import Transport
from pysyncobj.version import VERSION

from replication.append_guard import Action, judge_append
from replication.group import GroupStatus, ProposalCallback, ReadCallback, ReplicationSettings
from replication.journal import GroupJournal
from replication.messages import Kind, Message
from replication.outcomes import Outcome
from replication.ports import Host, StateMachine
from replication.progress import Progress, next_append
from replication.read_barrier import ReadBarriers
from replication.snapshot import SNAPSHOT_STALL_S, SnapshotReceiver, SnapshotSender

ENGINE_VERSION = "0.3.17"
ENGINE_SHA256 = "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4"
FOLLOWER, CANDIDATE, LEADER = 0, 1, 2
REGULAR = b"\x00"
_ROLE_NAMES = {FOLLOWER: "follower", CANDIDATE: "candidate", LEADER: "leader"}
_SUCCESS = 0
NEARLY_CAUGHT_UP_ENTRIES = 256
# After a link to the leader broke, the pre-vote starts within this time instead of a full election time-out.
_LINK_LOST_DELAY_S = (0.02, 0.15)


class RaftInvariantBroken(Exception):
    """The engine or a peer contradicts what Raft guarantees: this process must stop before it does harm."""


def check_engine() -> None:
    """Raise unless the engine is exactly the one whose private methods this module overrides."""
    with open(inspect.getfile(engine), "rb") as source:
        digest = hashlib.sha256(source.read()).hexdigest()
    if VERSION != ENGINE_VERSION or digest != ENGINE_SHA256:
        raise RaftInvariantBroken(f"pysyncobj {VERSION} ({digest[:12]}) is not the engine this adapter was proven with")


class _Time:
    """The clock of the group that runs now: the engine reads time through a module global."""

    read: Callable[[], float] = staticmethod(lambda: 0.0)


class _NullPoller:
    def poll(self, timeout: float) -> None:
        """The node's event loop does the waiting."""


class _NullSerializer:
    """The engine never makes, loads or ships a snapshot of its own."""

    def cancelTransmisstion(self, node: Node) -> None:  # noqa: N802 (the engine's spelling)
        """Nothing is ever under way."""


class ReplicaNode(Node):  # type: ignore[misc]
    """A peer whose hash does not depend on PYTHONHASHSEED: the engine keeps peers in a set and iterates over it."""

    def __hash__(self) -> int:
        return zlib.crc32(self.id.encode())


class _EngineTransport(Transport):  # type: ignore[misc]
    """Where the engine sends: everything is stamped with the term and handed to the host."""

    def __init__(self, group: SyncObjGroup, self_node: Node, other_nodes: list[Node]) -> None:
        super().__init__(group, self_node, other_nodes)
        self._group = group

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        """Translate one engine message."""
        self._group.engine_says(node, message)
        return True


_POLLER = _NullPoller()
engine.monotonicTime = lambda: _Time.read()
engine.createPoller = lambda poller_type: _POLLER
# The journal travels through the configuration's file name: the engine has no other way in.
engine.createJournal = lambda journal_file: journal_file


def _configuration(journal: GroupJournal, settings: ReplicationSettings) -> SyncObjConf:
    return SyncObjConf(
        autoTick=False,
        appendEntriesUseBatch=True,
        journalFile=journal,
        raftMinTimeout=settings.election_timeout_min_s,
        raftMaxTimeout=settings.election_timeout_max_s,
        appendEntriesPeriod=settings.heartbeat_s,
        leaderFallbackTimeout=settings.election_timeout_max_s,
        connectionTimeout=max(5.0, settings.election_timeout_max_s),
        logCompactionMinEntries=10**12,
        logCompactionMinTime=10**12,
        dynamicMembershipChange=False,
    )


class SyncObjGroup(engine.SyncObj):  # type: ignore[misc, name-defined]
    """One replica of one Raft group; implements replication.group.RaftGroup."""

    def __init__(
        self,
        *,
        group_id: int,
        self_id: str,
        peer_ids: list[str],
        journal: GroupJournal,
        machine: StateMachine,
        host: Host,
        monotonic: Callable[[], float],
        randomness: random.Random,
        settings: ReplicationSettings,
    ) -> None:
        self.group_id = group_id
        self.self_id = self_id
        self.journal = journal
        self.machine = machine
        self._host = host
        self._monotonic = monotonic
        self._random = randomness
        self._settings = settings
        self.peer_ids = frozenset(peer_ids)
        self._nodes = {peer: ReplicaNode(peer) for peer in sorted(peer_ids)}
        self._progress: dict[str, Progress] = {}
        self._pre_votes: tuple[int, set[str]] | None = None
        self._votes: set[str] = set()
        self._forced_election = False
        self._lease_void = False
        self._sent_at_echo = 0.0
        self._barriers = ReadBarriers()
        self._receiver = SnapshotReceiver(machine)
        self._senders: dict[str, SnapshotSender] = {}
        self._snapshots_wanted: set[str] = set()
        self._last_seen: tuple[str | None, int, int] = (None, 0, FOLLOWER)
        self._quorum_followers = (len(self._nodes) + 1) // 2
        _Time.read = monotonic
        super().__init__(
            ReplicaNode(self_id),
            list(self._nodes.values()),
            _configuration(journal, settings),
            nodeClass=ReplicaNode,
            transportClass=_EngineTransport,
        )
        self._SyncObj__serializer = _NullSerializer()
        self._SyncObj__needLoadDumpFile = False
        applied = max(machine.applied_index, 1)
        if applied > journal.last_index or applied < journal.first_index:
            raise RaftInvariantBroken(
                f"group {group_id}: applied index {applied} lies outside the log "
                f"{journal.first_index}..{journal.last_index}"
            )
        self._SyncObj__raftLastApplied = applied
        self._SyncObj__raftCommitIndex = applied
        # A restarted replica may have been part of a lease quorum or of a leader's promise: it grants no vote before one
        # minimum election time-out has passed.
        self._leader_contact = monotonic()
        self._to_engine = self._SyncObj__transport._onMessageReceivedCallback

    # ------------------------------------------------------------------ what the node reads
    @property
    def is_leader(self) -> bool:
        """Leader by its own belief; only a read barrier or a commit proves it."""
        return bool(self._SyncObj__raftState == LEADER)

    @property
    def is_ready_leader(self) -> bool:
        """A leader that has applied its own no-op, so its state holds everything committed before its term."""
        return bool(
            self._SyncObj__raftState == LEADER
            and self._SyncObj__noopIDx is not None
            and self._SyncObj__raftLastApplied >= self._SyncObj__noopIDx
        )

    @property
    def leader_id(self) -> str | None:
        """The leader as far as this replica knows."""
        leader = self._SyncObj__raftLeader
        return None if leader is None else str(leader.id)

    @property
    def term(self) -> int:
        """The current term."""
        return int(self._SyncObj__raftCurrentTerm)

    @property
    def applied_index(self) -> int:
        """The last index applied to the machine (its batch may still wait to be written)."""
        return int(self._SyncObj__raftLastApplied)

    @property
    def commit_index(self) -> int:
        """The last index known to be committed."""
        return int(self._SyncObj__raftCommitIndex)

    def status(self) -> GroupStatus:
        """A picture for people."""
        role = _ROLE_NAMES[self._SyncObj__raftState]
        match = (
            {peer: progress.acknowledged_index for peer, progress in self._progress.items()} if self.is_leader else {}
        )
        return GroupStatus(
            role=role,
            leader=self.leader_id,
            term=self.term,
            commit_index=self.commit_index,
            applied_index=self.applied_index,
            last_index=self.journal.last_index,
            first_index=self.journal.first_index,
            match_index=match,
        )

    def next_event_at(self) -> float:
        """When time alone makes this group want a tick."""
        if self._SyncObj__raftState == LEADER:
            return float(self._SyncObj__newAppendEntriesTime)
        return float(self._SyncObj__raftElectionDeadline)

    # ------------------------------------------------------------------ proposals and reads
    def propose(self, payload: bytes, callback: ProposalCallback) -> int | None:
        """Append to the log of this leader. Returns the index, or None when refused: nothing happened, no callback."""
        if not self.is_ready_leader:
            return None
        index = self.journal.last_index + 1
        term = self._SyncObj__raftCurrentTerm
        # Straight into the log: the engine's own command queue forwards to another leader when leadership is lost in
        # between, which would turn a refusal into an unknown outcome.
        self.journal.add(REGULAR + payload, index, term)

        def finished(result: object, error: int) -> None:
            callback(Outcome.COMMITTED if error == _SUCCESS else Outcome.UNKNOWN, result)

        self._SyncObj__commandsWaitingCommit[index].append((term, finished))
        return index

    def read_barrier(self, callback: ReadCallback) -> None:
        """Confirm leadership for a read that arrived before this call."""
        if not self.is_ready_leader:
            callback(None)
        elif self._lease_valid():
            callback(self._SyncObj__raftCommitIndex)
        else:
            self._barriers.add(self._SyncObj__raftCommitIndex, callback)

    def transfer_leadership(self, target: str | None = None) -> bool:
        """Ask a caught-up follower to campaign now; false when none is caught up."""
        if not self.is_leader:
            return False
        last = self.journal.last_index
        candidates = [
            peer
            for peer, node in self._nodes.items()
            if node in self._SyncObj__connectedNodes
            and self._SyncObj__raftMatchIndex.get(node, 0) == last
            and (target is None or peer == target)
        ]
        if not candidates:
            return False
        # A lease must not outlive the invitation to elect somebody else.
        self._lease_void = True
        self._send(self._nodes[candidates[0]], Message(Kind.TIMEOUT_NOW, self.term), durable=False)
        return True

    def is_nearly_caught_up(self, peer: str) -> bool:
        """On the leader: whether `peer` misses so little that a hand-over would pause writes only for a moment."""
        progress = self._progress.get(peer)
        if progress is None or not self.is_leader or progress.probing:
            return False
        return self.journal.last_index - progress.acknowledged_index <= NEARLY_CAUGHT_UP_ENTRIES

    # ------------------------------------------------------------------ time
    def tick(self) -> None:
        """Advance: commit, apply, elections, heartbeats. Cheap enough to call once a loop turn."""
        now = self._enter()
        if self._SyncObj__raftState != LEADER:
            if 0 <= self._SyncObj__raftElectionDeadline < now and self._SyncObj__connectedNodes:
                self._start_pre_vote(now)
        elif not self._heard_from_quorum(self._settings.election_timeout_max_s):
            self._step_down(self.term)
        was_leader = self.is_leader
        self.doTick(0.0)
        if was_leader and not self.is_leader:
            self._step_down(self.term)
        self._report_change()

    def ship(self) -> None:
        """Send what was proposed and the read round, after a tick."""
        if self._SyncObj__raftState != LEADER:
            return
        now = self._enter()
        last = self.journal.last_index
        for node in self._nodes.values():
            if self._SyncObj__raftNextIndex[node] <= last:
                self._send_appends(node, now, heartbeat=False)
        self._send_read_round(self._barriers.start_round())

    def batch_written(self) -> None:
        """The shared batch is written: the store now shows exactly what is applied, so snapshots may start."""
        if not self._snapshots_wanted:
            return
        wanted, self._snapshots_wanted = self._snapshots_wanted, set()
        now = self._enter()
        if not self.is_leader:
            return
        for peer in sorted(wanted):
            index = self.applied_index
            self._senders[peer] = sender = SnapshotSender(
                self.machine,
                index=index,
                log_term=self.journal.term_at(index),
                chunk_bytes=self._settings.snapshot_chunk_bytes,
                window_chunks=self._settings.snapshot_window_chunks,
                now=now,
            )
            self._send_chunks(peer, sender)

    def synced(self, covered_index: int) -> None:
        """A sync ended: the leader's own copy now counts up to `covered_index`."""
        self._enter()
        self.journal.sync_ended(covered_index)
        if self.is_leader:
            for peer, progress in self._progress.items():
                self._deliver_acknowledgement(self._nodes[peer], progress)

    # ------------------------------------------------------------------ links
    def peer_connected(self, peer: str) -> None:
        """A stream to `peer` is up: go on by probing."""
        self._enter()
        node = self._nodes[peer]
        self._SyncObj__onNodeConnected(node)
        self._reset_progress(peer)

    def peer_disconnected(self, peer: str) -> None:
        """The stream to `peer` is down: what was under way may be lost."""
        self._enter()
        self._SyncObj__onNodeDisconnected(self._nodes[peer])
        self._reset_progress(peer)

    def peer_lost(self, peer: str) -> None:
        """`peer` closed its stream to us. If it led, ask the others soon whether they still hear it.

        Not with leases: they count on followers staying loyal for a full time-out.
        """
        self._enter()
        leader = self._SyncObj__raftLeader
        if leader is None or leader.id != peer or self._settings.read_lease:
            return
        self._leader_contact = -math.inf
        self._SyncObj__raftElectionDeadline = self._monotonic() + self._random.uniform(*_LINK_LOST_DELAY_S)

    # ------------------------------------------------------------------ messages
    def receive(self, sender: str, message: Message) -> None:
        """Take one message from a peer of this group."""
        node = self._nodes.get(sender)
        if node is None:
            return
        self._enter()
        _HANDLERS[message.kind](self, node, message)

    def _on_append(self, node: Node, message: Message) -> None:
        term = message.term
        if term < self.term:
            self._send(node, Message(Kind.STALE_TERM, self.term, sent_at=message.sent_at), durable=True)
            return
        if self.is_leader and term == self.term:
            raise RaftInvariantBroken(f"group {self.group_id}: {node.id} also leads term {term}")
        was_leader = self.is_leader
        self._follow(message)
        if message.kind is Kind.HEARTBEAT:
            self._refresh_leader(node, term, commit_index=0)
            self._send(node, Message(Kind.APPEND_REJECTED, term, sent_at=message.sent_at), durable=True)
        else:
            self._take_append(node, message)
        if was_leader:
            self._lost_leadership()

    def _take_append(self, node: Node, message: Message) -> None:
        term = message.term
        verdict = judge_append(
            self.journal.entries, self.commit_index, message.index, message.log_term, message.entries
        )
        if verdict.action is Action.APPEND:
            self._to_engine(
                node,
                {
                    "type": "append_entries",
                    "term": term,
                    "commit_index": message.commit_index,
                    "entries": verdict.entries,
                    "prevLogIdx": verdict.at_index,
                    "prevLogTerm": verdict.log_term,
                },
            )
        elif verdict.action is Action.MATCHED:
            self._refresh_leader(node, term, min(message.commit_index, verdict.at_index))
            answer = Message(Kind.APPEND_OK, term, index=verdict.at_index, sent_at=message.sent_at)
            self._send(node, answer, durable=True)
        elif verdict.action is Action.REJECT:
            self._refresh_leader(node, term, commit_index=0)
            answer = Message(
                Kind.APPEND_REJECTED, term, index=verdict.at_index, sequence=verdict.hint, sent_at=message.sent_at
            )
            self._send(node, answer, durable=True)
        else:
            raise RaftInvariantBroken(
                f"group {self.group_id}: leader {node.id} contradicts committed entry {verdict.at_index}"
            )

    def _follow(self, message: Message) -> None:
        self._leader_contact = self._monotonic()
        self._pre_votes = None
        self._sent_at_echo = message.sent_at

    def _refresh_leader(self, node: Node, term: int, commit_index: int) -> None:
        # To the engine, an append with neither entries nor position only refreshes leader, term, deadline and commit.
        self._to_engine(
            node, {"type": "append_entries", "term": term, "commit_index": commit_index, "serialized": None}
        )

    def _on_acknowledgement(self, node: Node, message: Message) -> None:
        if message.term > self.term:
            self._step_down(message.term)
            return
        # An acknowledgement of an earlier term speaks of a log that may have been cut since.
        if not self.is_leader or message.term != self.term or message.kind is Kind.STALE_TERM:
            return
        progress = self._progress[node.id]
        now = self._monotonic()
        self._SyncObj__lastResponseTime[node] = now
        progress.heard(message.sent_at)
        next_index = self._SyncObj__raftNextIndex
        if message.kind is Kind.APPEND_OK:
            next_index[node] = progress.accepted(message.index, next_index[node])
            self._senders.pop(node.id, None)
            self._deliver_acknowledgement(node, progress)
            if next_index[node] <= self.journal.last_index:
                self._send_appends(node, now, heartbeat=False)
        else:
            retry_at = progress.rejected(message.index, message.sequence, next_index[node])
            if retry_at is not None:
                next_index[node] = retry_at
                self._send_appends(node, now, heartbeat=True)

    def _deliver_acknowledgement(self, node: Node, progress: Progress) -> None:
        """Show the engine a follower's copy only as far as this leader's own copy is durable."""
        index = min(progress.acknowledged_index, self.journal.durable_index)
        if index > self._SyncObj__raftMatchIndex[node]:
            next_index = self._SyncObj__raftNextIndex[node]
            self._to_engine(
                node, {"type": "next_node_idx", "next_node_idx": index + 1, "reset": False, "success": True}
            )
            # The engine moves its next index back to the acknowledged one: entries under way would be sent again.
            self._SyncObj__raftNextIndex[node] = max(next_index, index + 1)

    def _on_vote_request(self, node: Node, message: Message) -> None:
        if not message.flag and message.term > self.term and self._is_loyal():
            return  # a live leader exists: neither answer nor adopt the term
        was_leader = self.is_leader
        self._to_engine(
            node,
            {
                "type": "request_vote",
                "term": message.term,
                "last_log_index": message.index,
                "last_log_term": message.log_term,
            },
        )
        if was_leader and not self.is_leader:
            self._lost_leadership()

    def _on_vote_granted(self, node: Node, message: Message) -> None:
        # Count by sender: the engine would count a repeated answer twice.
        if self._SyncObj__raftState == CANDIDATE and message.term == self.term and node.id not in self._votes:
            self._votes.add(node.id)
            self._to_engine(node, {"type": "response_vote", "term": message.term})

    def _on_pre_vote_request(self, node: Node, message: Message) -> None:
        if message.term <= self.term:
            self._send(node, Message(Kind.STALE_TERM, self.term), durable=True)
        elif not self._is_loyal() and (message.log_term, message.index) >= (
            self.journal.last_term,
            self.journal.last_index,
        ):
            self._send(node, Message(Kind.PRE_VOTE_GRANTED, message.term), durable=False)

    def _on_pre_vote_granted(self, node: Node, message: Message) -> None:
        votes = self._pre_votes
        if votes is None or votes[0] != message.term or self.term + 1 != message.term or self.is_leader:
            return
        votes[1].add(node.id)
        if len(votes[1]) >= self._quorum_followers:
            self._campaign(forced=False)

    def _on_timeout_now(self, node: Node, message: Message) -> None:
        if message.term == self.term and node == self._SyncObj__raftLeader:
            self._campaign(forced=True)

    def _on_read_barrier(self, node: Node, message: Message) -> None:
        following = self._SyncObj__raftState == FOLLOWER and self._SyncObj__raftLeader == node
        if message.term == self.term and following:
            answer = Message(Kind.READ_BARRIER_OK, message.term, sequence=message.sequence)
            self._send(node, answer, durable=False)

    def _on_read_barrier_ok(self, node: Node, message: Message) -> None:
        if self.is_leader and message.term == self.term:
            confirmed = self._barriers.acknowledged(node.id, message.sequence, self._quorum_followers)
            for commit_index, callback in confirmed:
                callback(commit_index)

    # ------------------------------------------------------------------ snapshots
    def _on_snapshot_chunk(self, node: Node, message: Message) -> None:
        if message.term < self.term:
            self._send(node, Message(Kind.STALE_TERM, self.term), durable=True)
            return
        self._follow(message)
        self._refresh_leader(node, message.term, commit_index=0)
        if message.index <= self.commit_index:
            self._receiver.abort()
            answer = Message(Kind.APPEND_OK, message.term, index=self.commit_index)
            self._send(node, answer, durable=True)
            return
        answer, installer = self._receiver.take(node.id, message)
        self._send(node, answer, durable=False)
        if installer is not None:
            installer.commit(message.index)
            self.journal.reset(message.index, message.log_term)
            self._SyncObj__raftCommitIndex = message.index
            self._SyncObj__raftLastApplied = message.index
            self._send(node, Message(Kind.APPEND_OK, message.term, index=message.index), durable=True)

    def _on_snapshot_ack(self, node: Node, message: Message) -> None:
        sender = self._senders.get(node.id)
        if not self.is_leader or message.term != self.term or sender is None or sender.index != message.index:
            return
        now = self._monotonic()
        self._SyncObj__lastResponseTime[node] = now
        if not message.flag:
            del self._senders[node.id]  # the follower restarted: the next heartbeat starts a new snapshot
            return
        sender.acknowledged(message.sequence, now)
        self._send_chunks(node.id, sender)

    def _send_chunks(self, peer: str, sender: SnapshotSender) -> None:
        for message in sender.next_messages(self.term):
            self._send(self._nodes[peer], message, durable=False)

    def _want_snapshot(self, peer: str, now: float) -> None:
        sender = self._senders.get(peer)
        if sender is None or now - sender.progress_at > SNAPSHOT_STALL_S:
            self._senders.pop(peer, None)
            self._snapshots_wanted.add(peer)
            self._host.wake(self.group_id)

    # ------------------------------------------------------------------ elections
    def _is_loyal(self) -> bool:
        if self.is_leader:
            return self._heard_from_quorum(self._settings.election_timeout_min_s)
        return self._monotonic() - self._leader_contact < self._settings.election_timeout_min_s

    def _heard_from_quorum(self, within_s: float) -> bool:
        now = self._monotonic()
        responses = self._SyncObj__lastResponseTime
        heard = sum(1 for node in self._nodes.values() if now - responses.get(node, -math.inf) < within_s)
        return heard >= self._quorum_followers

    def _start_pre_vote(self, now: float) -> None:
        """Ask whether an election could be won before disturbing anybody with a new term (dissertation 9.6)."""
        self._SyncObj__raftElectionDeadline = now + self._SyncObj__generateRaftTimeout()
        if now - self._leader_contact < self._settings.election_timeout_min_s:
            return
        # Peers and clients must not be sent to a leader that is not heard any more.
        self._SyncObj__raftLeader = None
        term = self.term + 1
        self._pre_votes = (term, set())
        for node in self._nodes.values():
            request = Message(
                Kind.PRE_VOTE_REQUEST, term, index=self.journal.last_index, log_term=self.journal.last_term
            )
            self._send(node, request, durable=False)

    def _campaign(self, *, forced: bool) -> None:
        self._pre_votes = None
        self._votes = set()
        self._forced_election = forced
        self._SyncObj__raftElectionDeadline = -1.0
        self.doTick(0.0)
        self._forced_election = False
        if self._SyncObj__raftElectionDeadline < 0:
            self._SyncObj__raftElectionDeadline = self._monotonic() + self._SyncObj__generateRaftTimeout()

    def _step_down(self, term: int) -> None:
        if term > self.term:
            self._SyncObj__setCurrentTerm(term, None)
        if self._SyncObj__raftState != FOLLOWER:
            self._SyncObj__setState(FOLLOWER)
            self._SyncObj__raftElectionDeadline = self._monotonic() + self._SyncObj__generateRaftTimeout()
        self._SyncObj__raftLeader = None
        self._lost_leadership()

    def _lost_leadership(self) -> None:
        """Nobody may wait on a leadership that is over: reads are refused, proposals are unknown."""
        self._senders.clear()
        self._snapshots_wanted.clear()
        for callback in self._barriers.fail_all():
            callback(None)
        waiting = self._SyncObj__commandsWaitingCommit
        callbacks = [callback for index in sorted(waiting) for _, callback in waiting[index]]
        waiting.clear()
        for callback in callbacks:
            callback(None, -1)

    # ------------------------------------------------------------------ what the engine calls
    def engine_says(self, node: Node, message: dict[str, Any]) -> None:
        """Stamp and send one message of the engine."""
        kind = message["type"]
        if kind == "next_node_idx":
            if not message["success"]:
                raise RaftInvariantBroken(f"group {self.group_id}: the engine rejects what the guard passed: {message}")
            answer = Message(Kind.APPEND_OK, self.term, index=message["next_node_idx"] - 1, sent_at=self._sent_at_echo)
            self._send(node, answer, durable=True)
        elif kind == "request_vote":
            request = Message(
                Kind.VOTE_REQUEST,
                message["term"],
                index=message["last_log_index"],
                log_term=message["last_log_term"],
                flag=self._forced_election,
            )
            self._send(node, request, durable=True)
        elif kind == "response_vote":
            self._send(node, Message(Kind.VOTE_GRANTED, message["term"]), durable=True)
        else:
            raise RaftInvariantBroken(f"group {self.group_id}: unexpected engine message {kind}")

    def _SyncObj__generateRaftTimeout(self) -> float:  # noqa: N802
        low, high = self._settings.election_timeout_min_s, self._settings.election_timeout_max_s
        return low + (high - low) * self._random.random()

    def _SyncObj__onBecomeLeader(self) -> None:  # noqa: N802
        self._progress = {peer: Progress() for peer in self._nodes}
        self._lease_void = False
        super()._SyncObj__onBecomeLeader()
        for progress in self._progress.values():
            progress.probe()

    def _SyncObj__doApplyCommand(self, command: bytes) -> object:  # noqa: N802
        index = self._SyncObj__raftLastApplied + 1
        if command[:1] == REGULAR:
            return self.machine.apply(index, command[1:])
        self.machine.note_applied(index)
        return None

    def _SyncObj__parseChangeClusterRequest(self, command: bytes) -> None:  # noqa: N802
        # Membership is fixed in this version; the engine's own parser would unpickle the entry (law 4).
        return None

    def _SyncObj__sendAppendEntries(self) -> None:  # noqa: N802
        now = self._monotonic()
        self._SyncObj__newAppendEntriesTime = now + self._settings.heartbeat_s
        for node in self._nodes.values():
            self._send_appends(node, now, heartbeat=True)
        self._send_read_round(self._barriers.resend_round())

    def _SyncObj__tryLogCompaction(self) -> None:  # noqa: N802
        """Truncate the log: behind what all replicas have when it is long, behind what is applied when too long.

        The applied entries are in the store's write-ahead log before the truncation is, both in the order of batches.
        """
        settings = self._settings
        entries = self.journal.entries
        too_long = len(entries) > settings.log_entries_kept or self.journal.payload_bytes > settings.log_bytes_kept
        if not too_long:
            return
        applied = self.applied_index
        floor = applied
        if self.is_leader:
            everywhere = min((progress.acknowledged_index for progress in self._progress.values()), default=applied)
            twice_too_long = (
                len(entries) > 2 * settings.log_entries_kept or self.journal.payload_bytes > 2 * settings.log_bytes_kept
            )
            if everywhere < applied and not twice_too_long:
                floor = everywhere
        # Keep a quarter, so that a replica that missed a moment catches up from the log.
        position = min(floor - entries[0][1], len(entries) * 3 // 4)
        if position > 0:
            self.journal.deleteEntriesTo(position)

    # ------------------------------------------------------------------ helpers
    def _enter(self) -> float:
        """Make this group's clock the engine's; returns the time."""
        _Time.read = self._monotonic
        return self._monotonic()

    def _send(self, node: Node, message: Message, *, durable: bool) -> None:
        self._host.send(self.group_id, node.id, message, durable=durable)

    def _send_appends(self, node: Node, now: float, *, heartbeat: bool) -> None:
        progress = self._progress[node.id]
        if node not in self._SyncObj__connectedNodes:
            progress.probe()
            return
        next_index = self._SyncObj__raftNextIndex[node]
        if next_index <= self.journal.first_index:
            self._send(node, Message(Kind.HEARTBEAT, self.term, sent_at=now), durable=False)
            self._want_snapshot(node.id, now)
            return
        sent = False
        while True:
            message = next_append(
                progress, self.journal.entries, next_index, self.term, self.commit_index, now, self._settings
            )
            if message is None:
                break
            self._send(node, message, durable=False)
            sent = True
            if progress.probing:
                return
            next_index = message.index + len(message.entries) + 1
            self._SyncObj__raftNextIndex[node] = next_index
        if heartbeat and not sent:
            previous = next_index - 1
            self._send(
                node,
                Message(
                    Kind.APPEND,
                    self.term,
                    index=previous,
                    log_term=self.journal.term_at(previous),
                    commit_index=self.commit_index,
                    sent_at=now,
                ),
                durable=False,
            )

    def _send_read_round(self, round_number: int | None) -> None:
        if round_number is None:
            return
        for node in self._nodes.values():
            self._send(node, Message(Kind.READ_BARRIER, self.term, sequence=round_number), durable=False)

    def _reset_progress(self, peer: str) -> None:
        self._senders.pop(peer, None)
        progress = self._progress.get(peer)
        node = self._nodes[peer]
        if progress is not None and node in self._SyncObj__raftMatchIndex:
            progress.probe()
            next_index = min(self._SyncObj__raftNextIndex[node], self.journal.last_index + 1)
            self._SyncObj__raftNextIndex[node] = max(progress.acknowledged_index + 1, next_index)

    def _lease_valid(self) -> bool:
        """A quorum echoed a send time less than a time-out ago: nobody else can have been elected (dissertation 6.4.1)."""
        if not self._settings.read_lease or self._lease_void:
            return False
        echoes = sorted((progress.echoed_sent_at for progress in self._progress.values()), reverse=True)
        # A fifth of the time-out is kept back for clocks that run at different rates.
        return self._monotonic() < echoes[self._quorum_followers - 1] + self._settings.election_timeout_min_s * 0.8

    def _report_change(self) -> None:
        seen = (self.leader_id, self.term, self._SyncObj__raftState)
        if seen != self._last_seen:
            self._last_seen = seen
            self._host.leadership_changed(self.group_id)


_HANDLERS: dict[Kind, Callable[[SyncObjGroup, Node, Message], None]] = {
    Kind.APPEND: SyncObjGroup._on_append,
    Kind.HEARTBEAT: SyncObjGroup._on_append,
    Kind.APPEND_OK: SyncObjGroup._on_acknowledgement,
    Kind.APPEND_REJECTED: SyncObjGroup._on_acknowledgement,
    Kind.STALE_TERM: SyncObjGroup._on_acknowledgement,
    Kind.VOTE_REQUEST: SyncObjGroup._on_vote_request,
    Kind.VOTE_GRANTED: SyncObjGroup._on_vote_granted,
    Kind.PRE_VOTE_REQUEST: SyncObjGroup._on_pre_vote_request,
    Kind.PRE_VOTE_GRANTED: SyncObjGroup._on_pre_vote_granted,
    Kind.TIMEOUT_NOW: SyncObjGroup._on_timeout_now,
    Kind.READ_BARRIER: SyncObjGroup._on_read_barrier,
    Kind.READ_BARRIER_OK: SyncObjGroup._on_read_barrier_ok,
    Kind.SNAPSHOT_CHUNK: SyncObjGroup._on_snapshot_chunk,
    Kind.SNAPSHOT_ACK: SyncObjGroup._on_snapshot_ack,
}

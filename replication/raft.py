"""One replica of one Raft group: what the node calls, and the leader's side.

Created and driven by node.host on its event loop. The follower's side is in following, flow control in progress, reads
in read_barrier, snapshots in snapshot, rebuilds in rebuild, the engine in syncobj. Added to the engine, here and there:
acknowledgements with terms, the follower guard, pre-vote, leader stickiness, check-quorum, read index, durable
acknowledgement, leadership transfer, our own snapshots, log truncation, rebuild after a lost disk.

Law: what a replica says is durable before it is said, is stamped with its term, and is believed only in that term.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from replication.following import FollowingReplica
from replication.group import GroupStatus, ProposalCallback, ReadCallback, ReplicationSettings
from replication.journal import GroupJournal
from replication.messages import Kind, Message
from replication.outcomes import Outcome
from replication.ports import Host, StateMachine
from replication.progress import Progress, next_append
from replication.read_barrier import ReadBarriers, lease_end
from replication.rebuild import RebuildRequests
from replication.snapshot import SnapshotSenders
from replication.syncobj import CANDIDATE, FOLLOWER, LEADER, SUCCESS, ReplicaNode
from replication.truncation import entries_to_drop, times_over
from runtime.logs import get_logger

_ROLE_NAMES = {FOLLOWER: "follower", CANDIDATE: "candidate", LEADER: "leader"}
NEARLY_CAUGHT_UP_ENTRIES = 256
log = get_logger()


class RaftReplica(FollowingReplica):
    """One replica of one Raft group; driven by node.host."""

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
        self._progress: dict[str, Progress] = {}
        self._barriers = ReadBarriers()
        self._rebuilds = RebuildRequests()
        self._senders = SnapshotSenders(machine, settings)
        super().__init__(
            group_id=group_id,
            self_id=self_id,
            peer_ids=peer_ids,
            journal=journal,
            machine=machine,
            host=host,
            monotonic=monotonic,
            randomness=randomness,
            settings=settings,
        )
        ring = sorted(peer_ids, key=lambda peer: (peer < self_id, peer))
        self._ring = [self._nodes[peer] for peer in ring]

    # ------------------------------------------------------------------ what the node reads
    def status(self) -> GroupStatus:
        """A picture for people."""
        match = (
            {peer: progress.acknowledged_index for peer, progress in self._progress.items()} if self.is_leader else {}
        )
        return GroupStatus(
            role=self._role_name(),
            leader=self.leader_id,
            term=self.term,
            commit_index=self.commit_index,
            applied_index=self.applied_index,
            last_index=self.journal.last_index,
            first_index=self.journal.first_index,
            match_index=match,
        )

    def _role_name(self) -> str:
        if self.rebuild is not None:
            return "rebuilding"
        return "installing" if self._receiver.is_active else _ROLE_NAMES[self.role]

    def next_event_at(self) -> float:
        """When time alone makes this group want a tick."""
        if self.role == LEADER:
            return float(self.heartbeat_due)
        return float(self.election_deadline)

    # ------------------------------------------------------------------ proposals and reads
    def propose(self, payload: bytes, callback: ProposalCallback) -> int | None:
        """Append to the log of this leader. Returns the index, or None when refused: nothing happened, no callback."""
        if not self.is_ready_leader:
            return None

        def finished(result: object, error: int) -> None:
            callback(Outcome.COMMITTED if error == SUCCESS else Outcome.UNKNOWN, result)

        return self.append_own(payload, finished)

    def read_barrier(self, callback: ReadCallback) -> None:
        """Confirm leadership for a read that arrived before this call."""
        if not self.is_ready_leader:
            callback(None)
        elif self._settings.read_lease and not self._lease_void and self._lease_end() > self._monotonic():
            callback(self.commit_index)
        else:
            self._barriers.add(self.commit_index, callback)

    def is_nearly_caught_up(self, peer: str) -> bool:
        """On the leader: whether `peer` misses so little that a hand-over would pause writes only for a moment."""
        progress = self._progress.get(peer)
        if progress is None or not self.is_leader or progress.probing or not progress.counts:
            return False
        return self.journal.last_index - progress.acknowledged_index <= NEARLY_CAUGHT_UP_ENTRIES

    def _lease_end(self) -> float:
        echoes = [progress.echoed_sent_at for progress in self._progress.values()]
        return lease_end(echoes, self._quorum_followers, self._settings.election_timeout_min_s)

    # ------------------------------------------------------------------ time
    def tick(self) -> None:
        """Advance: commit, apply, elections, heartbeats. Cheap enough to call once a loop turn."""
        now = self.enter()
        if self.role != LEADER:
            # One that is being rebuilt only lets the time go by; alone in its group, the engine would elect it.
            if 0 <= self.election_deadline < now and (self.connected_nodes or self.rebuild is not None):
                self._start_pre_vote(now)
        elif not self._heard_from_quorum(self._settings.election_timeout_max_s):
            self.step_down(self.term)
        was_leader = self.is_leader
        self.run_engine()
        if was_leader and not self.is_leader:
            self.step_down(self.term)
        if self.rebuild is not None:
            self._finish_rebuild()
        self.report_change()

    def ship(self) -> None:
        """Send what was proposed and the read round, after a tick."""
        if self.role != LEADER:
            return
        now = self.enter()
        last = self.journal.last_index
        for node in self._nodes.values():
            if self.next_index[node] <= last:
                self._send_appends(node, now, heartbeat=False)
        round_number = self._barriers.start_round()
        if round_number is not None:
            self._send_read_round(round_number, self._barrier_targets(now))

    def batch_written(self) -> None:
        """The shared batch is written: the store now shows exactly what is applied, so snapshots may start."""
        if not self._senders.wanted:
            return
        now = self.enter()
        if self.is_leader:
            index = self.applied_index
            for peer in self._senders.start_wanted(index, self.journal.term_at(index), now):
                self._send_chunks(peer)

    def synced(self, covered_index: int) -> None:
        """A sync ended: the leader's own copy now counts up to `covered_index`."""
        self.enter()
        self.journal.sync_ended(covered_index)
        if self.is_leader:
            for peer, progress in self._progress.items():
                self._deliver_acknowledgement(self._nodes[peer], progress)

    # ------------------------------------------------------------------ links
    def peer_connected(self, peer: str) -> None:
        """A stream to `peer` is up: go on by probing."""
        self.enter()
        node = self._nodes[peer]
        self.node_connected(node)
        self._refused_by.discard(peer)
        self._reset_progress(peer)

    def peer_disconnected(self, peer: str) -> None:
        """The stream to `peer` is down: what was under way may be lost."""
        self.enter()
        self.node_disconnected(self._nodes[peer])
        self._reset_progress(peer)

    # ------------------------------------------------------------------ messages
    def receive(self, sender: str, message: Message) -> None:
        """Take one message from a peer of this group."""
        node = self._nodes.get(sender)
        if node is None:
            return
        self.enter()
        _HANDLERS[message.kind](self, node, message)

    def _on_acknowledgement(self, node: ReplicaNode, message: Message) -> None:
        if message.term > self.term:
            self.step_down(message.term)
            return
        # An acknowledgement of an earlier term speaks of a log that may have been cut since.
        if not self.is_leader or message.term != self.term or message.kind is Kind.STALE_TERM:
            return
        progress = self._progress[node.id]
        progress.answered_at = now = self._monotonic()
        if message.flag:
            self._distrust(node, progress)
        else:
            self.last_response[node] = now
            progress.heard(message.sent_at)
        next_index = self.next_index
        if message.kind is Kind.APPEND_OK:
            if not (message.flag or progress.counts):
                self._trust_again(node, progress)
            next_index[node] = progress.accepted(message.index, next_index[node])
            self._senders.drop(node.id)
            self._deliver_acknowledgement(node, progress)
            if next_index[node] <= self.journal.last_index:
                self._send_appends(node, now, heartbeat=False)
        else:
            if progress.lost_entries(message.index, next_index[node]):
                log.error("replica_lost_entries", partition=self.group_id, replica=node.id, hint=message.sequence)
                progress.restart_from(message.sequence)
            retry_at = progress.rejected(message.index, message.sequence, next_index[node])
            if retry_at is not None:
                next_index[node] = retry_at
                self._send_appends(node, now, heartbeat=True)

    def _deliver_acknowledgement(self, node: ReplicaNode, progress: Progress) -> None:
        """Show the engine a follower's copy only as far as this leader's own copy is durable."""
        index = min(progress.acknowledged_index, self.journal.durable_index)
        if index > self.match_index[node] and progress.counts:
            next_index = self.next_index[node]
            self.to_engine(node, {"type": "next_node_idx", "next_node_idx": index + 1, "reset": False, "success": True})
            # The engine moves its next index back to the acknowledged one: entries under way would be sent again.
            self.next_index[node] = max(next_index, index + 1)

    def _on_read_barrier_ok(self, node: ReplicaNode, message: Message) -> None:
        if self.is_leader and message.term == self.term:
            confirmed = self._barriers.acknowledged(node.id, message.sequence, self._quorum_followers)
            for commit_index, callback in confirmed:
                callback(commit_index)

    # ------------------------------------------------------------------ snapshots
    def _on_snapshot_ack(self, node: ReplicaNode, message: Message) -> None:
        if self.is_leader and message.term == self.term:
            progress = self._progress[node.id]
            progress.answered_at = now = self._monotonic()
            if progress.counts:
                self.last_response[node] = now
            if self._senders.acknowledged(node.id, message, now):
                self._send_chunks(node.id)

    def _send_chunks(self, peer: str) -> None:
        for message in self._senders.next_messages(peer, self.term):
            self._send(self._nodes[peer], message, durable=False)

    def leadership_lost(self) -> None:
        """Nobody may wait on a leadership that is over: reads are refused, proposals are unknown."""
        self._senders.drop_all()
        self._rebuilds.clear()
        for read_callback in self._barriers.fail_all():
            read_callback(None)
        waiting = self.waiting_proposals
        callbacks = [callback for index in sorted(waiting) for _, callback in waiting[index]]
        waiting.clear()
        for callback in callbacks:
            callback(None, -1)

    # ------------------------------------------------------------------ rebuilding a follower
    def _distrust(self, node: ReplicaNode, progress: Progress) -> None:
        """The follower says that it lost its disk: what it acknowledged, promised and confirmed is void."""
        if progress.counts:
            progress.distrust()
            self._senders.drop(node.id)
            self.match_index[node] = 0
            self.last_response[node] = -math.inf

    def _trust_again(self, node: ReplicaNode, progress: Progress) -> None:
        progress.counts = True
        self._rebuilds.drop(node.id)
        self._refused_by.discard(node.id)
        log.info("replica_counts_again", partition=self.group_id, replica=node.id)

    def _on_rebuild_request(self, node: ReplicaNode, message: Message) -> None:
        """Confirm this leadership with every other member, from now on, and then say what ends the rebuild."""
        if not self.is_ready_leader or message.term != self.term:
            return
        self._distrust(node, self._progress[node.id])
        now = self._monotonic()
        round_number = self._rebuilds.asked(node.id, message.sequence, now)
        missing = self._rebuilds.missing(node.id, self._nodes)
        for peer in missing:
            self._send(self._nodes[peer], Message(Kind.REBUILD_CHECK, self.term, sequence=round_number), durable=False)
        if not missing:
            self._grant_rebuild(node.id)
            return
        waited_s = self._rebuilds.report_due(node.id, now)
        if waited_s is not None:
            log.warning(
                "replica_rebuild_waits",
                partition=self.group_id,
                replica=node.id,
                unconfirmed_by=missing,
                seconds=round(waited_s, 1),
            )

    def _on_rebuild_check_ok(self, node: ReplicaNode, message: Message) -> None:
        if not self.is_ready_leader or message.term != self.term:
            return
        self._rebuilds.confirmed(node.id, message.sequence)
        for peer in self._rebuilds.waiting():
            if not self._rebuilds.missing(peer, self._nodes):
                self._grant_rebuild(peer)

    def _grant_rebuild(self, peer: str) -> None:
        nonce, grant = self._rebuilds.grant(peer, self.term, self.journal.last_index, self.commit_index)
        answer = Message(
            Kind.REBUILD_GRANTED, grant.term, index=grant.index, commit_index=grant.commit_index, sequence=nonce
        )
        self._send(self._nodes[peer], answer, durable=False)

    # ------------------------------------------------------------------ what the engine calls
    def leadership_begins(self) -> None:
        """Every follower is probed first."""
        self._progress = {peer: Progress() for peer in self._nodes}
        self._rebuilds.clear()
        self._lease_void = False

    def send_heartbeats(self) -> None:
        """Tell every follower that the leader lives; repeat a read round whose messages may be lost."""
        now = self._monotonic()
        # On a grid that all groups of the node share, so that their heartbeats leave in one frame.
        interval = self._settings.heartbeat_s
        self.heartbeat_due = (now // interval + 1) * interval
        for node in self._nodes.values():
            self._send_appends(node, now, heartbeat=True)
        round_number = self._barriers.resend_round()
        if round_number is not None:
            self._send_read_round(round_number, list(self._nodes.values()))

    def truncate_log(self) -> None:
        """Cut a log that is too long. The applied entries are in the store's write-ahead log before the cut is."""
        journal = self.journal
        over = times_over(len(journal), journal.payload_bytes, self._settings)
        if over <= 1:
            return
        present: list[int] = []
        absent: list[int] = []
        if self.is_leader:
            now = self._monotonic()
            for peer, progress in self._progress.items():
                snapshot_index = self._senders.index_of(peer)
                heard_s = now - max(progress.answered_at, self.last_response.get(self._nodes[peer], -math.inf))
                if snapshot_index is not None:
                    present.append(snapshot_index)
                elif heard_s < self._settings.election_timeout_max_s:
                    present.append(progress.acknowledged_index)
                else:
                    absent.append(progress.acknowledged_index)
        position = entries_to_drop(
            entries=len(journal),
            first_index=journal.first_index,
            applied_index=self.applied_index,
            over=over,
            absent=absent,
            present=present,
        )
        if position > 0:
            journal.deleteEntriesTo(position)

    # ------------------------------------------------------------------ helpers
    def _send_appends(self, node: ReplicaNode, now: float, *, heartbeat: bool) -> None:
        progress = self._progress[node.id]
        if node not in self.connected_nodes:
            progress.probe()
            return
        next_index = self.next_index[node]
        if next_index <= self.journal.first_index:
            self._send(node, Message(Kind.HEARTBEAT, self.term, sent_at=now), durable=False)
            if self._senders.want(node.id, now):
                self._host.wake(self.group_id)
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
            self.next_index[node] = next_index
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

    def _barrier_targets(self, now: float) -> list[ReplicaNode]:
        """Whom a read round is sent to: one follower that answers is enough, the heartbeat repeats it to all.

        The next one in the ring of node ids, so that all groups of a node ask the same and their messages share frames.
        """
        fresh = [
            node
            for node in self._ring
            if now - self.last_response.get(node, -math.inf) < 2 * self._settings.heartbeat_s
        ]
        if self._quorum_followers == 1 and fresh:
            return fresh[:1]
        return self._ring

    def _send_read_round(self, round_number: int, targets: list[ReplicaNode]) -> None:
        for node in targets:
            self._send(node, Message(Kind.READ_BARRIER, self.term, sequence=round_number), durable=False)

    def _reset_progress(self, peer: str) -> None:
        self._senders.drop(peer)
        progress = self._progress.get(peer)
        node = self._nodes[peer]
        if progress is not None and node in self.match_index:
            progress.probe()
            next_index = min(self.next_index[node], self.journal.last_index + 1)
            self.next_index[node] = max(progress.acknowledged_index + 1, next_index)


_HANDLERS: dict[Kind, Callable[[RaftReplica, ReplicaNode, Message], None]] = {
    Kind.APPEND: RaftReplica._on_append,
    Kind.HEARTBEAT: RaftReplica._on_append,
    Kind.APPEND_OK: RaftReplica._on_acknowledgement,
    Kind.APPEND_REJECTED: RaftReplica._on_acknowledgement,
    Kind.STALE_TERM: RaftReplica._on_acknowledgement,
    Kind.VOTE_REQUEST: RaftReplica._on_vote_request,
    Kind.VOTE_GRANTED: RaftReplica._on_vote_granted,
    Kind.PRE_VOTE_REQUEST: RaftReplica._on_pre_vote_request,
    Kind.PRE_VOTE_GRANTED: RaftReplica._on_pre_vote_granted,
    Kind.TIMEOUT_NOW: RaftReplica._on_timeout_now,
    Kind.TIMEOUT_NOW_REFUSED: RaftReplica._on_timeout_now_refused,
    Kind.READ_BARRIER: RaftReplica._on_read_barrier,
    Kind.READ_BARRIER_OK: RaftReplica._on_read_barrier_ok,
    Kind.SNAPSHOT_CHUNK: RaftReplica._on_snapshot_chunk,
    Kind.SNAPSHOT_ACK: RaftReplica._on_snapshot_ack,
    Kind.REBUILD_REQUEST: RaftReplica._on_rebuild_request,
    Kind.REBUILD_CHECK: RaftReplica._on_rebuild_check,
    Kind.REBUILD_CHECK_OK: RaftReplica._on_rebuild_check_ok,
    Kind.REBUILD_GRANTED: RaftReplica._on_rebuild_granted,
}

"""One replica of one Raft group: what the node calls.

Created and driven by node.host on its event loop. The leader's side is in leading, the follower's in following, who
may lead in elections, who belongs to the group in members, the engine in syncobj. Added to the engine, here and there:
acknowledgements with terms, the follower guard, pre-vote, leader stickiness, check-quorum, read index, durable
acknowledgement, leadership transfer, our own snapshots, log truncation, membership changes, rebuild after a lost disk.

Law: what a replica says is durable before it is said, is stamped with its term, and is believed only in that term.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from replication.group import GroupStatus, ProposalCallback, ReadCallback
from replication.leading import LeadingReplica
from replication.membership import ChangeKind, Membership, MembershipChange, Refusal
from replication.messages import Kind, Message
from replication.outcomes import Outcome
from replication.read_barrier import lease_end
from replication.syncobj import CANDIDATE, FOLLOWER, LEADER, SUCCESS, FinishedCallback, ReplicaNode
from runtime.logs import get_logger

_ROLE_NAMES = {FOLLOWER: "follower", CANDIDATE: "candidate", LEADER: "leader"}
NEARLY_CAUGHT_UP_ENTRIES = 256
log = get_logger()


class RaftReplica(LeadingReplica):
    """One replica of one Raft group; driven by node.host."""

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
            membership=self.membership,
            match_index=match,
        )

    def _role_name(self) -> str:
        if self.rebuild is not None:
            return "rebuilding"
        if self._receiver.is_active:
            return "installing"
        return _ROLE_NAMES[self.role] if self.is_voter else "learner"

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
        return self.append_own(payload, _finished(callback))

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
        echoes = [self._progress[node.id].echoed_sent_at for node in self._voters]
        return lease_end(echoes, self._quorum_followers, self._settings.election_timeout_min_s)

    # ------------------------------------------------------------------ members
    def change_membership(self, change: MembershipChange, callback: ProposalCallback) -> Refusal | None:
        """Append the next membership to this leader's log: it counts at once, `callback` tells when it is committed.

        Returns None, or why nothing was done (and `callback` is not called). The node to be removed must not lead. As
        with every proposal the outcome may be unknown; what the group then has is in `membership`.
        """
        changed = self._judge_change(change)
        if isinstance(changed, Refusal):
            return changed
        self.enter()
        self.append_membership(changed, _finished(callback))
        self.adopt_membership()
        log.info(
            "membership_proposed",
            partition=self.group_id,
            term=self.term,
            change=change.kind.value,
            node=change.node_id,
            voters=changed.voters,
            learners=changed.learners,
            index=self.membership.index,
        )
        self._host.wake(self.group_id)
        return None

    def _judge_change(self, change: MembershipChange) -> Membership | Refusal:
        # Before its own no-op is committed a leader does not know which membership its log really has (the flaw of the
        # first published algorithm: Ongaro, raft-dev, 2015).
        if not self.is_ready_leader:
            return Refusal.NOT_LEADER
        if not self.is_membership_committed:
            return Refusal.UNDER_WAY
        changed = self.membership.after(change)
        if isinstance(changed, Refusal):
            return changed
        if change.kind is ChangeKind.ADD_LEARNER:
            return changed
        if change.node_id == self.self_id:
            return Refusal.LEADS
        heard = {node.id for node in self._nodes.values() if self._is_heard(node)}
        if change.kind is ChangeKind.PROMOTE and not (change.node_id in heard and self._may_vote(change.node_id)):
            return Refusal.BEHIND
        if 1 + len(heard.intersection(changed.voters)) < changed.majority:
            return Refusal.NO_MAJORITY
        return changed

    def _may_vote(self, learner: str) -> bool:
        """Whether a learner has nearly everything, and for good the entry by which it is a learner.

        Else it could lose all it knew of the group with its power, and be deleted as one that the catalog does not
        name, while somebody counts on its vote.
        """
        acknowledged_index = self._progress[learner].acknowledged_index
        return acknowledged_index >= self.membership.index and self.is_nearly_caught_up(learner)

    def _is_heard(self, node: ReplicaNode) -> bool:
        heard_s = self._monotonic() - self.last_response.get(node, -math.inf)
        return self._progress[node.id].counts and heard_s < self._settings.election_timeout_max_s

    # ------------------------------------------------------------------ time
    def tick(self) -> None:
        """Advance: commit, apply, elections, heartbeats. Cheap enough to call once a loop turn."""
        now = self.enter()
        if self.role != LEADER:
            # One that may not lead only lets the time go by: the engine elects who knows nobody.
            if 0 <= self.election_deadline < now and (self.connected_nodes or not self.may_lead):
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

    def ship(self, *, is_busy: bool = False) -> None:
        """Send what was proposed and the read round, after a tick.

        On a busy node the followers that no commit needs get theirs with what else goes there, a little later.
        """
        if self.role != LEADER:
            return
        now = self.enter()
        last = self.journal.last_index
        round_number = self._barriers.start_round()
        needed = self._needed_for_commit(now) if is_busy or round_number is not None else None
        for node in self._nodes.values():
            if self.next_index[node] <= last:
                self._send_appends(node, now, can_wait=is_busy and needed is not None and node is not needed)
        if round_number is not None:
            self._send_read_round(round_number, self._ring if needed is None else [needed])

    def batch_written(self) -> None:
        """The shared batch is written: the store now shows exactly what is applied, so snapshots may start."""
        if not self._senders.wanted:
            return
        now = self.enter()
        if self.is_leader:
            index = self.applied_index
            term, membership = self.journal.term_at(index), self.journal.membership_at(index)
            for peer in self._senders.start_wanted(index, term, membership, now):
                self._send_chunks(peer)

    # ------------------------------------------------------------------ links
    def peer_connected(self, peer: str) -> None:
        """A stream to the node `peer` is up, a member or not: if it is one, go on by probing."""
        self.enter()
        self._connected_ids.add(peer)
        self._refused_by.discard(peer)
        node = self._nodes.get(peer)
        if node is not None:
            self.node_connected(node)
            self._reset_progress(peer)

    def peer_disconnected(self, peer: str) -> None:
        """The stream to the node `peer` is down: what was under way may be lost."""
        self.enter()
        self._connected_ids.discard(peer)
        node = self._nodes.get(peer)
        if node is not None:
            self.node_disconnected(node)
            self._reset_progress(peer)

    # ------------------------------------------------------------------ messages
    def receive(self, sender: str, message: Message) -> None:
        """Take one message from a replica of this group."""
        node = self._nodes.get(sender) or self.stranger(sender, message)
        if node is not None:
            self.enter()
            _HANDLERS[message.kind](self, node, message)


def _finished(callback: ProposalCallback) -> FinishedCallback:
    def finished(result: object, error: int) -> None:
        callback(Outcome.COMMITTED if error == SUCCESS else Outcome.UNKNOWN, result)

    return finished


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
    Kind.MEMBER_QUERY: RaftReplica._on_member_query,
    Kind.NOT_A_MEMBER: RaftReplica._on_not_a_member,
    Kind.REBUILD_REQUEST: RaftReplica._on_rebuild_request,
    Kind.REBUILD_CHECK: RaftReplica._on_rebuild_check,
    Kind.REBUILD_CHECK_OK: RaftReplica._on_rebuild_check_ok,
    Kind.REBUILD_GRANTED: RaftReplica._on_rebuild_granted,
}

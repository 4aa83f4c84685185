"""One replica as a leader: appends and their acknowledgements, read rounds, snapshots, truncation, granting rebuilds.

Between the follower's side (replication.following) and what the node calls (replication.raft). Flow control is in
progress, reads are in read_barrier, snapshots in snapshot, the state of rebuilds in rebuild.

Law: a follower's copy counts only as far as the leader's own is durable, an answer only in the term that it names, and
what a learner or a replica that is being rebuilt says is good for flow control only.
"""

from __future__ import annotations

import math

from replication.following import FollowingReplica
from replication.group import ReplicaParts
from replication.messages import Kind, Message
from replication.progress import Progress, next_append
from replication.read_barrier import ReadBarriers
from replication.rebuild import RebuildRequests
from replication.snapshot import SnapshotSenders
from replication.syncobj import ReplicaNode
from replication.truncation import entries_to_drop, times_over
from runtime.logs import get_logger

log = get_logger()


class LeadingReplica(FollowingReplica):
    """What a replica does for its followers."""

    def __init__(self, parts: ReplicaParts) -> None:
        self._progress: dict[str, Progress] = {}
        self._barriers = ReadBarriers()
        self._rebuilds = RebuildRequests()
        self._senders = SnapshotSenders(parts.machine, parts.settings)
        super().__init__(parts)

    # ------------------------------------------------------------------ terms and members
    def leadership_begins(self) -> None:
        """Every follower is probed first."""
        self._progress = {peer: Progress() for peer in self._nodes}
        self._rebuilds.clear()
        self._lease_void = False

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

    def members_changed(self, gone: list[str]) -> None:
        """Whoever is new is probed; whoever went counts for nothing, not even for what it said before."""
        for peer in gone:
            self._progress.pop(peer, None)
            self._refused_by.discard(peer)
            self._senders.forget(peer)
            self._rebuilds.drop(peer)
        self._barriers.count_only({node.id for node in self._voters})
        if self.is_leader:
            for peer in self._nodes:
                self._progress.setdefault(peer, Progress())

    def _on_member_query(self, node: ReplicaNode, _message: Message) -> None:
        """Tell one that is no member, nor may become one by what is not committed yet."""
        if self.is_ready_leader and self.is_membership_committed and node.id not in self._nodes:
            self.send(node, Message(Kind.NOT_A_MEMBER, self.term, index=self.commit_index), durable=False)

    # ------------------------------------------------------------------ acknowledgements
    def synced(self, covered_index: int) -> None:
        """A sync ended: the leader's own copy now counts up to `covered_index`."""
        self.enter()
        self.journal.sync_ended(covered_index)
        if self.is_leader:
            for peer, progress in self._progress.items():
                self._deliver_acknowledgement(self._nodes[peer], progress)

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
                self._send_appends(node, now)
        else:
            if progress.lost_entries(message.index, next_index[node]):
                log.error("replica_lost_entries", partition=self.group_id, replica=node.id, hint=message.sequence)
                progress.restart_from(message.sequence)
            retry_at = progress.rejected(message.index, message.sequence, next_index[node])
            if retry_at is not None:
                next_index[node] = retry_at
                self._send_appends(node, now, heartbeat=True)

    def may_commit(self) -> bool:
        """On a leader: whether a tick would find a majority beyond what is committed."""
        commit_index, match_index = self.commit_index, self.match_index
        if self.journal.last_index == commit_index:
            return False
        return sum([match_index[node] > commit_index for node in self._voters]) >= self._quorum_followers

    def _deliver_acknowledgement(self, node: ReplicaNode, progress: Progress) -> None:
        """Show the engine a follower's copy only as far as this leader's own copy is durable."""
        index = min(progress.acknowledged_index, self.journal.durable_index)
        if index > self.match_index[node] and progress.counts:
            next_index = self.next_index[node]
            self.to_engine(node, {"type": "next_node_idx", "next_node_idx": index + 1, "reset": False, "success": True})
            # The engine moves its next index back to the acknowledged one: entries under way would be sent again.
            self.next_index[node] = max(next_index, index + 1)

    def _on_read_barrier_ok(self, node: ReplicaNode, message: Message) -> None:
        if self.is_leader and message.term == self.term and node in self.other_voters:
            confirmed = self._barriers.acknowledged(node.id, message.sequence, self._quorum_followers)
            for commit_index, callback in confirmed:
                callback(commit_index)

    # ------------------------------------------------------------------ appends and read rounds
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
            self._send_read_round(round_number, self._voters)

    def _send_appends(self, node: ReplicaNode, now: float, *, heartbeat: bool = False, can_wait: bool = False) -> None:
        progress = self._progress[node.id]
        if node not in self.connected_nodes:
            progress.probe()
            return
        next_index = self.next_index[node]
        if next_index <= self.journal.first_index:
            # Not with every turn: the answer to one would be the reason for the next, as fast as the link allows.
            if heartbeat:
                self.send(node, Message(Kind.HEARTBEAT, self.term, sent_at=now), durable=False)
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
            message.can_wait = can_wait
            self.send(node, message, durable=False)
            sent = True
            if progress.probing:
                return
            next_index = message.index + len(message.entries) + 1
            self.next_index[node] = next_index
        if heartbeat and not sent:
            previous = next_index - 1
            self.send(
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

    def _needed_for_commit(self, now: float) -> ReplicaNode | None:
        """The one follower whose word is enough for a commit and a read round; None: all are asked.

        The next one in the ring of node ids that answers and keeps up with what it is sent, so that all groups of a
        node ask the same and their messages share frames: the answers to one neighbour leave with the appends that can
        wait for the other. The heartbeat repeats a read round to all.
        """
        if self._quorum_followers == 1:
            for node in self._ring:
                heard_s = now - self.last_response.get(node, -math.inf)
                if heard_s < 2 * self._settings.heartbeat_s and self._progress[node.id].keeps_up(now):
                    return node
        return None

    def _send_read_round(self, round_number: int, targets: list[ReplicaNode]) -> None:
        for node in targets:
            self.send(node, Message(Kind.READ_BARRIER, self.term, sequence=round_number), durable=False)

    def _reset_progress(self, peer: str) -> None:
        self._senders.drop(peer)
        progress = self._progress.get(peer)
        node = self._nodes[peer]
        if progress is not None and node in self.match_index:
            progress.probe()
            next_index = min(self.next_index[node], self.journal.last_index + 1)
            self.next_index[node] = max(progress.acknowledged_index + 1, next_index)

    # ------------------------------------------------------------------ snapshots and truncation
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
            self.send(self._nodes[peer], message, durable=False)

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
        missing = self._missing_for(node.id)
        for peer in missing:
            check = Message(Kind.REBUILD_CHECK, self.term, sequence=round_number)
            self._host.send(self.group_id, peer, check, durable=False)
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
            if not self._missing_for(peer):
                self._grant_rebuild(peer)

    def _missing_for(self, peer: str) -> list[str]:
        """Which voters have not confirmed this leader since `peer` lost its disk.

        Those that a change which is not committed removes are among them: until then they may count the lost vote.
        """
        voters = {voter for one in self.journal.memberships_since(self.commit_index) for voter in one.voters}
        return self._rebuilds.missing(peer, voters - {self.self_id})

    def _grant_rebuild(self, peer: str) -> None:
        nonce, grant = self._rebuilds.grant(peer, self.term, self.journal.last_index, self.commit_index)
        answer = Message(
            Kind.REBUILD_GRANTED, grant.term, index=grant.index, commit_index=grant.commit_index, sequence=nonce
        )
        self.send(self._nodes[peer], answer, durable=False)

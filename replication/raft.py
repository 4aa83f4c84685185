"""One replica of one Raft group: the guards around the engine.

Created and driven by node.host on its event loop. The follower's side is in append_guard, flow control in progress,
reads in read_barrier, snapshots in snapshot, the engine in syncobj. Added here to the engine: acknowledgements with
terms, the follower guard, pre-vote, leader stickiness, check-quorum, read index, durable acknowledgement, leadership
transfer, our own snapshots and log truncation.

Law: what a replica says is durable before it is said, is stamped with its term, and is believed only in that term.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from replication.append_guard import Action, judge_append
from replication.elections import ElectingReplica
from replication.group import GroupStatus, ProposalCallback, ReadCallback, ReplicationSettings
from replication.journal import GroupJournal
from replication.messages import Kind, Message
from replication.outcomes import Outcome
from replication.ports import Host, StateMachine
from replication.progress import Progress, next_append
from replication.read_barrier import ReadBarriers, lease_end
from replication.snapshot import SnapshotReceiver, SnapshotSenders
from replication.syncobj import CANDIDATE, FOLLOWER, LEADER, SUCCESS, RaftInvariantBroken, ReplicaNode
from replication.truncation import entries_to_drop, times_over
from runtime.logs import get_logger

_ROLE_NAMES = {FOLLOWER: "follower", CANDIDATE: "candidate", LEADER: "leader"}
NEARLY_CAUGHT_UP_ENTRIES = 256
log = get_logger()


class RaftReplica(ElectingReplica):
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
        self._sent_at_echo = 0.0
        self._barriers = ReadBarriers()
        self._receiver = SnapshotReceiver(machine)
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
            role="installing" if self._receiver.is_active else _ROLE_NAMES[self.role],
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
        if progress is None or not self.is_leader or progress.probing:
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
            if 0 <= self.election_deadline < now and self.connected_nodes:
                self._start_pre_vote(now)
        elif not self._heard_from_quorum(self._settings.election_timeout_max_s):
            self.step_down(self.term)
        was_leader = self.is_leader
        self.run_engine()
        if was_leader and not self.is_leader:
            self.step_down(self.term)
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

    def _on_append(self, node: ReplicaNode, message: Message) -> None:
        term = message.term
        if term < self.term:
            self._send(node, Message(Kind.STALE_TERM, self.term, sent_at=message.sent_at), durable=True)
            return
        if self.is_leader and term == self.term:
            raise RaftInvariantBroken(f"group {self.group_id}: {node.id} also leads term {term}")
        was_leader = self.is_leader
        if term == self.term and not message.entries:
            # Alive, but no statement about the log: the answer proper may wait for a sync, and a slow disk must not
            # depose the leader. With a new term there is something to make durable first.
            self._send(node, Message(Kind.APPEND_REJECTED, term, sent_at=message.sent_at), durable=False)
        self._follow(message)
        if message.kind is Kind.HEARTBEAT:
            self._refresh_leader(node, term, commit_index=0)
            self._send(node, Message(Kind.APPEND_REJECTED, term, sent_at=message.sent_at), durable=True)
        else:
            self._take_append(node, message)
        if was_leader:
            self.leadership_lost()

    def _take_append(self, node: ReplicaNode, message: Message) -> None:
        term = message.term
        verdict = judge_append(
            self.journal.entries, self.commit_index, message.index, message.log_term, message.entries
        )
        if verdict.action is Action.APPEND:
            if self._receiver.is_active:
                # The log reaches again: what was staged is of no use any more.
                self._receiver.abort()
            self.to_engine(
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

    def _refresh_leader(self, node: ReplicaNode, term: int, commit_index: int) -> None:
        # To the engine, an append with neither entries nor position only refreshes leader, term, deadline and commit.
        self.to_engine(node, {"type": "append_entries", "term": term, "commit_index": commit_index, "serialized": None})

    def _on_acknowledgement(self, node: ReplicaNode, message: Message) -> None:
        if message.term > self.term:
            self.step_down(message.term)
            return
        # An acknowledgement of an earlier term speaks of a log that may have been cut since.
        if not self.is_leader or message.term != self.term or message.kind is Kind.STALE_TERM:
            return
        progress = self._progress[node.id]
        now = self._monotonic()
        self.last_response[node] = now
        progress.heard(message.sent_at)
        next_index = self.next_index
        if message.kind is Kind.APPEND_OK:
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
        if index > self.match_index[node]:
            next_index = self.next_index[node]
            self.to_engine(node, {"type": "next_node_idx", "next_node_idx": index + 1, "reset": False, "success": True})
            # The engine moves its next index back to the acknowledged one: entries under way would be sent again.
            self.next_index[node] = max(next_index, index + 1)

    def _on_read_barrier(self, node: ReplicaNode, message: Message) -> None:
        following = self.role == FOLLOWER and self.leader_node == node
        if message.term == self.term and following:
            answer = Message(Kind.READ_BARRIER_OK, message.term, sequence=message.sequence)
            self._send(node, answer, durable=False)

    def _on_read_barrier_ok(self, node: ReplicaNode, message: Message) -> None:
        if self.is_leader and message.term == self.term:
            confirmed = self._barriers.acknowledged(node.id, message.sequence, self._quorum_followers)
            for commit_index, callback in confirmed:
                callback(commit_index)

    # ------------------------------------------------------------------ snapshots
    def _on_snapshot_chunk(self, node: ReplicaNode, message: Message) -> None:
        if message.term < self.term:
            self._send(node, Message(Kind.STALE_TERM, self.term), durable=True)
            return
        was_leader = self.is_leader
        if was_leader and message.term == self.term:
            raise RaftInvariantBroken(f"group {self.group_id}: {node.id} also leads term {message.term}")
        self._follow(message)
        self._refresh_leader(node, message.term, commit_index=0)
        if was_leader:
            self.leadership_lost()
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
            self.commit_index = message.index
            self.applied_index = message.index
            self._send(node, Message(Kind.APPEND_OK, message.term, index=message.index), durable=True)

    def _on_snapshot_ack(self, node: ReplicaNode, message: Message) -> None:
        if self.is_leader and message.term == self.term:
            now = self._monotonic()
            self.last_response[node] = now
            if self._senders.acknowledged(node.id, message, now):
                self._send_chunks(node.id)

    def _send_chunks(self, peer: str) -> None:
        for message in self._senders.next_messages(peer, self.term):
            self._send(self._nodes[peer], message, durable=False)

    def leadership_lost(self) -> None:
        """Nobody may wait on a leadership that is over: reads are refused, proposals are unknown."""
        self._senders.drop_all()
        for read_callback in self._barriers.fail_all():
            read_callback(None)
        waiting = self.waiting_proposals
        callbacks = [callback for index in sorted(waiting) for _, callback in waiting[index]]
        waiting.clear()
        for callback in callbacks:
            callback(None, -1)

    # ------------------------------------------------------------------ what the engine calls
    def engine_says(self, node: ReplicaNode, message: dict[str, Any]) -> None:
        """Stamp and send one message of the engine."""
        kind = message["type"]
        if kind == "next_node_idx":
            if not message["success"]:
                raise RaftInvariantBroken(f"group {self.group_id}: the engine rejects what the guard passed: {message}")
            answer = Message(Kind.APPEND_OK, self.term, index=message["next_node_idx"] - 1, sent_at=self._sent_at_echo)
            self._send(node, answer, durable=True)
        else:
            super().engine_says(node, message)

    def leadership_begins(self) -> None:
        """Every follower is probed first."""
        self._progress = {peer: Progress() for peer in self._nodes}
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
                heard_s = now - self.last_response.get(self._nodes[peer], -math.inf)
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
}

"""One replica as a follower: appends, snapshots and read rounds of a leader, and the rebuild of what a disk lost.

Between elections (replication.elections) and the leader's side (replication.leading). What an append does is judged in
append_guard, a snapshot is staged by snapshot, a rebuild is kept in rebuild.

Law: what a follower says of its log is durable before it is said and names its term; while it is being rebuilt every
word of it says so (`flag`), it confirms nobody, and it holds a vote for its leader in the term in which it ends.
"""

from __future__ import annotations

from typing import Any

from replication.append_guard import Action, judge_append
from replication.elections import ElectingReplica
from replication.group import ReplicaParts
from replication.messages import Kind, Message
from replication.rebuild import Grant
from replication.snapshot import SnapshotReceiver
from replication.syncobj import FOLLOWER, RaftInvariantBroken, ReplicaNode
from runtime.logs import get_logger

log = get_logger()


class FollowingReplica(ElectingReplica):
    """What a replica does for a leader."""

    def __init__(self, parts: ReplicaParts) -> None:
        self._sent_at_echo = 0.0
        self._answer_can_wait = False
        self._receiver = SnapshotReceiver(parts.machine)
        super().__init__(parts)
        self._started_at = parts.monotonic()
        if self.rebuild is not None:
            log.warning("replica_rebuilding", partition=self.group_id, last_index=self.journal.last_index)

    # ------------------------------------------------------------------ appends
    def _on_append(self, node: ReplicaNode, message: Message) -> None:
        term = message.term
        if term < self.term:
            self.send(node, Message(Kind.STALE_TERM, self.term, sent_at=message.sent_at), durable=True)
            return
        if self.is_leader and term == self.term:
            raise RaftInvariantBroken(f"group {self.group_id}: {node.id} also leads term {term}")
        was_leader = self.is_leader
        if term == self.term and not message.entries:
            # Alive, but no statement about the log: the answer proper may wait for a sync, and a slow disk must not
            # depose the leader. With a new term there is something to make durable first.
            self._reject(node, message, durable=False)
        self._follow(message)
        if message.kind is Kind.HEARTBEAT:
            self._refresh_leader(node, term, commit_index=0)
            self._reject(node, message, durable=True)
        else:
            self._take_append(node, message)
        if was_leader:
            self.leadership_lost()
        if self.rebuild is not None:
            self._ask_for_rebuild(node, message)

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
            self.adopt_membership()
        elif verdict.action is Action.MATCHED:
            self._refresh_leader(node, term, min(message.commit_index, verdict.at_index))
            self._acknowledge(node, term, verdict.at_index, message.sent_at)
        elif verdict.action is Action.REJECT:
            self._refresh_leader(node, term, commit_index=0)
            self._reject(node, message, index=verdict.at_index, hint=verdict.hint, durable=True)
        else:
            raise RaftInvariantBroken(
                f"group {self.group_id}: leader {node.id} contradicts committed entry {verdict.at_index}"
            )

    def _follow(self, message: Message) -> None:
        self._leader_contact = self._monotonic()
        self._pre_votes = None
        self._sent_at_echo = message.sent_at
        self._answer_can_wait = message.can_wait

    def _refresh_leader(self, node: ReplicaNode, term: int, commit_index: int) -> None:
        # To the engine, an append with neither entries nor position only refreshes leader, term, deadline and commit.
        self.to_engine(node, {"type": "append_entries", "term": term, "commit_index": commit_index, "serialized": None})

    def _on_read_barrier(self, node: ReplicaNode, message: Message) -> None:
        following = self.role == FOLLOWER and self.leader_node == node
        if message.term == self.term and following and self.rebuild is None:
            answer = Message(Kind.READ_BARRIER_OK, message.term, sequence=message.sequence)
            self.send(node, answer, durable=False)

    def _on_snapshot_chunk(self, node: ReplicaNode, message: Message) -> None:
        if message.term < self.term:
            self.send(node, Message(Kind.STALE_TERM, self.term), durable=True)
            return
        was_leader = self.is_leader
        if was_leader and message.term == self.term:
            raise RaftInvariantBroken(f"group {self.group_id}: {node.id} also leads term {message.term}")
        self._follow(message)
        self._refresh_leader(node, message.term, commit_index=0)
        if was_leader:
            self.leadership_lost()
        if self.rebuild is not None:
            self._ask_for_rebuild(node, message)
        if message.index <= self.commit_index:
            self._receiver.abort()
            self._acknowledge(node, message.term, self.commit_index)
            return
        answer, installer = self._receiver.take(node.id, message)
        self.send(node, answer, durable=False)
        if installer is not None:
            if message.membership is None:
                raise RaftInvariantBroken(f"group {self.group_id}: a snapshot of {node.id} does not name its members")
            installer.commit(message.index)
            self.journal.reset(message.index, message.log_term, message.membership)
            self.adopt_membership()
            self.commit_index = message.index
            self.applied_index = message.index
            self._acknowledge(node, message.term, message.index)

    # ------------------------------------------------------------------ answers
    def _acknowledge(self, node: ReplicaNode, term: int, index: int, sent_at: float = 0.0) -> None:
        """The log is equal to that of the leader of `term` up to `index`, once a sync covers it."""
        rebuild = self.rebuild
        if rebuild is not None:
            rebuild.matched(term, index)
        answer = Message(
            Kind.APPEND_OK,
            term,
            index=index,
            sent_at=sent_at,
            flag=rebuild is not None,
            can_wait=self._answer_can_wait,
        )
        self.send(node, answer, durable=True)

    def _reject(self, node: ReplicaNode, message: Message, *, index: int = 0, hint: int = 0, durable: bool) -> None:
        """`index` is refused (0: none was asked for), `hint` is where to go on."""
        answer = Message(
            Kind.APPEND_REJECTED,
            message.term,
            index=index,
            sequence=hint,
            sent_at=message.sent_at,
            flag=self.rebuild is not None,
        )
        self.send(node, answer, durable=durable)

    def engine_says(self, node: ReplicaNode, message: dict[str, Any]) -> None:
        """Stamp and send one message of the engine."""
        if message["type"] != "next_node_idx":
            super().engine_says(node, message)
            return
        if not message["success"]:
            raise RaftInvariantBroken(f"group {self.group_id}: the engine rejects what the guard passed: {message}")
        self._acknowledge(node, self.term, message["next_node_idx"] - 1, self._sent_at_echo)

    # ------------------------------------------------------------------ being rebuilt
    def _ask_for_rebuild(self, node: ReplicaNode, message: Message) -> None:
        """The leader spoke: ask it for what ends the rebuild, unless it was asked just now."""
        rebuild = self.rebuild
        if rebuild is None:
            return
        rebuild.received_bytes += len(message.chunk) + sum(len(entry[0]) for entry in message.entries)
        if node == self.leader_node and rebuild.should_ask(self._monotonic(), self.term):
            self.send(node, Message(Kind.REBUILD_REQUEST, self.term, sequence=rebuild.nonce), durable=False)

    def _on_rebuild_granted(self, node: ReplicaNode, message: Message) -> None:
        rebuild = self.rebuild
        if rebuild is None or message.sequence != rebuild.nonce:
            return  # of an earlier life, or no longer needed
        if message.term == self.term and node == self.leader_node:
            rebuild.granted(Grant(message.term, message.index, message.commit_index))

    def _finish_rebuild(self) -> None:
        """Called each tick while marked: what was applied so far is in the batch that takes the mark away."""
        rebuild, leader = self.rebuild, self.leader_node
        if rebuild is None or leader is None:
            return
        matched_index = rebuild.complete_index(self.term, self.applied_index)
        if matched_index is None:
            return
        # In this term the lost life may have voted: for nobody but who won it, so that vote is what is remembered.
        self.adopt_vote(self.term, leader.id)
        self.journal.clear_rebuild_mark()
        self.rebuild = None
        log.warning(
            "replica_rebuilt",
            partition=self.group_id,
            term=self.term,
            applied_index=self.applied_index,
            seconds=round(self._monotonic() - self._started_at, 3),
            bytes=rebuild.received_bytes,
        )
        self._acknowledge(leader, self.term, matched_index)

    def _on_rebuild_check(self, node: ReplicaNode, message: Message) -> None:
        """A leader asks every member whether it is in the leader's term. A replica without memory cannot tell."""
        following = self.role == FOLLOWER and self.leader_node == node
        if message.term == self.term and following and self.rebuild is None:
            answer = Message(Kind.REBUILD_CHECK_OK, message.term, sequence=message.sequence)
            self.send(node, answer, durable=False)

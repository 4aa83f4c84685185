"""Elections of one replica: pre-vote, leader stickiness, check-quorum, leadership transfer.

Between the members (replication.members) and the log guards (replication.following). The engine decides who wins; this
decides who may try and who is heard. Source: Raft dissertation (Ongaro 2014) sections 3.10, 4.2.3, 6.2 and 9.6.

Law: a replica that hears a live leader neither votes nor adopts a candidate's term, so one cut link causes no
election; a vote leaves only after the sync that covers it; a replica that is being rebuilt has no part in any of it.
"""

from __future__ import annotations

import math
from typing import Any

from replication.group import ReplicaParts
from replication.members import MemberReplica
from replication.membership import Membership
from replication.messages import Kind, Message
from replication.rebuild import Rebuild
from replication.syncobj import CANDIDATE, FOLLOWER, RaftInvariantBroken, ReplicaNode

# After a link to the leader broke, the pre-vote starts within this time instead of a full election time-out.
_LINK_LOST_DELAY_S = (0.02, 0.15)
# A pre-vote without a majority is repeated so often, about a heartbeat apart: whoever was asked may have heard the
# leader a moment longer. Then a full time-out passes between two: a replica that is cut off must not ask for ever.
QUICK_PRE_VOTES_MAX = 5
# Who has just said that another could win lets it try for so many heartbeats.
_YIELD_HEARTBEATS = 2


class ElectingReplica(MemberReplica):
    """Who may lead. The subclass supplies `leadership_lost`."""

    def __init__(self, parts: ReplicaParts) -> None:
        journal, monotonic = parts.journal, parts.monotonic
        self._pre_votes: tuple[int, set[str]] | None = None
        # Pre-votes since a leader was lost.
        self._pre_votes_asked = 0
        # Leader -> this replica's turn among the voters that lose it (see `_turn_after`), in this membership.
        self._turns: dict[str, tuple[int, int]] = {}
        self._turns_among: Membership | None = None
        self._votes: set[str] = set()
        self._forced_election = False
        # A number of its own for each candidacy: a vote is for a candidate as it was when it asked, not for what a lost
        # disk made of it.
        self.candidacy = 0
        self._candidacy_voted_for = 0
        self._lease_void = False
        # What is missing after a lost disk; None: nothing, this replica is whole.
        self.rebuild = Rebuild(journal.rebuild_nonce) if journal.rebuild_nonce is not None else None
        # False while the node drains: an invitation to lead would only be handed on again.
        self.accepts_leadership = True
        # Peers that refused an invitation since they connected.
        self._refused_by: set[str] = set()
        self._last_seen: tuple[str | None, int, int] = (None, 0, FOLLOWER)
        super().__init__(parts)
        # A restarted replica may have been part of a lease quorum or of a leader's promise: it grants no vote before
        # one minimum election time-out has passed.
        self._leader_contact = monotonic()

    def leadership_lost(self) -> None:
        """Nobody may wait any more on a leadership that is over."""
        raise NotImplementedError

    def transfer_leadership(self, target: str | None = None) -> bool:
        """Ask a caught-up follower to campaign now; false when none is caught up."""
        if not self.is_leader:
            return False
        last = self.journal.last_index
        candidates = [
            node
            for node in self._voters
            if node in self.connected_nodes
            and node.id not in self._refused_by
            and self.match_index.get(node, 0) == last
            and (target is None or node.id == target)
        ]
        if not candidates:
            return False
        # A lease must not outlive the invitation to elect somebody else.
        self._lease_void = True
        self.send(candidates[0], Message(Kind.TIMEOUT_NOW, self.term), durable=False)
        return True

    def peer_lost(self, peer: str) -> None:
        """`peer` closed its stream to us. If it led, ask the others soon whether they still hear it.

        Not with leases: they count on followers staying loyal for a full time-out.
        """
        self.enter()
        leader = self.leader_node
        if leader is None or leader.id != peer or self._settings.read_lease or not self.is_voter:
            return
        self._leader_contact = -math.inf
        self.election_deadline = self._monotonic() + self.delay_after_loss(peer)

    def delay_after_loss(self, leader: str) -> float:
        """Seconds until the pre-vote, another part of the time for each of those that are left.

        All lose the link at the same moment; two that stand at once split the votes and wait a full election time-out.
        """
        return self._draw_in_turn(leader, *_LINK_LOST_DELAY_S)

    def _draw_in_turn(self, leader: str, low: float, high: float) -> float:
        """Between `low` and `high`, in the part that is this voter's when `leader` is lost."""
        turn, turns = self._turn_after(leader)
        return low + (high - low) / turns * (turn + self._random.uniform(0.0, 0.5))

    def _turn_after(self, leader: str) -> tuple[int, int]:
        """(this voter's turn, how many there are) among those that are left when `leader` is lost."""
        if self._turns_among is not self.membership:
            self._turns_among = self.membership
            self._turns.clear()
        known = self._turns.get(leader)
        if known is None:
            left = [voter for voter in self.membership.voters if voter != leader]
            # Another one begins in each group, so that one node does not come to lead all.
            known = self._turns[leader] = (left.index(self.self_id) + self.group_id) % len(left), len(left)
        return known

    # ------------------------------------------------------------------ elections
    @property
    def may_lead(self) -> bool:
        """Whether this replica votes and remembers, or has again, all that it ever acknowledged."""
        return self.is_voter and self.rebuild is None and self.journal.has_all_it_had

    def _is_loyal(self) -> bool:
        if self.is_leader:
            return self._heard_from_quorum(self._settings.election_timeout_min_s)
        return self._monotonic() - self._leader_contact < self._settings.election_timeout_min_s

    def _heard_from_quorum(self, within_s: float) -> bool:
        now = self._monotonic()
        responses = self.last_response
        heard = sum(1 for node in self._voters if now - responses.get(node, -math.inf) < within_s)
        return heard >= self._quorum_followers

    def _start_pre_vote(self, now: float) -> None:
        """Ask whether an election could be won before disturbing anybody with a new term (dissertation 9.6)."""
        self.election_deadline = now + self.random_election_timeout()
        if now - self._leader_contact < self._settings.election_timeout_min_s:
            return
        if self.leader_node is not None:
            self._pre_votes_asked = 0
        self._pre_votes_asked += 1
        if self._pre_votes_asked <= QUICK_PRE_VOTES_MAX:
            self.election_deadline = now + self._settings.heartbeat_s * self._random.uniform(0.5, 1.5)
        # Peers and clients must not be sent to a leader that is not heard any more.
        self.leader_node = None
        if not self.may_lead:
            return
        term = self.term + 1
        self._pre_votes = (term, set())
        for node in self._voters:
            request = Message(
                Kind.PRE_VOTE_REQUEST, term, index=self.journal.last_index, log_term=self.journal.last_term
            )
            self.send(node, request, durable=False)

    def _campaign(self, *, forced: bool) -> None:
        self._pre_votes = None
        self._votes = set()
        self.candidacy = self._random.getrandbits(63)
        self._forced_election = forced
        self.election_deadline = -1.0
        self.run_engine()
        self._forced_election = False
        if self.election_deadline < 0:
            self.election_deadline = self._monotonic() + self.random_election_timeout()

    def resign(self) -> None:
        """Give up leadership without a successor: this replica cannot make anything durable."""
        if self.is_leader:
            self.enter()
            self.step_down(self.term)
            self.report_change()

    def step_down(self, term: int) -> None:
        """Follow from now on, in `term` if it is newer."""
        if term > self.term:
            self.adopt_term(term)
        if self.role != FOLLOWER:
            self.become_follower()
            self.election_deadline = self._monotonic() + self.random_election_timeout()
        self.leader_node = None
        self.leadership_lost()

    # ------------------------------------------------------------------ votes
    def _on_vote_request(self, node: ReplicaNode, message: Message) -> None:
        if self.rebuild is not None:
            return  # it may have voted in this term before it lost its disk
        if not message.flag and message.term > self.term and self._is_loyal():
            return  # a live leader exists: neither answer nor adopt the term
        if not self.journal.has_all_it_had and (message.log_term, message.index) < self.journal.newest_position:
            return  # the engine compares with the present log only, and more was acknowledged here once
        was_leader = self.is_leader
        self._candidacy_voted_for = message.sequence
        self.to_engine(
            node,
            {
                "type": "request_vote",
                "term": message.term,
                "last_log_index": message.index,
                "last_log_term": message.log_term,
            },
        )
        if was_leader and not self.is_leader:
            self.leadership_lost()

    def _on_vote_granted(self, node: ReplicaNode, message: Message) -> None:
        if message.sequence != self.candidacy:
            return  # given to an earlier life of this replica, whose log may have been another one
        # Count by sender: the engine would count a repeated answer twice, and that of a learner.
        if (
            self.role == CANDIDATE
            and message.term == self.term
            and node in self.other_voters
            and node.id not in self._votes
        ):
            self._votes.add(node.id)
            self.to_engine(node, {"type": "response_vote", "term": message.term})

    def _on_pre_vote_request(self, node: ReplicaNode, message: Message) -> None:
        if self.rebuild is not None:
            return
        if message.term <= self.term:
            self.send(node, Message(Kind.STALE_TERM, self.term), durable=True)
        elif not self._is_loyal():
            self._judge_candidate(node, message)

    def _judge_candidate(self, node: ReplicaNode, message: Message) -> None:
        """No leader is heard here either: let the asker try, or stand soon in its place if its log lacks something."""
        now, heartbeat_s = self._monotonic(), self._settings.heartbeat_s
        if (message.log_term, message.index) >= self.journal.newest_position:
            if self.role == FOLLOWER:
                # Two that stand within one round split the votes and wait a full election time-out.
                self.election_deadline = max(self.election_deadline, now + _YIELD_HEARTBEATS * heartbeat_s)
            self.send(node, Message(Kind.PRE_VOTE_GRANTED, message.term), durable=False)
        elif self.role == FOLLOWER:
            # The asker can never win, and nobody would ask before this replica's own time-out.
            self.election_deadline = min(self.election_deadline, now + heartbeat_s * self._random.uniform(0.0, 0.5))

    def _on_pre_vote_granted(self, node: ReplicaNode, message: Message) -> None:
        votes = self._pre_votes
        if votes is None or votes[0] != message.term or self.term + 1 != message.term or self.is_leader:
            return
        if node in self.other_voters:
            votes[1].add(node.id)
        if len(votes[1]) >= self._quorum_followers:
            self._campaign(forced=False)

    def _on_timeout_now(self, node: ReplicaNode, message: Message) -> None:
        if message.term != self.term or node != self.leader_node:
            return
        if self.accepts_leadership and self.may_lead:
            self._campaign(forced=True)
        else:
            self.send(node, Message(Kind.TIMEOUT_NOW_REFUSED, self.term), durable=False)

    def _on_timeout_now_refused(self, node: ReplicaNode, message: Message) -> None:
        if message.term == self.term:
            self._refused_by.add(node.id)

    def refused_by_all(self) -> bool:
        """Whether every voter that is connected refused to lead: a hand-over is pointless."""
        connected = {node.id for node in self._voters if node in self.connected_nodes}
        return connected <= self._refused_by

    # ------------------------------------------------------------------ what the engine says
    def engine_says(self, node: ReplicaNode, message: dict[str, Any]) -> None:
        """Send the engine's votes; the subclass takes what it says of the log."""
        kind = message["type"]
        if kind == "request_vote":
            request = Message(
                Kind.VOTE_REQUEST,
                message["term"],
                index=message["last_log_index"],
                log_term=message["last_log_term"],
                sequence=self.candidacy,
                flag=self._forced_election,
            )
            self.send(node, request, durable=True)
        elif kind == "response_vote":
            vote = Message(Kind.VOTE_GRANTED, message["term"], sequence=self._candidacy_voted_for)
            self.send(node, vote, durable=True)
        else:
            raise RaftInvariantBroken(f"group {self.group_id}: unexpected engine message {kind}")

    # ------------------------------------------------------------------ helpers
    def random_election_timeout(self) -> float:
        """Seconds between the configured bounds, drawn anew. Called for every word of a leader.

        Those that follow one leader draw from different parts: they hear of its silence together, and two that stand
        at once split the votes. Nobody waits less than the minimum: stickiness and leases rest on it.
        """
        low, high = self._settings.election_timeout_min_s, self._settings.election_timeout_max_s
        leader = self.leader_id
        if leader is None or leader == self.self_id or not self.is_voter:
            return low + (high - low) * self._random.random()
        return self._draw_in_turn(leader, low, high)

    def report_change(self) -> None:
        """Tell the host when leader, term or role are not what they were."""
        seen = (self.leader_id, self.term, self.role)
        if seen != self._last_seen:
            self._last_seen = seen
            self._host.leadership_changed(self.group_id)

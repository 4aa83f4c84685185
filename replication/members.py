"""One replica and the members of its group: whom it counts, whom it talks to, whom it hears.

Between the engine (replication.syncobj) and the elections (replication.elections). Source: Raft dissertation (Ongaro
2014) section 4.1.

Law: the newest membership in the log counts, committed or not, and from the same moment everywhere: whatever counts
votes, copies or confirmations does so by what is here. A leader or a candidate is heard whether it is a member or not,
for the entry that makes it one may not have come yet; answers are taken from members only.
"""

from __future__ import annotations

from collections.abc import Iterable

from replication.group import ReplicaParts
from replication.membership import Membership
from replication.messages import Kind, Message
from replication.syncobj import EngineReplica, ReplicaNode

# What is said to somebody who asked as a leader or a candidate: it means something only among members.
ANSWERS = frozenset(
    (
        Kind.APPEND_OK,
        Kind.APPEND_REJECTED,
        Kind.STALE_TERM,
        Kind.VOTE_GRANTED,
        Kind.PRE_VOTE_GRANTED,
        Kind.TIMEOUT_NOW_REFUSED,
        Kind.READ_BARRIER_OK,
        Kind.SNAPSHOT_ACK,
        Kind.REBUILD_REQUEST,
        Kind.REBUILD_CHECK_OK,
    )
)


class MemberReplica(EngineReplica):
    """Who is in the group. The subclass supplies `members_changed`."""

    def __init__(self, parts: ReplicaParts) -> None:
        self.group_id = parts.group_id
        self.self_id = parts.self_id
        self._host = parts.host
        self._random = parts.randomness
        self._settings = parts.settings
        # Nodes whose streams are up, members or not.
        self._connected_ids: set[str] = set()
        self._strangers: dict[str, ReplicaNode] = {}
        # All other members by id, sorted, and those of them that vote.
        self._nodes: dict[str, ReplicaNode] = {}
        self._voters: list[ReplicaNode] = []
        # The same, beginning with the next one in the ring of node ids.
        self._ring: list[ReplicaNode] = []
        # How many other voters decide together with this one.
        self._quorum_followers = 0
        self.membership = Membership()
        self.is_voter = False
        # A leader whose log is newer than this membership said that this replica does not belong to the group.
        self.is_dismissed = False
        super().__init__(parts)
        self._count_members()

    @property
    def is_membership_committed(self) -> bool:
        """Whether the membership that counts can be taken back no more."""
        return self.membership.index <= self.commit_index

    @property
    def peer_ids(self) -> list[str]:
        """All other members, sorted."""
        return list(self._nodes)

    def members_changed(self, gone: list[str]) -> None:
        """Other members count from now on; `gone` are those that were members before."""
        raise NotImplementedError

    def adopt_membership(self) -> None:
        """Called whenever the log may end with another membership than before."""
        if self.journal.membership is not self.membership:
            before = list(self._nodes)
            self._count_members()
            self.members_changed([peer for peer in before if peer not in self._nodes])

    def _count_members(self) -> None:
        membership = self.membership = self.journal.membership
        self.is_dismissed = False
        known = self._nodes
        self._nodes = {
            peer: known.get(peer) or ReplicaNode(peer) for peer in membership.members if peer != self.self_id
        }
        self._strangers.clear()
        voters = frozenset(membership.voters)
        self.is_voter = self.self_id in voters
        self._voters = [node for peer, node in self._nodes.items() if peer in voters]
        self._ring = sorted(self._voters, key=lambda node: (node.id < self.self_id, node.id))
        self._quorum_followers = (len(self._voters) + 1) // 2
        self.count_by(self._voters, [node for peer, node in self._nodes.items() if peer not in voters])
        for peer, node in known.items():
            if peer not in self._nodes:
                self.node_disconnected(node)
        for peer, node in self._nodes.items():
            if peer in self._connected_ids:
                self.node_connected(node)

    def ask_whether_member(self, nodes: Iterable[str]) -> None:
        """Ask whoever leads among `nodes` whether this replica still belongs to the group: see `is_dismissed`.

        Nobody tells it otherwise: a leader talks to members only, and the entry that removed this one may never come.
        """
        for node_id in nodes:
            self._host.send(self.group_id, node_id, Message(Kind.MEMBER_QUERY, self.term), durable=False)

    def _on_not_a_member(self, _node: ReplicaNode, message: Message) -> None:
        """Believe it only of a log that is newer than the membership here: an answer may be from before it."""
        journal = self.journal
        index = max(self.membership.index, journal.first_index)
        if (message.term, message.index) > (journal.term_at(index), index):
            self.is_dismissed = True

    def stranger(self, sender: str, message: Message) -> ReplicaNode | None:
        """Who says `message` and is no member, None when it is not to be heard."""
        return None if message.kind in ANSWERS else self._strangers.setdefault(sender, ReplicaNode(sender))

    def send(self, node: ReplicaNode, message: Message, *, durable: bool) -> None:
        """Hand one message to the host; with `durable` it leaves after a sync of everything journalled so far."""
        self._host.send(self.group_id, node.id, message, durable=durable)

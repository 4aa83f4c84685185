"""Who belongs to a group, and what may change about that at once. Pure.

A membership is a log entry and counts from the moment it is in a log, committed or not; the journal knows which one
counts where, replication.members lets the engine count by it and replication.raft proposes the next one. Source: Raft
dissertation (Ongaro 2014) sections 4.1 to 4.2.1; docs/decisions/0013.

Law: two memberships that follow each other differ by one voter at most, so that any majority of one meets any majority
of the other.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from wire import replication_pb2

# A leader without another voter would commit before its own sync: its copy counts as far as another one's is known.
VOTERS_MIN = 2


class ChangeKind(enum.Enum):
    """What can be done to one node of a group."""

    ADD_LEARNER = "add learner"
    PROMOTE = "promote"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """One change of one node."""

    kind: ChangeKind
    node_id: str


class Refusal(enum.StrEnum):
    """Why a change was not begun; nothing happened."""

    NOT_LEADER = "this replica does not lead, or has committed nothing in its term yet"
    UNDER_WAY = "the change before it is not committed"
    IS_MEMBER = "the node is a member already"
    NOT_LEARNER = "the node is not a learner"
    NOT_MEMBER = "the node is not a member"
    LEADS = "the node leads: hand the leadership over first"
    BEHIND = "the node has not caught up, or is being rebuilt, or is not heard"
    TOO_FEW = f"a group has {VOTERS_MIN} voters at least"
    NO_MAJORITY = "too few of the voters that would be left are heard and whole"


@dataclass(frozen=True, slots=True)
class Membership:
    """The members of a group by node id, sorted; `index` is that of the log entry that says so, 0 for the first."""

    voters: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()
    index: int = 0

    @property
    def members(self) -> tuple[str, ...]:
        """Voters and learners, sorted."""
        return tuple(sorted(self.voters + self.learners))

    @property
    def majority(self) -> int:
        """How many voters decide."""
        return len(self.voters) // 2 + 1

    def after(self, change: MembershipChange) -> Membership | Refusal:
        """The membership that `change` makes of this one; its index is not known yet."""
        node_id = change.node_id
        voters, learners = set(self.voters), set(self.learners)
        if change.kind is ChangeKind.ADD_LEARNER:
            if node_id in voters or node_id in learners:
                return Refusal.IS_MEMBER
            learners.add(node_id)
        elif change.kind is ChangeKind.PROMOTE:
            if node_id not in learners:
                return Refusal.NOT_LEARNER
            learners.remove(node_id)
            voters.add(node_id)
        else:
            if node_id not in voters and node_id not in learners:
                return Refusal.NOT_MEMBER
            if node_id in voters and len(voters) <= VOTERS_MIN:
                return Refusal.TOO_FEW
            voters.discard(node_id)
            learners.discard(node_id)
        return Membership(tuple(sorted(voters)), tuple(sorted(learners)))

    def at(self, index: int) -> Membership:
        """The same, said by the log entry at `index`."""
        return replace(self, index=index)


def first_membership(voters: Iterable[str]) -> Membership:
    """The members that a group begins with; none for a replica that a leader will tell."""
    return Membership(tuple(sorted(voters)))


def to_wire(membership: Membership) -> replication_pb2.Membership:
    """As a part of a message or a record."""
    return replication_pb2.Membership(voters=membership.voters, learners=membership.learners, index=membership.index)


def from_wire(source: replication_pb2.Membership) -> Membership:
    """The reverse."""
    return Membership(tuple(source.voters), tuple(source.learners), source.index)


def to_entry(membership: Membership) -> bytes:
    """The body of a log entry, equal on every replica: without an index, which the entry has itself."""
    return to_wire(membership.at(0)).SerializeToString(deterministic=True)


def from_entry(body: bytes, index: int) -> Membership:
    """The membership that the log entry at `index` says. Raises google.protobuf.message.DecodeError."""
    return from_wire(replication_pb2.Membership.FromString(body)).at(index)

"""The engine: pysyncobj 0.3.17 behind readable names. The only place that knows its private ones.

Subclassed by replication.members and what builds on it, which add the guards. pysyncobj keeps terms, votes, the
append rule and the commit rule.
Law: the engine sees only messages that passed a guard, and says only what a guard stamped. The adapter depends on
private names of the engine, so it refuses to run with any other source (docs/decisions/0003).
"""

from __future__ import annotations

import hashlib
import inspect
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import pysyncobj.syncobj as engine
from pysyncobj import SyncObjConf
from pysyncobj.node import Node
from pysyncobj.transport import Transport
from pysyncobj.version import VERSION

from replication.group import ReplicaParts, ReplicationSettings
from replication.journal import MEMBERSHIP_TYPE, GroupJournal
from replication.membership import Membership, to_entry

ENGINE_VERSION = "0.3.17"
ENGINE_SHA256 = "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4"
FOLLOWER, CANDIDATE, LEADER = 0, 1, 2
# The engine's type byte of an entry with a payload of ours.
REGULAR = b"\x00"
# What the engine's callbacks get with a committed entry.
SUCCESS = 0
FinishedCallback = Callable[[object, int], None]


class RaftInvariantBroken(Exception):
    """The engine or a peer contradicts what Raft guarantees: this process must stop before it does harm."""


def check_engine() -> None:
    """Raise unless the engine is exactly the one whose private methods this module overrides."""
    with open(inspect.getfile(engine), "rb") as source:
        digest = hashlib.sha256(source.read()).hexdigest()
    if VERSION != ENGINE_VERSION or digest != ENGINE_SHA256:
        raise RaftInvariantBroken(f"pysyncobj {VERSION} ({digest[:12]}) is not the engine this adapter was proven with")


class _Time:
    """The time of the replica that runs now: the engine reads it through a module global.

    It stands still while a replica works: were it read twice, an election could fall due between the look before the
    pre-vote and the engine's own, and the engine would campaign without asking.
    """

    now = 0.0


class _NullPoller:
    def poll(self, timeout: float) -> None:
        """The node's event loop does the waiting."""


class _NullSerializer:
    """The engine never makes, loads or ships a snapshot of its own."""

    def cancelTransmisstion(self, node: Node) -> None:
        """Nothing is ever under way."""


class ReplicaNode(Node):
    """A peer whose hash does not depend on PYTHONHASHSEED: the engine keeps peers in a set and iterates over it."""

    def __init__(self, node_id: str) -> None:
        super().__init__(node_id)
        self._hash = zlib.crc32(node_id.encode())

    def __hash__(self) -> int:
        return self._hash


class _EngineTransport(Transport):
    """Where the engine sends: everything goes to the guards."""

    def __init__(self, replica: EngineReplica, self_node: Node, other_nodes: list[Node]) -> None:
        super().__init__(replica, self_node, other_nodes)
        self._replica = replica

    def send(self, node: ReplicaNode, message: dict[str, Any]) -> bool:
        """Hand one engine message over."""
        self._replica.engine_says(node, message)
        return True


_POLLER = _NullPoller()
engine.monotonicTime = lambda: _Time.now
engine.createPoller = lambda _: _POLLER
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


class EngineReplica(engine.SyncObj):
    """One replica of one group as the engine sees it, with its state under plain names.

    The subclass supplies `engine_says`, `send_heartbeats`, `random_election_timeout` and `truncate_log`.
    """

    def __init__(self, parts: ReplicaParts) -> None:
        self.journal = parts.journal
        self.machine = parts.machine
        self._monotonic = parts.monotonic
        journal, machine = self.journal, self.machine
        _Time.now = parts.monotonic()
        # The engine's constructor reads every property of the object before it has set this one: properties here and in
        # the subclasses may use only what exists by then.
        self._SyncObj__newAppendEntriesTime = 0.0
        super().__init__(
            ReplicaNode(parts.self_id),
            [],
            _configuration(journal, parts.settings),
            nodeClass=ReplicaNode,
            transportClass=_EngineTransport,
        )
        self._SyncObj__serializer = _NullSerializer()
        self._SyncObj__needLoadDumpFile = False
        applied = max(machine.applied_index, 1)
        if not journal.first_index <= applied <= journal.last_index:
            raise RaftInvariantBroken(
                f"applied index {applied} lies outside the log {journal.first_index}..{journal.last_index}"
            )
        # A commit index stored apart from the log can outlive it; what is applied was committed.
        self.applied_index = self.commit_index = applied
        # These the engine changes in place and never replaces. It counts the other voters only; learners it knows as
        # nodes that only read.
        self.other_voters: set[ReplicaNode] = self._SyncObj__otherNodes
        self._learners: set[ReplicaNode] = self._SyncObj__readonlyNodes
        self.next_index: dict[ReplicaNode, int] = self._SyncObj__raftNextIndex
        self.match_index: dict[ReplicaNode, int] = self._SyncObj__raftMatchIndex
        self.last_response: dict[ReplicaNode, float] = self._SyncObj__lastResponseTime
        self.connected_nodes: set[ReplicaNode] = self._SyncObj__connectedNodes
        self.waiting_proposals: dict[int, list[tuple[int, FinishedCallback]]] = self._SyncObj__commandsWaitingCommit
        self.to_engine: Callable[[ReplicaNode, dict[str, Any]], None] = (
            self._SyncObj__transport._onMessageReceivedCallback
        )

    # ------------------------------------------------------------------ the engine's state under plain names
    @property
    def role(self) -> int:
        """FOLLOWER, CANDIDATE or LEADER."""
        role: int = self._SyncObj__raftState
        return role

    @property
    def is_leader(self) -> bool:
        """Leader by its own belief; only a read barrier or a commit proves it."""
        is_leader: bool = self._SyncObj__raftState == LEADER
        return is_leader

    @property
    def is_ready_leader(self) -> bool:
        """A leader that has applied its own no-op, so its state holds everything committed before its term."""
        noop_index = self._SyncObj__noopIDx
        return bool(
            self._SyncObj__raftState == LEADER
            and noop_index is not None
            and self._SyncObj__raftLastApplied >= noop_index
        )

    @property
    def leader_node(self) -> ReplicaNode | None:
        """The leader as far as this replica knows."""
        leader: ReplicaNode | None = self._SyncObj__raftLeader
        return leader

    @leader_node.setter
    def leader_node(self, node: ReplicaNode | None) -> None:
        self._SyncObj__raftLeader = node

    @property
    def leader_id(self) -> str | None:
        """The same by node id."""
        leader = self._SyncObj__raftLeader
        return None if leader is None else str(leader.id)

    @property
    def term(self) -> int:
        """The current term."""
        term: int = self._SyncObj__raftCurrentTerm
        return term

    @property
    def applied_index(self) -> int:
        """The last index applied to the machine (its batch may still wait to be written)."""
        index: int = self._SyncObj__raftLastApplied
        return index

    @applied_index.setter
    def applied_index(self, index: int) -> None:
        self._SyncObj__raftLastApplied = index

    @property
    def commit_index(self) -> int:
        """The last index known to be committed."""
        index: int = self._SyncObj__raftCommitIndex
        return index

    @commit_index.setter
    def commit_index(self, index: int) -> None:
        self._SyncObj__raftCommitIndex = index

    @property
    def election_deadline(self) -> float:
        """When a follower that hears nothing acts."""
        deadline: float = self._SyncObj__raftElectionDeadline
        return deadline

    @election_deadline.setter
    def election_deadline(self, deadline: float) -> None:
        self._SyncObj__raftElectionDeadline = deadline

    @property
    def heartbeat_due(self) -> float:
        """When a leader sends its next heartbeat."""
        due: float = self._SyncObj__newAppendEntriesTime
        return due

    @heartbeat_due.setter
    def heartbeat_due(self, due: float) -> None:
        self._SyncObj__newAppendEntriesTime = due

    def enter(self) -> float:
        """Make this replica's time the engine's and return it. Every way in begins with this."""
        _Time.now = now = self._monotonic()
        return now

    def run_engine(self) -> None:
        """One step of the engine: elections that are due, commit, apply, heartbeats."""
        self.doTick(0.0)

    def adopt_term(self, term: int) -> None:
        """Move to a later term without a vote."""
        self._SyncObj__setCurrentTerm(term, None)

    def adopt_vote(self, term: int, voted_for: str) -> None:
        """Remember a vote of this term that was cast in a life that is forgotten."""
        self._SyncObj__setCurrentTerm(term, voted_for)

    def become_follower(self) -> None:
        """Give up leadership or candidacy."""
        self._SyncObj__setState(FOLLOWER)

    def node_connected(self, node: ReplicaNode) -> None:
        """Tell the engine that messages can be sent to `node`."""
        self._SyncObj__onNodeConnected(node)

    def node_disconnected(self, node: ReplicaNode) -> None:
        """Tell the engine that they cannot."""
        self._SyncObj__onNodeDisconnected(node)

    def append_own(self, payload: bytes, finished: FinishedCallback) -> int:
        """Append an entry to this leader's log and return its index.

        Straight into the log: the engine's own command queue forwards to another leader when leadership is lost in
        between, which would turn a refusal into an unknown outcome.
        """
        return self._append_own(REGULAR + payload, finished)

    def append_membership(self, membership: Membership, finished: FinishedCallback) -> int:
        """The same for an entry that says who the members are."""
        return self._append_own(MEMBERSHIP_TYPE + to_entry(membership), finished)

    def _append_own(self, command: bytes, finished: FinishedCallback) -> int:
        index = self.journal.last_index + 1
        term = self.term
        self.journal.add(command, index, term)
        self.waiting_proposals[index].append((term, finished))
        return index

    def count_by(self, voters: Iterable[ReplicaNode], learners: Iterable[ReplicaNode]) -> None:
        """Let the engine count by these other voters from now on, and know these learners."""
        before = self.other_voters | self._learners
        for group, now in ((self.other_voters, voters), (self._learners, learners)):
            group.clear()
            group.update(now)
        for node in before - self.other_voters - self._learners:
            for known in (self.next_index, self.match_index, self.last_response):
                known.pop(node, None)
        for node in (self.other_voters | self._learners) - before:
            # Begin with the entry that brought it, at once rather than with the next heartbeat.
            self.next_index[node] = max(self.journal.last_index, self.journal.first_index + 1)
            self.match_index[node] = 0
            self.last_response[node] = self._monotonic()

    # ------------------------------------------------------------------ what the subclass supplies
    def engine_says(self, node: ReplicaNode, message: dict[str, Any]) -> None:
        """Stamp and send one message of the engine."""
        raise NotImplementedError

    def send_heartbeats(self) -> None:
        """The engine wants every follower to hear from the leader."""
        raise NotImplementedError

    def random_election_timeout(self) -> float:
        """Seconds, drawn anew each time."""
        raise NotImplementedError

    def truncate_log(self) -> None:
        """Called after every step: drop what no replica needs any more."""
        raise NotImplementedError

    def leadership_begins(self) -> None:
        """The engine won an election; called before the first heartbeat."""
        raise NotImplementedError

    # ------------------------------------------------------------------ overridden methods of the engine
    def _checkCommandsToApply(self) -> None:
        """The engine's command queue is never used: see append_own."""

    def _SyncObj__generateRaftTimeout(self) -> float:
        return self.random_election_timeout()

    def _SyncObj__onBecomeLeader(self) -> None:
        self.leadership_begins()
        super()._SyncObj__onBecomeLeader()

    def _SyncObj__doApplyCommand(self, command: bytes) -> object:
        index = self.applied_index + 1
        if command[:1] == REGULAR:
            return self.machine.apply(index, command[1:])
        self.machine.note_applied(index)
        return None

    def _SyncObj__parseChangeClusterRequest(self, _command: bytes) -> None:
        # The engine's own parser would unpickle the entry (law 4): members are replication.members' matter.
        return None

    def _SyncObj__sendAppendEntries(self) -> None:
        self.send_heartbeats()

    def _SyncObj__tryLogCompaction(self) -> None:
        self.truncate_log()

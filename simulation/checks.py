"""What must hold in every moment of a run, whatever the faults: Raft's safety properties, seen from outside.

Told by simulation.network of every message and by simulation.process of every turn. Law: it looks and never touches;
what it remembers outlives crashes, because promises do. Source of the properties: Ongaro and Ousterhout, "In Search of
an Understandable Consensus Algorithm" (2014), figure 3.
"""

from __future__ import annotations

import bisect
import itertools
import re
import zlib
from typing import TYPE_CHECKING

from node.host import NodeHost
from node.machine.state import PartitionState
from node.storage import keyspace
from node.storage.memory import MemoryStore
from replication.membership import Membership
from replication.messages import Kind, Message
from replication.ports import Family
from replication.raft import RaftReplica
from simulation.world import World

if TYPE_CHECKING:
    from simulation.process import Process

# Values that workloads write once in a run only: each workload has a letter of its own.
_VALUES = re.compile(rb'"([vw][0-9]+)"')


# Applied, commit and last index, term, role.
_Marks = tuple[int, int, int, int, int]


class _Seen:
    """A replica in one life of its process and of its own: a group may leave a node and come back."""

    __slots__ = ("commit_checked", "marks", "replica")

    def __init__(self, replica: RaftReplica) -> None:
        self.replica = replica
        # As of its last turn.
        self.marks: _Marks | None = None
        # Committed entries up to this index were compared with those of others.
        self.commit_checked = 0


class Checks:
    """The memory of one run."""

    def __init__(self, world: World) -> None:
        self._world = world
        # (group, term) -> the only leader it may have.
        self._leaders: dict[tuple[int, int], str] = {}
        # (group, term, voter) -> whom it voted for.
        self._votes: dict[tuple[int, int, str], str] = {}
        # (group, index) -> (term, checksum) of the entry that some replica held to be committed.
        self._committed: dict[tuple[int, int], tuple[int, int]] = {}
        # The same key -> a term by which it was committed: a leader of that term or a later one must have it.
        self._committed_by: dict[tuple[int, int], int] = {}
        # (group, index) -> checksum of the payload that some replica applied.
        self._applied: dict[tuple[int, int], int] = {}
        # Text that a workload wrote, "v17" -> when an entry with it was first applied, so it was committed by then.
        self.committed_at: dict[bytes, float] = {}
        self._last_committed: dict[int, int] = {}
        # Group -> the memberships that some replica held to be committed, in the order of their indexes.
        self._memberships: dict[int, list[Membership]] = {}
        # (group, applied index) -> hybrid time and sum of the state.
        self._states: dict[tuple[int, int], tuple[int, int]] = {}
        # (node, group) -> what a replica was like at the end of its last turn.
        self._seen: dict[tuple[str, int], _Seen] = {}
        # (source, life of the target) -> epoch and number of the last frame.
        self._frames: dict[tuple[str, Process], tuple[int, int]] = {}
        self.elections = 0
        self.snapshots = 0

    # ------------------------------------------------------------------ messages
    def message_sent(self, source: str, target: str, group_id: int, message: Message) -> None:
        """A vote that leaves a node is a promise for its whole life."""
        if message.kind is Kind.VOTE_GRANTED:
            self._vote(group_id, message.term, source, target)
        elif message.kind is Kind.VOTE_REQUEST:
            self._vote(group_id, message.term, source, source)
        elif message.kind is Kind.SNAPSHOT_CHUNK and message.flag:
            self.snapshots += 1

    def frame_received(self, source: str, target: Process, epoch: int, number: int) -> None:
        """Law 3: first-in-first-out, fenced by epoch."""
        last = self._frames.get((source, target))
        if last is not None and (epoch, number) <= last:
            raise self._world.violation(
                f"the transport brings frame {number} of epoch {epoch} from {source} to {target.node_id} after {last}"
            )
        self._frames[source, target] = epoch, number

    def _vote(self, group_id: int, term: int, voter: str, candidate: str) -> None:
        first = self._votes.setdefault((group_id, term, voter), candidate)
        if first != candidate:
            raise self._world.violation(
                f"group {group_id}: {voter} voted for {first} and for {candidate} in term {term}"
            )

    def disk_lost(self, node_id: str) -> None:
        """A candidacy ends with the life of its candidate: nobody can count the vote it gave itself any more."""
        for key, candidate in list(self._votes.items()):
            if candidate == node_id == key[2] and self._leaders.get(key[:2]) != node_id:
                del self._votes[key]

    # ------------------------------------------------------------------ applying
    def watch(self, node_id: str, host: NodeHost) -> None:
        """Look at every entry that a new process applies: the log may be cut behind it before its turn ends."""
        for group_id, partition in host.partitions.items():
            self._watch_state(node_id, group_id, partition.state)
        open_group = host._open_group

        def watched(group_id: int, first_voters: tuple[str, ...]) -> RaftReplica:
            replica = open_group(group_id, first_voters)
            self._watch_state(node_id, group_id, host.partitions[group_id].state)
            return replica

        # A group that comes later begins to apply in its first turn.
        host._open_group = watched  # type: ignore[method-assign]

    def _watch_state(self, node_id: str, group_id: int, state: PartitionState) -> None:
        apply = state.apply

        def watched(index: int, payload: bytes) -> object:
            self._check_applied(node_id, group_id, index, payload)
            return apply(index, payload)

        state.apply = watched  # type: ignore[method-assign]

    def _check_applied(self, node_id: str, group_id: int, index: int, payload: bytes) -> None:
        """State Machine Safety: no two replicas apply different entries at one index."""
        checksum = zlib.crc32(payload)
        agreed = self._applied.get((group_id, index))
        if agreed is None:
            self._applied[group_id, index] = checksum
            for value in _VALUES.findall(payload):
                self.committed_at.setdefault(value, self._world.now)
        elif agreed != checksum:
            raise self._world.violation(
                f"group {group_id}: {node_id} applied {checksum} at index {index}, where {agreed} was committed"
            )

    # ------------------------------------------------------------------ turns
    def process_starts(self, node_id: str) -> None:
        """Look at the whole log of a new process again."""
        for key in [key for key in self._seen if key[0] == node_id]:
            del self._seen[key]

    def turn_ended(self, node_id: str, host: NodeHost, store: MemoryStore) -> None:
        """Check every replica of a node that changed since its last turn."""
        for group_id, partition in host.partitions.items():
            replica = partition.group
            journal = replica.journal
            marks = (replica.applied_index, replica.commit_index, journal.last_index, replica.term, replica.role)
            seen = self._seen.get((node_id, group_id))
            if seen is None or seen.replica is not replica:
                seen = self._seen[node_id, group_id] = _Seen(replica)
            before = seen.marks
            if marks == before:
                continue
            seen.marks = marks
            name = f"group {group_id} on {node_id}"
            self._check_order(name, journal.first_index, marks, before)
            self._check_committed(node_id, group_id, seen)
            self._check_members(name, group_id, replica)
            if replica.is_leader:
                self._check_leader(name, group_id, node_id, replica)
            if before is None or before[0] != marks[0]:
                self._check_state(name, group_id, store)

    def _check_order(self, name: str, first: int, marks: _Marks, before: _Marks | None) -> None:
        applied, commit, last, term, _ = marks
        if not first <= applied <= commit <= last:
            raise self._world.violation(f"{name}: first {first}, applied {applied}, commit {commit}, last {last}")
        if before is not None and (applied < before[0] or commit < before[1] or term < before[3]):
            raise self._world.violation(f"{name} went back: {before} then {marks}")

    def _check_committed(self, node_id: str, group_id: int, seen: _Seen) -> None:
        """State Machine Safety and Log Matching: all agree on every committed entry."""
        replica = seen.replica
        entries = replica.journal.entries
        first, commit = entries[0][1], replica.commit_index
        start = max(first, seen.commit_checked) + 1
        for payload, index, term in entries[start - first : commit + 1 - first]:
            mark = (term, zlib.crc32(payload))
            agreed = self._committed.setdefault((group_id, index), mark)
            if agreed != mark:
                raise self._world.violation(
                    f"group {group_id}: {node_id} committed {mark} at index {index}, where {agreed} was committed"
                )
            self._committed_by.setdefault((group_id, index), replica.term)
        seen.commit_checked = max(commit, first)
        self._last_committed[group_id] = max(self._last_committed.get(group_id, 1), commit)

    def _check_members(self, name: str, group_id: int, replica: RaftReplica) -> None:
        """All count by the same committed membership, each a voter away from the one before; a leader is a voter."""
        membership, commit = replica.membership, replica.commit_index
        if replica.is_leader and replica.self_id not in membership.voters:
            raise self._world.violation(f"{name} leads and is no voter of {membership}")
        if membership.index > commit:
            return
        known = self._memberships.setdefault(group_id, [])
        if not membership.voters and not membership.index:
            # It was opened by a leader's message and has heard no more yet.
            return
        place = bisect.bisect_right(known, commit, key=lambda one: one.index)
        if place and known[place - 1] == membership:
            return
        if place and known[place - 1].index >= membership.index:
            raise self._world.violation(f"{name} counts by {membership} at commit {commit}, not by {known[place - 1]}")
        known.insert(place, membership)
        for one, other in itertools.pairwise(known[max(0, place - 1) : place + 2]):
            if len(set(one.voters) ^ set(other.voters)) > 1:
                raise self._world.violation(f"{name}: {other} was committed right after {one}")

    def _check_leader(self, name: str, group_id: int, node_id: str, replica: RaftReplica) -> None:
        """Election Safety and, once a term, Leader Completeness."""
        term = replica.term
        leader = self._leaders.get((group_id, term))
        if leader == node_id:
            return
        if leader is not None:
            raise self._world.violation(f"{name} leads term {term}, and so does {leader}")
        self._leaders[group_id, term] = node_id
        self.elections += 1
        entries = replica.journal.entries
        first, last = entries[0][1], entries[-1][1]
        for index in range(first + 1, self._last_committed[group_id] + 1):
            agreed = self._committed.get((group_id, index))
            if agreed is None or self._committed_by[group_id, index] > term:
                # A candidate that was asleep may win a term that is over: it cannot commit anything.
                continue
            own = (entries[index - first][2], zlib.crc32(entries[index - first][0])) if index <= last else None
            if own != agreed:
                raise self._world.violation(f"{name} leads term {term} without committed entry {index}: has {own}")

    def _check_state(self, name: str, group_id: int, store: MemoryStore) -> None:
        """Replicas that applied the same prefix show the same state, whatever crashes and snapshots lie between."""
        applied = keyspace.decode_applied(store.get(Family.META, keyspace.applied_key(group_id)))
        assert store.sums is not None
        checksum = (applied.hybrid_time, store.sums.of(keyspace.prefix(group_id, applied.generation)))
        agreed = self._states.setdefault((group_id, applied.applied_index), checksum)
        if agreed != checksum:
            raise self._world.violation(
                f"{name}: another state than elsewhere at applied index {applied.applied_index}"
            )

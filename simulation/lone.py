"""One replica in isolation, its peers played by the test.

Used by tests/replication. Law: the replica is the real one over a real journal; nothing happens unless the test says
so.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from node.storage.memory import MemoryStore
from replication.group import ReplicaParts, ReplicationSettings
from replication.journal import GroupJournal
from replication.messages import Kind, LogEntry, Message
from replication.ports import StateInstaller
from replication.raft import RaftReplica
from runtime.clock import ManualClock

SETTINGS = ReplicationSettings(election_timeout_min_s=0.5, election_timeout_max_s=1.0, heartbeat_s=0.1)


class ListMachine:
    """A state machine that remembers what it applied; implements replication.ports.StateMachine."""

    def __init__(self) -> None:
        self.applied: list[bytes] = []
        self.applied_index = 1

    def apply(self, index: int, payload: bytes) -> object:
        """Take the next entry; the number of entries so far."""
        assert index == self.applied_index + 1
        self.applied_index = index
        self.applied.append(payload)
        return len(self.applied)

    def note_applied(self, index: int) -> None:
        """An entry without payload."""
        self.applied_index = index

    def flush(self) -> None:
        """Nothing is stored."""

    def snapshot(self) -> Iterator[tuple[bytes, bytes]]:
        """The list."""
        return iter([(b"%d" % number, payload) for number, payload in enumerate(self.applied)])

    def begin_install(self) -> StateInstaller:
        """Stage another list."""
        return ListInstaller(self)


class ListInstaller:
    """Stages a list."""

    def __init__(self, machine: ListMachine) -> None:
        self._machine = machine
        self._staged: list[bytes] = []

    def put(self, _key: bytes, value: bytes) -> None:
        """Stage a value."""
        self._staged.append(value)

    def commit(self, applied_index: int) -> None:
        """Put it in place."""
        self._machine.applied, self._machine.applied_index = self._staged, applied_index

    def abort(self) -> None:
        """Drop it."""
        self._staged.clear()


class Lone:
    """A replica n1 whose peers are played by the test; implements replication.ports.Host.

    `sent` collects every message, durable ones too: when they leave is node.durability's matter.
    """

    def __init__(self, peers: int = 2, store: MemoryStore | None = None) -> None:
        self.clock = ManualClock()
        self.store = store or MemoryStore()
        self.machine = ListMachine()
        self.sent: list[tuple[str, Message, bool]] = []
        self.peers = [f"n{number}" for number in range(2, peers + 2)]
        self.replica = self.make_replica()
        for peer in self.peers:
            self.replica.peer_connected(peer)

    def make_replica(self, machine: ListMachine | None = None, group_id: int = 1, self_id: str = "n1") -> RaftReplica:
        """A replica over what the store holds."""
        return RaftReplica(
            ReplicaParts(
                group_id=group_id,
                self_id=self_id,
                journal=GroupJournal(self.store, self, group_id, ["n1", *self.peers]),
                machine=machine or self.machine,
                host=self,
                monotonic=self.clock.monotonic,
                randomness=random.Random(group_id),
                settings=SETTINGS,
            )
        )

    def send(self, _group_id: int, target: str, message: Message, *, durable: bool) -> None:
        """Collect."""
        self.sent.append((target, message, durable))

    def journal_changed(self, group_id: int) -> None:
        """The test writes and syncs when it wants to."""

    def wake(self, group_id: int) -> None:
        """The test ticks when it wants to."""

    def leadership_changed(self, group_id: int) -> None:
        """Read from the replica."""

    def take_sent(self, kind: Kind) -> list[Message]:
        """Messages of one kind since the last call of this."""
        taken = [message for _, message, _ in self.sent if message.kind is kind]
        self.sent.clear()
        return taken

    def tick(self, seconds: float = 0.0) -> None:
        """One turn after `seconds`; nothing is synced."""
        self.clock.advance(seconds)
        self.replica.tick()
        self.replica.ship()
        self.store.write_batch()
        self.replica.batch_written()

    def sync(self) -> None:
        """Write and sync everything."""
        self.store.write_batch()
        covered = self.replica.journal.sync_starts()
        self.store.sync()
        self.replica.synced(covered)

    def receive(self, kind: Kind, term: int, sender: str = "n2", **fields: object) -> None:
        """Hand the replica one message; a vote is for its present candidacy unless `sequence` says otherwise."""
        if kind is Kind.VOTE_GRANTED:
            fields.setdefault("sequence", self.replica.candidacy)
        self.replica.receive(sender, Message(kind, term, **fields))  # type: ignore[arg-type]

    def append(
        self, term: int, index: int, log_term: int, terms: list[int], commit: int = 1, sender: str = "n2"
    ) -> None:
        """An append of entries with `terms` after (`index`, `log_term`), and a turn."""
        entries: list[LogEntry] = [(b"\x00e%d" % (index + 1 + i), index + 1 + i, t) for i, t in enumerate(terms)]
        self.receive(Kind.APPEND, term, sender, index=index, log_term=log_term, commit_index=commit, entries=entries)
        self.tick()

    def elect(self) -> int:
        """Make n1 the ready leader; returns its term."""
        self.tick(SETTINGS.election_timeout_max_s * 1.1)
        term = self.replica.term + 1
        for peer in self.peers[: (len(self.peers) + 1) // 2]:
            self.receive(Kind.PRE_VOTE_GRANTED, term, peer)
        for peer in self.peers[: (len(self.peers) + 1) // 2]:
            self.receive(Kind.VOTE_GRANTED, term, peer)
        assert self.replica.is_leader
        self.tick()
        self.sync()
        self.acknowledge()
        assert self.replica.is_ready_leader
        return term

    def acknowledge(self, index: int | None = None, term: int | None = None) -> None:
        """A quorum has the log up to `index` (all of it)."""
        for peer in self.peers[: (len(self.peers) + 1) // 2]:
            self.receive(
                Kind.APPEND_OK,
                self.replica.term if term is None else term,
                peer,
                index=self.replica.journal.last_index if index is None else index,
            )
        self.tick()

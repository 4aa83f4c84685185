"""Snapshots: one consistent scan of a group's state, sent in checksummed chunks, put in place at once.

Used by replication.leading and replication.following when a follower's next entry was truncated. The sender keeps a
window of chunks under way; the receiver stages pairs beside the old state and switches in the batch that also resets
the journal. Law: a crash at any point leaves either the old state or the new one, and chunks are taken only in order
from one leader's term.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from replication.group import ReplicationSettings
from replication.membership import Membership
from replication.messages import Kind, Message
from replication.ports import StateInstaller, StateMachine

_PAIR = struct.Struct("<II")
# A sender that hears nothing for this long starts again when the follower next answers.
SNAPSHOT_STALL_S = 5.0


def encode_pairs(pairs: Iterator[tuple[bytes, bytes]], chunk_bytes: int) -> Iterator[bytes]:
    """Cut pairs into chunks of about `chunk_bytes`; always at least one chunk, the last may be empty."""
    parts: list[bytes] = []
    size = 0
    for key, value in pairs:
        parts += (_PAIR.pack(len(key), len(value)), key, value)
        size += _PAIR.size + len(key) + len(value)
        if size >= chunk_bytes:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)


def decode_pairs(chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of one chunk."""
    position = 0
    while position < len(chunk):
        key_length, value_length = _PAIR.unpack_from(chunk, position)
        position += _PAIR.size
        key = chunk[position : position + key_length]
        position += key_length
        yield key, chunk[position : position + value_length]
        position += value_length


class SnapshotSender:
    """One snapshot on its way to one follower."""

    def __init__(
        self,
        machine: StateMachine,
        settings: ReplicationSettings,
        *,
        index: int,
        log_term: int,
        membership: Membership,
        now: float,
    ) -> None:
        self.index = index
        self.progress_at = now
        self._log_term = log_term
        self._membership = membership
        self._window_chunks = settings.snapshot_window_chunks
        self._chunks = encode_pairs(machine.snapshot(), settings.snapshot_chunk_bytes)
        self._ahead: bytes | None = next(self._chunks)
        self._sent = 0
        self._acknowledged = 0

    def next_messages(self, term: int) -> list[Message]:
        """Chunks that the window allows now."""
        messages: list[Message] = []
        while self._ahead is not None and self._sent - self._acknowledged < self._window_chunks:
            chunk, self._ahead = self._ahead, next(self._chunks, None)
            messages.append(
                Message(
                    Kind.SNAPSHOT_CHUNK,
                    term,
                    index=self.index,
                    log_term=self._log_term,
                    sequence=self._sent,
                    flag=self._ahead is None,
                    chunk=chunk,
                    membership=self._membership if self._ahead is None else None,
                )
            )
            self._sent += 1
        return messages

    def acknowledged(self, chunks: int, now: float) -> None:
        """The follower has `chunks` chunks in order."""
        if chunks > self._acknowledged:
            self._acknowledged = chunks
            self.progress_at = now


class SnapshotSenders:
    """A leader's snapshots under way, at most one for each follower."""

    def __init__(self, machine: StateMachine, settings: ReplicationSettings) -> None:
        self.wanted: set[str] = set()
        self._machine = machine
        self._settings = settings
        self._senders: dict[str, SnapshotSender] = {}

    def want(self, peer: str, now: float) -> bool:
        """A follower's next entry is truncated; true when a snapshot is to be started with the next written batch."""
        sender = self._senders.get(peer)
        if sender is not None and now - sender.progress_at <= SNAPSHOT_STALL_S:
            return False
        self._senders.pop(peer, None)
        self.wanted.add(peer)
        return True

    def start_wanted(self, index: int, log_term: int, membership: Membership, now: float) -> list[str]:
        """Start what is wanted from the state at `index`, which must be what the store shows."""
        peers = sorted(self.wanted)
        self.wanted.clear()
        for peer in peers:
            self._senders[peer] = SnapshotSender(
                self._machine, self._settings, index=index, log_term=log_term, membership=membership, now=now
            )
        return peers

    def index_of(self, peer: str) -> int | None:
        """The index of the snapshot on its way to `peer`."""
        sender = self._senders.get(peer)
        return sender.index if sender is not None else None

    def next_messages(self, peer: str, term: int) -> list[Message]:
        """Chunks for `peer` that its window allows now."""
        sender = self._senders.get(peer)
        return sender.next_messages(term) if sender is not None else []

    def acknowledged(self, peer: str, message: Message, now: float) -> bool:
        """Take a SNAPSHOT_ACK; true when more chunks may go."""
        sender = self._senders.get(peer)
        if sender is None or sender.index != message.index:
            return False
        if not message.flag:
            # The follower lost what it had staged: the next heartbeat starts a new snapshot.
            del self._senders[peer]
            return False
        sender.acknowledged(message.sequence, now)
        return True

    def drop(self, peer: str) -> None:
        """The follower has caught up or its link broke."""
        self._senders.pop(peer, None)

    def forget(self, peer: str) -> None:
        """The follower is no member any more."""
        self.drop(peer)
        self.wanted.discard(peer)

    def drop_all(self) -> None:
        """Leadership is lost."""
        self._senders.clear()
        self.wanted.clear()


class SnapshotReceiver:
    """A snapshot being staged on a follower."""

    def __init__(self, machine: StateMachine) -> None:
        self._machine = machine
        self._installer: StateInstaller | None = None
        self._source: tuple[str, int, int] | None = None
        self._received = 0

    def take(self, sender: str, message: Message) -> tuple[Message, StateInstaller | None]:
        """Stage one chunk: the acknowledgement to send and, after the last chunk, the installer to commit."""
        source = (sender, message.term, message.index)
        if message.sequence == 0:
            self.abort()
            self._installer = self._machine.begin_install()
            self._source = source
        installer = self._installer
        if installer is None or self._source != source or message.sequence != self._received:
            return Message(Kind.SNAPSHOT_ACK, message.term, index=message.index, flag=False), None
        for key, value in decode_pairs(message.chunk):
            installer.put(key, value)
        self._received += 1
        answer = Message(Kind.SNAPSHOT_ACK, message.term, index=message.index, sequence=self._received, flag=True)
        if not message.flag:
            return answer, None
        self._installer, self._source, self._received = None, None, 0
        return answer, installer

    @property
    def is_active(self) -> bool:
        """Whether a snapshot is being staged."""
        return self._installer is not None

    def abort(self) -> None:
        """Drop what was staged."""
        if self._installer is not None:
            self._installer.abort()
        self._installer, self._source, self._received = None, None, 0

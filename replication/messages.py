"""What replicas of one group say to each other, and the bytes it becomes.

Made by replication.leading and its bases and by snapshot, carried by replication.transport. Law: a message is complete
in itself and carries its term, so that a stale one can always be told (the engine's own acknowledgements carry none).
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Sequence

from replication.membership import Membership, from_wire, to_wire
from wire import replication_pb2

# One log entry as the engine keeps it: payload, index, term. Payload's first byte is the engine's command type, so no
# payload is empty.
LogEntry = tuple[bytes, int, int]


class Kind(enum.IntEnum):
    """Message kinds; the numbers are the wire format and never change meaning."""

    APPEND = 1  # entries after (index, log_term)
    HEARTBEAT = 2  # no position: the follower is behind the leader's log
    # `flag` on both: of a replica that is being rebuilt, good for flow control and not to be counted for anything.
    APPEND_OK = 3  # durable and equal to the leader's log up to `index`
    APPEND_REJECTED = 4  # no entry (index, log_term) here; `sequence` is the hint where to go on
    STALE_TERM = 5  # the sender's term is newer
    VOTE_REQUEST = 6  # `flag`: forced by a leadership transfer; `sequence`: a number of this candidacy
    VOTE_GRANTED = 7  # `sequence`: of the candidacy that asked
    PRE_VOTE_REQUEST = 8
    PRE_VOTE_GRANTED = 9
    TIMEOUT_NOW = 10
    READ_BARRIER = 11  # `sequence`: the round
    READ_BARRIER_OK = 12
    # Of the state at (index, log_term); `sequence` counts chunks, `flag` marks the last, with the `membership` there.
    SNAPSHOT_CHUNK = 13
    TIMEOUT_NOW_REFUSED = 15  # the invited replica is about to stop
    SNAPSHOT_ACK = 14  # `sequence`: chunks received in order; `flag` false: start again
    # Between leaders of two groups, beside Raft: addressed to the group that takes or sent it (node.indexing).
    FEED = 16  # `chunk`: a serialized IndexFeed
    FEED_DONE = 17  # of group `index`: `sequence` is applied; `flag` false: not the leader, `chunk` names it if known
    # A replica that lost its disk (replication.rebuild).
    REBUILD_REQUEST = 18  # to the leader; `sequence`: the nonce of the life that asks
    REBUILD_CHECK = 19  # from the leader to every other member; `sequence`: the round
    REBUILD_CHECK_OK = 20  # the member follows this leader in this term
    # A replica that the catalog names no more, to those that it names.
    MEMBER_QUERY = 22
    NOT_A_MEMBER = 23  # of a leader: by its log, of which `index` is committed
    REBUILD_GRANTED = 21  # `sequence`: the nonce; whole when the log reaches `index` and `commit_index` is applied


class Message:
    """One Raft message of one group. Unused fields are zero; see Kind for which are used."""

    __slots__ = (
        "can_wait",
        "chunk",
        "commit_index",
        "entries",
        "flag",
        "index",
        "kind",
        "log_term",
        "membership",
        "sent_at",
        "sequence",
        "term",
    )

    def __init__(
        self,
        kind: Kind,
        term: int,
        *,
        index: int = 0,
        log_term: int = 0,
        commit_index: int = 0,
        sequence: int = 0,
        flag: bool = False,
        sent_at: float = 0.0,
        entries: Sequence[LogEntry] = (),
        chunk: bytes = b"",
        membership: Membership | None = None,
        can_wait: bool = False,
    ) -> None:
        self.kind = kind
        self.term = term
        self.index = index
        self.log_term = log_term
        self.commit_index = commit_index
        self.sequence = sequence
        self.flag = flag
        self.sent_at = sent_at
        self.entries = entries
        self.chunk = chunk
        self.membership = membership
        # Nothing is lost when it leaves with what else goes to that node, a little later.
        self.can_wait = can_wait

    def __repr__(self) -> str:
        return (
            f"{self.kind.name}(term={self.term} index={self.index} log_term={self.log_term} "
            f"commit={self.commit_index} seq={self.sequence} flag={self.flag} entries={len(self.entries)})"
        )


def encode_into(frame: replication_pb2.PeerFrame, group: int, message: Message) -> None:
    """Append `message` of `group` to a frame that is about to leave."""
    entries = message.entries
    target = frame.messages.add(
        group=group,
        kind=message.kind,
        term=message.term,
        index=message.index,
        log_term=message.log_term,
        commit_index=message.commit_index,
        sequence=message.sequence,
        flag=message.flag,
        sent_at=message.sent_at,
        can_wait=message.can_wait,
    )
    if entries:
        target.payloads.extend([entry[0] for entry in entries])
        # Terms never fall along a log: when the ends agree with the message, all between do.
        if entries[0][2] != message.term or entries[-1][2] != message.term:
            target.entry_terms.extend([entry[2] for entry in entries])
    if message.chunk:
        target.chunk = message.chunk
        target.checksum = zlib.crc32(message.chunk)
    if message.membership is not None:
        target.membership.CopyFrom(to_wire(message.membership))


class CorruptMessage(Exception):
    """A message that contradicts itself; the stream it came on is to be closed."""


_WITH_CHUNK = frozenset((Kind.SNAPSHOT_CHUNK, Kind.FEED, Kind.FEED_DONE))
_KINDS = {int(kind): kind for kind in Kind}


def decode(source: replication_pb2.RaftMessage) -> Message:
    """Read one message of a received frame.

    Raises CorruptMessage when a chunk's checksum, an entry list or the end of a snapshot is inconsistent.
    """
    term = source.term
    kind = _KINDS.get(source.kind)
    if kind is None:
        raise CorruptMessage(f"unknown message kind {source.kind}")
    message = Message(
        kind,
        term,
        index=source.index,
        log_term=source.log_term,
        commit_index=source.commit_index,
        sequence=source.sequence,
        flag=source.flag,
        sent_at=source.sent_at,
        can_wait=source.can_wait,
    )
    payloads = source.payloads
    if payloads:
        first = source.index + 1
        terms = source.entry_terms
        if terms:
            if len(terms) != len(payloads):
                raise CorruptMessage("as many terms as entries are needed")
            message.entries = [(payload, first + i, terms[i]) for i, payload in enumerate(payloads)]
        else:
            message.entries = [(payload, first + i, term) for i, payload in enumerate(payloads)]
    if kind in _WITH_CHUNK:
        message.chunk = source.chunk
        if message.chunk and zlib.crc32(message.chunk) != source.checksum:
            raise CorruptMessage(f"the chunk of a {kind.name} fails its checksum")
    if kind is Kind.SNAPSHOT_CHUNK and message.flag:
        if not source.HasField("membership"):
            raise CorruptMessage("a snapshot without the members of its group")
        message.membership = from_wire(source.membership)
    return message

"""Messages survive the wire, and damage is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.membership import Membership
from replication.messages import CorruptMessage, Kind, Message, decode, encode_into
from wire import replication_pb2

pytestmark = pytest.mark.unit

numbers = st.integers(0, 2**64 - 1)
node_ids = st.lists(st.text(min_size=1, max_size=5), max_size=4).map(tuple)
memberships = st.builds(Membership, node_ids, node_ids, numbers)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind, flag = draw(st.sampled_from(list(Kind))), draw(st.booleans())
    term, index = draw(numbers), draw(st.integers(0, 2**63))
    payloads = draw(st.lists(st.binary(max_size=40), max_size=6)) if kind is Kind.APPEND else []
    # Terms never fall along a log and never exceed the sender's.
    terms = sorted(draw(st.lists(st.integers(0, term), min_size=len(payloads), max_size=len(payloads))))
    if payloads and draw(st.booleans()):
        terms = [term] * len(payloads)
    return Message(
        kind,
        term,
        index=index,
        log_term=draw(numbers),
        commit_index=draw(numbers),
        sequence=draw(numbers),
        flag=flag,
        sent_at=draw(st.floats(0, 1e9)),
        entries=[(payload, index + 1 + i, terms[i]) for i, payload in enumerate(payloads)],
        chunk=draw(st.binary(max_size=100)) if kind is Kind.SNAPSHOT_CHUNK else b"",
        membership=draw(memberships) if kind is Kind.SNAPSHOT_CHUNK and flag else None,
    )


def carried(group: int, message: Message) -> replication_pb2.RaftMessage:
    frame = replication_pb2.PeerFrame()
    encode_into(frame, group, message)
    return replication_pb2.PeerFrame.FromString(frame.SerializeToString()).messages[0]


def fields(message: Message) -> dict[str, object]:
    values = {name: getattr(message, name) for name in Message.__slots__}
    values["entries"] = list(message.entries)
    return values


@given(st.integers(0, 2**32 - 1), messages())
def test_a_message_arrives_as_it_was_sent(group: int, message: Message) -> None:
    raw = carried(group, message)
    assert raw.group == group
    assert fields(decode(raw)) == fields(message)


def test_a_snapshot_does_not_end_without_its_members() -> None:
    raw = carried(1, Message(Kind.SNAPSHOT_CHUNK, 3, flag=True, chunk=b"c"))
    with pytest.raises(CorruptMessage, match="without the members"):
        decode(raw)


def test_several_messages_share_a_frame_in_order() -> None:
    frame = replication_pb2.PeerFrame()
    for index in range(5):
        encode_into(frame, index, Message(Kind.APPEND_OK, 3, index=index))
    assert [(raw.group, decode(raw).index) for raw in frame.messages] == [(index, index) for index in range(5)]


def test_terms_of_entries_travel_only_when_they_differ_from_the_message() -> None:
    entries = [(b"a", 4, 7), (b"b", 5, 7)]
    assert not carried(1, Message(Kind.APPEND, 7, index=3, entries=entries)).entry_terms
    assert list(carried(1, Message(Kind.APPEND, 8, index=3, entries=entries)).entry_terms) == [7, 7]


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_damaged_chunk_is_refused(chunk: bytes, data: st.DataObject) -> None:
    raw = carried(1, Message(Kind.SNAPSHOT_CHUNK, 3, chunk=chunk))
    position = data.draw(st.integers(0, len(chunk) - 1))
    damaged = bytearray(chunk)
    damaged[position] ^= data.draw(st.integers(1, 255))
    raw.chunk = bytes(damaged)
    with pytest.raises(CorruptMessage, match="checksum"):
        decode(raw)


def test_entries_without_their_terms_are_refused() -> None:
    raw = carried(1, Message(Kind.APPEND, 8, index=3, entries=[(b"a", 4, 6), (b"b", 5, 7)]))
    del raw.entry_terms[1]
    with pytest.raises(CorruptMessage, match="terms"):
        decode(raw)


@pytest.mark.parametrize("kind", [0, 99, 4_000_000_000])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    with pytest.raises(CorruptMessage, match="unknown message kind"):
        decode(replication_pb2.RaftMessage(kind=kind))


def test_kinds_keep_their_numbers() -> None:
    """They are the wire format: nodes of two versions must agree on them."""
    assert {kind.name: int(kind) for kind in Kind} == {
        "APPEND": 1,
        "HEARTBEAT": 2,
        "APPEND_OK": 3,
        "APPEND_REJECTED": 4,
        "STALE_TERM": 5,
        "VOTE_REQUEST": 6,
        "VOTE_GRANTED": 7,
        "PRE_VOTE_REQUEST": 8,
        "PRE_VOTE_GRANTED": 9,
        "TIMEOUT_NOW": 10,
        "READ_BARRIER": 11,
        "READ_BARRIER_OK": 12,
        "SNAPSHOT_CHUNK": 13,
        "SNAPSHOT_ACK": 14,
        "TIMEOUT_NOW_REFUSED": 15,
        "FEED": 16,
        "FEED_DONE": 17,
        "REBUILD_REQUEST": 18,
        "REBUILD_CHECK": 19,
        "REBUILD_CHECK_OK": 20,
        "REBUILD_GRANTED": 21,
        "MEMBER_QUERY": 22,
        "NOT_A_MEMBER": 23,
    }

"""Snapshots: cut into chunks, sent in a window, staged in order, put in place once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.group import ReplicationSettings
from replication.membership import Membership
from replication.messages import Kind, Message
from replication.snapshot import (
    SNAPSHOT_STALL_S,
    SnapshotReceiver,
    SnapshotSender,
    SnapshotSenders,
    decode_pairs,
    encode_pairs,
)

pytestmark = pytest.mark.unit

Pair = tuple[bytes, bytes]


class Staged:
    """An installer that shows what it was told."""

    def __init__(self, machine: Machine) -> None:
        self.pairs: list[Pair] = []
        self._machine = machine

    def put(self, key: bytes, value: bytes) -> None:
        self.pairs.append((key, value))

    def commit(self, applied_index: int) -> None:
        self._machine.pairs = self.pairs
        self._machine.applied_index = applied_index

    def abort(self) -> None:
        self._machine.aborted += 1


class Machine:
    """A state machine that is a list of pairs."""

    def __init__(self, pairs: list[Pair]) -> None:
        self.pairs = pairs
        self.applied_index = 1
        self.aborted = 0
        self.installs = 0

    def snapshot(self) -> Iterator[Pair]:
        return iter(list(self.pairs))

    def begin_install(self) -> Staged:
        self.installs += 1
        return Staged(self)

    def apply(self, index: int, payload: bytes) -> object:
        raise NotImplementedError

    def note_applied(self, index: int) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        raise NotImplementedError


MEMBERS = Membership(("n1", "n2", "n4"), ("n3",), 40)
PAIRS = [(b"key%02d" % number, b"v" * number) for number in range(30)]


def sender(pairs: list[Pair] = PAIRS, window: int = 2) -> SnapshotSender:
    settings = ReplicationSettings(snapshot_chunk_bytes=64, snapshot_window_chunks=window)
    return SnapshotSender(Machine(pairs), settings, index=50, log_term=4, membership=MEMBERS, now=0.0)


def all_chunks(term: int = 6) -> list[Message]:
    """Every chunk of PAIRS in order."""
    source, chunks = sender(window=1), []
    while messages := source.next_messages(term):
        chunks += messages
        source.acknowledged(len(chunks), 0.0)
    return chunks


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=60)), max_size=30), st.integers(1, 200))
def test_chunks_hold_all_pairs_in_order(pairs: list[Pair], chunk_bytes: int) -> None:
    chunks = list(encode_pairs(iter(pairs), chunk_bytes))
    assert [pair for chunk in chunks for pair in decode_pairs(chunk)] == pairs
    assert all(len(chunk) < chunk_bytes + 88 for chunk in chunks)


def test_an_empty_state_is_one_empty_chunk() -> None:
    assert list(encode_pairs(iter([]), 100)) == [b""]
    (only,) = sender([]).next_messages(6)
    assert (only.sequence, only.flag, only.chunk) == (0, True, b"")


def test_no_more_chunks_leave_than_the_window_allows() -> None:
    source = sender(window=3)
    assert [message.sequence for message in source.next_messages(6)] == [0, 1, 2]
    assert source.next_messages(6) == []
    source.acknowledged(2, 1.0)
    assert [message.sequence for message in source.next_messages(6)] == [3, 4]


def test_every_chunk_names_the_state_and_only_the_last_is_marked() -> None:
    chunks = all_chunks()
    assert len(chunks) > 5
    assert {(chunk.kind, chunk.term, chunk.index, chunk.log_term) for chunk in chunks} == {
        (Kind.SNAPSHOT_CHUNK, 6, 50, 4)
    }
    assert [chunk.flag for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def install(receiver: SnapshotReceiver, chunks: list[Message], source: str = "n1") -> list[bool]:
    """Give chunks to a receiver and commit when it is whole; returns the flags of the acknowledgements."""
    flags = []
    for chunk in chunks:
        answer, installer = receiver.take(source, chunk)
        flags.append(answer.flag)
        if installer is not None:
            installer.commit(chunk.index)
    return flags


def test_chunks_in_order_become_the_state() -> None:
    machine = Machine([(b"old", b"state")])
    assert all(install(SnapshotReceiver(machine), all_chunks()))
    assert (machine.pairs, machine.applied_index) == (PAIRS, 50)


def test_an_acknowledgement_counts_the_chunks_in_order() -> None:
    receiver = SnapshotReceiver(Machine([]))
    answers = [receiver.take("n1", chunk)[0] for chunk in all_chunks()[:3]]
    assert [(answer.kind, answer.index, answer.sequence) for answer in answers] == [
        (Kind.SNAPSHOT_ACK, 50, count) for count in (1, 2, 3)
    ]


CHUNKS = all_chunks()


@pytest.mark.parametrize(
    ("chunks", "flags"),
    [
        pytest.param(CHUNKS[2:], [False] * (len(CHUNKS) - 2), id="a follower that restarted asks to begin again"),
        pytest.param([CHUNKS[0], CHUNKS[2]], [True, False], id="a gap is refused"),
        pytest.param([CHUNKS[0], CHUNKS[1], CHUNKS[1]], [True, True, False], id="a repeated chunk is refused"),
        pytest.param(
            [CHUNKS[0], *all_chunks(term=7)[1:]], [True] + [False] * (len(CHUNKS) - 1), id="another term's chunk"
        ),
    ],
)
def test_chunks_out_of_order_change_nothing(chunks: list[Message], flags: list[bool]) -> None:
    machine = Machine([(b"old", b"state")])
    assert install(SnapshotReceiver(machine), chunks) == flags
    assert (machine.pairs, machine.applied_index) == ([(b"old", b"state")], 1)


def test_another_sender_cannot_continue_what_one_began() -> None:
    machine = Machine([])
    receiver = SnapshotReceiver(machine)
    install(receiver, CHUNKS[:2], "n1")
    assert not any(install(receiver, CHUNKS[2:], "n2"))
    assert machine.applied_index == 1


def test_a_snapshot_that_begins_again_drops_what_was_staged() -> None:
    machine = Machine([])
    receiver = SnapshotReceiver(machine)
    install(receiver, CHUNKS[:3])
    assert all(install(receiver, CHUNKS))
    assert (machine.aborted, machine.installs, machine.pairs) == (1, 2, PAIRS)


def test_abort_drops_what_was_staged_once() -> None:
    machine = Machine([])
    receiver = SnapshotReceiver(machine)
    install(receiver, CHUNKS[:3])
    receiver.abort()
    receiver.abort()
    assert machine.aborted == 1
    assert install(receiver, CHUNKS[3:4]) == [False]


# ---------------------------------------------------------------------------------------------- the leader's side
SETTINGS = ReplicationSettings(snapshot_chunk_bytes=64, snapshot_window_chunks=2)


@pytest.fixture
def senders() -> SnapshotSenders:
    return SnapshotSenders(Machine(PAIRS), SETTINGS)


def acknowledgement(sequence: int, *, index: int = 50, flag: bool = True) -> Message:
    return Message(Kind.SNAPSHOT_ACK, 6, index=index, sequence=sequence, flag=flag)


def begin(senders: SnapshotSenders, now: float = 0.0) -> None:
    assert senders.want("n2", now)
    assert senders.start_wanted(50, 4, MEMBERS, now) == ["n2"]
    assert len(senders.next_messages("n2", 6)) == 2


def test_a_snapshot_under_way_is_not_started_twice(senders: SnapshotSenders) -> None:
    begin(senders)
    assert not senders.want("n2", SNAPSHOT_STALL_S)
    assert senders.start_wanted(50, 4, MEMBERS, 0.0) == []


def test_a_snapshot_whose_acknowledgements_are_lost_starts_again(senders: SnapshotSenders) -> None:
    begin(senders)
    assert senders.acknowledged("n2", acknowledgement(1), 3.0)
    assert not senders.want("n2", 3.0 + SNAPSHOT_STALL_S)
    assert senders.want("n2", 3.1 + SNAPSHOT_STALL_S)
    senders.start_wanted(50, 4, MEMBERS, 9.0)
    assert [message.sequence for message in senders.next_messages("n2", 6)] == [0, 1]


def test_a_follower_that_restarted_gets_a_new_snapshot_at_the_next_heartbeat(senders: SnapshotSenders) -> None:
    begin(senders)
    assert not senders.acknowledged("n2", acknowledgement(0, flag=False), 0.1)
    assert senders.next_messages("n2", 6) == []
    assert senders.want("n2", 0.2)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(acknowledgement(1, index=40), id="of another snapshot"),
        pytest.param(acknowledgement(0, index=40, flag=False), id="refusing another snapshot"),
    ],
)
def test_a_stale_answer_changes_nothing(senders: SnapshotSenders, answer: Message) -> None:
    begin(senders)
    assert not senders.acknowledged("n2", answer, 0.1)
    assert senders.next_messages("n2", 6) == []
    assert not senders.want("n2", 0.2)


def test_an_answer_from_a_follower_without_snapshot_is_ignored(senders: SnapshotSenders) -> None:
    assert not senders.acknowledged("n3", acknowledgement(1), 0.0)


def test_lost_leadership_drops_all(senders: SnapshotSenders) -> None:
    begin(senders)
    senders.want("n3", 0.0)
    senders.drop_all()
    assert senders.start_wanted(50, 4, MEMBERS, 0.0) == []
    assert senders.next_messages("n2", 6) == []

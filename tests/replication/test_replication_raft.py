"""One replica in isolation: each guard around the engine, told by the messages that pass it."""

from __future__ import annotations

import pytest

from replication import syncobj
from replication.membership import first_membership
from replication.messages import Kind
from replication.outcomes import Outcome
from replication.progress import SLOW_S
from replication.snapshot import encode_pairs
from replication.syncobj import RaftInvariantBroken, check_engine
from simulation.lone import SETTINGS, ListMachine, Lone

pytestmark = pytest.mark.unit

FIRST = first_membership(("n1", "n2", "n3"))


@pytest.fixture
def lone() -> Lone:
    return Lone()


# ---------------------------------------------------------------------------------------------- the engine
def test_the_installed_engine_is_the_proven_one() -> None:
    check_engine()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("ENGINE_SHA256", "0" * 64, id="another source"),
        pytest.param("ENGINE_VERSION", "0.3.18", id="another version"),
    ],
)
def test_another_engine_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setattr(syncobj, name, value)
    with pytest.raises(RaftInvariantBroken, match=r"pysyncobj 0\.3\.17"):
        check_engine()


def test_a_state_ahead_of_its_log_is_refused(lone: Lone) -> None:
    machine = ListMachine()
    machine.applied_index = 9
    with pytest.raises(RaftInvariantBroken, match=r"applied index 9 lies outside the log 1\.\.1"):
        lone.make_replica(machine)


# ---------------------------------------------------------------------------------------------- commit
def outcomes_of(lone: Lone, payload: bytes = b"write") -> list[tuple[Outcome, object]]:
    """Propose once; the list fills with what its callback gets."""
    given: list[tuple[Outcome, object]] = []
    assert lone.replica.propose(payload, lambda outcome, result: given.append((outcome, result))) is not None
    lone.tick()
    return given


def test_a_proposal_commits_when_a_majority_has_it_durable(lone: Lone) -> None:
    lone.elect()
    given = outcomes_of(lone)
    lone.sync()
    assert given == []
    lone.acknowledge()
    assert given == [(Outcome.COMMITTED, 1)]
    assert lone.machine.applied == [b"write"]


def test_a_leader_counts_its_own_copy_only_when_it_is_synced(lone: Lone) -> None:
    lone.elect()
    given = outcomes_of(lone)
    lone.acknowledge()
    assert given == []
    lone.sync()
    lone.tick()
    assert given == [(Outcome.COMMITTED, 1)]


@pytest.mark.parametrize("back", [1, 2])
def test_an_acknowledgement_of_an_earlier_term_counts_for_nothing(lone: Lone, back: int) -> None:
    """It speaks of a log that may have been cut since: only its term stamp tells."""
    lone.append(3, 1, 0, [3])
    term = lone.elect()
    given = outcomes_of(lone)
    lone.sync()
    lone.acknowledge(term=term - back)
    assert given == []
    assert lone.replica.status().match_index["n2"] < lone.replica.journal.last_index
    lone.acknowledge()
    assert given != []


def test_a_leader_of_five_needs_two_followers() -> None:
    lone = Lone(peers=4)
    lone.elect()
    given = outcomes_of(lone)
    lone.sync()
    for peer, expected in (("n2", 0), ("n2", 0), ("n3", 1)):
        lone.receive(Kind.APPEND_OK, lone.replica.term, peer, index=lone.replica.journal.last_index)
        lone.tick()
        assert len(given) == expected


def test_a_replica_that_does_not_lead_refuses_proposals_without_calling_back(lone: Lone) -> None:
    given: list[object] = []
    assert lone.replica.propose(b"write", lambda outcome, result: given.append(outcome)) is None
    assert given == []


# ---------------------------------------------------------------------------------------------- losing leadership
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        pytest.param(Kind.APPEND, {"index": 1, "log_term": 0}, id="another leader's append"),
        pytest.param(Kind.HEARTBEAT, {}, id="another leader's heartbeat"),
        pytest.param(Kind.SNAPSHOT_CHUNK, {"index": 90, "log_term": 8, "flag": False}, id="another leader's snapshot"),
        pytest.param(Kind.APPEND_OK, {"index": 1}, id="an acknowledgement of a later term"),
        pytest.param(Kind.STALE_TERM, {}, id="word of a later term"),
        pytest.param(Kind.VOTE_REQUEST, {"index": 90, "log_term": 8, "flag": True}, id="a candidate of a hand-over"),
    ],
)
def test_whoever_waits_on_a_lost_leadership_is_told_at_once(lone: Lone, kind: Kind, fields: dict[str, object]) -> None:
    lone.elect()
    given = outcomes_of(lone)
    reads: list[int | None] = []
    lone.replica.read_barrier(reads.append)
    lone.receive(kind, 9, **fields)
    lone.tick()
    assert not lone.replica.is_leader
    assert given == [(Outcome.UNKNOWN, None)]
    assert reads == [None]


def test_a_leader_that_hears_no_quorum_steps_down(lone: Lone) -> None:
    lone.elect()
    given = outcomes_of(lone)
    lone.tick(SETTINGS.election_timeout_max_s * 1.01)
    assert not lone.replica.is_leader
    assert given == [(Outcome.UNKNOWN, None)]


def test_two_leaders_of_one_term_stop_the_process(lone: Lone) -> None:
    term = lone.elect()
    with pytest.raises(RaftInvariantBroken, match="n2 also leads term"):
        lone.receive(Kind.APPEND, term, index=1)


def test_a_leader_that_contradicts_a_committed_entry_stops_the_process(lone: Lone) -> None:
    lone.append(3, 1, 0, [3, 3], commit=3)
    assert lone.replica.commit_index == 3
    with pytest.raises(RaftInvariantBroken, match="contradicts committed entry 2"):
        lone.append(4, 1, 0, [4])


# ---------------------------------------------------------------------------------------------- following
def test_a_follower_acknowledges_what_it_appended_durably_and_with_its_term(lone: Lone) -> None:
    lone.sent.clear()
    lone.append(3, 1, 0, [3, 3])
    ((target, answer, durable),) = lone.sent
    assert (target, answer.kind, answer.term, answer.index, durable) == ("n2", Kind.APPEND_OK, 3, 3, True)


def test_a_follower_commits_no_further_than_it_matches(lone: Lone) -> None:
    lone.append(3, 1, 0, [3, 3, 3])
    lone.append(4, 1, 0, [3], commit=4, sender="n3")
    assert lone.replica.commit_index == 2, "entries 3 and 4 are not known to be the new leader's"


def test_a_delayed_append_cuts_nothing_that_was_acknowledged(lone: Lone) -> None:
    lone.append(3, 1, 0, [3, 3, 3])
    lone.append(3, 1, 0, [3])
    assert lone.replica.journal.last_index == 4
    assert lone.take_sent(Kind.APPEND_OK)[-1].index == 2


def test_a_leader_of_a_past_term_is_told_the_present_one(lone: Lone) -> None:
    lone.append(5, 1, 0, [5])
    lone.sent.clear()
    lone.append(3, 1, 0, [3], sender="n3")
    (answer,) = lone.take_sent(Kind.STALE_TERM)
    assert answer.term == 5
    assert lone.replica.leader_id == "n2"


def test_answers_of_strangers_are_ignored(lone: Lone) -> None:
    term = lone.elect()
    lone.receive(Kind.STALE_TERM, term + 5, "n9")
    assert (lone.replica.is_leader, lone.replica.term) == (True, term)


# ---------------------------------------------------------------------------------------------- elections
def test_an_election_begins_with_a_question_that_changes_nothing(lone: Lone) -> None:
    lone.tick(SETTINGS.election_timeout_max_s * 1.1)
    assert [message.term for message in lone.take_sent(Kind.PRE_VOTE_REQUEST)] == [1, 1]
    assert lone.replica.term == 0


def test_without_a_majority_of_yes_no_term_is_disturbed() -> None:
    lone = Lone(peers=4)
    lone.tick(SETTINGS.election_timeout_max_s * 1.1)
    lone.receive(Kind.PRE_VOTE_GRANTED, 1, "n2")
    lone.receive(Kind.PRE_VOTE_GRANTED, 1, "n2")
    assert lone.replica.term == 0
    lone.receive(Kind.PRE_VOTE_GRANTED, 1, "n3")
    assert lone.replica.term == 1


def test_votes_are_counted_by_voter() -> None:
    lone = Lone(peers=4)
    lone.tick(SETTINGS.election_timeout_max_s * 1.1)
    for peer in ("n2", "n3"):
        lone.receive(Kind.PRE_VOTE_GRANTED, 1, peer)
    for _ in range(3):
        lone.receive(Kind.VOTE_GRANTED, 1, "n2")
    assert not lone.replica.is_leader
    lone.receive(Kind.VOTE_GRANTED, 1, "n3")
    assert lone.replica.is_leader


@pytest.mark.parametrize("kind", [Kind.VOTE_REQUEST, Kind.PRE_VOTE_REQUEST])
def test_a_follower_that_hears_its_leader_helps_no_candidate(lone: Lone, kind: Kind) -> None:
    lone.append(3, 1, 0, [3])
    lone.sent.clear()
    lone.receive(kind, 7, "n3", index=90, log_term=6)
    assert (lone.sent, lone.replica.term) == ([], 3)


def test_a_follower_helps_once_its_leader_is_silent(lone: Lone) -> None:
    lone.append(3, 1, 0, [3])
    lone.clock.advance(SETTINGS.election_timeout_min_s * 1.01)
    lone.receive(Kind.PRE_VOTE_REQUEST, 4, "n3", index=2, log_term=3)
    assert len(lone.take_sent(Kind.PRE_VOTE_GRANTED)) == 1
    lone.receive(Kind.VOTE_REQUEST, 4, "n3", index=2, log_term=3)
    ((_, vote, durable),) = lone.sent
    assert (vote.kind, vote.term, durable) == (Kind.VOTE_GRANTED, 4, True)


def test_a_follower_whose_leader_closed_its_stream_helps_at_once_and_asks_soon(lone: Lone) -> None:
    lone.append(3, 1, 0, [3])
    lone.replica.peer_lost("n2")
    lone.tick(0.16)
    assert len(lone.take_sent(Kind.PRE_VOTE_REQUEST)) == 2
    lone.receive(Kind.PRE_VOTE_REQUEST, 4, "n3", index=2, log_term=3)
    assert len(lone.take_sent(Kind.PRE_VOTE_GRANTED)) == 1


@pytest.mark.parametrize("group_id", [1, 2])
def test_those_that_lose_a_leader_together_do_not_stand_together(group_id: int) -> None:
    def delays_s(self_id: str) -> list[float]:
        replica = Lone().make_replica(ListMachine(), group_id, self_id)
        return [replica.delay_after_loss("n2") for _ in range(50)]

    one, other = delays_s("n1"), delays_s("n3")
    first, second = (one, other) if max(one) < max(other) else (other, one)
    assert min(second) - max(first) > 0.03, "the second has heard of the first before it stands itself"
    assert min(first) >= 0.02
    assert max(second) <= 0.15
    assert (first is one) is (group_id == 2), "in every group another node is the first"


def test_a_candidate_with_an_older_log_gets_no_vote(lone: Lone) -> None:
    lone.append(3, 1, 0, [3, 3])
    lone.clock.advance(5.0)
    lone.sent.clear()
    for kind in (Kind.PRE_VOTE_REQUEST, Kind.VOTE_REQUEST):
        lone.receive(kind, 9, "n3", index=2, log_term=3)
        lone.receive(kind, 9, "n3", index=90, log_term=2)
    assert lone.sent == []


def test_one_vote_a_term_also_after_a_restart(lone: Lone) -> None:
    lone.clock.advance(5.0)
    lone.receive(Kind.VOTE_REQUEST, 4, "n3", index=1, log_term=0)
    assert len(lone.take_sent(Kind.VOTE_GRANTED)) == 1
    lone.sync()
    again = Lone()
    again.store = lone.store.crash()
    again.replica = again.make_replica()
    again.clock.advance(5.0)
    again.sent.clear()
    again.receive(Kind.VOTE_REQUEST, 4, "n2", index=1, log_term=0)
    assert again.sent == []
    again.receive(Kind.VOTE_REQUEST, 5, "n2", index=1, log_term=0)
    assert len(again.take_sent(Kind.VOTE_GRANTED)) == 1


def test_a_restarted_replica_votes_only_after_a_silence(lone: Lone) -> None:
    lone.sent.clear()
    lone.receive(Kind.VOTE_REQUEST, 4, "n3", index=1, log_term=0)
    assert (lone.sent, lone.replica.term) == ([], 0)


# ---------------------------------------------------------------------------------------------- handing over
def test_leadership_is_offered_only_to_a_follower_that_has_everything(lone: Lone) -> None:
    lone.elect()
    outcomes_of(lone)
    assert not lone.replica.transfer_leadership("n2")
    lone.sync()
    lone.acknowledge()
    assert not lone.replica.transfer_leadership("n3")
    lone.sent.clear()
    assert lone.replica.transfer_leadership("n2")
    ((target, message, _),) = lone.sent
    assert (target, message.kind) == ("n2", Kind.TIMEOUT_NOW)


def test_an_invited_follower_campaigns_at_once_and_says_so(lone: Lone) -> None:
    lone.append(3, 1, 0, [3])
    lone.sent.clear()
    lone.receive(Kind.TIMEOUT_NOW, 3)
    requests = lone.take_sent(Kind.VOTE_REQUEST)
    assert [(request.term, request.flag) for request in requests] == [(4, True), (4, True)]


@pytest.mark.parametrize(
    ("sender", "term", "accepts"),
    [
        pytest.param("n3", 3, True, id="not from the leader"),
        pytest.param("n2", 2, True, id="from an earlier term"),
        pytest.param("n2", 3, False, id="while this node drains"),
    ],
)
def test_other_invitations_are_ignored(lone: Lone, sender: str, term: int, accepts: bool) -> None:
    lone.append(3, 1, 0, [3])
    lone.replica.accepts_leadership = accepts
    lone.receive(Kind.TIMEOUT_NOW, term, sender)
    assert lone.replica.term == 3


# ---------------------------------------------------------------------------------------------- a busy node
def ship_busy(lone: Lone) -> dict[str, bool]:
    """Propose on a busy node: who gets the append, and whether it can wait."""
    lone.replica.tick()  # a heartbeat that is due would take the entry along
    assert lone.replica.propose(b"write", lambda *_: None) is not None
    lone.sent.clear()
    lone.replica.tick()
    lone.replica.ship(is_busy=True)
    return {target: message.can_wait for target, message, _ in lone.sent if message.kind is Kind.APPEND}


def answer_all(lone: Lone, term: int) -> None:
    """Both followers have the whole log."""
    for peer in lone.peers:
        lone.receive(Kind.APPEND_OK, term, peer, index=lone.replica.journal.last_index)


def test_on_a_busy_node_only_the_next_follower_in_the_ring_is_in_a_hurry(lone: Lone) -> None:
    term = lone.elect()
    answer_all(lone, term)
    assert ship_busy(lone) == {"n2": False, "n3": True}


def test_on_a_node_that_is_not_busy_every_follower_is(lone: Lone) -> None:
    term = lone.elect()
    answer_all(lone, term)
    assert lone.replica.propose(b"write", lambda *_: None) is not None
    lone.sent.clear()
    lone.tick()
    assert {target: message.can_wait for target, message, _ in lone.sent if message.kind is Kind.APPEND} == {
        "n2": False,
        "n3": False,
    }


def test_a_follower_that_is_silent_or_behind_is_not_the_one_that_a_commit_needs(lone: Lone) -> None:
    term = lone.elect()
    answer_all(lone, term)
    lone.tick(SETTINGS.heartbeat_s * 2.5)
    lone.receive(Kind.APPEND_OK, term, "n3", index=lone.replica.journal.last_index)
    assert ship_busy(lone) == {"n2": True, "n3": False}, "n2 was not heard for two heartbeats"
    answer_all(lone, term)
    lone.replica.peer_disconnected("n2")
    lone.replica.peer_connected("n2")
    assert ship_busy(lone)["n3"] is False, "n2 is being probed"


def test_a_follower_whose_disk_is_slow_is_not_the_one_that_a_commit_needs(lone: Lone) -> None:
    term = lone.elect()
    answer_all(lone, term)
    assert ship_busy(lone) == {"n2": False, "n3": True}
    lone.clock.advance(SLOW_S * 1.1)
    lone.receive(Kind.APPEND_REJECTED, term, "n2")
    lone.receive(Kind.APPEND_OK, term, "n3", index=lone.replica.journal.last_index)
    assert ship_busy(lone) == {"n2": True, "n3": False}, "n2 answers heartbeats, and acknowledges nothing"
    answer_all(lone, term)
    assert ship_busy(lone) == {"n2": False, "n3": True}, "n2 has caught up"


def test_a_leader_of_five_needs_more_than_one() -> None:
    lone = Lone(peers=4)
    term = lone.elect()
    answer_all(lone, term)
    assert set(ship_busy(lone).values()) == {False}


def test_a_follower_answers_as_urgently_as_it_was_asked(lone: Lone) -> None:
    for index, can_wait in ((1, False), (2, True), (3, False)):
        entries = [(b"\x00e", index + 1, 1)]
        lone.receive(Kind.APPEND, 1, index=index, log_term=min(index - 1, 1), entries=entries, can_wait=can_wait)
        answer = lone.take_sent(Kind.APPEND_OK)[-1]
        assert (answer.index, answer.can_wait) == (index + 1, can_wait)


def test_a_leader_may_commit_when_a_majority_with_itself_has_more(lone: Lone) -> None:
    term = lone.elect()
    answer_all(lone, term)
    lone.sync()
    lone.tick()
    assert lone.replica.propose(b"write", lambda *_: None) is not None
    lone.tick()
    assert not lone.replica.may_commit()
    lone.receive(Kind.APPEND_OK, term, "n2", index=lone.replica.journal.last_index)
    assert not lone.replica.may_commit(), "its own copy is not durable"
    lone.sync()
    assert lone.replica.may_commit()
    lone.tick()
    assert lone.replica.commit_index == lone.replica.journal.last_index
    assert not lone.replica.may_commit()


# ---------------------------------------------------------------------------------------------- reads
def test_a_read_waits_for_a_round_of_its_own_term(lone: Lone) -> None:
    term = lone.elect()
    reads: list[int | None] = []
    lone.replica.read_barrier(reads.append)
    lone.sent.clear()
    lone.tick()
    first = lone.take_sent(Kind.READ_BARRIER)[0]
    lone.receive(Kind.READ_BARRIER_OK, term - 1, sequence=first.sequence)
    assert reads == []
    lone.receive(Kind.READ_BARRIER_OK, term, sequence=first.sequence)
    assert reads == [lone.replica.commit_index]


def test_a_read_round_without_an_answer_goes_to_every_follower_with_the_next_heartbeat(lone: Lone) -> None:
    lone.elect()
    reads: list[int | None] = []
    lone.replica.read_barrier(reads.append)
    lone.tick()
    lone.sent.clear()
    lone.tick(SETTINGS.heartbeat_s * 1.01)
    asked = {target for target, message, _ in lone.sent if message.kind is Kind.READ_BARRIER}
    assert asked == {"n2", "n3"}


def test_a_leader_that_has_not_committed_in_its_term_refuses_reads(lone: Lone) -> None:
    lone.tick(SETTINGS.election_timeout_max_s * 1.1)
    lone.receive(Kind.PRE_VOTE_GRANTED, 1)
    lone.receive(Kind.VOTE_GRANTED, 1)
    assert lone.replica.is_leader
    reads: list[int | None] = []
    lone.replica.read_barrier(reads.append)
    assert reads == [None]


def test_only_a_follower_of_this_very_leader_confirms_a_read(lone: Lone) -> None:
    lone.append(3, 1, 0, [3])
    lone.sent.clear()
    lone.receive(Kind.READ_BARRIER, 3, "n3", sequence=1)
    lone.receive(Kind.READ_BARRIER, 2, "n2", sequence=1)
    assert lone.sent == []
    lone.receive(Kind.READ_BARRIER, 3, "n2", sequence=1)
    assert [message.sequence for message in lone.take_sent(Kind.READ_BARRIER_OK)] == [1]


# ---------------------------------------------------------------------------------------------- snapshots
def chunk_of(values: list[bytes]) -> bytes:
    (chunk,) = encode_pairs(iter([(b"%d" % number, value) for number, value in enumerate(values)]), 1000)
    return chunk


def test_a_snapshot_replaces_state_and_log(lone: Lone) -> None:
    lone.append(3, 1, 0, [3, 3])
    lone.receive(
        Kind.SNAPSHOT_CHUNK,
        3,
        index=40,
        log_term=3,
        sequence=0,
        flag=True,
        chunk=chunk_of([b"installed"]),
        membership=FIRST,
    )
    assert (lone.machine.applied, lone.replica.applied_index, lone.replica.commit_index) == ([b"installed"], 40, 40)
    assert (lone.replica.journal.first_index, lone.replica.journal.last_index) == (40, 40)
    target, answer, durable = lone.sent[-1]
    assert (target, answer.kind, answer.index, durable) == ("n2", Kind.APPEND_OK, 40, True)
    lone.append(3, 40, 3, [3], commit=41)
    assert lone.machine.applied == [b"installed", b"e41"]


def test_a_snapshot_of_what_is_committed_here_is_refused_with_the_commit_index(lone: Lone) -> None:
    lone.append(3, 1, 0, [3, 3], commit=3)
    lone.sent.clear()
    lone.receive(
        Kind.SNAPSHOT_CHUNK, 3, index=3, log_term=3, sequence=0, flag=True, chunk=chunk_of([b"old"]), membership=FIRST
    )
    (answer,) = lone.take_sent(Kind.APPEND_OK)
    assert answer.index == 3
    assert lone.machine.applied == [b"e2", b"e3"]


def leave_behind(lone: Lone, follower: str) -> None:
    """n1 leads, and what `follower` misses is not in the log any more; `sent` begins when it says so."""
    lone.elect()
    for number in range(30):
        outcomes_of(lone, b"write%d" % number)
    lone.sync()
    lone.acknowledge()
    lone.replica.journal.deleteEntriesTo(20)
    lone.sent.clear()
    lone.receive(Kind.APPEND_REJECTED, lone.replica.term, follower, index=lone.replica.journal.last_index, sequence=2)
    lone.tick(SETTINGS.heartbeat_s * 1.1)


def test_a_follower_behind_the_log_gets_a_heartbeat_and_then_a_snapshot(lone: Lone) -> None:
    leave_behind(lone, "n3")
    to_behind = [message.kind for target, message, _ in lone.sent if target == "n3"]
    assert to_behind.index(Kind.HEARTBEAT) < to_behind.index(Kind.SNAPSHOT_CHUNK)
    chunk = next(message for _, message, _ in lone.sent if message.kind is Kind.SNAPSHOT_CHUNK)
    assert chunk.index == lone.replica.applied_index


def test_a_follower_that_waits_for_a_snapshot_is_not_talked_to_at_every_turn(lone: Lone) -> None:
    """Seed 304778 of 6f947ae: each answer to a heartbeat was the reason for another heartbeat."""
    leave_behind(lone, "n3")
    lone.sent.clear()
    for _ in range(10):
        lone.receive(Kind.APPEND_REJECTED, lone.replica.term, "n3")
        lone.tick()
    assert [message.kind for target, message, _ in lone.sent if target == "n3"] == []

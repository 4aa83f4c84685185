"""A replica that lost its disk, and the leader it asks: each step of docs/decisions/0012 by the messages that pass."""

from __future__ import annotations

import pytest

from node.storage.memory import MemoryStore
from replication import rebuild
from replication.journal import GroupJournal
from replication.messages import Kind
from replication.outcomes import Outcome
from replication.ports import Family
from replication.rebuild import ASK_AGAIN_S, MarkUnreadable, mark_rebuilding, read_mark
from simulation.lone import SETTINGS, Lone

pytestmark = pytest.mark.unit

NONCE = 77


def marked_store(nonce: int = NONCE) -> MemoryStore:
    store = MemoryStore()
    mark_rebuilding(store, [1], nonce)
    store.write_batch()
    store.sync()
    return store


@pytest.fixture
def lost() -> Lone:
    """A replica without memory, long after its start."""
    lone = Lone(store=marked_store())
    lone.clock.advance(5.0)
    return lone


# ---------------------------------------------------------------------------------------------- the mark
def test_only_the_marked_groups_of_a_store_are_rebuilt() -> None:
    store = marked_store()
    assert (read_mark(store, 1), read_mark(store, 2)) == (NONCE, None)


def test_a_mark_of_another_version_is_refused() -> None:
    store = MemoryStore()
    store.put(Family.META, b"r\0\0\0\1", b"\x09" + bytes(8))
    store.write_batch()
    with pytest.raises(MarkUnreadable, match="version 9"):
        GroupJournal(store, Lone(), 1, ())


# ---------------------------------------------------------------------------------------------- without memory
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        pytest.param(Kind.VOTE_REQUEST, {"index": 90, "log_term": 8, "flag": True}, id="a candidate of a hand-over"),
        pytest.param(Kind.VOTE_REQUEST, {"index": 90, "log_term": 8}, id="a candidate"),
        pytest.param(Kind.PRE_VOTE_REQUEST, {"index": 90, "log_term": 8}, id="one that would like to be"),
        pytest.param(Kind.PRE_VOTE_REQUEST, {"index": 90, "log_term": 0}, id="one with an old term"),
    ],
)
def test_it_votes_for_nobody_and_adopts_no_candidates_term(lost: Lone, kind: Kind, fields: dict[str, object]) -> None:
    lost.sent.clear()
    lost.receive(kind, 9, **fields)
    assert (lost.sent, lost.replica.term) == ([], 0)


@pytest.mark.parametrize("peers", [0, 2, 4])
def test_it_never_campaigns_nor_leads_not_even_alone(peers: int) -> None:
    lost = Lone(peers, store=marked_store())
    for _ in range(10):
        lost.tick(SETTINGS.election_timeout_max_s * 1.1)
    assert lost.sent == []
    assert (lost.replica.term, lost.replica.is_leader, lost.replica.status().role) == (0, False, "rebuilding")


def test_it_refuses_to_be_handed_the_leadership(lost: Lone) -> None:
    lost.append(3, 1, 0, [3])
    lost.sent.clear()
    lost.receive(Kind.TIMEOUT_NOW, 3)
    assert [message.kind for _, message, _ in lost.sent] == [Kind.TIMEOUT_NOW_REFUSED]
    assert lost.replica.term == 3


def test_it_confirms_neither_a_read_nor_a_leader(lost: Lone) -> None:
    lost.append(3, 1, 0, [3])
    lost.sent.clear()
    lost.receive(Kind.READ_BARRIER, 3, sequence=1)
    lost.receive(Kind.REBUILD_CHECK, 3, sequence=1)
    assert lost.sent == []


def test_everything_it_says_of_its_log_is_marked(lost: Lone) -> None:
    lost.sent.clear()
    lost.receive(Kind.HEARTBEAT, 3)
    lost.append(3, 9, 3, [3])
    lost.append(3, 1, 0, [3, 3])
    lost.append(3, 1, 0, [3])
    lost.receive(Kind.APPEND, 3, index=3, log_term=3)
    answers = [message for _, message, _ in lost.sent if message.kind in (Kind.APPEND_OK, Kind.APPEND_REJECTED)]
    assert len(answers) >= 5
    assert all(answer.flag for answer in answers)


def test_a_vote_for_the_candidacy_of_a_lost_life_elects_nobody(lost: Lone) -> None:
    """The voter judged a log that is gone."""
    lost.append(3, 1, 0, [3])
    grant(lost, 3, index=2, commit=1)
    lost.tick(SETTINGS.election_timeout_max_s * 1.1)
    lost.receive(Kind.PRE_VOTE_GRANTED, 4)
    request = lost.take_sent(Kind.VOTE_REQUEST)[0]
    lost.receive(Kind.VOTE_GRANTED, 4, sequence=request.sequence ^ 1)
    assert not lost.replica.is_leader
    lost.receive(Kind.VOTE_GRANTED, 4, sequence=request.sequence)
    assert lost.replica.is_leader


def test_a_vote_names_the_candidacy_it_is_for() -> None:
    lone = Lone()
    lone.clock.advance(5.0)
    lone.receive(Kind.VOTE_REQUEST, 4, "n3", index=1, log_term=0, sequence=99)
    assert [(vote.term, vote.sequence) for vote in lone.take_sent(Kind.VOTE_GRANTED)] == [(4, 99)]


# ---------------------------------------------------------------------------------------------- asking
def asked(lone: Lone) -> list[tuple[int, int]]:
    return [(message.term, message.sequence) for message in lone.take_sent(Kind.REBUILD_REQUEST)]


def test_it_asks_the_leader_that_speaks_and_asks_again(lost: Lone) -> None:
    lost.append(3, 1, 0, [3])
    assert asked(lost) == [(3, NONCE)]
    lost.append(3, 2, 3, [3])
    assert asked(lost) == []
    lost.clock.advance(ASK_AGAIN_S * 1.01)
    lost.append(3, 3, 3, [3])
    assert asked(lost) == [(3, NONCE)]
    lost.append(4, 4, 3, [4], sender="n3")
    assert asked(lost) == [(4, NONCE)], "another leader"


def grant(lone: Lone, term: int, index: int, commit: int, *, nonce: int = NONCE, sender: str = "n2") -> None:
    lone.receive(Kind.REBUILD_GRANTED, term, sender, index=index, commit_index=commit, sequence=nonce)
    lone.tick()


def is_marked(lone: Lone) -> bool:
    return read_mark(lone.store, 1) is not None


def test_it_is_whole_when_it_has_all_it_may_have_acknowledged_and_shows_what_was_committed(lost: Lone) -> None:
    lost.append(3, 1, 0, [3, 3])
    grant(lost, 3, index=4, commit=3)
    assert is_marked(lost), "entry 4 is missing"
    lost.append(3, 3, 3, [3], commit=2)
    assert is_marked(lost), "entry 3 was committed and is not applied"
    lost.sent.clear()
    lost.append(3, 4, 3, [3], commit=3)
    assert not is_marked(lost)
    assert lost.replica.status().role == "follower"
    assert [(m.index, m.flag, durable) for _, m, durable in lost.sent if m.kind is Kind.APPEND_OK] == [
        (5, True, True),
        (5, False, True),
    ], "its leader hears at once that it counts again, after the sync"


def test_the_mark_goes_in_the_same_batch_as_what_makes_it_true() -> None:
    lone = Lone(store=marked_store())
    lone.append(3, 1, 0, [])
    grant(lone, 3, index=2, commit=1)
    lone.receive(Kind.APPEND, 3, index=1, log_term=0, entries=[(b"\x00e2", 2, 3)], commit_index=1)
    lone.replica.tick()
    assert is_marked(lone), "nothing is written yet"
    lone.store.write_batch()
    assert lone.store.unsynced_batches == 2
    for kept in range(3):
        left = lone.store.crash(kept)
        journal = GroupJournal(left, lone, 1, ())
        assert (journal.rebuild_nonce is None) == (journal.last_index == 2) == (journal.getVotedForNodeId() == "n2")


def test_in_the_term_of_its_rebuild_it_votes_for_nobody_but_its_leader(lost: Lone) -> None:
    """Its lost life may have voted for the leader in this term, and a vote is given once."""
    lost.append(3, 1, 0, [3])
    grant(lost, 3, index=2, commit=1)
    assert not is_marked(lost)
    lost.clock.advance(5.0)
    lost.sent.clear()
    lost.receive(Kind.VOTE_REQUEST, 3, "n3", index=90, log_term=3)
    assert lost.take_sent(Kind.VOTE_GRANTED) == []
    lost.receive(Kind.VOTE_REQUEST, 4, "n3", index=90, log_term=3)
    assert [vote.term for vote in lost.take_sent(Kind.VOTE_GRANTED)] == [4]


@pytest.mark.parametrize(
    ("term", "nonce", "sender"),
    [
        pytest.param(3, NONCE - 1, "n2", id="of an earlier life"),
        pytest.param(2, NONCE, "n2", id="of an earlier term"),
        pytest.param(4, NONCE, "n2", id="of a term that it has not heard of"),
        pytest.param(3, NONCE, "n3", id="not from its leader"),
    ],
)
def test_other_grants_are_worth_nothing(lost: Lone, term: int, nonce: int, sender: str) -> None:
    lost.append(3, 1, 0, [3])
    grant(lost, term, index=2, commit=1, nonce=nonce, sender=sender)
    lost.append(3, 2, 3, [3])
    assert is_marked(lost)


def test_a_grant_ends_with_its_term(lost: Lone) -> None:
    """The next leader's log may end before the index: what reaches it then may be another entry."""
    lost.append(3, 1, 0, [3])
    grant(lost, 3, index=3, commit=1)
    lost.append(4, 2, 3, [4], sender="n3")
    assert is_marked(lost)
    grant(lost, 4, index=3, commit=1, sender="n3")
    assert not is_marked(lost)


def test_a_log_that_matched_an_earlier_leader_does_not_count(lost: Lone) -> None:
    lost.append(3, 1, 0, [3, 3, 3])
    lost.append(4, 1, 0, [], sender="n3")
    grant(lost, 4, index=3, commit=1, sender="n3")
    assert is_marked(lost), "only entry 1 is known to be the new leader's"
    lost.append(4, 1, 0, [4, 4], sender="n3")
    assert not is_marked(lost)


def test_a_restart_in_the_middle_goes_on_in_the_same_life(lost: Lone) -> None:
    lost.append(3, 1, 0, [3, 3])
    lost.sync()
    again = Lone(store=lost.store.crash())
    again.clock.advance(5.0)
    assert again.replica.journal.last_index == 3
    again.receive(Kind.VOTE_REQUEST, 9, index=90, log_term=8, flag=True)
    assert again.replica.term == 3
    again.append(3, 3, 3, [3])
    assert asked(again) == [(3, NONCE)]


# ---------------------------------------------------------------------------------------------- the leader
def ask(leader: Lone, *, peer: str = "n2", nonce: int = NONCE) -> None:
    leader.sent.clear()
    leader.receive(Kind.REBUILD_REQUEST, leader.replica.term, peer, sequence=nonce)


def checks(leader: Lone) -> dict[str, int]:
    """Who is asked for a confirmation, in which round."""
    return {target: message.sequence for target, message, _ in leader.sent if message.kind is Kind.REBUILD_CHECK}


def grants(leader: Lone) -> list[tuple[str, int, int]]:
    return [(target, m.sequence, m.index) for target, m, _ in leader.sent if m.kind is Kind.REBUILD_GRANTED]


def test_a_leader_grants_when_every_other_member_has_confirmed_it() -> None:
    leader = Lone(peers=4)
    term = leader.elect()
    ask(leader)
    rounds = checks(leader)
    assert sorted(rounds) == ["n3", "n4", "n5"]
    for peer in ("n3", "n4", "n4"):
        leader.receive(Kind.REBUILD_CHECK_OK, term, peer, sequence=rounds[peer])
    assert grants(leader) == [], "a quorum is not enough: the vote may have gone to the one that is missing"
    leader.receive(Kind.REBUILD_CHECK_OK, term, "n5", sequence=rounds["n5"])
    assert grants(leader) == [("n2", NONCE, leader.replica.journal.last_index)]


def test_a_request_that_is_repeated_asks_those_that_are_missing_again() -> None:
    leader = Lone(peers=4)
    term = leader.elect()
    ask(leader)
    rounds = checks(leader)
    leader.receive(Kind.REBUILD_CHECK_OK, term, "n3", sequence=rounds["n3"])
    ask(leader)
    assert sorted(checks(leader)) == ["n4", "n5"]


@pytest.mark.parametrize(("round_back", "term_back"), [(1, 0), (0, 1)])
def test_a_confirmation_from_before_the_request_or_of_another_term_is_none(round_back: int, term_back: int) -> None:
    leader = Lone()
    leader.append(3, 1, 0, [3])
    term = leader.elect()
    ask(leader)
    rounds = checks(leader)
    leader.receive(Kind.REBUILD_CHECK_OK, term - term_back, "n3", sequence=rounds["n3"] - round_back)
    assert grants(leader) == []
    leader.receive(Kind.REBUILD_CHECK_OK, term, "n3", sequence=rounds["n3"])
    assert len(grants(leader)) == 1


def test_another_loss_of_the_same_disk_is_another_request() -> None:
    leader = Lone()
    term = leader.elect()
    ask(leader)
    first = checks(leader)["n3"]
    ask(leader, nonce=NONCE + 1)
    second = checks(leader)["n3"]
    leader.receive(Kind.REBUILD_CHECK_OK, term, "n3", sequence=first)
    assert grants(leader) == []
    leader.receive(Kind.REBUILD_CHECK_OK, term, "n3", sequence=second)
    assert [(peer, nonce) for peer, nonce, _ in grants(leader)] == [("n2", NONCE + 1)]


def test_a_grant_that_was_lost_is_given_again_as_it_was() -> None:
    leader = Lone()
    term = leader.elect()
    ask(leader)
    leader.receive(Kind.REBUILD_CHECK_OK, term, "n3", sequence=checks(leader)["n3"])
    first = grants(leader)
    leader.replica.propose(b"more", lambda outcome, result: None)
    ask(leader)
    assert grants(leader) == first, "an index that moves would never be reached"


def test_a_confirmation_is_worth_nothing_to_a_leader_of_a_later_term() -> None:
    leader = Lone()
    term = leader.elect()
    ask(leader)
    old = checks(leader)["n3"]
    leader.receive(Kind.STALE_TERM, term + 1, "n3")
    term = leader.elect()
    ask(leader)
    leader.receive(Kind.REBUILD_CHECK_OK, term, "n3", sequence=old)
    assert grants(leader) == []


def test_whoever_does_not_lead_or_is_not_ready_grants_nothing() -> None:
    lone = Lone()
    lone.append(3, 1, 0, [3])
    ask(lone)
    assert lone.sent == []
    lone.tick(SETTINGS.election_timeout_max_s * 1.1)
    lone.receive(Kind.PRE_VOTE_GRANTED, 4)
    lone.receive(Kind.VOTE_GRANTED, 4)
    assert lone.replica.is_leader
    ask(lone)
    assert (checks(lone), grants(lone)) == ({}, [])


def test_what_a_marked_follower_acknowledges_commits_nothing() -> None:
    leader = Lone()
    term = leader.elect()
    given: list[Outcome] = []
    leader.replica.propose(b"write", lambda outcome, result: given.append(outcome))
    leader.tick()
    leader.sync()
    index = leader.replica.journal.last_index
    leader.receive(Kind.APPEND_OK, term, "n2", index=index, flag=True)
    leader.sync()
    leader.tick()
    assert given == []
    leader.receive(Kind.APPEND_OK, term, "n2", index=index)
    leader.tick()
    assert given == [Outcome.COMMITTED]


@pytest.mark.parametrize("kind", [Kind.REBUILD_REQUEST, Kind.APPEND_REJECTED])
def test_what_it_acknowledged_before_counts_no_more(kind: Kind) -> None:
    leader = Lone()
    term = leader.elect()
    assert leader.replica.is_nearly_caught_up("n2")
    leader.receive(kind, term, "n2", sequence=NONCE, flag=True)
    assert leader.replica.status().match_index["n2"] == 0
    assert not leader.replica.is_nearly_caught_up("n2")
    assert not leader.replica.transfer_leadership("n2")


def test_entries_are_sent_to_it_from_where_it_begins() -> None:
    leader = Lone()
    term = leader.elect()
    leader.sent.clear()
    leader.replica.peer_connected("n2")
    leader.tick(SETTINGS.heartbeat_s * 1.1)
    probe = leader.take_sent(Kind.APPEND)[0]
    leader.receive(Kind.APPEND_REJECTED, term, "n2", index=probe.index, sequence=2, flag=True)
    assert [(m.index, len(m.entries)) for m in leader.take_sent(Kind.APPEND)] == [(1, 1)]


def test_it_does_not_keep_a_leader_in_office() -> None:
    leader = Lone()
    term = leader.elect()
    for _ in range(30):
        leader.receive(Kind.APPEND_REJECTED, term, "n2", flag=True)
        leader.tick(SETTINGS.heartbeat_s)
    assert not leader.replica.is_leader


def test_one_that_refused_to_lead_while_it_was_rebuilt_is_asked_again_later() -> None:
    leader = Lone()
    term = leader.elect()
    ask(leader)
    leader.receive(Kind.TIMEOUT_NOW_REFUSED, term, "n2")
    leader.receive(Kind.APPEND_OK, term, "n2", index=leader.replica.journal.last_index)
    leader.tick()
    assert leader.replica.transfer_leadership("n2")


def test_a_leader_says_for_whom_it_waits() -> None:
    leader = Lone()
    leader.elect()
    requests = leader.replica._rebuilds
    ask(leader)
    assert requests.report_due("n2", leader.clock.monotonic() + rebuild.REPORT_EVERY_S - 0.1) is None
    assert requests.report_due("n2", leader.clock.monotonic() + rebuild.REPORT_EVERY_S) == rebuild.REPORT_EVERY_S
    assert requests.missing("n2", leader.replica.peer_ids) == ["n3"]

"""Who belongs to a group: changes of one node at a time, which count from the moment they are in a log."""

from __future__ import annotations

import pytest

from node.storage.memory import MemoryStore
from replication.journal import MEMBERSHIP_TYPE, GroupJournal
from replication.membership import (
    ChangeKind,
    Membership,
    MembershipChange,
    Refusal,
    first_membership,
    from_wire,
    to_entry,
    to_wire,
)
from replication.messages import Kind, LogEntry
from replication.outcomes import Outcome
from replication.ports import Family
from replication.rebuild import mark_rebuilding, read_mark
from replication.records import JournalCorrupt
from replication.retirement import read_membership, retire, retired_groups, stored_groups
from replication.snapshot import encode_pairs
from simulation.lone import SETTINGS, Lone

pytestmark = pytest.mark.unit

FIRST = first_membership(("n3", "n1", "n2"))
WITH_LEARNER = Membership(("n1", "n2", "n3"), ("n4",))
OF_FOUR = Membership(("n1", "n2", "n3", "n4"))


def add(node_id: str) -> MembershipChange:
    return MembershipChange(ChangeKind.ADD_LEARNER, node_id)


def promote(node_id: str) -> MembershipChange:
    return MembershipChange(ChangeKind.PROMOTE, node_id)


def remove(node_id: str) -> MembershipChange:
    return MembershipChange(ChangeKind.REMOVE, node_id)


def entry(membership: Membership) -> bytes:
    return MEMBERSHIP_TYPE + to_entry(membership)


# ---------------------------------------------------------------------------------------------- what may follow what
@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        pytest.param(FIRST, add("n4"), WITH_LEARNER, id="a node begins as a learner"),
        pytest.param(WITH_LEARNER, promote("n4"), OF_FOUR, id="a learner becomes a voter"),
        pytest.param(OF_FOUR, remove("n1"), Membership(("n2", "n3", "n4")), id="a voter goes"),
        pytest.param(WITH_LEARNER, remove("n4"), FIRST, id="a learner goes"),
        pytest.param(FIRST, add("n2"), Refusal.IS_MEMBER, id="a voter cannot begin again"),
        pytest.param(WITH_LEARNER, add("n4"), Refusal.IS_MEMBER, id="nor a learner"),
        pytest.param(FIRST, promote("n4"), Refusal.NOT_LEARNER, id="a stranger cannot become a voter"),
        pytest.param(FIRST, promote("n2"), Refusal.NOT_LEARNER, id="a voter is one already"),
        pytest.param(FIRST, remove("n4"), Refusal.NOT_MEMBER, id="a stranger cannot go"),
        pytest.param(first_membership(("n1", "n2")), remove("n1"), Refusal.TOO_FEW, id="nobody decides alone"),
    ],
)
def test_a_change(before: Membership, change: MembershipChange, after: Membership | Refusal) -> None:
    assert before.after(change) == after


def test_a_membership_survives_the_wire_and_the_log() -> None:
    membership = WITH_LEARNER.at(17)
    assert from_wire(to_wire(membership)) == membership
    assert to_entry(membership) == to_entry(WITH_LEARNER), "an entry's bytes are the same wherever it lies"
    assert membership.members == ("n1", "n2", "n3", "n4")
    assert [one.majority for one in (FIRST, OF_FOUR, first_membership(["n1", "n2", "n3", "n4", "n5"]))] == [2, 3, 3]


# ---------------------------------------------------------------------------------------------- in the journal
def open_journal(store: MemoryStore, first_voters: tuple[str, ...] = FIRST.voters) -> GroupJournal:
    return GroupJournal(store, Lone(), 1, first_voters)


def grown(store: MemoryStore) -> GroupJournal:
    """Entries 2 to 6; 3 adds a learner, 5 makes it a voter."""
    journal = open_journal(store)
    for index, command in enumerate((b"\x00a", entry(WITH_LEARNER), b"\x00b", entry(OF_FOUR), b"\x00c"), 2):
        journal.add(command, index, 1)
    return journal


def test_the_newest_membership_in_the_log_counts() -> None:
    journal = grown(MemoryStore())
    assert journal.membership == OF_FOUR.at(5)
    assert [journal.membership_at(index) for index in (1, 2, 3, 4, 5, 6)] == [
        FIRST, FIRST, WITH_LEARNER.at(3), WITH_LEARNER.at(3), OF_FOUR.at(5), OF_FOUR.at(5),
    ]  # fmt: skip
    assert journal.memberships_since(4) == [WITH_LEARNER.at(3), OF_FOUR.at(5)]
    assert journal.memberships_since(6) == [OF_FOUR.at(5)]


def test_a_membership_goes_with_its_entry() -> None:
    journal = grown(MemoryStore())
    journal.deleteEntriesFrom(5)
    assert journal.membership == OF_FOUR.at(5), "the entry behind it was cut"
    journal.deleteEntriesFrom(3)
    assert journal.membership == WITH_LEARNER.at(3)
    journal.deleteEntriesFrom(1)
    assert journal.membership == FIRST


@pytest.mark.parametrize("position", range(1, 6))
def test_a_membership_outlives_the_entries_that_are_dropped(position: int) -> None:
    store = MemoryStore()
    journal = grown(store)
    expected = {index: journal.membership_at(index) for index in range(1, 7)}
    journal.deleteEntriesTo(position)
    store.write_batch()
    for log in (journal, open_journal(store, ())):
        assert log.membership == OF_FOUR.at(5)
        assert all(log.membership_at(index) == expected[index] for index in range(log.first_index, 7))


def test_a_snapshot_brings_its_membership() -> None:
    store = MemoryStore()
    journal = grown(store)
    journal.reset(50, 4, Membership(("n4", "n5"), (), 44))
    store.write_batch()
    for log in (journal, open_journal(store)):
        assert log.membership == Membership(("n4", "n5"), (), 44)


def test_behind_a_snapshot_that_fits_the_log_stays_and_its_memberships_too() -> None:
    journal = grown(MemoryStore())
    journal.reset(4, 1, WITH_LEARNER.at(3))
    assert [journal.membership_at(index) for index in (4, 5)] == [WITH_LEARNER.at(3), OF_FOUR.at(5)]


def test_what_placement_says_is_for_a_group_that_nothing_is_stored_of() -> None:
    store = MemoryStore()
    open_journal(store, ())
    store.write_batch()
    assert open_journal(store).membership == Membership(), "a replica that a leader brought to life stays its own"


def test_an_entry_that_says_nothing_stops_the_start() -> None:
    store = MemoryStore()
    journal = open_journal(store)
    with pytest.raises(JournalCorrupt, match="entry 2 does not say who the members are"):
        journal.add(MEMBERSHIP_TYPE + b"\xff", 2, 1)


# ---------------------------------------------------------------------------------------------- leaving a node
def test_a_retired_replica_leaves_its_vote_and_nothing_else() -> None:
    store = MemoryStore()
    journal = grown(store)
    journal.setCurrentTerm(7, "n3")
    mark_rebuilding(store, (1, 2), 99)
    store.write_batch()
    assert (stored_groups(store), retired_groups(store)) == ({1}, set())
    retire(store, 1, journal.newest_position)
    store.write_batch()
    assert (stored_groups(store), retired_groups(store)) == (set(), {1})
    assert list(store.scan(Family.LOG, b"", b"\xff")) == []
    assert read_membership(store, 1) is None
    again = open_journal(store, ())
    store.write_batch()
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (7, "n3"), "it must not vote twice in a term"
    assert again.newest_position == (1, 6), "nor for a log that lacks what it had"
    assert read_mark(store, 1) == 99, "what a lost disk forgot is still forgotten"
    assert (again.membership, again.last_index) == (Membership(), 1)
    assert (stored_groups(store), retired_groups(store)) == ({1}, set())


def came_back(last_term: int, last_index: int, membership: Membership = FIRST) -> Lone:
    """n1 as it comes back to a group in which its log once ended with that entry; it has entry 2 of term 3 again."""
    lone = Lone()
    lone.store = MemoryStore()
    retire(lone.store, 1, (last_term, last_index))
    lone.store.write_batch()
    lone.replica = lone.make_replica()
    for peer in lone.peers:
        lone.replica.peer_connected(peer)
    say_members(lone, 3, 1, 0, membership, "n2")
    lone.clock.advance(5.0)
    lone.sent.clear()
    return lone


@pytest.mark.parametrize(
    ("log_term", "index", "votes"),
    [
        pytest.param(3, 8, False, id="it lacks an entry that was acknowledged here"),
        pytest.param(2, 50, False, id="it ends in an earlier term"),
        pytest.param(3, 9, True, id="it has all of them"),
        pytest.param(4, 5, True, id="it ends in a later term"),
    ],
)
def test_who_comes_back_votes_for_no_log_that_lacks_what_it_had(log_term: int, index: int, votes: bool) -> None:
    """Seed 3219 of 229325b with moves: a stale voter and one that had left and come back made up a majority of old."""
    lone = came_back(3, 9)
    lone.receive(Kind.PRE_VOTE_REQUEST, 4, "n3", index=index, log_term=log_term)
    assert len(lone.take_sent(Kind.PRE_VOTE_GRANTED)) == votes
    lone.receive(Kind.VOTE_REQUEST, 4, "n3", index=index, log_term=log_term)
    assert len(lone.take_sent(Kind.VOTE_GRANTED)) == votes


def test_who_comes_back_does_not_stand_before_it_has_what_it_had() -> None:
    lone = came_back(3, 9)
    lone.tick(SETTINGS.election_timeout_max_s * 2)
    lone.receive(Kind.TIMEOUT_NOW, 3, "n2")
    assert lone.take_sent(Kind.PRE_VOTE_REQUEST) == []
    assert (lone.replica.term, lone.replica.status().role) == (3, "follower")
    lone.append(3, 2, 3, [3] * 7)
    lone.tick(SETTINGS.election_timeout_max_s * 2)
    assert len(lone.take_sent(Kind.PRE_VOTE_REQUEST)) == 2


def test_what_was_had_is_not_forgotten_by_leaving_twice() -> None:
    lone = came_back(3, 9)
    retire(lone.store, 1, lone.replica.journal.newest_position)
    lone.store.write_batch()
    assert open_journal(lone.store, ()).newest_position == (3, 9)


# ---------------------------------------------------------------------------------------------- a leader's changes
def change(lone: Lone, what: MembershipChange) -> list[Outcome]:
    """Begin a change; the list fills with its outcome."""
    outcomes: list[Outcome] = []
    assert lone.replica.change_membership(what, lambda outcome, _: outcomes.append(outcome)) is None
    lone.tick()
    return outcomes


def refused(lone: Lone, what: MembershipChange) -> Refusal | None:
    def never(_outcome: Outcome, _result: object) -> None:
        raise AssertionError("a change that was refused has no outcome")

    return lone.replica.change_membership(what, never)


def has_all(lone: Lone, *followers: str) -> None:
    """These followers have the whole log."""
    for follower in followers:
        lone.receive(Kind.APPEND_OK, lone.replica.term, follower, index=lone.replica.journal.last_index)
    lone.tick()


def with_learner(lone: Lone) -> None:
    """n1 leads, n4 is a learner that has everything, and all of that is committed."""
    lone.elect()
    lone.replica.peer_connected("n4")
    assert change(lone, add("n4")) == []
    lone.sync()
    has_all(lone, "n2", "n3", "n4")
    assert lone.replica.is_membership_committed


@pytest.fixture
def lone() -> Lone:
    return Lone()


def test_a_learner_gets_the_log_and_counts_for_nothing(lone: Lone) -> None:
    lone.elect()
    lone.replica.peer_connected("n4")
    lone.sent.clear()
    outcomes = change(lone, add("n4"))
    assert "n4" in {target for target, message, _ in lone.sent if message.kind is Kind.APPEND}
    lone.sync()
    has_all(lone, "n4")
    assert outcomes == [], "a learner's copy is not one of a majority"
    reads: list[int | None] = []
    lone.replica.read_barrier(reads.append)
    lone.tick()
    lone.receive(Kind.READ_BARRIER_OK, lone.replica.term, "n4", sequence=1)
    assert reads == [], "nor its word one of a majority's"
    has_all(lone, "n2")
    assert outcomes == [Outcome.COMMITTED]
    assert lone.replica.status().membership == WITH_LEARNER.at(3)


def test_a_leader_that_hears_only_learners_steps_down(lone: Lone) -> None:
    with_learner(lone)
    for _ in range(15):
        lone.receive(Kind.APPEND_REJECTED, lone.replica.term, "n4")
        lone.tick(SETTINGS.heartbeat_s)
    assert not lone.replica.is_leader


def test_a_new_voter_counts_before_it_is_committed(lone: Lone) -> None:
    with_learner(lone)
    outcomes = change(lone, promote("n4"))
    lone.sync()
    has_all(lone, "n2")
    assert outcomes == [], "two of four are no majority"
    has_all(lone, "n4")
    assert outcomes == [Outcome.COMMITTED]
    assert lone.replica.membership.voters == OF_FOUR.voters


def test_a_voter_that_goes_counts_no_more_and_what_it_says_is_not_heard(lone: Lone) -> None:
    with_learner(lone)
    change(lone, promote("n4"))
    lone.sync()
    has_all(lone, "n2", "n3", "n4")
    outcomes = change(lone, remove("n3"))
    lone.sync()
    lone.sent.clear()
    has_all(lone, "n3")
    lone.receive(Kind.STALE_TERM, lone.replica.term + 1, "n3")
    assert (outcomes, lone.replica.is_leader) == ([], True)
    has_all(lone, "n4")
    assert outcomes == [Outcome.COMMITTED]
    lone.tick(SETTINGS.heartbeat_s * 2)
    assert "n3" not in {target for target, _, _ in lone.sent}


def test_one_change_at_a_time(lone: Lone) -> None:
    lone.elect()
    change(lone, add("n4"))
    assert refused(lone, add("n5")) is Refusal.UNDER_WAY
    lone.sync()
    has_all(lone, "n2")
    assert refused(lone, add("n5")) is None


def test_a_leader_changes_nothing_before_its_own_term_has_committed(lone: Lone) -> None:
    lone.tick(SETTINGS.election_timeout_max_s * 1.1)
    for kind in (Kind.PRE_VOTE_GRANTED, Kind.VOTE_GRANTED):
        lone.receive(kind, 1, "n2")
    assert lone.replica.is_leader
    assert refused(lone, add("n4")) is Refusal.NOT_LEADER


def test_a_follower_changes_nothing(lone: Lone) -> None:
    lone.append(3, 1, 0, [3])
    assert refused(lone, add("n4")) is Refusal.NOT_LEADER


def test_a_leader_does_not_remove_itself(lone: Lone) -> None:
    lone.elect()
    assert refused(lone, remove("n1")) is Refusal.LEADS


def test_a_learner_that_is_behind_is_not_made_a_voter(lone: Lone) -> None:
    lone.elect()
    change(lone, add("n4"))
    lone.sync()
    has_all(lone, "n2")
    assert refused(lone, promote("n4")) is Refusal.BEHIND
    lone.replica.peer_connected("n4")
    has_all(lone, "n4")
    assert refused(lone, promote("n4")) is None


def test_a_learner_is_not_made_a_voter_before_it_knows_that_it_is_one(lone: Lone) -> None:
    """Simulation, seed 401360 of 3d5e0b0."""
    lone.elect()
    lone.replica.peer_connected("n4")
    change(lone, add("n4"))
    lone.sync()
    has_all(lone, "n2")
    before = lone.replica.membership.index - 1
    lone.receive(Kind.APPEND_OK, lone.replica.term, "n4", index=before)
    assert refused(lone, promote("n4")) is Refusal.BEHIND
    has_all(lone, "n4")
    assert refused(lone, promote("n4")) is None


def test_no_change_may_leave_a_group_without_a_majority_that_is_heard(lone: Lone) -> None:
    lone.elect()
    lone.clock.advance(SETTINGS.election_timeout_max_s * 0.9)
    has_all(lone, "n2")
    lone.clock.advance(SETTINGS.election_timeout_max_s * 0.5)
    assert refused(lone, remove("n2")) is Refusal.NO_MAJORITY, "n3 is silent"
    assert refused(lone, remove("n3")) is None


def test_a_leadership_that_ends_leaves_a_change_unknown(lone: Lone) -> None:
    lone.elect()
    outcomes = change(lone, add("n4"))
    lone.append(9, 2, lone.replica.journal.term_at(2), [9], sender="n2")
    assert outcomes == [Outcome.UNKNOWN]
    assert lone.replica.membership == FIRST, "the entry was cut, and the membership with it"


def test_progress_begins_anew_for_who_comes_back(lone: Lone) -> None:
    with_learner(lone)
    change(lone, remove("n4"))
    lone.sync()
    has_all(lone, "n2")
    change(lone, add("n4"))
    lone.sync()
    has_all(lone, "n2")
    assert lone.replica.status().match_index["n4"] == 0


# ---------------------------------------------------------------------------------------------- a follower's members
def say_members(lone: Lone, term: int, index: int, log_term: int, membership: Membership, sender: str) -> None:
    entries: list[LogEntry] = [(entry(membership), index + 1, term)]
    lone.receive(Kind.APPEND, term, sender, index=index, log_term=log_term, commit_index=1, entries=entries)
    lone.tick()


def test_a_leader_and_a_candidate_are_heard_before_they_are_members(lone: Lone) -> None:
    lone.append(3, 1, 0, [3], sender="n9")
    assert (lone.replica.leader_id, lone.replica.journal.last_index) == ("n9", 2)
    lone.receive(Kind.READ_BARRIER, 3, "n9", sequence=4)
    assert len(lone.take_sent(Kind.READ_BARRIER_OK)) == 1
    lone.clock.advance(5.0)
    lone.receive(Kind.VOTE_REQUEST, 4, "n8", index=50, log_term=3)
    assert len(lone.take_sent(Kind.VOTE_GRANTED)) == 1


def test_a_follower_counts_by_what_its_log_says_and_takes_it_back(lone: Lone) -> None:
    say_members(lone, 3, 1, 0, OF_FOUR, "n2")
    assert lone.replica.membership == OF_FOUR.at(2)
    lone.replica.peer_connected("n4")
    lone.tick(SETTINGS.election_timeout_max_s * 2)
    assert {target for target, message, _ in lone.sent if message.kind is Kind.PRE_VOTE_REQUEST} == {"n2", "n3", "n4"}
    lone.receive(Kind.PRE_VOTE_GRANTED, 4, "n2")
    assert lone.replica.term == 3, "two of four are no majority"
    lone.append(5, 1, 0, [5], sender="n3")
    assert lone.replica.membership == FIRST
    assert lone.replica.peer_ids == ["n2", "n3"]


def test_who_is_no_voter_does_not_stand(lone: Lone) -> None:
    say_members(lone, 3, 1, 0, Membership(("n2", "n3"), ("n1",)), "n2")
    assert lone.replica.status().role == "learner"
    lone.sent.clear()
    lone.replica.peer_lost("n2")
    for _ in range(5):
        lone.tick(SETTINGS.election_timeout_max_s * 2)
    lone.receive(Kind.TIMEOUT_NOW, 3, "n2")
    assert lone.take_sent(Kind.PRE_VOTE_REQUEST) == []
    assert (lone.replica.term, lone.replica.is_leader) == (3, False)


def test_a_replica_that_knows_nobody_waits_for_a_leader() -> None:
    lone = Lone(peers=0)
    lone.store = MemoryStore()
    GroupJournal(lone.store, lone, 1, ())
    lone.store.write_batch()
    lone.replica = lone.make_replica()
    for _ in range(5):
        lone.tick(SETTINGS.election_timeout_max_s * 2)
    assert (lone.replica.term, lone.replica.is_leader, lone.sent) == (0, False, [])
    lone.append(3, 1, 0, [3], sender="n2")
    assert (lone.replica.leader_id, lone.machine.applied) == ("n2", [])
    say_members(lone, 3, 2, 3, WITH_LEARNER, "n2")
    assert lone.replica.membership == WITH_LEARNER.at(3)


def test_votes_of_learners_are_not_counted(lone: Lone) -> None:
    say_members(lone, 3, 1, 0, WITH_LEARNER, "n2")
    lone.tick(SETTINGS.election_timeout_max_s * 2)
    lone.receive(Kind.PRE_VOTE_GRANTED, 4, "n4")
    assert lone.replica.term == 3
    lone.receive(Kind.PRE_VOTE_GRANTED, 4, "n2")
    assert lone.replica.term == 4
    lone.receive(Kind.VOTE_GRANTED, 4, "n4")
    assert not lone.replica.is_leader
    lone.receive(Kind.VOTE_GRANTED, 4, "n3")
    assert lone.replica.is_leader


def test_a_snapshot_says_who_the_members_are(lone: Lone) -> None:
    lone.append(3, 1, 0, [3])
    (chunk,) = encode_pairs(iter([(b"0", b"state")]), 1000)
    membership = Membership(("n1", "n2", "n4"), (), 30)
    lone.receive(
        Kind.SNAPSHOT_CHUNK, 3, index=40, log_term=3, sequence=0, flag=True, chunk=chunk, membership=membership
    )
    assert (lone.replica.membership, lone.replica.peer_ids) == (membership, ["n2", "n4"])


# ---------------------------------------------------------------------------------------------- who is told nothing
def test_a_leader_tells_who_is_no_member_and_cannot_become_one_by_what_is_under_way(lone: Lone) -> None:
    with_learner(lone)

    def answers(sender: str) -> list[int]:
        lone.sent.clear()
        lone.receive(Kind.MEMBER_QUERY, 1, sender)
        return [message.index for message in lone.take_sent(Kind.NOT_A_MEMBER)]

    assert (answers("n4"), answers("n2")) == ([], []), "both are members"
    assert answers("n9") == [lone.replica.commit_index]
    change(lone, remove("n4"))
    assert answers("n4") == [], "its removal may be taken back"
    lone.sync()
    has_all(lone, "n2")
    assert answers("n4") == [lone.replica.commit_index]


def test_a_follower_dismisses_nobody(lone: Lone) -> None:
    lone.append(3, 1, 0, [3])
    lone.receive(Kind.MEMBER_QUERY, 1, "n9")
    assert lone.take_sent(Kind.NOT_A_MEMBER) == []


@pytest.mark.parametrize(
    ("term", "index", "is_believed"),
    [
        pytest.param(3, 1, False, id="from before it became a member"),
        pytest.param(3, 2, False, id="of that very entry"),
        pytest.param(3, 9, True, id="of a log that went on without it"),
        pytest.param(2, 90, False, id="of a leader that was deposed before"),
        pytest.param(4, 1, True, id="of a later leader that has not that entry"),
    ],
)
def test_a_replica_believes_that_it_is_no_member_of_a_newer_log_only(
    lone: Lone, term: int, index: int, is_believed: bool
) -> None:
    """Seed 401360 of 3d5e0b0: a learner whose promotion was lost went, and its group waited for its vote for ever."""
    say_members(lone, 3, 1, 0, Membership(("n2", "n3"), ("n1",)), "n2")
    lone.replica.ask_whether_member(["n2", "n3"])
    assert len(lone.take_sent(Kind.MEMBER_QUERY)) == 2
    lone.receive(Kind.NOT_A_MEMBER, term, "n3", index=index)
    assert lone.replica.is_dismissed is is_believed
    say_members(lone, 5, 2, 3, Membership(("n1", "n2", "n3")), "n2")
    assert not lone.replica.is_dismissed, "it is a member again"


# ---------------------------------------------------------------------------------------------- beside a rebuild
def test_a_rebuild_waits_for_the_word_of_who_is_being_removed(lone: Lone) -> None:
    """n3 may have been voted for by what n2 forgot, and counts that vote until its removal is committed."""
    with_learner(lone)
    change(lone, promote("n4"))
    lone.sync()
    has_all(lone, "n2", "n3", "n4")
    change(lone, remove("n3"))
    lone.receive(Kind.REBUILD_REQUEST, lone.replica.term, "n2", sequence=7)
    asked = {target for target, message, _ in lone.sent if message.kind is Kind.REBUILD_CHECK}
    assert asked == {"n3", "n4"}
    lone.receive(Kind.REBUILD_CHECK_OK, lone.replica.term, "n4", sequence=1)
    assert lone.take_sent(Kind.REBUILD_GRANTED) == []

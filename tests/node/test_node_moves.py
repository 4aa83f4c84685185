"""What the leader of a partition does next to have its replicas where the catalog wants them; what a node holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.background.lifecycle import ReportBook
from node.background.moves import (
    HandOver,
    Step,
    Wait,
    next_step,
    partition_of,
    preferred_leader,
    replica_commands,
    settled,
)
from node.holdings import Holdings
from replication.membership import ChangeKind, Membership, MembershipChange
from replication.messages import Kind
from wire import catalog_pb2, data_pb2

pytestmark = pytest.mark.unit

ALL = ("n1", "n2", "n3", "n4", "n5")


def placed(
    replicas: str = "123", target: str = "", *, generation: int = 1, preferred: str = "n1", number: int = 1
) -> catalog_pb2.Partition:
    return catalog_pb2.Partition(
        id=number,
        replicas=nodes(replicas),
        target_replicas=nodes(target),
        generation=generation,
        preferred_leader=preferred,
    )


def nodes(digits: str) -> tuple[str, ...]:
    return tuple(f"n{digit}" for digit in digits)


def members(voters: str, learners: str = "", index: int = 10) -> Membership:
    return Membership(nodes(voters), nodes(learners), index)


def add(node: str) -> MembershipChange:
    return MembershipChange(ChangeKind.ADD_LEARNER, node)


def promote(node: str) -> MembershipChange:
    return MembershipChange(ChangeKind.PROMOTE, node)


def remove(node: str) -> MembershipChange:
    return MembershipChange(ChangeKind.REMOVE, node)


@pytest.mark.parametrize(
    ("membership", "partition", "leader", "behind", "expected"),
    [
        pytest.param(members("123"), placed(), "n1", "", None, id="nothing to do"),
        pytest.param(members("123"), placed(target="124"), "n1", "", add("n4"), id="who is missing comes as learner"),
        pytest.param(members("123", "4"), placed(target="124"), "n1", "4", Wait("n4"), id="and has to catch up"),
        pytest.param(members("123", "4"), placed(target="124"), "n1", "", promote("n4"), id="then it votes"),
        pytest.param(members("1234"), placed(target="124"), "n1", "", remove("n3"), id="then the old one goes"),
        pytest.param(members("124"), placed(target="124"), "n1", "", None, id="and it is done"),
        pytest.param(
            members("1234"),
            placed(target="124", preferred="n2"),
            "n3",
            "",
            HandOver(nodes("214")),
            id="the leader goes",
        ),
        pytest.param(members("1234"), placed(target="124"), "n3", "12", HandOver(nodes("4")), id="to who can lead"),
        pytest.param(members("1234"), placed(target="124"), "n3", "124", HandOver(()), id="nobody can lead yet"),
        pytest.param(members("123"), placed(target="145"), "n1", "", add("n4"), id="two move: the first comes"),
        pytest.param(
            members("1234"), placed(target="145"), "n1", "", remove("n2"), id="one goes before the next comes"
        ),
        pytest.param(members("1234"), placed(target="145"), "n1", "3", remove("n3"), id="first who does not follow"),
        pytest.param(members("1234"), placed(target="145"), "n2", "", remove("n3"), id="the leader goes last"),
        pytest.param(members("134"), placed(target="145"), "n3", "", add("n5"), id="it leads on while another comes"),
        pytest.param(members("123", "4"), placed(), "n1", "", remove("n4"), id="a learner of an abandoned move goes"),
        pytest.param(members("1234"), placed(), "n1", "", remove("n4"), id="a fourth voter of an abandoned move goes"),
        pytest.param(members("124"), placed(), "n1", "", add("n3"), id="a move that was taken back too late is undone"),
        pytest.param(
            members("123", "45"), placed(target="124"), "n1", "", remove("n5"), id="another learner goes first"
        ),
    ],
)
def test_the_next_step(
    membership: Membership, partition: catalog_pb2.Partition, leader: str, behind: str, expected: Step | None
) -> None:
    assert next_step(membership, partition, leader, lambda node: node not in nodes(behind)) == expected


def three() -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(st.sampled_from(ALL), min_size=3, max_size=3).map(lambda chosen: tuple(sorted(chosen)))


@given(replicas=three(), target=three(), learners=st.sets(st.sampled_from(ALL)), extra=st.sampled_from(("", *ALL)))
def test_from_whatever_is_left_of_a_move_steps_lead_to_the_target(
    replicas: tuple[str, ...], target: tuple[str, ...], learners: set[str], extra: str
) -> None:
    voters = tuple(sorted({*replicas, extra} - {""}))
    membership = Membership(voters, tuple(sorted(learners - set(voters))), 10)
    partition = catalog_pb2.Partition(id=1, replicas=replicas, target_replicas=target, preferred_leader=replicas[0])
    leader = voters[0]
    for _ in range(40):
        step = next_step(membership, partition, leader, lambda _: True)
        if step is None:
            break
        if isinstance(step, HandOver):
            leader = step.targets[0]
            continue
        assert isinstance(step, MembershipChange)
        assert step.node_id != leader, "no leader removes itself"
        changed = membership.after(step)
        assert isinstance(changed, Membership)
        assert 3 <= len(changed.voters) <= 4
        membership = changed.at(membership.index + 1)
    assert (membership.voters, membership.learners) == (target, ())


@pytest.mark.parametrize(
    ("membership", "partition", "is_committed", "is_said"),
    [
        pytest.param(members("124", index=40), placed(target="124"), True, True, id="where the catalog wants them"),
        pytest.param(members("124", index=40), placed(target="124"), False, False, id="not committed"),
        pytest.param(members("1234", index=40), placed(target="124"), True, False, id="half way"),
        pytest.param(members("124", "3", index=40), placed(target="124"), True, False, id="with a learner"),
        pytest.param(members("123", index=40), placed(), True, True, id="back where they were, at a later index"),
        pytest.param(members("123", index=0), placed(), True, False, id="the first members"),
        pytest.param(members("124", index=40), placed("124", generation=40), True, False, id="the catalog knows"),
    ],
)
def test_what_is_said_to_the_catalog(
    membership: Membership, partition: catalog_pb2.Partition, is_committed: bool, is_said: bool
) -> None:
    said = settled(membership, partition, is_committed=is_committed)
    assert (said is not None) is is_said
    if said is not None:
        assert tuple(said.replicas) == membership.voters
        assert (said.partition, said.generation) == (1, 40)


def test_the_catalogs_leader_proposes_the_newest_it_heard_until_the_catalog_has_it() -> None:
    book = ReportBook()
    for generation, replicas in ((40, "124"), (60, "145"), (50, "134")):
        report = data_pb2.NodeReport(node_id="n1")
        report.settled.add(partition=1, replicas=nodes(replicas), generation=generation)
        book.take(report, 0.0)
    catalog = catalog_pb2.Catalog(partitions=[placed(number=0), placed(), placed(number=2)])
    (command,) = replica_commands(catalog, book.settled)
    said = command.set_replicas
    assert (said.partition, tuple(said.replicas), said.generation) == (1, nodes("145"), 60)
    catalog.partitions[1].CopyFrom(placed("145", generation=60))
    assert replica_commands(catalog, book.settled) == []


def test_a_preferred_leader_that_is_to_go_or_does_not_vote_yet_is_not_preferred() -> None:
    assert preferred_leader(placed(preferred="n1"), members("123")) == "n1"
    assert preferred_leader(placed(target="234", preferred="n1"), members("123")) == ""
    assert preferred_leader(placed("124", preferred="n4"), members("123", "4")) == ""


def test_the_catalog_group_and_unknown_partitions_do_not_move() -> None:
    catalog = catalog_pb2.Catalog(partitions=[placed(number=0), placed(number=1)])
    catalog.partitions.add(id=2)
    found = [partition_of(catalog, group_id) for group_id in (0, 1, 2, 3)]
    assert found == [None, catalog.partitions[1], None, None]
    assert partition_of(None, 1) is None


# ---------------------------------------------------------------------------------------------- which groups are held
PLACED = {0: nodes("123"), 1: nodes("123"), 2: nodes("145"), 3: nodes("123")}


def holdings(*partitions: catalog_pb2.Partition, node: str = "n3") -> Holdings:
    made = Holdings(node, PLACED)
    made.take(catalog_pb2.Catalog(version=1, partitions=partitions))
    return made


def test_a_node_begins_with_what_was_placed_there_unless_it_left_and_with_what_its_disk_holds() -> None:
    assert Holdings("n3", PLACED).at_start(set(), set()) == {0: nodes("123"), 1: nodes("123"), 3: nodes("123")}
    started = Holdings("n3", PLACED).at_start({0, 2}, {1})
    assert list(started) == [0, 2, 3]
    assert started[2] == (), "its members are stored, or a leader tells them"


def test_a_group_that_left_and_is_stored_again_does_not_begin_with_the_voters_of_the_placement() -> None:
    assert Holdings("n3", PLACED).at_start({1}, set())[1] == ()


@pytest.mark.parametrize("kind", list(Kind))
def test_only_a_leader_brings_a_replica_and_only_where_the_catalog_wants_one(kind: Kind) -> None:
    is_leaders = kind in (Kind.APPEND, Kind.HEARTBEAT, Kind.SNAPSHOT_CHUNK)
    assert not Holdings("n4", PLACED).may_open(1, kind), "no catalog is known"
    for partition, may in ((placed(), False), (placed(target="124"), True), (placed("124"), True)):
        assert holdings(partition, node="n4").may_open(1, kind) is (may and is_leaders)


@pytest.mark.parametrize(
    ("partition", "membership", "goes"),
    [
        pytest.param(placed("124", generation=40), members("124", index=40), True, id="it has seen that it went"),
        pytest.param(placed("124", generation=40), members("1234", index=30), True, id="it has not seen that it went"),
        pytest.param(placed("124", generation=40), members("123", index=50), False, id="it may be back by now"),
        pytest.param(placed("124", generation=40), members("123", index=0), True, id="never heard of a change"),
        pytest.param(placed("124", generation=1), members("124", "3", index=50), False, id="it may have been promoted"),
        pytest.param(placed("124", generation=1), Membership(), True, id="opened by a message that came late"),
        pytest.param(placed("124", "123", generation=40), members("124", index=40), False, id="it shall come back"),
        pytest.param(placed("123", "124", generation=1), members("1234", index=50), False, id="the move is not done"),
        pytest.param(placed("123", generation=60), members("124", index=50), False, id="the catalog wants it"),
    ],
)
def test_a_replica_goes_when_the_catalog_says_that_its_group_does_without_it(
    partition: catalog_pb2.Partition, membership: Membership, goes: bool
) -> None:
    held = holdings(partition)
    strangers = held.strangers([0, 1, 2])
    assert strangers in ([], [1]), "of the others this catalog says nothing"
    assert any(held.is_over(group_id, membership, is_dismissed=False) for group_id in strangers) is goes


def test_a_replica_that_a_leader_dismissed_goes_before_the_catalog_is_as_late() -> None:
    held = holdings(placed("124", generation=40))
    assert not held.is_over(1, members("124", index=60), is_dismissed=False), "its removal may be taken back"
    assert held.is_over(1, members("124", index=60), is_dismissed=True)


def test_without_a_catalog_nothing_is_deleted() -> None:
    assert Holdings("n4", PLACED).strangers([0, 1, 2]) == []

"""Replicas that come and go while real hosts serve: opened by a leader, deleted when the catalog has moved on."""

from __future__ import annotations

import random

import pytest
from moving_support import GROUP, Asker, MovingCluster

from node.storage import keyspace
from node.storage.memory import MemoryStore
from replication.messages import Kind, Message
from replication.ports import Family
from replication.rebuild import mark_rebuilding, read_mark
from replication.retirement import retired_groups, stored_groups
from wire import catalog_pb2, data_pb2

pytestmark = pytest.mark.unit

OK, UNAVAILABLE, WRONG_PARTITION = data_pb2.OK, data_pb2.UNAVAILABLE, data_pb2.WRONG_PARTITION


@pytest.fixture
def cluster() -> MovingCluster:
    made = MovingCluster()
    made.wait_leader()
    return made


def fill(cluster: MovingCluster, count: int = 60) -> None:
    for number in range(count):
        assert cluster.write(f"k{number}", f"v{number}")


def wait_on(cluster: MovingCluster, *nodes: str) -> None:
    cluster.until(lambda: cluster.is_on(*nodes), f"the partition is on {nodes}")


def left_on(store: MemoryStore) -> list[bytes]:
    """Keys of the group's state and log."""
    start, end = keyspace.group_range(GROUP)
    return [key for family in (Family.DATA, Family.OUTBOX, Family.LOG) for key, _ in store.scan(family, start, end)]


def ask(cluster: MovingCluster, node_id: str, kind: data_pb2.OperationKind, key: str = "k1") -> data_pb2.Result:
    asker = Asker(cluster.host(node_id))
    number = asker.ask(kind, key)
    cluster.run(0.05)
    return asker.answers()[number]


def test_a_replica_moves_with_its_data_and_the_old_one_leaves_nothing(cluster: MovingCluster) -> None:
    cluster.hand_to("n1")
    fill(cluster)
    assert left_on(cluster.machines["n3"].store)
    cluster.move("n1", "n2", "n4")
    wait_on(cluster, "n1", "n2", "n4")
    store = cluster.machines["n3"].store
    assert left_on(store) == []
    assert store.get(Family.META, keyspace.applied_key(GROUP)) is None
    assert (GROUP in retired_groups(store), GROUP in stored_groups(store)) == (True, False)
    cluster.hand_to("n4")
    assert [cluster.read(f"k{number}") for number in (0, 30, 59)] == ["v0", "v30", "v59"]


def test_the_leader_that_is_to_go_hands_over_first(cluster: MovingCluster) -> None:
    cluster.hand_to("n3")
    fill(cluster)
    cluster.move("n1", "n2", "n4")
    wait_on(cluster, "n1", "n2", "n4")
    assert cluster.read("k59") == "v59"


def test_a_moved_replica_stays_where_it_is_after_restarts(cluster: MovingCluster) -> None:
    fill(cluster)
    cluster.move("n1", "n2", "n4")
    wait_on(cluster, "n1", "n2", "n4")
    for node_id in ("n3", "n4"):
        cluster.crash(node_id, power_loss=False)
        cluster.start(node_id)
    assert cluster.holders() == {"n1", "n2", "n4"}, "by what is on the disks"
    wait_on(cluster, "n1", "n2", "n4")
    cluster.hand_to("n4")
    assert cluster.read("k59") == "v59"


def test_a_replica_that_moved_away_comes_back_with_its_term_and_vote(cluster: MovingCluster) -> None:
    fill(cluster)
    cluster.move("n1", "n2", "n4")
    wait_on(cluster, "n1", "n2", "n4")
    vote = cluster.machines["n3"].store.get(Family.META, b"h" + GROUP.to_bytes(4, "big"))
    assert vote is not None
    cluster.move("n1", "n2", "n3")
    cluster.until(lambda: GROUP in cluster.host("n3").partitions, "it is back")
    term = int.from_bytes(vote[5:13], "little")
    assert cluster.host("n3").group(GROUP).term >= term > 0
    wait_on(cluster, "n1", "n2", "n3")
    cluster.hand_to("n3")
    assert cluster.read("k59") == "v59"


def test_a_replica_that_may_know_nothing_answers_no_eventual_read(cluster: MovingCluster) -> None:
    fill(cluster)
    assert ask(cluster, "n4", data_pb2.GET_EVENTUAL).status == WRONG_PARTITION
    cluster.move("n1", "n2", "n4")
    cluster.until(lambda: GROUP in cluster.host("n4").partitions, "it is opened")
    seen = set()
    for kind in (data_pb2.GET_EVENTUAL, data_pb2.RANGE_EVENTUAL):
        asker = Asker(cluster.host("n4"))
        number = asker.ask(kind, "k1")
        seen.add(asker.answers()[number].status)
    assert seen == {UNAVAILABLE}
    wait_on(cluster, "n1", "n2", "n4")
    assert ask(cluster, "n4", data_pb2.GET_EVENTUAL).item == b"v1"
    assert ask(cluster, "n3", data_pb2.GET_EVENTUAL).status == WRONG_PARTITION


def test_what_waits_at_a_replica_that_leaves_is_refused_and_routers_are_told(cluster: MovingCluster) -> None:
    fill(cluster)
    cluster.hand_to("n1")
    host = cluster.host("n3")
    asker = Asker(host)
    asker.answers()
    cluster.move("n1", "n2", "n4")
    pages, number = [], 0
    while GROUP in host.partitions:
        number = asker.ask(data_pb2.GET_STRONG, "k1")
        pages.append(number)
        cluster.step()
    cluster.run(0.05)
    answers = asker.answers()
    assert set(pages) <= answers.keys(), "nobody waits for ever"
    assert asker.in_flight == 0
    assert asker.leaders[-1].partition == GROUP
    assert asker.leaders[-1].leader == ""
    assert ask(cluster, "n3", data_pb2.PUT).status == WRONG_PARTITION


def heartbeat(kind: Kind = Kind.HEARTBEAT, term: int = 1) -> Message:
    return Message(kind, term)


def test_a_message_opens_nothing_that_the_catalog_does_not_want(cluster: MovingCluster) -> None:
    host = cluster.host("n4")
    for kind in Kind:
        host.message_arrived("n1", GROUP, heartbeat(kind, 99))
    host.message_arrived("n1", 77, heartbeat())
    assert GROUP not in host.partitions
    assert 77 not in host.partitions


def test_a_message_that_comes_too_late_leaves_no_replica_behind(cluster: MovingCluster) -> None:
    """The node's catalog is as late as the message: it still wants the replica."""
    host, old = cluster.host("n4"), catalog_pb2.Catalog()
    cluster.move("n1", "n2", "n4")
    old.CopyFrom(cluster.catalog.catalog)
    cluster.move("n1", "n2", "n3")
    host.take_remote_catalog(old)
    host._turn()
    host.message_arrived("n1", GROUP, heartbeat())
    assert GROUP in host.partitions
    wait_on(cluster, "n1", "n2", "n3")
    assert GROUP in retired_groups(cluster.machines["n4"].store)


def test_a_replica_that_left_and_is_still_heard_of_goes_again(cluster: MovingCluster) -> None:
    fill(cluster)
    cluster.move("n1", "n2", "n4")
    wait_on(cluster, "n1", "n2", "n4")
    for kind in (Kind.APPEND, Kind.HEARTBEAT, Kind.SNAPSHOT_CHUNK):
        cluster.host("n3").message_arrived("n1", GROUP, heartbeat(kind, 99))
    assert GROUP not in cluster.host("n3").partitions


@pytest.mark.parametrize("promoted", [False, True], ids=["a learner", "a fourth voter"])
def test_what_an_abandoned_move_left_is_cleared_away(cluster: MovingCluster, promoted: bool) -> None:
    fill(cluster)
    cluster.hand_to("n1")
    cluster.move("n1", "n2", "n4")
    cluster.until(
        lambda: (
            "n4"
            in (
                cluster.host("n1").group(GROUP).membership.voters
                if promoted
                else cluster.host("n1").group(GROUP).membership.learners
            )
        ),
        "it is half way",
    )
    cluster.move("n1", "n2", "n3")
    cluster.run(0.5)
    wait_on(cluster, "n1", "n2", "n3")
    assert cluster.record().generation > 1, "a fourth voter could not know that it is over"
    assert left_on(cluster.machines["n4"].store) == []


def test_a_node_that_was_away_during_the_move_deletes_its_replica_when_it_is_back(cluster: MovingCluster) -> None:
    fill(cluster)
    cluster.isolate("n3")
    cluster.wait_leader()
    cluster.move("n1", "n2", "n4")
    cluster.until(lambda: tuple(cluster.record().replicas) == ("n1", "n2", "n4"), "it has moved")
    assert GROUP in cluster.host("n3").partitions
    cluster.heal("n3")
    wait_on(cluster, "n1", "n2", "n4")
    assert left_on(cluster.machines["n3"].store) == []


@pytest.mark.parametrize("kept", [0, 1], ids=["lost", "written"])
def test_a_crash_leaves_the_whole_replica_or_the_gravestone(cluster: MovingCluster, kept: int) -> None:
    fill(cluster)
    cluster.hand_to("n1")
    cluster.run(1.0)
    cluster.move("n1", "n2", "n4")
    machine = cluster.machines["n3"]
    cluster.until(lambda: GROUP not in cluster.host("n3").partitions, "it leaves")
    # The batch that it left in is the last one written.
    batches = machine.store.unsynced_batches
    assert batches
    survived = machine.store.crash(batches - 1 + kept)
    has_data, is_gone = bool(left_on(survived)), GROUP in retired_groups(survived)
    assert (has_data, is_gone, GROUP in stored_groups(survived)) == (
        (False, True, False) if kept else (True, False, True)
    )


def test_a_group_that_left_during_a_sync_and_came_back_counts_nothing_of_it_as_durable(cluster: MovingCluster) -> None:
    fill(cluster)
    host = cluster.host("n3")
    old = host.group(GROUP)
    covered = old.journal.last_index
    host._close_group(GROUP)
    host._store.write_batch()
    new = host._open_group(GROUP, ())
    host._sync_ended([(old, covered)], None)
    assert new.journal.durable_index == 1


def test_peers_that_were_connected_before_a_group_came_are_known_to_it(cluster: MovingCluster) -> None:
    cluster.move("n1", "n2", "n4")
    cluster.until(lambda: GROUP in cluster.host("n4").partitions, "it is opened")
    wait_on(cluster, "n1", "n2", "n4")
    cluster.hand_to("n4")
    assert {node.id for node in cluster.host("n4").group(GROUP).connected_nodes} == {"n1", "n2"}


def test_refusals_are_told_once(cluster: MovingCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.hand_to("n1")
    cluster.crash("n4")
    capsys.readouterr()
    cluster.move("n1", "n2", "n4")
    cluster.run(5.0)
    said = [line for line in capsys.readouterr().out.splitlines() if "move_waits" in line]
    assert len(said) == 1
    assert "n4 has not caught up" in said[0]
    cluster.start("n4")
    wait_on(cluster, "n1", "n2", "n4")


def test_a_leader_steps_only_by_a_catalog_that_was_confirmed_since_it_leads(cluster: MovingCluster) -> None:
    host = cluster.wait_leader()
    daemon = cluster.machines[host.settings.node_id].daemon
    assert daemon is not None
    daemon._confirmed_at = lambda: cluster.clock.monotonic() - 1e9
    daemon._leaderships.clear()
    cluster.move("n1", "n2", "n4")
    cluster.run(3.0)
    assert cluster.leader() is host
    assert "n4" not in host.group(GROUP).membership.members
    daemon._confirmed_at = cluster.clock.monotonic
    wait_on(cluster, "n1", "n2", "n4")


def test_a_mark_of_a_lost_disk_outlives_the_replica(cluster: MovingCluster) -> None:
    """What it forgot it has forgotten for good: when it comes again it is rebuilt before it counts."""
    fill(cluster)
    cluster.move("n1", "n2", "n4")
    wait_on(cluster, "n1", "n2", "n4")
    cluster.crash("n3")
    store = cluster.machines["n3"].store = MemoryStore()
    mark_rebuilding(store, [1, 2], 5)
    store.write_batch()
    store.sync()
    cluster.start("n3")
    assert GROUP in cluster.host("n3").partitions, "it cannot know that it had left"
    wait_on(cluster, "n1", "n2", "n4")
    assert read_mark(store, GROUP) == 5
    cluster.move("n1", "n2", "n3")
    wait_on(cluster, "n1", "n2", "n3")
    assert read_mark(store, GROUP) is None
    cluster.hand_to("n3")
    assert cluster.read("k59") == "v59"


TARGETS = (("n1", "n2", "n3"), ("n1", "n2", "n4"))


@pytest.mark.parametrize("seed", range(12))
def test_no_acknowledged_write_is_lost_whatever_dies_during_moves(seed: int) -> None:
    print(f"seed {seed}")
    cluster, chance = MovingCluster(seed), random.Random(seed)
    acknowledged: dict[str, str] = {}
    for number in range(1, 121):
        key = f"k{number % 17}"
        if cluster.write(key, str(number)):
            acknowledged[key] = str(number)
        else:
            acknowledged.pop(key, None)
        if chance.random() < 0.06:
            record = cluster.record()
            target = chance.choice(TARGETS)
            if not record.target_replicas or set(target) == set(record.replicas):
                cluster.move(*target)
        down = [one.node_id for one in cluster.machines.values() if one.host is None]
        if down and chance.random() < 0.2:
            cluster.start(down[0])
        elif not down and chance.random() < 0.1:
            cluster.crash(chance.choice(sorted(cluster.machines)))
        cluster.run(chance.choice((0.0, 0.05, 0.3)))
    for machine in cluster.machines.values():
        if machine.host is None:
            cluster.start(machine.node_id)
    record = cluster.record()
    wait_on(cluster, *(record.target_replicas or record.replicas))
    for key, value in acknowledged.items():
        # Only a later write that was not acknowledged may be there instead.
        assert int(cluster.read(key)) >= int(value), key

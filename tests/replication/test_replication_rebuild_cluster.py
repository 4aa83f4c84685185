"""A lost disk on three real nodes in virtual time: what the others and the routers see until the replica is whole."""

from __future__ import annotations

import pytest

from node.partition import TRANSFER_PAUSE_S
from node.storage import keyspace
from replication.group import ReplicationSettings
from replication.raft import RaftReplica
from simulation.process import Machine, Process
from simulation.quiet import QuietCluster
from simulation.table import GROUPS
from wire import data_pb2

pytestmark = pytest.mark.simulation

TABLE = 1
GROUP = 1
# Longer than any election, shorter than what tests with a time-out of their own wait for.
WHILE_S = 4.0


@pytest.fixture
def cluster() -> QuietCluster:
    # A log this short is cut soon: a lost replica needs a snapshot and some entries behind it.
    return QuietCluster(replication=ReplicationSettings(log_entries_kept=8, snapshot_chunk_bytes=600))


def write(cluster: QuietCluster, first: int, count: int) -> list[int]:
    """Put items one after the other through the leader; returns the statuses."""
    asker = cluster.asker(cluster.leader(GROUP))
    numbers: list[int] = []
    for number in range(first, first + count):
        put = data_pb2.Operation(
            kind=data_pb2.PUT, partition=GROUP, table_id=TABLE, key=b"k%d" % number, item=b'{"n":{"N":"%d"}}' % number
        )
        numbers += asker.ask(put)
        cluster.run(0.02)
    cluster.run(0.5)
    return [asker.statuses.get(number, -1) for number in numbers]


def read(cluster: QuietCluster, process: Process, kind: data_pb2.OperationKind) -> data_pb2.Result:
    asker = cluster.asker(process)
    (number,) = asker.ask(data_pb2.Operation(kind=kind, partition=GROUP, table_id=TABLE, key=b"k1"))
    cluster.run(0.2)
    return asker.result(number)


def replica(cluster: QuietCluster, machine: Machine, group_id: int = GROUP) -> RaftReplica:
    return cluster.process(machine.node_id).host.group(group_id)


def role(cluster: QuietCluster, machine: Machine) -> str:
    return replica(cluster, machine).status().role


def until_whole(cluster: QuietCluster, machine: Machine) -> None:
    cluster.world.run_until(cluster.world.now + 10.0, lambda: machine.process is not None and not machine.rebuilding)
    assert not machine.rebuilding


def items_of(machine: Machine) -> list[bytes]:
    assert machine.process is not None
    state = machine.process.host.partitions[GROUP].state
    return [key[keyspace.PREFIX_BYTES :] for key, _ in state.scan(*keyspace.table_range(TABLE))]


@pytest.mark.parametrize("count", [3, 60], ids=["from the log", "by a snapshot"])
@pytest.mark.parametrize("leads", [False, True], ids=["follower", "leader"])
def test_a_lost_disk_is_rebuilt_and_counts_again(cluster: QuietCluster, count: int, leads: bool) -> None:
    assert set(write(cluster, 0, count)) == {data_pb2.OK}
    victim = (cluster.leader(GROUP) if leads else cluster.follower(GROUP)).machine
    others = [machine for machine in cluster.machines.values() if machine is not victim]
    victim.lose_disk(restart_after_s=0.1)
    until_whole(cluster, victim)
    for group_id in GROUPS:
        cluster.settle(group_id)
    assert items_of(victim) == items_of(others[0])
    assert len(items_of(victim)) == count
    # It counts: with another machine gone for good, the two that are left commit.
    cluster.settle(GROUP)
    other = next(machine for machine in others if machine.process is not cluster.leader(GROUP))
    other.crash(power_loss=True, restart_after_s=60.0)
    assert set(write(cluster, 100, 3)) == {data_pb2.OK}


def test_while_another_member_is_away_it_waits_and_does_no_work(cluster: QuietCluster) -> None:
    write(cluster, 0, 60)
    leader = cluster.leader(GROUP).machine
    lost, away = [machine for machine in cluster.machines.values() if machine is not leader]
    away.crash(power_loss=True, restart_after_s=WHILE_S)
    lost.lose_disk(restart_after_s=0.01)
    cluster.run(0.4)
    assert data_pb2.OK not in write(cluster, 100, 3), "one whole replica of three is no majority"
    assert role(cluster, lost) == "rebuilding"
    assert read(cluster, cluster.process(lost.node_id), data_pb2.GET_EVENTUAL).status == data_pb2.UNAVAILABLE
    assert read(cluster, cluster.process(lost.node_id), data_pb2.GET_STRONG).status == data_pb2.NOT_LEADER
    assert not replica(cluster, leader).is_leader, "clients are told that there is no majority"
    cluster.run(WHILE_S)
    until_whole(cluster, lost)
    cluster.settle(GROUP)
    assert read(cluster, cluster.process(lost.node_id), data_pb2.GET_EVENTUAL).status == data_pb2.OK


def test_two_lost_disks_wait_for_ever_and_say_so(cluster: QuietCluster) -> None:
    """What both had and the third had not is gone: going on by itself could deny an acknowledged write."""
    write(cluster, 0, 5)
    victims = [machine for machine in cluster.machines.values() if machine is not cluster.leader(GROUP).machine]
    for victim in victims:
        victim.lose_disk(restart_after_s=0.05)
    cluster.run(20.0)
    assert [role(cluster, victim) for victim in victims] == ["rebuilding"] * 2
    assert not any(replica(cluster, machine).is_leader for machine in cluster.machines.values())


def test_a_leader_that_dies_between_question_and_answer_is_replaced(cluster: QuietCluster) -> None:
    write(cluster, 0, 60)
    leader = cluster.leader(GROUP).machine
    lost, other = [machine for machine in cluster.machines.values() if machine is not leader]
    # The leader cannot ask the third member, so no grant comes.
    cluster.network.cut(leader.node_id, other.node_id, 0.5)
    lost.lose_disk(restart_after_s=0.01)
    cluster.run(0.3)
    assert role(cluster, lost) == "rebuilding"
    leader.crash(power_loss=True, restart_after_s=1.5)
    cluster.run(1.0)
    assert not any(replica(cluster, machine).is_leader for machine in (lost, other)), "nobody is elected by one vote"
    until_whole(cluster, lost)
    assert len(items_of(other)) == 60
    cluster.settle(GROUP)
    assert items_of(lost) == items_of(other)


@pytest.mark.parametrize("power_loss", [False, True])
def test_a_restart_in_the_middle_does_not_end_it_early(cluster: QuietCluster, power_loss: bool) -> None:
    write(cluster, 0, 60)
    leader = cluster.leader(GROUP).machine
    lost, other = [machine for machine in cluster.machines.values() if machine is not leader]
    other.crash(power_loss=True, restart_after_s=1.0)
    lost.lose_disk(restart_after_s=0.01)
    cluster.run(0.3)
    nonce = replica(cluster, lost).journal.rebuild_nonce
    lost.crash(power_loss=power_loss, restart_after_s=0.01)
    cluster.run(0.1)
    assert role(cluster, lost) == "rebuilding"
    assert replica(cluster, lost).journal.rebuild_nonce == nonce
    until_whole(cluster, lost)


def test_nobody_hands_it_a_leadership(cluster: QuietCluster) -> None:
    leader = cluster.leader(GROUP).machine
    lost, other = [machine for machine in cluster.machines.values() if machine is not leader]
    cluster.network.cut(leader.node_id, other.node_id, 0.9)
    lost.lose_disk(restart_after_s=0.01)
    cluster.run(0.1)
    cluster.process(leader.node_id).host.start_transfer(GROUP, lost.node_id)
    cluster.run(TRANSFER_PAUSE_S + 0.05)
    assert role(cluster, lost) == "rebuilding"
    assert replica(cluster, leader).is_leader

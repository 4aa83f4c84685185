"""How long a group is without a leader when its leader falls silent, on three real nodes in virtual time."""

from __future__ import annotations

import random

import pytest

from replication.elections import QUICK_PRE_VOTES_MAX
from replication.messages import Kind
from simulation.lone import SETTINGS, Lone
from simulation.quiet import QuietCluster
from simulation.table import GROUPS
from wire import data_pb2

pytestmark = pytest.mark.simulation

LOSSES = 120
STEP_S = 0.01


def write(cluster: QuietCluster, group_id: int) -> None:
    """A write under way, so that a log may end earlier than another when the silence falls."""
    put = data_pb2.Operation(kind=data_pb2.PUT, partition=group_id, table_id=1, key=b"k", item=b'{"n":{"N":"1"}}')
    cluster.asker(cluster.leader(group_id)).ask(put)


def without_leader_s(cluster: QuietCluster, randomness: random.Random) -> list[float]:
    """Silences the leader of group 1 and returns the times until each group that it led has another ready leader."""
    for group_id in GROUPS:
        cluster.settle(group_id)
    victim = cluster.leader(1).node_id
    left = [group_id for group_id in GROUPS if cluster.leader(group_id).node_id == victim]
    cluster.run(randomness.uniform(0.3, 0.5))
    for group_id in left:
        write(cluster, group_id)
    cluster.run(randomness.uniform(0.0, 0.003))
    began_s, found = cluster.world.now, []
    cluster.silence(victim)
    while left:
        cluster.run(STEP_S)
        others = [cluster.process(node_id).host for node_id in cluster.machines if node_id != victim]
        for group_id in [one for one in left if any(host.group(one).is_ready_leader for host in others)]:
            left.remove(group_id)
            found.append(cluster.world.now - began_s)
    cluster.network.heal_all()
    cluster.run(0.5)
    return found


def test_a_silent_leader_is_replaced_within_the_maximum_time_out_every_time() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    randomness = random.Random(seed)
    cluster = QuietCluster(seed=seed)
    found: list[float] = []
    while len(found) < LOSSES:
        found += without_leader_s(cluster, randomness)
    found.sort()
    # A split vote alone costs more than the maximum.
    assert found[-1] < SETTINGS.election_timeout_max_s, found[-5:]
    assert found[len(found) // 2] < SETTINGS.election_timeout_min_s * 1.4, found[len(found) // 2]
    assert found[0] > SETTINGS.election_timeout_min_s - SETTINGS.heartbeat_s - STEP_S, "the silence was heard"


@pytest.fixture
def lone() -> Lone:
    return Lone()


@pytest.mark.parametrize("group_id", [1, 2])
def test_those_that_follow_one_leader_do_not_wait_equally_long(group_id: int) -> None:
    def waits_s(self_id: str) -> list[float]:
        replica = Lone().make_replica(group_id=group_id, self_id=self_id)
        node = replica._nodes["n2"]
        replica.leader_node = node
        return [replica.random_election_timeout() for _ in range(50)]

    one, other = waits_s("n1"), waits_s("n3")
    first, second = (one, other) if max(one) < max(other) else (other, one)
    assert min(second) - max(first) > 0.1, "the second has heard of the first before it stands itself"
    assert min(first) >= SETTINGS.election_timeout_min_s
    assert max(second) <= SETTINGS.election_timeout_max_s
    assert (first is one) is (group_id == 2), "in every group another node is the first"


def test_who_is_refused_a_pre_vote_asks_again_about_a_heartbeat_later_but_not_for_ever(lone: Lone) -> None:
    lone.append(3, 1, 0, [3])
    lone.sent.clear()
    lone.tick(SETTINGS.election_timeout_max_s * 1.1)
    for _ in range(QUICK_PRE_VOTES_MAX):
        assert len(lone.take_sent(Kind.PRE_VOTE_REQUEST)) == 2
        lone.tick(SETTINGS.heartbeat_s * 1.6)
    lone.sent.clear()
    lone.tick(SETTINGS.election_timeout_min_s * 0.5)
    assert lone.sent == []


def test_who_is_asked_by_a_candidate_that_cannot_win_stands_soon(lone: Lone) -> None:
    lone.append(3, 1, 0, [3, 3])
    lone.clock.advance(SETTINGS.election_timeout_min_s * 1.01)
    lone.replica.election_deadline = lone.clock.monotonic() + SETTINGS.election_timeout_max_s
    lone.sent.clear()
    lone.receive(Kind.PRE_VOTE_REQUEST, 4, "n3", index=2, log_term=3)
    lone.tick(SETTINGS.heartbeat_s)
    assert [message.term for message in lone.take_sent(Kind.PRE_VOTE_REQUEST)] == [4, 4]


def test_who_granted_a_pre_vote_lets_the_other_try_first(lone: Lone) -> None:
    lone.append(3, 1, 0, [3])
    lone.clock.advance(SETTINGS.election_timeout_min_s * 1.01)
    lone.replica.election_deadline = lone.clock.monotonic() + 0.001
    lone.sent.clear()
    lone.receive(Kind.PRE_VOTE_REQUEST, 4, "n3", index=2, log_term=3)
    lone.tick(SETTINGS.heartbeat_s)
    assert [message.kind for _, message, _ in lone.sent] == [Kind.PRE_VOTE_GRANTED]
    lone.tick(SETTINGS.heartbeat_s * 1.1)
    assert len(lone.take_sent(Kind.PRE_VOTE_REQUEST)) == 2, "but not longer than that"

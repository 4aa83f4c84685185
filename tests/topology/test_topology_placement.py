"""Placement: three AZs always, balanced, and a joining node takes only its share."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topology.placement import (
    Placement,
    PlacementError,
    PlacementNode,
    fair_shares,
    moved_replicas,
    place,
    preferred_leaders,
)

pytestmark = pytest.mark.unit


def names(seed: int, per_az: int, zones: str = "abc") -> list[PlacementNode]:
    return [PlacementNode(f"s{seed}-{zone}{number}", f"az-{zone}") for zone in zones for number in range(per_az)]


def assert_three_zones(placement: Placement, nodes: list[PlacementNode]) -> None:
    az_of = {node.id: node.az for node in nodes}
    for replicas in placement.values():
        assert len(replicas) == 3
        assert len({az_of[node] for node in replicas}) == 3


def loads(placement: Placement) -> Counter[str]:
    return Counter(node for replicas in placement.values() for node in replicas)


@pytest.mark.parametrize("partitions", [6, 48, 200])
@pytest.mark.parametrize("per_az", [1, 2, 3, 5, 8])
def test_a_joining_node_moves_at_most_its_share(per_az: int, partitions: int) -> None:
    """Issue 2: adding a node moves no more than 1.2/N of the replicas, N counted with the new node."""
    for seed in range(12):
        nodes = names(seed, per_az)
        before = place(range(1, partitions + 1), nodes)
        joined = [*nodes, PlacementNode(f"s{seed}-new", "az-b")]
        after = place(range(1, partitions + 1), joined, previous=before)
        assert_three_zones(after, joined)
        moved = moved_replicas(before, after)
        assert moved <= 1.2 / len(joined) * 3 * partitions
        # Everything that moved went to the new node, and it did get its share.
        assert loads(after)[f"s{seed}-new"] == moved == partitions // (per_az + 1)


@pytest.mark.parametrize("partitions", [6, 48, 200])
@pytest.mark.parametrize("per_az", [2, 3, 5, 8])
def test_a_leaving_node_moves_only_what_it_held(per_az: int, partitions: int) -> None:
    for seed in range(12):
        nodes = names(seed, per_az)
        before = place(range(partitions), nodes)
        left = nodes[1:]
        after = place(range(partitions), left, previous=before)
        assert_three_zones(after, left)
        assert moved_replicas(before, after) == loads(before)[nodes[0].id]
        assert moved_replicas(before, after) <= math.ceil(1.2 / len(nodes) * 3 * partitions)


def test_a_new_az_takes_its_share_from_all_and_nothing_else_moves() -> None:
    for seed in range(12):
        nodes = names(seed, 4)
        before = place(range(120), nodes)
        joined = [*nodes, PlacementNode("new", "az-d")]
        after = place(range(120), joined, previous=before)
        assert_three_zones(after, joined)
        assert moved_replicas(before, after) == loads(after)["new"] == math.floor(360 / 13)


@pytest.mark.parametrize("zones", ["abc", "abcd", "abcdef"])
@pytest.mark.parametrize("per_az", [1, 2, 5])
@pytest.mark.parametrize("partitions", [1, 7, 100])
def test_a_fresh_placement_is_balanced(zones: str, per_az: int, partitions: int) -> None:
    for seed in range(8):
        nodes = names(seed, per_az, zones)
        placement = place(range(partitions), nodes)
        assert_three_zones(placement, nodes)
        share = 3 * partitions / len(nodes)
        assert max(loads(placement).values()) <= math.ceil(share * 1.2)


def test_weights_share_out_an_az() -> None:
    nodes = [PlacementNode("a", "a"), PlacementNode("b", "b"), PlacementNode("c1", "c", 3.0), PlacementNode("c2", "c")]
    assert fair_shares(nodes, 100) == {"a": 100, "b": 100, "c1": 75, "c2": 25}
    assert loads(place(range(100), nodes)) == {"a": 100, "b": 100, "c1": 75, "c2": 25}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 4), min_size=3, max_size=5), st.integers(1, 40))
def test_any_sequence_of_joins_and_leaves_keeps_three_zones(seed: int, sizes: list[int], partitions: int) -> None:
    chance = random.Random(seed)
    nodes = [PlacementNode(f"{az}-{n}", f"az{az}") for az, size in enumerate(sizes) for n in range(size)]
    placement = place(range(partitions), nodes)
    for step in range(6):
        if chance.random() < 0.5 and len({node.az for node in nodes[1:]}) >= 3:
            nodes = nodes[1:]
        else:
            nodes = [*nodes, PlacementNode(f"j{step}", chance.choice(nodes).az, chance.choice([0.5, 1.0, 2.0]))]
        before, placement = placement, place(range(partitions), nodes, previous=placement)
        assert_three_zones(placement, nodes)
        assert placement == place(range(partitions), list(reversed(nodes)), previous=before)


def test_a_placement_depends_on_names_only() -> None:
    nodes = names(1, 3)
    shuffled = nodes[:]
    random.Random(3).shuffle(shuffled)
    assert place(range(20), nodes) == place(reversed(range(20)), shuffled)


@pytest.mark.parametrize(
    ("nodes", "error", "reason"),
    [
        pytest.param(names(0, 3, "ab"), PlacementError, "need 3 AZs", id="two AZs"),
        pytest.param([], PlacementError, "need 3 AZs", id="no nodes"),
        pytest.param([*names(0, 1), PlacementNode("s0-a0", "az-d")], ValueError, "named twice", id="one name twice"),
        pytest.param([*names(0, 1), PlacementNode("x", "az-a", 0.0)], ValueError, "positive", id="weight zero"),
        pytest.param([*names(0, 1), PlacementNode("x", "az-a", math.nan)], ValueError, "positive", id="weight nan"),
    ],
)
def test_impossible_input_is_refused(nodes: list[PlacementNode], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        place(range(3), nodes)


@pytest.mark.parametrize("partitions", [1, 5, 6, 7, 24, 100, 257])
@pytest.mark.parametrize("per_az", [1, 2, 4, 7])
def test_leaders_are_spread_over_nodes_and_zones(per_az: int, partitions: int) -> None:
    for seed in range(8):
        nodes = names(seed, per_az)
        az_of = {node.id: node.az for node in nodes}
        placement = place(range(1, partitions + 1), nodes)
        leaders = preferred_leaders(placement, az_of)
        assert all(leaders[partition] in replicas for partition, replicas in placement.items())
        by_node = Counter({node.id: 0 for node in nodes})
        by_node.update(leaders.values())
        by_zone = Counter(az_of[leader] for leader in leaders.values())
        assert max(by_zone[zone] for zone in by_zone) - min(by_zone[f"az-{zone}"] for zone in "abc") <= 1
        # Equal to within one wherever every node holds enough replicas for it to be possible.
        if partitions >= len(nodes):
            assert max(by_node.values()) - min(by_node.values()) <= 1


def test_leaders_move_along_chains_when_no_direct_swap_helps() -> None:
    # x leads all it holds; z can only be given partition 3, which y would have to give up for x's partition 2.
    placement = {1: ("x", "p", "q"), 2: ("x", "y", "q"), 3: ("y", "z", "q")}
    leaders = preferred_leaders(placement, {name: name for name in "xyzpq"})
    assert max(Counter(leaders.values()).values()) == 1


def test_the_catalog_group_is_led_where_fewest_data_partitions_are() -> None:
    nodes = names(0, 1)
    placement = place(range(8), nodes)
    leaders = preferred_leaders(placement, {node.id: node.az for node in nodes})
    data = Counter(leader for partition, leader in leaders.items() if partition != 0)
    assert sorted(data.values()) == [2, 2, 3]
    assert data[leaders[0]] == 2

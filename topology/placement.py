"""Which nodes hold which partition: weighted rendezvous hashing with a bounded load, one replica in each of three AZs.

Called by topology.catalog at bootstrap and, with the placement there is, when nodes join or leave. Laws: replicas of a
partition are never in one AZ; a joining node takes only its share and nothing moves between nodes that stay; the same
input gives the same output in every process.

Rendezvous hashing: Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998); weights: score
-weight / ln(hash); the bound on load: Mirrokni et al., "Consistent hashing with bounded loads" (2016).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

REPLICAS = 3
CATALOG_PARTITION = 0

Placement = dict[int, tuple[str, ...]]

# Shares are sums of fractions; below this a difference is rounding, not load.
EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class PlacementNode:
    """A node that may hold replicas; twice the weight gets twice the replicas of its AZ."""

    id: str
    az: str
    weight: float = 1.0


class PlacementError(ValueError):
    """No placement can keep the replicas of a partition in three AZs."""


@lru_cache(maxsize=1 << 16)
def _uniform(partition: int, name: str) -> float:
    """A number in (0, 1) that depends on nothing but its arguments."""
    digest = blake2b(f"{partition}/{name}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 1) / ((1 << 64) + 1)


def score(partition: int, name: str, weight: float) -> float:
    """Weighted rendezvous score: the highest bidder wins with probability proportional to its weight."""
    uniform = min(_uniform(partition, name), 1.0 - 2**-53)
    return -weight / math.log(uniform)


def fair_shares(nodes: Sequence[PlacementNode], partition_count: int) -> dict[str, float]:
    """How many replicas each node should hold: proportional to weight, but no AZ more than one of each partition.

    Raises PlacementError with fewer than three AZs.
    """
    weights: dict[str, float] = {}
    for node in nodes:
        weights[node.az] = weights.get(node.az, 0.0) + node.weight
    if len(weights) < REPLICAS:
        raise PlacementError(
            f"{REPLICAS} replicas need {REPLICAS} AZs, and there are {len(weights)}: {sorted(weights)}"
        )
    zones: dict[str, float] = {}
    open_zones = dict(weights)
    left = float(REPLICAS * partition_count)
    while open_zones:
        total = sum(open_zones.values())
        full = [az for az, weight in open_zones.items() if left * weight / total >= partition_count - EPSILON]
        if not full:
            zones.update({az: left * weight / total for az, weight in open_zones.items()})
            break
        # An AZ that is full passes the rest of its share on to the others.
        for az in full:
            zones[az] = float(partition_count)
            left -= partition_count
            del open_zones[az]
    return {node.id: zones[node.az] * node.weight / weights[node.az] for node in nodes}


def _bounded(bound: Callable[[float], int], share: float) -> int:
    """`share` rounded by floor or ceil, not fooled by 2.0000000001."""
    return bound(share + EPSILON) if bound is math.floor else bound(share - EPSILON)


class _Planner:
    """The working state of one call of `place`."""

    def __init__(self, partitions: Sequence[int], nodes: Sequence[PlacementNode]) -> None:
        self.partitions = partitions
        self.nodes = {node.id: node for node in nodes}
        self.shares = fair_shares(nodes, len(partitions))
        self.zones: dict[str, list[PlacementNode]] = {}
        for node in nodes:
            self.zones.setdefault(node.az, []).append(node)
        self.zone_shares = {az: sum(self.shares[node.id] for node in members) for az, members in self.zones.items()}
        self.loads = dict.fromkeys(self.nodes, 0)
        self.zone_loads = dict.fromkeys(self.zones, 0)
        # partition -> AZ -> node
        self.chosen: dict[int, dict[str, str]] = {partition: {} for partition in partitions}

    def assign(self, partition: int, node_id: str) -> None:
        az = self.nodes[node_id].az
        self.chosen[partition][az] = node_id
        self.loads[node_id] += 1
        self.zone_loads[az] += 1

    def release(self, partition: int, az: str) -> None:
        self.loads[self.chosen[partition].pop(az)] -= 1
        self.zone_loads[az] -= 1

    def keep(self, previous: Mapping[int, Sequence[str]]) -> None:
        """Start from what is there, without nodes that left and without a second replica in an AZ."""
        for partition in self.partitions:
            for node_id in previous.get(partition, ()):
                node = self.nodes.get(node_id)
                if node is not None and node.az not in self.chosen[partition] and self._missing(partition) > 0:
                    self.assign(partition, node_id)

    def fill(self) -> None:
        """Give every partition the replicas it lacks."""
        for partition in self.partitions:
            while self._missing(partition) > 0:
                zone = self._pick_zone(partition)
                self.assign(partition, self._pick_node(partition, zone))

    def _missing(self, partition: int) -> int:
        return REPLICAS - len(self.chosen[partition])

    def _pick_zone(self, partition: int) -> str:
        candidates = [az for az in self.zones if az not in self.chosen[partition]]
        for bound in (math.floor, math.ceil):
            roomy = [az for az in candidates if self.zone_loads[az] < _bounded(bound, self.zone_shares[az])]
            if roomy:
                return max(roomy, key=lambda az: (score(partition, az, self.zone_shares[az]), az))
        return min(candidates, key=lambda az: (self.zone_loads[az] / self.zone_shares[az], az))

    def _pick_node(self, partition: int, az: str) -> str:
        members = self.zones[az]
        # Everyone's share rounded down first: with only the upper bound the last in line could end a replica short, and
        # filling that gap would move a replica between two nodes that stay.
        for bound in (math.floor, math.ceil):
            roomy = [node for node in members if self.loads[node.id] < _bounded(bound, self.shares[node.id])]
            if roomy:
                return max(roomy, key=lambda node: (score(partition, node.id, node.weight), node.id)).id
        return min(members, key=lambda node: (self.loads[node.id] / self.shares[node.id], node.id)).id

    def rebalance(self) -> None:
        """Bring every node up to its share (rounded down), taking from the nodes that are furthest above theirs."""
        for node_id in sorted(self.nodes, key=lambda name: (self.loads[name] - self.shares[name], name)):
            while self.loads[node_id] + 1 <= self.shares[node_id] + EPSILON and self._take(self.nodes[node_id]):
                pass

    def _take(self, receiver: PlacementNode) -> bool:
        """Move one replica to `receiver`; False when nobody has one to give."""
        best: tuple[tuple[float, float, int], int, str] | None = None
        for partition, by_zone in self.chosen.items():
            # A replica already in the receiver's AZ can only be replaced there.
            donors = [by_zone[receiver.az]] if receiver.az in by_zone else list(by_zone.values())
            for donor in donors:
                surplus = self.loads[donor] - self.shares[donor]
                if donor == receiver.id or surplus <= EPSILON:
                    continue
                rank = (surplus, score(partition, receiver.id, receiver.weight), partition)
                if best is None or rank > best[0]:
                    best = (rank, partition, self.nodes[donor].az)
        if best is None:
            return False
        _, partition, donor_az = best
        self.release(partition, donor_az)
        self.assign(partition, receiver.id)
        return True

    def result(self) -> Placement:
        """Replicas of each partition in the order of their AZs' names."""
        return {partition: tuple(by_zone[az] for az in sorted(by_zone)) for partition, by_zone in self.chosen.items()}


def place(
    partitions: Iterable[int],
    nodes: Iterable[PlacementNode],
    previous: Mapping[int, Sequence[str]] | None = None,
) -> Placement:
    """Three nodes in three AZs for each partition.

    No node gets more than its fair share rounded up, as far as one replica per AZ allows. With `previous`, what is
    there stays: replicas move only off nodes that left and onto nodes that lack a whole replica of their share.
    Raises PlacementError with fewer than three AZs, ValueError for a node named twice or a weight that is not positive.
    """
    members = sorted(nodes, key=lambda node: node.id)
    if len({node.id for node in members}) != len(members):
        raise ValueError("a node is named twice")
    if any(not (node.weight > 0 and math.isfinite(node.weight)) for node in members):
        raise ValueError("a node's weight must be positive")
    planner = _Planner(sorted(set(partitions)), members)
    planner.keep(previous or {})
    planner.fill()
    planner.rebalance()
    return planner.result()


def moved_replicas(before: Mapping[int, Sequence[str]], after: Mapping[int, Sequence[str]]) -> int:
    """How many replicas `after` has on nodes that did not hold the partition before."""
    return sum(len(set(replicas) - set(before.get(partition, ()))) for partition, replicas in after.items())


def preferred_leaders(placement: Mapping[int, Sequence[str]], az_of: Mapping[str, str]) -> dict[int, str]:
    """One of its replicas for each partition, so that nodes, and then AZs, lead as equally as the placement allows.

    The catalog group leads little and is given last, to the replica with the fewest data partitions to lead.
    """
    leaders = _Leaders({p: tuple(r) for p, r in placement.items() if p != CATALOG_PARTITION}, az_of)
    leaders.balance()
    chosen = dict(leaders.chosen)
    if CATALOG_PARTITION in placement:
        replicas = placement[CATALOG_PARTITION]
        chosen[CATALOG_PARTITION] = min(replicas, key=lambda node: (leaders.loads.get(node, 0), node))
    return dict(sorted(chosen.items()))


class _Leaders:
    """Leadership handed along chains of replicas until no chain makes it more equal.

    A chain u -> v -> w exists when u leads a partition with a replica on v, and v one with a replica on w. The minimum
    sum of squares is reached exactly when no chain leads from a node to one with at least two fewer: the argument of
    augmenting paths in bipartite matching.
    """

    def __init__(self, placement: Mapping[int, tuple[str, ...]], az_of: Mapping[str, str]) -> None:
        self._placement = placement
        self._az_of = az_of
        self.loads = {node: 0 for replicas in placement.values() for node in replicas}
        self.zone_loads = {az_of[node]: 0 for node in self.loads}
        self.chosen: dict[int, str] = {}
        for partition, replicas in sorted(placement.items()):
            leader = min(replicas, key=lambda node: (self.loads[node], self.zone_loads[az_of[node]], node))
            self.chosen[partition] = leader
            self.loads[leader] += 1
            self.zone_loads[az_of[leader]] += 1

    def balance(self) -> None:
        """Apply chains while one helps. Each lowers the nodes' sum of squares, or keeps it and lowers the AZs'."""
        while self._improve():
            pass

    def _improve(self) -> bool:
        led: dict[str, list[int]] = {}
        for partition, leader in self.chosen.items():
            led.setdefault(leader, []).append(partition)
        for start in sorted(self.loads, key=lambda node: (-self.loads[node], node)):
            came_from = self._reachable(start, led)
            ends = [node for node in came_from if self._helps(start, node)]
            if ends:
                end = min(ends, key=lambda node: (self.loads[node], self.zone_loads[self._az_of[node]], node))
                self._apply(came_from, end)
                return True
        return False

    def _helps(self, start: str, end: str) -> bool:
        difference = self.loads[start] - self.loads[end]
        from_zone, to_zone = self._az_of[start], self._az_of[end]
        return difference >= 2 or (difference == 1 and self.zone_loads[from_zone] - self.zone_loads[to_zone] >= 2)

    def _reachable(self, start: str, led: Mapping[str, Sequence[int]]) -> dict[str, tuple[str, int]]:
        """Every node a chain from `start` ends at -> (the node before it, the partition handed over)."""
        came_from: dict[str, tuple[str, int]] = {}
        queue = deque([start])
        while queue:
            node = queue.popleft()
            for partition in led.get(node, ()):
                for replica in self._placement[partition]:
                    if replica != start and replica not in came_from:
                        came_from[replica] = (node, partition)
                        queue.append(replica)
        return came_from

    def _apply(self, came_from: Mapping[str, tuple[str, int]], end: str) -> None:
        node = end
        self.loads[end] += 1
        self.zone_loads[self._az_of[end]] += 1
        while node in came_from:
            giver, partition = came_from[node]
            self.chosen[partition] = node
            node = giver
        self.loads[node] -= 1
        self.zone_loads[self._az_of[node]] -= 1

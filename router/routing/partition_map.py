"""Which partition owns a key, and where its replicas are: one immutable value for each catalog version.

Called by router.operations (locate, hot path) and router.routing.state. Pure. Law: made from one catalog only, so that
a key is never routed by half an old and half a new map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from topology.catalog import ring_of
from wire import catalog_pb2 as pb


class RangeSlice(NamedTuple):
    """The part of a key range that one partition holds: `start` inclusive, `end` exclusive, b"" for no end."""

    partition: int
    start: bytes
    end: bytes


class PartitionMap:
    """Ring and replicas of one catalog."""

    __slots__ = ("_ranges", "addresses", "azs", "locate", "preferred_leaders", "replicas", "version")

    def __init__(self, catalog: pb.Catalog) -> None:
        """Raises ValueError when the partitions do not cover the ring (a catalog no leader commits)."""
        ring = ring_of(catalog)
        # A bound method: one call on the hot path instead of two.
        self.locate = ring.locate
        self._ranges = tuple((partition, *ring.range_of(partition)) for partition in ring.ids)
        self.version = catalog.version
        self.replicas: Mapping[int, tuple[str, ...]] = {one.id: tuple(one.replicas) for one in catalog.partitions}
        self.preferred_leaders: Mapping[int, str] = {one.id: one.preferred_leader for one in catalog.partitions}
        self.azs: Mapping[str, str] = {node.id: node.az for node in catalog.nodes}
        self.addresses: Mapping[str, str] = {node.id: node.address for node in catalog.nodes}

    def slices(self, start: bytes, end: bytes) -> list[RangeSlice]:
        """The key range from `start` to `end` (exclusive, b"": no end) cut at partition boundaries, in ring order.

        Empty when the range is. A range that begins or ends within a partition gets only that part of it.
        """
        found = []
        for partition, first, behind in self._ranges:
            low = max(start, first)
            high = end if behind is None or (end and end < behind) else behind
            if not high or low < high:
                found.append(RangeSlice(partition, low, high))
        return found


def read_order(partition: int, replicas: tuple[str, ...], azs: Mapping[str, str], own_az: str) -> tuple[str, ...]:
    """Replicas in the order an eventual read prefers them: own AZ first, the others turned by partition.

    Turned, so that a router in an AZ without replicas spreads its reads instead of sending all to the first node.
    """
    near = [node for node in replicas if azs.get(node) == own_az]
    far = [node for node in replicas if azs.get(node) != own_az]
    turn = partition % len(far) if far else 0
    return (*near, *far[turn:], *far[:turn])

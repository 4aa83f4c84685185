"""The consistent-hash ring: which partition owns a 128-bit hash.

Called by routers for every operation and by nodes to check that an operation came to the right place. Law: boundaries
cover the whole ring without gap or overlap; the same boundaries give the same answer in every process.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

HASH_BYTES = 16
RING_SIZE = 1 << (8 * HASH_BYTES)


def initial_boundaries(count: int) -> list[bytes]:
    """The first hash (16 bytes, inclusive) of each of `count` equal slices of the ring; the first is all zeros.

    Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"a ring has at least one partition, not {count}")
    return [(number * RING_SIZE // count).to_bytes(HASH_BYTES, "big") for number in range(count)]


class PartitionRing:
    """Locates hashes. Immutable: a split makes a new ring."""

    __slots__ = ("_boundaries", "_ids")

    def __init__(self, boundaries: Sequence[bytes], ids: Sequence[int]) -> None:
        """`boundaries[i]` is the first hash of partition `ids[i]`; raises ValueError unless they cover the ring."""
        if not boundaries or len(boundaries) != len(ids):
            raise ValueError(f"{len(boundaries)} boundaries for {len(ids)} partitions")
        if boundaries[0] != bytes(HASH_BYTES):
            raise ValueError("the first partition must begin at hash zero, or low hashes would have no owner")
        if any(len(boundary) != HASH_BYTES for boundary in boundaries):
            raise ValueError(f"a boundary is {HASH_BYTES} bytes")
        if any(low >= high for low, high in pairwise(boundaries)):
            raise ValueError("boundaries must ascend strictly")
        if len(set(ids)) != len(ids):
            raise ValueError("a partition owns one slice of the ring")
        self._boundaries = tuple(boundaries)
        self._ids = tuple(ids)

    @property
    def ids(self) -> tuple[int, ...]:
        """Partition ids in ring order."""
        return self._ids

    def locate(self, hash16: bytes) -> int:
        """The id of the partition that owns this 16-byte hash. Hot path: bytes compare in hash order as they are."""
        return self._ids[bisect_right(self._boundaries, hash16) - 1]

    def range_of(self, partition: int) -> tuple[bytes, bytes | None]:
        """First hash (inclusive) and end (exclusive; None: the end of the ring). Raises ValueError if unknown."""
        position = self._ids.index(partition)
        end = self._boundaries[position + 1] if position + 1 < len(self._boundaries) else None
        return self._boundaries[position], end

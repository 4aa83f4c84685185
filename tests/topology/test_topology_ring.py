"""The ring: every hash has exactly one owner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topology.ring import HASH_BYTES, RING_SIZE, PartitionRing, initial_boundaries

pytestmark = pytest.mark.unit

ZERO = bytes(16)


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 64, 1000, 1024])
def test_initial_slices_cover_the_ring_and_differ_by_at_most_one(count: int) -> None:
    boundaries = initial_boundaries(count)
    starts = [int.from_bytes(boundary, "big") for boundary in boundaries]
    sizes = [end - start for start, end in zip(starts, [*starts[1:], RING_SIZE], strict=True)]
    assert boundaries[0] == ZERO
    assert {len(boundary) for boundary in boundaries} == {HASH_BYTES}
    assert sum(sizes) == RING_SIZE
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("count", [0, -1])
def test_a_ring_of_nothing_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        initial_boundaries(count)


@given(st.integers(1, 40), st.binary(min_size=16, max_size=16))
def test_locate_agrees_with_a_linear_search(count: int, hash16: bytes) -> None:
    boundaries = initial_boundaries(count)
    ids = [100 + number for number in range(count)]
    ring = PartitionRing(boundaries, ids)
    owner = [number for boundary, number in zip(boundaries, ids, strict=True) if boundary <= hash16][-1]
    assert ring.locate(hash16) == owner
    first, end = ring.range_of(owner)
    assert first <= hash16
    assert end is None or hash16 < end


def test_a_boundary_belongs_to_the_slice_it_begins() -> None:
    ring = PartitionRing([ZERO, b"\x80" + bytes(15)], [7, 3])
    assert ring.ids == (7, 3)
    assert ring.locate(ZERO) == 7
    assert ring.locate(b"\x7f" + b"\xff" * 15) == 7
    assert ring.locate(b"\x80" + bytes(15)) == 3
    assert ring.locate(b"\xff" * 16) == 3
    assert ring.range_of(3) == (b"\x80" + bytes(15), None)
    with pytest.raises(ValueError):
        ring.range_of(9)


@pytest.mark.parametrize(
    ("boundaries", "ids", "reason"),
    [
        pytest.param([], [], "0 boundaries", id="no slice"),
        pytest.param([ZERO], [1, 2], "1 boundaries for 2", id="a partition without a slice"),
        pytest.param([b"\x01" * 16], [1], "begin at hash zero", id="a gap at the start"),
        pytest.param([ZERO, b"\x80"], [1, 2], "16 bytes", id="a short boundary"),
        pytest.param([ZERO, ZERO], [1, 2], "ascend", id="an empty slice"),
        pytest.param([ZERO, b"\x02" * 16, b"\x01" * 16], [1, 2, 3], "ascend", id="out of order"),
        pytest.param([ZERO, b"\x01" * 16], [1, 1], "one slice", id="one partition twice"),
    ],
)
def test_boundaries_that_do_not_cover_the_ring_are_refused(
    boundaries: list[bytes], ids: list[int], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        PartitionRing(boundaries, ids)

"""A page of a Scan merged from partitions equals one walk over the ring."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.limits import SCAN_PARTITIONS_AT_ONCE_MAX
from router.operations.range_pages import Page
from router.operations.scan_merge import Ask, ScanMerge
from router.routing.partition_map import RangeSlice
from topology.ring import initial_boundaries
from wire import data_pb2

pytestmark = pytest.mark.unit

# Entries of a slice: (name, size).
Entries = list[tuple[str, int]]


def slices_of(count: int) -> list[RangeSlice]:
    starts = initial_boundaries(count)
    return [
        RangeSlice(number + 1, start, end)
        for number, (start, end) in enumerate(zip(starts, [*starts[1:], b""], strict=True))
    ]


def read(entries: Entries, limit: int, bytes_max: int) -> data_pb2.Result:
    """What a node answers (proto: RangeRead)."""
    taken: Entries = []
    total = 0
    stopped = False
    for entry in entries:
        taken.append(entry)
        total += entry[1]
        if len(taken) == limit or total >= bytes_max:
            stopped = True
            break
    return data_pb2.Result(
        status=data_pb2.OK,
        item=b",".join(name.encode() for name, _ in taken),
        count=len(taken),
        scanned=len(taken),
        bytes_read=total,
        last_key=taken[-1][0].encode() if stopped else b"",
    )


def run(partitions: list[Entries], limit: int, bytes_max: int, rng: random.Random) -> tuple[Page, list[Ask]]:
    """Answer the asks in any order."""
    merge = ScanMerge(slices_of(len(partitions)), limit, bytes_max)
    open_asks = merge.begin()
    made = list(open_asks)
    while not merge.ended:
        assert open_asks, "nothing is asked and the page has not ended"
        ask = open_asks.pop(rng.randrange(len(open_asks)))
        assert len({one.position for one in open_asks}) == len(open_asks)
        more = merge.received(ask, read(partitions[ask.position], ask.limit, ask.bytes_max))
        made += more
        open_asks += more
    return merge.page, made


def pages_walk(partitions: list[Entries], limit: int, bytes_max: int) -> data_pb2.Result:
    return read([entry for entries in partitions for entry in entries], limit, bytes_max)


@settings(max_examples=400)
@given(
    sizes=st.lists(st.lists(st.integers(1, 40), max_size=12), min_size=1, max_size=20),
    limit=st.integers(0, 30),
    bytes_max=st.integers(1, 300),
    seed=st.integers(0, 2**32),
)
def test_a_merged_page_equals_one_walk(sizes: list[list[int]], limit: int, bytes_max: int, seed: int) -> None:
    partitions = [[(f"{p}.{n}", size) for n, size in enumerate(of)] for p, of in enumerate(sizes)]
    page, _ = run(partitions, limit, bytes_max, random.Random(seed))
    expected = pages_walk(partitions, limit, bytes_max)
    assert b",".join(page.items) == expected.item
    assert (page.count, page.scanned, page.bytes_read) == (expected.count, expected.scanned, expected.bytes_read)
    assert page.last_key == expected.last_key


def even(partitions: int, entries: int, size: int) -> list[Entries]:
    return [[(f"{p}.{n}", size) for n in range(entries)] for p in range(partitions)]


@pytest.mark.parametrize(
    ("partitions", "limit", "bytes_max", "asks"),
    [
        pytest.param(even(6, 1000, 100), 10, 1 << 20, 1, id="a limit that the first partition fills asks one"),
        pytest.param(even(6, 50_000, 100), 0, 1 << 20, 1, id="a big table asks one partition a page"),
        pytest.param(even(6, 3, 100), 0, 1 << 20, 6, id="a small table asks each partition once"),
        pytest.param(even(6, 3, 100), 12, 1 << 20, 4, id="a limit over small partitions asks as many as it needs"),
        pytest.param(even(6, 0, 100), 0, 1 << 20, 6, id="an empty table asks each partition once"),
    ],
)
def test_partitions_are_asked_no_more_than_needed(
    partitions: list[Entries], limit: int, bytes_max: int, asks: int
) -> None:
    _, made = run(partitions, limit, bytes_max, random.Random(1))
    assert len(made) == asks


def test_a_small_table_is_asked_in_parallel_after_the_first_partition() -> None:
    merge = ScanMerge(slices_of(6), 0, 1 << 20)
    (first,) = merge.begin()
    assert [ask.position for ask in merge.received(first, read([("a", 10)], 0, 1 << 20))] == [1, 2, 3, 4, 5]


def test_what_is_asked_at_once_is_bounded() -> None:
    merge = ScanMerge(slices_of(200), 0, 1 << 20)
    (first,) = merge.begin()
    assert len(merge.received(first, read([("a", 10)], 0, 1 << 20))) == SCAN_PARTITIONS_AT_ONCE_MAX


def test_the_rest_of_a_partition_counts_by_its_share_of_the_ring() -> None:
    starts = initial_boundaries(4)
    tail = (int.from_bytes(starts[1], "big") - (1 << 100)).to_bytes(16, "big")
    slices = [RangeSlice(1, tail + b"key", starts[1]), *slices_of(4)[1:]]
    merge = ScanMerge(slices, 0, 1 << 20)
    (first,) = merge.begin()
    assert len(merge.received(first, read([("a", 1000)], 0, 1 << 20))) == 1, "three would be read and thrown away"


def test_answers_after_the_end_are_ignored() -> None:
    merge = ScanMerge(slices_of(3), 0, 1 << 20)
    (first,) = merge.begin()
    second, third = merge.received(first, read([("a", 10)], 0, 1 << 20))
    full = data_pb2.Result(status=data_pb2.OK, scanned=1, count=1, bytes_read=1 << 20, last_key=b"{}", item=b"x")
    assert merge.received(second, full) == []
    assert merge.ended
    assert merge.received(third, read([("c", 10)], 0, 1 << 20)) == []
    assert merge.page.items == [b"a", b"x"]

"""The contract of replication.ports.Store, kept by RocksDB and by its memory twin alike."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.storage.errors import StoreError
from node.storage.memory import MemoryStore, StateSums
from node.storage.rocks import RocksStore
from replication.ports import Family, Store

pytestmark = pytest.mark.integration

SMALL = {"memtable_bytes": 1 << 20, "block_cache_bytes": 1 << 20}


def open_rocks(folder: Path) -> RocksStore:
    return RocksStore(folder, **SMALL)


@pytest.fixture(params=["rocks", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store: Store = open_rocks(tmp_path / "store") if request.param == "rocks" else MemoryStore()
    yield store
    store.close()


def everything(store: Store, family: Family = Family.DATA) -> list[tuple[bytes, bytes]]:
    return list(store.scan(family, b"", b"\xff" * 20))


def write(store: Store, *pairs: tuple[bytes, bytes], family: Family = Family.DATA) -> None:
    for key, value in pairs:
        store.put(family, key, value)
    store.write_batch()


def test_a_write_is_seen_only_after_write_batch(store: Store) -> None:
    write(store, (b"k", b"old"), (b"gone", b"1"), (b"range", b"1"))
    store.put(Family.DATA, b"k", b"new")
    store.delete(Family.DATA, b"gone")
    store.delete_range(Family.DATA, b"ra", b"rb")
    assert store.get(Family.DATA, b"k") == b"old"
    assert everything(store) == [(b"gone", b"1"), (b"k", b"old"), (b"range", b"1")]
    assert store.write_batch()
    assert everything(store) == [(b"k", b"new")]


def test_an_empty_batch_is_not_written(store: Store) -> None:
    assert not store.write_batch()
    write(store, (b"k", b"v"))
    assert not store.write_batch()


def test_an_absent_key_has_no_value(store: Store) -> None:
    assert store.get(Family.DATA, b"k") is None


def test_families_do_not_mix(store: Store) -> None:
    for family in Family:
        store.put(family, b"k", family.name.encode())
    store.write_batch()
    store.delete(Family.LOG, b"k")
    store.write_batch()
    assert [store.get(family, b"k") for family in Family] == [None, b"DATA", b"META", b"OUTBOX"]


def test_an_empty_value_is_a_value(store: Store) -> None:
    write(store, (b"k", b""))
    assert store.get(Family.DATA, b"k") == b""
    assert everything(store) == [(b"k", b"")]


def test_within_a_batch_the_later_operation_wins(store: Store) -> None:
    store.put(Family.DATA, b"a", b"1")
    store.delete(Family.DATA, b"a")
    store.put(Family.DATA, b"b", b"1")
    store.delete_range(Family.DATA, b"a", b"c")
    store.put(Family.DATA, b"b", b"2")
    store.write_batch()
    assert everything(store) == [(b"b", b"2")]


def test_a_range_ends_before_its_end(store: Store) -> None:
    write(store, *((bytes([number]), b"v") for number in range(6)))
    store.delete_range(Family.DATA, b"\x01", b"\x03")
    store.write_batch()
    assert [key for key, _ in everything(store)] == [b"\x00", b"\x03", b"\x04", b"\x05"]
    assert [key for key, _ in store.scan(Family.DATA, b"\x01", b"\x05")] == [b"\x03", b"\x04"]


def test_keys_come_in_byte_order(store: Store) -> None:
    keys = [b"\x00", b"\x00\x00", b"\x7f", b"\x80", b"\xff", b"\xff\x00", b"a", b"aa", b"b"]
    write(store, *((key, b"v") for key in reversed(keys)))
    assert [key for key, _ in everything(store)] == sorted(keys)


def test_a_scan_shows_the_moment_it_was_asked_for(store: Store) -> None:
    write(store, *((b"%02d" % number, b"old") for number in range(20)))
    scan = store.scan(Family.DATA, b"00", b"99")
    store.delete_range(Family.DATA, b"05", b"10")
    write(store, (b"03", b"new"), (b"99", b"new"), (b"005", b"new"))
    assert list(scan) == [(b"%02d" % number, b"old") for number in range(20)]


def test_a_scan_that_began_shows_its_moment_to_the_end(store: Store) -> None:
    write(store, *((b"%03d" % number, b"old") for number in range(100)))
    scan = store.scan(Family.DATA, b"000", b"999")
    first = [next(scan) for _ in range(10)]
    for number in range(100):
        write(store, (b"%03d" % number, b"new"))
    store.sync()
    assert first + list(scan) == [(b"%03d" % number, b"old") for number in range(100)]


def test_an_abandoned_scan_does_no_harm(store: Store) -> None:
    write(store, (b"a", b"1"), (b"b", b"2"))
    scan = store.scan(Family.DATA, b"", b"z")
    next(scan)
    del scan
    assert everything(store) == [(b"a", b"1"), (b"b", b"2")]


def test_keys_come_backward_from_the_end_of_a_range(store: Store) -> None:
    write(store, *((bytes([number]), b"v") for number in range(6)), (b"\x03\x00", b"v"))
    assert list(store.scan_back(Family.DATA, b"", b"\xff")) == everything(store)[::-1]
    assert [key for key, _ in store.scan_back(Family.DATA, b"\x01", b"\x04")] == [
        b"\x03\x00",
        b"\x03",
        b"\x02",
        b"\x01",
    ]
    assert [key for key, _ in store.scan_back(Family.DATA, b"\x02\x00", b"\x03\x00")] == [b"\x03"]
    assert list(store.scan_back(Family.DATA, b"\x02\x00", b"\x03")) == []
    assert list(store.scan_back(Family.LOG, b"", b"\xff")) == []


def test_a_backward_scan_shows_the_moment_it_was_asked_for_to_the_end(store: Store) -> None:
    write(store, *((b"%03d" % number, b"old") for number in range(100)))
    scan = store.scan_back(Family.DATA, b"000", b"999")
    write(store, (b"9985", b"new"), (b"050", b"new"))
    first = [next(scan) for _ in range(10)]
    store.delete_range(Family.DATA, b"000", b"080")
    store.write_batch()
    assert first + list(scan) == [(b"%03d" % number, b"old") for number in reversed(range(100))]


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "delete", "range", "write"]), st.binary(max_size=2), st.binary(max_size=2)),
    max_size=30,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPERATIONS)
def test_both_stores_hold_the_same_after_the_same_operations(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, bytes, bytes]]
) -> None:
    rocks, memory = open_rocks(tmp_path_factory.mktemp("twin")), MemoryStore()
    try:
        for kind, first, second in operations:
            for store in (rocks, memory):
                if kind == "put":
                    store.put(Family.DATA, first, second)
                elif kind == "delete":
                    store.delete(Family.DATA, first)
                elif kind == "range":
                    store.delete_range(Family.DATA, min(first, second), max(first, second))
                else:
                    store.write_batch()
        assert everything(rocks) == everything(memory)
        assert rocks.write_batch() == memory.write_batch()
        assert everything(rocks) == everything(memory)
        for start, end in pairwise(sorted({b"", b"\xff" * 20, *(first for _, first, _ in operations)})):
            backward = list(rocks.scan_back(Family.DATA, start, end))
            assert backward == list(memory.scan_back(Family.DATA, start, end))
            assert backward == list(rocks.scan(Family.DATA, start, end))[::-1]
    finally:
        rocks.close()


# ---------------------------------------------------------------------------------------------- what survives
def test_rocks_finds_written_batches_after_it_was_opened_again(tmp_path: Path) -> None:
    store = open_rocks(tmp_path)
    write(store, (b"written", b"1"))
    store.sync()
    write(store, (b"log", b"2"), family=Family.LOG)
    store.put(Family.DATA, b"collected", b"3")
    store.close()
    again = open_rocks(tmp_path)
    assert everything(again) == [(b"written", b"1")]
    assert everything(again, Family.LOG) == [(b"log", b"2")]
    again.close()


def test_rocks_refuses_a_folder_that_another_store_has_open(tmp_path: Path) -> None:
    store = open_rocks(tmp_path)
    with pytest.raises(StoreError, match="cannot open the store in"):
        open_rocks(tmp_path)
    store.close()


def test_rocks_says_why_a_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot make the data folder"):
        open_rocks(tmp_path / "file" / "store")


def batches(count: int) -> MemoryStore:
    """A store with one key for each of `count` written batches."""
    store = MemoryStore()
    for number in range(count):
        write(store, (b"%d" % number, b"v"))
    return store


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_power_loss_keeps_what_was_synced_and_a_prefix_of_the_rest(kept: int) -> None:
    store = batches(2)
    store.sync()
    for number in (2, 3, 4):
        write(store, (b"%d" % number, b"v"))
    store.put(Family.DATA, b"collected", b"v")
    survivor = store.crash(kept)
    assert [key for key, _ in everything(survivor)] == [b"%d" % number for number in range(2 + kept)]
    assert survivor.unsynced_batches == 0


def test_power_loss_takes_unsynced_deletions_back() -> None:
    store = batches(3)
    store.sync()
    store.delete_range(Family.DATA, b"0", b"2")
    store.write_batch()
    assert [key for key, _ in everything(store.crash())] == [b"0", b"1", b"2"]
    assert [key for key, _ in everything(store.crash(1))] == [b"2"]


def test_a_sync_covers_the_batches_written_when_it_began() -> None:
    store = batches(2)
    covered = store.unsynced_batches
    write(store, (b"late", b"v"))
    store.sync_first(covered)
    assert [key for key, _ in everything(store.crash())] == [b"0", b"1"]
    assert store.unsynced_batches == 1


def test_what_survived_is_independent_of_the_store_it_came_from() -> None:
    store = batches(2)
    survivor = store.crash(2)
    write(store, (b"more", b"v"))
    assert [key for key, _ in everything(survivor)] == [b"0", b"1"]


def test_a_torn_journal_keeps_whole_batches_only() -> None:
    store = MemoryStore()
    sizes = []
    for number in range(3):
        before = store.unsynced_bytes
        store.put(Family.DATA, b"%da" % number, b"v" * 10 * number)
        store.put(Family.DATA, b"%db" % number, b"v")
        store.write_batch()
        sizes.append(store.unsynced_bytes - before)
    assert sizes[0] < sizes[1] < sizes[2]
    ends = [0, sizes[0], sizes[0] + sizes[1], sum(sizes)]
    for journal_bytes in range(sum(sizes) + 1):
        whole = sum(end <= journal_bytes for end in ends[1:])
        assert store.batches_within(journal_bytes) == whole
    survivor = store.crash(store.batches_within(ends[2] - 1))
    assert [key for key, _ in everything(survivor)] == [b"0a", b"0b"]


def test_a_full_disk_refuses_the_whole_batch_and_what_was_written_stays() -> None:
    store = batches(1)
    store.is_full = True
    store.put(Family.DATA, b"1", b"v")
    store.put(Family.DATA, b"2", b"v")
    with pytest.raises(StoreError, match="No space left"):
        store.write_batch()
    survivor = store.crash(1)
    assert survivor.is_full
    survivor.is_full = False
    write(survivor, (b"3", b"v"))
    assert [key for key, _ in everything(survivor)] == [b"0", b"3"]


def test_sums_of_states_follow_every_write_deletion_and_crash() -> None:
    draw = random.Random(5)

    def fresh() -> MemoryStore:
        return MemoryStore(StateSums((Family.DATA, Family.OUTBOX), 1))

    def sums_anew(store: MemoryStore) -> dict[bytes, int]:
        other = fresh()
        for family in (Family.DATA, Family.OUTBOX):
            for key, value in store.scan(family, b"", b"\xff"):
                other.put(family, key, value)
        other.write_batch()
        assert other.sums is not None
        return {prefix: other.sums.of(prefix) for prefix in (b"a", b"b")}

    store = fresh()
    for _ in range(300):
        family = draw.choice((Family.DATA, Family.OUTBOX, Family.LOG))
        key = draw.choice((b"a", b"b")) + b"%02d" % draw.randrange(30)
        if draw.random() < 0.7:
            store.put(family, key, b"%d" % draw.randrange(5))
        elif draw.random() < 0.5:
            store.delete(family, key)
        else:
            store.delete_range(family, key, key[:1] + b"99")
        if draw.random() < 0.3:
            store.write_batch()
        if draw.random() < 0.05:
            store.sync_first(draw.randint(0, store.unsynced_batches))
        if draw.random() < 0.05:
            store = store.crash(draw.randint(0, store.unsynced_batches))
        store.write_batch()
        assert store.sums is not None
        assert {prefix: store.sums.of(prefix) for prefix in (b"a", b"b")} == sums_anew(store)


def test_equal_states_under_other_prefixes_have_equal_sums() -> None:
    sums = StateSums((Family.DATA,), 1)
    store = MemoryStore(sums)
    write(store, (b"a1", b"v"), (b"b1", b"v"))
    assert sums.of(b"a") == sums.of(b"b") != 0
    write(store, (b"b2", b"v"))
    assert sums.of(b"a") != sums.of(b"b")

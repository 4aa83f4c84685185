"""One replica's state: apply, the fence of dropped tables, and snapshots put in place at once."""

from __future__ import annotations

import pytest

from node.machine.state import LOG_ENTRY_VERSION, STATE_FAMILIES, PartitionState, UnreadableEntry
from node.storage import keyspace
from node.storage.memory import MemoryStore
from replication.ports import Family
from runtime.clock import HybridClock, ManualClock
from wire import log_pb2

pytestmark = pytest.mark.unit

GROUP = 4


def open_state(store: MemoryStore, group_id: int = GROUP) -> PartitionState:
    return PartitionState(store, group_id, HybridClock(ManualClock()))


def entry(hybrid_time: int, *mutations: tuple[int, bytes, bytes | None], drop: int = 0) -> bytes:
    message = log_pb2.LogEntry(version=LOG_ENTRY_VERSION, hybrid_time=hybrid_time)
    for table_id, key, item in mutations:
        message.mutations.add(table_id=table_id, key=key, item=item or b"", deleted=item is None)
    if drop:
        message.drop_tables.add(table_id=drop)
    return message.SerializeToString()


def turn(state: PartitionState, store: MemoryStore) -> None:
    """What node.host does at the end of a turn."""
    state.flush()
    store.write_batch()
    state.batch_written()


def applied(store: MemoryStore, *payloads: bytes) -> PartitionState:
    """A state that applied `payloads` from index 2 on."""
    state = open_state(store)
    for index, payload in enumerate(payloads, start=2):
        state.apply(index, payload)
    turn(state, store)
    return state


def item(state: PartitionState, table_id: int, key: bytes) -> bytes | None:
    return state.get(keyspace.item_key(table_id, key))


def contents(state: PartitionState) -> dict[bytes, bytes]:
    return dict(state.snapshot())


def test_a_new_replica_begins_at_the_first_entry() -> None:
    state = open_state(MemoryStore())
    assert (state.applied_index, contents(state)) == (1, {b"": bytes(8)})


def test_entries_put_replace_and_delete() -> None:
    store = MemoryStore()
    state = applied(store, entry(10, (1, b"a", b"1"), (1, b"b", b"1")), entry(11, (1, b"a", b"2"), (1, b"b", None)))
    assert (item(state, 1, b"a"), item(state, 1, b"b"), state.applied_index) == (b"2", None, 3)


def test_deleting_what_is_not_there_is_no_fault() -> None:
    state = applied(MemoryStore(), entry(10, (1, b"a", None)))
    assert item(state, 1, b"a") is None


def test_tables_and_groups_with_equal_keys_do_not_mix() -> None:
    store = MemoryStore()
    one = applied(store, entry(10, (1, b"k", b"table 1"), (2, b"k", b"table 2")))
    other = open_state(store, GROUP + 1)
    other.apply(2, entry(10, (1, b"k", b"other group")))
    turn(other, store)
    assert [item(one, 1, b"k"), item(one, 2, b"k"), item(other, 1, b"k")] == [b"table 1", b"table 2", b"other group"]


@pytest.mark.parametrize("kept", [0, 1])
def test_effects_and_applied_index_survive_together_or_not_at_all(kept: int) -> None:
    store = MemoryStore()
    applied(store, entry(10, (1, b"a", b"1")))
    store.sync()
    state = open_state(store)
    state.apply(3, entry(11, (1, b"a", b"2")))
    turn(state, store)
    again = open_state(store.crash(kept))
    assert (again.applied_index, item(again, 1, b"a")) == ((3, b"2") if kept else (2, b"1"))


def test_entries_without_effect_move_the_applied_index() -> None:
    store = MemoryStore()
    state = open_state(store)
    state.note_applied(2)
    turn(state, store)
    assert open_state(store).applied_index == 2


def test_an_entry_of_a_newer_program_stops_this_one() -> None:
    state = open_state(MemoryStore())
    with pytest.raises(UnreadableEntry, match="partition 4 index 2: entry version 9"):
        state.apply(2, log_pb2.LogEntry(version=9).SerializeToString())


def test_the_hybrid_clock_never_falls_behind_what_was_applied() -> None:
    store = MemoryStore()
    clock = HybridClock(ManualClock())
    future = clock.next() + (1 << 40)
    PartitionState(store, GROUP, clock).apply(2, entry(future))
    assert clock.next() > future
    turn(applied(store, entry(future)), store)
    restarted = HybridClock(ManualClock())
    PartitionState(store, GROUP, restarted)
    assert restarted.next() > future


# ---------------------------------------------------------------------------------------------- dropped tables
def test_dropping_a_table_takes_its_rows_and_no_others() -> None:
    store = MemoryStore()
    rows = entry(10, *((table, b"k%d" % number, b"v") for table in (1, 2, 3) for number in range(3)))
    state = applied(store, rows, entry(11, drop=2))
    assert [item(state, table, b"k1") for table in (1, 2, 3)] == [b"v", None, b"v"]
    assert state.dropped_tables == {2}


def test_a_write_that_lost_the_race_against_the_drop_leaves_no_row() -> None:
    state = applied(MemoryStore(), entry(10, drop=2), entry(11, (2, b"k", b"v"), (1, b"k", b"v")))
    assert (item(state, 2, b"k"), item(state, 1, b"k")) == (None, b"v")


def test_the_fence_survives_a_restart_and_a_snapshot() -> None:
    store = MemoryStore()
    state = applied(store, entry(10, drop=2))
    assert open_state(store).dropped_tables == {2}
    target_store = MemoryStore()
    target = installed(target_store, state, 2)
    target.apply(3, entry(11, (2, b"k", b"v")))
    turn(target, target_store)
    assert item(target, 2, b"k") is None
    assert open_state(target_store).dropped_tables == {2}


# ---------------------------------------------------------------------------------------------- snapshots
def installed(store: MemoryStore, source: PartitionState, index: int) -> PartitionState:
    """A state into which a snapshot of `source` at `index` was installed, its batch written."""
    state = open_state(store)
    installer = state.begin_install()
    for key, value in source.snapshot():
        installer.put(key, value)
    installer.commit(index)
    turn(state, store)
    return state


def source_state() -> PartitionState:
    return applied(MemoryStore(), entry(77, (1, b"a", b"new"), (1, b"c", b"new")))


def test_an_installed_state_equals_its_source() -> None:
    store = MemoryStore()
    applied(store, entry(10, (1, b"a", b"old"), (1, b"b", b"old")))
    source = source_state()
    state = installed(store, source, 40)
    assert contents(state) == contents(source)
    assert (state.applied_index, item(state, 1, b"a"), item(state, 1, b"b")) == (40, b"new", None)
    again = open_state(store)
    assert (again.applied_index, contents(again), again.generation) == (40, contents(source), state.generation)


def test_nothing_of_the_replaced_state_stays_in_the_store() -> None:
    store = MemoryStore()
    applied(store, entry(10, (1, b"a", b"old"), (1, b"b", b"old")))
    source = source_state()
    installed(store, source, 40)
    start, end = keyspace.group_range(GROUP)
    assert len(list(store.scan(Family.DATA, start, end))) == len(contents(source)) - 1


def test_states_can_be_installed_one_after_the_other() -> None:
    store = MemoryStore()
    for index, value in ((20, b"first"), (40, b"second"), (60, b"third")):
        state = installed(store, applied(MemoryStore(), entry(index, (1, value, value))), index)
        assert (state.applied_index, item(state, 1, value)) == (index, value)
    assert [key for key in contents(state) if key] == [keyspace.item_key(1, b"third")]


def test_reads_show_the_old_state_until_the_switch_is_written() -> None:
    store = MemoryStore()
    state = applied(store, entry(10, (1, b"a", b"old")))
    installer = state.begin_install()
    for key, value in source_state().snapshot():
        installer.put(key, value)
    store.write_batch()
    assert item(state, 1, b"a") == b"old"
    installer.commit(40)
    assert item(state, 1, b"a") == b"old"
    turn(state, store)
    assert item(state, 1, b"a") == b"new"


@pytest.mark.parametrize("batches_kept", [0, 1, 2])
def test_a_crash_in_the_middle_of_an_install_leaves_the_old_state_alone(batches_kept: int) -> None:
    store = MemoryStore()
    state = applied(store, entry(10, (1, b"a", b"old")))
    store.sync()
    installer = state.begin_install()
    for key, value in source_state().snapshot():
        installer.put(key, value)
        store.write_batch()
    assert store.unsynced_batches >= 2
    survivor = store.crash(batches_kept)
    again = open_state(survivor)
    turn(again, survivor)
    assert (again.applied_index, item(again, 1, b"a")) == (2, b"old")
    start, end = keyspace.group_range(GROUP)
    assert len(list(survivor.scan(Family.DATA, start, end))) == 1, "what was staged is dropped"


def test_a_crash_at_the_switch_leaves_one_state_or_the_other() -> None:
    for kept, expected in ((0, (2, b"old")), (1, (40, b"new"))):
        store = MemoryStore()
        state = applied(store, entry(10, (1, b"a", b"old")))
        installer = state.begin_install()
        for key, value in source_state().snapshot():
            installer.put(key, value)
        store.write_batch()
        store.sync()
        installer.commit(40)
        turn(state, store)
        survivor = store.crash(kept)
        again = open_state(survivor)
        assert (again.applied_index, item(again, 1, b"a")) == expected
        turn(again, survivor)
        start, end = keyspace.group_range(GROUP)
        left = {key[:8] for key, _ in survivor.scan(Family.DATA, start, end)}
        assert left == {keyspace.prefix(GROUP, again.generation)}


def test_an_aborted_install_leaves_nothing_and_another_may_follow() -> None:
    store = MemoryStore()
    state = applied(store, entry(10, (1, b"a", b"old")))
    installer = state.begin_install()
    installer.put(keyspace.item_key(1, b"junk"), b"junk")
    store.write_batch()
    installer.abort()
    turn(state, store)
    second = state.begin_install()
    for key, value in source_state().snapshot():
        second.put(key, value)
    second.commit(40)
    turn(state, store)
    assert contents(state) == contents(source_state())


def test_an_applied_record_of_another_version_is_refused() -> None:
    store = MemoryStore()
    applied(store, entry(10, (1, b"a", b"1")))
    record = store.get(Family.META, keyspace.applied_key(GROUP))
    assert record is not None
    store.put(Family.META, keyspace.applied_key(GROUP), b"\x09" + record[1:])
    store.write_batch()
    with pytest.raises(ValueError, match="applied record version 9"):
        open_state(store)


def test_a_deleted_replica_leaves_nothing_of_its_own_and_everything_of_others() -> None:
    store = MemoryStore()
    other = open_state(store, GROUP + 1)
    other.apply(2, entry(5, (7, b"k", b"other")))
    turn(other, store)
    state = applied(store, entry(5, (7, b"k", b"1")))
    # A snapshot is being staged, partly in this very batch.
    installer = state.begin_install()
    installer.put(keyspace.item_key(7, b"staged"), b"2")
    store.write_batch()
    installer.put(keyspace.item_key(7, b"more"), b"3")
    state.delete()
    store.write_batch()
    for family in STATE_FAMILIES:
        assert list(store.scan(family, *keyspace.group_range(GROUP))) == []
    again = open_state(store)
    assert (again.applied_index, item(again, 7, b"k")) == (1, None)
    assert item(open_state(store, GROUP + 1), 7, b"k") == b"other"

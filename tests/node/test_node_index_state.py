"""Index records of one replica: definitions, rows, outbox, feeds, backfill; restart, snapshot and drop of each."""

from __future__ import annotations

import pytest

from dynamo.indexes import IndexKind
from dynamo.records import encode_record
from node.machine.state import LOG_ENTRY_VERSION, PartitionState
from node.storage import keyspace
from node.storage.memory import MemoryStore
from runtime.clock import HybridClock, ManualClock
from wire import catalog_pb2, log_pb2

pytestmark = pytest.mark.unit

GROUP = 4
TABLE, LOCAL, GLOBAL = 7, 8, 9
STRING = catalog_pb2.KEY_S
PARTITION_KEY = catalog_pb2.KeyAttribute(name="p", type=STRING)
SORT_KEY = catalog_pb2.KeyAttribute(name="s", type=STRING)


def index(index_id: int, kind: catalog_pb2.IndexKind) -> catalog_pb2.Index:
    keys = [catalog_pb2.KeyAttribute(name="g", type=STRING)]
    return catalog_pb2.Index(
        index_id=index_id, name=f"i{index_id}", kind=kind, partition_keys=keys, projection=catalog_pb2.PROJECT_ALL
    )


def begin(index_id: int, kind: catalog_pb2.IndexKind, *, backfill: bool = False) -> log_pb2.LogEntry:
    message = log_pb2.BeginIndex(
        table_id=TABLE, index=index(index_id, kind), backfill=backfill, partition_key=PARTITION_KEY, sort_key=SORT_KEY
    )
    return log_pb2.LogEntry(begin_indexes=[message])


def write(key: bytes, *targets: int) -> log_pb2.LogEntry:
    """A write with a local row and one change of the global index for each target."""
    mutation = log_pb2.Mutation(table_id=TABLE, key=key, item=encode_record({"p": {"S": "a"}}))
    mutation.local_writes.add(index_id=LOCAL, key=b"local" + key, value=b"row")
    for target in targets:
        mutation.index_changes.add(index_id=GLOBAL, key=b"entry" + key, item=b"record", target=target)
    return log_pb2.LogEntry(mutations=[mutation])


def feed(source: int, *changes: tuple[int, bytes, bytes | None]) -> log_pb2.LogEntry:
    message = log_pb2.IndexFeed(source=source)
    for sequence, key, record in changes:
        message.index_changes.add(
            index_id=GLOBAL, key=key, item=record or b"", deleted=record is None, sequence=sequence
        )
    return log_pb2.LogEntry(feeds=[message])


def trim(target: int, *sequences: int) -> log_pb2.LogEntry:
    return log_pb2.LogEntry(outbox_trims=[log_pb2.OutboxTrim(target=target, sequences=sequences)])


def drop(dropped_id: int) -> log_pb2.LogEntry:
    return log_pb2.LogEntry(drop_tables=[log_pb2.DropTable(table_id=dropped_id)])


def step(cursor: bytes, *, done: bool, target: int = 1) -> log_pb2.LogEntry:
    message = log_pb2.BackfillStep(index_id=GLOBAL, cursor=cursor, done=done)
    message.index_changes.add(index_id=GLOBAL, key=b"entry" + cursor, item=b"record", target=target)
    return log_pb2.LogEntry(backfill_steps=[message])


BEGIN_BOTH = (begin(LOCAL, catalog_pb2.INDEX_LOCAL), begin(GLOBAL, catalog_pb2.INDEX_GLOBAL))


class Replica:
    """A state over a store; entries are applied one a turn, from index 2 on, stamped with 1000 ms and more."""

    def __init__(self, *entries: log_pb2.LogEntry) -> None:
        self.store = MemoryStore()
        self.state = PartitionState(self.store, GROUP, HybridClock(ManualClock()))
        self.apply(*entries)

    def apply(self, *entries: log_pb2.LogEntry) -> None:
        for entry in entries:
            position = self.state.applied_index + 1
            stamped = log_pb2.LogEntry(version=LOG_ENTRY_VERSION, hybrid_time=(998 + position) << 16)
            stamped.MergeFrom(entry)
            self.state.apply(position, stamped.SerializeToString())
            self._end_turn()

    def _end_turn(self) -> None:
        self.state.flush()
        self.store.write_batch()
        self.state.batch_written()

    def restarted(self) -> Replica:
        replica = Replica()
        replica.store = self.store
        replica.state = PartitionState(self.store, GROUP, HybridClock(ManualClock()))
        return replica

    def copied(self) -> Replica:
        """Another replica with a snapshot of this one, installed over something else."""
        replica = Replica(*BEGIN_BOTH, write(b"old", 5))
        installer = replica.state.begin_install()
        for key, value in self.state.snapshot():
            installer.put(key, value)
        installer.commit(self.state.applied_index)
        replica._end_turn()
        return replica

    @property
    def outbox(self) -> dict[int, list[int]]:
        return {target: [record.sequence for record in waiting] for target, waiting in self.state.outbox.items()}

    def row(self, table_id: int, key: bytes) -> bytes | None:
        return self.state.get(keyspace.item_key(table_id, key))

    def summary(self) -> tuple[object, ...]:
        """Everything that is kept of indexes."""
        state = self.state
        return (
            state.indexes,
            state.backfills,
            state.unfinished_backfills,
            state.outbox,
            state.outbox_count,
            [state.feed_position(source) for source in range(6)],
            dict(state.snapshot()),
        )


def sequence(index: int, place: int) -> int:
    return (index << 24) + place


# ---------------------------------------------------------------------------------------------- definitions
def test_an_index_begins_once_and_keeps_what_it_has() -> None:
    replica = Replica(begin(GLOBAL, catalog_pb2.INDEX_GLOBAL, backfill=True), step(b"k", done=False))
    replica.apply(begin(GLOBAL, catalog_pb2.INDEX_GLOBAL, backfill=True))
    (definition,) = replica.state.indexes[TABLE]
    assert (definition.index_id, definition.kind, definition.table_key.names) == (GLOBAL, IndexKind.GLOBAL, ("p", "s"))
    assert replica.state.backfills[GLOBAL].cursor == b"k"
    assert replica.state.has_index(GLOBAL)


def test_an_index_that_cannot_be_is_ignored() -> None:
    broken = log_pb2.BeginIndex(table_id=TABLE, index=catalog_pb2.Index(index_id=GLOBAL), partition_key=PARTITION_KEY)
    replica = Replica(log_pb2.LogEntry(begin_indexes=[broken]))
    assert not replica.state.has_index(GLOBAL)
    assert replica.state.applied_index == 2


@pytest.mark.parametrize("dropped_id", [TABLE, GLOBAL], ids=["the table", "the index"])
def test_an_index_does_not_begin_after_it_was_dropped(dropped_id: int) -> None:
    replica = Replica(drop(dropped_id), begin(GLOBAL, catalog_pb2.INDEX_GLOBAL))
    assert not replica.state.has_index(GLOBAL)


# ---------------------------------------------------------------------------------------------- writes
def test_a_write_leaves_its_local_row_and_its_changes_in_order() -> None:
    replica = Replica(*BEGIN_BOTH, write(b"a", 1, 2), write(b"b", 1))
    assert replica.row(LOCAL, b"locala") == b"row"
    assert replica.outbox == {1: [sequence(4, 0), sequence(5, 0)], 2: [sequence(4, 1)]}
    assert replica.state.outbox_count == 3
    assert [record.written_ms for record in replica.state.outbox[1]] == [1002, 1003]
    change = log_pb2.IndexChange.FromString(replica.state.waiting_change(2, sequence(4, 1)))
    assert (change.key, change.item, change.sequence) == (b"entrya", b"record", sequence(4, 1))


def test_places_in_one_entry_go_on_from_write_to_write_and_to_backfill_steps() -> None:
    entry = log_pb2.LogEntry()
    for part in (write(b"a", 1, 2), write(b"b", 1), step(b"c", done=False)):
        entry.MergeFrom(part)
    replica = Replica(begin(GLOBAL, catalog_pb2.INDEX_GLOBAL, backfill=True), entry)
    assert replica.outbox == {1: [sequence(3, 0), sequence(3, 2), sequence(3, 3)], 2: [sequence(3, 1)]}


@pytest.mark.parametrize(
    ("dropped_id", "row", "outbox"),
    [
        pytest.param(LOCAL, None, {1: [sequence(5, 0)]}, id="the local index"),
        pytest.param(GLOBAL, b"row", {}, id="the global index"),
        pytest.param(TABLE, None, {}, id="the table"),
    ],
)
def test_what_lost_the_race_against_a_drop_leaves_nothing(
    dropped_id: int, row: bytes | None, outbox: dict[int, list[int]]
) -> None:
    replica = Replica(*BEGIN_BOTH, drop(dropped_id), write(b"a", 1))
    assert (replica.row(LOCAL, b"locala"), replica.outbox) == (row, outbox)


def test_a_dropped_index_takes_its_rows_definition_and_backfill_and_no_other() -> None:
    replica = Replica(BEGIN_BOTH[0], begin(GLOBAL, catalog_pb2.INDEX_GLOBAL, backfill=True))
    replica.apply(write(b"a", 1), feed(1, (5, b"x", b"1")), drop(GLOBAL))
    assert [definition.index_id for definition in replica.state.indexes[TABLE]] == [LOCAL]
    assert (replica.row(GLOBAL, b"x"), replica.row(LOCAL, b"locala")) == (None, b"row")
    assert (replica.state.backfills, replica.state.unfinished_backfills) == ({}, set())
    assert not replica.state.is_backfilled(GLOBAL)
    assert replica.restarted().summary() == replica.summary()


def test_a_dropped_table_takes_the_definitions_of_its_indexes() -> None:
    replica = Replica(*BEGIN_BOTH, drop(TABLE))
    assert replica.state.indexes == {}
    assert not replica.state.has_index(LOCAL)
    assert replica.restarted().summary() == replica.summary()


# ---------------------------------------------------------------------------------------------- outbox
def test_a_trim_takes_exactly_what_it_lists() -> None:
    replica = Replica(*BEGIN_BOTH, write(b"a", 1, 2), write(b"b", 1), write(b"c", 1))
    replica.apply(trim(1, sequence(4, 0), sequence(5, 0)))
    assert replica.outbox == {1: [sequence(6, 0)], 2: [sequence(4, 1)]}
    with pytest.raises(KeyError):
        replica.state.waiting_change(1, sequence(4, 0))
    assert replica.restarted().summary() == replica.summary()


@pytest.mark.parametrize(
    "again",
    [trim(1, sequence(4, 0)), trim(3, 1), trim(1), trim(2, sequence(4, 0))],
    ids=["twice", "of an unknown target", "of nothing", "of another target's record"],
)
def test_a_trim_of_what_is_not_there_is_no_fault(again: log_pb2.LogEntry) -> None:
    replica = Replica(*BEGIN_BOTH, write(b"a", 1, 2), trim(1, sequence(4, 0)))
    before = (replica.outbox, replica.state.outbox_count)
    replica.apply(again)
    assert (replica.outbox, replica.state.outbox_count) == before == ({2: [sequence(4, 1)]}, 1)


def test_a_record_that_is_put_and_trimmed_in_one_turn_is_gone() -> None:
    replica = Replica(*BEGIN_BOTH)
    for position, entry in ((4, write(b"a", 1)), (5, trim(1, sequence(4, 0)))):
        entry.version = LOG_ENTRY_VERSION
        replica.state.apply(position, entry.SerializeToString())
    replica._end_turn()
    assert replica.outbox == {}
    assert replica.restarted().outbox == {}


# ---------------------------------------------------------------------------------------------- feeds
def test_a_feed_is_applied_once_however_often_it_comes() -> None:
    first = feed(1, (10, b"x", b"1"), (11, b"y", b"1"))
    replica = Replica(*BEGIN_BOTH, first, feed(1, (12, b"x", b"2"), (13, b"y", None)), first)
    assert (replica.row(GLOBAL, b"x"), replica.row(GLOBAL, b"y")) == (b"2", None)
    assert replica.state.feed_position(1) == 13


def test_a_feed_that_overlaps_goes_on_where_the_last_one_ended() -> None:
    replica = Replica(*BEGIN_BOTH, feed(1, (10, b"x", b"1"), (11, b"x", b"2")))
    replica.apply(feed(1, (10, b"x", b"1"), (11, b"x", b"2"), (12, b"x", b"3")))
    assert (replica.row(GLOBAL, b"x"), replica.state.feed_position(1)) == (b"3", 12)


def test_sources_have_positions_of_their_own() -> None:
    replica = Replica(*BEGIN_BOTH, feed(1, (10, b"x", b"1")), feed(2, (3, b"y", b"1")))
    assert (replica.row(GLOBAL, b"y"), replica.state.feed_position(1), replica.state.feed_position(2)) == (b"1", 10, 3)
    assert replica.restarted().summary() == replica.summary()


def test_a_feed_for_a_dropped_index_moves_the_position_and_nothing_else() -> None:
    replica = Replica(*BEGIN_BOTH, drop(GLOBAL), feed(1, (10, b"x", b"1")))
    assert (replica.row(GLOBAL, b"x"), replica.state.feed_position(1)) == (None, 10)


# ---------------------------------------------------------------------------------------------- backfill
def test_an_index_is_filled_when_its_steps_are_done_and_fed() -> None:
    replica = Replica(begin(GLOBAL, catalog_pb2.INDEX_GLOBAL, backfill=True))
    seen = [replica.state.is_backfilled(GLOBAL)]
    for entry in (step(b"a", done=False), step(b"b", done=True), write(b"z", 1), trim(1, sequence(3, 0))):
        replica.apply(entry)
        seen.append(replica.state.is_backfilled(GLOBAL))
    assert replica.state.unfinished_backfills == set()
    replica.apply(trim(1, sequence(4, 0)))
    assert [*seen, replica.state.is_backfilled(GLOBAL)] == [False] * 5 + [True]
    assert replica.outbox == {1: [sequence(5, 0)]}, "later writes are not waited for"


@pytest.mark.parametrize(
    ("kind", "backfill"),
    [(catalog_pb2.INDEX_GLOBAL, False), (catalog_pb2.INDEX_LOCAL, True)],
    ids=["of a new table", "a local one"],
)
def test_an_index_without_backfill_is_full_at_once(kind: catalog_pb2.IndexKind, backfill: bool) -> None:
    assert Replica(begin(GLOBAL, kind, backfill=backfill)).state.is_backfilled(GLOBAL)


def test_an_index_that_has_not_begun_is_not_full() -> None:
    assert not Replica().state.is_backfilled(GLOBAL)


def test_a_step_that_comes_too_late_does_not_move_the_cursor_back() -> None:
    replica = Replica(begin(GLOBAL, catalog_pb2.INDEX_GLOBAL, backfill=True), step(b"b", done=True))
    replica.apply(step(b"a", done=False))
    backfill = replica.state.backfills[GLOBAL]
    assert (backfill.done, backfill.cursor) == (True, b"b")


# ---------------------------------------------------------------------------------------------- restart and snapshot
@pytest.mark.parametrize("how", [Replica.restarted, Replica.copied], ids=["restart", "snapshot"])
def test_everything_survives(how: object) -> None:
    replica = Replica(BEGIN_BOTH[0], begin(GLOBAL, catalog_pb2.INDEX_GLOBAL, backfill=True))
    replica.apply(write(b"a", 1, 2), step(b"a", done=False), feed(3, (7, b"x", b"1")), write(b"b", 2))
    replica.apply(trim(1, sequence(4, 0)))
    assert callable(how)
    again = how(replica)
    assert again.summary() == replica.summary()
    again.apply(write(b"c", 1))
    replica.apply(write(b"c", 1))
    assert again.summary() == replica.summary()

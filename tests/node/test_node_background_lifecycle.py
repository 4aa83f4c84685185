"""Tables and indexes coming and going: what partitions must propose, what they say, what is decided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from node.background.lifecycle import (
    REPORT_TIMEOUT_S,
    ReportBook,
    add_progress,
    commands_for,
    entries_for,
    unsettled_tables,
)
from wire import catalog_pb2 as pb
from wire import data_pb2

pytestmark = pytest.mark.unit

TABLE, FIRST, SECOND = 10, 11, 12
PARTITIONS = (1, 2, 3)
KEY = pb.KeyAttribute(name="pk", type=pb.KEY_S)


@dataclass
class Partition:
    """What a partition has applied."""

    dropped_tables: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    backfilled: set[int] = field(default_factory=set)

    def has_index(self, index_id: int) -> bool:
        return index_id in self.begun

    def is_backfilled(self, index_id: int) -> bool:
        return index_id in self.backfilled


def catalog_of(
    state: pb.TableState, indexes: Iterable[tuple[int, pb.IndexState]] = (), *, version: int = 5
) -> pb.Catalog:
    table = pb.Table(table_id=TABLE, name="t", region="r", state=state, partition_key=KEY)
    for index_id, index_state in indexes:
        # The last one is the hidden one: it lives and goes like the others.
        kind = pb.INDEX_COLLECTION_SIZES if index_id == SECOND else pb.INDEX_GLOBAL
        table.indexes.add(index_id=index_id, name=f"i{index_id}", kind=kind, state=index_state, partition_keys=[KEY])
    return pb.Catalog(
        version=version, tables=[table], partitions=[pb.Partition(id=number) for number in (0, *PARTITIONS)]
    )


def proposed(catalog: pb.Catalog, partition: Partition) -> list[tuple[str, int]]:
    found = []
    for entry in entries_for(unsettled_tables(catalog), partition):
        found += [("drop", drop.table_id) for drop in entry.drop_tables]
        found += [("backfill" if begin.backfill else "begin", begin.index.index_id) for begin in entry.begin_indexes]
    return found


WAITING = [(FIRST, pb.INDEX_CREATING), (SECOND, pb.INDEX_CREATING)]
SETTLED = [(FIRST, pb.INDEX_ACTIVE), (SECOND, pb.INDEX_ACTIVE)]
ENTRIES = {
    "indexes made with their table begin without backfill": (
        catalog_of(pb.TABLE_CREATING, WAITING),
        Partition(),
        [("begin", FIRST), ("begin", SECOND)],
    ),
    "what has begun is not begun again": (
        catalog_of(pb.TABLE_CREATING, WAITING),
        Partition(begun={FIRST}),
        [("begin", SECOND)],
    ),
    "an index added to an active table is backfilled": (
        catalog_of(pb.TABLE_ACTIVE, [(FIRST, pb.INDEX_CREATING)]),
        Partition(),
        [("backfill", FIRST)],
    ),
    "also when the others are further": (
        catalog_of(pb.TABLE_ACTIVE, [(FIRST, pb.INDEX_BACKFILLING)]),
        Partition(),
        [("backfill", FIRST)],
    ),
    "an index that was dropped does not come back through an old catalog": (
        catalog_of(pb.TABLE_ACTIVE, [(FIRST, pb.INDEX_BACKFILLING)]),
        Partition(dropped_tables={FIRST}),
        [],
    ),
    "a deleted index is dropped alone": (
        catalog_of(pb.TABLE_ACTIVE, [(FIRST, pb.INDEX_DELETING), (SECOND, pb.INDEX_ACTIVE)]),
        Partition(begun={FIRST, SECOND}),
        [("drop", FIRST)],
    ),
    "a deleted table is dropped with all its indexes": (
        catalog_of(pb.TABLE_DELETING, SETTLED),
        Partition(begun={FIRST, SECOND}),
        [("drop", TABLE), ("drop", FIRST), ("drop", SECOND)],
    ),
    "what is dropped is not dropped again": (
        catalog_of(pb.TABLE_DELETING, SETTLED),
        Partition(dropped_tables={TABLE, SECOND}),
        [("drop", FIRST)],
    ),
    "a settled table needs nothing": (catalog_of(pb.TABLE_ACTIVE, SETTLED), Partition(), []),
}


@pytest.mark.parametrize(("catalog", "partition", "expected"), ENTRIES.values(), ids=ENTRIES.keys())
def test_what_a_partition_must_propose(
    catalog: pb.Catalog, partition: Partition, expected: list[tuple[str, int]]
) -> None:
    assert proposed(catalog, partition) == expected


def test_an_index_begins_with_the_key_of_its_table() -> None:
    catalog = catalog_of(pb.TABLE_CREATING, [(FIRST, pb.INDEX_CREATING)])
    catalog.tables[0].sort_key.CopyFrom(pb.KeyAttribute(name="sk", type=pb.KEY_N))
    (entry,) = entries_for(unsettled_tables(catalog), Partition())
    (begin,) = entry.begin_indexes
    assert (begin.table_id, begin.partition_key.name, begin.sort_key.name) == (TABLE, "pk", "sk")
    assert begin.index == catalog.tables[0].indexes[0]


def test_only_tables_that_wait_for_something_are_looked_at() -> None:
    catalog = pb.Catalog()
    for state, indexes in ((pb.TABLE_ACTIVE, SETTLED), (pb.TABLE_ACTIVE, WAITING), (pb.TABLE_DELETING, SETTLED)):
        catalog.tables.append(catalog_of(state, indexes).tables[0])
    assert unsettled_tables(catalog) == list(catalog.tables[1:])


# ---------------------------------------------------------------------- the catalog's leader


def told(
    book: ReportBook, catalog: pb.Catalog, partitions: dict[int, Partition], *, at: float = 0.0, version: int = 5
) -> None:
    """One node reports for all these partitions."""
    report = data_pb2.NodeReport(node_id="n1", catalog_version=version)
    for number, partition in partitions.items():
        add_progress(report, unsettled_tables(catalog), number, partition)
    book.take(report, at)


def decided(catalog: pb.Catalog, book: ReportBook, now: float = 0.0) -> list[tuple[str, int, int]]:
    found = []
    for command in commands_for(catalog, unsettled_tables(catalog), book, now):
        which = command.WhichOneof("command")
        assert which is not None
        change = getattr(command, which)
        index_id = getattr(change, "index_id", 0)
        found.append((which, index_id or change.table_id, getattr(change, "state", 0)))
    return found


ALL = (FIRST, SECOND)
DECISIONS = {
    "a table without indexes is activated when it is served": (pb.TABLE_CREATING, [], Partition(), "activate_table"),
    "a table is not activated before its indexes are begun": (
        pb.TABLE_CREATING,
        WAITING,
        Partition(begun={FIRST}),
        None,
    ),
    "a table is activated once they are": (pb.TABLE_CREATING, WAITING, Partition(begun={*ALL}), "activate_table"),
    "a table is not forgotten before its indexes are dropped": (
        pb.TABLE_DELETING,
        SETTLED,
        Partition(dropped_tables={TABLE, FIRST}),
        None,
    ),
    "a table is forgotten once they are": (
        pb.TABLE_DELETING,
        SETTLED,
        Partition(dropped_tables={TABLE, *ALL}),
        "forget_table",
    ),
    "an index waits to be begun": (pb.TABLE_ACTIVE, [(FIRST, pb.INDEX_CREATING)], Partition(), None),
    "an index is backfilling once it is begun": (
        pb.TABLE_ACTIVE,
        [(FIRST, pb.INDEX_CREATING)],
        Partition(begun={FIRST}),
        "set_index_state",
    ),
    "an index waits for its backfill": (
        pb.TABLE_ACTIVE,
        [(FIRST, pb.INDEX_BACKFILLING)],
        Partition(begun={FIRST}),
        None,
    ),
    "an index is active once it is backfilled": (
        pb.TABLE_ACTIVE,
        [(FIRST, pb.INDEX_BACKFILLING)],
        Partition(begun={FIRST}, backfilled={FIRST}),
        "set_index_state",
    ),
    "a deleted index waits for its rows to go": (
        pb.TABLE_ACTIVE,
        [(FIRST, pb.INDEX_DELETING)],
        Partition(begun={FIRST}),
        None,
    ),
    "a deleted index is forgotten once they are gone": (
        pb.TABLE_ACTIVE,
        [(FIRST, pb.INDEX_DELETING)],
        Partition(dropped_tables={FIRST}),
        "forget_index",
    ),
}
REACHED = {
    "an index is backfilling once it is begun": pb.INDEX_BACKFILLING,
    "an index is active once it is backfilled": pb.INDEX_ACTIVE,
}


@pytest.mark.parametrize("case", DECISIONS)
def test_the_catalogs_leader_waits_for_every_partition(case: str) -> None:
    state, indexes, partition, expected = DECISIONS[case]
    catalog, book = catalog_of(state, indexes), ReportBook()
    told(book, catalog, dict.fromkeys(PARTITIONS[:-1], partition))
    if indexes:
        assert decided(catalog, book) == [], "one partition has said nothing yet"
    told(book, catalog, {PARTITIONS[-1]: partition})
    subject = FIRST if expected is not None and "index" in expected else TABLE
    assert decided(catalog, book) == ([(expected, subject, REACHED.get(case, 0))] if expected is not None else [])


@pytest.mark.parametrize("what", ["a table", "an index"])
def test_what_is_new_is_not_active_before_everything_alive_serves_it(what: str) -> None:
    is_table = what == "a table"
    catalog = (
        catalog_of(pb.TABLE_CREATING, WAITING)
        if is_table
        else catalog_of(pb.TABLE_ACTIVE, [(FIRST, pb.INDEX_BACKFILLING)])
    )
    book = ReportBook()
    done = Partition(begun={*ALL}, backfilled={*ALL})
    told(book, catalog, dict.fromkeys(PARTITIONS, done))
    book.take(data_pb2.NodeReport(node_id="n2", catalog_version=4), 0.0)
    assert decided(catalog, book) == []
    # Said by a node that serves it, of a router that does not.
    behind = data_pb2.NodeReport(node_id="n2", catalog_version=5)
    behind.routers.add(router_id="r1", catalog_version=4)
    book.take(behind, 0.0)
    assert decided(catalog, book) == []
    # What is silent for long enough is not waited for; what the partitions said stays true.
    told(book, catalog, {}, at=REPORT_TIMEOUT_S + 1)
    assert len(decided(catalog, book, now=REPORT_TIMEOUT_S + 1)) == 1


def test_the_version_to_wait_for_is_the_one_in_which_an_index_appeared() -> None:
    book = ReportBook()
    created = catalog_of(pb.TABLE_ACTIVE, [(FIRST, pb.INDEX_CREATING)], version=5)
    done = dict.fromkeys(PARTITIONS, Partition(begun={FIRST}, backfilled={FIRST}))
    told(book, created, done, version=5)
    assert decided(created, book) == [("set_index_state", FIRST, pb.INDEX_BACKFILLING)]
    later = catalog_of(pb.TABLE_ACTIVE, [(FIRST, pb.INDEX_BACKFILLING)], version=9)
    assert decided(later, book) == [("set_index_state", FIRST, pb.INDEX_ACTIVE)]


def test_the_book_keeps_nothing_of_what_is_settled() -> None:
    book = ReportBook()
    creating = catalog_of(pb.TABLE_CREATING, WAITING)
    done = dict.fromkeys(PARTITIONS, Partition(begun={*ALL}, backfilled={*ALL}))
    told(book, creating, done)
    decided(creating, book)
    assert book.begun
    assert book.seen_at_version
    assert decided(catalog_of(pb.TABLE_ACTIVE, SETTLED), book) == []
    assert [*book.begun, *book.backfilled, *book.dropped, *book.seen_at_version] == []

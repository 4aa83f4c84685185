"""What tables and indexes that come and go need next: log entries in a partition, commands in the catalog. Pure.

Called by node.background.tables on every node: for each data partition it leads (`entries_for`, `add_progress`), and on
the catalog's leader (`commands_for`). Law: everything is derived anew from the catalog and from what partitions have
applied, so that a new leader goes on where the old one stopped; saying anything twice does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import Protocol

from topology.placement import CATALOG_PARTITION
from wire import catalog_pb2, data_pb2, log_pb2

# A node or router that did not report for this long is not waited for: it corrects itself before it serves again, for a
# router that does not know a table asks the catalog's leader before it denies one.
REPORT_TIMEOUT_S = 1.5
_BEING_BUILT = frozenset((catalog_pb2.INDEX_CREATING, catalog_pb2.INDEX_BACKFILLING))


class AppliedState(Protocol):
    """What a partition has applied (node.machine.state)."""

    @property
    def dropped_tables(self) -> Set[int]:
        """Tables and indexes whose rows are gone for good."""
        ...

    def has_index(self, index_id: int) -> bool:
        """Whether writes maintain the index."""
        ...

    def is_backfilled(self, index_id: int) -> bool:
        """Whether every item is in the index and nothing of its backfill is under way."""
        ...


def unsettled_tables(catalog: catalog_pb2.Catalog) -> list[catalog_pb2.Table]:
    """Tables that come or go or have an index that does. Asked once for each catalog: there may be thousands."""
    return [
        table
        for table in catalog.tables
        if table.state != catalog_pb2.TABLE_ACTIVE
        or any(index.state != catalog_pb2.INDEX_ACTIVE for index in table.indexes)
    ]


def entries_for(unsettled: Iterable[catalog_pb2.Table], applied: AppliedState) -> Iterator[log_pb2.LogEntry]:
    """What the leader of a data partition must propose to be where the catalog is, one thing an entry."""
    for table in unsettled:
        for table_id in going_ids(table):
            if table_id not in applied.dropped_tables:
                yield log_pb2.LogEntry(drop_tables=[log_pb2.DropTable(table_id=table_id)])
        for index in _being_built(table):
            # A leader with an old catalog must not bring an index back that was dropped since.
            if not applied.has_index(index.index_id) and index.index_id not in applied.dropped_tables:
                yield log_pb2.LogEntry(begin_indexes=[_begin(table, index)])


def _begin(table: catalog_pb2.Table, index: catalog_pb2.Index) -> log_pb2.BeginIndex:
    return log_pb2.BeginIndex(
        table_id=table.table_id,
        index=index,
        partition_key=table.partition_key,
        sort_key=table.sort_key if table.HasField("sort_key") else None,
        # Into a table that is being made nobody has written yet.
        backfill=table.state == catalog_pb2.TABLE_ACTIVE,
    )


def going_ids(table: catalog_pb2.Table) -> Iterator[int]:
    """The ids whose rows must go: of a DELETING table and all its indexes, else of its DELETING indexes."""
    is_deleting = table.state == catalog_pb2.TABLE_DELETING
    if is_deleting:
        yield table.table_id
    for index in table.indexes:
        if is_deleting or index.state == catalog_pb2.INDEX_DELETING:
            yield index.index_id


def _being_built(table: catalog_pb2.Table) -> Iterator[catalog_pb2.Index]:
    if table.state in (catalog_pb2.TABLE_CREATING, catalog_pb2.TABLE_ACTIVE):
        for index in table.indexes:
            if index.state in _BEING_BUILT:
                yield index


def add_progress(
    report: data_pb2.NodeReport, unsettled: Iterable[catalog_pb2.Table], partition: int, applied: AppliedState
) -> None:
    """Say in `report` how far a partition is with what the catalog's leader waits for."""
    for table in unsettled:
        for table_id in going_ids(table):
            if table_id in applied.dropped_tables:
                report.dropped.add(table_id=table_id, partition=partition)
        for index in _being_built(table):
            if applied.has_index(index.index_id):
                report.indexes.add(
                    index_id=index.index_id, partition=partition, backfilled=applied.is_backfilled(index.index_id)
                )


@dataclass(slots=True)
class _Report:
    at: float
    catalog_version: int
    routers: dict[str, int]


@dataclass(slots=True)
class ReportBook:
    """What the catalog's leader heard."""

    reports: dict[str, _Report] = field(default_factory=dict)
    # Facts of logs, which never become untrue: (table or index id, partition).
    dropped: set[tuple[int, int]] = field(default_factory=set)
    begun: set[tuple[int, int]] = field(default_factory=set)
    backfilled: set[tuple[int, int]] = field(default_factory=set)
    # The catalog version in which this leader first saw a table or index being built.
    seen_at_version: dict[int, int] = field(default_factory=dict)
    # Partition -> the newest that its leaders said of its replicas (node.background.moves).
    settled: dict[int, data_pb2.SettledReplicas] = field(default_factory=dict)

    def take(self, report: data_pb2.NodeReport, now: float) -> None:
        """Note one report."""
        routers = {router.router_id: router.catalog_version for router in report.routers}
        self.reports[report.node_id] = _Report(now, report.catalog_version, routers)
        self.dropped.update((dropped.table_id, dropped.partition) for dropped in report.dropped)
        for progress in report.indexes:
            self.begun.add((progress.index_id, progress.partition))
            if progress.backfilled:
                self.backfilled.add((progress.index_id, progress.partition))
        for replicas in report.settled:
            known = self.settled.get(replicas.partition)
            if known is None or known.generation < replicas.generation:
                self.settled[replicas.partition] = replicas

    def served_version(self, now: float) -> int:
        """The lowest catalog version that anything alive serves from; 0 when nothing is alive."""
        alive = [report for report in self.reports.values() if now - report.at <= REPORT_TIMEOUT_S]
        if not alive:
            return 0
        # A router reports through every node: the newest word counts.
        routers: dict[str, int] = {}
        for report in alive:
            for router_id, version in report.routers.items():
                routers[router_id] = max(version, routers.get(router_id, 0))
        return min([report.catalog_version for report in alive] + list(routers.values()))

    def forget_all_but(self, ids: set[int]) -> None:
        """Keep only what was heard of these tables and indexes: the book does not grow for ever."""
        for facts in (self.dropped, self.begun, self.backfilled):
            facts.intersection_update([fact for fact in facts if fact[0] in ids])
        self.seen_at_version = {known: version for known, version in self.seen_at_version.items() if known in ids}


def commands_for(
    catalog: catalog_pb2.Catalog, unsettled: Iterable[catalog_pb2.Table], book: ReportBook, now: float
) -> list[catalog_pb2.CatalogCommand]:
    """What the catalog's leader proposes next, by what it heard; in the order of the tables."""
    judge = _Judge(catalog, book, now)
    waited_for: set[int] = set()
    commands: list[catalog_pb2.CatalogCommand] = []
    for table in unsettled:
        if table.state == catalog_pb2.TABLE_CREATING:
            waited_for.add(table.table_id)
        waited_for.update(going_ids(table))
        waited_for.update(index.index_id for index in _being_built(table))
        commands += judge.next_steps(table)
    book.forget_all_but(waited_for)
    return commands


class _Judge:
    """One look of the catalog's leader at everything it waits for."""

    def __init__(self, catalog: catalog_pb2.Catalog, book: ReportBook, now: float) -> None:
        self._version = catalog.version
        self._partitions = [partition.id for partition in catalog.partitions if partition.id != CATALOG_PARTITION]
        self._book = book
        self._served_version = book.served_version(now)

    def next_steps(self, table: catalog_pb2.Table) -> Iterator[catalog_pb2.CatalogCommand]:
        """The commands that the table is ready for."""
        table_id = table.table_id
        if table.state == catalog_pb2.TABLE_CREATING:
            is_served = self._is_served(table_id)
            if is_served and all(self._everywhere(self._book.begun, index.index_id) for index in table.indexes):
                yield catalog_pb2.CatalogCommand(activate_table=catalog_pb2.ActivateTable(table_id=table_id))
        elif table.state == catalog_pb2.TABLE_DELETING:
            if all(self._everywhere(self._book.dropped, going) for going in going_ids(table)):
                yield catalog_pb2.CatalogCommand(forget_table=catalog_pb2.ForgetTable(table_id=table_id))
        else:
            for index in table.indexes:
                yield from self._next_step_of(table_id, index)

    def _next_step_of(self, table_id: int, index: catalog_pb2.Index) -> Iterator[catalog_pb2.CatalogCommand]:
        index_id = index.index_id
        if index.state == catalog_pb2.INDEX_DELETING:
            if self._everywhere(self._book.dropped, index_id):
                yield catalog_pb2.CatalogCommand(
                    forget_index=catalog_pb2.ForgetIndex(table_id=table_id, index_id=index_id)
                )
            return
        if index.state not in _BEING_BUILT:
            return
        # Asked for from the first look on, so that the version to wait for is the one in which the index appeared.
        is_served = self._is_served(index_id)
        is_creating = index.state == catalog_pb2.INDEX_CREATING
        if is_creating and self._everywhere(self._book.begun, index_id):
            yield _reaches(table_id, index_id, catalog_pb2.INDEX_BACKFILLING)
        elif not is_creating and is_served and self._everywhere(self._book.backfilled, index_id):
            yield _reaches(table_id, index_id, catalog_pb2.INDEX_ACTIVE)

    def _everywhere(self, facts: set[tuple[int, int]], table_id: int) -> bool:
        return all((table_id, partition) in facts for partition in self._partitions)

    def _is_served(self, table_id: int) -> bool:
        """Whether everything alive serves the catalog in which this leader first saw the table or index."""
        return self._served_version >= self._book.seen_at_version.setdefault(table_id, self._version)


def _reaches(table_id: int, index_id: int, state: catalog_pb2.IndexState) -> catalog_pb2.CatalogCommand:
    change = catalog_pb2.SetIndexState(table_id=table_id, index_id=index_id, state=state)
    return catalog_pb2.CatalogCommand(set_index_state=change)

"""The router's copy of the catalog: tables by name, partition map, and who waits for a change.

Written by router.routing.dispatcher when a node sends a catalog, read by router.operations on the hot path. Pure (time
is an argument). Law: the copy only ever moves to a higher version, and all of it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from router import limits
from router.routing.partition_map import PartitionMap
from topology.tables import NO_TABLES, TablesByName, tables_of
from wire import catalog_pb2 as pb


@dataclass(slots=True)
class _Watch:
    is_met: Callable[[TablesByName], bool]
    callback: Callable[[bool], None]
    deadline_s: float


class CatalogCopy:
    """`tables` and `partition_map` are replaced, never changed: read them afresh for each request."""

    def __init__(self) -> None:
        self.tables: TablesByName = NO_TABLES
        self.partition_map: PartitionMap | None = None
        self._watches: list[_Watch] = []

    @property
    def version(self) -> int:
        """The version of the copy; 0 before the first one."""
        return self.tables.version

    def replace(self, catalog: pb.Catalog) -> bool:
        """Take `catalog` if it is newer; says whether it was. Callbacks of watches that are met run after the change.

        Raises ValueError for a catalog that no leader commits (a ring with a gap): the copy is unchanged then.
        """
        if catalog.version <= self.version:
            return False
        partition_map = PartitionMap(catalog)
        self.tables = tables_of(catalog, self.tables)
        self.partition_map = partition_map
        self._settle([watch for watch in self._watches if watch.is_met(self.tables)], met=True)
        return True

    def watch(
        self, is_met: Callable[[TablesByName], bool], callback: Callable[[bool], None], deadline_s: float
    ) -> None:
        """`callback(True)` when the copy meets the condition, `callback(False)` at the deadline or without room."""
        if is_met(self.tables):
            callback(True)
        elif len(self._watches) >= limits.TABLE_WATCHES_MAX:
            callback(False)
        else:
            self._watches.append(_Watch(is_met, callback, deadline_s))

    def tick(self, now_s: float) -> None:
        """End watches whose deadline has passed."""
        if self._watches:
            self._settle([watch for watch in self._watches if watch.deadline_s <= now_s], met=False)

    def _settle(self, ended: list[_Watch], *, met: bool) -> None:
        if not ended:
            return
        self._watches = [watch for watch in self._watches if all(watch is not other for other in ended)]
        for watch in ended:
            watch.callback(met)

"""The state of the catalog group: the same log and store, another meaning of entries.

Driven like node.machine.state. Law: the whole catalog is one record, written with the applied index that produced it;
the rules are topology.catalog's, which is pure and total.
"""

from __future__ import annotations

from collections.abc import Callable

from node.machine.state import PartitionState
from node.storage import keyspace
from replication.ports import Family, Store
from runtime.clock import HybridClock
from topology.catalog import CatalogState
from wire import catalog_pb2, log_pb2


class CatalogPartitionState(PartitionState):
    """One replica of the catalog."""

    def __init__(self, store: Store, group_id: int, hybrid_clock: HybridClock, changed: Callable[[], None]) -> None:
        self.catalog = CatalogState()
        self._changed = changed
        super().__init__(store, group_id, hybrid_clock)

    def _load_own_records(self, records: dict[bytes, bytes]) -> None:
        super()._load_own_records(records)
        self.catalog = CatalogState()
        record = records.get(keyspace.CATALOG)
        if record is not None:
            self.catalog.restore(record)
        self._changed()

    def _apply_entry(self, entry: log_pb2.LogEntry) -> list[catalog_pb2.CatalogResult]:
        results = [self.catalog.apply(command) for command in entry.catalog_commands]
        self._store.put(Family.DATA, self._prefix + keyspace.CATALOG, self.catalog.snapshot())
        self._changed()
        return results

"""The indexes of the simulated table: begun through the logs, and held against the items when all is quiet.

Created by simulation.run. Law: what the rows of an index must be follows from the items of all partitions and the
definitions alone; it is derived here anew, without the code that maintains them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dynamo.indexes import IndexDefinition, IndexKind
from dynamo.records import encode_record, record_json, record_size
from dynamo.values import Item, decode_item, item_size
from node.host import NodeHost
from node.indexing import backfill, feeder, leader
from node.machine.state import PartitionState
from simulation.client import TABLE_ID, TABLE_KEY
from simulation.knobs import GROUPS, NODES, Indexing, IndexLimits, Knobs
from simulation.process import Machine, Process
from simulation.world import World
from topology.ring import PartitionRing, initial_boundaries
from topology.tables import definition_of
from wire import catalog_pb2, log_pb2

CHECK_INTERVAL_S = 0.05
BEGIN_BOUND_S = 20.0
# From when clients begin to write.
ADDED_AFTER_S = (0.5, 4.0)
_GROUP_KEY = catalog_pb2.KeyAttribute(name="g", type=catalog_pb2.KEY_S)
_ITEM_KEY = catalog_pb2.KeyAttribute(name="k", type=catalog_pb2.KEY_S)
_VALUE = catalog_pb2.KeyAttribute(name="v", type=catalog_pb2.KEY_S)

FROM_START = (
    catalog_pb2.Index(
        index_id=TABLE_ID + 1,
        name="by-value-local",
        kind=catalog_pb2.INDEX_LOCAL,
        partition_keys=[_GROUP_KEY],
        sort_keys=[_VALUE],
        projection=catalog_pb2.PROJECT_KEYS_ONLY,
    ),
    catalog_pb2.Index(index_id=TABLE_ID + 2, name="", kind=catalog_pb2.INDEX_COLLECTION_SIZES),
    # Entries of it move from partition to partition.
    catalog_pb2.Index(
        index_id=TABLE_ID + 3,
        name="by-value",
        kind=catalog_pb2.INDEX_GLOBAL,
        partition_keys=[_VALUE],
        projection=catalog_pb2.PROJECT_ALL,
    ),
)
# Entries of this one stay where they are and change.
ADDED = catalog_pb2.Index(
    index_id=TABLE_ID + 4,
    name="by-key",
    kind=catalog_pb2.INDEX_GLOBAL,
    partition_keys=[_ITEM_KEY],
    sort_keys=[_GROUP_KEY],
    projection=catalog_pb2.PROJECT_INCLUDE,
    included=["n", "v"],
)
# The same, added when clients are about to stop: what its backfill overlooks nobody writes again.
_ADDED_LAST = catalog_pb2.Index()
_ADDED_LAST.CopyFrom(ADDED)
_ADDED_LAST.index_id, _ADDED_LAST.name = TABLE_ID + 5, "by-key-last"
ADDED_LAST_BEFORE_S = (0.0, 0.03)
# The same in the stead of the one that was dropped, which clients write to as they do to the dropped one.
_ADDED_AGAIN = catalog_pb2.Index()
_ADDED_AGAIN.CopyFrom(ADDED)
_ADDED_AGAIN.index_id, _ADDED_AGAIN.name = TABLE_ID + 6, "by-key-again"
DROPPED_AFTER_S = (0.0, 0.3)
Rows = dict[bytes, bytes]
RING = PartitionRing(initial_boundaries(len(GROUPS)), GROUPS)


def simulated_catalog(version: int = 1, index_delay_ms: int = 0) -> catalog_pb2.Catalog:
    """What nodes of the simulation are told: where hashes lie."""
    catalog = catalog_pb2.Catalog(version=version, index_delay_ms=index_delay_ms)
    for group_id in GROUPS:
        catalog.partitions.add(id=group_id, first_hash=RING.range_of(group_id)[0], replicas=NODES)
    return catalog


def begin_entry(index: catalog_pb2.Index, *, backfill: bool = False) -> log_pb2.LogEntry:
    """What makes a partition maintain an index of the simulated table."""
    begin = log_pb2.BeginIndex(
        table_id=TABLE_ID, index=index, backfill=backfill, partition_key=_GROUP_KEY, sort_key=_ITEM_KEY
    )
    return log_pb2.LogEntry(begin_indexes=[begin])


@contextmanager
def limited(limits: IndexLimits) -> Iterator[None]:
    """Run with these limits of node.indexing: constants of real nodes, which nothing but a simulation changes."""
    before = backfill.STEP_ITEMS_MAX, feeder.BATCH_RECORDS_MAX, leader.BACKFILL_OUTBOX_RECORDS_MAX
    backfill.STEP_ITEMS_MAX = limits.step_items_max
    feeder.BATCH_RECORDS_MAX = limits.batch_records_max
    leader.BACKFILL_OUTBOX_RECORDS_MAX = limits.backfill_outbox_records_max
    try:
        yield
    finally:
        backfill.STEP_ITEMS_MAX, feeder.BATCH_RECORDS_MAX, leader.BACKFILL_OUTBOX_RECORDS_MAX = before


class Indexes:
    """What the daemons of real nodes do for indexes, and the check at the end."""

    def __init__(self, world: World, machines: dict[str, Machine], knobs: Knobs) -> None:
        self._world = world
        self._machines = machines
        self._indexing = knobs.indexing
        self._randomness = world.random_stream("indexes")
        self._drops_index = knobs.drops_index
        self._wanted: list[tuple[catalog_pb2.Index, bool]] = []
        self._dropped: list[int] = []
        # Added indexes that were not seen filled yet.
        self._filling: list[catalog_pb2.Index] = []
        self._catalog = simulated_catalog(index_delay_ms=knobs.index_delay_ms)

    def process_started(self, process: Process) -> None:
        """A node hears of the catalog."""
        process.post(lambda: process.host.take_remote_catalog(self._catalog))

    def begin(self) -> None:
        """Let every partition begin the first indexes, and wait for it; another one may follow. Raises Violation."""
        if self._indexing is Indexing.NONE:
            return
        self._wanted = [(index, False) for index in FROM_START]
        self._propose()
        self._world.run_until(self._world.now + BEGIN_BOUND_S, lambda: not self.unrest())
        if self.unrest():
            raise self._world.violation(f"no beginning within {BEGIN_BOUND_S} s: {self.unrest()}")
        if self._indexing is Indexing.ADDED:
            self._world.at(self._randomness.uniform(*ADDED_AFTER_S), lambda: self._add(ADDED))

    def writes_end_in(self, seconds: float) -> None:
        """Clients go on for `seconds` only."""
        if self._indexing is Indexing.ADDED:
            early_s = self._randomness.uniform(*ADDED_LAST_BEFORE_S)
            self._world.at(seconds - early_s, lambda: self._add(_ADDED_LAST))

    def _add(self, index: catalog_pb2.Index) -> None:
        self._wanted.append((index, True))
        self._filling.append(index)
        if index is ADDED and self._drops_index:
            self._world.at(self._randomness.uniform(*DROPPED_AFTER_S), self._drop_added)
        self._propose_now()

    def _drop_added(self) -> None:
        self._wanted = [(index, filled) for index, filled in self._wanted if index is not ADDED]
        self._filling = [index for index in self._filling if index is not ADDED]
        self._dropped.append(ADDED.index_id)
        self._add(_ADDED_AGAIN)

    def _hosts(self) -> list[Process]:
        return [machine.process for machine in self._machines.values() if machine.process is not None]

    def _propose(self) -> None:
        """Propose what a leader's partition lacks, again and again."""
        self._propose_now()
        self._check_filled()
        self._world.at(CHECK_INTERVAL_S, self._propose)

    def _propose_now(self) -> None:
        for process in self._hosts():
            process.post(lambda process=process: self._propose_on(process))  # type: ignore[misc]

    def _propose_on(self, process: Process) -> None:
        host = process.host
        for group_id in host.led_groups():
            for index, may_hold_items in self._wanted:
                if not host.partitions[group_id].state.has_index(index.index_id):
                    host.partitions[group_id].propose_own(begin_entry(index, backfill=may_hold_items))
                    host.wake(group_id)

            partition = host.partitions[group_id]
            for index_id in self._dropped:
                if index_id not in partition.state.dropped_tables:
                    drop = log_pb2.DropTable(table_id=index_id)
                    partition.propose_own(log_pb2.LogEntry(drop_tables=[drop]))
                    host.wake(group_id)

    # ------------------------------------------------------------------ the moment an index is filled
    def _check_filled(self) -> None:
        """Once every partition says that an index is filled, a row may lack only as a later write is on its way."""
        states = self._newest_states() if self._filling else None
        if states is None:
            return
        for index in list(self._filling):
            if not all(state.is_backfilled(index.index_id) for state in states.values()):
                continue
            self._filling.remove(index)
            on_its_way = _entries_waiting(states.values(), index.index_id)
            lacking = [key for key in _rows_lacking(index, states) if key not in on_its_way]
            if lacking:
                raise self._world.violation(f"index {index.name!r} is filled and differs from the items: {lacking[:5]}")

    def _newest_states(self) -> dict[int, PartitionState] | None:
        """What the leaders have applied; None while one may have been deposed, or there may be a newer one."""
        hosts = [process.host for process in self._hosts()]
        if len(hosts) < len(NODES):
            return None
        states = {}
        for group_id in GROUPS:
            newest = max(hosts, key=lambda host: (host.group(group_id).term, host.group(group_id).is_ready_leader))
            if not newest.group(group_id).is_ready_leader:
                return None
            states[group_id] = newest.partitions[group_id].state
        return states

    # ------------------------------------------------------------------ the end
    def unrest(self) -> str:
        """What of the indexes is not done yet; empty: nothing."""
        for process in self._hosts():
            for group_id in GROUPS:
                partition = process.host.partitions[group_id]
                name = f"group {group_id} on {process.node_id}"
                for index, _ in self._wanted:
                    if not partition.is_backfilled(index.index_id):
                        return f"{name} has not filled the index {index.name}"
                if any(index_id not in partition.state.dropped_tables for index_id in self._dropped):
                    return f"{name} has not dropped an index"
                if partition.index_backlog:
                    return f"{name} has {partition.index_backlog} changes to feed"
        return ""

    def judge(self) -> None:
        """Every row of every index is what the items say, and no other. All replicas are equal: one is enough."""
        differences = differences_of([index for index, _ in self._wanted], self._hosts()[0].host)
        if differences:
            raise self._world.violation("; ".join(differences))
        for process in self._hosts():
            for group_id in GROUPS:
                for index_id in self._dropped:
                    left = list(process.host.partitions[group_id].state.rows_after(index_id, b""))
                    if left:
                        raise self._world.violation(f"{process.node_id} holds rows of a dropped index: {left[:5]}")


def _rows_lacking(described: catalog_pb2.Index, states: dict[int, PartitionState]) -> list[bytes]:
    """Keys of entries that the items say and that are not there, or not so."""
    items: dict[int, Rows] = {group_id: dict(state.rows_after(TABLE_ID, b"")) for group_id, state in states.items()}
    expected = _expected(definition_of(described, TABLE_KEY), items)
    return [
        key
        for group_id, state in states.items()
        for key in _different(expected[group_id], dict(state.rows_after(described.index_id, b"")))
    ]


def _entries_waiting(states: Iterable[PartitionState], index_id: int) -> set[bytes]:
    """Keys of entries of an index that a change in an outbox is about, from after the end of the backfill."""
    changes = [
        log_pb2.IndexChange.FromString(state.waiting_change(target, record.sequence))
        for state in states
        for target, waiting in state.outbox.items()
        for record in waiting
        if record.sequence > state.backfills[index_id].done_sequence
    ]
    return {change.key for change in changes if change.index_id == index_id}


def differences_of(indexes: Iterable[catalog_pb2.Index], host: NodeHost) -> list[str]:
    """How the rows of indexes on a node differ from what the items on it say; empty when they do not."""
    states = {group_id: host.partitions[group_id].state for group_id in GROUPS}
    items: dict[int, Rows] = {group_id: dict(state.rows_after(TABLE_ID, b"")) for group_id, state in states.items()}
    differences = []
    for described in indexes:
        index = definition_of(described, TABLE_KEY)
        expected = _expected(index, items)
        for group_id, state in states.items():
            found = dict(state.rows_after(index.index_id, b""))
            if found != expected[group_id]:
                differences.append(
                    f"index {index.name!r} in group {group_id} differs from the items: "
                    f"too many {_difference(found, expected[group_id])}, "
                    f"too few {_difference(expected[group_id], found)}"
                )
    return differences


def _expected(index: IndexDefinition, items: dict[int, Rows]) -> dict[int, Rows]:
    rows: dict[int, Rows] = {group_id: {} for group_id in GROUPS}
    for group_id, records in items.items():
        for item_key, record in records.items():
            if index.kind is IndexKind.COLLECTION_SIZES:
                _add_size(rows[group_id], record)
                continue
            item = decode_item(record_json(record))
            entry_key = index.entry_key(item, item_key)
            if entry_key is None:
                continue
            projected = index.projected(item)
            if index.kind is IndexKind.LOCAL:
                rows[group_id][entry_key] = item_size(projected).to_bytes(4, "big") + item_key
            else:
                rows[RING.locate(entry_key[:16])][entry_key] = encode_record(projected)
    return rows


def _add_size(rows: Rows, record: bytes) -> None:
    item: Item = decode_item(record_json(record))
    collection = TABLE_KEY.item_key_of_key({"g": item["g"], "k": {"S": "?"}})[:-1]
    size = record_size(record)
    if "v" in item:
        size += item_size({name: item[name] for name in ("g", "k", "v")})
    rows[collection] = (int.from_bytes(rows.get(collection, b""), "big") + size).to_bytes(8, "big")


def _difference(one: Rows, other: Rows) -> list[tuple[bytes, bytes]]:
    return [(key, one[key]) for key in _different(one, other)][:5]


def _different(one: Rows, other: Rows) -> list[bytes]:
    return [key for key, value in one.items() if other.get(key) != value]

"""The sweep for expired items: which tables, which rows, in slices, and what is disabled while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest

from dynamo.expiry import expiry_mark
from dynamo.records import encode_record
from node.background.expiry import (
    EXPIRES_IN_FLIGHT_MAX,
    PAUSE_S,
    SLICE_S,
    ExpiringTable,
    ExpirySweeper,
    expiring_tables,
    sweep_slice,
)
from node.machine.state import LOG_ENTRY_VERSION, PartitionState
from node.storage import keyspace
from node.storage.memory import MemoryStore
from runtime.clock import Clock, HybridClock, ManualClock
from simulation.process import Process
from simulation.quiet import QuietCluster
from simulation.table import TABLE_KEY, simulated_catalog
from wire import catalog_pb2, data_pb2, log_pb2

pytestmark = pytest.mark.unit

NOW_S = 1_700_000_000
TABLE = ExpiringTable(7, "ttl", expiry_mark("ttl"))


def state_with(rows: dict[tuple[int, bytes], int]) -> PartitionState:
    """A partition with items by table id and key, each with its `ttl`."""
    store = MemoryStore()
    state = PartitionState(store, 1, HybridClock(ManualClock()))
    entry = log_pb2.LogEntry(version=LOG_ENTRY_VERSION)
    for (table_id, key), expires_s in rows.items():
        entry.mutations.add(table_id=table_id, key=key, item=encode_record({"ttl": {"N": str(expires_s)}}))
    state.apply(2, entry.SerializeToString())
    store.write_batch()
    state.batch_written()
    return state


def swept(state: PartitionState, clock: ManualClock, *, row_s: float = 0.0) -> list[list[bytes]]:
    """What each slice of a whole sweep finds, when every look at the clock takes `row_s`."""

    def monotonic() -> float:
        clock.advance(row_s)
        return clock.monotonic()

    slices = []
    cursor: bytes | None = keyspace.table_range(TABLE.table_id)[0]
    while cursor is not None:
        expired, cursor = sweep_slice(state, TABLE, cursor, NOW_S, monotonic, clock.monotonic() + SLICE_S)
        slices.append(expired)
    return slices


def test_only_expired_rows_of_the_table_are_found() -> None:
    state = state_with(
        {
            (6, b"before"): NOW_S - 1,
            (7, b"a"): NOW_S - 1,
            (7, b"b"): NOW_S + 1,
            (7, b"c"): NOW_S - 2,
            (8, b"after"): NOW_S - 1,
        }
    )
    assert swept(state, ManualClock()) == [[b"a", b"c"]]


def test_a_slice_ends_when_its_time_is_over_and_the_next_goes_on_behind_it() -> None:
    keys = [number.to_bytes(2, "big") for number in range(1000)]
    state = state_with({(7, key): NOW_S + 60 for key in keys} | {(7, keys[900]): NOW_S - 1})
    slices = swept(state, ManualClock(), row_s=SLICE_S)
    assert len(slices) > 10
    assert [key for expired in slices for key in expired] == [keys[900]]


def test_a_slice_ends_when_enough_is_to_be_deleted() -> None:
    keys = [number.to_bytes(2, "big") for number in range(2 * EXPIRES_IN_FLIGHT_MAX + 5)]
    slices = swept(state_with({(7, key): NOW_S - 1 for key in keys}), ManualClock())
    assert [len(expired) for expired in slices] == [EXPIRES_IN_FLIGHT_MAX, EXPIRES_IN_FLIGHT_MAX, 5]
    assert [key for expired in slices for key in expired] == keys


def table(state: catalog_pb2.TableState, settings: object) -> catalog_pb2.Table:
    return catalog_pb2.Table(table_id=7, state=state, settings_json=orjson.dumps(settings))


ENABLED = {"TimeToLive": {"AttributeName": "ttl", "Enabled": True}}
TABLES = {
    "enabled": (table(catalog_pb2.TABLE_ACTIVE, ENABLED), [TABLE]),
    "disabled": (table(catalog_pb2.TABLE_ACTIVE, {"TimeToLive": {"AttributeName": "ttl", "Enabled": False}}), []),
    "never said": (table(catalog_pb2.TABLE_ACTIVE, {"BillingMode": "PAY_PER_REQUEST"}), []),
    "no settings at all": (catalog_pb2.Table(table_id=7, state=catalog_pb2.TABLE_ACTIVE), []),
    "being deleted": (table(catalog_pb2.TABLE_DELETING, ENABLED), []),
}


@pytest.mark.parametrize(("one", "expected"), TABLES.values(), ids=TABLES.keys())
def test_tables_that_are_swept(one: catalog_pb2.Table, expected: list[ExpiringTable]) -> None:
    assert expiring_tables(catalog_pb2.Catalog(tables=[one])) == expected


# ---------------------------------------------------------------------------------------------- whole sweeps
EXPIRED_ITEMS = 3 * EXPIRES_IN_FLIGHT_MAX
LATER_SETTINGS = {
    "disabled": [table(catalog_pb2.TABLE_ACTIVE, {"TimeToLive": {"AttributeName": "ttl", "Enabled": False}})],
    "by another attribute": [
        table(catalog_pb2.TABLE_ACTIVE, {"TimeToLive": {"AttributeName": "other", "Enabled": True}})
    ],
    "of a table that is being deleted": [table(catalog_pb2.TABLE_DELETING, ENABLED)],
    "of a table that is gone": [],
}


def catalog_of(version: int, tables: list[catalog_pb2.Table]) -> catalog_pb2.Catalog:
    catalog = simulated_catalog(version)
    catalog.tables.extend(tables)
    return catalog


@pytest.fixture
def cluster() -> QuietCluster:
    """A table with time to live, every item of which is expired and lies in partition 1."""
    made = QuietCluster(proposals_in_flight_max=2000)
    made.publish(catalog_of(2, [table(catalog_pb2.TABLE_ACTIVE, ENABLED)]))
    asker = made.asker(made.leader(1))
    for number in range(EXPIRED_ITEMS):
        key = {"g": {"S": "g"}, "k": {"S": str(number)}}
        asker.ask(
            data_pb2.Operation(
                kind=data_pb2.PUT,
                partition=1,
                table_id=7,
                key=TABLE_KEY.item_key_of_key(key),
                item=encode_record(key | {"ttl": {"N": str(NOW_S - 3600)}}),
            )
        )
    made.run(1.0)
    assert set(asker.statuses.values()) == {data_pb2.OK}
    return made


def whole_sweep(
    cluster: QuietCluster, process: Process, *, clock: Clock | None = None, meanwhile: Callable[[], None] = lambda: None
) -> int:
    """Sweep on one node; `meanwhile` happens when its first deletions are under way."""

    async def both() -> int:
        sweeper = ExpirySweeper(process.host, clock or process.machine.clock, interval_s=60.0)
        task = asyncio.ensure_future(sweeper.sweep(0.0))
        await asyncio.sleep(0)
        meanwhile()
        while not task.done():
            cluster.run(0.01)
            await asyncio.sleep(0)
        return task.result()

    return asyncio.run(both())


def items_left(process: Process) -> int:
    return len(list(process.host.partitions[1].state.rows_after(7, b"")))


def test_a_sweep_deletes_everything_that_is_expired(cluster: QuietCluster) -> None:
    leader = cluster.leader(1)
    assert whole_sweep(cluster, leader) == EXPIRED_ITEMS
    assert items_left(leader) == 0


@pytest.mark.parametrize("tables", LATER_SETTINGS.values(), ids=LATER_SETTINGS.keys())
def test_a_sweep_under_way_stops_when_time_to_live_is(cluster: QuietCluster, tables: list[catalog_pb2.Table]) -> None:
    leader = cluster.leader(1)
    deleted = whole_sweep(cluster, leader, meanwhile=lambda: cluster.publish(catalog_of(3, tables)))
    assert deleted == EXPIRES_IN_FLIGHT_MAX, "only what was under way"
    assert items_left(leader) == EXPIRED_ITEMS - deleted


def test_a_sweep_goes_on_when_another_table_changes(cluster: QuietCluster) -> None:
    other = table(catalog_pb2.TABLE_ACTIVE, {})
    other.table_id = 8
    tables = [table(catalog_pb2.TABLE_ACTIVE, ENABLED), other]
    changed = catalog_of(3, tables)
    assert whole_sweep(cluster, cluster.leader(1), meanwhile=lambda: cluster.publish(changed)) == EXPIRED_ITEMS


def test_a_node_that_has_not_heard_that_time_to_live_is_disabled_goes_on(cluster: QuietCluster) -> None:
    leader, disabled = cluster.leader(1), catalog_of(3, LATER_SETTINGS["disabled"])

    def only_others_hear() -> None:
        for machine in cluster.machines.values():
            if machine.process is not None and machine.process is not leader:
                machine.process.host.take_remote_catalog(disabled)

    assert whole_sweep(cluster, leader, meanwhile=only_others_hear) == EXPIRED_ITEMS
    leader.host.take_remote_catalog(disabled)
    assert whole_sweep(cluster, leader) == 0


class _BusyClock(ManualClock):
    """Every look at it takes a tenth of a slice."""

    def monotonic(self) -> float:
        self.advance(SLICE_S / 10)
        return super().monotonic()


def test_many_tables_without_items_neither_wake_groups_nor_hold_the_loop(
    monkeypatch: pytest.MonkeyPatch, cluster: QuietCluster
) -> None:
    tables = [table(catalog_pb2.TABLE_ACTIVE, ENABLED) for _ in range(500)]
    for table_id, one in enumerate(tables, start=100):
        one.table_id = table_id
    cluster.publish(catalog_of(3, tables))
    host, sleep = cluster.leader(1).host, asyncio.sleep
    woken: list[int] = []
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(host, "wake", woken.append)
    monkeypatch.setattr("node.background.expiry.asyncio.sleep", pause)
    assert asyncio.run(ExpirySweeper(host, _BusyClock(), interval_s=60.0).sweep(PAUSE_S)) == 0
    assert woken == []
    assert set(pauses) == {PAUSE_S}
    # At least one look at the clock for each table, ten of which are a slice.
    assert len(pauses) >= 500 // 10

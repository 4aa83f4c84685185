"""The sweep for expired items: which tables, which rows, in slices."""

from __future__ import annotations

import orjson
import pytest

from dynamo.expiry import expiry_mark
from dynamo.records import encode_record
from node.background.expiry import EXPIRES_IN_FLIGHT_MAX, SLICE_S, ExpiringTable, expiring_tables, sweep_slice
from node.machine.state import LOG_ENTRY_VERSION, PartitionState
from node.storage import keyspace
from node.storage.memory import MemoryStore
from runtime.clock import HybridClock, ManualClock
from wire import catalog_pb2, log_pb2

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
        expired, cursor = sweep_slice(state, TABLE, cursor, NOW_S, monotonic)
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

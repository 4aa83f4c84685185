"""Indexes on three real hosts in virtual time: what writes answer, how feeds arrive, backfill, faults, expiry."""

from __future__ import annotations

import pytest
from indexing_support import backlog, begin, check, feed_all, item, operation, put, rows, update

from dynamo.values import Item, item_size
from node.indexing import backfill, changes, leader
from node.indexing.changes import collection_bytes
from node.storage import keyspace
from replication.group import ReplicationSettings
from simulation.quiet import Asker, QuietCluster
from simulation.table import ADDED, FROM_START, GROUPS, TABLE_ID, TABLE_KEY, begin_entry, simulated_catalog
from wire import catalog_pb2, data_pb2, log_pb2

pytestmark = pytest.mark.unit

LOCAL_ID, SIZES_ID, BY_VALUE_ID = (index.index_id for index in FROM_START)
OK = data_pb2.OK
EVERYTHING = data_pb2.RETURN_SIZES | data_pb2.RETURN_COLLECTION_SIZE


def delete(key: str, flags: int = 0) -> data_pb2.Operation:
    return operation(data_pb2.DELETE, key, flags=flags)


@pytest.fixture
def cluster() -> QuietCluster:
    made = QuietCluster(proposals_in_flight_max=2000)
    begin(made, FROM_START)
    return made


@pytest.fixture
def asker(cluster: QuietCluster) -> Asker:
    return cluster.asker(cluster.leader(1))


# ---------------------------------------------------------------------------------------------- writes
def test_writes_of_all_kinds_reach_every_index(cluster: QuietCluster, asker: Asker) -> None:
    asker.ask(*(put(item(f"k{number}", v=f"v{number}")) for number in range(20)))
    cluster.run(0.05)
    asker.ask(*(delete(f"k{number}") for number in range(5)))
    asker.ask(*(update(f"k{number}", "SET v = :v", v={"S": f"w{number}"}) for number in range(5, 10)))
    asker.ask(*(update(f"k{number}", "REMOVE v") for number in range(10, 15)))
    cluster.run(0.05)
    assert set(asker.statuses.values()) == {OK}
    feed_all(cluster)
    check(cluster)
    found = rows(cluster.leader(1), BY_VALUE_ID)
    assert sum(found.values()) == 10
    assert min(found.values()) > 0, "entries lie in both partitions"


def test_writes_of_one_item_under_way_build_on_each_other(cluster: QuietCluster, asker: Asker) -> None:
    for machine in cluster.machines.values():
        machine.slow_syncs_until = cluster.world.now + 1.0
    for number in range(6):
        asker.ask(put(item("k", v=f"v{number}"), EVERYTHING))
        cluster.run(0.0015)
    asker.ask(put(item("other", v="v"), EVERYTHING))
    assert asker.results == []
    cluster.run(2.0)
    feed_all(cluster)
    check(cluster)
    one = item_size(item("k", v="v0")) * 2
    both = one + item_size(item("other", v="v")) * 2
    assert [result.collection_bytes for result in asker.results] == [one] * 6 + [both]


def test_an_answer_tells_sizes_units_and_the_collection(cluster: QuietCluster, asker: Asker) -> None:
    numbers = []
    for each in (
        put(item("k", v="a"), EVERYTHING),
        put(item("k", v="b"), EVERYTHING),
        put(item("k", v="b", n=1), EVERYTHING),
        update("k", "SET v = :v", EVERYTHING, v={"S": "b"}),
        delete("k", EVERYTHING),
        delete("k", EVERYTHING),
        put(item("k", v="a")),
    ):
        numbers += asker.ask(each)
        cluster.run(0.05)
    answers = [asker.result(number) for number in numbers]
    units = [{unit.index_id: unit.units for unit in answer.index_units} for answer in answers]
    assert units == [
        {LOCAL_ID: 1, BY_VALUE_ID: 1},
        {LOCAL_ID: 2, BY_VALUE_ID: 2},
        {BY_VALUE_ID: 1},
        {},
        {LOCAL_ID: 1, BY_VALUE_ID: 1},
        {},
        {},
    ]
    entry = item_size(item("k", v="a"))
    with_number = item_size(item("k", v="b", n=1))
    sizes = [2 * entry, 2 * entry, entry + with_number, entry + with_number, 0, 0, 0]
    assert [answer.collection_bytes for answer in answers] == sizes


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        pytest.param("SET v = :v", {"N": "1"}, "Type mismatch for Index Key v Expected: S Actual: N", id="wrong type"),
        pytest.param("SET v = :v", {"S": ""}, "cannot contain an empty string value", id="empty"),
        pytest.param("SET v = :v", {"S": "x" * 3000}, "beyond allowed size limits", id="oversized"),
    ],
)
def test_an_update_that_makes_a_key_unfit_is_refused(
    cluster: QuietCluster, asker: Asker, text: str, value: Item, message: str
) -> None:
    asker.ask(put(item("k", v="a")))
    cluster.run(0.05)
    (refused,) = asker.ask(update("k", text, v=value))
    (kept,) = asker.ask(update("k", "SET n = :n", n={"N": "1"}))
    cluster.run(0.05)
    assert asker.result(refused).status == data_pb2.VALIDATION_FAILED
    assert message in asker.result(refused).message
    assert asker.statuses[kept] == OK


def test_a_put_that_fits_no_index_is_stored_and_in_none(cluster: QuietCluster, asker: Asker) -> None:
    asker.ask(put(item("k", v=5)))
    cluster.run(0.05)
    assert set(asker.statuses.values()) == {OK}
    assert sum(rows(cluster.leader(1), BY_VALUE_ID).values()) == 0
    assert sum(rows(cluster.leader(1), LOCAL_ID).values()) == 0


def test_a_collection_at_its_limit_refuses_what_makes_it_larger(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "ITEM_COLLECTION_BYTES_MAX", 30)
    numbers = []
    for each in (put(item("k1", v="aaa")), put(item("k2", v="a")), delete("k1"), put(item("k2", v="a"))):
        numbers += asker.ask(each)
        cluster.run(0.05)
    assert [asker.statuses[number] for number in numbers] == [OK, data_pb2.COLLECTION_TOO_LARGE, OK, OK]
    state = cluster.leader(1).host.partitions[1].state
    collection = TABLE_KEY.item_key_of_key(item("?"))[:-1]
    size = collection_bytes(state.get(keyspace.item_key(SIZES_ID, collection)))
    assert size == 2 * item_size(item("k2", v="a"))


def test_a_table_whose_feed_does_not_keep_up_is_refused_and_others_are_not(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "OUTBOX_RECORDS_MAX", 3)
    cluster.publish(simulated_catalog(version=2, index_delay_ms=60_000))
    asker.ask(*(put(item(f"k{number}", v="v")) for number in range(3)))
    cluster.run(0.05)
    (refused,) = asker.ask(put(item("late", v="v")))
    other = put(item("other", v="v"))
    other.table_id = TABLE_ID + 100
    (served,) = asker.ask(other)
    cluster.run(0.05)
    assert (asker.statuses[refused], asker.statuses[served]) == (data_pb2.OVERLOADED, OK)
    cluster.publish(simulated_catalog(version=3))
    feed_all(cluster)
    (again,) = asker.ask(put(item("late", v="v")))
    cluster.run(0.05)
    assert asker.statuses[again] == OK


def test_without_a_catalog_writes_with_global_indexes_are_refused_and_others_served() -> None:
    cluster = QuietCluster()
    begin(cluster, FROM_START)
    cluster.catalog = catalog_pb2.Catalog()
    for machine in cluster.machines.values():
        machine.crash(power_loss=False, restart_after_s=0.1)
    cluster.run(0.2)
    asker = cluster.asker(cluster.settle(1))
    (refused,) = asker.ask(put(item("k", v="v")))
    (served,) = asker.ask(put(item("k2")))
    cluster.run(0.1)
    assert (asker.statuses[refused], asker.statuses[served]) == (data_pb2.UNAVAILABLE, OK)


# ---------------------------------------------------------------------------------------------- feeds
def test_a_delay_holds_entries_back_and_is_measured(cluster: QuietCluster, asker: Asker) -> None:
    cluster.publish(simulated_catalog(version=2, index_delay_ms=5000))
    asker.ask(put(item("k", v="v")))
    cluster.run(2.0)
    partition = cluster.leader(1).host.partitions[1]
    assert sum(rows(cluster.leader(1), BY_VALUE_ID).values()) == 0
    assert partition.index_backlog == 1
    assert 500 <= partition.index_lag_ms() <= 4500, "clocks of the simulated machines differ by up to two seconds"
    feed_all(cluster)
    check(cluster)
    assert partition.index_lag_ms() == 0


def test_a_quiet_cluster_does_nothing_for_indexes(cluster: QuietCluster, asker: Asker) -> None:
    asker.ask(put(item("k", v="v")))
    cluster.run(1.0)
    feed_all(cluster)
    before = [cluster.leader(group_id).host.group(group_id).journal.last_index for group_id in GROUPS]
    cluster.run(5.0)
    assert [cluster.leader(group_id).host.group(group_id).journal.last_index for group_id in GROUPS] == before
    assert cluster.leader(1).host.partitions[1].indexing.next_event_at == float("inf")


@pytest.mark.parametrize("crashed_group", [1, 2], ids=["of the source", "of the target"])
def test_a_feed_goes_on_after_the_leader_is_killed(
    cluster: QuietCluster, asker: Asker, crashed_group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.indexing.feeder.BATCH_RECORDS_MAX", 5)
    asker.ask(*(put(item(f"k{number}", v=f"v{number}")) for number in range(200)))
    cluster.world.run_until(cluster.world.now + 5.0, lambda: len(asker.results) == 200)
    assert backlog(cluster) > 50
    victim = cluster.leader(crashed_group)
    cluster.machines[victim.node_id].crash(power_loss=True, restart_after_s=3.0)
    cluster.run(5.0)
    for group_id in GROUPS:
        cluster.settle(group_id)
    feed_all(cluster)
    check(cluster)


def test_a_target_without_quorum_holds_up_only_its_own_entries(cluster: QuietCluster, asker: Asker) -> None:
    host = cluster.leader(1).host
    stuck = cluster.leader(2)
    if stuck.node_id == cluster.leader(1).node_id:
        host.start_transfer(1, next(node for node in cluster.machines if node != stuck.node_id))
        cluster.run(1.0)
    source = cluster.leader(1)
    asker = cluster.asker(source)
    cluster.isolate(stuck.node_id, 0.6)
    asker.ask(*(put(item(f"k{number}", v=f"v{number}")) for number in range(20)))
    cluster.run(0.3)
    assert rows(source, BY_VALUE_ID)[1] > 0
    cluster.run(5.0)
    feed_all(cluster)
    check(cluster)


def test_a_replica_that_comes_by_snapshot_has_the_outbox_and_can_feed_it() -> None:
    settings = ReplicationSettings(log_entries_kept=5, snapshot_chunk_bytes=300)
    cluster = QuietCluster(replication=settings, proposals_in_flight_max=2000)
    begin(cluster, FROM_START)
    cluster.publish(simulated_catalog(version=2, index_delay_ms=600_000))
    away = cluster.follower(1).node_id
    cluster.machines[away].crash(power_loss=True, restart_after_s=100.0)
    asker = cluster.asker(cluster.leader(1))
    for number in range(60):
        asker.ask(put(item(f"k{number}", v=f"v{number}")))
        cluster.run(0.02)
    assert backlog(cluster) == 60
    cluster.machines[away].start()
    cluster.run(1.0)
    cluster.settle(1)
    assert cluster.checks.snapshots > 0
    assert cluster.process(away).host.partitions[1].index_backlog == 60
    cluster.leader(1).host.start_transfer(1, away)
    cluster.run(1.0)
    assert cluster.leader(1).node_id == away
    cluster.publish(simulated_catalog(version=3))
    feed_all(cluster)
    check(cluster)


# ---------------------------------------------------------------------------------------------- backfill
def is_full(cluster: QuietCluster, index_id: int) -> bool:
    return all(cluster.leader(group_id).host.partitions[group_id].is_backfilled(index_id) for group_id in GROUPS)


def fill(cluster: QuietCluster, index_id: int) -> None:
    cluster.world.run_until(cluster.world.now + 20.0, lambda: is_full(cluster, index_id))
    assert is_full(cluster, index_id)


def test_an_index_that_is_added_gets_every_item_that_fits(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "STEP_ITEMS_MAX", 7)
    asker.ask(*(put(item(f"k{number}", v=f"v{number}")) for number in range(50)))
    cluster.run(0.2)
    begin(cluster, [ADDED], backfill=True)
    fill(cluster, ADDED.index_id)
    feed_all(cluster)
    check(cluster, ADDED)
    assert sum(rows(cluster.leader(1), ADDED.index_id).values()) == 50


def test_a_backfill_omits_what_does_not_fit(cluster: QuietCluster, asker: Asker) -> None:
    by_number = catalog_pb2.Index(
        index_id=TABLE_ID + 9,
        name="by-number",
        kind=catalog_pb2.INDEX_GLOBAL,
        partition_keys=[catalog_pb2.KeyAttribute(name="n", type=catalog_pb2.KEY_N)],
        projection=catalog_pb2.PROJECT_ALL,
    )
    asker.ask(put(item("a", n=1)), put(item("b", n="no number")), put(item("c")), put(item("d", n=2)))
    cluster.run(0.2)
    begin(cluster, [by_number], backfill=True)
    fill(cluster, by_number.index_id)
    assert sum(rows(cluster.leader(1), by_number.index_id).values()) == 2


def test_a_backfill_under_writes_misses_nothing_and_brings_nothing_back(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "STEP_ITEMS_MAX", 3)
    asker.ask(*(put(item(f"k{number:02}", v="before")) for number in range(60)))
    cluster.run(0.2)
    for machine in cluster.machines.values():
        machine.slow_syncs_until = cluster.world.now + 1.5
    # Under way when the index begins, and so without a change for it.
    asker.ask(*(put(item(f"j{number:02}", v="under way")) for number in range(10)), delete("k00"))
    for group_id in GROUPS:
        host = cluster.leader(group_id).host
        host.partitions[group_id].propose_own(begin_entry(ADDED, backfill=True))
        host.wake(group_id)
    for number in range(60):
        asker.ask(
            put(item(f"k{(number * 7) % 60:02}", v=f"after{number}")),
            delete(f"k{(number * 11) % 60:02}"),
            put(item(f"l{number:02}", v="new")),
        )
        cluster.run(0.02)
    fill(cluster, ADDED.index_id)
    feed_all(cluster)
    check(cluster, ADDED)


def test_a_backfill_goes_on_from_its_cursor_after_the_leader_is_killed(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "STEP_ITEMS_MAX", 2)
    asker.ask(*(put(item(f"k{number}", v=f"v{number}")) for number in range(100)))
    cluster.run(0.3)
    begin(cluster, [ADDED], backfill=True)
    state = cluster.leader(1).host.partitions[1].state
    assert state.unfinished_backfills == {ADDED.index_id}
    cursor = state.backfills[ADDED.index_id].cursor
    assert cursor
    cluster.machines[cluster.leader(1).node_id].crash(power_loss=True, restart_after_s=2.0)
    cluster.run(4.0)
    cluster.settle(1)
    assert cluster.leader(1).host.partitions[1].state.backfills[ADDED.index_id].cursor > cursor
    fill(cluster, ADDED.index_id)
    feed_all(cluster)
    check(cluster, ADDED)


def test_a_backfill_waits_while_the_outbox_is_full(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "STEP_ITEMS_MAX", 2)
    monkeypatch.setattr(leader, "BACKFILL_OUTBOX_RECORDS_MAX", 5)
    asker.ask(*(put(item(f"k{number}", v=f"v{number}")) for number in range(40)))
    cluster.run(0.2)
    feed_all(cluster)
    cluster.publish(simulated_catalog(version=2, index_delay_ms=3000))
    begin(cluster, [ADDED], backfill=True)
    cluster.run(0.3)
    assert 5 <= backlog(cluster) <= 7
    cluster.publish(simulated_catalog(version=3))
    fill(cluster, ADDED.index_id)
    feed_all(cluster)
    check(cluster, ADDED)


def test_an_index_that_is_dropped_while_it_is_filled_leaves_nothing(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "STEP_ITEMS_MAX", 2)
    asker.ask(*(put(item(f"k{number}", v=f"v{number}")) for number in range(100)))
    cluster.run(0.3)
    begin(cluster, [ADDED], backfill=True)
    for group_id in GROUPS:
        host = cluster.leader(group_id).host
        host.partitions[group_id].propose_own(
            log_pb2.LogEntry(drop_tables=[log_pb2.DropTable(table_id=ADDED.index_id)])
        )
        host.wake(group_id)
    asker.ask(put(item("late", v="v")))
    cluster.run(1.0)
    feed_all(cluster)
    check(cluster)
    assert rows(cluster.leader(1), ADDED.index_id) == {1: 0, 2: 0}


# ---------------------------------------------------------------------------------------------- expiry
def expire(cluster: QuietCluster, key: str, now_s: int) -> list[bool | None]:
    told: list[bool | None] = []
    host = cluster.leader(1).host
    expiry = data_pb2.Expiry(attribute="n", now_s=now_s)
    host.partitions[1].expire(TABLE_ID, TABLE_KEY.item_key_of_key(item(key)), expiry, told.append)
    host.wake(1)
    return told


@pytest.mark.parametrize(
    ("attributes", "deleted"),
    [
        pytest.param({"n": 999}, True, id="in the past"),
        pytest.param({"n": 1000}, False, id="now"),
        pytest.param({"n": 1001}, False, id="in the future"),
        pytest.param({"n": "999"}, False, id="a string"),
        pytest.param({}, False, id="without the attribute"),
    ],
)
def test_only_an_expired_item_goes_with_all_its_entries(
    cluster: QuietCluster, asker: Asker, attributes: dict[str, object], deleted: bool
) -> None:
    asker.ask(put(item("k", v="v", **attributes)))
    cluster.run(0.1)
    told = expire(cluster, "k", 1000)
    cluster.run(0.1)
    assert told == [deleted]
    feed_all(cluster)
    check(cluster)
    assert sum(rows(cluster.leader(1), BY_VALUE_ID).values()) == (0 if deleted else 1)
    assert cluster.leader(1).host.partitions[1].in_flight == 0


def test_an_item_that_was_revived_just_before_stays(cluster: QuietCluster, asker: Asker) -> None:
    asker.ask(put(item("k", v="v", n=999)))
    cluster.run(0.1)
    asker.ask(put(item("k", v="v", n=2000)))
    told = expire(cluster, "k", 1000)
    cluster.run(0.1)
    assert told == [False]


def test_an_expiry_on_a_follower_is_refused(cluster: QuietCluster) -> None:
    told: list[bool | None] = []
    host = cluster.follower(1).host
    expiry = data_pb2.Expiry(attribute="n", now_s=1000)
    host.partitions[1].expire(TABLE_ID, TABLE_KEY.item_key_of_key(item("k")), expiry, told.append)
    host.wake(1)
    cluster.run(0.1)
    assert told == [None]

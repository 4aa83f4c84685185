"""Indexes whose changes are large or many: what a partition takes, holds and puts into one entry, in virtual time."""

from __future__ import annotations

import pytest
from indexing_support import backlog, begin, check, feed_all, item, put, rows, update

from dynamo.records import encode_record
from node import write_queue
from node.indexing import backfill, leader
from node.partition import PROPOSAL_BYTES_MAX
from simulation.quiet import Asker, QuietCluster
from simulation.table import ADDED, FROM_START, GROUPS, TABLE_ID, TABLE_KEY, simulated_catalog
from topology.tables import definition_of
from wire import catalog_pb2, data_pb2, log_pb2

pytestmark = pytest.mark.unit

BY_VALUE_ID = FROM_START[-1].index_id
OK = data_pb2.OK


def is_full(cluster: QuietCluster, index_id: int) -> bool:
    return all(cluster.leader(group_id).host.partitions[group_id].is_backfilled(index_id) for group_id in GROUPS)


def fill(cluster: QuietCluster, index_id: int) -> None:
    cluster.world.run_until(cluster.world.now + 20.0, lambda: is_full(cluster, index_id))
    assert is_full(cluster, index_id)


@pytest.fixture
def cluster() -> QuietCluster:
    made = QuietCluster(proposals_in_flight_max=2000)
    begin(made, FROM_START)
    return made


@pytest.fixture
def asker(cluster: QuietCluster) -> Asker:
    return cluster.asker(cluster.leader(1))


def many_by_value(count: int) -> list[catalog_pb2.Index]:
    """Global indexes by `v` that hold all of an item."""
    key = catalog_pb2.KeyAttribute(name="v", type=catalog_pb2.KEY_S)
    return [
        catalog_pb2.Index(
            index_id=TABLE_ID + 20 + number,
            name=f"all-{number}",
            kind=catalog_pb2.INDEX_GLOBAL,
            partition_keys=[key],
            projection=catalog_pb2.PROJECT_ALL,
        )
        for number in range(count)
    ]


def test_writes_that_are_large_in_the_log_wait_for_those_under_way(cluster: QuietCluster, asker: Asker) -> None:
    begin(cluster, many_by_value(10))
    group = cluster.leader(1).host.group(1)
    for machine in cluster.machines.values():
        machine.slow_syncs_until = cluster.world.now + 1.0
    numbers = asker.ask(*(put(item(f"k{number}", v="v", data="x" * 100_000)) for number in range(100)))
    cluster.run(0.002)
    entries = [entry for entry in group.journal.entries if len(entry[0]) > 100_000]
    under_way = sum(len(entry[0]) for entry in entries)
    assert write_queue.PROPOSED_BYTES_MAX <= under_way <= write_queue.PROPOSED_BYTES_MAX + 2 * PROPOSAL_BYTES_MAX
    assert max(len(entry[0]) for entry in entries) <= PROPOSAL_BYTES_MAX + 1_200_000
    assert asker.results == []
    cluster.run(5.0)
    statuses = [asker.statuses[number] for number in numbers]
    assert set(statuses) <= {OK, data_pb2.OVERLOADED}
    assert statuses.count(OK) >= 5
    (late,) = asker.ask(put(item("late", v="v")))
    cluster.run(0.1)
    assert asker.statuses[late] == OK


def test_what_a_write_puts_into_the_log_counts_as_held(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(cluster, many_by_value(10))
    asker.ask(put(item("large", v="v", data="x" * 10_000)))
    cluster.run(0.1)
    monkeypatch.setattr(write_queue, "HELD_BYTES_MAX", 100_000)
    for machine in cluster.machines.values():
        machine.slow_syncs_until = cluster.world.now + 0.5
    (first,) = asker.ask(update("large", "SET n = :n", n={"N": "1"}))
    cluster.run(0.002)
    (refused,) = asker.ask(update("large", "SET n = :n", n={"N": "2"}))
    cluster.run(1.0)
    (again,) = asker.ask(update("large", "SET n = :n", n={"N": "3"}))
    cluster.run(0.1)
    assert [asker.statuses[number] for number in (first, refused, again)] == [OK, data_pb2.OVERLOADED, OK]


def test_a_write_that_waits_too_long_for_room_is_refused_and_has_not_happened(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_queue, "PROPOSED_BYTES_MAX", 1)
    monkeypatch.setattr(write_queue, "WAIT_S_MAX", 0.0)
    for machine in cluster.machines.values():
        machine.slow_syncs_until = cluster.world.now + 0.5
    (first,) = asker.ask(put(item("a", v="v")))
    cluster.run(0.002)
    (refused,) = asker.ask(put(item("b", v="v")))
    cluster.run(1.0)
    assert [asker.statuses[number] for number in (first, refused)] == [OK, data_pb2.OVERLOADED]
    feed_all(cluster)
    check(cluster)
    assert sum(rows(cluster.leader(1), BY_VALUE_ID).values()) == 1


def test_an_outbox_is_full_by_its_bytes_too(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "OUTBOX_BYTES_MAX", 1000)
    cluster.publish(simulated_catalog(version=2, index_delay_ms=60_000))
    (first,) = asker.ask(put(item("a", v="v" * 1000)))
    cluster.run(0.05)
    (refused,) = asker.ask(put(item("b", v="v")))
    cluster.run(0.05)
    assert [asker.statuses[number] for number in (first, refused)] == [OK, data_pb2.OVERLOADED]
    cluster.publish(simulated_catalog(version=3))
    feed_all(cluster)
    (again,) = asker.ask(put(item("b", v="v")))
    cluster.run(0.05)
    assert asker.statuses[again] == OK


def test_a_backfill_waits_while_the_outbox_is_full_by_its_bytes(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "STEP_ITEMS_MAX", 2)
    monkeypatch.setattr(leader, "BACKFILL_OUTBOX_BYTES_MAX", 1)
    asker.ask(*(put(item(f"k{number}", v=f"v{number}")) for number in range(20)))
    cluster.run(0.2)
    feed_all(cluster)
    cluster.publish(simulated_catalog(version=2, index_delay_ms=3000))
    begin(cluster, [ADDED], backfill=True)
    cluster.run(0.3)
    assert backlog(cluster) == 2
    cluster.publish(simulated_catalog(version=3))
    fill(cluster, ADDED.index_id)
    feed_all(cluster)
    check(cluster, ADDED)


def test_a_step_of_small_rows_with_large_updates_under_way_stays_small(cluster: QuietCluster, asker: Asker) -> None:
    asker.ask(*(put(item(f"k{number:03}", v="v")) for number in range(50)))
    cluster.run(0.2)
    begin(cluster, [everything := many_by_value(1)[0]], backfill=False)
    definition = definition_of(everything, TABLE_KEY)
    state = cluster.leader(1).host.partitions[1].state
    large = encode_record(item("k", v="v", data="x" * 390_000))
    step = backfill.next_step(
        definition, state.rows_after(TABLE_ID, b""), lambda _key, _stored: large, b"", lambda _: 1
    )
    assert (len(step.index_changes), step.done) == (1, False)


def test_a_step_that_fails_stops_nobody_and_is_tried_again(
    cluster: QuietCluster, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker.ask(*(put(item(f"k{number}", v=f"v{number}")) for number in range(20)))
    cluster.run(0.2)
    feed_all(cluster)
    tried: list[float] = []

    def fail(*_arguments: object) -> log_pb2.BackfillStep:
        tried.append(cluster.world.now)
        raise ValueError("no index can be made of this")

    with monkeypatch.context() as patch:
        patch.setattr(leader, "next_step", fail)
        begin(cluster, [ADDED], backfill=True)
        (served,) = asker.ask(put(item("more", v="v")))
        cluster.run(10.0)
    assert asker.statuses[served] == OK
    assert len(cluster.machines) == 3
    assert all(machine.process is not None for machine in cluster.machines.values())
    assert 6 <= len(tried) <= 12, "with growing pauses, on the leaders of two partitions"
    assert not is_full(cluster, ADDED.index_id)
    fill(cluster, ADDED.index_id)
    feed_all(cluster)
    check(cluster, ADDED)

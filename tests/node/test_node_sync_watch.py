"""How long a sync has kept a node waiting: a process that stood still meanwhile has not waited."""

from __future__ import annotations

import pytest

from node.host import SYNC_STUCK_S
from node.sync_watch import SyncWatch
from simulation.quiet import QuietCluster
from simulation.table import TABLE_ID, to_item
from wire import data_pb2

pytestmark = pytest.mark.unit


def test_a_disk_that_hangs_is_noticed_by_a_process_that_runs() -> None:
    watch = SyncWatch()
    watch.started(100.0)
    assert [watch.waited_s(100.0 + tick * 0.5) for tick in (1, 2, 3)] == [0.5, 1.0, 1.5]
    assert watch.ended(102.0) == 2.0
    assert watch.waited_s(103.0) == 0.0


def test_time_in_which_the_process_stood_still_is_not_the_disks() -> None:
    watch = SyncWatch()
    watch.started(100.0)
    assert watch.waited_s(100.5) == 0.5
    assert watch.waited_s(160.5) == 0.5
    assert watch.waited_s(161.0) == 1.0


def test_a_node_that_was_stopped_during_a_sync_goes_on() -> None:
    """Found by simulation, seed 300066 of 65f597d: a node paused for longer than SYNC_STUCK_S stopped itself."""
    cluster = QuietCluster()
    leader = cluster.leader(1)
    machine = cluster.machines[leader.node_id]
    machine.slow_syncs_until = cluster.world.now + 1.0
    item = to_item("g1r0", "v")
    write = data_pb2.Operation(
        partition=1, kind=data_pb2.PUT, table_id=TABLE_ID, key=b"g1r0", item=item, request_id=b"r" * 16
    )
    cluster.asker(leader).ask(write)
    watch = leader.host._sync_watch
    cluster.world.run_until(cluster.world.now + 1.0, lambda: watch.started_at is not None)
    assert watch.started_at is not None
    leader.pause(SYNC_STUCK_S + 1.0)
    cluster.run(SYNC_STUCK_S + 2.0)
    assert machine.process is leader
    cluster.settle(1)

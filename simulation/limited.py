"""Constants of real processes that a seed has otherwise.

Used by simulation.run around every run. Law: what is changed here is put back, whatever becomes of the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from node.indexing import backfill, feeder, leader
from router import limits
from simulation.knobs import Knobs


@contextmanager
def limited(knobs: Knobs) -> Iterator[None]:
    """Run with small steps of node.indexing, and with a router's timer as slow as the cluster of the seed."""
    before = backfill.STEP_ITEMS_MAX, feeder.BATCH_RECORDS_MAX, leader.BACKFILL_OUTBOX_RECORDS_MAX, limits.TICK_MS
    backfill.STEP_ITEMS_MAX = knobs.index_limits.step_items_max
    feeder.BATCH_RECORDS_MAX = knobs.index_limits.batch_records_max
    leader.BACKFILL_OUTBOX_RECORDS_MAX = knobs.index_limits.backfill_outbox_records_max
    limits.TICK_MS = knobs.router_tick_ms
    try:
        yield
    finally:
        backfill.STEP_ITEMS_MAX, feeder.BATCH_RECORDS_MAX, leader.BACKFILL_OUTBOX_RECORDS_MAX, limits.TICK_MS = before

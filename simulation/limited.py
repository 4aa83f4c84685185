"""Constants of real processes that a seed has otherwise.

Used by simulation.run around every run. Law: what is changed here is put back, whatever becomes of the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from node.indexing import backfill, feeder, leader
from node.machine import requests
from router import limits
from simulation.knobs import Knobs


@contextmanager
def limited(knobs: Knobs) -> Iterator[None]:
    """Run with small steps of node.indexing, a short memory of requests, and a router's timer as slow as the seed's
    cluster."""
    before = backfill.STEP_ITEMS_MAX, feeder.BATCH_RECORDS_MAX, leader.BACKFILL_OUTBOX_RECORDS_MAX, limits.TICK_MS
    remembered = requests.WINDOW_MS, requests.REQUESTS_MAX
    requests.WINDOW_MS, requests.REQUESTS_MAX = knobs.request_memory_ms, knobs.requests_max
    backfill.STEP_ITEMS_MAX = knobs.index_limits.step_items_max
    feeder.BATCH_RECORDS_MAX = knobs.index_limits.batch_records_max
    leader.BACKFILL_OUTBOX_RECORDS_MAX = knobs.index_limits.backfill_outbox_records_max
    limits.TICK_MS = knobs.router_tick_ms
    try:
        yield
    finally:
        backfill.STEP_ITEMS_MAX, feeder.BATCH_RECORDS_MAX, leader.BACKFILL_OUTBOX_RECORDS_MAX, limits.TICK_MS = before
        requests.WINDOW_MS, requests.REQUESTS_MAX = remembered

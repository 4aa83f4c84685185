"""The router without its front doors: routing and operations, wired.

Made by router.process on the machine's clock and network, and by the simulation on those of a seed. Law: nothing here
reads a clock, draws at random or opens a connection but by what it is given.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass

from router.metrics import Counts
from router.operations.call import Services, WriteIds
from router.operations.registry import METRIC_NAMES, Operations
from router.routing.catalog_copy import CatalogCopy
from router.routing.catalog_reader import CatalogReader
from router.routing.dispatcher import Dispatcher
from runtime.clock import Clock
from runtime.tasks import TaskOwner
from topology.settings import ClusterSettings
from wire.services import OpenChannel, open_channel


@dataclass(frozen=True, slots=True)
class RouterCore:
    """What answers requests, before anything connects."""

    copy: CatalogCopy
    reader: CatalogReader
    counts: Counts
    dispatcher: Dispatcher
    operations: Operations


def build_core(
    settings: ClusterSettings,
    router_id: str,
    cluster_id: str,
    tasks: TaskOwner,
    *,
    clock: Clock,
    rng: random.Random,
    open_channel: OpenChannel = open_channel,
) -> RouterCore:
    """Wire a router on the running loop. `rng` makes ids that no other process may make: the system's, on a machine."""
    copy = CatalogCopy()
    counts = Counts(METRIC_NAMES)
    dispatcher = Dispatcher(
        settings=settings,
        router_id=router_id,
        cluster_id=cluster_id,
        copy=copy,
        counts=counts,
        clock=clock,
        rng=rng,
        tasks=tasks,
        open_channel=open_channel,
    )
    reader = CatalogReader(dispatcher)
    operations = Operations(reader)
    operations.bind(
        Services(
            port=dispatcher,
            copy=copy,
            clock=clock,
            write_ids=WriteIds(rng.randbytes(8)),
            new_uuid=lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            table_activation_ms=settings.timeouts.table_activation_ms,
            tables_max=settings.limits.tables_max,
            retry=operations.retry,
            run_guarded=operations.run_guarded,
            run_native=operations.run_native,
        )
    )
    return RouterCore(copy, reader, counts, dispatcher, operations)

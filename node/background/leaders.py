"""Leadership where the placement wants it, and the catalog's first entry.

Runs on every node, started by node.__main__. A leader whose partition prefers another node hands over once that node
has been connected and caught up for a while. Law: a hand-over pauses writes for a moment, so it is rare and never
repeated in a hurry; it moves nothing while a preferred leader is unwell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.background.moves import preferred_leader
from node.host import NodeHost
from runtime.clock import Clock
from runtime.logs import get_logger
from topology.placement import CATALOG_PARTITION
from wire import catalog_pb2, log_pb2

log = get_logger()

CHECK_INTERVAL_S = 0.25
# A leader keeps what it leads at least this long, and a preferred leader must have been connected this long.
SETTLED_S = 2.0
# After a hand-over that did not happen.
RETRY_S = 5.0


class LeaderDaemon:
    """One node's part in keeping leaders spread."""

    def __init__(
        self,
        host: NodeHost,
        clock: Clock,
        bootstrap: catalog_pb2.Catalog,
        is_connected: Callable[[str], bool],
    ) -> None:
        self._host = host
        self._clock = clock
        self._bootstrap = bootstrap
        self._is_connected = is_connected
        self._settled_since: dict[int, float] = {}
        self._not_before: dict[int, float] = {}
        self.draining = False

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            self._bootstrap_catalog()
            if not self.draining:
                self._hand_over()

    def _bootstrap_catalog(self) -> None:
        """The first leader of an empty catalog writes the cluster's description into it."""
        if self._host.catalog_version or CATALOG_PARTITION not in self._host.partitions:
            return
        partition = self._host.partitions[CATALOG_PARTITION]
        if partition.group.is_ready_leader:
            command = catalog_pb2.CatalogCommand()
            command.bootstrap.catalog.CopyFrom(self._bootstrap)
            partition.propose_own(log_pb2.LogEntry(catalog_commands=[command]))
            self._host.wake(CATALOG_PARTITION)

    def _hand_over(self) -> None:
        now = self._clock.monotonic()
        # Before there is a catalog the settings say who is preferred.
        catalog = self._host.catalog or self._bootstrap
        for partition in catalog.partitions:
            group_id = partition.id
            if group_id not in self._host.partitions:
                continue
            group = self._host.group(group_id)
            preferred = preferred_leader(partition, group.membership)
            wants_to_move = (
                group.is_ready_leader
                and bool(preferred)
                and preferred != self._host.settings.node_id
                and self._is_connected(preferred)
                and group.is_nearly_caught_up(preferred)
            )
            if not wants_to_move:
                self._settled_since.pop(group_id, None)
                continue
            since = self._settled_since.setdefault(group_id, now)
            if now - since >= SETTLED_S and now >= self._not_before.get(group_id, 0.0):
                log.info("leadership_hand_over", partition=group_id, target=preferred)
                self._not_before[group_id] = now + RETRY_S
                self._host.start_transfer(group_id, preferred)

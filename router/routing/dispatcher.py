"""The shell around router.routing.state: clock, timer, streams, catalog copy.

Owned by router.process; router.operations submit to it. Law: only this module and node_link act; what to do is decided
in RoutingState and CatalogCopy.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from itertools import count

from router import limits
from router.metrics import Counts
from router.routing.catalog_copy import CatalogCopy
from router.routing.departures import Departures
from router.routing.node_link import NodeLink
from router.routing.pending import Pending
from router.routing.state import RoutingState
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from topology.settings import ClusterSettings
from wire import catalog_pb2, data_pb2
from wire.services import OpenChannel, open_channel

log = get_logger()


class Dispatcher:
    """Routes operations to nodes. Must be made on the running loop."""

    def __init__(
        self,
        *,
        settings: ClusterSettings,
        router_id: str,
        cluster_id: str,
        copy: CatalogCopy,
        counts: Counts,
        clock: Clock,
        rng: random.Random,
        tasks: TaskOwner,
        open_channel: OpenChannel = open_channel,
    ) -> None:
        self._open_channel = open_channel
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._copy = copy
        self._counts = counts
        self._now_s = clock.monotonic
        self._rng = rng
        self._tasks = tasks
        self._operation_s = settings.timeouts.operation_ms / 1000
        own = settings.router(router_id)
        self._hello = data_pb2.RouterHello(
            router_id=router_id, cluster_id=cluster_id, az=own.az, process_id=rng.randbytes(8)
        )
        self._departures = Departures(clock.monotonic)
        self._links: dict[str, NodeLink] = {}
        self._addresses = {node.id: node.address for node in settings.nodes}
        self._ids = count(1)
        self._timer: asyncio.TimerHandle | None = None
        # The node whose results are being handled now; "" between frames. Set once a frame, for traced answers.
        self.answering = ""
        self.state = RoutingState(
            streams=self,
            own_az=own.az,
            node_ids=tuple(self._addresses),
            in_flight_max=settings.limits.operations_in_flight_max,
            next_id=self._ids.__next__,
        )

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect to every node of the settings."""
        for node_id, address in self._addresses.items():
            self._add_link(node_id, address)
        self._tick()

    def close(self) -> None:
        """Stop the timer; the links end with the task owner."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._departures.close()

    @property
    def ready(self) -> bool:
        """Whether operations can be served: a catalog is known and at least one node is connected."""
        return self._copy.version > 0 and bool(self.state.live_nodes)

    def _add_link(self, node_id: str, address: str) -> None:
        link = NodeLink(
            node_id=node_id,
            address=address,
            hello=self._hello,
            owner=self,
            departures=self._departures,
            counts=self._counts.stream(node_id),
            connect_ms=self._settings.timeouts.connect_ms,
            rng=self._rng,
            open_channel=self._open_channel,
        )
        self._links[node_id] = link
        if self._copy.version:
            link.acknowledge(self._copy.version)
        self._tasks.start(f"link:{node_id}", link.run())

    def _tick(self) -> None:
        now_s = self._now_s()
        self.state.tick(now_s)
        self._copy.tick(now_s)
        self._counts.retries = self.state.retries
        self._counts.repeats = self.state.repeats
        self._counts.late_results = self.state.late_results
        self._timer = self._loop.call_later(limits.TICK_MS / 1000, self._tick)

    # --- for operations -----------------------------------------------------------------------------------------

    def submit(self, pending: Pending) -> None:
        """Route a new operation; its end is a call of `complete` or `give_up`, possibly before this returns."""
        pending.operation.id = next(self._ids)
        self.state.submit(pending, self._now_s())

    def new_deadline_s(self) -> float:
        """The deadline of an operation that begins now."""
        return self._now_s() + self._operation_s

    def call_later(self, delay_ms: int, callback: Callable[[], None]) -> None:
        """Run `callback` once after a delay."""
        self._loop.call_later(delay_ms / 1000, callback)

    # --- the Streams port of RoutingState -----------------------------------------------------------------------

    def send(self, node_id: str, pending: Pending) -> bool:
        """Queue for the node's stream."""
        return self._links[node_id].send(pending)

    # --- the LinkOwner of NodeLink ------------------------------------------------------------------------------

    def link_up(self, node_id: str, hybrid_time: int) -> None:
        """A stream is open; the node stamps later than `hybrid_time` from now on."""
        self.state.node_up(node_id, self._now_s(), hybrid_time)

    def link_down(self, node_id: str) -> None:
        """A stream is lost."""
        self.state.node_down(node_id, self._now_s())

    def frame_received(self, node_id: str, frame: data_pb2.NodeFrame) -> None:
        """Results, leaders and catalogs of one node. Hot path."""
        now_s = self._now_s()
        self.state.node_heard(node_id, now_s, frame.hybrid_time)
        # Before the results: a refusal is then followed with the newest knowledge there is.
        if frame.HasField("catalog"):
            self.catalog_received(frame.catalog)
        for hint in frame.leaders:
            self.state.leader_hint(node_id, hint.partition, hint.leader, hint.term, now_s)
        handle = self.state.result
        self.answering = node_id
        try:
            for result in frame.results:
                handle(node_id, result, now_s)
        finally:
            self.answering = ""

    def catalog_received(self, catalog: catalog_pb2.Catalog) -> None:
        """Put a catalog into the copy if it is newer, then tell every node: tables turn ACTIVE on that word."""
        try:
            if not self._copy.replace(catalog):
                return
        except ValueError as error:
            log.error("catalog_refused", version=catalog.version, reason=str(error))
            return
        partition_map = self._copy.partition_map
        assert partition_map is not None, "replace has just set it"
        log.info("catalog_replaced", version=catalog.version, tables=len(catalog.tables))
        for node_id, address in partition_map.addresses.items():
            if node_id not in self._links:
                self._add_link(node_id, address)
        self.state.map_changed(partition_map, self._now_s())
        for link in self._links.values():
            link.acknowledge(catalog.version)

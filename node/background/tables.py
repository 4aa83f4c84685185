"""Tables and indexes coming and going, and replicas that have moved: turns CREATING into ACTIVE and DELETING into gone.

Runs on every node, started by node.__main__. In the partitions that a node leads it proposes what brings them where the
catalog is: an index to maintain from now on, rows to drop. It reports to the catalog's leader which catalog version it
and its routers serve from, how far those partitions are, and where their replicas have settled. The catalog's leader
proposes the next state of a table or index when all partitions are ready for it, and the replicas that it heard of.
What is next is decided by node.background.lifecycle and node.background.moves.

Law: reports are soft state, repeated until they have had their effect; only log entries decide.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from node.background.lifecycle import (
    REPORT_TIMEOUT_S,
    ReportBook,
    add_progress,
    commands_for,
    entries_for,
    unsettled_tables,
)
from node.background.moves import partition_of, replica_commands, settled
from node.host import NodeHost
from node.machine.state import PartitionState
from runtime.clock import Clock
from runtime.logs import get_logger
from topology.placement import CATALOG_PARTITION
from wire import catalog_pb2, data_pb2, log_pb2, services

log = get_logger()

REPORT_INTERVAL_S = 0.5
# While a backfill is under way in a partition led here: nobody tells this daemon when it ends.
BACKFILL_INTERVAL_S = 0.05
_CALL_TIMEOUT_S = 0.5

# One request and its answer.
Call = Callable[..., Awaitable[Any]]


class TableDaemon:
    """One node's part in creating and deleting tables."""

    def __init__(
        self,
        host: NodeHost,
        clock: Clock,
        addresses: dict[str, str],
        open_channel: services.OpenChannel = services.open_channel,
        shape_call: Callable[[str, Call], Call] = lambda _, call: call,
    ) -> None:
        """`shape_call` may put something around a call to the node it is given (fault injection)."""
        self._open_channel = open_channel
        self._host = host
        self._shape_call = shape_call
        self._clock = clock
        self._addresses = addresses
        self._book = ReportBook()
        self._wake = asyncio.Event()
        self._proposed: dict[bytes, float] = {}
        self._unsettled_of_version = (0, list[catalog_pb2.Table]())
        self._reported = data_pb2.NodeReport()
        self._reported_at = -REPORT_INTERVAL_S
        # When the catalog here was last known to be the newest: as of the sending of a report that its leader took.
        self.confirmed_at = -math.inf
        self._channels: dict[str, grpc.aio.Channel] = {}
        host.on_catalog_changed = self.changed

    def changed(self) -> None:
        """Something that reports speak of changed: do not wait for the interval."""
        self._wake.set()

    async def run(self) -> None:
        """Report and decide until cancelled."""
        try:
            interval_s = REPORT_INTERVAL_S
            while True:
                try:
                    async with asyncio.timeout(interval_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                was_woken = self._wake.is_set()
                self._wake.clear()
                self._propose_entries()
                report = self._own_report()
                is_due = self._clock.monotonic() - self._reported_at >= REPORT_INTERVAL_S
                if was_woken or is_due or report != self._reported:
                    await self._report(report)
                self._decide()
                is_backfilling = any(not progress.backfilled for progress in report.indexes)
                interval_s = BACKFILL_INTERVAL_S if is_backfilling else REPORT_INTERVAL_S
        finally:
            for channel in self._channels.values():
                await channel.close()

    @property
    def _unsettled(self) -> list[catalog_pb2.Table]:
        catalog = self._host.catalog
        if catalog is None:
            return []
        if self._unsettled_of_version[0] != catalog.version:
            self._unsettled_of_version = (catalog.version, unsettled_tables(catalog))
        return self._unsettled_of_version[1]

    # ------------------------------------------------------------------ on every node
    def _led_partitions(self) -> list[tuple[int, PartitionState]]:
        partitions, led = self._host.partitions, self._host.led_groups()
        return [(group_id, partitions[group_id].state) for group_id in led if group_id != CATALOG_PARTITION]

    def _propose_entries(self) -> None:
        """In every partition led here, propose what it lacks."""
        unsettled = self._unsettled
        for group_id, state in self._led_partitions() if unsettled else ():
            for entry in entries_for(unsettled, state):
                self._propose_once(group_id, entry)

    def _propose_once(self, group_id: int, entry: log_pb2.LogEntry) -> None:
        """Propose, and not again before the entry had time to commit. Repeating it would do no harm."""
        key = group_id.to_bytes(4, "big") + entry.SerializeToString()
        now = self._clock.monotonic()
        if now - self._proposed.get(key, -REPORT_TIMEOUT_S) < REPORT_TIMEOUT_S:
            return
        self._proposed = {known: at for known, at in self._proposed.items() if now - at < REPORT_TIMEOUT_S}
        self._proposed[key] = now
        # What it did is reported at once: CreateTable waits for it.
        self._host.partitions[group_id].propose_own(entry, lambda _: self.changed())
        self._host.wake(group_id)

    def _own_report(self) -> data_pb2.NodeReport:
        host = self._host
        report = data_pb2.NodeReport(node_id=host.settings.node_id, catalog_version=host.catalog_version)
        for session in host.sessions:
            report.routers.add(router_id=session.router_id, catalog_version=session.catalog_version)
        for group_id, state in self._led_partitions():
            add_progress(report, self._unsettled, group_id, state)
            replicas = self._settled_replicas(group_id)
            if replicas is not None:
                report.settled.append(replicas)
        return report

    def _settled_replicas(self, group_id: int) -> data_pb2.SettledReplicas | None:
        group, partition = self._host.group(group_id), partition_of(self._host.catalog, group_id)
        if partition is None or not group.is_ready_leader:
            return None
        return settled(group.membership, partition, is_committed=group.is_membership_committed)

    async def _report(self, report: data_pb2.NodeReport) -> None:
        self._reported, self._reported_at = report, self._clock.monotonic()
        members = self._host.settings.partitions[CATALOG_PARTITION]
        if CATALOG_PARTITION in self._host.partitions:
            leader = self._host.group(CATALOG_PARTITION).leader_id
            members = (leader,) if leader is not None else ()
        for member in members:
            if member == self._host.settings.node_id:
                if self.take_report(report).accepted:
                    self.confirmed_at = self._reported_at
                return
            if await self._report_to(member, report):
                return

    async def _report_to(self, member: str, report: data_pb2.NodeReport) -> bool:
        channel = self._channels.get(member)
        if channel is None:
            channel = self._channels[member] = self._open_channel(self._addresses[member])
        report_call: Call = channel.unary_unary(
            services.CONTROL_REPORT,
            request_serializer=data_pb2.NodeReport.SerializeToString,
            response_deserializer=data_pb2.NodeReportReply.FromString,
        )
        call = self._shape_call(member, report_call)
        try:
            reply: data_pb2.NodeReportReply = await call(report, timeout=_CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False  # repeated at the next interval, perhaps to another leader
        if reply.HasField("catalog"):
            self._host.take_remote_catalog(reply.catalog)
        # A member of the catalog group has it from its own log, and may be behind.
        if reply.accepted and self._host.catalog_version >= reply.catalog.version:
            self.confirmed_at = self._reported_at
        return reply.accepted

    # ------------------------------------------------------------------ on the catalog's leader
    def take_report(self, report: data_pb2.NodeReport) -> data_pb2.NodeReportReply:
        """Note what a node says; answer with the catalog when it has an older one."""
        reply = data_pb2.NodeReportReply(accepted=self._leads_catalog())
        catalog = self._host.catalog
        if catalog is not None and catalog.version > report.catalog_version:
            reply.catalog.CopyFrom(catalog)
        if reply.accepted:
            self._book.take(report, self._clock.monotonic())
            if report.node_id != self._host.settings.node_id:
                self._wake.set()
        return reply

    def served_version(self) -> int:
        """On the catalog's leader: the lowest catalog version that anything alive serves from; 0 elsewhere."""
        return self._book.served_version(self._clock.monotonic())

    def _leads_catalog(self) -> bool:
        partition = self._host.partitions.get(CATALOG_PARTITION)
        return partition is not None and partition.group.is_ready_leader

    def _decide(self) -> None:
        if not self._leads_catalog():
            self._book = ReportBook()
            return
        catalog = self._host.catalog
        if catalog is not None:
            commands = commands_for(catalog, self._unsettled, self._book, self._clock.monotonic())
            for command in (*commands, *replica_commands(catalog, self._book.settled)):
                self._propose_once(CATALOG_PARTITION, log_pb2.LogEntry(catalog_commands=[command]))

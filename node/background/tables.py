"""Tables coming and going: turns CREATING into ACTIVE and DELETING into gone.

Runs on every node, started by node.__main__. Every node reports to the catalog's leader which catalog version it and
its routers serve from, and in which partitions it leads the rows of a deleted table are gone. The catalog's leader
proposes ActivateTable when everything alive serves the table, ForgetTable when every partition dropped it.

Law: reports are soft state, repeated until they have had their effect; only log entries decide.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import grpc
import grpc.aio

from node.host import NodeHost
from runtime.clock import Clock
from runtime.logs import get_logger
from topology.placement import CATALOG_PARTITION
from wire import catalog_pb2, data_pb2, log_pb2, services

log = get_logger()

# A node or router that did not report for this long is not waited for: it corrects itself before it serves again, for a
# router that does not know a table asks the catalog's leader before it denies one.
REPORT_TIMEOUT_S = 1.5
REPORT_INTERVAL_S = 0.5
_CALL_TIMEOUT_S = 0.5


@dataclass(slots=True)
class _Report:
    at: float
    catalog_version: int
    routers: dict[str, int]


@dataclass(slots=True)
class ReportBook:
    """What the catalog's leader heard. Pure."""

    reports: dict[str, _Report] = field(default_factory=dict)
    dropped: set[tuple[int, int]] = field(default_factory=set)

    def take(self, report: data_pb2.NodeReport, now: float) -> None:
        """Note one report."""
        routers = {router.router_id: router.catalog_version for router in report.routers}
        self.reports[report.node_id] = _Report(now, report.catalog_version, routers)
        self.dropped.update((dropped.table_id, dropped.partition) for dropped in report.dropped)

    def served_version(self, now: float) -> int:
        """The lowest catalog version that anything alive serves from; 0 when nothing is alive."""
        alive = [report for report in self.reports.values() if now - report.at <= REPORT_TIMEOUT_S]
        if not alive:
            return 0
        # A router reports through every node: the newest word counts.
        routers: dict[str, int] = {}
        for report in alive:
            for router_id, version in report.routers.items():
                routers[router_id] = max(version, routers.get(router_id, 0))
        return min([report.catalog_version for report in alive] + list(routers.values()))

    def forget_table(self, table_id: int) -> None:
        """The table is gone."""
        self.dropped = {pair for pair in self.dropped if pair[0] != table_id}


class TableDaemon:
    """One node's part in creating and deleting tables."""

    def __init__(self, host: NodeHost, clock: Clock, addresses: dict[str, str]) -> None:
        self._host = host
        self._clock = clock
        self._addresses = addresses
        self._book = ReportBook()
        self._wake = asyncio.Event()
        self._created_version: dict[int, int] = {}
        self._proposed: dict[bytes, float] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}
        host.on_catalog_changed = self.changed

    def changed(self) -> None:
        """Something that reports speak of changed: do not wait for the interval."""
        self._wake.set()

    async def run(self) -> None:
        """Report and decide until cancelled."""
        try:
            while True:
                try:
                    async with asyncio.timeout(REPORT_INTERVAL_S):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
                self._drop_rows()
                await self._report()
                self._decide()
        finally:
            for channel in self._channels.values():
                await channel.close()

    # ------------------------------------------------------------------ on every node
    def _tables_in(self, state: catalog_pb2.TableState) -> list[catalog_pb2.Table]:
        catalog = self._host.catalog
        return [table for table in catalog.tables if table.state == state] if catalog is not None else []

    def _drop_rows(self) -> None:
        """In every partition led here, propose the end of deleted tables' rows."""
        for table in self._tables_in(catalog_pb2.TABLE_DELETING):
            for group_id in self._host.led_groups():
                state = self._host.partitions[group_id].state
                if group_id == CATALOG_PARTITION or table.table_id in state.dropped_tables:
                    continue
                drop = log_pb2.LogEntry(drop_tables=[log_pb2.DropTable(table_id=table.table_id)])
                self._propose_once(group_id, drop)

    def _propose_once(self, group_id: int, entry: log_pb2.LogEntry) -> None:
        """Propose, and not again before the entry had time to commit. Repeating it would do no harm."""
        key = group_id.to_bytes(4, "big") + entry.SerializeToString()
        now = self._clock.monotonic()
        if now - self._proposed.get(key, -REPORT_TIMEOUT_S) < REPORT_TIMEOUT_S:
            return
        self._proposed = {known: at for known, at in self._proposed.items() if now - at < REPORT_TIMEOUT_S}
        self._proposed[key] = now
        self._host.partitions[group_id].propose_own(entry)
        self._host.wake(group_id)

    def _own_report(self) -> data_pb2.NodeReport:
        host = self._host
        report = data_pb2.NodeReport(node_id=host.settings.node_id, catalog_version=host.catalog_version)
        for session in host.sessions:
            report.routers.add(router_id=session.router_id, catalog_version=session.catalog_version)
        for table in self._tables_in(catalog_pb2.TABLE_DELETING):
            for group_id in host.led_groups():
                if table.table_id in host.partitions[group_id].state.dropped_tables:
                    report.dropped.add(table_id=table.table_id, partition=group_id)
        return report

    async def _report(self) -> None:
        report = self._own_report()
        members = self._host.settings.partitions[CATALOG_PARTITION]
        if CATALOG_PARTITION in self._host.partitions:
            leader = self._host.group(CATALOG_PARTITION).leader_id
            members = (leader,) if leader is not None else ()
        for member in members:
            if member == self._host.settings.node_id:
                self.take_report(report)
                return
            if await self._report_to(member, report):
                return

    async def _report_to(self, member: str, report: data_pb2.NodeReport) -> bool:
        channel = self._channels.get(member)
        if channel is None:
            channel = grpc.aio.insecure_channel(self._addresses[member], options=services.CHANNEL_OPTIONS)
            self._channels[member] = channel
        call = channel.unary_unary(
            services.CONTROL_REPORT,
            request_serializer=data_pb2.NodeReport.SerializeToString,
            response_deserializer=data_pb2.NodeReportReply.FromString,
        )
        try:
            reply: data_pb2.NodeReportReply = await call(report, timeout=_CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False  # repeated at the next interval, perhaps to another leader
        if reply.HasField("catalog"):
            self._host.take_remote_catalog(reply.catalog)
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

    def _leads_catalog(self) -> bool:
        partition = self._host.partitions.get(CATALOG_PARTITION)
        return partition is not None and partition.group.is_ready_leader

    def _decide(self) -> None:
        if not self._leads_catalog():
            self._book = ReportBook()
            self._created_version.clear()
            return
        now = self._clock.monotonic()
        catalog = self._host.catalog
        if catalog is None:
            return
        served = self._book.served_version(now)
        creating = self._tables_in(catalog_pb2.TABLE_CREATING)
        self._created_version = {
            table.table_id: self._created_version.get(table.table_id, catalog.version) for table in creating
        }
        for table in creating:
            if served >= self._created_version[table.table_id]:
                command = catalog_pb2.CatalogCommand()
                command.activate_table.table_id = table.table_id
                self._propose_once(CATALOG_PARTITION, log_pb2.LogEntry(catalog_commands=[command]))
        data_partitions = [partition.id for partition in catalog.partitions if partition.id != CATALOG_PARTITION]
        for table in self._tables_in(catalog_pb2.TABLE_DELETING):
            if all((table.table_id, partition) in self._book.dropped for partition in data_partitions):
                command = catalog_pb2.CatalogCommand()
                command.forget_table.table_id = table.table_id
                self._propose_once(CATALOG_PARTITION, log_pb2.LogEntry(catalog_commands=[command]))
                self._book.forget_table(table.table_id)

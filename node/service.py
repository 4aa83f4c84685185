"""The gRPC face of a node: routers' streams, status, reports, and what operators ask for.

Started by node.__main__; everything is handed to node.host on the event loop. Law: one message in carries many
operations, one message out many answers; nothing is awaited for a single operation.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio

from node.background.expiry import FORCED_PAUSE_S, ExpirySweeper
from node.background.tables import TableDaemon
from node.faults.injector import FaultInjector
from node.host import NodeHost
from node.partition import Partition
from node.sessions import QUEUED_BYTES_MAX, RouterSession
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.pacing import Pacer
from topology import moves
from topology.placement import CATALOG_PARTITION
from wire import catalog_pb2, data_pb2, log_pb2, services

log = get_logger()


class NodeService:
    """Handlers of the services Data, Admin and Control."""

    def __init__(
        self,
        host: NodeHost,
        tables: TableDaemon,
        sweeper: ExpirySweeper,
        *,
        az: str,
        cluster_id: str,
        clock: Clock,
        pacer: Pacer,
        operations_in_flight_max: int,
        connected_peers: Callable[[], list[str]],
        faults: FaultInjector | None = None,
        damage: str = "",
    ) -> None:
        """`faults` where fault injection is on: every stream and report then passes through its links. `damage`: why
        this node's store was set aside at its start."""
        self._host = host
        self._tables = tables
        self._sweeper = sweeper
        self._az = az
        self._cluster_id = cluster_id
        self._clock = clock
        self._pacer = pacer
        self._in_flight_max = operations_in_flight_max
        self._connected_peers = connected_peers
        self._faults = faults
        self._damage = damage
        self._started_at = clock.monotonic()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """What to register with the server."""
        pipe: services.StreamHandler = self.pipe
        report: services.UnaryHandler = self.report
        if self._faults is not None:
            pipe = self._faults.links.accept_routers(pipe)
            report = self._faults.links.accept_reports(report, lambda request: str(request.node_id))
        return [
            services.stream_handler(services.DATA_PIPE, data_pb2.RouterFrame.FromString, pipe),
            *services.unary_handlers(
                {
                    services.ADMIN_STATUS: (data_pb2.StatusRequest.FromString, self.status),
                    services.ADMIN_TRANSFER: (data_pb2.TransferRequest.FromString, self.transfer),
                    services.ADMIN_SWEEP: (data_pb2.SweepRequest.FromString, self.sweep),
                    services.ADMIN_SET_INDEX_DELAY: (data_pb2.IndexDelayRequest.FromString, self.set_index_delay),
                    services.ADMIN_MOVE: (data_pb2.MoveRequest.FromString, self.move),
                    services.CONTROL_REPORT: (data_pb2.NodeReport.FromString, report),
                }
            ),
        ]

    # ------------------------------------------------------------------ routers
    async def pipe(
        self, frames: AsyncIterator[data_pb2.RouterFrame], _context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[data_pb2.NodeFrame]:
        """Serve one router until its stream ends."""
        first = await anext(aiter(frames), None)
        if first is None:
            return
        node_hello = data_pb2.NodeHello(node_id=self._host.settings.node_id, az=self._az, cluster_id=self._cluster_id)
        if first.hello.cluster_id != self._cluster_id:
            log.error("router_of_another_cluster", router=first.hello.router_id, cluster=first.hello.cluster_id)
            # Who is here, but not the id that would open this door.
            node_hello.cluster_id = "another"
            yield data_pb2.NodeFrame(hello=node_hello)
            return
        session = RouterSession(self._host.session_dirty)
        session.router_id = first.hello.router_id
        session.process_id = first.hello.process_id
        session.stream = first.hello.stream
        yield data_pb2.NodeFrame(hello=node_hello, hybrid_time=self._host.hybrid_clock.reading())
        log.info("router_connected", router=session.router_id, az=first.hello.az)
        self._host.session_opened(session)
        self._take(session, first)
        reader = asyncio.ensure_future(self._read(session, frames))
        try:
            while not session.closed:
                await session.ready.wait()
                frame = session.take_frame()
                if frame.ByteSize():
                    frame.hybrid_time = self._host.hybrid_clock.reading()
                    self._host.metrics.router_frames_out.inc()
                    yield frame
                # Frames of a busy stream keep a distance, so that each carries more; a lone client never waits.
                if len(frame.results) > 1:
                    await self._pacer.pause()
        finally:
            reader.cancel()
            self._host.session_closed(session)
            self._tables.changed()
            log.info("router_disconnected", router=session.router_id)

    async def _read(self, session: RouterSession, frames: AsyncIterator[data_pb2.RouterFrame]) -> None:
        metrics = self._host.metrics
        try:
            async for frame in frames:
                metrics.router_frames_in.inc()
                self._take(session, frame)
        except grpc.aio.AioRpcError as error:
            log.info("router_stream_failed", router=session.router_id, code=error.code().name)
        finally:
            session.closed = True
            session.ready.set()

    def _take(self, session: RouterSession, frame: data_pb2.RouterFrame) -> None:
        if frame.catalog_version > session.catalog_version:
            session.catalog_version = frame.catalog_version
            self._tables.changed()
        operations = frame.operations
        if not operations:
            return
        self._host.metrics.frame_operations.observe(len(operations))
        room = self._in_flight_max - session.in_flight if session.queued_bytes < QUEUED_BYTES_MAX else 0
        if len(operations) <= room:
            self._host.operations_arrived(session, list(operations))
            return
        listed = list(operations)
        self._host.operations_arrived(session, listed[: max(0, room)])
        for operation in listed[max(0, room) :]:
            session.in_flight += 1
            session.refuse(operation.id, data_pb2.OVERLOADED)

    # ------------------------------------------------------------------ administration
    async def status(
        self, _request: data_pb2.StatusRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> data_pb2.NodeStatus:
        """A picture of this node and its replicas."""
        host = self._host
        status = data_pb2.NodeStatus(
            node_id=host.settings.node_id,
            az=self._az,
            cluster_id=self._cluster_id,
            catalog_version=host.catalog_version,
            connected_peers=self._connected_peers(),
            uptime_s=self._clock.monotonic() - self._started_at,
            pid=os.getpid(),
            connected_routers=len(host.sessions),
            fault_injection=self._faults is not None,
            faults=self._faults.texts() if self._faults is not None else (),
            damage=self._damage,
        )
        catalog = host.catalog
        for group_id, partition in host.partitions.items():
            group = host.group(group_id).status()
            placed = moves.find(catalog, group_id) if catalog is not None else None
            status.replicas.add(
                partition=group_id,
                role=group.role,
                leader=group.leader or "",
                term=group.term,
                commit_index=group.commit_index,
                applied_index=group.applied_index,
                last_index=group.last_index,
                first_index=group.first_index,
                match_index=group.match_index,
                index_backlog_records=partition.index_backlog if group.role == "leader" else 0,
                index_lag_ms=partition.index_lag_ms() if group.role == "leader" else 0,
                voters=group.membership.voters,
                learners=group.membership.learners,
                target_replicas=placed.target_replicas if placed is not None else (),
            )
        return status

    async def transfer(
        self, request: data_pb2.TransferRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> data_pb2.TransferReply:
        """Hand over leaderships and wait until they are gone, at most as long as a hand-over may pause writes."""
        led = self._host.led_groups()
        wanted = led if request.all else [group_id for group_id in led if group_id == request.partition]
        return await hand_over(self._host, wanted, request.target or None, HAND_OVER_S)

    async def sweep(
        self, _request: data_pb2.SweepRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> data_pb2.SweepReply:
        """Delete what is expired now in the partitions led here; answered when that is done."""
        return data_pb2.SweepReply(deleted=await self._sweeper.sweep(FORCED_PAUSE_S))

    async def set_index_delay(
        self, request: data_pb2.IndexDelayRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> data_pb2.IndexDelayReply:
        """Set the least age of what is applied to global indexes; answered when every node alive goes by it."""
        partition = self._led_catalog()
        if partition is None:
            return data_pb2.IndexDelayReply(accepted=False, leader=self._catalog_leader())
        command = catalog_pb2.CatalogCommand()
        command.set_index_delay.index_delay_ms = request.index_delay_ms
        await self._commit(partition, command, context)
        await self._until_served(self._host.catalog_version)
        return data_pb2.IndexDelayReply(accepted=True)

    async def move(
        self, request: data_pb2.MoveRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> data_pb2.MoveReply:
        """Say where the replicas of a partition shall be; answered when the catalog says so, before they move."""
        partition, catalog = self._led_catalog(), self._host.catalog
        if partition is None or catalog is None:
            return data_pb2.MoveReply(accepted=False, leader=self._catalog_leader())
        moved = moves.find(catalog, request.partition)
        if moved is None:
            return data_pb2.MoveReply(accepted=False, reason=f"there is no partition {request.partition}")
        command = catalog_pb2.MovePartition(
            partition=request.partition, target_replicas=request.target_replicas, if_generation=moved.generation
        )
        judged = moves.with_target(moved, command, catalog.nodes)
        if judged.outcome != catalog_pb2.CATALOG_OK:
            return data_pb2.MoveReply(accepted=False, reason=judged.reason)
        await self._commit(partition, catalog_pb2.CatalogCommand(move_partition=command), context)
        now = moves.find(self._host.catalog or catalog, request.partition)
        if now is None or set(moves.wanted_replicas(now)) != set(request.target_replicas):
            return data_pb2.MoveReply(accepted=False, reason="its replicas or its target changed at the same time")
        return data_pb2.MoveReply(accepted=True)

    def _led_catalog(self) -> Partition | None:
        """The catalog's partition, if this node leads it."""
        partition = self._host.partitions.get(CATALOG_PARTITION)
        return partition if partition is not None and partition.group.is_ready_leader else None

    def _catalog_leader(self) -> str:
        partition = self._host.partitions.get(CATALOG_PARTITION)
        return (partition.group.leader_id if partition is not None else None) or ""

    async def _commit(
        self,
        partition: Partition,
        command: catalog_pb2.CatalogCommand,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """Let the catalog take a command; asking again does no harm, whatever became of one that was not committed."""
        committed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        partition.propose_own(
            log_pb2.LogEntry(catalog_commands=[command]),
            lambda is_committed: None if committed.done() else committed.set_result(is_committed),
        )
        self._host.wake(CATALOG_PARTITION)
        if not await committed:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "leadership was lost meanwhile")

    async def _until_served(self, version: int) -> None:
        """Wait until every node that is alive has this catalog, but not for ever: one may die meanwhile."""
        for _ in range(int(SERVED_S / _STEP_S)):
            if self._tables.served_version() >= version:
                return
            await asyncio.sleep(_STEP_S)

    async def report(
        self, request: data_pb2.NodeReport, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> data_pb2.NodeReportReply:
        """A node tells the catalog leader what it serves."""
        return self._tables.take_report(request)


# How long a hand-over asked for by an operator is waited for, and a catalog to reach every node; looked at in steps.
HAND_OVER_S = 1.0
SERVED_S = 2.0
_STEP_S = 0.02


async def hand_over(host: NodeHost, groups: list[int], target: str | None, within_s: float) -> data_pb2.TransferReply:
    """Transfer `groups` and wait until this node leads none of them, at most `within_s`.

    Nor longer than any follower might accept: when a whole cluster stops, all refuse. A transfer that was given up (no
    follower caught up in time) is started again.
    """
    for _ in range(int(within_s / _STEP_S)):
        still_led = set(groups) & set(host.led_groups())
        if all(host.group(group_id).refused_by_all() for group_id in still_led):
            break
        for group_id in still_led:
            host.start_transfer(group_id, target)
        await asyncio.sleep(_STEP_S)
    still = sorted(set(groups) & set(host.led_groups()))
    return data_pb2.TransferReply(transferred=len(groups) - len(still), still_leading=still)

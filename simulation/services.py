"""What runs on a node beside its host: the daemons and the service that routers and other nodes talk to.

Attached by simulation.cluster to every node process that starts. Law: wired as node.__main__ does it; only channels and
clocks are of the simulation.
"""

from __future__ import annotations

from node.background.expiry import ExpirySweeper
from node.background.leaders import LeaderDaemon
from node.background.replicas import ReplicaDaemon
from node.background.tables import TableDaemon
from node.service import NodeService
from runtime.pacing import Pacer
from runtime.tasks import TaskOwner
from simulation.pipes import Pipes, Server
from simulation.process import Process
from topology.catalog import bootstrap_catalog
from topology.settings import ClusterSettings
from wire import data_pb2, services


class NodeServices:
    """Daemons and service of one node process; made on its loop."""

    def __init__(self, process: Process, settings: ClusterSettings, cluster_id: str, pipes: Pipes) -> None:
        host, machine = process.host, process.machine
        clock, own = machine.clock, settings.node(process.node_id)
        addresses = {node.id: node.address for node in settings.nodes}
        tasks = TaskOwner(host.stop_process)
        leaders = LeaderDaemon(
            host,
            clock,
            bootstrap_catalog(settings, cluster_id),
            lambda peer: machine.network.is_connected(process.node_id, peer),
        )
        tables = TableDaemon(host, clock, addresses, pipes.open_channel(process))
        replicas = ReplicaDaemon(host, clock, lambda: tables.confirmed_at, tables.changed)
        sweeper = ExpirySweeper(host, clock, settings.background.ttl_sweep_interval_ms / 1000)
        service = NodeService(
            host,
            tables,
            sweeper,
            az=own.az,
            cluster_id=cluster_id,
            clock=clock,
            pacer=Pacer(0),
            operations_in_flight_max=settings.limits.operations_in_flight_max,
            connected_peers=list,
        )
        tasks.start("tables", tables.run())
        tasks.start("leaders", leaders.run())
        tasks.start("replicas", replicas.run())
        tasks.start("expiry", sweeper.run())
        pipes.serve(
            own.address,
            Server(
                process,
                {services.DATA_PIPE: (data_pb2.RouterFrame.FromString, service.pipe)},
                {
                    services.CONTROL_REPORT: (data_pb2.NodeReport.FromString, service.report),
                    services.ADMIN_MOVE: (data_pb2.MoveRequest.FromString, service.move),
                },
            ),
        )

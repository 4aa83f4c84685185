"""The simulated cluster: three to five nodes and two routers in three zones, with everything that runs on them.

Made by simulation.run. Law: what runs is the real code, wired as node.__main__ and router.process wire it; clocks,
randomness, disks and networks are those of the seed.
"""

from __future__ import annotations

from simulation.checks import Checks
from simulation.client import Clients
from simulation.knobs import ROUTERS, ZONES, Knobs
from simulation.life import Life
from simulation.network import Network
from simulation.pipes import Pipes
from simulation.placed import left_behind, unrest_of_replicas
from simulation.process import Machine, Process, newest_catalog
from simulation.router import RouterMachine
from simulation.services import NodeServices
from simulation.world import World
from topology.catalog import bootstrap_catalog
from topology.settings import ClusterSettings
from wire import catalog_pb2

CLUSTER_ID = "simulated"


def cluster_settings(knobs: Knobs) -> ClusterSettings:
    """A cluster.yaml for the shape of a seed. Addresses name processes of the simulation, nothing else."""
    return ClusterSettings.model_validate(
        {
            "nodes": tuple(
                {"id": node_id, "az": ZONES[node_id], "port": 7001 + number, "metrics_port": 7101 + number}
                for number, node_id in enumerate(knobs.nodes)
            ),
            "routers": tuple(
                {"id": router_id, "az": ZONES[router_id], "http_port": 8001 + number, "metrics_port": 8101 + number}
                for number, router_id in enumerate(ROUTERS)
            ),
            "partitions": {"count": knobs.partitions},
            # Without pauses between frames: they belong to a machine's timers.
            "replication": {"pacing_us": 0},
            "timeouts": {
                "operation_ms": knobs.operation_ms,
                "connect_ms": knobs.connect_ms,
                "table_activation_ms": knobs.table_activation_ms,
            },
            "limits": {"proposals_in_flight_max": knobs.proposals_in_flight_max},
        }
    )


class Cluster:
    """Every machine of a run and what connects them."""

    def __init__(self, world: World, knobs: Knobs) -> None:
        self.world = world
        self.knobs = knobs
        self.checks = Checks(world)
        self.network = Network(world, self.checks, knobs.latency_s, knobs.resend_probability)
        self.pipes = Pipes(world, self.network, knobs.latency_s)
        self.settings = cluster_settings(knobs)
        catalog = bootstrap_catalog(self.settings, CLUSTER_ID)
        # Partition, the catalog's too -> the nodes that hold it.
        self.placement = {partition.id: tuple(partition.replicas) for partition in catalog.partitions}
        self.machines = {
            node_id: Machine(node_id, world, self.network, self.checks, knobs, self.placement)
            for node_id in knobs.nodes
        }
        self.routers = {
            router_id: RouterMachine(router_id, world, knobs, self.settings, CLUSTER_ID, self.pipes)
            for router_id in ROUTERS
        }
        self.clients = Clients(world, knobs, self.routers)
        for machine in self.machines.values():
            machine.on_start.append(self._serve)
            machine.on_crash.append(self.pipes.died)

    def start(self) -> None:
        """Start everything, about at the same time."""
        starts = [machine.start for machine in self.machines.values()]
        for start in [*starts, *(router.start for router in self.routers.values())]:
            self.world.at(self.world.randomness.uniform(0.0, 0.1), start)

    def _serve(self, process: Process) -> None:
        process.begin(lambda: self._attach(process))

    def _attach(self, process: Process) -> None:
        # Its daemons and its service keep it alive; the process keeps nothing of it.
        NodeServices(process, self.settings, CLUSTER_ID, self.pipes)

    def newest_catalog(self) -> catalog_pb2.Catalog | None:
        """The newest one that a running node knows."""
        return newest_catalog(self.machines.values())

    def unrest(self) -> str:
        """What keeps the nodes from being at rest; empty: they are."""
        hosts = []
        for machine in self.machines.values():
            if machine.process is None:
                return f"{machine.node_id} is down"
            hosts.append(machine.process.host)
        catalog = self.newest_catalog()
        if catalog is None:
            return "there is no catalog"
        misplaced = unrest_of_replicas(catalog, {host.settings.node_id: host for host in hosts})
        if misplaced:
            return misplaced
        for group_id in self.placement:
            holders = [host for host in hosts if group_id in host.partitions]
            replicas = [host.group(group_id) for host in holders]
            if any(replica.rebuild is not None for replica in replicas):
                return f"a replica of group {group_id} is being rebuilt"
            if sum(replica.is_ready_leader for replica in replicas) != 1:
                return f"group {group_id} has not one leader"
            marks = {
                (
                    replica.applied_index,
                    replica.commit_index,
                    replica.journal.last_index,
                    replica.term,
                    replica.leader_id,
                )
                for replica in replicas
            }
            applied, commit, last, _, _ = min(marks, key=lambda mark: mark[:4])
            if len(marks) != 1 or not applied == commit == last:
                return f"group {group_id} differs: {sorted(marks, key=lambda mark: mark[:4])}"
            if any(host.partitions[group_id].in_flight for host in holders):
                return f"group {group_id} counts operations in flight when there are none"
        for host in hosts:
            if host.catalog_version != catalog.version:
                return f"{host.settings.node_id} knows catalog {host.catalog_version}, and there is {catalog.version}"
        return self._unrest_of_routers(catalog.version)

    def left_behind(self) -> str:
        """What replicas that moved away left on some disk, at rest; empty: nothing."""
        running = [(machine, machine.process) for machine in self.machines.values() if machine.process is not None]
        return next(filter(None, (left_behind(machine, process.host) for machine, process in running)), "")

    def _unrest_of_routers(self, newest: int) -> str:
        for router in self.routers.values():
            if router.process is None:
                return f"{router.router_id} is down"
            core = router.process.core
            if core.copy.version != newest:
                return f"{router.router_id} serves catalog {core.copy.version}, and there is {newest}"
            if len(core.dispatcher.state.live_nodes) != len(self.machines):
                return f"{router.router_id} is connected only to {sorted(core.dispatcher.state.live_nodes)}"
        return ""

    def end(self) -> None:
        """Nothing happens any more: coroutines end, unseen."""
        lives: list[Life | None] = [self.clients]
        lives += [machine.process for machine in self.machines.values()]
        lives += [router.process for router in self.routers.values()]
        for life in lives:
            if life is not None and life.is_alive:
                life.die()
                life.loop.bury()

"""Breaks things on purpose, at random moments, in the ways the seed chose.

Created by simulation.run, acts on machines and the network. Law: every fault ends by itself or by `stop`, and none goes
beyond the model: a synced batch is never taken back, a stream never reorders.
"""

from __future__ import annotations

from collections.abc import Callable

from simulation.cluster import Cluster
from simulation.knobs import ROUTERS, ZONES, Fault
from simulation.lost_disk import LostDisks
from simulation.moves import Operator
from simulation.process import Machine
from simulation.router import RouterMachine

AFTER_TRANSFER_S = (0.0, 0.02)
# A time server steps, a person types the wrong hour.
CLOCK_JUMPS_MS = (2_000, 60_000, 4 * 3_600_000)
ROLLING_INTERVAL_S = (0.3, 2.0)


class Faults:
    """The one who breaks things."""

    def __init__(self, cluster: Cluster) -> None:
        self.counts: dict[str, int] = {}
        self._world = cluster.world
        self._machines = cluster.machines
        self._routers = cluster.routers
        self._network = cluster.network
        self._pipes = cluster.pipes
        self._knobs = cluster.knobs
        self._nodes = cluster.knobs.nodes
        self._randomness = cluster.world.random_stream("faults")
        self._is_stopped = False
        self._lost_disks = LostDisks(cluster.world, cluster.machines, cluster.network, self._randomness, cluster.knobs)
        self.operator = Operator(cluster, cluster.world.random_stream("operator"))
        self._actions: dict[Fault, Callable[[], None]] = {
            Fault.KILL: lambda: self._victim().crash(power_loss=False),
            Fault.POWER_LOSS: lambda: self._victim().crash(power_loss=True),
            Fault.BLACKOUT: self._blackout,
            Fault.PAUSE: self._pause,
            Fault.RESET: lambda: self._network.reset(*self._pair()),
            Fault.CUT: lambda: self._network.cut(*self._pair(), self._seconds(0.1, 3.0)),
            Fault.ISOLATE: self._isolate,
            Fault.SLOW_LINK: self._slow_link,
            Fault.SLOW_SYNC: self._slow_sync,
            Fault.FAILED_SYNC: self._fail_sync,
            Fault.TRANSFER: self._transfer,
            Fault.SILENCE: self._silence,
            Fault.LOSSY_LINK: self._lossy_link,
            Fault.FULL_DISK: self._fill_disk,
            Fault.CLOCK_JUMP: self._jump_clock,
            Fault.CLOCK_RATE: self._change_rates,
            Fault.RESTART_ALL: self._restart_all,
            Fault.ROLLING_RESTART: lambda: self._restart_next(self._randomness.sample(self._nodes, len(self._nodes))),
            Fault.LOST_DISK: self._lose_disk,
            Fault.MOVE: self.operator.move,
            Fault.ROUTER_KILL: lambda: self._router().crash(),
            Fault.ROUTER_PAUSE: self._pause_router,
            Fault.ROUTER_RESET: lambda: self._pipes.reset(*self._router_pair()),
            Fault.ROUTER_CUT: self._cut_router,
        }

    def _seconds(self, least: float, most: float) -> float:
        """How long a fault lasts, in a cluster of this pace."""
        return self._randomness.uniform(least, most) * self._knobs.pace

    def begin(self) -> None:
        """Break something soon, and again and again until `stop`."""
        self._world.at(self._randomness.expovariate(1 / self._knobs.fault_interval_s), self._act)

    def _act(self) -> None:
        if self._is_stopped:
            return
        fault = self._randomness.choice(self._knobs.faults)
        self._world.tell(f"fault {fault.value}")
        self.counts[fault.value] = self.counts.get(fault.value, 0) + 1
        self._actions[fault]()
        self.begin()

    def stop(self) -> None:
        """No more faults; what is broken is mended: streams first, then processes."""
        self._is_stopped = True
        self._lost_disks.stop()
        self._world.tell("faults end")
        self._network.heal_all()
        for machine in self._machines.values():
            machine.slow_syncs_until = 0.0
            machine.next_sync_fails = False
            machine.store.is_full = False
            if machine.process is not None:
                machine.process.end_pause()
            machine.start()
        self._pipes.heal_all()
        for router in self._routers.values():
            if router.process is not None:
                router.process.end_pause()
            router.start()

    # ------------------------------------------------------------------ victims
    def _victim(self) -> Machine:
        """A machine, more often one that leads something."""
        leaders = [
            machine
            for machine in self._machines.values()
            if machine.process is not None and machine.process.host.led_groups()
        ]
        if leaders and self._randomness.random() < 0.6:
            return self._randomness.choice(leaders)
        return self._machines[self._randomness.choice(self._nodes)]

    def _pair(self) -> tuple[str, str]:
        source, target = self._randomness.sample(self._nodes, 2)
        return source, target

    def _router(self) -> RouterMachine:
        return self._routers[self._randomness.choice(ROUTERS)]

    def _router_pair(self) -> tuple[str, str]:
        return self._randomness.choice(ROUTERS), self._victim().node_id

    # ------------------------------------------------------------------ faults of several steps
    def _pause_router(self) -> None:
        process = self._router().process
        if process is not None:
            process.pause(self._seconds(0.05, 2.0))

    def _cut_router(self) -> None:
        pair = self._router_pair()
        directions = self._randomness.choice(((pair,), (pair[::-1],), (pair, pair[::-1])))
        seconds = self._seconds(0.1, 3.0)
        for source, target in directions:
            self._pipes.cut(source, target, seconds)

    def _blackout(self) -> None:
        everyone = len(self._nodes)
        victims = self._randomness.sample(self._nodes, self._randomness.choice((2, everyone, everyone)))
        for node_id in victims:
            self._machines[node_id].crash(power_loss=True, restart_after_s=self._randomness.uniform(0.01, 1.0))

    def _pause(self) -> None:
        process = self._victim().process
        if process is not None:
            process.pause(self._seconds(0.05, 2.0))

    def _isolate(self) -> None:
        self._isolate_node(self._victim().node_id)

    def _isolate_node(self, victim: str) -> None:
        if self._is_stopped:
            return
        seconds = self._seconds(0.3, 3.0)
        for inside, outside in self._borders(victim):
            self._network.cut(inside, outside, seconds)
            self._network.cut(outside, inside, seconds)
        for router_id, node_id in self._router_borders(victim):
            self._pipes.cut(router_id, node_id, seconds)
            self._pipes.cut(node_id, router_id, seconds)

    def _borders(self, victim: str) -> list[tuple[str, str]]:
        """Every node in the zone of `victim` with every node elsewhere."""
        zone = ZONES[victim]
        outside = [node_id for node_id in self._nodes if ZONES[node_id] != zone]
        return [(node_id, peer) for peer in outside for node_id in self._nodes if ZONES[node_id] == zone]

    def _router_borders(self, victim: str) -> list[tuple[str, str]]:
        """Routers with the nodes on the other side of the border of the zone of `victim`: who is in it goes on seeing
        its nodes, and nobody else."""
        zone = ZONES[victim]
        pairs = [(router_id, node_id) for router_id in self._routers for node_id in self._nodes]
        return [(router, node) for router, node in pairs if (ZONES[router] == zone) != (ZONES[node] == zone)]

    def _silence(self) -> None:
        victim, seconds = self._victim().node_id, self._seconds(0.3, 3.0)
        is_heard = self._randomness.random() < 0.5
        for inside, outside in self._borders(victim):
            self._network.cut(*((outside, inside) if is_heard else (inside, outside)), seconds)
        for router_id, node_id in self._router_borders(victim):
            inside, outside = (node_id, router_id) if ZONES[node_id] == ZONES[victim] else (router_id, node_id)
            self._pipes.cut(*((outside, inside) if is_heard else (inside, outside)), seconds)

    def _lossy_link(self) -> None:
        self._network.lossy(*self._pair(), self._seconds(0.5, 3.0), self._randomness.uniform(0.02, 0.3))

    def _slow_link(self) -> None:
        seconds, extra_s = self._seconds(0.2, 2.0), self._seconds(0.01, 0.4)
        self._network.slow(*self._pair(), seconds, extra_s)

    def _slow_sync(self) -> None:
        self._victim().slow_syncs_until = self._world.now + self._seconds(0.2, 2.0)

    def _fail_sync(self) -> None:
        victim = self._victim()
        victim.next_sync_fails = victim.process is not None

    def _fill_disk(self) -> None:
        machine = self._victim()
        machine.store.is_full = True

        def space_is_back() -> None:
            machine.store.is_full = False

        self._world.at(self._seconds(0.1, 2.0), space_is_back)

    def _jump_clock(self) -> None:
        clock = self._victim().clock
        if self._randomness.random() < 0.2:
            clock.correct()
        else:
            milliseconds = self._randomness.choice(CLOCK_JUMPS_MS)
            clock.jump(int(self._randomness.choice((-1, 1)) * milliseconds * self._randomness.uniform(0.1, 1.0)))

    def _change_rates(self) -> None:
        for machine in self._machines.values():
            machine.clock.change_rate()
        for router in self._routers.values():
            router.clock.change_rate()

    def _restart_all(self) -> None:
        for machine in self._machines.values():
            machine.crash(power_loss=False)

    def _restart_next(self, nodes: list[str]) -> None:
        """A rolling restart goes on: the next node drains and stops, whether the one before is back or not."""
        if self._is_stopped or not nodes:
            return
        machine = self._machines[nodes[0]]
        if machine.process is not None:
            machine.process.post(machine.process.drain_and_stop)
        self._world.at(self._seconds(*ROLLING_INTERVAL_S), lambda: self._restart_next(nodes[1:]))

    def _lose_disk(self) -> None:
        if self._randomness.random() < 0.5:
            self._lost_disks.lose(self._victim())
        else:
            self._lost_disks.lose_voter()

    def _transfer(self) -> None:
        machine = self._victim()
        process = machine.process
        # A machine may hold nothing.
        if process is None or not process.host.partitions:
            return
        group_id = self._randomness.choice(list(process.host.partitions))
        peers = process.host.group(group_id).peer_ids
        target = self._randomness.choice((None, *(peer for peer in self._nodes if peer in peers)))
        process.post(lambda: process.host.start_transfer(group_id, target))
        if self._randomness.random() < 0.5:
            # A leader that gave its place away and does not hear who took it.
            self._world.at(self._randomness.uniform(*AFTER_TRANSFER_S), lambda: self._isolate_node(machine.node_id))

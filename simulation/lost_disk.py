"""The fault LOST_DISK: a machine comes back with an empty disk, marked to be rebuilt.

Created by simulation.faults. Law: what replication promises is that one lost disk at a time does no harm, so none is
lost while another machine is not whole again, durably.
"""

from __future__ import annotations

import random

from simulation.knobs import Knobs
from simulation.network import Network
from simulation.process import Machine
from simulation.world import World
from topology.moves import names

# How often, and how many times at most, somebody looks whether an isolated leader has a successor.
_LOOK_S = 0.02
_LOOKS_MAX = 60
_SUCCESSOR_CUT_S = (0.5, 3.0)
_RESTART_S = (0.005, 0.05)


class LostDisks:
    """The one who takes disks away."""

    def __init__(
        self,
        world: World,
        machines: dict[str, Machine],
        network: Network,
        randomness: random.Random,
        knobs: Knobs,
    ) -> None:
        self._pace = knobs.pace
        self._groups = knobs.groups
        self._world = world
        self._machines = machines
        self._network = network
        self._randomness = randomness
        self._is_stopped = False

    def stop(self) -> None:
        """No disk is lost from now on."""
        self._is_stopped = True

    def lose(self, machine: Machine) -> None:
        """Take a machine's disk, unless another one is not whole."""
        if self._are_whole:
            machine.lose_disk()

    @property
    def _are_whole(self) -> bool:
        return not self._is_stopped and not any(self._misses_something(one) for one in self._machines.values())

    def _misses_something(self, machine: Machine) -> bool:
        """Whether a group counts on what this machine has lost. A group that is not here, and that nobody believes to
        be here, may keep its mark for ever."""
        marked = machine.rebuilding
        return bool(marked) and any(group_id in self._believed(machine.node_id) for group_id in marked)

    def _believed(self, node_id: str) -> set[int]:
        """Groups in which somebody takes a node for a member, or may, being down."""
        groups: set[int] = set()
        for machine in self._machines.values():
            if machine.process is None:
                return set(machine.placement)
            host = machine.process.host
            for group_id, partition in host.partitions.items():
                group = partition.group
                memberships = group.journal.memberships_since(group.commit_index)
                if machine.node_id == node_id or any(node_id in one.members for one in memberships):
                    groups.add(group_id)
            if host.catalog is not None:
                groups.update(one.id for one in host.catalog.partitions if names(one, node_id))
        return groups

    def lose_voter(self) -> None:
        """The worst moment: a leader that does not know of its successor meets the voter that has forgotten it."""
        group_id = self._randomness.choice(self._groups)
        for machine in self._machines.values():
            term = _led_term(machine, group_id)
            if term is not None:
                for other in self._machines:
                    if other != machine.node_id:
                        self._cut(machine.node_id, other)
                self._await_successor(machine, group_id, term, _LOOKS_MAX)
                return

    def _cut(self, one: str, other: str) -> None:
        seconds = self._randomness.uniform(*_SUCCESSOR_CUT_S) * self._pace
        self._network.cut(one, other, seconds)
        self._network.cut(other, one, seconds)

    def _await_successor(self, deposed: Machine, group_id: int, term: int, looks_left: int) -> None:
        if self._is_stopped:
            return
        for machine in self._machines.values():
            led_term = _led_term(machine, group_id)
            if led_term is not None and machine is not deposed:
                if led_term > term:
                    self._forget(group_id, deposed, machine)
                return
        if looks_left:
            self._world.at(_LOOK_S * self._pace, lambda: self._await_successor(deposed, group_id, term, looks_left - 1))

    def _forget(self, group_id: int, deposed: Machine, successor: Machine) -> None:
        processes = [machine.process for machine in self._machines.values() if machine.process is not None]
        holders = [process.machine for process in processes if group_id in process.host.partitions]
        voter = next((machine for machine in holders if machine not in (deposed, successor)), None)
        if voter is None or not self._are_whole:
            return
        self._cut(successor.node_id, voter.node_id)
        self._cut(successor.node_id, deposed.node_id)
        self._network.heal(deposed.node_id, voter.node_id)
        self._network.heal(voter.node_id, deposed.node_id)
        voter.lose_disk(restart_after_s=self._randomness.uniform(*_RESTART_S))


def _led_term(machine: Machine, group_id: int) -> int | None:
    """The term in which a machine leads a group, None if it does not."""
    partition = machine.process.host.partitions.get(group_id) if machine.process is not None else None
    return partition.group.term if partition is not None and partition.group.is_leader else None

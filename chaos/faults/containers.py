"""Faults of real networks, made by a container engine.

Law: what is disconnected is connected again, whatever else happened to it meanwhile. (Links between local processes are
cut in the nodes' own transport, by the fault-injection service.)
"""

from __future__ import annotations

from typing import ClassVar, Literal

from chaos.faults.base import Arena, Fault, State, Victim, on_each


class Disconnect(Fault):
    """The networks of an AZ disconnected from the other AZs, by the engine; inside it all goes on. Containers only."""

    needs_containers: ClassVar[bool] = True

    fault: Literal["disconnect"]
    # Everybody in the AZ of these.
    victim: Victim

    def inject(self, arena: Arena, state: State) -> None:
        """Each AZ that has a victim is cut off as a whole."""
        view = arena.view()
        zones = list(dict.fromkeys(view.az_of(name) for name in arena.pick(self.victim)))
        state.victims = [name for az in zones for name in view.in_az(az)]
        state.shown = f"networks of {', '.join(zones)}"
        state.kept["zones"] = zones
        for az in zones:
            arena.target.cut_az(az)

    def heal(self, arena: Arena, state: State) -> None:
        """Connect them again."""
        on_each(state.kept.get("zones", ()), arena.target.join_az)

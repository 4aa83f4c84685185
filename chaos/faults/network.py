"""Faults of the streams between processes: cut, slowed, lossy; through the nodes' fault-injection service.

A group of processes is parted from another. Laws: each cut is made at both of its ends where both are nodes, so that a
node that is started again stays cut off; every rule ends by itself some time after it should have been healed.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from chaos.faults.base import Arena, Fault, State, Victim, heal_rules
from chaos.spans import SpanField
from chaos.targets.base import TargetError
from tools.faults import BOTH, IN, OUT, link_rule

# A rule outlives its fault by this much, so that healing is seen and a runner that is killed leaves nothing.
TTL_MARGIN_S = 15.0
_DIRECTIONS = {"both": BOTH, "out": OUT, "in": IN}
_TURNED = {"both": BOTH, "out": IN, "in": OUT}


class _LinkFault(Fault):
    """What lies between the victims and `to`, which is everybody else unless it is given."""

    needs_injection: ClassVar[bool] = True

    victim: Victim
    to: Victim | None = None
    # Of everybody else: all, or nodes or routers only.
    only: Literal["all", "nodes", "routers"] = "all"
    # Seen from the victims: `out` is what they send.
    direction: Literal["both", "in", "out"] = "both"

    def effects(self, arena: Arena) -> dict[str, Any]:
        """Fields of a link rule."""
        raise NotImplementedError

    def inject(self, arena: Arena, state: State) -> None:
        """Tell every node that has an end of such a link. Raises TargetError when no node could be told."""
        own = arena.pick(self.victim)
        others = self._others(arena, own)
        if not others:
            raise TargetError(f"there is nobody to part {', '.join(own)} from")
        state.victims = own
        arrow = {"both": "|", "out": "-x->", "in": "<-x-"}[self.direction]
        state.shown = f"{', '.join(own)} {arrow} {', '.join(others)}"
        effects = self.effects(arena)
        state.detail = ", ".join(f"{name} {value:g}" for name, value in effects.items() if name != "cut")
        routers = set(arena.view().routers)
        for side, far, directions in ((own, others, _DIRECTIONS), (others, own, _TURNED)):
            for node in [name for name in side if name not in routers]:
                rules = [
                    link_rule(
                        for_s=state.for_s + TTL_MARGIN_S,
                        id=f"{state.id}-{name}",
                        direction=directions[self.direction],
                        **{"router" if name in routers else "peer": name},
                        **effects,
                    )
                    for name in far
                ]
                if arena.target.is_running(node):
                    # Known before it is set: also what fails half way is cleared.
                    state.rules[node] = [rule.id for rule in rules]
                    arena.set_rules(node, rules)
        if not state.rules:
            raise TargetError(f"no node at either end of {state.shown} runs: nothing was set")

    def _others(self, arena: Arena, own: list[str]) -> list[str]:
        if self.to is not None:
            return [name for name in arena.pick(self.to) if name not in own]
        view = arena.view()
        members = [*view.nodes, *view.routers] if self.only == "all" else getattr(view, self.only)
        return [name for name in members if name not in own]

    def heal(self, arena: Arena, state: State) -> None:
        """Clear what was set."""
        heal_rules(arena, state)


class Isolate(_LinkFault):
    """Silence between the victims and the rest: a node alone, an AZ cut off. Both processes keep running."""

    fault: Literal["isolate"]

    def effects(self, arena: Arena) -> dict[str, Any]:
        """Nothing passes."""
        del arena
        return {"cut": True}


class Cut(_LinkFault):
    """Silence between two processes, in both directions or one: one link between nodes, a router and a leader."""

    fault: Literal["cut"]
    to: Victim

    def effects(self, arena: Arena) -> dict[str, Any]:
        """Nothing passes."""
        del arena
        return {"cut": True}


class Reset(_LinkFault):
    """The victims' streams break, and connect again at once."""

    needs_length: ClassVar[bool] = False

    fault: Literal["reset"]

    def effects(self, arena: Arena) -> dict[str, Any]:
        """Once."""
        del arena
        return {"reset": True}


class SlowLink(_LinkFault):
    """Latency, jitter, loss (as TCP shows it) or a narrow band between the victims and the rest."""

    fault: Literal["slow_link"]
    latency_ms: SpanField | None = None
    jitter_ms: SpanField | None = None
    loss_percent: SpanField | None = None
    bytes_per_s: int | None = Field(default=None, ge=1000)

    def effects(self, arena: Arena) -> dict[str, Any]:
        """Drawn once, the same for every link."""
        drawn: dict[str, Any] = {}
        if self.latency_ms is not None:
            drawn["latency_ms"] = round(self.latency_ms.draw(arena.rng))
        if self.jitter_ms is not None:
            drawn["jitter_ms"] = round(self.jitter_ms.draw(arena.rng))
        if self.loss_percent is not None:
            drawn["loss_percent"] = self.loss_percent.draw(arena.rng)
        if self.bytes_per_s is not None:
            drawn["bytes_per_s"] = self.bytes_per_s
        return drawn

"""Faults of processes: killed, paused, stopped, restarted.

An AZ that dies is `kill` with an AZ as its victim. Law: what a fault took down, it brings back.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from chaos.faults.base import Arena, Fault, State, Steps, Victim, on_each, running_only
from chaos.targets.base import has_caught_up
from chaos.victims import View

CATCH_UP_TIMEOUT_S = 60.0


class Kill(Fault):
    """SIGKILL; started again when healed."""

    fault: Literal["kill"]
    victim: Victim

    def inject(self, arena: Arena, state: State) -> None:
        """All victims at the same moment."""
        state.victims = running_only(arena, arena.pick(self.victim), "kill")
        arena.target.kill(state.victims)

    def heal(self, arena: Arena, state: State) -> None:
        """Start them."""
        arena.bring_back(state.victims)


class Pause(Fault):
    """SIGSTOP: silent, with its connections open."""

    fault: Literal["pause"]
    victim: Victim

    def inject(self, arena: Arena, state: State) -> None:
        """Stop them all."""
        state.victims = running_only(arena, arena.pick(self.victim), "pause")
        state.kept["paused"] = []
        for name in state.victims:
            state.kept["paused"].append(name)
            arena.target.pause(name)

    def heal(self, arena: Arena, state: State) -> None:
        """SIGCONT, where the process is still there."""
        paused: list[str] = state.kept.get("paused", [])

        def resume(name: str) -> None:
            if arena.target.is_running(name):
                arena.target.resume(name)
            paused.remove(name)

        on_each(paused, resume)


class Stop(Fault):
    """SIGTERM: it drains (a node hands its leaderships over), ends, and is started again when healed."""

    fault: Literal["stop"]
    victim: Victim

    def inject(self, arena: Arena, state: State) -> None:
        """One after the other."""
        state.victims = running_only(arena, arena.pick(self.victim), "stop")
        for name in state.victims:
            arena.target.terminate(name)

    def heal(self, arena: Arena, state: State) -> None:
        """Start them."""
        arena.bring_back(state.victims)


class RollingRestart(Fault):
    """Every node, or every process, stopped gracefully and started, each when the one before has caught up."""

    needs_length: ClassVar[bool] = False

    fault: Literal["rolling_restart"]
    of: Literal["nodes", "all"] = "nodes"

    def inject(self, arena: Arena, state: State) -> Steps:
        """A deployment, step by step: other faults may come in between."""
        members = [member for member in arena.target.members if self.of == "all" or not member.is_router]
        state.shown = f"all {len(members)} {'nodes' if self.of == 'nodes' else 'processes'}, one after the other"
        for member in members:
            if not arena.target.is_running(member.name):
                arena.note(f"rolling restart: {member.name} is down already")
                continue
            state.victims.append(member.name)
            state.kept["away"] = [member.name]
            arena.target.terminate(member.name)
            yield
            arena.bring_back([member.name])
            yield from arena.wait(
                lambda name=member.name: _caught_up(arena, name),  # type: ignore[misc]
                f"{member.name} has caught up after its restart",
                CATCH_UP_TIMEOUT_S,
            )

    def heal(self, arena: Arena, state: State) -> None:
        """The one that may be down now; those before it may be down by another fault, which brings them back."""
        arena.bring_back(state.kept.get("away", []))


class RestartAll(Fault):
    """A power cut: every process is killed at the same moment, then all start."""

    needs_length: ClassVar[bool] = False

    fault: Literal["restart_all"]

    def inject(self, arena: Arena, state: State) -> Steps:
        """Kill all; the next step starts all."""
        state.victims = [member.name for member in arena.target.members]
        state.shown = "every process"
        arena.target.kill(state.victims)
        yield
        arena.bring_back(state.victims)

    def heal(self, arena: Arena, state: State) -> None:
        """Start what is down."""
        arena.bring_back(state.victims)


def _caught_up(arena: Arena, name: str) -> bool:
    """Is the node as good as before? A router needs nothing more than to be there."""
    view: View = arena.view()
    if name in view.routers:
        return True
    return has_caught_up(arena.target, name)

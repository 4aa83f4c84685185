"""Faults of the machine under a node: its disk, its clock, its processor.

The disk that is full is a real limit of the operating system where the target shows its processes; the rest goes
through the nodes' fault-injection service. Law: a node whose disk cannot be trusted must end itself with status 1;
that it does is waited for, and its end is part of what is expected.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from chaos.faults.base import Arena, Fault, State, Steps, Victim, heal_rules, nodes_only, on_each
from chaos.faults.network import TTL_MARGIN_S
from chaos.spans import SpanField
from chaos.targets.base import TargetError
from tools.faults import machine_rule

# How a node ends that cannot write or sync.
DISK_EXIT = 1
ENDS_WITHIN_S = 30.0
# A disk that has this much left is full within seconds under load.
ROOM_BYTES = 64 * 1024


class _MachineFault(Fault):
    """A rule on the victims' own machines."""

    needs_injection: ClassVar[bool] = True
    hits_nodes: ClassVar[bool] = True

    victim: Victim

    def effects(self, arena: Arena) -> dict[str, Any]:
        """Fields of a machine rule."""
        raise NotImplementedError

    def inject(self, arena: Arena, state: State) -> Steps | None:
        """Tell the victims' nodes."""
        state.victims = nodes_only(arena, arena.pick(self.victim))
        effects = self.effects(arena)
        state.detail = ", ".join(f"{name} {value:g}" for name, value in effects.items())
        for node in state.victims:
            rule = machine_rule(for_s=state.for_s + TTL_MARGIN_S, id=state.id, **effects)
            state.rules[node] = [rule.id]
            arena.set_rules(node, [rule])
        return None

    def heal(self, arena: Arena, state: State) -> None:
        """Clear what was set."""
        heal_rules(arena, state)


class SlowSync(_MachineFault):
    """Every sync of the victims' disks takes longer."""

    fault: Literal["slow_sync"]
    ms: SpanField

    def effects(self, arena: Arena) -> dict[str, Any]:
        """Drawn once."""
        return {"sync_delay_ms": round(self.ms.draw(arena.rng))}


class ClockSkew(_MachineFault):
    """The victims' wall clocks are off, and their clocks for time-outs run too fast or too slow."""

    fault: Literal["clock_skew"]
    # Below zero: behind.
    offset_ms: int = Field(default=0, ge=-86_400_000, le=86_400_000)
    drift_ppm: int = Field(default=0, ge=-500_000, le=500_000)

    def effects(self, arena: Arena) -> dict[str, Any]:
        """As given."""
        del arena
        return {"clock_offset_ms": self.offset_ms, "clock_drift_ppm": self.drift_ppm}


class Stall(_MachineFault):
    """The victims' event loops stand still once, as under a long garbage collection or a stolen processor."""

    needs_length: ClassVar[bool] = False

    fault: Literal["stall"]
    ms: SpanField

    def effects(self, arena: Arena) -> dict[str, Any]:
        """Drawn once."""
        return {"stall_ms": round(self.ms.draw(arena.rng))}


class _DiskDeath(_MachineFault):
    """A node that must end itself; started again when healed."""

    def inject(self, arena: Arena, state: State) -> Steps:
        """Break the disk, then wait for the end."""
        super().inject(arena, state)
        yield from self._await_end(arena, state)

    def _await_end(self, arena: Arena, state: State) -> Steps:
        for node in state.victims:
            arena.expect_end(node, status=DISK_EXIT, is_counted=not state.is_chosen)
        yield from arena.wait(
            lambda: not any(arena.target.is_running(node) for node in state.victims),
            f"{state.words} has ended itself because of its disk",
            ENDS_WITHIN_S,
        )

    def heal(self, arena: Arena, state: State) -> None:
        """The disk works again: start what ended, clear the rule where nothing did."""
        try:
            super().heal(arena, state)
        finally:
            arena.bring_back(state.victims)


class SyncFailure(_DiskDeath):
    """The victims' next sync fails: they must stop at once with status 1, whatever they have in memory."""

    fault: Literal["sync_failure"]

    def effects(self, arena: Arena) -> dict[str, Any]:
        """The next one."""
        del arena
        return {"sync_fails": True}


class InjectedDiskFull(_DiskDeath):
    """The victims' next write fails as on a full disk (in the node's own storage layer)."""

    fault: Literal["write_failure"]

    def effects(self, arena: Arena) -> dict[str, Any]:
        """The next one."""
        del arena
        return {"disk_full": True}


class DiskFull(_DiskDeath):
    """A real limit of the operating system on the size of the victims' files: writes fail until they are restarted."""

    needs_injection: ClassVar[bool] = False

    fault: Literal["disk_full"]

    @property
    def needs_local(self) -> bool:
        """It sets a limit of a process and looks at its files."""
        return True

    def inject(self, arena: Arena, state: State) -> Steps:
        """Limit the files to what they are now and a little."""
        state.victims = nodes_only(arena, arena.pick(self.victim))
        for node in state.victims:
            limit = newest_log_bytes(arena.target.data_folder(node)) + ROOM_BYTES
            pid = arena.target.pid(node)
            before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            state.kept[node] = (pid, before)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, before[1]))
        yield from self._await_end(arena, state)

    def heal(self, arena: Arena, state: State) -> None:
        """Lift the limit where the process still runs; start what ended."""

        def lift(node: str) -> None:
            pid, before = state.kept[node]
            if arena.target.is_running(node) and arena.target.pid(node) == pid:
                # What it was before: only that may be set again without privileges, and it is what healing means.
                resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
            del state.kept[node]

        try:
            on_each(state.kept, lift)
        finally:
            arena.bring_back(state.victims)


def newest_log_bytes(folder: Path) -> int:
    """The size of RocksDB's write-ahead log that is being written. Raises TargetError when there is none."""
    logs = sorted(folder.rglob("*.log"), key=lambda path: path.stat().st_mtime)
    if not logs:
        raise TargetError(f"no write-ahead log in {folder}")
    return logs[-1].stat().st_size

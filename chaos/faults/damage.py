"""Damage on disk: bytes of a node's files are changed, or all of them are lost, while it is down.

The node must notice, say so, and be rebuilt by its peers: what is damaged when it starts it rebuilds by itself; what
it meets while it runs ends it with status 1. It may never serve what it cannot trust, nor forget what it promised. Law
for scenarios, which nothing here enforces: one damaged node at a time; two are more than three replicas bear.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar, Literal

from chaos.faults.base import Arena, Fault, State, Steps, Victim, nodes_only
from chaos.targets.base import TargetError, has_caught_up

RUN_BYTES = 16
# A table is read a block at a time: damage in each of its blocks is met by the first read.
TABLE_STEP_BYTES = 2048
LOG_PLACES = 3
# How a node ends that has met damage, and the event that says so.
DAMAGE_EXIT = 1
DAMAGE_EVENT = '"store_damaged"'
MET_WITHIN_S = 60.0
REBUILT_WITHIN_S = 120.0
# Steps of the executor within which a node that met damage has ended; one that noticed at its start does not end.
END_STEPS = 40


class Damage(Fault):
    """A node is killed, its files are damaged or lost, and it must be rebuilt by its peers instead of serving them."""

    needs_length: ClassVar[bool] = False
    hits_nodes: ClassVar[bool] = True

    fault: Literal["damage"]
    victim: Victim
    # sst: the largest table. journal: the write-ahead log, where the newest entries are. disk: everything is gone.
    file: Literal["sst", "journal", "disk"]

    @property
    def needs_local(self) -> bool:
        """It works on files; a node that lost all of them is started in another way, which containers do not offer."""
        return True

    def inject(self, arena: Arena, state: State) -> Steps:
        """Kill, damage, start, and wait until the node has noticed and its replicas are whole again."""
        node = nodes_only(arena, arena.pick(self.victim))[0]
        state.victims = [node]
        state.kept["logged"] = len(arena.target.log_text(node))
        arena.target.kill([node])
        yield
        if self.file == "disk":
            state.detail = "its disk is lost"
            arena.target.rebuild(node)
        else:
            if self.file == "sst" and not list(arena.target.data_folder(node).rglob("*.sst")):
                # Opening writes what was only in the log into tables.
                arena.bring_back([node])
                yield
                arena.target.kill([node])
            path = largest(arena.target.data_folder(node), "*.sst" if self.file == "sst" else "*.log")
            count = invert(path, arena.rng, everywhere=self.file == "sst")
            state.detail = f"{path.name} of {path.stat().st_size} bytes, {count} places"
            arena.note(f"damaged {node}: {state.detail}")
            arena.expect_end(node, status=DAMAGE_EXIT, is_counted=False)
            arena.bring_back([node])
            # When it starts, or when it reads what is damaged: then it ends first.
            yield from arena.wait(lambda: _has_noticed(arena, state, node), f"{node} notices the damage", MET_WITHIN_S)
            arena.note(f"{node} has noticed that its store is damaged")
            yield from _bring_back_if_ended(arena, node)
        yield from arena.wait(lambda: has_caught_up(arena.target, node), f"{node} is rebuilt", REBUILT_WITHIN_S)
        arena.note(f"{node} is rebuilt")

    def heal(self, arena: Arena, state: State) -> None:
        """Start it if it does not run."""
        for node in state.victims:
            if arena.target.is_running(node):
                continue
            if self.file == "disk":
                arena.target.rebuild(node)
            else:
                arena.bring_back([node])


def _bring_back_if_ended(arena: Arena, node: str) -> Steps:
    """A node that met damage while it ran ends; started again, it rebuilds itself."""
    for _ in range(END_STEPS):
        yield
        if not arena.target.is_running(node):
            arena.bring_back([node])
            return


def _has_noticed(arena: Arena, state: State, node: str) -> bool:
    """Has the node said since its damage that its store is damaged?"""
    return DAMAGE_EVENT in arena.target.log_text(node)[state.kept.get("logged", 0) :]


def largest(folder: Path, pattern: str) -> Path:
    """The largest file of a kind below `folder`. Raises TargetError without any."""
    found = sorted(folder.rglob(pattern), key=lambda path: path.stat().st_size)
    if not found or not found[-1].stat().st_size:
        raise TargetError(f"there is no {pattern} to damage in {folder}")
    return found[-1]


def invert(path: Path, rng: random.Random, *, everywhere: bool) -> int:
    """Invert runs of bytes in a file, `everywhere` or at a few places in its middle; at how many places."""
    data = bytearray(path.read_bytes())
    # Not the end: there a torn record is what a crash leaves, and no damage.
    begin, end = len(data) // 8, max(len(data) // 8 + 1, len(data) * 3 // 4)
    if everywhere:
        places = list(range(0, end, TABLE_STEP_BYTES))
    else:
        places = sorted(rng.randrange(begin, end) for _ in range(LOG_PLACES))
    for place in places:
        for position in range(place, min(place + RUN_BYTES, len(data))):
            data[position] ^= 0xFF
    path.write_bytes(data)
    return len(places)

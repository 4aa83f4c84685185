"""Damage on disk: bytes of a node's files are changed while it is down.

The node must notice when it starts, say so, and have the replica rebuilt by its peers; it may never serve what it
cannot trust. Law: only one node at a time has a damaged disk, for two would be more than the model allows.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar, Literal

from chaos.faults.base import Arena, Fault, State, Steps, Victim
from chaos.targets.base import TargetError

# So many bytes in a row are inverted, at so many places of the file.
RUN_BYTES = 16
PLACES = 3
REBUILT_WITHIN_S = 90.0


class Damage(Fault):
    """The victim is killed, bytes of its files are inverted, and it is started again."""

    needs_length: ClassVar[bool] = False

    fault: Literal["damage"]
    victim: Victim
    # sst: the largest table file. journal: the write-ahead log, where the newest log entries are.
    file: Literal["sst", "journal"]

    def inject(self, arena: Arena, state: State) -> Steps:
        """Kill, damage, start, and wait until its replicas have caught up."""
        routers = set(arena.view().routers)
        node = next(name for name in arena.pick(self.victim) if name not in routers)
        state.victims = [node]
        arena.target.kill([node])
        yield
        path = largest(arena.target.data_folder(node), "*.sst" if self.file == "sst" else "*.log")
        places = invert(path, arena.rng)
        state.detail = f"{path.name}, {path.stat().st_size} bytes, at {', '.join(map(str, places))}"
        arena.note(f"damaged {node}: {state.detail}")
        yield
        arena.bring_back([node])
        yield from arena.wait(lambda: has_caught_up(arena, node), f"{node} has rebuilt its replicas", REBUILT_WITHIN_S)

    def heal(self, arena: Arena, state: State) -> None:
        """Start it if it does not run."""
        arena.bring_back(state.victims)


def largest(folder: Path, pattern: str) -> Path:
    """The largest file of a kind below `folder`. Raises TargetError without any."""
    found = sorted(folder.rglob(pattern), key=lambda path: path.stat().st_size)
    if not found or not found[-1].stat().st_size:
        raise TargetError(f"there is no {pattern} to damage in {folder}")
    return found[-1]


def invert(path: Path, rng: random.Random) -> list[int]:
    """Invert runs of bytes in the middle of a file; where they begin."""
    data = bytearray(path.read_bytes())
    # Not the end: there a torn record is what a crash leaves, and no damage.
    end = max(1, len(data) * 3 // 4)
    places = sorted(rng.randrange(len(data) // 8, end) for _ in range(PLACES))
    for place in places:
        for position in range(place, min(place + RUN_BYTES, len(data))):
            data[position] ^= 0xFF
    path.write_bytes(data)
    return places


def has_caught_up(arena: Arena, node: str) -> bool:
    """Does every replica of the node follow its leader closely?"""
    status = arena.target.status()
    rows = [replica for partition in status.partitions for replica in partition.replicas if replica.node == node]
    return bool(rows) and status.healthy and all(row.lag is not None and row.lag <= LAG_ENTRIES_MAX for row in rows)


# Under load the newest entries are always on their way.
LAG_ENTRIES_MAX = 50

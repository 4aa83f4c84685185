"""Prints the end of a growing log file.

Called by `trizone logs`. Law: bytes are printed once, also when the file is replaced by a fresh one under its name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.processes import wait_for_end
from tools.signals import StopRequests

Write = Callable[[str], None]

# A file gives no sign when it grows.
LOOK_INTERVAL_S = 0.2
BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was printed, and which file it was."""

    inode: int
    offset: int


def tail_file(path: Path, count: int, write: Write) -> Position:
    """Print the last `count` lines; returns where the printing ended."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        offset = status.st_size
        blocks: list[bytes] = []
        newlines = 0
        # One newline more than lines: it ends the line before the first one shown.
        while offset > 0 and newlines <= count:
            size = min(BLOCK_BYTES, offset)
            offset -= size
            file.seek(offset)
            blocks.insert(0, file.read(size))
            newlines += blocks[0].count(b"\n")
        lines = b"".join(blocks).splitlines(keepends=True)
        if count:
            write(b"".join(lines[-count:]).decode("utf-8", errors="replace"))
        return Position(status.st_ino, status.st_size)


def follow_file(path: Path, position: Position, write: Write, stops: StopRequests) -> None:
    """Print what is added after `position` until a stop is requested."""
    while not stops.take():
        position = print_new(path, position, write)
        wait_for_end([], LOOK_INTERVAL_S, stops.wake)


def print_new(path: Path, position: Position, write: Write) -> Position:
    """Print what was added since `position`; a replaced or shortened file is printed from its start."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            fresh = status.st_ino != position.inode or status.st_size < position.offset
            offset = 0 if fresh else position.offset
            file.seek(offset)
            while block := file.read(BLOCK_BYTES):
                write(block.decode("utf-8", errors="replace"))
                offset += len(block)
            return Position(status.st_ino, offset)
    except FileNotFoundError:
        # Between the old file's renaming and the new one's first line.
        return position

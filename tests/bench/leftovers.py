"""What a bench left behind, for its tests."""

from __future__ import annotations

import os
from pathlib import Path

import psutil


def left_in(folder: Path) -> list[str]:
    """Command lines of processes that know this folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line and process.pid != os.getpid():
            found.append(line)
    return found

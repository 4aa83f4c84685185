"""Become another program that dies with the process that started it.

Run by tools.processes as `python -I -S launch.py PARENT_PID PROGRAM ARGUMENTS...`. Law: a cluster in the foreground
leaves nothing behind, even when `trizone up` itself is killed with -9. A file of its own, and not a preexec_fn: code
between fork and exec in a process with gRPC threads may never return.

Linux only (PR_SET_PDEATHSIG; it survives exec). Elsewhere the program starts without the tie.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then exec."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # The parent may have died before the line above: then no signal will ever come.
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()

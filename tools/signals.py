"""Ctrl-C, SIGTERM and SIGHUP as something a waiting command can select on.

Used by the supervisor. Laws: a signal is never lost between a check and a wait: it makes a file descriptor readable;
what the caller had ignored (nohup, a job in the background) stays ignored.
"""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType

# SIGHUP: the terminal was closed.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# SIGTERM is not among them: it is how `trizone down` asks a foreground `up` to stop.
MAY_BE_IGNORED = frozenset((signal.SIGINT, signal.SIGHUP))


class StopRequests:
    """Counts stop signals between `with` and its end; `wake` is readable while one has not been taken."""

    def __init__(self) -> None:
        self.wake, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def __enter__(self) -> StopRequests:
        for number, handler in self._previous.items():
            if handler != signal.SIG_IGN or number not in MAY_BE_IGNORED:
                signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        os.close(self.wake)
        os.close(self._write)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        try:
            os.write(self._write, b"x")
        except BlockingIOError:
            # Full of requests nobody took: one more changes nothing.
            return

    def take(self) -> bool:
        """Was a stop requested since the last call?"""
        try:
            return bool(os.read(self.wake, 65536))
        except BlockingIOError:
            return False

"""Who ended by itself, learned from the engine's events.

Owned by chaos.targets.compose. Law: every death is told once: to whoever asked for it, or by `unasked`. The engine
tells of a death some time after it; whoever asked for one waits for the telling, so that no one takes it for another.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.project import PROJECT_LABEL, SERVICE_LABEL

TOLD_TIMEOUT_S = 20.0
END_TIMEOUT_S = 5.0
# The engine reports a signal's end as 128 and the signal.
_SIGNAL_STATUS = 128
_SIGNALS = range(1, 65)


def parse(line: str) -> tuple[str, int] | None:
    """(service, exit status; negative for a signal) of one line of `docker events`; None for one that is no death."""
    try:
        event = json.loads(line)
        attributes = event["Actor"]["Attributes"]
        if event["Action"] != "die":
            return None
        code = int(attributes["exitCode"])
        return attributes[SERVICE_LABEL], -(code - _SIGNAL_STATUS) if code - _SIGNAL_STATUS in _SIGNALS else code
    except (ValueError, KeyError, TypeError):
        return None


class Deaths:
    """The ends of a project's containers, from now on."""

    def __init__(self, project: str) -> None:
        self._changed = threading.Condition()
        self._untold: list[tuple[str, int]] = []
        self._expected: Counter[str] = Counter()
        label = f"label={PROJECT_LABEL}={project}"
        command = ["docker", "events", "--filter", "event=die", "--filter", label, "--format", "{{json .}}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._thread = threading.Thread(target=self._read, name="deaths", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None, "opened with a pipe"
        for line in self._process.stdout:
            death = parse(line)
            if death is not None:
                self.tell(*death)

    def tell(self, service: str, status: int) -> None:
        """A container has ended."""
        with self._changed:
            if self._expected[service] > 0:
                self._expected[service] -= 1
            else:
                self._untold.append((service, status))
            self._changed.notify_all()

    @contextmanager
    def asked(self, services: Counter[str]) -> Iterator[None]:
        """These are ended inside; on return their deaths have been told, or the time for it is over."""
        with self._changed:
            self._expected += services
        try:
            yield
            with self._changed:
                self._changed.wait_for(lambda: not any(self._expected[one] for one in services), TOLD_TIMEOUT_S)
        finally:
            with self._changed:
                for one in services:
                    self._expected[one] = 0

    def unasked(self) -> list[tuple[str, int]]:
        """(service, exit status) of those that ended by themselves since the last call."""
        with self._changed:
            told, self._untold = self._untold, []
        return told

    def close(self) -> None:
        """Listen no more."""
        self._process.terminate()
        self._process.wait(END_TIMEOUT_S)
        self._thread.join(END_TIMEOUT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

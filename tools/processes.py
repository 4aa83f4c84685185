"""Operating system processes: start, recognise, wait for and end them.

Called by the supervisor and by the commands for one process. Law: no signal is ever sent to a process that is not
provably ours: a pid counts only together with the time its process started, so a recycled pid is never killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tools.errors import CommandError

# psutil computes start times from the boot time, which may shift by a second when the clock is corrected.
START_TIME_TOLERANCE_S = 2.0
# One old log is kept: a crash loop cannot fill the disk by itself.
LOG_BYTES_MAX = 64 * 1024 * 1024
# Without pidfd (not Linux) ends are noticed by looking.
LOOK_INTERVAL_S = 0.1

LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process that cannot be mistaken for another: name, pid and start time (seconds since the epoch)."""

    name: str
    pid: int
    started_s: float

    def to_json(self) -> str:
        """One line."""
        return json.dumps({"name": self.name, "pid": self.pid, "started_s": self.started_s})

    @staticmethod
    def from_json(text: str) -> ProcessRecord | None:
        """The record, or None when `text` is not one."""
        try:
            fields = json.loads(text)
            return ProcessRecord(str(fields["name"]), int(fields["pid"]), float(fields["started_s"]))
        except (ValueError, TypeError, KeyError):
            return None

    @property
    def is_alive(self) -> bool:
        """Is exactly this process still running? A zombie has ended."""
        current = identify(self.name, self.pid)
        return current is not None and abs(current.started_s - self.started_s) <= START_TIME_TOLERANCE_S


def identify(name: str, pid: int) -> ProcessRecord | None:
    """The record of the process that has `pid` now; None when there is none or it has ended."""
    try:
        process = psutil.Process(pid)
        # A killed process whose first thread is gone may have another one that waits for the disk: it is shown as a
        # zombie and still holds its ports and locks.
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) and process.num_threads() <= 1:
            return None
        return ProcessRecord(name, pid, process.create_time())
    except (psutil.NoSuchProcess, ValueError):
        return None


class ProcessTable:
    """The pid files of a data folder."""

    def __init__(self, run_folder: Path) -> None:
        self._folder = run_folder

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.pid"

    def add(self, record: ProcessRecord) -> None:
        """Remember a started process."""
        path = self._path(record.name)
        beside = path.with_suffix(".new")
        beside.write_text(record.to_json() + "\n")
        beside.replace(path)

    def remove(self, record: ProcessRecord) -> None:
        """Forget it, unless the file already names its successor."""
        if self._read(record.name) == record:
            self._path(record.name).unlink(missing_ok=True)

    def _read(self, name: str) -> ProcessRecord | None:
        try:
            return ProcessRecord.from_json(self._path(name).read_text())
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def find(self, name: str) -> ProcessRecord | None:
        """The live process called `name`, or None."""
        record = self._read(name)
        return record if record is not None and record.is_alive else None

    def live(self, names: Iterable[str]) -> list[ProcessRecord]:
        """Those of `names` that run, in the given order."""
        return [record for name in names if (record := self.find(name)) is not None]


def module_command(module: str, settings_path: Path, name: str, *options: str) -> list[str]:
    """How a node or router process is started, with `options` besides the usual ones."""
    # -P: the folder the user stands in must not shadow our packages.
    return [sys.executable, "-P", "-m", module, "--config", str(settings_path), "--id", name, *options]


def start(command: Sequence[str], log_path: Path, *, die_with_parent: bool) -> subprocess.Popen[bytes]:
    """Start `command` in its own session, its output appended to `log_path`.

    With `die_with_parent` the kernel kills it when this process ends for any reason (tools.launch).
    """
    with contextlib.suppress(FileNotFoundError):
        if log_path.stat().st_size > LOG_BYTES_MAX:
            log_path.replace(log_path.with_suffix(".log.1"))
    if die_with_parent:
        command = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *command]
    with log_path.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A Ctrl-C in the terminal reaches the supervisor alone, which stops the processes in order.
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def send(record: ProcessRecord, number: signal.Signals) -> bool:
    """Signal this process, or its whole session with SIGKILL; False when it has ended already.

    Raises CommandError when it is another user's.
    """
    if not record.is_alive:
        return False
    try:
        if number == signal.SIGKILL and os.getpgid(record.pid) == record.pid:
            os.killpg(record.pid, number)
        else:
            os.kill(record.pid, number)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise CommandError(
            f"{record.name} (pid {record.pid}) may not be signalled: it belongs to another user",
            hint="run this as the user who started the cluster",
        ) from error
    return True


def wait_for_end(records: Sequence[ProcessRecord], timeout_s: float, wake: int | None = None) -> list[ProcessRecord]:
    """Wait until at least one of the processes has ended, `wake` (a file descriptor) is readable, or the time is over.

    Returns those that have ended. The processes need not be children. With no process and no `wake`, waits the time.
    """
    ended = [record for record in records if not record.is_alive]
    if ended:
        return ended
    opened: list[int] = []
    # Where there is no pidfd, wake up often and look.
    look_s = timeout_s
    with selectors.DefaultSelector() as selector:
        try:
            for record in records:
                try:
                    handle = os.pidfd_open(record.pid)
                except ProcessLookupError:
                    return [record]
                except (AttributeError, OSError):
                    look_s = min(timeout_s, LOOK_INTERVAL_S)
                    continue
                opened.append(handle)
                selector.register(handle, selectors.EVENT_READ)
            if wake is not None:
                selector.register(wake, selectors.EVENT_READ)
            selector.select(max(0.0, look_s))
        finally:
            for handle in opened:
                os.close(handle)
    return [record for record in records if not record.is_alive]


def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines of a log, read from its end; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            size = file.tell()
            # A log line is seldom longer than 1 KiB; a longer one is cut, not waited for.
            file.seek(max(0, size - count * 1024))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-count:]

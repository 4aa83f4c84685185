"""Running a load generator, ours or wrk, and reading what it found.

Called by run.py for every line of its table. Law: whatever happens, no generator outlives the call that started it; a
generator that fails is an error with its own words, never a row of numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil
from bench_requests import DIALECTS, Operation, RequestSet

from runtime.clock import SystemClock
from tools.errors import CommandError, InterruptedByUser
from tools.signals import StopRequests

HERE = Path(__file__).parent
# A generator that says nothing for so long beyond its time has failed.
SILENCE_S = 30.0
# What a slow machine builds before it says that it is ready.
BODIES_A_SECOND = 20_000
READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the table. `operations` are those answered 2xx; `cpu_percent` is of one core, by process."""

    operation: str
    connections: int
    operations: int
    elapsed_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int
    first_error: str
    cpu_percent: Mapping[str, float | None]

    @property
    def operations_per_s(self) -> float:
        """Throughput."""
        return self.operations / self.elapsed_s if self.elapsed_s else 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """What to send, where, and in which dialect. `rate`: requests a second, whatever the answers; else closed loops."""

    host: str
    port: int
    operation: Operation
    connections: int
    keys: int
    seconds: float
    dialect: str = "dynamodb"
    rate: float | None = None


class Generator(Protocol):
    """Something that puts load on an endpoint."""

    name: str

    def run(self, load: Load, meter: CpuMeter, stops: StopRequests) -> Measured:
        """Run once. Raises CommandError when the generator failed, InterruptedByUser after Ctrl-C."""
        ...


class CpuMeter:
    """CPU time of processes between `start` and `stop`, and of everything else on this machine."""

    LOAD = "load"
    # Numbers of a shared machine are low for a reason that must be seen beside them.
    OTHERS = "others"

    def __init__(self, processes: Mapping[str, psutil.Process]) -> None:
        self._processes = dict(processes)
        self._before: dict[str, float] = {}
        self._began = 0.0

    @property
    def names(self) -> list[str]:
        """The columns: the cluster's processes, the load generator, everything else."""
        return [name for name in self._processes if name != self.LOAD] + [self.LOAD, self.OTHERS]

    def start(self, generator_pid: int) -> None:
        """Begin, with the load generator among the processes."""
        self._processes[self.LOAD] = psutil.Process(generator_pid)
        self._before = self._read()
        self._began = SystemClock.monotonic()

    def stop(self) -> dict[str, float | None]:
        """Percent of one core since `start`; None for a process that ended meanwhile."""
        elapsed_s = SystemClock.monotonic() - self._began
        after = self._read()
        return {
            name: max(0.0, after[name] - self._before[name]) / elapsed_s * 100
            if name in after and name in self._before
            else None
            for name in self.names
        }

    def _read(self) -> dict[str, float]:
        found = {}
        for name, process in self._processes.items():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                found[name] = times.user + times.system
        whole = psutil.cpu_times()
        busy_s = sum(whole) - whole.idle - getattr(whole, "iowait", 0.0)
        # A guest's time is counted in user as well.
        busy_s -= getattr(whole, "guest", 0.0) + getattr(whole, "guest_nice", 0.0)
        found[self.OTHERS] = busy_s - sum(found.values())
        return found


class Child:
    """A process whose output is read as it comes; `title` names it in errors."""

    def __init__(self, process: subprocess.Popen[bytes], stops: StopRequests, title: str) -> None:
        self.process = process
        self._title = title
        self._stops = stops
        self._text = b""

    def read_line(self, timeout_s: float) -> bytes:
        """The next line. Raises CommandError at its end or after `timeout_s` of silence."""
        while b"\n" not in self._text:
            if not self._read_more(timeout_s):
                raise CommandError(f"{self._title} ended with exit status {self.process.wait()}")
        line, _, self._text = self._text.partition(b"\n")
        return line

    def read_all(self, timeout_s: float) -> bytes:
        """Everything until its end."""
        while self._read_more(timeout_s):
            pass
        return self._text

    def _read_more(self, timeout_s: float) -> bool:
        stdout = self.process.stdout
        assert stdout is not None, "started with a pipe"
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(self._stops.wake, selectors.EVENT_READ)
            ready = {key.fileobj for key, _ in selector.select(timeout_s)}
        if self._stops.take():
            raise InterruptedByUser
        if not ready:
            raise CommandError(f"{self._title} said nothing for {timeout_s:g} s")
        more = os.read(stdout.fileno(), READ_BYTES)
        self._text += more
        return bool(more)


@contextlib.contextmanager
def started(command: list[str], stops: StopRequests, title: str = "the load generator") -> Iterator[Child]:
    """A process that is killed at the end, if it is still there."""
    # A session of its own: Ctrl-C reaches run.py alone, which ends everything in order.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0
    ) as process:
        try:
            yield Child(process, stops, title)
        finally:
            process.kill()


class OwnGenerator:
    """bench_load.py."""

    name = "own"

    def run(self, load: Load, meter: CpuMeter, stops: StopRequests) -> Measured:
        """Random items for `load.seconds`."""
        return self._run(load, meter, stops, each_once=False)

    def fill(self, load: Load, meter: CpuMeter, stops: StopRequests) -> Measured:
        """Every item once, within `load.seconds`."""
        return self._run(load, meter, stops, each_once=True)

    def _run(self, load: Load, meter: CpuMeter, stops: StopRequests, *, each_once: bool) -> Measured:
        command = [sys.executable, str(HERE / "bench_load.py"), "--host", load.host, "--port", str(load.port)]
        command += ["--operation", load.operation.name, "--connections", str(load.connections)]
        command += ["--keys", str(load.keys), "--seconds", str(load.seconds)]
        command += ["--dialect", load.dialect]
        command += ["--each-once"] if each_once else []
        command += ["--rate", str(load.rate)] if load.rate is not None else []
        with started(command, stops) as child:
            # It builds a million bodies first when it is asked to.
            child.read_line(SILENCE_S + load.keys / BODIES_A_SECOND)
            meter.start(child.process.pid)
            assert child.process.stdin is not None, "started with a pipe"
            child.process.stdin.write(b"go\n")
            found = json.loads(child.read_line(load.seconds + SILENCE_S))
            cpu_percent = meter.stop()
        return Measured(operation=load.operation.name, connections=load.connections, cpu_percent=cpu_percent, **found)


class WrkGenerator:
    """wrk with bench_wrk.lua. Its percentiles include answers that were errors."""

    name = "wrk"

    def __init__(self, program: str, threads: int | None = None) -> None:
        self._program = program
        self._threads = threads or max(1, (os.cpu_count() or 1) // 2)

    def run(self, load: Load, meter: CpuMeter, stops: StopRequests) -> Measured:
        """Random items for `load.seconds`, rounded up to whole seconds."""
        if load.rate is not None:
            raise ValueError("wrk knows no rate")
        threads = min(load.connections, self._threads)
        host = f"[{load.host}]" if ":" in load.host else load.host
        with tempfile.NamedTemporaryFile("w", prefix="trizone-bench-", suffix=".txt", encoding="utf-8") as file:
            file.write(wrk_file(DIALECTS[load.dialect](load.operation, load.keys)))
            file.flush()
            command = [self._program, "--threads", str(threads), "--connections", str(load.connections)]
            command += ["--duration", f"{-int(-load.seconds // 1)}s", "--timeout", f"{SILENCE_S:g}s"]
            command += ["--script", str(HERE / "bench_wrk.lua"), f"http://{host}:{load.port}/", "--", file.name]
            with started(command, stops) as child:
                meter.start(child.process.pid)
                output = child.read_all(load.seconds + SILENCE_S)
                # Ended, but not reaped: its CPU time can still be read.
                os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
                cpu_percent = meter.stop()
        return read_wrk(output.decode(errors="replace"), load, cpu_percent)


def wrk_file(requests: RequestSet) -> str:
    """The requests as bench_wrk.lua reads them: path, headers, an empty line, bodies."""
    lines = [requests.path]
    lines += [f"{name}: {value}" for name, value in requests.headers.items()]
    lines += ["", *requests.bodies]
    return "\n".join(lines) + "\n"


def read_wrk(output: str, load: Load, cpu_percent: Mapping[str, float | None]) -> Measured:
    """The result in the last line of wrk's output. Raises CommandError when there is none."""
    last = output.strip().rpartition("\n")[2]
    try:
        found = json.loads(last)
    except ValueError:
        raise CommandError(f"wrk gave no result:\n{output}") from None
    refused, broken = found["status_errors"], found["broken"]
    return Measured(
        operation=load.operation.name,
        connections=load.connections,
        operations=found["requests"] - refused,
        elapsed_s=found["duration_us"] / 1e6,
        p50_ms=found["p50_us"] / 1000,
        p99_ms=found["p99_us"] / 1000,
        max_ms=found["max_us"] / 1000,
        errors=refused + broken,
        first_error=f"{refused} answers with status 400 or above, {broken} socket errors" if refused + broken else "",
        cpu_percent=cpu_percent,
    )

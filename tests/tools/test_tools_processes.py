"""Real processes: recognised by pid and start time, waited for by signal, never confused with another."""

from __future__ import annotations

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.clock import SystemClock
from tools.errors import CommandError
from tools.ports import ephemeral_begin, first_chosen_port, is_free, is_loopback
from tools.probe import NodeProbe, ask_routers, reachable_host
from tools.processes import (
    LOG_BYTES_MAX,
    ProcessRecord,
    ProcessTable,
    identify,
    last_lines,
    module_command,
    send,
    start,
    wait_for_end,
)
from tools.resolve import CHOSEN_PORT_MIN
from tools.signals import StopRequests
from topology.settings import NodeSettings, RouterSettings

pytestmark = pytest.mark.integration

# Runs until its standard input, the null device, or a signal ends it.
SLEEP = [sys.executable, "-S", "-c", "import signal; print('ready', flush=True); signal.pause()"]


def record_of(child: subprocess.Popen[bytes], name: str = "n1") -> ProcessRecord:
    record = identify(name, child.pid)
    assert record is not None
    return record


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start(SLEEP, tmp_path / "n1.log", die_with_parent=False)
    yield process
    process.kill()
    process.wait()


def test_a_started_process_is_its_own_session_and_writes_its_log(tmp_path: Path) -> None:
    code = "import os; print(os.getsid(0) == os.getpid(), os.environ['PYTHONUNBUFFERED'])"
    log = tmp_path / "n1.log"
    log.write_text("before\n")
    process = start([sys.executable, "-S", "-c", code], log, die_with_parent=False)
    assert process.wait(20) == 0
    assert log.read_text() == "before\nTrue 1\n"


def test_a_pid_file_finds_the_live_process_and_only_it(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    table = ProcessTable(tmp_path)
    record = record_of(child)
    assert table.find("n1") is None
    table.add(record)
    assert ProcessTable(tmp_path).find("n1") == record
    assert table.live(["n2", "n1"]) == [record]
    # A file that names a successor is not removed by those who still hold the old record.
    table.remove(replace(record, pid=record.pid + 1))
    assert table.find("n1") == record
    table.remove(record)
    assert table.find("n1") is None
    table.remove(record)


@pytest.mark.parametrize(
    "text", ["", "12", "{", '{"pid": 1}', "\x00"], ids=["empty", "number", "cut", "partial", "nul"]
)
def test_a_damaged_pid_file_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "n1.pid").write_text(text)
    assert ProcessTable(tmp_path).find("n1") is None


def test_a_recycled_pid_is_not_our_process_and_is_never_signalled(
    tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    earlier = replace(record_of(child), started_s=record_of(child).started_s - 60)
    table = ProcessTable(tmp_path)
    table.add(earlier)
    assert table.find("n1") is None
    assert not earlier.is_alive
    assert not send(earlier, signal.SIGKILL)
    assert wait_for_end([earlier], 5.0) == [earlier]
    assert child.poll() is None


def test_a_zombie_has_ended(child: subprocess.Popen[bytes]) -> None:
    record = record_of(child)
    os.kill(child.pid, signal.SIGKILL)
    assert wait_for_end([record], 20.0) == [record]
    assert identify("n1", child.pid) is None
    assert not send(record, signal.SIGTERM)
    assert child.wait() == -signal.SIGKILL


def test_an_end_is_noticed_when_it_happens_and_not_at_the_time_out(
    child: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    other = start(SLEEP, tmp_path / "n2.log", die_with_parent=False)
    try:
        records = [record_of(child), record_of(other, "n2")]
        assert wait_for_end(records, 0.01) == []
        began = SystemClock.monotonic()
        threading.Timer(0.1, other.kill).start()
        assert wait_for_end(records, 60.0) == [records[1]]
        assert SystemClock.monotonic() - began < 30
    finally:
        other.kill()
        other.wait()


def test_sigkill_takes_the_whole_session(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys;"
        " p = subprocess.Popen([sys.executable, '-S', '-c', 'import signal; signal.pause()']);"
        " print(p.pid, flush=True); p.wait()"
    )
    log = tmp_path / "n1.log"
    process = start([sys.executable, "-S", "-c", code], log, die_with_parent=False)
    grandchild = None
    while grandchild is None:
        assert wait_for_end([record_of(process)], 0.02) == []
        text = log.read_text()
        grandchild = identify("child", int(text)) if text.endswith("\n") else None
    assert send(record_of(process), signal.SIGKILL)
    process.wait()
    assert wait_for_end([grandchild], 20.0) == [grandchild]


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux")
def test_processes_of_a_killed_supervisor_die_with_it(tmp_path: Path) -> None:
    log = tmp_path / "n1.log"
    code = (
        "import sys, signal; from pathlib import Path; from tools.processes import start;"
        f" p = start({SLEEP!r}, Path({str(log)!r}), die_with_parent=True); print(p.pid, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        record = identify("n1", pid)
        assert record is not None
        while "ready" not in (log.read_text() if log.exists() else ""):
            assert wait_for_end([record], 0.02) == []
        supervisor.kill()
        assert wait_for_end([record], 20.0) == [record]


def test_a_log_that_grew_too_large_is_put_aside_at_the_next_start(tmp_path: Path) -> None:
    log = tmp_path / "n1.log"
    with log.open("wb") as file:
        file.truncate(LOG_BYTES_MAX + 1)
    start([sys.executable, "-S", "-c", "print('new')"], log, die_with_parent=False).wait(20)
    assert log.read_text() == "new\n"
    assert (tmp_path / "n1.log.1").stat().st_size == LOG_BYTES_MAX + 1


def test_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert last_lines(path, 3) == []
    path.write_text("".join(f"line {number}\n" for number in range(10_000)))
    assert last_lines(path, 2) == ["line 9998", "line 9999"]


def test_the_command_of_a_process_does_not_import_from_the_current_folder() -> None:
    command = module_command("node", Path("/d/cluster.yaml"), "n1")
    assert command == [sys.executable, "-P", "-m", "node", "--config", "/d/cluster.yaml", "--id", "n1"]


def test_stop_requests_wake_a_wait_and_are_taken_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequests() as stops:
        assert not stops.take()
        os.kill(os.getpid(), signal.SIGTERM)
        began = SystemClock.monotonic()
        wait_for_end([], 60.0, stops.wake)
        assert SystemClock.monotonic() - began < 30
        assert stops.take()
        assert not stops.take()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.fixture
def ignored(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that the caller of the command had ignored."""
    number: signal.Signals = request.param
    before = signal.signal(number, signal.SIG_IGN)
    yield number
    signal.signal(number, before)


@pytest.mark.parametrize("ignored", [signal.SIGHUP, signal.SIGINT], indirect=True, ids=["nohup", "background job"])
def test_a_signal_that_was_ignored_stays_ignored_and_sigterm_still_stops(ignored: signal.Signals) -> None:
    with StopRequests() as stops:
        os.kill(os.getpid(), ignored)
        assert not stops.take()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stops.take()
    assert signal.getsignal(ignored) == signal.SIG_IGN


@pytest.mark.parametrize("ignored", [signal.SIGTERM], indirect=True)
def test_sigterm_stops_even_when_it_was_ignored(ignored: signal.Signals) -> None:
    with StopRequests() as stops:
        os.kill(os.getpid(), ignored)
        assert stops.take()


def test_a_process_that_may_not_be_signalled_is_named(
    monkeypatch: pytest.MonkeyPatch, child: subprocess.Popen[bytes]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(CommandError, match=f"n1 .pid {child.pid}. may not be signalled") as caught:
        send(record_of(child), signal.SIGTERM)
    monkeypatch.undo()
    assert "user who started" in caught.value.hint


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("n1", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free("127.0.0.1", port)
    assert is_free("127.0.0.1", port)
    assert is_free("host.invalid", port)


def test_chosen_ports_stay_out_of_the_range_of_outgoing_connections() -> None:
    end = ephemeral_begin()
    first = [first_chosen_port(Path(f"/data/{number}"), end) for number in range(200)]
    assert CHOSEN_PORT_MIN <= min(first) <= max(first) < end
    assert len(set(first)) > 150
    assert first[0] == first_chosen_port(Path("/data/0"), end)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A listener that takes connections and never says a word, as a process that is stopped (SIGSTOP)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert isinstance(port, int)
    return port


def test_probes_give_the_reason_within_their_time(silent_port: int, closed_port: int) -> None:
    def node(name: str, port: int) -> NodeSettings:
        return NodeSettings(id=name, az="a", port=port, metrics_port=1)

    with NodeProbe([node("n1", silent_port), node("n2", closed_port)], "c") as probe:
        began = SystemClock.monotonic()
        answers = probe.ask(0.4)
        assert SystemClock.monotonic() - began < 10
    assert [answer.status for answer in answers] == [None, None]
    assert [answer.node_id for answer in answers] == ["n1", "n2"]
    assert answers[1].reason == "no connection"

    def router(name: str, port: int) -> RouterSettings:
        return RouterSettings(id=name, az="a", http_port=port, metrics_port=1)

    routers = ask_routers([router("r1", silent_port), router("r2", closed_port)], 0.3)
    assert [(answer.ready, answer.reason) for answer in routers] == [
        (False, "no answer in time"),
        (False, "no connection"),
    ]


def test_another_http_server_is_not_taken_for_a_router(tmp_path: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), lambda *a: Quiet(*a, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            router = RouterSettings(id="r1", az="a", http_port=server.server_port, metrics_port=1)
            (answer,) = ask_routers([router], 5.0)
        finally:
            server.shutdown()
            thread.join()
    assert not answer.ready
    assert answer.reason.startswith("HTTP 200")


@pytest.mark.parametrize(("host", "dialled"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("n1", "n1")])
def test_a_wildcard_address_is_dialled_as_this_machine(host: str, dialled: str) -> None:
    assert reachable_host(host) == dialled


# Ends the first thread only (system call exit, not exit_group): what a killed process looks like while another thread
# of it waits for the disk.
FIRST_THREAD_ENDS = """
import ctypes, platform, sys, threading
threading.Thread(target=sys.stdin.read).start()
print("ready", flush=True)
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


def test_a_zombie_with_a_living_thread_has_not_ended() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", FIRST_THREAD_ENDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "ready\n"
        stat = Path(f"/proc/{child.pid}/stat")
        while stat.read_text().rsplit(")", 1)[1].split()[0] != "Z":
            pass  # bounded by the time-out of the test
        assert identify("n1", child.pid) is not None
    finally:
        child.kill()
        child.stdin.close()
        child.stdout.close()
        child.wait()
    assert identify("n1", child.pid) is None

"""The supervisor when files and processes resist: what it started is stopped again whatever one of them does."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import supervisor as supervisor_module
from tools.errors import CommandError
from tools.folder import ClusterFolder, read_settings
from tools.processes import ProcessRecord, ProcessTable, identify
from tools.processes import start as start_process
from tools.resolve import resolve
from tools.signals import StopRequests
from tools.supervisor import Supervisor

pytestmark = pytest.mark.integration

SHIPPED = Path(__file__).parents[2] / "cluster.yaml"
WAIT = [sys.executable, "-S", "-c", "import signal; signal.pause()"]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    folder = ClusterFolder(tmp_path / "data")
    folder.create()
    resolved = resolve(
        read_settings(SHIPPED),
        folder=folder.path,
        previous=None,
        http_port=9000,
        running=frozenset(),
        is_free=lambda host, port: True,
        first_port=20_000,
        end_port=30_000,
    )
    folder.remember(resolved)
    with StopRequests() as stops:
        made = Supervisor(folder, resolved.settings, stops, lambda text: None, die_with_parent=True)
        yield made
        made.stop_all()


def test_a_process_whose_pid_file_cannot_be_written_is_stopped_again(
    monkeypatch: pytest.MonkeyPatch, supervisor: Supervisor
) -> None:
    added: list[ProcessRecord] = []

    def add(table: ProcessTable, record: ProcessRecord) -> None:
        added.append(record)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ProcessTable, "add", add)
    monkeypatch.setattr(supervisor_module, "module_command", lambda *_: WAIT)
    with pytest.raises(OSError, match="No space left"):
        supervisor.up()
    (record,) = added
    assert identify("n1", record.pid) is None


def test_pid_files_that_cannot_be_removed_do_not_keep_the_others_from_being_stopped(
    monkeypatch: pytest.MonkeyPatch, supervisor: Supervisor, tmp_path: Path
) -> None:
    table = ProcessTable(tmp_path / "data" / "run")
    records = []
    for name in ("r1", "n1", "n2"):
        child = start_process(WAIT, tmp_path / f"{name}.log", die_with_parent=True)
        record = identify(name, child.pid)
        assert record is not None
        supervisor._children[child.pid] = child
        table.add(record)
        records.append(record)

    def remove(table: ProcessTable, record: ProcessRecord) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(ProcessTable, "remove", remove)
    assert supervisor.stop_all() == 3
    assert not any(record.is_alive for record in records)


def test_a_router_that_cannot_be_stopped_does_not_keep_nodes_from_being_stopped(
    monkeypatch: pytest.MonkeyPatch, supervisor: Supervisor, tmp_path: Path
) -> None:
    stopped: list[list[str]] = []

    def stop(self: Supervisor, records: list[ProcessRecord]) -> None:
        stopped.append([record.name for record in records])
        if records and records[0].name == "r1":
            raise CommandError("still there after SIGKILL: r1")

    monkeypatch.setattr(Supervisor, "_stop", stop)
    records = [ProcessRecord(name, 1 << 30, 0.0) for name in ("n1", "r1")]
    with pytest.raises(CommandError, match="still there"):
        supervisor._stop_in_order(records)
    assert stopped == [["r1"], ["n1"]]

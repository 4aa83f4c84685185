"""The command line: exit codes, texts that say what to do, and no traceback."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import cli, console
from tools.errors import explain
from tools.folder import ClusterFolder, read_settings
from tools.resolve import resolve

pytestmark = pytest.mark.unit


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["trizone", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", text) for text in (captured.out, captured.err)]
    return code if isinstance(code, int) else 0, plain[0], plain[1]


COMMANDS = ["up", "init", "down", "status", "health", "start", "stop", "kill", "logs", "version"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    code, text, _ = run(monkeypatch, capsys, command, "--help")
    assert code == 0
    assert f"Example: trizone {command}" in text


def test_help_lists_every_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = run(monkeypatch, capsys, "--help")
    assert code == 0
    assert all(re.search(rf"\b{command}\b", text) for command in COMMANDS)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, capsys, "version")[:2] == (0, "trizone 0.1.0\n")
    assert json.loads(run(monkeypatch, capsys, "version", "--json")[1]) == {"version": "0.1.0"}


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        pytest.param(["fly"], 2, "No such command", id="unknown command"),
        pytest.param(["up", "--http-port", "0"], 2, "--http-port", id="port out of range"),
        pytest.param(["kill"], 2, "NAME", id="no name"),
        pytest.param(["up", "--config", "none.yaml"], 2, "next: name one with --config", id="no settings file"),
        pytest.param(["up", "--config", "bad.yaml"], 2, "bad.yaml:2: durability: 'x' is not one of", id="bad settings"),
        pytest.param(["status", "--data", "none"], 1, "next: start one with `trizone up`", id="status of nothing"),
        pytest.param(["logs", "n1", "--data", "none"], 1, "there is no cluster in", id="logs of nothing"),
        pytest.param(["start", "n1", "--data", "none"], 1, "there is no cluster in", id="start of nothing"),
    ],
)
def test_mistakes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    code: int,
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("nodes: []\ndurability: x\n")
    found, _, err = run(monkeypatch, capsys, *arguments)
    assert found == code
    assert expected in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.yaml"]


def test_down_of_nothing_succeeds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, _ = run(monkeypatch, capsys, "down", "--data", tmp_path / "none")
    assert (code, out) == (0, f"nothing is running in {tmp_path / 'none'}\n")
    assert list(tmp_path.iterdir()) == []


SHIPPED = Path(__file__).parents[2] / "cluster.yaml"


def made(path: Path) -> ClusterFolder:
    """A folder as `up` leaves it, with nothing running."""
    folder = ClusterFolder(path)
    folder.create()
    folder.remember(
        resolve(
            read_settings(SHIPPED),
            folder=folder.path,
            previous=None,
            http_port=9000,
            running=frozenset(),
            is_free=lambda host, port: True,
            first_port=20_000,
            end_port=30_000,
        )
    )
    return folder


@pytest.mark.parametrize("command", [["down"], ["up", "--config", str(SHIPPED)]], ids=["down", "up"])
def test_what_the_system_refuses_is_one_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
) -> None:
    folder = made(tmp_path / "data")
    (folder.path / "lock").mkdir()
    code, _, err = run(monkeypatch, capsys, *command, "--data", folder.path)
    assert code == 1
    assert f"error: {folder.path / 'lock'}: Is a directory" in err
    assert "next: " in err


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/d/x"), "/d/x: No space left on device", "make room"),
        (PermissionError(errno.EACCES, "Permission denied", "/d/x"), "/d/x: Permission denied", "owns /d/x"),
        (PermissionError(errno.EPERM, "Operation not permitted"), "Operation not permitted", "owns it"),
        (OSError(errno.EROFS, "Read-only file system", "/d"), "/d: Read-only file system", "--data DIR"),
        (OSError("odd"), "odd", "try again"),
    ],
)
def test_every_refusal_says_what_to_do(error: OSError, message: str, hint: str) -> None:
    explained = explain(error)
    assert (str(explained), explained.exit_code) == (message, 1)
    assert hint in explained.hint


@pytest.mark.parametrize(
    "command", [["status"], ["start", "n1"], ["up", "--config", str(SHIPPED)]], ids=lambda one: one[0]
)
def test_a_lost_cluster_id_is_never_made_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
) -> None:
    folder = made(tmp_path / "data")
    (folder.path / "cluster-id").unlink()
    code, _, err = run(monkeypatch, capsys, *command, "--data", folder.path)
    assert code == 1
    assert f"error: {folder.path / 'cluster-id'} is missing" in err
    assert not (folder.path / "cluster-id").exists()
    assert list((folder.path / "run").iterdir()) == []


def test_down_needs_no_cluster_id(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = made(tmp_path / "data")
    (folder.path / "cluster-id").unlink()
    assert run(monkeypatch, capsys, "down", "--data", folder.path)[0] == 0


class GoneFile(io.StringIO):
    """Where a terminal was: every write fails."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC], ids=lambda number: errno.errorcode[number])
def test_what_nobody_can_read_any_more_costs_nothing_but_the_text(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    gone = GoneFile(number)
    monkeypatch.setattr(console, "out", console.QuietConsole(file=gone))
    console.say("stopping")
    assert gone.writes == 1
    console.say("stopped")
    assert gone.writes == 1, "silent from then on"


def test_an_error_that_nobody_can_read_still_gives_the_exit_code(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tools.cli", "status", "--data", str(tmp_path)]
    done = subprocess.run(command, stdout=writer, stderr=writer, check=False, timeout=60)
    os.close(writer)
    assert done.returncode == 1


def test_nodes_that_other_machines_can_reach_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    settings = read_settings(SHIPPED)
    cli._warn_of_open_ports(settings)
    assert capsys.readouterr().out == ""
    open_node = settings.nodes[1].model_copy(update={"host": "0.0.0.0"})
    cli._warn_of_open_ports(settings.model_copy(update={"nodes": (settings.nodes[0], open_node, settings.nodes[2])}))
    warning = capsys.readouterr().out
    assert warning.startswith("warning: not only this machine reaches nodes n2 on 0.0.0.0: ")

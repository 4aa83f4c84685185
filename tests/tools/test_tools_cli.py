"""The command line: exit codes, texts that say what to do, and no traceback."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tools import cli

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


COMMANDS = ["up", "down", "status", "start", "stop", "kill", "logs", "version"]


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

"""Hints that can be copied: the command as it was called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.invocation import spelling

pytestmark = pytest.mark.unit

HOME = Path("/home/me/trizone")
VENV = "/home/me/trizone/.venv/bin/trizone"


@pytest.mark.parametrize(
    ("called_as", "folder", "on_path", "expected"),
    [
        pytest.param(".venv/bin/trizone", HOME, None, ".venv/bin/trizone", id="relative"),
        pytest.param(VENV, HOME, None, ".venv/bin/trizone", id="absolute, below the folder"),
        pytest.param(VENV, Path("/tmp"), None, VENV, id="absolute, elsewhere"),
        pytest.param(VENV, Path("/tmp"), VENV, "trizone", id="found on the path"),
        pytest.param(VENV, HOME, "/usr/bin/trizone", ".venv/bin/trizone", id="another one is on the path"),
        pytest.param("./trizone", HOME / ".venv" / "bin", None, "./trizone", id="in the folder itself"),
        pytest.param("/repo/tools/cli.py", HOME, None, "trizone", id="python -m tools.cli"),
        pytest.param("/usr/bin/pytest", HOME, None, "trizone", id="another program"),
        pytest.param("-c", HOME, None, "trizone", id="python -c"),
        pytest.param("", HOME, None, "trizone", id="nothing"),
    ],
)
def test_spelling(called_as: str, folder: Path, on_path: str | None, expected: str) -> None:
    assert spelling(called_as, folder, on_path) == expected


@pytest.mark.parametrize("arguments", [["status"], ["logs", "n1"]], ids=["status", "logs"])
def test_a_hint_can_be_typed_as_it_stands(tmp_path: Path, arguments: list[str]) -> None:
    script = tmp_path / "bin" / "trizone"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom tools.cli import main\nmain()\n")
    script.chmod(0o755)
    done = subprocess.run(
        ["bin/trizone", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "next: start one with `bin/trizone up`" in done.stderr

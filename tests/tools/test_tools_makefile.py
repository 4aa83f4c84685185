"""`make setup`: the right Python is found, a wrong one is refused before anything is made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("make") is None, reason="there is no make"),
]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files `make setup` reads, in a folder of their own; pythons are put into its bin/."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    return tmp_path


def put_python(folder: Path, name: str, version: str) -> None:
    """A Python that says it is `version` and writes down what else it was asked to do; then make ends."""
    path = folder / "bin" / name
    if version == "does not run":
        path.write_text("#!/bin/sh\nexit 127\n")
    else:
        fields = version.replace(".", ", ")
        path.write_text(
            "#!/bin/sh\n"
            f'[ "$1" = -c ] && exec {sys.executable} -c "import sys; sys.version_info = ({fields}, 0, 0, 0)\n$2"\n'
            f'echo "{name} $*" >> asked\nexit 9\n'
        )
    path.chmod(0o755)


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHON", "MAKEFLAGS")}
    environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment['PATH']}"
    command = ["make", "setup", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("version", ["3.10", "3.13", "3.14", "does not run"])
def test_a_python_that_does_not_fit_is_refused_before_anything_is_made(copy: Path, version: str) -> None:
    put_python(copy, "wrong", version)
    done = make(copy, "PYTHON=wrong")
    assert done.returncode != 0
    assert "Trizone needs Python 3.11 or 3.12 (tried: wrong)" in done.stderr
    assert not (copy / ".venv").exists()
    assert not (copy / "asked").exists()


@pytest.mark.parametrize(
    ("versions", "taken"),
    [
        ({"python3": "3.11"}, "python3"),
        ({"python3": "3.12", "python3.11": "3.11"}, "python3"),
        ({"python3": "3.13", "python3.12": "3.12"}, "python3.12"),
        ({"python3": "3.13", "python3.12": "does not run", "python3.11": "3.11"}, "python3.11"),
    ],
    ids=["3.11", "the default fits", "the default is too new", "a name that does not run"],
)
def test_the_first_python_that_fits_makes_the_venv(copy: Path, versions: dict[str, str], taken: str) -> None:
    for name, version in versions.items():
        put_python(copy, name, version)
    assert make(copy).returncode != 0, "the recorded python makes no venv"
    assert (copy / "asked").read_text() == f"{taken} -m venv .venv\n"

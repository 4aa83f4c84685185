"""The session of javascript/session.mjs: the AWS SDK for JavaScript v3 in the versions that its lock file names.

Its packages are installed once by `npm ci`, into a folder of the user's cache that is named after the lock file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

SOURCE = Path(__file__).parent / "javascript"
INSTALL_TIMEOUT_S = 240
SESSION_TIMEOUT_S = 120
# What npm says when no registry answers.
NO_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "E403", "E407")


def cache_folder() -> Path:
    """One folder for each lock file, outside the tree."""
    lock = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()[:16]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "trizone-tests" / f"javascript-{lock}"


@pytest.fixture(scope="module")
def installed() -> Path:
    """The folder with node_modules, filled when it was not there."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are needed for the AWS SDK for JavaScript")
    folder = cache_folder()
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Filled beside and renamed: what is there is whole, also when two runs install at once.
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            install(Path(made))
            if not folder.exists():
                shutil.copytree(made, folder.with_suffix(".new"), symlinks=True, dirs_exist_ok=True)
                folder.with_suffix(".new").rename(folder)
    return folder


def install(folder: Path) -> None:
    """`npm ci`; skips when there is no registry to install from."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, folder)
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
    )
    if done.returncode and any(sign in done.stderr for sign in NO_REGISTRY):
        pytest.skip(f"no npm registry answers: {done.stderr.strip().splitlines()[0]}")
    assert done.returncode == 0, done.stderr


def test_a_session_of_the_sdk_for_javascript(
    installed: Path, endpoint: str, table: str, client_environment: dict[str, str]
) -> None:
    # Beside node_modules, where its imports look.
    session = Path(shutil.copy(SOURCE / "session.mjs", installed))
    done = subprocess.run(
        ["node", str(session), endpoint, table],
        env=client_environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SESSION_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "session done" in done.stdout

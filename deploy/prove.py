"""`make test-compose`: the containers shown to work with a real engine, and nothing left behind.

Run by hand and by CI, as root where no engine runs. Starts an engine where none answers and it can, builds the image,
runs tests/compose and chaos scenarios against containers. Exit status: 0 all passed, 1 something failed, 3 this machine
cannot run it, with the reason.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.docker import EngineError, compose_command, docker, reason_without_engine, run
from deploy.engine import PrivateEngine, reason_not_to_start
from deploy.image import ROOT, cache_folder, ensure_image
from deploy.project import PROJECT_LABEL

EXIT_FAILED = 1
EXIT_CANNOT = 3
# Projects of chaos.targets.compose and of the tests are called so.
PROJECT_PREFIX = "trizone-"
# tests/compose is collected only where this is set: it needs an engine.
SWITCH = "TRIZONE_COMPOSE_TESTS"
SCENARIOS = ("container-kill", "disconnect-az", "container-pause")


class CannotRun(Exception):
    """This machine lacks something that no code can bring; the text says what."""


def say(text: str) -> None:
    """A line of progress."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def engine(cache: Path) -> Iterator[None]:
    """An engine that answers: the one there is, or one of our own for the time inside. Raises CannotRun."""
    missing = reason_without_engine()
    if not missing:
        say("using the docker engine that runs")
        yield
        return
    if reason := reason_not_to_start():
        raise CannotRun(f"{missing}; {reason}")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "engine.lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="trizone-engine-") as runtime:
        # Two engines on one data folder would destroy it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        own = PrivateEngine(cache, Path(runtime))
        say("starting dockerd")
        try:
            own.start()
        except EngineError as error:
            raise CannotRun(str(error)) from error
        try:
            for name in own.remove_leftovers():
                say(f"removed from an earlier run: {name}")
            yield
        finally:
            own.stop()
            say("dockerd stopped; its images stay in the cache for the next time")


def left_behind() -> list[str]:
    """Containers, networks and volumes of our projects that still exist, in words."""
    found = []
    for kind, options in (("container", ["--all"]), ("network", []), ("volume", [])):
        shown = f'{{{{.Label "{PROJECT_LABEL}"}}}}'
        for project in docker(kind, "ls", *options, "--format", shown).splitlines():
            if project.startswith(PROJECT_PREFIX):
                found.append(f"{kind} of {project}")
    return found


def _run(title: str, command: Sequence[str]) -> bool:
    say(f"--- {title}")
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, SWITCH: "1"}, check=False)
    if done.returncode != 0:
        say(f"{title}: failed with exit status {done.returncode}")
    return done.returncode == 0


def prove(scenarios: Sequence[str] = SCENARIOS) -> int:
    """Everything; the exit status."""
    try:
        with engine(cache_folder()):
            say(f"docker {docker('version', '--format', '{{.Server.Version}}').strip()}, {_compose_version()}")
            before = left_behind()
            ensure_image(say)
            passed = _run("a session of boto3, and tests", [sys.executable, "-m", "pytest", "-q", "tests/compose"])
            for name in scenarios:
                command = [sys.executable, "-m", "chaos", "run", name, "--against", "compose", "--report"]
                command.append(str(cache_folder() / "reports" / name))
                passed &= _run(f"chaos scenario {name}", command)
            left = [name for name in left_behind() if name not in before]
            for name in left:
                say(f"left behind: {name}")
            passed &= not left
    except CannotRun as reason:
        say(f"make test-compose cannot run here: {reason}")
        return EXIT_CANNOT
    except EngineError as error:
        say(f"failed: {error}")
        return EXIT_FAILED
    say("passed" if passed else "FAILED")
    return 0 if passed else EXIT_FAILED


def _compose_version() -> str:
    try:
        return run([*compose_command(), "version"]).splitlines()[0]
    except EngineError as error:
        raise CannotRun(str(error)) from error


if __name__ == "__main__":
    # Asked to end, it ends its engine too.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(EXIT_FAILED))
    sys.exit(prove())

"""The docker command of this machine, and docker compose of either generation, as functions that raise one error.

Used by the other modules of deploy and by chaos.targets.compose. Law: the engine is the one that the environment names
(DOCKER_HOST); an error carries what the command itself said.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence

CALL_TIMEOUT_S = 60.0
PROBE_TIMEOUT_S = 15.0
# Of a command's complaint, its last lines: docker says first what it did and last what went wrong.
LINES_SHOWN = 15

Which = Callable[[str], str | None]


class EngineError(Exception):
    """Docker could not do what it was asked; the text says why, for a person."""


def run(
    command: Sequence[str],
    *,
    timeout_s: float = CALL_TIMEOUT_S,
    environment: Mapping[str, str] | None = None,
    merged: bool = False,
) -> str:
    """Standard output of a command, `merged` with standard error or not. Raises EngineError when it fails or hangs."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            env=None if environment is None else {**os.environ, **environment},
        )
    except FileNotFoundError:
        raise EngineError(f"there is no command {command[0]!r} on this machine") from None
    except subprocess.TimeoutExpired:
        raise EngineError(f"`{' '.join(command)}` did not end within {timeout_s:g} s") from None
    if done.returncode != 0:
        said = (done.stdout if merged else done.stderr or done.stdout).strip().splitlines()[-LINES_SHOWN:]
        raise EngineError(f"`{' '.join(command)}` failed with {done.returncode}: " + "\n".join(said))
    return done.stdout


def docker(*arguments: str, timeout_s: float = CALL_TIMEOUT_S, merged: bool = False) -> str:
    """Output of `docker ARGUMENTS`. Raises EngineError."""
    return run(["docker", *arguments], timeout_s=timeout_s, merged=merged)


def reason_without_engine(which: Which = shutil.which) -> str:
    """Why no docker engine can be used now; empty when one answers."""
    if which("docker") is None:
        return "there is no `docker` command (Debian: apt-get install docker.io docker-compose)"
    try:
        docker("version", "--format", "{{.Server.Version}}", timeout_s=PROBE_TIMEOUT_S)
    except EngineError as error:
        return f"no docker engine answers: {error}"
    return ""


def compose_command(which: Which = shutil.which) -> tuple[str, ...]:
    """`docker compose` where docker has that plugin, else `docker-compose`. Raises EngineError without either."""
    try:
        docker("compose", "version", timeout_s=PROBE_TIMEOUT_S)
    except EngineError as error:
        if which("docker-compose") is None:
            raise EngineError(
                "there is neither `docker compose` nor `docker-compose` (Debian: apt-get install docker-compose)"
            ) from error
        return ("docker-compose",)
    return ("docker", "compose")


def has_image(name: str) -> bool:
    """Does the engine have an image of this name?"""
    return bool(docker("image", "ls", "--quiet", name).strip())

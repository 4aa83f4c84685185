"""`make test-compose` where it cannot run: it says why, in words that help, and exits with 3."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos import scenario
from deploy.docker import EngineError, compose_command, reason_without_engine, run
from deploy.engine import PROGRAMS, reason_not_to_start, without_docker
from deploy.image import ROOT, cache_folder, source_files
from deploy.prove import EXIT_CANNOT, SCENARIOS

pytestmark = pytest.mark.unit


def which(*programs: str) -> object:
    """A machine that has these programs only."""
    return lambda name: f"/usr/bin/{name}" if name in programs else None


def test_without_docker_its_package_is_named() -> None:
    assert "apt-get install docker.io" in reason_without_engine(which())  # type: ignore[arg-type]


def test_an_engine_that_does_not_answer_is_told_with_dockers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon at x' >&2\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    reason = reason_without_engine()
    assert reason.startswith("no docker engine answers")
    assert "Cannot connect to the Docker daemon" in reason


def test_without_compose_both_spellings_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(EngineError, match="neither `docker compose` nor `docker-compose`"):
        compose_command(which())  # type: ignore[arg-type]
    assert compose_command(which("docker-compose")) == ("docker-compose",)  # type: ignore[arg-type]
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 0\n")
    assert compose_command(which()) == ("docker", "compose")  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", PROGRAMS)
def test_an_engine_cannot_be_started_without_a_program(missing: str) -> None:
    reason = reason_not_to_start(which(*(one for one in PROGRAMS if one != missing)), user=0)  # type: ignore[arg-type]
    assert f"without {missing} (Debian: apt-get install" in reason


def test_an_engine_is_started_by_root_only() -> None:
    assert "only root" in reason_not_to_start(which(*PROGRAMS), user=1000)  # type: ignore[arg-type]
    assert reason_not_to_start(which(*PROGRAMS), user=0) == ""  # type: ignore[arg-type]


def proved(tmp_path: Path, path: str) -> subprocess.CompletedProcess[str]:
    """The command on a machine whose programs are those on `path`."""
    environment = {"PATH": path, "HOME": str(tmp_path), "TRIZONE_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "deploy.prove"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_says_what_is_missing_and_exits_with_3(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = proved(tmp_path, str(tmp_path / "empty"))
    assert (done.returncode, done.stderr) == (EXIT_CANNOT, "")
    assert "make test-compose cannot run here: there is no `docker` command" in done.stdout
    assert not (tmp_path / "cache").exists(), "nothing was begun"


def test_a_dockerd_that_cannot_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gets so far")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        failing = name in ("docker", "dockerd")
        (programs / name).write_text(f"#!/bin/sh\necho 'no {name} in this kernel' >&2\nexit {1 if failing else 0}\n")
        (programs / name).chmod(0o755)
    done = proved(tmp_path, f"{programs}:/usr/bin:/bin")
    assert done.returncode == EXIT_CANNOT
    assert "dockerd does not run here: overlay2: no docker engine answers" in done.stdout
    assert "no dockerd in this kernel" in done.stdout
    assert "vfs: " in done.stdout, "the driver that needs nothing was tried too"


def test_a_command_that_fails_says_its_last_lines_and_one_that_hangs_ends() -> None:
    with pytest.raises(EngineError, match="failed with 3: broken"):
        run(["sh", "-c", "echo broken >&2; exit 3"])
    with pytest.raises(EngineError, match=r"did not end within 0\.2 s"):
        run(["sleep", "60"], timeout_s=0.2)
    with pytest.raises(EngineError, match="there is no command"):
        run(["no-such-command"])


def test_the_image_needs_the_source_tree(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="is built from the source tree"):
        source_files(tmp_path)


def test_the_cache_is_the_users_own() -> None:
    assert cache_folder({"TRIZONE_CACHE": "/x"}) == Path("/x")
    assert cache_folder({"XDG_CACHE_HOME": "/home/me/.c"}) == Path("/home/me/.c/trizone")


BEFORE = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [5:300]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""
AFTER = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [5:300]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -o br-0123 -j DOCKER
-A FORWARD -i br-0123 ! -o br-0123 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
"""
NAT_AFTER = """*nat
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 10.9.0.0/24 -j MASQUERADE
-A POSTROUTING -s 172.18.0.0/16 ! -o br-0123 -j MASQUERADE
-A POSTROUTING -s 172.18.0.3/32 -d 172.18.0.3/32 -p tcp -m tcp --dport 8000 -j MASQUERADE
COMMIT
"""


def test_the_firewall_is_as_before_but_for_what_others_changed_meanwhile() -> None:
    own = "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT\n"
    assert without_docker(AFTER, BEFORE) == BEFORE.replace("COMMIT", own + "COMMIT")
    before = "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 10.9.0.0/24 -j MASQUERADE\nCOMMIT\n"
    assert without_docker(NAT_AFTER, before) == before
    # A firewall that had no rules at all prints nothing.
    assert ":FORWARD ACCEPT" in without_docker(AFTER, "")


def test_the_chaos_command_that_is_run_exists_whatever_is_installed() -> None:
    # `trizone chaos` is found through the installed distribution, which may be older than this tree.
    command = [sys.executable, "-m", "chaos", "run", "no-such-scenario", "--against", "compose"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert "there is no scenario" in done.stderr
    assert set(SCENARIOS) <= set(scenario.names())

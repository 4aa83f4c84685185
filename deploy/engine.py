"""A docker engine of our own, where none runs: started, waited for, and taken away with what it changed on the machine.

Called by deploy.prove. Laws: an engine that answers already is used and never touched; ours keeps to its own socket and
folders; after `stop` the machine's firewall and forwarding are as they were. What it has pulled and built stays in the
cache folder for the next time.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from deploy.docker import PROBE_TIMEOUT_S, EngineError, Which, docker, reason_without_engine, run
from tools.processes import identify, last_lines, send, start, wait_for_end

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0
LOOK_INTERVAL_S = 0.2
LOG_LINES_SHOWN = 8
# vfs copies whole layers, but needs nothing of the kernel.
STORAGE_DRIVERS = ("overlay2", "vfs")
PROGRAMS = ("docker", "dockerd", "iptables-save", "iptables-restore")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
FIREWALL_TABLES = ("filter", "nat")
BRIDGE_PREFIX = "br-"


def reason_not_to_start(which: Which = shutil.which, user: int | None = None) -> str:
    """Why no engine can be started here; empty when it can be tried."""
    missing = [program for program in PROGRAMS if which(program) is None]
    if missing:
        packages = "apt-get install docker.io docker-compose iptables"
        return f"no engine runs, and none can be started without {', '.join(missing)} (Debian: {packages})"
    if (os.geteuid() if user is None else user) != 0:
        return "no engine runs, and only root can start one (dockerd)"
    return ""


def without_docker(rules: str, before: str) -> str:
    """The firewall `rules` (iptables-save's text) without what dockerd added; policies as they were `before`."""
    policies = {
        line.split()[0]: line.split()[1]
        for line in before.splitlines()
        if line.startswith(":") and line.split()[1] != "-"
    }
    kept = []
    for line in rules.splitlines():
        words = line.split()
        if any(word.lstrip(":").startswith("DOCKER") or word.startswith(BRIDGE_PREFIX) for word in words):
            continue
        # Masquerading of networks that the engine made names them by their addresses only: it is new, and of its chain.
        if words[:2] == ["-A", "POSTROUTING"] and "MASQUERADE" in words and line not in before:
            continue
        if line.startswith(":") and words[1] != "-":
            line = f"{words[0]} {policies.get(words[0], 'ACCEPT')} {' '.join(words[2:])}"
        kept.append(line)
    return "\n".join(kept) + "\n"


class PrivateEngine:
    """dockerd and its containerd, for one run of a command."""

    def __init__(self, cache: Path, runtime: Path) -> None:
        """`cache` keeps images from run to run; `runtime` is this run's."""
        self._data = cache / "docker"
        self._runtime = runtime
        self._log = runtime / "dockerd.log"
        self.host = f"unix://{runtime / 'docker.sock'}"
        self._process: subprocess.Popen[bytes] | None = None
        self._firewall: dict[str, str] = {}
        self._forwarding = ""

    def start(self) -> None:
        """Start it and wait until it answers; afterwards `docker` of this process means this engine.

        Raises EngineError with the last lines of its log.
        """
        self._firewall = {table: run(["iptables-save", "--table", table]) for table in FIREWALL_TABLES}
        self._forwarding = FORWARDING.read_text()
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.environ["DOCKER_HOST"] = self.host
        failures = []
        for driver in STORAGE_DRIVERS:
            try:
                self._start(driver)
                return
            except EngineError as error:
                failures.append(f"{driver}: {error}")
                self.stop()
        raise EngineError("dockerd does not run here: " + "\n".join(failures))

    def _start(self, driver: str) -> None:
        program = shutil.which("dockerd")
        if program is None:
            raise EngineError("there is no dockerd")
        command = [
            program,
            *("--data-root", str(self._data)),
            *("--exec-root", str(self._runtime / "exec")),
            *("--pidfile", str(self._runtime / "dockerd.pid")),
            *("--host", self.host),
            *("--storage-driver", driver),
            # Every project brings its networks: without docker0 there is one thing less to take away.
            *("--bridge", "none"),
        ]
        self._process = start(command, self._log, die_with_parent=False)
        deadline = time.monotonic() + START_TIMEOUT_S
        while reason := reason_without_engine():
            if self._process.poll() is not None or time.monotonic() > deadline:
                lines = "\n".join(last_lines(self._log, LOG_LINES_SHOWN))
                raise EngineError(f"{reason}; the end of its log:\n{lines}")
            # It tells nobody when it is ready.
            time.sleep(LOOK_INTERVAL_S)

    def stop(self) -> None:
        """Stop it, and undo what it changed. Raises EngineError when it does not end."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise EngineError(f"dockerd did not stop within {STOP_TIMEOUT_S:g} s: killed") from None
            finally:
                self._end_containerd()
                self._restore_machine()

    def _end_containerd(self) -> None:
        """dockerd ends its containerd itself, unless it was killed."""
        try:
            pid = int((self._runtime / "exec" / "containerd" / "containerd.pid").read_text())
        except (OSError, ValueError):
            return
        record = identify("containerd", pid)
        if record is not None and send(record, signal.SIGTERM):
            wait_for_end([record], PROBE_TIMEOUT_S)

    def _restore_machine(self) -> None:
        for table, before in self._firewall.items():
            rules = without_docker(run(["iptables-save", "--table", table]), before)
            subprocess.run(
                ["iptables-restore", "--table", table], input=rules, text=True, check=True, timeout=PROBE_TIMEOUT_S
            )
        if FORWARDING.read_text() != self._forwarding:
            FORWARDING.write_text(self._forwarding)

    def remove_leftovers(self) -> list[str]:
        """Containers, networks and volumes that an earlier run left in this engine (it was killed), by id; removed."""
        listed: Mapping[str, list[str]] = {
            "container": docker("container", "ls", "--all", "--quiet").split(),
            "network": docker("network", "ls", "--quiet", "--filter", "type=custom").split(),
            "volume": docker("volume", "ls", "--quiet").split(),
        }
        for kind, names in listed.items():
            if names:
                # `docker network rm` of old clients knows no --force.
                docker(kind, "rm", *(["--force"] if kind != "network" else []), *names)
        return [f"{kind} {name}" for kind, names in listed.items() for name in names]

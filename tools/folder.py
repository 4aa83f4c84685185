"""A cluster's data folder: what lies where, and the lock that lets only one supervisor work in it.

    cluster.yaml   the resolved settings every process reads     cluster-id   the cluster's uuid
    ports.json     which port was asked for and which given      lock         held by the supervisor, names its pid
    fault-token    who has it may inject faults, where those are enabled
    nodes/<id>/    a node's data     logs/<name>.log     run/<name>.pid
    nodes/<id>.rebuild    beside it until that node has begun to be rebuilt (node.damage)

Used by every command. Law: files appear whole or not at all (written beside, synced, renamed).
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import yaml

from tools.errors import EXIT_USAGE, CommandError
from tools.invocation import TRIZONE
from tools.processes import ProcessRecord, identify
from tools.resolve import PortUse, Previous, Resolved
from topology.settings import ClusterSettings, FaultInjectionSettings, SettingsError, load_settings

DEFAULT_FOLDER = Path("data")
HEADER = (
    "# Written by `trizone up` from your settings file; the processes of this cluster read it. Edit yours instead.\n"
)


def read_settings(path: Path) -> ClusterSettings:
    """The settings in `path`; raises CommandError (usage) with every problem, or when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CommandError(
            f"there is no settings file {path}",
            hint="name one with --config, or run this in the folder that has cluster.yaml",
            exit_code=EXIT_USAGE,
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}", exit_code=EXIT_USAGE) from error
    try:
        return load_settings(text, str(path))
    except SettingsError as error:
        raise CommandError(str(error), hint="correct the lines above", exit_code=EXIT_USAGE) from error


class ClusterFolder:
    """The paths and small files of one cluster. What the system refuses is an OSError, see tools.errors.explain."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        # What to add to a command so that it finds this folder.
        self.option = "" if path == DEFAULT_FOLDER else f" --data {path}"
        self.settings_path = self.path / "cluster.yaml"
        self.run_path = self.path / "run"
        self._ports_path = self.path / "ports.json"
        self._id_path = self.path / "cluster-id"
        self._lock_path = self.path / "lock"
        self._token_path = self.path / "fault-token"
        # Says that fault injection was switched on for one run by `up --fault-injection`, not by the settings file.
        self._one_run_path = self.run_path / "fault-injection"

    def create(self) -> None:
        """Make the folder and its subfolders. Raises CommandError when that is not possible."""
        try:
            # For its owner only: it holds every item in the clear.
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.run_path, self.path / "logs", self.path / "nodes"):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise CommandError(f"the data folder {self.path} cannot be made: {error}") from error

    @property
    def exists(self) -> bool:
        """Was a cluster ever started here?"""
        return self.settings_path.exists()

    def log_path(self, name: str) -> Path:
        """Where the process called `name` writes its output."""
        return self.path / "logs" / f"{name}.log"

    def settings(self) -> ClusterSettings:
        """The resolved settings. Raises CommandError when there is no cluster here."""
        if not self.exists:
            raise CommandError(
                f"there is no cluster in {self.path}",
                hint=f"start one with `{TRIZONE} up`, or name its folder with --data",
            )
        return read_settings(self.settings_path)

    def previous(self) -> Previous | None:
        """What the last `up` left here, or None for a new folder."""
        if not self.exists:
            return None
        return Previous(self.settings(), self._ports())

    def _ports(self) -> dict[str, PortUse]:
        try:
            uses = json.loads(self._ports_path.read_text())
            return {use["member"] + "." + use["key"]: PortUse(**use) for use in uses}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError) as error:
            raise CommandError(
                f"{self._ports_path} is damaged: {error}",
                hint="delete it: the ports of the settings file are used again",
            ) from error

    def own_settings(self) -> ClusterSettings:
        """The resolved settings as a file to start from: without what was asked for one run only."""
        settings = self.settings()
        if self._one_run_path.exists():
            settings = settings.model_copy(update={"fault_injection": FaultInjectionSettings()})
        return settings

    def remember(self, resolved: Resolved, *, faults_for_one_run: bool = False) -> None:
        """Write the resolved settings and their ports; a new folder gets its cluster's id.

        Where fault injection is enabled there is a token afterwards; `faults_for_one_run`: no file asks for it.
        """
        if not self.exists and not self._id_path.exists():
            write_whole(self._id_path, f"{uuid.uuid4()}\n")
        uses = [
            {"member": use.member, "key": use.key, "asked": use.asked, "given": use.given}
            for use in resolved.ports.values()
        ]
        if faults_for_one_run:
            self._one_run_path.touch()
        else:
            self._one_run_path.unlink(missing_ok=True)
        if resolved.settings.fault_injection.enabled and not self._token_path.exists():
            write_whole(self._token_path, f"{secrets.token_hex(32)}\n", mode=0o600)
        # Ports first: cluster.yaml is what says that a cluster exists.
        write_whole(self._ports_path, json.dumps(uses, indent=1) + "\n")
        text = yaml.safe_dump(resolved.settings.model_dump(mode="json"), sort_keys=False)
        write_whole(self.settings_path, HEADER + text)

    def cluster_id(self) -> str:
        """The cluster's uuid. Raises CommandError when it is lost.

        It is made with the folder and never again: nodes refuse peers and data of another id, so a new one would lock
        the cluster out of its own data.
        """
        try:
            known = self._id_path.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            known = None
        if not known:
            raise CommandError(
                f"{self._id_path} is {'missing' if known is None else 'empty'}",
                hint="put it back from a copy of the folder, or start a new cluster in another one with --data DIR",
            )
        return known

    def fault_token(self) -> str:
        """What a call of the fault service must carry. Raises CommandError when there is none."""
        try:
            return self._token_path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(
                f"there is no fault token in {self.path}: {error.strerror if isinstance(error, OSError) else error}",
                hint=f"start the cluster with `{TRIZONE} up --fault-injection{self.option}`, which makes one",
            ) from error

    def set_data_aside(self, data_folder: str, wall_ms: int) -> Path | None:
        """Rename a node's data so that it can start with an empty folder; the new name, or None when it had no data.

        What is left of the old data is evidence, and never deleted by a command. A mark beside the folder comes first:
        should this command end before the node has started, the next start must not take the node for a new one.
        """
        data = self.path / data_folder
        mark = data.with_name(f"{data.name}.rebuild")
        write_whole(mark, "set aside by a command\n")
        if not data.exists():
            return None
        moment = datetime.fromtimestamp(wall_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S")
        aside = data.with_name(f"{data.name}.lost-{moment}.{wall_ms % 1000:03d}Z")
        try:
            data.rename(aside)
        except OSError as error:
            # Whole data beside a mark that says it is lost: no start would take it.
            mark.unlink(missing_ok=True)
            raise CommandError(
                f"{data} cannot be moved to {aside}: {error.strerror}", hint="it must not be a mount point itself"
            ) from error
        return aside

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder as its only supervisor. Raises CommandError when another process does."""
        handle = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self.supervisor()
                who = f" (pid {holder.pid})" if holder else ""
                raise CommandError(
                    f"another `trizone up`{who} looks after {self.path}",
                    hint=f"`{TRIZONE} start NAME` starts one process again, `{TRIZONE} down` stops the cluster",
                ) from None
            me = identify("up", os.getpid())
            os.ftruncate(handle, 0)
            os.pwrite(handle, me.to_json().encode() if me else b"", 0)
            yield
            os.ftruncate(handle, 0)
        finally:
            # Closing releases the lock; the file stays, for removing it would let two processes lock two files.
            os.close(handle)

    def supervisor(self) -> ProcessRecord | None:
        """The live process that holds the lock, if any."""
        try:
            handle = os.open(self._lock_path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return ProcessRecord.from_json(os.pread(handle, 4096, 0).decode(errors="replace"))
            return None
        finally:
            os.close(handle)


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace `path` with `text` so that a reader, or a power cut, sees the old file or the new one."""
    beside = path.with_name(path.name + ".new")
    # A secret must not be readable for a moment either: the file is made with its mode, and never one left from before.
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)

"""What a node does about a store that is damaged: remember it, set the folder aside as evidence, be rebuilt.

Called by node.__main__ at start and on its way out. Laws: from the moment damage is known until a new store is marked
as one that must be rebuilt there is a mark on the disk that says so, in the folder or beside it: a crash in between can
never make a replica that forgot its votes start as if it were new. The last evidence is never deleted.

    <folder>/DAMAGED                what is damaged; the node will not use this store again
    <folder>.rebuild                beside it: what starts in <folder> must be rebuilt
    <folder>.damaged-<moment>       evidence; the newest DAMAGED_FOLDERS_MAX are kept
"""

from __future__ import annotations

import contextlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from node.storage.errors import StoreDamaged, StoreError
from replication.records import JournalCorrupt

DAMAGED_FOLDERS_MAX = 3
REASON_CHARACTERS_MAX = 4000
_MARK = "DAMAGED"


class NotSetAside(Exception):
    """The damaged folder cannot be moved out of the way; the text says why."""


def is_damage(error: BaseException) -> bool:
    """Is this a disk that does not give back what was written? Everything else may be well after the next start."""
    return isinstance(error, StoreDamaged | JournalCorrupt)


def note_damage(folder: Path, reason: str) -> None:
    """Leave word for the next start. Never raises: this may be the last thing a process does."""
    with contextlib.suppress(OSError):
        _write(folder / _MARK, reason[:REASON_CHARACTERS_MAX])


def noted_damage(folder: Path) -> str:
    """What an earlier process found; empty when nothing is known.

    Raises StoreError when that cannot be told: a folder that may not be read is not damaged, and a whole store must
    not be set aside for it.
    """
    try:
        return (folder / _MARK).read_text(encoding="utf-8", errors="replace").strip() or "damaged"
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StoreError(f"cannot read {folder / _MARK}: {error.strerror}") from error


def must_rebuild(folder: Path) -> bool:
    """Was a damaged store set aside, and none marked for its rebuild yet?"""
    return _beside(folder).exists()


def set_aside(folder: Path, reason: str, wall_ms: int) -> Path:
    """Move the damaged folder away, its mark first; where it is now. Raises NotSetAside."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S")
    aside = folder.with_name(f"{folder.name}.damaged-{moment}.{wall_ms % 1000:03d}Z")
    try:
        _write(_beside(folder), reason[:REASON_CHARACTERS_MAX])
        folder.rename(aside)
        _sync_folder(folder.parent)
    except OSError as error:
        raise NotSetAside(
            f"{folder} cannot be moved to {aside}: {error.strerror}; it must not be a mount point itself"
        ) from error
    for old in _evidence(folder)[:-DAMAGED_FOLDERS_MAX]:
        shutil.rmtree(old, ignore_errors=True)
    return aside


def rebuild_begun(folder: Path) -> None:
    """The store in `folder` itself says by now that it must be rebuilt."""
    mark = _beside(folder)
    if mark.exists():
        mark.unlink()
        _sync_folder(mark.parent)


def _evidence(folder: Path) -> list[Path]:
    # Moments of one length sort by their names.
    return sorted(folder.parent.glob(f"{folder.name}.damaged-*"))


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.rebuild")


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", errors="replace") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

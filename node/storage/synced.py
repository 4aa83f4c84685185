"""How far the write-ahead log was synced, noted beside it: the one thing the log cannot say about its own end.

Used by node.storage.rocks: noted in the sync's thread after each sync, compared when the store is opened. Laws: the
mark never claims more than a finished sync covers, so a torn tail is never taken for damage; it is not synced itself,
so after a power cut it may claim less: damage that hides only writes of the last seconds before goes unnoticed.

File `SYNCED`: `magic(8) sequence(8) crc(4)`, written in place with one write.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import zlib
from pathlib import Path

_FILE = "SYNCED"
_MAGIC = b"TRZSYNC1"
_RECORD = struct.Struct("<8sQI")
_LOGS = "logs-before-open"


class SyncedMark:
    """The mark of one open store. Raises OSError where the file cannot be opened or written."""

    def __init__(self, folder: Path) -> None:
        self._handle = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        # 0: nothing is known to be synced.
        self.sequence = _read(os.pread(self._handle, _RECORD.size, 0))

    def note(self, sequence: int) -> None:
        """A sync has ended that covers everything up to `sequence`."""
        body = _RECORD.pack(_MAGIC, sequence, 0)[:-4]
        os.pwrite(self._handle, body + struct.pack("<I", zlib.crc32(body)), 0)

    def close(self) -> None:
        """Make the mark durable and close the file. Twice does no harm."""
        if self._handle >= 0:
            # A disk that refuses this has refused the log too; the mark then claims less.
            with contextlib.suppress(OSError):
                os.fsync(self._handle)
            os.close(self._handle)
            self._handle = -1


def _read(record: bytes) -> int:
    if len(record) != _RECORD.size:
        return 0
    magic, sequence, checksum = _RECORD.unpack(record)
    is_whole = magic == _MAGIC and checksum == zlib.crc32(record[:-4])
    return int(sequence) if is_whole else 0


class KeptLogs:
    """Second names of the log files, from before a store is opened until it has proven whole."""

    def __init__(self, folder: Path) -> None:
        self._store = folder
        self.folder = folder / _LOGS

    def keep(self) -> None:
        """Link every log file. Where links cannot be made the evidence is lost, nothing else."""
        # Of an opening that did not end: the files are the store's own still.
        self.drop()
        self.folder.mkdir()
        for log in self._store.glob("*.log"):
            with contextlib.suppress(OSError):
                os.link(log, self.folder / log.name)

    def drop(self) -> None:
        """The store is whole."""
        shutil.rmtree(self.folder, ignore_errors=True)

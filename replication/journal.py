"""The log of one group: the engine's journal over the node's shared write batch.

Used by replication.syncobj only; beside it the engine's own MemoryJournal is what it replaces. Nothing here does I/O
while running: entries and the hard state (term, vote) are collected in the batch that the node writes once a loop
turn and syncs in a thread. Law: `durable_index` never claims an entry that a finished sync does not cover.

Records: LOG  `group(4) index(8)` -> `version(1) crc(4) term(8) payload`
         META `h group(4)` -> `version(1) crc(4) term(8) vote`
         META `b group(4)` -> `version(1) crc(4) index(8) term(8)`: the entry before the first one kept
The checksum covers the key and what follows: a record that was flipped in memory or by the disk, or that lies under
another key, is never sent to a follower nor applied. Version 1, written until storage format 3, has none.
"""

from __future__ import annotations

import struct
import zlib
from typing import overload

from pysyncobj.journal import Journal

from replication.messages import LogEntry
from replication.ports import Family, Host, Store
from replication.rebuild import clear_mark, read_mark

_LOG_KEY = struct.Struct(">IQ")
_GROUP = struct.Struct(">I")
_SEAL = struct.Struct("<BI")
_TERM = struct.Struct("<Q")
_BASE = struct.Struct("<QQ")
_SEALED_TERM = struct.Struct("<BIQ")
UNSEALED_VERSION = 1
RECORD_VERSION = 2
# Larger than any index: "nothing was cut since the sync began".
_NO_CUT = 1 << 62
FIRST_ENTRY: LogEntry = (b"\x01", 1, 0)


class JournalCorrupt(Exception):
    """A record that cannot be one of ours, or a hole in the log."""


def seal(key: bytes, content: bytes) -> bytes:
    """`content` as a record under `key`, with its checksum."""
    return _SEAL.pack(RECORD_VERSION, zlib.crc32(content, zlib.crc32(key))) + content


def unseal(key: bytes, record: bytes) -> bytes:
    """The content of a record of either version. Raises JournalCorrupt."""
    version = record[0] if record else 0
    if version == UNSEALED_VERSION:
        return record[1:]
    if version != RECORD_VERSION or len(record) < _SEAL.size:
        raise JournalCorrupt(f"record {key.hex()}: version {version}, this program reads {RECORD_VERSION}")
    content = record[_SEAL.size :]
    if zlib.crc32(content, zlib.crc32(key)) != _SEAL.unpack_from(record)[1]:
        raise JournalCorrupt(f"record {key.hex()}: its checksum does not fit")
    return content


class GroupJournal(Journal):
    """Entries of one group in memory and, through the shared batch, in the store."""

    def __init__(self, store: Store, host: Host, group_id: int) -> None:
        self._store = store
        self._host = host
        self._group_id = group_id
        self._term = 0
        self._vote: str | None = None
        self._cut_from = _NO_CUT
        self.entries: list[LogEntry] = []
        self.payload_bytes = 0
        # Set while this replica is being rebuilt after a lost disk (replication.rebuild).
        self.rebuild_nonce = read_mark(store, group_id)
        self._load()
        self.durable_index = self.entries[-1][1]

    def _load(self) -> None:
        group = _GROUP.pack(self._group_id)
        hard_state = self._meta(b"h" + group)
        if hard_state is not None:
            (self._term,) = _TERM.unpack_from(hard_state)
            self._vote = hard_state[_TERM.size :].decode() or None
        base = self._meta(b"b" + group)
        if base is None:
            self.entries.append(FIRST_ENTRY)
        else:
            index, term = _BASE.unpack(base)
            self.entries.append((b"\x01", index, term))
        start, end = _LOG_KEY.pack(self._group_id, 0), _LOG_KEY.pack(self._group_id + 1, 0)
        for key, record in self._store.scan(Family.LOG, start, end):
            index = _LOG_KEY.unpack(key)[1]
            content = unseal(key, record)
            (term,) = _TERM.unpack_from(content)
            last = self.entries[-1][1]
            if index <= last:
                continue  # below the base: a truncation whose range deletion was not written yet
            if index != last + 1:
                raise JournalCorrupt(f"group {self._group_id}: entry {index} follows {last}")
            self.entries.append((content[_TERM.size :], index, term))
            self.payload_bytes += len(content) - _TERM.size

    def _meta(self, key: bytes) -> bytes | None:
        record = self._store.get(Family.META, key)
        return None if record is None else unseal(key, record)

    def _put_base(self, index: int, term: int) -> None:
        key = b"b" + _GROUP.pack(self._group_id)
        self._store.put(Family.META, key, seal(key, _BASE.pack(index, term)))

    @property
    def first_index(self) -> int:
        """Index of the entry before the first one that can still be sent."""
        return self.entries[0][1]

    @property
    def last_index(self) -> int:
        """Index of the newest entry."""
        return self.entries[-1][1]

    @property
    def last_term(self) -> int:
        """Term of the newest entry."""
        return self.entries[-1][2]

    def term_at(self, index: int) -> int:
        """Term of the entry at `index`, which must be kept here."""
        return self.entries[index - self.entries[0][1]][2]

    # ------------------------------------------------------------------ durability
    def sync_starts(self) -> int:
        """The index that the sync starting now will cover."""
        self._cut_from = _NO_CUT
        return self.entries[-1][1]

    def sync_ended(self, covered_index: int) -> None:
        """A sync ended that covers `covered_index` and what was before, but for what was cut meanwhile."""
        self.durable_index = max(self.durable_index, min(covered_index, self._cut_from - 1, self.entries[-1][1]))

    def clear_rebuild_mark(self) -> None:
        """The rebuild is over: with the batch being collected this replica is one like any other."""
        self.rebuild_nonce = None
        clear_mark(self._store, self._group_id)
        self._host.journal_changed(self._group_id)

    # ------------------------------------------------------------------ the engine's interface
    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append one entry."""
        self.entries.append((command, idx, term))
        self.payload_bytes += len(command)
        key = _LOG_KEY.pack(self._group_id, idx)
        checksum = zlib.crc32(command, zlib.crc32(_TERM.pack(term), zlib.crc32(key)))
        self._store.put(Family.LOG, key, _SEALED_TERM.pack(RECORD_VERSION, checksum, term) + command)
        self._host.journal_changed(self._group_id)

    def clear(self) -> None:
        """Never called by the guarded engine."""
        raise AssertionError("the log is never cleared")

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        """Cut the tail from position `entryFrom` (a position in the list, as the engine counts)."""
        if entryFrom >= len(self.entries):
            return
        index = self.entries[entryFrom][1]
        self.payload_bytes -= sum(len(entry[0]) for entry in self.entries[entryFrom:])
        start, end = _LOG_KEY.pack(self._group_id, index), _LOG_KEY.pack(self._group_id, self.entries[-1][1] + 1)
        self._store.delete_range(Family.LOG, start, end)
        del self.entries[entryFrom:]
        # A sync under way covers the cut entries, not what takes their place.
        self.durable_index = min(self.durable_index, self.entries[-1][1])
        self._cut_from = min(self._cut_from, index)
        self._host.journal_changed(self._group_id)

    def deleteEntriesTo(self, entryTo: int) -> None:
        """Drop the entries before position `entryTo`, which becomes the base."""
        if entryTo <= 0:
            return
        _, index, term = self.entries[entryTo]
        start, end = _LOG_KEY.pack(self._group_id, 0), _LOG_KEY.pack(self._group_id, index + 1)
        self._store.delete_range(Family.LOG, start, end)
        self._put_base(index, term)
        self.payload_bytes -= sum(len(entry[0]) for entry in self.entries[1 : entryTo + 1])
        self.entries[: entryTo + 1] = [(b"\x01", index, term)]

    def reset(self, index: int, term: int) -> None:
        """Start after a snapshot of the state at (index, term); a matching tail behind it is kept."""
        first = self.entries[0][1]
        position = index - first
        if 0 <= position < len(self.entries) and self.entries[position][2] == term:
            self.deleteEntriesTo(position)
        else:
            self.deleteEntriesFrom(1)
            self.entries[0] = (b"\x01", index, term)
            self.payload_bytes = 0
            self._put_base(index, term)
            self.durable_index = index
        self._host.journal_changed(self._group_id)

    @overload
    def __getitem__(self, item: int) -> LogEntry: ...
    @overload
    def __getitem__(self, item: slice) -> list[LogEntry]: ...
    def __getitem__(self, item: int | slice) -> LogEntry | list[LogEntry]:
        return self.entries[item]

    def __len__(self) -> int:
        return len(self.entries)

    def _destroy(self) -> None:
        pass

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Not kept: a commit index stored apart from the log can outlive the entries it counts."""

    def getRaftCommitIndex(self) -> int:
        """Where commit starts after a restart; the applied index raises it."""
        return 1

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        """Collect the hard state; messages that show it are held until it is synced."""
        self._term, self._vote = term, votedForNodeId
        key = b"h" + _GROUP.pack(self._group_id)
        self._store.put(Family.META, key, seal(key, _TERM.pack(term) + (votedForNodeId or "").encode()))
        self._host.journal_changed(self._group_id)

    def getCurrentTerm(self) -> int:
        """The term as of start."""
        return self._term

    def getVotedForNodeId(self) -> str | None:
        """The vote as of start."""
        return self._vote

    def onOneSecondTimer(self) -> None:
        """The engine's hook for its own file journal."""

"""The log of one group: the engine's journal over the node's shared write batch.

Used by replication.syncobj only; beside it the engine's own MemoryJournal is what it replaces. Nothing here does I/O
while running: entries and the hard state (term, vote) are collected in the batch that the node writes once a loop
turn and syncs in a thread. Law: `durable_index` never claims an entry that a finished sync does not cover.

Records: LOG  `group(4) index(8)` -> `version(1) crc(4) term(8) payload`
         META `h group(4)` -> `version(1) crc(4) term(8) vote`
         META `b group(4)` -> `version(1) crc(4) index(8) term(8)`: the entry before the first one kept
         META `m group(4)`: the membership as of that entry (replication.retirement)
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import overload

from google.protobuf.message import DecodeError
from pysyncobj.journal import Journal

from replication.membership import Membership, first_membership, from_entry
from replication.messages import LogEntry
from replication.ports import Family, Host, Store
from replication.rebuild import clear_mark, read_mark
from replication.records import (
    LOG_KEY,
    RECORD_VERSION,
    SEALED_TERM,
    JournalCorrupt,
    base_key,
    hard_state_key,
    log_range,
    seal,
    unseal,
)
from replication.retirement import put_membership, read_floor, read_membership

_TERM = struct.Struct("<Q")
_BASE = struct.Struct("<QQ")
# The first byte of an entry's payload is the engine's command type; this one says who the members are.
MEMBERSHIP = 2
MEMBERSHIP_TYPE = bytes((MEMBERSHIP,))
# Larger than any index: "nothing was cut since the sync began".
_NO_CUT = 1 << 62
FIRST_ENTRY: LogEntry = (b"\x01", 1, 0)


class GroupJournal(Journal):
    """Entries of one group in memory and, through the shared batch, in the store."""

    def __init__(self, store: Store, host: Host, group_id: int, first_voters: Iterable[str]) -> None:
        """Open or begin the log of a group.

        `first_voters`: who the members are when nothing stored says so; none for a replica that a leader will tell.
        Raises JournalCorrupt.
        """
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
        self._floor = read_floor(store, group_id)
        stored = read_membership(store, group_id)
        # As of the base, then those of entries in the log: the last one counts, and goes with its entry.
        self._memberships = [first_membership(first_voters) if stored is None else stored]
        if stored is None:
            put_membership(store, group_id, self._memberships[0])
            host.journal_changed(group_id)
        self._load()
        self.durable_index = self.entries[-1][1]

    def _load(self) -> None:
        hard_state = self._meta(hard_state_key(self._group_id))
        if hard_state is not None:
            (self._term,) = _TERM.unpack_from(hard_state)
            self._vote = hard_state[_TERM.size :].decode() or None
        base = self._meta(base_key(self._group_id))
        if base is None:
            self.entries.append(FIRST_ENTRY)
        else:
            index, term = _BASE.unpack(base)
            self.entries.append((b"\x01", index, term))
        for key, record in self._store.scan(Family.LOG, *log_range(self._group_id)):
            index = LOG_KEY.unpack(key)[1]
            content = unseal(key, record)
            (term,) = _TERM.unpack_from(content)
            last = self.entries[-1][1]
            if index <= last:
                continue  # below the base: a truncation whose range deletion was not written yet
            if index != last + 1:
                raise JournalCorrupt(f"group {self._group_id}: entry {index} follows {last}")
            command = content[_TERM.size :]
            self.entries.append((command, index, term))
            self.payload_bytes += len(command)
            if command[0] == MEMBERSHIP:
                self._take_membership(command, index)

    def _meta(self, key: bytes) -> bytes | None:
        record = self._store.get(Family.META, key)
        return None if record is None else unseal(key, record)

    def _put_base(self, index: int, term: int) -> None:
        key = base_key(self._group_id)
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

    @property
    def newest_position(self) -> tuple[int, int]:
        """Term and index of the newest entry that a replica of this group ever had on this node."""
        return max(self._floor, (self.last_term, self.last_index))

    @property
    def has_all_it_had(self) -> bool:
        """Whether the log is as new as that of a replica that left this node before this one came."""
        return (self.last_term, self.last_index) >= self._floor

    def term_at(self, index: int) -> int:
        """Term of the entry at `index`, which must be kept here."""
        return self.entries[index - self.entries[0][1]][2]

    # ------------------------------------------------------------------ members
    @property
    def membership(self) -> Membership:
        """The newest membership in the log, committed or not: the one that counts."""
        return self._memberships[-1]

    def membership_at(self, index: int) -> Membership:
        """The one that counts where the log ends with `index`, which is not below the base."""
        return next(membership for membership in reversed(self._memberships) if membership.index <= index)

    def memberships_since(self, index: int) -> list[Membership]:
        """That one and those after it."""
        return [self.membership_at(index), *(one for one in self._memberships if one.index > index)]

    def _take_membership(self, command: bytes, index: int) -> None:
        try:
            self._memberships.append(from_entry(command[1:], index))
        except DecodeError as error:
            raise JournalCorrupt(f"group {self._group_id}: entry {index} does not say who the members are") from error

    def _fold_memberships(self, membership: Membership) -> None:
        """The base moves to where `membership` counts."""
        if membership != self._memberships[0]:
            put_membership(self._store, self._group_id, membership)
        self._memberships = [membership, *(one for one in self._memberships[1:] if one.index > membership.index)]

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
        if command[0] == MEMBERSHIP:
            self._take_membership(command, idx)
        key = LOG_KEY.pack(self._group_id, idx)
        checksum = zlib.crc32(command, zlib.crc32(_TERM.pack(term), zlib.crc32(key)))
        self._store.put(Family.LOG, key, SEALED_TERM.pack(RECORD_VERSION, checksum, term) + command)
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
        start, end = LOG_KEY.pack(self._group_id, index), LOG_KEY.pack(self._group_id, self.entries[-1][1] + 1)
        self._store.delete_range(Family.LOG, start, end)
        del self.entries[entryFrom:]
        while self._memberships[-1].index >= index:
            self._memberships.pop()
        # A sync under way covers the cut entries, not what takes their place.
        self.durable_index = min(self.durable_index, self.entries[-1][1])
        self._cut_from = min(self._cut_from, index)
        self._host.journal_changed(self._group_id)

    def deleteEntriesTo(self, entryTo: int) -> None:
        """Drop the entries before position `entryTo`, which becomes the base."""
        if entryTo <= 0:
            return
        _, index, term = self.entries[entryTo]
        start, end = LOG_KEY.pack(self._group_id, 0), LOG_KEY.pack(self._group_id, index + 1)
        self._store.delete_range(Family.LOG, start, end)
        self._put_base(index, term)
        self._fold_memberships(self.membership_at(index))
        self.payload_bytes -= sum(len(entry[0]) for entry in self.entries[1 : entryTo + 1])
        self.entries[: entryTo + 1] = [(b"\x01", index, term)]

    def reset(self, index: int, term: int, membership: Membership) -> None:
        """Start after a snapshot of the state at (index, term), where `membership` counts; a matching tail is kept."""
        first = self.entries[0][1]
        position = index - first
        if 0 <= position < len(self.entries) and self.entries[position][2] == term:
            self.deleteEntriesTo(position)
        else:
            self.deleteEntriesFrom(1)
            self.entries[0] = (b"\x01", index, term)
            self.payload_bytes = 0
            self._put_base(index, term)
            self._fold_memberships(membership)
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
        key = hard_state_key(self._group_id)
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

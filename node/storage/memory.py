"""The in-memory twin of node.storage.rocks: the same contract, with a journal that power loss tears.

Used by tests and the simulation, never by a real node. Law: passes the same contract tests as the real store; what it
does beyond them (crash, tear, run full) is what a disk under RocksDB does: batches are appended to one journal, a
journal is lost from some byte on, and a batch that lost a byte is dropped whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sortedcontainers import SortedDict

from node.storage.errors import StoreError
from replication.ports import Family

_Operation = tuple[Family, bytes, bytes | None, bytes | None]  # family, key, value or None, end of a range or None
_Families = dict[Family, SortedDict[bytes, bytes]]
# What a batch and an operation in it take in the journal beside keys and values.
_BATCH_BYTES = 20
_OPERATION_BYTES = 6


@dataclass(frozen=True, slots=True)
class _Written:
    """A batch that no sync covers yet."""

    # Family, key and the value before, in the order of the writes.
    before: list[tuple[Family, bytes, bytes | None]]
    journal_bytes: int


class StateSums:
    """For each prefix of keys a sum over all its pairs in some families, kept up to date by every write.

    Two states are equal if and only if (but for a chance in 2^64) their sums are; keys count without their prefix.
    """

    def __init__(self, families: tuple[Family, ...], prefix_bytes: int, sums: dict[bytes, int] | None = None) -> None:
        self.families = frozenset(families)
        self.prefix_bytes = prefix_bytes
        self.sums = sums if sums is not None else {}

    def count(self, family: Family, key: bytes, value: bytes) -> None:
        """A pair comes or goes: the sum is its own inverse."""
        length = self.prefix_bytes
        prefix = key[:length]
        self.sums[prefix] = self.sums.get(prefix, 0) ^ hash((int(family), key[length:], value))

    def of(self, prefix: bytes) -> int:
        """The sum of all pairs whose keys begin with `prefix`."""
        return self.sums.get(prefix, 0)

    def copy(self) -> StateSums:
        """The same sums for another store."""
        return StateSums(tuple(self.families), self.prefix_bytes, dict(self.sums))


class MemoryStore:
    """An ordered byte store; `crash` keeps what was synced, as a machine that loses power does."""

    def __init__(self, sums: StateSums | None = None) -> None:
        """With `sums`, those are kept up to date."""
        self.sums = sums
        # No write succeeds while it is set.
        self.is_full = False
        self._families: _Families = {family: SortedDict() for family in Family}
        self._batch: list[_Operation] = []
        self._unsynced: list[_Written] = []

    def get(self, family: Family, key: bytes) -> bytes | None:
        """The value as of the last write_batch."""
        return self._families[family].get(key)

    def scan(self, family: Family, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys in [start, end) in byte order, a consistent view as of the call."""
        data = self._families[family]
        return iter([(key, data[key]) for key in data.irange(start, end, inclusive=(True, False))])

    def scan_back(self, family: Family, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The same keys from the last one down."""
        return reversed(list(self.scan(family, start, end)))

    def put(self, family: Family, key: bytes, value: bytes) -> None:
        """Collect a write."""
        self._batch.append((family, key, value, None))

    def delete(self, family: Family, key: bytes) -> None:
        """Collect a deletion."""
        self._batch.append((family, key, None, None))

    def delete_range(self, family: Family, start: bytes, end: bytes) -> None:
        """Collect the deletion of [start, end)."""
        self._batch.append((family, start, None, end))

    def write_batch(self) -> bool:
        """Write what was collected, all or nothing; false when there was nothing. Raises StoreError when full."""
        if not self._batch:
            return False
        batch, self._batch = self._batch, []
        if self.is_full:
            raise StoreError("cannot write to memory: No space left on device")
        written = _Written([], sum(map(_journal_bytes, batch), _BATCH_BYTES))
        before = written.before
        for family, key, value, end in batch:
            if end is None:
                before.append((family, key, self._set(family, key, value)))
            else:
                for doomed in list(self._families[family].irange(key, end, inclusive=(True, False))):
                    before.append((family, doomed, self._set(family, doomed, None)))
        self._unsynced.append(written)
        return True

    def _set(self, family: Family, key: bytes, value: bytes | None) -> bytes | None:
        """Returns the value before; None: there was, or is to be, none."""
        data = self._families[family]
        old = data.get(key)
        if value is not None:
            data[key] = value
        elif old is not None:
            del data[key]
        sums = self.sums
        if sums is not None and family in sums.families:
            if old is not None:
                sums.count(family, key, old)
            if value is not None:
                sums.count(family, key, value)
        return old

    def sync(self) -> None:
        """Make everything written so far survive `crash`."""
        self.sync_first(len(self._unsynced))

    def sync_first(self, batches: int) -> None:
        """Make the first `batches` unsynced batches durable, as a sync that began then does."""
        del self._unsynced[:batches]

    @property
    def unsynced_batches(self) -> int:
        """How many written batches a power loss may take away."""
        return len(self._unsynced)

    @property
    def unsynced_bytes(self) -> int:
        """How long the part of the journal is that a power loss may take away."""
        return sum(written.journal_bytes for written in self._unsynced)

    def batches_within(self, journal_bytes: int) -> int:
        """How many unsynced batches are whole when only the first `journal_bytes` of their journal are left."""
        for count, written in enumerate(self._unsynced):
            journal_bytes -= written.journal_bytes
            if journal_bytes < 0:
                return count
        return len(self._unsynced)

    def crash(self, batches_kept: int = 0) -> MemoryStore:
        """The store after power loss: what was synced and the first `batches_kept` of what was only written."""
        survivor = MemoryStore(self.sums.copy() if self.sums is not None else None)
        survivor.is_full = self.is_full
        survivor._families = {family: SortedDict(data) for family, data in self._families.items()}
        for written in reversed(self._unsynced[batches_kept:]):
            for family, key, value in reversed(written.before):
                survivor._set(family, key, value)
        return survivor

    def close(self) -> None:
        """Nothing to release."""


def _journal_bytes(operation: _Operation) -> int:
    _, key, value, end = operation
    return _OPERATION_BYTES + len(key) + len(value or b"") + len(end or b"")

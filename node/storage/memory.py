"""The in-memory twin of node.storage.rocks: the same contract, with a durable image for simulated power loss.

Used by tests and the simulation, never by a real node. Law: passes the same contract tests as the real store.
"""

from __future__ import annotations

from collections.abc import Iterator

from sortedcontainers import SortedDict

from replication.ports import Family

_Operation = tuple[Family, bytes, bytes | None, bytes | None]  # family, key, value or None, end of a range or None


class MemoryStore:
    """An ordered byte store; `crash` keeps what was synced, as a machine that loses power does."""

    def __init__(self) -> None:
        self._families: dict[Family, SortedDict[bytes, bytes]] = {family: SortedDict() for family in Family}
        self._durable: dict[Family, SortedDict[bytes, bytes]] = {family: SortedDict() for family in Family}
        self._batch: list[_Operation] = []
        self._unsynced: list[list[_Operation]] = []

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
        """Write what was collected, all or nothing; false when there was nothing."""
        if not self._batch:
            return False
        batch, self._batch = self._batch, []
        _play(self._families, batch)
        self._unsynced.append(batch)
        return True

    def sync(self) -> None:
        """Make everything written so far survive `crash`."""
        self.sync_first(len(self._unsynced))

    def sync_first(self, batches: int) -> None:
        """Make the first `batches` unsynced batches durable, as a sync that began then does."""
        for batch in self._unsynced[:batches]:
            _play(self._durable, batch)
        del self._unsynced[:batches]

    @property
    def unsynced_batches(self) -> int:
        """How many written batches a power loss may take away."""
        return len(self._unsynced)

    def crash(self, batches_kept: int = 0) -> MemoryStore:
        """The store after power loss: what was synced and the first `batches_kept` of what was only written."""
        survivor = MemoryStore()
        for family in Family:
            survivor._families[family] = SortedDict(self._durable[family])
        for batch in self._unsynced[:batches_kept]:
            _play(survivor._families, batch)
        for family in Family:
            survivor._durable[family] = SortedDict(survivor._families[family])
        return survivor

    def close(self) -> None:
        """Nothing to release."""


def _play(families: dict[Family, SortedDict[bytes, bytes]], batch: list[_Operation]) -> None:
    for family, key, value, end in batch:
        data = families[family]
        if value is not None:
            data[key] = value
        elif end is None:
            data.pop(key, None)
        else:
            for doomed in list(data.irange(key, end, inclusive=(True, False))):
                del data[doomed]

"""What replication asks of its host: storage, messages out, a state machine. Interfaces only.

Implemented by node (real) and by the simulation (memory twins). Law: replication never touches a clock, a random
source, a socket or a disk but through these.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Protocol

from replication.messages import Message


class Family(enum.IntEnum):
    """The column families of a node's store."""

    LOG = 0
    DATA = 1
    META = 2
    # What waits to be fed to other groups: written and deleted without end, so that no scan of DATA may pass it.
    OUTBOX = 3


class Store(Protocol):
    """One node's ordered byte store with one shared write batch.

    `put`, `delete` and `delete_range` collect into the batch and are seen by `get`, `scan` and `scan_back` only after
    `write_batch`.
    Written is not durable: what `write_batch` wrote survives the process, and after the next `sync` the machine.
    """

    def get(self, family: Family, key: bytes) -> bytes | None:
        """The value as of the last write_batch."""
        ...

    def scan(self, family: Family, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys in [start, end) in byte order, a consistent view as of the call."""
        ...

    def scan_back(self, family: Family, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The same keys from the last one down."""
        ...

    def put(self, family: Family, key: bytes, value: bytes) -> None:
        """Collect a write."""
        ...

    def delete(self, family: Family, key: bytes) -> None:
        """Collect a deletion."""
        ...

    def delete_range(self, family: Family, start: bytes, end: bytes) -> None:
        """Collect the deletion of [start, end)."""
        ...

    def write_batch(self) -> bool:
        """Write what was collected, all or nothing; false when there was nothing."""
        ...

    def sync(self) -> None:
        """Make everything written so far durable. Blocks: call it in a thread."""
        ...

    def close(self) -> None:
        """Release the files."""
        ...


class StateInstaller(Protocol):
    """A new state being put in place beside the old one."""

    def put(self, key: bytes, value: bytes) -> None:
        """Add one pair of the new state."""
        ...

    def commit(self, applied_index: int) -> None:
        """Collect, in the shared batch, the switch from the old state to the new one."""
        ...

    def abort(self) -> None:
        """Drop what was staged."""
        ...


class StateMachine(Protocol):
    """The replicated state of one group."""

    @property
    def applied_index(self) -> int:
        """The last index whose effect is in the store; read once, at start."""
        ...

    def apply(self, index: int, payload: bytes) -> object:
        """Collect the effect of a committed entry, total and deterministic, and remember `index`."""
        ...

    def note_applied(self, index: int) -> None:
        """The same for an entry without effect (no-op)."""
        ...

    def flush(self) -> None:
        """Collect the applied index; called once a turn before write_batch, in the same batch as the effects."""
        ...

    def snapshot(self) -> Iterator[tuple[bytes, bytes]]:
        """All pairs as of the last write_batch."""
        ...

    def begin_install(self) -> StateInstaller:
        """Stage a new state; an unfinished one from before is dropped."""
        ...


class Host(Protocol):
    """The node around its groups."""

    def send(self, group_id: int, target: str, message: Message, *, durable: bool) -> None:
        """Send now or, with `durable`, not before everything journalled so far is synced."""
        ...

    def journal_changed(self, group_id: int) -> None:
        """The group's journal collected writes that need a sync."""
        ...

    def wake(self, group_id: int) -> None:
        """The group wants a turn."""
        ...

    def leadership_changed(self, group_id: int) -> None:
        """The group's leader, term or role may differ from before."""
        ...

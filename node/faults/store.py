"""A store that fails or dawdles when a fault rule says so.

Put around the real store by node.__main__ where fault injection is on. Law: what it refuses raises, as a disk would:
the node must stop, never go on. Reads cost nothing more: they are the inner store's own.
"""

from __future__ import annotations

import errno
import os
import threading

from node.faults.plan import NO_MACHINE_EFFECTS, MachineEffects
from replication.ports import Store
from runtime.clock import Clock


class InjectedError(OSError):
    """A disk error on purpose."""


class FaultyStore:
    """replication.ports.Store around another one."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        # Read by the sync thread: replaced as a whole, never changed.
        self._effects = NO_MACHINE_EFFECTS
        self._changed = threading.Condition()
        self.get = store.get
        self.scan = store.scan
        self.scan_back = store.scan_back
        self.put = store.put
        self.delete = store.delete
        self.delete_range = store.delete_range
        self.close = store.close

    def change(self, effects: MachineEffects) -> None:
        """Other rules hold from now on; a sync that is being delayed looks again."""
        with self._changed:
            self._effects = effects
            self._changed.notify_all()

    def write_batch(self) -> bool:
        """As the inner store's. Raises InjectedError (ENOSPC) while the disk is full."""
        if self._effects.disk_full:
            raise InjectedError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} (a fault rule)")
        return self._store.write_batch()

    def sync(self) -> None:
        """As the inner store's, later or not at all. Raises InjectedError."""
        started_at = self._clock.monotonic()
        with self._changed:
            while (left_s := started_at + self._effects.sync_delay_s - self._clock.monotonic()) > 0:
                self._changed.wait(left_s)
            if self._effects.sync_fails:
                raise InjectedError(errno.EIO, f"{os.strerror(errno.EIO)} in a sync (a fault rule)")
        self._store.sync()

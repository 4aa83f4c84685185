"""Which messages may leave, and how far each journal is durable. Pure.

Used by node.host around every write and sync. Law 2: a message that tells of a journalled fact leaves only after a
sync that began after the fact was written, and syncs are counted, never assumed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Held = TypeVar("Held")


class Durability(Generic[Held]):
    """Batches are numbered as they are written; a held item waits for the sync of its batch."""

    def __init__(self) -> None:
        self._collecting = False
        self._written = 0
        self._syncing = 0
        self._synced = 0
        self._held: deque[tuple[int, Held]] = deque()
        # The newest batch that somebody waits for: what nobody waits for is synced with it, or in a while.
        self._wanted = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def must_hold(self) -> bool:
        """Whether something journalled is not durable yet."""
        return self._collecting or self._written > self._synced

    @property
    def wants_sync(self) -> bool:
        """Whether somebody waits for what is not durable yet."""
        return self._wanted > self._synced

    def journal_changed(self) -> None:
        """The batch being collected holds something to be synced."""
        self._collecting = True

    def hold(self, item: Held, *, can_wait: bool = False) -> None:
        """Keep `item` until everything journalled so far is durable; nobody waits for it if it `can_wait`."""
        batch = self._written + (1 if self._collecting else 0)
        if not can_wait:
            self._wanted = batch
        self._held.append((batch, item))

    def drop(self, is_void: Callable[[Held], bool]) -> None:
        """Forget held items that are not true any more once they may leave."""
        self._held = deque(held for held in self._held if not is_void(held[1]))

    def batch_written(self, *, can_wait: bool = False) -> None:
        """The collected batch is written; only held items wait for it if it `can_wait`."""
        if self._collecting:
            self._collecting = False
            self._written += 1
            if not can_wait:
                self._wanted = self._written

    def hurry(self) -> None:
        """What can wait has waited long enough."""
        self._wanted = max(self._wanted, self._written)

    def start_sync(self) -> bool:
        """Begin a sync of all that is written; false when one is under way or nobody waits for one."""
        if self._syncing or not self.wants_sync or self._written == self._synced:
            return False
        self._syncing = self._written
        return True

    def sync_ended(self) -> list[Held]:
        """The sync is done: the items that may leave now, in the order they were held."""
        self._synced, self._syncing = self._syncing, 0
        released: list[Held] = []
        while self._held and self._held[0][0] <= self._synced:
            released.append(self._held.popleft()[1])
        return released

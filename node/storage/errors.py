"""What every store raises. Pure.

Raised by node.storage.rocks and node.storage.memory. Law: a store that raised is not used any more: what it holds is
known again only after it was opened anew.
"""

from __future__ import annotations


class StoreError(Exception):
    """The store cannot be opened, written or synced; the message says which folder and why."""


class StoreDamaged(StoreError):
    """What lies on the disk is not what was written, or acknowledged writes are gone: the replicas must be rebuilt."""

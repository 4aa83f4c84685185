"""Waiting for a fact about other processes.

Used by harness.cluster and the cluster tests. Law: every wait has an end, and says what it waited for when it comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Fact = TypeVar("Fact")
LOOK_INTERVAL_S = 0.05


class NeverHappened(AssertionError):
    """The fact did not come true in time."""


def wait_until(look: Callable[[], Fact | None], *, timeout_s: float, what: str) -> Fact:
    """The first true value of `look`. Raises NeverHappened with `what` and the last value seen."""
    deadline = time.monotonic() + timeout_s
    while True:
        fact = look()
        if fact:
            return fact
        if time.monotonic() > deadline:
            raise NeverHappened(f"after {timeout_s:g} s still not so: {what} (last seen: {fact!r})")
        # Another process tells nobody when its state changes: it has to be asked again.
        time.sleep(LOOK_INTERVAL_S)

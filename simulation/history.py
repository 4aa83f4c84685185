"""What clients asked, when, and what they were told: the values that the checkers judge. Pure.

Filled by simulation.client, read by simulation.linearizability. Law: a call that was refused is not in the history at
all, a call whose outcome is not known stays open for ever.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class Action(enum.Enum):
    """What a call does to its key, whose value is a text or nothing."""

    READ = "read"  # observes
    PUT = "put"  # writes `value`; observes the value before when `sees_old`
    DELETE = "delete"  # writes nothing; the same
    SWAP_IF = "swap_if"  # writes `value` if the value is `expected`; `failed`: it was `observed` instead
    ADD = "add"  # adds one to a number; observes the sum


@dataclass(slots=True, kw_only=True)
class Call:
    """One operation on one key as its client saw it; open until `returned_at` is set."""

    key: str
    action: Action
    invoked_at: float
    value: str | None = None
    expected: str | None = None
    sees_old: bool = False
    returned_at: float = math.inf
    failed: bool = False
    observed: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the outcome is unknown: it may have happened, may happen later, or never."""
        return self.returned_at == math.inf

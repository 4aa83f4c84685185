"""What clients asked, when, and what they were told: the values that the checkers judge. Pure.

Filled by clients of simulated and of real clusters, read by every checker of this package. Law: a call that was refused
is not in a history at all, or it is `failed`: nothing happened. A call whose outcome is not known stays open for ever.
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
    """One operation on one key as its client saw it; open until `returned_at` is set.

    Times are seconds of one clock for the whole history. `client`, and where the answer came from (`router_az`,
    `served_by`, `served_az`), are only for the session report; empty means not known.
    """

    key: str
    action: Action
    invoked_at: float
    value: str | None = None
    expected: str | None = None
    sees_old: bool = False
    returned_at: float = math.inf
    failed: bool = False
    observed: str | None = None
    client: str = ""
    is_strong: bool = True
    router_az: str = ""
    served_by: str = ""
    served_az: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the outcome is unknown: it may have happened, may happen later, or never."""
        return self.returned_at == math.inf

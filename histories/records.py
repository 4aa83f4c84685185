"""What clients asked, when, and what they were told: the values that the checkers judge. Pure.

Filled by clients of simulated and of real clusters, read by every checker of this package. Law: a call that was refused
is not in a history at all, or it is `failed`: nothing happened. A call whose outcome is not known stays open for ever.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class Action(enum.Enum):
    """What a call does to its key, whose value is a text or nothing."""

    READ = "read"  # observes
    PUT = "put"  # writes `value`; observes the value before when `sees_old`
    DELETE = "delete"  # writes nothing; the same
    SWAP_IF = "swap_if"  # writes `value` if the value is `expected`; `failed`: it was `observed` instead
    ADD = "add"  # adds one to a number; observes the sum when the client asked for it
    APPEND = "append"  # adds `value` to the end of a list; observes the list after it when `sees_new`
    INSERT = "insert"  # adds `value` to a set; observes nothing


class Outcome(enum.Enum):
    """The end of a call."""

    OK = "ok"
    FAILED = "failed"  # nothing happened: a condition was false, or the call was refused
    UNKNOWN = "unknown"  # it may have happened, may happen later, or never


@dataclass(slots=True, kw_only=True)
class Call:
    """One operation on one key as its client saw it; open until `returned_at` is set.

    Times are seconds of one clock for the whole history. `is_strong` is about reads: an eventual one may be stale.
    `client`, and whence the answer came (`router_az`, `served_by`, `served_az`), serve the session report; empty: not
    known. The values of lists, sets and banks are texts too: `list_text`, `totals_text`.
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
    sees_new: bool = False
    is_strong: bool = True
    client: str = ""
    router_az: str = ""
    served_by: str = ""
    served_az: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the outcome is unknown: it may have happened, may happen later, or never."""
        return self.returned_at == math.inf

    @property
    def outcome(self) -> Outcome:
        """The end of the call."""
        if self.returned_at == math.inf:
            return Outcome.UNKNOWN
        return Outcome.FAILED if self.failed else Outcome.OK

    @property
    def is_eventual(self) -> bool:
        """Whether it is a read that may be stale: for the session report, not for an order of calls."""
        return self.action is Action.READ and not self.is_strong

    def describe(self) -> str:
        """One line for a person."""
        end = "never returned" if self.is_open else f"{self.returned_at:.6f}"
        parts = [f"[{self.invoked_at:.6f} .. {end}]", self.client, self.action.value, self.key]
        if self.action is Action.SWAP_IF:
            parts.append(f"{_short(self.expected)} -> {_short(self.value)}")
        elif self.value is not None:
            parts.append(_short(self.value))
        if self.failed:
            parts.append("failed")
        if not self.is_open and (self.action is Action.READ or self.observed is not None or self.sees_old):
            parts.append(f"saw {_short(self.observed)}")
        if self.is_eventual:
            parts.append(f"eventual from {self.served_by or '?'} in {self.served_az or '?'}")
        return " ".join(part for part in parts if part)


def list_text(elements: Iterable[str]) -> str:
    """The text that stands for a list or a set: its elements, parted by single spaces. An empty one is None in
    calls."""
    return " ".join(elements)


def elements_of(text: str | None) -> list[str]:
    """The elements of a list or a set that a call observed."""
    return text.split(" ") if text else []


def totals_text(amounts: Mapping[str, int]) -> str:
    """The text that stands for what one snapshot of a bank showed: name=amount, parted by spaces."""
    return " ".join(f"{name}={amount}" for name, amount in sorted(amounts.items()))


def amounts_of(text: str | None) -> dict[str, int]:
    """The amounts in a text of `totals_text`; raises ValueError for any other text."""
    amounts = {}
    for part in elements_of(text):
        name, _, amount = part.rpartition("=")
        amounts[name] = int(amount)
    return amounts


def by_key(calls: Iterable[Call]) -> dict[str, list[Call]]:
    """The calls of each key, keys in order."""
    keys: dict[str, list[Call]] = {}
    for call in calls:
        keys.setdefault(call.key, []).append(call)
    return dict(sorted(keys.items()))


def _short(text: str | None) -> str:
    if text is None:
        return "nothing"
    return repr(text) if len(text) <= 60 else f"{text[:40]!r}...{text[-15:]!r} ({len(text)} characters)"

"""What a checker says of the calls of one key. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from histories.records import Call

# Calls around the one that cannot be placed that an explanation lists.
AROUND_MAX = 12


class Verdict(enum.Enum):
    """The end of a check."""

    LINEARIZABLE = 1
    VIOLATED = 2
    UNDECIDED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict, by which method, and why: the reason in a sentence and the few calls that show it."""

    verdict: Verdict
    method: str
    reason: str = ""
    calls: tuple[Call, ...] = ()
    around: tuple[Call, ...] = ()
    states: int = 0

    def text(self) -> str:
        """The explanation, several lines; empty for a history that is linearizable."""
        lines = [self.reason] if self.reason else []
        lines += [f"  {call.describe()}" for call in self.calls]
        if self.around:
            lines.append("  around it:")
            lines += [f"    {call.describe()}" for call in self.around]
        return "\n".join(lines)


class Impossible(Exception):
    """No order of the calls exists: the reason, and the calls that show it."""

    def __init__(self, reason: str, calls: Iterable[Call]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.calls = tuple(calls)


def around(calls: Sequence[Call], shown: Sequence[Call]) -> tuple[Call, ...]:
    """The calls nearest in time to those shown, for an explanation."""
    if not shown:
        return ()
    start = min(call.invoked_at for call in shown)
    end = max(call.invoked_at if call.is_open else call.returned_at for call in shown)
    shown_ids = {id(call) for call in shown}
    middle = (start + end) / 2
    overlapping = [
        call for call in calls if id(call) not in shown_ids and call.invoked_at <= end and call.returned_at >= start
    ]
    overlapping.sort(key=lambda call: abs(call.invoked_at - middle))
    return tuple(sorted(overlapping[:AROUND_MAX], key=lambda call: call.invoked_at))

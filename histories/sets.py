"""Whether a set that only grows kept what it was given: lost, resurrected and phantom elements. Pure.

Called by histories.check for keys that are inserted into. Law: an element whose insertion was acknowledged before a
strong read began, or that a strong read had shown before, is in that read; an unknown one may be; nothing else is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from histories.judgement import Verdict
from histories.records import Action, Call, elements_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReport:
    """What became of the elements of one key.

    `lost`: known to be there, and missing from the last read; `resurrected`: missing from a read and back in a later
    one; `phantoms`: shown, but not inserted by anybody until then. `unread`: acknowledged after every strong read
    began, so that nothing is known of them.
    """

    acknowledged: int
    unknown: int
    reads: int
    lost: tuple[str, ...]
    resurrected: tuple[str, ...]
    phantoms: tuple[str, ...]
    unread: int

    @property
    def verdict(self) -> Verdict:
        """Undecided when something was acknowledged that no strong read could show."""
        if self.lost or self.resurrected or self.phantoms:
            return Verdict.VIOLATED
        return Verdict.UNDECIDED if self.unread else Verdict.LINEARIZABLE

    def text(self) -> str:
        """What is wrong, in lines; empty when nothing is."""
        named = {"lost": self.lost, "resurrected": self.resurrected, "phantom": self.phantoms}
        lines = [f"{name}: {', '.join(elements[:20])}" for name, elements in named.items() if elements]
        if self.unread:
            lines.append(f"{self.unread} acknowledged after the last strong read began: not judged")
        return "\n".join(lines)


def check_set(calls: Sequence[Call]) -> SetReport:
    """Judge the calls of one key: insertions and reads; what eventual reads show is only judged for phantoms."""
    inserts = [call for call in calls if call.action is Action.INSERT and not call.failed]
    reads = [call for call in calls if call.action is Action.READ and not call.is_open]
    strong = sorted((call for call in reads if call.is_strong), key=lambda call: call.invoked_at)
    began: dict[str, float] = {}
    for call in inserts:
        element = call.value or ""
        began[element] = min(call.invoked_at, began.get(element, math.inf))
    phantoms = [
        element
        for call in reads
        for element in elements_of(call.observed)
        if began.get(element, math.inf) > call.returned_at
    ]
    acknowledged = [call for call in inserts if not call.is_open]
    missing, resurrected = _follow(strong, acknowledged)
    last_began = strong[-1].invoked_at if strong else -math.inf
    return SetReport(
        acknowledged=len(acknowledged),
        unknown=len(inserts) - len(acknowledged),
        reads=len(strong),
        lost=tuple(missing),
        resurrected=tuple(resurrected),
        phantoms=tuple(dict.fromkeys(phantoms)),
        unread=sum(call.returned_at >= last_began for call in acknowledged),
    )


def _follow(strong: Sequence[Call], acknowledged: Sequence[Call]) -> tuple[list[str], list[str]]:
    """Elements that are missing at the end, and those that were missing and came back."""
    # When an element was known to be there: it was acknowledged, or a read that showed it had returned.
    facts: list[tuple[float, list[str]]] = [(call.returned_at, [call.value or ""]) for call in acknowledged]
    facts += [(call.returned_at, elements_of(call.observed)) for call in strong]
    facts.sort(key=lambda fact: fact[0], reverse=True)
    known: set[str] = set()
    missing: dict[str, None] = {}
    resurrected: dict[str, None] = {}
    for read in strong:
        while facts and facts[-1][0] < read.invoked_at:
            known.update(facts.pop()[1])
        shown = set(elements_of(read.observed))
        for element in [element for element in missing if element in shown]:
            del missing[element]
            resurrected[element] = None
        missing.update(dict.fromkeys(sorted(known - shown)))
    return list(missing), list(resurrected)

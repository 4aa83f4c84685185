"""Whether one key's history could have come from a single copy. Pure.

Called by simulation.run and by histories.check for every key: linearizability is local, so a history is linearizable
when that of each key is. Registers with unique values, counters and lists have methods of their own that hardly
search (histories.chains, histories.stages); whatever else there is goes to the search of Wing, Gong and Lowe
(histories.search), which is also what those methods are compared with. Law: a call takes effect once, between its
invocation and its return; an open call takes effect at any time after its invocation or never.
"""

from __future__ import annotations

from collections.abc import Sequence

from histories import blocks, chains, search, stages
from histories.judgement import Impossible, Judgement, Verdict, around
from histories.model import step
from histories.records import Action, Call

__all__ = ["STATES_MAX", "Judgement", "Verdict", "examine", "judge", "step"]

# States after which a key's history is called undecided rather than searched for hours.
STATES_MAX = search.STATES_MAX


def judge(calls: Sequence[Call]) -> Verdict:
    """The verdict alone of `examine`."""
    return examine(calls).verdict


def examine(calls: Sequence[Call], states_max: int = STATES_MAX) -> Judgement:
    """Judge the calls of one key, which begins without a value; eventual reads and refused calls are left out.

    Raises ValueError for insertions into a set, which histories.sets judges.
    """
    strong = [
        call for call in calls if not call.is_eventual and not (call.failed and call.action is not Action.SWAP_IF)
    ]
    actions = {call.action for call in strong} - {Action.READ}
    method = "chains"
    try:
        if chains.applies(strong):
            return blocks.order_blocks(chains.make_blocks(strong))
        completed = [call for call in strong if not (call.is_open and call.action is Action.READ)]
        if actions == {Action.ADD}:
            method = "stages"
            stages.check_stages(stages.counter_stages(completed))
        elif actions == {Action.APPEND} and _are_unique(completed):
            method = "stages"
            stages.check_stages(stages.list_stages(completed))
        else:
            return search.search(strong, states_max)
    except Impossible as found:
        return Judgement(
            verdict=Verdict.VIOLATED,
            method=method,
            reason=found.reason,
            calls=found.calls,
            around=around(strong, found.calls),
        )
    return Judgement(verdict=Verdict.LINEARIZABLE, method=method)


def _are_unique(calls: Sequence[Call]) -> bool:
    """Whether no element is appended twice, and none would be taken for two."""
    elements = [call.value for call in calls if call.action is Action.APPEND]
    return len(set(elements)) == len(elements) and all(element and " " not in element for element in elements)

"""Sets that only grow: every element is added once, by one client, and must be there at the end.

A lost acknowledged write is seen whatever was read in between. The history is judged by histories.sets.
"""

from __future__ import annotations

import random
from collections.abc import Coroutine
from typing import Any

from chaos.clients.log import Told
from chaos.clients.session import Session
from chaos.result import Verdict
from chaos.workloads.base import BACKOFF_S, final_item, key_of, keys_of, randoms
from histories.records import Action, Call, list_text

# Then a new item is begun: an item may hold 400 KB, and every addition writes the whole item again.
ELEMENTS_PER_ITEM = 300


class Sets:
    """Clients that add elements of their own."""

    def __init__(self, session: Session, *, seed: int, clients: int, think_ms: float) -> None:
        self._session = session
        self._keys = keys_of(session, "set", clients)
        self._randoms = randoms(seed, "sets", clients)
        self._think_s = think_ms / 1000
        # Keys to which something was, or may have been, added.
        self._used: set[str] = set()

    async def setup(self) -> None:
        """Items begin with their first element."""

    def clients(self) -> list[Coroutine[Any, Any, None]]:
        """The clients."""
        return [self._run(number, rng) for number, rng in enumerate(self._randoms)]

    async def _run(self, number: int, rng: random.Random) -> None:
        session = self._session
        bases = [key for position, key in enumerate(self._keys) if position % len(self._randoms) == number]
        count = 0
        while not session.stopping.is_set():
            element = f"{number}.{count}"
            base = bases[count % len(bases)]
            key = f"{base}-{count // (ELEMENTS_PER_ITEM * len(bases))}"
            count += 1
            request = {
                "Key": key_of(key),
                "UpdateExpression": "ADD elements :e",
                "ExpressionAttributeValues": {":e": {"SS": [element]}},
            }
            answer = await session.call("UpdateItem", key, request, kind="write", client=number)
            if answer.told is not Told.FAILED:
                call = Call(
                    key=key, action=Action.INSERT, invoked_at=answer.began_s, value=element, client=f"set-{number}"
                )
                if answer.told is Told.OK:
                    call.returned_at = answer.ended_s
                self._used.add(key)
                session.log.calls.append(call)
            await session.pause(rng.uniform(0.5, 1.5) * self._think_s if answer.told is Told.OK else BACKOFF_S)

    async def check(self) -> list[Verdict]:
        """The last read of every set joins the history, which is judged as a whole."""
        for key in sorted(self._used):
            item = await final_item(self._session, key)
            found = item.get("elements", {}).get("SS", ()) if item else ()
            moment = self._session.now_s()
            self._session.log.calls.append(
                Call(
                    key=key,
                    action=Action.READ,
                    invoked_at=moment,
                    returned_at=moment,
                    observed=list_text(sorted(found)) if item else None,
                )
            )
        return []

"""Counters: unconditional increments whose sums are returned. Not idempotent, so a write applied twice shows.

The history of each key is judged for linearizability (a sum may come once only) and for its bounds (histories.totals).
"""

from __future__ import annotations

import random
from collections.abc import Coroutine
from typing import Any

from chaos.clients.log import Told
from chaos.clients.session import Session
from chaos.result import Verdict
from chaos.workloads.base import BACKOFF_S, final_item, key_of, keys_of, randoms
from histories.records import Action, Call


class Counters:
    """Clients that add one."""

    def __init__(self, session: Session, *, seed: int, clients: int, think_ms: float) -> None:
        self._session = session
        self.keys = keys_of(session, "counter", 1)
        self._randoms = randoms(seed, "counters", clients)
        self._think_s = think_ms / 1000

    async def setup(self) -> None:
        """Keys begin without a value, which counts as 0."""

    def clients(self) -> list[Coroutine[Any, Any, None]]:
        """The clients."""
        return [self._run(number, rng) for number, rng in enumerate(self._randoms)]

    async def _run(self, number: int, rng: random.Random) -> None:
        session = self._session
        while not session.stopping.is_set():
            key = rng.choice(self.keys)
            request = {
                "Key": key_of(key),
                "UpdateExpression": "ADD n :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
                "ReturnValues": "UPDATED_NEW",
            }
            answer = await session.call("UpdateItem", key, request, kind="write", client=number)
            if answer.told is not Told.FAILED:
                call = Call(key=key, action=Action.ADD, invoked_at=answer.began_s, client=f"counter-{number}")
                if answer.told is Told.OK:
                    call.returned_at = answer.ended_s
                    call.observed = str(answer.document["Attributes"]["n"]["N"])
                    call.router_az, call.served_by = answer.router_az, answer.served_by
                session.log.calls.append(call)
            await session.pause(rng.uniform(0.5, 1.5) * self._think_s if answer.told is Told.OK else BACKOFF_S)

    async def check(self) -> list[Verdict]:
        """The last read of every counter joins the history, which is judged as a whole."""
        for key in self.keys:
            item = await final_item(self._session, key)
            moment = self._session.now_s()
            self._session.log.calls.append(
                Call(
                    key=key,
                    action=Action.READ,
                    invoked_at=moment,
                    returned_at=moment,
                    observed=str(int(item["n"]["N"])) if item else None,
                )
            )
        return []

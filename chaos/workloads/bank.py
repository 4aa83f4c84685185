"""A bank in one item: transfers between its attributes, whose total never changes for any reader.

Eventual readers may see an old state, but never half a transfer. Every state read is judged by histories.totals.
"""

from __future__ import annotations

import random
from collections.abc import Coroutine, Mapping
from typing import Any

from chaos.clients.log import Told
from chaos.clients.session import Answer, Session
from chaos.result import Verdict
from chaos.workloads.base import BACKOFF_S, final_item, key_of, keys_of, put_surely, randoms, read
from histories.records import Action, Call, totals_text

ACCOUNTS = 8
OPENING_BALANCE = 100
TOTAL = ACCOUNTS * OPENING_BALANCE
READ_SHARE = 0.4
AMOUNT_MAX = 20


class Bank:
    """Clients that move money and count it."""

    def __init__(self, session: Session, *, seed: int, clients: int, think_ms: float) -> None:
        self._session = session
        self._keys = keys_of(session, "bank", 1)
        self._randoms = randoms(seed, "bank", clients)
        self._think_s = think_ms / 1000

    async def setup(self) -> None:
        """Every account begins with the same balance."""
        for key in self._keys:
            self._session.log.totals[key] = TOTAL
            await put_surely(self._session, key, {f"a{n}": {"N": str(OPENING_BALANCE)} for n in range(ACCOUNTS)})

    def clients(self) -> list[Coroutine[Any, Any, None]]:
        """The clients."""
        return [self._run(number, rng) for number, rng in enumerate(self._randoms)]

    async def _run(self, number: int, rng: random.Random) -> None:
        session = self._session
        while not session.stopping.is_set():
            key = rng.choice(self._keys)
            if rng.random() < READ_SHARE:
                strong = rng.random() < 0.5
                answer = await read(session, key, client=number, strong=strong)
                if answer.told is Told.OK:
                    self._record(key, answer, strong=strong, client=f"bank-{number}")
            else:
                answer = await session.call("UpdateItem", key, self._transfer(rng, key), kind="write", client=number)
            await session.pause(rng.uniform(0.5, 1.5) * self._think_s if answer.told is Told.OK else BACKOFF_S)

    def _record(self, key: str, answer: Answer, *, strong: bool, client: str) -> None:
        self._session.log.calls.append(
            Call(
                key=key,
                action=Action.READ,
                invoked_at=answer.began_s,
                returned_at=answer.ended_s,
                observed=observed(answer.item),
                is_strong=strong,
                client=client,
                router_az=answer.router_az,
                served_by=answer.served_by,
            )
        )

    @staticmethod
    def _transfer(rng: random.Random, key: str) -> Mapping[str, Any]:
        giver, taker = rng.sample(range(ACCOUNTS), 2)
        return {
            "Key": key_of(key),
            "UpdateExpression": f"SET a{giver} = a{giver} - :x, a{taker} = a{taker} + :x",
            "ConditionExpression": f"a{giver} >= :x",
            "ExpressionAttributeValues": {":x": {"N": str(rng.randint(1, AMOUNT_MAX))}},
        }

    async def check(self) -> list[Verdict]:
        """The last state of every bank joins the history, which is judged as a whole."""
        for key in self._keys:
            item = await final_item(self._session, key)
            moment = self._session.now_s()
            self._session.log.calls.append(
                Call(key=key, action=Action.READ, invoked_at=moment, returned_at=moment, observed=observed(item))
            )
        return []


def observed(item: Mapping[str, Any] | None) -> str | None:
    """One state of a bank as histories.totals reads it; None when the bank is gone."""
    if not item:
        return None
    return totals_text({name: int(value["N"]) for name, value in item.items() if name != "pk"})

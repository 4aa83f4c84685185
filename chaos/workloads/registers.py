"""Registers with compare-and-set: few keys, several clients on each, every value written once.

The history of each key is judged for linearizability (histories.linearizability) by chaos.verdicts.
"""

from __future__ import annotations

import random
from collections.abc import Coroutine, Mapping
from typing import Any

from chaos.clients.log import Told
from chaos.clients.session import Answer, Session
from chaos.result import Verdict
from chaos.workloads.base import BACKOFF_S, final_item, key_of, keys_of, randoms, read
from histories.records import Action, Call

# Share of each operation; the rest are strong reads.
PUT_SHARE = 0.25
SWAP_SHARE = 0.25
DELETE_SHARE = 0.05


class Registers:
    """Clients that read, put, swap and delete at random."""

    def __init__(self, session: Session, *, seed: int, keys_each: int, clients: int, think_ms: float) -> None:
        self._session = session
        self.keys = keys_of(session, "register", keys_each)
        self._randoms = randoms(seed, "registers", clients)
        self._think_s = think_ms / 1000
        # The value a client last heard of, by key: makes swaps succeed often, whoever wrote it.
        self._known: dict[str, str | None] = dict.fromkeys(self.keys)

    async def setup(self) -> None:
        """Keys begin without a value."""

    def clients(self) -> list[Coroutine[Any, Any, None]]:
        """The clients."""
        return [self._run(number, rng) for number, rng in enumerate(self._randoms)]

    async def check(self) -> list[Verdict]:
        """A last read of every key joins the history."""
        for key in self.keys:
            item = await final_item(self._session, key)
            moment = self._session.now_s()
            self._record(
                Call(key=key, action=Action.READ, invoked_at=moment, returned_at=moment, observed=_value(item))
            )
        return []

    async def _run(self, number: int, rng: random.Random) -> None:
        count = 0
        while not self._session.stopping.is_set():
            key = rng.choice(self.keys)
            count += 1
            call = self._choose(rng, key, f"{number}.{count}")
            call.client = f"register-{number}"
            answer = await self._perform(call, number)
            call.invoked_at = answer.began_s
            self._settle(call, answer)
            await self._session.pause(rng.uniform(0.5, 1.5) * self._think_s if answer.told is Told.OK else BACKOFF_S)

    def _choose(self, rng: random.Random, key: str, value: str) -> Call:
        share = rng.random()
        expected = self._known[key]
        if share < PUT_SHARE:
            return Call(key=key, action=Action.PUT, invoked_at=0.0, value=value, sees_old=True)
        if share < PUT_SHARE + SWAP_SHARE and expected is not None:
            return Call(key=key, action=Action.SWAP_IF, invoked_at=0.0, value=value, expected=expected)
        if share < PUT_SHARE + SWAP_SHARE + DELETE_SHARE:
            return Call(key=key, action=Action.DELETE, invoked_at=0.0, sees_old=True)
        return Call(key=key, action=Action.READ, invoked_at=0.0)

    async def _perform(self, call: Call, client: int) -> Answer:
        session, key = self._session, call.key
        if call.action is Action.READ:
            return await read(session, key, client=client)
        if call.action is Action.PUT:
            request: dict[str, Any] = {"Item": {**key_of(key), "v": {"S": call.value}}, "ReturnValues": "ALL_OLD"}
            return await session.call("PutItem", key, request, kind="write", client=client)
        if call.action is Action.DELETE:
            request = {"Key": key_of(key), "ReturnValues": "ALL_OLD"}
            return await session.call("DeleteItem", key, request, kind="write", client=client)
        request = {
            "Key": key_of(key),
            "UpdateExpression": "SET v = :new",
            "ConditionExpression": "v = :old",
            "ExpressionAttributeValues": {":new": {"S": call.value}, ":old": {"S": call.expected}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        return await session.call("UpdateItem", key, request, kind="write", client=client)

    def _settle(self, call: Call, answer: Answer) -> None:
        """Put what the client was told into the history."""
        if answer.told is Told.FAILED:
            return
        if answer.told is Told.OK:
            call.returned_at = answer.ended_s
            call.failed = answer.condition_failed
            call.router_az, call.served_by = answer.router_az, answer.served_by
            if call.action is Action.READ or call.failed:
                call.observed = self._known[call.key] = _value(answer.item)
            else:
                call.observed = _value(answer.document.get("Attributes")) if call.sees_old else None
                self._known[call.key] = call.value
        elif call.action is Action.READ:
            return
        self._record(call)

    def _record(self, call: Call) -> None:
        self._session.log.calls.append(call)


def _value(item: Mapping[str, Any] | None) -> str | None:
    return str(item["v"]["S"]) if item else None

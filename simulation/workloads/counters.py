"""Counters: one is added to, one is raised only if it is what its client last saw.

Law: every addition that was acknowledged is counted once, one that may have happened at most once, a refused one never;
of clients that raise the same number only one succeeds.
"""

from __future__ import annotations

import random
from typing import Any

from histories.records import Action, Call
from simulation.client import Answer, Outcome
from simulation.workloads.base import Workload, together

ADDED = tuple(f"a{number}" for number in range(3))
RAISED = tuple(f"c{number}" for number in range(3))
BURSTS = (1, 1, 2, 4)


def _number_in(attributes: dict[str, Any] | None) -> str | None:
    if not attributes:
        return None
    number: str = attributes["n"]["N"]
    return number


class Counters(Workload):
    """The workload."""

    name = "counters"
    table = "counters"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._calls: list[Call] = []
        self._eventual: list[Call] = []
        self._seen: dict[str, str] = {}

    async def setup(self) -> None:
        """A table."""
        await self.make_table(self.table, ("k",))

    async def step(self, worker: int, draw: random.Random) -> None:
        """A few requests at once."""
        await together(self._request(worker, draw) for _ in range(draw.choice(BURSTS)))

    async def _request(self, worker: int, draw: random.Random) -> None:
        key, chance = draw.choice((*ADDED, *RAISED)), draw.random()
        if chance < 0.35:
            await self._read(worker, key, is_strong=chance < 0.2)
        elif key in ADDED:
            await self._add(worker, key)
        else:
            await self._raise(worker, key)

    def _call(self, key: str, action: Action, **more: Any) -> Call:
        return Call(key=key, action=action, invoked_at=self.clients.now, **more)

    async def _read(self, worker: int, key: str, *, is_strong: bool) -> bool:
        call = self._call(key, Action.READ, is_strong=is_strong)
        request = {"TableName": self.table, "Key": {"k": {"S": key}}, "ConsistentRead": is_strong}
        answer = await self.ask(worker, "GetItem", request)
        if answer.is_ok:
            self._told(call, _number_in(answer.body.get("Item")))
            (self._calls if is_strong else self._eventual).append(call)
        return answer.is_ok

    def _told(self, call: Call, number: str | None) -> None:
        call.returned_at, call.observed = self.clients.now, number
        if number is not None:
            self._seen[call.key] = number

    async def _add(self, worker: int, key: str) -> None:
        call = self._call(key, Action.ADD)
        request = {
            "TableName": self.table,
            "Key": {"k": {"S": key}},
            "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
            "ReturnValues": "UPDATED_NEW",
        }
        self._changed(call, await self.ask(worker, "UpdateItem", request))

    async def _raise(self, worker: int, key: str) -> None:
        """To the next number, if it is what was seen: an item that is not there counts as zero."""
        seen = self._seen.get(key)
        values = {":next": {"N": str(int(seen or "0") + 1)}}
        condition = "attribute_not_exists(n)"
        if seen is not None:
            values[":seen"], condition = {"N": seen}, "n = :seen"
        call = self._call(key, Action.SWAP_IF, expected=seen, value=values[":next"]["N"])
        request = {
            "TableName": self.table,
            "Key": {"k": {"S": key}},
            "UpdateExpression": "SET n = :next",
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        self._changed(call, await self.ask(worker, "UpdateItem", request))

    def _changed(self, call: Call, answer: Answer) -> None:
        if answer.outcome is Outcome.ERROR:
            raise self.violation(f"{call} was answered {answer.code}")
        if answer.outcome is Outcome.REFUSED:
            return
        if answer.is_ok:
            self._told(call, _number_in(answer.body.get("Attributes")))
            if call.action is Action.SWAP_IF:
                self._seen[call.key] = str(call.value)
        elif answer.outcome is Outcome.FAILED:
            call.failed = True
            self._told(call, _number_in(answer.body.get("Item")))
        self._calls.append(call)

    # ------------------------------------------------------------------ the end
    async def finish(self) -> None:
        """A strong read of every counter."""
        for number, key in enumerate((*ADDED, *RAISED)):
            while not await self._read(number, key, is_strong=True):
                pass

    def judge(self) -> None:
        """One order for each counter, and no eventual read of more than was asked for by then."""
        self.judge_keys(self._calls)
        for read in self._eventual:
            if read.observed is None:
                continue
            asked = [
                call
                for call in self._calls
                if call.key == read.key
                and call.action is not Action.READ
                and not call.failed
                and call.invoked_at <= read.returned_at
            ]
            if int(read.observed) > len(asked):
                raise self.violation(f"an eventual read shows more than {len(asked)} additions: {read}")

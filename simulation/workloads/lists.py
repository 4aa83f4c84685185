"""Lists that clients append to: what any read shows is the beginning of what is there in the end.

Law: an element that was acknowledged is in the list once, one that may have been appended at most once, a refused one
never; a strong read shows every element whose append had been answered before it began.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

from simulation.client import Outcome
from simulation.workloads.base import Workload, together

LISTS = tuple(f"l{number}" for number in range(3))
BURSTS = (1, 1, 2, 4)


@dataclass(slots=True)
class _Append:
    key: str
    element: str
    invoked_at: float
    # Infinite: it may have happened, then or later.
    returned_at: float = math.inf


@dataclass(slots=True)
class _Read:
    key: str
    elements: list[str]
    invoked_at: float
    returned_at: float
    is_strong: bool


class Lists(Workload):
    """The workload."""

    name = "lists"
    table = "lists"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._appends: list[_Append] = []
        self._reads: list[_Read] = []
        self._number = 0
        self._final: dict[str, list[str]] = {}

    async def setup(self) -> None:
        """A table."""
        await self.make_table(self.table, ("k",))

    async def step(self, worker: int, draw: random.Random) -> None:
        """A few requests at once."""
        await together(self._request(worker, draw) for _ in range(draw.choice(BURSTS)))

    async def _request(self, worker: int, draw: random.Random) -> None:
        key, chance = draw.choice(LISTS), draw.random()
        if chance < 0.4:
            await self._read(worker, key, is_strong=chance < 0.25)
        else:
            await self._append(worker, key)

    async def _append(self, worker: int, key: str) -> None:
        self._number += 1
        append = _Append(key, f"e{self._number}", self.clients.now)
        request = {
            "TableName": self.table,
            "Key": {"k": {"S": key}},
            "UpdateExpression": "SET l = list_append(if_not_exists(l, :none), :new)",
            "ExpressionAttributeValues": {":none": {"L": []}, ":new": {"L": [{"S": append.element}]}},
            "ReturnValues": "ALL_NEW",
        }
        answer = await self.ask(worker, "UpdateItem", request)
        if answer.outcome is Outcome.ERROR:
            raise self.violation(f"{append} was answered {answer.code}")
        if answer.outcome is Outcome.REFUSED:
            return
        self._appends.append(append)
        if answer.is_ok:
            append.returned_at = self.clients.now
            elements = _elements_in(answer.body["Attributes"])
            self._reads.append(_Read(key, elements, append.invoked_at, append.returned_at, is_strong=True))

    async def _read(self, worker: int, key: str, *, is_strong: bool) -> list[str] | None:
        began = self.clients.now
        request = {"TableName": self.table, "Key": {"k": {"S": key}}, "ConsistentRead": is_strong}
        answer = await self.ask(worker, "GetItem", request)
        if not answer.is_ok:
            return None
        elements = _elements_in(answer.body.get("Item", {}))
        self._reads.append(_Read(key, elements, began, self.clients.now, is_strong))
        return elements

    # ------------------------------------------------------------------ the end
    async def finish(self) -> None:
        """What is there in the end."""
        for number, key in enumerate(LISTS):
            elements = None
            while elements is None:
                elements = await self._read(number, key, is_strong=True)
            self._final[key] = elements

    def judge(self) -> None:
        """Everything that is said above."""
        for key, elements in self._final.items():
            appends = {append.element: append for append in self._appends if append.key == key}
            if len(set(elements)) != len(elements) or not set(elements) <= appends.keys():
                raise self.violation(f"list {key} holds what nobody appended, or something twice: {elements}")
            lost = [one for one in appends.values() if one.returned_at < math.inf and one.element not in elements]
            if lost:
                raise self.violation(f"list {key} lost {lost}")
            self._judge_order(key, [appends[element] for element in elements])
        for read in self._reads:
            self._judge_read(read)

    def _judge_order(self, key: str, appends: list[_Append]) -> None:
        """Nothing stands before what had been answered when it was asked for."""
        first_return = math.inf
        for append in reversed(appends):
            if append.invoked_at > first_return:
                raise self.violation(f"list {key}: {append} stands before one that was answered earlier")
            first_return = min(first_return, append.returned_at)

    def _judge_read(self, read: _Read) -> None:
        final = self._final[read.key]
        if read.elements != final[: len(read.elements)]:
            raise self.violation(f"{read} shows no beginning of {final}")
        invoked = {append.element: append.invoked_at for append in self._appends if append.key == read.key}
        if any(invoked[element] > read.returned_at for element in read.elements):
            raise self.violation(f"{read} shows what was appended later")
        if read.is_strong:
            answered = {
                append.element
                for append in self._appends
                if append.key == read.key and append.returned_at < read.invoked_at
            }
            if not answered <= set(read.elements):
                raise self.violation(f"{read} is not linearizable: it lacks {answered - set(read.elements)}")


def _elements_in(attributes: dict[str, Any]) -> list[str]:
    return [element["S"] for element in attributes.get("l", {}).get("L", ())]

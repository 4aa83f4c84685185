"""Registers: items that are put, deleted, swapped if they are as expected, and read strongly, eventually and by Query.

One table with two keys; all keys of a group are one item collection. Law: every key's history could be that of one
copy, and an eventual read shows only what somebody had written by then.
"""

from __future__ import annotations

import math
import random
from typing import Any

from histories.records import Action, Call
from simulation.client import Answer, Outcome
from simulation.workloads.base import Workload, together

# Collections whose hashes lie in both partitions.
COLLECTIONS = ("g0", "g1", "g2")
REGISTERS_PER_COLLECTION = 3
KEYS = tuple(f"{group}r{number}" for group in COLLECTIONS for number in range(REGISTERS_PER_COLLECTION))
# Neighbours differ in size.
_PADDING_STEP = 977
BURSTS = (1, 2, 4, 8)


def key_of(key: str) -> dict[str, Any]:
    """The key attributes of a register."""
    return {"g": {"S": key[:2]}, "k": {"S": key}}


def value_in(attributes: dict[str, Any] | None) -> str | None:
    """The value of a register; None: there is no item."""
    if not attributes:
        return None
    value: str = attributes["v"]["S"]
    return value


class Registers(Workload):
    """The workload."""

    name = "registers"
    table = "registers"
    # The letter of its values: `checks` knows what was committed by value alone, so no other may write the same.
    letter = "v"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.calls: list[Call] = []
        self.eventual: list[Call] = []
        self._value_number = 0
        self._last_values: dict[str, str] = {}

    async def setup(self) -> None:
        """A table."""
        await self.make_table(self.table, ("g", "k"))

    async def step(self, worker: int, draw: random.Random) -> None:
        """A few requests at once."""
        await together(self._request(worker, draw) for _ in range(draw.choice(BURSTS)))

    async def _request(self, worker: int, draw: random.Random) -> None:
        key, chance = draw.choice(KEYS), draw.random()
        if chance < 0.4:
            await self._read(worker, key, draw)
        elif chance < 0.45:
            await self._query(worker, key[:2], is_strong=draw.random() < 0.7)
        elif chance < 0.5:
            await self._write_batch(worker, draw.sample(KEYS, draw.randint(2, 4)))
        elif chance < 0.56:
            await self._delete(worker, key, sees_old=draw.random() < 0.5)
        else:
            await self._put(worker, key, draw)

    # ------------------------------------------------------------------ reads
    async def _read(self, worker: int, key: str, draw: random.Random) -> None:
        if draw.random() < 0.5:
            await together(self._get(worker + number, key, is_strong=True) for number in range(2))
        else:
            await self._get(worker, key, is_strong=draw.random() < 0.6)

    async def _get(self, worker: int, key: str, *, is_strong: bool) -> bool:
        call = self._call(key, Action.READ)
        request = {"TableName": self.table, "Key": key_of(key), "ConsistentRead": is_strong}
        answer = await self.ask(worker, "GetItem", request)
        if answer.is_ok:
            self._seen(call, value_in(answer.body.get("Item")), is_strong=is_strong)
        else:
            self.denied(answer, request)
        return answer.is_ok

    async def _query(self, worker: int, group: str, *, is_strong: bool) -> None:
        """All registers of a collection in one page: a read of each of them."""
        calls = [self._call(key, Action.READ) for key in KEYS if key[:2] == group]
        request = {
            "TableName": self.table,
            "KeyConditionExpression": "g = :g",
            "ExpressionAttributeValues": {":g": {"S": group}},
            "ConsistentRead": is_strong,
        }
        answer = await self.ask(worker, "Query", request)
        if not answer.is_ok:
            self.denied(answer, request)
            return
        found = {item["k"]["S"]: item for item in answer.body["Items"]}
        for call in calls:
            self._seen(call, value_in(found.get(call.key)), is_strong=is_strong)

    def _seen(self, call: Call, value: str | None, *, is_strong: bool) -> None:
        call.returned_at, call.observed, call.is_strong = self.clients.now, value, is_strong
        (self.calls if is_strong else self.eventual).append(call)
        if value is not None:
            self._last_values[call.key] = value

    # ------------------------------------------------------------------ writes
    def _call(self, key: str, action: Action, **more: Any) -> Call:
        return Call(key=key, action=action, invoked_at=self.clients.now, **more)

    def next_value(self) -> str:
        """One that nobody ever wrote."""
        self._value_number += 1
        return f"{self.letter}{self._value_number}"

    def item(self, key: str, value: str) -> dict[str, Any]:
        """The item of a register; how much it is padded follows from the value."""
        item = {**key_of(key), "v": {"S": value}}
        padding = int(value[1:]) * _PADDING_STEP % (self.scene.knobs.padding_bytes + 1)
        return {**item, "padding": {"S": "x" * padding}} if padding else item

    async def _put(self, worker: int, key: str, draw: random.Random) -> None:
        value, expected = self.next_value(), self._last_values.get(key)
        request: dict[str, Any] = {"TableName": self.table, "Item": self.item(key, value)}
        if expected is not None and draw.random() < 0.4:
            call = self._call(key, Action.SWAP_IF, value=value, expected=expected)
            request["ConditionExpression"] = "v = :expected"
            request["ExpressionAttributeValues"] = {":expected": {"S": expected}}
            request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        else:
            call = self._call(key, Action.PUT, value=value, sees_old=draw.random() < 0.3)
            if call.sees_old:
                request["ReturnValues"] = "ALL_OLD"
        self._wrote(call, await self.ask(worker, "PutItem", request), request)

    async def _delete(self, worker: int, key: str, *, sees_old: bool) -> None:
        call = self._call(key, Action.DELETE, sees_old=sees_old)
        request = {"TableName": self.table, "Key": key_of(key), "ReturnValues": "ALL_OLD" if sees_old else "NONE"}
        self._wrote(call, await self.ask(worker, "DeleteItem", request), request)

    def _wrote(self, call: Call, answer: Answer, request: dict[str, Any]) -> None:
        match answer.outcome:
            case Outcome.OK:
                call.returned_at = self.clients.now
                call.observed = value_in(answer.body.get("Attributes"))
                if call.value is not None:
                    self._last_values[call.key] = call.value
            case Outcome.FAILED:
                call.returned_at, call.failed = self.clients.now, True
                call.observed = value_in(answer.body.get("Item"))
            case Outcome.REFUSED:
                return
            case Outcome.UNKNOWN:
                pass
            case Outcome.ERROR:
                self.denied(answer, request)
                return
        self.calls.append(call)

    async def _write_batch(self, worker: int, keys: list[str]) -> None:
        """Puts of several items; what was not processed may have happened all the same."""
        calls = {key: self._call(key, Action.PUT, value=self.next_value()) for key in keys}
        puts = [{"PutRequest": {"Item": self.item(key, str(call.value))}} for key, call in calls.items()]
        request = {"RequestItems": {self.table: puts}}
        answer = await self.ask(worker, "BatchWriteItem", request)
        if answer.outcome is Outcome.REFUSED:
            return
        if answer.outcome is Outcome.ERROR:
            self.denied(answer, request)
            return
        left = answer.body.get("UnprocessedItems", {}).get(self.table, puts if not answer.is_ok else [])
        unknown = {put["PutRequest"]["Item"]["k"]["S"] for put in left}
        for key, call in calls.items():
            if key not in unknown:
                call.returned_at = self.clients.now
            self.calls.append(call)

    def denied(self, answer: Answer, request: dict[str, Any]) -> None:
        """A request was refused for good, though the table was there all the time. Raises Violation."""
        if answer.outcome is Outcome.ERROR:
            raise self.violation(f"{request} was answered {answer.code}")

    # ------------------------------------------------------------------ the end
    async def finish(self) -> None:
        """A strong read of every key is part of the history: it must find what was acknowledged."""
        for number, key in enumerate(KEYS):
            while not await self._get(number, key, is_strong=True):
                pass

    def judge(self) -> None:
        """One order for each key, and no eventual read of what nobody had written."""
        self.judge_keys(self.calls)
        written: dict[str, dict[str | None, float]] = {}
        for call in self.calls:
            if call.value is not None and not call.failed:
                written.setdefault(call.key, {})[call.value] = call.invoked_at
        for read in self.eventual:
            since = written.get(read.key, {}).get(read.observed)
            if read.observed is not None and (since is None or since > read.returned_at):
                raise self.violation(f"an eventual read shows what nobody had written: {read}")
            if read.observed is not None:
                # Nobody else would notice: a write that was never committed is one whose outcome is unknown.
                committed_at = self.scene.checks.committed_at.get(read.observed.encode(), math.inf)
                if committed_at > read.returned_at:
                    raise self.violation(f"an eventual read shows what was not committed by then: {read}")

"""Banks: one item each, whose attributes are accounts; money moves between two of them if there is enough.

Law: every read of the whole item, strong or eventual, shows the same total and no debt; transfers that were
acknowledged are seen by later strong reads.
"""

from __future__ import annotations

import random
from typing import Any

from simulation.client import Outcome
from simulation.workloads.base import Workload, together

BANKS = tuple(f"b{number}" for number in range(3))
ACCOUNTS = tuple(f"a{number}" for number in range(4))
OPENING_BALANCE = 20
TRANSFER_MAX = 15
BURSTS = (1, 1, 2, 4)


class Bank(Workload):
    """The workload."""

    name = "bank"
    table = "banks"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # Of each bank: acknowledged transfers, those that may have happened, and the counter of transfers seen last.
        self._done = dict.fromkeys(BANKS, 0)
        self._unknown = dict.fromkeys(BANKS, 0)
        self._final: dict[str, int] = {}

    async def setup(self) -> None:
        """A table, and every bank opened once."""
        await self.make_table(self.table, ("k",))
        accounts = {account: {"N": str(OPENING_BALANCE)} for account in ACCOUNTS}
        for bank in BANKS:
            item = {"k": {"S": bank}, **accounts, "transfers": {"N": "0"}}
            # Only once: a first try that seemed lost may happen when money has moved already.
            request = {"TableName": self.table, "Item": item, "ConditionExpression": "attribute_not_exists(k)"}
            await self.insist("PutItem", request, lambda answer: answer.is_ok or answer.outcome is Outcome.FAILED)

    async def step(self, worker: int, draw: random.Random) -> None:
        """A few requests at once."""
        await together(self._request(worker, draw) for _ in range(draw.choice(BURSTS)))

    async def _request(self, worker: int, draw: random.Random) -> None:
        bank, chance = draw.choice(BANKS), draw.random()
        if chance < 0.45:
            await self._read(worker, bank, is_strong=chance < 0.2)
        else:
            payer, payee = draw.sample(ACCOUNTS, 2)
            await self._transfer(worker, bank, payer, payee, draw.randint(1, TRANSFER_MAX))

    async def _transfer(self, worker: int, bank: str, payer: str, payee: str, amount: int) -> None:
        request = {
            "TableName": self.table,
            "Key": {"k": {"S": bank}},
            "UpdateExpression": f"SET {payer} = {payer} - :n, {payee} = {payee} + :n ADD transfers :one",
            "ConditionExpression": f"{payer} >= :n",
            "ExpressionAttributeValues": {":n": {"N": str(amount)}, ":one": {"N": "1"}},
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        answer = await self.ask(worker, "UpdateItem", request)
        match answer.outcome:
            case Outcome.OK:
                self._done[bank] += 1
                self._check(bank, answer.body["Attributes"])
            case Outcome.FAILED:
                item = answer.body["Item"]
                self._check(bank, item)
                if int(item[payer]["N"]) >= amount:
                    raise self.violation(f"a transfer of {amount} from {payer} failed though there is enough: {item}")
            case Outcome.UNKNOWN:
                self._unknown[bank] += 1
            case Outcome.ERROR:
                raise self.violation(f"{request} was answered {answer.code}")

    async def _read(self, worker: int, bank: str, *, is_strong: bool) -> int | None:
        """The number of transfers that the item counts; None when there is no answer."""
        done_before = self._done[bank]
        request = {"TableName": self.table, "Key": {"k": {"S": bank}}, "ConsistentRead": is_strong}
        answer = await self.ask(worker, "GetItem", request)
        if not answer.is_ok:
            return None
        item = answer.body.get("Item")
        if item is None:
            if is_strong:
                raise self.violation(f"bank {bank} is gone")
            return None  # a replica that has not heard of its opening
        self._check(bank, item)
        transfers = int(item["transfers"]["N"])
        if is_strong and transfers < done_before:
            raise self.violation(
                f"a strong read of {bank} is not linearizable: {transfers} transfers, {done_before} were answered"
            )
        return transfers

    def _check(self, bank: str, item: dict[str, Any]) -> None:
        balances = [int(item[account]["N"]) for account in ACCOUNTS]
        if sum(balances) != OPENING_BALANCE * len(ACCOUNTS) or min(balances) < 0:
            raise self.violation(f"the money in {bank} is not what it was: {item}")

    # ------------------------------------------------------------------ the end
    async def finish(self) -> None:
        """How many transfers each bank counts."""
        for number, bank in enumerate(BANKS):
            transfers = None
            while transfers is None:
                transfers = await self._read(number, bank, is_strong=True)
            self._final[bank] = transfers

    def judge(self) -> None:
        """Transfers that were acknowledged happened once, those with an unknown end at most once."""
        for bank, transfers in self._final.items():
            least, most = self._done[bank], self._done[bank] + self._unknown[bank]
            if not least <= transfers <= most:
                raise self.violation(f"{bank} is not linearizable: {transfers} transfers, not {least} to {most}")

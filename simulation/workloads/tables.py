"""Tables that come and go: each worker makes one, writes, drops it and makes another of the same name, again and again.

Law: a strong read never shows an item of a table that is gone, whatever its name is now; while a table is ACTIVE every
router serves it; what was acknowledged in it is there; nothing of a dropped table remains on any disk.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from histories.records import Action, Call
from simulation.client import Answer, Outcome
from simulation.process import newest_catalog
from simulation.workloads.base import Workload, is_active, key_schema, table_shape
from wire import catalog_pb2

KEYS = tuple(f"k{number}" for number in range(4))
# What a worker does with a table before it drops it.
STEPS_MIN, STEPS_MAX = 4, 10
# Between two looks at a table that comes or goes, in a cluster of pace 1.
_LOOK_S = 0.1
_NOT_FOUND = "ResourceNotFound"
_INDEX = {
    "IndexName": "by-text",
    "KeySchema": key_schema(("text",)),
    "Projection": {"ProjectionType": "KEYS_ONLY"},
}


def _shows(answer: Answer, table_id: str) -> bool:
    """Whether DescribeTable shows this very table, ACTIVE."""
    return is_active(answer) and answer.body["Table"]["TableId"] == table_id


@dataclass(slots=True)
class _Owned:
    """A worker's table."""

    name: str
    # How many tables of this name were there before; part of every item.
    generation: int = 0
    is_active: bool = False
    steps_left: int = 0
    # A router may still be about to put something under this name, whichever table has it by then.
    has_open_writes: bool = False


class Tables(Workload):
    """The workload."""

    name = "tables"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._owned: dict[int, _Owned] = {}
        self._number = 0
        self._calls: list[Call] = []

    async def setup(self) -> None:
        """Nothing: making tables is the work."""

    def _new(self, worker: int) -> _Owned:
        """A name that nobody used: what was asked of the last one may still happen to it, at any time."""
        self._number += 1
        return _Owned(f"table-{worker}-{self._number}")

    async def step(self, worker: int, draw: random.Random) -> None:
        """The next thing in the life of the worker's table."""
        owned = self._owned.setdefault(worker, self._new(worker))
        if not owned.is_active:
            await self._create(worker, owned, draw)
        elif owned.steps_left == 0:
            await self._drop(worker, owned)
        else:
            owned.steps_left -= 1
            await self._use(worker, owned, draw)

    # ------------------------------------------------------------------ coming and going
    async def _create(self, worker: int, owned: _Owned, draw: random.Random) -> None:
        request = {"TableName": owned.name, **table_shape(("k",))}
        if draw.random() < 0.3:
            request["AttributeDefinitions"].append({"AttributeName": "text", "AttributeType": "S"})
            request["GlobalSecondaryIndexes"] = [_INDEX]
        answer = await self.ask(worker, "CreateTable", request)
        if answer.outcome is Outcome.REFUSED:
            return
        if answer.outcome is Outcome.UNKNOWN:
            self._owned[worker] = self._new(worker)
            return
        if not answer.is_ok:
            raise self.violation(f"table {owned.name} is not there, and was not made: {answer.code}")
        table_id = answer.body["TableDescription"]["TableId"]
        # A router may not have heard of the drop of the table that had this name before: DescribeTable shows that one.
        while not _shows(await self.ask(worker, "DescribeTable", {"TableName": owned.name}), table_id):
            if not self.is_working:
                return
            await asyncio.sleep(_LOOK_S * self.scene.knobs.pace)
        owned.is_active = True
        owned.generation += 1
        owned.steps_left = draw.randint(STEPS_MIN, STEPS_MAX)

    async def _drop(self, worker: int, owned: _Owned) -> None:
        answer = await self.ask(worker, "DeleteTable", {"TableName": owned.name})
        if answer.outcome is Outcome.REFUSED:
            return
        if answer.outcome is Outcome.UNKNOWN:
            self._owned[worker] = self._new(worker)
            return
        self._check_served(owned, answer)
        owned.is_active = False
        while True:
            answer = await self.ask(worker, "DescribeTable", {"TableName": owned.name})
            if _NOT_FOUND in answer.code:
                if owned.has_open_writes:
                    self._owned[worker] = self._new(worker)
                return
            if not self.is_working:
                self._owned[worker] = self._new(worker)
                return
            await asyncio.sleep(_LOOK_S * self.scene.knobs.pace)

    # ------------------------------------------------------------------ in between
    async def _use(self, worker: int, owned: _Owned, draw: random.Random) -> None:
        key, chance = draw.choice(KEYS), draw.random()
        if chance < 0.4:
            await self._put(worker, owned, [key])
        elif chance < 0.5:
            await self._put(worker, owned, draw.sample(KEYS, 3))
        elif chance < 0.6:
            await self._delete(worker, owned, key)
        elif chance < 0.8:
            await self._get(worker, owned, key, is_strong=draw.random() < 0.7)
        else:
            await self._scan(worker, owned, is_strong=draw.random() < 0.7)

    def _check_served(self, owned: _Owned, answer: Answer) -> None:
        if answer.outcome is Outcome.ERROR:
            raise self.violation(f"table {owned.name} is ACTIVE and was answered {answer.code}")

    def _call(self, owned: _Owned, key: str, action: Action, value: str | None = None) -> Call:
        name = f"{owned.name}/{owned.generation}/{key}"
        return Call(key=name, action=action, invoked_at=self.clients.now, value=value)

    async def _put(self, worker: int, owned: _Owned, keys: list[str]) -> None:
        self._number += 1
        text = f"{owned.generation}.{self._number}"
        items = {key: {"k": {"S": key}, "text": {"S": text}} for key in keys}
        calls = {key: self._call(owned, key, Action.PUT, text) for key in keys}
        if len(keys) == 1:
            answer = await self.ask(worker, "PutItem", {"TableName": owned.name, "Item": items[keys[0]]})
        else:
            puts = [{"PutRequest": {"Item": item}} for item in items.values()]
            answer = await self.ask(worker, "BatchWriteItem", {"RequestItems": {owned.name: puts}})
        left = answer.body.get("UnprocessedItems", {}).get(owned.name, [])
        unknown = {put["PutRequest"]["Item"]["k"]["S"] for put in left}
        for key in keys:
            self._wrote(owned, calls[key], answer, is_known=key not in unknown)

    async def _delete(self, worker: int, owned: _Owned, key: str) -> None:
        call = self._call(owned, key, Action.DELETE)
        request = {"TableName": owned.name, "Key": {"k": {"S": key}}}
        self._wrote(owned, call, await self.ask(worker, "DeleteItem", request), is_known=True)

    def _wrote(self, owned: _Owned, call: Call, answer: Answer, *, is_known: bool) -> None:
        self._check_served(owned, answer)
        if answer.outcome is not Outcome.REFUSED:
            if answer.is_ok and is_known:
                call.returned_at = self.clients.now
            else:
                owned.has_open_writes = True
            self._calls.append(call)

    async def _get(self, worker: int, owned: _Owned, key: str, *, is_strong: bool) -> None:
        call = self._call(owned, key, Action.READ)
        request = {"TableName": owned.name, "Key": {"k": {"S": key}}, "ConsistentRead": is_strong}
        answer = await self.ask(worker, "GetItem", request)
        self._check_served(owned, answer)
        if answer.is_ok:
            self._read(owned, call, answer.body.get("Item"), is_strong=is_strong)

    async def _scan(self, worker: int, owned: _Owned, *, is_strong: bool) -> None:
        calls = [(key, self._call(owned, key, Action.READ)) for key in KEYS]
        answer = await self.ask(worker, "Scan", {"TableName": owned.name, "ConsistentRead": is_strong})
        self._check_served(owned, answer)
        if answer.is_ok:
            found = {item["k"]["S"]: item for item in answer.body["Items"]}
            for key, call in calls:
                self._read(owned, call, found.get(key), is_strong=is_strong)

    def _read(self, owned: _Owned, call: Call, item: dict[str, Any] | None, *, is_strong: bool) -> None:
        call.returned_at = self.clients.now
        call.observed = item["text"]["S"] if item is not None else None
        generation = int(call.observed.partition(".")[0]) if call.observed is not None else owned.generation
        # A replica and a router that are cut off from the others may both not have heard of the drop.
        if generation > owned.generation or (is_strong and generation < owned.generation):
            raise self.violation(f"{owned.name}, the {owned.generation}. of its name, shows an item of another: {call}")
        if is_strong:
            self._calls.append(call)

    # ------------------------------------------------------------------ the end
    def _catalog(self) -> catalog_pb2.Catalog:
        catalog = newest_catalog(self.scene.machines.values())
        assert catalog is not None, "a cluster without a catalog would have made no tables"
        return catalog

    def unrest(self) -> str:
        """Whether a table still comes or goes."""
        for table in self._catalog().tables:
            if table.state != catalog_pb2.TABLE_ACTIVE:
                return f"table {table.name} is in state {table.state}"
        return ""

    async def finish(self) -> None:
        """A strong read of what is there in every table, and no trace of those that are gone in what is listed."""
        for worker, owned in self._owned.items():
            if not owned.is_active:
                continue
            for key in KEYS:
                request = {"TableName": owned.name, "Key": {"k": {"S": key}}, "ConsistentRead": True}
                call = self._call(owned, key, Action.READ)
                answer = await self.insist("GetItem", request, lambda answer: answer.outcome is not Outcome.REFUSED)
                self._check_served(owned, answer)
                if answer.is_ok:
                    self._read(owned, call, answer.body.get("Item"), is_strong=True)
            await self._scan(worker, owned, is_strong=False)

    def judge(self) -> None:
        """Each table's items have a history of one copy; of tables that are gone nothing is left."""
        self.judge_keys(self._calls)
        catalog = self._catalog()
        living = {table.table_id for table in catalog.tables}
        living.update(index.index_id for table in catalog.tables for index in table.indexes)
        for process in self.scene.processes():
            for state in process.data_states().values():
                for table_id in sorted(set(range(1, catalog.next_table_id)) - living):
                    left = list(state.rows_after(table_id, b""))
                    if left:
                        raise self.violation(f"{process.node_id} holds rows of table {table_id}, which is gone: {left}")

"""Indexes: registers in a table with local and global indexes, more of them added, dropped and added again meanwhile.

Law: what the rows of an index must be follows from the items of all partitions and the definitions alone
(simulation.index_rows); the moment an index counts as filled only later writes may be on their way to it.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from histories.records import Action, Call
from node.machine.state import PartitionState
from simulation.client import Answer
from simulation.index_rows import differences_of, entries_waiting, rows_lacking
from simulation.workloads.base import key_schema
from simulation.workloads.registers import Registers, value_in
from wire import catalog_pb2

# Times of a cluster of pace 1, in seconds. From when clients begin to write:
ADDED_AFTER_S = (0.5, 4.0)
DROPPED_AFTER_S = (0.0, 0.3)
# An index that is added when clients are about to stop: what its backfill overlooks nobody writes again.
ADDED_LAST_BEFORE_S = (0.0, 0.03)
CHECK_INTERVAL_S = 0.05
BY_VALUE = "by-value"


def _added(name: str) -> dict[str, Any]:
    """An index whose entries stay where they are and change."""
    projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["v"]}
    return {"IndexName": name, "KeySchema": key_schema(("k", "g")), "Projection": projection}


def _text(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": "S"} for name in names]


class Indexes(Registers):
    """The workload."""

    name = "indexes"
    table = "indexed"
    letter = "w"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # Indexes that people wanted to be there in the end, and whether those who ask for them have been answered.
        self._added_names: set[str] = set()
        self._changes: list[asyncio.Task[None]] = []
        # Ids of every index of the table that a catalog ever showed; those that were seen filled.
        self._known: dict[int, catalog_pb2.Index] = {}
        self._filled: set[int] = set()
        self._found_at_end: dict[str, str] = {}

    async def setup(self) -> None:
        """A table with a local index, and a global one whose entries move from partition to partition."""
        local = {
            "IndexName": "by-value-local",
            "KeySchema": key_schema(("g", "v")),
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
        moving = {"IndexName": BY_VALUE, "KeySchema": key_schema(("v",)), "Projection": {"ProjectionType": "ALL"}}
        await self.make_table(
            self.table,
            ("g", "k"),
            AttributeDefinitions=_text("g", "k", "v"),
            LocalSecondaryIndexes=[local],
            GlobalSecondaryIndexes=[moving],
        )

    # ------------------------------------------------------------------ indexes that come and go
    def start(self) -> None:
        """Begin to write, and to change indexes."""
        super().start()
        self._look()
        if self.scene.knobs.adds_index:
            self._begin(self._change_indexes())

    def writes_end_in(self, seconds: float) -> None:
        """One more index, at the last moment."""
        if self.scene.knobs.adds_index:
            early_s = self._scaled(ADDED_LAST_BEFORE_S)
            self._begin(self._add("by-key-last", max(0.0, seconds - early_s)))

    def _begin(self, change: Any) -> None:
        self._changes.append(asyncio.get_running_loop().create_task(change))

    def _scaled(self, bounds: tuple[float, float]) -> float:
        return self.draw.uniform(*bounds) * self.scene.knobs.pace

    async def _change_indexes(self) -> None:
        await self._add("by-key", self._scaled(ADDED_AFTER_S))
        if self.scene.knobs.drops_index:
            await asyncio.sleep(self._scaled(DROPPED_AFTER_S))
            self._added_names.discard("by-key")
            await self._update({"Delete": {"IndexName": "by-key"}}, "ResourceNotFound")
            # The same in the stead of the one that was dropped, which clients write to as they do to the dropped one.
            await self._add("by-key-again", 0.0)

    async def _add(self, name: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self._added_names.add(name)
        await self._update({"Create": _added(name)}, "already exist")

    async def _update(self, change: dict[str, Any], done_already: str) -> None:
        """Ask until it is accepted, or was before: an answer may have been lost."""
        request = {
            "TableName": self.table,
            "AttributeDefinitions": _text("g", "k", "v"),
            "GlobalSecondaryIndexUpdates": [change],
        }

        def enough(answer: Answer) -> bool:
            return answer.is_ok or done_already in answer.code

        await self.insist("UpdateTable", request, enough)

    async def step(self, worker: int, draw: random.Random) -> None:
        """What is done with registers, and now and then a look into an index."""
        if draw.random() < 0.1:
            await self._query_index(worker, draw)
        else:
            await super().step(worker, draw)

    async def _query_index(self, worker: int, draw: random.Random) -> None:
        if not self._last_values:
            return
        value = draw.choice(sorted(self._last_values.values()))
        request = {
            "TableName": self.table,
            "IndexName": BY_VALUE,
            "KeyConditionExpression": "v = :v",
            "ExpressionAttributeValues": {":v": {"S": value}},
        }
        began = self.clients.now
        answer = await self.ask(worker, "Query", request)
        self.denied(answer, request)
        for item in answer.body.get("Items", ()):
            call = Call(key=item["k"]["S"], action=Action.READ, invoked_at=began, is_strong=False)
            call.returned_at, call.observed = self.clients.now, value_in(item)
            self.eventual.append(call)

    # ------------------------------------------------------------------ the moment an index is filled
    def _look(self) -> None:
        """Once every partition says that an index is filled, a row may lack only as a later write is on its way."""
        states = self._newest_states()
        table = self._newest_table()
        if states is not None and table is not None:
            for index in table.indexes:
                self._known.setdefault(index.index_id, index)
                self._check_filled(index, table.table_id, states)
        self.clients.later(CHECK_INTERVAL_S * self.scene.knobs.pace, self._look)

    def _check_filled(self, index: catalog_pb2.Index, table_id: int, states: dict[int, PartitionState]) -> None:
        index_id = index.index_id
        if index_id in self._filled or index.name not in self._added_names:
            return
        if not all(state.is_backfilled(index_id) for state in states.values()):
            return
        self._filled.add(index_id)
        on_its_way = entries_waiting(states.values(), index_id)
        lacking = [key for key in rows_lacking(index, states, table_id) if key not in on_its_way]
        if lacking:
            raise self.violation(f"index {index.name!r} is filled and differs from the items: {lacking[:5]}")

    def _newest_table(self) -> catalog_pb2.Table | None:
        catalogs = [process.host.catalog for process in self.scene.processes()]
        known = [catalog for catalog in catalogs if catalog is not None]
        newest = max(known, key=lambda catalog: catalog.version, default=None)
        tables = newest.tables if newest is not None else ()
        return next((table for table in tables if table.name == self.table), None)

    def _newest_states(self) -> dict[int, PartitionState] | None:
        """What the leaders have applied; None while one may have been deposed, or there may be a newer one."""
        hosts = [process.host for process in self.scene.processes()]
        if len(hosts) < self.scene.knobs.machines:
            return None
        states = {}
        for group_id in self.scene.knobs.groups:
            holders = [host.partitions[group_id] for host in hosts if group_id in host.partitions]
            newest = max(holders, key=lambda one: (one.group.term, one.group.is_ready_leader))
            if not newest.group.is_ready_leader:
                return None
            states[group_id] = newest.state
        return states

    # ------------------------------------------------------------------ the end
    def unrest(self) -> str:
        """Whether people still change indexes, or the cluster still builds or feeds them."""
        if not all(task.done() for task in self._changes):
            return "changes of indexes are not accepted"
        table = self._newest_table()
        if table is None:
            return "the indexed table is not there"
        by_name = {index.name: index for index in table.indexes}
        for name in sorted(self._added_names):
            if name not in by_name:
                return f"index {name} is not there"
        for index in table.indexes:
            if index.state != catalog_pb2.INDEX_ACTIVE:
                return f"index {index.name} is in state {index.state}"
        for process in self.scene.processes():
            for group_id, partition in process.host.partitions.items():
                backlog = partition.index_backlog
                if backlog:
                    return f"group {group_id} on {process.node_id} has {backlog} changes to feed"
        return ""

    async def finish(self) -> None:
        """Every register, and every row of an index as a client sees it."""
        await super().finish()
        request: dict[str, Any] = {"TableName": self.table, "IndexName": BY_VALUE}
        while True:
            answer = await self.insist("Scan", request, lambda answer: answer.is_ok)
            for item in answer.body["Items"]:
                self._found_at_end[item["k"]["S"]] = item["v"]["S"]
            if "LastEvaluatedKey" not in answer.body:
                return
            request["ExclusiveStartKey"] = answer.body["LastEvaluatedKey"]

    def judge(self) -> None:
        """Every row of every index is what the items say, and no other. All replicas are equal: one is enough."""
        table = self._newest_table()
        assert table is not None, "at rest it is there"
        processes = self.scene.processes()
        states = {group_id: state for process in processes for group_id, state in process.data_states().items()}
        differences = differences_of(table.indexes, states, table.table_id)
        if differences:
            raise self.violation("; ".join(differences))
        gone = self._known.keys() - {index.index_id for index in table.indexes}
        for process in processes:
            for state in process.data_states().values():
                for index_id in sorted(gone):
                    left = list(state.rows_after(index_id, b""))
                    if left:
                        raise self.violation(f"{process.node_id} holds rows of a dropped index: {left[:5]}")
        super().judge()
        # The last read of each key is that of `finish`.
        last = {call.key: call.observed for call in self.calls if call.action is Action.READ}
        expected = {key: value for key, value in last.items() if value is not None}
        if self._found_at_end != expected:
            raise self.violation(f"a scan of the index shows {self._found_at_end}, the table {expected}")

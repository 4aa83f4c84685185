"""A workload: what it sets up, what its workers do while things break, what must be true of all that they were told.

Driven by simulation.run: `setup` before the first fault, `work` again and again, `finish` and `judge` when the cluster
is at rest. Law: a workload speaks DynamoDB to routers; only what it checks at rest may look into nodes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from histories.linearizability import Verdict, examine
from histories.records import Call
from simulation.checks import Checks
from simulation.client import Answer, Clients, Outcome
from simulation.knobs import ROUTERS, Knobs
from simulation.process import Machine, Process
from simulation.world import World

WORKERS = 4
# How often setting up is tried again while the cluster is not there yet, in seconds of a cluster of pace 1.
_AGAIN_S = 0.2
_ON_DEMAND = {"BillingMode": "PAY_PER_REQUEST"}
_SLEEP = asyncio.sleep
# Answered when they have had their effect.
_SLOW_ACTIONS = frozenset(("CreateTable", "DeleteTable", "UpdateTable"))


@dataclass(frozen=True, slots=True)
class Scene:
    """What every workload of a run is given."""

    world: World
    knobs: Knobs
    clients: Clients
    machines: dict[str, Machine]
    checks: Checks

    def processes(self) -> list[Process]:
        """The node processes that run."""
        return [machine.process for machine in self.machines.values() if machine.process is not None]


class Workload:
    """The parts that all workloads share."""

    name = ""

    def __init__(self, scene: Scene, pause_s: float) -> None:
        self.scene = scene
        self.clients = scene.clients
        self.draw = scene.world.random_stream(f"workload/{self.name}")
        self.is_working = False
        self.undecided = 0
        self._pause_s = pause_s
        self._workers: list[asyncio.Task[None]] = []

    # ------------------------------------------------------------------ to be said by each
    async def setup(self) -> None:
        """Make what the workers need, however often it has to be asked for."""
        raise NotImplementedError

    async def step(self, worker: int, draw: random.Random) -> None:
        """What one worker does next."""
        raise NotImplementedError

    def writes_end_in(self, seconds: float) -> None:
        """Workers go on for `seconds` only, without faults."""

    def unrest(self) -> str:
        """What is not done yet; empty: nothing."""
        return ""

    async def finish(self) -> None:
        """Read what there is, for the judgement."""

    def judge(self) -> None:
        """Everything that clients were told, and what is left. Raises Violation."""
        raise NotImplementedError

    # ------------------------------------------------------------------ workers
    def start(self) -> None:
        """Let workers work until `stop`."""
        self.is_working = True
        loop = asyncio.get_running_loop()
        self._workers = [
            loop.create_task(self._work(number, self.scene.world.random_stream(f"{self.name}/{number}")))
            for number in range(WORKERS)
        ]

    async def _work(self, number: int, draw: random.Random) -> None:
        while self.is_working:
            await _SLEEP(draw.expovariate(1 / self._pause_s))
            if self.is_working:
                await self.step(number, draw)

    def stop(self) -> None:
        """Workers end what they have under way and begin nothing."""
        self.is_working = False

    @property
    def waiting(self) -> int:
        """Workers that are not done."""
        return sum(not task.done() for task in self._workers)

    # ------------------------------------------------------------------ requests
    async def ask(self, worker: int, action: str, request: dict[str, Any]) -> Answer:
        """One request of a worker, mostly to the router in its zone."""
        router_id = self.clients.choose_router(self.draw, ROUTERS[worker % len(ROUTERS)])
        patience_s = self.scene.knobs.client_timeout_s * (4 if action in _SLOW_ACTIONS else 1)
        answer = await self.clients.ask(router_id, action, request, patience_s)
        if action in ("GetItem", "Query", "Scan") and answer.outcome is Outcome.UNKNOWN and "Internal" in answer.code:
            raise self.scene.world.violation(f"a read was answered {answer.code}: {action} {request}")
        return answer

    async def insist(self, action: str, request: dict[str, Any], enough: Callable[[Answer], bool]) -> Answer:
        """Ask, in turn of all routers, until an answer is enough; the run's own bound ends what never is."""
        while True:
            for router_id in ROUTERS:
                answer = await self.clients.ask(router_id, action, request)
                if enough(answer):
                    return answer
            await _SLEEP(_AGAIN_S * self.scene.knobs.pace)

    async def make_table(self, name: str, keys: tuple[str, ...], **more: Any) -> None:
        """Create a table with text keys, and wait until it is ACTIVE."""
        request = {"TableName": name, **table_shape(keys), **more}
        await self.insist("CreateTable", request, lambda answer: answer.is_ok or "InUse" in answer.code)
        await self.insist("DescribeTable", {"TableName": name}, is_active)

    # ------------------------------------------------------------------ judging
    def violation(self, what: str) -> Exception:
        """What to raise when clients were told what cannot be."""
        return self.scene.world.violation(f"{self.name}: {what}")

    def judge_keys(self, calls: Iterable[Call]) -> None:
        """Every key's history could be that of one copy."""
        by_key: dict[str, list[Call]] = {}
        for call in calls:
            by_key.setdefault(call.key, []).append(call)
        for key, of_key in sorted(by_key.items()):
            judgement = examine(of_key)
            if judgement.verdict is Verdict.VIOLATED:
                raise self.violation(f"key {key} is not linearizable: {judgement.text()}")
            self.undecided += judgement.verdict is Verdict.UNDECIDED


def table_shape(keys: tuple[str, ...]) -> dict[str, Any]:
    """The members of CreateTable that say what the key is: one or two texts."""
    return {
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in keys],
        "KeySchema": key_schema(keys),
        **_ON_DEMAND,
    }


def key_schema(keys: tuple[str, ...]) -> list[dict[str, str]]:
    """A KeySchema of these attributes."""
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(keys, ("HASH", "RANGE"), strict=False)]


def is_active(answer: Answer) -> bool:
    """Whether DescribeTable shows a table that is ACTIVE, with all its indexes."""
    if not answer.is_ok:
        return False
    table = answer.body["Table"]
    indexes = table.get("GlobalSecondaryIndexes", ())
    return table["TableStatus"] == "ACTIVE" and all(index["IndexStatus"] == "ACTIVE" for index in indexes)


def together(work: Iterable[Awaitable[Any]]) -> Awaitable[list[Any]]:
    """Requests that leave at the same moment."""
    return asyncio.gather(*work)

"""Clients of the simulation: DynamoDB requests to routers, without retries, and what became of them.

Used by simulation.workloads. Law: what a client concludes from an answer is what any SDK's user must: a 500, a broken
connection and silence mean that a write may have happened; throttling and a 503 mean that it has not.
"""

from __future__ import annotations

import asyncio
import enum
import random
from typing import Any, NamedTuple

import orjson

from dynamo.errors import DynamoError
from dynamo.keys import KeyAttribute, KeySchema
from simulation.knobs import Knobs
from simulation.life import Life
from simulation.router import Reply, RouterMachine
from simulation.table import ring_over
from simulation.world import World
from topology.ring import HASH_BYTES, PartitionRing

_LATENCY_S = (0.0002, 0.002)
_REFUSALS = frozenset(("ServiceUnavailable", "ThrottlingException", "ProvisionedThroughputExceededException"))


class Outcome(enum.Enum):
    """What a client knows after its request."""

    OK = "ok"
    FAILED = "failed"  # the condition did not hold
    REFUSED = "refused"  # nothing happened
    UNKNOWN = "unknown"  # it may have happened
    ERROR = "error"  # any other refusal, by `code`: nothing happened


class Answer(NamedTuple):
    """The end of a request."""

    outcome: Outcome
    body: dict[str, Any]
    code: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether it is known to have happened."""
        return self.outcome is Outcome.OK


_SILENCE = Answer(Outcome.UNKNOWN, {}, "no answer")
_BROKEN = Answer(Outcome.UNKNOWN, {}, "connection broke")
_NOBODY = Answer(Outcome.REFUSED, {}, "nobody listens")


def _answer_of(reply: Reply) -> Answer:
    if reply is None:
        return _BROKEN
    if isinstance(reply, bytes):
        return Answer(Outcome.OK, orjson.loads(reply))
    return _answer_of_error(reply)


def _answer_of_error(error: DynamoError) -> Answer:
    members = {name: orjson.loads(encoded) for name, encoded in error.members.items()}
    if error.code == "ConditionalCheckFailedException":
        return Answer(Outcome.FAILED, members, error.code)
    if error.code in _REFUSALS:
        return Answer(Outcome.REFUSED, members, error.code)
    if error.status >= 500:
        return Answer(Outcome.UNKNOWN, members, error.code)
    return Answer(Outcome.ERROR, members, f"{error.code}: {error.message}")


class _WorldClock:
    """The clock of clients is the world's."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> float:
        """Seconds of the run."""
        return self._world.now

    def wall_ms(self) -> int:
        """Clients stamp nothing."""
        return 0


class Clients(Life):
    """The process that all clients run in. It never breaks."""

    def __init__(self, world: World, knobs: Knobs, routers: dict[str, RouterMachine]) -> None:
        super().__init__("clients", world, world.random_stream("clients"), _WorldClock(world))
        self.answered = 0
        self.refused = 0
        self.unknown = 0
        self.asked = 0
        self._routers = routers
        self._timeout_s = knobs.client_timeout_s
        self._ring = ring_over(knobs.groups)

    @property
    def now(self) -> float:
        """Virtual seconds since the run began."""
        return self._world.now

    def choose_router(self, draw: random.Random, home: str) -> str:
        """Mostly the one in the client's own zone."""
        return home if draw.random() < 0.7 else draw.choice(list(self._routers))

    async def ask(self, router_id: str, action: str, request: dict[str, Any], timeout_s: float | None = None) -> Answer:
        """Send one request and wait for its answer, or until the client loses patience."""
        self.asked += 1
        answer = await self._ask(router_id, action, request, timeout_s or self._timeout_s)
        self.answered += answer.outcome not in (Outcome.REFUSED, Outcome.UNKNOWN)
        self.refused += answer.outcome is Outcome.REFUSED
        self.unknown += answer.outcome is Outcome.UNKNOWN
        text = answer.code or answer.outcome.value
        self._world.witness(text.encode() + orjson.dumps(answer.body))
        if self._world.story is not None:
            key, group = _place_of(request, self._ring)
            self._world.tell("{} {} {}: {} {}", router_id, action, request, text, answer.body, key=key, group=group)
        return answer

    async def _ask(self, router_id: str, action: str, request: dict[str, Any], timeout_s: float) -> Answer:
        ended: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        body = orjson.dumps(request)

        def end(answer: Answer) -> None:
            if not ended.done():
                ended.set_result(answer)

        def answered(reply: Reply) -> None:
            answer = _answer_of(reply)
            self.later(self._latency(), lambda: end(answer))

        def arrive() -> None:
            router = self._routers[router_id].process
            if router is None:
                self.later(self._latency(), lambda: end(_NOBODY))
            else:
                router.post(lambda: router.ask(action, body, answered))

        self._world.at(self._latency(), arrive)
        self.later(timeout_s, lambda: end(_SILENCE))
        return await ended

    def _latency(self) -> float:
        return self._randomness.uniform(*_LATENCY_S)


def _place_of(request: dict[str, Any], ring: PartitionRing) -> tuple[str | None, int | None]:
    """Which key a request is about, if about one, and the partition that holds it; for the story only."""
    attributes = request.get("Key") or request.get("Item") or {}
    if "k" not in attributes:
        return None, None
    schema = KeySchema(KeyAttribute("g" if "g" in attributes else "k", "S"), None)
    hashed = schema.item_key_of_key({schema.partition.name: attributes[schema.partition.name]})
    return attributes["k"]["S"], ring.locate(hashed[:HASH_BYTES])

"""How the workloads talk to the cluster: one call, one judged answer.

Made by chaos.load, used by chaos.workloads. Laws: a request is sent once; only when no byte of it left is the next
router tried, as a load balancer would; what an answer means is decided here and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.clients.connection import Lost, Pool, Reply, Unsent
from chaos.clients.log import ClientLog, Operation, Told
from harness.http import request_bytes
from harness.load import partition_of_key

TABLE = "chaos"
TRACE_HEADER = "x-trizone-trace: 1\r\n"
# A router answers after timeouts.operation_ms at the latest; one that is paused never does.
ANSWER_TIMEOUT_S = 6.0
# A router that refused a connection is passed over for so long.
DEAD_ROUTER_S = 0.2
UNEXPECTED_MAX = 100
CONDITION_FAILED = "ConditionalCheckFailedException"
# Errors with which a request is refused before anything happened.
REFUSED = frozenset({(503, "ServiceUnavailable"), (400, "ThrottlingException"), (400, "RequestLimitExceeded")})


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call came to."""

    told: Told
    # The answer's JSON document when there was one.
    document: Mapping[str, Any]
    condition_failed: bool
    began_s: float
    ended_s: float
    router_az: str
    served_by: str

    @property
    def ok(self) -> bool:
        """Done as asked."""
        return self.told is Told.OK and not self.condition_failed

    @property
    def item(self) -> Mapping[str, Any] | None:
        """The item of a GetItem, or of a condition that failed."""
        item: Mapping[str, Any] | None = self.document.get("Item")
        return item


class Session:
    """The clients' way to the routers. Used on one event loop."""

    def __init__(self, pools: Sequence[Pool], log: ClientLog, partitions: int) -> None:
        self.pools = tuple(pools)
        self.log = log
        self.partitions = partitions
        self.stopping = asyncio.Event()
        self._zero_s = time.monotonic()
        self._dead_until_s: dict[str, float] = {}
        self._partition_of: dict[str, int] = {}

    def begin(self, zero_s: float) -> None:
        """Times are counted from `zero_s` (monotonic) on."""
        self._zero_s = zero_s

    def now_s(self) -> float:
        """Seconds since the load began."""
        return time.monotonic() - self._zero_s

    async def pause(self, seconds: float) -> None:
        """Wait, or return at once when the load ends."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return

    def keys(self) -> list[str]:
        """Every key that was asked for so far."""
        return sorted(self._partition_of)

    def partition(self, key: str) -> int:
        """The partition of a key of the table."""
        known = self._partition_of.get(key)
        if known is None:
            known = self._partition_of[key] = partition_of_key(key, self.partitions)
        return known

    async def call(
        self,
        operation: str,
        key: str,
        request: Mapping[str, Any],
        *,
        kind: str,
        client: int,
        due_s: float | None = None,
        is_probe: bool = False,
    ) -> Answer:
        """One request about the item `key`. `client` chooses the router; `due_s`: when an open loop wanted it."""
        body = {"TableName": TABLE, **request}
        # Probes measure what a client gets that asks for nothing special.
        data = request_bytes(operation, json.dumps(body).encode(), headers="" if is_probe else TRACE_HEADER)
        began_s = self.now_s() if due_s is None else due_s
        told, label, condition_failed = Told.FAILED, "", False
        document: dict[str, Any] = {}
        pool, served_by = self.pools[client % len(self.pools)], ""
        try:
            pool, reply = await self._send(client, data)
            served_by = reply.served_by
            told, label, document, condition_failed = judge_reply(reply, kind)
        except Unsent as error:
            label = f"not sent: {_short(error)}"
        except Lost as error:
            told = Told.UNKNOWN
            label = f"no answer: {_short(error)}"
        ended_s = self.now_s()
        if label:
            self.log.errors[f"{kind} {label}"] += 1
            if label.startswith("unexpected") and len(self.log.unexpected) < UNEXPECTED_MAX:
                self.log.unexpected.append(f"{began_s:.3f} s {operation} {key}: {label} {document}")
        self.log.add(Operation(kind, self.partition(key), began_s, ended_s, told, pool.name, is_probe))
        return Answer(told, document, condition_failed, began_s, ended_s, pool.az, served_by)

    def skipped(self, kind: str, key: str, due_s: float) -> None:
        """A request of an open loop was due, but too many before it have no answer yet."""
        self.log.errors[f"{kind} not sent: too many before it have no answer"] += 1
        self.log.add(Operation(kind, self.partition(key), due_s, self.now_s(), Told.FAILED, "", is_probe=True))

    async def _send(self, client: int, data: bytes) -> tuple[Pool, Reply]:
        """Through the client's own router, or the first of the others that takes it."""
        count = len(self.pools)
        order = [self.pools[(client + step) % count] for step in range(count)]
        now_s = time.monotonic()
        alive = [pool for pool in order if self._dead_until_s.get(pool.name, 0.0) <= now_s]
        last: Unsent | None = None
        for pool in alive or order:
            try:
                return pool, await pool.call(data, ANSWER_TIMEOUT_S)
            except Unsent as error:
                self._dead_until_s[pool.name] = time.monotonic() + DEAD_ROUTER_S
                last = error
        raise last or Unsent("there is no router")


def judge_reply(reply: Reply, kind: str) -> tuple[Told, str, dict[str, Any], bool]:
    """What an answer means: (told, label of an error, document, the condition failed)."""
    try:
        document: dict[str, Any] = json.loads(reply.body) if reply.body else {}
    except ValueError:
        return Told.UNKNOWN, f"unexpected body {reply.body[:80]!r}", {}, False
    if reply.status == 200:
        return Told.OK, "", document, False
    code = str(document.get("__type", "")).rpartition("#")[2]
    if code == CONDITION_FAILED:
        return Told.OK, "", document, True
    label = f"{reply.status} {code}"
    if (reply.status, code) in REFUSED:
        return Told.FAILED, label, document, False
    if (reply.status, code) == (500, "InternalServerError"):
        # A read that failed had no effect either way.
        return Told.UNKNOWN if kind == "write" else Told.FAILED, label, document, False
    return Told.UNKNOWN, f"unexpected {label}", document, False


def _short(error: Exception) -> str:
    text = str(error)
    for known in ("Connection reset", "Connect call failed", "refused", "Broken pipe"):
        if known.lower() in text.lower():
            return known.lower()
    return text[:60]

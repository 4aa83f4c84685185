"""Open-loop probes: requests at a fixed rate whatever became of those before, one key a partition.

From them comes the time without a success of each partition. Law: no coordinated omission: a request that hangs delays
no later one, and a request that could not be sent in time counts from when it was due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from chaos.clients.session import Session
from chaos.result import Verdict
from chaos.workloads.base import keys_of, put, put_surely, read

# Requests of one stream that may be under way: what is due within the longest answer of a router. More would only make
# the clients too slow to see anything: on a busy machine an open loop without this limit never recovers.
UNDER_WAY_S = 4.0
UNDER_WAY_MIN = 10


class Probes:
    """Writes, strong reads and eventual reads of every partition, each kind at `rate` a second and partition."""

    def __init__(self, session: Session, *, writes: float, reads: float, eventual: float) -> None:
        self._session = session
        self._rates = {"write": writes, "read": reads, "eventual": eventual}
        self.keys = keys_of(session, "probe", 1)

    async def setup(self) -> None:
        """Readers must find something."""
        for key in self.keys:
            await put_surely(self._session, key, {"v": {"N": "0"}})

    def clients(self) -> list[Coroutine[Any, Any, None]]:
        """One stream for each kind and partition."""
        return [
            self._stream(kind, key, 1.0 / rate, number)
            for kind, rate in self._rates.items()
            if rate > 0
            for number, key in enumerate(self.keys)
        ]

    async def check(self) -> list[Verdict]:
        """Probes measure; registers and the others judge."""
        return []

    async def _stream(self, kind: str, key: str, interval_s: float, offset: int) -> None:
        session = self._session
        under_way: set[asyncio.Task[None]] = set()
        # Streams of different partitions take turns instead of sending in bursts.
        due_s = session.now_s() + interval_s * offset / len(self.keys)
        number = offset
        while not session.stopping.is_set():
            wait_s = due_s - session.now_s()
            if wait_s > 0:
                await session.pause(wait_s)
                continue
            number += 1
            if len(under_way) < max(UNDER_WAY_MIN, UNDER_WAY_S / interval_s):
                task = asyncio.create_task(self._one(kind, key, number, due_s))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            else:
                # No success: it counts like one that was refused.
                session.skipped(kind, key, due_s)
            due_s += interval_s
        if under_way:
            await asyncio.wait(under_way)

    async def _one(self, kind: str, key: str, number: int, due_s: float) -> None:
        # Each request takes the next router: what one of them cannot do must not look like the partition's state.
        if kind == "write":
            await put(self._session, key, {"v": {"N": str(number)}}, client=number, due_s=due_s, is_probe=True)
        else:
            await read(self._session, key, client=number, strong=kind == "read", due_s=due_s, is_probe=True)

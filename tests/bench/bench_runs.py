"""What a load generator sends when, and what came back: a closed loop for each connection, or an open rate. Pure.

Called by bench_load's connections; the clock is an argument. Law of the rate: the moment a request is due is drawn
beforehand and never moved by an answer, and its latency counts from there. A server that stalls for a second is seen by
every request that was due in that second, not by the one that waited (the coordinated omission of closed loops).
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

# No request now: compared by identity.
IDLE = b""
# Requests that are due and wait for a free connection; those beyond count as errors.
WAITING_MAX = 100_000


class Sender(Protocol):
    """A connection."""

    def go(self) -> None:
        """Ask the run for the next request."""
        ...


class Run:
    """What all connections of one run share. `limit`: requests in all, each item once in order; 0: random, by time."""

    def __init__(self, requests: Sequence[bytes], seconds: float, limit: int, now: Callable[[], float]) -> None:
        self.now = now
        self.latencies_s = array("d")
        self.errors = 0
        self.first_error = ""
        self.open = 0
        self.ended = asyncio.Event()
        self.began = self.ends_at = 0.0
        self._requests = requests
        self._count = len(requests)
        self._seconds = seconds
        self._left = limit
        self._by_time = limit == 0
        self._random = Random(2).random

    def begin(self) -> None:
        """The clock starts."""
        self.began = self.now()
        self.ends_at = self.began + self._seconds

    def next_request(self, connection: Sender) -> bytes | None:
        """What to send now; None when the run is over, IDLE when `connection` is called again later."""
        if self._by_time:
            if self.now() >= self.ends_at:
                return None
            return self._any()
        if not self._left:
            return None
        self._left -= 1
        return self._requests[self._left]

    def _any(self) -> bytes:
        request: bytes = self._requests[int(self._random() * self._count)]
        return request

    def since(self) -> float:
        """Where the latency of the request that was just given out begins: now, for it is written now."""
        return self.now()

    def answered(self, latency_s: float, ok: bool, answer: bytes) -> None:
        """Count one answer."""
        if ok:
            self.latencies_s.append(latency_s)
        else:
            self.failed(answer.decode("utf-8", errors="replace"))

    def failed(self, reason: str) -> None:
        """Count one error."""
        self.errors += 1
        self.first_error = self.first_error or reason[:500]

    def leave(self) -> None:
        """A connection has nothing more to do."""
        self.open -= 1
        if not self.open:
            self.ended.set()

    def finish(self) -> None:
        """Nothing more comes."""


class RateRun(Run):
    """Requests are due at random moments, `rate` a second on average, and go to whatever connection is free."""

    def __init__(self, requests: Sequence[bytes], seconds: float, rate: float, now: Callable[[], float]) -> None:
        super().__init__(requests, seconds, 0, now)
        self._rate = rate
        self._gaps = Random(3).random
        self._next_due = 0.0
        self._due_at = 0.0
        self._waiting: deque[float] = deque()
        self._idle: list[Sender] = []
        self._all_due = False

    def begin(self) -> None:
        """The clock starts."""
        super().begin()
        self._next_due = self.began + self._gap_s()

    def _gap_s(self) -> float:
        return -math.log(1.0 - self._gaps()) / self._rate

    def arrive(self) -> bool:
        """Give out what is due by now; False when nothing more will be."""
        now = self.now()
        while self._next_due <= now and self._next_due < self.ends_at:
            if len(self._waiting) < WAITING_MAX:
                self._waiting.append(self._next_due)
            else:
                self.failed(f"more than {WAITING_MAX} requests were due and not sent")
            self._next_due += self._gap_s()
        while self._waiting and self._idle:
            # One that was lost meanwhile takes nothing.
            self._idle.pop().go()
        self._all_due = self._next_due >= self.ends_at
        if self._all_due and not self._waiting:
            idle, self._idle = self._idle, []
            for connection in idle:
                connection.go()
        return not self._all_due or bool(self._waiting)

    def next_request(self, connection: Sender) -> bytes | None:
        """The request that has waited longest."""
        if self._waiting:
            self._due_at = self._waiting.popleft()
            return self._any()
        if self._all_due:
            return None
        self._idle.append(connection)
        return IDLE

    def since(self) -> float:
        """When the request that was just given out was due."""
        return self._due_at

    def finish(self) -> None:
        """What is still waiting is never sent."""
        for _ in self._waiting:
            self.failed("a request was due and no connection was free until the end")

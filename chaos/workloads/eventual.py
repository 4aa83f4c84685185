"""Readers at eventual consistency in every AZ: how stale, how often going back, and who served.

Each reads the registers' keys through the router of its own AZ, one request at a time a reader. What it saw joins the
history as calls that are not strong; histories judges them as sessions.
"""

from __future__ import annotations

import random
from collections.abc import Coroutine, Sequence
from typing import Any

from chaos.clients.log import Told
from chaos.clients.session import Session
from chaos.result import Verdict
from chaos.workloads.base import BACKOFF_S, randoms, read
from histories.records import Action, Call


class EventualReaders:
    """Readers bound to an AZ's router as long as that one accepts connections."""

    def __init__(
        self, session: Session, keys: Sequence[str], zones: dict[str, str], *, seed: int, each: int, think_ms: float
    ) -> None:
        """`zones`: AZ of each node; `each`: readers a router."""
        self._session = session
        self._keys = keys
        self._zones = zones
        self._randoms = randoms(seed, "eventual", each * len(session.pools))
        self._think_s = think_ms / 1000

    async def setup(self) -> None:
        """Reads what others write."""

    def clients(self) -> list[Coroutine[Any, Any, None]]:
        """The readers."""
        return [self._run(number, rng) for number, rng in enumerate(self._randoms)]

    async def check(self) -> list[Verdict]:
        """Judged as sessions, from the history."""
        return []

    async def _run(self, number: int, rng: random.Random) -> None:
        session = self._session
        while not session.stopping.is_set():
            key = rng.choice(self._keys)
            answer = await read(session, key, client=number, strong=False)
            if answer.told is Told.OK:
                item = answer.item
                session.log.calls.append(
                    Call(
                        key=key,
                        action=Action.READ,
                        invoked_at=answer.began_s,
                        returned_at=answer.ended_s,
                        observed=str(item["v"]["S"]) if item else None,
                        client=f"eventual-{number}",
                        is_strong=False,
                        router_az=answer.router_az,
                        served_by=answer.served_by,
                        served_az=self._zones.get(answer.served_by, ""),
                    )
                )
            await session.pause(rng.uniform(0.5, 1.5) * self._think_s if answer.told is Told.OK else BACKOFF_S)

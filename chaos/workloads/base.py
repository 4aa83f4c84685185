"""What a workload is: setup, clients that run until the load ends, and a check afterwards.

Source of the shape: FoundationDB's workloads. Made by chaos.load from the scenario. Laws: randomness is an argument; a
client never judges by itself what another one saw: verdicts are made from the whole history.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

from chaos.clients.log import Told
from chaos.clients.session import Answer, Session
from chaos.result import Verdict
from harness.load import keys_for_partitions

# After a refusal or an unknown outcome: clients that all try again at once would only measure themselves.
BACKOFF_S = 0.02
FINAL_READ_ATTEMPTS = 50
FINAL_READ_PAUSE_S = 0.1
VIOLATIONS_SHOWN = 10


class Workload(Protocol):
    """One kind of load."""

    async def setup(self) -> None:
        """Write what must be there before the first client runs."""

    def clients(self) -> list[Coroutine[Any, Any, None]]:
        """The clients; each ends soon after the session stops."""

    async def check(self) -> list[Verdict]:
        """After the load, when the cluster is whole again: what this workload promises."""


class Unreadable(Exception):
    """A key could not be read although no fault is active any more."""


def keys_of(session: Session, prefix: str, each: int) -> list[str]:
    """`each` keys for every partition."""
    return list(keys_for_partitions(session.partitions, each, prefix))


def key_of(text: str) -> Mapping[str, Any]:
    """A key as DynamoDB writes it."""
    return {"pk": {"S": text}}


async def read(
    session: Session, key: str, *, client: int, strong: bool = True, due_s: float | None = None, is_probe: bool = False
) -> Answer:
    """One GetItem."""
    request = {"Key": key_of(key), "ConsistentRead": strong}
    kind = "read" if strong else "eventual"
    return await session.call("GetItem", key, request, kind=kind, client=client, due_s=due_s, is_probe=is_probe)


async def put(session: Session, key: str, attributes: Mapping[str, Any], *, client: int, **more: Any) -> Answer:
    """One PutItem; `more` as Session.call takes it."""
    request = {"Item": {**key_of(key), **attributes}}
    return await session.call("PutItem", key, request, kind="write", client=client, **more)


async def put_surely(session: Session, key: str, attributes: Mapping[str, Any]) -> None:
    """Write an item before the load begins. Raises Unreadable when it does not work."""
    for attempt in range(FINAL_READ_ATTEMPTS):
        if (await put(session, key, attributes, client=attempt)).ok:
            return
        await asyncio.sleep(FINAL_READ_PAUSE_S)
    raise Unreadable(f"{key} could not be written before the load")


async def final_item(session: Session, key: str) -> Mapping[str, Any] | None:
    """What a strong read says after everything. Raises Unreadable."""
    for attempt in range(FINAL_READ_ATTEMPTS):
        answer = await read(session, key, client=attempt)
        if answer.told is Told.OK:
            return answer.item
        await asyncio.sleep(FINAL_READ_PAUSE_S)
    raise Unreadable(f"{key} cannot be read after all faults were healed")


def randoms(seed: int, name: str, count: int) -> list[random.Random]:
    """One source of randomness for each client."""
    return [random.Random(f"{seed}/{name}/{number}") for number in range(count)]


def verdict(name: str, violations: list[str], detail: str) -> Verdict:
    """A verdict that holds when there are no violations; the first few are kept."""
    more = len(violations) - VIOLATIONS_SHOWN
    shown = violations[:VIOLATIONS_SHOWN] + ([f"and {more} more"] if more > 0 else [])
    return Verdict(name=name, held=not violations, detail=detail, violations=tuple(shown))

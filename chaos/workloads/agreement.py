"""After everything: does every replica hold the same? Read at eventual consistency through each router.

Called by chaos.load when no fault is active, no client writes and no replica lags. A router reads from the replica
nearest to it, so every node with a router in its AZ is compared. Law: when one of these was not, nothing is decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace

from chaos.clients.log import Told
from chaos.clients.session import Answer, Session
from chaos.result import Verdict
from chaos.workloads.base import FINAL_READ_ATTEMPTS, FINAL_READ_PAUSE_S, Unreadable, final_item, read, verdict


async def replicas_agree(session: Session, nodes: Mapping[str, str]) -> Verdict:
    """Every key that any client touched, read strongly and from the replica nearest to each router; `nodes` by AZ."""
    wrong: list[str] = []
    seen: set[str] = set()
    keys = session.keys()
    for key in keys:
        expected = await final_item(session, key)
        for number, pool in enumerate(session.pools):
            answer = await _nearest(session, key, number)
            seen.add(answer.served_by)
            if answer.item != expected:
                where = f"{answer.served_by or '?'} (through {pool.name})"
                wrong.append(f"{key}: {where} holds {answer.item}, a strong read says {expected}")
    return agreement(wrong, len(keys), seen, nodes, {pool.az for pool in session.pools})


def agreement(
    wrong: list[str], items: int, seen: Collection[str], nodes: Mapping[str, str], zones: set[str]
) -> Verdict:
    """The verdict: `seen` answered, `nodes` (name -> AZ) are there, `zones` have a router."""
    compared = sorted(name for name in seen if name)
    detail = f"{items} items compared on {', '.join(compared) or 'no node'}"
    unreached = sorted(name for name, az in nodes.items() if name not in seen and az not in zones)
    if unreached:
        detail += f"; not on {', '.join(unreached)}: there is no router in the AZ"
    found = verdict("replicas agree", wrong, detail)
    missing = sorted(name for name, az in nodes.items() if name not in seen and az in zones)
    if wrong or (items and len(compared) > 1 and not missing):
        return found
    reason = f"nothing was read from {', '.join(missing)}" if missing else "there was nothing to compare"
    return replace(found, held=False, decided=False, violations=(reason,))


async def _nearest(session: Session, key: str, number: int) -> Answer:
    for _ in range(FINAL_READ_ATTEMPTS):
        answer = await read(session, key, client=number, strong=False)
        if answer.told is Told.OK:
            return answer
        await asyncio.sleep(FINAL_READ_PAUSE_S)
    raise Unreadable(f"{key} cannot be read through {session.pools[number].name}")

"""After everything: does every replica hold the same? Read at eventual consistency through each router.

Called by chaos.load when no fault is active, no client writes and no replica lags. Law: which nodes were compared is
said: a router reads from the replica nearest to it, so with a router in each AZ all of them are.
"""

from __future__ import annotations

import asyncio

from chaos.clients.log import Told
from chaos.clients.session import Answer, Session
from chaos.result import Verdict
from chaos.workloads.base import FINAL_READ_ATTEMPTS, FINAL_READ_PAUSE_S, Unreadable, final_item, read, verdict


async def replicas_agree(session: Session) -> Verdict:
    """Every key that any client touched, read strongly and from the replica nearest to each router."""
    wrong: list[str] = []
    nodes: set[str] = set()
    keys = session.keys()
    for key in keys:
        expected = await final_item(session, key)
        for number, pool in enumerate(session.pools):
            answer = await _nearest(session, key, number)
            nodes.add(answer.served_by)
            if answer.item != expected:
                where = f"{answer.served_by or '?'} (through {pool.name})"
                wrong.append(f"{key}: {where} holds {answer.item}, a strong read says {expected}")
    return verdict("replicas agree", wrong, f"{len(keys)} items compared on {', '.join(sorted(nodes)) or 'no node'}")


async def _nearest(session: Session, key: str, number: int) -> Answer:
    for _ in range(FINAL_READ_ATTEMPTS):
        answer = await read(session, key, client=number, strong=False)
        if answer.told is Told.OK:
            return answer
        await asyncio.sleep(FINAL_READ_PAUSE_S)
    raise Unreadable(f"{key} cannot be read through {session.pools[number].name}")

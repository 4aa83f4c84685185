"""How long a node that was away takes to catch up: `python -m chaos.measure --writes 10000`.

Run by hand for docs/operating_under_fault.md. A cluster of its own; one node is killed, so many items are written
without it, it is started again, and the time is taken until every replica of it lags by nothing. Law: what is reported
was seen on every replica, not assumed from the last one.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
import uvloop

from chaos.clients.connection import Lost, Pool, Unsent
from chaos.clients.session import TABLE
from chaos.load import make_table
from chaos.runner import lacking
from chaos.targets.base import TargetError
from chaos.targets.local import LocalTarget
from harness.http import request_bytes
from harness.waiting import NeverHappened, wait_until
from tools.errors import EXIT_FAILED, CommandError

# One BatchWriteItem takes so many.
BATCH_ITEMS = 25
CONNECTIONS = 16
VALUE = "x" * 100
CALL_TIMEOUT_S = 10.0
RETRY_PAUSE_S = 0.05
WHOLE_TIMEOUT_S = 60.0
CAUGHT_UP_TIMEOUT_S = 900.0
VICTIM = "n2"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Writer:
    """Writes numbered items in batches until each was acknowledged."""

    def __init__(self, pool: Pool, first: int, count: int) -> None:
        self._pool = pool
        self._next = first
        self._end = first + count

    async def run(self) -> None:
        """All of them, on CONNECTIONS connections."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONNECTIONS):
                tasks.create_task(self._write())

    async def _write(self) -> None:
        while self._next < self._end:
            first, self._next = self._next, min(self._next + BATCH_ITEMS, self._end)
            left: list[object] = [
                {"PutRequest": {"Item": {"pk": {"S": f"away-{number}"}, "v": {"S": VALUE}}}}
                for number in range(first, self._next)
            ]
            while left:
                left = await self._batch(left)

    async def _batch(self, puts: list[object]) -> list[object]:
        """Those that must be sent again. The same item twice does no harm."""
        body = json.dumps({"RequestItems": {TABLE: puts}}).encode()
        try:
            reply = await self._pool.call(request_bytes("BatchWriteItem", body), CALL_TIMEOUT_S)
        except (Lost, Unsent):
            await asyncio.sleep(RETRY_PAUSE_S)
            return puts
        if reply.status != 200:
            await asyncio.sleep(RETRY_PAUSE_S)
            return puts
        unprocessed: list[object] = json.loads(reply.body).get("UnprocessedItems", {}).get(TABLE, [])
        return unprocessed


def catch_up(target: LocalTarget, writes: int) -> tuple[float, float, float, bool]:
    """(seconds of writing, seconds until the node answered, seconds until it had caught up, a snapshot was needed)."""
    make_table(target)
    target.wait_whole(WHOLE_TIMEOUT_S)
    target.kill([VICTIM])
    address = target.http_address("r1")
    began_s = time.monotonic()
    uvloop.run(Writer(Pool("r1", "az-a", *address), 0, writes).run())
    written_s = time.monotonic() - began_s
    began_s = time.monotonic()
    target.start_process(VICTIM)
    answered_s = time.monotonic() - began_s
    installing = False

    def caught_up() -> bool:
        nonlocal installing
        rows = [row for part in target.status().partitions for row in part.replicas if row.node == VICTIM]
        installing = installing or any(row.role == "installing" for row in rows)
        return bool(rows) and all(row.lag == 0 for row in rows) and not lacking(target)

    wait_until(caught_up, timeout_s=CAUGHT_UP_TIMEOUT_S, what=f"{VICTIM} has caught up")
    return written_s, answered_s, time.monotonic() - began_s, installing


def measured(writes: int) -> tuple[float, float, float, bool]:
    """`catch_up` on a cluster of its own, which is gone afterwards whatever happened."""
    folder = Path(tempfile.mkdtemp(prefix="trizone-measure-"))
    try:
        target = LocalTarget(folder)
        try:
            target.start()
            return catch_up(target, writes)
        finally:
            target.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End like Ctrl-C."""
    del number, frame
    raise KeyboardInterrupt


@app.command()
def main(
    writes: Annotated[
        int, typer.Option("--writes", min=1, help="Items of 100 bytes written without the node.")
    ] = 10_000,
) -> None:
    """Measure how long a node that was away for this many writes takes to catch up.

    Example: python -m chaos.measure --writes 1000000
    """
    # Else nothing below is cleaned up.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        written_s, answered_s, total_s, installing = measured(writes)
    except (CommandError, TargetError, NeverHappened) as error:
        typer.echo(f"not measured: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
    how = "by snapshot" if installing else "from the log"
    typer.echo(
        f"{VICTIM} was away for {writes} writes ({written_s:.1f} s, {writes / written_s:.0f}/s): it answered"
        f" {answered_s:.2f} s after its start and had caught up after {total_s:.2f} s ({how})"
    )


if __name__ == "__main__":
    app()

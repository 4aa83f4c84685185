"""Our own load generator: N keep-alive connections, one request under way on each, random items.

Run by bench_generators as a process of its own, so that its CPU is counted apart. Speaks on its pipes: prints `ready`
when all connections stand, begins at a line on standard input, prints one line of JSON, and stays until standard input
ends so that its CPU time can be read. Laws: a latency is from writing a request to having its whole answer, or, with a
rate, from the moment the request was due (bench_rate); whatever is not a 2xx is an error and counts nowhere else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
from array import array
from typing import cast

import uvloop
from bench_requests import DIALECTS, SENDABLE, wire_requests
from bench_runs import IDLE, RateRun, Run

from runtime.clock import SystemClock
from runtime.pacing import Pacer

CONNECT_TIMEOUT_S = 10.0
# After the end of the time, answers under way are awaited so long: longer than a router's operation_ms.
LAST_ANSWER_S = 10.0
RECONNECT_S = 0.1
# With a rate, how often requests that are due are sent: what this adds to a latency is far below a millisecond.
TICK_US = 200
_HEAD_END = b"\r\n\r\n"
_CLOSE = b"\r\nConnection: close"


def content_length(head: bytes) -> int:
    """The Content-Length of an answer's head; raises ValueError without one (this generator reads nothing else)."""
    start = head.find(b"\r\nContent-Length:")
    if start < 0:
        start = head.lower().find(b"\r\ncontent-length:")
        if start < 0:
            raise ValueError(f"an answer without Content-Length: {head[:200]!r}")
    begin = start + len(b"\r\nContent-Length:")
    end = head.find(b"\r\n", begin)
    return int(head[begin:] if end < 0 else head[begin:end])


class Connection(asyncio.Protocol):
    """One connection: send, wait for the whole answer, send again."""

    __slots__ = ("_buffer", "_busy", "_run", "_since", "_transport", "closed_by_answer", "left", "lost")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._since = 0.0
        self._busy = False
        self.left = False
        self.closed_by_answer = False
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; nothing is sent before `go`."""
        self._transport = cast(asyncio.Transport, transport)

    def go(self) -> None:
        """Send the next request, wait for one to be due, or leave."""
        transport = self._transport
        if transport is None:
            return  # lost before it began: its keeper makes another
        request = self._run.next_request(self)
        if request is IDLE:
            return
        if request is None:
            self.left = True
            self._run.leave()
            transport.close()
            return
        self._busy = True
        self._since = self._run.since()
        transport.write(request)

    def data_received(self, data: bytes) -> None:
        """A piece of an answer, mostly all of it."""
        if self._buffer:
            data = self._buffer + data
        end = data.find(_HEAD_END)
        if end < 0:
            self._buffer = data
            return
        try:
            size = end + len(_HEAD_END) + content_length(data[:end])
        except ValueError as error:
            self._busy = False
            self._run.failed(str(error))
            if self._transport is not None:
                self._transport.abort()
            return
        if len(data) < size:
            self._buffer = data
            return
        self._buffer = b""
        self._busy = False
        run = self._run
        # "HTTP/1.1 200"
        run.answered(run.now() - self._since, data[9:10] == b"2", data)
        if data.find(_CLOSE, 0, end) >= 0:
            # moto's server ends each connection with its answer: the next request needs another one.
            self.closed_by_answer = True
            if self._transport is not None:
                self._transport.close()
            return
        self.go()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer closed, or this run ended."""
        if self._busy:
            self._run.failed(f"connection lost: {exc or 'closed by the server'}")
        self._transport = None
        self.lost.set()


async def _keep(run: Run, host: str, port: int, first: Connection) -> None:
    """Replace a lost connection until the run is over."""
    connection = first
    while True:
        await connection.lost.wait()
        if connection.left:
            return
        if run.now() >= run.ends_at:
            run.leave()
            return
        if not connection.closed_by_answer:
            await asyncio.sleep(RECONNECT_S)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(run), host, port)
        except OSError as error:
            run.failed(f"cannot connect: {error}")
            continue
        connection.go()


def _run_of(options: argparse.Namespace) -> Run:
    requests = wire_requests(SENDABLE[options.operation], options.keys, options.host, options.dialect)
    now = SystemClock.monotonic
    if options.rate is not None:
        return RateRun(requests, options.seconds, options.rate, now)
    seconds = float("inf") if options.each_once else options.seconds
    return Run(requests, seconds, len(requests) if options.each_once else 0, now)


async def _arrivals(run: RateRun) -> None:
    """Send what is due until nothing more will be."""
    pacer = Pacer(TICK_US)
    try:
        while run.arrive():
            await pacer.pause()
    finally:
        pacer.close()


async def load(options: argparse.Namespace) -> dict[str, object]:
    """One run; the result as JSON values."""
    loop = asyncio.get_running_loop()
    run = _run_of(options)
    connections: list[Connection] = []
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        for _ in range(options.connections):
            _, connection = await loop.create_connection(lambda: Connection(run), options.host, options.port)
            connections.append(connection)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    run.open = len(connections)
    run.begin()
    for connection in connections:
        connection.go()
    tasks = [asyncio.create_task(_keep(run, options.host, options.port, one)) for one in connections]
    if isinstance(run, RateRun):
        tasks.append(asyncio.create_task(_arrivals(run)))
    try:
        async with asyncio.timeout(options.seconds + LAST_ANSWER_S):
            await run.ended.wait()
    except TimeoutError:
        run.failed(f"{run.open} connections had no answer {LAST_ANSWER_S:g} s after the end")
    run.finish()
    elapsed_s = run.now() - run.began
    for task in tasks:
        task.cancel()
    return summarise(run, elapsed_s)


def percentile(ordered: array[float] | list[float], fraction: float) -> float:
    """The value below which `fraction` of the values lie (nearest rank); 0 without values."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * fraction) - 1)]


def summarise(run: Run, elapsed_s: float) -> dict[str, object]:
    """What bench_generators reads."""
    ordered = sorted(run.latencies_s)
    return {
        "operations": len(ordered),
        "elapsed_s": elapsed_s,
        "p50_ms": percentile(ordered, 0.50) * 1000,
        "p99_ms": percentile(ordered, 0.99) * 1000,
        "max_ms": ordered[-1] * 1000 if ordered else 0.0,
        "errors": run.errors,
        "first_error": run.first_error,
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line, as bench_generators writes it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--operation", choices=SENDABLE, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--keys", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--dialect", choices=DIALECTS, default="dynamodb")
    parser.add_argument("--each-once", action="store_true", help="every item once instead of for a time")
    parser.add_argument("--rate", type=float, help="requests a second, sent when they are due, whatever the answers do")
    return parser.parse_args(arguments)


def main() -> None:
    """Entry point."""
    result = uvloop.run(load(parse()))
    print(json.dumps(result), flush=True)
    # Until the reader has seen this process's CPU time.
    sys.stdin.read()


if __name__ == "__main__":
    main()

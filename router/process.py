"""The router process: wiring, start and stop.

Called by router.__main__. Law: what is started here is stopped here, in the order that lets requests under way finish:
first no new connections, then the answers, then the streams to the nodes.
"""

from __future__ import annotations

import asyncio
import gc
import random
import secrets
import signal
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, start_http_server

from router.core import RouterCore, build_core
from router.http.answers import RequestIds
from router.http.server import HttpServer
from router.metrics import Gauges, RouterCollector
from router.routing.catalog_copy import CatalogCopy
from runtime.clock import SystemClock
from runtime.logs import get_logger
from runtime.tasks import TaskOwner
from topology.settings import ClusterSettings, RouterSettings

log = get_logger()

# The collector's default of 700 objects makes it run several times a millisecond under load, to find nothing: requests
# make no cycles.
_GC_THRESHOLDS = (50_000, 20, 50)


@dataclass(frozen=True, slots=True)
class RouterParts:
    """The wired router, before anything listens."""

    core: RouterCore
    http: HttpServer


def build(settings: ClusterSettings, router_id: str, cluster_id: str, tasks: TaskOwner) -> RouterParts:
    """Wire a router on the running loop; nothing listens or connects yet."""
    clock = SystemClock()
    core = build_core(settings, router_id, cluster_id, tasks, clock=clock, rng=random.SystemRandom())
    http = HttpServer(
        operations=core.operations,
        counts=core.counts,
        clock=clock,
        request_ids=RequestIds(secrets.token_bytes(32)),
        ready=lambda: core.dispatcher.ready,
        body_bytes_max=settings.limits.request_body_bytes_max,
        connections_max=settings.limits.connections_max,
        answering=lambda: _answering(core.dispatcher.answering, core.copy),
    )
    return RouterParts(core, http)


def _answering(node: str, copy: CatalogCopy) -> str:
    partition_map = copy.partition_map
    return f"{node};{partition_map.azs.get(node, '')}" if node and partition_map is not None else ""


def _serve_metrics(parts: RouterParts, own: RouterSettings) -> Callable[[], None]:
    """Start the metrics endpoint; returns what stops it. Raises OSError when the port is taken."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    core = parts.core
    gauges = Gauges(
        parked=lambda: core.dispatcher.state.waiting,
        outstanding=core.dispatcher.state.outstanding,
        catalog_version=lambda: core.copy.version,
        catalog_reads=lambda: core.reader.reads,
    )
    registry.register(RouterCollector(core.counts, gauges))
    server, thread = start_http_server(own.metrics_port, own.bind_host, registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


async def run(settings: ClusterSettings, router_id: str, cluster_id: str) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. Raises OSError when a port is taken."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    failures: list[BaseException] = []

    def failed(error: BaseException) -> None:
        failures.append(error)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    own = settings.router(router_id)
    tasks = TaskOwner(failed)
    parts = build(settings, router_id, cluster_id, tasks)
    stop_metrics: Callable[[], None] | None = None
    try:
        stop_metrics = _serve_metrics(parts, own)
        port = await parts.http.start(own.bind_host, own.http_port)
        parts.core.dispatcher.start()
        # Modules, settings and compiled validators live as long as the process: not to be scanned again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        log.info("router_started", http_host=own.http_host, http_port=port, metrics_port=own.metrics_port)
        await stopping.wait()
        log.info("router_stopping")
        await parts.http.stop(settings.timeouts.drain_ms)
    finally:
        parts.core.dispatcher.close()
        await tasks.close()
        if stop_metrics is not None:
            await loop.run_in_executor(None, stop_metrics)
    log.info("router_stopped")
    return 1 if failures else 0

"""A storage node process: `python -m node --config DIR/cluster.yaml --id n1`.

Started by `trizone up` or a container. Opens the store, joins its groups and serves routers until SIGTERM, on which
it hands over its leaderships first. Exit status: 0 stopped as asked, 1 stopped itself because it could not go on
safely, 2 wrong settings.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import functools
import gc
import os
import queue
import random
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import grpc
import grpc.aio
import uvloop
from prometheus_client import CollectorRegistry, start_http_server

from node.background.expiry import ExpirySweeper
from node.background.leaders import LeaderDaemon
from node.background.replicas import ReplicaDaemon
from node.background.tables import TableDaemon
from node.damage import (
    NotSetAside,
    is_damage,
    must_rebuild,
    note_damage,
    noted_damage,
    rebuild_begun,
    set_aside,
)
from node.faults.injector import FaultInjector
from node.faults.service import FaultService, NoToken, read_token
from node.host import NodeHost
from node.identity import WrongData, claim
from node.metrics import NodeMetrics
from node.ports import HostSettings
from node.service import NodeService, hand_over
from node.storage.errors import StoreDamaged, StoreError
from node.storage.rocks import RocksStore
from node.watch import watch_host
from replication.group import ReplicationSettings
from replication.ports import Store
from replication.records import JournalCorrupt
from replication.syncobj import check_engine
from replication.transport.grpc import QUEUED_BYTES_MAX, PeerLink, PeerLinks, PeerService
from runtime import logs
from runtime.clock import Clock, SystemClock
from runtime.pacing import Pacer
from runtime.tasks import TaskOwner
from topology.catalog import bootstrap_catalog
from topology.settings import MIB, ClusterSettings, NodeSettings, SettingsError, load_settings
from wire import replication_pb2, services

log = logs.get_logger()

TIMER_INTERVAL_S = 0.02
EXIT_UNSAFE = 1
EXIT_USAGE = 2
DAMAGE_OPTION = "--damage"


@dataclass(frozen=True, slots=True)
class Start:
    """What the command line says."""

    settings: ClusterSettings
    node: NodeSettings
    cluster_id: str
    folder: Path
    # Empty: fault injection is off.
    fault_token: str
    # The node lost its disk: it starts with an empty folder and is rebuilt from its peers.
    rebuild: bool = False
    # Why, when its store was found damaged at this start.
    damage: str = ""


_Sync = tuple[Callable[[], None], Callable[[BaseException | None], None]]


class UvLoop:
    """node.host.Loop on the running event loop."""

    def __init__(self, pacer: Pacer) -> None:
        self._loop = asyncio.get_running_loop()
        self.call_spaced = pacer.call_later
        self.call_soon = self._loop.call_soon

        # One thread for all syncs, which never overlap: an executor's futures cost more than the hand-over itself.
        self._syncs: queue.SimpleQueue[_Sync | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run_syncs, name="sync", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait for the sync under way: the store must not be closed beneath it."""
        self._syncs.put(None)
        self._thread.join()

    def _run_syncs(self) -> None:
        while (asked := self._syncs.get()) is not None:
            sync, ended = asked
            error: BaseException | None = None
            try:
                sync()
            except Exception as failure:
                error = failure
            self._loop.call_soon_threadsafe(ended, error)

    def sync_in_thread(self, sync: Callable[[], None], ended: Callable[[BaseException | None], None]) -> None:
        """Run `sync` in the thread for it, then `ended` on the loop."""
        self._syncs.put((sync, ended))


def read_start(arguments: list[str]) -> Start:
    """Parse the command line and the settings; exits with a message and status 2 when they are wrong."""
    parser = argparse.ArgumentParser(prog="python -m node", description="A Trizone storage node.")
    parser.add_argument("--config", required=True, type=Path, help="the resolved cluster.yaml")
    parser.add_argument("--id", required=True, help="the id of the node to be")
    parser.add_argument(
        "--rebuild", action="store_true", help="the node lost its data: rebuild it from its peers, in an empty folder"
    )
    # For a process that starts over (start_over), not for people.
    parser.add_argument(DAMAGE_OPTION, default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(options.config.read_text(), str(options.config))
        node = settings.node(options.id)
        cluster_id = (options.config.parent / "cluster-id").read_text().strip()
        fault_token = read_token(options.config.parent) if settings.fault_injection.enabled else ""
    except (OSError, SettingsError, NoToken) as error:
        parser.exit(EXIT_USAGE, f"{error}\n")
    except KeyError as error:
        parser.exit(EXIT_USAGE, f"{options.config}: {error.args[0]}\n")
    folder = options.config.parent / node.data_folder
    return Start(settings, node, cluster_id, folder, fault_token, options.rebuild, options.damage)


def replication_settings(settings: ClusterSettings) -> ReplicationSettings:
    """The file's milliseconds as the groups' seconds."""
    replication = settings.replication
    # All groups may have to catch one follower up at once: together they must fit into its link's queue.
    groups = settings.partitions.count + 1
    return ReplicationSettings(
        election_timeout_min_s=replication.election_timeout_min_ms / 1000,
        election_timeout_max_s=replication.election_timeout_max_ms / 1000,
        heartbeat_s=replication.heartbeat_ms / 1000,
        append_bytes_max=replication.append_bytes_max,
        append_window_entries=replication.append_window_entries,
        append_window_bytes=max(MIB // 4, min(8 * MIB, QUEUED_BYTES_MAX // (2 * groups))),
        log_entries_kept=replication.log_entries_kept,
        log_bytes_kept=replication.log_bytes_kept,
        snapshot_chunk_bytes=replication.snapshot_chunk_bytes,
        read_lease=replication.read_lease,
    )


def stop_now(error: BaseException, folder: Path | None = None) -> None:
    """End the process at once: an invariant broke or the disk failed, and nothing more may be written or said.

    Damage of the store in `folder` is noted there, so that the next start knows even if it would not meet it.
    """
    try:
        if folder is not None and is_damage(error):
            log.error("store_damaged", folder=str(folder), reason=str(error))
            note_damage(folder, str(error))
        log.error("node_stops", reason=str(error), exc_info=error)
        sys.stderr.flush()
    finally:
        os._exit(EXIT_UNSAFE)


class Node:
    """The parts of one node process."""

    def __init__(self, start: Start, store: RocksStore) -> None:
        settings, node = start.settings, start.node
        clock: Clock = SystemClock()
        host_store: Store = store
        # Made only where it is on: elsewhere no stream, write or sync passes through any of it.
        self.faults = FaultInjector(node.id, store, random.Random()) if start.fault_token else None
        if self.faults is not None:
            clock, host_store = self.faults.clock, self.faults.store
        catalog = bootstrap_catalog(settings, start.cluster_id)
        partitions = {partition.id: tuple(partition.replicas) for partition in catalog.partitions}
        claim(
            store,
            node_id=node.id,
            cluster_id=start.cluster_id,
            partitions=partitions,
            rebuild_nonce=random.SystemRandom().getrandbits(64) if start.rebuild else None,
        )
        # The store itself says by now that it is rebuilt.
        rebuild_begun(start.folder)
        registry = CollectorRegistry()
        self.metrics = NodeMetrics(registry)
        self.metrics.store_damaged.set(bool(start.damage))
        self.registry = registry
        self.store = store
        self.start = start
        self.loop = UvLoop(Pacer(settings.replication.pacing_us // 4))
        self.links = PeerLinks()
        self.pacer = Pacer(settings.replication.pacing_us)
        self.stop = functools.partial(stop_now, folder=start.folder)
        self.host = self._load(partitions, host_store, clock)
        # From here on nobody could tell damage from a fault of one request: it ends the process wherever it is met.
        store.on_damage = self.stop

        addresses = {other.id: other.address for other in settings.nodes}
        self._add_links(addresses)
        self.leaders = LeaderDaemon(self.host, clock, catalog, lambda peer: self.links.links[peer].is_up)
        self.tables = (
            TableDaemon(self.host, clock, addresses)
            if self.faults is None
            else TableDaemon(self.host, clock, addresses, shape_call=self.faults.links.dial_report)
        )
        self.replicas = ReplicaDaemon(self.host, clock, lambda: self.tables.confirmed_at, self.tables.changed)
        self.sweeper = ExpirySweeper(self.host, clock, settings.background.ttl_sweep_interval_ms / 1000)
        self.service = NodeService(
            self.host,
            self.tables,
            self.sweeper,
            az=node.az,
            cluster_id=start.cluster_id,
            clock=clock,
            pacer=self.pacer,
            operations_in_flight_max=settings.limits.operations_in_flight_max,
            connected_peers=lambda: sorted(peer for peer, link in self.links.links.items() if link.is_up),
            faults=self.faults,
            damage=start.damage,
        )
        self.peers = PeerService(
            node_id=node.id,
            cluster_id=start.cluster_id,
            peers=frozenset(self.links.links),
            events=self.host,
            count_frame=self.metrics.peer_frames_in.inc,
            broken=self.stop,
        )

    def _load(self, partitions: dict[int, tuple[str, ...]], store: Store, clock: Clock) -> NodeHost:
        settings = self.start.settings
        try:
            return NodeHost(
                HostSettings(
                    node_id=self.start.node.id,
                    partitions=partitions,
                    replication=replication_settings(settings),
                    proposals_in_flight_max=settings.limits.proposals_in_flight_max,
                    durable=settings.durability == "sync",
                ),
                store=store,
                links=self.links,
                loop=self.loop,
                clock=clock,
                randomness=random.Random(),
                metrics=self.metrics,
                stop_process=self.stop,
            )
        except Exception:
            # Its thread would keep the process from ending.
            self.loop.close()
            raise

    def _add_links(self, addresses: dict[str, str]) -> None:
        node = self.start.node
        # Larger than every epoch of an earlier process of this node: wall time in microseconds.
        first_epoch = SystemClock.wall_ms() * 1000
        for peer, address in addresses.items():
            if peer != node.id:
                self.links.add(
                    PeerLink(
                        node_id=node.id,
                        cluster_id=self.start.cluster_id,
                        peer=peer,
                        address=address,
                        first_epoch=first_epoch,
                        pacer=self.pacer,
                        events=self.host,
                        count_frame=self.metrics.peer_frames_out.inc,
                        open_call=(services.peer_pipe if self.faults is None else self.faults.links.dial_peer(peer)),
                    )
                )

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        pipe: services.StreamHandler = self.peers.pipe
        fault_handlers: list[grpc.GenericRpcHandler] = []
        if self.faults is not None:
            pipe = self.faults.links.accept_peers(pipe)
            fault_handlers = FaultService(self.faults, self.start.fault_token).handlers()
            log.warning("fault_injection_enabled", reason="whoever has the fault token can break this node")
        peers = services.stream_handler(services.PEER_PIPE, replication_pb2.PeerFrame.FromString, pipe)
        return (*self.service.handlers(), peers, *fault_handlers)

    async def serve(self) -> None:
        """Run until SIGTERM or SIGINT, then drain."""
        node, settings = self.start.node, self.start.settings
        server = grpc.aio.server(options=services.SERVER_OPTIONS)
        server.add_generic_rpc_handlers(self._handlers())
        server.add_insecure_port(node.bind_address)
        await server.start()
        metrics_server, metrics_thread = start_http_server(node.metrics_port, node.bind_host, self.registry)
        owner = TaskOwner(on_failure=self.stop)
        for peer, link in self.links.links.items():
            owner.start(f"link:{peer}", link.run())
        owner.start("tables", self.tables.run())
        owner.start("leaders", self.leaders.run())
        owner.start("replicas", self.replicas.run())
        owner.start("expiry", self.sweeper.run())
        owner.start("timer", self._timer())
        owner.start("watch", watch_host(self.host, self.links))
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        log.info("node_serves", address=node.address, az=node.az, replicas=len(self.host.partitions), pid=os.getpid())
        _tune_collector()
        await stop.wait()
        log.info("node_drains")
        if self.faults is not None:
            self.faults.close()
        self.leaders.draining = True
        self.host.refuse_leadership()
        reply = await hand_over(self.host, self.host.led_groups(), None, settings.timeouts.drain_ms / 1000)
        log.info("node_drained", transferred=reply.transferred, still_leading=list(reply.still_leading))
        self.host.refuse_held()
        await server.stop(grace=0.2)
        await owner.close()
        self.loop.close()
        metrics_server.shutdown()
        metrics_server.server_close()
        metrics_thread.join()

    async def _timer(self) -> None:
        while True:
            await asyncio.sleep(TIMER_INTERVAL_S)
            self.host.timer()


def _tune_collector() -> None:
    """What lives since start is never garbage; young objects of the hot path die by reference count."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def run(start: Start) -> None:
    """Open the store and serve until asked to stop. Raises StoreDamaged or JournalCorrupt before it served."""
    storage = start.settings.storage
    try:
        store = RocksStore(
            start.folder,
            memtable_bytes=storage.memtable_bytes,
            block_cache_bytes=storage.block_cache_bytes,
            wal_recycle_files=storage.wal_recycle_files,
        )
    except StoreDamaged:
        raise
    except StoreError as error:
        log.error("store_not_opened", reason=str(error))
        raise SystemExit(EXIT_UNSAFE) from error

    async def serve() -> None:
        await Node(start, store).serve()

    try:
        uvloop.run(serve())
    except WrongData as error:
        log.error("data_refused", reason=str(error))
        raise SystemExit(EXIT_USAGE) from error
    except (StoreDamaged, JournalCorrupt):
        _close_damaged(store)
        raise
    store.sync()
    store.close()
    log.info("node_stopped")


def _close_damaged(store: RocksStore) -> None:
    """What closing fails at was met before: it must not take the place of the damage, which nobody would be told of."""
    try:
        store.close()
    except Exception as error:
        log.warning("store_not_closed", reason=str(error))


def rebuild_instead(start: Start, error: BaseException) -> None:
    """The store is damaged: set it aside as evidence and serve from an empty one that is rebuilt, if settings allow."""
    _report_damage(start, error)
    if start.damage:
        # A disk that damages a new store at once will do so again.
        raise SystemExit(EXIT_UNSAFE) from error
    if start.settings.storage.on_damage == "stop":
        log.error("node_stops", reason="storage.on_damage is `stop`: `trizone start NAME --rebuild` rebuilds it")
        raise SystemExit(EXIT_UNSAFE)
    try:
        aside = set_aside(start.folder, str(error), SystemClock.wall_ms())
    except NotSetAside as refusal:
        log.error("store_not_set_aside", reason=str(refusal))
        raise SystemExit(EXIT_UNSAFE) from refusal
    log.warning("store_set_aside", aside=str(aside))
    start_over(f"{error} (kept in {aside})")


def start_over(damage: str) -> NoReturn:
    """Become a new process with the same pid: the store that was set aside may still be open in this one.

    RocksDB is closed when the last iterator and family of it are gone, and what failed half way may hold one. Until
    then it keeps the lock of the path and goes on writing its own files there, into the new store.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [*sys.orig_argv, DAMAGE_OPTION, damage])


def _report_damage(start: Start, error: BaseException) -> None:
    log.error("store_damaged", folder=str(start.folder), reason=str(error))
    note_damage(start.folder, str(error))


def main() -> None:
    """Entry point."""
    start = read_start(sys.argv[1:])
    logs.configure(component=f"node:{start.node.id}", level=start.settings.logging.level)
    check_engine()
    try:
        if noted := noted_damage(start.folder):
            raise StoreDamaged(noted)
        run(dataclasses.replace(start, rebuild=start.rebuild or must_rebuild(start.folder)))
    except (StoreDamaged, JournalCorrupt) as error:
        rebuild_instead(start, error)
    except StoreError as error:
        log.error("store_not_opened", reason=str(error))
        raise SystemExit(EXIT_UNSAFE) from error


if __name__ == "__main__":
    main()

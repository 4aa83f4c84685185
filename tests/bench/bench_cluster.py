"""What the benchmark runs against: a cluster of its own, or an endpoint that is there already.

Called by run.py and compare.py. Law: the cluster lives in a temporary folder on free ports beside whatever runs on
this machine, is started and stopped by the same supervisor as `trizone up`, and nothing of it is left at the end, but
for the folder of one that did not start.
"""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from bench_requests import TABLE, headers

from runtime.clock import SystemClock
from tools.errors import EXIT_USAGE, CommandError, InterruptedByUser
from tools.folder import ClusterFolder, read_settings
from tools.ports import ephemeral_begin, first_chosen_port, is_free
from tools.processes import ProcessRecord, ProcessTable, wait_for_end
from tools.resolve import resolve
from tools.signals import StopRequests
from tools.supervisor import Say, Supervisor
from topology.settings import ClusterSettings

CONFIG = Path(__file__).parents[2] / "cluster.yaml"
CALL_TIMEOUT_S = 30.0
TABLE_TIMEOUT_S = 60.0
LOOK_INTERVAL_S = 0.05


def pause(stops: StopRequests, seconds: float, records: Sequence[ProcessRecord] = ()) -> list[ProcessRecord]:
    """Wait; which of the processes have ended. Raises InterruptedByUser after Ctrl-C."""
    ended = wait_for_end(records, seconds, stops.wake)
    if stops.take():
        raise InterruptedByUser
    return ended


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes, and whose CPU is watched."""

    host: str
    port: int
    processes: Mapping[str, psutil.Process]
    environment: Mapping[str, Any]


@contextmanager
def own_cluster(
    parent: Path, durability: str, stops: StopRequests, say: Say, *, partitions: int | None = None
) -> Iterator[Target]:
    """A fresh cluster of the repository's cluster.yaml, under a temporary folder in `parent`."""
    path = Path(tempfile.mkdtemp(prefix="trizone-bench-", dir=parent))
    keep = False
    try:
        folder = ClusterFolder(path)
        folder.create()
        wanted = read_settings(CONFIG).model_copy(update={"durability": durability})
        if partitions is not None:
            count = wanted.partitions.model_copy(update={"count": partitions})
            wanted = wanted.model_copy(update={"partitions": count})
        with folder.lock():
            settings = _resolve(folder, wanted)
            supervisor = Supervisor(folder, settings, stops, say, die_with_parent=True)
            try:
                supervisor.up()
            except CommandError:
                # Its text points at a log in there.
                keep = True
                raise
            try:
                yield _target(folder, settings)
            finally:
                supervisor.stop_all()
    finally:
        if not keep:
            shutil.rmtree(path)


def _resolve(folder: ClusterFolder, wanted: ClusterSettings) -> ClusterSettings:
    end_port = ephemeral_begin()
    first_port = first_chosen_port(folder.path, end_port)
    hosts = [router.http_host for router in wanted.routers]
    # One free port for each router, in a row, as `--http-port` gives them.
    http_port = next(
        port
        for port in range(first_port, end_port)
        if all(is_free(host, port + number) for number, host in enumerate(hosts))
    )
    resolved = resolve(
        wanted,
        folder=folder.path,
        previous=None,
        http_port=http_port,
        running=frozenset(),
        is_free=is_free,
        first_port=first_port,
        end_port=end_port,
    )
    folder.remember(resolved)
    return resolved.settings


def _target(folder: ClusterFolder, settings: ClusterSettings) -> Target:
    names = [node.id for node in settings.nodes] + [router.id for router in settings.routers]
    router = settings.routers[0]
    return Target(
        host=router.http_host,
        port=router.http_port,
        processes={record.name: psutil.Process(record.pid) for record in ProcessTable(folder.run_path).live(names)},
        environment={
            "nodes": len(settings.nodes),
            "routers": len(settings.routers),
            "partitions": settings.partitions.count,
            "durability": settings.durability,
            "file_system": file_system_of(folder.path),
        },
    )


def file_system_of(path: Path) -> str:
    """The type of the file system that holds `path`: on tmpfs a sync costs nothing."""
    mounts = [part for part in psutil.disk_partitions(all=True) if path.resolve().is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "unknown"


def endpoint_target(endpoint: str) -> Target:
    """An endpoint that somebody else looks after. Raises CommandError (usage) when it cannot be one."""
    parts = urllib.parse.urlsplit(endpoint)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "http" or not parts.hostname or port is None or parts.path not in ("", "/"):
        raise CommandError(
            f"{endpoint!r} is no endpoint", hint="give it as http://127.0.0.1:8000", exit_code=EXIT_USAGE
        )
    return Target(parts.hostname, port, {}, {"endpoint": endpoint})


class Client:
    """Single calls to the endpoint, outside what is measured."""

    def __init__(self, target: Target, stops: StopRequests) -> None:
        self._target = target
        self._stops = stops

    def call(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body. Raises CommandError when there is no answer of this kind."""
        connection = http.client.HTTPConnection(self._target.host, self._target.port, timeout=CALL_TIMEOUT_S)
        try:
            connection.request("POST", "/", json.dumps(request), headers(operation))
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CommandError(f"no DynamoDB answers on {self._target.host}:{self._target.port}: {error}") from error
        finally:
            connection.close()

    def create_table(self, table: str) -> bool:
        """Make TABLE or QUERY_TABLE and wait until it is ACTIVE; False when it is there already."""
        key = {"pk": "S"} if table == TABLE else {"pk": "S", "sk": "N"}
        status, answer = self.call(
            "CreateTable",
            {
                "TableName": table,
                "AttributeDefinitions": [{"AttributeName": name, "AttributeType": key[name]} for name in key],
                "KeySchema": [
                    {"AttributeName": name, "KeyType": role} for name, role in zip(key, ("HASH", "RANGE"), strict=False)
                ],
                "BillingMode": "PAY_PER_REQUEST",
            },
        )
        made = status == 200
        if not made and "ResourceInUseException" not in str(answer.get("__type")):
            raise CommandError(f"CreateTable was answered {status}: {answer}")
        deadline = SystemClock.monotonic() + TABLE_TIMEOUT_S
        while self.call("DescribeTable", {"TableName": table})[1].get("Table", {}).get("TableStatus") != "ACTIVE":
            if SystemClock.monotonic() > deadline:
                raise CommandError(f"table {table} was not ACTIVE within {TABLE_TIMEOUT_S:g} s")
            pause(self._stops, LOOK_INTERVAL_S)
        return made

    def delete_table(self, table: str) -> None:
        """Remove what `create_table` made."""
        self.call("DeleteTable", {"TableName": table})

    def read(self, key: str) -> dict[str, Any]:
        """One item, strongly."""
        request = {"TableName": TABLE, "Key": {"pk": {"S": key}}, "ConsistentRead": True}
        item: dict[str, Any] = self.call("GetItem", request)[1].get("Item", {})
        return item

"""What Trizone is compared with: a peer is installed, started, loaded, asked whether it keeps what it is told, stopped.

Called by compare.py; one class a peer in the modules beside this one. Laws: a peer that answers 2xx and does not hold
what was put is an error, never a row of numbers; a process that a peer started is ended by `stop`, whatever happened,
and by the kernel should this process be killed.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import psutil
from bench_cluster import CALL_TIMEOUT_S, Client, Target, pause
from bench_generators import CpuMeter, Load, OwnGenerator
from bench_requests import ETCD_HEADERS, OPERATIONS, TABLE, etcd_body, key_name, values
from bench_tables import FILL_CONNECTIONS, FILL_TIMEOUT_S, Tables, looked_at
from peers.install import Cache

from runtime.clock import SystemClock
from tools.errors import CommandError
from tools.ports import ephemeral_begin, first_chosen_port, is_free
from tools.processes import ProcessRecord, identify, last_lines, send, start, wait_for_end
from tools.signals import StopRequests
from tools.supervisor import Say

HOST = "127.0.0.1"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
LOOK_INTERVAL_S = 0.1
# DynamoDB Local writes about a hundred items a second while others use the machine.
SLOWEST_PER_S = 25
# How long an eventual read may be behind.
EVENTUAL_TIMEOUT_S = 5.0
LINES_SHOWN = 8
PROBE_KEY = "bench-probe"


def free_ports(folder: Path, count: int) -> list[int]:
    """Ports that nothing on this machine uses now, the same ones for a folder while that is so."""
    found: list[int] = []
    end = ephemeral_begin()
    for port in range(first_chosen_port(folder, end), end):
        if is_free(HOST, port):
            found.append(port)
            if len(found) == count:
                return found
    raise CommandError(f"no {count} free ports below {end}")


class Peer(ABC):
    """One of those that are visited in turn."""

    name: ClassVar[str]
    title: ClassVar[str]
    # What an acknowledged write has survived.
    keeps: ClassVar[str]
    dialect: ClassVar[str] = "dynamodb"

    def __init__(self, stops: StopRequests, say: Say) -> None:
        self.stops = stops
        self.say = say
        self.version = ""

    @abstractmethod
    def install(self, cache: Cache) -> None:
        """Make sure that it can be started. Raises CommandError when that cannot be."""

    @abstractmethod
    def start(self, folder: Path) -> None:
        """Start it with its data under `folder`, which is there and empty, and wait until it serves."""

    @abstractmethod
    def stop(self) -> None:
        """End what was started."""

    @abstractmethod
    def target(self) -> Target:
        """Where the load goes now, and all its processes."""

    @abstractmethod
    def load(self, count: int) -> None:
        """Write `count` items and read some of them."""

    @abstractmethod
    def put_one(self, key: str, value: str) -> None:
        """One write, by itself."""

    @abstractmethod
    def read_one(self, key: str, *, strong: bool) -> str | None:
        """One read, by itself; None when there is no such key."""

    def verify(self) -> None:
        """Does it hold what it is told? Raises CommandError when not."""
        value = secrets.token_hex(16)
        self.put_one(PROBE_KEY, value)
        found = self.read_one(PROBE_KEY, strong=True)
        if found != value:
            raise CommandError(f"it acknowledged {value!r}, and a strong read gave {found!r}")
        deadline = SystemClock.monotonic() + EVENTUAL_TIMEOUT_S
        while (found := self.read_one(PROBE_KEY, strong=False)) != value:
            if SystemClock.monotonic() > deadline:
                raise CommandError(f"after {EVENTUAL_TIMEOUT_S:g} s an eventual read gave {found!r}, not {value!r}")
            pause(self.stops, LOOK_INTERVAL_S)


class DynamoDbPeer(Peer):
    """A peer that speaks DynamoDB."""

    @property
    def _client(self) -> Client:
        return Client(self.target(), self.stops)

    def load(self, count: int) -> None:
        """Make the table and fill it."""
        self._client.create_table(TABLE)
        Tables(self.target(), self.stops, lambda text: self.say(f"{self.name}: {text}")).fill(
            count, slowest_per_s=SLOWEST_PER_S
        )

    def put_one(self, key: str, value: str) -> None:
        """PutItem."""
        self._ask("PutItem", {"TableName": TABLE, "Item": {"pk": {"S": key}, "value": {"S": value}}})

    def read_one(self, key: str, *, strong: bool) -> str | None:
        """GetItem."""
        request = {"TableName": TABLE, "Key": {"pk": {"S": key}}, "ConsistentRead": strong}
        found: str | None = self._ask("GetItem", request).get("Item", {}).get("value", {}).get("S")
        return found

    def _ask(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        status, answer = self._client.call(operation, request)
        if status != 200:
            raise CommandError(f"{operation} was answered {status}: {answer}")
        return answer


class EtcdPeer(Peer):
    """A peer that speaks etcd's JSON gateway."""

    dialect = "etcd"

    def load(self, count: int) -> None:
        """Write every key and read some back."""
        target = self.target()
        load = Load(
            target.host, target.port, OPERATIONS["put"], FILL_CONNECTIONS, count, FILL_TIMEOUT_S, dialect=self.dialect
        )
        filled = OwnGenerator().fill(load, CpuMeter({}), self.stops)
        if filled.errors or filled.operations != count:
            raise CommandError(f"{filled.operations} of {count} keys loaded: {filled.first_error}")
        texts = values(count)
        for number in looked_at(count):
            found = self.read_one(key_name(number), strong=True)
            if found != texts[number]:
                raise CommandError(f"a linearizable read of {key_name(number)} gave {found!r}")
        self.say(f"{self.name}: {count:,} keys loaded at {filled.operations_per_s:,.0f}/s")

    def put_one(self, key: str, value: str) -> None:
        """One put."""
        self.call(self.target().port, *etcd_body("put", key, value))

    def read_one(self, key: str, *, strong: bool) -> str | None:
        """One range of one key."""
        answer = self.call(self.target().port, *etcd_body("strong" if strong else "eventual", key))
        found = answer.get("kvs", [])
        return base64.b64decode(found[0]["value"]).decode() if found else None

    def call(self, port: int, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One call. Raises CommandError when it is not answered 200."""
        connection = http.client.HTTPConnection(HOST, port, timeout=CALL_TIMEOUT_S)
        try:
            connection.request("POST", path, json.dumps(body), dict(ETCD_HEADERS))
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise CommandError(f"{path} was answered {response.status}: {text[:500]!r}")
            answer: dict[str, Any] = json.loads(text)
            return answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CommandError(f"no etcd answers on {HOST}:{port}: {error}") from error
        finally:
            connection.close()


class Processes:
    """The processes of one peer, by name, each with its log."""

    def __init__(self, stops: StopRequests) -> None:
        self._stops = stops
        self._children: dict[str, Any] = {}
        self._records: dict[str, ProcessRecord] = {}
        self._logs: dict[str, Path] = {}

    def start(self, name: str, command: Sequence[str | Path], folder: Path) -> None:
        """Start one, which dies with this process. Raises CommandError when it ends at once."""
        log = folder / f"{name}.log"
        child = start([str(word) for word in command], log, die_with_parent=True)
        self._children[name], self._logs[name] = child, log
        record = identify(name, child.pid)
        if record is None:
            raise self._ended(name)
        self._records[name] = record

    def wait(self, serves: Callable[[], bool]) -> None:
        """Until `serves` is True. Raises CommandError when a process ends or the time is over."""
        deadline = SystemClock.monotonic() + START_TIMEOUT_S
        while not serves():
            if ended := pause(self._stops, LOOK_INTERVAL_S, list(self._records.values())):
                raise self._ended(ended[0].name)
            if SystemClock.monotonic() > deadline:
                raise CommandError(f"it did not serve within {START_TIMEOUT_S:g} s{self._said(next(iter(self._logs)))}")

    def watched(self) -> dict[str, psutil.Process]:
        """For the CPU meter. Raises CommandError when one has ended."""
        for name, record in self._records.items():
            if not record.is_alive:
                raise self._ended(name)
        return {name: psutil.Process(record.pid) for name, record in self._records.items()}

    def _said(self, name: str) -> str:
        lines = last_lines(self._logs[name], LINES_SHOWN)
        return "".join(f"\n    {line}" for line in lines) or " (its log is empty)"

    def _ended(self, name: str) -> CommandError:
        return CommandError(f"{name} has ended:{self._said(name)}")

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to who is still there."""
        left = [record for record in self._records.values() if send(record, signal.SIGTERM)]
        deadline = SystemClock.monotonic() + STOP_TIMEOUT_S
        while left and SystemClock.monotonic() < deadline:
            ended = wait_for_end(left, deadline - SystemClock.monotonic())
            left = [record for record in left if record not in ended]
        for record in left:
            send(record, signal.SIGKILL)
        for child in self._children.values():
            child.wait()
        self._children, self._records = {}, {}


class Server(DynamoDbPeer):
    """A DynamoDB of one process."""

    def __init__(self, stops: StopRequests, say: Say) -> None:
        super().__init__(stops, say)
        self._processes = Processes(stops)
        self._port = 0

    @abstractmethod
    def command(self, folder: Path, port: int) -> Sequence[str | Path]:
        """How it is started."""

    def start(self, folder: Path) -> None:
        """Start the process and wait until it answers."""
        (self._port,) = free_ports(folder, 1)
        self._processes.start(self.name, self.command(folder, self._port), folder)
        self._processes.wait(self._serves)

    def _serves(self) -> bool:
        try:
            return self._client.call("ListTables", {})[0] == 200
        except CommandError:
            return False

    def target(self) -> Target:
        """Its port."""
        return Target(HOST, self._port, self._processes.watched(), {})

    def stop(self) -> None:
        """End the process."""
        self._processes.stop()


def empty_folder(parent: Path, name: str) -> Path:
    """A new folder for one start."""
    folder = parent / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder

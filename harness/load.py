"""Clients under load that know what they may see: counting writers and strong readers, one register a key.

Used by the fault tests. Every key has one writer, which writes 1, 2, 3, ... and tries a number again until it is
acknowledged; readers read strongly all the time. Law: a client may be refused or be told that the outcome is unknown,
but it never sees an acknowledged number missing, a number going back, or one that nobody wrote.

Source of the idea: Jepsen's register and counter workloads, reduced to one writer a key so that each read can be judged
by itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from dynamo.keys import KeyAttribute, KeySchema, partition_hash
from harness.http import Answer, ConnectionLost, HttpConnection
from topology.ring import PartitionRing, initial_boundaries

RECONNECT_PAUSE_S = 0.05
THREAD_END_TIMEOUT_S = 30.0
# What a client may be told when the cluster cannot serve: (HTTP status, code).
FAILURES_ALLOWED = frozenset({(500, "InternalServerError"), (503, "ServiceUnavailable")})


def partition_of_key(text: str, partitions: int) -> int:
    """The partition of a table's item whose partition key is the string `text`."""
    key = KeySchema(KeyAttribute("pk", "S"), None).item_key_of_key({"pk": {"S": text}})
    return PartitionRing(initial_boundaries(partitions), range(1, partitions + 1)).locate(partition_hash(key))


def keys_for_partitions(partitions: int, each: int, prefix: str = "key") -> dict[str, int]:
    """Key -> partition, `each` keys for every partition, all beginning with `prefix`."""
    found: dict[str, int] = {}
    left = dict.fromkeys(range(1, partitions + 1), each)
    number = 0
    while any(left.values()):
        key = f"{prefix}-{number}"
        number += 1
        partition = partition_of_key(key, partitions)
        if left[partition]:
            left[partition] -= 1
            found[key] = partition
    return found


@dataclass(slots=True)
class Register:
    """One key: what its writer was told. Written by the writer's thread alone, read by all."""

    key: str
    partition: int
    conditional: bool
    # The largest number acknowledged, and the largest ever sent.
    acknowledged: int = 0
    attempted: int = 0
    # When each acknowledgement came (monotonic seconds).
    acknowledged_at: list[float] = field(default_factory=list)
    # When each strong read of it was answered, by any reader.
    read_at: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """What the clients saw."""

    violations: tuple[str, ...]
    # (operation, HTTP status or "lost", code or reason) -> how often
    failures: Counter[tuple[str, int | str, str]]
    writes: int
    reads: int
    seconds: float

    def __str__(self) -> str:
        rate = (self.writes + self.reads) / max(self.seconds, 0.001)
        failed = ", ".join(f"{name} {status} {code}: {count}" for (name, status, code), count in self.failures.items())
        done = f"{self.writes} writes and {self.reads} strong reads in {self.seconds:.1f} s ({rate:.0f}/s)"
        return f"{done}; failures: {failed or 'none'}"


class Load:
    """Writers and readers on one table (partition key `pk`, a string)."""

    def __init__(self, table: str, address: tuple[str, int], keys: dict[str, int], *, readers: int = 6) -> None:
        """`keys` as keys_for_partitions gives them: a thread for each, and `readers` threads that read them in turn."""
        self._table = table
        self._address = address
        # Every other key is written by conditional updates, which the leader judges; the rest by plain puts.
        self.registers = [
            Register(key, partition, conditional=number % 2 == 1)
            for number, (key, partition) in enumerate(keys.items())
        ]
        self._readers = readers
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._violations: list[str] = []
        self._failures: Counter[tuple[str, int | str, str]] = Counter()
        self._threads: list[threading.Thread] = []
        self._began = 0.0
        self._ended = 0.0

    # --- life -------------------------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Iterator[Load]:
        """The clients run inside; at the end all have stopped, also after a failure of the test."""
        self._began = time.monotonic()
        self._threads = [
            *(threading.Thread(target=self._write_all, args=(one,), daemon=True) for one in self.registers),
            *(threading.Thread(target=self._read_all, args=(number,), daemon=True) for number in range(self._readers)),
        ]
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._ending.set()
            for thread in self._threads:
                thread.join(THREAD_END_TIMEOUT_S)
            self._ended = time.monotonic()
            if any(thread.is_alive() for thread in self._threads):
                self._violated("a client never got an answer")

    def report(self) -> Report:
        """What was seen so far."""
        with self._lock:
            return Report(
                violations=tuple(self._violations),
                failures=Counter(self._failures),
                writes=sum(len(register.acknowledged_at) for register in self.registers),
                reads=sum(len(register.read_at) for register in self.registers),
                seconds=(self._ended or time.monotonic()) - self._began,
            )

    def acknowledged(self) -> dict[str, int]:
        """How many writes of each key have been acknowledged."""
        return {register.key: len(register.acknowledged_at) for register in self.registers}

    def longest_write_gap_s(self, partition: int, since_s: float) -> float:
        """The longest time from `since_s` on without an acknowledged write in a partition, in seconds."""
        own = [register for register in self.registers if register.partition == partition]
        return self._longest_gap_s([moment for one in own for moment in list(one.acknowledged_at)], since_s)

    def longest_read_gap_s(self, partition: int, since_s: float) -> float:
        """The same for strong reads."""
        own = [register for register in self.registers if register.partition == partition]
        return self._longest_gap_s([moment for one in own for moment in list(one.read_at)], since_s)

    def _longest_gap_s(self, moments: list[float], since_s: float) -> float:
        moments.sort()
        before = max((moment for moment in moments if moment <= since_s), default=since_s)
        after = [moment for moment in moments if moment > since_s]
        line = [before, *after, self._ended or time.monotonic()]
        return max(later - earlier for earlier, later in pairwise(line))

    def check_final(self, http: HttpConnection) -> None:
        """After `running`: every key holds its last acknowledged number, or one tried after it."""
        for register in self.registers:
            answer = http.call("GetItem", self._read_request(register))
            self._judge(register, self._value(answer), register.acknowledged, "at the end")

    # --- a writer ---------------------------------------------------------------------------------------------------

    def _write_all(self, register: Register) -> None:
        with HttpConnection(*self._address) as http:
            while not self._ending.is_set():
                self._write_next(http, register)

    def _write_next(self, http: HttpConnection, register: Register) -> None:
        number = register.acknowledged + 1
        retried = register.attempted == number
        register.attempted = number
        if register.conditional:
            name, request = "UpdateItem", self._update_request(register, number)
        else:
            name, request = "PutItem", self._put_request(register, number)
        answer = self._call(http, name, request)
        if answer is None:
            return
        if answer.status == 200:
            register.acknowledged = number
            register.acknowledged_at.append(time.monotonic())
        elif answer.error[0] == "ConditionalCheckFailedException" and retried:
            # An earlier attempt with unknown outcome may have happened: look. Anything else is a lost or foreign write.
            self._resolve(http, register, number)
        else:
            self._violated(f"{name} of {register.key} {number}: {answer.status} {answer.body[:300]!r}")

    def _resolve(self, http: HttpConnection, register: Register, number: int) -> None:
        answer = self._call(http, "GetItem", self._read_request(register))
        if answer is None:
            return
        value = self._value(answer)
        if value == number:
            register.acknowledged = number
        else:
            self._violated(f"{register.key}: condition on {number - 1} failed, but it holds {value}")

    # --- a reader ---------------------------------------------------------------------------------------------------

    def _read_all(self, first: int) -> None:
        seen = [0] * len(self.registers)
        position = first
        with HttpConnection(*self._address) as http:
            while not self._ending.is_set():
                position = (position + 1) % len(self.registers)
                register = self.registers[position]
                # The order matters: whatever was acknowledged before the read began must be seen by it.
                expected = max(register.acknowledged, seen[position])
                answer = self._call(http, "GetItem", self._read_request(register))
                if answer is not None:
                    value = self._value(answer)
                    self._judge(register, value, expected, "by a strong reader")
                    seen[position] = max(seen[position], value)
                    register.read_at.append(time.monotonic())

    def _judge(self, register: Register, value: int, expected: int, when: str) -> None:
        if value < expected:
            self._violated(f"{register.key} went back {when}: {value} read, {expected} was acknowledged or read before")
        elif value > register.attempted:
            self._violated(f"{register.key} holds {value}, but only {register.attempted} were ever written")

    # --- requests ---------------------------------------------------------------------------------------------------

    def _call(self, http: HttpConnection, name: str, request: object) -> Answer | None:
        """The answer; None when the cluster could not serve, which is counted."""
        try:
            answer = http.call(name, request)
        except ConnectionLost as lost:
            self._failed(name, "lost", str(lost))
            # A router that is dead or stopping: do not spin on refused connections.
            self._ending.wait(RECONNECT_PAUSE_S)
            return None
        if answer.status < 500:
            if answer.status == 200 or name != "GetItem":
                return answer
            self._violated(f"GetItem: {answer.status} {answer.body[:300]!r}")
            return None
        failure = (answer.status, answer.error[0])
        if failure not in FAILURES_ALLOWED:
            self._violated(f"{name}: {answer.status} {answer.body[:300]!r}")
        self._failed(name, *failure)
        return None

    def _failed(self, name: str, status: int | str, code: str) -> None:
        with self._lock:
            self._failures[name, status, code] += 1

    def _violated(self, text: str) -> None:
        with self._lock:
            self._violations.append(text)

    def _read_request(self, register: Register) -> dict[str, object]:
        return {"TableName": self._table, "Key": {"pk": {"S": register.key}}, "ConsistentRead": True}

    def _put_request(self, register: Register, number: int) -> dict[str, object]:
        return {"TableName": self._table, "Item": {"pk": {"S": register.key}, "v": {"N": str(number)}}}

    def _update_request(self, register: Register, number: int) -> dict[str, object]:
        # From the second number on the item must hold exactly the one before.
        condition = "v = :before" if number > 1 else "attribute_not_exists(pk)"
        values = {":v": {"N": str(number)}} | ({":before": {"N": str(number - 1)}} if number > 1 else {})
        return {
            "TableName": self._table,
            "Key": {"pk": {"S": register.key}},
            "UpdateExpression": "SET v = :v",
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
        }

    @staticmethod
    def _value(answer: Answer) -> int:
        item = json.loads(answer.body).get("Item")
        return int(item["v"]["N"]) if item else 0

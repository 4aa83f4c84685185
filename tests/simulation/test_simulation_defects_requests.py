"""The memory of request ids: the simulation notices when it is lost, or trusted beyond what it holds.

Answers are made to be lost in all these seeds, so that routers repeat writes that have happened long ago.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
from defect_support import Defect, Patch, must_be_caught, name_of, nothing

from node.machine.requests import RequestMemory
from node.machine.state import Installer, PartitionState
from node.partition import Partition
from node.storage import keyspace
from replication.ports import Family
from router.routing.state import RoutingState
from simulation.knobs import Fault, Load
from simulation.run import run_seed
from wire import data_pb2

pytestmark = pytest.mark.simulation


def lose_answers(patch: Patch) -> None:
    """No defect: a third of the answers to writes are lost on the way, and their repeats are late."""
    original = RoutingState.result

    def result(self: Any, node_id: str, result: data_pb2.Result, now_s: float) -> None:
        outstanding = self._outstanding.get(node_id, {})
        pending = outstanding.get(result.id)
        lot = crc32(pending.operation.request_id) if pending is not None else 0
        if pending is None or lot % 3 or pending.in_doubt or not (pending.is_remembered and pending.operation.term):
            original(self, node_id, result, now_s)
            return
        del outstanding[result.id]
        pending.node, pending.sent, pending.in_doubt = "", False, True
        self._waiting += 1
        self._delayed.append((now_s + (pending.deadline_s - now_s) * (lot % 80) / 100, pending))

    patch.setattr(RoutingState, "result", result)


def forget_requests_at_failover(patch: Patch) -> None:
    """A new leader begins with an empty memory of applied requests."""
    original = Partition.turn
    terms: dict[int, int] = {}

    def turn(self: Partition, now: float) -> None:
        if self.group.is_leader and terms.get(id(self)) != self.group.term:
            terms[id(self)] = self.group.term
            self.state._requests.applied = _Shrinking()
        original(self, now)

    patch.setattr(Partition, "turn", turn)


class _Shrinking(dict[bytes, Any]):
    """What is not there may be forgotten."""

    def __delitem__(self, key: bytes) -> None:
        self.pop(key, None)


def forget_requests_at_start(patch: Patch) -> None:
    """A restarted replica and one that got a snapshot do not know which requests were applied."""
    patch.setattr(RequestMemory, "load", lambda self, records: None)


def keep_requests_in_memory_only(patch: Patch) -> None:
    """Applied requests are not stored, so that snapshots and restarts do not have them."""
    original = RequestMemory.remember

    def remember(self: Any, prefix: bytes, entry: Any, _answers: Any) -> None:
        store, self._store = self._store, _Deaf()
        try:
            original(self, prefix, entry, {})
        finally:
            self._store = store

    patch.setattr(RequestMemory, "remember", remember)


class _Deaf:
    def put(self, family: Family, key: bytes, value: bytes) -> None:
        """The defect: nothing is stored."""

    def delete_range(self, family: Family, start: bytes, end: bytes) -> None:
        """The same."""


def leave_requests_out_of_snapshots(patch: Patch) -> None:
    """An installed snapshot is without the memory of its source."""
    original = Installer.put

    def put(self: Installer, key: bytes, value: bytes) -> None:
        if not key.startswith(keyspace.REQUESTS):
            original(self, key, value)

    patch.setattr(Installer, "put", put)


def trust_the_window(patch: Patch) -> None:
    """A repeat that is not remembered is taken for a write that was not applied, whatever was forgotten."""
    patch.setattr(PartitionState, "forgotten_time", property(lambda self: 0))


_COUNTERS = (Load.COUNTERS,)
_LONG = {"request_memory_ms": 60_000, "requests_max": 1 << 16}
_SHORT = {"request_memory_ms": 60_000, "requests_max": 4}
_TWICE = "not linearizable|another state than elsewhere"

DEFECTS = [
    Defect(
        defect=forget_requests_at_failover,
        amid=lose_answers,
        loads=_COUNTERS,
        faults=(Fault.KILL, Fault.TRANSFER),
        more=_LONG,
        found_as=_TWICE,
    ),
    Defect(
        defect=forget_requests_at_start,
        amid=lose_answers,
        loads=_COUNTERS,
        faults=(Fault.KILL, Fault.RESTART_ALL),
        more=_LONG,
        found_as=_TWICE,
    ),
    Defect(
        defect=keep_requests_in_memory_only,
        amid=lose_answers,
        loads=_COUNTERS,
        faults=(Fault.KILL, Fault.RESTART_ALL),
        more=_LONG,
        found_as=_TWICE,
    ),
    Defect(
        defect=leave_requests_out_of_snapshots,
        amid=lose_answers,
        loads=_COUNTERS,
        faults=(Fault.ISOLATE, Fault.KILL),
        replication={"log_entries_kept": 2, "log_bytes_kept": 3000},
        found_as=_TWICE,
    ),
    Defect(
        defect=trust_the_window,
        amid=lose_answers,
        loads=_COUNTERS,
        faults=(Fault.KILL, Fault.TRANSFER),
        more=_SHORT,
        found_as="not linearizable",
    ),
]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("case", DEFECTS, ids=name_of)
def test_the_simulation_catches_requests_that_are_lost(monkeypatch: pytest.MonkeyPatch, case: Defect) -> None:
    must_be_caught(monkeypatch, case)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("memory", [_LONG, _SHORT], ids=["a long memory", "a memory of four requests"])
def test_lost_answers_alone_do_no_harm(monkeypatch: pytest.MonkeyPatch, memory: dict[str, int]) -> None:
    faults = (Fault.KILL, Fault.RESTART_ALL, Fault.TRANSFER, Fault.ROUTER_RESET)
    loads = (Load.COUNTERS, Load.REGISTERS)
    case = Defect(defect=nothing, amid=lose_answers, loads=loads, faults=faults, more=memory, found_as="")
    case.shape_clusters(monkeypatch)
    violations = {seed: violation for seed in range(1, 6) if (violation := run_seed(seed).violation)}
    assert violations == {}

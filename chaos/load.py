"""Runs the workloads of a scenario on an event loop of their own thread, beside the faults.

Made by chaos.runner. Laws: faults never wait for clients nor clients for faults; when the load has ended every client
has its last answer.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import uvloop

from chaos.clients.connection import Pool
from chaos.clients.log import ClientLog
from chaos.clients.session import TABLE, Session
from chaos.result import Verdict
from chaos.scenario import WorkloadSpec
from chaos.targets.base import Target, TargetError
from chaos.workloads.agreement import replicas_agree
from chaos.workloads.bank import Bank
from chaos.workloads.base import Unreadable, Workload
from chaos.workloads.counters import Counters
from chaos.workloads.eventual import EventualReaders
from chaos.workloads.probes import Probes
from chaos.workloads.registers import Registers
from chaos.workloads.sets import Sets
from harness.http import ConnectionLost, HttpConnection

SETUP_TIMEOUT_S = 60.0
# The longest answer, and a margin.
END_TIMEOUT_S = 20.0
CHECK_TIMEOUT_S = 120.0
TABLE_ATTEMPTS = 50
TABLE_PAUSE_S = 0.2

Result = TypeVar("Result")


class Load:
    """The clients of one run."""

    def __init__(self, target: Target, spec: WorkloadSpec, seed: int, log: ClientLog) -> None:
        self._target = target
        self._spec = spec
        self._seed = seed
        self._log = log
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="clients", daemon=True)
        self._session: Session | None = None
        self._workloads: Sequence[Workload] = ()
        self._running: Any = None

    def setup(self) -> None:
        """Make the table and what the workloads need. Raises TargetError."""
        make_table(self._target)
        self._thread.start()
        try:
            self._await(self._setup(), SETUP_TIMEOUT_S)
        except Unreadable as error:
            raise TargetError(str(error)) from error

    def start(self, zero_s: float) -> None:
        """Let the clients run. Times are counted from `zero_s` (monotonic)."""
        assert self._session is not None, "setup comes first"
        self._session.begin(zero_s)
        self._running = asyncio.run_coroutine_threadsafe(self._run(), self._loop)

    def stop(self) -> None:
        """Let every client get its last answer. Raises TargetError when one does not, or broke."""
        if self._running is None or self._session is None:
            return
        self._loop.call_soon_threadsafe(self._session.stopping.set)
        running, self._running = self._running, None
        try:
            running.result(END_TIMEOUT_S)
        except TimeoutError:
            raise TargetError(f"clients did not end within {END_TIMEOUT_S:g} s") from None

    def check(self) -> list[Verdict]:
        """What the workloads say when all is healed. Raises TargetError."""
        try:
            return self._await(self._check(), CHECK_TIMEOUT_S)
        except Unreadable as error:
            raise TargetError(str(error)) from error

    def close(self) -> None:
        """End the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(END_TIMEOUT_S)
        if not self._thread.is_alive():
            self._loop.close()

    # --- on the loop ------------------------------------------------------------------------------------------------

    def _await(self, work: Coroutine[Any, Any, Result], timeout_s: float) -> Result:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise TargetError(f"clients were not done within {timeout_s:g} s") from None

    async def _setup(self) -> None:
        members = self._target.members
        pools = [
            Pool(member.name, member.az, *self._target.http_address(member.name))
            for member in members
            if member.is_router
        ]
        self._session = Session(pools, self._log, self._target.partitions)
        zones = {member.name: member.az for member in members}
        self._workloads = make_workloads(self._spec, self._session, zones, self._seed)
        for workload in self._workloads:
            await workload.setup()
        # Writes of the setup are not part of what is judged.
        self._log.operations.clear()
        self._log.errors.clear()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for workload in self._workloads:
                for client in workload.clients():
                    tasks.create_task(client)

    async def _check(self) -> list[Verdict]:
        found: list[Verdict] = []
        for workload in self._workloads:
            found += await workload.check()
        assert self._session is not None, "setup comes first"
        nodes = {member.name: member.az for member in self._target.members if not member.is_router}
        found.append(await replicas_agree(self._session, nodes))
        for pool in self._session.pools:
            pool.close()
        return found


def make_workloads(spec: WorkloadSpec, session: Session, zones: dict[str, str], seed: int) -> list[Workload]:
    """The workloads that a scenario asks for."""
    made: list[Workload] = []
    if spec.registers is not None:
        registers = Registers(session, seed=seed, **dict(spec.registers))
        made.append(registers)
        if spec.eventual is not None:
            made.append(EventualReaders(session, registers.keys, zones, seed=seed, **dict(spec.eventual)))
    if spec.counters is not None:
        made.append(Counters(session, seed=seed, **dict(spec.counters)))
    if spec.sets is not None:
        made.append(Sets(session, seed=seed, **dict(spec.sets)))
    if spec.bank is not None:
        made.append(Bank(session, seed=seed, **dict(spec.bank)))
    if spec.probes is not None:
        made.append(Probes(session, **dict(spec.probes)))
    return made


def make_table(target: Target) -> None:
    """The clients' table, active. Raises TargetError."""
    router = next(member.name for member in target.members if member.is_router)
    request = {
        "TableName": TABLE,
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    last = ""
    with HttpConnection(*target.http_address(router)) as http:
        for _ in range(TABLE_ATTEMPTS):
            try:
                answer = http.call("CreateTable", request)
                if answer.status != 200 and answer.error[0] != "ResourceInUseException":
                    last = f"CreateTable: {answer.status} {answer.body[:200]!r}"
                else:
                    answer = http.call("DescribeTable", {"TableName": TABLE})
                    if answer.status == 200 and answer.json["Table"]["TableStatus"] == "ACTIVE":
                        return
                    last = f"DescribeTable: {answer.status} {answer.body[:200]!r}"
            except ConnectionLost as lost:
                last = str(lost)
            # The server tells nobody when a table turns active: it has to be asked again.
            time.sleep(TABLE_PAUSE_S)
    raise TargetError(f"the clients' table did not become active: {last}")

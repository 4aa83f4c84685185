"""One run: a cluster of three real nodes, clients and faults, from one seed, judged from beginning to end.

Called by simulation.__main__ and by tests/simulation. Law: a run ends with every fault healed, and then everything must
come to rest in a bounded time, hold every acknowledged write and be explained by one order of calls for each key.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from histories.linearizability import Verdict, judge
from histories.records import Action, Call
from simulation.checks import Checks
from simulation.client import Client, group_of, keys_of
from simulation.faults import Faults
from simulation.indexes import Indexes, limited
from simulation.knobs import GROUPS, NODES, Knobs, draw_knobs
from simulation.network import Network
from simulation.process import Machine
from simulation.story import Story
from simulation.world import Violation, World
from wire import data_pb2

CLIENTS = 3
WARM_UP_S = 1.0
AFTER_FAULTS_S = 1.5
FINAL_READS_BOUND_S = 5.0


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run did; `violation` is empty when all was well."""

    seed: int
    knobs: Knobs
    violation: str = ""
    digest: str = ""
    events: int = 0
    virtual_s: float = 0.0
    answered: int = 0
    refused: int = 0
    unknown: int = 0
    elections: int = 0
    crashes: int = 0
    snapshots: int = 0
    undecided: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    # None unless it was asked for.
    story: Story | None = None


class Run:
    """The parts of one run."""

    def __init__(self, seed: int, story: Story | None = None) -> None:
        self.world = World(seed, story)
        self.knobs = draw_knobs(self.world.random_stream("knobs"))
        self.checks = Checks(self.world)
        self.network = Network(self.world, self.checks, self.knobs.latency_s, self.knobs.resend_probability)
        self.machines = {
            node_id: Machine(node_id, self.world, self.network, self.checks, self.knobs) for node_id in NODES
        }
        self.clients = [Client(number, self.world, self.knobs, self._told) for number in range(1, CLIENTS + 1)]
        self.faults = Faults(self.world, self.machines, self.network, self.knobs)
        self.indexes = Indexes(self.world, self.machines, self.knobs)
        self.undecided = 0
        # key -> every value that somebody tried to write, and those that eventual reads showed.
        self._eventual_reads: list[Call] = []

    def _told(self, call: Call, kind: data_pb2.OperationKind) -> None:
        if kind == data_pb2.GET_EVENTUAL and not call.is_open:
            self._eventual_reads.append(call)

    def execute(self) -> None:
        """Run to the end. Raises Violation."""
        world = self.world
        for machine in self.machines.values():
            machine.on_start.append(self.indexes.process_started)
            for client in self.clients:
                machine.on_start.append(client.connect)
                machine.on_crash.append(client.disconnected)
            world.at(world.randomness.uniform(0.0, 0.1), machine.start)
        world.run_until(WARM_UP_S)
        self.indexes.begin()
        for client in self.clients:
            client.is_working = True
            client.work()
        self.faults.begin()
        world.run_until(self.knobs.faults_end_s)
        self.faults.stop()
        self.indexes.writes_end_in(AFTER_FAULTS_S)
        world.run_until(world.now + AFTER_FAULTS_S)
        for client in self.clients:
            client.is_working = False
        self._converge()
        self._read_all()
        self._judge()

    # ------------------------------------------------------------------ the end
    def _unrest(self) -> str:
        """What keeps the cluster from being at rest; empty: it is."""
        for client in self.clients:
            if client.waiting:
                return f"{client.name} waits for {client.waiting} answers"
        hosts = []
        for machine in self.machines.values():
            if machine.process is None:
                return f"{machine.node_id} is down"
            hosts.append(machine.process.host)
        for group_id in GROUPS:
            replicas = [host.group(group_id) for host in hosts]
            if any(replica.rebuild is not None for replica in replicas):
                return f"a replica of group {group_id} is being rebuilt"
            if sum(replica.is_ready_leader for replica in replicas) != 1:
                return f"group {group_id} has not one leader"
            marks = {
                (
                    replica.applied_index,
                    replica.commit_index,
                    replica.journal.last_index,
                    replica.term,
                    replica.leader_id,
                )
                for replica in replicas
            }
            applied, commit, last, _, _ = min(marks, key=lambda mark: mark[:4])
            if len(marks) != 1 or not applied == commit == last:
                return f"group {group_id} differs: {sorted(marks, key=lambda mark: mark[:4])}"
            if any(host.partitions[group_id].in_flight for host in hosts):
                return f"group {group_id} counts operations in flight when there are none"
        return self.indexes.unrest()

    def _converge(self) -> None:
        end = self.world.now + self.knobs.convergence_bound_s
        while self.world.now < end:
            self.world.run_until(self.world.now + 0.2)
            if not self._unrest():
                return
        bound_s = self.knobs.convergence_bound_s
        raise self.world.violation(f"no rest {bound_s} s after the last fault: {self._unrest()}")

    def _read_all(self) -> None:
        """A strong read of every key is part of the history: it must find what was acknowledged."""
        client = self.clients[0]
        wanted = [key for group_id in GROUPS for key in keys_of(group_id)]
        end = self.world.now + FINAL_READS_BOUND_S
        while wanted and self.world.now < end:
            for key in wanted:
                leader = next(
                    machine.node_id
                    for machine in self.machines.values()
                    if machine.process is not None and machine.process.host.group(group_of(key)).is_leader
                )
                client.ask(leader, [Call(key=key, action=Action.READ, invoked_at=self.world.now)])
            before = len(client.history)
            self.world.run_until(self.world.now + 0.5)
            read = {call.key for call in client.history[before:] if not call.is_open}
            wanted = [key for key in wanted if key not in read]
        if wanted:
            raise self.world.violation(f"strong reads of {wanted} are not answered by a cluster at rest")

    def _judge(self) -> None:
        by_key: dict[str, list[Call]] = {}
        for client in self.clients:
            for call in client.history:
                by_key.setdefault(call.key, []).append(call)
        for key, calls in sorted(by_key.items()):
            verdict = judge(calls)
            if verdict is Verdict.VIOLATED:
                listed = "\n".join(str(call) for call in sorted(calls, key=lambda call: call.invoked_at))
                raise self.world.violation(f"key {key} is not linearizable:\n{listed}")
            self.undecided += verdict is Verdict.UNDECIDED
        for read in self._eventual_reads:
            self._judge_eventual(read, by_key.get(read.key, []))
        self.indexes.judge()

    def _judge_eventual(self, read: Call, calls: list[Call]) -> None:
        if read.observed is None:
            return
        before = [call for call in calls if call.invoked_at <= read.returned_at and not call.failed]
        if read.key[2] == "c":
            written = int(read.observed) <= sum(call.action is Action.ADD for call in before)
        else:
            written = any(call.value == read.observed for call in before)
        if not written:
            raise self.world.violation(f"an eventual read shows what nobody had written: {read}")

    def report(self, violation: str) -> Report:
        """What happened so far."""
        return Report(
            seed=self.world.seed,
            knobs=self.knobs,
            violation=violation,
            digest=self.world.digest,
            events=self.world.events,
            virtual_s=self.world.now,
            answered=sum(client.answered for client in self.clients),
            refused=sum(client.refused for client in self.clients),
            unknown=sum(call.is_open for client in self.clients for call in client.history),
            elections=self.checks.elections,
            crashes=sum(machine.crashes for machine in self.machines.values()),
            snapshots=self.checks.snapshots,
            undecided=self.undecided,
            faults=dict(sorted(self.faults.counts.items())),
            story=self.world.story,
        )


def run_seed(seed: int, story: Story | None = None) -> Report:
    """Run one seed to its end or to its first violation, and fill its story if one is given."""
    run = Run(seed, story)
    try:
        with limited(run.knobs.index_limits):
            run.execute()
    except Violation as violation:
        return run.report(str(violation))
    return run.report("")

"""What differs from seed to seed besides the order of events: limits, speeds and the mix of faults. Pure.

Drawn by simulation.run. Law: everything that a seed decides about the shape of its cluster is in this one value, so a
report can show it. Each seed takes few kinds of fault but those often: a mean of everything finds less.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass, replace

from replication.group import ReplicationSettings

ROUTERS = ("r1", "r2")
# Where everything stands: three zones, of which a larger cluster has two machines in the first ones.
ZONES = {"n1": "az-a", "n2": "az-b", "n3": "az-c", "n4": "az-a", "n5": "az-b", "r1": "az-a", "r2": "az-b"}


class Fault(enum.Enum):
    """What can be done to the cluster."""

    KILL = "kill"  # the process dies, the machine keeps what was written
    POWER_LOSS = "power_loss"  # the machine keeps a prefix that holds at least what was synced
    BLACKOUT = "blackout"  # power loss of several machines at once
    PAUSE = "pause"
    RESET = "reset"  # one stream breaks
    CUT = "cut"  # one direction between two nodes is silent
    ISOLATE = "isolate"  # an availability zone loses its network to the others
    SLOW_LINK = "slow_link"
    SLOW_SYNC = "slow_sync"
    FAILED_SYNC = "failed_sync"
    TRANSFER = "transfer"
    SILENCE = "silence"  # an availability zone hears the others and is not heard, or the other way round
    LOSSY_LINK = "lossy_link"  # loss as TCP shows it: what comes behind a lost packet waits for it
    FULL_DISK = (
        "full_disk"  # no write succeeds: the process stops itself, and again at every start until there is space
    )
    CLOCK_JUMP = "clock_jump"  # a wall clock is set by seconds or hours, or right
    CLOCK_RATE = "clock_rate"  # monotonic clocks go on at other speeds
    RESTART_ALL = "restart_all"  # every process dies at once, machines keep what was written
    ROLLING_RESTART = "rolling_restart"  # one node after the other hands its leaderships over, stops and starts
    MOVE = "move"  # an operator moves the replicas of a partition to other machines of their zones
    LOST_DISK = "lost_disk"  # the machine comes back empty, to be rebuilt
    ROUTER_KILL = "router_kill"
    ROUTER_PAUSE = "router_pause"
    ROUTER_RESET = "router_reset"  # one stream of a router breaks
    ROUTER_CUT = "router_cut"  # one direction between a router and a node is silent


# Kinds that together reach what each defect needs; a seed takes one of these, or some kinds at random.
_LEADERSHIP = (Fault.CUT, Fault.SLOW_LINK, Fault.TRANSFER, Fault.ISOLATE)
_DURABILITY = (Fault.POWER_LOSS, Fault.BLACKOUT, Fault.SLOW_SYNC, Fault.ISOLATE)
_CATCHING_UP = (Fault.KILL, Fault.PAUSE, Fault.RESET, Fault.POWER_LOSS)
_CLOCKS = (Fault.CLOCK_JUMP, Fault.CLOCK_RATE, Fault.KILL, Fault.TRANSFER)
_OPERATING = (Fault.ROLLING_RESTART, Fault.RESTART_ALL, Fault.FULL_DISK, Fault.LOSSY_LINK)
_REBUILDING = (Fault.LOST_DISK, Fault.CUT, Fault.POWER_LOSS, Fault.TRANSFER)
_ROUTING = (Fault.ROUTER_CUT, Fault.ROUTER_KILL, Fault.TRANSFER, Fault.ISOLATE, Fault.PAUSE)
_MIXES = (_LEADERSHIP, _DURABILITY, _CATCHING_UP, _CLOCKS, _OPERATING, _REBUILDING, _ROUTING)


class Load(enum.Enum):
    """What clients do: one module of simulation.workloads each."""

    REGISTERS = "registers"
    COUNTERS = "counters"
    LISTS = "lists"
    BANK = "bank"
    INDEXES = "indexes"
    TABLES = "tables"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexLimits:
    """Limits of node.indexing, in items and records: with those of real nodes few items are one step and one batch."""

    step_items_max: int = 200
    batch_records_max: int = 512
    backfill_outbox_records_max: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """The shape of one run; times in seconds."""

    replication: ReplicationSettings
    proposals_in_flight_max: int
    latency_s: float
    sync_s: float
    slow_sync_probability: float
    clock_drift: float
    fault_interval_s: float
    faults: tuple[Fault, ...]
    faults_end_s: float
    # How much slower than the fastest cluster this one's clocks and people are: its faults last as much longer.
    pace: float = 1.0
    timer_interval_s: float = 0.01
    router_tick_ms: int = 20
    operation_ms: int = 3000
    connect_ms: int = 1000
    table_activation_ms: int = 2000
    client_timeout_s: float = 4.0
    # Of all clients together, in requests per second.
    request_rate: float = 10.0
    loads: tuple[Load, ...] = ()
    # Three to five.
    machines: int = 3
    # Of data; the catalog is one more.
    partitions: int = 2
    index_delay_ms: int = 0
    index_limits: IndexLimits = IndexLimits()
    # Whether an index is added while clients write; and if so, whether it is soon dropped and one like it added.
    adds_index: bool = False
    drops_index: bool = False
    # Items of registers are padded by up to this.
    padding_bytes: int = 0
    # How likely a new stream begins with the last messages of the one that broke.
    resend_probability: float = 0.0
    # What a partition remembers of applied requests: with what real nodes remember no run would ever forget.
    request_memory_ms: int = 60_000
    requests_max: int = 1 << 16
    # From so many arrivals in a turn on a node lets the followers wait that no commit needs.
    busy_arrivals: int = 4

    @property
    def nodes(self) -> tuple[str, ...]:
        """Ids of the machines."""
        return tuple(f"n{number}" for number in range(1, self.machines + 1))

    @property
    def groups(self) -> tuple[int, ...]:
        """Ids of the partitions of data."""
        return tuple(range(1, self.partitions + 1))

    @property
    def convergence_bound_s(self) -> float:
        """From the last fault: reconnects, a notice of a broken stream, elections, a snapshot that stalled and starts
        again; and a backlog of hundreds of changes, two at a time through slow disks, if a seed has such limits."""
        return (15.0 if self.index_limits == IndexLimits() else 60.0) * self.pace


_SMALL = IndexLimits(step_items_max=3, batch_records_max=4, backfill_outbox_records_max=8)
_SMALLEST = IndexLimits(step_items_max=1, batch_records_max=2, backfill_outbox_records_max=3)


# Every seed may have these; a move needs a cluster that is large enough.
_ANYWHERE = [fault for fault in Fault if fault is not Fault.MOVE]
_MOVE_PROBABILITY = 0.75

# Machines and partitions: two thirds of the seeds have three machines that all hold everything, which costs least; in
# the others no machine, or not every one, has a replica of everything.
_ALIKE_PROBABILITY = 2 / 3
_SHAPES = ((4, 2), (4, 2), (4, 3), (5, 2), (5, 2), (5, 4), (3, 3))

# Few seeds are as busy as a cluster gets; the others live longer for the same work.
_DENSE_PROBABILITY = 0.08
_SLOW_PACE = 6.0


def draw_knobs(randomness: random.Random) -> Knobs:
    """The shape of the run that `randomness` gives."""
    is_dense = randomness.random() < _DENSE_PROBABILITY
    pace = 1.0 if is_dense else _SLOW_PACE
    replication = _draw_replication(randomness, pace)
    faults: tuple[Fault, ...]
    if randomness.random() < 0.5:
        faults = randomness.choice(_MIXES)
    else:
        faults = tuple(randomness.sample(_ANYWHERE, randomness.randint(2, 6)))
    drawn = Knobs(
        replication=replication,
        proposals_in_flight_max=randomness.choice((6, 64)),
        latency_s=randomness.choice((0.0005, 0.003)) * randomness.choice((1.0, pace)),
        sync_s=randomness.choice((0.001, 0.004, 0.02)) * randomness.choice((1.0, pace)),
        slow_sync_probability=randomness.choice((0.02, 0.2)),
        clock_drift=randomness.choice((0.0, 0.03)),
        fault_interval_s=randomness.choice((0.1, 0.3, 0.8)) * pace,
        faults=faults,
        faults_end_s=randomness.uniform(8.0, 11.0) if is_dense else randomness.uniform(46.0, 54.0),
        pace=pace,
        timer_interval_s=randomness.choice((0.01, 0.02)) * pace,
        router_tick_ms=int(20 * pace),
        operation_ms=int(randomness.choice((1000, 3000)) * (1.0 if is_dense else 3.0)),
        client_timeout_s=randomness.choice((0.5, 4.0)) * (1.0 if is_dense else 3.0),
        request_rate=randomness.choice((20.0, 60.0)) / pace,
        loads=tuple(randomness.sample(list(Load), randomness.choice((1, 2, 2, 3)))),
        index_delay_ms=randomness.choice((0, 0, 300)),
        index_limits=randomness.choice((IndexLimits(), IndexLimits(), _SMALL, _SMALLEST)),
        adds_index=randomness.random() < 0.7,
        drops_index=randomness.random() < 0.5,
        padding_bytes=randomness.choice((0, 0, 50, 4000)),
        resend_probability=randomness.choice((0.0, 0.3)),
        request_memory_ms=randomness.choice((60_000, 60_000, 12_000, 4_000)),
        requests_max=randomness.choice((1 << 16, 1 << 16, 64, 12)),
        busy_arrivals=randomness.choice((1, 4)),
    )
    if randomness.random() < _ALIKE_PROBABILITY:
        return drawn
    machines, partitions = randomness.choice(_SHAPES)
    drawn = replace(drawn, machines=machines, partitions=partitions)
    if machines > 3 and randomness.random() < _MOVE_PROBABILITY:
        return replace(drawn, faults=(*faults, Fault.MOVE))
    return drawn


def _draw_replication(randomness: random.Random, pace: float) -> ReplicationSettings:
    election_min_s = randomness.choice((0.25, 0.4)) * pace
    return ReplicationSettings(
        election_timeout_min_s=election_min_s,
        election_timeout_max_s=election_min_s * 2,
        heartbeat_s=randomness.choice((0.05, 0.08)) * pace,
        append_bytes_max=randomness.choice((300, 2000, 100_000)),
        append_window_entries=randomness.choice((8, 64, 4096)),
        append_window_bytes=randomness.choice((2000, 8 << 20)),
        log_entries_kept=randomness.choice((2, 8, 40)),
        log_bytes_kept=randomness.choice((3000, 1_000_000)),
        snapshot_chunk_bytes=randomness.choice((150, 600, 64 << 10)),
        snapshot_window_chunks=randomness.choice((1, 3)),
        read_lease=randomness.random() < 0.35,
    )

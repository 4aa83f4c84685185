"""What one chaos run saw: the values that are saved as result.json and drawn as report.html. Pure.

Filled by chaos.runner, read by chaos.report. Law: everything a reader needs is in here; the report asks nobody else.

Times `_s` are seconds since the load began; faults and samples before it have negative times.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

# Version of result.json. A file of another one is refused instead of being misread.
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpan:
    """One fault, from its injection to its end."""

    name: str  # kill, pause, partition, ...
    victim: str  # what it hit, in words: "n2 (az-b)", "az-a | az-b, az-c"
    began_s: float
    ended_s: float
    detail: str = ""
    victims: tuple[str, ...] = ()  # the processes that were hit, by name
    label: str = ""  # what the scenario calls it


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Operations of one kind that ended within one slice of time."""

    at_s: float  # where the slice begins
    width_s: float
    kind: str  # write, read (strong), eventual
    ok: int
    failed: int  # refused: certainly without effect
    unknown: int  # may have happened
    p50_ms: float  # of those that were ok; 0 without any
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderChange:
    """Who leads a partition from this moment on; "" for nobody. Partition 0 is the catalog."""

    at_s: float
    partition: int
    leader: str
    term: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Staleness:
    """Eventual reads as one AZ's clients saw them."""

    az: str
    reads: int
    stale: int  # returned a value although a newer one had been acknowledged before the read began
    went_back: int  # returned an older value than the same client had read before
    missed_own_write: int = 0  # returned an older value than the same client had written before
    versions_max: int = 0  # how many newer versions had been acknowledged, at most
    p50_ms: float  # how long ago the value had been replaced, of stale reads
    p99_ms: float
    max_ms: float
    # Counts of stale reads by age: (upper bound in ms, count), ascending; the last bound is infinite (-1).
    histogram: tuple[tuple[float, int], ...]
    # Reads by the node that served them; empty without the trace header.
    served_by: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one checker said."""

    name: str  # registers are linearizable, no set element is lost, ...
    held: bool
    detail: str  # how much was checked, in words
    # The first few violations, each a short text.
    violations: tuple[str, ...] = ()
    decided: bool = True  # False: the checker gave up; such a verdict does not hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One expectation of the scenario, and what was measured."""

    name: str  # write_gap_ms
    wanted: str  # "p99 at most 1000 ms"
    measured: str  # "p99 640 ms over 50 faults"
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The longest time without a success in one partition after one fault was injected."""

    kind: str  # write, read, eventual
    partition: int
    fault: int  # position in RunResult.faults
    ms: float
    led_by_victim: bool  # the fault hit the partition's leader


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something worth a line beside the charts."""

    at_s: float
    kind: str  # fault, heal, process, leader, note, error
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """All operations of one kind."""

    kind: str
    ok: int
    failed: int
    unknown: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What was hurt."""

    against: str  # local, compose
    nodes: dict[str, str]  # name -> AZ
    routers: dict[str, str]
    partitions: int
    machine: str  # "2 cores, Linux 6.1"
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """One run of one scenario."""

    format: int
    scenario: str
    about: str
    seed: int
    command: str  # runs it again
    began_at: str  # ISO 8601, UTC
    seconds: float  # how long the load ran
    cluster: Cluster
    passed: bool
    verdicts: tuple[Verdict, ...]
    expectations: tuple[Expectation, ...]
    totals: tuple[Total, ...]
    # Failed and unknown requests by what the client was told: "write 500 InternalServerError" -> count.
    errors: dict[str, int]
    faults: tuple[FaultSpan, ...]
    gaps: tuple[Gap, ...]
    samples: tuple[Sample, ...]
    leaders: tuple[LeaderChange, ...]
    staleness: tuple[Staleness, ...]
    events: tuple[Event, ...]
    # Relative to the result's folder; empty: not kept.
    history_file: str = ""
    logs: tuple[str, ...] = ()
    # A failure of the run itself (the cluster did not start, a fault could not be injected), in words.
    broke: str = ""


_ADAPTER = TypeAdapter(RunResult)


class ResultUnreadable(ValueError):
    """A result file that is none, or of another version."""


def to_json(result: RunResult) -> bytes:
    """The whole result as a JSON document."""
    return _ADAPTER.dump_json(result, indent=1)


def load(path: Path) -> RunResult:
    """The result saved in `path`. Raises ResultUnreadable, or OSError."""
    try:
        result = _ADAPTER.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        raise ResultUnreadable(f"{path} is not the result of a chaos run: {where}{first['msg']}") from error
    if result.format != FORMAT:
        raise ResultUnreadable(f"{path} has format {result.format}; this program reads format {FORMAT}")
    return result

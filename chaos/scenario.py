"""Scenario files: their schema, and the loader that names the line of each mistake.

Read by chaos.cli and the tests. Law: a file that loads can be run; what cannot work is refused here.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from chaos import victims
from chaos.faults.base import Fault
from chaos.faults.registry import FAULTS, word_of
from harness.settings import settings_text
from topology.settings import ClusterSettings, SettingsError, load_settings
from topology.yaml_lines import Document, Problem, parse
from topology.yaml_lines import Path as KeyPath

FOLDER = Path(__file__).with_name("scenarios")
SECONDS_MAX = 3600
# Sections of cluster.yaml that a scenario may set; who and where is the target's business.
SETTINGS = frozenset(ClusterSettings.model_fields) - {"cluster", "nodes", "routers"}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Count = Annotated[int, Field(ge=1, le=1000)]
Rate = Annotated[float, Field(ge=0, le=2000)]
ThinkMs = Annotated[float, Field(ge=0, le=60_000)]


class RegistersSpec(_Section):
    """Registers with compare-and-set."""

    keys_each: Count = 2
    clients: Count = 8
    think_ms: ThinkMs = 20


class CountersSpec(_Section):
    """Counters: increments that must count once."""

    clients: Count = 3
    think_ms: ThinkMs = 30


class SetsSpec(_Section):
    """Sets to which elements are added."""

    clients: Count = 6
    think_ms: ThinkMs = 30


class BankSpec(_Section):
    """Transfers inside an item."""

    clients: Count = 3
    think_ms: ThinkMs = 30


class EventualSpec(_Section):
    """Readers at eventual consistency through the router of each AZ. They read the registers."""

    each: Count = 2
    think_ms: ThinkMs = 20


class ProbesSpec(_Section):
    """Open-loop requests, a second and partition."""

    writes: Rate = 20
    reads: Rate = 10
    eventual: Rate = 10


class WorkloadSpec(_Section):
    """What the clients do. A section that is left out does not run."""

    registers: RegistersSpec | None = None
    counters: CountersSpec | None = None
    sets: SetsSpec | None = None
    bank: BankSpec | None = None
    eventual: EventualSpec | None = None
    probes: ProbesSpec | None = None


class Bounds(_Section):
    """Upper bounds of a measure over all faults."""

    p50: float | None = Field(default=None, ge=0)
    p99: float | None = Field(default=None, ge=0)
    max: float | None = Field(default=None, ge=0)


class Effect(_Section):
    """What each injection of a fault does to clients at least: a run in which the fault did nothing proves nothing.

    Only what the fault itself guarantees belongs here, and never what a slow machine adds.
    """

    # The longest time without a write in the worst partition.
    write_gap_ms: float | None = Field(default=None, gt=0)
    # Of writes while it lasts, in the slowest of the partitions that its victims led.
    write_p99_ms: float | None = Field(default=None, gt=0)
    # A victim leads a partition again before the load ends.
    leads_again: bool = False


class Expectations(_Section):
    """What must be so at the end. The checkers' verdicts are always expected."""

    # The longest time without a success in any one partition, from a fault to its end and a little after.
    write_gap_ms: Bounds | None = None
    read_gap_ms: Bounds | None = None
    eventual_gap_ms: Bounds | None = None
    # New terms over all groups, between the begin of the load and its end; at most so many.
    elections: int | None = Field(default=None, ge=0)
    # Requests that were refused or whose outcome is unknown, at most so many.
    failed_requests: int | None = Field(default=None, ge=0)
    # Nodes that end by themselves: name of a fault -> exit status of the nodes it hit. Any other end is a failure.
    node_exits: dict[str, int] = Field(default_factory=dict)
    # Names of faults whose victims must have rebuilt a replica from its peers.
    rebuilt: tuple[str, ...] = ()
    # Name of a fault -> what it must have done.
    effects: dict[str, Effect] = Field(default_factory=dict)
    # From the end of the faults until every replica has caught up.
    converged_s: float = Field(default=60, gt=0, le=600)


class Scenario(_Section):
    """A whole file."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,64}$")
    about: str = Field(min_length=10, max_length=600)
    # How long the faults may take; the load goes on until all is healed and the cluster whole.
    seconds: float = Field(gt=0, le=SECONDS_MAX)
    settings: dict[str, Any] = Field(default_factory=dict)
    workload: WorkloadSpec
    faults: tuple[Fault, ...] = ()
    expect: Expectations = Expectations()

    @property
    def needs_injection(self) -> bool:
        """Does it use the nodes' fault-injection service?"""
        return any(fault.uses_injection for fault in self.faults)

    @property
    def needs_containers(self) -> bool:
        """Can it be run against containers only?"""
        return any(part.needs_containers for fault in self.faults for part in fault.parts)

    @property
    def needs_local(self) -> bool:
        """Can it be run against processes of this machine only?"""
        return any(part.needs_local for fault in self.faults for part in fault.parts)


class ScenarioError(ValueError):
    """A scenario that is refused: one problem a line, each with file and line."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(problem.render(source) for problem in self.problems))


def load(text: str, source: str) -> Scenario:
    """The scenario in `text`; `source` is shown in errors. Raises ScenarioError with every problem that can be seen."""
    document = parse(text)
    problems = list(document.problems)
    if not isinstance(document.value, dict):
        problems = problems or [Problem(1, (), "a mapping is expected: name, about, seconds, workload, faults, expect")]
        raise ScenarioError(source, problems)
    given = dict(document.value)
    faults, fault_problems = _faults(document, given.get("faults") or ())
    problems += fault_problems
    given["faults"] = ()
    # `eventual:` with nothing below means its defaults.
    if isinstance(given.get("workload"), dict):
        given["workload"] = {name: {} if part is None else part for name, part in given["workload"].items()}
    scenario = None
    try:
        scenario = Scenario.model_validate(given)
    except ValidationError as error:
        problems += [_problem(document, details, ()) for details in error.errors(include_url=False)]
    if scenario is not None:
        scenario = scenario.model_copy(update={"faults": tuple(faults)})
        problems += _relations(document, scenario)
    if scenario is None or problems:
        raise ScenarioError(source, problems)
    return scenario


def load_file(path: Path) -> Scenario:
    """The scenario in a file. Raises ScenarioError, or OSError."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        problem = Problem(1, (), f"not a text in UTF-8: {error.reason} at byte {error.start}")
        raise ScenarioError(str(path), [problem]) from error
    return load(text, str(path))


def names() -> list[str]:
    """The scenarios that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def _faults(document: Document, given: Any) -> tuple[list[Fault], list[Problem]]:
    if not isinstance(given, list | tuple):
        return [], [Problem(document.line_of(("faults",)), ("faults",), "must be a list")]
    made: list[Fault] = []
    problems: list[Problem] = []
    for number, values in enumerate(given):
        path: KeyPath = ("faults", number)
        line = document.line_of(path)
        word = values.get("fault") if isinstance(values, dict) else None
        if word not in FAULTS:
            close = difflib.get_close_matches(str(word), FAULTS, n=1)
            known = f"did you mean {close[0]}?" if close else f"known: {', '.join(FAULTS)}"
            reason = f"there is no fault {word!r}; {known}" if word else f"`fault:` must name one; {known}"
            problems.append(Problem(line, path, reason))
            continue
        try:
            fault = FAULTS[word].model_validate(values)
        except ValidationError as error:
            problems += [_problem(document, details, path) for details in error.errors(include_url=False)]
            continue
        made.append(fault)
        if fault.needs_length and fault.for_ is None:
            problems.append(Problem(line, path, "`for:` is required: seconds until it is healed"))
        if fault.times > 1 and fault.every is None:
            problems.append(Problem(line, path, "`times:` needs `every:`, the seconds between them"))
    return made, problems


def _relations(document: Document, scenario: Scenario) -> list[Problem]:
    problems = []
    labels = [fault.name for fault in scenario.faults]
    for number, fault in enumerate(scenario.faults):
        path: KeyPath = ("faults", number)
        if fault.name and fault.name in labels[:number]:
            problems.append(Problem(document.line_of(path), path, f"a fault before is called {fault.name!r} too"))
        problems += [Problem(document.line_of(path), path, reason) for reason in _wrong_victims(fault, labels[:number])]
        last_s = fault.at.high + (fault.times - 1) * (fault.every.high if fault.every else 0)
        if last_s > scenario.seconds:
            reason = f"it may begin after {last_s:g} s, when the scenario is over ({scenario.seconds:g} s)"
            problems.append(Problem(document.line_of(path), path, reason))
    expect = scenario.expect
    for section, keys in (("node_exits", expect.node_exits), ("rebuilt", expect.rebuilt), ("effects", expect.effects)):
        for key in keys:
            if key not in labels:
                where = ("expect", section)
                problems.append(Problem(document.line_of(where), where, f"no fault is called {key!r}"))
    problems += _settings(document, scenario.settings)
    if scenario.needs_containers and scenario.needs_local:
        reason = "one of these needs containers and another one processes of this machine: nothing has both"
        problems.append(Problem(document.line_of(("faults",)), ("faults",), reason))
    if scenario.workload.eventual and not scenario.workload.registers:
        path = ("workload", "eventual")
        problems.append(Problem(document.line_of(path), path, "eventual readers read the registers: add `registers:`"))
    return problems


def _wrong_victims(fault: Fault, labels: Sequence[str]) -> list[str]:
    """What is wrong with the victims of a fault, or of those that it chooses from; `labels`: faults before it."""
    reasons = []
    for part in fault.parts:
        texts = [str(getattr(part, field, None) or "") for field in ("victim", "to")]
        named = [label for label in map(victims.label_in, texts) if label and label not in labels]
        reasons += [f"no fault before is called {label!r}" for label in named]
        if part.hits_nodes and victims.is_router(texts[0]):
            reasons.append(f"{word_of(type(part))} has nodes as its victims, and {texts[0]} is a router")
    return reasons


def _settings(document: Document, given: dict[str, Any]) -> list[Problem]:
    """What is wrong with sections of cluster.yaml: found here, for a cluster that cannot start says it too late."""
    unknown = [key for key in given if key not in SETTINGS]
    if unknown:
        known = f"known here: {', '.join(sorted(SETTINGS))}"
        return [Problem(document.line_of(("settings", key)), ("settings", key), known) for key in unknown]
    try:
        load_settings(settings_text(nodes=3, routers=1, overrides=given, data_folders={}), "settings")
    except SettingsError as error:
        paths: list[tuple[KeyPath, str]] = [(("settings", *one.path), one.reason) for one in error.problems]
        return [Problem(document.line_of(path), path, reason) for path, reason in paths]
    return []


def _problem(document: Document, details: ErrorDetails, prefix: KeyPath) -> Problem:
    path: KeyPath = (*prefix, *details["loc"])
    kind = details["type"]
    if kind == "extra_forbidden":
        reason = "unknown key"
    elif kind == "missing":
        reason = "required, but not given"
    else:
        reason = details["msg"].removeprefix("Value error, ")
    return Problem(document.line_of(path), path, reason)

"""What a fault is: setup, inject, heal; and what it may use.

Implemented by the other modules of this package, run by chaos.executor on the main thread. Laws: `heal` may be called
at any time after `inject` began, also when that failed half way, and more than once; a fault acts through its arena
only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chaos import victims
from chaos.spans import SpanField
from chaos.targets.base import Target, TargetError
from chaos.victims import View
from tools.errors import CommandError

# A step of a fault that takes long: others may act in between.
Steps = Iterator[None]


class Rules(Protocol):
    """The fault services of all nodes (chaos.injection)."""

    def set_rules(self, node: str, rules: Sequence[Any]) -> None:
        """Add rules on a node. Raises TargetError."""

    def clear_rules(self, node: str, ids: Sequence[str]) -> None:
        """Heal rules of a node. Raises TargetError."""

    def left(self) -> list[str]:
        """Rules still in force, in words."""

    def close(self) -> None:
        """Give up the connections."""


class Arena(Protocol):
    """What a fault sees of the run."""

    target: Target
    rng: random.Random

    def view(self) -> View:
        """The cluster as it is now."""

    def pick(self, text: str) -> list[str]:
        """The victims named by `text`, now. Raises victims.NoVictim."""

    def note(self, text: str) -> None:
        """A line for the report."""

    def expect_end(self, name: str, *, status: int, is_counted: bool = True) -> None:
        """This process will end by itself with this status, and that is right; `is_counted`: the scenario says so."""

    def set_rules(self, node: str, rules: Sequence[Any]) -> None:
        """Add fault rules on a node (tools.faults). Raises TargetError."""

    def clear_rules(self, node: str, ids: Sequence[str]) -> None:
        """Heal these rules. A node that is down has none."""

    def bring_back(self, names: Sequence[str]) -> None:
        """Start those of `names` that do not run, and wait until they answer."""

    def wait(self, fact: Callable[[], bool], what: str, timeout_s: float) -> Steps:
        """Steps until `fact`. Raises TargetError when the time is over."""


def _understood(text: str) -> str:
    if not victims.is_understood(text):
        raise ValueError(f"{text!r} names nobody: use {victims.GRAMMAR}")
    return text


Victim = Annotated[str, AfterValidator(_understood)]


class Fault(BaseModel):
    """One fault of a scenario: when, and in the subclasses what.

    Written as `fault: kill`, `at: 5`, `for: 4`; with `every` and `times` it comes again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Faults that end by themselves need no `for`.
    needs_length: ClassVar[bool] = True
    # Uses the fault-injection service of the nodes.
    needs_injection: ClassVar[bool] = False
    # Only a target whose networks can be disconnected has it.
    needs_containers: ClassVar[bool] = False
    # Hits nodes only: a victim that can be nothing but a router is refused.
    hits_nodes: ClassVar[bool] = False

    at: SpanField = Field(description="Seconds after the load began.")
    for_: SpanField | None = Field(default=None, alias="for", description="Seconds until it is healed.")
    every: SpanField | None = Field(default=None, description="Seconds from one time to the next.")
    times: int = Field(default=1, ge=1, le=1000)
    # Not before the cluster is whole and leaders stay where they are: what is measured is this fault alone.
    when_settled: bool = False
    name: str = Field(default="", pattern=r"^[a-z0-9-]{0,32}$", description="What other faults call it by.")

    @property
    def uses_injection(self) -> bool:
        """Does it need the fault-injection service of the nodes?"""
        return self.needs_injection

    @property
    def parts(self) -> Sequence[Fault]:
        """The faults that it may turn out to be: itself, or those that a mix chooses from."""
        return (self,)

    @property
    def needs_local(self) -> bool:
        """Does it work on files and limits that only processes of this machine have within reach?"""
        return False

    def prepare(self, arena: Arena) -> None:
        """Before the load begins."""

    def inject(self, arena: Arena, state: State) -> Steps | None:
        """Break something; what is broken goes into `state` before it breaks."""
        raise NotImplementedError

    def heal(self, arena: Arena, state: State) -> None:
        """Mend what `state` says is broken."""
        raise NotImplementedError


class State:
    """What one injection broke. Filled by `inject`, emptied by `heal`."""

    def __init__(self) -> None:
        self.victims: list[str] = []
        # Set by the executor: names what is set elsewhere, and how long it is meant to last.
        self.id = ""
        self.for_s = 0.0
        # Chosen by a mix: no scenario can say beforehand that a process will end.
        self.is_chosen = False
        # What the report calls the fault, where that is not its own word.
        self.word = ""
        # In words for the report; empty: the victims' names.
        self.shown = ""
        self.detail = ""
        # Rule ids by node.
        self.rules: dict[str, list[str]] = {}
        # Anything else a fault must remember.
        self.kept: dict[str, Any] = {}

    @property
    def words(self) -> str:
        """Who was hit."""
        return self.shown or ", ".join(self.victims)


def on_each(names: Iterable[str], act: Callable[[str], object]) -> None:
    """`act` on every one of `names`, also when it fails for one; then raises TargetError with all that failed."""
    failures = []
    for name in list(names):
        try:
            act(name)
        except (TargetError, CommandError, OSError) as error:
            failures.append(str(error))
    if failures:
        raise TargetError("; ".join(failures))


def heal_rules(arena: Arena, state: State) -> None:
    """Clear the rules on every node that was told some; those of a node that does not answer stay for the next try."""

    def clear(node: str) -> None:
        arena.clear_rules(node, state.rules[node])
        del state.rules[node]

    on_each(state.rules, clear)


def running_only(arena: Arena, names: Sequence[str], act: str) -> list[str]:
    """Those of `names` that run. Raises TargetError when there is nobody to `act` on: that fault would do nothing."""
    found = [name for name in names if arena.target.is_running(name)]
    if not found:
        raise TargetError(f"nobody to {act}: {', '.join(names)} {'does' if len(names) == 1 else 'do'} not run")
    return found


def nodes_only(arena: Arena, names: Sequence[str]) -> list[str]:
    """The nodes among `names`. Raises TargetError without any: routers have neither disks nor fault services."""
    nodes = set(arena.view().nodes)
    found = [name for name in names if name in nodes]
    if not found:
        raise TargetError(f"no node is among {', '.join(names)}")
    return found

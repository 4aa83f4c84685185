"""Who is hit: victims named by role, found at the moment of the fault. Pure.

Called by chaos.schedule (does the text mean anything?) and chaos.arena (who is it now?). Law: the same text, view and
randomness name the same victims.

    n2, r1                       a process by its name
    leader of partition 3        who leads it now; `leader of the catalog`
    follower of partition 3      a node that has a replica and does not lead it
    any node, any router         by seed
    any leader                   a node that leads at least one data partition
    az-b, any az                 every process of an AZ
    az of leader of partition 3  every process of the AZ of one of the above
    node in az-b                 the nodes of an AZ, without its routers
    same as NAME                 whoever the fault of that name hit
    other than NAME              a node in another AZ than whoever it hit
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from chaos.targets.base import Member
from topology.placement import CATALOG_PARTITION

GRAMMAR = (
    "a process (n2, r1), an AZ (az-b), `leader of partition 3`, `leader of the catalog`, `follower of partition 3`,"
    " `any node`, `any router`, `any leader`, `any az`, `az of ...`, `node in ...`, `same as NAME` or `other than NAME`"
)


class NoVictim(Exception):
    """Nobody fits now, such as the leader of a partition that has none."""


@dataclass(frozen=True, slots=True)
class View:
    """The cluster as it is now."""

    members: Sequence[Member]
    # Leader by partition, "" for nobody; 0 is the catalog.
    leaders: Mapping[int, str]
    # Whom earlier faults hit, by the fault's name.
    hit: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # Processes that do not run: no choice falls on them while there is another.
    down: frozenset[str] = frozenset()

    def az_of(self, name: str) -> str:
        """The AZ of a process. Raises NoVictim."""
        for member in self.members:
            if member.name == name:
                return member.az
        raise NoVictim(f"there is no process {name!r}")

    @property
    def nodes(self) -> list[str]:
        """All nodes."""
        return [member.name for member in self.members if not member.is_router]

    @property
    def routers(self) -> list[str]:
        """All routers."""
        return [member.name for member in self.members if member.is_router]

    @property
    def zones(self) -> list[str]:
        """All AZs, each once."""
        return list(dict.fromkeys(member.az for member in self.members))

    def up(self, names: Sequence[str]) -> list[str]:
        """Those that run; all of them when none does."""
        return [name for name in names if name not in self.down] or list(names)

    def in_az(self, az: str) -> list[str]:
        """Every process of an AZ."""
        return [member.name for member in self.members if member.az == az]


_Rule = tuple[re.Pattern[str], Callable[[View, re.Match[str], random.Random], list[str]]]


def _leader(view: View, match: re.Match[str], rng: random.Random) -> list[str]:
    del rng
    partition = CATALOG_PARTITION if match["catalog"] else int(match["partition"])
    leader = view.leaders.get(partition, "")
    if not leader:
        raise NoVictim(f"partition {partition} has no leader now")
    return [leader]


def _follower(view: View, match: re.Match[str], rng: random.Random) -> list[str]:
    leader = _leader(view, match, rng)[0]
    return [_choose(view.up([name for name in view.nodes if name != leader]), rng)]


def _any(view: View, match: re.Match[str], rng: random.Random) -> list[str]:
    wanted = match["wanted"]
    if wanted == "node":
        return [_choose(view.up(view.nodes), rng)]
    if wanted == "router":
        return [_choose(view.up(view.routers), rng)]
    if wanted == "az":
        alive = [az for az in view.zones if not view.down.issuperset(view.in_az(az))]
        return view.in_az(_choose(alive or view.zones, rng))
    led = {leader for partition, leader in view.leaders.items() if leader and partition != CATALOG_PARTITION}
    return [_choose(sorted(led), rng)]


def _az_of(view: View, match: re.Match[str], rng: random.Random) -> list[str]:
    return view.in_az(view.az_of(choose(match["rest"], view, rng)[0]))


def _node_in(view: View, match: re.Match[str], rng: random.Random) -> list[str]:
    nodes = set(view.nodes)
    return [name for name in choose(match["rest"], view, rng) if name in nodes]


def _hit(view: View, label: str) -> Sequence[str]:
    if label not in view.hit:
        raise NoVictim(f"no fault called {label!r} has hit anybody yet")
    return view.hit[label]


def _same(view: View, match: re.Match[str], rng: random.Random) -> list[str]:
    del rng
    return list(_hit(view, match["label"]))


def _other(view: View, match: re.Match[str], rng: random.Random) -> list[str]:
    zones = {view.az_of(name) for name in _hit(view, match["label"])}
    return [_choose([name for name in view.nodes if view.az_of(name) not in zones], rng)]


def _named(view: View, match: re.Match[str], rng: random.Random) -> list[str]:
    del rng
    name = match["name"]
    if name in view.zones:
        return view.in_az(name)
    view.az_of(name)
    return [name]


_ROLE = r"of (?:partition (?P<partition>\d+)|(?P<catalog>the catalog))"
_RULES: tuple[_Rule, ...] = (
    (re.compile(rf"leader {_ROLE}"), _leader),
    (re.compile(rf"follower {_ROLE}"), _follower),
    (re.compile(r"any (?P<wanted>node|router|az|leader)"), _any),
    (re.compile(r"az of (?P<rest>.+)"), _az_of),
    (re.compile(r"node in (?P<rest>.+)"), _node_in),
    (re.compile(r"same as (?P<label>[a-z0-9-]+)"), _same),
    (re.compile(r"other than (?P<label>[a-z0-9-]+)"), _other),
    (re.compile(r"(?P<name>[a-z0-9-]+)"), _named),
)


def choose(text: str, view: View, rng: random.Random) -> list[str]:
    """The processes that `text` names now. Raises NoVictim."""
    for pattern, rule in _RULES:
        match = pattern.fullmatch(text)
        if match is not None:
            found = rule(view, match, rng)
            if not found:
                raise NoVictim(f"nobody is {text!r} now")
            return found
    raise NoVictim(f"{text!r} names nobody: use {GRAMMAR}")


def is_understood(text: str) -> bool:
    """Does `text` follow the grammar?"""
    for pattern, rule in _RULES:
        match = pattern.fullmatch(text)
        if match is not None:
            return is_understood(match["rest"]) if rule in (_az_of, _node_in) else True
    return False


def is_router(text: str) -> bool:
    """Can `text` name nothing but a router?"""
    return re.fullmatch(r"any router|r\d+", text) is not None


def label_in(text: str) -> str:
    """The fault's name that `text` refers to; empty without one."""
    match = re.search(r"(?:same as|other than) ([a-z0-9-]+)$", text)
    return match[1] if match else ""


def _choose(names: Sequence[str], rng: random.Random) -> str:
    if not names:
        raise NoVictim("there is nobody to choose from")
    return rng.choice(list(names))

"""Which fault rules are in force, and what they do together. Pure: time is an argument.

Kept by node.faults.injector. Laws: every rule ends by itself, so that a chaos run that was killed leaves nothing
broken; a rule that is refused changes nothing, and the refusal says what to write instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from replication.transport.shaping import NO_EFFECTS, Direction, LinkEffects
from wire import faults_pb2 as pb

RULES_MAX = 256
ID_CHARACTERS_MAX = 64
TTL_MS_MAX = 600_000
LATENCY_MS_MAX = 30_000
# Longer than node.host.SYNC_STUCK_S: a disk that hangs is a fault to be tried too.
SYNC_DELAY_MS_MAX = 60_000
STALL_MS_MAX = 60_000
CLOCK_OFFSET_MS_MAX = 7 * 24 * 3600 * 1000
CLOCK_DRIFT_PPM_MAX = 500_000

ANY = "*"


class WrongRule(ValueError):
    """A rule that cannot be; the text says which and what to change."""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """The other end of streams of this node, seen in one direction."""

    is_router: bool
    name: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class MachineEffects:
    """What all rules in force do to the machine."""

    sync_delay_s: float = 0.0
    sync_fails: bool = False
    disk_full: bool = False
    clock_offset_ms: int = 0
    clock_rate: float = 1.0


NO_MACHINE_EFFECTS = MachineEffects()


@dataclass(frozen=True, slots=True)
class Active:
    """A rule and when it ends."""

    rule: pb.FaultRule
    ends_at: float


class Plan:
    """The rules of one node."""

    def __init__(self) -> None:
        self._active: dict[str, Active] = {}

    def set(self, rules: Iterable[pb.FaultRule], *, keep: bool, now: float) -> list[pb.FaultRule]:
        """Put `rules` in force, instead of all others or (`keep`) beside them; those whose id is new.

        Raises WrongRule; then nothing has changed.
        """
        wanted = list(rules)
        for rule in wanted:
            check_rule(rule)
        ids = {rule.id for rule in wanted}
        if len(ids) != len(wanted):
            raise WrongRule("two rules have the same id: give each its own")
        kept = {name: active for name, active in self._active.items() if keep and name not in ids}
        if len(kept) + len(wanted) > RULES_MAX:
            raise WrongRule(f"more than {RULES_MAX} rules on one node: clear some first")
        new = [rule for rule in wanted if rule.id not in self._active]
        self._active = kept | {rule.id: Active(rule, now + rule.ttl_ms / 1000) for rule in wanted}
        return new

    def clear(self, ids: Iterable[str] = ()) -> None:
        """Heal the rules of these ids, or all."""
        cleared = set(ids) or set(self._active)
        self._active = {name: active for name, active in self._active.items() if name not in cleared}

    def expire(self, now: float) -> list[str]:
        """Drop the rules whose time is over; their ids."""
        over = [name for name, active in self._active.items() if active.ends_at <= now]
        self.clear(over) if over else None
        return over

    def next_end(self) -> float:
        """When the next rule ends; infinity without rules."""
        return min((active.ends_at for active in self._active.values()), default=math.inf)

    def active(self) -> list[Active]:
        """Every rule in force, in the order in which they were set."""
        return list(self._active.values())

    def link_effects(self, end: LinkEnd) -> LinkEffects:
        """What the rules do to the streams of one link in one direction."""
        effects = NO_EFFECTS
        for fault in self._links():
            if matches(fault, end):
                effects = effects.with_more(
                    LinkEffects(
                        cut=fault.cut,
                        latency_s=fault.latency_ms / 1000,
                        jitter_s=fault.jitter_ms / 1000,
                        loss=fault.loss_percent / 100,
                        bytes_per_s=fault.bytes_per_s,
                    )
                )
        return effects

    def _links(self) -> Iterator[pb.LinkFault]:
        return (active.rule.link for active in self._active.values() if active.rule.HasField("link"))

    def machine_effects(self) -> MachineEffects:
        """What the rules do to this machine."""
        faults = [active.rule.machine for active in self._active.values() if active.rule.HasField("machine")]
        if not faults:
            return NO_MACHINE_EFFECTS
        drift_ppm = sum(fault.clock_drift_ppm for fault in faults)
        return MachineEffects(
            sync_delay_s=sum(fault.sync_delay_ms for fault in faults) / 1000,
            sync_fails=any(fault.sync_fails for fault in faults),
            disk_full=any(fault.disk_full for fault in faults),
            clock_offset_ms=sum(fault.clock_offset_ms for fault in faults),
            clock_rate=1 + max(-CLOCK_DRIFT_PPM_MAX, min(CLOCK_DRIFT_PPM_MAX, drift_ppm)) / 1_000_000,
        )


def matches(fault: pb.LinkFault, end: LinkEnd) -> bool:
    """Is this end one of those the fault speaks of?"""
    wanted = fault.router if end.is_router else fault.peer
    return wanted in (ANY, end.name) and fault.direction in (pb.FAULT_DIRECTION_BOTH, end.direction)


def check_rule(rule: pb.FaultRule) -> None:
    """Raises WrongRule with what to change."""
    if not 1 <= len(rule.id) <= ID_CHARACTERS_MAX:
        raise WrongRule(f"a rule needs an id of 1 to {ID_CHARACTERS_MAX} characters")
    _within(rule.id, "ttl_ms", rule.ttl_ms, 1, TTL_MS_MAX)
    if rule.HasField("link"):
        _check_link(rule.id, rule.link)
    elif rule.HasField("machine"):
        _check_machine(rule.id, rule.machine)
    else:
        raise WrongRule(f"rule {rule.id!r} has neither `link` nor `machine`: one of them says what is broken")


def _check_link(name: str, fault: pb.LinkFault) -> None:
    if not fault.peer and not fault.router:
        raise WrongRule(f"rule {name!r} names no other end: set `peer` or `router` to an id or to {ANY!r}")
    if fault.direction not in pb.FaultDirection.values():
        raise WrongRule(f"rule {name!r}: direction {fault.direction} is not known")
    _within(name, "latency_ms", fault.latency_ms, 0, LATENCY_MS_MAX)
    _within(name, "jitter_ms", fault.jitter_ms, 0, LATENCY_MS_MAX)
    # Written so that NaN is refused too.
    if not 0 <= fault.loss_percent <= 100:
        raise WrongRule(f"rule {name!r}: loss_percent must be from 0 to 100, not {fault.loss_percent:g}")
    shaped = (fault.latency_ms, fault.jitter_ms, fault.loss_percent, fault.bytes_per_s)
    if not fault.cut and not fault.reset and not any(shaped):
        raise WrongRule(f"rule {name!r} does nothing to its link: set cut, latency_ms, loss_percent or another effect")


def _check_machine(name: str, fault: pb.MachineFault) -> None:
    _within(name, "sync_delay_ms", fault.sync_delay_ms, 0, SYNC_DELAY_MS_MAX)
    _within(name, "stall_ms", fault.stall_ms, 0, STALL_MS_MAX)
    _within(name, "clock_offset_ms", fault.clock_offset_ms, -CLOCK_OFFSET_MS_MAX, CLOCK_OFFSET_MS_MAX)
    _within(name, "clock_drift_ppm", fault.clock_drift_ppm, -CLOCK_DRIFT_PPM_MAX, CLOCK_DRIFT_PPM_MAX)
    if fault == pb.MachineFault():
        raise WrongRule(f"rule {name!r} does nothing to its machine: set sync_delay_ms, sync_fails or another effect")


def _within(rule: str, field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise WrongRule(f"rule {rule!r}: {field} must be from {least} to {most}, not {value}")


def describe(rule: pb.FaultRule) -> str:
    """One rule in words: `cut off from n2`, `every sync takes 100 ms longer`."""
    return _describe_machine(rule.machine) if rule.HasField("machine") else _describe_link(rule.link)


def _describe_link(fault: pb.LinkFault) -> str:
    ends = []
    if fault.peer:
        ends.append("every node" if fault.peer == ANY else f"node {fault.peer}")
    if fault.router:
        ends.append("every router" if fault.router == ANY else f"router {fault.router}")
    preposition = {pb.FAULT_DIRECTION_IN: "from", pb.FAULT_DIRECTION_OUT: "to"}.get(fault.direction, "to and from")
    effects = []
    if fault.cut:
        effects.append("silence")
    if fault.reset:
        effects.append("streams reset")
    if fault.latency_ms or fault.jitter_ms:
        jitter = f" and up to {fault.jitter_ms} ms more" if fault.jitter_ms else ""
        effects.append(f"{fault.latency_ms} ms later{jitter}")
    if fault.loss_percent:
        effects.append(f"{fault.loss_percent:g} % of frames lost")
    if fault.bytes_per_s:
        effects.append(f"at most {fault.bytes_per_s} bytes/s")
    return f"{preposition} {' and '.join(ends)}: {', '.join(effects)}"


def _describe_machine(fault: pb.MachineFault) -> str:
    effects = []
    if fault.sync_delay_ms:
        effects.append(f"every sync takes {fault.sync_delay_ms} ms longer")
    if fault.sync_fails:
        effects.append("the next sync fails")
    if fault.disk_full:
        effects.append("the disk is full")
    if fault.clock_offset_ms:
        effects.append(f"the wall clock is {fault.clock_offset_ms:+} ms off")
    if fault.clock_drift_ppm:
        effects.append(f"the clock for time-outs runs {fault.clock_drift_ppm:+} ppm off")
    if fault.stall_ms:
        effects.append(f"the event loop stood still for {fault.stall_ms} ms")
    return ", ".join(effects)

"""Fault rules: what is accepted, what they do together, and that every one of them ends."""

from __future__ import annotations

import math

import pytest

from node.faults.plan import NO_MACHINE_EFFECTS, TTL_MS_MAX, LinkEnd, Plan, WrongRule, describe
from replication.transport.shaping import NO_EFFECTS, Direction
from runtime.clock import ManualClock, SkewedClock
from tools.faults import ANY, IN, OUT, link_rule, machine_rule
from wire import faults_pb2 as pb

pytestmark = pytest.mark.unit

FROM_N2 = LinkEnd(False, "n2", Direction.IN)
TO_N2 = LinkEnd(False, "n2", Direction.OUT)
TO_R1 = LinkEnd(True, "r1", Direction.OUT)


def plan(*rules: pb.FaultRule) -> Plan:
    made = Plan()
    made.set(rules, keep=False, now=100.0)
    return made


@pytest.mark.parametrize(
    ("rule", "hit", "missed"),
    [
        pytest.param(link_rule(for_s=1, peer="n2", cut=True), [FROM_N2, TO_N2], [TO_R1], id="a node, both ways"),
        pytest.param(link_rule(for_s=1, peer="n2", cut=True, direction=IN), [FROM_N2], [TO_N2], id="what comes in"),
        pytest.param(link_rule(for_s=1, peer="n2", cut=True, direction=OUT), [TO_N2], [FROM_N2], id="what goes out"),
        pytest.param(link_rule(for_s=1, peer="n3", cut=True), [], [FROM_N2, TO_N2], id="another node"),
        pytest.param(link_rule(for_s=1, peer=ANY, cut=True), [FROM_N2, TO_N2], [TO_R1], id="every node"),
        pytest.param(link_rule(for_s=1, router=ANY, cut=True), [TO_R1], [FROM_N2], id="every router"),
        pytest.param(link_rule(for_s=1, peer=ANY, router=ANY, cut=True), [TO_R1, TO_N2], [], id="everything"),
        pytest.param(link_rule(for_s=1, router="n2", cut=True), [], [TO_N2], id="a router called like a node"),
    ],
)
def test_a_rule_concerns_the_ends_it_names(rule: pb.FaultRule, hit: list[LinkEnd], missed: list[LinkEnd]) -> None:
    made = plan(rule)
    assert all(made.link_effects(end).cut for end in hit)
    assert all(made.link_effects(end) == NO_EFFECTS for end in missed)


def test_rules_end_by_themselves_each_at_its_time() -> None:
    made = plan(
        link_rule(id="short", for_s=1, peer="n2", cut=True), machine_rule(id="long", for_s=5, sync_delay_ms=100)
    )
    assert made.next_end() == 101.0
    assert made.expire(100.9) == []
    assert made.expire(101.0) == ["short"]
    assert made.link_effects(TO_N2) == NO_EFFECTS
    assert made.machine_effects().sync_delay_s == pytest.approx(0.1)
    assert made.expire(105.0) == ["long"]
    assert made.machine_effects() == NO_MACHINE_EFFECTS
    assert made.next_end() == math.inf


def test_a_new_plan_replaces_the_old_one_unless_it_is_to_be_kept() -> None:
    made = plan(link_rule(id="a", for_s=1, peer="n2", cut=True))
    new = made.set([machine_rule(id="b", for_s=1, sync_fails=True)], keep=True, now=100.0)
    assert [rule.id for rule in new] == ["b"]
    assert [active.rule.id for active in made.active()] == ["a", "b"]
    # A rule that is set again lasts longer, but does once only what it does once.
    assert made.set([machine_rule(id="b", for_s=9, sync_fails=True)], keep=False, now=100.0) == []
    assert [(active.rule.id, active.ends_at) for active in made.active()] == [("b", 109.0)]
    made.clear(["nobody"])
    assert len(made.active()) == 1
    made.clear()
    assert made.active() == []


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (pb.FaultRule(id="x", ttl_ms=1), "has neither `link` nor `machine`"),
        (pb.FaultRule(ttl_ms=1, machine=pb.MachineFault(sync_fails=True)), "needs an id"),
        (machine_rule(for_s=0, sync_fails=True), "ttl_ms must be from 1"),
        (machine_rule(for_s=TTL_MS_MAX / 1000 + 1, sync_fails=True), f"to {TTL_MS_MAX}, not"),
        (machine_rule(for_s=1), "does nothing to its machine"),
        (machine_rule(for_s=1, clock_drift_ppm=-1_000_000), "clock_drift_ppm must be from -500000"),
        (machine_rule(for_s=1, sync_delay_ms=10**6), "sync_delay_ms must be"),
        (machine_rule(for_s=1, stall_ms=10**6), "stall_ms must be"),
        (machine_rule(for_s=1, clock_offset_ms=10**12), "clock_offset_ms must be"),
        (link_rule(for_s=1, cut=True), "names no other end"),
        (link_rule(for_s=1, peer="n2"), "does nothing to its link"),
        (link_rule(for_s=1, peer="n2", latency_ms=10**6), "latency_ms must be"),
        (link_rule(for_s=1, peer="n2", loss_percent=101), "loss_percent must be from 0 to 100"),
        (link_rule(for_s=1, peer="n2", loss_percent=math.nan), "loss_percent must be from 0 to 100"),
        (link_rule(for_s=1, peer="n2", cut=True, direction=7), "direction 7 is not known"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_and_changes_nothing(rule: pb.FaultRule, said: str) -> None:
    made = plan(link_rule(id="a", for_s=1, peer="n2", cut=True))
    with pytest.raises(WrongRule, match=said.replace("`", ".")):
        made.set([machine_rule(for_s=1, sync_fails=True), rule], keep=False, now=100.0)
    assert [active.rule.id for active in made.active()] == ["a"]


def test_the_number_of_rules_is_bounded() -> None:
    with pytest.raises(WrongRule, match="more than 256 rules"):
        plan(*(machine_rule(for_s=1, sync_fails=True) for _ in range(257)))


def test_machine_effects_add_up() -> None:
    effects = plan(
        machine_rule(for_s=1, sync_delay_ms=100, clock_offset_ms=-500, clock_drift_ppm=400_000),
        machine_rule(for_s=1, sync_delay_ms=50, disk_full=True, clock_drift_ppm=400_000),
    ).machine_effects()
    assert effects.sync_delay_s == pytest.approx(0.15)
    assert effects.clock_offset_ms == -500
    assert effects.disk_full
    assert not effects.sync_fails
    assert effects.clock_rate == pytest.approx(1.5), "bounded, whatever many rules ask for"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (link_rule(for_s=1, peer="n2", cut=True), "to and from node n2: silence"),
        (link_rule(for_s=1, router=ANY, cut=True, direction=IN), "from every router: silence"),
        (
            link_rule(for_s=1, peer="n2", router="r1", latency_ms=20, jitter_ms=5, loss_percent=1.5, direction=OUT),
            "to node n2 and router r1: 20 ms later and up to 5 ms more, 1.5 % of frames lost",
        ),
        (
            link_rule(for_s=1, peer="n2", bytes_per_s=9, reset=True),
            "to and from node n2: streams reset, at most 9 bytes/s",
        ),
        (machine_rule(for_s=1, sync_delay_ms=9, sync_fails=True), "every sync takes 9 ms longer, the next sync fails"),
        (machine_rule(for_s=1, clock_offset_ms=-5), "the wall clock is -5 ms off"),
    ],
)
def test_rules_in_words(rule: pb.FaultRule, text: str) -> None:
    assert describe(rule) == text


def test_a_skewed_clock_never_goes_back_and_heals_to_the_right_wall_time() -> None:
    real = ManualClock()
    clock = SkewedClock(real)
    before = clock.monotonic()
    for rate in (1.5, 0.5, 1.0, 0.5):
        clock.skew(offset_ms=-60_000, rate=rate)
        assert clock.monotonic() == pytest.approx(before)
        real.advance(1.0)
        assert clock.monotonic() == pytest.approx(before + rate)
        assert clock.wall_ms() == real.wall_ms() - 60_000
        before = clock.monotonic()
    clock.skew(offset_ms=0, rate=1.0)
    assert clock.wall_ms() == real.wall_ms()

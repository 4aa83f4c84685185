"""Times without a success, and how expectations are held against them."""

from __future__ import annotations

import pytest

from chaos import expect, measures
from chaos.clients.log import Operation, Told
from chaos.expect import Measured
from chaos.result import FaultSpan, LeaderChange
from chaos.scenario import Expectations

pytestmark = pytest.mark.unit


def probe(ended_s: float, told: Told = Told.OK, *, partition: int = 1, kind: str = "write") -> Operation:
    return Operation(kind, partition, ended_s - 0.01, ended_s, told, "r1", is_probe=True)


def span(began_s: float, ended_s: float, label: str = "") -> FaultSpan:
    return FaultSpan(name="kill", victim="n1", began_s=began_s, ended_s=ended_s, victims=("n1",), label=label)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([0.9, 1.1, 1.2, 1.9, 2.0, 2.5], 0.7),  # between two successes inside
        ([0.5, 1.1, 1.2, 1.3, 1.4, 2.3], 0.9),  # it began before the window and is seen whole
        ([0.9, 1.0, 1.1], 0.9),  # none came any more: open up to the end of the window
        ([], 1.0),
        ([0.9, 5.0], 4.1),  # the next success is long after the window
    ],
)
def test_the_longest_time_without_a_success(moments: list[float], expected: float) -> None:
    assert measures.longest_s(moments, 1.0, 2.0) == pytest.approx(expected)


def test_gaps_count_probes_that_were_ok_by_partition() -> None:
    operations = [probe(number / 10) for number in range(100) if not 30 <= number < 38]
    operations += [probe(number / 10, partition=2) for number in range(100)]
    # Neither what was refused nor what other clients did hides the gap.
    operations += [probe(3.4, Told.FAILED), Operation("write", 1, 3.4, 3.5, Told.OK, "r1", is_probe=False)]
    found = measures.gaps(operations, [span(3.0, 5.0)], {0: frozenset({1})})
    assert {(gap.partition, gap.ms, gap.led_by_victim) for gap in found} == {(1, 900.0, True), (2, 100.0, False)}


def test_a_partition_that_never_answered_is_the_worst_of_all() -> None:
    operations = [probe(number / 10) for number in range(100)]
    operations += [probe(number / 10, Told.FAILED, partition=2) for number in range(100)]
    gaps = measures.gaps(operations, [span(3.0, 5.0)], {})
    assert {(gap.partition, gap.ms) for gap in gaps} == {(1, 100.0), (2, (2.0 + measures.AFTERMATH_S) * 1000)}
    assert not judged({"write_gap_ms": {"max": 4000}}, gaps=gaps)["write_gap_ms"]


def judged(text: dict[str, object], **seen: object) -> dict[str, bool]:
    measured = Measured(converged_s=1.0, **seen)  # type: ignore[arg-type]
    return {line.name: line.held for line in expect.judge(Expectations.model_validate(text), measured)}


def test_an_expectation_without_a_measure_does_not_hold() -> None:
    assert not judged({"write_gap_ms": {"max": 1000}})["write_gap_ms"]
    assert not judged({"elections": 0})["elections"]


def test_gaps_are_held_against_the_worst_partition_of_each_fault() -> None:
    operations = [probe(number / 10) for number in range(100) if not 30 <= number < 38]
    gaps = measures.gaps(operations, [span(3.0, 5.0)], {})
    assert judged({"write_gap_ms": {"max": 1000}}, gaps=gaps)["write_gap_ms"]
    assert not judged({"write_gap_ms": {"p99": 800}}, gaps=gaps)["write_gap_ms"]


@pytest.mark.parametrize(
    ("exits", "wanted", "held"),
    [
        ([], {}, True),
        ([("n2", 1)], {}, False),
        ([("n2", 1)], {"full": 1}, True),
        ([("n2", -6)], {"full": 1}, False),
        ([], {"full": 1}, False),
        ([("n2", 1), ("n3", 1)], {"full": 1}, False),
    ],
)
def test_exactly_the_nodes_that_had_to_end_did(
    exits: list[tuple[str, int]], wanted: dict[str, int], held: bool
) -> None:
    assert judged({"node_exits": wanted}, exits=exits, hit={"full": ["n2"]})["ends"] is held


def test_a_fault_that_was_not_healed_fails_the_run() -> None:
    assert not judged({}, troubles=["kill n1 could not be healed: it does not start"])["faults"]


def test_a_fault_that_stopped_nothing_fails_what_it_must_do_at_least() -> None:
    faults = [span(3.0, 5.0, "dark"), span(30.0, 32.0, "dark"), span(60.0, 62.0)]
    # The first stopped writes for 0.9 s, the second only for 0.1 s.
    operations = [probe(number / 10) for number in range(700) if not 30 <= number < 38]
    gaps = measures.gaps(operations, faults, {})
    effects = {"effects": {"dark": {"write_gap_ms": 500}}}
    assert not judged(effects, faults=faults, gaps=gaps)["write_gap_ms"]
    assert judged(effects, faults=faults[:1], gaps=gaps)["write_gap_ms"]
    assert not judged(effects, faults=faults[:1])["write_gap_ms"], "nothing was measured"
    assert not judged(effects, faults=faults[2:], gaps=gaps)["write_gap_ms"], "no such fault came"


def test_writes_are_slow_in_the_partitions_that_the_victim_led() -> None:
    faults = [span(3.0, 5.0, "slow")]

    def write(began_s: float, ms: float, partition: int) -> Operation:
        return Operation("write", partition, began_s, began_s + ms / 1000, Told.OK, "r1", is_probe=False)

    inside = [write(3.5, 150, 1), write(3.6, 20, 1), write(3.7, 900, 2)]
    outside = [write(1.0, 700, 1), write(4.9, 700, 1)]
    slow = measures.slowest_writes(inside + outside, faults, {0: frozenset({1})})
    assert slow == {0: pytest.approx(150)}
    effects = {"effects": {"slow": {"write_p99_ms": 100}}}
    assert judged(effects, faults=faults, slowest_writes_ms=slow)["write_p99_ms"]
    assert not judged(effects, faults=faults, slowest_writes_ms={0: 99.0})["write_p99_ms"]
    assert measures.slowest_writes(inside, faults, {}) == {}
    assert not judged(effects, faults=faults)["write_p99_ms"]


@pytest.mark.parametrize(
    ("at_s", "leader", "held"), [(9.0, "n1", True), (9.0, "n2", False), (2.0, "n1", False), (9.0, "", False)]
)
def test_who_was_hit_leads_again_only_when_it_took_over_after_the_fault(at_s: float, leader: str, held: bool) -> None:
    leaders = [LeaderChange(at_s=at_s, partition=3, leader=leader, term=2)]
    expected = {"effects": {"lost": {"leads_again": True}}}
    assert judged(expected, faults=[span(3.0, 5.0, "lost")], leaders=leaders)["leads_again"] is held

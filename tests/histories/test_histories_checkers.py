"""Sets, totals, counter bounds and the report of eventual reads."""

from __future__ import annotations

import math
import random

import pytest

from histories.check import check_history
from histories.judgement import Verdict
from histories.records import Action, Call, list_text, totals_text
from histories.sessions import report_sessions
from histories.sets import check_set
from histories.singlecopy import REGISTER, Shape, mutations, single_copy
from histories.staleness import BUCKETS_MS, to_text
from histories.totals import check_bounds, check_total

pytestmark = pytest.mark.unit

OPEN = math.inf


def insert(start: float, end: float, element: str) -> Call:
    return Call(key="s", action=Action.INSERT, invoked_at=start, returned_at=end, value=element)


def read(start: float, end: float, *elements: str, strong: bool = True, key: str = "s", client: str = "") -> Call:
    observed = list_text(elements) or None
    return Call(
        key=key,
        action=Action.READ,
        invoked_at=start,
        returned_at=end,
        observed=observed,
        is_strong=strong,
        client=client,
    )


def put(start: float, end: float, value: str, client: str = "") -> Call:
    return Call(key="k", action=Action.PUT, invoked_at=start, returned_at=end, value=value, client=client)


def add(start: float, end: float, total: str | None = None) -> Call:
    return Call(key="n", action=Action.ADD, invoked_at=start, returned_at=end, observed=total)


SETS = [
    pytest.param([insert(0, 1, "a"), read(2, 3, "a")], [], [], [], id="an element that is there"),
    pytest.param([insert(0, 1, "a"), read(2, 3)], ["a"], [], [], id="an acknowledged element that is lost"),
    pytest.param([insert(0, 5, "a"), read(2, 3), read(6, 7, "a")], [], [], [], id="a read during the insertion"),
    pytest.param([insert(0, OPEN, "a"), read(2, 3)], [], [], [], id="an unknown element that never came"),
    pytest.param(
        [insert(0, OPEN, "a"), read(2, 3), read(4, 5, "a")], [], [], [], id="an unknown element that came late"
    ),
    pytest.param(
        [insert(0, OPEN, "a"), read(2, 3, "a"), read(4, 5)],
        ["a"],
        [],
        [],
        id="an unknown element that was seen and went",
    ),
    pytest.param(
        [insert(0, 1, "a"), read(2, 3), read(4, 5, "a")], [], ["a"], [], id="an element that was missing and came back"
    ),
    pytest.param([read(2, 3, "a")], [], [], ["a"], id="an element of nobody"),
    pytest.param([read(0, 1, "a"), insert(2, 3, "a"), read(4, 5, "a")], [], [], ["a"], id="a read of the future"),
    pytest.param(
        [insert(0, 1, "a"), read(2, 3, strong=False), read(4, 5, "a")], [], [], [], id="an eventual read that is stale"
    ),
]


@pytest.mark.parametrize(("calls", "lost", "resurrected", "phantoms"), SETS)
def test_sets(calls: list[Call], lost: list[str], resurrected: list[str], phantoms: list[str]) -> None:
    report = check_set(calls)
    assert (list(report.lost), list(report.resurrected), list(report.phantoms)) == (lost, resurrected, phantoms)
    assert (report.verdict is Verdict.LINEARIZABLE) == (not lost + resurrected + phantoms)


def test_elements_that_no_strong_read_could_show_are_not_called_good() -> None:
    report = check_set([insert(0, 1, "a"), read(2, 3, "a"), insert(4, 5, "b")])
    assert report.verdict is Verdict.UNDECIDED
    assert report.unread == 1


def test_totals() -> None:
    good = Call(key="b", action=Action.READ, invoked_at=0, returned_at=1, observed=totals_text({"x": 70, "y": 30}))
    half = Call(key="b", action=Action.READ, invoked_at=0, returned_at=1, observed=totals_text({"x": 70, "y": 20}))
    overdrawn = Call(
        key="b", action=Action.READ, invoked_at=0, returned_at=1, observed=totals_text({"x": 110, "y": -10})
    )
    assert check_total([good], 100) == []
    assert "total is 90" in check_total([good, half], 100)[0]
    assert "overdrawn" in check_total([overdrawn], 100)[0]
    assert "not a snapshot" in check_total([read(0, 1, "nonsense")], 100)[0]


BOUNDS = [
    pytest.param([add(0, 1), add(2, OPEN), read(3, 4, "1", key="n")], "", id="the unknown one did not happen"),
    pytest.param([add(0, 1), add(2, OPEN), read(3, 4, "2", key="n")], "", id="the unknown one happened"),
    pytest.param([add(0, 1), add(2, 3), read(4, 5, "1", key="n")], "acknowledged before", id="one is lost"),
    pytest.param([add(0, 1), read(4, 5, "2", key="n")], "had been tried", id="one too many"),
    pytest.param([add(0, 1), read(4, 5, key="n", strong=False)], "", id="an eventual read may be stale"),
]


@pytest.mark.parametrize(("calls", "problem"), BOUNDS)
def test_bounds_of_counters(calls: list[Call], problem: str) -> None:
    problems = check_bounds(calls)
    assert problem in problems[0] if problem else not problems


def eventual(at: float, observed: str | None, client: str = "r", key: str = "k") -> Call:
    return Call(
        key=key,
        action=Action.READ,
        invoked_at=at,
        returned_at=at + 0.001,
        observed=observed,
        is_strong=False,
        client=client,
        router_az="az-a",
        served_az="az-b",
    )


HISTORY = [put(0, 1, "a", "w"), put(2, 3, "b", "w"), put(4, 5, "c", "w")]
SESSIONS = [
    pytest.param(HISTORY, eventual(6, "c"), (0, 0), id="the newest value"),
    pytest.param(HISTORY, eventual(6, "b"), (1, 1000), id="one version behind, for a second"),
    pytest.param(HISTORY, eventual(6, "a"), (2, 3000), id="two versions behind, since the first was acknowledged"),
    pytest.param(HISTORY, eventual(6, None), (3, 5000), id="nothing, where three values were written"),
    pytest.param(HISTORY, eventual(4.5, "b"), (0, 0), id="a write under way makes nobody stale"),
    pytest.param([*HISTORY, put(4, OPEN, "d")], eventual(6, "b"), (1, 1000), id="an unknown write neither"),
    pytest.param([put(0, 5, "a"), put(1, 5, "b")], eventual(6, "a"), (0, 0), id="concurrent writes have no order"),
    pytest.param(
        [*HISTORY, put(6, OPEN, "d"), read(7, 8, "d", key="k")],
        eventual(9, "c"),
        (1, 1000),
        id="an unknown write counts from when it was seen",
    ),
    pytest.param(
        [add(0, 1, "1"), add(2, 3, "2"), add(4, 5, "3")],
        eventual(6, "1", key="n"),
        (2, 3000),
        id="a counter behind by two",
    ),
]


@pytest.mark.parametrize(("calls", "seen", "expected"), SESSIONS)
def test_how_stale_an_eventual_read_is(calls: list[Call], seen: Call, expected: tuple[int, float]) -> None:
    report = report_sessions([*calls, seen])
    assert (report.total.stale, report.total.stale_ms_max) == (bool(expected[0]), pytest.approx(expected[1]))
    if expected[0]:
        assert report.total.versions_behind == ((expected[0], 1),)
    assert report.is_sound


def test_reads_that_go_back_and_that_miss_the_clients_own_write() -> None:
    calls = [*HISTORY, eventual(6, "c"), eventual(7, "b"), eventual(8, "b", "other"), eventual(9, "a", "w")]
    report = report_sessions(calls)
    assert (report.total.went_back, report.total.missed_own_write) == (1, 1)
    (row,) = report.by_az
    assert (row.router_az, row.served_az, row.reads, row.stale) == ("az-a", "az-b", 4, 3)
    assert sum(row.histogram) == 3
    assert len(row.histogram) == len(BUCKETS_MS) + 1
    assert "router in az-a, answered from az-b: 4 reads, 3 stale" in to_text(report)


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([*HISTORY, eventual(6, "x")], id="a value of nobody"),
        pytest.param([*HISTORY, eventual(3.5, "c")], id="a value that is written later"),
        pytest.param([*HISTORY[:1], Call(key="k", action=Action.SWAP_IF, invoked_at=2, returned_at=3, expected="x",
                      value="y", failed=True, observed="a"), eventual(6, "y")], id="a value whose swap failed"),
        pytest.param([add(0, 1, "1"), eventual(6, "2", key="n")], id="a sum that was not reached"),
    ],
)  # fmt: skip
def test_an_eventual_read_that_shows_what_nobody_wrote_is_a_violation(calls: list[Call]) -> None:
    findings = check_history(calls)
    assert findings.verdict is Verdict.VIOLATED
    assert not findings.sessions.is_sound
    assert "PHANTOM" in to_text(findings.sessions)


@pytest.mark.parametrize("seed", range(5))
def test_strong_reads_of_one_copy_called_eventual_are_never_stale(seed: int) -> None:
    print(f"seed {seed}")
    calls = single_copy(random.Random(seed), Shape(actions=REGISTER, calls=400))
    for call in calls:
        call.is_strong = call.action is not Action.READ
    report = report_sessions(calls)
    assert report.total.reads > 50
    assert (report.total.stale, report.total.went_back, report.total.missed_own_write) == (0, 0, 0)
    assert report.is_sound


def test_every_checker_has_its_keys_and_nothing_to_judge_is_not_good() -> None:
    draw = random.Random(3)
    register = single_copy(draw, Shape(), "k")
    bank = Call(key="b", action=Action.READ, invoked_at=0, returned_at=1, observed="x=70 y=30")
    calls = [*register, add(0, 1, "1"), read(2, 3, "1", key="n"), insert(0, 1, "a"), read(2, 3, "a"), bank]
    findings = check_history([*calls, *HISTORY_OF_E, eventual(6, "e1", key="e")], {"b": 100})
    assert findings.verdict is Verdict.LINEARIZABLE
    assert [finding.checker for finding in findings.findings] == [
        "linearizability",
        "counter bounds",
        "bank totals",
        "sets",
        "eventual reads show what somebody wrote",
    ]
    assert check_history([]).verdict is Verdict.UNDECIDED
    lying = next(iter(mutations(draw, register).values()))
    assert check_history(lying).findings[0].details.startswith("k: VIOLATED")


HISTORY_OF_E = [Call(key="e", action=Action.PUT, invoked_at=0, returned_at=1, value="e1")]

"""The verdicts find what they are for."""

from __future__ import annotations

import math

import pytest

from chaos import staleness, verdicts
from chaos.clients.connection import Reply
from chaos.clients.log import Told
from chaos.clients.session import judge_reply
from chaos.workloads.agreement import agreement
from chaos.workloads.bank import ACCOUNTS, OPENING_BALANCE, TOTAL, observed
from histories.records import Action, Call, list_text

pytestmark = pytest.mark.unit


def put(value: str, began: float, ended: float = math.inf) -> Call:
    return Call(key="k", action=Action.PUT, invoked_at=began, returned_at=ended, value=value)


def read(value: str | None, began: float, ended: float, *, strong: bool = True, client: str = "c") -> Call:
    return Call(
        key="k",
        action=Action.READ,
        invoked_at=began,
        returned_at=ended,
        observed=value,
        is_strong=strong,
        client=client,
        router_az="az-a",
    )


def test_a_strong_read_that_goes_back_is_a_violation() -> None:
    assert held([put("a", 0, 1), put("b", 2, 3), read("b", 4, 5)])
    found = verdicts.of_history([put("a", 0, 1), put("b", 2, 3), read("a", 4, 5)], {})
    assert [verdict.held for verdict in found] == [False]
    assert "k" in found[0].violations[0]


def test_eventual_reads_do_not_count_as_strong_ones_but_never_show_what_nobody_wrote() -> None:
    stale = [put("a", 0, 1), put("b", 2, 3), read("a", 4, 5, strong=False)]
    assert held(stale)
    assert not held([put("a", 0, 1), read("x", 4, 5, strong=False)])
    assert not held([put("a", 6, 7), read("a", 4, 5, strong=False)])


def held(calls: list[Call]) -> bool:
    return all(verdict.held for verdict in verdicts.of_history(calls, {}))


def test_staleness_is_the_time_since_a_later_value_was_acknowledged() -> None:
    calls = [put("a", 0, 1), put("b", 2, 3), read("b", 3.5, 3.6, strong=False), read("a", 3.8, 3.9, strong=False)]
    row = staleness.by_zone(calls)[0]
    assert (row.az, row.reads, row.stale, row.went_back) == ("az-a", 2, 1, 1)
    assert row.max_ms == pytest.approx(800, abs=1)
    assert sum(count for _, count in row.histogram) == 1


def test_a_read_beside_the_write_is_not_stale() -> None:
    calls = [put("a", 0, 1), put("b", 2, 3), read("a", 2.5, 2.6, strong=False)]
    assert staleness.by_zone(calls)[0].stale == 0


def added(action: Action, count: int, *, unknown: int = 0) -> list[Call]:
    """Additions one after the other; the last `unknown` of them never returned."""
    return [
        Call(
            key="k",
            action=action,
            invoked_at=number,
            returned_at=number + 0.5 if number < count else math.inf,
            value=f"{number}" if action is Action.INSERT else None,
            observed=str(number + 1) if action is Action.ADD and number < count else None,
        )
        for number in range(count + unknown)
    ]


@pytest.mark.parametrize(("value", "holds"), [("5", True), ("7", True), ("4", False), ("8", False)])
def test_the_last_read_of_a_counter_shows_what_was_acknowledged_and_at_most_the_unknown(
    value: str, holds: bool
) -> None:
    assert held([*added(Action.ADD, 5, unknown=2), read(value, 90, 90)]) is holds


@pytest.mark.parametrize(
    ("elements", "holds"), [(["0", "1", "2"], True), (["0", "1"], True), (["0"], False), (["0", "1", "9"], False)]
)
def test_the_last_read_of_a_set_shows_every_acknowledged_element(elements: list[str], holds: bool) -> None:
    assert held([*added(Action.INSERT, 2, unknown=1), read(list_text(elements), 90, 90)]) is holds


@pytest.mark.parametrize(("moved", "got", "holds"), [(5, 5, True), (5, 0, False), (105, 105, False)])
def test_every_read_of_a_bank_shows_its_total_and_no_debt(moved: int, got: int, holds: bool) -> None:
    state = bank([OPENING_BALANCE - moved, OPENING_BALANCE + got, *[OPENING_BALANCE] * (ACCOUNTS - 2)])
    assert bank_held(observed({"pk": {"S": "k"}, **state})) is holds


def test_a_bank_that_is_gone_is_a_violation() -> None:
    assert not bank_held(observed(None))


def bank_held(text: str | None) -> bool:
    return all(verdict.held for verdict in verdicts.of_history([read(text, 1, 2)], {"k": TOTAL}))


NODES = {"n1": "az-a", "n2": "az-b", "n3": "az-c"}


@pytest.mark.parametrize(
    ("wrong", "items", "seen", "zones", "holds", "decided"),
    [
        ([], 7, {"n1", "n2", "n3"}, {"az-a", "az-b", "az-c"}, True, True),
        (["k: n2 holds another"], 7, {"n1", "n2"}, {"az-a", "az-b", "az-c"}, False, True),
        ([], 7, {"n1", "n2"}, {"az-a", "az-b", "az-c"}, False, False),  # n3 was never read
        ([], 7, {"n1", "n2"}, {"az-a", "az-b"}, True, True),  # nobody is near n3
        ([], 0, set(), {"az-a", "az-b", "az-c"}, False, False),
        ([], 7, {""}, set(), False, False),  # nobody said who answered
    ],
)
def test_replicas_agree_only_when_every_node_that_can_be_reached_was_compared(
    wrong: list[str], items: int, seen: set[str], zones: set[str], holds: bool, decided: bool
) -> None:
    found = agreement(wrong, items, seen, NODES, zones)
    assert (found.held, found.decided) == (holds, decided)
    assert ("n3" in found.detail) is ("n3" in seen or "az-c" not in zones)


def bank(balances: list[int]) -> dict[str, dict[str, str]]:
    return {f"a{number}": {"N": str(balance)} for number, balance in enumerate(balances)}


@pytest.mark.parametrize(
    ("status", "code", "kind", "told"),
    [
        (500, "InternalServerError", "write", Told.UNKNOWN),
        (500, "InternalServerError", "read", Told.FAILED),
        (503, "ServiceUnavailable", "write", Told.FAILED),
        (400, "ThrottlingException", "write", Told.FAILED),
        (400, "ConditionalCheckFailedException", "write", Told.OK),
        (400, "ValidationException", "write", Told.UNKNOWN),
    ],
)
def test_an_answer_means_what_the_router_promises(status: int, code: str, kind: str, told: Told) -> None:
    body = b'{"__type": "com.amazonaws.dynamodb.v20120810#%s"}' % code.encode()
    found, label, _, condition_failed = judge_reply(Reply(status, body, ""), kind)
    assert found is told
    assert label.startswith("unexpected") is (code == "ValidationException")
    assert condition_failed is (code == "ConditionalCheckFailedException")

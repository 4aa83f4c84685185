"""The verdicts find what they are for."""

from __future__ import annotations

import math

import pytest

from chaos import staleness, verdicts
from chaos.clients.connection import Reply
from chaos.clients.log import Told
from chaos.clients.session import judge_reply
from chaos.workloads.bank import ACCOUNTS, OPENING_BALANCE, judge_bank
from chaos.workloads.counters import judge_counter
from chaos.workloads.sets import judge_set
from histories.records import Action, Call

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


def test_counters_hold_what_was_acknowledged_and_at_most_the_unknown_besides() -> None:
    assert not judge_counter("c", 5, 2, 5)
    assert not judge_counter("c", 5, 2, 7)
    assert judge_counter("c", 5, 2, 4)
    assert judge_counter("c", 5, 2, 8)


def test_a_set_keeps_every_acknowledged_element() -> None:
    assert not judge_set("s", {"1", "2"}, {"3"}, {"1", "2", "3"})
    assert judge_set("s", {"1", "2"}, {"3"}, {"1"}) == ["s: 2 was acknowledged and is lost"]
    assert judge_set("s", {"1"}, set(), {"1", "9"}) == ["s: 9 was never added"]


def test_a_bank_keeps_its_total() -> None:
    balances = [OPENING_BALANCE] * ACCOUNTS
    assert not judge_bank("b", bank([balances[0] - 5, balances[1] + 5, *balances[2:]]))
    assert judge_bank("b", bank([balances[0] - 5, *balances[1:]]))
    assert judge_bank("b", bank([balances[0] - 105, balances[1] + 105, *balances[2:]]))
    assert judge_bank("b", None)


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

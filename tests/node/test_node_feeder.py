"""What a leader sends of its outbox, to whom and when; and what leaves the outbox."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest

from node.indexing.feeder import (
    ANSWER_TIMEOUT_S,
    BATCH_RECORDS_MAX,
    REFUSED_WAIT_MAX_S,
    REFUSED_WAIT_MIN_S,
    TRIM_INTERVAL_S,
    TRIM_RECORDS_MAX,
    YOUNG_WAIT_MAX_S,
    Feeder,
)
from node.machine.indexes import Waiting

pytestmark = pytest.mark.unit

REPLICAS = ("n1", "n2", "n3")
Outbox = dict[int, deque[Waiting]]


def outbox(*sequences: int, target: int = 1, written_ms: int = 1000) -> Outbox:
    return {target: deque([Waiting(sequence, written_ms) for sequence in sequences])}


def feeder(leader: str | None = "n2") -> Feeder:
    return Feeder(lambda _target: REPLICAS, lambda _target: leader)


def send(one: Feeder, waiting: Outbox, now: float, newest_ms: int | None = None) -> list[tuple[str, list[int]]]:
    """What is sent at `now`."""
    batches = one.due(waiting, now, newest_ms)
    for batch in batches:
        one.sent(batch.target, batch.node, now)
    return [(batch.node, batch.sequences) for batch in batches]


def test_everything_goes_to_the_believed_leader_oldest_first() -> None:
    assert send(feeder(), outbox(3, 5, 9), 0.0) == [("n2", [3, 5, 9])]


def test_without_a_believed_leader_the_first_replica_is_asked() -> None:
    assert send(feeder(None), outbox(3), 0.0) == [("n1", [3])]


def test_a_batch_is_limited_and_the_next_one_waits_for_the_answer() -> None:
    one, waiting = feeder(), outbox(*range(1, BATCH_RECORDS_MAX + 11))
    assert send(one, waiting, 0.0) == [("n2", list(range(1, BATCH_RECORDS_MAX + 1)))]
    assert send(one, waiting, 0.1) == []
    one.accepted(1, "n2", BATCH_RECORDS_MAX, 0.2)
    assert send(one, waiting, 0.2) == [("n2", list(range(BATCH_RECORDS_MAX + 1, BATCH_RECORDS_MAX + 11)))]


def test_a_target_that_applied_less_than_was_sent_gets_the_rest_again() -> None:
    one, waiting = feeder(), outbox(3, 5, 9)
    send(one, waiting, 0.0)
    one.accepted(1, "n2", 3, 0.1)
    assert send(one, waiting, 0.1) == [("n2", [5, 9])]


def test_targets_do_not_wait_for_each_other() -> None:
    one = feeder()
    waiting = {**outbox(3, target=1), **outbox(4, target=2)}
    assert send(one, waiting, 0.0) == [("n2", [3]), ("n2", [4])]
    one.accepted(2, "n2", 4, 0.1)
    waiting[2].append(Waiting(7, 1000))
    assert send(one, waiting, 0.1) == [("n2", [7])]


def test_silence_sends_again_to_the_next_replica() -> None:
    one, waiting = feeder(), outbox(3)
    send(one, waiting, 0.0)
    assert one.next_event_at == ANSWER_TIMEOUT_S
    assert send(one, waiting, ANSWER_TIMEOUT_S) == [("n3", [3])]
    assert send(one, waiting, 2 * ANSWER_TIMEOUT_S) == [("n1", [3])]


def test_who_accepted_is_asked_again() -> None:
    one, waiting = feeder(), outbox(3)
    send(one, waiting, 0.0)
    one.accepted(1, "n3", 3, 0.1)
    waiting[1].append(Waiting(4, 1000))
    assert send(one, waiting, 0.2) == [("n3", [4])]


@pytest.mark.parametrize(
    ("hint", "asked_next"),
    [
        pytest.param("n1", "n1", id="the named leader"),
        pytest.param("", "n3", id="the next replica when none is named"),
        pytest.param("stranger", "n3", id="the next replica when a stranger is named"),
        pytest.param("n2", "n2", id="the same when it is about to lead"),
    ],
)
def test_a_refusal_asks_after_a_pause(hint: str, asked_next: str) -> None:
    one, waiting = feeder(), outbox(3)
    send(one, waiting, 0.0)
    one.refused(1, "n2", hint, 0.1)
    assert send(one, waiting, 0.1 + REFUSED_WAIT_MIN_S / 2) == []
    assert one.next_event_at == 0.1 + REFUSED_WAIT_MIN_S
    assert send(one, waiting, 0.1 + REFUSED_WAIT_MIN_S) == [(asked_next, [3])]


def test_refusals_in_a_row_are_asked_less_and_less_often() -> None:
    one, waiting = feeder(), outbox(3)
    now, waits = 0.0, []
    for _ in range(7):
        ((node, _sequences),) = send(one, waiting, now)
        one.refused(1, node, "", now)
        assert send(one, waiting, now) == []
        waits.append(round(one.next_event_at - now, 6))
        now = one.next_event_at
    assert waits == [0.02, 0.04, 0.08, 0.16, REFUSED_WAIT_MAX_S, REFUSED_WAIT_MAX_S, REFUSED_WAIT_MAX_S]


def test_a_late_refusal_of_another_node_is_ignored() -> None:
    one, waiting = feeder(), outbox(3)
    send(one, waiting, 0.0)
    send(one, waiting, ANSWER_TIMEOUT_S)
    one.refused(1, "n2", "", ANSWER_TIMEOUT_S + 0.1)
    assert send(one, waiting, ANSWER_TIMEOUT_S + 0.2) == []


def test_young_records_wait_and_those_behind_them_too() -> None:
    one = feeder()
    waiting = {1: deque([Waiting(1, 1000), Waiting(2, 1300), Waiting(3, 1100)])}
    assert send(one, waiting, 5.0, newest_ms=900) == []
    assert one.next_event_at == pytest.approx(5.1)
    assert send(one, waiting, 5.1, newest_ms=1000) == [("n2", [1])]


def test_very_young_records_are_looked_at_again_in_time_for_a_lower_delay() -> None:
    one = feeder()
    assert send(one, outbox(1, written_ms=1_000_000), 5.0, newest_ms=0) == []
    assert one.next_event_at == 5.0 + YOUNG_WAIT_MAX_S


# ---------------------------------------------------------------------------------------------- trimming
def trims(one: Feeder, waiting: Outbox, now: float) -> list[tuple[int, list[int]]]:
    return [(trim.target, list(trim.sequences)) for trim in one.take_trims(waiting, now)]


def test_only_what_was_applied_is_trimmed_once_and_after_a_while() -> None:
    one, waiting = feeder(), outbox(3, 5, 9)
    send(one, waiting, 0.0)
    assert trims(one, waiting, 10.0) == []
    one.accepted(1, "n2", 5, 10.0)
    assert trims(one, waiting, 10.0) == []
    assert send(one, waiting, 10.0) == [("n2", [9])]
    assert one.next_event_at == 10.0 + TRIM_INTERVAL_S
    assert trims(one, waiting, 10.0 + TRIM_INTERVAL_S) == [(1, [3, 5])]
    assert trims(one, waiting, 20.0) == []
    one.accepted(1, "n2", 9, 20.0)
    assert trims(one, waiting, 21.0) == [(1, [9])]


def test_many_applied_records_are_trimmed_at_once() -> None:
    one, waiting = feeder(), outbox(*range(1, TRIM_RECORDS_MAX + 1))
    for last in (BATCH_RECORDS_MAX, TRIM_RECORDS_MAX):
        assert trims(one, waiting, 0.001) == []
        send(one, waiting, 0.0)
        one.accepted(1, "n2", last, 0.001)
    assert [len(sequences) for _, sequences in trims(one, waiting, 0.001)] == [TRIM_RECORDS_MAX]


def test_the_outbox_is_not_walked_while_it_is_too_little_and_too_early() -> None:
    class Counted(deque[Waiting]):
        walks = 0

        def __iter__(self) -> Iterator[Waiting]:
            self.walks += 1
            return super().__iter__()

    one, records = feeder(), Counted(outbox(*range(1, 100))[1])
    send(one, {1: records}, 0.0)
    one.accepted(1, "n2", 50, 0.0)
    before = records.walks
    for turn in range(40):
        assert trims(one, {1: records}, turn * TRIM_INTERVAL_S / 50) == []
    assert records.walks == before
    assert [len(sequences) for _, sequences in trims(one, {1: records}, TRIM_INTERVAL_S)] == [50]
    assert records.walks == before + 1


def test_at_rest_it_wants_nothing_and_still_knows_who_leads() -> None:
    one, waiting = feeder("n1"), outbox(3)
    send(one, waiting, 0.0)
    one.accepted(1, "n3", 3, 0.1)
    one.rest()
    assert one.next_event_at == float("inf")
    assert send(one, outbox(7), 5.0) == [("n3", [7])]


def test_nothing_to_do_means_no_event() -> None:
    one, waiting = feeder(), outbox(3)
    send(one, waiting, 0.0)
    one.accepted(1, "n2", 3, 0.1)
    assert trims(one, waiting, 1.0) == [(1, [3])]
    assert send(one, waiting, 1.0) == []
    assert one.next_event_at == float("inf")


def test_records_of_a_clock_that_was_hours_ahead_wait_the_delay_and_not_hours() -> None:
    one = feeder()
    one.delay_ms = 300
    hours_ahead = outbox(1, 2, written_ms=1_700_000_000_000 + 4 * 3_600_000)
    wall_ms = 1_700_000_000_000
    assert send(one, hours_ahead, 5.0, newest_ms=wall_ms - 300) == []
    assert one.next_event_at == 5.3
    assert send(one, hours_ahead, 5.29, newest_ms=wall_ms - 10) == []
    later = outbox(1, 2, 3, written_ms=1_700_000_000_000 + 4 * 3_600_000)
    assert send(one, later, 5.31, newest_ms=wall_ms + 10) == [("n2", [1, 2])]
    one.accepted(1, "n2", 2, 5.32)
    # What came later begins to wait when it is the first.
    assert send(one, later, 5.4, newest_ms=wall_ms + 100) == []
    assert send(one, later, 5.71, newest_ms=wall_ms + 410) == [("n2", [3])]

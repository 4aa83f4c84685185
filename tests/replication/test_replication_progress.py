"""Flow control to one follower: probe until the logs meet, then a window."""

from __future__ import annotations

import pytest

from replication.group import ReplicationSettings
from replication.messages import LogEntry, Message
from replication.progress import PROBE_RETRY_S, Progress, next_append

pytestmark = pytest.mark.unit

LOG: list[LogEntry] = [(b"x" * 10, index, 1) for index in range(5, 21)]
SETTINGS = ReplicationSettings(append_bytes_max=50, append_window_entries=6, append_window_bytes=10_000)


def send(
    progress: Progress, next_index: int, now: float = 0.0, settings: ReplicationSettings = SETTINGS
) -> Message | None:
    return next_append(progress, LOG, next_index, 7, 9, now, settings)


def sent(progress: Progress, next_index: int, now: float = 0.0) -> list[int]:
    message = send(progress, next_index, now)
    return [entry[1] for entry in message.entries] if message is not None else []


def streaming(acknowledged: int) -> Progress:
    progress = Progress()
    progress.accepted(acknowledged, acknowledged + 1)
    return progress


def test_an_append_names_the_entry_before_its_first() -> None:
    message = send(Progress(), 8)
    assert message is not None
    assert (message.term, message.index, message.log_term, message.commit_index) == (7, 7, 1, 9)


def test_an_append_ends_once_it_is_large_enough() -> None:
    assert sent(Progress(), 8) == [8, 9]


def test_only_one_probe_is_under_way() -> None:
    progress = Progress()
    assert sent(progress, 8, 1.0) == [8, 9]
    assert send(progress, 8, 1.0 + PROBE_RETRY_S * 0.9) is None


def test_a_probe_without_an_answer_is_sent_again() -> None:
    progress = Progress()
    send(progress, 8, 1.0)
    assert sent(progress, 8, 1.0 + PROBE_RETRY_S) == [8, 9]


def test_a_follower_with_everything_is_probed_without_entries() -> None:
    progress = Progress()
    message = send(progress, 21)
    assert message is not None
    assert (message.index, list(message.entries)) == (20, [])
    assert send(progress, 21, 9.0) is None


def test_nothing_is_sent_to_a_follower_that_has_everything() -> None:
    assert send(streaming(20), 21) is None


def test_streaming_fills_the_window_and_stops() -> None:
    progress, next_index, batches = streaming(7), 8, []
    while batch := sent(progress, next_index):
        batches.append(batch)
        next_index = batch[-1] + 1
    assert batches == [[8, 9], [10, 11], [12, 13]]
    next_index = progress.accepted(9, next_index)
    assert next_index == 14, "an acknowledgement does not move back what is under way"
    assert sent(progress, next_index) == [14, 15]


def test_the_window_is_bounded_in_bytes_too() -> None:
    settings = ReplicationSettings(append_bytes_max=50, append_window_entries=1000, append_window_bytes=60)
    progress = streaming(7)
    assert send(progress, 8, settings=settings) is not None
    assert send(progress, 10, settings=settings) is not None
    assert send(progress, 12, settings=settings) is None
    progress.accepted(9, 12)
    assert send(progress, 12, settings=settings) is not None


def test_the_answer_to_a_probe_starts_streaming_after_the_match() -> None:
    progress = Progress()
    send(progress, 12)
    assert progress.accepted(9, 12) == 10
    assert not progress.probing


def test_a_probe_whose_answer_is_lost_leaves_nothing_in_the_window() -> None:
    # One append fills the window: a leader of many groups has small ones.
    settings = ReplicationSettings(append_bytes_max=50, append_window_entries=1000, append_window_bytes=40)
    progress = Progress()
    assert send(progress, 12, settings=settings) is not None
    # The follower's link was down when it answered; what it says to the next heartbeat tells of less.
    next_index = progress.accepted(11, 12)
    assert next_index == 12
    assert send(progress, next_index, settings=settings) is not None


def test_an_older_acknowledgement_takes_nothing_back() -> None:
    progress = streaming(9)
    assert progress.accepted(8, 14) == 14
    assert progress.acknowledged_index == 9


@pytest.mark.parametrize(
    ("acknowledged", "index", "hint", "next_index", "expected"),
    [
        pytest.param(6, 0, 0, 12, None, id="the empty answer to a heartbeat without position says nothing"),
        pytest.param(9, 9, 8, 12, None, id="a rejection of what is acknowledged is stale"),
        pytest.param(6, 11, 8, 12, 8, id="the next try is at the hint"),
        pytest.param(6, 11, 30, 12, 11, id="a hint beyond what was refused does not move forward"),
        pytest.param(6, 11, 3, 12, 7, id="the next try is never below what is acknowledged"),
    ],
)
def test_rejections(acknowledged: int, index: int, hint: int, next_index: int, expected: int | None) -> None:
    progress = streaming(acknowledged)
    assert progress.rejected(index, hint, next_index) == expected
    if expected is not None:
        assert progress.probing
        assert not progress.probe_outstanding


def test_while_probing_a_rejection_of_anything_but_the_probe_changes_nothing() -> None:
    progress = Progress()
    send(progress, 12)
    assert progress.rejected(9, 7, 12) is None
    assert progress.rejected(11, 7, 12) == 7


def test_a_lost_connection_forgets_what_was_under_way() -> None:
    progress = streaming(7)
    send(progress, 8)
    progress.probe()
    assert progress.under_way_bytes == 0
    assert sent(progress, 8) == [8, 9]


def test_send_times_echoed_out_of_order_keep_the_latest() -> None:
    progress = Progress()
    for sent_at in (3.0, 5.0, 4.0):
        progress.heard(sent_at)
    assert progress.echoed_sent_at == 5.0

"""Read index: a read is confirmed only by a round that started after it arrived (dissertation 6.4)."""

from __future__ import annotations

import pytest

from replication.read_barrier import ReadBarriers

pytestmark = pytest.mark.unit


class Reads:
    """Barriers with named reads."""

    def __init__(self) -> None:
        self.barriers = ReadBarriers()
        self.given: dict[str, int | None] = {}

    def add(self, name: str, commit_index: int) -> None:
        self.barriers.add(commit_index, lambda index: self.given.__setitem__(name, index))

    def acknowledge(self, follower: str, round_number: int, needed: int = 1) -> None:
        for commit_index, callback in self.barriers.acknowledged(follower, round_number, needed):
            callback(commit_index)


@pytest.fixture
def reads() -> Reads:
    return Reads()


def test_no_round_without_a_read(reads: Reads) -> None:
    assert reads.barriers.start_round() is None
    assert reads.barriers.resend_round() is None


def test_one_round_confirms_all_reads_that_came_before_it(reads: Reads) -> None:
    reads.add("a", 4)
    reads.add("b", 5)
    assert reads.barriers.start_round() == 1
    reads.acknowledge("n2", 1)
    assert reads.given == {"a": 4, "b": 5}
    assert len(reads.barriers) == 0


def test_a_read_that_came_after_the_round_waits_for_the_next(reads: Reads) -> None:
    reads.add("early", 4)
    reads.barriers.start_round()
    reads.add("late", 6)
    assert reads.barriers.start_round() is None, "a round is under way: the late read shares the next"
    reads.acknowledge("n2", 1)
    assert reads.given == {"early": 4}
    assert reads.barriers.start_round() == 2
    reads.acknowledge("n2", 2)
    assert reads.given == {"early": 4, "late": 6}


def test_a_later_round_confirms_earlier_reads_too(reads: Reads) -> None:
    reads.add("a", 4)
    reads.barriers.start_round()
    reads.acknowledge("n2", 1)
    reads.add("b", 5)
    reads.barriers.start_round()
    reads.acknowledge("n3", 2)
    assert reads.given == {"a": 4, "b": 5}


def test_a_quorum_is_needed_and_one_follower_counts_once(reads: Reads) -> None:
    reads.add("a", 4)
    reads.barriers.start_round()
    reads.acknowledge("n2", 1, needed=2)
    reads.acknowledge("n2", 1, needed=2)
    assert reads.given == {}
    reads.acknowledge("n3", 1, needed=2)
    assert reads.given == {"a": 4}


def test_a_stale_acknowledgement_confirms_nothing(reads: Reads) -> None:
    reads.add("a", 4)
    reads.barriers.start_round()
    reads.acknowledge("n2", 1)
    reads.add("b", 5)
    reads.barriers.start_round()
    reads.acknowledge("n2", 1)
    reads.acknowledge("n3", 1)
    assert reads.given == {"a": 4}


def test_a_round_whose_messages_were_lost_is_sent_again_under_its_number(reads: Reads) -> None:
    reads.add("a", 4)
    reads.barriers.start_round()
    assert reads.barriers.resend_round() == 1
    reads.acknowledge("n2", 1)
    assert reads.barriers.resend_round() is None


def test_lost_leadership_refuses_every_read_and_its_rounds_confirm_nothing_later(reads: Reads) -> None:
    reads.add("a", 4)
    reads.barriers.start_round()
    reads.add("b", 5)
    for callback in reads.barriers.fail_all():
        callback(None)
    assert reads.given == {"a": None, "b": None}
    reads.add("c", 9)
    reads.acknowledge("n2", 1)
    assert "c" not in reads.given
    assert reads.barriers.start_round() == 2
    reads.acknowledge("n2", 2)
    assert reads.given["c"] == 9

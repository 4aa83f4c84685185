"""Which messages may leave: those whose batch a finished sync covers, in the order they were held."""

from __future__ import annotations

import pytest

from node.durability import Durability

pytestmark = pytest.mark.unit


def run(steps: str) -> list[str]:
    """Play steps: `j` journal changed, `w` batch written, `s` sync starts, `e` sync ends, else the name of a message.

    A message leaves at once when nothing must be held. Returns what left at each step that let something go.
    """
    durability: Durability[str] = Durability()
    left: list[str] = []
    for step in steps:
        if step == "j":
            durability.journal_changed()
        elif step == "w":
            durability.batch_written()
        elif step == "s":
            durability.start_sync()
        elif step == "e":
            left.append("".join(durability.sync_ended()) or "-")
        elif durability.must_hold:
            durability.hold(step)
        else:
            left.append(step)
    return left


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        pytest.param("A", ["A"], id="nothing journalled: a message leaves at once"),
        pytest.param("jAwse", ["A"], id="a message waits for the sync of its batch"),
        pytest.param("jwAse", ["A"], id="also when its batch was written before"),
        pytest.param("jwsAe", ["A"], id="a sync under way covers a message about what was written before it"),
        pytest.param("jwsjAwe", ["-"], id="a sync under way does not cover a later batch"),
        pytest.param("jwsjAwese", ["-", "A"], id="the next one does"),
        pytest.param("jwsjAese", ["-", "-"], id="a batch that is not written is covered by no sync"),
        pytest.param("jAwsjBwCese", ["A", "BC"], id="messages leave in order, each with its own sync"),
        pytest.param("jwseA", ["-", "A"], id="after the sync messages leave at once again"),
        pytest.param("wA", ["A"], id="a batch without journal changes holds nothing"),
        pytest.param("jwswAe", ["A"], id="nor does it wait for another sync"),
    ],
)
def test_what_leaves_when(steps: str, left: list[str]) -> None:
    assert run(steps) == left


def test_one_sync_at_a_time_and_none_without_need() -> None:
    durability: Durability[str] = Durability()
    assert not durability.start_sync()
    durability.journal_changed()
    assert not durability.start_sync()
    durability.batch_written()
    assert durability.start_sync()
    durability.journal_changed()
    durability.batch_written()
    assert not durability.start_sync()
    durability.sync_ended()
    assert durability.start_sync()
    durability.sync_ended()
    assert not durability.start_sync()


def test_what_can_wait_is_synced_with_what_cannot() -> None:
    durability: Durability[str] = Durability()
    durability.journal_changed()
    durability.hold("A", can_wait=True)
    durability.batch_written(can_wait=True)
    assert durability.must_hold
    assert not durability.wants_sync
    assert not durability.start_sync(), "nobody waits for it"
    durability.journal_changed()
    durability.hold("B")
    assert durability.wants_sync
    durability.batch_written(can_wait=True)
    assert durability.start_sync(), "B is waited for"
    assert durability.sync_ended() == ["A", "B"]
    assert not durability.wants_sync


def test_what_can_wait_does_not_wait_for_ever() -> None:
    durability: Durability[str] = Durability()
    durability.journal_changed()
    durability.hold("A", can_wait=True)
    durability.batch_written(can_wait=True)
    durability.hurry()
    assert durability.start_sync()
    assert durability.sync_ended() == ["A"]


def test_what_is_waited_for_stays_so_when_the_rest_is_told_to_hurry_before_the_batch_is_written() -> None:
    durability: Durability[str] = Durability()
    durability.journal_changed()
    durability.hold("A")
    durability.hurry()
    durability.batch_written(can_wait=True)
    assert durability.start_sync()


def test_a_message_about_a_batch_that_is_being_synced_asks_for_no_other() -> None:
    durability: Durability[str] = Durability()
    durability.journal_changed()
    durability.batch_written()
    assert durability.start_sync()
    durability.hold("A")
    assert durability.sync_ended() == ["A"]
    assert not durability.start_sync()


def test_held_messages_are_counted() -> None:
    durability: Durability[str] = Durability()
    durability.journal_changed()
    for name in "ABC":
        durability.hold(name)
    assert len(durability) == 3
    durability.batch_written()
    durability.start_sync()
    durability.sync_ended()
    assert len(durability) == 0


def test_what_a_group_that_left_wanted_to_say_is_never_said() -> None:
    durability: Durability[str] = Durability()
    durability.journal_changed()
    for name in ("gone 1", "here", "gone 2"):
        durability.hold(name)
    durability.drop(lambda held: held.startswith("gone"))
    durability.batch_written()
    durability.start_sync()
    assert durability.sync_ended() == ["here"]

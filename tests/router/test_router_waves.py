"""When queued operations leave: few never wait, many leave together, nothing waits longer than answers take."""

from __future__ import annotations

import asyncio

import pytest

from router.routing.departures import Departures
from router.routing.waves import FEW_UNDER_WAY, HOLD_S_MAX, WAITING_BYTES_MAX, Waves
from runtime.clock import SystemClock

pytestmark = pytest.mark.unit

WAIT_S = 5


def queued(waves: Waves, count: int) -> None:
    for _ in range(count):
        waves.queued(100)


def under_way(count: int, took_s: float = 0.004) -> Waves:
    """`count` operations under way, one answered after `took_s`."""
    waves = Waves()
    queued(waves, count + 1)
    waves.dequeued(count + 1, 100 * (count + 1))
    waves.left(count + 1, 1.0)
    waves.answered(1, 1.0 + took_s)
    return waves


def test_a_few_under_way_hold_nobody_up() -> None:
    waves = under_way(FEW_UNDER_WAY)
    queued(waves, 1)
    assert waves.may_leave


def test_many_under_way_hold_back_what_comes_until_more_wait() -> None:
    waves = under_way(40)
    queued(waves, 20)
    assert not waves.may_leave
    waves.answered(19, 1.1)
    assert not waves.may_leave, "21 are under way, 20 wait"
    waves.answered(1, 1.1)
    assert waves.may_leave


def test_a_full_frame_does_not_wait() -> None:
    waves = under_way(40)
    waves.queued(WAITING_BYTES_MAX)
    assert waves.may_leave


def test_a_broken_stream_holds_nobody_up() -> None:
    waves = under_way(40)
    queued(waves, 1)
    assert not waves.may_leave
    waves.lost(40)
    assert waves.may_leave


def test_what_left_or_was_forgotten_waits_no_more() -> None:
    waves = under_way(40)
    queued(waves, 200)
    waves.dequeued(200, 20_000)
    assert (waves.waiting, waves.waiting_bytes) == (0, 0)
    queued(waves, 1)
    assert not waves.may_leave


def test_the_hold_follows_the_time_that_answers_take_and_has_a_limit() -> None:
    quick, slow = Waves(), Waves()
    for waves, took_s in ((quick, 0.001), (slow, 3.0)):
        for turn in range(50):
            waves.left(2, turn * 10.0)
            waves.answered(1, turn * 10.0 + took_s / 2)
            waves.left(1, turn * 10.0 + took_s / 2)
            waves.answered(1, turn * 10.0 + took_s)
            waves.answered(1, turn * 10.0 + took_s)
    assert quick.hold_s == pytest.approx(0.001, rel=0.01), "until as many were answered as had left"
    assert slow.hold_s == HOLD_S_MAX


def test_time_lost_with_a_broken_stream_is_no_time_of_answers() -> None:
    waves = under_way(1, took_s=0.002)
    before_s = waves.hold_s
    waves.left(1, 2.0)
    waves.lost(2)
    waves.answered(0, 9.0)
    assert waves.hold_s == before_s


def test_held_operations_wake_all_writers_when_a_wave_leaves_and_at_the_latest_by_the_timer() -> None:
    async def scenario() -> None:
        woken: asyncio.Queue[str] = asyncio.Queue()
        departures = Departures(SystemClock.monotonic)
        departures.add_writer(lambda: woken.put_nowait("n1"))
        departures.add_writer(lambda: woken.put_nowait("n2"))
        departures.left(40)
        departures.queued(100)
        assert woken.empty(), "held"
        departures.answered(35)
        assert woken.empty(), "still held"
        departures.answered(1)
        assert [woken.get_nowait(), woken.get_nowait()] == ["n1", "n2"], "few are under way"
        assert woken.empty()
        departures.dequeued(1, 100)
        departures.left(40)
        departures.queued(100)
        assert woken.empty(), "held"
        assert await asyncio.wait_for(woken.get(), WAIT_S) == "n1", "no answer came: the timer"
        departures.close()

    asyncio.run(scenario())


def test_a_closed_departure_leaves_no_timer() -> None:
    async def scenario() -> int:
        woken: list[str] = []
        departures = Departures(SystemClock.monotonic)
        departures.add_writer(lambda: woken.append("n1"))
        departures.left(40)
        departures.queued(100)
        departures.close()
        await asyncio.sleep(3 * HOLD_S_MAX)
        return len(woken)

    assert asyncio.run(scenario()) == 0

"""When queued operations leave: few never wait, many leave together, nothing waits longer than answers take."""

from __future__ import annotations

import asyncio

import pytest

from router.routing.departures import Departures
from router.routing.waves import FEW_UNDER_WAY, HOLD_S_MAX, SILENCE_S_MAX, WAITING_BYTES_MAX, Stream, Waves
from runtime.clock import SystemClock

pytestmark = pytest.mark.unit

WAIT_S = 5


def queued(waves: Waves, count: int) -> None:
    for _ in range(count):
        waves.queued(100)


def under_way(count: int, took_s: float = 0.004) -> tuple[Waves, Stream]:
    """`count` operations under way on one of two streams, one answered after `took_s`."""
    waves = Waves()
    stream, _ = waves.new_stream(), waves.new_stream()
    queued(waves, count + 1)
    waves.dequeued(count + 1, 100 * (count + 1))
    waves.left(stream, count + 1, 1.0)
    waves.answered(stream, 1, 1.0 + took_s)
    return waves, stream


def test_a_few_under_way_hold_nobody_up() -> None:
    waves, _ = under_way(FEW_UNDER_WAY)
    queued(waves, 1)
    assert waves.may_leave


def test_many_under_way_hold_back_what_comes_until_more_wait() -> None:
    waves, stream = under_way(40)
    queued(waves, 20)
    assert not waves.may_leave
    waves.answered(stream, 19, 1.1)
    assert not waves.may_leave, "21 are under way, 20 wait"
    waves.answered(stream, 1, 1.1)
    assert waves.may_leave


def test_a_full_frame_does_not_wait() -> None:
    waves, _ = under_way(40)
    waves.queued(WAITING_BYTES_MAX)
    assert waves.may_leave


def test_a_broken_stream_holds_nobody_up() -> None:
    waves, stream = under_way(40)
    queued(waves, 1)
    assert not waves.may_leave
    waves.lost(stream)
    assert waves.may_leave
    assert (waves.under_way, stream.under_way) == (0, 0)


def test_a_silent_stream_holds_nobody_up_until_it_speaks() -> None:
    waves, stream = under_way(40)
    queued(waves, 1)
    waves.held_long(1.004 + SILENCE_S_MAX * 0.9)
    assert not waves.may_leave, "not silent for long enough"
    waves.held_long(1.004 + SILENCE_S_MAX * 1.1)
    assert waves.may_leave
    waves.left(stream, 10, 1.1)
    assert waves.may_leave, "what goes there is not waited for either"
    waves.answered(stream, 5, 1.2)
    assert (waves.under_way, waves.may_leave) == (45, False)
    waves.held_long(1.3)
    waves.lost(stream)
    assert (waves.under_way, stream.is_silent) == (0, False), "a new stream begins anew"


def test_a_stream_that_owes_nothing_is_not_silent() -> None:
    waves, stream = under_way(40)
    waves.answered(stream, 40, 1.01)
    waves.left(stream, 40, 9.0)
    queued(waves, 1)
    waves.held_long(9.0 + SILENCE_S_MAX / 2)
    assert not waves.may_leave, "it began to owe something just now"


def test_what_left_or_was_forgotten_waits_no_more() -> None:
    waves, _ = under_way(40)
    queued(waves, 200)
    waves.dequeued(200, 20_000)
    assert (waves.waiting, waves.waiting_bytes) == (0, 0)
    queued(waves, 1)
    assert not waves.may_leave


def test_the_hold_follows_the_time_that_answers_take_and_has_a_limit() -> None:
    quick, slow = Waves(), Waves()
    for waves, took_s in ((quick, 0.001), (slow, 3.0)):
        stream = waves.new_stream()
        for turn in range(50):
            waves.left(stream, 2, turn * 10.0)
            waves.answered(stream, 1, turn * 10.0 + took_s / 2)
            waves.left(stream, 1, turn * 10.0 + took_s / 2)
            waves.answered(stream, 1, turn * 10.0 + took_s)
            waves.answered(stream, 1, turn * 10.0 + took_s)
    assert quick.hold_s == pytest.approx(0.001, rel=0.01), "until as many were answered as had left"
    assert slow.hold_s == HOLD_S_MAX


def test_time_lost_with_a_broken_stream_is_no_time_of_answers() -> None:
    waves, stream = under_way(1, took_s=0.002)
    waves.answered(stream, 1, 1.002)
    before_s = waves.hold_s
    waves.left(stream, 2, 2.0)
    waves.lost(stream)
    waves.left(stream, 1, 9.0)
    waves.answered(stream, 1, 9.0 + before_s)
    assert waves.hold_s == pytest.approx(before_s)


def test_held_operations_wake_all_writers_when_a_wave_leaves_and_at_the_latest_by_the_timer() -> None:
    async def scenario() -> None:
        woken: asyncio.Queue[str] = asyncio.Queue()
        departures = Departures(SystemClock.monotonic)
        stream = departures.add_stream(lambda: woken.put_nowait("n1"))
        departures.add_stream(lambda: woken.put_nowait("n2"))
        departures.left(stream, 40)
        departures.queued(100)
        assert woken.empty(), "held"
        departures.answered(stream, 35)
        assert woken.empty(), "still held"
        departures.answered(stream, 1)
        assert [woken.get_nowait(), woken.get_nowait()] == ["n1", "n2"], "few are under way"
        assert woken.empty()
        departures.dequeued(1, 100)
        departures.left(stream, 40)
        departures.queued(100)
        assert woken.empty(), "held"
        assert await asyncio.wait_for(woken.get(), WAIT_S) == "n1", "no answer came: the timer"
        departures.close()

    asyncio.run(scenario())


def test_a_closed_departure_leaves_no_timer() -> None:
    async def scenario() -> int:
        woken: list[str] = []
        departures = Departures(SystemClock.monotonic)
        stream = departures.add_stream(lambda: woken.append("n1"))
        departures.left(stream, 40)
        departures.queued(100)
        departures.close()
        departures.queued(100)
        await asyncio.sleep(3 * HOLD_S_MAX)
        return len(woken)

    assert asyncio.run(scenario()) == 0

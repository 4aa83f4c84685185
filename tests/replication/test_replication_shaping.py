"""What a fault rule does to the frames of one stream: later, slower, not at all, but never out of order."""

from __future__ import annotations

import math
import random

import pytest

from replication.transport.shaping import KEEPALIVE_S, NO_EFFECTS, LinkEffects, Shaper

pytestmark = pytest.mark.unit

CUT = LinkEffects(cut=True)


def drawn(*values: float):
    """Draws these numbers, then 0.999."""
    left = list(values)
    return lambda: left.pop(0) if left else 0.999


def passed(shaper: Shaper[int], now: float) -> list[int]:
    """Everything that may pass at `now`."""
    frames = []
    while (frame := shaper.pop(now)) is not None:
        frames.append(frame)
    return frames


def test_without_effects_a_frame_passes_at_once() -> None:
    shaper: Shaper[int] = Shaper(0.0, NO_EFFECTS)
    shaper.push(1, 10, 5.0, drawn())
    assert shaper.queued_bytes == 10
    assert passed(shaper, 5.0) == [1]
    assert shaper.queued_bytes == 0
    assert shaper.next_at() == math.inf


def test_latency_and_jitter_make_it_late_by_as_much() -> None:
    shaper: Shaper[int] = Shaper(0.0, LinkEffects(latency_s=0.2, jitter_s=0.1))
    shaper.push(1, 1, 1.0, drawn(0.5))
    assert shaper.next_at() == pytest.approx(1.25)
    assert passed(shaper, 1.249) == []
    assert passed(shaper, 1.251) == [1]


def test_a_frame_never_overtakes_one_that_jitter_holds_up() -> None:
    shaper: Shaper[int] = Shaper(0.0, LinkEffects(jitter_s=1.0))
    shaper.push(1, 1, 0.0, drawn(0.9))
    shaper.push(2, 1, 0.0, drawn(0.1))
    assert passed(shaper, 0.5) == []
    assert passed(shaper, 0.91) == [1, 2]


def test_a_lost_frame_waits_for_its_retransmissions_and_holds_up_what_is_behind() -> None:
    shaper: Shaper[int] = Shaper(0.0, LinkEffects(loss=0.5))
    shaper.push(1, 1, 0.0, drawn(0.1, 0.2, 0.9))  # lost twice: 200 ms, then 400 ms
    shaper.push(2, 1, 0.0, drawn(0.9))
    assert passed(shaper, 0.59) == []
    assert passed(shaper, 0.61) == [1, 2]


def test_a_link_that_loses_everything_breaks_as_keepalive_would() -> None:
    shaper: Shaper[int] = Shaper(0.0, LinkEffects(loss=1.0))
    shaper.push(1, 1, 7.0, drawn(*[0.5] * 20))
    assert shaper.breaks_at == pytest.approx(7.0 + KEEPALIVE_S)
    shaper.change(8.0, NO_EFFECTS)
    assert shaper.breaks_at == math.inf
    assert passed(shaper, 8.0) == [1]


def test_a_limited_line_takes_its_time_for_every_byte() -> None:
    shaper: Shaper[int] = Shaper(0.0, LinkEffects(bytes_per_s=1000))
    for frame in (1, 2, 3):
        shaper.push(frame, 500, 0.0, drawn())
    assert passed(shaper, 0.0) == [1]
    assert shaper.next_at() == pytest.approx(0.5)
    assert passed(shaper, 0.51) == [2]
    assert passed(shaper, 1.02) == [3]


def test_a_backlog_of_a_limited_line_is_gone_when_it_heals() -> None:
    shaper: Shaper[int] = Shaper(0.0, LinkEffects(bytes_per_s=1))
    for frame in (1, 2, 3):
        shaper.push(frame, 1000, 0.0, drawn())
    assert passed(shaper, 0.0) == [1]
    shaper.change(1.0, NO_EFFECTS)
    assert passed(shaper, 1.0) == [2, 3]


def test_a_cut_that_heals_in_time_loses_nothing() -> None:
    shaper: Shaper[int] = Shaper(0.0, NO_EFFECTS)
    shaper.change(1.0, CUT)
    shaper.push(1, 1, 1.1, drawn())
    shaper.push(2, 1, 1.2, drawn())
    assert passed(shaper, 3.0) == []
    assert shaper.next_at() == pytest.approx(1.0 + KEEPALIVE_S)
    shaper.change(4.9, NO_EFFECTS)
    assert shaper.breaks_at == math.inf
    assert passed(shaper, 4.9) == [1, 2]


def test_a_cut_breaks_the_stream_by_its_first_moment_whatever_rules_follow() -> None:
    shaper: Shaper[int] = Shaper(0.0, CUT)
    shaper.change(3.0, LinkEffects(cut=True, latency_s=1.0))
    assert shaper.breaks_at == pytest.approx(KEEPALIVE_S)


def test_effects_of_several_rules_add_up() -> None:
    both = LinkEffects(latency_s=0.1, loss=0.5, bytes_per_s=10).with_more(
        LinkEffects(latency_s=0.2, jitter_s=0.3, loss=0.5, bytes_per_s=5, cut=True)
    )
    assert both == LinkEffects(cut=True, latency_s=pytest.approx(0.3), jitter_s=0.3, loss=0.75, bytes_per_s=5)


def random_effects(rng: random.Random) -> LinkEffects:
    return LinkEffects(
        cut=rng.random() < 0.2,
        latency_s=rng.choice([0.0, 0.05, 2.0]),
        jitter_s=rng.choice([0.0, 0.5]),
        loss=rng.choice([0.0, 0.1, 0.9]),
        bytes_per_s=rng.choice([0, 100, 100_000]),
    )


@pytest.mark.parametrize("seed", range(200))
def test_order_is_kept_under_every_sequence_of_rules(seed: int) -> None:
    """Law 3, and nothing may stay behind once all is healed."""
    rng = random.Random(seed)
    shaper: Shaper[int] = Shaper(0.0, random_effects(rng))
    now, sent, received = 0.0, 0, list[int]()
    for _ in range(300):
        now += rng.random() * 0.2
        if rng.random() < 0.1:
            shaper.change(now, random_effects(rng))
        if rng.random() < 0.7:
            sent += 1
            shaper.push(sent, rng.randrange(1, 2000), now, rng.random)
        received += passed(shaper, now)
        wanted = list(range(1, len(received) + 1))
        assert received == wanted, f"seed {seed}: out of order or missing at {now}"
    shaper.change(now, NO_EFFECTS)
    received += passed(shaper, now)
    assert received == list(range(1, sent + 1)), f"seed {seed}"
    assert shaper.queued_bytes == 0

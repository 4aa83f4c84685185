"""Percentiles by nearest rank."""

from __future__ import annotations

import pytest

from histories.percentiles import percentile

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("ordered", "share", "expected"),
    [
        pytest.param([], 0.99, 0.0, id="none"),
        pytest.param([7.0], 0.0, 7.0, id="one value is every percentile"),
        pytest.param([1.0, 2.0, 3.0, 4.0], 0.5, 2.0, id="the lower of two in the middle"),
        pytest.param([float(n) for n in range(1, 101)], 0.99, 99.0, id="of a hundred the last but one"),
        pytest.param([1.0, 2.0], 1.0, 2.0, id="the largest"),
    ],
)
def test_a_percentile_is_the_value_of_the_nearest_rank(ordered: list[float], share: float, expected: float) -> None:
    assert percentile(ordered, share) == expected

"""Capacity units at their boundaries, and the ConsumedCapacity member."""

from __future__ import annotations

import pytest

from dynamo.capacity import consumed_capacity_json, read_units, write_units

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("size", "strong", "eventual", "transactional"),
    [(0, 1, 0.5, 2), (1, 1, 0.5, 2), (4096, 1, 0.5, 2), (4097, 2, 1, 4), (409_600, 100, 50, 200)],
)
def test_read_units(size: int, strong: float, eventual: float, transactional: float) -> None:
    assert read_units(size, True) == strong
    assert read_units(size, False) == eventual
    assert read_units(size, True, transactional=True) == transactional


@pytest.mark.parametrize(
    ("before", "after", "units"), [(0, 0, 1), (0, 1, 1), (1024, 0, 1), (0, 1025, 2), (5000, 10, 5), (10, 409_600, 400)]
)
def test_write_units(before: int, after: int, units: float) -> None:
    assert write_units(before, after) == units
    assert write_units(before, after, transactional=True) == 2 * units


def test_consumed_capacity() -> None:
    assert consumed_capacity_json(None, "T", 1.0) is None
    assert consumed_capacity_json("NONE", "T", 1.0) is None
    assert consumed_capacity_json("TOTAL", "T", 0.5) == {"TableName": "T", "CapacityUnits": 0.5}
    assert consumed_capacity_json("INDEXES", "T", 2.0) == {
        "TableName": "T",
        "CapacityUnits": 2.0,
        "Table": {"CapacityUnits": 2.0},
    }

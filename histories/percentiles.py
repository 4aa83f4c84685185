"""Percentiles by nearest rank. Pure.

Used by histories.staleness and by chaos for what clients saw. Law: a percentile is one of the values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of ascending values, the least that `share` (0 to 1) of them do not exceed; 0 without any."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0

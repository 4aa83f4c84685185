"""A number, or a range from which the seed draws one: `5`, `2..4`. Pure.

Used by chaos.scenario for times, sizes and counts.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator


@dataclass(frozen=True, slots=True)
class Span:
    """From `low` to `high`; equal for a plain number."""

    low: float
    high: float

    def draw(self, rng: random.Random) -> float:
        """A number in it; a plain number without touching the randomness."""
        return self.low if self.low == self.high else rng.uniform(self.low, self.high)

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g}..{self.high:g}"


def parse(value: Any) -> Span:
    """A span from YAML. Raises ValueError."""
    if isinstance(value, Span):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a number or a range such as 2..5")
    if isinstance(value, str):
        low_text, dots, high_text = value.partition("..")
        try:
            low, high = float(low_text), float(high_text if dots else low_text)
        except ValueError:
            raise ValueError(f"must be a number or a range such as 2..5, not {value!r}") from None
    else:
        low = high = float(value)
    if not 0 <= low <= high < 1e9:
        raise ValueError(f"must be from 0 up and in order, not {value!r}")
    return Span(low, high)


# In a pydantic model.
SpanField = Annotated[Span, BeforeValidator(parse)]

"""Lets test modules of this folder import what they share, and run seeds as fast as simulation.worker does."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _as_fast_as_a_worker() -> Iterator[None]:
    """Nodes log nothing that the story does not have."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)

"""Tests of real containers: collected by `make test-compose` only (deploy.prove), since they need an engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from deploy.prove import SWITCH

if TYPE_CHECKING:
    from chaos.targets.compose import ComposeTarget

collect_ignore_glob = [] if os.environ.get(SWITCH) else ["test_*.py"]


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory, measured: Callable[[str], None]) -> Iterator[ComposeTarget]:
    """A cluster of containers that serves; the module's tests leave it whole."""
    from chaos.targets.compose import ComposeTarget

    target = ComposeTarget(tmp_path_factory.mktemp("compose"), say=measured)
    try:
        target.start()
        yield target
    finally:
        target.close()

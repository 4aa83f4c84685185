"""The service that the conformance suite judges: `--endpoint URL`, or a cluster of our own.

Nothing here or in the tests knows how the service is built: only boto3 and what DynamoDB documents or was seen to do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# The suite's helpers lie beside their tests, which are no package (importlib mode).
sys.path.insert(0, str(Path(__file__).parent))

from conformance_support import Tables, client_for


@pytest.fixture(scope="session")
def endpoint(request: pytest.FixtureRequest) -> str:
    given: str = request.config.getoption("--endpoint")
    return given or request.getfixturevalue("shared_cluster").endpoint()


@pytest.fixture(scope="session")
def client(endpoint: str) -> Any:
    """A boto3 client that sends what it is given: wrong parameters are the service's to refuse."""
    return client_for(endpoint)


@pytest.fixture(scope="module")
def tables(client: Any) -> Iterator[Tables]:
    """Makes tables that live as long as the module's tests."""
    made = Tables(client)
    yield made
    made.drop()

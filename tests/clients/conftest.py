"""Where the real clients' sessions find their service: `--endpoint URL`, or a cluster of our own."""

from __future__ import annotations

import os
import uuid

import pytest


@pytest.fixture(scope="session")
def endpoint(request: pytest.FixtureRequest) -> str:
    given: str = request.config.getoption("--endpoint")
    return given or request.getfixturevalue("shared_cluster").endpoint()


@pytest.fixture
def table() -> str:
    """A name that nobody has."""
    return f"songs-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def client_environment(endpoint: str) -> dict[str, str]:
    """What a program needs to find the service and nothing else: no profile, no metadata service of a cloud machine."""
    return os.environ | {
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
        "AWS_ACCESS_KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID", "local"),
        "AWS_SECRET_ACCESS_KEY": os.environ.get("AWS_SECRET_ACCESS_KEY", "local"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_PAGER": "",
    }

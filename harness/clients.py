"""boto3 clients as a user makes them, with dummy credentials and without patience.

Used by harness.cluster and the tests of the `trizone` command.
"""

from __future__ import annotations

from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]

CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 15.0


def client_of(endpoint: str, *, region: str = "us-east-1", retries: bool = False) -> Any:
    """A DynamoDB client of the router at `endpoint`; without `retries` every failure is seen."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=region,
        **CREDENTIALS,
        config=Config(
            retries={"total_max_attempts": 5 if retries else 1, "mode": "standard"},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=64,
        ),
    )


def make_table(client: Any, name: str, *, active_within_s: int = 20) -> None:
    """A table with the text key `pk`; it is ACTIVE when this returns. Raises what boto3 raises."""
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": active_within_s})

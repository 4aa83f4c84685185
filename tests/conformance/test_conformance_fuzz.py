"""Thousands of raw bodies, nearly right and wrong everywhere, for every operation: never a 5xx, always a JSON answer.

The seed is printed; TRIZONE_FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from random import Random
from urllib.parse import urlsplit

import pytest
from conformance_support import Index, Tables, item
from fuzz_requests import RequestMaker, operations

from harness.http import HttpConnection

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

BODIES = 500
# Of what makes and changes tables, fewer: each takes the catalog's time, and the account's tables are limited.
BODIES_OF_TABLES = 80
TABLE_OPERATIONS = ("CreateTable", "UpdateTable")
# API reference: "an HTTP 200 response with an empty HTTP body".
WITHOUT_ANSWER = ("TagResource", "UntagResource")
# What ends a table ends the test's own.
LEFT_OUT = ("DeleteTable",)


@pytest.fixture
def connection(endpoint: str) -> Iterator[HttpConnection]:
    address = urlsplit(endpoint)
    if address.scheme != "http":
        pytest.skip("the raw client speaks plain HTTP")
    with HttpConnection(address.hostname or "", address.port or 80, timeout_s=60) as opened:
        yield opened


@pytest.fixture
def known(tables: Tables) -> list[str]:
    """Two tables with items and indexes."""
    return [
        tables.make(
            "pk:S sk:N",
            *(item(pk="a", sk=n, g="x", l=n) for n in range(5)),
            local=[Index("lsi", "pk:S l:N", "KEYS_ONLY")],
            globals_=[Index("gsi", "g:S")],
        ),
        tables.make("pk:S", item(pk="a", a=1)),
    ]


def test_no_body_brings_an_operation_down(connection: HttpConnection, known: list[str], tables: Tables) -> None:
    seed = os.environ.get("TRIZONE_FUZZ_SEED") or str(secrets.randbits(32))
    print(f"TRIZONE_FUZZ_SEED={seed}")
    arns = [tables.client.describe_table(TableName=name)["Table"]["TableArn"] for name in known]
    answered: dict[int, int] = {}
    for name, shape in sorted(operations().items()):
        if name in LEFT_OUT:
            continue
        # One source for each operation: a change in one leaves the others as they were.
        maker = RequestMaker(Random(f"{seed} {name}"), known, arns)
        for number in range(BODIES_OF_TABLES if name in TABLE_OPERATIONS else BODIES):
            body = maker.body(shape)
            answer = connection.call(name, body)
            what = f"seed {seed}, {name} number {number}: {body[:2000]!r} -> {answer.status} {answer.body[:500]!r}"
            assert answer.status < 500, what
            if answer.status != 200 or name not in WITHOUT_ANSWER:
                assert answer.body.startswith(b"{"), what
            if answer.status == 200 and name == "CreateTable":
                tables.adopt(json.loads(answer.body)["TableDescription"]["TableName"])
            if answer.status != 200:
                assert "#" in json.loads(answer.body)["__type"], what
            answered[answer.status] = answered.get(answer.status, 0) + 1
    # A fuzz whose every request is refused, or accepted, would prove little.
    assert min(answered[200], answered[400]) > 100

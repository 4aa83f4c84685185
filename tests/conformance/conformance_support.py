"""What the conformance tests share: a client, tables, AttributeValues written as Python values, refusals, patience.

Used by tests/conformance and tests/clients. Law: independent of our own code, so that no fault of
ours can hide in it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

VALIDATION = "ValidationException"
INVALID = "One or more parameter values were invalid: "
NOT_FOUND = ("ResourceNotFoundException", "Requested resource not found")
CONDITION_FAILED = ("ConditionalCheckFailedException", "The conditional request failed")
SETTLE_TIMEOUT_S = 20.0
SETTLE_PAUSE_S = 0.05
ACTIVE_TIMEOUT_S = 60.0


def client_for(endpoint: str, *, region: str = "us-east-1") -> Any:
    """A boto3 client of `endpoint` that checks nothing itself and never repeats a request."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=region,
        # Any pair will do for Trizone; for the service itself the environment has a real one.
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "local"),
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "local"),
        aws_session_token=os.environ.get("AWS_SESSION_TOKEN"),
        config=Config(
            parameter_validation=False,
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=32,
        ),
    )


# --- values -----------------------------------------------------------------------------------------------------------


def value(of: object) -> dict[str, Any]:
    """The AttributeValue of a Python value; int, float texts as Decimal; a set is SS, NS or BS by its elements."""
    match of:
        case bool():
            return {"BOOL": of}
        case None:
            return {"NULL": True}
        case str():
            return {"S": of}
        case int() | Decimal():
            return {"N": str(of)}
        case bytes():
            return {"B": of}
        case list() | tuple():
            return {"L": [value(element) for element in of]}
        case dict():
            return {"M": item(**of)}
        case set() | frozenset():
            return _set_value(of)
    raise TypeError(f"no AttributeValue for {of!r}")


def _set_value(of: set[Any] | frozenset[Any]) -> dict[str, Any]:
    kinds = {next(iter(value(element))) for element in of}
    assert len(kinds) == 1, "a set has elements of one type"
    kind = kinds.pop()
    return {kind + "S": sorted(value(element)[kind] for element in of)}


def item(**attributes: object) -> dict[str, Any]:
    """An item, or a map, from Python values: item(pk="a", sk=1)."""
    return {name: value(of) for name, of in attributes.items()}


def values(**placeholders: object) -> dict[str, Any]:
    """ExpressionAttributeValues: values(p="a") is {":p": {"S": "a"}}."""
    return {f":{name}": value(of) for name, of in placeholders.items()}


def plain(found: Mapping[str, Mapping[str, Any]], *names: str) -> Any:
    """The bare values of these attributes; of one name, its value alone."""
    bare = tuple(next(iter(found[name].values())) if name in found else None for name in names)
    return bare[0] if len(names) == 1 else bare


def attribute_size(of: Mapping[str, Any]) -> int:
    """Bytes that a string, binary or boolean value counts (developer guide: item sizes)."""
    [(kind, content)] = of.items()
    return {"S": lambda: len(content.encode()), "B": lambda: len(content), "BOOL": lambda: 1, "NULL": lambda: 1}[kind]()


def item_size(of: Mapping[str, Mapping[str, Any]]) -> int:
    """Bytes of an item of strings, binaries and booleans: names and values."""
    return sum(len(name.encode()) + attribute_size(content) for name, content in of.items())


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Index:
    """One index as tests write it: Index("by_age", "team:S age:N", "KEYS_ONLY")."""

    name: str
    keys: str
    projection: str | Sequence[str] = "ALL"
    members: Mapping[str, Any] = field(default_factory=dict)

    def request(self) -> dict[str, Any]:
        """The member of CreateTable's list of indexes."""
        return {
            "IndexName": self.name,
            "KeySchema": key_schema(self.keys),
            "Projection": projection_of(self.projection),
            **self.members,
        }


def projection_of(projection: str | Sequence[str]) -> dict[str, Any]:
    """ALL, KEYS_ONLY, or the names that are included."""
    if isinstance(projection, str):
        return {"ProjectionType": projection}
    return {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(projection)}


def key_schema(keys: str) -> list[dict[str, str]]:
    """`pk:S sk:N` -> KeySchema; further hash attributes are marked: `a:S* b:S* c:N`."""
    parts = [part.split(":") for part in keys.split()]
    return [
        {"AttributeName": name, "KeyType": "HASH" if number == 0 or kind.endswith("*") else "RANGE"}
        for number, (name, kind) in enumerate(parts)
    ]


def definitions(*keys: str) -> list[dict[str, str]]:
    """AttributeDefinitions of all these keys, each name once."""
    found = dict(part.split(":") for one in keys for part in one.split())
    return [{"AttributeName": name, "AttributeType": kind.rstrip("*")} for name, kind in found.items()]


def table_request(
    keys: str = "pk:S", *, local: Iterable[Index] = (), globals_: Iterable[Index] = (), **members: Any
) -> dict[str, Any]:
    """A CreateTable request under a name of its own, paid by request unless `members` say otherwise."""
    local, globals_ = list(local), list(globals_)
    request: dict[str, Any] = {
        "TableName": f"conformance-{uuid.uuid4().hex[:16]}",
        "KeySchema": key_schema(keys),
        "AttributeDefinitions": definitions(keys, *(index.keys for index in (*local, *globals_))),
    }
    if "ProvisionedThroughput" not in members:
        request["BillingMode"] = "PAY_PER_REQUEST"
    if local:
        request["LocalSecondaryIndexes"] = [index.request() for index in local]
    if globals_:
        request["GlobalSecondaryIndexes"] = [index.request() for index in globals_]
    return request | members


class Tables:
    """Tables made for tests, and dropped after them."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._made: list[str] = []

    def make(self, keys: str = "pk:S", *items: Mapping[str, Any], **options: Any) -> str:
        """An ACTIVE table (options: table_request) that holds `items`; its name."""
        request = table_request(keys, **options)
        name: str = request["TableName"]
        self.client.create_table(**request)
        self._made.append(name)
        wait_active(self.client, name)
        put_all(self.client, name, items)
        return name

    def adopt(self, name: str) -> None:
        """A table that somebody else made for a test: it is dropped with the others."""
        self._made.append(name)

    def drop(self) -> None:
        """Delete them all."""
        for name in self._made:
            settled(lambda name=name: _delete(self.client, name), True)


def _delete(client: Any, name: str) -> bool:
    try:
        client.delete_table(TableName=name)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ValidationException":
            client.update_table(TableName=name, DeletionProtectionEnabled=False)
        # A table that is being updated can be deleted soon; one that is gone already need not be.
        return bool(code == "ResourceNotFoundException")
    return True


def wait_active(client: Any, name: str) -> dict[str, Any]:
    """Until the table and all its indexes are ACTIVE; its description."""

    def look() -> bool:
        table = client.describe_table(TableName=name)["Table"]
        indexes = table.get("GlobalSecondaryIndexes", [])
        return table["TableStatus"] == "ACTIVE" and all(index["IndexStatus"] == "ACTIVE" for index in indexes)

    settled(look, True, timeout_s=ACTIVE_TIMEOUT_S)
    description: dict[str, Any] = client.describe_table(TableName=name)["Table"]
    return description


def put_all(client: Any, table: str, items: Iterable[Mapping[str, Any]]) -> None:
    """Write items in batches, again what a batch left over."""
    left = [{"PutRequest": {"Item": one}} for one in items]
    while left:
        answer = client.batch_write_item(RequestItems={table: left[:25]})
        left = answer["UnprocessedItems"].get(table, []) + left[25:]


# --- asking -----------------------------------------------------------------------------------------------------------


def refusal(call: Callable[..., Any], /, **request: Any) -> tuple[str, str]:
    """(error code, message) of a call that must be refused."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def settled(look: Callable[[], Any], expected: Any, *, timeout_s: float = SETTLE_TIMEOUT_S) -> Any:
    """Look until what is seen is `expected`: global indexes and settings follow after a while."""
    deadline = time.monotonic() + timeout_s
    while (seen := look()) != expected and time.monotonic() < deadline:
        time.sleep(SETTLE_PAUSE_S)
    assert seen == expected
    return seen


def pages(call: Callable[..., Any], /, **request: Any) -> Iterator[Any]:
    """All pages of a Query or Scan; raises AssertionError when they do not end."""
    for _ in range(10_000):
        page = call(**request)
        yield page
        if "LastEvaluatedKey" not in page:
            return
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    raise AssertionError("no last page")


def items_of(call: Callable[..., Any], /, **request: Any) -> list[Any]:
    """The items of all pages."""
    return [found for page in pages(call, **request) for found in page["Items"]]

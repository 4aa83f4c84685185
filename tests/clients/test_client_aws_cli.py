"""A session of a person at a shell: the aws command, from the making of a table to its end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

COMMAND_TIMEOUT_S = 60
FOLLOW_TIMEOUT_S = 30.0
AWS = Path(sys.executable).with_name("aws")


@pytest.fixture
def aws(client_environment: dict[str, str]) -> Callable[..., Any]:
    """`aws("get-item", "--key", {...})`: what it prints as JSON, None for nothing. Raises CalledProcessError."""

    def run(operation: str, *arguments: object) -> Any:
        texts = [one if isinstance(one, str) else json.dumps(one) for one in arguments]
        done = subprocess.run(
            [str(AWS), "dynamodb", operation, "--output", "json", *texts],
            env=client_environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=COMMAND_TIMEOUT_S,
        )
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def song(artist: str, name: str, year: int, genre: str = "pop") -> dict[str, Any]:
    return {"artist": {"S": artist}, "song": {"S": name}, "year": {"N": str(year)}, "genre": {"S": genre}}


def test_a_session_of_the_aws_command(aws: Callable[..., Any], table: str) -> None:
    index = [{"AttributeName": "artist", "KeyType": "HASH"}, {"AttributeName": "year", "KeyType": "RANGE"}]
    aws(
        "create-table", "--table-name", table, "--billing-mode", "PAY_PER_REQUEST",
        "--key-schema", "AttributeName=artist,KeyType=HASH", "AttributeName=song,KeyType=RANGE",
        "--attribute-definitions", *(f"AttributeName={name},AttributeType={kind}" for name, kind in (
            ("artist", "S"), ("song", "S"), ("year", "N"), ("genre", "S"))),
        "--local-secondary-indexes",
        [{"IndexName": "by_year", "KeySchema": index, "Projection": {"ProjectionType": "ALL"}}],
        "--global-secondary-indexes",
        "IndexName=by_genre,KeySchema=[{AttributeName=genre,KeyType=HASH}],Projection={ProjectionType=ALL}",
    )  # fmt: skip
    aws("wait", "table-exists", "--table-name", table)
    try:
        write_and_read(aws, table)
        many_at_once(aws, table)
    finally:
        aws("delete-table", "--table-name", table)
    aws("wait", "table-not-exists", "--table-name", table)


def write_and_read(aws: Callable[..., Any], table: str) -> None:
    """Put, update, get, a condition that fails, queries of the table and its indexes."""
    aws("put-item", "--table-name", table, "--item", song("ann", "one", 2001))
    key = {"artist": {"S": "ann"}, "song": {"S": "one"}}
    changed = aws(
        "update-item", "--table-name", table, "--key", key, "--update-expression", "SET #y = #y - :n",
        "--expression-attribute-names", {"#y": "year"}, "--expression-attribute-values", {":n": {"N": "2"}},
        "--return-values", "ALL_NEW",
    )  # fmt: skip
    assert changed["Attributes"] == song("ann", "one", 1999)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        aws("delete-item", "--table-name", table, "--key", key, "--condition-expression", "attribute_not_exists(song)")
    assert "ConditionalCheckFailedException" in refused.value.stderr
    found = aws("get-item", "--table-name", table, "--key", key, "--consistent-read")
    assert found["Item"] == song("ann", "one", 1999)
    by_year = aws(
        "query", "--table-name", table, "--index-name", "by_year", "--key-condition-expression",
        "artist = :a AND #y < :y", "--expression-attribute-names", {"#y": "year"},
        "--expression-attribute-values", {":a": {"S": "ann"}, ":y": {"N": "2000"}}, "--consistent-read",
    )  # fmt: skip
    assert by_year["Items"] == [song("ann", "one", 1999)]
    deadline = time.monotonic() + FOLLOW_TIMEOUT_S
    genre = ("--key-condition-expression", "genre = :g", "--expression-attribute-values", {":g": {"S": "pop"}})
    while (answer := aws("query", "--table-name", table, "--index-name", "by_genre", *genre))["Count"] != 1:
        assert time.monotonic() < deadline, answer
    assert answer["Items"] == [song("ann", "one", 1999)]


def many_at_once(aws: Callable[..., Any], table: str) -> None:
    """Batches, a scan that the command pages itself, statements."""
    puts = [{"PutRequest": {"Item": song("many", f"song {number:02}", number, "folk")}} for number in range(25)]
    assert aws("batch-write-item", "--request-items", {table: puts})["UnprocessedItems"] == {}
    keys = [{"artist": {"S": "many"}, "song": {"S": f"song {number:02}"}} for number in range(25)]
    read = aws("batch-get-item", "--request-items", {table: {"Keys": keys, "ConsistentRead": True}})
    assert len(read["Responses"][table]) == 25
    scanned = aws("scan", "--table-name", table, "--page-size", "4", "--consistent-read", "--select", "ALL_ATTRIBUTES")
    assert len(scanned["Items"]) == 26
    statement = f"""SELECT "year" FROM "{table}" WHERE artist = 'many' AND song = ?"""
    found = aws("execute-statement", "--statement", statement, "--parameters", [{"S": "song 07"}], "--consistent-read")
    assert found["Items"] == [{"year": {"N": "7"}}]
    delete = f"""DELETE FROM "{table}" WHERE artist = 'many' AND song = 'song 07'"""
    assert aws("batch-execute-statement", "--statements", [{"Statement": delete}])["Responses"] == [
        {"TableName": table}
    ]

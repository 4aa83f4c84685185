"""A session of an application on boto3's resource interface: a table with indexes, from its making to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

pytestmark = pytest.mark.cluster

FOLLOW_TIMEOUT_S = 20.0


def follow(look: Callable[[], Any], expected: Any) -> None:
    """A global index follows after a while."""
    deadline = time.monotonic() + FOLLOW_TIMEOUT_S
    while (seen := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert seen == expected


def make_songs(resource: Any, name: str) -> Any:
    """A table of songs by artist, locally by year, globally by genre and plays."""
    table = resource.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "artist", "KeyType": "HASH"}, {"AttributeName": "song", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": one, "AttributeType": kind}
            for one, kind in (("artist", "S"), ("song", "S"), ("year", "N"), ("genre", "S"), ("plays", "N"))
        ],
        LocalSecondaryIndexes=[
            {
                "IndexName": "by_year",
                "KeySchema": [
                    {"AttributeName": "artist", "KeyType": "HASH"},
                    {"AttributeName": "year", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_genre",
                "KeySchema": [
                    {"AttributeName": "genre", "KeyType": "HASH"},
                    {"AttributeName": "plays", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    table.wait_until_exists()
    return table


def test_a_session_of_boto3(endpoint: str, table: str) -> None:
    resource = boto3.resource(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    songs = make_songs(resource, table)
    try:
        write_and_read(songs)
        many_at_once(resource, songs)
        statements(resource, table)
    finally:
        songs.delete()
        songs.wait_until_not_exists()


def write_and_read(songs: Any) -> None:
    """Put, update, get, query by every index, conditions."""
    songs.put_item(Item={"artist": "ann", "song": "one", "year": 2001, "genre": "pop", "plays": 5, "tags": {"a", "b"}})
    songs.put_item(Item={"artist": "ann", "song": "two", "year": 1999, "genre": "pop", "plays": 50})
    songs.put_item(Item={"artist": "bob", "song": "three", "year": 2010, "rating": Decimal("4.5"), "cover": b"\x00"})
    with pytest.raises(ClientError, match="ConditionalCheckFailedException"):
        songs.put_item(Item={"artist": "ann", "song": "one"}, ConditionExpression=Attr("artist").not_exists())
    changed = songs.update_item(
        Key={"artist": "ann", "song": "one"},
        UpdateExpression="SET plays = plays + :n REMOVE tags",
        ConditionExpression=Attr("plays").lt(10),
        ExpressionAttributeValues={":n": 60},
        ReturnValues="UPDATED_NEW",
    )
    assert changed["Attributes"] == {"plays": 65}
    found = songs.get_item(Key={"artist": "bob", "song": "three"}, ConsistentRead=True)["Item"]
    assert (found["rating"], bytes(found["cover"])) == (Decimal("4.5"), b"\x00")

    by_key = songs.query(KeyConditionExpression=Key("artist").eq("ann") & Key("song").begins_with("t"))
    assert [one["song"] for one in by_key["Items"]] == ["two"]
    by_year = songs.query(IndexName="by_year", KeyConditionExpression=Key("artist").eq("ann"), ConsistentRead=True)
    assert [one["song"] for one in by_year["Items"]] == ["two", "one"]
    genre = Key("genre").eq("pop") & Key("plays").gt(1)
    follow(
        lambda: [
            (one["song"], one["plays"])
            for one in songs.query(IndexName="by_genre", KeyConditionExpression=genre, ScanIndexForward=False)["Items"]
        ],
        [("one", 65), ("two", 50)],
    )


def many_at_once(resource: Any, songs: Any) -> None:
    """The batch writer, a batch of reads, a scan in pages."""
    with songs.batch_writer() as batch:
        for number in range(60):
            batch.put_item(Item={"artist": "many", "song": f"song {number:02}", "year": 1900 + number})
        batch.delete_item(Key={"artist": "bob", "song": "three"})
    keys = [{"artist": "many", "song": f"song {number:02}"} for number in range(40)]
    read = resource.batch_get_item(RequestItems={songs.name: {"Keys": keys, "ConsistentRead": True}})
    assert len(read["Responses"][songs.name]) == 40
    pages = songs.meta.client.get_paginator("scan").paginate(
        TableName=songs.name,
        FilterExpression=Attr("year").gte(1930),
        ConsistentRead=True,
        PaginationConfig={"PageSize": 7},
    )
    assert sum(page["Count"] for page in pages) == 30 + 2


def statements(resource: Any, table: str) -> None:
    """PartiQL through the client below the resource: it takes Python values as the resource does."""
    client = resource.meta.client
    client.execute_statement(
        Statement=f"""INSERT INTO "{table}" VALUE {{'artist': ?, 'song': ?, 'year': 1}}""", Parameters=["zoe", "last"]
    )
    client.execute_statement(Statement=f"""UPDATE "{table}" SET year = 2 WHERE artist = 'zoe' AND song = 'last'""")
    found = client.execute_statement(
        Statement=f"""SELECT year FROM "{table}" WHERE artist = ?""", Parameters=["zoe"], ConsistentRead=True
    )
    assert found["Items"] == [{"year": 2}]
    client.execute_statement(Statement=f"""DELETE FROM "{table}" WHERE artist = 'zoe' AND song = 'last'""")

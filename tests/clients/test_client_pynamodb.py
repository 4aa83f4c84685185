"""A session of an application on PynamoDB: models with indexes, from the making of their table to its end."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pynamodb.attributes import ListAttribute, NumberAttribute, UnicodeAttribute, UnicodeSetAttribute, VersionAttribute
from pynamodb.exceptions import DoesNotExist, PutError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, KeysOnlyProjection, LocalSecondaryIndex
from pynamodb.models import Model

pytestmark = pytest.mark.cluster

FOLLOW_TIMEOUT_S = 20.0


def song_model(endpoint: str, name: str) -> Any:
    """The model of songs for this endpoint and table."""

    class ByYear(LocalSecondaryIndex[Any]):
        class Meta:
            index_name = "by_year"
            projection = AllProjection()

        artist = UnicodeAttribute(hash_key=True)
        year = NumberAttribute(range_key=True)

    class ByGenre(GlobalSecondaryIndex[Any]):
        class Meta:
            index_name = "by_genre"
            projection = KeysOnlyProjection()
            read_capacity_units = 1
            write_capacity_units = 1

        genre = UnicodeAttribute(hash_key=True)
        plays = NumberAttribute(range_key=True)

    class Song(Model):
        class Meta:
            table_name = name
            host = endpoint
            region = "us-east-1"
            aws_access_key_id = "local"
            aws_secret_access_key = "local"
            billing_mode = "PAY_PER_REQUEST"

        artist = UnicodeAttribute(hash_key=True)
        song = UnicodeAttribute(range_key=True)
        year = NumberAttribute(null=True)
        genre = UnicodeAttribute(null=True)
        plays = NumberAttribute(default=0)
        tags = UnicodeSetAttribute(null=True)
        notes: ListAttribute[Any] = ListAttribute(null=True)
        version = VersionAttribute()
        by_year = ByYear()
        by_genre = ByGenre()

    return Song


def test_a_session_of_pynamodb(endpoint: str, table: str) -> None:
    songs = song_model(endpoint, table)
    assert not songs.exists()
    songs.create_table(wait=True)
    try:
        write_and_read(songs)
        many_at_once(songs)
    finally:
        songs.delete_table()


def write_and_read(songs: Any) -> None:
    """Save, update, get, query by every index, an optimistic lock that fails."""
    first = songs("ann", "one", year=2001, genre="pop", plays=5, tags={"a", "b"}, notes=["x", {"y": 1}])
    first.save()
    songs("ann", "two", year=1999, genre="pop", plays=50).save()
    stale = songs.get("ann", "one", consistent_read=True)
    assert (stale.tags, stale.notes, stale.version) == ({"a", "b"}, ["x", {"y": 1}], 1)
    first.update(actions=[songs.plays.add(60), songs.tags.delete({"a"})], condition=songs.plays < 10)
    assert (first.plays, first.tags, first.version) == (65, {"b"}, 2)
    with pytest.raises(PutError, match="ConditionalCheckFailedException"):
        stale.save()
    with pytest.raises(DoesNotExist):
        songs.get("ann", "absent")

    assert [one.song for one in songs.query("ann", songs.song.startswith("t"), consistent_read=True)] == ["two"]
    assert [one.song for one in songs.by_year.query("ann", consistent_read=True)] == ["two", "one"]
    deadline = time.monotonic() + FOLLOW_TIMEOUT_S
    while (found := [one.song for one in songs.by_genre.query("pop", songs.plays > 1, scan_index_forward=False)]) != [
        "one",
        "two",
    ]:
        assert time.monotonic() < deadline, found


def many_at_once(songs: Any) -> None:
    """A batch of writes, a batch of reads, scans in pages and segments, a count, a delete."""
    with songs.batch_write() as batch:
        for number in range(60):
            batch.save(songs("many", f"song {number:02}", year=1900 + number))
    keys = [("many", f"song {number:02}") for number in range(60)]
    assert len(list(songs.batch_get(keys, consistent_read=True))) == 60
    assert len(list(songs.query("many", limit=50, page_size=7, consistent_read=True))) == 50
    scanned = [
        one.song
        for segment in range(3)
        for one in songs.scan(songs.year >= 1930, segment=segment, total_segments=3, page_size=5, consistent_read=True)
    ]
    assert len(scanned) == len(set(scanned)) == 30 + 2
    assert songs.count("many", consistent_read=True) == 60
    songs.get("many", "song 00").delete()
    assert songs.count("many", consistent_read=True) == 59

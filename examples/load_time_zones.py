"""Loads a real data set into a table with boto3, then reads, updates and deletes: a tour of what the cluster does.

Run by people, against a cluster that `make up` started. Law: uses nothing of this repository but the data file, so it
shows what any program with an AWS SDK sees.

The data, time_zones.csv, says for 312 time zones which offset from UTC holds from which second on, from 2015 to 2030,
decided changes still to come included. make_time_zones.py made it from release 2025b of the IANA time zone database,
which is in the public domain.

    .venv/bin/python examples/load_time_zones.py [--endpoint http://127.0.0.1:8000] [--keep]

Exit status: 0 when every answer was as it must be, 1 otherwise.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import track

DATA = Path(__file__).with_name("time_zones.csv")
Item = dict[str, dict[str, Any]]
Result = TypeVar("Result")


def read_items(path: Path) -> list[Item]:
    """The rows as DynamoDB items: partition key `zone`, sort key `from` (UTC), and four attributes of four types."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {
                "zone": {"S": row["zone"]},
                "from": {"S": row["from"]},
                "utc_offset_s": {"N": row["utc_offset_s"]},
                "abbreviation": {"S": row["abbreviation"]},
                "daylight_saving": {"BOOL": row["daylight_saving"] == "yes"},
                "countries": {"SS": row["countries"].split(" ")},
            }
            for row in csv.DictReader(file)
        ]


def key_of(item: Item) -> Item:
    """The primary key of an item."""
    return {"zone": item["zone"], "from": item["from"]}


def comparable(item: Item | None) -> Item | None:
    """An item with its set in order: sets have none of their own."""
    if item is None:
        return None
    return item | {"countries": {"SS": sorted(item["countries"]["SS"])}} if "countries" in item else item


class Tour:
    """The steps, each of which says what it found."""

    def __init__(self, client: Any, table: str, threads: int) -> None:
        self._client = client
        self._table = table
        self._threads = threads
        self._lines: list[tuple[str, str]] = []
        self.failures = 0

    def create_table(self) -> None:
        """A table with a partition and a sort key; the waiter returns when every router and node serves it."""
        began = time.perf_counter()
        self._client.create_table(
            TableName=self._table,
            AttributeDefinitions=[
                {"AttributeName": "zone", "AttributeType": "S"},
                {"AttributeName": "from", "AttributeType": "S"},
            ],
            KeySchema=[{"AttributeName": "zone", "KeyType": "HASH"}, {"AttributeName": "from", "KeyType": "RANGE"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self._client.get_waiter("table_exists").wait(TableName=self._table)
        self._note("create table", f"ACTIVE after {time.perf_counter() - began:.2f} s")

    def load(self, items: Sequence[Item]) -> None:
        """One PutItem for each item, several at a time."""
        began = time.perf_counter()
        self._each(items, "PutItem", lambda item: self._client.put_item(TableName=self._table, Item=item))
        self._note_rate("PutItem", len(items), began)

    def read(self, items: Sequence[Item], *, strong: bool) -> None:
        """Every item back. A strong read must show what was written; an eventual one may lag behind."""
        began = time.perf_counter()
        name = f"{'strong' if strong else 'eventual'} GetItem"

        def differs(item: Item) -> bool:
            answer = self._client.get_item(TableName=self._table, Key=key_of(item), ConsistentRead=strong)
            return comparable(answer.get("Item")) != comparable(item)

        different = sum(self._each(items, name, differs))
        self._note_rate(name, len(items), began)
        if strong:
            self._check(different == 0, f"{name} is complete", f"{different} items differ from the file")
        else:
            self._note(f"{name}, stale", f"{different} of {len(items)}")

    def update(self, item: Item) -> None:
        """A conditional update that holds, then the same one again, which must fail and show the item in the way."""
        request = {
            "TableName": self._table,
            "Key": key_of(item),
            "UpdateExpression": "SET note = :note, checks = if_not_exists(checks, :zero) + :one",
            "ConditionExpression": "utc_offset_s = :offset AND attribute_not_exists(note)",
            "ExpressionAttributeValues": {
                ":note": {"S": "looked at"},
                ":zero": {"N": "0"},
                ":one": {"N": "1"},
                ":offset": item["utc_offset_s"],
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        changed = self._client.update_item(**request, ReturnValues="UPDATED_NEW")["Attributes"]
        expected = {"note": {"S": "looked at"}, "checks": {"N": "1"}}
        self._check(changed == expected, "conditional UpdateItem", f"returned {changed}")
        try:
            self._client.update_item(**request)
        except self._client.exceptions.ConditionalCheckFailedException as error:
            in_the_way = error.response.get("Item", {})
            self._check(in_the_way.get("checks") == {"N": "1"}, "the same again", "refused, with the item in the way")
        else:
            self._check(False, "the same again", "was not refused")

    def delete(self, item: Item) -> None:
        """Delete an item and look for it."""
        old = self._client.delete_item(TableName=self._table, Key=key_of(item), ReturnValues="ALL_OLD")["Attributes"]
        self._check(comparable(old) == comparable(item), "DeleteItem", "returned the old item")
        left = self._client.get_item(TableName=self._table, Key=key_of(item), ConsistentRead=True)
        self._check("Item" not in left, "GetItem after it", "finds nothing")

    def drop_table(self) -> None:
        """Delete the table with everything in it."""
        self._client.delete_table(TableName=self._table)
        self._client.get_waiter("table_not_exists").wait(TableName=self._table)
        self._note("delete table", "gone")

    def summary(self) -> None:
        """What was found, one line each."""
        print()
        for name, text in self._lines:
            print(f"  {name:<28}{text}")

    def _each(self, items: Sequence[Item], name: str, work: Callable[[Item], Result]) -> list[Result]:
        with ThreadPoolExecutor(self._threads) as pool:
            results: Iterable[Result] = pool.map(work, items)
            return list(track(results, description=f"{name:<18}", total=len(items)))

    def _note(self, name: str, text: str) -> None:
        self._lines.append((name, text))

    def _note_rate(self, name: str, count: int, began: float) -> None:
        elapsed = time.perf_counter() - began
        self._note(name, f"{count} items in {elapsed:.1f} s, {count / elapsed:,.0f}/s from {self._threads} threads")

    def _check(self, holds: bool, name: str, text: str) -> None:
        self.failures += not holds
        self._note(name, text if holds else f"WRONG: {text}")


def connect(endpoint: str, threads: int) -> Any:
    """A boto3 client for the cluster. Any credentials do: signatures are not checked yet."""
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        # PutItem and GetItem may be repeated without harm: a killed node is then seen as a short pause.
        config=Config(max_pool_connections=threads, retries={"mode": "standard", "max_attempts": 10}),
    )


def main() -> int:
    """Run the tour; the exit status."""
    parser = argparse.ArgumentParser(description="Load 4,044 items with boto3, read them back, update, delete.")
    parser.add_argument("--endpoint", default="http://127.0.0.1:8000")
    parser.add_argument("--table", default="TimeZones")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--keep", action="store_true", help="leave the table there at the end")
    options = parser.parse_args()
    items = read_items(DATA)
    tour = Tour(connect(options.endpoint, options.threads), options.table, options.threads)
    try:
        tour.create_table()
        tour.load(items)
        tour.read(items, strong=True)
        tour.read(items, strong=False)
        tour.update(items[0])
        tour.delete(items[-1])
        if not options.keep:
            tour.drop_table()
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceInUseException":
            print(f"{options.table} exists already: choose another --table, or delete it first", file=sys.stderr)
        else:
            print(error, file=sys.stderr)
        return 1
    except BotoCoreError as error:
        print(f"{error}\nIs the cluster running? Start it with: make up", file=sys.stderr)
        return 1
    tour.summary()
    return 1 if tour.failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""The tables that the benchmark reads and writes: made, filled, and looked at before anything is measured.

Called by run.py, by the peers that speak DynamoDB, and by goal_runs. Law: nothing is measured on a table that a strong
read has not shown to hold what was loaded: answers 2xx that are wrong would make fine numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench_cluster import Client, Target
from bench_generators import CpuMeter, Load, OwnGenerator
from bench_requests import (
    ITEMS_OF_A_QUERY,
    OPERATIONS,
    QUERY_FILL,
    VALUE_CHARACTERS,
    Operation,
    bodies,
    key_name,
    query_items,
    values,
)

from tools.errors import CommandError
from tools.signals import StopRequests
from tools.supervisor import Say

FILL_CONNECTIONS = 64
FILL_TIMEOUT_S = 120.0
# The slowest filling that is waited for, beyond FILL_TIMEOUT_S.
FILL_ITEMS_A_SECOND = 2_000
# So many items, spread over all, are read back.
LOOKED_AT = 20


def looked_at(count: int) -> list[int]:
    """The numbers of the items of `count` that are read back."""
    return sorted({step * (count - 1) // (LOOKED_AT - 1) for step in range(LOOKED_AT)})


class Tables:
    """TABLE and QUERY_TABLE of one endpoint."""

    def __init__(self, target: Target, stops: StopRequests, say: Say) -> None:
        self._target = target
        self._stops = stops
        self._say = say
        self._client = Client(target, stops)

    @contextmanager
    def made(self, table: str) -> Iterator[None]:
        """Make the table; at somebody else's endpoint it is removed again when it was not there before."""
        made = self._client.create_table(table)
        try:
            yield
        finally:
            if made and "endpoint" in self._target.environment:
                self._client.delete_table(table)

    def fill(self, count: int, *, batches: bool = False, slowest_per_s: float = FILL_ITEMS_A_SECOND) -> None:
        """TABLE with `count` items. Raises CommandError when one cannot be written, or is not there afterwards."""
        operation = OPERATIONS["batch" if batches else "put"]
        rate = self._load(operation, count, slowest_per_s)
        texts = values(count)
        for number in looked_at(count):
            item = self._client.read(key_name(number))
            if item != {"pk": {"S": key_name(number)}, "value": {"S": texts[number]}}:
                raise CommandError(f"a strong read of {key_name(number)} gave {item}")
        self._say(f"{count:,} items of {VALUE_CHARACTERS} bytes loaded at {rate:,.0f}/s")

    def fill_query(self, count: int) -> None:
        """QUERY_TABLE with about `count` items. Raises CommandError as `fill` does."""
        items = query_items(count)
        rate = self._load(QUERY_FILL, len(items), FILL_ITEMS_A_SECOND)
        last = bodies(OPERATIONS["query"], count)[-1] | {"ConsistentRead": True}
        found = self._client.call("Query", last)[1].get("Items")
        if found != items[-ITEMS_OF_A_QUERY:]:
            raise CommandError(f"a strong Query of the last partition key gave {str(found)[:500]}")
        short = bodies(OPERATIONS["query20"], count)[-1] | {"ConsistentRead": True}
        number = self._client.call("Query", short)[1].get("Count")
        if number != OPERATIONS["query20"].items:
            raise CommandError(f"a strong Query of {OPERATIONS['query20'].items} items gave {number}")
        counts = [
            self._client.call("Scan", segment | {"ConsistentRead": True})[1].get("Count", 0)
            for segment in bodies(OPERATIONS["scan"], count)
        ]
        if sum(counts) != len(items):
            raise CommandError(f"strong Scans of all {len(counts)} segments gave {sum(counts)} of {len(items)} items")
        self._say(f"{len(items):,} items for Query and Scan loaded at {rate:,.0f}/s")

    def _load(self, fill: Operation, count: int, slowest_per_s: float) -> float:
        """Write every item of a table once; items a second."""
        seconds = FILL_TIMEOUT_S + count / slowest_per_s
        load = Load(self._target.host, self._target.port, fill, FILL_CONNECTIONS, count, seconds)
        filled = OwnGenerator().fill(load, CpuMeter({}), self._stops)
        if filled.errors or filled.operations != -(-count // fill.items):
            raise CommandError(f"{filled.operations * fill.items} of {count} items loaded: {filled.first_error}")
        return filled.operations_per_s * fill.items

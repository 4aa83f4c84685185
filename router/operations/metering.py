"""ConsumedCapacity and ItemCollectionMetrics of an answer, from what the nodes measured.

Called by the item, batch and range operations when a request asks for them. Law: a table is named as the request named
it; an index is listed when it took units. Source: API reference, ConsumedCapacity and ItemCollectionMetrics.
"""

from __future__ import annotations

from typing import Any

from dynamo.capacity import consumed_capacity_json, read_units, write_units
from dynamo.indexes import IndexDefinition, IndexKind
from dynamo.values import Item
from topology.tables import TableInfo
from wire import data_pb2

CAPACITY_MODES = frozenset({"TOTAL", "INDEXES"})

_GIGABYTE = 1 << 30


class Consumed:
    """Units that one request took of one table and its indexes; added up over the items of a batch."""

    __slots__ = ("global_units", "local_units", "table_units")

    def __init__(self) -> None:
        self.table_units = 0.0
        self.local_units: dict[str, float] = {}
        self.global_units: dict[str, float] = {}

    def add_write(self, table: TableInfo, result: data_pb2.Result) -> None:
        """One item written, or found unfit by its condition."""
        self.table_units += write_units(result.old_size, result.new_size)
        for taken in result.index_units:
            index = next((index for index in table.indexes if index.index_id == taken.index_id), None)
            # An index that was dropped since is charged to nobody.
            if index is not None and taken.units:
                self.add_index(index, taken.units)

    def add_index(self, index: IndexDefinition, units: float) -> None:
        """Units of one index."""
        by_name = self.local_units if index.kind is IndexKind.LOCAL else self.global_units
        by_name[index.name] = by_name.get(index.name, 0.0) + units

    def add_page(self, index: IndexDefinition | None, *, bytes_read: int, fetched_units: int, consistent: bool) -> None:
        """A page of Query or Scan: the sum of what was read is rounded up once, what was fetched beside it by item."""
        units = read_units(bytes_read, consistent)
        if index is None:
            self.table_units += units
        else:
            self.add_index(index, units)
            self.table_units += fetched_units if consistent else 0.5 * fetched_units

    def as_json(self, mode: str, table_name: str) -> dict[str, Any] | None:
        """The ConsumedCapacity structure; `mode` as in ReturnConsumedCapacity."""
        return consumed_capacity_json(mode, table_name, self.table_units, self.local_units, self.global_units)


def wants_collection_metrics(request: dict[str, Any], table: TableInfo) -> bool:
    """Whether a write is to answer ItemCollectionMetrics: asked for, and the table has local indexes."""
    if request.get("ReturnItemCollectionMetrics") != "SIZE":
        return False
    return any(index.kind is IndexKind.LOCAL for index in table.indexes)


def collection_metrics_json(table: TableInfo, attributes: Item, collection_bytes: int) -> dict[str, Any]:
    """The ItemCollectionMetrics structure; `attributes` hold at least the partition key.

    The service estimates within a gigabyte; the bounds are whole ones around the true size.
    """
    name = table.key_schema.partition.name
    lower = float(collection_bytes // _GIGABYTE)
    return {"ItemCollectionKey": {name: attributes[name]}, "SizeEstimateRangeGB": [lower, lower + 1.0]}

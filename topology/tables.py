"""What a router or node needs to know of each table, by name and by id, computed once for each catalog version.

Called when a catalog arrives; read on the hot path as plain dict lookups. Law: immutable; a new catalog makes a new
value that shares the unchanged tables with the old one, so that one CreateTable among thousands costs little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from dynamo.indexes import IndexDefinition, IndexKind, IndexState
from dynamo.keys import KeyAttribute, KeySchema
from wire import catalog_pb2 as pb

CREATING: Final = pb.TABLE_CREATING
ACTIVE: Final = pb.TABLE_ACTIVE
DELETING: Final = pb.TABLE_DELETING


@dataclass(frozen=True, slots=True)
class TableInfo:
    """One table. `settings` is the rest of its CreateTable request (BillingMode and so on); do not modify it."""

    table_id: int
    name: str
    region: str
    state: pb.TableState
    key_schema: KeySchema
    created_at_ms: int
    uuid: str
    settings: dict[str, Any]
    settings_json: bytes
    revision: int = 0
    # Every index in any state, in the order in which they were added; without the hidden one.
    indexes: tuple[IndexDefinition, ...] = ()

    @property
    def local_indexes(self) -> tuple[IndexDefinition, ...]:
        """The local indexes."""
        return tuple(index for index in self.indexes if index.kind is IndexKind.LOCAL)

    @property
    def global_indexes(self) -> tuple[IndexDefinition, ...]:
        """The global indexes, in any state."""
        return tuple(index for index in self.indexes if index.kind is IndexKind.GLOBAL)

    def index(self, name: str) -> IndexDefinition | None:
        """The index of this name in any state, or None."""
        return next((index for index in self.indexes if index.name == name), None)

    @property
    def is_active(self) -> bool:
        """True when the table serves reads and writes."""
        return self.state == ACTIVE


@dataclass(frozen=True, slots=True)
class TablesByName:
    """The tables of one catalog version."""

    version: int
    by_name: dict[tuple[str, str], TableInfo]
    by_id: dict[int, TableInfo]

    def find(self, region: str, name: str) -> TableInfo | None:
        """The table of this name in any state, or None. Hot path."""
        return self.by_name.get((region, name))

    def names(self, region: str) -> list[str]:
        """Names of the region's tables in any state, in ListTables order (by UTF-8 bytes)."""
        return sorted((name for of, name in self.by_name if of == region), key=str.encode)


NO_TABLES: Final = TablesByName(version=0, by_name={}, by_id={})

_TYPE_LETTERS: Final[dict[int, Literal["S", "N", "B"]]] = {pb.KEY_S: "S", pb.KEY_N: "N", pb.KEY_B: "B"}


def tables_of(catalog: pb.Catalog, previous: TablesByName = NO_TABLES) -> TablesByName:
    """The lookup of `catalog`; tables that did not change are taken from `previous`.

    Raises ValueError for a table without a valid key: CatalogState never makes one.
    """
    by_name: dict[tuple[str, str], TableInfo] = {}
    by_id: dict[int, TableInfo] = {}
    for table in catalog.tables:
        known = previous.by_id.get(table.table_id)
        # An id is never reused, and every change of a table raises its revision.
        if known is None or known.revision != table.revision or known.state != table.state:
            known = _info(table)
        by_name[known.region, known.name] = known
        by_id[known.table_id] = known
    return TablesByName(version=catalog.version, by_name=by_name, by_id=by_id)


def _info(table: pb.Table) -> TableInfo:
    settings = orjson.loads(table.settings_json) if table.settings_json else {}
    key_schema = key_schema_of(table)
    return TableInfo(
        table_id=table.table_id,
        name=table.name,
        region=table.region,
        state=table.state,
        key_schema=key_schema,
        created_at_ms=table.created_at_ms,
        uuid=table.uuid,
        settings=settings,
        settings_json=table.settings_json,
        revision=table.revision,
        indexes=tuple(
            definition_of(index, key_schema) for index in table.indexes if index.kind != pb.INDEX_COLLECTION_SIZES
        ),
    )


def key_schema_of(table: pb.Table) -> KeySchema:
    """The primary key. Raises ValueError when an attribute has no type."""
    return KeySchema(_key(table.partition_key), _key(table.sort_key) if table.HasField("sort_key") else None)


_INDEX_KINDS: Final = {
    pb.INDEX_LOCAL: IndexKind.LOCAL,
    pb.INDEX_GLOBAL: IndexKind.GLOBAL,
    pb.INDEX_COLLECTION_SIZES: IndexKind.COLLECTION_SIZES,
}
_INDEX_STATES: Final = {
    pb.INDEX_CREATING: IndexState.CREATING,
    pb.INDEX_BACKFILLING: IndexState.BACKFILLING,
    pb.INDEX_ACTIVE: IndexState.ACTIVE,
    pb.INDEX_DELETING: IndexState.DELETING,
}


def definition_of(index: pb.Index, table_key: KeySchema) -> IndexDefinition:
    """An index of the catalog, or of a partition's own records. Raises ValueError for one without kind or types."""
    kind = _INDEX_KINDS.get(index.kind)
    if kind is None:
        raise ValueError(f"index {index.name!r} has no kind")
    partition = tuple(_key(attribute) for attribute in index.partition_keys)
    sort = tuple(_key(attribute) for attribute in index.sort_keys)
    keys = {attribute.name for attribute in (*partition, *sort)} | {*table_key.names}
    included: tuple[str, ...] | None = None
    if index.projection != pb.PROJECT_ALL:
        included = tuple(name for name in index.included if name not in keys)
    return IndexDefinition(
        index_id=index.index_id,
        name=index.name,
        kind=kind,
        table_key=table_key,
        partition=partition,
        sort=sort,
        included=included,
        state=_INDEX_STATES.get(index.state, IndexState.CREATING),
        settings_json=index.settings_json,
    )


def _key(attribute: pb.KeyAttribute) -> KeyAttribute:
    letter = _TYPE_LETTERS.get(attribute.type)
    if letter is None:
        raise ValueError(f"key attribute {attribute.name!r} has no type")
    return KeyAttribute(attribute.name, letter)

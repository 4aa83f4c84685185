"""The keys of what is read: a table or one of its indexes, and where its entries lie.

Made by the router for each Query and Scan; read by the rest of this package. Law: byte order of entries is the order
of the sort attributes, then of the table's key.

    table    hash | partition key, delimited | sort key raw
    local    hash | table partition key, delimited | index sort key, delimited | table sort key raw
    global   hash of the index partition | its attributes, delimited | sort attributes, delimited | table key
"""

from __future__ import annotations

from dataclasses import dataclass

from dynamo.indexes import IndexDefinition, IndexKind
from dynamo.keys import KeyAttribute, KeySchema


@dataclass(frozen=True, slots=True)
class KeyLayout:
    """What a read goes to; `index` None is the table itself. Make it with table_layout or index_layout."""

    table_key: KeySchema
    index: IndexDefinition | None
    partition: tuple[KeyAttribute, ...]
    sort: tuple[KeyAttribute, ...]
    # What LastEvaluatedKey and ExclusiveStartKey hold.
    key_names: tuple[str, ...]

    @property
    def is_global(self) -> bool:
        """Whether this is a global index."""
        return self.index is not None and self.index.kind is IndexKind.GLOBAL

    @property
    def is_local(self) -> bool:
        """Whether this is a local index."""
        return self.index is not None and self.index.kind is IndexKind.LOCAL

    @property
    def attributes(self) -> tuple[KeyAttribute, ...]:
        """Key attributes of what is read, partition attributes first."""
        return self.partition + self.sort


def table_layout(key: KeySchema) -> KeyLayout:
    """The layout of a table's own rows."""
    return KeyLayout(key, None, (key.partition,), () if key.sort is None else (key.sort,), key.names)


def index_layout(index: IndexDefinition) -> KeyLayout:
    """The layout of an index's entries."""
    return KeyLayout(index.table_key, index, index.partition, index.sort, index.key_names)

"""Where a group's state lies in the store: the one place that knows the layout.

Used by node.machine and node.partition. DATA `group(4) generation(4)` then the logical key; META `a group(4)` the
applied record. The generation is local to a replica: a snapshot is staged under the next one and becomes current by
one META write, so a crash leaves either state whole. Logical key: `table id(8) item key`; an index lies under its id as
a table does. Table 0 holds the machine's own records, which are few and kept in memory; the last table is the outbox:
`target partition(4) sequence(8)`, the changes of global indexes that wait to be fed to other partitions. It lies in a
family of its own under the same prefix: a scan of DATA would stop only behind all records that have left it.

Law: logical keys are equal on all replicas; physical prefixes need not be.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_PREFIX = struct.Struct(">II")
_TABLE = struct.Struct(">Q")
_OUTBOX = struct.Struct(">QIQ")
_REQUESTS = struct.Struct(">QQ")
# The length of prefix(); the logical key follows.
PREFIX_BYTES = _PREFIX.size
_APPLIED = struct.Struct("<BQQI")
APPLIED_VERSION = 1

# Records of the machine itself live under table 0, which no table ever gets.
OWN_RECORDS = _TABLE.pack(0)
DROPPED_TABLE = OWN_RECORDS + b"dropped"
CATALOG = OWN_RECORDS + b"catalog"
INDEX = OWN_RECORDS + b"index"
BACKFILL = OWN_RECORDS + b"backfill"
FEED = OWN_RECORDS + b"feed"
_LAST_TABLE = (1 << 64) - 1
OUTBOX = _TABLE.pack(_LAST_TABLE)
REQUESTS = _TABLE.pack(_LAST_TABLE - 1)
FORGOTTEN = REQUESTS + bytes(8)


class Applied(NamedTuple):
    """How far a replica's state is."""

    applied_index: int
    hybrid_time: int
    generation: int


def prefix(group_id: int, generation: int) -> bytes:
    """What every key of this state in DATA and OUTBOX begins with."""
    return _PREFIX.pack(group_id, generation)


def group_range(group_id: int) -> tuple[bytes, bytes]:
    """All keys of a group in DATA or OUTBOX, whatever their generation."""
    return _PREFIX.pack(group_id, 0), _PREFIX.pack(group_id + 1, 0)


def generation_range(group_id: int, generation: int) -> tuple[bytes, bytes]:
    """All keys of one generation in DATA or OUTBOX."""
    return _PREFIX.pack(group_id, generation), _PREFIX.pack(group_id, generation + 1)


def item_key(table_id: int, key: bytes) -> bytes:
    """The logical key of an item."""
    return _TABLE.pack(table_id) + key


def table_range(table_id: int) -> tuple[bytes, bytes]:
    """All logical keys of a table."""
    return _TABLE.pack(table_id), _TABLE.pack(table_id + 1)


def dropped_table_key(table_id: int) -> bytes:
    """The logical key of the mark that a table is gone."""
    return DROPPED_TABLE + _TABLE.pack(table_id)


def index_key(index_id: int) -> bytes:
    """The logical key of an index's definition."""
    return INDEX + _TABLE.pack(index_id)


def backfill_key(index_id: int) -> bytes:
    """The logical key of how far the backfill of an index is."""
    return BACKFILL + _TABLE.pack(index_id)


def feed_key(source: int) -> bytes:
    """The logical key of the last change applied that another partition's outbox sent."""
    return FEED + source.to_bytes(4, "big")


def outbox_key(target: int, sequence: int) -> bytes:
    """The logical key of a change that waits for partition `target`."""
    return _OUTBOX.pack(_LAST_TABLE, target, sequence)


def outbox_place(logical_key: bytes) -> tuple[int, int]:
    """Target and sequence of an outbox key."""
    _, target, sequence = _OUTBOX.unpack(logical_key)
    return target, sequence


def requests_key(index: int) -> bytes:
    """The logical key of the request ids that the entry at `index` applied."""
    return _REQUESTS.pack(_LAST_TABLE - 1, index)


def requests_index(logical_key: bytes) -> int:
    """The log index in such a key; 0: it is FORGOTTEN."""
    index: int = _REQUESTS.unpack(logical_key)[1]
    return index


def applied_key(group_id: int) -> bytes:
    """The META key of a group's applied record."""
    return b"a" + struct.pack(">I", group_id)


def encode_applied(applied: Applied) -> bytes:
    """The applied record."""
    return _APPLIED.pack(APPLIED_VERSION, applied.applied_index, applied.hybrid_time, applied.generation)


def decode_applied(record: bytes | None) -> Applied:
    """Read the applied record; a new replica starts at the first entry."""
    if record is None:
        return Applied(1, 0, 1)
    version, index, hybrid_time, generation = _APPLIED.unpack(record)
    if version != APPLIED_VERSION:
        raise ValueError(f"applied record version {version}, this program reads {APPLIED_VERSION}")
    return Applied(index, hybrid_time, generation)

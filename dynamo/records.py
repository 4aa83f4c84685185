"""Records: how an item travels and lies, its size by DynamoDB's rule in front of its JSON.

The router writes them for PutItem and reads them from answers, the leader makes them for updates, nodes store them as
they are. Law: whoever makes an item measures it, once; pages, capacity and limits then cost no decoding.

Layout: size in bytes (4, big-endian) | canonical item JSON.
"""

from __future__ import annotations

import struct
from typing import Final

from dynamo.values import Item, encode_item, item_size

_SIZE: Final = struct.Struct(">I")
RECORD_HEAD_BYTES: Final = _SIZE.size

_pack = _SIZE.pack
_unpack_from = _SIZE.unpack_from


def encode_record(item: Item, size_bytes: int | None = None) -> bytes:
    """The record of a canonical item; `size_bytes` spares the measuring when it is known."""
    return _pack(item_size(item) if size_bytes is None else size_bytes) + encode_item(item)


def record_size(record: bytes) -> int:
    """The item's size by DynamoDB's rule."""
    size: int = _unpack_from(record)[0]
    return size


def record_json(record: bytes) -> bytes:
    """The item's JSON."""
    return record[RECORD_HEAD_BYTES:]

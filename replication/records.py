"""The records in which replication keeps its facts: their keys, their version and their checksum. Pure.

Used by replication.journal, replication.retirement and replication.rebuild. Law: a sealed record's checksum covers its
key and what follows; one that was flipped in memory or by the disk, or that lies under another key, is never taken for
one of ours.
"""

from __future__ import annotations

import struct
import zlib

LOG_KEY = struct.Struct(">IQ")
SEALED_TERM = struct.Struct("<BIQ")
_GROUP = struct.Struct(">I")
_SEAL = struct.Struct("<BI")
# Written until storage format 3, without a checksum.
UNSEALED_VERSION = 1
RECORD_VERSION = 2


class JournalCorrupt(Exception):
    """A record that cannot be one of ours, or a hole in the log."""


def hard_state_key(group_id: int) -> bytes:
    """META: term and vote."""
    return b"h" + _GROUP.pack(group_id)


def base_key(group_id: int) -> bytes:
    """META: index and term of the entry before the first one that is kept."""
    return b"b" + _GROUP.pack(group_id)


def membership_key(group_id: int) -> bytes:
    """META: who the members are as of the base."""
    return b"m" + _GROUP.pack(group_id)


def membership_keys() -> tuple[bytes, bytes]:
    """META: where those of all groups lie, the end exclusive."""
    return b"m", b"n"


def group_of(membership_key: bytes) -> int:
    """The group of such a key."""
    return int(_GROUP.unpack(membership_key[1:])[0])


def floor_key(group_id: int) -> bytes:
    """META: term and index of the last entry that a replica had when it left."""
    return b"f" + _GROUP.pack(group_id)


def rebuild_key(group_id: int) -> bytes:
    """META: the mark of a replica that lost its disk."""
    return b"r" + _GROUP.pack(group_id)


def log_range(group_id: int) -> tuple[bytes, bytes]:
    """LOG: where the entries of a group lie, the end exclusive."""
    return LOG_KEY.pack(group_id, 0), LOG_KEY.pack(group_id + 1, 0)


def seal(key: bytes, content: bytes) -> bytes:
    """`content` as a record under `key`, with its checksum."""
    return _SEAL.pack(RECORD_VERSION, zlib.crc32(content, zlib.crc32(key))) + content


def unseal(key: bytes, record: bytes) -> bytes:
    """The content of a record of either version. Raises JournalCorrupt."""
    version = record[0] if record else 0
    if version == UNSEALED_VERSION:
        return record[1:]
    if version != RECORD_VERSION or len(record) < _SEAL.size:
        raise JournalCorrupt(f"record {key.hex()}: version {version}, this program reads {RECORD_VERSION}")
    content = record[_SEAL.size :]
    if zlib.crc32(content, zlib.crc32(key)) != _SEAL.unpack_from(record)[1]:
        raise JournalCorrupt(f"record {key.hex()}: its checksum does not fit")
    return content

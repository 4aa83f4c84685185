"""What a node remembers of the groups that it holds, held, and holds no more.

Used by replication.journal, and by node.host at its start and when a group leaves the node. Law: a replica that goes
takes its log, and keeps its term, its vote and how far its log went: a node that comes back to the group must not vote
twice in a term, nor for a log that lacks what it had acknowledged. A mark of a lost disk (replication.rebuild) stays,
too.

Record: META `m group(4)` -> `version(1) crc(4) state(1) Membership`, the membership as of the log's base; state 1: the
replica is gone, and what placement says of this node does not bring it back.
META `f group(4)` -> `version(1) crc(4) term(8) index(8)`: the last entry of the log that a replica here once had.
"""

from __future__ import annotations

import struct

from google.protobuf.message import DecodeError

from replication.membership import Membership, from_wire, to_wire
from replication.ports import Family, Store
from replication.records import (
    JournalCorrupt,
    base_key,
    floor_key,
    group_of,
    log_range,
    membership_key,
    membership_keys,
    seal,
    unseal,
)
from wire import replication_pb2

_POSITION = struct.Struct("<QQ")
_HERE, _GONE = b"\x00", b"\x01"


def read_membership(store: Store, group_id: int) -> Membership | None:
    """The membership as of the base of a group's log; None for a group that is not, or no more, here.

    Raises JournalCorrupt.
    """
    record = store.get(Family.META, membership_key(group_id))
    if record is None:
        return None
    content = unseal(membership_key(group_id), record)
    if content[:1] == _GONE:
        return None
    try:
        return from_wire(replication_pb2.Membership.FromString(content[1:]))
    except DecodeError as error:
        raise JournalCorrupt(f"group {group_id}: the record of its members cannot be read") from error


def put_membership(store: Store, group_id: int, membership: Membership) -> None:
    """Collect the membership as of the base of a group's log."""
    content = _HERE + to_wire(membership).SerializeToString(deterministic=True)
    store.put(Family.META, membership_key(group_id), seal(membership_key(group_id), content))


def stored_groups(store: Store) -> set[int]:
    """The groups that this node holds a replica of, as its own disk says."""
    return {group_id for group_id, is_here in _records(store) if is_here}


def retired_groups(store: Store) -> set[int]:
    """The groups whose replica left this node."""
    return {group_id for group_id, is_here in _records(store) if not is_here}


def _records(store: Store) -> list[tuple[int, bool]]:
    return [
        (group_of(key), unseal(key, record)[:1] == _HERE) for key, record in store.scan(Family.META, *membership_keys())
    ]


def read_floor(store: Store, group_id: int) -> tuple[int, int]:
    """Term and index of the last entry that a replica here had when it left; (0, 0) when none ever did.

    Raises JournalCorrupt.
    """
    record = store.get(Family.META, floor_key(group_id))
    if record is None:
        return 0, 0
    term, index = _POSITION.unpack(unseal(floor_key(group_id), record))
    return int(term), int(index)


def retire(store: Store, group_id: int, floor: tuple[int, int]) -> None:
    """Collect the end of a replica: its log goes; its term, its vote and the `floor` of later votes stay.

    `floor`: term and index of the last entry that it ever had. Its state is the caller's.
    """
    store.put(Family.META, floor_key(group_id), seal(floor_key(group_id), _POSITION.pack(*floor)))
    store.delete_range(Family.LOG, *log_range(group_id))
    store.delete(Family.META, base_key(group_id))
    store.put(Family.META, membership_key(group_id), seal(membership_key(group_id), _GONE))

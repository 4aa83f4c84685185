"""Whose data a folder holds: checked before a replica says a word.

Called by node.__main__ on the opened store. Law: a folder belongs to one node of one cluster, and the members with
which a group begins never change behind its back: two sets of them for one group could both elect a leader. Who came
and went later is in the group's own log.
"""

from __future__ import annotations

import orjson

from replication.ports import Family, Store
from replication.rebuild import mark_rebuilding, read_mark
from replication.retirement import retired_groups, stored_groups

_KEY = b"identity"
# What lies in the folder: 2 is records (docs/decisions/0010), 3 the request ids of applied writes beside the outbox
# (docs/decisions/0018), 4 journal records with checksums (docs/decisions/0017), 5 who belongs to a group, in its log
# and beside it (docs/decisions/0013): a program for less would misread them.
# A folder from before has no number.
STORAGE_FORMAT = 5
# Nothing to convert: the memory of request ids is empty and fills, records without a checksum are read as they are, and
# a group without a record of its members has those of the placement.
READABLE_FORMATS = (2, 3, 4, STORAGE_FORMAT)


class WrongData(Exception):
    """The folder belongs to another node or cluster, or the settings place its replicas elsewhere."""


def claim(
    store: Store,
    *,
    node_id: str,
    cluster_id: str,
    partitions: dict[int, tuple[str, ...]],
    rebuild_nonce: int | None = None,
) -> None:
    """Mark an empty store as this node's, or check that it is. `partitions`: the first members of each group.

    With `rebuild_nonce` (64 random bits) the node lost what it had: the empty store is marked so that none of its
    replicas votes before it is rebuilt, in the same write as the claim. Nobody knows which replicas had moved here, so
    every group of the cluster is marked: the mark of one that is not here costs nothing, and one that comes later is
    rebuilt then. A store that is marked already is taken as it is. Raises WrongData with what differs and what to do.
    """
    hosted = {str(group_id): list(members) for group_id, members in sorted(partitions.items()) if node_id in members}
    wanted = {"node": node_id, "cluster": cluster_id, "groups": hosted, "format": STORAGE_FORMAT}
    record = store.get(Family.META, _KEY)
    if record is None:
        if rebuild_nonce is not None:
            mark_rebuilding(store, sorted(partitions), rebuild_nonce)
        store.put(Family.META, _KEY, orjson.dumps(wanted))
        store.write_batch()
        store.sync()
        return
    stored = orjson.loads(record)
    if stored.get("format", 1) not in READABLE_FORMATS:
        raise WrongData(
            f"this data has storage format {stored.get('format', 1)}, this program reads {STORAGE_FORMAT}: "
            "use the version of Trizone that wrote it, or start with an empty data folder"
        )
    if stored["cluster"] != cluster_id:
        raise WrongData(f"this data belongs to cluster {stored['cluster']}, not to {cluster_id}")
    if stored["node"] != node_id:
        raise WrongData(f"this data belongs to node {stored['node']}, not to {node_id}")
    if stored["groups"] != hosted:
        raise WrongData(
            "the nodes or partitions in the settings differ from those this cluster was made with: "
            "put cluster.yaml back as it was, or start with an empty data folder"
        )
    placed = {group_id for group_id, members in partitions.items() if node_id in members}
    held = (placed - retired_groups(store)) | stored_groups(store)
    if rebuild_nonce is not None and all(read_mark(store, group_id) is None for group_id in held):
        raise WrongData(
            "this node's data is there and whole: it cannot be rebuilt over it; "
            "start it without --rebuild, or move its data folder away first"
        )
    if stored["format"] != STORAGE_FORMAT:
        store.put(Family.META, _KEY, orjson.dumps(wanted))
        store.write_batch()
        store.sync()

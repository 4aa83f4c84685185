"""Whose data a folder holds: checked before a replica says a word.

Called by node.__main__ on the opened store. Law: a folder belongs to one node of one cluster, and a replica's members
never change behind its back: two sets of members for one group could both elect a leader.
"""

from __future__ import annotations

import orjson

from replication.ports import Family, Store

_KEY = b"identity"
# How items lie: 2 is records (docs/decisions/0010). A folder from before has no number.
STORAGE_FORMAT = 2


class WrongData(Exception):
    """The folder belongs to another node or cluster, or the settings place its replicas elsewhere."""


def claim(store: Store, *, node_id: str, cluster_id: str, partitions: dict[int, tuple[str, ...]]) -> None:
    """Mark an empty store as this node's, or check that it is. `partitions`: the members of each group.

    Raises WrongData with what differs and what to do.
    """
    hosted = {str(group_id): list(members) for group_id, members in sorted(partitions.items()) if node_id in members}
    wanted = {"node": node_id, "cluster": cluster_id, "groups": hosted, "format": STORAGE_FORMAT}
    record = store.get(Family.META, _KEY)
    if record is None:
        store.put(Family.META, _KEY, orjson.dumps(wanted))
        store.write_batch()
        store.sync()
        return
    stored = orjson.loads(record)
    if stored.get("format", 1) != STORAGE_FORMAT:
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

"""Which groups this node is to hold, by the newest catalog it knows. Pure.

Asked by node.host: at start, when a leader speaks to a group that is not here, and when the catalog has changed. A
replica comes because a leader says so and goes because the catalog says so; the catalog says so only of what a
committed membership says.

Laws: a leader's message opens a replica only where the catalog wants one, so that one that was delayed leaves nothing
behind that nobody wants. A replica goes only when a membership without it was committed after the last one that it
knows: nobody can count on it any more, whatever entries it or others have lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from replication.membership import Membership
from replication.messages import Kind
from topology.moves import names
from wire import catalog_pb2

# What a leader sends to a replica that it believes in.
_OPENING = frozenset((Kind.APPEND, Kind.HEARTBEAT, Kind.SNAPSHOT_CHUNK))


class Holdings:
    """One node's part in every partition."""

    def __init__(self, node_id: str, placed: Mapping[int, tuple[str, ...]]) -> None:
        """`placed`: the replicas of each group as the settings place them."""
        self._node_id = node_id
        self._placed = placed
        # By the newest catalog: the groups that name this node, and the generation of every group.
        self._named: frozenset[int] = frozenset()
        self._generations: dict[int, int] = {}

    def take(self, catalog: catalog_pb2.Catalog) -> None:
        """Believe `catalog` from now on."""
        self._named = frozenset(one.id for one in catalog.partitions if names(one, self._node_id))
        self._generations = {one.id: one.generation for one in catalog.partitions if one.replicas}

    def at_start(self, stored: AbstractSet[int], retired: AbstractSet[int]) -> dict[int, tuple[str, ...]]:
        """The groups to open when the process begins, in order, with the voters that each begins with.

        What was placed here and never left begins with the voters of the placement. What the disk holds has its own; so
        has a group that left and is opened again later: its leader tells, the placement would bring old voters back.
        """
        first = {
            group_id: replicas
            for group_id, replicas in self._placed.items()
            if self._node_id in replicas and group_id not in retired
        }
        return dict(sorted((first | dict.fromkeys(stored, ())).items()))

    def may_open(self, group_id: int, kind: Kind) -> bool:
        """Whether such a message to a group that is not here brings an empty replica to life."""
        return kind in _OPENING and group_id in self._named

    def strangers(self, held: Iterable[int]) -> list[int]:
        """Those of the groups held here that the catalog knows and does not name this node for."""
        return sorted(group_id for group_id in held if group_id in self._generations and group_id not in self._named)

    def is_over(self, group_id: int, membership: Membership, *, is_dismissed: bool) -> bool:
        """Whether the replica of a stranger, whose log ends with `membership`, may be deleted.

        Not for being no voter by its own log: it may have been made one by an entry that it lost, or never got, and
        whoever has that entry can win no election without it. The catalog says so with a membership that is as late as
        its own, or a leader does (`is_dismissed`).
        """
        return is_dismissed or self._generations[group_id] >= membership.index

"""Where partitions lie, as this node knows it: what feeds and changes of global indexes are addressed by.

Made by node.host, asked by node.partition and node.indexing. Law: the ring is the catalog's; without a catalog nothing
is located, and a write that needs it is refused rather than sent astray.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from replication.messages import Message
from topology.catalog import ring_of
from topology.moves import holders
from topology.ring import PartitionRing
from wire import catalog_pb2

# A batch of a feed, and what all feeds over one link may take together, even when one node leads everything: a link
# that queues too much is broken, and Raft's messages share it.
BATCH_BYTES_MAX = 256 * 1024
BATCH_BYTES_MIN = 4 * 1024
LINK_FEED_BYTES_MAX = 16 * 1024 * 1024


class CatalogUnknown(Exception):
    """This node has not heard of a catalog yet."""


class ClusterView(Protocol):
    """What a partition asks about the others, and how it reaches them."""

    def locate(self, hash16: bytes) -> int:
        """The partition that owns a 16-byte hash. Raises CatalogUnknown."""
        ...

    def replicas_of(self, partition: int) -> tuple[str, ...]:
        """Ids of the nodes that hold a partition, never none."""
        ...

    @property
    def leader_of(self) -> Callable[[int], str | None]:
        """Who leads a partition, as far as this node has seen."""
        ...

    @property
    def is_known(self) -> bool:
        """Whether hashes can be located."""
        ...

    @property
    def feed_bytes_max(self) -> int:
        """A batch of a feed ends with the record that reaches this."""
        ...

    @property
    def index_delay_ms(self) -> int:
        """Entries of global indexes are not applied before they are this old."""
        ...

    @property
    def send(self) -> Callable[[str, int, Message], None]:
        """Hand a message to a partition on a node, perhaps this one; it may be lost."""
        ...


class CatalogCluster:
    """The cluster by a node's catalog and what its own replicas see; implements ClusterView."""

    def __init__(
        self,
        catalog: Callable[[], catalog_pb2.Catalog | None],
        first_replicas: Mapping[int, tuple[str, ...]],
        *,
        leader_of: Callable[[int], str | None],
        send: Callable[[str, int, Message], None],
    ) -> None:
        """`first_replicas`: where the settings placed them, until a catalog is known."""
        self.leader_of = leader_of
        self.send = send
        pairs = max(1, len(first_replicas) ** 2 // 2)
        self.feed_bytes_max = max(BATCH_BYTES_MIN, min(BATCH_BYTES_MAX, LINK_FEED_BYTES_MAX // pairs))
        self._catalog = catalog
        self._first_replicas = self._replicas = first_replicas
        # The ring, the replicas and the delay are computed once for each catalog version.
        self._version = 0
        self._ring: PartitionRing | None = None
        self._index_delay_ms = 0

    def _refresh(self) -> None:
        catalog = self._catalog()
        if catalog is None or catalog.version == self._version:
            return
        self._version = catalog.version
        self._index_delay_ms = catalog.index_delay_ms
        self._ring = ring_of(catalog)
        replicas = {one.id: holders(one) for one in catalog.partitions if one.replicas}
        self._replicas = {**self._first_replicas, **replicas}

    def locate(self, hash16: bytes) -> int:
        """The partition that owns a 16-byte hash. Raises CatalogUnknown."""
        self._refresh()
        if self._ring is None:
            raise CatalogUnknown
        return self._ring.locate(hash16)

    def replicas_of(self, partition: int) -> tuple[str, ...]:
        """Ids of the nodes that hold a partition, and last those that come to hold it: they may lead it already."""
        self._refresh()
        return self._replicas[partition]

    @property
    def is_known(self) -> bool:
        """Whether hashes can be located."""
        self._refresh()
        return self._ring is not None

    @property
    def index_delay_ms(self) -> int:
        """The catalog's minimum age of a change."""
        self._refresh()
        return self._index_delay_ms

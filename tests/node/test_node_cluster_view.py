"""Where hashes lie by a node's catalog, and how much feeds may take of a link."""

from __future__ import annotations

import pytest

from node.indexing.cluster import BATCH_BYTES_MAX, BATCH_BYTES_MIN, CatalogCluster, CatalogUnknown
from topology.ring import initial_boundaries
from wire import catalog_pb2

pytestmark = pytest.mark.unit

LOW, HIGH = bytes(16), b"\xff" * 16


def catalog(version: int, *owners: int, delay_ms: int = 0) -> catalog_pb2.Catalog:
    """A catalog whose ring is cut into equal slices of `owners`; partition 0 is the catalog's own."""
    made = catalog_pb2.Catalog(version=version, index_delay_ms=delay_ms)
    made.partitions.add(id=0)
    for owner, first_hash in reversed(list(zip(owners, initial_boundaries(len(owners)), strict=True))):
        made.partitions.add(id=owner, first_hash=first_hash)
    return made


class Told:
    """A node's newest catalog."""

    def __init__(self, newest: catalog_pb2.Catalog | None) -> None:
        self.newest = newest


def view(told: Told, partitions: int = 2) -> CatalogCluster:
    replicas = dict.fromkeys(range(partitions), ("n1", "n2", "n3"))
    return CatalogCluster(lambda: told.newest, replicas, leader_of=lambda _: None, send=lambda *_: None)


def test_without_a_catalog_nothing_is_located() -> None:
    cluster = view(Told(None))
    assert not cluster.is_known
    assert cluster.index_delay_ms == 0
    with pytest.raises(CatalogUnknown):
        cluster.locate(LOW)


def test_hashes_are_located_by_the_newest_catalog_and_never_in_the_catalog_partition() -> None:
    told = Told(catalog(1, 1))
    cluster = view(told)
    assert (cluster.is_known, cluster.locate(LOW), cluster.locate(HIGH)) == (True, 1, 1)
    told.newest = catalog(2, 1, 2, delay_ms=50)
    assert (cluster.locate(LOW), cluster.locate(HIGH), cluster.index_delay_ms) == (1, 2, 50)


@pytest.mark.parametrize(
    ("partitions", "batch_bytes"),
    [(1, BATCH_BYTES_MAX), (7, BATCH_BYTES_MAX), (25, 53773), (1000, BATCH_BYTES_MIN)],
    ids=lambda value: str(value),
)
def test_many_partitions_share_a_link(partitions: int, batch_bytes: int) -> None:
    assert view(Told(None), partitions).feed_bytes_max == batch_bytes


def test_replicas_are_where_the_newest_catalog_says_and_whoever_is_to_hold_one_comes_last() -> None:
    told = Told(None)
    cluster = view(told)
    assert cluster.replicas_of(1) == ("n1", "n2", "n3")
    told.newest = catalog(1, 1)
    told.newest.partitions[1].replicas.extend(("n1", "n2", "n3"))
    told.newest.partitions[1].target_replicas.extend(("n1", "n2", "n4"))
    assert cluster.replicas_of(1) == ("n1", "n2", "n3", "n4")
    told.newest = catalog(2, 1)
    told.newest.partitions[1].replicas.extend(("n1", "n2", "n4"))
    assert cluster.replicas_of(1) == ("n1", "n2", "n4")
    assert cluster.replicas_of(0) == ("n1", "n2", "n3"), "of whom a catalog says nothing"

"""CatalogCopy and PartitionMap: versions only grow, a catalog is taken whole or not at all, watches end."""

from __future__ import annotations

import pytest

from router import limits
from router.routing.catalog_copy import CatalogCopy
from router.routing.partition_map import PartitionMap
from topology.ring import initial_boundaries
from wire import catalog_pb2

pytestmark = pytest.mark.unit


def catalog(version: int, partitions: int = 2, tables: int = 0) -> catalog_pb2.Catalog:
    made = catalog_pb2.Catalog(version=version)
    made.nodes.add(id="n1", az="az-a", address="host:1")
    made.partitions.add(id=0, replicas=["n1"])
    for number, boundary in enumerate(initial_boundaries(partitions), start=1):
        made.partitions.add(id=number, first_hash=boundary, replicas=["n1"], preferred_leader="n1")
    for number in range(tables):
        made.tables.add(
            table_id=number,
            name=f"table{number}",
            region="r",
            state=catalog_pb2.TABLE_ACTIVE,
            partition_key=catalog_pb2.KeyAttribute(name="pk", type=catalog_pb2.KEY_S),
        )
    return made


@pytest.mark.parametrize(("version", "taken"), [(4, False), (5, False), (6, True)])
def test_only_a_newer_catalog_is_taken(version: int, taken: bool) -> None:
    copy = CatalogCopy()
    assert copy.replace(catalog(5, tables=1))
    assert copy.replace(catalog(version, tables=2)) is taken
    assert copy.version == (version if taken else 5)
    assert len(copy.tables.names("r")) == (2 if taken else 1)


def test_a_catalog_whose_ring_has_a_gap_leaves_the_copy_as_it_was() -> None:
    copy = CatalogCopy()
    copy.replace(catalog(1))
    broken = catalog(2, tables=1)
    broken.partitions[1].first_hash = b"\x01" * 16
    before = copy.partition_map
    with pytest.raises(ValueError, match="hash zero"):
        copy.replace(broken)
    assert copy.version == 1
    assert copy.partition_map is before


def test_the_catalog_group_owns_no_key_and_every_hash_has_an_owner() -> None:
    partition_map = PartitionMap(catalog(1, partitions=4))
    owners = {partition_map.locate(bytes([first]) + bytes(15)) for first in range(256)}
    assert owners == {1, 2, 3, 4}
    assert partition_map.locate(b"\xff" * 16) == 4


def test_a_watch_ends_with_the_change_it_waits_for_or_at_its_deadline() -> None:
    copy = CatalogCopy()
    ended: list[tuple[str, bool]] = []
    copy.replace(catalog(1))
    copy.watch(lambda tables: tables.version >= 1, lambda met: ended.append(("already", met)), 10.0)
    copy.watch(lambda tables: tables.version >= 2, lambda met: ended.append(("soon", met)), 10.0)
    copy.watch(lambda tables: tables.version >= 9, lambda met: ended.append(("never", met)), 10.0)
    assert ended == [("already", True)]
    copy.replace(catalog(2))
    copy.tick(9.9)
    assert ended == [("already", True), ("soon", True)]
    copy.tick(10.0)
    copy.tick(11.0)
    assert ended == [("already", True), ("soon", True), ("never", False)]


def test_watches_are_bounded() -> None:
    copy = CatalogCopy()
    ended: list[bool] = []
    for _ in range(limits.TABLE_WATCHES_MAX + 1):
        copy.watch(lambda tables: False, ended.append, 10.0)
    assert ended == [False]


HASHES = initial_boundaries(4)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(
            b"",
            b"",
            [(1, HASHES[0], HASHES[1]), (2, HASHES[1], HASHES[2]), (3, HASHES[2], HASHES[3]), (4, HASHES[3], b"")],
            id="the whole ring",
        ),
        pytest.param(
            HASHES[2] + b"key", b"", [(3, HASHES[2] + b"key", HASHES[3]), (4, HASHES[3], b"")], id="from a key"
        ),
        pytest.param(b"", HASHES[1], [(1, HASHES[0], HASHES[1])], id="up to a boundary"),
        pytest.param(HASHES[1] + b"a", HASHES[1] + b"b", [(2, HASHES[1] + b"a", HASHES[1] + b"b")], id="within one"),
        pytest.param(HASHES[1] + b"b", HASHES[1] + b"a", [], id="nothing"),
        pytest.param(b"\xff" * 20, b"", [(4, b"\xff" * 20, b"")], id="the end of the ring"),
    ],
)
def test_a_range_is_cut_at_the_boundaries_of_partitions(
    start: bytes, end: bytes, expected: list[tuple[int, bytes, bytes]]
) -> None:
    assert PartitionMap(catalog(1, partitions=4)).slices(start, end) == expected

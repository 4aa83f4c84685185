"""Whose data a folder holds, and in which format."""

from __future__ import annotations

import orjson
import pytest

from node.identity import STORAGE_FORMAT, WrongData, claim
from node.storage.memory import MemoryStore
from replication.ports import Family

pytestmark = pytest.mark.unit

OWN = {"node_id": "n1", "cluster_id": "c", "partitions": {0: ("n1", "n2", "n3"), 1: ("n2", "n3", "n4")}}


@pytest.fixture
def store() -> MemoryStore:
    claimed = MemoryStore()
    claim(claimed, **OWN)  # type: ignore[arg-type]
    return claimed


def test_a_folder_can_be_claimed_again_by_its_owner(store: MemoryStore) -> None:
    claim(store, **OWN)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        pytest.param({"cluster_id": "d"}, "belongs to cluster c", id="another cluster"),
        pytest.param({"node_id": "n2"}, "belongs to node n1", id="another node"),
        pytest.param({"partitions": {0: ("n1", "n2", "n4")}}, "put cluster.yaml back", id="other members"),
    ],
)
def test_anybody_else_is_refused(store: MemoryStore, other: dict[str, object], reason: str) -> None:
    with pytest.raises(WrongData, match=reason):
        claim(store, **{**OWN, **other})  # type: ignore[arg-type]


def test_a_folder_of_another_format_is_refused_with_both_numbers(store: MemoryStore) -> None:
    identity = orjson.loads(store.get(Family.META, b"identity") or b"")
    del identity["format"]
    store.put(Family.META, b"identity", orjson.dumps(identity))
    store.write_batch()
    with pytest.raises(WrongData, match=f"storage format 1, this program reads {STORAGE_FORMAT}"):
        claim(store, **OWN)  # type: ignore[arg-type]

"""Whose data a folder holds, and in which format."""

from __future__ import annotations

import orjson
import pytest

from node.identity import STORAGE_FORMAT, WrongData, claim
from node.storage.memory import MemoryStore
from replication.membership import Membership
from replication.ports import Family
from replication.rebuild import clear_mark, read_mark
from replication.retirement import put_membership

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


# ---------------------------------------------------------------------------------------------- after a lost disk
def test_a_node_that_lost_its_disk_marks_every_replica_it_holds_in_the_write_that_claims_the_folder() -> None:
    store = MemoryStore()
    claim(store, **OWN, rebuild_nonce=5)  # type: ignore[arg-type]
    assert [read_mark(store, group_id) for group_id in (0, 1)] == [5, 5], "partition 1 may have moved to this node"
    assert store.crash().get(Family.META, b"identity") is not None
    assert read_mark(store.crash(), 0) == 5


def test_data_that_is_whole_is_not_rebuilt_over(store: MemoryStore) -> None:
    with pytest.raises(WrongData, match="there and whole"):
        claim(store, **OWN, rebuild_nonce=5)  # type: ignore[arg-type]
    assert read_mark(store, 0) is None


@pytest.mark.parametrize("nonce", [None, 6])
def test_a_rebuild_under_way_goes_on_however_the_node_is_started(nonce: int | None) -> None:
    store = MemoryStore()
    claim(store, **OWN, rebuild_nonce=5)  # type: ignore[arg-type]
    claim(store, **OWN, rebuild_nonce=nonce)  # type: ignore[arg-type]
    assert read_mark(store, 0) == 5


def test_a_mark_of_a_group_that_never_came_does_not_make_whole_data_look_like_a_rebuild() -> None:
    store = MemoryStore()
    claim(store, **OWN, rebuild_nonce=5)  # type: ignore[arg-type]
    clear_mark(store, 0)
    store.write_batch()
    assert read_mark(store, 1) == 5
    with pytest.raises(WrongData, match="there and whole"):
        claim(store, **OWN, rebuild_nonce=6)  # type: ignore[arg-type]


def test_a_group_that_moved_here_and_is_being_rebuilt_is_taken_as_it_is() -> None:
    store = MemoryStore()
    claim(store, **OWN, rebuild_nonce=5)  # type: ignore[arg-type]
    clear_mark(store, 0)
    put_membership(store, 1, Membership(("n1", "n2", "n3"), (), 40))
    store.write_batch()
    claim(store, **OWN, rebuild_nonce=6)  # type: ignore[arg-type]
    assert read_mark(store, 1) == 5


@pytest.mark.parametrize("before", [2, 3, 4])
def test_a_folder_of_a_format_before_is_taken_and_marked_so_that_older_programs_refuse_it(
    store: MemoryStore, before: int
) -> None:
    identity = orjson.loads(store.get(Family.META, b"identity") or b"")
    identity["format"] = before
    store.put(Family.META, b"identity", orjson.dumps(identity))
    store.write_batch()
    claim(store, **OWN)  # type: ignore[arg-type]
    assert orjson.loads(store.get(Family.META, b"identity") or b"")["format"] == STORAGE_FORMAT

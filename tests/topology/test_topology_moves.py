"""Moving the replicas of a partition: what the catalog takes, refuses and makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from topology.catalog import CatalogState, bootstrap_catalog
from topology.moves import names, wanted_replicas
from topology.settings import load_settings
from wire import catalog_pb2 as pb

pytestmark = pytest.mark.unit

NODES = (("n1", "az-a"), ("n2", "az-b"), ("n3", "az-c"))
TEXT = "nodes:\n" + "".join(
    f"  - {{id: {node}, az: {az}, port: {7100 + number}, metrics_port: {7200 + number}}}\n"
    for number, (node, az) in enumerate(NODES)
)
TEXT += "routers:\n  - {id: r1, az: az-a, http_port: 8000, metrics_port: 7301}\n"
OK, REFUSED, CONFLICT = pb.CATALOG_OK, pb.CATALOG_REPLICAS_REFUSED, pb.CATALOG_CONFLICT


@pytest.fixture
def state() -> CatalogState:
    """Five nodes: n4 shares az-c with n3, n5 shares az-b with n2; every partition is on n1, n2, n3."""
    catalog = bootstrap_catalog(load_settings(TEXT, "cluster.yaml"), "c-1")
    catalog.nodes.add(id="n4", az="az-c", address="127.0.0.1:7104")
    catalog.nodes.add(id="n5", az="az-b", address="127.0.0.1:7105")
    made = CatalogState()
    made.apply(pb.CatalogCommand(bootstrap=pb.Bootstrap(catalog=catalog)))
    return made


def move(state: CatalogState, *target: str, partition: int = 2, if_generation: int = 1) -> pb.CatalogResult:
    command = pb.MovePartition(partition=partition, target_replicas=target, if_generation=if_generation)
    return state.apply(pb.CatalogCommand(move_partition=command))


def said(state: CatalogState, generation: int, *replicas: str, partition: int = 2) -> pb.CatalogResult:
    command = pb.SetReplicas(partition=partition, replicas=replicas, generation=generation)
    return state.apply(pb.CatalogCommand(set_replicas=command))


def of(state: CatalogState, partition: int = 2) -> tuple[Any, ...]:
    """Replicas, target and generation."""
    one = next(one for one in state.catalog.partitions if one.id == partition)
    return tuple(one.replicas), tuple(one.target_replicas), one.generation


def test_a_move_sets_a_target_and_changes_nothing_else(state: CatalogState) -> None:
    before = state.version
    assert move(state, "n4", "n1", "n2").outcome == OK
    assert of(state) == (("n1", "n2", "n3"), ("n1", "n2", "n4"), 1), "in the order of the AZs"
    assert state.version == before + 1
    assert of(state, partition=3) == (("n1", "n2", "n3"), (), 1)
    partition = next(one for one in state.catalog.partitions if one.id == 2)
    assert wanted_replicas(partition) == ("n1", "n2", "n4")
    assert [node for node in ("n1", "n2", "n3", "n4", "n5") if names(partition, node)] == ["n1", "n2", "n3", "n4"]
    assert move(state, "n1", "n2", "n4").outcome == OK, "asked again"
    assert state.version == before + 1


@pytest.mark.parametrize(
    ("target", "fields", "outcome", "reason"),
    [
        pytest.param(("n1", "n2", "n4"), {"partition": 9}, pb.CATALOG_PARTITION_NOT_FOUND, "no partition 9", id="gone"),
        pytest.param(("n1", "n2", "n4"), {"partition": 0}, REFUSED, "stays where it is", id="the catalog group"),
        pytest.param(("n1", "n2", "n9"), {}, REFUSED, "no node n9", id="an unknown node"),
        pytest.param(("n1", "n2"), {}, REFUSED, "3 different nodes", id="too few"),
        pytest.param((), {}, REFUSED, "not none", id="none"),
        pytest.param(("n1", "n2", "n3", "n4"), {}, REFUSED, "3 different nodes", id="too many"),
        pytest.param(("n1", "n2", "n2"), {}, REFUSED, "3 different nodes", id="one twice"),
        pytest.param(("n1", "n3", "n4"), {}, REFUSED, "share an AZ: n1 in az-a, n3 in az-c", id="two in an AZ"),
        pytest.param(("n1", "n2", "n4"), {"if_generation": 2}, CONFLICT, "generation 1, not 2", id="a generation"),
    ],
)
def test_a_move_that_may_not_be_is_refused_with_its_reason(
    state: CatalogState, target: tuple[str, ...], fields: dict[str, int], outcome: int, reason: str
) -> None:
    before = state.snapshot()
    result = move(state, *target, **fields)
    assert result.outcome == outcome
    assert reason in result.reason
    assert state.snapshot() == before


def test_a_move_under_way_can_be_taken_back_but_not_turned_elsewhere(state: CatalogState) -> None:
    move(state, "n1", "n2", "n4")
    refused = move(state, "n1", "n5", "n3")
    assert (refused.outcome, refused.reason) == (CONFLICT, "it is being moved to n1, n2, n4")
    assert move(state, "n1", "n2", "n3").outcome == OK
    assert of(state) == (("n1", "n2", "n3"), (), 1)
    assert move(state, "n1", "n5", "n3").outcome == OK


def test_what_the_log_says_replaces_the_replicas_and_ends_the_move_that_it_reaches(state: CatalogState) -> None:
    move(state, "n1", "n5", "n4")
    assert said(state, 40, "n4", "n1", "n2").outcome == OK
    assert of(state) == (("n1", "n2", "n4"), ("n1", "n5", "n4"), 40), "half way"
    assert said(state, 60, "n5", "n4", "n1").outcome == OK
    assert of(state) == (("n1", "n5", "n4"), (), 60)
    assert move(state, "n1", "n2", "n4", if_generation=40).outcome == CONFLICT
    assert move(state, "n1", "n2", "n4", if_generation=60).outcome == OK


def test_a_move_that_was_taken_back_too_late_is_undone(state: CatalogState) -> None:
    """The last step was on its way to the catalog when somebody was told that the replicas will be as they were."""
    move(state, "n1", "n2", "n4")
    assert move(state, "n1", "n2", "n3").outcome == OK
    assert said(state, 40, "n1", "n2", "n4").outcome == OK
    assert of(state) == (("n1", "n2", "n4"), ("n1", "n2", "n3"), 40)
    assert said(state, 60, "n1", "n2", "n3").outcome == OK
    assert of(state) == (("n1", "n2", "n3"), (), 60)


def test_an_older_or_repeated_word_of_the_log_changes_nothing(state: CatalogState) -> None:
    said(state, 60, "n1", "n2", "n4")
    before = state.snapshot()
    for generation in (1, 59, 60):
        assert said(state, generation, "n1", "n2", "n3").outcome == OK
    assert state.snapshot() == before


def test_the_same_replicas_at_a_later_index_are_news(state: CatalogState) -> None:
    """Without it, nobody would know that a learner that came and went between has gone for good."""
    before = state.version
    assert said(state, 60, "n1", "n2", "n3").outcome == OK
    assert (of(state), state.version) == ((("n1", "n2", "n3"), (), 60), before + 1)


@pytest.mark.parametrize("replicas", [(), ("n1", "n9", "n3"), ("n1", "n1", "n2")], ids=["none", "unknown", "twice"])
def test_replicas_that_cannot_be_change_nothing(state: CatalogState, replicas: tuple[str, ...]) -> None:
    before = state.snapshot()
    assert said(state, 60, *replicas).outcome == REFUSED
    assert said(state, 60, "n1", "n2", "n4", partition=0).outcome == REFUSED
    assert said(state, 60, "n1", "n2", "n4", partition=9).outcome == pb.CATALOG_PARTITION_NOT_FOUND
    assert state.snapshot() == before


def test_who_replaces_the_preferred_leader_is_preferred(state: CatalogState) -> None:
    preferred = {one.id: one.preferred_leader for one in state.catalog.partitions}
    partition = next(number for number, leader in preferred.items() if leader == "n3" and number)
    said(state, 60, "n1", "n2", "n4", partition=partition)
    said(state, 60, "n1", "n2", "n4", partition=next(n for n, leader in preferred.items() if leader == "n1" and n))
    after = {one.id: one.preferred_leader for one in state.catalog.partitions}
    assert after == preferred | {partition: "n4"}


def test_a_copy_of_the_catalog_goes_on_with_the_move(state: CatalogState) -> None:
    move(state, "n1", "n2", "n4")
    restored = CatalogState()
    restored.restore(state.snapshot())
    assert of(restored) == of(state)
    assert said(restored, 60, "n1", "n2", "n4").outcome == OK
    assert of(restored) == (("n1", "n2", "n4"), (), 60)


def test_a_cluster_may_have_more_nodes_than_zones() -> None:
    text = TEXT.replace("routers:", "  - {id: n4, az: az-c, port: 7104, metrics_port: 7204}\nrouters:")
    catalog = bootstrap_catalog(load_settings(text, "cluster.yaml"), "c-1")
    assert [node.id for node in catalog.nodes] == ["n1", "n2", "n3", "n4"]
    held = [node for partition in catalog.partitions for node in partition.replicas]
    assert {node: held.count(node) for node in ("n1", "n2", "n3", "n4")} == {"n1": 7, "n2": 7, "n3": 4, "n4": 3}

"""Victims by role: the grammar, who it names, and that a seed names the same ones again."""

from __future__ import annotations

import random

import pytest

from chaos import victims
from chaos.targets.base import Member
from chaos.victims import NoVictim, View

pytestmark = pytest.mark.unit

MEMBERS = [Member(f"n{n}", f"az-{az}", False) for n, az in enumerate("abc", 1)]
MEMBERS += [Member(f"r{n}", f"az-{az}", True) for n, az in enumerate("abc", 1)]
VIEW = View(MEMBERS, {0: "n1", 1: "n1", 2: "n1", 3: "n2", 4: ""}, {"first": ["n2", "r2"]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n2", ["n2"]),
        ("r1", ["r1"]),
        ("az-c", ["n3", "r3"]),
        ("leader of partition 3", ["n2"]),
        ("leader of the catalog", ["n1"]),
        ("az of leader of partition 3", ["n2", "r2"]),
        ("node in az of leader of partition 3", ["n2"]),
        ("same as first", ["n2", "r2"]),
    ],
)
def test_a_role_names_its_processes(text: str, expected: list[str]) -> None:
    assert victims.is_understood(text)
    assert victims.choose(text, VIEW, random.Random(1)) == expected


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ("follower of partition 3", {"n1", "n3"}),
        ("any node", {"n1", "n2", "n3"}),
        ("any router", {"r1", "r2", "r3"}),
        ("any leader", {"n1", "n2"}),
        ("other than first", {"n1", "n3"}),
        ("node in any az", {"n1", "n2", "n3"}),
    ],
)
def test_a_choice_is_by_seed_and_reaches_all(text: str, possible: set[str]) -> None:
    chosen = [victims.choose(text, VIEW, random.Random(seed))[0] for seed in range(40)]
    assert set(chosen) == possible
    assert chosen == [victims.choose(text, VIEW, random.Random(seed))[0] for seed in range(40)]


def test_any_az_is_hit_as_a_whole() -> None:
    assert victims.choose("any az", VIEW, random.Random(3)) in (["n1", "r1"], ["n2", "r2"], ["n3", "r3"])


@pytest.mark.parametrize("text", ["leader of partition 4", "leader of partition 9", "n7", "same as second"])
def test_nobody_is_a_reason_and_not_somebody_else(text: str) -> None:
    with pytest.raises(NoVictim):
        victims.choose(text, VIEW, random.Random(1))


@pytest.mark.parametrize("text", ["the leader", "leader of partition", "az of", "n1, n2", "node in the sun"])
def test_what_is_not_in_the_grammar_is_refused(text: str) -> None:
    assert not victims.is_understood(text)

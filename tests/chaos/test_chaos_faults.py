"""What each fault asks of the cluster, and that healing takes back exactly that."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chaos import victims
from chaos.arena import RunArena
from chaos.executor import Executor
from chaos.faults.base import Fault, State, Steps
from chaos.faults.damage import invert, largest
from chaos.faults.machine import newest_log_bytes
from chaos.faults.registry import FAULTS
from chaos.schedule import Planned
from chaos.targets.base import Member, TargetError
from chaos.victims import View
from tools.faults import BOTH, IN, OUT

pytestmark = pytest.mark.unit

MEMBERS = [Member(f"n{n}", f"az-{az}", False) for n, az in enumerate("abc", 1)]
MEMBERS += [Member(f"r{n}", f"az-{az}", True) for n, az in enumerate("abc", 1)]


class Recorder:
    """Target and arena in one: remembers what it was asked, does nothing."""

    def __init__(self, seed: int = 1) -> None:
        self.target = self
        self.members = MEMBERS
        self.rng = random.Random(seed)
        self.down: set[str] = set()
        self.asked: list[tuple[str, Any]] = []
        self.rules: dict[str, dict[str, Any]] = {}

    def view(self) -> View:
        return View(MEMBERS, {0: "n1", 1: "n1", 2: "n2", 3: "n3"}, {})

    def pick(self, text: str) -> list[str]:
        return victims.choose(text, self.view(), self.rng)

    def is_running(self, name: str) -> bool:
        return name not in self.down

    def kill(self, names: Sequence[str]) -> None:
        self.asked.append(("kill", list(names)))
        self.down |= set(names)

    def pause(self, name: str) -> None:
        self.asked.append(("pause", name))

    def resume(self, name: str) -> None:
        self.asked.append(("resume", name))

    def bring_back(self, names: Sequence[str]) -> None:
        self.asked.append(("start", [name for name in names if name in self.down]))
        self.down -= set(names)

    def set_rules(self, node: str, rules: Sequence[Any]) -> None:
        self.rules.setdefault(node, {}).update({rule.id: rule for rule in rules})

    def clear_rules(self, node: str, ids: Sequence[str]) -> None:
        for one in ids:
            del self.rules[node][one]

    def expect_end(self, name: str, *, status: int, is_counted: bool = True) -> None:
        self.asked.append(("expect", (name, status, is_counted)))

    def wait(self, fact: Callable[[], bool], what: str, timeout_s: float) -> Steps:
        while not fact():
            yield

    def note(self, text: str) -> None:
        self.asked.append(("note", text))


def make(**values: Any) -> Fault:
    return FAULTS[values["fault"]].model_validate({"at": 0, "for": 2, **values})


def inject(fault: Fault, arena: Any) -> State:
    state = State()
    state.id, state.for_s = "chaos-7", 2.0
    steps = fault.inject(arena, state)
    if steps is not None:
        next(steps, None)
    return state


def links(arena: Recorder, node: str) -> set[tuple[str, int]]:
    return {(rule.link.peer or rule.link.router, rule.link.direction) for rule in arena.rules.get(node, {}).values()}


def test_an_az_that_is_isolated_keeps_its_own_links_and_is_cut_at_both_ends() -> None:
    arena = Recorder()
    fault = make(fault="isolate", victim="az of leader of partition 2")
    state = inject(fault, arena)
    assert links(arena, "n2") == {("n1", BOTH), ("n3", BOTH), ("r1", BOTH), ("r3", BOTH)}
    assert links(arena, "n1") == {("n2", BOTH), ("r2", BOTH)}
    assert links(arena, "n3") == {("n2", BOTH), ("r2", BOTH)}
    assert all(rule.link.cut and rule.ttl_ms > 2000 for rules in arena.rules.values() for rule in rules.values())
    fault.heal(arena, state)
    fault.heal(arena, state)
    assert not any(arena.rules.values())


def test_one_direction_is_the_same_direction_at_both_ends() -> None:
    arena = Recorder()
    inject(make(fault="cut", victim="n1", to="n2", direction="out"), arena)
    assert links(arena, "n1") == {("n2", OUT)}
    assert links(arena, "n2") == {("n1", IN)}
    assert links(arena, "n3") == set()


def test_a_router_has_no_end_of_its_own_to_be_told() -> None:
    arena = Recorder()
    inject(make(fault="cut", victim="r1", to="leader of partition 3", direction="out"), arena)
    assert arena.rules.keys() == {"n3"}
    assert links(arena, "n3") == {("r1", IN)}


def test_a_node_that_is_down_is_not_told_and_the_other_end_is() -> None:
    arena = Recorder()
    arena.down = {"n2"}
    inject(make(fault="cut", victim="n1", to="n2"), arena)
    assert arena.rules.keys() == {"n1"}


def test_a_kill_brings_back_only_what_it_took_down() -> None:
    arena = Recorder()
    arena.down = {"r2"}
    fault = make(fault="kill", victim="az-b")
    state = inject(fault, arena)
    fault.heal(arena, state)
    assert arena.asked == [("kill", ["n2"]), ("start", ["n2"])]
    assert arena.down == {"r2"}


def test_a_paused_process_that_was_killed_meanwhile_is_not_resumed() -> None:
    arena = Recorder()
    fault = make(fault="pause", victim="az-b")
    state = inject(fault, arena)
    arena.down = {"n2"}
    fault.heal(arena, state)
    assert arena.asked == [("pause", "n2"), ("pause", "r2"), ("resume", "r2")]


def test_a_failing_disk_must_end_the_node_and_a_mix_cannot_know_beforehand() -> None:
    arena = Recorder()
    inject(make(fault="sync_failure", victim="n2"), arena)
    assert ("expect", ("n2", 1, True)) in arena.asked
    mix = make(fault="mix", of=[{"fault": "sync_failure", "victim": "n3"}])
    state = inject(mix, arena)
    assert ("expect", ("n3", 1, False)) in arena.asked
    assert state.word == "sync_failure"
    mix.heal(arena, state)
    assert not arena.rules["n3"]


def test_a_mix_chooses_by_its_seed() -> None:
    fault = make(fault="mix", of=[{"fault": "kill", "victim": "any node"}, {"fault": "pause", "victim": "any node"}])

    def chosen(seed: int) -> tuple[str, list[str]]:
        state = inject(fault, Recorder(seed))
        return state.word, state.victims

    assert [chosen(seed) for seed in range(20)] == [chosen(seed) for seed in range(20)]
    assert {chosen(seed)[0] for seed in range(20)} == {"kill", "pause"}


def test_damage_changes_the_middle_of_a_file_and_not_its_size(tmp_path: Path) -> None:
    path = tmp_path / "store" / "7.log"
    path.parent.mkdir()
    before = bytes(range(256)) * 64
    path.write_bytes(before)
    (path.parent / "3.log").write_bytes(b"x")
    assert largest(tmp_path, "*.log") == path
    assert invert(path, random.Random(1), everywhere=False) == 3
    after = path.read_bytes()
    changed = [position for position in range(len(before)) if before[position] != after[position]]
    assert len(after) == len(before)
    assert 16 <= len(changed) <= 3 * 16
    assert len(before) // 8 <= changed[0]
    assert changed[-1] < len(before) * 3 // 4 + 16
    with pytest.raises(TargetError):
        largest(tmp_path, "*.sst")


def test_the_log_that_is_written_is_the_newest(tmp_path: Path) -> None:
    with pytest.raises(TargetError):
        newest_log_bytes(tmp_path)
    (tmp_path / "1.log").write_bytes(b"x" * 10)
    assert newest_log_bytes(tmp_path) == 10


def test_a_fault_that_waits_for_calm_does_not_come_into_another_one() -> None:
    arena: Any = RunArena(Recorder(), None)  # type: ignore[arg-type]
    looks: list[int] = []

    def is_settled() -> bool:
        looks.append(1)
        return len(looks) > 3

    calm = make(fault="pause", victim="n1", when_settled=True)
    planned = [
        Planned(0, make(fault="pause", victim="n2"), 0.0, 0.1, random.Random(0)),
        Planned(1, calm, 0.0, 0.05, random.Random(1)),
    ]
    arena.pick = lambda text: [text]
    executor = Executor(arena, planned, lambda: None, is_settled)
    executor.run(0.0)
    first, second = executor.spans()
    assert second.began_s >= first.ended_s
    assert len(looks) == 4
    assert not executor.troubles

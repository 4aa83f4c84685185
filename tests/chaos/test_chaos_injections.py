"""Faults say so when they do nothing, and heal every victim that can be healed."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaos.arena import RunArena
from chaos.faults.base import State
from chaos.faults.registry import FAULTS
from chaos.runner import Run
from chaos.scenario import load
from chaos.targets.base import Member, TargetError

pytestmark = pytest.mark.unit

MEMBERS = [Member(f"n{number}", f"az-{az}", False) for number, az in ((1, "a"), (2, "b"), (3, "c"))]
MEMBERS += [Member("r1", "az-a", True)]


class Stand:
    """A target of four processes that are alive or not, and the fault services of its nodes."""

    kind = "stand"
    partitions = 3
    members = MEMBERS

    def __init__(self, folder: Path | None = None) -> None:
        self.running = {member.name for member in MEMBERS}
        self.folder = folder
        self.pids: dict[str, int] = {}
        self.story: list[str] = []
        self.deaf: set[str] = set()

    def status(self, timeout_s: float = 1.0) -> Any:
        leaders = [SimpleNamespace(id=number, leader="n1", replicas=[]) for number in (0, 1, 2, 3)]
        return SimpleNamespace(partitions=leaders, nodes=[], healthy=True)

    def is_running(self, name: str) -> bool:
        return name in self.running

    def pid(self, name: str) -> int:
        return self.pids[name]

    def data_folder(self, node: str) -> Path:
        assert self.folder is not None
        return self.folder

    def kill(self, names: list[str]) -> None:
        self.story += [f"kill {name}" for name in names]
        self.running -= set(names)

    def start_processes(self, names: list[str]) -> None:
        self.running |= set(names)

    def pause(self, name: str) -> None:
        self.story.append(f"pause {name}")

    def resume(self, name: str) -> None:
        self._hear(name)
        self.story.append(f"resume {name}")

    def terminate(self, name: str) -> None:
        self.kill([name])

    def set_rules(self, node: str, rules: Any) -> None:
        self.story.append(f"set {node}")

    def clear_rules(self, node: str, ids: Any) -> None:
        self._hear(node)
        self.story.append(f"clear {node}")

    def left(self) -> list[str]:
        return []

    def _hear(self, name: str) -> None:
        if name in self.deaf:
            raise TargetError(f"{name} does not answer")

    # For whole runs.

    def start(self) -> None:
        raise ZeroDivisionError("a defect")

    def log_text(self, name: str) -> str:
        return f"the log of {name}\n"

    def close(self) -> None:
        self.story.append("close")


@pytest.fixture
def stand() -> Stand:
    return Stand()


def inject(stand: Stand, word: str, state: State | None = None, **values: Any) -> tuple[Any, Any, State]:
    fault = FAULTS[word].model_validate({"fault": word, "at": 0, "for": 1, **values})
    arena: Any = RunArena(stand, stand)  # type: ignore[arg-type]
    arena.rng = random.Random(7)
    state = state or State()
    state.for_s = 1.0
    steps = fault.inject(arena, state)
    if steps is not None:
        next(steps, None)
    return fault, arena, state


@pytest.mark.parametrize("word", ["kill", "pause", "stop"])
def test_a_fault_of_processes_that_do_not_run_is_no_fault(stand: Stand, word: str) -> None:
    stand.running -= {"n2"}
    with pytest.raises(TargetError, match=r"nobody to .*: n2 does not run"):
        inject(stand, word, victim="n2")
    assert stand.story == []


@pytest.mark.parametrize(
    ("word", "more"), [("slow_sync", {"ms": 50}), ("sync_failure", {}), ("disk_full", {}), ("damage", {"file": "sst"})]
)
def test_a_fault_of_a_disk_has_no_router_as_its_victim(stand: Stand, word: str, more: dict[str, Any]) -> None:
    with pytest.raises(TargetError, match="no node is among r1"):
        inject(stand, word, victim="r1", **more)
    assert stand.story == []


def test_a_link_fault_without_another_side_or_without_a_living_end_is_no_fault(stand: Stand) -> None:
    with pytest.raises(TargetError, match="nobody to part n1 from"):
        inject(stand, "cut", victim="n1", to="n1")
    stand.running -= {"n1", "n2"}
    with pytest.raises(TargetError, match="nothing was set"):
        inject(stand, "cut", victim="n1", to="n2")
    assert stand.story == []
    inject(stand, "cut", victim="n1", to="n3")
    assert stand.story == ["set n3"]


def test_a_choice_falls_on_what_runs(stand: Stand) -> None:
    arena = RunArena(stand, stand)  # type: ignore[arg-type]
    stand.running -= {"n1", "n2"}
    for seed in range(20):
        arena.rng = random.Random(seed)
        assert arena.pick("any node") == ["n3"]
        assert arena.pick("any az") in (["n1", "r1"], ["n3"])
        assert arena.pick("follower of partition 1") == ["n3"]
    stand.running -= {"n3"}
    assert arena.pick("any node")[0] in ("n1", "n2", "n3")


def test_a_node_that_does_not_answer_keeps_no_other_from_being_healed(stand: Stand) -> None:
    fault, arena, state = inject(stand, "isolate", victim="n1")
    assert stand.story == ["set n1", "set n2", "set n3"]
    stand.deaf = {"n1"}
    with pytest.raises(TargetError, match="n1 does not answer"):
        fault.heal(arena, state)
    assert stand.story[3:] == ["clear n2", "clear n3"]
    stand.deaf = set()
    fault.heal(arena, state)
    assert stand.story[5:] == ["clear n1"]


def test_a_process_is_resumed_once_and_again_only_where_that_failed(stand: Stand) -> None:
    fault, arena, state = inject(stand, "pause", victim="az-a")
    stand.deaf = {"n1"}
    with pytest.raises(TargetError):
        fault.heal(arena, state)
    stand.deaf = set()
    fault.heal(arena, state)
    fault.heal(arena, state)
    assert stand.story == ["pause n1", "pause r1", "resume r1", "resume n1"]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_a_full_disk_is_healed_to_the_limits_that_were_before(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (tmp_path / "000007.log").write_bytes(b"x" * 100)
    stand = Stand(tmp_path)
    stand.pids = {"n2": child.pid}
    before = (1 << 30, 1 << 31)
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, before)
    fault, arena, state = inject(stand, "disk_full", victim="n2")
    assert resource.prlimit(child.pid, resource.RLIMIT_FSIZE)[0] < 1 << 20
    fault.heal(arena, state)
    assert resource.prlimit(child.pid, resource.RLIMIT_FSIZE) == before


SCENARIO = """\
name: mine
about: Something breaks and clients go on.
seconds: 1
workload: {probes: {}}
"""


def test_a_defect_of_the_runner_ends_in_a_result_that_says_where_it_was(stand: Stand, tmp_path: Path) -> None:
    found = Run(load(SCENARIO, "mine.yaml"), 1, stand, tmp_path, command="again").run()  # type: ignore[arg-type]
    assert not found.passed
    assert found.broke.startswith("ZeroDivisionError: a defect\n")
    assert "in start" in found.broke
    assert stand.story == ["close"]
    assert {"result.json", "history.jsonl", "logs"} <= set(os.listdir(tmp_path))


def test_the_cluster_is_closed_whatever_fails_before(stand: Stand, tmp_path: Path) -> None:
    one = Run(load(SCENARIO, "mine.yaml"), 1, stand, tmp_path, command="again")  # type: ignore[arg-type]

    def fails() -> None:
        raise KeyError("healing has a defect")

    one._executor.heal_all = fails  # type: ignore[method-assign]
    one.run()
    assert stand.story == ["close"]
    assert any("healing has a defect" in text for text in one._executor.troubles)


def test_a_process_that_ends_while_it_is_looked_at_is_an_error_of_the_target(tmp_path: Path) -> None:
    from chaos.targets.local import LocalTarget

    target = LocalTarget(tmp_path)

    class Gone:
        """The supervisor has started it, and it has ended since."""

        def record(self, name: str) -> None:
            raise RuntimeError(f"{name} has ended a moment ago")

        supervisor = SimpleNamespace(start_some=lambda names: None)

        def rebuild(self, node: str) -> None:
            return None

    target._cluster = Gone()  # type: ignore[assignment]
    with pytest.raises(TargetError, match="n1 has ended a moment ago; n2 has ended"):
        target.start_processes(["n1", "n2"])
    with pytest.raises(TargetError, match="n1 has ended a moment ago"):
        target.rebuild("n1")

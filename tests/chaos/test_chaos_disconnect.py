"""The fault that disconnects an AZ: who is cut, what is healed, and where it cannot be had."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaos import cli, scenario, victims
from chaos.faults.base import State
from chaos.faults.containers import Disconnect
from chaos.targets.base import Member, NotSupported
from chaos.targets.compose import ComposeTarget
from chaos.targets.local import LocalTarget
from tools.errors import EXIT_USAGE, CommandError

pytestmark = pytest.mark.unit

MEMBERS = [
    Member("n1", "az-a", False),
    Member("n2", "az-b", False),
    Member("n3", "az-c", False),
    Member("r1", "az-a", True),
]
VIEW = victims.View(MEMBERS, {0: "n3", 3: "n1"})


class Recorded:
    """A target that writes down what it was asked."""

    def __init__(self, failing: str = "") -> None:
        self.calls: list[tuple[str, str]] = []
        self.failing = failing

    def cut_az(self, az: str) -> None:
        self.calls.append(("cut", az))
        if az == self.failing:
            raise RuntimeError(az)

    def join_az(self, az: str) -> None:
        self.calls.append(("join", az))


def arena(target: Recorded) -> Any:
    rng = random.Random(1)
    return SimpleNamespace(target=target, view=lambda: VIEW, pick=lambda text: victims.choose(text, VIEW, rng))


def fault(victim: str) -> Disconnect:
    return Disconnect.model_validate({"fault": "disconnect", "victim": victim, "at": 1, "for": 2})


@pytest.mark.parametrize("victim", ["n1", "az-a", "az of leader of partition 3", "leader of partition 3"])
def test_the_whole_az_of_the_victim_is_cut_and_connected_again(victim: str) -> None:
    target, state = Recorded(), State()
    fault(victim).inject(arena(target), state)
    assert state.victims == ["n1", "r1"]
    assert state.words == "networks of az-a"
    fault(victim).heal(arena(target), state)
    assert target.calls == [("cut", "az-a"), ("join", "az-a")]


def test_a_cut_that_failed_half_way_is_healed_and_one_that_never_began_is_not() -> None:
    target, state = Recorded(failing="az-a"), State()
    fault("n1").heal(arena(target), state)
    assert target.calls == []
    with pytest.raises(RuntimeError):
        fault("n1").inject(arena(target), state)
    fault("n1").heal(arena(target), state)
    assert target.calls[-1] == ("join", "az-a")


def test_local_processes_have_no_networks_of_their_own(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path)
    with pytest.raises(NotSupported, match="local processes have none"):
        target.cut_az("az-a")


def test_a_scenario_that_needs_containers_is_refused_elsewhere_before_anything_starts() -> None:
    assert scenario.load_file(scenario.FOLDER / "disconnect-az.yaml").needs_containers
    assert not scenario.load_file(scenario.FOLDER / "kill-leader.yaml").needs_containers
    with pytest.raises(CommandError) as refused:
        cli.run("disconnect-az", seed=1)
    assert refused.value.exit_code == EXIT_USAGE
    assert "disconnect-az --against compose" in refused.value.hint


def test_containers_say_why_they_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    target = ComposeTarget(tmp_path / "work", settings={"partitions": {"count": 2}})
    assert (target.partitions, [member.name for member in target.members]) == (2, ["n1", "n2", "n3", "r1", "r2"])
    with pytest.raises(Exception, match="there is no `docker` command"):
        target.start()
    target.close()
    assert (target.fault_token_path().stat().st_mode & 0o777) == 0o600

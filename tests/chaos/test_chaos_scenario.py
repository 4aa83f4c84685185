"""Scenario files: what loads, and that every mistake is named with its line."""

from __future__ import annotations

import pytest

from chaos import scenario
from chaos.faults.registry import FAULTS
from chaos.scenario import ScenarioError

pytestmark = pytest.mark.unit

GOOD = """\
name: mine
about: Something breaks and clients go on.
seconds: 20
workload:
  registers:
  eventual: {each: 1}
faults:
  - fault: kill
    victim: leader of partition 3
    at: 2
    for: 1..2
    every: 5
    times: 2
    name: first
  - fault: pause
    victim: other than first
    at: 12
    for: 2
expect:
  write_gap_ms: {max: 3000}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        scenario.load(text, "mine.yaml")
    return str(caught.value).splitlines()


def test_a_good_file_loads_with_defaults() -> None:
    found = scenario.load(GOOD, "mine.yaml")
    assert [type(fault).__name__ for fault in found.faults] == ["Kill", "Pause"]
    assert found.workload.registers is not None
    assert found.workload.registers.clients == 8
    assert found.workload.bank is None
    assert str(found.faults[0].for_) == "1..2"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("fault: kill", "fault: kil", "mine.yaml:8: faults[0]: there is no fault 'kil'; did you mean kill?"),
        ("victim: leader of partition 3", "victim: the leader", "mine.yaml:9: faults[0].victim: 'the leader' names"),
        ("    for: 1..2\n", "", "mine.yaml:8: faults[0]: `for:` is required"),
        ("    every: 5\n", "", "mine.yaml:8: faults[0]: `times:` needs `every:`"),
        ("at: 12", "at: 120", "mine.yaml:15: faults[1]: it may begin after 120 s, when the scenario is over (20 s)"),
        ("at: 2\n", "at: soon\n", "mine.yaml:10: faults[0].at: must be a number or a range such as 2..5, not 'soon'"),
        ("other than first", "other than nobody", "mine.yaml:15: faults[1]: no fault before is called 'nobody'"),
        ("eventual: {each: 1}", "eventual: {each: 0}", "mine.yaml:6: workload.eventual.each: Input should be"),
        ("eventual: {each: 1}", "evntual: {each: 1}", "mine.yaml:6: workload.evntual: unknown key"),
        ("  write_gap_ms: {max: 3000}", "  node_exits: {second: 1}", "mine.yaml:20: expect.node_exits: no fault is"),
        (
            "  write_gap_ms: {max: 3000}",
            "  effects: {nobody: {write_gap_ms: 9}}",
            "mine.yaml:20: expect.effects: no fault is",
        ),
        ("seconds: 20\n", "", "mine.yaml:1: seconds: required, but not given"),
        ("seconds: 20\n", "seconds: 20\nsettings: {nodes: []}\n", "mine.yaml:4: settings.nodes: known here: "),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, expected: str) -> None:
    assert old in GOOD
    found = problems(GOOD.replace(old, new))
    assert any(line.startswith(expected) for line in found), found


def test_what_is_no_yaml_is_refused() -> None:
    assert problems("name: [")[0].startswith("mine.yaml:")
    assert problems("") == ["mine.yaml:1: a mapping is expected: name, about, seconds, workload, faults, expect"]


@pytest.mark.parametrize("name", scenario.names())
def test_every_scenario_of_the_program_loads_and_is_called_as_its_file(name: str) -> None:
    found = scenario.load_file(scenario.FOLDER / f"{name}.yaml")
    assert found.name == name
    assert found.faults


def test_every_fault_says_what_it_does() -> None:
    for word, kind in FAULTS.items():
        assert kind.__doc__, word

"""What the documents say of chaos runs is so: names of scenarios, faults and victims, and the example file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaos import scenario, victims
from chaos.faults.registry import FAULTS

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*/OVERVIEW.md"))]
# Names in examples of files that the reader writes.
OWN = {"NAME", "my-own", "my-own.yaml"}


def test_every_scenario_that_a_document_runs_exists() -> None:
    known = set(scenario.names()) | OWN
    named = {
        (document.name, name)
        for document in DOCUMENTS
        for name in re.findall(r"(?:trizone chaos|-m chaos) run ([A-Za-z0-9.-]+)", document.read_text(encoding="utf-8"))
    }
    assert len(named) > 4
    assert not {(document, name) for document, name in named if name not in known}


def test_the_example_of_the_runbook_loads() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(name: my-own.*?)```", text, re.DOTALL)
    assert example is not None
    assert scenario.load(example[1], "runbook").name == "my-own"


def test_at_least_twelve_scenarios_and_three_stories_of_a_lost_az_use_every_fault() -> None:
    loaded = [scenario.load_file(scenario.FOLDER / f"{name}.yaml") for name in scenario.names()]
    assert len(loaded) >= 12
    assert sum(one.about.startswith("The story of ") for one in loaded) >= 3
    used = {word for one in loaded for fault in one.faults for word in words(fault)}
    assert not set(FAULTS) - used, "no scenario shows how it is used"


def words(fault: object) -> set[str]:
    chosen = [str(values["fault"]) for values in getattr(fault, "of", ()) if isinstance(values, dict)]
    return {str(getattr(fault, "fault", "")), *chosen}


def test_the_grammar_of_victims_is_documented_where_it_is_read() -> None:
    for text in re.findall(r"^    ([a-z].*?)  ", str(victims.__doc__), re.MULTILINE):
        for one in text.split(", "):
            example = one.replace("NAME", "first").replace("`", "")
            assert victims.is_understood(example), example

"""docs/divergence.md names a test for every difference, and the test exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "divergence.md"
# `path::function` in the last column of a table.
REFERENCE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> list[str]:
    """The lines of all tables that tell of a difference, without heads and rules."""
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [line for line in lines if not re.match(r"\|(-|\s|\|)+$", line) and not line.endswith("| Test |")]


@pytest.mark.parametrize("row", rows(), ids=[row.split("|")[1].strip()[:60] for row in rows()])
def test_a_difference_names_a_test_that_exists(row: str) -> None:
    found = REFERENCE.findall(row.rstrip("| ").rpartition("|")[2])
    assert found, f"no test is named: {row}"
    for path, name in found:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"


def test_every_pinned_difference_is_in_the_document() -> None:
    known = Path(__file__).with_name("test_divergence_known.py")
    tree = ast.parse(known.read_text(encoding="utf-8"))
    pinned = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    assert pinned <= {name for _, name in REFERENCE.findall(DOCUMENT.read_text(encoding="utf-8"))}

"""What the documents name exists: files, links, make targets, metrics, functions and classes."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("dynamo", "node", "replication", "router", "runtime", "tools", "topology", "wire"),
    *("chaos", "deploy", "harness", "histories", "simulation"),
)
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    + list((ROOT / "docs").rglob("*.md"))
    + [path for package in PACKAGES for path in (ROOT / package).rglob("OVERVIEW.md")]
)
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")
FILE = re.compile(r"`([\w/.-]+\.(?:py|md|yaml|proto|lua|csv|toml))`")
FOLDER = re.compile(r"`([\w/-]+/)`")
MEMBER = re.compile(r"`([A-Z]\w*[a-z]\w*)\.(_?\w+)`")
TARGET = re.compile(r"`make ([a-z-]+)")
METRIC = re.compile(r"`(trizone_\w+)")
# Not of the repository: what lies in a cluster's data folder (`DIR/logs/NAME.log`) or among the results of a chaos run,
# and what every package has.
ELSEWHERE = re.compile(r"DIR/|NAME|^OVERVIEW\.md$|^chaos-reports(/|$)|^logs/?$")


@cache
def sources() -> str:
    """All program text."""
    return "\n".join(path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def class_bodies(name: str) -> str:
    """The text of every class called `name`, its bases' included."""
    found = []
    for match in re.finditer(rf"^class {name}\b(.*?)(?=^\S|\Z)", sources(), re.M | re.S):
        found.append(match.group(0))
        bases = re.match(r"\(([\w., ]*)\)", match.group(1))
        for base in re.findall(r"\w+", bases.group(1)) if bases else ():
            found.append(class_bodies(base) if base != name else "")
    return "\n".join(found)


def exists(document: Path, name: str) -> bool:
    """Is there such a file, seen from the root, the document's folder, or as the name of a module of its package?"""
    if ELSEWHERE.search(name) or (ROOT / name).exists() or (document.parent / name).exists():
        return True
    return any(path.match(name) for package in PACKAGES for path in (ROOT / package).rglob(Path(name).name))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    missing = [link for link in LINK.findall(text) if "://" not in link and not (document.parent / link).exists()]
    missing += [name for name in FILE.findall(text) if not exists(document, name)]
    missing += [name for name in FOLDER.findall(text) if not exists(document, name.rstrip("/"))]
    for owner, member in MEMBER.findall(text):
        body = class_bodies(owner)
        known = re.search(rf"\bdef {member}\b|\b{member}\b\s*[:=]|\.{member}\b\s*[:=]", body)
        if not known and not re.search(rf"^(message|service) {owner} ", protocol(), re.M):
            missing.append(f"{owner}.{member}")
    makefile = (ROOT / "Makefile").read_text()
    missing += [target for target in TARGET.findall(text) if not re.search(rf"^{target}:", makefile, re.M)]
    for metric in METRIC.findall(text):
        bare = re.sub(r"_(total|bucket|sum|count)$", "", metric)
        if f'"{bare}"' not in sources() and f'"{bare.removeprefix("trizone_router_")}"' not in sources():
            missing.append(metric)
    assert missing == []


@cache
def protocol() -> str:
    """All message definitions."""
    return "\n".join(path.read_text() for path in (ROOT / "proto").glob("*.proto"))


def test_decision_records_have_a_number_each() -> None:
    # Numbers are given out when work begins, so that there may be gaps until it has ended.
    numbers = [int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("*.md")]
    assert len(set(numbers)) == len(numbers)

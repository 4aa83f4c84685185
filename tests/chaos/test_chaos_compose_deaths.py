"""Ends of containers: those that were asked for are not told, all others once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from chaos.targets.deaths import Deaths, parse
from deploy.project import SERVICE_LABEL

pytestmark = pytest.mark.unit


def event(action: str, code: object, service: str = "n1") -> str:
    return json.dumps({"Action": action, "Actor": {"Attributes": {"exitCode": code, SERVICE_LABEL: service}}})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (event("die", "137"), ("n1", -9)),
        (event("die", "0", "r2"), ("r2", 0)),
        (event("die", "1"), ("n1", 1)),
        (event("die", "255"), ("n1", 255)),
        (event("start", "0"), None),
        (event("die", "many"), None),
        ("{}", None),
        ("no json", None),
    ],
)
def test_a_line_of_the_engines_events(line: str, expected: tuple[str, int] | None) -> None:
    assert parse(line) == expected


@pytest.fixture
def deaths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deaths:
    """Without an engine: events come from the test."""
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Deaths("trizone-test")


def test_an_end_that_was_asked_for_is_waited_for_and_not_told(deaths: Deaths) -> None:
    with deaths.asked(Counter(["n1"])):
        # The engine tells of it when the command has long returned.
        threading.Timer(0.2, deaths.tell, ("n1", -9)).start()
        deaths.tell("n2", 1)
    assert deaths.unasked() == [("n2", 1)]
    assert deaths.unasked() == []
    deaths.tell("n1", 0)
    assert deaths.unasked() == [("n1", 0)], "the next one was not asked for"
    deaths.close()


def test_a_kill_that_failed_leaves_nothing_expected(deaths: Deaths) -> None:
    with pytest.raises(RuntimeError), deaths.asked(Counter(["n1"])):
        raise RuntimeError
    deaths.tell("n1", 2)
    assert deaths.unasked() == [("n1", 2)]
    deaths.close()

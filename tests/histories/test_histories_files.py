"""Saved histories: what was written is loaded, damage is refused with its line, and the command judges them again."""

from __future__ import annotations

import gzip
import json
import random
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from histories import files
from histories.files import Header, HistoryError, HistoryWriter, load, save
from histories.records import Action, Call
from histories.singlecopy import COUNTER, Shape, mutations, single_copy
from tools.cli import app
from tools.errors import CommandError

pytestmark = pytest.mark.unit

HEADER = Header(seed=7, scenario="kill-leader", command="trizone chaos run kill-leader --seed 7", totals={"b": 100})


def calls_of(seed: int = 1) -> list[Call]:
    return single_copy(random.Random(seed), Shape(calls=200)) + single_copy(
        random.Random(seed), Shape(actions=COUNTER), "n"
    )


@pytest.mark.parametrize("name", ["history.jsonl", "history.jsonl.gz"])
def test_what_is_saved_is_loaded(tmp_path: Path, name: str) -> None:
    calls = calls_of()
    save(tmp_path / name, HEADER, calls)
    loaded = load(tmp_path / name)
    assert (loaded.header, loaded.calls, loaded.is_complete) == (HEADER, calls, True)
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")


def fill(path: Path, calls: list[Call]) -> None:
    with HistoryWriter(path, HEADER) as writer:
        for call in calls:
            writer.add(call)
        # What the file's own buffer holds back is some kilobytes.
        assert len(path.read_bytes().splitlines()) > files.BUFFERED_CALLS_MAX // 2
        raise RuntimeError("the run failed")


def test_a_writer_keeps_few_calls_and_a_run_that_fails_leaves_a_history_without_end(tmp_path: Path) -> None:
    path, calls = tmp_path / "h.jsonl", [Call(key="k", action=Action.READ, invoked_at=0, returned_at=1)] * 1500
    with pytest.raises(RuntimeError, match="the run failed"):
        fill(path, calls)
    loaded = load(path)
    assert (len(loaded.calls), loaded.is_complete) == (1500, False)


DAMAGE = [
    pytest.param(2, b'{"key":"k","action":"read"}', "without invoked_at", id="a field is missing"),
    pytest.param(2, b'{"key":"k","action":"jump","invoked_at":1}', "action cannot be", id="an action of no kind"),
    pytest.param(2, b'{"key":1,"action":"read","invoked_at":1}', "key cannot be 1", id="a field of another type"),
    pytest.param(2, b'{"key":"k","action":"read","invoked_at":1,"color":2}', "has no 'color'", id="an unknown field"),
    pytest.param(
        2, b'{"key":"k","action":"read","invoked_at":2,"returned_at":1}', "before it", id="a return too early"
    ),
    pytest.param(2, b'{"key":"k","action":"put","invoked_at":2}', "without a value", id="a write of nothing"),
    pytest.param(
        2, b'{"key":"k","action":"read","invoked_at":2,"observed":"x"}', "never returned", id="an open answer"
    ),
    pytest.param(2, b'{"key":"k","action":"re', "unexpected control character", id="a torn line"),
    pytest.param(2, b"[]", "not a JSON object", id="something else"),
    pytest.param(1, b'{"some":"json"}', "not a history", id="another file"),
    pytest.param(1, b'{"trizone_history":2}', "format 2", id="another version"),
    pytest.param(1, b'{"trizone_history":1,"totals":[]}', "header is damaged", id="a damaged header"),
    pytest.param(4, b'{"calls":9}', "says 9 calls, but there are 2", id="lines were lost"),
    pytest.param(3, b'{"calls":1}', "after the end", id="an end in the middle"),
]


@pytest.mark.parametrize(("line", "text", "reason"), DAMAGE)
def test_damage_is_refused_with_line_and_reason(tmp_path: Path, line: int, text: bytes, reason: str) -> None:
    path = tmp_path / "h.jsonl"
    save(path, HEADER, [Call(key="k", action=Action.PUT, invoked_at=0, returned_at=1, value="a")] * 2)
    lines = path.read_bytes().splitlines()
    lines[line - 1] = text
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(HistoryError, match=reason) as refused:
        load(path)
    expected = line + 1 if reason == "after the end" else line
    assert f"line {expected}:" in str(refused.value)


def test_a_torn_end_and_damaged_compression_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    save(path, HEADER, calls_of())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(HistoryError, match=r"cut off|says"):
        load(path)
    packed = tmp_path / "h.jsonl.gz"
    save(packed, HEADER, calls_of())
    packed.write_bytes(packed.read_bytes()[:-50])
    with pytest.raises(HistoryError, match="compressed data is damaged"):
        load(packed)
    packed.write_bytes(gzip.compress(b""))
    with pytest.raises(HistoryError, match="empty"):
        load(packed)


def judged(path: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["history", "check", str(path), *options])
    return result.exit_code, result.output


def test_the_command_judges_a_history_again(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl.gz"
    calls = calls_of()
    save(path, HEADER, calls)
    code, text = judged(path)
    assert (code, "holds  linearizability" in text, "seed 7" in text) == (0, True, True)
    save(path, HEADER, next(iter(mutations(random.Random(1), calls_of()[:200]).values())))
    code, text = judged(path, "--json")
    document = json.loads(text)
    assert (code, document["verdict"], document["seed"]) == (1, "violated", 7)
    assert document["checkers"][0]["details"]
    save(path, HEADER, [])
    assert judged(path)[0] == 2


def test_the_command_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("nonsense\n")
    for name in ("x.jsonl", "absent.jsonl"):
        result = CliRunner().invoke(app, ["history", "check", str(tmp_path / name)])
        assert isinstance(result.exception, CommandError)
        assert result.exception.exit_code == 2


def test_100_000_calls_are_written_and_read_without_haste(tmp_path: Path) -> None:
    calls = calls_of()
    began = time.perf_counter()
    save(tmp_path / "h.jsonl", HEADER, calls * (100_000 // len(calls)))
    assert len(load(tmp_path / "h.jsonl").calls) > 99_000
    print(f"{time.perf_counter() - began:.2f} s")

"""The HTML report: what it says, that hostile text stays text, and that it needs nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import plotly.graph_objects
import pytest

from chaos.report import figures, render
from chaos.report.page import gap_rows, status_of
from chaos.result import (
    FORMAT,
    Cluster,
    Event,
    Expectation,
    FaultSpan,
    Gap,
    LeaderChange,
    RunResult,
    Sample,
    Staleness,
    Total,
    Verdict,
    load,
    to_json,
)

pytestmark = pytest.mark.unit

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'"


def sample(at_s: float, kind: str, ok: int = 100, failed: int = 0, unknown: int = 0) -> Sample:
    p50, p99, slowest = (5.0, 20.0, 40.0) if ok else (0.0, 0.0, 0.0)
    return Sample(
        at_s=at_s,
        width_s=0.5,
        kind=kind,
        ok=ok,
        failed=failed,
        unknown=unknown,
        p50_ms=p50,
        p99_ms=p99,
        max_ms=slowest,
    )


RESULT = RunResult(
    format=FORMAT,
    scenario="kill-leader",
    about="The leader is killed.",
    seed=7,
    command="trizone chaos run kill-leader --seed 7",
    began_at="2026-11-28T01:00:00+00:00",
    seconds=10.0,
    cluster=Cluster(
        against="local",
        nodes={"n1": "az-a", "n2": "az-b"},
        routers={"r1": "az-a"},
        partitions=2,
        machine="2 cores",
        version="0.1.0",
    ),
    passed=True,
    verdicts=(Verdict(name="linearizable", held=True, detail="8,007 calls on 18 keys"),),
    expectations=(Expectation(name="write_gap_ms", wanted="p99 at most 1000 ms", measured="640 ms", held=True),),
    totals=(Total(kind="write", ok=13960, failed=3, unknown=21, p50_ms=16.0, p99_ms=106.56, max_ms=309.55),),
    errors={"write 500 InternalServerError": 21},
    faults=(FaultSpan(name="kill", victim="n1 (az-a)", began_s=3.0, ended_s=5.0, detail="-9"),),
    gaps=tuple(Gap(kind="write", partition=1, fault=0, ms=float(ms), led_by_victim=True) for ms in range(1, 101)),
    samples=(
        *(sample(at / 2, kind) for at in range(-2, 20) for kind in ("write", "eventual")),
        sample(10.0, "write", 0, 3, 5),
    ),
    leaders=(
        LeaderChange(at_s=-4.0, partition=1, leader="n1", term=1),
        LeaderChange(at_s=3.0, partition=1, leader="", term=1),
        LeaderChange(at_s=3.6, partition=1, leader="n2", term=2),
        LeaderChange(at_s=-4.0, partition=0, leader="n2", term=1),
    ),
    staleness=(
        Staleness(
            az="az-a",
            reads=1000,
            stale=12,
            went_back=1,
            p50_ms=4.0,
            p99_ms=80.0,
            max_ms=90.0,
            histogram=((5.0, 8), (100.0, 4), (-1.0, 0)),
            served_by={"n1": 990, "n2": 10},
        ),
    ),
    events=(Event(at_s=3.0, kind="fault", text="kill n1"),),
    history_file="history.jsonl",
)


class Page(HTMLParser):
    """What a browser would see: tags, and text outside of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


def charts_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def test_the_page_says_everything_that_a_reader_needs() -> None:
    text = Page(render(RESULT)).text
    for said in (
        "✓ PASSED · kill-leader",
        "trizone chaos run kill-leader --seed 7",
        "The leader is killed.",
        "13,960",
        "linearizable",
        "8,007 calls on 18 keys",
        "write_gap_ms: p99 at most 1000 ms",
        "640 ms",
        "n1 (az-a)",
        "12 (1.2 %)",
        "clients in az-a were answered by n1 (az-a): 990, n2 (az-b): 10",
        "write 500 InternalServerError",
        "kill n1",
        "trizone history check history.jsonl",
    ):
        assert said in text, said


def test_the_page_is_one_file_with_the_library_once_and_asks_no_network() -> None:
    html = render(RESULT)
    page = Page(html)
    assert html.count("plotly.js v") == 1
    assert not [attrs for tag, attrs in page.tags if "src" in attrs or tag == "link"]
    assert html.count("<script") - html.count("<script type") >= 3
    assert len(html) < 8_000_000


def test_hostile_text_stays_text() -> None:
    result = replace(
        RESULT,
        scenario=HOSTILE,
        about=HOSTILE,
        command=HOSTILE,
        broke=HOSTILE,
        cluster=replace(RESULT.cluster, nodes={HOSTILE: HOSTILE}, machine=HOSTILE),
        verdicts=(Verdict(name=HOSTILE, held=False, detail=HOSTILE, violations=(HOSTILE,)),),
        expectations=(Expectation(name=HOSTILE, wanted=HOSTILE, measured=HOSTILE, held=False),),
        totals=(replace(RESULT.totals[0], kind=HOSTILE),),
        errors={HOSTILE: 1},
        faults=(replace(RESULT.faults[0], name=HOSTILE, victim=HOSTILE, detail=HOSTILE),),
        gaps=(replace(RESULT.gaps[0], kind=HOSTILE),),
        samples=(sample(0, HOSTILE),),
        leaders=(LeaderChange(at_s=0, partition=1, leader=HOSTILE, term=1),),
        staleness=(replace(RESULT.staleness[0], az=HOSTILE, served_by={HOSTILE: 1}),),
        events=(Event(at_s=0, kind=HOSTILE, text=HOSTILE),),
    )
    html = render(result)
    plain = Page(render(RESULT))
    page = Page(html)
    assert "<img" not in html.replace(figures.escape(HOSTILE), "").split("plotly.js v")[0]
    assert sum(tag == "script" for tag, _ in page.tags) == sum(tag == "script" for tag, _ in plain.tags)
    assert not [tag for tag, attrs in page.tags if tag == "img" or "onerror" in attrs]
    # Plotly reads tags in names: they reach it escaped.
    assert "<" not in "".join(trace["name"] for trace in charts_of(html)["timeline"]["data"])


@pytest.mark.parametrize("name", ["timeline", "staleness", "gaps"])
def test_the_charts_are_such_as_plotly_knows(name: str) -> None:
    figure = charts_of(render(RESULT))[name]
    # Raises for any property or value that the library does not have.
    plotly.graph_objects.Figure(figure)


def test_the_charts_show_faults_holes_and_leaders() -> None:
    chart = charts_of(render(RESULT))["timeline"]
    assert [(shape["x0"], shape["x1"]) for shape in chart["layout"]["shapes"]] == [(3.0, 5.0)]
    traces = {trace["name"]: trace for trace in chart["data"]}
    # No success: no latency, not a latency of zero, which a logarithmic axis cannot show.
    assert traces["write p99"]["y"][-1] is None
    assert traces["refused"]["y"][-1] == 6
    assert traces["unknown"]["y"][-1] == 10
    n1, n2 = traces["n1"], traces["n2"]
    assert (n1["base"], n1["x"], n1["y"]) == ([-1.0], [4.0], ["p1"])
    assert dict(zip(n2["y"], n2["base"], strict=True)) == {"catalog": -1.0, "p1": 3.6}


def test_many_faults_are_shaded_without_labels_that_lie_upon_each_other() -> None:
    faults = tuple(
        FaultSpan(name="kill", victim="n1", began_s=float(at), ended_s=at + 0.5)
        for at in range(figures.FAULT_LABELS_MAX)
    )
    few = figures.timeline(replace(RESULT, faults=faults))["layout"]
    labels = [label["text"] for label in few["annotations"] if label["text"].startswith("<b>")]
    assert labels[1] == "<b>2</b>"
    many = figures.timeline(replace(RESULT, faults=(*faults, faults[0])))["layout"]
    assert len(many["shapes"]) == figures.FAULT_LABELS_MAX + 1
    assert not [label for label in many["annotations"] if label["text"].startswith("<b>")]


STATES = [
    pytest.param({}, "passed", id="all held"),
    pytest.param({"passed": False, "broke": "no cluster"}, "failed", id="the run broke"),
    pytest.param(
        {"passed": False, "verdicts": (Verdict(name="x", held=False, detail="", decided=False),)},
        "undecided",
        id="a checker gave up",
    ),
    pytest.param(
        {"passed": False, "verdicts": (Verdict(name="x", held=False, detail="", decided=False),), "broke": "y"},
        "failed",
        id="a checker gave up and the run broke",
    ),
    pytest.param(
        {"passed": False, "expectations": (replace(RESULT.expectations[0], held=False),)}, "failed", id="too slow"
    ),
]


@pytest.mark.parametrize(("changes", "status"), STATES)
def test_the_banner_says_how_it_ended(changes: dict[str, Any], status: str) -> None:
    result = replace(RESULT, **changes)
    assert status_of(result) == status
    assert f"banner {status}" in render(result)


def test_a_run_that_saw_nothing_has_a_page_without_charts() -> None:
    empty = replace(
        RESULT,
        passed=False,
        broke="the cluster did not start",
        verdicts=(),
        expectations=(),
        totals=(),
        errors={},
        faults=(),
        gaps=(),
        samples=(),
        leaders=(),
        staleness=(),
        events=(),
    )
    html = render(empty)
    assert "the cluster did not start" in html
    assert "plotly.js v" not in html


def test_gaps_are_summed_up() -> None:
    (row,) = gap_rows(RESULT.gaps)
    assert (row["count"], row["p50"], row["p99"], row["max"]) == (100, 50, 99, 100)


def test_a_result_that_was_saved_and_loaded_has_the_same_page(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(to_json(RESULT))
    loaded = load(tmp_path / "result.json")
    assert loaded == RESULT
    assert render(loaded) == render(RESULT)

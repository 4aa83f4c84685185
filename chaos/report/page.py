"""One HTML page of a result, which needs nothing else: no network, no other file. Pure but for reading its template.

Called by chaos.saved and by `trizone chaos report`. Laws: whatever a result says is text, never markup; what a chart
shows is said in words or in a table too.
"""

from __future__ import annotations

import importlib.resources
import json
from functools import cache
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from chaos.report import figures
from chaos.result import Gap, RunResult
from histories.percentiles import percentile

EVENTS_SHOWN_MAX = 2000


def render(result: RunResult) -> str:
    """The whole page."""
    charts = {"timeline": figures.timeline(result)} if result.samples or result.leaders else {}
    for name, figure in (("staleness", figures.staleness(result)), ("gaps", figures.gaps(result))):
        if figure is not None:
            charts[name] = figure
    kinds = figures.kinds_of(result.samples)
    return _template().render(
        result=result,
        status=status_of(result),
        charts=charts,
        charts_json=_script_safe(charts),
        plotly=_plotly() if charts else "",
        kind_colors={kind: figures.kind_color(kind, kinds) for kind in kinds},
        gap_colors={kind: figures.kind_color(kind, figures.gap_kinds(result)) for kind in figures.gap_kinds(result)},
        node_colors=figures.node_colors(result),
        zone_colors={
            row.az: figures.COLORS[number % len(figures.COLORS)] for number, row in enumerate(result.staleness)
        },
        failed_color=figures.FAILED_COLOR,
        unknown_color=figures.UNKNOWN_COLOR,
        gap_rows=gap_rows(result.gaps),
        elections=len(_elections(result)),
        events=result.events[:EVENTS_SHOWN_MAX],
        events_left=max(0, len(result.events) - EVENTS_SHOWN_MAX),
        seconds_text=_seconds,
    )


def status_of(result: RunResult) -> str:
    """passed, failed or undecided; a run that broke has failed."""
    if result.passed:
        return "passed"
    undecided = any(not verdict.decided for verdict in result.verdicts)
    wrong = any(verdict.decided and not verdict.held for verdict in result.verdicts)
    missed = any(not expectation.held for expectation in result.expectations)
    return "undecided" if undecided and not (wrong or missed or result.broke) else "failed"


def gap_rows(gaps: tuple[Gap, ...]) -> list[dict[str, Any]]:
    """For each kind, and whether the fault hit the leader: how many gaps, their median, 99th percentile and maximum."""
    groups: dict[tuple[str, bool], list[float]] = {}
    for gap in gaps:
        groups.setdefault((gap.kind, gap.led_by_victim), []).append(gap.ms)
    rows = []
    for (kind, led), own in sorted(groups.items(), key=lambda one: (one[0][0], not one[0][1])):
        own.sort()
        rows.append(
            {
                "kind": kind,
                "led": led,
                "count": len(own),
                "p50": percentile(own, 0.5),
                "p99": percentile(own, 0.99),
                "max": own[-1],
            }
        )
    return rows


def _elections(result: RunResult) -> set[tuple[int, int]]:
    """Terms that began while the load ran."""
    before: dict[int, int] = {}
    for change in sorted(result.leaders, key=lambda one: one.at_s):
        before.setdefault(change.partition, change.term)
    return {(change.partition, change.term) for change in result.leaders if change.term > before[change.partition]}


def _seconds(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def _script_safe(document: object) -> str:
    """JSON that cannot end the script element it lies in."""
    text = json.dumps(document, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = importlib.resources.files("chaos.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)


@cache
def _plotly() -> str:
    """The library that draws the charts; a text that ends a script would end ours."""
    source = importlib.resources.files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")
    return source.replace("</script", "<\\/script")

"""The charts of a report, as the JSON that plotly.js draws. Pure.

Called by chaos.report.page. Laws: one time axis for all that happened over time, with the faults shaded in every row;
colours are told apart by colour-blind eyes and on light and dark ground; names are escaped, since plotly reads tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from chaos.result import LeaderChange, RunResult, Sample

# Okabe and Ito's colours, without black and yellow, which vanish on one of the grounds. Nodes and AZs have others
# (Tol's muted ones), so that a node is not taken for a kind of operation.
KIND_COLORS = {"write": "#0072B2", "read": "#E69F00", "eventual": "#009E73"}
OTHER_KIND_COLORS = ("#56B4E9", "#999999", "#CC79A7")
COLORS = ("#88CCEE", "#AA4499", "#999933", "#CC6677", "#44AA99", "#6A6ACD", "#DDCC77", "#882255")
FAILED_COLOR, UNKNOWN_COLOR = "#8A8F98", "#D55E00"
FAULT_FILL, FAULT_LINE = "rgba(213, 94, 0, 0.14)", "rgba(213, 94, 0, 0.65)"
# More labels than that would lie upon each other: the table below the charts has them all.
FAULT_LABELS_MAX = 25
# How much of a narrow window's width a letter takes.
LABEL_LETTER_SHARE = 0.017
_ROW_GAP_PX, _TOP_PX, _BOTTOM_PX = 46, 44, 44
_THROUGHPUT_PX, _LATENCY_PX, _ERRORS_PX, _LANE_PX = 150, 190, 90, 26

Trace = dict[str, Any]
Figure = dict[str, Any]


def kind_color(kind: str, kinds: Sequence[str]) -> str:
    """The colour of a kind of operation."""
    return KIND_COLORS.get(kind) or OTHER_KIND_COLORS[sorted(kinds).index(kind) % len(OTHER_KIND_COLORS)]


def node_colors(result: RunResult) -> dict[str, str]:
    """A colour for every node; nodes of one AZ are neighbours in order, not in colour."""
    names = sorted({*result.cluster.nodes, *(change.leader for change in result.leaders if change.leader)})
    return {name: COLORS[number % len(COLORS)] for number, name in enumerate(names)}


def timeline(result: RunResult) -> Figure:
    """Throughput, latency, errors and leaders over one axis of time."""
    partitions = sorted({change.partition for change in result.leaders})
    heights = [_THROUGHPUT_PX, _LATENCY_PX, _ERRORS_PX, max(2, len(partitions)) * _LANE_PX]
    total = sum(heights) + _ROW_GAP_PX * (len(heights) - 1)
    traces = [*_throughput(result.samples), *_latency(result.samples), *_errors(result.samples), *_lanes(result)]
    names = (
        "operations per second",
        "latency, ms: p99 solid, p50 dotted, slowest as dots",
        "not answered with success, per second",
        "leader of each partition",
    )
    layout: dict[str, Any] = {
        "height": total + _TOP_PX + _BOTTOM_PX,
        "margin": {"l": 52, "r": 12, "t": _TOP_PX, "b": _BOTTOM_PX},
        "showlegend": False,
        "barmode": "stack",
        "bargap": 0,
        "hovermode": "closest",
        "xaxis": {
            "title": {"text": "seconds since the load began"},
            "range": list(_span(result)),
            "anchor": "y4",
            "zeroline": False,
        },
        "annotations": [],
        "shapes": _shades(result),
    }
    top = total
    for number, (height, name) in enumerate(zip(heights, names, strict=True), start=1):
        layout["yaxis" if number == 1 else f"yaxis{number}"] = {
            "domain": [max(0.0, (top - height) / total), top / total],
            "rangemode": "tozero",
            "zeroline": False,
            "fixedrange": True,
        }
        layout["annotations"].append(_row_name(name, top / total))
        top -= height + _ROW_GAP_PX
    layout["yaxis2"] |= {"type": "log", "dtick": "D2", "rangemode": "normal", "exponentformat": "none"}
    lanes = {"type": "category", "autorange": "reversed", "showgrid": False}
    layout["yaxis4"] |= lanes | {"categoryarray": [_lane(partition) for partition in partitions]}
    layout["annotations"] += _fault_labels(result)
    return {"data": traces, "layout": layout}


def _span(result: RunResult) -> tuple[float, float]:
    starts = [0.0, *(sample.at_s for sample in result.samples), *(fault.began_s for fault in result.faults)]
    ends = [
        result.seconds,
        *(sample.at_s + sample.width_s for sample in result.samples),
        *(fault.ended_s for fault in result.faults),
    ]
    return min(starts), max(ends)


def _row_name(name: str, top: float) -> dict[str, Any]:
    return {
        "text": name,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": top,
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 3,
        "showarrow": False,
        "align": "left",
        "font": {"size": 12},
    }


def _shades(result: RunResult) -> list[dict[str, Any]]:
    return [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": fault.began_s,
            "x1": max(fault.ended_s, fault.began_s),
            "y0": 0,
            "y1": 1,
            "fillcolor": FAULT_FILL,
            "line": {"color": FAULT_LINE, "width": 1},
            "layer": "below",
        }
        for fault in result.faults
    ]


def _fault_labels(result: RunResult) -> list[dict[str, Any]]:
    """Numbers at the upper edge, which the table of faults explains; names beside them where there is room."""
    if len(result.faults) > FAULT_LABELS_MAX:
        return []
    start, end = _span(result)
    next_s = [*(fault.began_s for fault in result.faults[1:]), end]
    labels = []
    for number, (fault, until) in enumerate(zip(result.faults, next_s, strict=True), start=1):
        room = (until - fault.began_s) / max(end - start, 1e-9)
        has_room = room >= (len(fault.name) + 3) * LABEL_LETTER_SHARE
        labels.append(
            {
                "text": f"<b>{number}</b>" + (f" {escape(fault.name)}" if has_room else ""),
                "hovertext": escape(f"{fault.name} {fault.victim}"),
                "xref": "x",
                "yref": "paper",
                "x": fault.began_s,
                "y": 1,
                "xanchor": "left",
                "yanchor": "bottom",
                "yshift": 18,
                "showarrow": False,
                "font": {"size": 12, "color": "#D55E00"},
            }
        )
    return labels


def kinds_of(samples: Sequence[Sample]) -> list[str]:
    """The kinds of operation, the best known first."""
    known = list(KIND_COLORS)
    return sorted(
        {sample.kind for sample in samples}, key=lambda kind: (known.index(kind) if kind in known else len(known), kind)
    )


def _of_kind(samples: Sequence[Sample], kind: str) -> list[Sample]:
    return sorted((sample for sample in samples if sample.kind == kind), key=lambda sample: sample.at_s)


def _middle(sample: Sample) -> float:
    return round(sample.at_s + sample.width_s / 2, 3)


def _throughput(samples: Sequence[Sample]) -> list[Trace]:
    kinds = kinds_of(samples)
    traces = []
    for kind in kinds:
        own = _of_kind(samples, kind)
        traces.append(
            _line(kind, [_middle(one) for one in own], [one.ok / one.width_s for one in own], kind_color(kind, kinds))
            | {"yaxis": "y", "hovertemplate": f"{escape(kind)}: %{{y:.0f}}/s at %{{x:.2f}} s<extra></extra>"}
        )
    return traces


def _line(name: str, x: list[float], y: list[float | None], color: str, **line: Any) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": escape(name),
        "x": x,
        "y": [None if value is None else round(value, 2) for value in y],
        "line": {"color": color, "width": 1.6, **line},
        "connectgaps": False,
    }


def _latency(samples: Sequence[Sample]) -> list[Trace]:
    kinds = kinds_of(samples)
    traces: list[Trace] = []
    for kind in kinds:
        own, color = _of_kind(samples, kind), kind_color(kind, kinds)
        x = [_middle(one) for one in own]
        for figure, line in (("p99", {}), ("p50", {"dash": "dot", "width": 1.2})):
            # Nothing succeeded: a hole in the line, not a latency of zero.
            y = [getattr(one, f"{figure}_ms") or None for one in own]
            hover = f"{escape(kind)} {figure}: %{{y}} ms at %{{x:.2f}} s<extra></extra>"
            traces.append(_line(f"{kind} {figure}", x, y, color, **line) | {"yaxis": "y2", "hovertemplate": hover})
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": escape(f"{kind} max"),
                "x": x,
                "y": [one.max_ms or None for one in own],
                "yaxis": "y2",
                "marker": {"color": color, "size": 3, "opacity": 0.55},
                "hovertemplate": f"{escape(kind)} slowest: %{{y}} ms at %{{x:.2f}} s<extra></extra>",
            }
        )
    return traces


def _errors(samples: Sequence[Sample]) -> list[Trace]:
    """Of all kinds together: refused, and unknown upon it."""
    slices: dict[float, tuple[float, int, int]] = {}
    for sample in samples:
        width, failed, unknown = slices.get(sample.at_s, (sample.width_s, 0, 0))
        slices[sample.at_s] = (width, failed + sample.failed, unknown + sample.unknown)
    ordered = sorted(slices.items())
    traces = []
    for name, color, column in (("refused", FAILED_COLOR, 1), ("unknown", UNKNOWN_COLOR, 2)):
        traces.append(
            {
                "type": "bar",
                "name": name,
                "x": [round(at + values[0] / 2, 3) for at, values in ordered],
                "y": [values[column] / values[0] for _, values in ordered],
                "width": [values[0] for _, values in ordered],
                "yaxis": "y3",
                "marker": {"color": color, "line": {"width": 0}},
                "hovertemplate": f"{name}: %{{y:.0f}}/s at %{{x:.2f}} s<extra></extra>",
            }
        )
    return traces


def _lane(partition: int) -> str:
    return "catalog" if partition == 0 else f"p{partition}"


def reigns(result: RunResult) -> list[tuple[LeaderChange, float]]:
    """Every change with the time at which the next one of its partition came."""
    _, end = _span(result)
    following: dict[int, float] = {}
    found = []
    for change in sorted(result.leaders, key=lambda one: one.at_s, reverse=True):
        found.append((change, following.get(change.partition, end)))
        following[change.partition] = change.at_s
    return found[::-1]


def _lanes(result: RunResult) -> list[Trace]:
    """A trace for each node: bars from when it leads until the next change."""
    start, _ = _span(result)
    traces = []
    for node, color in node_colors(result).items():
        own = [(change, until) for change, until in reigns(result) if change.leader == node and until > start]
        zone = result.cluster.nodes.get(node, "")
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": escape(node),
                "base": [max(change.at_s, start) for change, _ in own],
                "x": [round(until - max(change.at_s, start), 3) for change, until in own],
                "y": [_lane(change.partition) for change, _ in own],
                "yaxis": "y4",
                "width": 0.72,
                "marker": {"color": color, "line": {"width": 1, "color": "rgba(255,255,255,0.7)"}},
                "customdata": [[change.term, round(change.at_s, 2)] for change, _ in own],
                "hovertemplate": f"{escape(node)} ({escape(zone)}) leads %{{y}} from %{{customdata[1]}} s, "
                "term %{customdata[0]}<extra></extra>",
            }
        )
    return traces


def staleness(result: RunResult) -> Figure | None:
    """How old what stale reads showed was, by the AZ of their clients; None when nobody read what was stale."""
    if not any(row.stale for row in result.staleness):
        return None
    traces = []
    for number, row in enumerate(result.staleness):
        traces.append(
            {
                "type": "bar",
                "name": escape(row.az),
                "x": bucket_names([bound for bound, _ in row.histogram]),
                "y": [count for _, count in row.histogram],
                "marker": {"color": COLORS[number % len(COLORS)]},
                "hovertemplate": f"{escape(row.az)}: %{{y}} reads, %{{x}}<extra></extra>",
            }
        )
    layout = {
        "height": 260,
        "margin": {"l": 52, "r": 12, "t": 12, "b": 80},
        "showlegend": False,
        "barmode": "group",
        "xaxis": {"type": "category", "tickangle": -40},
        "yaxis": {"rangemode": "tozero", "title": {"text": "reads"}, "fixedrange": True},
    }
    return {"data": traces, "layout": layout}


def bucket_names(bounds: Sequence[float]) -> list[str]:
    """`2-5 ms` for a bucket between two bounds; the last one, of bound -1, has no end."""
    names, before = [], 0.0
    for bound in bounds:
        names.append(f"over {before:g} ms" if bound < 0 else f"{before:g}-{bound:g} ms")
        before = bound
    return names


def gap_kinds(result: RunResult) -> list[str]:
    """The kinds of operation whose gaps were measured."""
    return sorted({gap.kind for gap in result.gaps}, key=lambda kind: (kind not in KIND_COLORS, kind))


def gaps(result: RunResult) -> Figure | None:
    """The longest time without a success after each fault, a dot for each partition; None when nothing was measured."""
    if not result.gaps:
        return None
    kinds = gap_kinds(result)
    traces = []
    for kind in kinds:
        for led in (True, False):
            own = [gap for gap in result.gaps if gap.kind == kind and gap.led_by_victim == led]
            whose = "leader hit" if led else "leader elsewhere"
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": escape(f"{kind}, {whose}"),
                    "x": [gap.fault + 1 + 0.12 * (kinds.index(kind) - (len(kinds) - 1) / 2) for gap in own],
                    "y": [max(gap.ms, 0.1) for gap in own],
                    "customdata": [[gap.partition, gap.fault + 1] for gap in own],
                    "marker": {
                        "color": kind_color(kind, kinds),
                        "size": 9 if led else 6,
                        "symbol": "diamond" if led else "circle-open",
                        "opacity": 0.85,
                    },
                    "hovertemplate": f"fault %{{customdata[1]}}, partition %{{customdata[0]}}: {escape(kind)} "
                    f"%{{y:.0f}} ms, {whose}<extra></extra>",
                }
            )
    layout = {
        "height": 280,
        "margin": {"l": 60, "r": 12, "t": 12, "b": 44},
        "showlegend": False,
        "hovermode": "closest",
        "xaxis": {
            "title": {"text": "fault"},
            "tick0": 1,
            "dtick": max(1, len(result.faults) // 12),
            "zeroline": False,
            "range": [0.5, max(gap.fault for gap in result.gaps) + 1.5],
        },
        "yaxis": {"type": "log", "dtick": "D2", "title": {"text": "ms"}, "exponentformat": "none", "fixedrange": True},
    }
    return {"data": traces, "layout": layout}

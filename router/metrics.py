"""What the router counts, and how Prometheus reads it.

`Counts` is written on the event loop by every part of the router as plain integers; `RouterCollector` turns it into
metric families when scraped, in the scrape's thread. Law: counting costs the hot path a few additions, never a label
lookup or a lock; a scrape reads integers only, so the worst it can see is one count a moment old.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

LATENCY_BOUNDS_S = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
)  # fmt: skip
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Histogram:
    """Counts by upper bound (inclusive), not cumulated, and the sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulated, as Prometheus wants them."""
        result: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), list(self.counts), strict=True):
            running += count
            result.append((bound, running))
        return result


class StreamCounts:
    """One node's stream."""

    __slots__ = ("connected", "connects", "frames_received", "frames_sent", "received_batches", "sent_batches")

    def __init__(self) -> None:
        self.connected = 0
        self.connects = 0
        self.frames_sent = 0
        self.frames_received = 0
        self.sent_batches = Histogram(BATCH_BOUNDS)
        self.received_batches = Histogram(BATCH_BOUNDS)


class Counts:
    """Everything counted in this process. `operations` are the names that `metric` indexes."""

    def __init__(self, operations: Sequence[str]) -> None:
        self.operations = tuple(operations)
        self.latency = [Histogram(LATENCY_BOUNDS_S) for _ in operations]
        self.errors: dict[tuple[int, str], int] = {}
        self.in_flight = 0
        self.connections = 0
        self.connections_refused = 0
        self.retries = 0
        self.repeats = 0
        # Answers that HTTP gave itself because it could not take the request, by status.
        self.http_refusals: dict[int, int] = {}
        self.late_results = 0
        self.streams: dict[str, StreamCounts] = {}

    def observe(self, metric: int, error_code: str, elapsed_s: float) -> None:
        """One request has been answered; `error_code` is empty on success."""
        self.latency[metric].observe(elapsed_s)
        if error_code:
            key = (metric, error_code)
            self.errors[key] = self.errors.get(key, 0) + 1

    def refuse(self, status: int) -> None:
        """A request was refused before any operation saw it."""
        self.http_refusals[status] = self.http_refusals.get(status, 0) + 1

    def stream(self, node_id: str) -> StreamCounts:
        """The counters of one node's stream."""
        return self.streams.setdefault(node_id, StreamCounts())


@dataclass(frozen=True, slots=True)
class Gauges:
    """Functions asked at each scrape; they run in the scrape's thread and must only read."""

    parked: Callable[[], int]
    outstanding: Callable[[], dict[str, int]]
    catalog_version: Callable[[], int]
    catalog_reads: Callable[[], int]


class RouterCollector(Collector):
    """The metric families of a router."""

    def __init__(self, counts: Counts, gauges: Gauges) -> None:
        self._counts = counts
        self._gauges = gauges

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        """Called by prometheus_client for each scrape."""
        yield from self._requests()
        yield from self._streams()
        counts = self._counts
        gauges = (
            ("in_flight", "Requests received and not yet answered", counts.in_flight),
            ("connections", "Open HTTP connections", counts.connections),
            ("parked_operations", "Operations that wait for a leader or a back-off", self._gauges.parked()),
            ("catalog_version", "Catalog version this router serves from", self._gauges.catalog_version()),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(f"trizone_router_{name}", text, value=value)
        totals = (
            ("connections_refused", "Connections refused at connections_max", counts.connections_refused),
            ("retries", "Operations sent again to a node", counts.retries),
            ("write_repeats", "Writes in doubt, sent again with their request id", counts.repeats),
            ("catalog_reads", "Strong catalog reads for unknown table names", self._gauges.catalog_reads()),
            ("late_results", "Results for operations that had been given up", counts.late_results),
        )
        for name, text, value in totals:
            yield CounterMetricFamily(f"trizone_router_{name}", text, value=value)

    def _requests(self) -> Iterable[CounterMetricFamily | HistogramMetricFamily]:
        counts = self._counts
        requests = CounterMetricFamily(
            "trizone_router_requests", "Requests by operation and error code", labels=("operation", "error")
        )
        latency = HistogramMetricFamily(
            "trizone_router_request_seconds", "From the whole request to its answer", labels=("operation",)
        )
        failed: dict[int, int] = {}
        for (metric, code), number in list(counts.errors.items()):
            failed[metric] = failed.get(metric, 0) + number
            requests.add_metric((counts.operations[metric], code), number)
        for metric, (name, histogram) in enumerate(zip(counts.operations, counts.latency, strict=True)):
            buckets = histogram.buckets()
            total = buckets[-1][1]
            if total:
                requests.add_metric((name, ""), max(0, total - failed.get(metric, 0)))
                latency.add_metric((name,), buckets, histogram.total)
        yield requests
        yield latency
        refusals = CounterMetricFamily(
            "trizone_router_http_refusals", "Requests that HTTP refused, by status", labels=("status",)
        )
        for status, number in list(counts.http_refusals.items()):
            refusals.add_metric((str(status),), number)
        yield refusals

    def _streams(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        labels = ("node",)
        connected = GaugeMetricFamily(
            "trizone_router_stream_connected", "1 while the node's stream is up", labels=labels
        )
        connects = CounterMetricFamily("trizone_router_stream_connects", "Streams made to the node", labels=labels)
        sent = CounterMetricFamily("trizone_router_frames_sent", "Frames written to the node", labels=labels)
        received = CounterMetricFamily("trizone_router_frames_received", "Frames read from the node", labels=labels)
        sent_batch = HistogramMetricFamily("trizone_router_frame_operations", "Operations in a frame", labels=labels)
        received_batch = HistogramMetricFamily("trizone_router_frame_results", "Results in a frame", labels=labels)
        for node_id, stream in list(self._counts.streams.items()):
            connected.add_metric((node_id,), stream.connected)
            connects.add_metric((node_id,), stream.connects)
            sent.add_metric((node_id,), stream.frames_sent)
            received.add_metric((node_id,), stream.frames_received)
            sent_batch.add_metric((node_id,), stream.sent_batches.buckets(), stream.sent_batches.total)
            received_batch.add_metric((node_id,), stream.received_batches.buckets(), stream.received_batches.total)
        outstanding = GaugeMetricFamily(
            "trizone_router_outstanding_operations", "Operations given to the node's stream", labels=labels
        )
        for node_id, number in self._gauges.outstanding().items():
            outstanding.add_metric((node_id,), number)
        yield from (connected, connects, sent, received, sent_batch, received_batch, outstanding)

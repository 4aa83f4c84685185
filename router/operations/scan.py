"""Scan (API reference: Scan): a page of a whole table or index, or of one segment of it, in ring order.

Called by router.operations.registry. Which partitions are asked, and when, is decided in router.operations.scan_merge.
Law: at most one answer of each partition is held, and nothing of a page once it is answered.
"""

from __future__ import annotations

from typing import Any

from dynamo.limits import PAGE_BYTES_MAX
from dynamo.queries.start_keys import check_segments, scan_range
from router.operations.call import Call, Services
from router.operations.items import failure_error, result_error
from router.operations.parameters import ParameterNames
from router.operations.range_pages import Page, RangePlan
from router.operations.range_request import RangeRequest
from router.operations.scan_merge import Ask, ScanMerge
from router.operations.tables import denied, find_active
from router.routing.partition_map import PartitionMap, RangeSlice
from router.routing.pending import Failure, Pending
from wire import data_pb2

_PARAMETERS = ParameterNames(
    ("ProjectionExpression", "FilterExpression"), ("AttributesToGet", "ScanFilter", "ConditionalOperator")
)


class _SlicePending(Pending):
    """The read of one partition's part."""

    __slots__ = ("ask", "run")

    def __init__(self, run: _ScanRun, ask: Ask, operation: data_pb2.Operation, deadline_s: float) -> None:
        super().__init__(operation, deadline_s)
        self.run = run
        self.ask = ask

    def complete(self, result: data_pb2.Result) -> None:
        """Hand the verdict to the page."""
        self.run.received(self.ask, result)

    def give_up(self, failure: Failure) -> None:
        """Without this part there is no page."""
        self.run.failed(failure)


class _ScanRun:
    """One page under way. Answers its call exactly once; what comes later is ignored."""

    __slots__ = ("_call", "_deadline_s", "_ended", "_merge", "_plan", "_services", "_slices")

    def __init__(self, services: Services, call: Call, plan: RangePlan, slices: list[RangeSlice]) -> None:
        self._services = services
        self._call = call
        self._plan = plan
        self._slices = slices
        self._merge = ScanMerge(slices, plan.limit, PAGE_BYTES_MAX)
        self._deadline_s = services.port.new_deadline_s()
        self._ended = False

    def begin(self) -> None:
        """Ask the first partition."""
        self._submit(self._merge.begin())

    def received(self, ask: Ask, result: data_pb2.Result) -> None:
        """One partition's verdict."""
        if self._ended:
            return
        if result.status == data_pb2.OK:
            self._services.run_guarded(self._call, lambda: self._merge_in(ask, result))
            return
        self._ended = True
        if result.status == data_pb2.TABLE_GONE and not self._call.catalog_confirmed:
            # The name may belong to a newer table by now.
            self._services.retry(self._call)
        else:
            self._call.fail(result_error(result))

    def failed(self, failure: Failure) -> None:
        """One partition has not answered."""
        if not self._ended:
            self._ended = True
            self._call.fail(failure_error(failure))

    def _merge_in(self, ask: Ask, result: data_pb2.Result) -> None:
        try:
            asks = self._merge.received(ask, result)
            if self._merge.ended:
                self._ended = True
                self._call.succeed(self._plan.render(self._merge.page))
            else:
                self._submit(asks)
        except Exception:
            self._ended = True
            raise

    def _submit(self, asks: list[Ask]) -> None:
        for ask in asks:
            operation = self._plan.operation(self._slices[ask.position], ask.limit, ask.bytes_max)
            self._services.port.submit(_SlicePending(self, ask, operation, self._deadline_s))
            if self._ended:
                # Refused at once: the rest would be read for nobody.
                return


def scan(services: Services, call: Call, request: dict[str, Any]) -> None:
    """Raises DynamoError; else `call` is answered when the page is whole."""
    _PARAMETERS.check_combination(request)
    read = RangeRequest(request)
    read.read_legacy_projection()
    read.read_legacy_filter("ScanFilter")
    read.read_start_key()
    segment, total_segments = request.get("Segment"), request.get("TotalSegments")
    check_segments(segment, total_segments)
    read.read_expressions(len(call.body))
    table = find_active(services, call, request["TableName"])
    if table is None:
        raise denied(call)
    layout = read.layout(call, table)
    key_range = scan_range(
        layout, read.start_key, segment=segment, total_segments=total_segments, select=request.get("Select")
    )
    plan = read.plan(table, layout, filters_keys=True)
    partition_map = services.copy.partition_map
    assert isinstance(partition_map, PartitionMap), "a table and the map come from the same catalog"
    slices = [] if key_range.is_empty else partition_map.slices(key_range.start, key_range.end)
    if not slices:
        # A segment that holds no hash, or nothing of it is left.
        call.succeed(plan.render(Page()))
        return
    _ScanRun(services, call, plan, slices).begin()

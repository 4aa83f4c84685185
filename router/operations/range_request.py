"""A Query or Scan read from its request: expressions or legacy parameters, start key, selection.

Called by router.operations.query and scan. Law: what can be said without the table is said before it is looked up, in
the service's order; what comes of both kinds of parameters is the same.
"""

from __future__ import annotations

from typing import Any

import orjson

from dynamo.expressions import Condition, Projection, check_substitutions_size, parse_condition, parse_projection
from dynamo.limits import EXPRESSION_SUBSTITUTIONS_BYTES_MAX
from dynamo.queries.expressions import read_expressions
from dynamo.queries.filters import FILTER, check_filter_keys, check_key_paths
from dynamo.queries.key_conditions import KeyConditions
from dynamo.queries.layout import KeyLayout, index_layout, table_layout
from dynamo.queries.legacy import Translated, translate_attributes_to_get, translate_filter
from dynamo.queries.selection import check_consistent_read, check_select, projection_heads, select_attributes
from dynamo.queries.start_keys import canonical_start_key
from dynamo.values import Item
from router.operations.call import Call
from router.operations.parameters import canonical_values
from router.operations.range_pages import RangePlan, find_index
from topology.tables import TableInfo


class RangeRequest:
    """What a request says before its table is known."""

    __slots__ = ("filter", "key_conditions", "names", "projection", "request", "start_key", "texts", "values")

    def __init__(self, request: dict[str, Any]) -> None:
        """Reads nothing yet: the order of the steps below is the operation's. Raises ValidationException for Select."""
        check_select(request)
        self.request = request
        # Of a legacy KeyConditions these stay empty: dynamo.queries.legacy reads it.
        self.key_conditions: KeyConditions | None = None
        self.filter: Condition | None = None
        self.projection: Projection | None = None
        self.names: dict[str, str] | None = None
        self.values: Item | None = None
        self.start_key: Item | None = None
        # For Operation.expressions.
        self.texts: dict[str, str] = {}

    def read_legacy_filter(self, name: str) -> None:
        """QueryFilter or ScanFilter, and ConditionalOperator. Raises DynamoError."""
        get = self.request.get
        translated = translate_filter(get(name), get("ConditionalOperator"))
        if translated is not None:
            self.filter = parse_condition(translated.text, FILTER, may_be_translated=True)
            self._take("filter", translated)

    def read_legacy_projection(self) -> None:
        """AttributesToGet. Raises ValidationException."""
        attributes = self.request.get("AttributesToGet")
        if attributes is not None:
            translated = translate_attributes_to_get(attributes)
            self.projection = parse_projection(translated.text, may_be_translated=True)
            self._take("projection", translated)

    def _take(self, member: str, translated: Translated) -> None:
        self.texts[member] = translated.text
        self.names = {**(self.names or {}), **translated.names}
        self.values = {**(self.values or {}), **translated.values}

    def read_start_key(self) -> None:
        """ExclusiveStartKey. Raises DynamoError."""
        raw = self.request.get("ExclusiveStartKey")
        if raw is not None:
            self.start_key = canonical_start_key(raw)

    def read_expressions(self, body_bytes: int) -> None:
        """The expressions, when there are any; `body_bytes` as came the request. Raises DynamoError."""
        get = self.request.get
        key_condition, filter_text = get("KeyConditionExpression"), get("FilterExpression")
        projection = get("ProjectionExpression")
        if key_condition is None and filter_text is None and projection is None:
            return
        self.names = get("ExpressionAttributeNames")
        self.values = canonical_values(self.request)
        if body_bytes > EXPRESSION_SUBSTITUTIONS_BYTES_MAX:
            check_substitutions_size(self.names, self.values)
        read = read_expressions(
            key_condition=key_condition,
            filter_text=filter_text,
            projection=projection,
            names=self.names,
            values=self.values,
        )
        self.key_conditions = read.key_conditions
        self.filter = read.filter
        self.projection = read.projection
        if filter_text is not None:
            self.texts["filter"] = filter_text
        if projection is not None:
            self.texts["projection"] = projection

    def layout(self, call: Call, table: TableInfo) -> KeyLayout:
        """What is read of the table, by IndexName and ConsistentRead. Raises ValidationException, NeedsCatalog."""
        index = find_index(call, table, self.request)
        if index is None:
            return table_layout(table.key_schema)
        layout = index_layout(index)
        check_consistent_read(layout, bool(self.request.get("ConsistentRead")))
        return layout

    def plan(self, table: TableInfo, layout: KeyLayout, *, filters_keys: bool, backward: bool = False) -> RangePlan:
        """The read, once keys are judged. Raises ValidationException.

        `filters_keys` says that the filter may be about key attributes, as a Scan's may.
        """
        names = self.names
        if self.projection is not None and not self.projection.flat:
            check_key_paths(self.projection.paths, names, table.key_schema, table.indexes)
        if self.filter is not None and not filters_keys:
            check_filter_keys(self.filter, names, layout)
        wanted = projection_heads(self.projection, names)
        selection = select_attributes(layout, self.request.get("Select"), wanted)
        if self.filter is not None:
            check_key_paths(self.filter.paths, names, table.key_schema, table.indexes)
        return RangePlan(
            request=self.request,
            table=table,
            index=layout.index,
            key_names=layout.key_names,
            expressions=self._encoded(),
            is_consistent=bool(self.request.get("ConsistentRead")),
            count_only=selection.count_only,
            projected=selection.projected,
            fetch=selection.fetch,
            backward=backward,
        )

    def _encoded(self) -> bytes:
        """For Operation.expressions: what the replica evaluates; empty without filter and projection."""
        encoded: dict[str, Any] = self.texts
        if not encoded:
            return b""
        if self.names:
            encoded = {**encoded, "names": self.names}
        if self.values:
            encoded = {**encoded, "values": self.values}
        return orjson.dumps(encoded)

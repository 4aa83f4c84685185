"""What a Query or Scan gives back: Select, AttributesToGet, ProjectionExpression, and what an index can give.

Called by the router: check_select before the table is looked up, the others after. Law: nothing is promised that the
index does not hold, except from a local index, which fetches the item from the table that lies beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dynamo.errors import invalid_parameter, validation
from dynamo.expressions.compiled import Projection
from dynamo.queries.layout import KeyLayout


@dataclass(frozen=True, slots=True)
class Selection:
    """What to read and to answer, as RangeRead of the node wants it."""

    # Select COUNT: no items.
    count_only: bool
    # The attributes that a local index holds; empty: all.
    projected: tuple[str, ...]
    # A local index that does not hold all that is asked for: whole items from the table, for more capacity.
    fetch: bool


def check_select(request: Mapping[str, Any]) -> None:
    """Select against AttributesToGet, ProjectionExpression and IndexName; raises ValidationException.

    Source: recorded answers of the service, which says "Querying" to a Scan too.
    """
    select = request.get("Select")
    if select is None:
        return
    projection = next((name for name in ("ProjectionExpression", "AttributesToGet") if name in request), None)
    if select == "SPECIFIC_ATTRIBUTES":
        if projection is None:
            raise validation(
                "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
            )
        return
    if projection is not None:
        wanted = "only the Count" if select == "COUNT" else select
        raise validation(f"Cannot specify the {projection} when choosing to get {wanted}")
    if select == "ALL_PROJECTED_ATTRIBUTES" and "IndexName" not in request:
        raise validation("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")


def check_consistent_read(layout: KeyLayout, consistent_read: bool) -> None:
    """A global index has no leader to read from; raises ValidationException."""
    if consistent_read and layout.is_global:
        raise validation("Consistent reads are not supported on global secondary indexes")


def check_all_attributes(layout: KeyLayout, select: str | None) -> None:
    """A global index gives ALL_ATTRIBUTES only when it holds them all; raises ValidationException."""
    index = layout.index
    if select == "ALL_ATTRIBUTES" and index is not None and layout.is_global and index.projected_names is not None:
        raise invalid_parameter(
            f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name} because its "
            "projection type is not ALL"
        )


def projection_heads(projection: Projection | None, names: Mapping[str, str] | None) -> list[str] | None:
    """The top-level attributes that a checked projection names, in its order; None without one."""
    if projection is None:
        return None
    if projection.flat:
        return list(projection.flat)
    heads = [str(path.elements[0]) for path in projection.paths]
    known = names or {}
    return list(dict.fromkeys(known[head] if head[0] == "#" else head for head in heads))


def select_attributes(layout: KeyLayout, select: str | None, wanted: Iterable[str] | None) -> Selection:
    """What to read for a request; `wanted` are the attributes it asks for, None when it does not say.

    Raises ValidationException when a global index cannot give them.
    """
    check_all_attributes(layout, select)
    index = layout.index
    held = None if index is None else index.projected_names
    count_only = select == "COUNT"
    if index is None or held is None:
        return Selection(count_only, (), fetch=False)
    missing = [name for name in wanted or () if name not in held]
    if layout.is_global:
        if missing:
            raise invalid_parameter(f"Global secondary index {index.name} does not project [{', '.join(missing)}]")
        return Selection(count_only, (), fetch=False)
    return Selection(count_only, held, fetch=bool(missing) or select == "ALL_ATTRIBUTES")

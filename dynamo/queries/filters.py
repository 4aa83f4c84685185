"""Filters of Query and Scan, and paths that must not go into key attributes.

Called by the router when table and index are known. Law: a filter of a Query says nothing about the key attributes of
what is queried, those are the business of the key conditions; and no path looks into a key attribute, as keys are
scalars.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dynamo.errors import validation
from dynamo.expressions.compiled import Condition
from dynamo.expressions.nodes import Path
from dynamo.indexes import IndexDefinition, IndexKind
from dynamo.keys import KeySchema
from dynamo.queries.layout import KeyLayout

FILTER = "FilterExpression"


def check_filter_keys(condition: Condition, names: Mapping[str, str] | None, layout: KeyLayout) -> None:
    """Refuse a Query's filter that names a key attribute of what is queried; raises ValidationException."""
    heads = {_head(path, names or {}) for path in condition.paths}
    for attribute in layout.attributes:
        if attribute.name in heads:
            filter_name = "QueryFilter" if condition.is_translated else "Filter Expression"
            raise validation(
                f"{filter_name} can only contain non-primary key attributes: Primary key attribute: {attribute.name}"
            )


def check_key_paths(
    paths: Iterable[Path],
    names: Mapping[str, str] | None,
    table_key: KeySchema,
    indexes: Iterable[IndexDefinition],
) -> None:
    """Refuse paths that go into a key attribute of the table or of any of its indexes; raises ValidationException.

    `paths` are Condition.paths, Projection.paths or Update.paths.
    """
    nested = {_head(path, names or {}) for path in paths if len(path.elements) > 1}
    if not nested:
        return
    for name in table_key.names:
        if name in nested:
            raise _not_scalar("Key", name)
    # The service goes through global indexes first, the last one first.
    for kind in (IndexKind.GLOBAL, IndexKind.LOCAL):
        for index in reversed([index for index in indexes if index.kind is kind]):
            for attribute in (*index.partition, *index.sort):
                if attribute.name in nested:
                    raise _not_scalar("IndexKey", attribute.name)


def _head(path: Path, names: Mapping[str, str]) -> str:
    head = str(path.elements[0])
    return names[head] if head[0] == "#" else head


def _not_scalar(role: str, name: str) -> Exception:
    return validation(
        f"Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: {role}: {name}"
    )

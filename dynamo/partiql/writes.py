"""A bound INSERT, UPDATE or DELETE and its table to a native write.

Called by router.operations.statements. Law: one statement is one write of one item, named by its whole key; what else
the WHERE says is the condition of the write.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dynamo.errors import validation
from dynamo.expressions.nodes import And, Comparison, ConditionNode, Or
from dynamo.keys import KeyAttribute, KeySchema
from dynamo.partiql.branches import check_key_type, conjunction, equal_values_of
from dynamo.partiql.faults import INCOMPLETE_KEY
from dynamo.partiql.rendering import Renderer
from dynamo.partiql.statements import Change, Delete, Insert
from dynamo.values import Item

# Templates kept: one for each statement and key schema in use.
CACHED_TEMPLATES_MAX = 512


@dataclass(frozen=True, slots=True)
class Write:
    """One native write; `duplicate` says that a failed condition means a duplicate key."""

    operation: str
    request: dict[str, Any]
    duplicate: bool = False


def plan_write(statement: Insert | Change | Delete, values: Item, table_key: KeySchema) -> Write:
    """The native write of a statement. Raises ValidationException."""
    if isinstance(statement, Insert):
        return _plan_insert(statement, values, table_key)
    template = _template(statement, table_key)
    key: Item = {}
    for attribute, placeholders in template.key:
        first = values[placeholders[0]]
        if any(values[other] != first for other in placeholders[1:]):
            raise validation(
                f"Multiple conditions on same key {attribute.name}. Only single item Update/Insert/Delete are supported"
            )
        check_key_type(attribute, first)
        key[attribute.name] = first
    request: dict[str, Any] = {"TableName": statement.table, "Key": key, **template.members}
    if template.placeholders:
        request["ExpressionAttributeValues"] = {key: values[key] for key in template.placeholders}
    return Write("UpdateItem" if isinstance(statement, Change) else "DeleteItem", request)


def _plan_insert(insert: Insert, values: Item, table_key: KeySchema) -> Write:
    item: Item = {name: values[value] if isinstance(value, str) else value.copy() for name, value in insert.attributes}
    for attribute in table_key.attributes:
        value = item.get(attribute.name)
        if value is None:
            raise validation(f"Key attribute should be present in the item: Key {attribute.name}")
        check_key_type(attribute, value)
    request = {
        "TableName": insert.table,
        "Item": item,
        "ConditionExpression": "attribute_not_exists(#0)",
        "ExpressionAttributeNames": {"#0": table_key.partition.name},
    }
    return Write("PutItem", request, duplicate=True)


@dataclass(frozen=True, slots=True)
class _Template:
    """What requests of one statement on one key schema share."""

    key: tuple[tuple[KeyAttribute, tuple[str, ...]], ...]
    members: dict[str, Any]
    placeholders: tuple[str, ...]


@lru_cache(CACHED_TEMPLATES_MAX)
def _template(statement: Change | Delete, table_key: KeySchema) -> _Template:
    assert statement.where is not None, "a write without WHERE does not compile"
    nodes = statement.where.node.parts if isinstance(statement.where.node, And) else (statement.where.node,)
    key: dict[KeyAttribute, list[str]] = {attribute: [] for attribute in table_key.attributes}
    rest: list[ConditionNode] = []
    for node in nodes:
        found = False
        for attribute, placeholders in key.items():
            equal = equal_values_of(node, attribute.name) if isinstance(node, Comparison) else ()
            placeholders.extend(value.placeholder for value in equal)
            found = found or bool(equal)
        if not found:
            rest.append(node)
    if not all(key.values()):
        raise validation(INCOMPLETE_KEY)
    renderer = Renderer()
    members: dict[str, Any] = {}
    partition = renderer.name(table_key.partition.name)
    if isinstance(statement, Change):
        # Nothing is created: what the service says of a missing item is that the condition failed.
        condition = f"attribute_exists({partition})"
        if rest:
            condition += f" AND {_grouped(renderer, tuple(rest))}"
        members["UpdateExpression"] = renderer.update(statement.actions)
        members["ConditionExpression"] = condition
    elif rest:
        # A missing item is not looked at: it is gone, which is what the statement wants.
        members["ConditionExpression"] = (
            f"attribute_not_exists({partition}) OR {renderer.condition(conjunction(tuple(rest)))}"
        )
    if "ConditionExpression" in members:
        members["ExpressionAttributeNames"] = renderer.names
    if statement.return_values != "NONE":
        members["ReturnValues"] = statement.return_values
    return _Template(
        tuple((attribute, tuple(placeholders)) for attribute, placeholders in key.items()),
        members,
        renderer.placeholders,
    )


def _grouped(renderer: Renderer, nodes: tuple[ConditionNode, ...]) -> str:
    """All of `nodes` as text that may stand beside an AND."""
    if len(nodes) == 1 and isinstance(nodes[0], Or):
        return f"({renderer.condition(nodes[0])})"
    return renderer.condition(conjunction(nodes))

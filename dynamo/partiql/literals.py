"""Literals of a statement to attribute values.

Called by the compiler. Law: what comes out is canonical (dynamo.values); a fault names the place inside the literal as
the service does, `root` for the literal itself.
"""

from __future__ import annotations

from dynamo.errors import DynamoError, validation
from dynamo.limits import NESTING_LEVELS_MAX
from dynamo.numbers import normalize
from dynamo.partiql.faults import located
from dynamo.partiql.nodes import (
    Call,
    Expression,
    IsType,
    Literal,
    Missing,
    Parameter,
    Path,
    Sequence,
    Struct,
)
from dynamo.values import AttributeValue, Item, canonical_value

ROOT = "root"
_BAG_TYPES = "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags"
_TYPE_NAMES: dict[type[Expression], str] = {
    Parameter: "Parameter",
    Path: "VariableReference",
    Missing: "LiteralMissing",
    IsType: "IsType",
}


def literal_value(expression: Expression, text: str) -> AttributeValue:
    """The value of a literal in the statement `text`. Raises ValidationException, also for what is no literal."""
    return _value(expression, text, ROOT, 0)


def is_literal(expression: Expression) -> bool:
    """Whether this is written as a value rather than computed."""
    return isinstance(expression, Literal | Sequence | Struct)


def _value(expression: Expression, text: str, path: str, level: int) -> AttributeValue:
    if level >= NESTING_LEVELS_MAX:
        raise validation(f"Nesting Levels have exceeded supported limits under {path}")
    match expression:
        case Literal():
            return _scalar(expression, path)
        case Sequence(kind="list", items=items):
            return {"L": [_value(item, text, f"{path}[{index}]", level + 1) for index, item in enumerate(items)]}
        case Sequence(items=items):
            return _bag(items, path)
        case Struct():
            return {"M": struct_members(expression, text, path, level)}
    name = expression.name if isinstance(expression, Call) else _TYPE_NAMES.get(type(expression), "NAry")
    raise located(f"Unsupported data type: {name} under key {path}", text, expression.start, expression.length)


def struct_members(struct: Struct, text: str, path: str, level: int) -> Item:
    """The members of a map literal. Raises ValidationException."""
    members: Item = {}
    for name, value in struct_items(struct, path):
        members[name] = _value(value, text, f"{path}.{name}", level + 1)
    return members


def struct_items(struct: Struct, path: str = ROOT) -> list[tuple[str, Expression]]:
    """Names and unread values of a map literal. Raises ValidationException for names that are no strings or repeat."""
    items: dict[str, Expression] = {}
    for key, value in struct.members:
        if not isinstance(key, Literal) or key.kind != "S":
            kind = _key_kind(key)
            raise validation(f"Tuple keys must be of type String. Actual type: {kind} under {path}")
        if key.text in items:
            raise validation(f"Duplicate keys in tuple. Key: {key.text} under {path}")
        items[key.text] = value
    return list(items.items())


def _key_kind(key: Expression) -> str:
    if isinstance(key, Literal):
        return {"N": "INT", "BOOL": "BOOL", "NULL": "NULL"}.get(key.kind, key.kind)
    return _TYPE_NAMES.get(type(key), "NAry")


def _scalar(literal: Literal, path: str) -> AttributeValue:
    if literal.kind == "N":
        return {"N": _number(literal.text, path)}
    if literal.kind == "BOOL":
        return {"BOOL": literal.text == "true"}
    if literal.kind == "NULL":
        return {"NULL": True}
    if literal.kind == "ION":
        raise validation(f"Ion Literals are not supported: {literal.text} under key {path}")
    return {"S": literal.text}


def _number(text: str, path: str) -> str:
    try:
        return normalize(text)
    except DynamoError as error:
        raise validation(f"{error.message} under {path}") from error


def _bag(items: tuple[Expression, ...], path: str) -> AttributeValue:
    if not items:
        raise validation("Empty bags are not supported")
    literals = [item for item in items if isinstance(item, Literal) and item.kind in ("S", "N")]
    kinds = {literal.kind for literal in literals}
    if len(literals) != len(items) or len(kinds) != 1:
        raise validation(_BAG_TYPES)
    if kinds == {"S"}:
        return canonical_value({"SS": [literal.text for literal in literals]})
    return canonical_value({"NS": [_number(literal.text, path) for literal in literals]})

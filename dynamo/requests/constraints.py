"""Second pass over a request: required members, lengths, ranges, patterns, enumerations, all reported together.

Called by dynamo.requests.validator on what dynamo.requests.reading returned. Law: violations come in the service's
order and words, at most ten ("2 validation errors detected: Value ... at ... failed to satisfy constraint: ...").
"""

from __future__ import annotations

from typing import Any

from dynamo.errors import DynamoError, validation
from dynamo.limits import TABLE_NAME_CHARACTERS_MAX, VALIDATION_ERRORS_MAX
from dynamo.requests.model import Member, Shape


def violations(shape: Shape, value: Any, path: str = "") -> list[str]:
    """The violated constraints of `value` and what it holds; `path` is where it stands in the request.

    The search of a collection ends soon after the reported number is reached, or a body of a million nulls would become
    a million texts.
    """
    found = _own(shape, value, path)
    if shape.kind == "Structure":
        for member in shape.members:
            found += _member(member, value.get(member.name), path)
    elif shape.kind == "List" and shape.element is not None:
        for number, element in enumerate(value, start=1):
            if len(found) >= VALIDATION_ERRORS_MAX:
                break
            where = f"{path}.{number}.member"
            found += violations(shape.element, element, where) if element is not None else [_null(where)]
    elif shape.kind == "Map" and shape.element is not None:
        found += _map_rules(shape, value, path)
        # Lists and structures in a map are searched; the constraints of the values themselves are map rules.
        for name, element in value.items():
            if len(found) >= VALIDATION_ERRORS_MAX:
                break
            if element is not None and shape.element.kind in ("Structure", "List", "Map"):
                found += violations(_without_rules(shape.element), element, f"{path}.{name}.member")
    return found


def violation_error(found: list[str]) -> DynamoError:
    """The ValidationException that reports `found` (not empty)."""
    listed = found[:VALIDATION_ERRORS_MAX]
    plural = "s" if len(listed) > 1 else ""
    return validation(f"{len(listed)} validation error{plural} detected: {'; '.join(listed)}")


def _violation(value_text: str, path: str, rule: str) -> str:
    return f"Value {value_text} at '{path}' failed to satisfy constraint: {rule}"


def _null(path: str) -> str:
    return _violation("null", path, "Member must not be null")


def _member(member: Member, value: Any, path: str) -> list[str]:
    where = f"{path}.{member.path_name}" if path else member.path_name
    if value is None:
        return [_null(where)] if member.required else []
    return violations(member.shape, value, where)


def _own(shape: Shape, value: Any, path: str) -> list[str]:
    """The constraints of this value alone."""
    rules = _broken_rules(shape, value)
    return [_violation(f"'{_text(shape, value)}'", path, rule) for rule in rules] if rules else []


def _broken_rules(shape: Shape, value: Any) -> list[str]:
    if shape.enum and value not in shape.enum:
        return [f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"]
    maximum = shape.maximum
    if shape.is_table_reference and not value.startswith("arn:"):
        maximum = TABLE_NAME_CHARACTERS_MAX
    broken = []
    is_arn = shape.is_table_reference and value.startswith("arn:")
    # An empty name is reported as too short only.
    if shape.pattern is not None and value and not is_arn and not shape.pattern.fullmatch(value):
        broken.append(f"Member must satisfy regular expression pattern: {shape.pattern_text}")
    if shape.minimum is None and maximum is None:
        return broken
    is_number = shape.kind in ("Integer", "Long", "Double")
    measured, noun = (value, "value") if is_number else (len(value), "length")
    if shape.minimum is not None and measured < shape.minimum:
        broken.append(f"Member must have {noun} greater than or equal to {shape.minimum}")
    if maximum is not None and measured > maximum:
        broken.append(f"Member must have {noun} less than or equal to {maximum}")
    return broken


def _map_rules(shape: Shape, value: dict[str, Any], path: str) -> list[str]:
    """Constraints of a map's keys and values are reported once for the whole map."""
    found = []
    for rules_of, elements, noun in ((shape.key, value.keys(), "keys"), (shape.element, value.values(), "value")):
        if rules_of is None:
            continue
        has_null = None in elements
        if has_null or any(_broken_rules(rules_of, element) for element in elements):
            rules = [*_rules(rules_of), *(["Member must not be null"] if has_null else [])]
            rule = f"Map {noun} must satisfy constraint: [{', '.join(rules)}]"
            found.append(_violation(f"'{_text(shape, value)}'", path, rule))
    return found


def _rules(shape: Shape) -> list[str]:
    """All constraints of a map's key or value, in the order the service lists them there."""
    if shape.enum:
        return [f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"]
    rules = []
    if shape.maximum is not None:
        rules.append(f"Member must have length less than or equal to {shape.maximum}")
    if shape.minimum is not None:
        rules.append(f"Member must have length greater than or equal to {shape.minimum}")
    if shape.pattern is not None:
        rules.append(f"Member must satisfy regular expression pattern: {shape.pattern_text}")
    return rules


def _without_rules(shape: Shape) -> Shape:
    return Shape(shape.name, shape.kind, shape.members, shape.element, shape.key)


def _text(shape: Shape, value: Any) -> str:
    """`value` as the service prints it: `[a, b]`, `{k=v}`, `KeySchemaElement(attributeName=pk, keyType=HASH)`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if shape.kind == "List" and shape.element is not None:
        element_shape = shape.element
        return f"[{', '.join(_text(element_shape, element) for element in value)}]"
    if shape.kind == "Map" and shape.element is not None:
        element_shape = shape.element
        return f"{{{', '.join(f'{name}={_text(element_shape, element)}' for name, element in value.items())}}}"
    if shape.kind == "Structure":
        members = (f"{member.path_name}={_text(member.shape, value.get(member.name))}" for member in shape.members)
        return f"{shape.name}({', '.join(members)})"
    return str(value)

"""Expression parameters: which may stand together, parsed and checked once for each request.

Called by the item operations. Law: the order of complaints is the service's: mixing of old and new parameters, then
placeholders without expressions, then the expressions themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson

from dynamo.errors import DynamoError, validation
from dynamo.expressions import (
    Condition,
    Projection,
    Update,
    check_expressions,
    check_substitutions_size,
    parse_condition,
    parse_projection,
    parse_update,
)
from dynamo.limits import EXPRESSION_SUBSTITUTIONS_BYTES_MAX
from dynamo.values import Item, canonical_item, canonical_value

_VALUE_PARAMETERS = frozenset({"ConditionExpression", "UpdateExpression"})


@dataclass(frozen=True, slots=True)
class ParameterNames:
    """The expression parameters of one operation in the order the service lists them, and those from before them."""

    expressions: tuple[str, ...]
    legacy: tuple[str, ...]

    def check_combination(self, request: dict[str, Any]) -> bool:
        """Whether there is any expression. Raises ValidationException for parameters that cannot stand together."""
        given = [name for name in self.expressions if name in request]
        for name in self.legacy:
            if name in request:
                self._refuse_legacy(request, given)
        if "ExpressionAttributeNames" in request:
            if not given:
                raise validation("ExpressionAttributeNames can only be specified when using expressions")
            if not request["ExpressionAttributeNames"]:
                raise validation("ExpressionAttributeNames must not be empty")
        if "ExpressionAttributeValues" in request:
            users = [name for name in self.expressions if name in _VALUE_PARAMETERS]
            if users and not any(name in request for name in users):
                verb = "is" if len(users) == 1 else "are"
                raise validation(
                    "ExpressionAttributeValues can only be specified when using expressions: "
                    f"{' and '.join(users)} {verb} null"
                )
            if not request["ExpressionAttributeValues"]:
                raise validation("ExpressionAttributeValues must not be empty")
        return bool(given)

    def _refuse_legacy(self, request: dict[str, Any], given: list[str]) -> None:
        legacy = [name for name in self.legacy if name in request]
        if given:
            raise validation(
                "Can not use both expression and non-expression parameters in the same request: "
                f"Non-expression parameters: {{{', '.join(legacy)}}} Expression parameters: {{{', '.join(given)}}}"
            )
        raise validation(f"The legacy parameter {legacy[0]} is not supported by this version; use expressions instead")


def canonical_values(request: dict[str, Any]) -> Item | None:
    """ExpressionAttributeValues, validated and normalised; None when absent. Errors name the placeholder."""
    raw = request.get("ExpressionAttributeValues")
    if raw is None:
        return None
    try:
        return canonical_item(raw)
    except DynamoError as error:
        raise _with_placeholder(raw, error) from error


def _with_placeholder(raw: Any, error: DynamoError) -> DynamoError:
    if error.code == "ValidationException" and isinstance(raw, dict):
        for name, value in raw.items():
            try:
                canonical_value(value)
            except DynamoError as found:
                return validation(f"ExpressionAttributeValues contains invalid value: {found.message} for key {name}")
    return error


class Expressions:
    """The parsed expressions of one request."""

    __slots__ = ("condition", "names", "projection", "update", "values")

    def __init__(self, request: dict[str, Any], body_bytes: int) -> None:
        """`body_bytes` is the length of the request as it came. Raises ValidationException with the parsers' texts."""
        get = request.get
        self.names: dict[str, str] | None = get("ExpressionAttributeNames")
        self.values = canonical_values(request)
        # As JSON every value takes more than it is counted with: a smaller body need not be measured.
        if body_bytes > EXPRESSION_SUBSTITUTIONS_BYTES_MAX:
            check_substitutions_size(self.names, self.values)
        text = get("UpdateExpression")
        self.update: Update | None = None if text is None else parse_update(text)
        text = get("ConditionExpression")
        self.condition: Condition | None = None if text is None else parse_condition(text)
        text = get("ProjectionExpression")
        self.projection: Projection | None = None if text is None else parse_projection(text)

    def check(self, key_names: Collection[str]) -> None:
        """Placeholders, operand types, overlapping paths, key attributes. Raises ValidationException."""
        check_expressions(
            condition=self.condition,
            update=self.update,
            projection=self.projection,
            names=self.names,
            values=self.values,
            key_names=key_names,
        )

    def encode(self, request: dict[str, Any]) -> bytes:
        """For Operation.expressions: the texts and placeholders that the leader evaluates."""
        encoded: dict[str, Any] = {}
        if self.condition is not None:
            encoded["condition"] = request["ConditionExpression"]
        if self.update is not None:
            encoded["update"] = request["UpdateExpression"]
        if self.names is not None:
            encoded["names"] = self.names
        if self.values is not None:
            encoded["values"] = self.values
        return orjson.dumps(encoded)

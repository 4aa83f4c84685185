"""Expression parameters: which may stand together, parsed and checked once for each request.

Called by the item and range operations. Law: the order of complaints is the service's: mixing of old and new
parameters, then placeholders without expressions, then the expressions themselves.
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
from dynamo.queries.filters import check_key_paths
from dynamo.queries.legacy import translate_attributes_to_get, translate_expected, translate_updates
from dynamo.values import Item, canonical_item, canonical_value
from topology.tables import TableInfo

_VALUE_PARAMETERS = frozenset({"ConditionExpression", "UpdateExpression", "FilterExpression", "KeyConditionExpression"})


@dataclass(frozen=True, slots=True)
class ParameterNames:
    """The expression parameters of one operation in the order the service lists them, and those from before them."""

    expressions: tuple[str, ...]
    legacy: tuple[str, ...]

    def check_combination(self, request: dict[str, Any]) -> bool:
        """Whether there is any of either kind. Raises ValidationException for parameters that cannot stand together."""
        given = [name for name in self.expressions if name in request]
        has_legacy = False
        for name in self.legacy:
            if name in request:
                has_legacy = True
                if given:
                    self._refuse_mixture(request, given)
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
        return has_legacy or bool(given)

    def _refuse_mixture(self, request: dict[str, Any], given: list[str]) -> None:
        legacy = [name for name in self.legacy if name in request]
        if "KeyConditions" in legacy and "KeyConditionExpression" not in given:
            # The service's one exception: KeyConditions may stand beside the other expressions of a Query.
            legacy.remove("KeyConditions")
        if legacy:
            raise validation(
                "Can not use both expression and non-expression parameters in the same request: "
                f"Non-expression parameters: {{{', '.join(legacy)}}} Expression parameters: {{{', '.join(given)}}}"
            )


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
    """The parsed expressions of one item operation, whether they came as such or as legacy parameters."""

    __slots__ = ("condition", "is_legacy", "names", "projection", "texts", "update", "values")

    def __init__(self, request: dict[str, Any], body_bytes: int) -> None:
        """`body_bytes` is the length of the request as it came. Raises ValidationException with the parsers' texts."""
        get = request.get
        self.update: Update | None = None
        self.condition: Condition | None = None
        self.projection: Projection | None = None
        # For Operation.expressions.
        self.texts: dict[str, str] = {}
        update, condition = get("UpdateExpression"), get("ConditionExpression")
        projection = get("ProjectionExpression")
        self.is_legacy = update is None and condition is None and projection is None
        if self.is_legacy:
            self._translate(request)
            return
        self.names: dict[str, str] | None = get("ExpressionAttributeNames")
        self.values = canonical_values(request)
        # As JSON every value takes more than it is counted with: a smaller body need not be measured.
        if body_bytes > EXPRESSION_SUBSTITUTIONS_BYTES_MAX:
            check_substitutions_size(self.names, self.values)
        self._parse(update, condition, projection)

    def _parse(self, update: str | None, condition: str | None, projection: str | None) -> None:
        if update is not None:
            self.update = parse_update(update, may_be_translated=self.is_legacy)
            self.texts["update"] = update
        if condition is not None:
            self.condition = parse_condition(condition, may_be_translated=self.is_legacy)
            self.texts["condition"] = condition
        if projection is not None:
            self.projection = parse_projection(projection, may_be_translated=self.is_legacy)

    def _translate(self, request: dict[str, Any]) -> None:
        get = request.get
        attributes = get("AttributesToGet")
        update = translate_updates(get("AttributeUpdates"))
        condition = translate_expected(get("Expected"), get("ConditionalOperator"))
        projection = None if attributes is None else translate_attributes_to_get(attributes)
        names: dict[str, str] = {}
        values: Item = {}
        for translated in (update, condition, projection):
            if translated is not None:
                names |= translated.names
                values |= translated.values
        self.names = names or None
        self.values = values or None
        self._parse(
            None if update is None else update.text,
            None if condition is None else condition.text,
            None if projection is None else projection.text,
        )

    def check(self, key_names: Collection[str]) -> None:
        """Placeholders, operand types, overlapping paths, key attributes. Raises ValidationException."""
        check_expressions(
            condition=self.condition,
            update=self.update,
            projection=self.projection,
            names=self.names,
            values=self.values,
            key_names=key_names,
            legacy=self.is_legacy,
        )

    def check_paths(self, table: TableInfo) -> None:
        """No update or projection goes into a key attribute; raises ValidationException."""
        for paths in (self.update, self.projection):
            if paths is not None and not paths.flat:
                check_key_paths(paths.paths, self.names, table.key_schema, table.indexes)

    def encode(self) -> bytes:
        """For Operation.expressions: the texts and placeholders that the leader evaluates; empty without any."""
        encoded: dict[str, Any] = self.texts
        if not encoded:
            return b""
        if self.names is not None:
            encoded = {**encoded, "names": self.names}
        if self.values is not None:
            encoded = {**encoded, "values": self.values}
        return orjson.dumps(encoded)

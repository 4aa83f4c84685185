"""One write against one item: condition, update, what to store and what to answer. Pure.

Called by node.partition on the leader for writes that depend on the item. Law: the same operation and item give the
same decision; a refusal is a value, and nothing here touches the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import orjson

from dynamo.errors import DynamoError
from dynamo.expiry import is_expired
from dynamo.expressions import Bindings, Update, apply_update, matches, parse_condition, parse_update
from dynamo.expressions.nodes import AddAction, Arithmetic, SetAction, Value
from dynamo.indexes import IndexDefinition
from dynamo.records import RECORD_HEAD_BYTES, encode_record, record_size
from dynamo.requests.index_keys import check_updated_index_keys
from dynamo.values import Item, decode_item, encode_item
from wire import data_pb2

OK = data_pb2.OK
# With one of these a write is answered more than OK, which a repeat of it must be answered too.
ANSWER_FLAGS = (
    data_pb2.RETURN_OLD
    | data_pb2.RETURN_SIZES
    | data_pb2.RETURN_ALL_NEW
    | data_pb2.RETURN_UPDATED_OLD
    | data_pb2.RETURN_UPDATED_NEW
    | data_pb2.RETURN_COLLECTION_SIZE
)
_SEEING = frozenset((data_pb2.UPDATE, data_pb2.EXPIRE))
_RETURNS_AFTER = data_pb2.RETURN_UPDATED_OLD | data_pb2.RETURN_UPDATED_NEW


class Decision(NamedTuple):
    """The outcome of one write. `changes`: store the record `item` (None deletes); else nothing is stored."""

    status: data_pb2.ResultStatus
    changes: bool = False
    item: bytes | None = None
    returned: bytes = b""
    message: str = ""
    old_size: int = 0
    new_size: int = 0
    index_units: tuple[data_pb2.IndexUnits, ...] = ()
    collection_bytes: int = 0

    def fill(self, result: data_pb2.Result) -> None:
        """Put what is answered into `result`."""
        result.status = self.status
        result.item = self.returned
        result.message = self.message
        result.old_size = self.old_size
        result.new_size = self.new_size
        result.index_units.extend(self.index_units)
        result.collection_bytes = self.collection_bytes


def depends_on_item(operation: data_pb2.Operation) -> bool:
    """Whether a write must see the item that is there; a plain put or delete needs not."""
    return operation.kind in _SEEING or bool(operation.expressions or operation.flags)


def decide_write(operation: data_pb2.Operation, old: bytes | None, indexes: Iterable[IndexDefinition] = ()) -> Decision:
    """Judge a PUT, UPDATE, DELETE or EXPIRE against the item's record (None: there is no item).

    `indexes` are those of the table: an update is refused when it makes a key attribute of one that cannot be one.
    """
    if operation.kind == data_pb2.EXPIRE:
        return _decide_expiry(data_pb2.Expiry.FromString(operation.item), old)
    flags = operation.flags
    expressions = orjson.loads(operation.expressions) if operation.expressions else {}
    bindings = Bindings(expressions.get("names"), expressions.get("values"))
    old_item: Item | None = None
    try:
        condition = expressions.get("condition")
        if condition is not None:
            old_item = decode_item(old[RECORD_HEAD_BYTES:]) if old is not None else None
            if not matches(parse_condition(condition, may_be_translated=True), old_item, bindings):
                wants_old = flags & data_pb2.RETURN_OLD_ON_CONDITION_FAILURE
                size = _size(old)
                return Decision(
                    data_pb2.CONDITION_FAILED, returned=_json(old) if wants_old else b"", old_size=size, new_size=size
                )
        if operation.kind == data_pb2.UPDATE:
            if old_item is None and old is not None:
                old_item = decode_item(old[RECORD_HEAD_BYTES:])
            return _update(operation, expressions.get("update"), old, old_item, bindings, indexes)
    except DynamoError as error:
        return Decision(data_pb2.VALIDATION_FAILED, message=error.message)
    new = operation.item if operation.kind == data_pb2.PUT else None
    returned = _json(old) if flags & data_pb2.RETURN_OLD else b""
    changes = new is not None or old is not None
    return Decision(OK, changes, new, returned, old_size=_size(old), new_size=_size(new))


def _decide_expiry(expiry: data_pb2.Expiry, old: bytes | None) -> Decision:
    if old is None:
        return Decision(OK)
    size = _size(old)
    if is_expired(decode_item(old[RECORD_HEAD_BYTES:]), expiry.attribute, expiry.now_s):
        return Decision(OK, changes=True, old_size=size)
    return Decision(OK, old_size=size, new_size=size)


def _update(
    operation: data_pb2.Operation,
    text: str | None,
    old: bytes | None,
    old_item: Item | None,
    bindings: Bindings,
    indexes: Iterable[IndexDefinition],
) -> Decision:
    flags = operation.flags
    base: Item = old_item if old_item is not None else decode_item(operation.item)
    if text is None:
        new_item, updated_old, updated_new = base, {}, {}
    else:
        update = parse_update(text, may_be_translated=True)
        updated = apply_update(
            update, base, bindings, want_updated=bool(flags & _RETURNS_AFTER), exists=old_item is not None
        )
        if old_item is None and not update.creates_item:
            return Decision(OK)  # removing from an item that is not there does not make one
        if indexes:
            check_updated_index_keys(indexes, updated.item, old_item, _literal_names(update, bindings))
        new_item, updated_old, updated_new = updated.item, updated.updated_old, updated.updated_new
    new = encode_record(new_item)
    returned = b""
    if flags & data_pb2.RETURN_ALL_NEW:
        returned = _json(new)
    elif flags & data_pb2.RETURN_OLD:
        returned = _json(old)
    elif flags & data_pb2.RETURN_UPDATED_NEW:
        returned = encode_item(updated_new) if updated_new else b""
    elif flags & data_pb2.RETURN_UPDATED_OLD and old is not None:
        returned = encode_item(updated_old) if updated_old else b""
    # An update that changes nothing is still answered from a proven state, but costs no log entry.
    return Decision(OK, new != old, new, returned, old_size=_size(old), new_size=_size(new))


def _literal_names(update: Update, bindings: Bindings) -> frozenset[str]:
    """Attributes whose new type the request itself tells: set to a value or an arithmetic result, or added to."""
    names: set[str] = set()
    for node in update.nodes:
        elements = node.path.elements
        told = isinstance(node, AddAction) or (
            isinstance(node, SetAction) and isinstance(node.value, Value | Arithmetic)
        )
        if told and len(elements) == 1 and isinstance(elements[0], str):
            names.add(bindings.names.get(elements[0], elements[0]))
    return frozenset(names)


def _size(record: bytes | None) -> int:
    return record_size(record) if record is not None else 0


def _json(record: bytes | None) -> bytes:
    return record[RECORD_HEAD_BYTES:] if record is not None else b""

"""One write against one item: condition, update, what to store and what to answer. Pure.

Called by node.partition on the leader for writes that depend on the item. Law: the same operation and item give the
same decision; a refusal is a value, and nothing here touches the store.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from dynamo.errors import DynamoError
from dynamo.expressions import Bindings, apply_update, matches, parse_condition, parse_update
from dynamo.records import RECORD_HEAD_BYTES, encode_record, record_size
from dynamo.values import Item, decode_item, encode_item
from wire import data_pb2

OK = data_pb2.OK
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


def depends_on_item(operation: data_pb2.Operation) -> bool:
    """Whether a write must see the item that is there; a plain put or delete needs not."""
    return bool(operation.kind == data_pb2.UPDATE or operation.expressions or operation.flags)


def decide_write(operation: data_pb2.Operation, old: bytes | None) -> Decision:
    """Judge a PUT, UPDATE or DELETE against the item's record (None: there is no item)."""
    flags = operation.flags
    expressions = orjson.loads(operation.expressions) if operation.expressions else {}
    bindings = Bindings(expressions.get("names"), expressions.get("values"))
    old_item: Item | None = None
    try:
        condition = expressions.get("condition")
        if condition is not None:
            old_item = decode_item(old[RECORD_HEAD_BYTES:]) if old is not None else None
            if not matches(parse_condition(condition), old_item, bindings):
                wants_old = flags & data_pb2.RETURN_OLD_ON_CONDITION_FAILURE
                size = _size(old)
                return Decision(
                    data_pb2.CONDITION_FAILED, returned=_json(old) if wants_old else b"", old_size=size, new_size=size
                )
        if operation.kind == data_pb2.UPDATE:
            if old_item is None and old is not None:
                old_item = decode_item(old[RECORD_HEAD_BYTES:])
            return _update(operation, expressions.get("update"), old, old_item, bindings)
    except DynamoError as error:
        return Decision(data_pb2.VALIDATION_FAILED, message=error.message)
    new = operation.item if operation.kind == data_pb2.PUT else None
    returned = _json(old) if flags & data_pb2.RETURN_OLD else b""
    changes = new is not None or old is not None
    return Decision(OK, changes, new, returned, old_size=_size(old), new_size=_size(new))


def _update(
    operation: data_pb2.Operation, text: str | None, old: bytes | None, old_item: Item | None, bindings: Bindings
) -> Decision:
    flags = operation.flags
    base: Item = old_item if old_item is not None else decode_item(operation.item)
    if text is None:
        new_item, updated_old, updated_new = base, {}, {}
    else:
        update = parse_update(text)
        updated = apply_update(
            update, base, bindings, want_updated=bool(flags & _RETURNS_AFTER), exists=old_item is not None
        )
        if old_item is None and not update.creates_item:
            return Decision(OK)  # removing from an item that is not there does not make one
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


def _size(record: bytes | None) -> int:
    return record_size(record) if record is not None else 0


def _json(record: bytes | None) -> bytes:
    return record[RECORD_HEAD_BYTES:] if record is not None else b""

"""One write against one item: what is stored and what is answered."""

from __future__ import annotations

import orjson
import pytest

from dynamo.records import encode_record
from dynamo.values import decode_item
from node.evaluate import Decision, decide_write, depends_on_item
from wire import data_pb2

pytestmark = pytest.mark.unit

OLD = b'{"k":{"S":"a"},"n":{"N":"4"},"s":{"S":"old"}}'
NEW = b'{"k":{"S":"a"},"n":{"N":"5"}}'
KEY = b'{"k":{"S":"a"}}'
ONE = {":one": {"N": "1"}}


def operation(
    kind: data_pb2.OperationKind, flags: int = 0, item: bytes = b"", **expressions: object
) -> data_pb2.Operation:
    return data_pb2.Operation(
        kind=kind, flags=flags, item=item, expressions=orjson.dumps(expressions) if expressions else b""
    )


def put(flags: int = 0, **expressions: object) -> data_pb2.Operation:
    return operation(data_pb2.PUT, flags, encode_record(decode_item(NEW)), **expressions)


def delete(flags: int = 0, **expressions: object) -> data_pb2.Operation:
    return operation(data_pb2.DELETE, flags, **expressions)


def update(text: str | None, flags: int = 0, **expressions: object) -> data_pb2.Operation:
    """An UPDATE; `:one` in its text is 1."""
    if text is not None:
        values = {**(expressions.pop("values", None) or {}), **(ONE if ":one" in text else {})}  # type: ignore[dict-item]
        expressions = {"update": text, **expressions, **({"values": values} if values else {})}
    return operation(data_pb2.UPDATE, flags, KEY, **expressions)


def record(json: bytes | None) -> bytes | None:
    return None if json is None else encode_record(decode_item(json))


IS_FOUR = {"condition": "n = :four", "values": {":four": {"N": "4"}}}
IS_NINE = {"condition": "n = :nine", "values": {":nine": {"N": "9"}}}
ABSENT = {"condition": "attribute_not_exists(k)"}


@pytest.mark.parametrize(
    ("write", "depends"),
    [
        pytest.param(put(), False, id="a plain put"),
        pytest.param(delete(), False, id="a plain delete"),
        pytest.param(put(data_pb2.RETURN_OLD), True, id="a put that returns the old item"),
        pytest.param(put(data_pb2.RETURN_SIZES), True, id="a put that reports sizes"),
        pytest.param(put(**ABSENT), True, id="a conditional put"),
        pytest.param(update("ADD n :one"), True, id="an update"),
        pytest.param(update(None), True, id="an update without expression"),
    ],
)
def test_which_writes_must_see_the_item(write: data_pb2.Operation, depends: bool) -> None:
    assert depends_on_item(write) is depends


@pytest.mark.parametrize(
    ("write", "old", "stored", "returned"),
    [
        pytest.param(put(data_pb2.RETURN_OLD), OLD, NEW, OLD, id="put over an item"),
        pytest.param(put(data_pb2.RETURN_OLD), None, NEW, b"", id="put of a first item"),
        pytest.param(put(**IS_FOUR), OLD, NEW, b"", id="put under a true condition"),
        pytest.param(put(**ABSENT), None, NEW, b"", id="put if there is no item"),
        pytest.param(delete(data_pb2.RETURN_OLD), OLD, None, OLD, id="delete"),
        pytest.param(delete(**IS_FOUR), OLD, None, b"", id="delete under a true condition"),
        pytest.param(update("ADD n :one"), None, b'{"k":{"S":"a"},"n":{"N":"1"}}', b"", id="update creates"),
        pytest.param(
            update("SET n = n + :one", data_pb2.RETURN_UPDATED_NEW),
            OLD,
            b'{"k":{"S":"a"},"n":{"N":"5"},"s":{"S":"old"}}',
            b'{"n":{"N":"5"}}',
            id="update returns the new values",
        ),
        pytest.param(
            update("SET n = n + :one", data_pb2.RETURN_UPDATED_OLD),
            OLD,
            b'{"k":{"S":"a"},"n":{"N":"5"},"s":{"S":"old"}}',
            b'{"n":{"N":"4"}}',
            id="update returns the old values",
        ),
        pytest.param(update("REMOVE n, s", data_pb2.RETURN_ALL_NEW), OLD, KEY, KEY, id="update returns the whole item"),
        pytest.param(update("REMOVE n, s", data_pb2.RETURN_OLD), OLD, KEY, OLD, id="update returns the item before"),
        pytest.param(update(None), None, KEY, b"", id="an update without expression creates the item"),
    ],
)
def test_writes_that_store(write: data_pb2.Operation, old: bytes | None, stored: bytes | None, returned: bytes) -> None:
    decision = decide_write(write, record(old))
    assert decision[:4] == (data_pb2.OK, True, record(stored), returned)


@pytest.mark.parametrize(
    ("write", "old", "decision"),
    [
        pytest.param(put(**IS_NINE), OLD, Decision(data_pb2.CONDITION_FAILED), id="a false condition"),
        pytest.param(put(**IS_NINE), None, Decision(data_pb2.CONDITION_FAILED), id="a condition on no item"),
        pytest.param(
            put(data_pb2.RETURN_OLD_ON_CONDITION_FAILURE, **ABSENT),
            OLD,
            Decision(data_pb2.CONDITION_FAILED, returned=OLD),
            id="a false condition that shows the item",
        ),
        pytest.param(
            put(data_pb2.RETURN_OLD_ON_CONDITION_FAILURE, **IS_NINE),
            None,
            Decision(data_pb2.CONDITION_FAILED),
            id="a false condition with no item to show",
        ),
        pytest.param(
            put(data_pb2.RETURN_OLD, **ABSENT), OLD, Decision(data_pb2.CONDITION_FAILED), id="ALL_OLD shows none"
        ),
        pytest.param(
            update("ADD n :one", **IS_NINE), OLD, Decision(data_pb2.CONDITION_FAILED), id="update, false condition"
        ),
        pytest.param(delete(data_pb2.RETURN_OLD), None, Decision(data_pb2.OK), id="delete of nothing"),
        pytest.param(update("REMOVE n"), None, Decision(data_pb2.OK), id="REMOVE from nothing creates nothing"),
    ],
)
def test_writes_that_store_nothing(write: data_pb2.Operation, old: bytes | None, decision: Decision) -> None:
    assert decide_write(write, record(old))[:5] == decision[:5]


def test_an_update_that_changes_nothing_costs_no_entry() -> None:
    decision = decide_write(update("SET n = :four", data_pb2.RETURN_ALL_NEW, values={":four": {"N": "4"}}), record(OLD))
    assert (decision.status, decision.changes, decision.returned) == (data_pb2.OK, False, OLD)


def test_what_depends_on_the_item_and_is_invalid_is_a_value_with_dynamodbs_text() -> None:
    decision = decide_write(update("SET n = s + :one"), record(OLD))
    assert (decision.status, decision.changes) == (data_pb2.VALIDATION_FAILED, False)
    assert decision.message == "An operand in the update expression has an incorrect data type"


@pytest.mark.parametrize(
    ("write", "old", "sizes"),
    [
        pytest.param(put(data_pb2.RETURN_SIZES), OLD, (9, 5), id="put over an item"),
        pytest.param(put(data_pb2.RETURN_SIZES), None, (0, 5), id="put of a first item"),
        pytest.param(delete(data_pb2.RETURN_SIZES), OLD, (9, 0), id="delete"),
        pytest.param(put(data_pb2.RETURN_SIZES, **IS_NINE), OLD, (9, 9), id="a failed condition reads the item"),
    ],
)
def test_sizes_for_capacity(write: data_pb2.Operation, old: bytes | None, sizes: tuple[int, int]) -> None:
    decision = decide_write(write, record(old))
    assert (decision.old_size, decision.new_size) == sizes

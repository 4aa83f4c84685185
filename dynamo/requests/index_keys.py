"""Whether the attributes of a write fit the keys of the table's indexes, in DynamoDB's words.

Called by the router for whole items (PutItem, BatchWriteItem) and by the leader after an update. Law: an attribute that
is missing is no fault, one that is there must fit every index that it keys; among several faults a wrong type is
reported before an empty or an oversized value, and of several indexes the first by name (seen on the real service).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from dynamo.errors import DynamoError, invalid_parameter, validation
from dynamo.indexes import Fault, IndexDefinition, IndexState
from dynamo.keys import KeyAttribute
from dynamo.limits import PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX
from dynamo.values import Item

_Found = tuple[IndexDefinition, KeyAttribute, Fault]

_RANK: Final = {Fault.TYPE: 0, Fault.EMPTY: 1, Fault.TOO_LONG: 2}
_EMPTY_NOUN: Final = {"S": "string", "B": "binary", "N": "number"}


def check_index_keys(indexes: Iterable[IndexDefinition], item: Item) -> None:
    """For an item that is written whole (PutItem, BatchWriteItem). `item`: canonical. Hot path when it is fit.

    Raises ValidationException in the words of PutItem.
    """
    found = _first_fault(indexes, item)
    if found is not None:
        raise _put_error(found, item)


def check_updated_index_keys(
    indexes: Iterable[IndexDefinition], new: Item, old: Item | None, literal_names: Collection[str] = ()
) -> None:
    """For the item that an update makes. `new`, `old`: canonical, before and after; only what differs is judged.

    An attribute that did not fit before an index was added stays as it is while no update touches it. `literal_names`
    are the attributes whose new type the request itself tells (a value, an arithmetic result): their type is refused
    in the words of PutItem. Raises ValidationException.
    """
    changed = new if not old else {name: value for name, value in new.items() if old.get(name) != value}
    found = _first_fault(indexes, changed)
    if found is not None:
        raise _update_error(found, changed, literal_names)


def _first_fault(indexes: Iterable[IndexDefinition], item: Item) -> _Found | None:
    found: list[_Found] = []
    for index in indexes:
        if index.state is IndexState.DELETING:
            continue
        fault = index.fault_in(item)
        if fault is not None:
            found.append((index, *fault))
    return min(found, key=lambda each: (_RANK[each[2]], each[0].name)) if found else None


def _put_error(found: _Found, item: Item) -> DynamoError:
    index, attribute, fault = found
    if fault is Fault.EMPTY:
        return validation(
            "One or more parameter values are not valid. A value specified for a secondary index key is not supported. "
            f"The AttributeValue for a key attribute cannot contain an empty {_EMPTY_NOUN[attribute.type]} value. "
            f"IndexName: {index.name}, IndexKey: {attribute.name}"
        )
    if fault is Fault.TYPE:
        return _type_error(index, attribute, item)
    if attribute in index.partition:
        # The missing space is the service's.
        return invalid_parameter(
            f"Size of hashkey has exceeded the maximum size limit of{PARTITION_KEY_BYTES_MAX} bytes"
        )
    return invalid_parameter(
        f"Aggregated size of all range keys has exceeded the size limit of {SORT_KEY_BYTES_MAX} bytes"
    )


def _update_error(found: _Found, changed: Item, literal_names: Collection[str]) -> DynamoError:
    index, attribute, fault = found
    if fault is Fault.EMPTY:
        return validation(
            "One or more parameter values are not valid. The update expression attempted to update a secondary index "
            "key to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty "
            f"{_EMPTY_NOUN[attribute.type]} value."
        )
    if fault is Fault.TOO_LONG:
        return invalid_parameter(
            "The update expression attempted to update the secondary index key beyond allowed size limits."
        )
    if attribute.name in literal_names:
        return _type_error(index, attribute, changed)
    return validation("The update expression attempted to update the secondary index key to unsupported type")


def _type_error(index: IndexDefinition, attribute: KeyAttribute, item: Item) -> DynamoError:
    (actual,) = item[attribute.name]
    return invalid_parameter(
        f"Type mismatch for Index Key {attribute.name} Expected: {attribute.type} Actual: {actual} "
        f"IndexName: {index.name}"
    )

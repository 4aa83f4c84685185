"""Time to live: whether an item is expired. Pure.

Called by the sweeper for each row (`may_be_expired`, without decoding) and by the leader for the newest item
(`is_expired`), so that an item that was given more time is kept. Law: only `is_expired` decides; the other may say yes
to an item that is not, and never no to one that is.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

import orjson

from dynamo.values import Item

# "Items with an expired timestamp greater than five years old are not deleted" (API guide, How it works: TTL).
EXPIRED_FOR_S_MAX: Final = 5 * 365 * 24 * 3600
# A canonical number is hardly ever longer; one that is, is decoded.
_NUMBER_BYTES_LOOKED_AT: Final = 64


def is_expired(item: Item, attribute: str, now_s: int) -> bool:
    """Whether the attribute is a Number of seconds since 1970 that lies before `now_s`, by five years at most."""
    value = item.get(attribute)
    text = value.get("N") if value is not None else None
    return text is not None and _lies_before(text, now_s)


def _lies_before(text: str, now_s: int) -> bool:
    # Most are whole seconds; a float has 15 digits and more, seconds ten.
    seconds: int | Decimal
    try:
        seconds = int(text)
    except ValueError:
        try:
            seconds = Decimal(text)
        except InvalidOperation:
            return False
    return now_s - EXPIRED_FOR_S_MAX <= seconds < now_s


def expiry_mark(attribute: str) -> bytes:
    """What the JSON of every item with this attribute as a Number contains just before the number's digits."""
    return orjson.dumps(attribute) + b':{"N":"'


def may_be_expired(record: bytes, mark: bytes, now_s: int) -> bool:
    """False when the item of a record is surely not expired. `mark`: expiry_mark().

    A map inside the item may hold a member of the same name: every one is looked at.
    """
    begin = record.find(mark)
    while begin >= 0:
        begin += len(mark)
        end = record.find(b'"', begin, begin + _NUMBER_BYTES_LOOKED_AT)
        if end < 0 or _lies_before(record[begin:end].decode(), now_s):
            return True
        begin = record.find(mark, end)
    return False

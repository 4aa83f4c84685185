"""Time to live: which items are expired, and that the look at the bytes never misses one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo.expiry import EXPIRED_FOR_S_MAX, expiry_mark, is_expired, may_be_expired
from dynamo.records import encode_record
from dynamo.values import Item, canonical_item

pytestmark = pytest.mark.unit

NOW_S = 1_700_000_000

CASES: dict[str, tuple[Item, bool]] = {
    "a second ago": ({"ttl": {"N": str(NOW_S - 1)}}, True),
    "now is not before now": ({"ttl": {"N": str(NOW_S)}}, False),
    "in the future": ({"ttl": {"N": str(NOW_S + 1)}}, False),
    "a fraction of a second ago": ({"ttl": {"N": f"{NOW_S - 1}.5"}}, True),
    "five years ago": ({"ttl": {"N": str(NOW_S - EXPIRED_FOR_S_MAX)}}, True),
    "more than five years ago": ({"ttl": {"N": str(NOW_S - EXPIRED_FOR_S_MAX - 1)}}, False),
    "zero": ({"ttl": {"N": "0"}}, False),
    "negative": ({"ttl": {"N": "-5"}}, False),
    "milliseconds are far in the future": ({"ttl": {"N": str(NOW_S * 1000)}}, False),
    "a string": ({"ttl": {"S": str(NOW_S - 1)}}, False),
    "a set of numbers": ({"ttl": {"NS": [str(NOW_S - 1)]}}, False),
    "null": ({"ttl": {"NULL": True}}, False),
    "no such attribute": ({"other": {"N": str(NOW_S - 1)}}, False),
    "a map's member of that name": ({"m": {"M": {"ttl": {"N": str(NOW_S - 1)}}}}, False),
    "behind a map's member that is not expired": (
        {"m": {"M": {"ttl": {"N": str(NOW_S + 9)}}}, "ttl": {"N": str(NOW_S - 1)}},
        True,
    ),
    "text that looks like the attribute": ({"s": {"S": f'"ttl":{{"N":"{NOW_S - 1}"}}'}}, False),
}


@pytest.mark.parametrize(("item", "expired"), CASES.values(), ids=CASES.keys())
def test_expired(item: Item, expired: bool) -> None:
    assert is_expired(item, "ttl", NOW_S) is expired
    if expired:
        assert may_be_expired(encode_record(item), expiry_mark("ttl"), NOW_S)


@pytest.mark.parametrize(
    "case",
    [
        "in the future",
        "more than five years ago",
        "a string",
        "no such attribute",
        "text that looks like the attribute",
    ],
)
def test_most_rows_are_passed_without_decoding(case: str) -> None:
    assert not may_be_expired(encode_record(CASES[case][0]), expiry_mark("ttl"), NOW_S)


names = st.text(min_size=1, max_size=6)
numbers = st.one_of(
    st.integers(NOW_S - 50, NOW_S + 50).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**12), max_value=10**12).map(str),
    st.sampled_from(["1E+30", "1e-30", "9" * 38, "-0", f"{NOW_S - 7}.{'1' * 28}"]),
)
values = st.recursive(
    st.one_of(st.builds(lambda number: {"N": number}, numbers), st.builds(lambda text: {"S": text}, st.text())),
    lambda inner: st.builds(lambda members: {"M": members}, st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)


@given(st.dictionaries(names, values, min_size=1, max_size=4), st.data())
def test_what_is_expired_is_never_passed_over(raw: Item, data: st.DataObject) -> None:
    item = canonical_item(raw)
    attribute = data.draw(st.sampled_from(sorted(item)))
    if is_expired(item, attribute, NOW_S):
        assert may_be_expired(encode_record(item), expiry_mark(attribute), NOW_S)

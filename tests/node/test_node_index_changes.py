"""What one write does to the indexes of its table, as a table of cases; and a property: effects add up to the rows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamo.indexes import IndexDefinition, IndexKind
from dynamo.keys import KeyAttribute, KeySchema
from dynamo.records import encode_record
from dynamo.values import Item, item_size
from node.indexing import changes
from node.indexing.changes import CollectionTooLarge, Effects, ItemVersion, collection_bytes, effects_of, put_of
from wire import data_pb2, log_pb2

pytestmark = pytest.mark.unit

TABLE_KEY = KeySchema(KeyAttribute("p", "S"), KeyAttribute("s", "S"))
KEY: Item = {"p": {"S": "a"}, "s": {"S": "b"}}
ITEM_KEY = TABLE_KEY.item_key_of_key(KEY)
LOCAL = IndexDefinition(
    11, "local", IndexKind.LOCAL, TABLE_KEY, (KeyAttribute("p", "S"),), (KeyAttribute("l", "N"),), included=("x",)
)
GLOBAL = IndexDefinition(
    12, "global", IndexKind.GLOBAL, TABLE_KEY, (KeyAttribute("g", "S"),), (KeyAttribute("l", "N"),), included=("x",)
)
KEYS_ONLY = IndexDefinition(13, "keys", IndexKind.GLOBAL, TABLE_KEY, (KeyAttribute("g", "S"),), (), included=())
WHOLE = IndexDefinition(14, "whole", IndexKind.GLOBAL, TABLE_KEY, (KeyAttribute("g", "S"),), (), included=None)
SIZES = IndexDefinition(15, "", IndexKind.COLLECTION_SIZES, TABLE_KEY, (), (), included=None)
TARGET = 3


def item(**attributes: object) -> Item:
    """An item of the table: `l=1` a number, `x="t"` a string."""
    made: Item = dict(KEY)
    # In one order: an entry is not written anew because its attributes came in another one.
    for name, value in sorted(attributes.items()):
        made[name] = {"S": value} if isinstance(value, str) else {"N": str(value)}
    return made


def version(whole: Item | None) -> ItemVersion | None:
    return ItemVersion(whole, item_size(whole)) if whole is not None else None


def effects(indexes: Sequence[IndexDefinition], old: Item | None, new: Item | None, before: int = 0) -> Effects:
    return effects_of(
        indexes,
        ITEM_KEY,
        version(old),
        version(new),
        locate=lambda _hash: TARGET,
        collection_bytes_before=lambda _index, _key: before,
    )


def key_in(index: IndexDefinition, whole: Item) -> bytes:
    key = index.entry_key(whole, ITEM_KEY)
    assert key is not None
    return key


def deletion(index: IndexDefinition, of: Item) -> log_pb2.IndexChange:
    return log_pb2.IndexChange(index_id=index.index_id, key=key_in(index, of), deleted=True, target=TARGET)


def put(index: IndexDefinition, of: Item) -> log_pb2.IndexChange:
    record = encode_record(index.projected(of))
    return log_pb2.IndexChange(index_id=index.index_id, key=key_in(index, of), item=record, target=TARGET)


BOTH = item(g="g", l=1)
CASES = [
    pytest.param(GLOBAL, None, BOTH, [put(GLOBAL, BOTH)], id="a new item is put"),
    pytest.param(GLOBAL, BOTH, None, [deletion(GLOBAL, BOTH)], id="a deleted item is deleted"),
    pytest.param(GLOBAL, None, item(g="g"), [], id="without one key attribute it is not in the index"),
    pytest.param(GLOBAL, BOTH, item(g="g"), [deletion(GLOBAL, BOTH)], id="a key attribute that goes takes the entry"),
    pytest.param(GLOBAL, item(l=1), BOTH, [put(GLOBAL, BOTH)], id="a key attribute that comes makes an entry"),
    pytest.param(
        GLOBAL,
        BOTH,
        item(g="h", l=1),
        [deletion(GLOBAL, BOTH), put(GLOBAL, item(g="h", l=1))],
        id="a changed key is a deletion, then a put",
    ),
    pytest.param(GLOBAL, BOTH, item(g="g", l=1, x="t"), [put(GLOBAL, item(g="g", l=1, x="t"))], id="projected change"),
    pytest.param(GLOBAL, BOTH, item(g="g", l=1, y="t"), [], id="a change of what is not projected is none"),
    pytest.param(KEYS_ONLY, item(g="g", x="1"), item(g="g", x="2"), [], id="keys only: nothing but keys counts"),
    pytest.param(WHOLE, item(g="g"), item(g="g", y="2"), [put(WHOLE, item(g="g", y="2"))], id="all: everything counts"),
    pytest.param(GLOBAL, None, item(g=5, l=1), [], id="a key attribute of the wrong type leaves it out"),
    pytest.param(GLOBAL, None, item(g="", l=1), [], id="an empty key attribute leaves it out"),
    pytest.param(GLOBAL, None, item(g="g" * 2049, l=1), [], id="an oversized key attribute leaves it out"),
]


@pytest.mark.parametrize(("index", "old", "new", "expected"), CASES)
def test_changes_of_a_global_index(
    index: IndexDefinition, old: Item | None, new: Item | None, expected: list[log_pb2.IndexChange]
) -> None:
    assert effects([index], old, new).changes == expected


def local_put(of: Item) -> log_pb2.LocalWrite:
    value = item_size(LOCAL.projected(of)).to_bytes(4, "big") + ITEM_KEY
    return log_pb2.LocalWrite(index_id=11, key=key_in(LOCAL, of), value=value)


def local_deletion(of: Item) -> log_pb2.LocalWrite:
    return log_pb2.LocalWrite(index_id=11, key=key_in(LOCAL, of), deleted=True)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(None, item(l=1), [local_put(item(l=1))], id="put"),
        pytest.param(item(l=1), None, [local_deletion(item(l=1))], id="deleted"),
        pytest.param(item(l=1), item(l=2), [local_deletion(item(l=1)), local_put(item(l=2))], id="moved"),
        pytest.param(item(l=1), item(l=1, x="tt"), [local_put(item(l=1, x="tt"))], id="another size"),
        pytest.param(item(l=1, x="a"), item(l=1, x="b"), [], id="the same size: it points at the item"),
        pytest.param(item(l=1), item(l=1, y="tt"), [], id="not projected"),
        pytest.param(None, item(), [], id="not in the index"),
    ],
)
def test_rows_of_a_local_index(old: Item | None, new: Item | None, expected: list[log_pb2.LocalWrite]) -> None:
    assert effects([LOCAL], old, new).local_writes == expected


BIG = "x" * 1500


@pytest.mark.parametrize(
    ("index", "old", "new", "units"),
    [
        pytest.param(GLOBAL, None, BOTH, 1, id="insert"),
        pytest.param(GLOBAL, BOTH, None, 1, id="delete"),
        pytest.param(GLOBAL, BOTH, item(g="h", l=1), 2, id="key change"),
        pytest.param(GLOBAL, BOTH, item(g="g", l=1, x="t"), 1, id="projected change"),
        pytest.param(GLOBAL, BOTH, item(g="g", l=1, y=BIG), 0, id="unchanged"),
        pytest.param(GLOBAL, None, item(g="g", l=1, x=BIG), 2, id="insert of a projected entry over 1 KB"),
        pytest.param(GLOBAL, None, item(g="g", l=1, y=BIG), 1, id="the item's own size does not count"),
        pytest.param(GLOBAL, item(g="g", l=1, x=BIG), item(g="h", l=1), 3, id="both sizes of a key change"),
        pytest.param(GLOBAL, item(g="g", l=1, x=BIG), item(g="g", l=1), 2, id="the larger size of a change"),
        pytest.param(LOCAL, item(l=1, x="a"), item(l=1, x="b"), 1, id="local: a change of equal size counts"),
        pytest.param(LOCAL, item(l=1), item(l=2), 2, id="local: key change"),
        pytest.param(LOCAL, None, item(), 0, id="not in the index"),
    ],
)
def test_write_units_of_an_index(index: IndexDefinition, old: Item | None, new: Item | None, units: int) -> None:
    expected = [data_pb2.IndexUnits(index_id=index.index_id, units=units)] if units else []
    assert effects([index], old, new).units == expected


def size_rows(found: Effects) -> list[tuple[bytes, bool, int]]:
    return [
        (write.key, write.deleted, 0 if write.deleted else collection_bytes(write.value))
        for write in found.local_writes
        if write.index_id == SIZES.index_id
    ]


COLLECTION = TABLE_KEY.item_key_of_key(KEY)[:-1]


def test_a_collection_grows_by_the_item_and_its_local_entries() -> None:
    new = item(l=1, x="t", y="not projected")
    found = effects([LOCAL, SIZES], None, new, before=1000)
    total = 1000 + item_size(new) + item_size(LOCAL.projected(new))
    assert found.collection == (15, COLLECTION, total)
    assert size_rows(found) == [(COLLECTION, False, total)]


def test_the_row_of_an_empty_collection_goes() -> None:
    old = item(l=1)
    found = effects([LOCAL, SIZES], old, None, before=item_size(old) + item_size(LOCAL.projected(old)))
    assert found.collection == (15, COLLECTION, 0)
    assert size_rows(found) == [(COLLECTION, True, 0)]


def test_a_collection_at_its_limit_may_shrink_and_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "ITEM_COLLECTION_BYTES_MAX", 100)
    assert effects([LOCAL, SIZES], item(x="tt"), item(x="t"), before=200).collection == (15, COLLECTION, 199)
    assert effects([LOCAL, SIZES], item(x="tt"), item(x="uu"), before=200).collection == (15, COLLECTION, 200)
    with pytest.raises(CollectionTooLarge):
        effects([LOCAL, SIZES], item(x="t"), item(x="tt"), before=100)
    grown = item_size(item())
    assert effects([LOCAL, SIZES], None, item(), before=100 - grown).collection == (15, COLLECTION, 100)


def test_an_item_that_was_there_before_its_index_is_put_once_or_left_out() -> None:
    present = version(BOTH)
    absent = version(item(g="g"))
    assert present is not None
    assert absent is not None
    assert put_of(GLOBAL, ITEM_KEY, present, lambda _hash: TARGET) == put(GLOBAL, BOTH)
    assert put_of(GLOBAL, ITEM_KEY, absent, lambda _hash: TARGET) is None


# ---------------------------------------------------------------------------------------------- property
_ITEMS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "g": st.sampled_from(["g", "h", "", 5]),
        "l": st.sampled_from([1, 2, "no number"]),
        "x": st.sampled_from(["t", "tt", "u"]),
        "y": st.sampled_from(["t", "tt"]),
    },
).map(lambda attributes: item(**attributes))


@given(versions=st.lists(_ITEMS, max_size=12))
@settings(max_examples=200, deadline=None)
def test_effects_one_after_the_other_add_up_to_what_the_last_item_says(versions: list[Item | None]) -> None:
    indexes = [LOCAL, GLOBAL, KEYS_ONLY, WHOLE, SIZES]
    rows: dict[tuple[int, bytes], bytes] = {}
    old: Item | None = None
    for new in versions:
        if old is None and new is None:
            continue
        total = collection_bytes(rows.get((SIZES.index_id, COLLECTION)) or None)
        found = effects(indexes, old, new, before=total)
        for local in found.local_writes:
            rows[local.index_id, local.key] = local.value if not local.deleted else b""
        for change in found.changes:
            rows[change.index_id, change.key] = change.item if not change.deleted else b""
        old = new
    expected: dict[tuple[int, bytes], bytes] = {}
    if old is not None:
        size = item_size(old)
        for index in (LOCAL, GLOBAL, KEYS_ONLY, WHOLE):
            key = index.entry_key(old, ITEM_KEY)
            if key is not None and index is LOCAL:
                expected[index.index_id, key] = item_size(LOCAL.projected(old)).to_bytes(4, "big") + ITEM_KEY
                size += item_size(LOCAL.projected(old))
            elif key is not None:
                expected[index.index_id, key] = encode_record(index.projected(old))
        expected[SIZES.index_id, COLLECTION] = size.to_bytes(8, "big")
    assert {place: value for place, value in rows.items() if value} == expected

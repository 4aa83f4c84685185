"""The table lookup of a catalog version: right, shared between versions, and refused when it cannot be right."""

from __future__ import annotations

import pytest

from dynamo.indexes import IndexState
from dynamo.keys import KeyAttribute, KeySchema
from topology.tables import ACTIVE, CREATING, NO_TABLES, tables_of
from wire import catalog_pb2 as pb

pytestmark = pytest.mark.unit


def catalog(*tables: pb.Table, version: int = 3) -> pb.Catalog:
    return pb.Catalog(version=version, tables=tables)


def table(table_id: int, name: str, region: str = "eu", **fields: object) -> pb.Table:
    values: dict[str, object] = {
        "state": pb.TABLE_ACTIVE,
        "partition_key": pb.KeyAttribute(name="pk", type=pb.KEY_S),
        "created_at_ms": 7,
        "uuid": f"u{table_id}",
        "settings_json": b'{"BillingMode":"PAY_PER_REQUEST"}',
    }
    return pb.Table(table_id=table_id, name=name, region=region, **(values | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "letter"), [(pb.KEY_S, "S"), (pb.KEY_N, "N"), (pb.KEY_B, "B")], ids=["string", "number", "binary"]
)
def test_a_table_has_everything_of_its_message(kind: pb.KeyType, letter: str) -> None:
    tables = tables_of(catalog(table(4, "t", sort_key=pb.KeyAttribute(name="sk", type=kind))))
    found = tables.find("eu", "t")
    assert found is not None
    assert found is tables.by_id[4]
    assert (found.table_id, found.name, found.region, found.state) == (4, "t", "eu", ACTIVE)
    assert (found.created_at_ms, found.uuid, found.is_active) == (7, "u4", True)
    assert found.settings == {"BillingMode": "PAY_PER_REQUEST"}
    assert found.key_schema == KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", letter))  # type: ignore[arg-type]
    assert tables.version == 3


def test_a_table_without_a_sort_key_has_none() -> None:
    found = tables_of(catalog(table(1, "t"))).find("eu", "t")
    assert found is not None
    assert found.key_schema.sort is None


def test_regions_are_apart_and_names_come_in_byte_order() -> None:
    tables = tables_of(catalog(table(1, "b"), table(2, "a"), table(3, "B"), table(4, "c", "us")))
    assert tables.names("eu") == ["B", "a", "b"]
    assert tables.names("us") == ["c"]
    assert tables.find("us", "a") is None
    assert NO_TABLES.names("eu") == []


def test_unchanged_tables_are_shared_with_the_version_before() -> None:
    before = tables_of(catalog(table(1, "same"), table(2, "state", state=pb.TABLE_CREATING), table(3, "gone")))
    after = tables_of(
        catalog(table(1, "same"), table(2, "state"), table(4, "gone"), table(5, "new"), version=4), previous=before
    )
    assert after.by_id[1] is before.by_id[1]
    assert (before.by_id[2].state, after.by_id[2].state) == (CREATING, ACTIVE)
    assert after.by_name["eu", "gone"].table_id == 4
    assert set(after.by_id) == {1, 2, 4, 5}
    changed = tables_of(catalog(table(1, "same", settings_json=b"{}", revision=1)), previous=after)
    assert changed.by_id[1].settings == {}


def test_a_key_without_a_type_is_refused() -> None:
    with pytest.raises(ValueError, match="'pk' has no type"):
        tables_of(catalog(table(1, "t", partition_key=pb.KeyAttribute(name="pk"))))


def test_indexes_come_in_their_order_without_the_hidden_one() -> None:
    sort_key = pb.KeyAttribute(name="sk", type=pb.KEY_S)
    pk, other = pb.KeyAttribute(name="pk", type=pb.KEY_S), pb.KeyAttribute(name="o", type=pb.KEY_N)
    rows = [
        pb.Index(
            index_id=2,
            name="local",
            kind=pb.INDEX_LOCAL,
            partition_keys=[pk],
            sort_keys=[other],
            projection=pb.PROJECT_ALL,
            state=pb.INDEX_ACTIVE,
        ),
        pb.Index(index_id=3, kind=pb.INDEX_COLLECTION_SIZES, state=pb.INDEX_ACTIVE),
        pb.Index(
            index_id=4,
            name="global",
            kind=pb.INDEX_GLOBAL,
            partition_keys=[other],
            projection=pb.PROJECT_INCLUDE,
            included=["x", "sk"],
            state=pb.INDEX_BACKFILLING,
        ),
    ]
    found = tables_of(catalog(table(1, "t", sort_key=sort_key, indexes=rows))).by_id[1]
    assert [index.name for index in found.indexes] == ["local", "global"]
    assert found.local_indexes == found.indexes[:1]
    assert found.global_indexes == found.indexes[1:]
    local, other_index = found.indexes
    assert (local.included, local.state) == (None, IndexState.ACTIVE)
    assert (other_index.included, other_index.state) == (("x",), IndexState.BACKFILLING)
    assert found.index("global") is other_index
    assert found.index("none") is None

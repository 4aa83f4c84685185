"""The catalog's state machine: total, deterministic, and its version tells exactly when it changed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topology.catalog import CatalogState, bootstrap_catalog, ring_of
from topology.settings import ClusterSettings, load_settings
from wire import catalog_pb2 as pb

pytestmark = pytest.mark.unit

TEXT = """\
nodes:
  - {id: n1, az: az-a, port: 7101, metrics_port: 7201}
  - {id: n2, az: az-b, port: 7102, metrics_port: 7202}
  - {id: n3, az: az-c, port: 7103, metrics_port: 7203}
routers:
  - {id: r1, az: az-a, http_port: 8000, metrics_port: 7211}
"""
HASH_KEY = pb.KeyAttribute(name="pk", type=pb.KEY_S)


def cluster() -> ClusterSettings:
    return load_settings(TEXT, "cluster.yaml")


def bootstrap() -> pb.CatalogCommand:
    return pb.CatalogCommand(bootstrap=pb.Bootstrap(catalog=bootstrap_catalog(cluster(), "c-1")))


def create(name: str, region: str = "eu", tables_max: int = 3, **fields: object) -> pb.CatalogCommand:
    values = {"partition_key": HASH_KEY, "created_at_ms": 5, "uuid": "u", "settings_json": b"{}"} | fields
    return pb.CatalogCommand(
        create_table=pb.CreateTable(name=name, region=region, tables_max=tables_max, **values)  # type: ignore[arg-type]
    )


def delete(name: str, region: str = "eu", table_id: int = 0, if_revision: int = 0) -> pb.CatalogCommand:
    """Without `table_id`: as routers sent it before they told which table they had judged."""
    command = pb.DeleteTable(name=name, region=region, table_id=table_id, if_revision=if_revision)
    return pb.CatalogCommand(delete_table=command)


def activate(table_id: int) -> pb.CatalogCommand:
    return pb.CatalogCommand(activate_table=pb.ActivateTable(table_id=table_id))


def forget(table_id: int) -> pb.CatalogCommand:
    return pb.CatalogCommand(forget_table=pb.ForgetTable(table_id=table_id))


def change(table_id: int, if_revision: int, **fields: object) -> pb.CatalogCommand:
    command = pb.ChangeTable(table_id=table_id, if_revision=if_revision, **fields)  # type: ignore[arg-type]
    return pb.CatalogCommand(change_table=command)


def index_state(table_id: int, index_id: int, state: int) -> pb.CatalogCommand:
    command = pb.SetIndexState(table_id=table_id, index_id=index_id, state=state)  # type: ignore[arg-type]
    return pb.CatalogCommand(set_index_state=command)


def forget_index(table_id: int, index_id: int) -> pb.CatalogCommand:
    return pb.CatalogCommand(forget_index=pb.ForgetIndex(table_id=table_id, index_id=index_id))


def delay(index_delay_ms: int) -> pb.CatalogCommand:
    return pb.CatalogCommand(set_index_delay=pb.SetIndexDelay(index_delay_ms=index_delay_ms))


def index(name: str, kind: int = pb.INDEX_GLOBAL, **fields: object) -> pb.Index:
    values = {"partition_keys": [HASH_KEY], "sort_keys": [HASH_KEY], "projection": pb.PROJECT_ALL} | fields
    return pb.Index(name=name, kind=kind, **values)  # type: ignore[arg-type]


GLOBAL, LOCAL = index("g"), index("l", pb.INDEX_LOCAL)
SIZES = pb.Index(kind=pb.INDEX_COLLECTION_SIZES)
INDEXES = [GLOBAL, LOCAL, SIZES, index("g2"), index("", pb.INDEX_GLOBAL)]

OK, EXISTS, NOT_FOUND = pb.CATALOG_OK, pb.CATALOG_TABLE_EXISTS, pb.CATALOG_TABLE_NOT_FOUND
NOT_ACTIVE, LIMIT, REFUSED = pb.CATALOG_TABLE_NOT_ACTIVE, pb.CATALOG_LIMIT_EXCEEDED, pb.CATALOG_OUTCOME_UNSPECIFIED
AGAIN = pb.CATALOG_ALREADY_BOOTSTRAPPED
BAD_KEY = pb.KeyAttribute(name="sk")

CONFLICT = pb.CATALOG_CONFLICT

Step = tuple[pb.CatalogCommand, int, int]  # command, outcome, by how much the version grows


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([(create("t"), REFUSED, 0), (activate(1), REFUSED, 0)], id="nothing before bootstrap"),
        pytest.param([(bootstrap(), OK, 1), (bootstrap(), AGAIN, 0)], id="bootstrap happens once"),
        pytest.param([(bootstrap(), OK, 1), (pb.CatalogCommand(), REFUSED, 0)], id="an empty command changes nothing"),
        pytest.param(
            [(bootstrap(), OK, 1), (create("t"), OK, 1), (create("t"), EXISTS, 0), (create("t", "us"), OK, 1)],
            id="a name is unique in its region",
        ),
        pytest.param(
            [(bootstrap(), OK, 1), (create("t"), OK, 1), (activate(1), OK, 1), (activate(1), OK, 0)],
            id="activating twice is one change",
        ),
        pytest.param(
            [(bootstrap(), OK, 1), (create("t"), OK, 1), (delete("t"), NOT_ACTIVE, 0)],
            id="a table being created cannot be deleted",
        ),
        pytest.param(
            [
                (bootstrap(), OK, 1),
                (create("t"), OK, 1),
                (activate(1), OK, 1),
                (create("t"), EXISTS, 0),
                (delete("t"), OK, 1),
                (delete("t"), NOT_ACTIVE, 0),
                (create("t"), EXISTS, 0),
                (activate(1), NOT_ACTIVE, 0),
                (forget(1), OK, 1),
                (forget(1), OK, 0),
                (delete("t"), NOT_FOUND, 0),
                (activate(1), NOT_FOUND, 0),
                (create("t"), OK, 1),
                (forget(1), OK, 0),
                (activate(2), OK, 1),
            ],
            id="the life of a table, and its name reused under a new id",
        ),
        pytest.param(
            [
                (bootstrap(), OK, 1),
                (create("t"), OK, 1),
                (delete("t", table_id=1, if_revision=1), NOT_ACTIVE, 0),
                (activate(1), OK, 1),
                (change(1, 2, settings_json=b'{"DeletionProtectionEnabled":true}'), OK, 1),
                (delete("t", table_id=1, if_revision=2), CONFLICT, 0),
                (delete("t", table_id=9, if_revision=3), CONFLICT, 0),
                (delete("t", table_id=1, if_revision=3), OK, 1),
                (delete("t", table_id=1, if_revision=3), NOT_ACTIVE, 0),
                (forget(1), OK, 1),
                (delete("t", table_id=1, if_revision=3), NOT_FOUND, 0),
            ],
            id="a table is deleted only at the revision that its deleter saw",
        ),
        pytest.param(
            [
                (bootstrap(), OK, 1),
                (create("t"), OK, 1),
                (forget(1), REFUSED, 0),
                (activate(1), OK, 1),
                (forget(1), REFUSED, 0),
            ],
            id="a table that serves is not forgotten",
        ),
        pytest.param(
            [
                (bootstrap(), OK, 1),
                (create("a", tables_max=2), OK, 1),
                (create("b", tables_max=2), OK, 1),
                (create("c", tables_max=2), LIMIT, 0),
                (create("a", tables_max=2), EXISTS, 0),
                (create("c", "us", tables_max=2), OK, 1),
            ],
            id="the table limit counts one region",
        ),
        pytest.param(
            [
                (bootstrap(), OK, 1),
                (create(""), REFUSED, 0),
                (create("t", ""), REFUSED, 0),
                (create("t", partition_key=pb.KeyAttribute(name="pk")), REFUSED, 0),
                (create("t", partition_key=None), REFUSED, 0),
                (create("t", sort_key=BAD_KEY), REFUSED, 0),
            ],
            id="a table without name, region or key is refused",
        ),
        pytest.param(
            [
                (bootstrap(), OK, 1),
                (create("t", indexes=[index("")]), REFUSED, 0),
                (create("t", indexes=[GLOBAL, GLOBAL]), REFUSED, 0),
                (create("t", indexes=[index("i", 0)]), REFUSED, 0),
                (create("t", indexes=[index("i", partition_keys=[])]), REFUSED, 0),
                (create("t", indexes=[index("i", partition_keys=[HASH_KEY] * 5)]), REFUSED, 0),
                (create("t", indexes=[index("i", sort_keys=[HASH_KEY] * 5)]), REFUSED, 0),
                (create("t", indexes=[index("i", sort_keys=[BAD_KEY])]), REFUSED, 0),
                (create("t", indexes=[index("i", projection=0)]), REFUSED, 0),
                (create("t", indexes=[index("i", pb.INDEX_LOCAL, sort_keys=[])]), REFUSED, 0),
                (create("t", indexes=[index("named", pb.INDEX_COLLECTION_SIZES)]), REFUSED, 0),
                (create("t", indexes=[index("i", partition_keys=[HASH_KEY] * 4, sort_keys=[])]), OK, 1),
            ],
            id="an index without name, kind, key or projection is refused",
        ),
        pytest.param(
            [
                (bootstrap(), OK, 1),
                (create("t", indexes=[GLOBAL]), OK, 1),
                (change(1, 1, settings_json=b"[]"), NOT_ACTIVE, 0),
                (index_state(1, 2, pb.INDEX_BACKFILLING), OK, 1),
                (activate(1), OK, 1),
                (change(9, 1, settings_json=b"[]"), NOT_FOUND, 0),
                (change(1, 1, settings_json=b"[]"), CONFLICT, 0),
                (change(1, 3, settings_json=b"[]"), OK, 1),
                (change(1, 3, settings_json=b"[]"), CONFLICT, 0),
                (change(1, 4, settings_json=b"[]"), OK, 0),
                (change(1, 4), OK, 0),
                (delete("t"), OK, 1),
                (change(1, 5, settings_json=b"{}"), NOT_ACTIVE, 0),
            ],
            id="a change is made to the revision that its maker saw, and only once",
        ),
        pytest.param(
            [
                (bootstrap(), OK, 1),
                (create("t", indexes=[GLOBAL, LOCAL, SIZES]), OK, 1),
                (activate(1), OK, 1),
                (change(1, 2, add_indexes=[GLOBAL]), REFUSED, 0),
                (change(1, 2, add_indexes=[index("l2", pb.INDEX_LOCAL)]), REFUSED, 0),
                (change(1, 2, add_indexes=[index("i", projection=0)]), REFUSED, 0),
                (change(1, 2, delete_indexes=[3]), REFUSED, 0),
                (change(1, 2, delete_indexes=[4]), REFUSED, 0),
                (change(1, 2, delete_indexes=[9]), REFUSED, 0),
                (change(1, 2, index_settings=[pb.IndexSettings(index_id=9)]), REFUSED, 0),
                (change(1, 2, add_indexes=[index("i")]), OK, 1),
            ],
            id="only global indexes come and go, under new names",
        ),
        pytest.param(
            [
                (bootstrap(), OK, 1),
                (create("t"), OK, 1),
                (activate(1), OK, 1),
                (change(1, 2, add_indexes=[GLOBAL]), OK, 1),
                (activate(1), OK, 0),
                (delete("t"), NOT_ACTIVE, 0),
                (change(1, 3, delete_indexes=[2]), REFUSED, 0),
                (forget_index(1, 2), REFUSED, 0),
                (index_state(1, 9, pb.INDEX_ACTIVE), REFUSED, 0),
                (index_state(9, 2, pb.INDEX_ACTIVE), NOT_FOUND, 0),
                (index_state(1, 2, pb.INDEX_DELETING), REFUSED, 0),
                (index_state(1, 2, pb.INDEX_STATE_UNSPECIFIED), REFUSED, 0),
                (index_state(1, 2, pb.INDEX_BACKFILLING), OK, 1),
                (index_state(1, 2, pb.INDEX_BACKFILLING), OK, 0),
                (index_state(1, 2, pb.INDEX_CREATING), OK, 0),
                (delete("t"), NOT_ACTIVE, 0),
                (index_state(1, 2, pb.INDEX_ACTIVE), OK, 1),
                (index_state(1, 2, pb.INDEX_BACKFILLING), OK, 0),
                (change(1, 5, delete_indexes=[2]), OK, 1),
                (index_state(1, 2, pb.INDEX_ACTIVE), REFUSED, 0),
                (delete("t"), NOT_ACTIVE, 0),
                (forget_index(1, 2), OK, 1),
                (forget_index(1, 2), OK, 0),
                (forget_index(9, 2), OK, 0),
                (delete("t"), OK, 1),
            ],
            id="the life of an added index, and a table that is not deleted meanwhile",
        ),
        pytest.param(
            [(bootstrap(), OK, 1), (delay(5), OK, 1), (delay(5), OK, 0), (delay(0), OK, 1)],
            id="the delay of indexes",
        ),
    ],
)
def test_commands(steps: list[Step]) -> None:
    state = CatalogState()
    for number, (command, outcome, growth) in enumerate(steps):
        before, version = state.snapshot(), state.version
        result = state.apply(command)
        assert (number, result.outcome) == (number, outcome)
        assert state.version - version == growth
        assert result.version == state.version
        assert (state.snapshot() != before) == (growth == 1)


def test_results_carry_the_table_after_the_command_or_the_one_in_the_way() -> None:
    state = CatalogState()
    state.apply(bootstrap())
    sort_key = pb.KeyAttribute(name="sk", type=pb.KEY_N)
    created = state.apply(create("t", sort_key=sort_key, uuid="one", settings_json=b'{"BillingMode":"X"}')).table
    assert created == pb.Table(
        table_id=1,
        name="t",
        region="eu",
        state=pb.TABLE_CREATING,
        partition_key=HASH_KEY,
        sort_key=sort_key,
        created_at_ms=5,
        uuid="one",
        settings_json=b'{"BillingMode":"X"}',
        revision=1,
    )
    assert state.apply(create("t", uuid="two")).table.uuid == "one"
    active, going = state.apply(activate(1)).table, state.apply(delete("t")).table
    assert (active.state, active.revision) == (pb.TABLE_ACTIVE, 2)
    assert (going.state, going.revision) == (pb.TABLE_DELETING, 3)
    assert created.state == pb.TABLE_CREATING
    plain = state.apply(create("plain")).table
    assert not plain.HasField("sort_key")


def made_with_indexes() -> CatalogState:
    state = CatalogState()
    state.apply(bootstrap())
    state.apply(create("t", indexes=[LOCAL, GLOBAL, SIZES]))
    state.apply(create("u"))
    return state


def test_indexes_take_the_ids_after_their_table_and_come_to_life_with_it() -> None:
    state = made_with_indexes()
    table = state.table_by_name("eu", "t")
    assert table is not None
    assert [(row.index_id, row.name, row.kind, row.state) for row in table.indexes] == [
        (2, "l", pb.INDEX_LOCAL, pb.INDEX_CREATING),
        (3, "g", pb.INDEX_GLOBAL, pb.INDEX_CREATING),
        (4, "", pb.INDEX_COLLECTION_SIZES, pb.INDEX_CREATING),
    ]
    assert state.apply(create("v")).table.table_id == 6
    active = state.apply(activate(1)).table
    assert [row.state for row in active.indexes] == [pb.INDEX_ACTIVE] * 3
    assert [row.state for row in table.indexes] == [pb.INDEX_CREATING] * 3


def test_a_change_replaces_settings_and_adds_and_deletes_at_once() -> None:
    state = made_with_indexes()
    before = state.apply(activate(1)).table
    fresh = index("fresh", index_id=77, state=pb.INDEX_ACTIVE)
    settings_of_index = pb.IndexSettings(index_id=2, settings_json=b"[2]")
    command = change(
        1,
        before.revision,
        settings_json=b"[1]",
        add_indexes=[fresh],
        delete_indexes=[3],
        index_settings=[settings_of_index],
    )
    after = state.apply(command).table
    assert (after.settings_json, after.revision) == (b"[1]", before.revision + 1)
    assert [(row.index_id, row.name, row.state, row.settings_json) for row in after.indexes] == [
        (2, "l", pb.INDEX_ACTIVE, b"[2]"),
        (3, "g", pb.INDEX_DELETING, b""),
        (4, "", pb.INDEX_ACTIVE, b""),
        (6, "fresh", pb.INDEX_CREATING, b""),
    ]
    state.apply(forget_index(1, 3))
    assert [row.index_id for row in state.apply(index_state(1, 6, pb.INDEX_ACTIVE)).table.indexes] == [2, 4, 6]


def test_the_delay_of_indexes_is_part_of_the_catalog() -> None:
    state = made_with_indexes()
    state.apply(delay(250))
    assert state.catalog.index_delay_ms == 250
    other = CatalogState()
    other.restore(state.snapshot())
    assert other.catalog.index_delay_ms == 250


def test_a_catalog_handed_out_does_not_change_afterwards() -> None:
    state = CatalogState()
    state.apply(bootstrap())
    state.apply(create("t"))
    held = state.catalog
    copy = pb.Catalog.FromString(held.SerializeToString())
    state.apply(activate(1))
    state.apply(create("u"))
    assert held == copy
    assert state.catalog is state.catalog
    assert [table.name for table in state.catalog.tables] == ["t", "u"]


def test_lookups_follow_the_state() -> None:
    state = CatalogState()
    state.apply(bootstrap())
    state.apply(create("t"))
    by_name = state.table_by_name("eu", "t")
    assert by_name is not None
    assert by_name is state.table_by_id(1)
    assert state.table_by_name("us", "t") is None
    state.apply(activate(1))
    state.apply(delete("t"))
    state.apply(forget(1))
    assert state.table_by_name("eu", "t") is None
    assert state.table_by_id(1) is None


@pytest.mark.parametrize("data", [b"\xff", b"\x12\x05ab"], ids=["not protobuf", "cut short"])
def test_restore_refuses_what_is_no_snapshot_and_keeps_the_state(data: bytes) -> None:
    state = CatalogState()
    state.apply(bootstrap())
    before = state.snapshot()
    with pytest.raises(ValueError, match="not a catalog snapshot"):
        state.restore(data)
    assert state.snapshot() == before


COMMANDS = st.one_of(
    st.builds(create, st.sampled_from("abc"), st.sampled_from(["eu", "us"]), st.integers(0, 3)),
    st.builds(delete, st.sampled_from("abc"), st.sampled_from(["eu", "us"]), st.integers(0, 3), st.integers(0, 3)),
    st.builds(activate, st.integers(0, 6)),
    st.builds(forget, st.integers(0, 6)),
    st.builds(create, st.sampled_from("abc"), indexes=st.lists(st.sampled_from(INDEXES), max_size=2)),
    st.builds(
        change,
        st.integers(0, 6),
        st.integers(0, 6),
        settings_json=st.sampled_from([b"", b"{}", b"[]"]),
        add_indexes=st.lists(st.sampled_from(INDEXES), max_size=2),
        delete_indexes=st.lists(st.integers(1, 9), max_size=2),
    ),
    st.builds(index_state, st.integers(0, 6), st.integers(1, 9), st.integers(0, 4)),
    st.builds(forget_index, st.integers(0, 6), st.integers(1, 9)),
    st.just(pb.CatalogCommand()),
    st.builds(bootstrap),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(COMMANDS, max_size=25), st.integers(0, 25))
def test_a_replica_restored_midway_ends_in_the_same_state(commands: list[pb.CatalogCommand], cut: int) -> None:
    whole, first = CatalogState(), CatalogState()
    results = [whole.apply(command) for command in commands]
    for command in commands[:cut]:
        first.apply(command)
    second = CatalogState()
    second.restore(first.snapshot())
    assert second.snapshot() == first.snapshot()
    assert [second.apply(command) for command in commands[cut:]] == results[cut:]
    assert second.snapshot() == whole.snapshot()
    tables = whole.catalog.tables
    assert len({(table.region, table.name) for table in tables}) == len(tables)
    ids = [table.table_id for table in tables] + [row.index_id for table in tables for row in table.indexes]
    assert len(set(ids)) == len(ids)
    assert all(number < whole.catalog.next_table_id for number in ids)
    for table in tables:
        assert whole.table_by_id(table.table_id) == table == whole.table_by_name(table.region, table.name)


@given(st.binary(max_size=200))
def test_any_bytes_that_parse_as_a_command_get_a_result(data: bytes) -> None:
    command = pb.CatalogCommand()
    try:
        command.ParseFromString(data)
    except Exception:
        return
    for state in (CatalogState(), CatalogState()):
        state.apply(command)
        state.apply(bootstrap())
        assert isinstance(state.apply(command), pb.CatalogResult)


def broken(change: str) -> pb.Catalog:
    catalog = bootstrap_catalog(cluster(), "c-1")
    match change:
        case "no cluster id":
            catalog.cluster_id = ""
        case "no catalog group":
            del catalog.partitions[0]
        case "a hole in the ring":
            del catalog.partitions[1]
        case "a replica that is no node":
            catalog.partitions[2].replicas[0] = "n9"
        case "one replica twice":
            catalog.partitions[2].replicas[0] = catalog.partitions[2].replicas[1]
        case "a leader that is no replica":
            catalog.partitions[2].preferred_leader = "n9"
        case "no replicas":
            del catalog.partitions[2].replicas[:]
        case "a table without an id":
            catalog.tables.add(name="t", region="eu")
        case "one table name twice":
            catalog.tables.add(name="t", region="eu", table_id=1)
            catalog.tables.add(name="t", region="eu", table_id=2)
        case "nothing":
            catalog = pb.Catalog()
    return catalog


@pytest.mark.parametrize(
    "change",
    [
        "no cluster id",
        "no catalog group",
        "a hole in the ring",
        "a replica that is no node",
        "one replica twice",
        "a leader that is no replica",
        "no replicas",
        "a table without an id",
        "one table name twice",
        "nothing",
    ],
)
def test_an_incomplete_bootstrap_is_refused(change: str) -> None:
    state = CatalogState()
    command = pb.CatalogCommand(bootstrap=pb.Bootstrap(catalog=broken(change)))
    assert state.apply(command).outcome == REFUSED
    assert state.version == 0
    assert state.apply(bootstrap()).outcome == OK


def test_bootstrap_never_hands_out_an_id_in_use() -> None:
    catalog = bootstrap_catalog(cluster(), "c-1")
    rows = [index("g", index_id=52)]
    catalog.tables.add(name="t", region="eu", table_id=41, partition_key=HASH_KEY, indexes=rows)
    state = CatalogState()
    assert state.apply(pb.CatalogCommand(bootstrap=pb.Bootstrap(catalog=catalog))).outcome == OK
    assert state.apply(create("u")).table.table_id == 53
    assert state.table_by_name("eu", "t") is not None


def test_the_first_catalog_places_every_group_on_three_zones_with_leaders_spread() -> None:
    catalog = bootstrap_catalog(cluster(), "c-1")
    assert catalog.cluster_id == "c-1"
    assert [(node.id, node.az, node.address) for node in catalog.nodes] == [
        ("n1", "az-a", "127.0.0.1:7101"),
        ("n2", "az-b", "127.0.0.1:7102"),
        ("n3", "az-c", "127.0.0.1:7103"),
    ]
    assert [partition.id for partition in catalog.partitions] == [0, 1, 2, 3, 4, 5, 6]
    assert all(sorted(partition.replicas) == ["n1", "n2", "n3"] for partition in catalog.partitions)
    data = Counter(partition.preferred_leader for partition in catalog.partitions if partition.id)
    assert data == {"n1": 2, "n2": 2, "n3": 2}
    ring = ring_of(catalog)
    assert ring.ids == (1, 2, 3, 4, 5, 6)
    assert ring.locate(b"\xff" * 16) == 6
    assert bootstrap_catalog(cluster(), "c-1") == catalog

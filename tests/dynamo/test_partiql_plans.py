"""What native requests a statement becomes, and that they select what the statement says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamo.errors import DynamoError
from dynamo.expressions import Bindings, matches, parse_condition
from dynamo.indexes import IndexDefinition, IndexKind
from dynamo.keys import KeyAttribute, KeySchema
from dynamo.partiql import (
    Position,
    Read,
    Select,
    SelectPlan,
    Write,
    bind,
    cut,
    decode_token,
    encode_token,
    parse_statement,
    plan_select,
    plan_write,
)
from dynamo.values import Item

pytestmark = pytest.mark.unit

COMPOSITE = KeySchema(KeyAttribute("pk", "S"), KeyAttribute("sk", "S"))
HASH = KeySchema(KeyAttribute("pk", "S"))
WRONG_TYPE = "Key attribute's data type should match its data type in table's schema: Key "
ORDER_BY_NEEDS_CONDITION = (
    "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause."
)
ORDER_BY_NEEDS_KEY = (
    "Must have hash key in ORDER BY clause when more than one hash key condition specified in WHERE clause."
)
OVERLAPPING = "Overlapping conditions with range keys are not supported in where clause"
TOO_MANY_READS = "Too many decomposed read operations for a given query."
BATCH_NEEDS_KEY = "Select statements within BatchExecuteStatement must specify the primary key in the where clause."


def index(
    kind: IndexKind = IndexKind.GLOBAL, *, included: tuple[str, ...] | None = ("proj",), partitions: int = 1
) -> IndexDefinition:
    local = kind is IndexKind.LOCAL
    return IndexDefinition(
        index_id=7,
        name="idx",
        kind=kind,
        table_key=COMPOSITE,
        partition=(COMPOSITE.partition,) if local else tuple(KeyAttribute(f"g{n}", "S") for n in range(partitions)),
        sort=(KeyAttribute("lsk", "S"),) if local else (),
        included=included,
    )


def selected(
    where: str,
    *,
    columns: str = "*",
    key: KeySchema = COMPOSITE,
    through: IndexDefinition | None = None,
    parameters: tuple[Any, ...] = (),
    **options: bool,
) -> SelectPlan:
    source = "tab" if through is None else "tab.idx"
    statement = parse_statement(f"SELECT {columns} FROM {source} {where}")
    assert isinstance(statement, Select)
    return plan_select(statement, bind(statement, list(parameters)), key, through, **options)


def written(text: str, key: KeySchema = COMPOSITE) -> Write:
    statement = parse_statement(text)
    assert not isinstance(statement, Select)
    return plan_write(statement, bind(statement, []), key)


def refusal(plan: Any) -> str:
    with pytest.raises(DynamoError) as raised:
        plan()
    assert raised.value.code == "ValidationException"
    return raised.value.message


def keys(plan: SelectPlan) -> list[Any]:
    """Each read as its operation with the key or the key condition filled in."""
    return [(read.operation, *_filled(read)) for read in plan.reads]


def _filled(read: Read) -> list[Any]:
    request = read.request
    if "Key" in request:
        return [{name: next(iter(value.values())) for name, value in request["Key"].items()}]
    text = request.get("KeyConditionExpression")
    if text is None:
        return []
    for placeholder, name in request["ExpressionAttributeNames"].items():
        text = text.replace(placeholder, name)
    for placeholder, value in request["ExpressionAttributeValues"].items():
        text = text.replace(placeholder, next(iter(value.values())))
    return [text]


@pytest.mark.parametrize(
    ("where", "reads"),
    [
        ("", [("Scan",)]),
        ("WHERE pk = 'a' AND sk = 'b'", [("GetItem", {"pk": "a", "sk": "b"})]),
        ("WHERE 'b' = sk AND 'a' = pk", [("GetItem", {"pk": "a", "sk": "b"})]),
        ("WHERE pk = 'a'", [("Query", "pk = a")]),
        ("WHERE pk = 'a' AND sk > 'b'", [("Query", "pk = a AND sk > b")]),
        ("WHERE pk = 'a' AND 'b' >= sk", [("Query", "pk = a AND sk <= b")]),
        ("WHERE pk = 'a' AND begins_with(sk, 'b')", [("Query", "pk = a AND begins_with(sk, b)")]),
        ("WHERE pk = 'a' AND sk BETWEEN 'b' AND 'c'", [("Query", "pk = a AND sk BETWEEN b AND c")]),
        ("WHERE pk = 'a' AND sk >= 'b' AND sk <= 'c'", [("Query", "pk = a AND sk BETWEEN b AND c")]),
        ("WHERE pk IN ['b', 'a']", [("Query", "pk = a"), ("Query", "pk = b")]),
        (
            "WHERE pk = 'a' AND sk IN ('1', '2')",
            [("GetItem", {"pk": "a", "sk": "1"}), ("GetItem", {"pk": "a", "sk": "2"})],
        ),
        ("WHERE pk = 'a' OR pk = 'b' AND sk < 'x'", [("Query", "pk = a"), ("Query", "pk = b AND sk < x")]),
        ("WHERE pk = 'a' AND NOT sk = '1'", [("Query", "pk = a")]),
        ("WHERE pk = 'a' AND (x = 1 OR y = 2)", [("Query", "pk = a")]),
        ("WHERE pk > 'a'", [("Scan",)]),
        ("WHERE pk = 'a' OR sk = '1'", [("Scan",)]),
        ("WHERE NOT pk = 'a'", [("Scan",)]),
        ("WHERE pk = 'a' AND pk = 'b'", [("Scan",)]),
        ("WHERE pk = 'a' AND pk = 'a'", [("Query", "pk = a")]),
        ("WHERE pk = 'a' OR pk = 'a' AND NOT sk = '1'", [("Query", "pk = a")]),
        ("WHERE x = 1", [("Scan",)]),
        ("WHERE pk = 'a' ORDER BY sk DESC", [("Query", "pk = a")]),
        ("WHERE pk IN ['a', 'b'] ORDER BY pk DESC", [("Query", "pk = b"), ("Query", "pk = a")]),
    ],
)
def test_reads_of_a_where(where: str, reads: list[Any]) -> None:
    assert keys(selected(where)) == reads


@pytest.mark.parametrize(
    ("order", "forward"),
    [("", True), ("ORDER BY sk", True), ("ORDER BY sk DESC", False), ("ORDER BY pk ASC", False)],
    ids=["no ORDER BY", "the sort key", "the sort key DESC", "only the partition key: recorded as descending"],
)
def test_direction(order: str, forward: bool) -> None:
    (read,) = selected(f"WHERE pk = 'a' {order}").reads
    assert read.request.get("ScanIndexForward", True) is forward


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("pk IN ['a', 'a']", OVERLAPPING),
        ("pk = 'a' OR pk = 'a'", OVERLAPPING),
        ("pk = 'a' AND (sk > '0' OR sk < '5')", OVERLAPPING),
        ("pk = 'a' AND (sk = '1' OR flag = 'two')", OVERLAPPING),
        ("(pk = 'a' AND flag = 'one') OR (pk = 'a' AND flag = 'two')", OVERLAPPING),
        ("pk = 'a' AND x = '1' OR pk = 'a' AND sk = '2'", OVERLAPPING),
        ("pk = 'a' AND x <> '1' OR pk = 'a' AND sk = '2'", OVERLAPPING),
        ("pk = 1 OR pk = 'a'", WRONG_TYPE + "pk"),
        ("pk = 'a' AND sk IN ['1', 2]", WRONG_TYPE + "sk"),
        (f"pk IN [{', '.join(f'{n!r}' for n in map(str, range(51)))}]", TOO_MANY_READS),
        (f"pk = 'a' AND sk IN [{', '.join(f'{n!r}' for n in map(str, range(51)))}]", TOO_MANY_READS),
        (f"pk IN [{', '.join(f'{n!r}' for n in map(str, range(26)))}] AND sk IN ['1', '2']", TOO_MANY_READS),
        ("pk > 'a' ORDER BY sk", ORDER_BY_NEEDS_CONDITION),
        ("pk = 'a' ORDER BY total DESC", "Attribute total in ORDER BY clause must be part of the primary key"),
        ("pk IN ['a', 'b'] ORDER BY sk DESC", ORDER_BY_NEEDS_KEY),
    ],
)  # fmt: skip
def test_reads_that_are_refused(where: str, message: str) -> None:
    assert refusal(lambda: selected(f"WHERE {where}")) == message


def test_order_by_needs_a_where() -> None:
    message = "Must have WHERE clause in the statement when using ORDER BY clause."
    assert refusal(lambda: selected("ORDER BY sk")) == message


@pytest.mark.parametrize(
    "where",
    ["pk IN ['51 values'] OR flag = 'one'", "pk > 1", "pk = 'a' AND (sk < '1' OR sk > '1' OR sk = '1')"],
)
def test_reads_that_are_accepted(where: str) -> None:
    values = ", ".join(f"'v{n}'" for n in range(51))
    assert selected("WHERE " + where.replace("'51 values'", values)).reads


@pytest.mark.parametrize(
    ("where", "accepted"),
    [
        ("pk = 'a' AND sk = '1'", True),
        ("pk IN ['a'] AND sk IN ['1']", True),
        ("pk = 'a'", False),
        ("pk = 'a' AND sk = '1' AND x = 1", False),
        ("pk = 'a' AND sk = '1' AND pk = 'b'", False),
        ("pk = 'a' AND sk IN ['1', '2']", False),
        ("x = 1", False),
    ],
)
def test_a_select_of_a_batch_reads_one_item_by_its_key(where: str, accepted: bool) -> None:
    if accepted:
        assert [read.operation for read in selected(f"WHERE {where}", single_item=True).reads] == ["GetItem"]
    else:
        assert refusal(lambda: selected(f"WHERE {where}", single_item=True)) == BATCH_NEEDS_KEY


@pytest.mark.parametrize(
    ("kind", "where", "names"),
    [
        (IndexKind.GLOBAL, "g0 = 'y' AND np = '1'", "np"),
        (IndexKind.LOCAL, "pk = 'y' AND np = '1'", "np"),
        (IndexKind.LOCAL, "pk = 'p' AND lsk BETWEEN 'a' AND 'b' AND np IS MISSING", "np"),
        (IndexKind.GLOBAL, "g0 = 'y' AND NOT (np = '1' OR proj = 'x')", "np"),
        (IndexKind.GLOBAL, "g0 = 'y' AND b = '1' AND (a = '2' OR proj = '3')", "a, b"),
        (IndexKind.GLOBAL, "g0 = 'y' AND (zz = '1' OR aa = '2' OR mm = '3')", "zz, aa, mm"),
        (IndexKind.GLOBAL, "g0 IN ['y', 'z'] AND np = '1'", "np"),
        (IndexKind.GLOBAL, "(g0 = 'b' AND u1 = '1') OR (g0 = 'q' AND u2 = '1')", "u2"),
        (IndexKind.GLOBAL, "(g0 = 'q' AND u1 = '1') OR (g0 = 'b' AND u2 = '1')", "u1"),
    ],
)
def test_a_keyed_read_of_an_index_filters_only_on_what_it_holds(kind: IndexKind, where: str, names: str) -> None:
    message = refusal(lambda: selected(f"WHERE {where}", through=index(kind)))
    assert message == (
        "One or more parameter values were invalid: Secondary index idx does not project one or more filter "
        f"attributes: [{names}]"
    )


@pytest.mark.parametrize(
    "where",
    [
        "np = '1'",
        "g0 > 'a' AND np = '1'",
        "g0 = 'y' AND proj IS NOT MISSING",
        "(g0 = 'y' AND np = '1') OR g0 = 'z'",
        "g0 = 'y' AND (g0 = 'z' OR np = '1')",
        "(g0 = 'y' AND np = '1') OR aa = '1'",
    ],
)
def test_other_reads_of_an_index_filter_on_anything(where: str) -> None:
    assert all(read.request["IndexName"] == "idx" for read in selected(f"WHERE {where}", through=index()).reads)


@pytest.mark.parametrize(
    ("through", "options", "columns", "message"),
    [
        pytest.param(
            index(), {"consistent": True}, "*",
            "Strongly consistent read is not supported on Global Secondary Indexes", id="a strong read",
        ),
        pytest.param(
            index(), {}, "zdrop, adrop",
            "One or more parameter values were invalid: Global secondary index idx does not project [zdrop, adrop]",
            id="columns that it does not hold",
        ),
        pytest.param(
            index(partitions=2), {"single_item": True}, "*",
            "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute RANGE "
            "keys.", id="several partition attributes",
        ),
        pytest.param(index(), {"single_item": True}, "*", BATCH_NEEDS_KEY, id="in a batch"),
    ],
)  # fmt: skip
def test_reads_of_a_global_index_that_are_refused(
    through: IndexDefinition, options: dict[str, bool], columns: str, message: str
) -> None:
    assert refusal(lambda: selected("WHERE g0 = 'x'", columns=columns, through=through, **options)) == message


def test_a_local_index_gives_what_it_does_not_hold() -> None:
    plan = selected("WHERE pk = 'x'", columns="np", through=index(IndexKind.LOCAL), consistent=True)
    assert plan.reads[0].request["ProjectionExpression"] == "#1"
    assert plan.columns is None


def test_nested_columns_are_cut_out_under_their_last_name() -> None:
    plan = selected("WHERE pk = 'x' AND sk = 'y'", columns="m.k[1], m.sub, l[0], l[7], plain")
    assert plan.reads[0].request["ProjectionExpression"] == "#0, #1, #2"
    assert plan.reads[0].request["ExpressionAttributeNames"] == {"#0": "m", "#1": "l", "#2": "plain"}
    assert plan.columns is not None
    item: Item = {
        "m": {"M": {"k": {"L": [{"S": "a"}, {"S": "b"}]}, "sub": {"N": "1"}}},
        "l": {"L": [{"BOOL": True}]},
        "plain": {"S": "p"},
    }
    assert cut(item, plan.columns) == {
        "k[1]": {"S": "b"},
        "sub": {"N": "1"},
        "l[0]": {"BOOL": True},
        "plain": {"S": "p"},
    }


# Writes.


def test_insert_is_a_put_of_an_item_that_does_not_exist() -> None:
    write = written("INSERT INTO tab VALUE {'pk': 'a', 'sk': 'b', 'l': [1, {'x': <<1, 2>>}], 'n': null}")
    assert write == Write(
        "PutItem",
        {
            "TableName": "tab",
            "Item": {
                "pk": {"S": "a"},
                "sk": {"S": "b"},
                "l": {"L": [{"N": "1"}, {"M": {"x": {"NS": ["1", "2"]}}}]},
                "n": {"NULL": True},
            },
            "ConditionExpression": "attribute_not_exists(#0)",
            "ExpressionAttributeNames": {"#0": "pk"},
        },
        duplicate=True,
    )


def test_update_needs_the_item_and_its_conditions() -> None:
    write = written(
        "UPDATE tab SET a = 1, b.c = b.c + 2 SET l = list_append(l, [1]) REMOVE d[0] SET s = set_add(s, <<'x'>>) "
        "SET t = set_delete(t, <<1>>) WHERE sk = 'b' AND pk = 'a' AND (q <> 5 OR r = 1) RETURNING MODIFIED NEW *"
    )
    assert write.operation == "UpdateItem"
    assert write.request["Key"] == {"pk": {"S": "a"}, "sk": {"S": "b"}}
    assert write.request["UpdateExpression"] == (
        "SET #3 = :4, #4.#5 = #4.#5 + :5, #6 = list_append(#6, :6) REMOVE #7[0] ADD #8 :7 DELETE #9 :8"
    )
    assert write.request["ConditionExpression"] == "attribute_exists(#0) AND (#1 <> :2 OR #2 = :3)"
    assert write.request["ReturnValues"] == "UPDATED_NEW"
    assert set(write.request["ExpressionAttributeValues"]) == {f":{n}" for n in range(2, 9)}


def test_the_form_with_from_first_is_the_same_update() -> None:
    first = written("FROM tab WHERE pk = 'a' AND sk = 'b' SET c = 1 REMOVE d RETURNING ALL NEW *")
    assert first == written("UPDATE tab SET c = 1 REMOVE d WHERE pk = 'a' AND sk = 'b' RETURNING ALL NEW *")


def test_delete_of_a_missing_item_succeeds_whatever_its_conditions() -> None:
    write = written("DELETE FROM tab WHERE pk = 'a' AND sk = 'b' AND q = 5 AND r = 6")
    assert write.request["ConditionExpression"] == "attribute_not_exists(#0) OR #1 = :2 AND #2 = :3"
    assert "ConditionExpression" not in written("DELETE FROM tab WHERE pk = 'a' AND sk = 'b'").request


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("pk = 'a'", "Where clause does not contain a mandatory equality on all key attributes"),
        ("sk = 'a'", "Where clause does not contain a mandatory equality on all key attributes"),
        ("pk IN ['a'] AND sk = 'b'", "Where clause does not contain a mandatory equality on all key attributes"),
        ("pk = 'a' OR sk = 'b'", "Where clause does not contain a mandatory equality on all key attributes"),
        (
            "pk = 'a' AND sk = 'b' AND pk = 'c'",
            "Multiple conditions on same key pk. Only single item Update/Insert/Delete are supported",
        ),
        ("pk = 'a' AND sk = 1", WRONG_TYPE + "sk"),
    ],
)
def test_writes_name_one_item(where: str, message: str) -> None:
    assert refusal(lambda: written(f"UPDATE tab SET a = 1 WHERE {where}")) == message
    assert refusal(lambda: written(f"DELETE FROM tab WHERE {where}")) == message


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("{'pk': 'a'}", "Key attribute should be present in the item: Key sk"),
        ("{'pk': 1, 'sk': 'b'}", WRONG_TYPE + "pk"),
    ],
)
def test_inserted_items_have_the_key(item: str, message: str) -> None:
    assert refusal(lambda: written(f"INSERT INTO tab VALUE {item}")) == message


def test_the_same_value_twice_for_a_key_is_one_item() -> None:
    assert written("DELETE FROM tab WHERE pk = 'a' AND pk = 'a'", HASH).request["Key"] == {"pk": {"S": "a"}}


# NextToken.


def test_a_token_serves_its_own_statement_and_parameters_only() -> None:
    statement = parse_statement("SELECT * FROM tab WHERE pk = ?")
    values = bind(statement, [{"S": "a"}])
    position = Position(0, {"pk": {"S": "a"}, "sk": {"N": "1"}})
    token = encode_token(statement, values, position)
    assert decode_token(statement, bind(statement, [{"S": "a"}]), token) == position
    mismatch = "NextToken does not match request"
    assert refusal(lambda: decode_token(statement, bind(statement, [{"S": "b"}]), token)) == mismatch
    other = parse_statement("SELECT * FROM tab2 WHERE pk = ?")
    assert refusal(lambda: decode_token(other, bind(other, [{"S": "a"}]), token)) == mismatch


@pytest.mark.parametrize("token", ["garbage", "AAAA", "é", "AQ==", "Av////////////////////8="])
def test_what_is_no_token_of_ours_is_invalid(token: str) -> None:
    statement = parse_statement("SELECT * FROM tab")
    assert refusal(lambda: decode_token(statement, {}, token)) == "Invalid NextToken"


# The plan of a random WHERE against items selects what the WHERE says.

_texts = st.sampled_from(["", "a", "ab", "b", "c"])
_key_texts = st.sampled_from(["a", "ab", "b", "c"])
_operators = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
_atoms = st.one_of(
    st.builds(lambda value: f"pk = '{value}'", _key_texts),
    st.builds(lambda values: f"pk IN [{', '.join(map(repr, values))}]", st.lists(_key_texts, min_size=1, max_size=3)),
    st.builds(lambda operator, value: f"sk {operator} '{value}'", _operators, _key_texts),
    st.builds(lambda bounds: f"sk BETWEEN '{min(bounds)}' AND '{max(bounds)}'", st.tuples(_key_texts, _key_texts)),
    st.builds(lambda prefix: f"begins_with(sk, '{prefix}')", _key_texts),
    st.builds(lambda operator, value: f"x {operator} '{value}'", _operators, _texts),
    st.sampled_from(["x IS MISSING", "attribute_exists(x) = false", "y.z = 1"]),
)
_wheres = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.builds(lambda parts: " AND ".join(f"({part})" for part in parts), st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda parts: " OR ".join(f"({part})" for part in parts), st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda part: f"NOT ({part})", inner),
    ),
    max_leaves=6,
)
_ITEMS: list[Item] = [
    {"pk": {"S": pk}, "sk": {"S": sk}, **extra}
    for pk in ("a", "ab", "b", "c")
    for sk in ("a", "ab", "b", "c")
    for extra in ({}, {"x": {"S": "b"}}, {"x": {"S": ""}, "y": {"M": {"z": {"N": "1"}}}})
]


def _planned(statement: Select, values: Item) -> SelectPlan | None:
    """The plan, or None for a WHERE that is refused as the service refuses it."""
    try:
        return plan_select(statement, values, COMPOSITE, None)
    except DynamoError as error:
        if error.message in (OVERLAPPING, TOO_MANY_READS):
            return None
        raise


def _simulated(read: Read) -> list[Item]:
    """What a native read gives of the items, as far as its request goes."""
    request = read.request
    bindings = Bindings(request.get("ExpressionAttributeNames"), request.get("ExpressionAttributeValues"))
    items = _ITEMS
    if "Key" in request:
        return [item for item in items if {"pk": item["pk"], "sk": item["sk"]} == request["Key"]]
    for member in ("KeyConditionExpression", "FilterExpression"):
        if member in request:
            condition = parse_condition(request[member])
            items = [item for item in items if matches(condition, item, bindings)]
    return items


@settings(max_examples=200)
@given(_wheres)
def test_the_reads_together_select_what_the_where_says(where: str) -> None:
    statement = parse_statement(f"SELECT * FROM tab WHERE {where}")
    assert isinstance(statement, Select)
    values = bind(statement, [])
    assert statement.where is not None
    bindings = Bindings(statement.where.names, values)
    wanted = [item for item in _ITEMS if matches(statement.where.condition, item, bindings)]
    plan = _planned(statement, values)
    if plan is None:
        return
    found: list[Item] = []
    for read in plan.reads:
        assert "KeyConditionExpression" not in read.request or "sk" not in _filter_names(read)
        items = _simulated(read)
        found += items if read.residual is None else [item for item in items if read.residual.holds(item)]
    assert sorted(map(str, found)) == sorted(map(str, wanted)), where


def _filter_names(read: Read) -> set[str]:
    """The attributes that a FilterExpression names: a native Query refuses key attributes there."""
    text = read.request.get("FilterExpression")
    if text is None:
        return set()
    names = read.request["ExpressionAttributeNames"]
    return {names[placeholder] for placeholder in parse_condition(text).names}

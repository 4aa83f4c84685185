"""PartiQL: ExecuteStatement and BatchExecuteStatement.

Sources: developer guide (PartiQL reference), answers of the service recorded by public suites.
"""

from __future__ import annotations

from typing import Any

import pytest
from conformance_support import (
    CONDITION_FAILED,
    INVALID,
    VALIDATION,
    Index,
    Tables,
    item,
    plain,
    refusal,
    settled,
    value,
)

pytestmark = pytest.mark.cluster

NOT_WELL_FORMED = "Statement wasn't well formed, can't be processed: "
ROWS = [
    item(pk="p", sk=1, team="x", age=30, doc={"a": {"b": "deep"}, "l": [10, 20]}, tags={"u", "v"}),
    item(pk="p", sk=2, team="y", age=4),
    item(pk="p", sk=3, age=31),
    item(pk="p", sk=4, team="x"),
    item(pk="q", sk=1, team="y", age=50),
]


@pytest.fixture(scope="module")
def table(tables: Tables) -> str:
    """For tests that only read. Indexes: by_team (keys only, global), by_age (keys only, local)."""
    made = tables.make(
        "pk:S sk:N",
        *ROWS,
        local=[Index("by_age", "pk:S age:N", "KEYS_ONLY")],
        globals_=[Index("by_team", "team:S", "KEYS_ONLY")],
    )
    settled(lambda: tables.client.scan(TableName=made, IndexName="by_team")["Count"], 4)
    return made


@pytest.fixture(scope="module")
def scratch(tables: Tables) -> str:
    """For tests that write."""
    return tables.make("pk:S")


def execute(client: Any, statement: str, table: str, *parameters: object, **members: Any) -> Any:
    """Run a statement in which T stands for the quoted table."""
    if parameters:
        members["Parameters"] = [value(one) for one in parameters]
    return client.execute_statement(Statement=statement.replace("T!", f'"{table}"'), **members)


def stored(client: Any, table: str, pk: str) -> Any:
    return client.get_item(TableName=table, Key=item(pk=pk), ConsistentRead=True).get("Item")


# --- SELECT -----------------------------------------------------------------------------------------------------------

SELECTS = [
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND sk = 1", [], ["1"], id="whole key"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p'", [], ["1", "2", "3", "4"], id="partition key"),
    pytest.param("SELECT * FROM T! WHERE pk = ? AND sk > ?", ["p", 2], ["3", "4"], id="parameters"),
    pytest.param("select * from T! where pk = 'p' and sk >= 3", [], ["3", "4"], id="keywords in lower case"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND sk BETWEEN 2 AND 3", [], ["2", "3"], id="BETWEEN"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND sk IN [1, 4]", [], ["1", "4"], id="IN"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND sk <> 2", [], ["1", "3", "4"], id="<>"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND age > 20", [], ["1", "3"], id="filter"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND NOT age > 20", [], ["2", "4"], id="NOT"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND (sk = 1 OR sk = 4)", [], ["1", "4"], id="OR"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND team IS MISSING", [], ["3"], id="IS MISSING"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND age IS NOT MISSING", [], ["1", "2", "3"], id="IS NOT MISSING"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND begins_with(team, 'x')", [], ["1", "4"], id="begins_with"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND contains(tags, 'u')", [], ["1"], id="contains"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND attribute_type(age, 'N')", [], ["1", "2", "3"], id="type"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND doc.a.b = 'deep'", [], ["1"], id="path"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND doc.l[1] = 20", [], ["1"], id="path into a list"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' ORDER BY sk DESC", [], ["4", "3", "2", "1"], id="ORDER BY DESC"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' ORDER BY sk ASC", [], ["1", "2", "3", "4"], id="ORDER BY ASC"),
    pytest.param("SELECT * FROM T! WHERE pk = 'nobody'", [], [], id="nothing"),
    pytest.param("SELECT * FROM T! -- a note\nWHERE pk = 'p' AND sk = 1", [], ["1"], id="line comment"),
    pytest.param("SELECT * FROM T! /* a note */ WHERE pk = 'p' AND sk = 2", [], ["2"], id="block comment"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND sk = .2e1", [], ["2"], id="number with an exponent"),
]


@pytest.mark.parametrize(("statement", "parameters", "expected"), SELECTS)
def test_a_select_finds(client: Any, table: str, statement: str, parameters: list[Any], expected: list[str]) -> None:
    found = execute(client, statement, table, *parameters, ConsistentRead=True)["Items"]
    assert [plain(one, "sk") for one in found] == expected


def test_a_select_without_key_scans(client: Any, table: str) -> None:
    found = execute(client, "SELECT * FROM T! WHERE team = 'y'", table, ConsistentRead=True)["Items"]
    assert sorted(plain(one, "pk", "sk") for one in found) == [("p", "2"), ("q", "1")]
    assert len(execute(client, "SELECT * FROM T!", table, ConsistentRead=True)["Items"]) == len(ROWS)


@pytest.mark.parametrize(
    ("projection", "expected"),
    [
        pytest.param("pk, age", item(pk="p", age=30), id="attributes"),
        pytest.param("doc.a.b", item(b="deep"), id="the last step names a path"),
        pytest.param("doc", item(doc={"a": {"b": "deep"}, "l": [10, 20]}), id="map"),
        pytest.param("absent", {}, id="what is not there"),
    ],
)
def test_a_select_gives_what_it_names(client: Any, table: str, projection: str, expected: dict[str, Any]) -> None:
    found = execute(client, f"SELECT {projection} FROM T! WHERE pk = 'p' AND sk = 1", table, ConsistentRead=True)
    assert found["Items"] == [expected]


def test_a_select_of_an_index_gives_what_the_index_holds(client: Any, table: str) -> None:
    by_team = execute(client, """SELECT * FROM T!."by_team" WHERE team = 'x'""", table)["Items"]
    assert sorted(plain(one, "sk") for one in by_team) == ["1", "4"]
    assert all(one.keys() == {"pk", "sk", "team"} for one in by_team)
    by_age = execute(client, """SELECT * FROM T!."by_age" WHERE pk = 'p' AND age > 4""", table, ConsistentRead=True)
    assert [plain(one, "age") for one in by_age["Items"]] == ["30", "31"]


def test_a_select_is_paged(client: Any, table: str) -> None:
    statement, found, request = "SELECT sk FROM T! WHERE pk = 'p'", [], {"Limit": 3, "ConsistentRead": True}
    while True:
        page = execute(client, statement, table, **request)
        found.append([plain(one, "sk") for one in page["Items"]])
        if "NextToken" not in page:
            break
        request["NextToken"] = page["NextToken"]
    assert found == [["1", "2", "3"], ["4"]]


@pytest.mark.parametrize(("strong", "units"), [(True, 1.0), (False, 0.5)], ids=["strong", "eventual"])
def test_a_select_costs_what_its_read_costs(client: Any, table: str, strong: bool, units: float) -> None:
    statement = "SELECT * FROM T! WHERE pk = 'p' AND sk = 1"
    answer = execute(client, statement, table, ConsistentRead=strong, ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"]["CapacityUnits"] == units
    assert answer["ConsumedCapacity"]["TableName"] == table


# --- INSERT, UPDATE, DELETE -------------------------------------------------------------------------------------------


def test_insert_writes_every_kind_of_literal(client: Any, scratch: str) -> None:
    execute(
        client,
        "INSERT INTO T! VALUE {'pk': 'literals', 's': 'it''s', 'n': -1.5e2, 't': true, 'f': false, 'z': null, "
        "'l': [1, 'a', [true]], 'm': {'a': {'b': 1}}, 'ss': <<'a', 'b'>>, 'ns': <<1, 2>>}",
        scratch,
    )
    found = stored(client, scratch, "literals")
    for kind in ("ss", "ns"):
        found[kind][kind.upper()].sort()
    assert found == item(
        pk="literals", s="it's", n=-150, t=True, f=False, z=None, l=[1, "a", [True]], m={"a": {"b": 1}},
        ss={"a", "b"}, ns={1, 2},
    )  # fmt: skip


def test_insert_takes_parameters_of_every_type(client: Any, scratch: str) -> None:
    given = item(pk="parameters", b=b"\x00\xff", l=[{"x": {"u"}}])
    statement = "INSERT INTO T! VALUE {'pk': ?, 'b': ?, 'l': ?}"
    execute(client, statement, scratch, "parameters", b"\x00\xff", [{"x": {"u"}}])
    assert stored(client, scratch, "parameters") == given


def test_insert_of_what_is_there_is_refused(client: Any, scratch: str) -> None:
    statement = f"""INSERT INTO "{scratch}" VALUE {{'pk': 'twice', 'v': ?}}"""
    client.execute_statement(Statement=statement, Parameters=[value(1)])
    assert refusal(client.execute_statement, Statement=statement, Parameters=[value(2)]) == (
        "DuplicateItemException",
        "Duplicate primary key exists in table",
    )
    assert stored(client, scratch, "twice") == item(pk="twice", v=1)


BEFORE = item(pk="row", n=5, s="text", l=[1, 2], m={"a": 1}, tags={"u", "v"})
UPDATES = [
    pytest.param("SET s = 'new'", item(s="new"), id="value"),
    pytest.param("SET n = n + 1", item(n=6), id="sum"),
    pytest.param("SET n = n - 1, s = 'x'", item(n=4, s="x"), id="two"),
    pytest.param("SET s = 'x' SET n = 1", item(n=1, s="x"), id="SET again"),
    pytest.param("SET m.b = 2", item(m={"a": 1, "b": 2}), id="path"),
    pytest.param("SET l[0] = 9", item(l=[9, 2]), id="element of a list"),
    pytest.param("SET l = list_append(l, [3])", item(l=[1, 2, 3]), id="list_append"),
    pytest.param("SET tags = set_add(tags, <<'w'>>)", item(tags={"u", "v", "w"}), id="set_add"),
    pytest.param("SET tags = set_delete(tags, <<'u'>>)", item(tags={"v"}), id="set_delete"),
    pytest.param("REMOVE s", {"s": None}, id="REMOVE"),
    pytest.param("REMOVE m.a REMOVE l[0]", item(m={}, l=[2]), id="REMOVE of paths"),
    pytest.param("SET n = 1 REMOVE s", item(n=1) | {"s": None}, id="SET and REMOVE"),
]


@pytest.mark.parametrize(("clause", "changed"), UPDATES)
def test_update_changes(client: Any, scratch: str, clause: str, changed: dict[str, Any]) -> None:
    client.put_item(TableName=scratch, Item=BEFORE)
    execute(client, f"UPDATE T! {clause} WHERE pk = 'row'", scratch)
    found = stored(client, scratch, "row")
    found["tags"]["SS"].sort()
    assert found == {name: content for name, content in (BEFORE | changed).items() if content is not None}


def test_update_of_what_is_not_there_fails(client: Any, scratch: str) -> None:
    statement = f"""UPDATE "{scratch}" SET v = 1 WHERE pk = 'absent'"""
    assert refusal(client.execute_statement, Statement=statement) == CONDITION_FAILED
    assert stored(client, scratch, "absent") is None


def test_update_whose_condition_does_not_hold_fails(client: Any, scratch: str) -> None:
    client.put_item(TableName=scratch, Item=BEFORE)
    statement = f"""UPDATE "{scratch}" SET n = 1 WHERE pk = 'row' AND n = 6"""
    assert refusal(client.execute_statement, Statement=statement) == CONDITION_FAILED
    execute(client, "UPDATE T! SET n = 1 WHERE pk = 'row' AND n = 5", scratch)
    assert stored(client, scratch, "row")["n"] == value(1)


@pytest.mark.parametrize(
    ("returning", "expected"),
    [
        pytest.param("ALL OLD *", [item(pk="r", n=1, s="old")], id="all old"),
        pytest.param("ALL NEW *", [item(pk="r", n=2, s="old")], id="all new"),
        pytest.param("MODIFIED OLD *", [item(n=1)], id="modified old"),
        pytest.param("MODIFIED NEW *", [item(n=2)], id="modified new"),
    ],
)
def test_update_returns(client: Any, scratch: str, returning: str, expected: list[Any]) -> None:
    client.put_item(TableName=scratch, Item=item(pk="r", n=1, s="old"))
    assert execute(client, f"UPDATE T! SET n = 2 WHERE pk = 'r' RETURNING {returning}", scratch)["Items"] == expected


def test_delete_removes_and_returns(client: Any, scratch: str) -> None:
    client.put_item(TableName=scratch, Item=item(pk="gone", v=1))
    answer = execute(client, "DELETE FROM T! WHERE pk = 'gone' RETURNING ALL OLD *", scratch)
    assert answer["Items"] == [item(pk="gone", v=1)]
    assert stored(client, scratch, "gone") is None


def test_delete_of_what_is_not_there_succeeds(client: Any, scratch: str) -> None:
    assert execute(client, "DELETE FROM T! WHERE pk = 'absent'", scratch)["Items"] == []


def test_delete_whose_condition_does_not_hold_fails(client: Any, scratch: str) -> None:
    client.put_item(TableName=scratch, Item=item(pk="kept", v=1))
    statement = f"""DELETE FROM "{scratch}" WHERE pk = 'kept' AND v = 2"""
    assert refusal(client.execute_statement, Statement=statement) == CONDITION_FAILED
    assert stored(client, scratch, "kept") == item(pk="kept", v=1)


# --- refusals ---------------------------------------------------------------------------------------------------------

ABSENT = "conformance-absent"
LEFT_OVER = NOT_WELL_FORMED + "Unexpected token after expression"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
REFUSALS = [
    pytest.param("SELECTT * FROM T!", [], {}, NOT_WELL_FORMED + "Expected data manipulation", id="no statement"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p", [], {}, NOT_WELL_FORMED, id="string without end"),
    pytest.param("SELECT * FROM T! WHERE", [], {}, NOT_WELL_FORMED + "Unexpected term", id="WHERE without condition"),
    pytest.param("SELECT * FROM T! t WHERE pk = 'p'", [], {}, "Aliasing is not supported", id="alias"),
    pytest.param("DELETE FROM T! t WHERE pk = 'p'", [], {}, "Aliasing is not supported", id="alias in a delete"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' # note", [], {}, NOT_WELL_FORMED, id="hash comment"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' /* note", [], {}, NOT_WELL_FORMED, id="block comment without end"),
    pytest.param("SELECT * FROM T! WHERE pk = 1e99999999999", [], {}, NOT_WELL_FORMED, id="exponent without end"),
    pytest.param("INSERT INTO T! VALUE {'pk': 'x', 'sk': 1} more", [], {}, LEFT_OVER, id="words after an item"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' more", [], {}, LEFT_OVER, id="words after a condition"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p')", [], {}, LEFT_OVER, id="one parenthesis too many"),
    pytest.param("DELETE FROM T! WHERE pk = 'p' AND sk = 1 ORDER BY pk", [], {}, LEFT_OVER, id="ordered delete"),
    pytest.param("SELECT * FROM T! ORDER BY pk WHERE pk = 'p'", [], {}, LEFT_OVER, id="ORDER BY before WHERE"),
    pytest.param("SELECT * FROM T! WHERE pk = 'p' AND sk = 1e126", [], {}, OVERFLOW + " under root", id="large number"),
    pytest.param(
        "INSERT INTO T! VALUE {'pk': 'x', 'sk': 1, 'm': {'x': 1e126}}",
        [],
        {},
        OVERFLOW + " under root.x",
        id="too large a number in a map",
    ),
    pytest.param(
        "INSERT INTO T! VALUE {'pk': 'x', 'sk': 1, 'l': [1, 1e126]}",
        [],
        {},
        OVERFLOW + " under root[1]",
        id="too large a number in a list",
    ),
    pytest.param(
        "UPDATE T! SET a = set_add(a, <<>>) WHERE pk = 'p' AND sk = 1",
        [],
        {},
        "Empty bags are not supported",
        id="empty set",
    ),
    pytest.param(
        "SELECT * FROM T! WHERE pk = 'p' AND attribute_exists('team')",
        [],
        {},
        "Operator or function requires a document path; operator or function: attribute_exists",
        id="attribute_exists of a text",
    ),
    pytest.param(
        "SELECT * FROM T! WHERE pk = ?",
        [],
        {},
        "Number of parameters in request and statement don't match.",
        id="a parameter too few",
    ),
    pytest.param(
        "SELECT * FROM T!.\"absent\" WHERE pk = 'p'",
        [],
        {},
        "The table does not have the specified index",
        id="unknown index",
    ),
    pytest.param(
        'SELECT * FROM T!."by_team"."more" WHERE team = \'x\'',
        [],
        {},
        "A path may contain at most 2 components in the FROM clause",
        id="three names in FROM",
    ),
    pytest.param("SELECT * FROM \"\" WHERE pk = 'p'", [], {}, "Path component cannot be an empty string", id="no name"),
    pytest.param(
        "SELECT * FROM T!.\"by_team\" WHERE team = 'x'",
        [],
        {"ConsistentRead": True},
        "Strongly consistent read is not supported on Global Secondary Indexes",
        id="strong read of a global index",
    ),
    pytest.param(
        "SELECT age FROM T!.\"by_team\" WHERE team = 'x'",
        [],
        {},
        INVALID + "Global secondary index by_team does not project [age]",
        id="an attribute that the index has not",
    ),
    pytest.param(
        "SELECT pk FROM T!.\"by_team\" WHERE team = 'x' AND age = 4",
        [],
        {},
        INVALID + "Secondary index by_team does not project one or more filter attributes: [age]",
        id="a filter on an attribute that the index has not",
    ),
    pytest.param(
        "SELECT pk FROM T! WHERE pk = 'p' AND age < ?",
        [True],
        {},
        "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
        id="order of booleans",
    ),
    pytest.param(
        "DELETE FROM T! WHERE pk = 'p' AND sk = 1 RETURNING ALL NEW *",
        [],
        {},
        "Invalid returning clause: RETURNING ALL NEW *. Only RETURNING ALL OLD * is allowed in DELETE statements.",
        id="what a delete cannot return",
    ),
    pytest.param(
        "UPDATE T! SET v = 1 WHERE pk = 'p'",
        [],
        {},
        "Where clause does not contain a mandatory equality on all key attributes",
        id="update without the whole key",
    ),
    pytest.param(
        "DELETE FROM T! WHERE sk = 1",
        [],
        {},
        "Where clause does not contain a mandatory equality on all key attributes",
        id="delete without the whole key",
    ),
]


@pytest.mark.parametrize(("statement", "parameters", "members", "message"), REFUSALS)
def test_a_statement_is_refused(
    client: Any, table: str, statement: str, parameters: list[Any], members: dict[str, Any], message: str
) -> None:
    request = {"Statement": statement.replace("T!", f'"{table}"'), **members}
    if parameters:
        request["Parameters"] = [value(one) for one in parameters]
    assert refusal(client.execute_statement, **request) == (VALIDATION, message)


def test_a_table_that_does_not_exist_is_not_found(client: Any) -> None:
    statement = f"""SELECT * FROM "{ABSENT}" WHERE pk = 'p'"""
    assert refusal(client.execute_statement, Statement=statement)[0] == "ResourceNotFoundException"


MULTIPLE = (
    "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute RANGE keys."
)


def test_an_index_with_a_key_of_several_attributes_is_not_for_statements(tables: Tables) -> None:
    table = tables.make("pk:S", item(pk="a", h1="x", h2="y"), globals_=[Index("multiple", "h1:S h2:S*")])
    statement = f"""SELECT * FROM "{table}"."multiple" WHERE h1 = 'x' AND h2 = 'y'"""
    assert refusal(tables.client.execute_statement, Statement=statement) == (VALIDATION, MULTIPLE)
    # The table itself is for statements.
    found = execute(tables.client, "SELECT pk FROM T! WHERE pk = 'a'", table, ConsistentRead=True)
    assert found["Items"] == [item(pk="a")]


# --- batches ----------------------------------------------------------------------------------------------------------


NEEDS_KEY = "Select statements within BatchExecuteStatement must specify the primary key in the where clause."


def batch(client: Any, table: str, *statements: str, **members: Any) -> Any:
    requests = [{"Statement": one.replace("T!", f'"{table}"'), "ConsistentRead": True} for one in statements]
    if any(not one.startswith("SELECT") for one in statements):
        requests = [{"Statement": one["Statement"]} for one in requests]
    return client.batch_execute_statement(Statements=requests, **members)


def test_a_batch_of_selects_answers_in_order(client: Any, table: str) -> None:
    found = batch(
        client,
        table,
        "SELECT age FROM T! WHERE pk = 'p' AND sk = 2",
        "SELECT * FROM T! WHERE pk = 'p' AND sk = 99",
        "SELECT age FROM T! WHERE sk = 1 AND pk = 'p'",
    )["Responses"]
    assert found == [
        {"TableName": table, "Item": item(age=4)},
        {"TableName": table},
        {"TableName": table, "Item": item(age=30)},
    ]


def test_a_batch_of_writes_does_each_by_itself(client: Any, scratch: str) -> None:
    client.put_item(TableName=scratch, Item=item(pk="batch-old", v=1))
    found = batch(
        client,
        scratch,
        "INSERT INTO T! VALUE {'pk': 'batch-new', 'v': 1}",
        "INSERT INTO T! VALUE {'pk': 'batch-old'}",
        "UPDATE T! SET v = 2 WHERE pk = 'batch-absent'",
        "DELETE FROM T! WHERE pk = 'batch-old' RETURNING ALL OLD *",
    )["Responses"]
    assert found[0] == {"TableName": scratch}
    assert found[1]["Error"]["Code"] == "DuplicateItem"
    assert found[2]["Error"]["Code"] == "ConditionalCheckFailed"
    assert found[3] == {"TableName": scratch, "Item": item(pk="batch-old", v=1)}
    assert stored(client, scratch, "batch-new") == item(pk="batch-new", v=1)


@pytest.mark.parametrize(
    ("statement", "code", "message"),
    [
        pytest.param(
            "SLECT * FROM T! WHERE pk = 'p' AND sk = 1",
            "ValidationError",
            NOT_WELL_FORMED + "Expected data manipulation",
            id="no statement",
        ),
        pytest.param(f"""SELECT * FROM "{ABSENT}" WHERE pk = 'p'""", "ResourceNotFound", None, id="no table"),
        pytest.param("SELECT * FROM T! WHERE pk = 'p'", "ValidationError", NEEDS_KEY, id="half a key"),
        pytest.param("SELECT * FROM T!.\"by_team\" WHERE team = 'x'", "ValidationError", NEEDS_KEY, id="index"),
        pytest.param(
            "SELECT * FROM T! WHERE pk = ? AND sk = 1",
            "ValidationError",
            "Number of parameters in request and statement don't match.",
            id="a parameter too few",
        ),
    ],
)
def test_a_statement_that_fails_leaves_the_others_alone(
    client: Any, table: str, statement: str, code: str, message: str | None
) -> None:
    good = "SELECT sk FROM T! WHERE pk = 'p' AND sk = 3"
    first, second = batch(client, table, statement, good)["Responses"]
    assert first["Error"]["Code"] == code
    assert message is None or first["Error"]["Message"] == message
    assert second == {"TableName": table, "Item": item(sk=3)}


def test_a_batch_sums_what_its_statements_cost(client: Any, table: str) -> None:
    statements = ["SELECT * FROM T! WHERE pk = 'p' AND sk = 1", "SELECT * FROM T! WHERE pk = 'p' AND sk = 2"]
    answer = batch(client, table, *statements, ReturnConsumedCapacity="TOTAL")
    assert sum(one["CapacityUnits"] for one in answer["ConsumedCapacity"]) == 2.0


@pytest.mark.parametrize("count", [pytest.param(0, id="no statement"), pytest.param(26, id="more than 25 statements")])
def test_a_batch_out_of_bounds_is_refused(client: Any, table: str, count: int) -> None:
    statement = f"""SELECT * FROM "{table}" WHERE pk = 'p' AND sk = 1"""
    statements = [{"Statement": statement}] * count
    assert refusal(client.batch_execute_statement, Statements=statements)[0] == VALIDATION


def test_reads_and_writes_do_not_mix_in_a_batch(client: Any, scratch: str) -> None:
    statements = [
        {"Statement": f"""SELECT * FROM "{scratch}" WHERE pk = 'p'"""},
        {"Statement": f"""INSERT INTO "{scratch}" VALUE {{'pk': 'mixed'}}"""},
    ]
    assert refusal(client.batch_execute_statement, Statements=statements)[0] == VALIDATION
    assert stored(client, scratch, "mixed") is None

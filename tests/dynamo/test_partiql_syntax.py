"""What the grammar of PartiQL takes and refuses, with the texts that the real service was recorded to give."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo.errors import DynamoError
from dynamo.partiql import Select, bind, parse_statement

pytestmark = pytest.mark.unit

NOT_WELL_FORMED = "Statement wasn't well formed, can't be processed: "
LEFTOVER = NOT_WELL_FORMED + "Unexpected token after expression"
INCOMPLETE = "Where clause does not contain a mandatory equality on all key attributes"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
DIGITS = "Attempting to store more than 38 significant digits in a Number"
OPERAND = "Incorrect operand type for operator or function; operator or function: "


def refusal(statement: str, *parameters: Any) -> str:
    with pytest.raises(DynamoError) as raised:
        bind(parse_statement(statement), list(parameters))
    assert raised.value.code == "ValidationException"
    return raised.value.message


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        pytest.param('SELECT * FROM "tab" WHERE pk = 1 foo', LEFTOVER, id="a token after a WHERE"),
        pytest.param('SELECT * FROM "tab" WHERE pk = 1 e5', LEFTOVER, id="a number split from its exponent"),
        pytest.param("INSERT INTO \"tab\" VALUE {'pk': 1} foo", LEFTOVER, id="a token after an item"),
        pytest.param('UPDATE "tab" SET a = 9 WHERE pk = 1 foo', LEFTOVER, id="a token after the WHERE of an UPDATE"),
        pytest.param('DELETE FROM "tab" WHERE pk = 1 foo', LEFTOVER, id="a token after the WHERE of a DELETE"),
        pytest.param('SELECT * FROM "tab" WHERE pk = 1)', LEFTOVER, id="a stray parenthesis"),
        pytest.param('DELETE FROM "tab" WHERE pk = 1 ORDER BY pk', LEFTOVER, id="ORDER BY on a DELETE"),
        pytest.param('SELECT * FROM "tab" ORDER BY pk WHERE pk = 1', LEFTOVER, id="ORDER BY before WHERE"),
        pytest.param("INSERT INTO \"tab\" t VALUE {'pk': 'x'}", LEFTOVER, id="an alias on an INSERT"),
        pytest.param('FROM "tab" SET c = 1 WHERE pk = 1', LEFTOVER, id="FROM first with WHERE last"),
        pytest.param('SELECT * FROM "tab" WHERE pk = 1e2147483648', NOT_WELL_FORMED, id="exponent over 32 bits"),
        pytest.param('SELECT * FROM "tab" WHERE pk = 1e99999999999', NOT_WELL_FORMED, id="a far larger exponent"),
        pytest.param('SELECT * FROM "tab" WHERE pk = 1.5e-2147483647', NOT_WELL_FORMED, id="scale over 32 bits"),
        pytest.param('SELECT * FROM "tab" WHERE pk = 1 # note', NOT_WELL_FORMED, id="a hash comment"),
        pytest.param('SELECT * FROM "tab" WHERE pk = 1 /* note', NOT_WELL_FORMED, id="an open block comment"),
        pytest.param('SELECT * FROM "tab', NOT_WELL_FORMED, id="an open quoted name"),
        pytest.param("SELECT * FROM tab WHERE pk = 'x", NOT_WELL_FORMED, id="an open string"),
        pytest.param("SLECT * FROM \"tab\" WHERE pk = 'a'", NOT_WELL_FORMED + "Expected data manipulation", id="SLECT"),
        pytest.param(
            "UPDATE Payment-x SET a = 1 WHERE pk = 'a'",
            NOT_WELL_FORMED + "Expected data manipulation",
            id="a hyphen in an unquoted table name",
        ),
        pytest.param(
            "INSERT INTO urls (key, a) VALUES (1, 2)", NOT_WELL_FORMED + "Unexpected keyword", id="INSERT of SQL"
        ),
        *[
            pytest.param(text, NOT_WELL_FORMED + "Unexpected term", id=label)
            for label, text in {
                "WHERE at the end": 'SELECT * FROM "tab" WHERE',
                "WHERE and a semicolon": 'SELECT * FROM "tab" WHERE;',
                "WHERE NOT at the end": 'SELECT * FROM "tab" WHERE NOT',
                "WHERE ( at the end": 'SELECT * FROM "tab" WHERE (',
                "WHERE of an UPDATE at the end": 'UPDATE "tab" SET a = 1 WHERE',
                "WHERE of a DELETE at the end": 'DELETE FROM "tab" WHERE',
                "FROM at the end": "SELECT * FROM",
            }.items()
        ],
        *[
            pytest.param(
                f"SELECT * FROM \"tab\" WHERE pk = 'p1' {operator}",
                NOT_WELL_FORMED + "Missing right-hand side expression of infix operator",
                id=f"{operator} at the end",
            )
            for operator in ("AND", "OR")
        ],
        pytest.param(
            'SELECT * FROM "tab" WHERE ORDER BY pk', NOT_WELL_FORMED + "Unexpected keyword", id="WHERE ORDER BY"
        ),
        pytest.param(
            "SELECT * FROM \"tab\" WHERE pk = 'a' AND x IS FOO", NOT_WELL_FORMED + "Expected type name", id="IS FOO"
        ),
        pytest.param('SELECT * FROM "tab" WHERE IS NULL', NOT_WELL_FORMED + "Unexpected operator", id="IS first"),
        pytest.param('SELECT * FROM "tab" WHERE pk = LIKE', NOT_WELL_FORMED + "Unexpected operator", id="LIKE as term"),
        *[
            pytest.param(text, NOT_WELL_FORMED + "Expected identifier for simple path", id=text)
            for text in ("DELETE FROM", "DELETE FROM;", "DELETE FROM WHERE pk = 'a'")
        ],
        pytest.param(
            'SELECT * FROM "tab" WHERE attribute_exists(m.inner)',
            NOT_WELL_FORMED + "Invalid path dot component",
            id="a keyword inside a path",
        ),
    ],
)
def test_statements_that_are_not_well_formed(statement: str, message: str) -> None:
    assert refusal(statement) == message


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        *[
            pytest.param(text, "Aliasing is not supported", id=text)
            for text in (
                "SELECT * FROM \"tab\" t WHERE pk = 'x'",
                "SELECT * FROM \"tab\" AS t WHERE pk = 'x'",
                "UPDATE \"tab\" t SET a = 3 WHERE pk = 'x'",
                "DELETE FROM \"tab\" t WHERE pk = 'x'",
                'SELECT s AS x FROM "tab"',
            )
        ],
        *[
            pytest.param(f"x IS {name}", "Unsupported operation: IsType", id=f"IS {name} as a statement")
            for name in ("INT4", "INT8", "DOUBLE PRECISION", "CHARACTER VARYING")
        ],
        pytest.param('SELECT * FROM "tab" WHERE pk = 1e126', f"{OVERFLOW} under root", id="overflow in WHERE"),
        pytest.param('SELECT * FROM "tab" WHERE pk = 1e-131', f"{UNDERFLOW} under root", id="underflow in WHERE"),
        pytest.param(
            'SELECT * FROM "tab" WHERE pk = 123456789012345678901234567890123456789',
            f"{DIGITS} under root",
            id="39 digits",
        ),
        pytest.param("INSERT INTO \"tab\" VALUE {'pk': 1e126}", f"{OVERFLOW} under root", id="overflow in INSERT"),
        pytest.param('UPDATE "tab" SET a = 1e-131 WHERE pk = 1', f"{UNDERFLOW} under root", id="underflow in SET"),
        pytest.param(
            "INSERT INTO \"tab\" VALUE {'pk': 1, 'm': {'x': 1e126}}", f"{OVERFLOW} under root.x", id="overflow in a map"
        ),
        pytest.param(
            "INSERT INTO \"tab\" VALUE {'pk': 1, 'l': [1, 1e126]}", f"{OVERFLOW} under root[1]", id="overflow in a list"
        ),
        pytest.param('FROM "tab" SET c = 1', INCOMPLETE, id="FROM first without WHERE"),
        pytest.param('FROM "tab" REMOVE a', INCOMPLETE, id="FROM first REMOVE without WHERE"),
        pytest.param('DELETE FROM "tab"', INCOMPLETE, id="DELETE without WHERE"),
        pytest.param("INSERT INTO \"tab\" VALUE {'s': <<>>}", "Empty bags are not supported", id="an empty set"),
        pytest.param(
            "INSERT INTO \"tab\" VALUE {'s': <<1, 'a'>>}",
            "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags",
            id="a set of two types",
        ),
        pytest.param(
            "INSERT INTO \"tab\" VALUE {'s': <<'a', 'a'>>}",
            "One or more parameter values were invalid: Input collection [a, a] contains duplicates.",
            id="a set with a member twice",
        ),
        pytest.param(
            'UPDATE "tab" SET d = ' + "{'a':" * 32 + "1" + "}" * 32 + " WHERE pk = 'x'",
            "Nesting Levels have exceeded supported limits under root" + ".a" * 32,
            id="32 maps",
        ),
        pytest.param(
            "UPDATE \"tab\" SET d = {'a':" + "[" * 31 + "1" + "]" * 31 + "} WHERE pk = 'x'",
            "Nesting Levels have exceeded supported limits under root.a" + "[0]" * 31,
            id="31 lists in a map",
        ),
        pytest.param(
            "DELETE FROM \"tab\" WHERE pk = 'x' RETURNING MODIFIED OLD *",
            "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE "
            "statements.",
            id="DELETE RETURNING MODIFIED OLD",
        ),
        pytest.param(
            'SELECT * FROM "tab"."idx"."extra"',
            "A path may contain at most 2 components in the FROM clause",
            id="three names",
        ),
        pytest.param('SELECT * FROM "tab".""', "Path component cannot be an empty string", id="an empty index name"),
        pytest.param('SELECT * FROM ""', "Path component cannot be an empty string", id="an empty table name"),
        pytest.param(
            "INSERT INTO \"tab\".\"idx\" VALUE {'pk': 'w'}",
            "FROM clause may only contain a single table name in data manipulation statements",
            id="INSERT into an index",
        ),
        pytest.param(
            "UPDATE \"tab\".\"idx\" SET a = 'z' WHERE pk = 'p'",
            "This operation is not supported on an index",
            id="UPDATE of an index",
        ),
        pytest.param(
            'DELETE FROM "tab"."idx" WHERE pk = \'p\'',
            "This operation is not supported on an index",
            id="DELETE from an index",
        ),
        pytest.param(
            "EXISTS(SELECT * FROM \"tab\" WHERE pk = 'x' AND a IS MISSING)",
            "EXISTS can only be used in ExecuteTransaction write requests.",
            id="EXISTS",
        ),
        pytest.param("SELECT s, s FROM tab", "Duplicate identifiers in select clause: s", id="a column twice"),
        pytest.param("SELECT id FROM tab LIMIT 5", "Unsupported clause: LIMIT at 1:26:1", id="LIMIT"),
        pytest.param(
            "SELECT attribute_exists(ss) FROM tab", "Unexpected path component at 1:8:16", id="a projected function"
        ),
        pytest.param(
            "SELECT * FROM tab\nWHERE pk = 'a' AND EXISTS(ss)",
            "Unrecognized function: exists at 2:20:6",
            id="a place on the second line",
        ),
        pytest.param(
            "SELECT * FROM tab WHERE pk IN []",
            "IN operator must have a left hand argument of type Variable Reference and right hand argument of type Seq "
            "with at least one member",
            id="IN an empty list",
        ),
    ],
)
def test_statements_that_dynamodb_does_not_support(statement: str, message: str) -> None:
    assert refusal(statement) == message


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("t = set_add(ss, <<'x'>>)", "The first argument to SET_ADD must equal the assignment value at 1:20:7"),
        ("ss = set_add(<<'a'>>, <<'b'>>)", "The first argument to SET_ADD must equal the assignment value at 1:21:7"),
        ("ss = set_add(ss, 'x')", "The second argument to SET_ADD must be a value with type SET at 1:29:2"),
        ("ss = set_add(ss, ['x'])", "The second argument to SET_ADD must be a value with type SET at 1:29:2"),
        ("ss = set_delete(ss, 'a')", "The second argument to SET_DELETE must be a value with type SET at 1:32:2"),
        ("ss = set_add(ss)", "SET_ADD must have exactly two arguments at 1:21:7"),
        ("ss = set_add(ss, <<'x'>>, <<'y'>>)", "SET_ADD must have exactly two arguments at 1:21:7"),
        ("ss = set_add(ss, <<>>)", "Empty bags are not supported"),
        ("n = 'a' + 1", OPERAND + "+, operand type: S"),
        ("n = n - null", OPERAND + "-, operand type: NULL"),
        ("n = n + [1]", OPERAND + "+, operand type: L"),
    ],
)
def test_assignments_that_are_refused(assignment: str, message: str) -> None:
    assert refusal(f"UPDATE tab SET {assignment} WHERE pk = 'x'") == message


@pytest.mark.parametrize(
    ("condition", "parameters", "message"),
    [
        ("val < ?", [{"BOOL": True}], OPERAND + "<, operand type: BOOL"),
        ("val >= ?", [{"SS": ["a"]}], OPERAND + ">=, operand type: SS"),
        ("val BETWEEN ? AND ?", [{"BOOL": True}, {"BOOL": False}], OPERAND + "BETWEEN, operand type: BOOL"),
        ("attribute_exists(n) > false", [], OPERAND + ">, operand type: BOOL"),
        (
            "attribute_exists('ss')",
            [],
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            "attribute_exists(?)",
            [{"S": "ss"}],
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            "attribute_exists(ss, ns)",
            [],
            "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of "
            "operands: 2",
        ),
        (
            "attribute_type(total, 'X')",
            [],
            "Invalid attribute type name found; type: X, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
        ),
        (
            f"flag IN [{', '.join(['1'] * 101)}]",
            [],
            "The IN operator is provided with too many operands; number of operands: 101",
        ),
        ("a = ?", [], "Number of parameters in request and statement don't match."),
        ("a = 1", [{"S": "x"}], "Number of parameters in request and statement don't match."),
        ("a = ?", [{"N": "abc"}], "The parameter cannot be converted to a numeric value: abc"),
    ],
)
def test_conditions_that_are_refused(condition: str, parameters: list[Any], message: str) -> None:
    assert refusal(f"SELECT * FROM tab WHERE pk = 'x' AND {condition}", *parameters) == message


def test_a_function_without_operands_is_refused_by_its_count() -> None:
    assert refusal("SELECT * FROM tab WHERE attribute_exists()") == (
        "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of "
        "operands: 0"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("SELECT * FROM tab WHERE " + "(" * 4000, id="parentheses"),
        pytest.param("SELECT * FROM tab WHERE a" + "=a" * 4000, id="comparisons in a chain"),
        pytest.param("SELECT * FROM tab WHERE " + "NOT " * 2000 + "a=1", id="negations"),
        pytest.param("SELECT * FROM tab WHERE " + " AND ".join(["a=1"] * 900), id="conjunctions"),
        pytest.param("SELECT * FROM tab WHERE a = " + "[" * 4000, id="lists"),
        pytest.param("SELECT * FROM tab WHERE a = " + "- " * 4000 + "1", id="signs"),
        pytest.param("SELECT * FROM tab WHERE (a=b)" + "=(a=b)" * 90, id="compared conditions"),
        pytest.param(
            "SELECT * FROM tab WHERE " + "(" * 60 + "pk='a'" + ("=true" * 20 + ")") * 60,
            id="comparisons in a chain in parentheses",
        ),
        pytest.param("UPDATE tab SET a = " + "(" * 60 + "1" + ("+1" * 20 + ")") * 60 + " WHERE pk='a'", id="sums"),
    ],
)
def test_no_text_exhausts_the_stack(text: str) -> None:
    with pytest.raises(DynamoError):
        parse_statement(text)


@pytest.mark.parametrize(("levels", "is_refused"), [(99, False), (100, True)])
def test_operators_in_a_row_are_levels_of_nesting_whatever_stands_in_parentheses(levels: int, is_refused: bool) -> None:
    inner, outer = levels // 2, levels - levels // 2
    text = "SELECT * FROM tab WHERE (pk" + " = true" * inner + ")" + " = true" * outer
    if is_refused:
        assert refusal(text) == NOT_WELL_FORMED + "Nesting of expressions is too deep"
    else:
        assert parse_statement(text).where is not None


def test_whoever_calls_from_a_deep_stack_is_told_that_it_is_too_deep() -> None:
    text = "SELECT * FROM tab WHERE " + "(" * 60 + "pk='deep'" + ")" * 60
    frame, frames = sys._getframe(), 0
    while frame.f_back is not None:
        frame, frames = frame.f_back, frames + 1
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(frames + 100)
    try:
        message = refusal(text)
    finally:
        sys.setrecursionlimit(limit)
    assert message == NOT_WELL_FORMED + "Nesting of expressions is too deep"
    assert parse_statement(text).parameters == 0


@pytest.mark.parametrize(
    "statement", ["SELECT a[{}] FROM tab", "SELECT * FROM tab WHERE a[{}] = 1", "UPDATE tab SET a[{}] = 1 WHERE pk='x'"]
)
@pytest.mark.parametrize("digits", ["9" * 5000, "2147483648"], ids=["5,000 digits", "over 31 bits"])
def test_a_list_index_of_any_length_is_refused(statement: str, digits: str) -> None:
    assert refusal(statement.format(digits)) == f"List index is not within the allowable range; index: [{digits}]"


def test_a_list_index_may_begin_with_zeros() -> None:
    statement = parse_statement(f"SELECT a[{'0' * 5000}7] FROM tab")
    assert isinstance(statement, Select)
    assert [column.name for column in statement.columns or ()] == ["a[7]"]


def test_an_exponent_of_any_length_is_refused() -> None:
    assert refusal(f"SELECT * FROM tab WHERE a = 1e{'9' * 5000}") == NOT_WELL_FORMED


@given(
    st.text(alphabet=st.sampled_from("SELECT FROM tab WHERE INSERT VALUE pk=?'\"()[]{}<>,.:;*-+/1e5 AND OR NOT IS a"))
)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(DynamoError):
        parse_statement(text)


@pytest.mark.parametrize(
    ("literal", "number"),
    [("7.31e6", "7310000"), ("7.31E+6", "7310000"), (".73e1", "7.3"), ("-.73e1", "-7.3"), ("- - 1", "1"), ("+5", "5")],
)
def test_number_literals(literal: str, number: str) -> None:
    assert bind(parse_statement(f"SELECT * FROM tab WHERE a = {literal}"), []) == {":0": {"N": number}}


def test_quotes_are_doubled_and_comments_are_white_space() -> None:
    text = "-- first\nSELECT/**/* FROM tab /* a 'note' */ WHERE a = 'it''s -- here' AND \"b\"\"c\" = 1 --"
    statement = parse_statement(text)
    assert bind(statement, []) == {":0": {"S": "it's -- here"}, ":1": {"N": "1"}}
    assert statement.where is not None
    assert set(statement.where.names.values()) == {"a", 'b"c'}

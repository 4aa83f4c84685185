"""What the three parsers refuse, with the exact texts of the service."""

from __future__ import annotations

import pytest

from dynamo.errors import DynamoError
from dynamo.expressions import parse_condition, parse_projection, parse_update
from dynamo.expressions.lexer import TokenKind, tokenize
from dynamo.expressions.reserved import RESERVED_WORDS, is_reserved

pytestmark = pytest.mark.unit

PARSE = {
    "ConditionExpression": parse_condition,
    "UpdateExpression": parse_update,
    "ProjectionExpression": parse_projection,
}


def refusal(parameter: str, text: str) -> str:
    with pytest.raises(DynamoError) as caught:
        PARSE[parameter](text)
    assert caught.value.code == "ValidationException"
    prefix = f"Invalid {parameter}: "
    assert caught.value.message.startswith(prefix)
    return caught.value.message[len(prefix) :]


@pytest.mark.parametrize(
    ("parameter", "text", "token", "near"),
    [
        pytest.param("UpdateExpression", "INVALID SYNTAX HERE", "INVALID", "INVALID SYNTAX", id="first-token"),
        pytest.param("UpdateExpression", "ADD hits : incr", ":", "hits : incr", id="colon-apart-keeps-source-spaces"),
        pytest.param("UpdateExpression", "SET _123 = :v", "_", "SET _123", id="underscore-cannot-begin-a-name"),
        pytest.param("UpdateExpression", "SET a = :v,", "<EOF>", ",", id="end-of-text-shows-the-last-token"),
        pytest.param("UpdateExpression", "SET a = :v, #, b = :w", "#", ", #,", id="bare-number-sign"),
        pytest.param("UpdateExpression", "SET a = :v, updated = updated = b", "=", "updated = b", id="second-equals"),
        pytest.param("UpdateExpression", "SET l[1 = :v", "=", "1 = :v", id="bracket-not-closed"),
        pytest.param("UpdateExpression", "SET a = b + c + d", "+", "c + d", id="three-summands"),
        pytest.param("UpdateExpression", "SET a = f(b + c)", "+", "b + c", id="arithmetic-inside-a-function"),
        pytest.param("UpdateExpression", "SET :a = b", ":a", "SET :a =", id="value-on-the-left"),
        pytest.param("UpdateExpression", "REMOVE :a", ":a", "REMOVE :a", id="remove-a-value"),
        pytest.param("UpdateExpression", "ADD a b", "b", "a b", id="add-a-path"),
        pytest.param("UpdateExpression", "DELETE a f(b)", "f", "a f(", id="delete-a-function"),
        pytest.param("UpdateExpression", "SET", "<EOF>", "SET", id="section-without-actions"),
        pytest.param("UpdateExpression", "SET a = set", "set", "= set", id="keyword-is-no-name"),
        pytest.param("UpdateExpression", "SET (a = b)", "(", "SET (a", id="parentheses-around-an-action"),
        pytest.param("UpdateExpression", "SET a = (b.c).d + e", ".", ").d", id="path-after-parentheses-in-update"),
        pytest.param("UpdateExpression", "SET a = (b", "<EOF>", "b", id="parenthesis-not-closed"),
        pytest.param("UpdateExpression", "SET a = (b + c", "<EOF>", "c", id="arithmetic-parenthesis-not-closed"),
        pytest.param("UpdateExpression", "SET a[1] = 1", "1", "= 1", id="number-literal"),
        pytest.param("UpdateExpression", "SET a[:i] = b", ":i", "[:i]", id="value-as-index"),
        pytest.param("UpdateExpression", "SET a = b REMOVE c,", "<EOF>", ",", id="comma-then-end"),
        pytest.param("ConditionExpression", "things are not ok", "are", "things are not", id="no-operator"),
        pytest.param("ConditionExpression", "a", "<EOF>", "a", id="operand-alone"),
        pytest.param("ConditionExpression", "(a)", "<EOF>", ")", id="operand-alone-in-parentheses"),
        pytest.param("ConditionExpression", "a = = :v", "=", "= = :v", id="two-comparators"),
        pytest.param("ConditionExpression", "attribute_type()", ")", "()", id="function-without-operands"),
        pytest.param("ConditionExpression", "a in (b,c,)", ")", ",)", id="comma-before-parenthesis"),
        pytest.param("ConditionExpression", "a IN b", "b", "IN b", id="in-needs-a-list"),
        pytest.param("ConditionExpression", "a IN ()", ")", "()", id="in-needs-a-member"),
        pytest.param("ConditionExpression", "a > between", "between", "> between", id="keyword-as-operand"),
        pytest.param("ConditionExpression", "a BETWEEN b OR c", "OR", "b OR c", id="between-needs-and"),
        pytest.param("ConditionExpression", "a..b = c", ".", "..b", id="empty-path-element"),
        pytest.param("ConditionExpression", "a[b] = c", "b", "[b]", id="name-as-index"),
        pytest.param("ConditionExpression", "a[4.5] = c", ".", "4.5", id="fraction-as-index"),
        pytest.param("ConditionExpression", "size(a).b > c", ".", ").b", id="path-after-a-function"),
        pytest.param("ConditionExpression", "(size(a))[0] > c", "[", ")[0", id="index-after-a-function"),
        pytest.param("ConditionExpression", "(a = b", "<EOF>", "b", id="condition-parenthesis-not-closed"),
        pytest.param("ConditionExpression", "a = b)", ")", "b)", id="parenthesis-never-opened"),
        pytest.param("ConditionExpression", "(a = b) = c", "=", ") = c", id="comparison-of-a-condition"),
        pytest.param("ConditionExpression", "(NOT f(a)) > b", ">", ") > b", id="comparison-of-a-negation"),
        pytest.param("ConditionExpression", "NOT a", "<EOF>", "a", id="not-of-an-operand"),
        pytest.param("ConditionExpression", "AND a = b", "AND", "AND a", id="and-without-left-side"),
        pytest.param("ConditionExpression", "a > ü", "ü", "> ü", id="letter-beyond-ascii"),
        pytest.param("ConditionExpression", 'f("x")', '"', '("x', id="quotes"),
        pytest.param("ConditionExpression", "tenant:abc-", ":abc", "tenant:abc-", id="value-after-a-name"),
        pytest.param("ProjectionExpression", "!!x", "!", "!!", id="projection-first-token"),
        pytest.param("ProjectionExpression", "a,", "<EOF>", ",", id="projection-comma-at-end"),
        pytest.param("ProjectionExpression", ",a", ",", ",a", id="projection-comma-at-start"),
        pytest.param("ProjectionExpression", "a b", "b", "a b", id="projection-without-comma"),
        pytest.param("ProjectionExpression", "l[a]", "a", "[a]", id="projection-name-as-index"),
        pytest.param("ProjectionExpression", "[0].a", "[", "[0", id="projection-path-begins-with-index"),
        pytest.param("ProjectionExpression", "(a)", "(", "(a", id="projection-parentheses"),
    ],
)
def test_syntax_error_names_the_token_and_its_neighbours(parameter: str, text: str, token: str, near: str) -> None:
    assert refusal(parameter, text) == f'Syntax error; token: "{token}", near: "{near}"'


@pytest.mark.parametrize("parameter", PARSE)
@pytest.mark.parametrize("text", ["", " ", "\t\r\n "], ids=["nothing", "space", "white-space"])
def test_empty_expression(parameter: str, text: str) -> None:
    assert refusal(parameter, text) == "The expression can not be empty;"


@pytest.mark.parametrize(
    ("parameter", "text", "detail"),
    [
        pytest.param(
            "ConditionExpression",
            "attribute_exists(status)",
            "Attribute name is a reserved keyword; reserved keyword: status",
            id="reserved-word-as-written",
        ),
        pytest.param(
            "ConditionExpression",
            "a = b AND c.Comment = d",
            "Attribute name is a reserved keyword; reserved keyword: Comment",
            id="reserved-word-inside-a-path",
        ),
        pytest.param(
            "UpdateExpression",
            " set #c = :c set abOrt = b ",
            "Attribute name is a reserved keyword; reserved keyword: abOrt",
            id="reserved-word-before-repeated-section",
        ),
        pytest.param(
            "ProjectionExpression",
            "a, name",
            "Attribute name is a reserved keyword; reserved keyword: name",
            id="reserved-word-in-projection",
        ),
        pytest.param(
            "ConditionExpression",
            "foo(a) = b",
            "Invalid function name; function: foo",
            id="unknown-function",
        ),
        pytest.param(
            "ConditionExpression",
            "attRIbute_exIsts(views)",
            "Invalid function name; function: attRIbute_exIsts",
            id="function-names-are-case-sensitive-and-come-before-reserved-words",
        ),
        pytest.param(
            "UpdateExpression",
            "SET a = LIST_APPEND(b, c)",
            "Invalid function name; function: LIST_APPEND",
            id="update-function-names-are-case-sensitive",
        ),
        pytest.param(
            "ConditionExpression",
            "list_append(a, b) = c",
            "The function is not allowed in a condition expression; function: list_append",
            id="update-function-in-condition",
        ),
        pytest.param(
            "UpdateExpression",
            "SET a = size(b)",
            "The function is not allowed in an update expression; function: size",
            id="condition-function-in-update",
        ),
        *[
            pytest.param(
                "ConditionExpression",
                text,
                f"The function is not allowed to be used this way in an expression; function: {function}",
                id=f"misplaced-{name}",
            )
            for name, text, function in [
                ("size-alone", "size(a)", "size"),
                ("size-alone-in-parentheses", "(size(a))", "size"),
                ("size-under-not", "NOT size(a)", "size"),
                ("predicate-compared", "attribute_exists(a) > b", "attribute_exists"),
                ("predicate-on-the-right", "a = begins_with(b, c)", "begins_with"),
                ("predicate-in-function", "size(contains(a, b)) > c", "contains"),
                ("predicate-as-bound", "a BETWEEN b AND attribute_exists(c)", "attribute_exists"),
                ("predicate-in-list", "a IN (b, attribute_exists(c))", "attribute_exists"),
            ]
        ],
        pytest.param(
            "UpdateExpression",
            "SET a = list_append(list_append(b, c), d)",
            "The function is not allowed to be used this way in an expression; function: list_append",
            id="nested-list_append",
        ),
        pytest.param(
            "UpdateExpression",
            "SET a = list_append(b, c) + d",
            "The function is not allowed to be used this way in an expression; function: list_append",
            id="list_append-in-arithmetic",
        ),
        *[
            pytest.param("ConditionExpression", text, "The expression has redundant parentheses;", id=f"doubled-{name}")
            for name, text in [
                ("condition", "((a = b))"),
                ("function", "((attribute_exists(a)))"),
                ("left-operand", "((a)) = b"),
                ("right-operand", "a = b and a > ((views))"),
                ("path-head", "(a)between(((b.c)).d)and(c)"),
                ("argument-before-unknown-function", "a > whatever((:things), ((a)))"),
                ("and", "a=b AND ((a=c AND a=d)) AND a=e"),
                ("or", "a=b OR ((a=c OR (a=d OR a=e)))"),
                ("under-not", "NOT ((a = b))"),
            ]
        ],
        *[
            pytest.param(
                "UpdateExpression",
                f"{section} a {value} SET z = y {section} b {value}".replace(
                    " SET z = y", "" if section == "SET" else " SET z = y"
                ),
                f'The "{section}" section can only be used once in an update expression;',
                id=f"repeated-{section}",
            )
            for section, value in [("SET", "= :v"), ("REMOVE", ""), ("ADD", ":v"), ("DELETE", ":v")]
        ],
        pytest.param(
            "UpdateExpression",
            "SET a[4294967295] = b",
            "List index is not within the allowable range; index: [4294967295]",
            id="index-out-of-range",
        ),
        pytest.param(
            "ProjectionExpression",
            "l[999999999999999999999]",
            "List index is not within the allowable range; index: [999999999999999999999]",
            id="index-of-many-digits",
        ),
        pytest.param(
            "ProjectionExpression",
            "a" + ".b" * 32,
            "The document path has too many nesting levels; nesting levels: 33",
            id="path-of-33-levels",
        ),
        pytest.param(
            "ConditionExpression",
            f"a IN ({', '.join(f':v{i}' for i in range(101))})",
            "The IN operator is provided with too many operands; number of operands: 101",
            id="in-with-101-operands",
        ),
    ],
)
def test_refused_with_exact_text(parameter: str, text: str, detail: str) -> None:
    assert refusal(parameter, text) == detail


@pytest.mark.parametrize("parameter", PARSE)
def test_4096_bytes_are_accepted_and_4097_are_not(parameter: str) -> None:
    template = {"ConditionExpression": "{} = :v", "UpdateExpression": "SET {} = :v", "ProjectionExpression": "{}"}
    room = 4096 - len(template[parameter].format(""))
    PARSE[parameter](template[parameter].format("x" * room))
    assert refusal(parameter, template[parameter].format("x" * (room + 1))) == (
        "Expression size has exceeded the maximum allowed size; expression size: 4097"
    )


def test_size_is_counted_in_utf8_bytes() -> None:
    assert refusal("ConditionExpression", "ü" * 2049).endswith("expression size: 4098")


@pytest.mark.parametrize(
    ("term", "joiner", "operators"),
    [("a<b", " OR ", 2), ("NOT a<b", " AND ", 3), ("a IN(b,c)", " OR ", 2), ("a BETWEEN b AND c", " OR ", 2)],
    ids=["comparison-and-or", "not", "in-counts-once", "between-counts-once"],
)
def test_300_operators_are_accepted_and_301_are_not(term: str, joiner: str, operators: int) -> None:
    count = 301 // operators
    parse_condition(joiner.join([term] * count))
    assert refusal("ConditionExpression", joiner.join([term] * (count + 1))) == (
        "The expression contains too many operators; operator count: 301"
    )


def test_update_counts_functions_and_arithmetic_but_not_assignment() -> None:
    parse_update("SET " + ",".join(f"a{i}=b" for i in range(400)))
    parse_update("SET " + ",".join(f"a{i}=b+c" for i in range(300)))
    assert "operator count: 301" in refusal("UpdateExpression", "SET " + ",".join(f"a{i}=b+c" for i in range(301)))


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        pytest.param("ConditionExpression", "(" * 4096, id="open-parentheses"),
        pytest.param("ConditionExpression", "(" * 2046 + "a=b" + ")" * 2046, id="nested-parentheses"),
        pytest.param("ConditionExpression", "a=" + "(" * 2046 + "b" + ")" * 2046, id="nested-operand-parentheses"),
        pytest.param("ConditionExpression", "size(" * 816 + "a", id="nested-size"),
        pytest.param("ConditionExpression", "NOT " * 1020 + "a=b", id="nots"),
        pytest.param("UpdateExpression", "SET a=" + "(" * 4000, id="update-open-parentheses"),
        pytest.param("UpdateExpression", "SET a=" + "if_not_exists(a," * 250, id="nested-if_not_exists"),
        pytest.param("ProjectionExpression", "a" + "[0]" * 1365, id="deep-path"),
    ],
)
def test_no_text_is_too_deep_for_the_parser(parse: str, text: str) -> None:
    refusal(parse, text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        ("ConditionExpression", "attribute_not_exists (pk)"),
        ("ConditionExpression", "a=b"),
        ("ConditionExpression", "(a = b AND (c = d OR NOT e < f)) or g between h and i AND j iN (k, :l)"),
        ("ConditionExpression", "NOT NOT NOT NOT a < b"),
        ("ConditionExpression", "((a=b) OR (c=d))"),
        ("ConditionExpression", "(size(a)) > (:v)"),
        ("ConditionExpression", "((size(a)) > :v)"),
        ("ConditionExpression", "(b.c).d = e"),
        ("ConditionExpression", "NOT (a = b)"),
        ("ConditionExpression", "( ( size ( #A ) < #B.Maximum ) AND ( #C > :v ) )"),
        ("UpdateExpression", "sEt a=:v, b = c rEmOvE d[0].#e aDd f :g DELETE h :i"),
        ("UpdateExpression", "SET a = (b + c)"),
        ("UpdateExpression", "SET a = ((b.c.d)+(e))"),
        ("UpdateExpression", "SET a = (b) - (c)"),
        ("UpdateExpression", "SET a = if_not_exists(a, if_not_exists(b, :z)) + :one"),
        ("UpdateExpression", "SET a = list_append(if_not_exists(a, :e), :v)"),
        ("UpdateExpression", "SET alnum_1 = :_, #1 = :1a"),
        ("ProjectionExpression", " a  ,   b.c[0][1].#d  "),
        ("ProjectionExpression", "a" + ".b" * 31),
    ],
)
def test_accepted(parse: str, text: str) -> None:
    PARSE[parse](text)


def test_the_parameter_name_of_the_caller_is_in_the_text() -> None:
    with pytest.raises(DynamoError, match=r"^\('ValidationException', 'Invalid FilterExpression: Syntax error"):
        parse_condition("a >", "FilterExpression")


def test_parsed_expressions_are_cached_by_text_and_parameter() -> None:
    assert parse_condition("a = :cached") is parse_condition("a = :cached")
    assert parse_condition("a = :cached", "FilterExpression") is not parse_condition("a = :cached")
    assert parse_update("SET a = :cached") is parse_update("SET a = :cached")
    assert parse_projection("a, cached_b") is parse_projection("a, cached_b")


def test_the_whole_list_of_reserved_words_is_there() -> None:
    assert len(RESERVED_WORDS) == 573
    assert {"ABORT", "STATUS", "NAME", "TTL", "ZONE", "SIZE", "VALUE", "TIMESTAMP"} <= RESERVED_WORDS
    assert is_reserved("Status")
    assert not is_reserved("pk")


def test_every_character_belongs_to_one_token_or_is_white_space() -> None:
    text = "SET a_1=#x.:y[12]<>!\t_b\f"
    tokens = tokenize(text)
    assert [token.text for token in tokens] == [
        "SET", "a_1", "=", "#x", ".", ":y", "[", "12", "]", "<>", "!", "_", "b", "\f", "<EOF>",
    ]  # fmt: skip
    assert tokens[-1].kind is TokenKind.END
    assert all(text[token.start : token.end] == token.text for token in tokens[:-1])

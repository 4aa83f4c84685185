"""What check_expressions refuses before any item is read, with the exact texts of the service and in its order."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from dynamo.errors import DynamoError
from dynamo.expressions import (
    check_expressions,
    check_substitutions_size,
    parse_condition,
    parse_projection,
    parse_update,
)
from dynamo.expressions.check import check_overlap

pytestmark = pytest.mark.unit

OVERLAP = "Two document paths overlap with each other; must remove or rewrite one of these paths; "
CONFLICT = "Two document paths conflict with each other; must remove or rewrite one of these paths; "
EXAMPLES: dict[str, dict[str, Any]] = {
    "S": {"S": "a"},
    "N": {"N": "1"},
    "B": {"B": "YQ=="},
    "BOOL": {"BOOL": True},
    "NULL": {"NULL": True},
    "SS": {"SS": ["a"]},
    "NS": {"NS": ["1"]},
    "BS": {"BS": ["YQ=="]},
    "L": {"L": []},
    "M": {"M": {}},
}


def check(
    *,
    condition: str | None = None,
    update: str | None = None,
    projection: str | None = None,
    names: dict[str, str] | None = None,
    values: dict[str, Any] | None = None,
    **options: Any,
) -> None:
    check_expressions(
        condition=None if condition is None else parse_condition(condition),
        update=None if update is None else parse_update(update),
        projection=None if projection is None else parse_projection(projection),
        names=names,
        values=values,
        key_names=("pk", "sk"),
        **options,
    )


def refusal(**request: Any) -> str:
    with pytest.raises(DynamoError) as caught:
        check(**request)
    assert caught.value.code == "ValidationException"
    return caught.value.message


@pytest.mark.parametrize(
    ("request_members", "message"),
    [
        pytest.param(
            {"names": {"#a": "a"}},
            "ExpressionAttributeNames can only be specified when using expressions",
            id="names-without-expressions",
        ),
        pytest.param(
            {"values": {":a": {"S": "a"}}},
            "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
            id="values-without-expressions",
        ),
        pytest.param(
            {"values": {}, "value_expressions": ("UpdateExpression", "ConditionExpression")},
            "ExpressionAttributeValues can only be specified when using expressions: "
            "UpdateExpression and ConditionExpression are null",
            id="values-without-expressions-of-an-update",
        ),
        pytest.param(
            {"projection": "a", "values": {":a": {"S": "a"}}, "value_expressions": ("FilterExpression",)},
            "ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null",
            id="values-with-a-projection-only",
        ),
        pytest.param({"condition": "a=b", "names": {}}, "ExpressionAttributeNames must not be empty", id="no-names"),
        pytest.param({"condition": "a=b", "values": {}}, "ExpressionAttributeValues must not be empty", id="no-values"),
        *[
            pytest.param(
                {"condition": "a = :nope", "names": {name: "a"}},
                f'ExpressionAttributeNames contains invalid key: Syntax error; key: "{name}"',
                id=f"name-syntax-{case}",
            )
            for case, name in [("bare", "a"), ("sign-only", "#"), ("hyphen", "#a-b"), ("empty", ""), ("line", "#a\n")]
        ],
        pytest.param(
            {"condition": "a = :nope", "values": {"b": {"S": "a"}}},
            'ExpressionAttributeValues contains invalid key: Syntax error; key: "b"',
            id="value-syntax",
        ),
        pytest.param(
            {"condition": "#a = b", "names": {"#a": ""}},
            "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a",
            id="name-for-nothing",
        ),
        pytest.param(
            {"condition": "#a = b", "names": {"#a": "é" * 32768}},
            "Attribute name is too large, must be less than 65536 bytes",
            id="name-too-long",
        ),
        pytest.param(
            {"condition": f"#{'a' * 255} = b", "names": {f"#{'a' * 255}": "a"}},
            "ExpressionAttributeNames contains invalid key: "
            "The expression attribute map contains a key that is too long; size of key: 256",
            id="placeholder-too-long",
        ),
        pytest.param(
            {"update": "SET a = :v", "names": {"#b": "b"}, "values": {":v": {"S": "a"}, ":w": {"S": "b"}}},
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#b}",
            id="unused-name-before-unused-value",
        ),
        pytest.param(
            {"update": "REMOVE a", "condition": "a = :b", "values": {f":{c}": {"S": "a"} for c in "abc"}},
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a, :c}",
            id="unused-values",
        ),
        pytest.param(
            {"update": "SET attr = :v"},
            "Invalid UpdateExpression: An expression attribute value used in expression is not defined; "
            "attribute value: :v",
            id="undefined-value",
        ),
        pytest.param(
            {"update": "SET a = :v, #b.#c = :w", "names": {"#b": "b"}, "values": {":x": {"S": "a"}}},
            "Invalid UpdateExpression: An expression attribute name used in the document path is not defined; "
            "attribute name: #c",
            id="undefined-name-before-undefined-value-in-update",
        ),
        pytest.param(
            {"condition": "begins_with(:hello, #a, #b)"},
            "Invalid ConditionExpression: An expression attribute value used in expression is not defined; "
            "attribute value: :hello",
            id="first-undefined-in-reading-order-in-condition-before-operand-count",
        ),
        pytest.param(
            {"condition": "a = :missing AND begins_with(b, :n)", "values": {":n": {"N": "1"}}},
            "Invalid ConditionExpression: An expression attribute value used in expression is not defined; "
            "attribute value: :missing",
            id="clauses-in-order-undefined-first",
        ),
        pytest.param(
            {"condition": "begins_with(b, :n) AND a = :missing", "values": {":n": {"N": "1"}}},
            "Invalid ConditionExpression: Incorrect operand type for operator or function; "
            "operator or function: begins_with, operand type: N",
            id="clauses-in-order-operand-type-first",
        ),
        pytest.param(
            {"condition": "size(a, b) > c AND #d = e"},
            "Invalid ConditionExpression: Incorrect number of operands for operator or function; "
            "operator or function: size, number of operands: 2",
            id="clauses-in-order-operand-count-first",
        ),
        pytest.param(
            {"projection": "a, #b", "names": {"#c": "c"}},
            "Invalid ProjectionExpression: An expression attribute name used in the document path is not defined; "
            "attribute name: #b",
            id="undefined-name-in-projection",
        ),
        *[
            pytest.param(
                {"update": text, "names": {"#p": "pk"}, "values": {":v": value}} | (
                    {} if "#p" in text else {"names": None}
                ),
                f"One or more parameter values were invalid: Cannot update attribute {key}. "
                "This attribute is part of the key",
                id=f"key-{case}",
            )
            for case, text, value, key in [
                ("set", "SET a = :v, pk = :v", EXAMPLES["S"], "pk"),
                ("nested", "ADD sk.b :v", EXAMPLES["N"], "sk"),
                ("by-placeholder", "SET #p[0] = :v", EXAMPLES["S"], "pk"),
                ("removed", "REMOVE sk SET a = :v", EXAMPLES["S"], "sk"),
                ("deleted", "DELETE pk :v", EXAMPLES["SS"], "pk"),
                ("both-in-schema-order", "SET sk = :v, pk = :v", EXAMPLES["S"], "pk"),
            ]
        ],
        pytest.param(
            {"update": "SET pk = :v", "values": {":v": {"S": "a"}, ":w": {"S": "a"}}},
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}",
            id="unused-value-before-key",
        ),
    ],
)  # fmt: skip
def test_refused(request_members: dict[str, Any], message: str) -> None:
    assert refusal(**request_members) == message


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("set d[1] = a, d.b = a, c[1].a = a, #c = e", OVERLAP + "path one: [c, [1], a], path two: [c]"),
        ("set c.b.#c = a, c = a, #d = a", OVERLAP + "path one: [c, b, c], path two: [c]"),
        ("set a = b remove a, #c, #d", OVERLAP + "path one: [a], path two: [a]"),
        ("set #c[3].#d = a, #c[3] = a", OVERLAP + "path one: [c, [3], [3]], path two: [c, [3]]"),
        ("remove c, #c.a, #d", OVERLAP + "path one: [c], path two: [c, a]"),
        ("remove b, x.y, #c.d, e, x.y.z", OVERLAP + "path one: [x, y], path two: [x, y, z]"),
        ("set a[1][1] = x, a[1] = y", OVERLAP + "path one: [a, [1], [1]], path two: [a, [1]]"),
        ("set #c[3].#d = a, #c.#d[3] = e", CONFLICT + "path one: [c, [3], [3]], path two: [c, [3], [3]]"),
        ("remove a.#c set a[1] = #d", CONFLICT + "path one: [a, c], path two: [a, [1]]"),
        ("set a.b.c = x, a.d = y, a.b[2] = z", CONFLICT + "path one: [a, b, c], path two: [a, b, [2]]"),
    ],
)
def test_overlapping_and_conflicting_paths_of_an_update(text: str, detail: str) -> None:
    names = {name: name_of for name, name_of in {"#c": "c", "#d": "[3]"}.items() if name in text}
    assert refusal(update=text, names=names or None) == f"Invalid UpdateExpression: {detail}"


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("a, a", OVERLAP + "path one: [a], path two: [a]"),
        ("a.b[0], a.b[0]", OVERLAP + "path one: [a, b, [0]], path two: [a, b, [0]]"),
        ("a.b.d.e, a.b", OVERLAP + "path one: [a, b, d, e], path two: [a, b]"),
        ("a, b, a.b[2].c", OVERLAP + "path one: [a], path two: [a, b, [2], c]"),
        ("a.b, a[1]", CONFLICT + "path one: [a, b], path two: [a, [1]]"),
    ],
)
def test_overlapping_and_conflicting_paths_of_a_projection(text: str, detail: str) -> None:
    assert refusal(projection=text) == f"Invalid ProjectionExpression: {detail}"


def test_overlap_is_found_in_time_linear_in_the_paths() -> None:
    # An update of 4 KB has up to 1300 paths and is checked for every request, so pairs must not be compared. Twenty
    # thousand paths take some hundredths of a second; all their pairs would take half a minute.
    paths: list[tuple[str | int, ...]] = [(f"name{i}", "member", i) for i in range(20_000)]
    started = process_time()
    check_overlap(paths, "UpdateExpression")
    with pytest.raises(DynamoError, match=r"path one: \[name7, member, \[7\]\], path two: \[name7\]"):
        check_overlap([*paths, ("name7",)], "UpdateExpression")
    assert process_time() - started < 5


TYPED = "Incorrect operand type for operator or function; operator or function: "


@pytest.mark.parametrize(
    ("text", "function", "accepted"),
    [
        ("begins_with(a, :v)", "begins_with", {"S", "B"}),
        ("begins_with(:v, a)", "begins_with", {"S", "B"}),
        ("attribute_type(a, :v)", "attribute_type", {"S"}),
        ("size(:v) > a", "size", set(EXAMPLES) - {"N", "BOOL", "NULL"}),
        ("a < :v", "<", {"S", "N", "B"}),
        (":v >= a", ">=", {"S", "N", "B"}),
        ("a BETWEEN :v AND b", "BETWEEN", {"S", "N", "B"}),
        (":v BETWEEN a AND b", "BETWEEN", {"S", "N", "B"}),
        ("a = :v", "=", set(EXAMPLES)),
        ("a <> :v", "<>", set(EXAMPLES)),
        ("a IN (b, :v)", "IN", set(EXAMPLES)),
        ("contains(a, :v)", "contains", set(EXAMPLES)),
        ("attribute_exists(b) AND NOT (c = d OR a > :v)", ">", {"S", "N", "B"}),
    ],
)
@pytest.mark.parametrize("type_name", EXAMPLES)
def test_operand_types_of_conditions(text: str, function: str, accepted: set[str], type_name: str) -> None:
    value = {"S": "SS"} if type_name == "S" else EXAMPLES[type_name]
    if type_name in accepted:
        check(condition=text, values={":v": value})
    else:
        assert refusal(condition=text, values={":v": value}) == (
            f"Invalid ConditionExpression: {TYPED}{function}, operand type: {type_name}"
        )


@pytest.mark.parametrize(
    ("text", "operator", "accepted"),
    [
        ("SET a = list_append(:v, a)", "list_append", {"L"}),
        ("SET a = list_append(a, :v)", "list_append", {"L"}),
        ("SET a = a + :v", "+", {"N"}),
        ("SET a = :v - a", "-", {"N"}),
        ("SET a = if_not_exists(a, :v)", "", set(EXAMPLES)),
        ("SET a = :v", "", set(EXAMPLES)),
    ],
)
@pytest.mark.parametrize("type_name", EXAMPLES)
def test_operand_types_of_updates(text: str, operator: str, accepted: set[str], type_name: str) -> None:
    values = {":v": EXAMPLES[type_name]}
    if type_name in accepted:
        check(update=text, values=values)
    else:
        message = f"Invalid UpdateExpression: {TYPED}{operator}, operand type: {type_name}"
        assert refusal(update=text, values=values) == message


@pytest.mark.parametrize(
    ("type_name", "long_name"),
    [
        ("S", "STRING"),
        ("N", "NUMBER"),
        ("B", "BINARY"),
        ("BOOL", "BOOLEAN"),
        ("NULL", "NULL"),
        ("L", "LIST"),
        ("M", "MAP"),
        ("SS", ""),
        ("NS", ""),
        ("BS", ""),
    ],
)
@pytest.mark.parametrize("operator", ["ADD", "DELETE"])
def test_operand_types_of_add_and_delete(operator: str, type_name: str, long_name: str) -> None:
    request: dict[str, Any] = {"update": f"{operator} a.b :v", "values": {":v": EXAMPLES[type_name]}}
    if not long_name or (operator, type_name) == ("ADD", "N"):
        check(**request)
    else:
        assert refusal(**request) == (
            "Invalid UpdateExpression: Incorrect operand type for operator or function; "
            f"operator: {operator}, operand type: {long_name}"
        )


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("attribute_exists(a, b)", "operator or function: attribute_exists, number of operands: 2"),
        ("attribute_not_exists(a, b)", "operator or function: attribute_not_exists, number of operands: 2"),
        ("attribute_type(a)", "operator or function: attribute_type, number of operands: 1"),
        ("begins_with(a, size(b), c)", "operator or function: begins_with, number of operands: 3"),
        ("contains(a)", "operator or function: contains, number of operands: 1"),
        ("size(a, b) > c", "operator or function: size, number of operands: 2"),
        ("a IN (b, size(c, d))", "operator or function: size, number of operands: 2"),
    ],
)
def test_operand_counts(text: str, detail: str) -> None:
    assert refusal(condition=text) == (
        f"Invalid ConditionExpression: Incorrect number of operands for operator or function; {detail}"
    )


@pytest.mark.parametrize(
    ("text", "function", "count"),
    [("if_not_exists(c)", "if_not_exists", 1), ("list_append(a, b, c)", "list_append", 3)],
)
def test_operand_counts_of_updates(text: str, function: str, count: int) -> None:
    assert refusal(update=f"SET a = {text}") == (
        "Invalid UpdateExpression: Incorrect number of operands for operator or function; "
        f"operator or function: {function}, number of operands: {count}"
    )


@pytest.mark.parametrize(
    ("member", "text", "function"),
    [
        ("condition", "attribute_exists(:s)", "attribute_exists"),
        ("condition", "attribute_not_exists(size(:s))", "attribute_not_exists"),
        ("update", "SET a = if_not_exists(:s, b)", "if_not_exists"),
        ("update", "SET a = if_not_exists(if_not_exists(b, :s), c)", "if_not_exists"),
    ],
)
def test_functions_that_need_a_document_path(member: str, text: str, function: str) -> None:
    expression = {"condition": "ConditionExpression", "update": "UpdateExpression"}[member]
    assert refusal(**{member: text}, values={":s": {"S": "a"}}) == (
        f"Invalid {expression}: Operator or function requires a document path; operator or function: {function}"
    )


@pytest.mark.parametrize(
    ("text", "operator", "path"),
    [
        ("a = #a", "=", "[a]"),
        ("#a <> a", "<>", "[a]"),
        ("a = a", "=", "[a]"),
        ("contains(ab.bc[1].a, ab.bc[1].#a)", "contains", "[ab, bc, [1], a]"),
        ("attribute_type(a, #a)", "attribute_type", "[a]"),
        ("begins_with(a.b, #a.b)", "begins_with", "[a, b]"),
        ("b = c AND (d = e OR a > #a)", ">", "[a]"),
    ],
)
def test_operands_must_be_distinct(text: str, operator: str, path: str) -> None:
    assert refusal(condition=text, names={"#a": "a"} if "#a" in text else None) == (
        "Invalid ConditionExpression: The first operand must be distinct from the remaining operands for this operator "
        f"or function; operator: {operator}, first operand: {path}"
    )


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("size(size(a)) > b", TYPED + "size, operand type: N"),
        ("begins_with(a, size(b))", TYPED + "begins_with, operand type: N"),
        ("attribute_type(a, size(b))", TYPED + "attribute_type, operand type: N"),
        ("attribute_type(a, b)", TYPED + "attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}"),
    ],
)
def test_operand_types_that_need_no_values(text: str, detail: str) -> None:
    assert refusal(condition=text) == f"Invalid ConditionExpression: {detail}"


def test_attribute_type_must_be_a_type() -> None:
    assert refusal(condition="attribute_type(a, :t)", values={":t": {"S": "DOG"}}) == (
        "Invalid ConditionExpression: Invalid attribute type name found; type: DOG, "
        "valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
    )


@pytest.mark.parametrize(
    ("low", "high", "rule"),
    [
        ({"N": "10"}, {"N": "9"}, "upper bound to be greater than or equal to lower bound"),
        ({"S": "b"}, {"S": "a"}, "upper bound to be greater than or equal to lower bound"),
        ({"B": "eg=="}, {"B": "YQ=="}, "upper bound to be greater than or equal to lower bound"),
        ({"N": "1"}, {"S": "a"}, "same data type for lower and upper bounds"),
        ({"N": "9"}, {"N": "10"}, ""),
        ({"S": "a"}, {"S": "a"}, ""),
    ],
)
def test_bounds_of_between(low: dict[str, Any], high: dict[str, Any], rule: str) -> None:
    request: dict[str, Any] = {"condition": "a between :lo and :hi", "values": {":lo": low, ":hi": high}}
    if not rule:
        check(**request)
        return
    shown = ["{%s:%s}" % next(iter(value.items())) for value in (low, high)]  # noqa: UP031
    assert refusal(**request) == (
        f"Invalid ConditionExpression: The BETWEEN operator requires {rule}; lower bound operand: "
        f"AttributeValue: {shown[0]}, upper bound operand: AttributeValue: {shown[1]}"
    )


@pytest.mark.parametrize(
    "request_members",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"condition": "attribute_not_exists(pk)"}, id="key-in-a-condition"),
        pytest.param(
            {
                "condition": "#a = :v OR #b = :w",
                "update": "SET #a = :x, c.d = pk",
                "names": {"#a": "a", "#b": "b"},
                "values": {":v": {"N": "1"}, ":w": {"N": "2"}, ":x": {"S": "a"}},
            },
            id="placeholders-shared-by-two-expressions",
        ),
        pytest.param({"condition": ":v > :v", "values": {":v": {"N": "1"}}}, id="a-value-with-itself"),
        pytest.param({"update": "SET a.b = x, a.c[0] = x, a.c[1] = x, b.b = x"}, id="siblings"),
        pytest.param({"projection": "a.b, a.c[1], a.c[2].d, b"}, id="sibling-projections"),
        pytest.param({"condition": f"#{'a' * 254} = b", "names": {f"#{'a' * 254}": "a"}}, id="placeholder-of-255"),
    ],
)
def test_accepted(request_members: dict[str, Any]) -> None:
    check(**request_members)


def test_placeholders_may_expand_to_2_mb_together() -> None:
    half = {":a": {"S": "x" * (1024 * 1024 - 2)}}
    check_substitutions_size({"#a": "n"}, half)
    check_substitutions_size(None, {**half, ":b": {"S": "x" * (1024 * 1024 - 2)}})
    with pytest.raises(DynamoError, match="ExpressionAttributeValues exceeds max size"):
        check_substitutions_size(None, {**half, ":b": {"S": "x" * (1024 * 1024 - 1)}})
    with pytest.raises(DynamoError, match="ExpressionAttributeNames exceeds max size"):
        check_substitutions_size({f"#{i}": "n" * 60_000 for i in range(40)}, None)

"""Expressions: reserved words, placeholders, limits, faults that show without any item, and what updates do.

Sources: developer guide (expressions, reserved words, quotas), recorded answers of the service, shared/reference 15.
"""

from __future__ import annotations

from typing import Any

import pytest
from conformance_support import CONDITION_FAILED, INVALID, VALIDATION, Tables, item, refusal, values

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def table(tables: Tables) -> str:
    return tables.make("pk:S")


def condition(text: str, names: Any = None, **placeholders: Any) -> dict[str, Any]:
    request: dict[str, Any] = {"ConditionExpression": text}
    if names:
        request["ExpressionAttributeNames"] = names
    if placeholders:
        request["ExpressionAttributeValues"] = values(**placeholders)
    return request


SYNTAX = "Invalid ConditionExpression: Syntax error; "
FAULTS = [
    pytest.param(condition(""), "Invalid ConditionExpression: The expression can not be empty;", id="empty"),
    pytest.param(condition("a = :v AND", v=1), SYNTAX + 'token: "<EOF>", near: "AND"', id="ends too early"),
    pytest.param(condition("a = :v)", v=1), SYNTAX + 'token: ")", near: ":v)"', id="one parenthesis too many"),
    pytest.param(
        condition("status = :v", v=1),
        "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: status",
        id="reserved word",
    ),
    pytest.param(
        condition("a.size = :v", v=1),
        "Invalid ConditionExpression: Attribute name is a reserved keyword; reserved keyword: size",
        id="reserved word inside a path",
    ),
    pytest.param(
        condition("((a = :v))", v=1),
        "Invalid ConditionExpression: The expression has redundant parentheses;",
        id="redundant parentheses",
    ),
    pytest.param(
        condition("#n = :v", v=1),
        "Invalid ConditionExpression: An expression attribute name used in the document path is not defined; "
        "attribute name: #n",
        id="undefined name",
    ),
    pytest.param(
        condition("a = :w", v=1),
        "Invalid ConditionExpression: An expression attribute value used in expression is not defined; "
        "attribute value: :w",
        id="undefined value",
    ),
    pytest.param(
        condition("a = :v", v=1, w=2),
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}",
        id="unused value",
    ),
    pytest.param(
        condition("a = :v", {"#n": "n"}, v=1),
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#n}",
        id="unused name",
    ),
    pytest.param(
        condition("unknown(a)"),
        "Invalid ConditionExpression: Invalid function name; function: unknown",
        id="unknown function",
    ),
    pytest.param(
        condition("attribute_exists(a, b)"),
        "Invalid ConditionExpression: Incorrect number of operands for operator or function; operator or function: "
        "attribute_exists, number of operands: 2",
        id="two operands for a function of one",
    ),
    pytest.param(
        condition("begins_with(a, :v)", v=1),
        "Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: "
        "begins_with, operand type: N",
        id="prefix of a number",
    ),
    pytest.param(
        condition("a < :v", v=True),
        "Invalid ConditionExpression: Incorrect operand type for operator or function; operator or function: <, "
        "operand type: BOOL",
        id="order of booleans",
    ),
    pytest.param(
        condition("attribute_type(a, :v)", v="X"),
        "Invalid ConditionExpression: Invalid attribute type name found; type: X, valid types: "
        "{B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
        id="unknown type",
    ),
    pytest.param(
        condition("a = a"),
        "Invalid ConditionExpression: The first operand must be distinct from the remaining operands for this operator "
        "or function; operator: =, first operand: [a]",
        id="an attribute against itself",
    ),
    pytest.param(
        condition("a BETWEEN :x AND :y", x=2, y=1),
        "Invalid ConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower "
        "bound; lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}",
        id="BETWEEN with its bounds exchanged",
    ),
    pytest.param(
        condition("a BETWEEN :x AND :y", x=2, y="b"),
        "Invalid ConditionExpression: The BETWEEN operator requires same data type for lower and upper bounds; lower "
        "bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {S:b}",
        id="BETWEEN of two types",
    ),
]


@pytest.mark.parametrize(("members", "message"), FAULTS)
def test_a_fault_shows_although_there_is_no_item(
    client: Any, table: str, members: dict[str, Any], message: str
) -> None:
    key = item(pk="absent")
    for call, request in ((client.put_item, {"Item": key}), (client.delete_item, {"Key": key})):
        assert refusal(call, TableName=table, **request, **members) == (VALIDATION, message)
    assert "Item" not in client.get_item(TableName=table, Key=key, ConsistentRead=True)


def test_an_expression_of_4096_bytes_is_read_and_a_longer_one_refused(client: Any, table: str) -> None:
    longest = "attribute_not_exists(" + "a" * (4096 - len("attribute_not_exists()")) + ")"
    client.put_item(TableName=table, Item=item(pk="long"), ConditionExpression=longest)
    code, message = refusal(client.put_item, TableName=table, Item=item(pk="long"), ConditionExpression=longest + " ")
    assert code == VALIDATION
    assert message.startswith("Invalid ConditionExpression: Expression size has exceeded the maximum allowed size;")


def test_300_operators_are_read_and_301_refused(client: Any, table: str) -> None:
    # 150 comparisons and 149 ANDs are 299 operators.
    text = " AND ".join("a <> :v" for _ in range(150))
    client.put_item(TableName=table, Item=item(pk="wide"), **condition(text, v=1))
    code, message = refusal(
        client.put_item, TableName=table, Item=item(pk="wide"), **condition(text + " AND b <> :v", v=1)
    )
    assert code == VALIDATION
    assert message.startswith("Invalid ConditionExpression: The expression contains too many operators")


def test_100_alternatives_are_read_and_101_refused(client: Any, table: str) -> None:
    placeholders = {f"v{n}": n for n in range(101)}
    fitting = dict(list(placeholders.items())[:100])
    for chosen, fits in ((fitting, True), (placeholders, False)):
        text = f"NOT a IN ({', '.join(':' + name for name in chosen)})"
        request = {"TableName": table, "Item": item(pk="in"), **condition(text, **chosen)}
        if fits:
            client.put_item(**request)
        else:
            assert refusal(client.put_item, **request)[0] == VALIDATION


# --- updates ----------------------------------------------------------------------------------------------------------

BEFORE = item(n=5, s="text", l=[1, 2, 3], m={"a": 1, "b": {"c": 2}}, words={"a", "b"}, numbers={1, 2})

UPDATES = [
    pytest.param("SET n = n + :v", {"v": 2}, {"n": {"N": "7"}}, id="sum"),
    pytest.param("SET n = :v - n", {"v": 2}, {"n": {"N": "-3"}}, id="difference"),
    pytest.param("SET x = if_not_exists(n, :v)", {"v": 9}, {"x": {"N": "5"}}, id="if_not_exists of one that is there"),
    pytest.param("SET x = if_not_exists(y, :v)", {"v": 9}, {"x": {"N": "9"}}, id="if_not_exists of one that is not"),
    pytest.param("SET l = list_append(l, :v)", {"v": [4]}, item(l=[1, 2, 3, 4]), id="append"),
    pytest.param("SET l = list_append(:v, l)", {"v": [0]}, item(l=[0, 1, 2, 3]), id="prepend"),
    pytest.param("SET l[1] = :v", {"v": 9}, item(l=[1, 9, 3]), id="element of a list"),
    pytest.param("SET l[9] = :v", {"v": 9}, item(l=[1, 2, 3, 9]), id="element beyond the list is appended"),
    pytest.param("SET m.b.c = :v", {"v": 9}, item(m={"a": 1, "b": {"c": 9}}), id="inside a map"),
    pytest.param("SET n = s, s = n", {}, {"n": {"S": "text"}, "s": {"N": "5"}}, id="reads see the item before"),
    pytest.param("REMOVE s, m.a, l[0]", {}, {"s": None} | item(l=[2, 3], m={"b": {"c": 2}}), id="remove"),
    pytest.param("REMOVE l[0], l[2]", {}, item(l=[2]), id="removed elements count before"),
    pytest.param("REMOVE absent", {}, {}, id="remove what is not there"),
    pytest.param("ADD n :v", {"v": -6}, {"n": {"N": "-1"}}, id="add to a number"),
    pytest.param("ADD x :v", {"v": 3}, {"x": {"N": "3"}}, id="add to nothing"),
    pytest.param("ADD words :v", {"v": {"c"}}, item(words={"a", "b", "c"}), id="add to a set"),
    pytest.param("DELETE words :v", {"v": {"a", "z"}}, item(words={"b"}), id="delete from a set"),
    pytest.param("DELETE words :v", {"v": {"a", "b"}}, {"words": None}, id="a set that is empty goes"),
    pytest.param("DELETE absent :v", {"v": {"a"}}, {}, id="delete from nothing"),
    pytest.param(
        "SET n = :v REMOVE s ADD numbers :w DELETE words :x",
        {"v": 1, "w": {3}, "x": {"a"}},
        {"s": None} | item(n=1, numbers={1, 2, 3}, words={"b"}),
        id="all clauses",
    ),
]


def canonical(found: dict[str, Any]) -> dict[str, Any]:
    """The elements of sets in one order."""
    return {
        name: {kind: sorted(content) if kind in ("SS", "NS", "BS") else content for kind, content in one.items()}
        for name, one in found.items()
    }


@pytest.mark.parametrize(("text", "placeholders", "changed"), UPDATES)
def test_an_update_changes(
    client: Any, table: str, request: pytest.FixtureRequest, text: str, placeholders: Any, changed: dict[str, Any]
) -> None:
    key = item(pk=request.node.name)
    client.put_item(TableName=table, Item=key | BEFORE)
    members = {"ExpressionAttributeValues": values(**placeholders)} if placeholders else {}
    answer = client.update_item(TableName=table, Key=key, UpdateExpression=text, ReturnValues="ALL_NEW", **members)
    expected = {name: content for name, content in (key | BEFORE | changed).items() if content is not None}
    assert canonical(answer["Attributes"]) == canonical(expected)
    stored = client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
    assert canonical(stored) == canonical(expected)


UPDATE_FAULTS = [
    pytest.param(
        "SET pk = :v", {"v": "b"}, INVALID + "Cannot update attribute pk. This attribute is part of the key", id="key"
    ),
    pytest.param("", {}, "Invalid UpdateExpression: The expression can not be empty;", id="empty"),
    pytest.param(
        "INVALID SYNTAX HERE",
        {},
        'Invalid UpdateExpression: Syntax error; token: "INVALID", near: "INVALID SYNTAX"',
        id="no clause",
    ),
    pytest.param(
        "SET a = :v SET b = :v",
        {"v": 1},
        'Invalid UpdateExpression: The "SET" section can only be used once in an update expression;',
        id="one clause twice",
    ),
    pytest.param(
        "SET a = :v, a.b = :v",
        {"v": 1},
        "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of these "
        "paths; path one: [a], path two: [a, b]",
        id="paths that overlap",
    ),
    pytest.param(
        "SET a[0] = :v, a.b = :v",
        {"v": 1},
        "Invalid UpdateExpression: Two document paths conflict with each other; must remove or rewrite one of these "
        "paths; path one: [a, [0]], path two: [a, b]",
        id="paths that conflict",
    ),
    pytest.param(
        "ADD a :v",
        {"v": "s"},
        "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: "
        "STRING",
        id="add a string",
    ),
    pytest.param(
        "DELETE a :v",
        {"v": 1},
        "Invalid UpdateExpression: Incorrect operand type for operator or function; operator: DELETE, operand type: "
        "NUMBER",
        id="delete a number",
    ),
    pytest.param(
        "SET a = b",
        {},
        "The provided expression refers to an attribute that does not exist in the item",
        id="an attribute that the item has not",
    ),
    pytest.param(
        "SET a.b = :v",
        {"v": 1},
        "The document path provided in the update expression is invalid for update",
        id="a path through nothing",
    ),
]


@pytest.mark.parametrize(("text", "placeholders", "message"), UPDATE_FAULTS)
def test_an_update_of_an_item_that_does_not_exist_is_refused(
    client: Any, table: str, text: str, placeholders: Any, message: str
) -> None:
    members = {"ExpressionAttributeValues": values(**placeholders)} if placeholders else {}
    key = item(pk="absent")
    assert refusal(client.update_item, TableName=table, Key=key, UpdateExpression=text, **members) == (
        VALIDATION,
        message,
    )
    assert "Item" not in client.get_item(TableName=table, Key=key, ConsistentRead=True)


# --- conditions -------------------------------------------------------------------------------------------------------


def test_a_condition_that_fails_changes_nothing_and_can_show_the_item(client: Any, table: str) -> None:
    key, before = item(pk="guarded"), item(pk="guarded", v=1)
    client.put_item(TableName=table, Item=before)
    guard = condition("v = :v", v=2)
    requests = [
        (client.put_item, {"Item": key}),
        (client.delete_item, {"Key": key}),
        (client.update_item, {"Key": key, "UpdateExpression": "SET w = :v"}),
    ]
    for call, request in requests:
        assert refusal(call, TableName=table, **request, **guard) == CONDITION_FAILED
    assert client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"] == before


@pytest.mark.parametrize("asked", [True, False], ids=["asked for", "not asked for"])
def test_the_item_of_a_failed_condition_is_returned_when_asked_for(client: Any, table: str, asked: bool) -> None:
    before = item(pk="shown", v=1)
    client.put_item(TableName=table, Item=before)
    members = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if asked else {}
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as caught:
        client.delete_item(TableName=table, Key=item(pk="shown"), ConditionExpression="attribute_exists(w)", **members)
    assert caught.value.response.get("Item") == (before if asked else None)

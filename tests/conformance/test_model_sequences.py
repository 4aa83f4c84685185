"""Random sequences of operations against the service and against a small model: every answer must be the same.

Hypothesis shrinks what differs to the shortest sequence and prints how to repeat it. Global indexes are compared once
they have followed; whatever else is read strongly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conformance_support import Index, Tables, items_of, pages, put_all, settled
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from model import (
    Action,
    Condition,
    Item,
    ModelIndex,
    ModelTable,
    Refused,
    Value,
    canonical,
    canonical_item,
    order_of,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

EXAMPLES = 60
STEPS_MAX = 30
INDEX_TIMEOUT_S = 10.0

# Types of: table pk, sk; local index sort key `l`; global index keys `g`, `h`.
KINDS = [
    pytest.param({"pk": "S", "sk": "N", "l": "S", "g": "N", "h": "B"}, id="string, number"),
    pytest.param({"pk": "N", "sk": "S", "l": "B", "g": "S", "h": "N"}, id="number, string"),
    pytest.param({"pk": "B", "sk": "B", "l": "N", "g": "B", "h": "S"}, id="binary, binary"),
]
LOCAL = ModelIndex("local", "pk", "l", ("a",), is_local=True)
GLOBAL = ModelIndex("global", "g", "h", ("a", "b"), is_local=False)
# Attributes that are no keys; all indexes hold `a`, so a filter of an index may name it.
FREE = ("a", "b", "c")

# --- what is written --------------------------------------------------------------------------------------------------

TEXTS = ["", "a", "ab", "abc", "b", "é", "～", "𝄞"]
NUMBERS = ["-1E3", "-2", "-0.5", "0", "0.10", "1", "1.0", "2", "10", "1e2", "1E+30"]
BYTES = [b"", b"\x00", b"\x00\x01", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff\xff"]
SCALARS = {
    "S": st.sampled_from(TEXTS).map(lambda one: {"S": one}),
    "N": st.sampled_from(NUMBERS).map(lambda one: {"N": one}),
    "B": st.sampled_from(BYTES).map(lambda one: {"B": one}),
}
KEYS = {
    "S": st.sampled_from(TEXTS[1:6]).map(lambda one: {"S": one}),
    "N": st.sampled_from(NUMBERS[2:8]).map(lambda one: {"N": one}),
    "B": st.sampled_from(BYTES[1:6]).map(lambda one: {"B": one}),
}
SETS = st.one_of(
    st.sets(st.sampled_from(TEXTS), min_size=1, max_size=3).map(lambda some: {"SS": sorted(some)}),
    # Spelled in one way each, or a set would hold one number twice.
    st.sets(st.sampled_from(["-2", "0", "1", "10", "0.5"]), min_size=1, max_size=3).map(
        lambda some: {"NS": sorted(some)}
    ),
    st.sets(st.sampled_from(BYTES), min_size=1, max_size=3).map(lambda some: {"BS": sorted(some)}),
)
PLAIN = st.one_of(*SCALARS.values(), st.booleans().map(lambda one: {"BOOL": one}), st.just({"NULL": True}), SETS)
VALUES: st.SearchStrategy[Value] = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda some: {"L": some}),
        st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2).map(lambda some: {"M": some}),
    ),
    max_leaves=4,
)


def index_values(kind: str) -> st.SearchStrategy[Value]:
    """Mostly what an index can hold, now and then what it cannot."""
    return st.one_of(KEYS[kind], KEYS[kind], KEYS[kind], KEYS[kind], KEYS[kind], SCALARS[kind], VALUES)


def keys(kinds: dict[str, str]) -> st.SearchStrategy[Item]:
    return st.fixed_dictionaries({"pk": KEYS[kinds["pk"]], "sk": KEYS[kinds["sk"]]})


def items(kinds: dict[str, str]) -> st.SearchStrategy[Item]:
    indexed = {name: index_values(kinds[name]) for name in ("l", "g", "h")}
    free = dict.fromkeys(FREE, VALUES)
    return st.fixed_dictionaries({"pk": KEYS[kinds["pk"]], "sk": KEYS[kinds["sk"]]}, optional={**indexed, **free})


# --- conditions and updates -------------------------------------------------------------------------------------------

ORDERED = st.one_of(*SCALARS.values())


def _between(pair: tuple[Value, Value]) -> tuple[Value, Value]:
    return pair if order_of(pair[0]) <= order_of(pair[1]) else pair[::-1]


PAIRS = st.one_of(*(st.tuples(one, one).map(_between) for one in SCALARS.values()))


def simple_conditions(names: tuple[str, ...]) -> st.SearchStrategy[Condition]:
    name = st.sampled_from(names)
    operator = st.sampled_from(["<", "<=", ">", ">="])
    return st.one_of(
        st.builds(Condition, st.sampled_from(["attribute_exists", "attribute_not_exists"]), name),
        st.builds(Condition, st.sampled_from(["=", "<>"]), name, VALUES.map(lambda one: (one,))),
        st.builds(Condition, operator, name, ORDERED.map(lambda one: (one,))),
        st.builds(Condition, st.just("BETWEEN"), name, PAIRS),
        st.builds(Condition, st.just("IN"), name, st.lists(VALUES, min_size=1, max_size=3).map(tuple)),
        st.builds(
            Condition,
            st.just("begins_with"),
            name,
            st.one_of(SCALARS["S"], SCALARS["B"]).map(lambda one: (one,)),
        ),
        st.builds(Condition, st.just("contains"), name, PLAIN.map(lambda one: (one,))),
        st.builds(Condition, st.just("size"), name, st.integers(0, 3).map(lambda one: ({"N": str(one)},))),
        st.builds(
            Condition,
            st.just("attribute_type"),
            name,
            st.sampled_from(["S", "N", "B", "SS", "NS", "BS", "L", "M", "BOOL", "NULL"]).map(lambda one: ({"S": one},)),
        ),
    )


def conditions(names: tuple[str, ...]) -> st.SearchStrategy[Condition]:
    return st.recursive(
        simple_conditions(names),
        lambda inner: st.one_of(
            st.builds(Condition, st.sampled_from(["AND", "OR"]), st.just(""), st.tuples(inner, inner)),
            st.builds(Condition, st.just("NOT"), st.just(""), st.tuples(inner)),
        ),
        max_leaves=3,
    )


def actions(kinds: dict[str, str]) -> st.SearchStrategy[list[Action]]:
    name = st.sampled_from((*FREE, "l", "g", "h"))
    source = st.sampled_from(FREE)
    written = st.one_of(VALUES, *(KEYS[kinds[one]] for one in ("l", "g", "h")))
    one_action = st.one_of(
        st.builds(Action, st.just("SET"), name, written),
        st.builds(Action, st.just("if_not_exists"), name, written, source),
        st.builds(Action, st.sampled_from(["+", "-"]), name, SCALARS["N"], source),
        st.builds(
            Action, st.just("list_append"), name, st.lists(PLAIN, max_size=2).map(lambda one: {"L": one}), source
        ),
        st.builds(Action, st.just("REMOVE"), name),
        st.builds(Action, st.just("ADD"), name, st.one_of(SCALARS["N"], SETS)),
        st.builds(Action, st.just("DELETE"), name, SETS),
    )
    return st.lists(one_action, min_size=1, max_size=3, unique_by=lambda one: one.attribute)


@dataclass
class Placeholders:
    """Collects the names and values that the text of an expression uses."""

    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)

    def name(self, attribute: str) -> str:
        self.names[f"#{attribute}"] = attribute
        return f"#{attribute}"

    def value(self, value: Value) -> str:
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = value
        return placeholder

    def members(self, **expressions: str) -> dict[str, Any]:
        """The request's members: the expressions that are there, and what they use."""
        found: dict[str, Any] = {name: text for name, text in expressions.items() if text}
        if self.names:
            found["ExpressionAttributeNames"] = self.names
        if self.values:
            found["ExpressionAttributeValues"] = self.values
        return found

    def condition(self, condition: Condition | None) -> str:
        """The text of a condition; empty for none."""
        if condition is None:
            return ""
        operator, operands = condition.operator, condition.operands
        if operator in ("AND", "OR"):
            return f"({self.condition(operands[0])}) {operator} ({self.condition(operands[1])})"
        if operator == "NOT":
            return f"NOT ({self.condition(operands[0])})"
        name = self.name(condition.attribute)
        found = [self.value(one) for one in operands]
        if operator == "BETWEEN":
            return f"{name} BETWEEN {found[0]} AND {found[1]}"
        if operator == "IN":
            return f"{name} IN ({', '.join(found)})"
        if operator == "size":
            return f"size({name}) = {found[0]}"
        if operator in ("=", "<>", "<", "<=", ">", ">="):
            return f"{name} {operator} {found[0]}"
        return f"{operator}({', '.join([name, *found])})"

    def update(self, some: list[Action]) -> str:
        """The text of an update."""
        clauses: dict[str, list[str]] = {}
        for action in some:
            clause, text = self._action(action)
            clauses.setdefault(clause, []).append(text)
        return " ".join(f"{clause} {', '.join(texts)}" for clause, texts in clauses.items())

    def _action(self, action: Action) -> tuple[str, str]:
        name = self.name(action.attribute)
        if action.verb == "REMOVE":
            return "REMOVE", name
        assert action.operand is not None
        operand = self.value(action.operand)
        if action.verb in ("ADD", "DELETE"):
            return action.verb, f"{name} {operand}"
        if action.verb == "SET":
            return "SET", f"{name} = {operand}"
        source = self.name(action.source)
        if action.verb in ("+", "-"):
            return "SET", f"{name} = {source} {action.verb} {operand}"
        return "SET", f"{name} = {action.verb}({source}, {operand})"


# --- running ----------------------------------------------------------------------------------------------------------

Outcome = Any


@dataclass
class Pair:
    """The service's table and the model's."""

    client: Any
    table: str
    model: ModelTable

    def both(self, ask: Callable[[], Outcome], expect: Callable[[], Outcome]) -> None:
        """Ask both; the answers, or the codes of their errors, must be the same."""
        try:
            expected = expect()
        except Refused as refused:
            expected = refused.code
        try:
            found = ask()
        except ClientError as error:
            found = error.response["Error"]["Code"]
        assert found == expected

    def empty(self) -> None:
        """Delete everything, and wait until the indexes have nothing left."""
        left = items_of(self.client.scan, TableName=self.table, ConsistentRead=True)
        for one in left:
            self.client.delete_item(TableName=self.table, Key=self.model.key_of(one))
        self.model.items.clear()
        self.follow()

    def follow(self) -> None:
        """Wait until the global index holds what the model says, and compare it."""
        settled(
            lambda: Counter(map(canonical_item, items_of(self.client.scan, TableName=self.table, IndexName="global"))),
            Counter(map(canonical_item, self.model.rows(GLOBAL))),
            timeout_s=INDEX_TIMEOUT_S,
        )


Step = tuple[Any, ...]


def steps(kinds: dict[str, str]) -> st.SearchStrategy[list[Step]]:
    """Sequences of operations: (name of a function below, its arguments)."""
    key, item, maybe = keys(kinds), items(kinds), st.none() | conditions((*FREE, "l", "g", "h", "pk"))
    writes = st.one_of(
        st.tuples(st.just(put), item, maybe),
        st.tuples(st.just(update), key, actions(kinds), maybe),
        st.tuples(st.just(update), key, actions(kinds), st.none()),
        st.tuples(st.just(delete), key, maybe),
        st.tuples(st.just(batch_write), st.lists(st.tuples(item, st.booleans()), min_size=1, max_size=5)),
    )
    reads = st.one_of(
        st.tuples(st.just(get), key),
        st.tuples(st.just(batch_get), st.lists(key, min_size=1, max_size=4)),
        st.tuples(
            st.just(scan), st.none() | conditions((*FREE, "l", "g", "h", "pk", "sk")), limits(), st.integers(1, 4)
        ),
        queries(kinds, ""),
        queries(kinds, ""),
        queries(kinds, "local"),
        queries(kinds, "global"),
    )
    return st.lists(st.one_of(writes, writes, writes, reads), max_size=STEPS_MAX)


def limits() -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(1, 4)


def queries(kinds: dict[str, str], index: str) -> st.SearchStrategy[Step]:
    hash_key, sort_key = {"": ("pk", "sk"), "local": ("pk", "l"), "global": ("g", "h")}[index]
    kind = kinds[sort_key]
    operators = st.sampled_from(["=", "<", "<=", ">", ">="])
    sort_conditions: list[st.SearchStrategy[Condition | None]] = [
        st.none(),
        st.builds(Condition, operators, st.just(sort_key), KEYS[kind].map(lambda one: (one,))),
        st.builds(Condition, st.just("BETWEEN"), st.just(sort_key), st.tuples(KEYS[kind], KEYS[kind]).map(_between)),
    ]
    if kind != "N":
        prefix = KEYS[kind].map(lambda one: (one,))
        sort_conditions.append(st.builds(Condition, st.just("begins_with"), st.just(sort_key), prefix))
    names = ("a",) if index else (*FREE, "l", "g")
    return st.tuples(
        st.just(query),
        st.just(index),
        KEYS[kinds[hash_key]],
        st.one_of(*sort_conditions),
        st.none() | conditions(names),
        limits(),
        st.booleans(),
    )


# --- the operations ---------------------------------------------------------------------------------------------------


def put(pair: Pair, item: Item, condition: Condition | None) -> None:
    used = Placeholders()
    members = used.members(ConditionExpression=used.condition(condition))
    pair.both(
        lambda: canonical_item(
            pair.client.put_item(TableName=pair.table, Item=item, ReturnValues="ALL_OLD", **members).get("Attributes")
        ),
        lambda: canonical_item(pair.model.put(item, condition)),
    )


def delete(pair: Pair, key: Item, condition: Condition | None) -> None:
    used = Placeholders()
    members = used.members(ConditionExpression=used.condition(condition))
    pair.both(
        lambda: canonical_item(
            pair.client.delete_item(TableName=pair.table, Key=key, ReturnValues="ALL_OLD", **members).get("Attributes")
        ),
        lambda: canonical_item(pair.model.delete(key, condition)),
    )


def update(pair: Pair, key: Item, some: list[Action], condition: Condition | None) -> None:
    used = Placeholders()
    members = used.members(UpdateExpression=used.update(some), ConditionExpression=used.condition(condition))
    pair.both(
        lambda: canonical_item(
            pair.client.update_item(TableName=pair.table, Key=key, ReturnValues="ALL_NEW", **members).get("Attributes")
        ),
        lambda: canonical_item(pair.model.update(key, some, condition)),
    )


def get(pair: Pair, key: Item) -> None:
    found = pair.client.get_item(TableName=pair.table, Key=key, ConsistentRead=True).get("Item")
    assert canonical_item(found) == canonical_item(pair.model.get(key))


def batch_get(pair: Pair, some: list[Item]) -> None:
    distinct = list({canonical_item(key): key for key in some}.values())
    answer = pair.client.batch_get_item(RequestItems={pair.table: {"Keys": distinct, "ConsistentRead": True}})
    assert answer["UnprocessedKeys"] == {}
    expected = {canonical_item(pair.model.get(key)) for key in distinct} - {None}
    found = answer["Responses"][pair.table]
    assert len(found) == len(expected)
    assert {canonical_item(one) for one in found} == expected


def batch_write(pair: Pair, some: list[tuple[Item, bool]]) -> None:
    """Puts, and deletes where the flag says so; nothing of it when one item cannot be."""
    distinct = {canonical_item(pair.model.key_of(item)): (item, is_put) for item, is_put in some}.values()
    requests = [
        {"PutRequest": {"Item": item}} if is_put else {"DeleteRequest": {"Key": pair.model.key_of(item)}}
        for item, is_put in distinct
    ]

    def expect() -> Outcome:
        before = dict(pair.model.items)
        try:
            for item, is_put in distinct:
                _ = pair.model.put(item) if is_put else pair.model.delete(pair.model.key_of(item))
        except Refused:
            pair.model.items = before
            raise
        return {}

    pair.both(lambda: pair.client.batch_write_item(RequestItems={pair.table: requests})["UnprocessedItems"], expect)


def scan(pair: Pair, condition: Condition | None, limit: int | None, segments: int) -> None:
    used = Placeholders()
    members = used.members(FilterExpression=used.condition(condition)) | ({"Limit": limit} if limit else {})
    found = [
        page
        for segment in range(segments)
        for page in pages(
            pair.client.scan,
            TableName=pair.table,
            ConsistentRead=True,
            Segment=segment,
            TotalSegments=segments,
            **members,
        )
    ]
    rows = pair.model.rows(None)
    expected = {canonical_item(row) for row in rows if condition is None or condition.holds(row)}
    seen = [canonical_item(row) for page in found for row in page["Items"]]
    assert len(seen) == len(set(seen))
    assert set(seen) == expected
    assert sum(page["ScannedCount"] for page in found) == len(rows)


def query(
    pair: Pair,
    index_name: str,
    partition: Value,
    sort_condition: Condition | None,
    condition: Condition | None,
    limit: int | None,
    forward: bool,
) -> None:
    index = pair.model.index(index_name)
    if index_name == "global":
        pair.follow()
    used = Placeholders()
    hash_key = index.hash_key if index else pair.model.hash_key
    text = f"{used.name(hash_key)} = {used.value(partition)}"
    if sort_condition is not None:
        text += f" AND {used.condition(sort_condition)}"
    members = used.members(KeyConditionExpression=text, FilterExpression=used.condition(condition))
    members |= {"IndexName": index_name} if index_name else {}
    members |= {"Limit": limit} if limit else {}
    members["ConsistentRead"] = index_name != "global"
    found = list(pages(pair.client.query, TableName=pair.table, ScanIndexForward=forward, **members))
    rows = pair.model.query(index, partition, sort_condition, forward=forward)
    kept = [row for row in rows if condition is None or condition.holds(row)]
    seen = [row for page in found for row in page["Items"]]
    sort_key = pair.model.sort_key(index)
    # Among equal sort keys of an index nobody says which comes first.
    assert [canonical(row[sort_key]) for row in seen] == [canonical(row[sort_key]) for row in kept]
    assert Counter(map(canonical_item, seen)) == Counter(map(canonical_item, kept))
    assert [page["ScannedCount"] for page in found] == expected_pages(len(rows), limit)
    assert [page["Count"] for page in found] == [len(page["Items"]) for page in found]


def expected_pages(count: int, limit: int | None) -> list[int]:
    """How many items each page reads: a full last page is followed by an empty one."""
    if limit is None:
        return [count]
    return [limit] * (count // limit) + [count % limit]


@pytest.mark.parametrize("kinds", KINDS)
def test_the_service_answers_like_the_model(tables: Tables, kinds: dict[str, str]) -> None:
    table = tables.make(
        f"pk:{kinds['pk']} sk:{kinds['sk']}",
        local=[Index("local", f"pk:{kinds['pk']} l:{kinds['l']}", LOCAL.includes or ())],
        globals_=[Index("global", f"g:{kinds['g']} h:{kinds['h']}", GLOBAL.includes or ())],
    )
    pair = Pair(tables.client, table, ModelTable("pk", "sk", kinds, (LOCAL, GLOBAL)))

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        print_blob=True,
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(items(kinds), max_size=25), steps(kinds))
    def run(seed: list[Item], sequence: list[Step]) -> None:
        pair.empty()
        fitting = {}
        for item in seed:
            try:
                pair.model.put(item)
            except Refused:
                continue
            fitting[canonical_item(pair.model.key_of(item))] = item
        put_all(pair.client, table, fitting.values())
        for operation, *arguments in sequence:
            operation(pair, *arguments)
        pair.follow()
        scan(pair, None, None, 1)

    run()

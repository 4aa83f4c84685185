"""Select and its relatives, filters and key paths; texts recorded from the service (moto, dynalite)."""

from __future__ import annotations

from typing import Any

import pytest

from dynamo.errors import DynamoError
from dynamo.expressions import parse_condition, parse_projection
from dynamo.indexes import IndexDefinition, IndexKind
from dynamo.keys import KeyAttribute, KeySchema
from dynamo.queries.filters import FILTER, check_filter_keys, check_key_paths
from dynamo.queries.layout import KeyLayout, index_layout, table_layout
from dynamo.queries.legacy import translate_filter
from dynamo.queries.selection import (
    Selection,
    check_consistent_read,
    check_select,
    projection_heads,
    select_attributes,
)

pytestmark = pytest.mark.unit

TABLE = KeySchema(KeyAttribute("a", "S"), KeyAttribute("b", "S"))


def index(name: str, kind: IndexKind, key: str, included: tuple[str, ...] | None) -> IndexDefinition:
    partition = (TABLE.partition,) if kind is IndexKind.LOCAL else (KeyAttribute(key, "S"),)
    sort = (KeyAttribute(key, "S"),) if kind is IndexKind.LOCAL else (KeyAttribute("d", "S"),)
    return IndexDefinition(9, name, kind, TABLE, partition, sort, included)


LSI = index("lsi", IndexKind.LOCAL, "c", ("e",))
LSI_ALL = index("lsi_all", IndexKind.LOCAL, "c", None)
GSI = index("gsi", IndexKind.GLOBAL, "g", ("e",))
GSI_ALL = index("gsi_all", IndexKind.GLOBAL, "g", None)
LAYOUTS = {"table": table_layout(TABLE), **{i.name: index_layout(i) for i in (LSI, LSI_ALL, GSI, GSI_ALL)}}


def message(call: Any, *arguments: Any) -> str:
    with pytest.raises(DynamoError) as raised:
        call(*arguments)
    return raised.value.message


@pytest.mark.parametrize(
    ("request_members", "expected"),
    [
        (
            {"Select": "SPECIFIC_ATTRIBUTES"},
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        ),
        (
            {"Select": "ALL_ATTRIBUTES", "ProjectionExpression": "a"},
            "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES",
        ),
        (
            {"Select": "COUNT", "AttributesToGet": ["a"]},
            "Cannot specify the AttributesToGet when choosing to get only the Count",
        ),
        (
            {"Select": "ALL_PROJECTED_ATTRIBUTES", "ProjectionExpression": "a"},
            "Cannot specify the ProjectionExpression when choosing to get ALL_PROJECTED_ATTRIBUTES",
        ),
        (
            {"Select": "ALL_PROJECTED_ATTRIBUTES"},
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ),
    ],
)
def test_a_select_that_contradicts_the_rest_is_refused(request_members: dict[str, Any], expected: str) -> None:
    assert message(check_select, request_members) == expected


@pytest.mark.parametrize(
    "request_members",
    [
        {},
        {"ProjectionExpression": "a"},
        {"Select": "COUNT"},
        {"Select": "SPECIFIC_ATTRIBUTES", "AttributesToGet": ["a"]},
        {"Select": "ALL_PROJECTED_ATTRIBUTES", "IndexName": "i"},
    ],
)
def test_a_select_that_makes_sense_is_accepted(request_members: dict[str, Any]) -> None:
    check_select(request_members)


HELD = ("a", "c", "b", "e")


@pytest.mark.parametrize(
    ("where", "select", "wanted", "expected"),
    [
        ("table", None, None, Selection(False, (), False)),
        ("table", "COUNT", None, Selection(True, (), False)),
        ("table", "SPECIFIC_ATTRIBUTES", ["zz"], Selection(False, (), False)),
        ("lsi", None, None, Selection(False, HELD, False)),
        ("lsi", "ALL_PROJECTED_ATTRIBUTES", None, Selection(False, HELD, False)),
        ("lsi", "ALL_ATTRIBUTES", None, Selection(False, HELD, True)),
        ("lsi", None, ["a", "e"], Selection(False, HELD, False)),
        ("lsi", None, ["a", "zz"], Selection(False, HELD, True)),
        ("lsi", "COUNT", None, Selection(True, HELD, False)),
        ("lsi_all", "ALL_ATTRIBUTES", None, Selection(False, (), False)),
        ("gsi", None, None, Selection(False, (), False)),
        ("gsi", None, ["b", "e", "g"], Selection(False, (), False)),
        ("gsi_all", "ALL_ATTRIBUTES", None, Selection(False, (), False)),
        ("gsi_all", None, ["zz"], Selection(False, (), False)),
    ],
)
def test_what_is_read_for_a_selection(where: str, select: Any, wanted: Any, expected: Selection) -> None:
    assert select_attributes(LAYOUTS[where], select, wanted) == expected


@pytest.mark.parametrize(
    ("select", "wanted", "expected"),
    [
        (
            "ALL_ATTRIBUTES",
            None,
            "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global "
            "secondary index gsi because its projection type is not ALL",
        ),
        (
            None,
            ["z", "e", "y"],
            "One or more parameter values were invalid: Global secondary index gsi does not project [z, y]",
        ),
    ],
)
def test_a_global_index_gives_only_what_it_holds(select: Any, wanted: Any, expected: str) -> None:
    assert message(select_attributes, LAYOUTS["gsi"], select, wanted) == expected


def test_only_global_indexes_refuse_consistent_reads() -> None:
    for where in ("table", "lsi"):
        check_consistent_read(LAYOUTS[where], True)
    check_consistent_read(LAYOUTS["gsi"], False)
    assert message(check_consistent_read, LAYOUTS["gsi"], True) == (
        "Consistent reads are not supported on global secondary indexes"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a, b", ["a", "b"]), ("#x.y, #x[1].z, b", ["q", "b"]), ("m.a, m.b", ["m"])],
)
def test_the_heads_of_a_projection_are_its_attributes(text: str, expected: list[str]) -> None:
    assert projection_heads(parse_projection(text), {"#x": "q"}) == expected
    assert projection_heads(None, None) is None


@pytest.mark.parametrize(
    ("layout", "text", "name"),
    [
        (LAYOUTS["table"], "attribute_exists(a.b) AND x = :b", "a"),
        (LAYOUTS["table"], "x = :b AND b[1] = :b", "b"),
        (LAYOUTS["table"], "size(#k) > :b", "a"),
        (LAYOUTS["table"], "x in (:b, b)", "b"),
        (LAYOUTS["table"], "x between :b and b", "b"),
        (LAYOUTS["gsi"], "d = :b", "d"),
    ],
)
def test_a_filter_of_a_query_cannot_name_a_key_attribute(layout: KeyLayout, text: str, name: str) -> None:
    condition = parse_condition(text, FILTER)
    assert message(check_filter_keys, condition, {"#k": "a"}, layout) == (
        f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {name}"
    )


def test_a_query_filter_has_its_own_name() -> None:
    translated = translate_filter({"a": {"ComparisonOperator": "NULL"}}, None)
    assert translated is not None
    condition = parse_condition(translated.text, FILTER, may_be_translated=True)
    assert message(check_filter_keys, condition, translated.names, LAYOUTS["table"]) == (
        "QueryFilter can only contain non-primary key attributes: Primary key attribute: a"
    )
    # The table's keys are no keys of a global index.
    check_filter_keys(condition, translated.names, LAYOUTS["gsi"])


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("attribute_exists(#a.b.c) and #a = x", "Key: a"),
        ("attribute_exists(#a[0])", "Key: a"),
        ("d[1] = x", "IndexKey: d"),
        ("attribute_exists(c.x)", "IndexKey: c"),
        ("x = d.y AND c.x = x", "IndexKey: d"),
    ],
)
def test_no_path_goes_into_a_key_attribute(text: str, role: str) -> None:
    paths = parse_condition(text, FILTER).paths
    assert message(check_key_paths, paths, {"#a": "a"}, TABLE, [LSI, GSI]) == (
        f"Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: {role}"
    )
    check_key_paths(parse_projection("e.f, a, d").paths, None, TABLE, [LSI, GSI])

"""CreateTable beyond the model: key schema, billing, what is refused as not built."""

from __future__ import annotations

from typing import Any

import pytest

from dynamo.errors import DynamoError
from dynamo.indexes import IndexKind
from dynamo.keys import KeyAttribute, KeySchema
from dynamo.requests import parse_create_table, validator_for

pytestmark = pytest.mark.unit

INVALID = "One or more parameter values were invalid: "
THROUGHPUT = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}


def definitions(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in pairs]


def schema(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": role} for name, role in pairs]


def body(**changes: Any) -> dict[str, Any]:
    """A valid request with `changes`; a change to None leaves the member out."""
    request = {
        "TableName": "Music",
        "AttributeDefinitions": definitions(("artist", "S")),
        "KeySchema": schema(("artist", "HASH")),
        "BillingMode": "PAY_PER_REQUEST",
        **changes,
    }
    return {name: value for name, value in request.items() if value is not None}


def parse(request: dict[str, Any]) -> Any:
    return parse_create_table(validator_for("CreateTable").validate(request))


def refusal(request: dict[str, Any]) -> str:
    with pytest.raises(DynamoError) as caught:
        parse(request)
    assert caught.value.code == "ValidationException"
    return caught.value.message


def test_a_table_with_a_partition_key() -> None:
    request = parse(body())
    assert request.name == "Music"
    assert request.key_schema == KeySchema(KeyAttribute("artist", "S"))
    assert request.billing_mode == "PAY_PER_REQUEST"
    assert request.settings == {"BillingMode": "PAY_PER_REQUEST"}


def test_a_table_with_every_setting_there_is() -> None:
    settings = {
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": THROUGHPUT,
        "Tags": [{"Key": "team", "Value": ""}],
        "TableClass": "STANDARD_INFREQUENT_ACCESS",
        "DeletionProtectionEnabled": True,
        "WarmThroughput": {"ReadUnitsPerSecond": 5},
    }
    request = parse(
        body(
            AttributeDefinitions=definitions(("year", "N"), ("digest", "B")),
            KeySchema=schema(("digest", "HASH"), ("year", "RANGE")),
            StreamSpecification={"StreamEnabled": False},
            SSESpecification={"Enabled": False},
            **settings,
        )
    )
    assert request.key_schema == KeySchema(KeyAttribute("digest", "B"), KeyAttribute("year", "N"))
    assert request.settings == settings


def test_billing_is_provisioned_when_nothing_is_said() -> None:
    request = parse(body(BillingMode=None, ProvisionedThroughput=THROUGHPUT))
    assert request.billing_mode == "PROVISIONED"
    assert request.settings == {"ProvisionedThroughput": THROUGHPUT}


def test_a_key_name_of_255_bytes_is_taken() -> None:
    name = "é" * 127 + "a"
    request = parse(body(AttributeDefinitions=definitions((name, "S")), KeySchema=schema((name, "HASH"))))
    assert request.key_schema.names == (name,)


BOTH_NEEDED = (
    INVALID + "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
)
NEITHER = (
    INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
)
NO_DEFINITION = "Invalid KeySchema: Some index key attribute have no definition"
AB = definitions(("a", "S"), ("b", "S"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"BillingMode": "PROVISIONED"}, BOTH_NEEDED, id="provisioned without throughput"),
        pytest.param({"BillingMode": None}, BOTH_NEEDED, id="provisioned by default without throughput"),
        pytest.param({"ProvisionedThroughput": THROUGHPUT}, NEITHER, id="on demand with throughput"),
        pytest.param(
            {"BillingMode": None, "ProvisionedThroughput": {"ReadCapacityUnits": 10**12 + 1, "WriteCapacityUnits": 1}},
            "Given value 1000000000001 for ReadCapacityUnits is out of bounds",
            id="read units out of bounds",
        ),
        pytest.param(
            {"BillingMode": None, "ProvisionedThroughput": {"ReadCapacityUnits": 10**12, "WriteCapacityUnits": 10**13}},
            "Given value 10000000000000 for WriteCapacityUnits is out of bounds",
            id="write units out of bounds",
        ),
        pytest.param({"AttributeDefinitions": []}, NO_DEFINITION, id="no definitions"),
        pytest.param(
            {"KeySchema": schema(("artist", "HASH"), ("artist", "RANGE"))},
            NO_DEFINITION,
            id="fewer definitions than keys",
        ),
        pytest.param(
            {"AttributeDefinitions": definitions(("other", "S"))},
            INVALID
            + "Some index key attributes are not defined in AttributeDefinitions. "
            + "Keys: [artist], AttributeDefinitions: [other]",
            id="key not defined",
        ),
        pytest.param(
            {"AttributeDefinitions": AB, "KeySchema": schema(("a", "HASH"), ("a", "RANGE"))},
            "Both the Hash Key and the Range Key element in the KeySchema have the same name",
            id="one attribute twice",
        ),
        pytest.param(
            {"AttributeDefinitions": AB, "KeySchema": schema(("a", "RANGE"), ("b", "HASH"))},
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type",
            id="range first",
        ),
        pytest.param(
            {"AttributeDefinitions": AB, "KeySchema": schema(("a", "HASH"), ("b", "HASH"))},
            "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type",
            id="hash twice",
        ),
        pytest.param(
            {"AttributeDefinitions": AB, "KeySchema": schema(("a", "HASH"))},
            INVALID
            + "Number of attributes in KeySchema does not exactly match number of attributes defined in "
            + "AttributeDefinitions",
            id="a definition too many",
        ),
        *(
            pytest.param(
                {
                    "AttributeDefinitions": definitions(("a", "S"), ("é" * 128, "S")),
                    "KeySchema": schema(*zip(names, ("HASH", "RANGE"), strict=True)),
                },
                "Attribute name size has exceeded the maximum size",
                id=f"a {role} key name of 128 characters and 256 bytes",
            )
            for role, names in (("partition", ("é" * 128, "a")), ("sort", ("a", "é" * 128)))
        ),
        pytest.param(
            {"GlobalSecondaryIndexes": []},
            INVALID + "List of GlobalSecondaryIndexes is empty",
            id="empty list of indexes",
        ),
    ],
)
def test_refused_as_the_service_refuses(changes: dict[str, Any], message: str) -> None:
    assert refusal(body(**changes)) == message


def index(name: str, *keys: tuple[str, str], **members: Any) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": schema(*keys), "Projection": {"ProjectionType": "ALL"}, **members}


def indexed(
    *, local: list[dict[str, Any]] | None = None, wide: list[dict[str, Any]] | None = None, **changes: Any
) -> dict[str, Any]:
    """A table of a and b with indexes; c and d are defined when an index has them as keys."""
    used = {element["AttributeName"] for one in [*(local or []), *(wide or [])] for element in one["KeySchema"]}
    members = {
        "AttributeDefinitions": definitions(*((name, "S") for name in sorted({"a", "b"} | used))),
        "KeySchema": schema(("a", "HASH"), ("b", "RANGE")),
        "LocalSecondaryIndexes": local,
        "GlobalSecondaryIndexes": wide,
        **changes,
    }
    return body(**members)


def indexed_once(place: str, **members: Any) -> dict[str, Any]:
    """A table with one index with its own keys."""
    indexes = [index("abc", A, B, **members)]
    return indexed(local=indexes) if place == "local" else indexed(wide=indexes)


A, B, C, D = ("a", "HASH"), ("b", "RANGE"), ("c", "RANGE"), ("d", "RANGE")
LOCAL, WIDE = index("local", A, C), index("wide", ("c", "HASH"), ("b", "RANGE"))


def test_indexes_are_taken_apart() -> None:
    included = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["z", "c"]}
    local = index("local", A, C, Projection=included)
    wide = index("wide", ("c", "HASH"), ("a", "HASH"), B, D, OnDemandThroughput={"MaxReadRequestUnits": 3})
    request = parse(indexed(local=[local], wide=[wide]))
    first, second = request.indexes
    assert (first.name, first.kind, first.projection, first.included) == (
        "local",
        IndexKind.LOCAL,
        "INCLUDE",
        ("c", "z"),
    )
    assert (first.partition, first.sort) == ((KeyAttribute("a", "S"),), (KeyAttribute("c", "S"),))
    assert first.settings == {"Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["c", "z"]}}
    assert [attribute.name for attribute in second.partition] == ["c", "a"]
    assert [attribute.name for attribute in second.sort] == ["b", "d"]
    assert (second.kind, second.projection, second.included) == (IndexKind.GLOBAL, "ALL", ())
    assert second.settings == {
        "Projection": {"ProjectionType": "ALL"},
        "OnDemandThroughput": {"MaxReadRequestUnits": 3},
    }


def test_an_index_may_have_four_attributes_of_each_role() -> None:
    keys = [(f"h{number}", "HASH") for number in range(4)] + [(f"r{number}", "RANGE") for number in range(4)]
    (found,) = parse(indexed(wide=[index("wide", *keys)])).indexes
    assert (len(found.partition), len(found.sort)) == (4, 4)


FIRST = "Invalid KeySchema: The first KeySchemaElement is not a HASH key type"
SECOND = "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"
SAME = "Both the Hash Key and the Range Key element in the KeySchema have the same name"
NO_TYPE = INVALID + "Unknown ProjectionType: null"


def undefined(*names: str) -> str:
    keys = ", ".join(names)
    return (
        f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. "
        f"Keys: [{keys}], AttributeDefinitions: [a, b]"
    )


def many(count: int, *keys: tuple[str, str]) -> list[dict[str, Any]]:
    return [index(f"index-{number}", *keys) for number in range(count)]


def projected(kind: str | None, *names: str) -> dict[str, Any]:
    projection: dict[str, Any] = {} if kind is None else {"ProjectionType": kind}
    return {"Projection": projection | ({"NonKeyAttributes": [*names]} if names else {})}


ONLY_AB: dict[str, Any] = {"AttributeDefinitions": definitions(("a", "S"), ("b", "S"))}
PAID: dict[str, Any] = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": THROUGHPUT}


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        pytest.param(indexed(local=[]), INVALID + "List of LocalSecondaryIndexes is empty", id="no local index"),
        pytest.param(indexed(wide=[]), INVALID + "List of GlobalSecondaryIndexes is empty", id="no global index"),
        pytest.param(
            indexed(local=[index("abc", C)], KeySchema=schema(A), **ONLY_AB),
            INVALID
            + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
            id="local: a table without a range key",
        ),
        pytest.param(
            indexed(local=[index("abc", C, D), index("abc", ("e", "RANGE"))], **ONLY_AB),
            undefined("c", "d"),
            id="local: undefined keys",
        ),
        pytest.param(indexed(local=[index("abc", ("a", "RANGE"))]), FIRST, id="local: no hash key"),
        pytest.param(indexed(local=[index("abc", A, A)]), SAME, id="local: one attribute twice"),
        pytest.param(indexed(local=[index("abc", A, ("b", "HASH"))]), SECOND, id="local: two hash keys"),
        pytest.param(
            indexed(local=[index("abc", ("b", "HASH"))]),
            INVALID + "Index KeySchema does not have a range key for index: abc",
            id="local: no range key",
        ),
        pytest.param(
            indexed(local=[index("abc", ("b", "HASH"), ("a", "RANGE"))]),
            INVALID + "Index KeySchema does not have the same leading hash key as table KeySchema for index: abc. "
            "index hash key: b, table hash key: a",
            id="local: another hash key",
        ),
        pytest.param(indexed(wide=[index("abc", C)], **ONLY_AB), undefined("c"), id="global: undefined key"),
        pytest.param(indexed(wide=[index("abc", ("a", "RANGE"))]), FIRST, id="global: no hash key"),
        pytest.param(indexed(wide=[index("abc", A, A)]), SAME, id="global: one attribute twice"),
        pytest.param(
            indexed(wide=[index("abc", A, C, C)]),
            "The KeySchema contains multiple key attributes with the same name",
            id="global: one of three attributes twice",
        ),
        pytest.param(
            indexed(wide=[index("abc", A, C, ("b", "HASH"))]),
            INVALID + "All HASH key attributes must precede RANGE key attributes in the KeySchema",
            id="global: hash after range",
        ),
        pytest.param(
            indexed(wide=[index("abc", *((f"h{number}", "HASH") for number in range(5)))]),
            INVALID + "The KeySchema exceeds the maximum allowed number of HASH key attributes",
            id="global: five hash keys",
        ),
        pytest.param(
            indexed(wide=[index("abc", A, *((f"r{number}", "RANGE") for number in range(5)))]),
            INVALID + "The KeySchema exceeds the maximum allowed number of RANGE key attributes",
            id="global: five range keys",
        ),
        pytest.param(
            indexed(
                wide=[index("abc", A, **projected(None))],
                AttributeDefinitions=definitions(("a", "S"), ("b", "S"), ("x", "S")),
            ),
            INVALID + "Some AttributeDefinitions are not used. AttributeDefinitions: [a, b, x], keys used: [a, b]",
            id="an unused definition comes before projections",
        ),
        pytest.param(
            body(AttributeDefinitions=definitions(("artist", "S"), ("artist", "N"))),
            "Attribute Name is duplicated: artist",
            id="a definition twice",
        ),
        *(
            pytest.param(indexed_once(place, **projection), message, id=f"{place}: {what}")
            for place in ("local", "global")
            for projection, message, what in (
                (projected(None), NO_TYPE, "no projection type"),
                (projected(None, "x"), NO_TYPE, "only projected attributes"),
                (
                    projected("ALL", "x"),
                    INVALID + "ProjectionType is ALL, but NonKeyAttributes is specified",
                    "all and more",
                ),
                (
                    projected("KEYS_ONLY", "x"),
                    INVALID + "ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified",
                    "keys and more",
                ),
                (
                    projected("INCLUDE"),
                    INVALID + "ProjectionType is INCLUDE, but NonKeyAttributes is not specified",
                    "include nothing",
                ),
                (
                    projected("INCLUDE", "x", "y", "x"),
                    INVALID + "Duplicate element in NonKeyAttributes: x",
                    "include twice",
                ),
            )
        ),
        pytest.param(
            indexed(wide=[index("abc", A, ProvisionedThroughput=THROUGHPUT)]),
            INVALID
            + "ProvisionedThroughput should not be specified for index: abc when BillingMode is PAY_PER_REQUEST",
            id="global: units in an on-demand table",
        ),
        pytest.param(
            indexed(wide=[index("abc", A)], **PAID),
            INVALID + "ProvisionedThroughput is not specified for index: abc",
            id="global: no units in a provisioned table",
        ),
        pytest.param(
            indexed(wide=[index("abc", A, OnDemandThroughput={"MaxReadRequestUnits": 0})]),
            INVALID + "Requested MaxReadRequestUnits for OnDemandThroughput for index : abc is outside of valid range",
            id="global: on-demand limit of nothing",
        ),
        pytest.param(
            indexed(wide=[index("abc", A, WarmThroughput={"ReadUnitsPerSecond": 11999})]),
            INVALID
            + "Requested ReadUnitsPerSecond for WarmThroughput for index abc is lower than initial throughput for "
            "OnDemand",
            id="global: cooler than on demand",
        ),
        pytest.param(
            body(OnDemandThroughput={"MaxWriteRequestUnits": 1}, **PAID),
            INVALID + "MaxWriteRequestUnits for OnDemandThroughput cannot be specified when the table BillingMode is "
            "PROVISIONED",
            id="on-demand limit of a provisioned table",
        ),
        pytest.param(
            body(WarmThroughput={"WriteUnitsPerSecond": 4}, **PAID),
            INVALID + "Requested WriteUnitsPerSecond for WarmThroughput for table is lower than WriteCapacityUnits of "
            "ProvisionedThroughput",
            id="cooler than provisioned",
        ),
        pytest.param(
            indexed(local=[index("abc", A, B)], wide=[index("abc", A, B)]),
            INVALID + "Duplicate index name: abc",
            id="one name twice",
        ),
        pytest.param(
            indexed(local=many(6, A, B)),
            INVALID + "Number of LocalSecondaryIndexes exceeds per-table limit of 5",
            id="six local indexes",
        ),
        pytest.param(
            indexed(wide=many(21, A, B)),
            INVALID + "GlobalSecondaryIndex count exceeds the per-table limit of 20",
            id="twenty-one global indexes",
        ),
        pytest.param(
            body(StreamSpecification={"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}),
            INVALID + "Table is being created with a stream disabled, UpdateViewType should not be specified",
            id="a view of a stream that is not there",
        ),
    ],
)
def test_indexes_are_refused_as_the_service_refuses(request_body: dict[str, Any], message: str) -> None:
    assert refusal(request_body) == message


def test_projected_attributes_are_limited_over_all_indexes() -> None:
    def wide(counts: list[int]) -> dict[str, Any]:
        return indexed(
            wide=[
                index(f"index-{number}", A, **projected("INCLUDE", *(f"n{attribute}" for attribute in range(count))))
                for number, count in enumerate(counts)
            ]
        )

    assert len(parse(wide([20] * 5)).indexes) == 5
    assert "limit of 100" in refusal(wide([20] * 5 + [1]))


def test_a_policy_is_kept_in_canonical_form() -> None:
    assert parse(body(ResourcePolicy='{"Statement": {"Resource": "*"}}')).policy == '{"Statement":{"Resource":"*"}}'
    assert "invalid Json" in refusal(body(ResourcePolicy="{"))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}}, "Streams"),
        ({"SSESpecification": {"Enabled": True}}, "Server-side encryption with KMS keys (SSESpecification)"),
        ({"SSESpecification": {"KMSMasterKeyId": "k"}}, "Server-side encryption with KMS keys (SSESpecification)"),
        ({"GlobalTableSourceArn": "arn:aws:dynamodb:eu-west-1:0:table/t"}, "GlobalTableSourceArn"),
    ],
)
def test_what_is_not_built_is_refused_by_name(changes: dict[str, Any], what: str) -> None:
    assert refusal(body(**changes)) == f"{what}: not supported by this version of Trizone"


def test_tags_are_limited_and_distinct() -> None:
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    assert parse(body(Tags=tags[:50])).settings["Tags"] == tags[:50]
    assert refusal(body(Tags=tags)) == "Number of Tags exceed the current limit for the provided ResourceArn"
    assert refusal(body(Tags=[tags[0], tags[0]])) == "Duplicate Tag Keys provided as input: Duplicate Tag Key found k0"

"""UpdateTable and the life of a table: indexes added with backfill and dropped, billing, protection, class.

Sources: the API reference (UpdateTable), answers of the service recorded by public suites.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conformance_support import (
    INVALID,
    VALIDATION,
    Index,
    Tables,
    definitions,
    item,
    items_of,
    plain,
    put_all,
    refusal,
    settled,
    table_request,
    values,
    wait_active,
)

pytestmark = pytest.mark.cluster

PROVISIONED = {"ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}}


def add(client: Any, table: str, index: Index) -> Any:
    """Ask for one more global index."""
    return client.update_table(
        TableName=table,
        AttributeDefinitions=definitions(index.keys),
        GlobalSecondaryIndexUpdates=[{"Create": index.request()}],
    )["TableDescription"]


def drop(client: Any, table: str, name: str) -> Any:
    request = [{"Delete": {"IndexName": name}}]
    return client.update_table(TableName=table, GlobalSecondaryIndexUpdates=request)["TableDescription"]


def statuses(description: dict[str, Any]) -> dict[str, str]:
    return {index["IndexName"]: index["IndexStatus"] for index in description.get("GlobalSecondaryIndexes", [])}


# --- indexes ----------------------------------------------------------------------------------------------------------


def test_an_added_index_holds_what_was_there_and_what_comes(tables: Tables) -> None:
    client = tables.client
    table = tables.make("pk:S", *(item(pk=f"k{n}", team=f"t{n % 2}", score=n) for n in range(60)))
    described = add(client, table, Index("by_team", "team:S score:N"))
    assert described["TableStatus"] == "UPDATING"
    assert statuses(described) == {"by_team": "CREATING"}
    assert {one["AttributeName"] for one in described["AttributeDefinitions"]} == {"pk", "team", "score"}
    # Writes go on while it is built.
    put_all(client, table, [item(pk=f"k{n}", team="t0", score=n) for n in range(60, 80)])
    client.delete_item(TableName=table, Key=item(pk="k0"))
    client.update_item(
        TableName=table, Key=item(pk="k2"), UpdateExpression="SET team = :t", ExpressionAttributeValues=values(t="t1")
    )
    assert statuses(wait_active(client, table)) == {"by_team": "ACTIVE"}
    request = {"KeyConditionExpression": "team = :t", "ExpressionAttributeValues": values(t="t0")}
    expected = [*range(4, 60, 2), *range(60, 80)]
    settled(
        lambda: [
            int(plain(one, "score"))
            for one in items_of(client.query, TableName=table, IndexName="by_team", Limit=13, **request)
        ],
        expected,
    )


def test_a_backfill_leaves_out_items_whose_keys_do_not_fit(tables: Tables) -> None:
    client = tables.client
    unfit: list[Any] = [5, None, "", "x" * 2049, ["a"], {"a"}]
    table = tables.make(
        "pk:S", item(pk="good", team="red"), *(item(pk=f"bad-{n}", team=t) for n, t in enumerate(unfit))
    )
    add(client, table, Index("by_team", "team:S"))
    wait_active(client, table)
    look: Callable[[], Any] = lambda: items_of(client.scan, TableName=table, IndexName="by_team")  # noqa: E731
    settled(look, [item(pk="good", team="red")])
    # The table keeps them, and from now on nobody can write such a key.
    assert client.scan(TableName=table, ConsistentRead=True)["Count"] == 1 + len(unfit)
    assert refusal(client.put_item, TableName=table, Item=item(pk="new", team=5))[0] == VALIDATION


def test_an_index_that_is_being_built_cannot_be_read(tables: Tables) -> None:
    client = tables.client
    table = tables.make("pk:S", *(item(pk=f"k{n}", team="t") for n in range(50)))
    add(client, table, Index("by_team", "team:S"))
    request = {"KeyConditionExpression": "team = :t", "ExpressionAttributeValues": values(t="t")}

    answers: list[Any] = []

    def look() -> Any:
        try:
            answers.append(client.query(TableName=table, IndexName="by_team", **request)["Count"])
        except client.exceptions.ClientError as error:
            answers.append((error.response["Error"]["Code"], error.response["Error"]["Message"]))
        return answers[-1]

    settled(look, 50)
    # Until it is ACTIVE there is one answer only; then it may follow for a moment.
    refused = {answer for answer in answers if not isinstance(answer, int)}
    assert refused <= {(VALIDATION, "Cannot read from backfilling global secondary index: by_team")}


def test_a_dropped_index_goes_and_the_table_stays(tables: Tables) -> None:
    client = tables.client
    table = tables.make("pk:S", item(pk="a", team="t"), globals_=[Index("by_team", "team:S"), Index("other", "team:S")])
    described = drop(client, table, "by_team")
    assert statuses(described) == {"by_team": "DELETING", "other": "ACTIVE"}
    settled(lambda: statuses(wait_active(client, table)), {"other": "ACTIVE"})
    request = {"KeyConditionExpression": "team = :t", "ExpressionAttributeValues": values(t="t")}
    assert refusal(client.query, TableName=table, IndexName="by_team", **request) == (
        VALIDATION,
        "The table does not have the specified index: by_team",
    )
    assert client.get_item(TableName=table, Key=item(pk="a"), ConsistentRead=True)["Item"] == item(pk="a", team="t")


def test_an_index_of_the_same_name_can_come_again(tables: Tables) -> None:
    client = tables.client
    table = tables.make("pk:S", item(pk="a", team="t", score=1), globals_=[Index("byx", "team:S")])
    drop(client, table, "byx")
    settled(lambda: statuses(wait_active(client, table)), {})
    add(client, table, Index("byx", "score:N"))
    wait_active(client, table)
    request = {"KeyConditionExpression": "score = :s", "ExpressionAttributeValues": values(s=1)}
    settled(lambda: client.query(TableName=table, IndexName="byx", **request)["Count"], 1)


def test_after_the_last_index_is_gone_nothing_is_shown_of_indexes(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S", globals_=[Index("by_team", "team:S")])
    drop(client, table, "by_team")
    settled(lambda: "GlobalSecondaryIndexes" in wait_active(client, table), False)


INDEX_REFUSALS = [
    pytest.param(
        {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "absent"}}]},
        ("ResourceNotFoundException", "Requested resource not found"),
        id="drop of an index that does not exist",
    ),
    pytest.param(
        {
            "AttributeDefinitions": definitions("team:S"),
            "GlobalSecondaryIndexUpdates": [
                {"Create": Index("one", "team:S").request()},
                {"Create": Index("two", "team:S").request()},
            ],
        },
        (
            "LimitExceededException",
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
        ),
        id="two new indexes at once",
    ),
    pytest.param(
        {},
        (
            VALIDATION,
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
            "SSESpecification or ReplicaUpdates is required",
        ),
        id="nothing to change",
    ),
]


@pytest.mark.parametrize(("members", "expected"), INDEX_REFUSALS)
def test_an_update_of_a_table_is_refused(tables: Tables, members: dict[str, Any], expected: tuple[str, str]) -> None:
    table = tables.make("pk:S")
    code, message = refusal(tables.client.update_table, TableName=table, **members)
    assert (code, message.partition(":")[0]) == (expected[0], expected[1].partition(":")[0])


@pytest.mark.parametrize(
    "create",
    [
        pytest.param(Index("by_team", "team:S").request(), id="a name that is taken"),
        pytest.param(Index("more", "undefined:S").request(), id="a key that is not defined"),
        pytest.param(Index("no", "team:S").request(), id="a name that is too short"),
        pytest.param(Index("more", "team:S", "SOME").request(), id="an unknown projection"),
    ],
)
def test_an_index_that_cannot_be_added_is_refused(tables: Tables, create: dict[str, Any]) -> None:
    client, table = tables.client, tables.make("pk:S", globals_=[Index("by_team", "team:S")])
    updates = [{"Create": create}]
    request = {"TableName": table, "GlobalSecondaryIndexUpdates": updates}
    assert refusal(client.update_table, AttributeDefinitions=definitions("team:S"), **request)[0] == VALIDATION
    assert statuses(client.describe_table(TableName=table)["Table"]) == {"by_team": "ACTIVE"}


def test_while_an_index_is_built_there_is_no_other_change(tables: Tables) -> None:
    client = tables.client
    table = tables.make("pk:S", *(item(pk=f"k{n}", team="t") for n in range(50)))
    add(client, table, Index("by_team", "team:S"))
    try:
        add(client, table, Index("by_other", "other:S"))
        code = "taken, the first index was built meanwhile"
    except client.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
    assert code in ("ResourceInUseException", "LimitExceededException", "taken, the first index was built meanwhile")
    wait_active(client, table)


# --- settings ---------------------------------------------------------------------------------------------------------


def test_provisioned_throughput_is_changed(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S", **PROVISIONED)
    units = {"ReadCapacityUnits": 10, "WriteCapacityUnits": 7}
    client.update_table(TableName=table, ProvisionedThroughput=units)
    found = wait_active(client, table)["ProvisionedThroughput"]
    assert (found["ReadCapacityUnits"], found["WriteCapacityUnits"]) == (10, 7)
    assert found["NumberOfDecreasesToday"] == 0
    assert "LastIncreaseDateTime" in found


def test_the_same_throughput_again_is_refused(tables: Tables) -> None:
    table = tables.make("pk:S", **PROVISIONED)
    assert refusal(tables.client.update_table, TableName=table, **PROVISIONED) == (
        VALIDATION,
        "The provisioned throughput for the table will not change. The requested value equals the current value. "
        "Current ReadCapacityUnits provisioned for the table: 5. Requested ReadCapacityUnits: 5. "
        "Current WriteCapacityUnits provisioned for the table: 5. Requested WriteCapacityUnits: 5. "
        "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
    )


def test_billing_is_changed_there_and_back(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S", **PROVISIONED)
    assert "BillingModeSummary" not in client.describe_table(TableName=table)["Table"]
    client.update_table(TableName=table, BillingMode="PAY_PER_REQUEST")
    found = wait_active(client, table)
    assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert found["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    client.update_table(TableName=table, BillingMode="PROVISIONED", **PROVISIONED)
    found = wait_active(client, table)
    assert found["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    assert found["ProvisionedThroughput"]["WriteCapacityUnits"] == 5


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"BillingMode": "PAY_PER_REQUEST", **PROVISIONED}, id="throughput for a table paid by request"),
        pytest.param(
            {"ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 1}}, id="throughput of nothing"
        ),
        pytest.param({"BillingMode": "SOME"}, id="unknown billing"),
        pytest.param({"TableClass": "SOME"}, id="unknown class"),
    ],
)
def test_settings_that_cannot_be_are_refused(tables: Tables, members: dict[str, Any]) -> None:
    table = tables.make("pk:S", **PROVISIONED)
    assert refusal(tables.client.update_table, TableName=table, **members)[0] == VALIDATION


def test_paid_by_request_again_is_accepted(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S")
    client.update_table(TableName=table, BillingMode="PAY_PER_REQUEST")
    assert wait_active(client, table)["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_a_protected_table_cannot_be_deleted(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S", item(pk="a"), DeletionProtectionEnabled=True)
    assert client.describe_table(TableName=table)["Table"]["DeletionProtectionEnabled"] is True
    code, message = refusal(client.delete_table, TableName=table)
    assert code == VALIDATION
    assert "protected against deletion" in message
    assert client.scan(TableName=table, ConsistentRead=True)["Count"] == 1
    client.update_table(TableName=table, DeletionProtectionEnabled=False)
    assert wait_active(client, table)["DeletionProtectionEnabled"] is False
    client.delete_table(TableName=table)


def test_the_class_of_a_table_is_changed(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S")
    client.update_table(TableName=table, TableClass="STANDARD_INFREQUENT_ACCESS")
    assert wait_active(client, table)["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"


def test_the_most_that_a_table_may_use_is_changed(tables: Tables) -> None:
    limits = {"MaxReadRequestUnits": 10, "MaxWriteRequestUnits": 5}
    client, table = tables.client, tables.make("pk:S", OnDemandThroughput=limits)
    assert client.describe_table(TableName=table)["Table"]["OnDemandThroughput"] == limits
    limits = {"MaxReadRequestUnits": 20, "MaxWriteRequestUnits": 15}
    client.update_table(TableName=table, OnDemandThroughput=limits)
    assert wait_active(client, table)["OnDemandThroughput"] == limits


def test_a_table_that_does_not_exist_cannot_be_updated(client: Any) -> None:
    assert refusal(client.update_table, TableName="conformance-absent", BillingMode="PAY_PER_REQUEST") == (
        "ResourceNotFoundException",
        "Requested resource not found: Table: conformance-absent not found",
    )


# --- CreateTable ------------------------------------------------------------------------------------------------------

LSI = Index("by_age", "pk:S age:N")
CREATE_REFUSALS = [
    pytest.param(
        {"keys": "pk:S", "local": [LSI]},
        INVALID + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
        id="local index of a table without sort key",
    ),
    pytest.param(
        {"keys": "pk:S sk:N", "globals_": [Index("same", "a:S"), Index("same", "b:S")]},
        INVALID + "Duplicate index name: same",
        id="two indexes of one name",
    ),
    pytest.param(
        {"keys": "pk:S sk:N", "local": [Index("other_key", "age:N sk:N")]},
        INVALID + "Index KeySchema does not have the same leading hash key as table KeySchema for index: other_key. "
        "index hash key: age, table hash key: pk",
        id="local index with another partition key",
    ),
    pytest.param(
        {"keys": "pk:S sk:N", "local": [Index("just_hash", "pk:S")]},
        INVALID + "Index KeySchema does not have a range key for index: just_hash",
        id="local index without sort key",
    ),
    pytest.param(
        {"keys": "pk:S", "globals_": [Index("named", "a:S", [])]},
        None,
        id="projection that includes nothing",
    ),
    pytest.param(
        {
            "keys": "pk:S",
            "globals_": [
                Index("keys", "a:S", members={"Projection": {"ProjectionType": "ALL", "NonKeyAttributes": ["x"]}})
            ],
        },
        INVALID + "ProjectionType is ALL, but NonKeyAttributes is specified",
        id="projection of everything that names something",
    ),
    pytest.param(
        {"keys": "pk:S sk:N", "local": [Index(f"lsi-{n}", f"pk:S a{n}:N") for n in range(6)]},
        INVALID + "Number of LocalSecondaryIndexes exceeds per-table limit of 5",
        id="six local indexes",
    ),
    pytest.param(
        {"keys": "pk:S", "globals_": [Index(f"gsi-{n}", f"a{n}:N") for n in range(21)]},
        INVALID + "GlobalSecondaryIndex count exceeds the per-table limit of 20",
        id="21 global indexes",
    ),
]


@pytest.mark.parametrize(("options", "message"), CREATE_REFUSALS)
def test_a_table_with_such_an_index_is_refused(client: Any, options: dict[str, Any], message: str | None) -> None:
    code, said = refusal(client.create_table, **table_request(**options))
    assert code == VALIDATION
    assert message is None or said == message


def test_a_table_with_five_local_and_twenty_global_indexes_can_be(tables: Tables) -> None:
    local = [Index(f"lsi-{n}", f"pk:S a{n}:N") for n in range(5)]
    globals_ = [Index(f"gsi-{n}", f"a{n % 5}:N", "KEYS_ONLY") for n in range(20)]
    table = tables.make("pk:S sk:N", item(pk="a", sk=1, a0=5, a1=6), local=local, globals_=globals_)
    found = tables.client.describe_table(TableName=table)["Table"]
    assert (len(found["LocalSecondaryIndexes"]), len(found["GlobalSecondaryIndexes"])) == (5, 20)
    settled(lambda: tables.client.scan(TableName=table, IndexName="gsi-16")["Count"], 1)

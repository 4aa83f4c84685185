"""Around the table: tags, TTL settings, policies, limits, endpoints, backups' true state, regions, lists of tables.

Sources: the API reference, answers of the service recorded by public suites.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from conformance_support import VALIDATION, Tables, client_for, item, refusal, settled, table_request, wait_active

pytestmark = pytest.mark.cluster


def arn_of(client: Any, table: str) -> str:
    arn: str = client.describe_table(TableName=table)["Table"]["TableArn"]
    return arn


def tags_of(client: Any, arn: str) -> dict[str, str]:
    found: dict[str, str] = {}
    request = {"ResourceArn": arn}
    while True:
        answer = client.list_tags_of_resource(**request)
        found |= {tag["Key"]: tag["Value"] for tag in answer["Tags"]}
        if "NextToken" not in answer:
            return found
        request["NextToken"] = answer["NextToken"]


# --- tags -------------------------------------------------------------------------------------------------------------


def test_tags_are_added_replaced_and_removed(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S", Tags=[{"Key": "born", "Value": "with"}])
    arn = arn_of(client, table)
    settled(lambda: tags_of(client, arn), {"born": "with"})
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "env", "Value": "test"}, {"Key": "team", "Value": ""}])
    settled(lambda: tags_of(client, arn), {"born": "with", "env": "test", "team": ""})
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "env", "Value": "live"}])
    settled(lambda: tags_of(client, arn), {"born": "with", "env": "live", "team": ""})
    client.untag_resource(ResourceArn=arn, TagKeys=["team", "absent"])
    settled(lambda: tags_of(client, arn), {"born": "with", "env": "live"})


def test_fifty_tags_are_kept(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S")
    arn, expected = arn_of(client, table), {f"key-{n}": f"value {n}" for n in range(50)}
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": key, "Value": content} for key, content in expected.items()])
    settled(lambda: tags_of(client, arn), expected)


def test_a_table_without_tags_has_an_empty_list(tables: Tables) -> None:
    assert tables.client.list_tags_of_resource(ResourceArn=arn_of(tables.client, tables.make("pk:S")))["Tags"] == []


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("tag_resource", {"Tags": [{"Key": "a", "Value": "b"}]}),
        ("untag_resource", {"TagKeys": ["a"]}),
        ("list_tags_of_resource", {}),
    ],
)
def test_what_is_no_arn_is_refused(client: Any, operation: str, members: dict[str, Any]) -> None:
    assert refusal(getattr(client, operation), ResourceArn="no-arn", **members)[0] == VALIDATION


@pytest.mark.parametrize(
    "tag",
    [
        pytest.param({"Key": "", "Value": "v"}, id="empty key"),
        pytest.param({"Key": "k" * 129, "Value": "v"}, id="key of 129 characters"),
        pytest.param({"Key": "k", "Value": "v" * 257}, id="value of 257 characters"),
    ],
)
def test_a_tag_out_of_bounds_is_refused(tables: Tables, tag: dict[str, str]) -> None:
    client, table = tables.client, tables.make("pk:S")
    assert refusal(client.tag_resource, ResourceArn=arn_of(client, table), Tags=[tag])[0] == VALIDATION


# --- time to live -----------------------------------------------------------------------------------------------------


def ttl(client: Any, table: str) -> dict[str, Any]:
    found: dict[str, Any] = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    return found


def test_time_to_live_is_off_at_first(tables: Tables) -> None:
    assert ttl(tables.client, tables.make("pk:S")) == {"TimeToLiveStatus": "DISABLED"}


def test_time_to_live_is_switched_on(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S")
    wanted = {"Enabled": True, "AttributeName": "expires"}
    answer = client.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)
    assert answer["TimeToLiveSpecification"] == wanted
    found = ttl(client, table)
    assert found["TimeToLiveStatus"] in ("ENABLING", "ENABLED")
    assert found["AttributeName"] == "expires"


def test_an_expired_item_is_shown_until_it_is_swept(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S")
    client.update_time_to_live(TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    # Never swept: more than five years ago, no number, far ahead.
    for name, expires in (("old", 1), ("text", "1"), ("later", 4_000_000_000)):
        client.put_item(TableName=table, Item=item(pk=name, expires=expires))
        assert "Item" in client.get_item(TableName=table, Key=item(pk=name), ConsistentRead=True)


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        pytest.param({"Enabled": False, "AttributeName": "expires"}, "TimeToLive is already disabled", id="off again"),
        pytest.param({"Enabled": True, "AttributeName": ""}, None, id="empty attribute name"),
        pytest.param({"Enabled": True}, None, id="no attribute name"),
        pytest.param({"Enabled": True, "AttributeName": "x" * 256}, None, id="name of 256 characters"),
    ],
)
def test_a_change_of_time_to_live_is_refused(tables: Tables, specification: Any, message: str | None) -> None:
    table = tables.make("pk:S")
    code, said = refusal(tables.client.update_time_to_live, TableName=table, TimeToLiveSpecification=specification)
    assert code == VALIDATION
    assert message is None or said == message


def test_time_to_live_cannot_be_switched_on_twice(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S")
    wanted = {"Enabled": True, "AttributeName": "expires"}
    client.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)
    code, message = refusal(client.update_time_to_live, TableName=table, TimeToLiveSpecification=wanted)
    assert code == VALIDATION
    # The one when it is on already, the other within the hour in which the service takes one change.
    assert message in (
        "TimeToLive is already enabled",
        "Time to live has been modified multiple times within a fixed interval",
    )


@pytest.mark.parametrize("operation", ["describe_time_to_live", "update_time_to_live"])
def test_time_to_live_of_a_table_that_does_not_exist(client: Any, operation: str) -> None:
    members = {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "e"}} if "update" in operation else {}
    code, _ = refusal(getattr(client, operation), TableName="conformance-absent", **members)
    assert code == "ResourceNotFoundException"


# --- resource policies ------------------------------------------------------------------------------------------------


def test_a_policy_is_stored_returned_and_removed(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S")
    arn = arn_of(client, table)
    assert refusal(client.get_resource_policy, ResourceArn=arn)[0] == "PolicyNotFoundException"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{arn.split(':')[4]}:root"},
        "Action": "dynamodb:GetItem",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    revision = client.put_resource_policy(ResourceArn=arn, Policy=policy)["RevisionId"]
    found = client.get_resource_policy(ResourceArn=arn)
    assert json.loads(found["Policy"]) == json.loads(policy)
    assert found["RevisionId"] == revision
    wrong = {"ResourceArn": arn, "Policy": policy, "ExpectedRevisionId": "1"}
    assert refusal(client.put_resource_policy, **wrong)[0] == "PolicyNotFoundException"
    client.delete_resource_policy(ResourceArn=arn)
    settled(lambda: _has_policy(client, arn), False)


def _has_policy(client: Any, arn: str) -> bool:
    try:
        client.get_resource_policy(ResourceArn=arn)
    except client.exceptions.PolicyNotFoundException:
        return False
    return True


# --- the account and the endpoint -------------------------------------------------------------------------------------


def test_the_limits_of_the_account(client: Any) -> None:
    found = client.describe_limits()
    limits = {name: found[name] for name in found if name != "ResponseMetadata"}
    assert limits.keys() == {
        "AccountMaxReadCapacityUnits",
        "AccountMaxWriteCapacityUnits",
        "TableMaxReadCapacityUnits",
        "TableMaxWriteCapacityUnits",
    }
    assert limits["TableMaxReadCapacityUnits"] <= limits["AccountMaxReadCapacityUnits"]


def test_the_endpoints(client: Any) -> None:
    [found] = client.describe_endpoints()["Endpoints"]
    assert found["CachePeriodInMinutes"] > 0
    assert found["Address"]


def test_continuous_backups_are_on_and_point_in_time_recovery_off(tables: Tables) -> None:
    table = tables.make("pk:S")
    found = tables.client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    assert found["ContinuousBackupsStatus"] == "ENABLED"
    assert found["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"


def test_a_new_table_has_no_backup(tables: Tables) -> None:
    assert tables.client.list_backups(TableName=tables.make("pk:S"))["BackupSummaries"] == []


@pytest.mark.parametrize(
    "operation",
    ["describe_continuous_backups", "describe_contributor_insights", "describe_kinesis_streaming_destination"],
)
def test_the_state_of_a_table_that_does_not_exist(client: Any, operation: str) -> None:
    code, _ = refusal(getattr(client, operation), TableName="conformance-absent")
    assert code in ("ResourceNotFoundException", "TableNotFoundException")


def test_nothing_is_streamed_to_kinesis(tables: Tables) -> None:
    table = tables.make("pk:S")
    found = tables.client.describe_kinesis_streaming_destination(TableName=table)
    assert found.get("KinesisDataStreamDestinations", []) == []


def test_contributor_insights_are_off(tables: Tables) -> None:
    found = tables.client.describe_contributor_insights(TableName=tables.make("pk:S"))
    assert found["ContributorInsightsStatus"] == "DISABLED"


# --- tables -----------------------------------------------------------------------------------------------------------


def test_tables_are_listed_in_the_order_of_their_names_by_pages(tables: Tables) -> None:
    client, made = tables.client, sorted(tables.make("pk:S") for _ in range(3))
    found: list[str] = []
    request: dict[str, Any] = {"Limit": 2}
    while True:
        page = client.list_tables(**request)
        found += page["TableNames"]
        if "LastEvaluatedTableName" not in page:
            break
        assert page["LastEvaluatedTableName"] == page["TableNames"][-1]
        request["ExclusiveStartTableName"] = page["LastEvaluatedTableName"]
    assert found == sorted(found)
    assert [name for name in found if name in made] == made


def test_a_table_can_be_named_by_its_arn(tables: Tables) -> None:
    client, table = tables.client, tables.make("pk:S", item(pk="a"))
    arn = arn_of(client, table)
    assert client.get_item(TableName=arn, Key=item(pk="a"), ConsistentRead=True)["Item"] == item(pk="a")
    assert client.describe_table(TableName=arn)["Table"]["TableName"] == table
    assert client.scan(TableName=arn, ConsistentRead=True)["Count"] == 1


def test_regions_are_name_spaces_of_their_own(endpoint: str, tables: Tables) -> None:
    here, there = tables.client, client_for(endpoint, region="eu-west-1")
    request = table_request("pk:S")
    name = request["TableName"]
    for client in (here, there):
        client.create_table(**request)
        wait_active(client, name)
    try:
        here.put_item(TableName=name, Item=item(pk="here"))
        assert there.scan(TableName=name, ConsistentRead=True)["Items"] == []
        assert ":eu-west-1:" in arn_of(there, name)
        assert ":us-east-1:" in arn_of(here, name)
    finally:
        there.delete_table(TableName=name)
    assert here.scan(TableName=name, ConsistentRead=True)["Count"] == 1
    here.delete_table(TableName=name)


def test_a_name_can_be_used_again_without_what_it_held(tables: Tables) -> None:
    client = tables.client
    request = table_request("pk:S")
    name = request["TableName"]
    for _ in range(2):
        client.create_table(**request)
        wait_active(client, name)
        assert client.scan(TableName=name, ConsistentRead=True)["Count"] == 0
        client.put_item(TableName=name, Item=item(pk=uuid.uuid4().hex))
        client.delete_table(TableName=name)
        settled(lambda: name in _names(client), False)


def _names(client: Any) -> list[str]:
    return [name for page in client.get_paginator("list_tables").paginate() for name in page["TableNames"]]

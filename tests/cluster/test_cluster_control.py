"""Settings of tables through boto3: what one router changes, every router shows, and nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from harness.cluster import LocalCluster
from harness.waiting import wait_until

pytestmark = pytest.mark.cluster


def refusal(call: Callable[..., Any], **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.fixture(scope="module")
def routers(shared_cluster: LocalCluster) -> tuple[Any, Any]:
    return shared_cluster.dynamodb(router=0), shared_cluster.dynamodb(router=1)


def test_a_table_with_indexes_is_the_same_through_every_router(routers: tuple[Any, Any]) -> None:
    one, other = routers
    one.create_table(
        TableName="indexed",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "a", "b")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        LocalSecondaryIndexes=[
            {
                "IndexName": "local",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "a", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "global",
                "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "b", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x"]},
                "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 2},
            }
        ],
        ProvisionedThroughput={"ReadCapacityUnits": 3, "WriteCapacityUnits": 4},
        Tags=[{"Key": "team", "Value": "blue"}],
    )
    one.get_waiter("table_exists").wait(TableName="indexed", WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    table = one.describe_table(TableName="indexed")["Table"]
    assert other.describe_table(TableName="indexed")["Table"] == table
    assert table["LocalSecondaryIndexes"][0]["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    (wide,) = table["GlobalSecondaryIndexes"]
    assert wide["IndexStatus"] == "ACTIVE"
    assert wide["KeySchema"] == [{"AttributeName": "a", "KeyType": "HASH"}, {"AttributeName": "b", "KeyType": "HASH"}]
    assert wide["ProvisionedThroughput"]["WriteCapacityUnits"] == 2
    tags = other.list_tags_of_resource(ResourceArn=table["TableArn"])
    assert tags["Tags"] == [{"Key": "team", "Value": "blue"}]


def test_settings_that_race_through_two_routers_all_arrive(
    routers: tuple[Any, Any], new_table: Callable[..., str]
) -> None:
    name = new_table()
    arn = routers[0].describe_table(TableName=name)["Table"]["TableArn"]

    def tag(number: int) -> None:
        routers[number % 2].tag_resource(ResourceArn=arn, Tags=[{"Key": f"k{number}", "Value": "v"}])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tag, range(12)))
    keys = {f"k{number}" for number in range(12)}

    def shows_all(router: Any) -> bool:
        return {found["Key"] for found in router.list_tags_of_resource(ResourceArn=arn)["Tags"]} == keys

    wait_until(lambda: all(map(shows_all, routers)), timeout_s=5, what="all tags through every router")


def test_protection_set_through_one_router_is_known_to_the_other_at_once(
    routers: tuple[Any, Any], new_table: Callable[..., str]
) -> None:
    one, other = routers
    for _ in range(3):
        name = new_table()
        one.update_table(TableName=name, DeletionProtectionEnabled=True)
        code, message = refusal(other.delete_table, TableName=name)
        assert (code, "protected against deletion" in message) == ("ValidationException", True)
        other.update_table(TableName=name, DeletionProtectionEnabled=False)
        one.delete_table(TableName=name)


def test_billing_changes_there_and_back(dynamodb: Any, new_table: Callable[..., str]) -> None:
    name = new_table()
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    answer = dynamodb.update_table(TableName=name, BillingMode="PROVISIONED", ProvisionedThroughput=units)
    assert answer["TableDescription"]["TableStatus"] == "UPDATING"
    shown = dynamodb.describe_table(TableName=name)["Table"]["ProvisionedThroughput"]
    assert {member: shown[member] for member in units} == units
    code, message = refusal(dynamodb.update_table, TableName=name, ProvisionedThroughput=units)
    assert (code, "will not change" in message) == ("ValidationException", True)
    dynamodb.update_table(TableName=name, BillingMode="PAY_PER_REQUEST")
    assert dynamodb.describe_table(TableName=name)["Table"]["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_time_to_live_is_set_once(routers: tuple[Any, Any], new_table: Callable[..., str]) -> None:
    one, other = routers
    name = new_table()
    wanted = {"AttributeName": "at", "Enabled": True}
    assert one.update_time_to_live(TableName=name, TimeToLiveSpecification=wanted)["TimeToLiveSpecification"] == wanted
    # The other router may not have heard of it, but it does not say so.
    code, message = refusal(other.update_time_to_live, TableName=name, TimeToLiveSpecification=wanted)
    assert (code, message) == ("ValidationException", "TimeToLive is already enabled")
    described = other.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "at"}


def test_a_policy_comes_back(dynamodb: Any, new_table: Callable[..., str]) -> None:
    arn = dynamodb.describe_table(TableName=new_table())["Table"]["TableArn"]
    assert refusal(dynamodb.get_resource_policy, ResourceArn=arn)[0] == "PolicyNotFoundException"
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*"}]}'
    revision = dynamodb.put_resource_policy(ResourceArn=arn, Policy=policy)["RevisionId"]
    found = dynamodb.get_resource_policy(ResourceArn=arn)
    assert (found["Policy"], found["RevisionId"]) == (policy, revision)
    assert dynamodb.delete_resource_policy(ResourceArn=arn)["RevisionId"] == revision


def test_the_endpoint_is_the_one_the_client_came_to(shared_cluster: LocalCluster, dynamodb: Any) -> None:
    (endpoint,) = dynamodb.describe_endpoints()["Endpoints"]
    assert endpoint["CachePeriodInMinutes"] == 1440
    assert dynamodb.meta.endpoint_url.endswith(f"//{endpoint['Address']}")


def test_what_there_is_not_is_told(dynamodb: Any, new_table: Callable[..., str]) -> None:
    name = new_table()
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"
    assert dynamodb.list_backups()["BackupSummaries"] == []
    assert dynamodb.describe_limits()["TableMaxReadCapacityUnits"] == 40000
    assert refusal(dynamodb.describe_continuous_backups, TableName="nope") == (
        "TableNotFoundException",
        "Table not found: nope",
    )

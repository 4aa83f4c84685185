"""The control operations over a real catalog: what they answer, and what becomes of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from dynamo.errors import DynamoError
from dynamo.limits import GLOBAL_INDEXES_MAX
from dynamo.requests import validator_for
from router.limits import TABLE_CHANGE_ATTEMPTS_MAX
from router.operations.call import Call as AnyCall
from router.operations.call import NeedsCatalog, Services, WriteIds
from router.operations.control_plane import CONTROL_OPERATIONS
from router.operations.create_table import create_table
from router.operations.delete_table import delete_table
from router.operations.describe_table import describe_table
from router.routing.catalog_copy import CatalogCopy
from router.routing.pending import Failure, Pending
from runtime.clock import ManualClock
from topology.catalog import CatalogState, bootstrap_catalog
from topology.settings import load_settings
from wire import catalog_pb2 as pb
from wire import data_pb2

pytestmark = pytest.mark.unit

REGION = "us-east-1"
CLUSTER = """\
nodes:
  - {id: n1, az: az-a, port: 7101, metrics_port: 7201}
  - {id: n2, az: az-b, port: 7102, metrics_port: 7202}
  - {id: n3, az: az-c, port: 7103, metrics_port: 7203}
routers:
  - {id: r1, az: az-a, http_port: 8000, metrics_port: 7211}
"""
RUN: dict[str, Callable[..., None]] = CONTROL_OPERATIONS | {
    "CreateTable": create_table,
    "DeleteTable": delete_table,
    "DescribeTable": describe_table,
}


class Call:
    """One request without HTTP."""

    body = b""
    metric = 0
    host = "localhost:8000"

    def __init__(self, name: str, region: str) -> None:
        self.target = f"DynamoDB_20120810.{name}".encode()
        self.region = region
        self.catalog_confirmed = False
        self.answers: list[bytes | DynamoError] = []

    def succeed(self, body: bytes) -> None:
        self.answers.append(body)

    def fail(self, error: DynamoError) -> None:
        self.answers.append(error)


class Bench:
    """A router over a catalog group that decides at once; its copy follows every change."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.copy = CatalogCopy()
        self.state = CatalogState()
        self.commands: list[pb.CatalogCommand] = []
        # How many of the next commands are overtaken by a change of somebody else, and what that is.
        self.overtaken = 0
        self.overtake: Callable[[], None] = self._tag_as_somebody_else
        self.fails: Failure | None = None
        self.services = Services(
            port=self,
            copy=self.copy,
            clock=self.clock,
            write_ids=WriteIds(b"process!"),
            new_uuid=lambda: f"uuid-{len(self.commands)}",
            table_activation_ms=2000,
            tables_max=2500,
            retry=lambda _call: None,
            run_guarded=self.run_guarded,
            run_native=lambda _name, _call, _request: None,
        )
        catalog = bootstrap_catalog(load_settings(CLUSTER, "cluster.yaml"), "c-1")
        self.apply(pb.CatalogCommand(bootstrap=pb.Bootstrap(catalog=catalog)))

    def apply(self, command: pb.CatalogCommand) -> pb.CatalogResult:
        result = self.state.apply(command)
        self.copy.replace(self.state.catalog)
        return result

    # --- the port -----------------------------------------------------------------------------------------------

    def submit(self, pending: Pending) -> None:
        if self.fails is not None:
            pending.give_up(self.fails)
            return
        command = pb.CatalogCommand.FromString(pending.operation.item)
        self.commands.append(command)
        if self.overtaken:
            self.overtaken -= 1
            self.overtake()
        result = self.state.apply(command)
        pending.complete(data_pb2.Result(status=data_pb2.OK, item=result.SerializeToString()))
        self.copy.replace(self.state.catalog)

    def _tag_as_somebody_else(self) -> None:
        table, settings = self._settings()
        theirs = {"Key": f"theirs-{table.revision}", "Value": ""}
        self._change_as_somebody_else(settings | {"Tags": [*settings.get("Tags", []), theirs]})

    def protect_as_somebody_else(self) -> None:
        self._change_as_somebody_else(self._settings()[1] | {"DeletionProtectionEnabled": True})

    def replace_as_somebody_else(self) -> None:
        """The table is deleted, and another made under its name."""
        table, _ = self._settings()
        self.state.apply(pb.CatalogCommand(delete_table=pb.DeleteTable(name="music", region=REGION)))
        self.state.apply(pb.CatalogCommand(forget_table=pb.ForgetTable(table_id=table.table_id)))
        key = pb.KeyAttribute(name="pk", type=pb.KEY_S)
        command = pb.CreateTable(name="music", region=REGION, partition_key=key, tables_max=5, uuid="newer")
        made = self.state.apply(pb.CatalogCommand(create_table=command)).table
        self.state.apply(pb.CatalogCommand(activate_table=pb.ActivateTable(table_id=made.table_id)))

    def _settings(self) -> tuple[pb.Table, dict[str, Any]]:
        table = self.state.table_by_name(REGION, "music")
        assert table is not None
        return table, orjson.loads(table.settings_json)

    def _change_as_somebody_else(self, settings: dict[str, Any]) -> None:
        table, _ = self._settings()
        change = pb.ChangeTable(
            table_id=table.table_id, if_revision=table.revision, settings_json=orjson.dumps(settings)
        )
        assert self.state.apply(pb.CatalogCommand(change_table=change)).outcome == pb.CATALOG_OK

    def new_deadline_s(self) -> float:
        return self.clock.monotonic() + 3

    def run_guarded(self, call: AnyCall, work: Callable[[], None]) -> None:
        try:
            work()
        except DynamoError as error:
            call.fail(error)

    # --- requests -----------------------------------------------------------------------------------------------

    def _dispatch(self, name: str, body: dict[str, Any], region: str) -> bytes | DynamoError:
        call = Call(name, region)
        try:
            request = validator_for(name).validate(orjson.loads(orjson.dumps(body)))
            try:
                RUN[name](self.services, call, request)
            except NeedsCatalog:
                call.catalog_confirmed = True
                self.copy.replace(self.state.catalog)
                RUN[name](self.services, call, request)
        except DynamoError as error:
            call.fail(error)
        # Creating and deleting are held for an effect that nobody brings about here, at most so long.
        self.copy.tick(self.clock.monotonic() + 3)
        (answer,) = call.answers
        return answer

    def call(self, name: str, region: str = REGION, **body: Any) -> Any:
        answer = self._dispatch(name, body, region)
        assert isinstance(answer, bytes), answer
        return orjson.loads(answer) if answer else None

    def refused(self, name: str, **body: Any) -> tuple[str, str]:
        answer = self._dispatch(name, body, REGION)
        assert isinstance(answer, DynamoError), answer
        return answer.code, answer.message

    # --- tables -------------------------------------------------------------------------------------------------

    def table(self, name: str = "music", **members: Any) -> Any:
        """Make a table and let it become ACTIVE; its description."""
        description = self.call("CreateTable", **({"TableName": name} | KEYS | members))["TableDescription"]
        made = self.state.table_by_name(REGION, name)
        assert made is not None
        self.apply(pb.CatalogCommand(activate_table=pb.ActivateTable(table_id=made.table_id)))
        return description

    def describe(self, name: str = "music") -> Any:
        return self.call("DescribeTable", TableName=name)["Table"]

    def update(self, **members: Any) -> Any:
        return self.call("UpdateTable", TableName="music", **members)["TableDescription"]

    def update_refused(self, **members: Any) -> tuple[str, str]:
        return self.refused("UpdateTable", TableName="music", **members)

    def set_index(self, name: str, state: int) -> None:
        table, index = self._row(name)
        command = pb.SetIndexState(table_id=table.table_id, index_id=index.index_id, state=state)  # type: ignore[arg-type]
        assert self.apply(pb.CatalogCommand(set_index_state=command)).outcome == pb.CATALOG_OK

    def forget_index(self, name: str) -> None:
        table, index = self._row(name)
        command = pb.ForgetIndex(table_id=table.table_id, index_id=index.index_id)
        assert self.apply(pb.CatalogCommand(forget_index=command)).outcome == pb.CATALOG_OK

    def _row(self, name: str) -> tuple[pb.Table, pb.Index]:
        table = self.state.table_by_name(REGION, "music")
        assert table is not None
        return table, next(index for index in table.indexes if index.name == name)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def definitions(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": "S"} for name in names]


def schema(text: str) -> list[dict[str, str]]:
    """`a b / c`: HASH a and b, RANGE c."""
    partition, _, sort = text.partition("/")
    roles = [*((name, "HASH") for name in partition.split()), *((name, "RANGE") for name in sort.split())]
    return [{"AttributeName": name, "KeyType": role} for name, role in roles]


ALL = {"ProjectionType": "ALL"}
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
KEYS: dict[str, Any] = {
    "AttributeDefinitions": definitions("pk", "sk"),
    "KeySchema": schema("pk / sk"),
    "BillingMode": "PAY_PER_REQUEST",
}
PROVISIONED: dict[str, Any] = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": UNITS}
ARN = f"arn:aws:dynamodb:{REGION}:000000000000:table/music"
INVALID = "One or more parameter values were invalid: "
VALIDATION, IN_USE, LIMIT = "ValidationException", "ResourceInUseException", "LimitExceededException"
NOT_FOUND = "ResourceNotFoundException"
STILL = "Attempt to change a resource which is still in use: "
ONE_ONLINE = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
WARM = {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}
NO_UNITS = {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0}


def index(name: str, keys: str, **members: Any) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": schema(keys), "Projection": ALL, **members}


def creation(name: str, keys: str, *defined: str, **members: Any) -> dict[str, Any]:
    """UpdateTable members that create an index."""
    return {
        "AttributeDefinitions": definitions(*defined),
        "GlobalSecondaryIndexUpdates": [{"Create": index(name, keys, **members)}],
    }


def changes(*updates: dict[str, Any]) -> dict[str, Any]:
    return {"GlobalSecondaryIndexUpdates": list(updates)}


# --- CreateTable and DescribeTable ------------------------------------------------------------------------------------


def test_a_table_with_indexes_is_described_as_it_was_made(bench: Bench) -> None:
    local = index(
        "by_year", "pk / year", Projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": ["z", "pk", "a"]}
    )
    wide = index("wide", "genre year / sk pk", OnDemandThroughput={"MaxReadRequestUnits": 7})
    created = bench.table(
        AttributeDefinitions=definitions("year", "sk", "pk", "genre"),
        LocalSecondaryIndexes=[local],
        GlobalSecondaryIndexes=[wide],
        TableClass="STANDARD",
        DeletionProtectionEnabled=True,
        OnDemandThroughput={"MaxWriteRequestUnits": 9},
    )
    now_s = bench.clock.wall_ms() / 1000
    expected: dict[str, Any] = {
        "AttributeDefinitions": definitions("genre", "pk", "sk", "year"),
        "TableName": "music",
        "KeySchema": schema("pk / sk"),
        "TableStatus": "ACTIVE",
        "CreationDateTime": now_s,
        "ProvisionedThroughput": NO_UNITS,
        "TableSizeBytes": 0,
        "ItemCount": 0,
        "TableArn": ARN,
        "TableId": "uuid-0",
        "DeletionProtectionEnabled": True,
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST", "LastUpdateToPayPerRequestDateTime": now_s},
        "TableClassSummary": {"TableClass": "STANDARD"},
        "OnDemandThroughput": {"MaxWriteRequestUnits": 9},
        "WarmThroughput": WARM,
        "LocalSecondaryIndexes": [
            {
                "IndexName": "by_year",
                "KeySchema": schema("pk / year"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "pk", "z"]},
                "IndexSizeBytes": 0,
                "ItemCount": 0,
                "IndexArn": f"{ARN}/index/by_year",
            }
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "wide",
                "KeySchema": schema("genre year / sk pk"),
                "Projection": ALL,
                "IndexStatus": "ACTIVE",
                "ProvisionedThroughput": NO_UNITS,
                "OnDemandThroughput": {"MaxReadRequestUnits": 7},
                "WarmThroughput": WARM,
                "IndexSizeBytes": 0,
                "ItemCount": 0,
                "IndexArn": f"{ARN}/index/wide",
            }
        ],
    }
    assert bench.describe() == expected
    assert created["TableStatus"] == "CREATING"
    assert created["GlobalSecondaryIndexes"][0]["IndexStatus"] == "CREATING"
    assert not {"WarmThroughput", "Backfilling"} & {*created, *created["GlobalSecondaryIndexes"][0]}
    row = bench.state.table_by_name(REGION, "music")
    assert row is not None
    kinds = [pb.INDEX_LOCAL, pb.INDEX_GLOBAL, pb.INDEX_COLLECTION_SIZES]
    assert [found.kind for found in row.indexes] == kinds
    assert {found.state for found in row.indexes} == {pb.INDEX_ACTIVE}


def test_a_provisioned_table_tells_its_units(bench: Bench) -> None:
    bench.table(
        AttributeDefinitions=definitions("pk", "sk", "g"),
        GlobalSecondaryIndexes=[index("gsi", "g", ProvisionedThroughput=UNITS)],
        **PROVISIONED,
    )
    table = bench.describe()
    units = {**UNITS, "NumberOfDecreasesToday": 0}
    warm = {"ReadUnitsPerSecond": 5, "WriteUnitsPerSecond": 6, "Status": "ACTIVE"}
    for shown in (table, table["GlobalSecondaryIndexes"][0]):
        assert (shown["ProvisionedThroughput"], shown["WarmThroughput"]) == (units, warm)
    assert "BillingModeSummary" not in table


def test_a_table_without_local_indexes_has_no_hidden_one(bench: Bench) -> None:
    bench.table()
    row = bench.state.table_by_name(REGION, "music")
    assert row is not None
    assert not row.indexes
    assert not {"LocalSecondaryIndexes", "GlobalSecondaryIndexes"} & bench.describe().keys()


# --- UpdateTable ------------------------------------------------------------------------------------------------------


def test_an_index_is_added_built_and_deleted(bench: Bench) -> None:
    bench.table()
    answer = bench.update(**creation("gsi", "g / pk", "g"))
    assert answer["TableStatus"] == "UPDATING"
    assert answer["AttributeDefinitions"] == definitions("g", "pk", "sk")

    def look() -> tuple[str, str, object]:
        table = bench.describe()
        (shown,) = table["GlobalSecondaryIndexes"]
        return table["TableStatus"], shown["IndexStatus"], shown.get("Backfilling")

    assert look() == ("UPDATING", "CREATING", False)
    bench.set_index("gsi", pb.INDEX_BACKFILLING)
    assert look() == ("ACTIVE", "CREATING", True)
    bench.set_index("gsi", pb.INDEX_ACTIVE)
    assert look() == ("ACTIVE", "ACTIVE", None)
    answer = bench.update(**changes({"Delete": {"IndexName": "gsi"}}))
    assert (answer["TableStatus"], answer["GlobalSecondaryIndexes"][0]["IndexStatus"]) == ("UPDATING", "DELETING")
    assert look() == ("UPDATING", "DELETING", None)
    bench.forget_index("gsi")
    table = bench.describe()
    assert table["TableStatus"] == "ACTIVE"
    assert "GlobalSecondaryIndexes" not in table
    assert table["AttributeDefinitions"] == definitions("pk", "sk")


@pytest.mark.parametrize("state", ["creating", "backfilling", "deleting"])
def test_while_an_index_comes_or_goes_the_table_waits(bench: Bench, state: str) -> None:
    bench.table(AttributeDefinitions=definitions("pk", "sk", "g"), GlobalSecondaryIndexes=[index("old", "g")])
    if state == "deleting":
        bench.update(**changes({"Delete": {"IndexName": "old"}}))
        own = "Index is being deleted. Table: music Index: old"
        name = "old"
    else:
        bench.update(**creation("new", "g", "g"))
        name = "new"
        own = (
            "Index creation is in resource allocation phase. Retry deletion during backfilling phase or when the index "
            "is active. Table: music Index: new"
        )
    if state == "backfilling":
        bench.set_index("new", pb.INDEX_BACKFILLING)
    assert bench.update_refused(**creation("other", "g", "g")) == (LIMIT, ONE_ONLINE)
    if state != "backfilling":
        assert bench.update_refused(**changes({"Delete": {"IndexName": name}})) == (IN_USE, STILL + own)
    assert bench.refused("DeleteTable", TableName="music") == (
        IN_USE,
        STILL + "Cannot delete table while indexes are being created, updated, or deleted.",
    )
    if state != "backfilling":
        doing = "deleted" if state == "deleting" else "created"
        message = f"Can't change table IOPS when an index is being {doing}. Table: music Indexes: [{name}]"
        assert bench.update_refused(**PROVISIONED) == (IN_USE, STILL + message)
    bench.call("TagResource", ResourceArn=ARN, Tags=[{"Key": "a", "Value": "b"}])


def test_an_index_that_is_being_filled_can_be_deleted(bench: Bench) -> None:
    bench.table()
    bench.update(**creation("new", "g", "g"))
    bench.set_index("new", pb.INDEX_BACKFILLING)
    answer = bench.update(**changes({"Delete": {"IndexName": "new"}}))
    assert (answer["TableStatus"], answer["GlobalSecondaryIndexes"][0]["IndexStatus"]) == ("UPDATING", "DELETING")


GHOST = {"Update": {"IndexName": "ghost", "OnDemandThroughput": {"MaxReadRequestUnits": 1}}}
AT_LEAST = (
    "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
    "SSESpecification or ReplicaUpdates is required"
)
NEITHER = (
    INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
)
ALONE = " must be the only operation in the request"
ONLY_UPDATES = (
    INVALID + "The only Updates for index: old when TableThroughputMode is PAY_PER_REQUEST can be to "
    "OnDemandThroughput, WarmThroughput"
)


@pytest.mark.parametrize(
    ("members", "error"),
    [
        pytest.param({}, (VALIDATION, AT_LEAST), id="nothing"),
        pytest.param(changes(), (VALIDATION, AT_LEAST), id="an empty list alone"),
        pytest.param({"WarmThroughput": {}}, (VALIDATION, AT_LEAST), id="an empty structure alone"),
        pytest.param(
            {"TableClass": "STANDARD"} | changes(),
            (VALIDATION, INVALID + "List of GlobalSecondaryIndexUpdates is empty"),
            id="an empty list with a change",
        ),
        pytest.param(
            changes({}),
            (
                VALIDATION,
                INVALID + "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                "GlobalSecondaryIndexUpdate.Delete must not be null",
            ),
            id="an update that says nothing",
        ),
        pytest.param(
            changes({"Delete": {"IndexName": "old"}, "Update": {"IndexName": "old"}}),
            (
                VALIDATION,
                INVALID + "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object",
            ),
            id="two actions in one update",
        ),
        pytest.param(
            changes({"Delete": {"IndexName": "old"}}, {"Update": {"IndexName": "old"}}),
            (
                VALIDATION,
                INVALID + "Only one global secondary index update per index is allowed simultaneously. Index: old",
            ),
            id="one index twice",
        ),
        pytest.param(
            changes({"Delete": {"IndexName": "old"}}, {"Delete": {"IndexName": "ghost"}}),
            (LIMIT, ONE_ONLINE),
            id="two deletions",
        ),
        pytest.param(
            changes(GHOST), (NOT_FOUND, "Requested resource not found: Index ghost for table music"), id="no such index"
        ),
        pytest.param(
            changes({"Delete": {"IndexName": "local"}}),
            (VALIDATION, "Cannot delete an index that is not a GlobalSecondaryIndex: local"),
            id="a local index deleted",
        ),
        pytest.param(
            changes({"Update": {"IndexName": "old"}}), (VALIDATION, ONLY_UPDATES), id="an index update without change"
        ),
        pytest.param(
            changes({"Update": {"IndexName": "old", "ProvisionedThroughput": UNITS}}),
            (VALIDATION, ONLY_UPDATES),
            id="units for an index of an on-demand table",
        ),
        pytest.param(
            changes({"Update": {"IndexName": "old", "WarmThroughput": {"ReadUnitsPerSecond": 1}}}),
            (
                VALIDATION,
                INVALID + "Requested ReadUnitsPerSecond for WarmThroughput for index old is lower than current "
                "WarmThroughput, decreasing WarmThroughput is not supported",
            ),
            id="an index cooled down",
        ),
        pytest.param(
            creation("old", "nope", "nope"),
            (VALIDATION, "Attempting to create an index which already exists"),
            id="an index there is",
        ),
        pytest.param(
            creation("new", "g"),
            (VALIDATION, INVALID + "AttributeDefinitions is not specified for index: new"),
            id="an index without definitions",
        ),
        pytest.param(
            creation("new", "x", "y"),
            (
                VALIDATION,
                INVALID + "Some index key attributes are not defined in AttributeDefinitions. "
                "Keys: [x], AttributeDefinitions: [y, pk, sk, g]",
            ),
            id="an index with an undefined key",
        ),
        pytest.param(
            creation("new", "x", "x", ProvisionedThroughput=UNITS),
            (
                VALIDATION,
                INVALID + "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: new when "
                "BillingMode is PAY_PER_REQUEST",
            ),
            id="a new index with units in an on-demand table",
        ),
        pytest.param({"ProvisionedThroughput": UNITS}, (VALIDATION, NEITHER), id="units for an on-demand table"),
        pytest.param(
            {"ProvisionedThroughput": UNITS, "BillingMode": "PAY_PER_REQUEST"},
            (VALIDATION, NEITHER),
            id="on demand with units",
        ),
        pytest.param(
            {"BillingMode": "PROVISIONED"},
            (VALIDATION, INVALID + "ProvisionedThroughput must be specified when BillingMode is PROVISIONED"),
            id="provisioned without units",
        ),
        pytest.param(
            PROVISIONED,
            (VALIDATION, INVALID + "ProvisionedThroughput must be specified for index: old"),
            id="provisioned without units for its index",
        ),
        pytest.param(
            {"TableClass": "STANDARD", "BillingMode": "PAY_PER_REQUEST"},
            (VALIDATION, INVALID + "TableClass modification" + ALONE),
            id="table class with something else",
        ),
        pytest.param(
            {"DeletionProtectionEnabled": True} | creation("new", "x", "x"),
            (VALIDATION, INVALID + "DeletionProtection modification" + ALONE),
            id="deletion protection with something else",
        ),
        pytest.param(
            {"ProvisionedThroughput": UNITS} | creation("new", "x", "x"),
            (VALIDATION, INVALID + "You cannot create or delete index while updating table IOPS"),
            id="units and an index",
        ),
        pytest.param(
            {"OnDemandThroughput": {"MaxReadRequestUnits": 0}},
            (
                VALIDATION,
                INVALID + "Requested MaxReadRequestUnits for OnDemandThroughput for table is outside of valid range",
            ),
            id="on-demand limit of nothing",
        ),
        pytest.param(
            {"StreamSpecification": {"StreamEnabled": False}},
            (VALIDATION, "Table has no stream to disable: TableName: music"),
            id="no stream to disable",
        ),
        pytest.param(
            {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}},
            (VALIDATION, "Streams: not supported by this version of Trizone"),
            id="a stream",
        ),
        pytest.param(
            {"ReplicaUpdates": [{"Create": {"RegionName": "eu-west-1"}}]},
            (VALIDATION, "Global tables (ReplicaUpdates): not supported by this version of Trizone"),
            id="a replica",
        ),
    ],
)
def test_an_update_is_refused(bench: Bench, members: dict[str, Any], error: tuple[str, str]) -> None:
    bench.table(
        AttributeDefinitions=definitions("pk", "sk", "g"),
        LocalSecondaryIndexes=[index("local", "pk / g")],
        GlobalSecondaryIndexes=[index("old", "g")],
    )
    before = bench.describe()
    assert bench.update_refused(**members) == error
    assert bench.describe() == before


def test_a_missing_table_is_named_before_its_indexes_are_judged(bench: Bench) -> None:
    error = (NOT_FOUND, "Requested resource not found: Table: music not found")
    assert bench.update_refused(**changes(GHOST)) == error
    assert bench.update_refused(**PROVISIONED) == error


def test_the_twenty_first_index_is_too_many(bench: Bench) -> None:
    many = [index(f"index-{number}", "g") for number in range(GLOBAL_INDEXES_MAX)]
    bench.table(AttributeDefinitions=definitions("pk", "sk", "g"), GlobalSecondaryIndexes=many)
    code, message = bench.update_refused(**creation("more", "g", "g"))
    assert code == LIMIT
    assert "per-table limit of 20" in message


def test_billing_goes_to_provisioned_with_every_index_and_back(bench: Bench) -> None:
    bench.table(
        AttributeDefinitions=definitions("pk", "sk", "g"),
        GlobalSecondaryIndexes=[index("gsi", "g", OnDemandThroughput={"MaxReadRequestUnits": 3})],
        OnDemandThroughput={"MaxReadRequestUnits": 3},
    )
    answer = bench.update(**PROVISIONED, **changes({"Update": {"IndexName": "gsi", "ProvisionedThroughput": UNITS}}))
    assert (answer["TableStatus"], answer["ProvisionedThroughput"]) == ("UPDATING", NO_UNITS)
    assert index_in(answer) == ("UPDATING", 0, 0)
    table = bench.describe()
    for shown in (table, table["GlobalSecondaryIndexes"][0]):
        assert shown["ProvisionedThroughput"] == {**UNITS, "NumberOfDecreasesToday": 0}
        assert "OnDemandThroughput" not in shown
    assert table["WarmThroughput"] == WARM
    assert table["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    bench.clock.advance(60)
    answer = bench.update(BillingMode="PAY_PER_REQUEST")
    assert (answer["TableStatus"], index_in(answer)) == ("UPDATING", ("UPDATING", 5, 6))
    table = bench.describe()
    assert index_in(table) == ("ACTIVE", 0, 0)
    assert table["ProvisionedThroughput"] == table["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"] == NO_UNITS
    summary = table["BillingModeSummary"]
    assert summary["BillingMode"] == "PAY_PER_REQUEST"
    assert summary["LastUpdateToPayPerRequestDateTime"] == bench.clock.wall_ms() / 1000
    assert bench.update(BillingMode="PAY_PER_REQUEST")["TableStatus"] == "UPDATING"


def index_in(table: dict[str, Any]) -> tuple[str, int, int]:
    """Status, read and write units of its only global index."""
    (shown,) = table["GlobalSecondaryIndexes"]
    provisioned = shown["ProvisionedThroughput"]
    return shown["IndexStatus"], provisioned["ReadCapacityUnits"], provisioned["WriteCapacityUnits"]


def units(read: int, write: int) -> dict[str, Any]:
    return {"ProvisionedThroughput": {"ReadCapacityUnits": read, "WriteCapacityUnits": write}}


def test_throughput_changes_leave_their_dates_and_are_counted(bench: Bench) -> None:
    bench.table(**PROVISIONED)
    message = (
        "The provisioned throughput for the table will not change. The requested value equals the current value. "
        "Current ReadCapacityUnits provisioned for the table: 5. Requested ReadCapacityUnits: 5. "
        "Current WriteCapacityUnits provisioned for the table: 6. Requested WriteCapacityUnits: 6. "
        "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    )
    assert bench.update_refused(**units(5, 6)) == (VALIDATION, message)
    increased_s = bench.clock.wall_ms() / 1000
    answer = bench.update(**units(9, 6))["ProvisionedThroughput"]
    assert answer == {**UNITS, "NumberOfDecreasesToday": 0, "LastIncreaseDateTime": increased_s}
    bench.clock.advance(1)
    answer = bench.update(**units(8, 6))["ProvisionedThroughput"]
    assert (answer["ReadCapacityUnits"], answer["NumberOfDecreasesToday"]) == (9, 0)
    table = bench.describe()
    assert table["ProvisionedThroughput"] == {
        "ReadCapacityUnits": 8,
        "WriteCapacityUnits": 6,
        "NumberOfDecreasesToday": 1,
        "LastIncreaseDateTime": increased_s,
        "LastDecreaseDateTime": increased_s + 1,
    }
    assert table["WarmThroughput"]["ReadUnitsPerSecond"] == 9


def test_after_four_decreases_in_a_day_one_an_hour_is_left(bench: Bench) -> None:
    noon_ms = 1_791_460_800_000  # Thursday, October 8, 2026, 12:00:00 UTC
    bench.clock.advance((noon_ms - bench.clock.wall_ms()) / 1000)
    bench.table(**(PROVISIONED | units(20, 20)))
    for read in (19, 18, 17, 16):
        bench.update(**units(read, 20))
    assert bench.update_refused(**units(15, 21)) == (
        LIMIT,
        "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the "
        "first 4 decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 "
        "seconds. Number of decreases today: 4. "
        "Last decrease at Thursday, October 8, 2026 at 12:00:00 PM Coordinated Universal Time. "
        "Next decrease can be made at Thursday, October 8, 2026 at 1:00:00 PM Coordinated Universal Time",
    )
    bench.update(**units(17, 21))
    bench.clock.advance(3600)
    bench.update(**units(16, 21))
    assert bench.update_refused(**units(15, 21))[0] == LIMIT
    bench.clock.advance(11 * 3600)
    assert bench.describe()["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 0
    bench.update(**units(15, 21))


def test_the_throughput_of_an_index_is_its_own(bench: Bench) -> None:
    bench.table(
        AttributeDefinitions=definitions("pk", "sk", "g"),
        GlobalSecondaryIndexes=[index("gsi", "g", ProvisionedThroughput=UNITS)],
        **PROVISIONED,
    )
    answer = bench.update(**changes({"Update": {"IndexName": "gsi", **units(7, 7)}}))
    assert (answer["TableStatus"], index_in(answer)) == ("UPDATING", ("UPDATING", 5, 6))
    table = bench.describe()
    assert (table["TableStatus"], index_in(table)) == ("ACTIVE", ("ACTIVE", 7, 7))
    assert table["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    code, message = bench.update_refused(**changes({"Update": {"IndexName": "gsi", **units(7, 7)}}))
    assert code == VALIDATION
    assert message.startswith("The provisioned throughput for the index gsi will not change.")
    assert bench.update_refused(**changes({"Update": {"IndexName": "ghost", **units(10**12 + 1, 1)}})) == (
        VALIDATION,
        "This operation cannot be performed with given input values. Please contact DynamoDB service team for more "
        "info: Action Blocked: IndexUpdate",
    )
    assert bench.update_refused(**creation("other", "g", "g")) == (
        VALIDATION,
        INVALID + "Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: other",
    )


def test_on_demand_limits_are_merged_and_cleared(bench: Bench) -> None:
    bench.table()
    answer = bench.update(OnDemandThroughput={"MaxReadRequestUnits": 5, "MaxWriteRequestUnits": 6})
    assert answer["TableStatus"] == "ACTIVE"
    bench.update(OnDemandThroughput={"MaxReadRequestUnits": -1})
    assert bench.describe()["OnDemandThroughput"] == {"MaxWriteRequestUnits": 6}
    bench.update(OnDemandThroughput={"MaxWriteRequestUnits": -1})
    assert "OnDemandThroughput" not in bench.describe()


def test_limits_of_an_index_are_in_force_with_the_answer(bench: Bench) -> None:
    bench.table(AttributeDefinitions=definitions("pk", "sk", "g"), GlobalSecondaryIndexes=[index("gsi", "g")])
    answer = bench.update(**changes({"Update": {"IndexName": "gsi", "OnDemandThroughput": {"MaxReadRequestUnits": 3}}}))
    assert (answer["TableStatus"], index_in(answer)) == ("ACTIVE", ("ACTIVE", 0, 0))
    assert answer["GlobalSecondaryIndexes"][0]["OnDemandThroughput"] == {"MaxReadRequestUnits": 3}


TRILLION = 10**12
OUTSIDE = INVALID + "Requested MaxReadRequestUnits for OnDemandThroughput for {} is outside of valid range"
BEYOND = "Given value 1000000000001 for ReadUnitsPerSecond is out of bounds"
TOO_WARM = {"WarmThroughput": {"ReadUnitsPerSecond": TRILLION + 1}}
TOO_MANY_UNITS = {"OnDemandThroughput": {"MaxReadRequestUnits": TRILLION + 1}}
NOT_A_LONG = ("SerializationException", "NUMBER_VALUE cannot be converted to Long")


@pytest.mark.parametrize(
    ("members", "error"),
    [
        pytest.param(TOO_MANY_UNITS, (VALIDATION, OUTSIDE.format("table")), id="on-demand limit of a table"),
        pytest.param(TOO_WARM, (VALIDATION, BEYOND), id="warmth of a table"),
        pytest.param(
            changes({"Update": {"IndexName": "gsi", **TOO_MANY_UNITS}}),
            (VALIDATION, OUTSIDE.format("index : gsi")),
            id="on-demand limit of an index",
        ),
        pytest.param(
            changes({"Update": {"IndexName": "gsi", **TOO_WARM}}),
            (VALIDATION, BEYOND + " for index gsi"),
            id="warmth of an index",
        ),
        pytest.param({"WarmThroughput": {"ReadUnitsPerSecond": float(2**64)}}, NOT_A_LONG, id="more than 64 bits"),
        pytest.param({"WarmThroughput": {"ReadUnitsPerSecond": 2**63}}, NOT_A_LONG, id="more than a Long"),
        pytest.param({"OnDemandThroughput": {"MaxReadRequestUnits": 1e300}}, NOT_A_LONG, id="a huge float"),
    ],
)
def test_more_units_than_there_can_be(bench: Bench, members: dict[str, Any], error: tuple[str, str]) -> None:
    wanted = {"AttributeDefinitions": definitions("pk", "sk", "g"), "GlobalSecondaryIndexes": [index("gsi", "g")]}
    if "GlobalSecondaryIndexUpdates" not in members:
        assert bench.refused("CreateTable", TableName="other", **(KEYS | wanted | members)) == error
    bench.table(**wanted)
    before = bench.describe()
    assert bench.update_refused(**members) == error
    assert bench.describe() == before


FOREIGN_ARN = f"arn:aws:dynamodb:{REGION}:999999999999:table/music"


@pytest.mark.parametrize(
    ("name", "members"),
    [
        pytest.param("DescribeTable", {"TableName": FOREIGN_ARN}, id="described"),
        pytest.param("DeleteTable", {"TableName": FOREIGN_ARN}, id="deleted"),
        pytest.param("UpdateTable", {"TableName": FOREIGN_ARN, "DeletionProtectionEnabled": True}, id="updated"),
        pytest.param("TagResource", {"ResourceArn": FOREIGN_ARN, "Tags": [{"Key": "a", "Value": "b"}]}, id="tagged"),
        pytest.param("ListTagsOfResource", {"ResourceArn": FOREIGN_ARN}, id="its tags listed"),
    ],
)
def test_a_table_of_another_account_is_not_ours(bench: Bench, name: str, members: dict[str, Any]) -> None:
    bench.table()
    assert bench.refused(name, **members) == (
        "AccessDeniedException",
        f"User: arn:aws:iam::000000000000:root is not authorized to perform: dynamodb:{name} on resource: "
        f"{FOREIGN_ARN} because no resource-based policy allows the dynamodb:{name} action",
    )
    assert bench.call("DescribeTable", TableName=ARN)["Table"]["TableStatus"] == "ACTIVE"


def test_a_table_is_warmed_but_never_cooled(bench: Bench) -> None:
    bench.table()
    bench.update(WarmThroughput={"ReadUnitsPerSecond": 13000})
    assert bench.describe()["WarmThroughput"] == WARM | {"ReadUnitsPerSecond": 13000}
    code, message = bench.update_refused(WarmThroughput={"ReadUnitsPerSecond": 12999})
    assert (code, message.startswith(INVALID)) == (VALIDATION, True)


def test_a_table_changes_its_class(bench: Bench) -> None:
    bench.table()
    bench.clock.advance(5)
    assert bench.update(TableClass="STANDARD_INFREQUENT_ACCESS")["TableStatus"] == "UPDATING"
    assert bench.describe()["TableClassSummary"] == {
        "TableClass": "STANDARD_INFREQUENT_ACCESS",
        "LastUpdateDateTime": bench.clock.wall_ms() / 1000,
    }


def test_deletion_protection_holds_until_it_is_taken_off(bench: Bench) -> None:
    bench.table(DeletionProtectionEnabled=True)
    assert bench.refused("DeleteTable", TableName="music") == PROTECTED
    assert bench.update(DeletionProtectionEnabled=False)["DeletionProtectionEnabled"] is False
    assert bench.call("DeleteTable", TableName="music")["TableDescription"]["TableStatus"] == "DELETING"


PROTECTED = (
    VALIDATION,
    "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.",
)


def test_protection_set_while_a_deletion_is_on_its_way_keeps_the_table(bench: Bench) -> None:
    bench.table()
    bench.overtaken, bench.overtake = 1, bench.protect_as_somebody_else
    assert bench.refused("DeleteTable", TableName="music") == PROTECTED
    assert bench.describe()["TableStatus"] == "ACTIVE"


@pytest.mark.parametrize(
    ("overtake", "uuid"),
    [("_tag_as_somebody_else", "uuid-0"), ("replace_as_somebody_else", "newer")],
    ids=["a tagged table", "a newer table of the name"],
)
def test_a_deletion_that_was_overtaken_deletes_what_there_is_by_then(bench: Bench, overtake: str, uuid: str) -> None:
    bench.table()
    bench.overtaken, bench.overtake = 1, getattr(bench, overtake)
    description = bench.call("DeleteTable", TableName="music")["TableDescription"]
    assert (description["TableStatus"], description["TableId"]) == ("DELETING", uuid)
    assert bench.describe()["TableStatus"] == "DELETING"


def test_a_deletion_that_is_always_overtaken_is_given_up(bench: Bench) -> None:
    bench.table()
    bench.overtaken = TABLE_CHANGE_ATTEMPTS_MAX + 1
    assert bench.refused("DeleteTable", TableName="music") == (IN_USE, f"{STILL}Table is being updated: music")
    assert (bench.overtaken, bench.describe()["TableStatus"]) == (0, "ACTIVE")


def test_a_change_that_others_overtook_is_worked_out_again(bench: Bench) -> None:
    bench.table()
    bench.overtaken = 2
    bench.call("TagResource", ResourceArn=ARN, Tags=[{"Key": "ours", "Value": "2"}])
    tags_now = bench.call("ListTagsOfResource", ResourceArn=ARN)["Tags"]
    assert [tag["Key"] for tag in tags_now] == ["theirs-2", "theirs-3", "ours"]


def test_a_change_that_is_always_overtaken_is_given_up(bench: Bench) -> None:
    bench.table()
    bench.overtaken = TABLE_CHANGE_ATTEMPTS_MAX + 1
    error = (IN_USE, f"{STILL}Table is being updated: music")
    assert bench.update_refused(DeletionProtectionEnabled=True) == error
    assert bench.overtaken == 0


def test_a_change_whose_outcome_is_unknown_is_a_500_and_not_repeated(bench: Bench) -> None:
    bench.table()
    sent = len(bench.commands)
    bench.fails = Failure.UNKNOWN
    assert bench.update_refused(DeletionProtectionEnabled=True)[0] == "InternalServerError"
    assert len(bench.commands) == sent


@pytest.mark.parametrize(("state", "doing"), [(pb.TABLE_CREATING, "created"), (pb.TABLE_DELETING, "deleted")])
def test_a_table_that_is_not_active_is_not_changed(bench: Bench, state: int, doing: str) -> None:
    bench.table()
    if state == pb.TABLE_DELETING:
        bench.apply(pb.CatalogCommand(delete_table=pb.DeleteTable(name="music", region=REGION)))
    else:
        bench.apply(pb.CatalogCommand(delete_table=pb.DeleteTable(name="music", region=REGION)))
        row = bench.state.table_by_name(REGION, "music")
        assert row is not None
        bench.apply(pb.CatalogCommand(forget_table=pb.ForgetTable(table_id=row.table_id)))
        key = pb.KeyAttribute(name="pk", type=pb.KEY_S)
        command = pb.CreateTable(name="music", region=REGION, partition_key=key, tables_max=5)
        bench.apply(pb.CatalogCommand(create_table=command))
    error = (IN_USE, f"{STILL}Table is being {doing}: music")
    assert bench.update_refused(DeletionProtectionEnabled=True) == error
    assert bench.refused("TagResource", ResourceArn=ARN, Tags=[{"Key": "a", "Value": "b"}]) == error
    name = "CREATING" if state == pb.TABLE_CREATING else "DELETING"
    assert bench.refused("DescribeTimeToLive", TableName="music") == (
        VALIDATION,
        f"Cannot describe time to live while table is in {name} state: Current table state is {name}",
    )


# --- tags -------------------------------------------------------------------------------------------------------------


def tag(key: str, value: str = "v") -> dict[str, str]:
    return {"Key": key, "Value": value}


def test_tags_are_added_replaced_listed_and_removed(bench: Bench) -> None:
    bench.table(Tags=[tag("a"), tag("b")])

    def listed() -> list[dict[str, str]]:
        answer = bench.call("ListTagsOfResource", ResourceArn=ARN, NextToken="ignored")
        assert answer.keys() == {"Tags"}
        found: list[dict[str, str]] = answer["Tags"]
        return found

    assert listed() == [tag("a"), tag("b")]
    assert bench.call("TagResource", ResourceArn=ARN, Tags=[tag("b", ""), tag("ключ 1")]) is None
    assert listed() == [tag("a"), tag("b", ""), tag("ключ 1")]
    assert bench.call("UntagResource", ResourceArn=ARN, TagKeys=["a", "absent"]) is None
    assert listed() == [tag("b", ""), tag("ключ 1")]
    sent = len(bench.commands)
    bench.call("TagResource", ResourceArn=ARN, Tags=[tag("b", "")])
    bench.call("UntagResource", ResourceArn=ARN, TagKeys=["absent"])
    assert len(bench.commands) == sent


TOO_MANY = "Number of Tags exceed the current limit for the provided ResourceArn"
BAD_ARN = "Invalid TableArn: Invalid ResourceArn provided as input "
MISSING_ARN = f"arn:aws:dynamodb:{REGION}:000000000000:table/missing"


@pytest.mark.parametrize(
    ("name", "members", "error"),
    [
        pytest.param("TagResource", {"Tags": []}, (VALIDATION, "Invalid TableArn"), id="no arn"),
        pytest.param(
            "TagResource",
            {"ResourceArn": "music", "Tags": [tag("a")]},
            (VALIDATION, BAD_ARN + "music"),
            id="a name in place of an arn",
        ),
        pytest.param(
            "ListTagsOfResource",
            {"ResourceArn": f"{ARN}/index/i"},
            (VALIDATION, f"{BAD_ARN}{ARN}/index/i"),
            id="an index",
        ),
        pytest.param(
            "TagResource",
            {"ResourceArn": ARN, "Tags": []},
            (VALIDATION, "Atleast one Tag needs to be provided as Input."),
            id="no tags",
        ),
        pytest.param(
            "UntagResource",
            {"ResourceArn": ARN, "TagKeys": []},
            (VALIDATION, "Atleast one Tag Key needs to be provided as Input."),
            id="no keys",
        ),
        pytest.param(
            "ListTagsOfResource",
            {"ResourceArn": MISSING_ARN},
            (NOT_FOUND, f"Requested resource not found: ResourcArn: {MISSING_ARN} not found"),
            id="list of a missing table",
        ),
        pytest.param(
            "TagResource",
            {"ResourceArn": MISSING_ARN, "Tags": [tag("a")]},
            (NOT_FOUND, f"Requested resource not found: ResourcArn: {MISSING_ARN} not found"),
            id="tag for a missing table",
        ),
        pytest.param(
            "TagResource",
            {"ResourceArn": ARN, "Tags": [tag("AWS:x")]},
            (VALIDATION, "Tag Key cannot be prefixed with aws:, Key: AWS:x"),
            id="a reserved key",
        ),
        pytest.param(
            "UntagResource",
            {"ResourceArn": ARN, "TagKeys": ["aws:x"]},
            (VALIDATION, "Tag Key cannot be prefixed with aws:, Key: aws:x"),
            id="a reserved key removed",
        ),
        pytest.param(
            "TagResource",
            {"ResourceArn": ARN, "Tags": [tag("a#")]},
            (VALIDATION, "The Tag Key provided is invalid, Key: a#"),
            id="a bad key",
        ),
        pytest.param(
            "TagResource",
            {"ResourceArn": ARN, "Tags": [tag("a", "#")]},
            (VALIDATION, "The Tag Value provided is invalid, Value: #"),
            id="a bad value",
        ),
        pytest.param(
            "TagResource",
            {"ResourceArn": ARN, "Tags": [tag("a"), tag("a")]},
            (VALIDATION, "Duplicate Tag Keys provided as input: Duplicate Tag Key found a"),
            id="a key twice",
        ),
        pytest.param(
            "TagResource",
            {"ResourceArn": ARN, "Tags": [tag(f"n{number}") for number in range(50)]},
            (VALIDATION, TOO_MANY),
            id="fifty-one after merging",
        ),
    ],
)
def test_tags_are_refused(bench: Bench, name: str, members: dict[str, Any], error: tuple[str, str]) -> None:
    bench.table(Tags=[tag("there")])
    assert bench.refused(name, **members) == error


# --- time to live -----------------------------------------------------------------------------------------------------


def test_time_to_live_is_turned_on_and_off(bench: Bench) -> None:
    bench.table()

    def update(attribute: str, enabled: bool) -> dict[str, Any]:
        return {"TableName": "music", "TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": enabled}}

    def status() -> Any:
        return bench.call("DescribeTimeToLive", TableName="music")["TimeToLiveDescription"]

    assert status() == {"TimeToLiveStatus": "DISABLED"}
    assert bench.refused("UpdateTimeToLive", **update("at", False)) == (VALIDATION, "TimeToLive is already disabled")
    assert bench.refused("UpdateTimeToLive", **update("", True)) == (
        VALIDATION,
        "TimeToLiveSpecification.AttributeName must be non empty",
    )
    answer = bench.call("UpdateTimeToLive", **update("at", True))
    assert answer == {"TimeToLiveSpecification": {"AttributeName": "at", "Enabled": True}}
    assert status() == {"TimeToLiveStatus": "ENABLED", "AttributeName": "at"}
    table = bench.copy.tables.find(REGION, "music")
    assert table is not None
    changed = {"AttributeName": "at", "Enabled": True, "ChangedAtMs": bench.clock.wall_ms()}
    assert table.settings["TimeToLive"] == changed
    assert bench.refused("UpdateTimeToLive", **update("at", True)) == (VALIDATION, "TimeToLive is already enabled")
    for enabled in (True, False):
        assert bench.refused("UpdateTimeToLive", **update("other", enabled)) == (
            VALIDATION,
            "TimeToLive is active on a different AttributeName: current AttributeName is at",
        )
    bench.call("UpdateTimeToLive", **update("at", False))
    assert status() == {"TimeToLiveStatus": "DISABLED"}


@pytest.mark.parametrize("name", ["UpdateTimeToLive", "DescribeTimeToLive"])
def test_time_to_live_of_a_missing_table(bench: Bench, name: str) -> None:
    members = {"TimeToLiveSpecification": {"AttributeName": "at", "Enabled": True}} if name[0] == "U" else {}
    message = "Requested resource not found: Table: nope not found"
    assert bench.refused(name, TableName="nope", **members) == (NOT_FOUND, message)
    message = "The parameter 'TableName' is required but was not present in the request"
    assert bench.refused(name, **members) == (VALIDATION, message)


# --- resource policies ------------------------------------------------------------------------------------------------

POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*"}]}'
CANONICAL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*"}]}'
NO_POLICY_FOUND = ("PolicyNotFoundException", f"Resource-based policy not found for the provided ResourceArn: {ARN}")
POLICY_REVISION = "Resource-based policy not found for the provided ResourceArn: Requested "


def test_a_policy_is_put_got_and_deleted_by_its_revisions(bench: Bench) -> None:
    bench.table()
    assert bench.refused("GetResourcePolicy", ResourceArn=ARN) == NO_POLICY_FOUND
    assert bench.refused("PutResourcePolicy", ResourceArn=ARN, Policy=POLICY, ExpectedRevisionId="7") == NO_POLICY_FOUND
    first = bench.call("PutResourcePolicy", ResourceArn=ARN, Policy=POLICY, ExpectedRevisionId="NO_POLICY")[
        "RevisionId"
    ]
    assert bench.call("GetResourcePolicy", ResourceArn=ARN) == {"Policy": CANONICAL, "RevisionId": first}
    assert bench.call("PutResourcePolicy", ResourceArn=ARN, Policy=CANONICAL)["RevisionId"] == first
    other = POLICY.replace("Allow", "Deny")
    second = bench.call("PutResourcePolicy", ResourceArn=ARN, Policy=other, ExpectedRevisionId=first)["RevisionId"]
    assert second != first
    stale = (
        "PolicyNotFoundException",
        f"{POLICY_REVISION}update for policy with revision id {first}, but the policy associated to target table music "
        f"has revision id {second}.",
    )
    assert bench.refused("PutResourcePolicy", ResourceArn=ARN, Policy=POLICY, ExpectedRevisionId=first) == stale
    assert bench.refused("DeleteResourcePolicy", ResourceArn=ARN, ExpectedRevisionId=first) == stale
    assert bench.refused("PutResourcePolicy", ResourceArn=ARN, Policy=POLICY, ExpectedRevisionId="NO_POLICY") == (
        "PolicyNotFoundException",
        f"{POLICY_REVISION}policy update expecting none to be present for table music, but a policy exists with "
        f"revision id {second}.",
    )
    assert bench.call("DeleteResourcePolicy", ResourceArn=ARN) == {"RevisionId": second}
    assert bench.call("DeleteResourcePolicy", ResourceArn=ARN) == {}
    assert bench.refused("GetResourcePolicy", ResourceArn=ARN) == NO_POLICY_FOUND


def test_a_table_may_be_made_with_a_policy(bench: Bench) -> None:
    bench.table(ResourcePolicy=POLICY)
    assert bench.call("GetResourcePolicy", ResourceArn=ARN)["Policy"] == CANONICAL


BAD_POLICY = INVALID + "Invalid policy document: "


@pytest.mark.parametrize(
    ("members", "error"),
    [
        pytest.param({"Policy": "{not json"}, BAD_POLICY + "This policy contains invalid Json", id="no json"),
        pytest.param({"Policy": ""}, BAD_POLICY + "This policy contains invalid Json", id="empty"),
        pytest.param(
            {"Policy": '{"Statement": []}'},
            BAD_POLICY + "Could not parse the policy: Statement is empty!",
            id="no statement",
        ),
        pytest.param(
            {"Policy": '{"Statement": [{"Effect": "Allow"}]}'},
            BAD_POLICY + "Missing required field Resource",
            id="no resource",
        ),
        pytest.param(
            {"Policy": POLICY + " " * 20480}, INVALID + "Maximum policy size of 20480 bytes exceeded", id="too large"
        ),
        pytest.param({"ResourceArn": "music"}, INVALID + "ARNs must start with 'arn:': music", id="a name"),
        pytest.param(
            {"ResourceArn": f"{ARN}/index/i"},
            INVALID
            + f"Invalid resource arn provided, only table or stream is accepted. Provided resource arn: {ARN}/index/i",
            id="an index",
        ),
        pytest.param(
            {"ResourceArn": f"{ARN}/backup/1"},
            INVALID + f"Provided Arn is not a DynamoDB resource arn: {ARN}/backup/1",
            id="a backup",
        ),
        pytest.param(
            {"ResourceArn": ARN.replace("000000000000", "123456789012")},
            "This action is only supported by accounts that match the resource owner’s account.",
            id="another account",
        ),
    ],
)
def test_a_policy_is_refused(bench: Bench, members: dict[str, Any], error: str) -> None:
    bench.table()
    request = {"ResourceArn": ARN, "Policy": POLICY} | members
    assert bench.refused("PutResourcePolicy", **request) == (VALIDATION, error)


# --- the rest ---------------------------------------------------------------------------------------------------------

BACKUP = f"{ARN}/backup/01489173575360-b308cd7d"


@pytest.mark.parametrize(
    ("name", "members", "answer"),
    [
        (
            "DescribeLimits",
            {},
            {
                "AccountMaxReadCapacityUnits": 80000,
                "AccountMaxWriteCapacityUnits": 80000,
                "TableMaxReadCapacityUnits": 40000,
                "TableMaxWriteCapacityUnits": 40000,
            },
        ),
        ("DescribeEndpoints", {}, {"Endpoints": [{"Address": "localhost:8000", "CachePeriodInMinutes": 1440}]}),
        (
            "DescribeContinuousBackups",
            {"TableName": "music"},
            {
                "ContinuousBackupsDescription": {
                    "ContinuousBackupsStatus": "ENABLED",
                    "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
                }
            },
        ),
        ("ListBackups", {}, {"BackupSummaries": []}),
        ("ListExports", {}, {"ExportSummaries": []}),
        ("ListImports", {}, {"ImportSummaryList": []}),
        ("ListGlobalTables", {}, {"GlobalTables": []}),
        ("ListContributorInsights", {"TableName": "music"}, {"ContributorInsightsSummaries": []}),
        ("ListContributorInsights", {}, {"ContributorInsightsSummaries": []}),
        (
            "DescribeContributorInsights",
            {"TableName": "music"},
            {"TableName": "music", "ContributorInsightsStatus": "DISABLED"},
        ),
        (
            "DescribeContributorInsights",
            {"TableName": ARN, "IndexName": "old"},
            {"TableName": "music", "IndexName": "old", "ContributorInsightsStatus": "DISABLED"},
        ),
        (
            "DescribeKinesisStreamingDestination",
            {"TableName": "music"},
            {"TableName": "music", "KinesisDataStreamDestinations": []},
        ),
        (
            "DescribeTableReplicaAutoScaling",
            {"TableName": "music"},
            {"TableAutoScalingDescription": {"TableName": "music", "TableStatus": "ACTIVE", "Replicas": []}},
        ),
    ],
)
def test_what_a_table_does_not_have_is_told_truthfully(
    bench: Bench, name: str, members: dict[str, Any], answer: dict[str, Any]
) -> None:
    bench.table(AttributeDefinitions=definitions("pk", "sk", "g"), GlobalSecondaryIndexes=[index("old", "g")])
    assert bench.call(name, **members) == answer


NOPE = (NOT_FOUND, "Requested resource not found: Table: nope not found")


@pytest.mark.parametrize(
    ("name", "members", "error"),
    [
        ("DescribeContinuousBackups", {"TableName": "nope"}, ("TableNotFoundException", "Table not found: nope")),
        ("ListContributorInsights", {"TableName": "nope"}, NOPE),
        ("DescribeContributorInsights", {"TableName": "nope"}, NOPE),
        (
            "DescribeContributorInsights",
            {"TableName": "music", "IndexName": "ghost"},
            (NOT_FOUND, "Requested resource not found: Index: ghost not found for table: music"),
        ),
        ("DescribeKinesisStreamingDestination", {"TableName": "nope"}, NOPE),
        ("DescribeTableReplicaAutoScaling", {"TableName": "nope"}, NOPE),
        ("GetResourcePolicy", {"ResourceArn": MISSING_ARN}, (NOT_FOUND, NOPE[1].replace("nope", "missing"))),
        ("DescribeBackup", {"BackupArn": BACKUP}, ("BackupNotFoundException", f"Backup not found: {BACKUP}")),
        ("DescribeExport", {"ExportArn": BACKUP}, ("ExportNotFoundException", f"Export not found: {BACKUP}")),
        ("DescribeImport", {"ImportArn": BACKUP}, ("ImportNotFoundException", f"Import not found: {BACKUP}")),
    ],
)
def test_what_there_is_not_is_not_found(
    bench: Bench, name: str, members: dict[str, Any], error: tuple[str, str]
) -> None:
    bench.table()
    assert bench.refused(name, **members) == error


@pytest.mark.parametrize("name", ["DescribeGlobalTable", "DescribeGlobalTableSettings"])
def test_there_are_no_global_tables(bench: Bench, name: str) -> None:
    bench.table()
    assert bench.refused(name, GlobalTableName="music")[0] == "GlobalTableNotFoundException"

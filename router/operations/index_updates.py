"""GlobalSecondaryIndexUpdates of UpdateTable, judged against the table.

Called by router.operations.update_table. Pure: the time is an argument. Law: one index comes or goes at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamo.errors import (
    DynamoError,
    invalid_parameter,
    limit_exceeded,
    resource_in_use,
    resource_not_found,
    validation,
)
from dynamo.indexes import IndexDefinition, IndexKind, IndexState
from dynamo.keys import KeyType
from dynamo.limits import CAPACITY_UNITS_MAX, GLOBAL_INDEXES_MAX
from dynamo.requests import throughput
from dynamo.requests.indexes import (
    Definitions,
    check_global_keys,
    check_projected_sum,
    check_projection,
    definitions_of,
    index_request,
)
from dynamo.requests.update_table import action_of, online_actions, online_index_limit
from router.operations.change_table import TableChange
from router.operations.index_messages import index_message
from router.operations.table_description import index_settings, warm_throughput
from router.operations.throughput_changes import with_throughput, with_warm
from topology.tables import TableInfo

IN_USE = "Attempt to change a resource which is still in use: "


def plan_index_updates(
    table: TableInfo, body: Mapping[str, Any], mode: str, was_on_demand: bool, now_ms: int, change: TableChange
) -> None:
    """Add to `change` what the request wants of indexes. `mode`: the table's billing mode after the request.

    Raises ValidationException, LimitExceededException, ResourceInUseException, ResourceNotFoundException.
    """
    if online_actions(body) > 1:
        raise online_index_limit()
    for update in body.get("GlobalSecondaryIndexUpdates", ()):
        action, member = action_of(update)
        if action == "Create":
            _create(table, member, body, mode, change)
        elif action == "Delete":
            _delete(table, member["IndexName"], change)
        else:
            _update(table, member, mode, was_on_demand, now_ms, change)


def _create(
    table: TableInfo, member: Mapping[str, Any], body: Mapping[str, Any], mode: str, change: TableChange
) -> None:
    name = member["IndexName"]
    if any(index.state is not IndexState.ACTIVE for index in table.indexes):
        raise online_index_limit()
    if table.index(name) is not None:
        raise validation("Attempting to create an index which already exists")
    definitions = _definitions(table, body, name)
    defined = [definition["AttributeName"] for definition in body["AttributeDefinitions"]]
    check_global_keys(member, [*defined, *(attribute for attribute in definitions if attribute not in defined)])
    check_projection(member["Projection"])
    _check_new_throughput(member, mode)
    if len(table.global_indexes) >= GLOBAL_INDEXES_MAX:
        raise limit_exceeded(
            f"Subscriber limit exceeded: GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES_MAX}"
        )
    present = [index_settings(index).get("Projection", {}) for index in table.indexes]
    check_projected_sum([*present, member["Projection"]])
    change.add_indexes.append(index_message(index_request(IndexKind.GLOBAL, member, definitions)))


def _definitions(table: TableInfo, body: Mapping[str, Any], name: str) -> Definitions:
    """The types of all attributes that may key the new index: those in use need not be sent again."""
    if not body.get("AttributeDefinitions"):
        raise invalid_parameter(f"AttributeDefinitions is not specified for index: {name}")
    known: dict[str, KeyType] = {attribute.name: attribute.type for attribute in table.key_schema.attributes}
    for index in table.indexes:
        known |= {attribute.name: attribute.type for attribute in (*index.partition, *index.sort)}
    wanted = definitions_of(body["AttributeDefinitions"])
    for attribute, kind in wanted.items():
        if known.get(attribute, kind) != kind:
            raise invalid_parameter(
                "Attributes cannot be redefined. Please check that your attribute has the same type as previously "
                f"defined. Existing schema: Schema:[SchemaElement: key{{{attribute}:{known[attribute]}:HASH}}] "
                f"New schema: Schema:[SchemaElement: key{{{attribute}:{kind}:HASH}}]"
            )
    return {**wanted, **known}


def _check_new_throughput(member: Mapping[str, Any], mode: str) -> None:
    name, provisioned = member["IndexName"], member.get("ProvisionedThroughput")
    if mode == throughput.PAY_PER_REQUEST:
        if provisioned is not None:
            raise invalid_parameter(
                f"Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: {name} when "
                "BillingMode is PAY_PER_REQUEST"
            )
    elif provisioned is None:
        raise invalid_parameter(f"Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: {name}")
    else:
        throughput.check_bounds(provisioned, name)
    throughput.check_on_demand(member.get("OnDemandThroughput"), mode, name)
    throughput.check_initial_warm(member.get("WarmThroughput"), provisioned, mode, name)


def _delete(table: TableInfo, name: str, change: TableChange) -> None:
    index = _global_index(table, name, "delete")
    if index.state is IndexState.DELETING:
        raise resource_in_use(f"{IN_USE}Index is being deleted. Table: {table.name} Index: {name}")
    if index.state is IndexState.CREATING:
        raise resource_in_use(
            f"{IN_USE}Index creation is in resource allocation phase. Retry deletion during backfilling phase or when "
            f"the index is active. Table: {table.name} Index: {name}"
        )
    if any(other.state is not IndexState.ACTIVE for other in table.indexes if other is not index):
        raise online_index_limit()
    change.delete_indexes.append(index.index_id)


def _update(
    table: TableInfo, member: Mapping[str, Any], mode: str, was_on_demand: bool, now_ms: int, change: TableChange
) -> None:
    name = member["IndexName"]
    wanted = member.get("ProvisionedThroughput")
    if wanted is not None and max(wanted.values()) > CAPACITY_UNITS_MAX:
        raise validation(
            "This operation cannot be performed with given input values. Please contact DynamoDB service team for more "
            "info: Action Blocked: IndexUpdate"
        )
    index = _global_index(table, name, "update")
    if index.state is not IndexState.ACTIVE:
        doing = "deleted" if index.state is IndexState.DELETING else "created"
        raise resource_in_use(f"{IN_USE}Index is being {doing}. Table: {table.name} Index: {name}")
    settings = index_settings(index)
    on_demand, warm = member.get("OnDemandThroughput"), member.get("WarmThroughput")
    is_on_demand = mode == throughput.PAY_PER_REQUEST
    if is_on_demand and (wanted is not None or not (on_demand or warm)):
        raise invalid_parameter(
            f"The only Updates for index: {name} when TableThroughputMode is PAY_PER_REQUEST can be to "
            "OnDemandThroughput, WarmThroughput"
        )
    if not is_on_demand and wanted is None and not warm:
        raise invalid_parameter(f"ProvisionedThroughput must be specified for index: {name}")
    throughput.check_on_demand(on_demand, mode, name, may_clear=True)
    if wanted is not None:
        if was_on_demand:
            settings["ProvisionedThroughput"] = wanted
        else:
            settings = with_throughput(settings, wanted, now_ms, name)
    if on_demand:
        settings["OnDemandThroughput"] = throughput.merged_on_demand(settings.get("OnDemandThroughput"), on_demand)
    if warm:
        settings = with_warm(settings, warm_throughput(settings, mode), warm, name)
    change.index_settings[index.index_id] = settings


def _global_index(table: TableInfo, name: str, verb: str) -> IndexDefinition:
    index = table.index(name)
    if index is None:
        raise _index_not_found(table, name)
    if index.kind is not IndexKind.GLOBAL:
        raise validation(f"Cannot {verb} an index that is not a GlobalSecondaryIndex: {name}")
    return index


def _index_not_found(table: TableInfo, name: str) -> DynamoError:
    return resource_not_found(f"Requested resource not found: Index {name} for table {table.name}")

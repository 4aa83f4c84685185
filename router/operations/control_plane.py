"""The operations on settings and features of tables, by name.

Read by router.operations.registry. Law: every name is one of the service's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from router.operations import absent_features
from router.operations.account import describe_endpoints, describe_limits
from router.operations.call import Call, Services
from router.operations.resource_policy import delete_resource_policy, get_resource_policy, put_resource_policy
from router.operations.tags import list_tags_of_resource, tag_resource, untag_resource
from router.operations.time_to_live import describe_time_to_live, update_time_to_live
from router.operations.update_table import update_table

CONTROL_OPERATIONS: Final[dict[str, Callable[[Services, Call, dict[str, Any]], None]]] = {
    "DeleteResourcePolicy": delete_resource_policy,
    "DescribeBackup": absent_features.describe_backup,
    "DescribeContinuousBackups": absent_features.describe_continuous_backups,
    "DescribeContributorInsights": absent_features.describe_contributor_insights,
    "DescribeEndpoints": describe_endpoints,
    "DescribeExport": absent_features.describe_export,
    "DescribeGlobalTable": absent_features.describe_global_table,
    "DescribeGlobalTableSettings": absent_features.describe_global_table,
    "DescribeImport": absent_features.describe_import,
    "DescribeKinesisStreamingDestination": absent_features.describe_kinesis_streaming_destination,
    "DescribeLimits": describe_limits,
    "DescribeTableReplicaAutoScaling": absent_features.describe_table_replica_auto_scaling,
    "DescribeTimeToLive": describe_time_to_live,
    "GetResourcePolicy": get_resource_policy,
    "ListBackups": absent_features.list_backups,
    "ListContributorInsights": absent_features.list_contributor_insights,
    "ListExports": absent_features.list_exports,
    "ListGlobalTables": absent_features.list_global_tables,
    "ListImports": absent_features.list_imports,
    "ListTagsOfResource": list_tags_of_resource,
    "PutResourcePolicy": put_resource_policy,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "UpdateTable": update_table,
    "UpdateTimeToLive": update_time_to_live,
}

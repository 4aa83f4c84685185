"""Where the service differs from its public model: stricter limits, other orders, other rules for table names.

Read once by dynamo.requests.model. Law: the model decides; only what was seen in the service's own answers is written
here (shared/reference/dynamodb-semantics.md section 15, and the recorded answers in the dynalite test-suite).
"""

from __future__ import annotations

import re
from typing import Final

from dynamo.limits import KEY_SCHEMA_ELEMENTS_MAX

# The order in which the service lists the values of an enumeration; any other one is listed as the model has it.
ENUM_ORDER: Final[dict[str, tuple[str, ...]]] = {
    "ScalarAttributeType": ("B", "N", "S"),
    "KeyType": ("HASH", "RANGE"),
    "ConditionalOperator": ("OR", "AND"),
    "ReturnValue": ("ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"),
    "ProjectionType": ("ALL", "INCLUDE", "KEYS_ONLY"),
    "Select": ("SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"),
    "ComparisonOperator": (
        *("IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT"),
        *("NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS"),
    ),
}

# The order in which violations of a structure's members are listed; members not named follow in the model's order.
MEMBER_ORDER: Final[dict[str, tuple[str, ...]]] = {
    "PutItemInput": (
        *("ReturnConsumedCapacity", "TableName", "Item", "ConditionalOperator", "Expected"),
        *("ReturnValues", "ReturnItemCollectionMetrics"),
    ),
    "GetItemInput": ("ReturnConsumedCapacity", "AttributesToGet", "TableName", "Key"),
    "UpdateItemInput": ("ReturnConsumedCapacity", "TableName", "ReturnItemCollectionMetrics", "ReturnValues", "Key"),
    "DeleteItemInput": ("ReturnConsumedCapacity", "TableName", "ReturnValues", "ReturnItemCollectionMetrics", "Key"),
    "QueryInput": (
        *("Select", "IndexName", "ReturnConsumedCapacity", "QueryFilter", "TableName", "ConditionalOperator"),
        *("AttributesToGet", "Limit", "KeyConditions"),
    ),
    "ScanInput": (
        *("Select", "IndexName", "TotalSegments", "ReturnConsumedCapacity", "TableName", "ConditionalOperator"),
        *("ScanFilter", "Segment", "Limit", "AttributesToGet"),
    ),
    "BatchGetItemInput": ("ReturnConsumedCapacity", "RequestItems"),
    "BatchWriteItemInput": ("ReturnConsumedCapacity", "ReturnItemCollectionMetrics", "RequestItems"),
    "WriteRequest": ("DeleteRequest", "PutRequest"),
    "CreateTableInput": (
        *("AttributeDefinitions", "TableName", "BillingMode", "ProvisionedThroughput", "KeySchema"),
        *("GlobalSecondaryIndexes", "LocalSecondaryIndexes"),
    ),
    "ProvisionedThroughput": ("WriteCapacityUnits", "ReadCapacityUnits"),
    "LocalSecondaryIndex": ("Projection", "IndexName", "KeySchema"),
    "GlobalSecondaryIndex": ("Projection", "IndexName", "ProvisionedThroughput", "KeySchema"),
    "Projection": ("ProjectionType", "NonKeyAttributes"),
}

# Members the service insists on although the model does not.
REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "CreateTableInput": ("AttributeDefinitions", "KeySchema"),
}

# The longest value by (structure, member) where the service is stricter than the member's shape.
LENGTH_MAX: Final[dict[tuple[str, str], int]] = {
    ("CreateTableInput", "KeySchema"): KEY_SCHEMA_ELEMENTS_MAX,
    ("LocalSecondaryIndex", "KeySchema"): KEY_SCHEMA_ELEMENTS_MAX,
    ("GetItemInput", "AttributesToGet"): 255,
    ("KeysAndAttributes", "AttributesToGet"): 255,
    ("QueryInput", "AttributesToGet"): 255,
    ("ScanInput", "AttributesToGet"): 255,
}

# The shortest value by (structure, member) where the service has words of its own for a shorter one.
LENGTH_MIN: Final[dict[tuple[str, str], int]] = {
    ("TimeToLiveSpecification", "AttributeName"): 0,
    ("BatchGetItemInput", "RequestItems"): 0,
    ("BatchWriteItemInput", "RequestItems"): 0,
}

# A violation that, when it is the only one, is told without its value and with the member's own name: by operation,
# what finds it, its place and the rule.
TOLD_WITHOUT_VALUE: Final[dict[str, re.Pattern[str]]] = {
    "Query": re.compile("Value '.*' at '(limit)' (failed to satisfy constraint: .*)"),
    "BatchGetItem": re.compile(
        r"Value '.*' at '(requestItems\..*\.member\.keys)' (failed to satisfy constraint: .* less than or equal to .*)",
        re.DOTALL,
    ),
}

# Patterns of the model that only Java reads, by shape, as Python reads them.
PATTERN_IN_PYTHON: Final[dict[str, str]] = {
    "AutoScalingPolicyName": r"[\x20-\x7E]+",
    "AutoScalingRoleArn": r"[\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF\r\n\t]*",
}

# The operation that gives a table its name takes no ARN and the long-standing limits of names.
NAMING_OPERATIONS: Final = frozenset({"CreateTable"})

# These say "The parameter 'TableName' is required ..." at once instead of listing a null member with other violations.
TABLE_NAME_FIRST_OPERATIONS: Final = frozenset(
    {"CreateTable", "DeleteTable", "DescribeTable", "UpdateTable", "UpdateTimeToLive", "DescribeTimeToLive"}
)

# These say "Invalid TableArn" at once when there is no ResourceArn.
RESOURCE_ARN_FIRST_OPERATIONS: Final = frozenset({"TagResource", "UntagResource", "ListTagsOfResource"})

TABLE_NAME_PATTERN: Final = "[a-zA-Z0-9_.-]+"

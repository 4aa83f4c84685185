"""Where the service differs from its public model: stricter limits, other orders, other rules for table names.

Read once by dynamo.requests.model. Law: the model decides; only what was seen in the service's own answers is written
here (shared/reference/dynamodb-semantics.md section 15, and the recorded answers in the dynalite test-suite).
"""

from __future__ import annotations

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
    "CreateTableInput": (
        *("AttributeDefinitions", "TableName", "BillingMode", "ProvisionedThroughput", "KeySchema"),
        *("GlobalSecondaryIndexes", "LocalSecondaryIndexes"),
    ),
    "ProvisionedThroughput": ("WriteCapacityUnits", "ReadCapacityUnits"),
}

# Members the service insists on although the model does not.
REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "CreateTableInput": ("AttributeDefinitions", "KeySchema"),
}

# The longest value by (structure, member) where the service is stricter than the member's shape.
LENGTH_MAX: Final[dict[tuple[str, str], int]] = {
    ("CreateTableInput", "KeySchema"): KEY_SCHEMA_ELEMENTS_MAX,
    ("GetItemInput", "AttributesToGet"): 255,
}

# Patterns of the model that only Java reads, by shape, as Python reads them.
PATTERN_IN_PYTHON: Final[dict[str, str]] = {
    "AutoScalingPolicyName": r"[\x20-\x7E]+",
    "AutoScalingRoleArn": r"[\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF\r\n\t]*",
}

# The operation that gives a table its name takes no ARN and the long-standing limits of names.
NAMING_OPERATIONS: Final = frozenset({"CreateTable"})

# These say "The parameter 'TableName' is required ..." at once instead of listing a null member with other violations.
TABLE_NAME_FIRST_OPERATIONS: Final = frozenset({"CreateTable", "DeleteTable", "DescribeTable", "UpdateTable"})

TABLE_NAME_PATTERN: Final = "[a-zA-Z0-9_.-]+"

"""Every limit of the service that this project enforces, by name and with its unit.

Read by router, node and the rest of dynamo. Law: a limit is stated once, here, with the place it comes from
(shared/reference/dynamodb-semantics.md section 2 = the developer guide, "Quotas in Amazon DynamoDB").
"""

from __future__ import annotations

# One item: attribute names (UTF-8) plus values, by the size rule of dynamo.values.item_size.
ITEM_BYTES_MAX = 400 * 1024
PARTITION_KEY_BYTES_MAX = 2048
SORT_KEY_BYTES_MAX = 1024
# Items of one partition key and their entries in the local indexes, in a table that has local indexes.
ITEM_COLLECTION_BYTES_MAX = 10 * 1024**3
# A top-level attribute is level 1, so 31 lists or maps may stand around the innermost value (seen on the real service).
NESTING_LEVELS_MAX = 32
ATTRIBUTE_NAME_BYTES_MAX = 65_535
KEY_ATTRIBUTE_NAME_BYTES_MAX = 255

NUMBER_DIGITS_MAX = 38
# Scientific exponents of the largest and the smallest magnitude: 9.99E+125 and 1E-130.
NUMBER_EXPONENT_MAX = 125
NUMBER_EXPONENT_MIN = -130

TABLE_NAME_CHARACTERS_MIN = 3
TABLE_NAME_CHARACTERS_MAX = 255
# The data plane takes an ARN in the place of the name.
TABLE_ARN_CHARACTERS_MAX = 1024
KEY_SCHEMA_ELEMENTS_MAX = 2
TABLES_MAX = 2500
LIST_TABLES_PAGE_MAX = 100

EXPRESSION_BYTES_MAX = 4096
# Attributes of one legacy parameter (Expected, AttributeUpdates ...), and values of all its IN lists. The limits are
# ours, from what they cost: so many attributes keep a leader's loop for some 200 ms, less than the shortest election
# time-out; so many values for some 50 ms.
LEGACY_ATTRIBUTES_MAX = 32_768
LEGACY_LISTED_VALUES_MAX = 131_072
EXPRESSION_OPERATORS_MAX = 300
EXPRESSION_IN_OPERANDS_MAX = 100
EXPRESSION_PLACEHOLDER_BYTES_MAX = 255
# ExpressionAttributeNames and ExpressionAttributeValues of one request together.
EXPRESSION_SUBSTITUTIONS_BYTES_MAX = 2 * 1024 * 1024

# A page of Query or Scan ends with the entry that makes the sum of sizes reach this.
PAGE_BYTES_MAX = 1024 * 1024
BATCH_GET_KEYS_MAX = 100
# Items in the answer of one BatchGetItem; the rest comes back as UnprocessedKeys.
BATCH_GET_BYTES_MAX = 16 * 1024 * 1024
BATCH_WRITE_REQUESTS_MAX = 25

# One provisioned setting; the real service refuses more as "out of bounds".
CAPACITY_UNITS_MAX = 1_000_000_000_000
# What one on-demand table or index serves at once (WarmThroughput of the API reference).
WARM_READ_UNITS = 12_000
WARM_WRITE_UNITS = 4_000
# Quotas that DescribeLimits tells.
ACCOUNT_UNITS_MAX = 80_000
TABLE_UNITS_MAX = 40_000
# Decreases of provisioned throughput: so many in a UTC day, then one in an hour.
THROUGHPUT_DECREASES_MAX = 4
THROUGHPUT_DECREASE_INTERVAL_S = 3600

LOCAL_INDEXES_MAX = 5
GLOBAL_INDEXES_MAX = 20
# Of each role in the key of one global index.
INDEX_KEY_ATTRIBUTES_MAX = 4
# NonKeyAttributes of all indexes of a table.
PROJECTED_ATTRIBUTES_MAX = 100

TAGS_PER_TABLE_MAX = 50
RESOURCE_POLICY_BYTES_MAX = 20 * 1024

# The front door stops reading a body that grows past this.
REQUEST_BODY_BYTES_MAX = 16 * 1024 * 1024
# Constraint violations reported in one answer; the service stops collecting at ten.
VALIDATION_ERRORS_MAX = 10

READ_UNIT_BYTES = 4096
WRITE_UNIT_BYTES = 1024

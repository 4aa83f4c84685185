"""Error texts of PartiQL statements.

Called by the parser, the compiler and the planner. Law: the text is the service's, to the character. Sources: answers
of the real service recorded by public conformance suites (paritysuite/dynamodb-conformance, floci), else the answers
of DynamoDB Local.
"""

from __future__ import annotations

from dynamo.errors import DynamoError, validation

INCOMPLETE_KEY = "Where clause does not contain a mandatory equality on all key attributes"
PARAMETER_COUNT = "Number of parameters in request and statement don't match."
TOO_DEEP = "Nesting of expressions is too deep"
ALIASING = "Aliasing is not supported"
OVERLAPPING = "Overlapping conditions with range keys are not supported in where clause"
TOO_MANY_READS = "Too many decomposed read operations for a given query."
NO_SUCH_INDEX = "The table does not have the specified index"
WRITE_ON_INDEX = "This operation is not supported on an index"
EMPTY_PATH_COMPONENT = "Path component cannot be an empty string"
CONSISTENT_READ_ON_GLOBAL_INDEX = "Strongly consistent read is not supported on Global Secondary Indexes"
MULTIPLE_KEY_ATTRIBUTES = (
    "PartiQL statements cannot be executed on tables with multi-attribute HASH keys or multi-attribute RANGE keys."
)
EXISTS_OUTSIDE_TRANSACTION = "EXISTS can only be used in ExecuteTransaction write requests."
BATCH_NEEDS_KEY = "Select statements within BatchExecuteStatement must specify the primary key in the where clause."
BATCH_MIXED = "Read and write requests together in the same batch is not supported."
DUPLICATE_ITEM = "Duplicate primary key exists in table"
INVALID_NEXT_TOKEN = "Invalid NextToken"
NEXT_TOKEN_MISMATCH = "NextToken does not match request"
INVALID_IN = (
    "IN operator must have a left hand argument of type Variable Reference and right hand argument of type Seq with at "
    "least one member"
)
INVALID_TABLE_NAME = (
    "Table name should be within the length [3, 255] and only contain 'a-z', 'A-Z', '0-9', '-', '_', '.'."
)
ORDER_BY_WITHOUT_WHERE = "Must have WHERE clause in the statement when using ORDER BY clause."
ORDER_BY_WITHOUT_PARTITION = (
    "Must have at least one non-optional hash key condition in WHERE clause when using ORDER BY clause."
)
ORDER_BY_NEEDS_PARTITION = (
    "Must have hash key in ORDER BY clause when more than one hash key condition specified in WHERE clause."
)


def malformed(detail: str) -> DynamoError:
    """A statement that the grammar does not take; `detail` may be empty."""
    return validation(f"Statement wasn't well formed, can't be processed: {detail}")


def located(message: str, text: str, start: int, length: int) -> DynamoError:
    """`message at line:column:length`, a part of the statement `text`; line and column count from 1, in characters."""
    line = text.count("\n", 0, start) + 1
    column = start - (text.rfind("\n", 0, start) + 1) + 1
    return validation(f"{message} at {line}:{column}:{length}")


def duplicate_item() -> DynamoError:
    """DuplicateItemException: an INSERT of a key that exists (API reference: ExecuteStatement)."""
    return DynamoError("DuplicateItemException", DUPLICATE_ITEM)

"""Builders of the error texts that name the expression they stand in.

Called by the parsers and by the checks of this package. Law: the text is DynamoDB's, to the character, including the
semicolon that some of them end with (recorded answers of the service; shared/reference/dynamodb-semantics.md section
15).
"""

from __future__ import annotations

from dynamo.errors import DynamoError, validation

ATTRIBUTE_MISSING = "The provided expression refers to an attribute that does not exist in the item"
DOCUMENT_PATH_INVALID = "The document path provided in the update expression is invalid for update"
PATHS_OVERLAP = "Two document paths overlap with each other; must remove or rewrite one of these paths"
OPERAND_TYPE_INCORRECT = "An operand in the update expression has an incorrect data type"
# The same for the legacy AttributeUpdates.
ATTRIBUTE_TYPE_MISMATCH = "Type mismatch for attribute to update"
ITEM_TOO_LARGE = "Item size to update has exceeded the maximum allowed size"
NESTING_TOO_DEEP = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)


def invalid_expression(parameter: str, detail: str) -> DynamoError:
    """ValidationException `Invalid <parameter>: <detail>`; `parameter` is the request member, as UpdateExpression."""
    return validation(f"Invalid {parameter}: {detail}")


def undefined_placeholder(placeholder: str) -> str:
    """The detail for a #name or a :value that the request does not define."""
    if placeholder[0] == "#":
        return f"An expression attribute name used in the document path is not defined; attribute name: {placeholder}"
    return f"An expression attribute value used in expression is not defined; attribute value: {placeholder}"


def operand_count(function: str, count: int) -> str:
    """The detail for a function called with a wrong number of operands."""
    return (
        "Incorrect number of operands for operator or function; "
        f"operator or function: {function}, number of operands: {count}"
    )


def operand_type(operator: str, type_name: str) -> str:
    """The detail for an operand of a type that the operator or function never takes; `type_name` as N or BOOL."""
    return (
        f"Incorrect operand type for operator or function; operator or function: {operator}, operand type: {type_name}"
    )


def document_path_required(function: str) -> str:
    """The detail for a function whose first operand must be a document path."""
    return f"Operator or function requires a document path; operator or function: {function}"


def function_misused(function: str) -> str:
    """The detail for a function that is known, but not at this place."""
    return f"The function is not allowed to be used this way in an expression; function: {function}"

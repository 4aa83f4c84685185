"""The errors a DynamoDB client can see: code, message, HTTP status, extra members.

Raised by everything that judges a request (router and leader alike) and rendered once, by router/http. Law: the text
is exactly DynamoDB's (shared/reference/dynamodb-semantics.md section 15); whoever must act decides the class, not the
place where it was found.
"""

from __future__ import annotations

from collections.abc import Mapping

_DYNAMO_PREFIX = "com.amazonaws.dynamodb.v20120810#"
_CORAL_PREFIX = "com.amazon.coral.service#"
_VALIDATE_PREFIX = "com.amazon.coral.validate#"

# Errors that the service framework raises before DynamoDB itself sees the request carry the framework's name space.
_PREFIX_BY_CODE = {
    "SerializationException": _CORAL_PREFIX,
    "UnknownOperationException": _CORAL_PREFIX,
    "InvalidSignatureException": _CORAL_PREFIX,
    "MissingAuthenticationTokenException": _CORAL_PREFIX,
    "IncompleteSignatureException": _CORAL_PREFIX,
    "UnrecognizedClientException": _CORAL_PREFIX,
    "ServiceUnavailable": _CORAL_PREFIX,
    "AccessDeniedException": _CORAL_PREFIX,
    "ThrottlingException": _CORAL_PREFIX,
    "ValidationException": _VALIDATE_PREFIX,
}


class DynamoError(Exception):
    """One error answer.

    `code` is the short name a client matches on, `status` the HTTP status, `members` further JSON members of the body
    (such as `Item`) as already encoded JSON bytes by name.
    """

    def __init__(
        self, code: str, message: str, *, status: int = 400, members: Mapping[str, bytes] | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.members: Mapping[str, bytes] = members or {}

    @property
    def type_name(self) -> str:
        """The value of `__type` in the body."""
        return _PREFIX_BY_CODE.get(self.code, _DYNAMO_PREFIX) + self.code


def validation(message: str) -> DynamoError:
    """ValidationException with `message`."""
    return DynamoError("ValidationException", message)


def invalid_parameter(detail: str) -> DynamoError:
    """ValidationException with the usual opening of semantic checks."""
    return DynamoError("ValidationException", f"One or more parameter values were invalid: {detail}")


def serialization(message: str | None = None) -> DynamoError:
    """SerializationException: the body is not JSON, or a member has the wrong JSON type."""
    return DynamoError("SerializationException", message or "")


def unknown_operation(name: str) -> DynamoError:
    """UnknownOperationException for an action that is not known or not built yet."""
    return DynamoError("UnknownOperationException", f"The operation {name} is not supported" if name else "")


def conditional_check_failed(item_json: bytes = b"") -> DynamoError:
    """ConditionalCheckFailedException; `item_json` is the item in the way when the request asked for it."""
    members = {"Item": item_json} if item_json else None
    return DynamoError("ConditionalCheckFailedException", "The conditional request failed", members=members)


def item_collection_too_large() -> DynamoError:
    """ItemCollectionSizeLimitExceededException: the write would grow a collection of a table with local indexes."""
    return DynamoError("ItemCollectionSizeLimitExceededException", "Item collection size limit exceeded")


def resource_not_found(message: str = "Requested resource not found") -> DynamoError:
    """ResourceNotFoundException; the data plane uses the short text, the control plane names the table."""
    return DynamoError("ResourceNotFoundException", message)


def resource_in_use(message: str) -> DynamoError:
    """ResourceInUseException, such as `Table already exists: X`."""
    return DynamoError("ResourceInUseException", message)


def limit_exceeded(message: str) -> DynamoError:
    """LimitExceededException of the control plane."""
    return DynamoError("LimitExceededException", message)


def internal_server_error(message: str = "Internal server error") -> DynamoError:
    """InternalServerError (500): the outcome of a write is not known, or an invariant broke."""
    return DynamoError("InternalServerError", message, status=500)


def service_unavailable(message: str = "Service is temporarily unavailable") -> DynamoError:
    """ServiceUnavailable (503): nothing happened; no leader or no quorum within the time-out."""
    return DynamoError("ServiceUnavailable", message, status=503)


# What the service says of an on-demand table (reference section 5).
_THROTTLED = (
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or "
    "index so please try again shortly. If exceptions persist, check if you have a hot key: "
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"
)


def throttling(message: str = _THROTTLED) -> DynamoError:
    """ThrottlingException (400): a named queue limit was reached; nothing happened."""
    return DynamoError("ThrottlingException", message)

"""From an action's name to its operation: parse, validate, run, and turn whatever is raised into an answer.

Called by router.http.server for every POST. Law: every call is answered; an exception that is not the client's doing is
logged and answered 500, and never reaches the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson

from dynamo.errors import DynamoError, internal_server_error, serialization, unknown_operation
from dynamo.requests import RequestValidator, operation_names, validator_for
from router.operations.batch_get import batch_get_item
from router.operations.batch_write import batch_write_item
from router.operations.call import Call, NeedsCatalog, Services
from router.operations.control_plane import CONTROL_OPERATIONS
from router.operations.create_table import create_table
from router.operations.delete_item import delete_item
from router.operations.delete_table import delete_table
from router.operations.describe_table import describe_table, list_tables
from router.operations.get_item import get_item
from router.operations.put_item import put_item
from router.operations.query import query
from router.operations.scan import scan
from router.operations.statements import batch_execute_statement, execute_statement
from router.operations.update_item import update_item
from router.routing.catalog_reader import CatalogReader
from runtime.logs import get_logger

log = get_logger()

Run = Callable[[Services, Call, dict[str, Any]], None]

TARGET_PREFIX = "DynamoDB_20120810."
STREAMS_TARGET_PREFIX = "DynamoDBStreams_20120810."
OPERATIONS: Final[dict[str, Run]] = {
    "BatchExecuteStatement": batch_execute_statement,
    "BatchGetItem": batch_get_item,
    "BatchWriteItem": batch_write_item,
    "CreateTable": create_table,
    "DeleteItem": delete_item,
    "DeleteTable": delete_table,
    "DescribeTable": describe_table,
    "ExecuteStatement": execute_statement,
    "GetItem": get_item,
    "ListTables": list_tables,
    "PutItem": put_item,
    "Query": query,
    "Scan": scan,
    "UpdateItem": update_item,
    **CONTROL_OPERATIONS,
}
# Index 0 of the metrics: targets that are no operation of ours. A client's text must not become a label.
METRIC_NAMES: Final = ("unknown", *OPERATIONS)


class _Entry:
    __slots__ = ("metric", "run", "validator")

    def __init__(self, metric: int, run: Run, validator: RequestValidator) -> None:
        self.metric = metric
        self.run = run
        self.validator = validator


class _NativeCall:
    """A native operation that another operation runs: a retry repeats it alone, with the request it was given."""

    __slots__ = ("body", "catalog_confirmed", "inner", "metric", "name", "request", "target")

    def __init__(self, name: str, inner: Call, request: dict[str, Any]) -> None:
        self.name = name
        self.inner = inner
        self.request = request
        self.body = inner.body
        self.target = inner.target
        self.metric = inner.metric
        self.catalog_confirmed = inner.catalog_confirmed

    @property
    def region(self) -> str:
        return self.inner.region

    @property
    def host(self) -> str:
        return self.inner.host

    def succeed(self, body: bytes) -> None:
        self.inner.succeed(body)

    def fail(self, error: DynamoError) -> None:
        self.inner.fail(error)


def _serialization_first(validator: RequestValidator, body: bytes, error: Exception) -> Exception:
    """A wrong JSON type anywhere in the body comes before every other fault, though an operation may see it later."""
    if isinstance(error, DynamoError) and error.code == "ValidationException":
        try:
            # Parsed anew: operations normalise values where they are.
            validator.check_types(orjson.loads(body))
        except DynamoError as found:
            return found
    return error


class Operations:
    """The operations built so far. `bind` gives them what they need before the first call."""

    def __init__(self, reader: CatalogReader) -> None:
        self._reader = reader
        self._services: Services | None = None
        self._entries = {
            f"{TARGET_PREFIX}{name}".encode(): _Entry(metric, run, validator_for(name))
            for metric, (name, run) in enumerate(OPERATIONS.items(), start=1)
        }

    def bind(self, services: Services) -> None:
        """The services refer back to `retry` and `run_guarded` of this object, so they come second."""
        self._services = services

    def dispatch(self, target: bytes, call: Call) -> None:
        """Run one call. Never raises. Hot path."""
        entry = self._entries.get(target)
        if entry is None:
            call.fail(self._unknown(target))
            return
        call.metric = entry.metric
        services = self._services
        assert services is not None, "bind comes before the first call"
        try:
            # Hundreds of nested brackets are refused by the parser itself, as bad JSON.
            body = orjson.loads(call.body)
            entry.run(services, call, entry.validator.validate(body))
        except orjson.JSONDecodeError:
            call.fail(serialization())
        except Exception as error:
            self._failed(call, _serialization_first(entry.validator, call.body, error))

    def run_native(self, name: str, call: Call, request: dict[str, Any]) -> None:
        """Run the operation `name` for an inner call; `request` satisfies the service model. Never raises.

        `call` is answered exactly once. A catalog read that the operation needs repeats it alone.
        """
        self._run_native(_NativeCall(name, call, request))

    def _run_native(self, call: _NativeCall) -> None:
        services = self._services
        assert services is not None, "bind comes before the first call"
        try:
            # A copy: operations take from the request what they need no more.
            OPERATIONS[call.name](services, call, dict(call.request))
        except Exception as error:
            self._failed(call, error)

    def _failed(self, call: Call, error: Exception) -> None:
        """Turn what an operation raised into the call's answer, or into another try."""
        if isinstance(error, DynamoError):
            call.fail(error)
        elif isinstance(error, NeedsCatalog):
            self.retry(call)
        else:
            log.error("operation_failed", target=call.target.decode("latin-1"), exc_info=error)
            call.fail(internal_server_error())

    def _unknown(self, target: bytes) -> DynamoError:
        prefix, dot, name = target.decode("latin-1").rpartition(".")
        # The name is given back only when it is one of the service's.
        known: frozenset[str] = frozenset()
        if prefix + dot == TARGET_PREFIX:
            known = operation_names()
        elif prefix + dot == STREAMS_TARGET_PREFIX:
            known = operation_names("dynamodbstreams")
        return unknown_operation(name if name in known else "")

    def retry(self, call: Call) -> None:
        """Run the call again after a strong catalog read."""

        def confirmed(error: DynamoError | None) -> None:
            if error is not None:
                call.fail(error)
                return
            call.catalog_confirmed = True
            if isinstance(call, _NativeCall):
                self._run_native(call)
            else:
                self.dispatch(call.target, call)

        self._reader.confirm(confirmed)

    def run_guarded(self, call: Call, work: Callable[[], None]) -> None:
        """Run a later step of a call; what it raises becomes the answer."""
        try:
            work()
        except Exception as error:
            self._failed(call, error)

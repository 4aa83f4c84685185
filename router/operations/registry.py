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
from router.operations.call import Call, NeedsCatalog, Services
from router.operations.create_table import create_table
from router.operations.delete_item import delete_item
from router.operations.delete_table import delete_table
from router.operations.describe_table import describe_table, list_tables
from router.operations.get_item import get_item
from router.operations.put_item import put_item
from router.operations.update_item import update_item
from router.routing.catalog_reader import CatalogReader
from runtime.logs import get_logger

log = get_logger()

Run = Callable[[Services, Call, dict[str, Any]], None]

TARGET_PREFIX = "DynamoDB_20120810."
STREAMS_TARGET_PREFIX = "DynamoDBStreams_20120810."
OPERATIONS: Final[dict[str, Run]] = {
    "CreateTable": create_table,
    "DeleteItem": delete_item,
    "DeleteTable": delete_table,
    "DescribeTable": describe_table,
    "GetItem": get_item,
    "ListTables": list_tables,
    "PutItem": put_item,
    "UpdateItem": update_item,
}
# Index 0 of the metrics: targets that are no operation of ours. A client's text must not become a label.
METRIC_NAMES: Final = ("unknown", *OPERATIONS)


class _Entry:
    __slots__ = ("metric", "run", "validator")

    def __init__(self, metric: int, run: Run, validator: RequestValidator) -> None:
        self.metric = metric
        self.run = run
        self.validator = validator


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
        except DynamoError as error:
            call.fail(error)
        except NeedsCatalog:
            self.retry(call)
        except orjson.JSONDecodeError:
            call.fail(serialization())
        except Exception as error:
            log.error("operation_failed", target=target.decode("latin-1"), exc_info=error)
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
            self.dispatch(call.target, call)

        self._reader.confirm(confirmed)

    def run_guarded(self, call: Call, work: Callable[[], None]) -> None:
        """Run a later step of a call; what it raises becomes the answer."""
        try:
            work()
        except DynamoError as error:
            call.fail(error)
        except Exception as error:
            log.error("operation_failed", target=call.target.decode("latin-1"), exc_info=error)
            call.fail(internal_server_error())

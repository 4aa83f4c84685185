"""One command to the catalog group, answered by a callback.

Called by CreateTable and DeleteTable. Law: a command whose outcome is unknown is repeated only when the caller says
that it is idempotent (CreateTable carries a uuid by which it knows its own table again).
"""

from __future__ import annotations

from collections.abc import Callable

from router.operations.call import Call, Services
from router.operations.items import failure_error, result_error
from router.routing.pending import Failure, Pending
from topology.placement import CATALOG_PARTITION
from wire import catalog_pb2, data_pb2

Answered = Callable[[catalog_pb2.CatalogResult], None]


class CatalogPending(Pending):
    """Answers the call's errors itself; `answered` gets the catalog's verdict."""

    __slots__ = ("_answered", "_call", "_idempotent", "_may_have_happened", "_services")

    def __init__(
        self,
        services: Services,
        call: Call,
        command: bytes,
        deadline_s: float,
        answered: Answered,
        *,
        idempotent: bool,
        may_have_happened: bool = False,
    ) -> None:
        """`may_have_happened`: an earlier try of the same command ended without a verdict."""
        operation = data_pb2.Operation(
            partition=CATALOG_PARTITION,
            kind=data_pb2.CATALOG_COMMAND,
            item=command,
            request_id=services.write_ids.next(),
        )
        super().__init__(operation, deadline_s)
        self._services = services
        self._call = call
        self._answered = answered
        self._idempotent = idempotent
        self._may_have_happened = may_have_happened

    def complete(self, result: data_pb2.Result) -> None:
        """Decode the verdict and hand it on."""
        if result.status != data_pb2.OK:
            self._call.fail(result_error(result))
            return
        encoded = result.item
        self._services.run_guarded(self._call, lambda: self._answered(catalog_pb2.CatalogResult.FromString(encoded)))

    def give_up(self, failure: Failure) -> None:
        """Repeat while there is time, or answer that there is no verdict."""
        left_s = self.deadline_s - self._services.clock.monotonic()
        if failure is Failure.UNKNOWN and self._idempotent and left_s > 0:
            self._services.port.submit(
                CatalogPending(
                    self._services,
                    self._call,
                    self.operation.item,
                    self.deadline_s,
                    self._answered,
                    idempotent=True,
                    may_have_happened=True,
                )
            )
            return
        # That the last try was refused says nothing of those before it.
        self._call.fail(failure_error(Failure.UNKNOWN if self._may_have_happened else failure))


def submit_command(
    services: Services, call: Call, command: catalog_pb2.CatalogCommand, answered: Answered, *, idempotent: bool
) -> None:
    """Send `command` to the catalog leader."""
    deadline_s = services.port.new_deadline_s()
    encoded = command.SerializeToString()
    services.port.submit(CatalogPending(services, call, encoded, deadline_s, answered, idempotent=idempotent))

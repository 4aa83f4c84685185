"""One operation on its way to a node and back.

Made by router.operations, carried by router.routing. Law: exactly one of `complete` and `give_up` is called, once; what
happened to a write is never guessed (`Failure.UNKNOWN` is its own outcome).
"""

from __future__ import annotations

from enum import Enum, auto

from wire import data_pb2 as pb

READ_KINDS = frozenset({pb.GET_STRONG, pb.GET_EVENTUAL, pb.RANGE_STRONG, pb.RANGE_EVENTUAL, pb.CATALOG_READ})
# Any replica may serve these.
EVENTUAL_KINDS = frozenset({pb.GET_EVENTUAL, pb.RANGE_EVENTUAL})
# Pages of Query and Scan.
RANGE_KINDS = frozenset({pb.RANGE_STRONG, pb.RANGE_EVENTUAL})
# With a request id their partition remembers that it has applied them.
REMEMBERED_KINDS = frozenset({pb.PUT, pb.UPDATE, pb.DELETE})


class Failure(Enum):
    """Why an operation ended without a node's verdict."""

    UNKNOWN = auto()  # a write that may have happened or may still happen
    NOT_DONE = auto()  # nothing happened: no leader, no replica or no quorum until the deadline
    OVERLOADED = auto()  # nothing happened: a named queue limit was reached


class Pending:
    """Subclasses say what the result means to the client. Not reused.

    `deadline_s` is on the router's monotonic clock. The remaining fields belong to router.routing.state.
    """

    __slots__ = (
        "attempts",
        "bytes",
        "deadline_s",
        "done",
        "in_doubt",
        "is_eventual",
        "is_read",
        "is_remembered",
        "issued_at",
        "node",
        "operation",
        "overloaded",
        "placed_at_s",
        "sent",
        "tried",
    )

    def __init__(self, operation: pb.Operation, deadline_s: float) -> None:
        self.operation = operation
        self.deadline_s = deadline_s
        kind = operation.kind
        self.is_read = kind in READ_KINDS
        self.is_eventual = kind in EVENTUAL_KINDS
        self.is_remembered = kind in REMEMBERED_KINDS and bool(operation.request_id)
        self.done = False
        # A write that was sent, and what became of that is not known: it may only be repeated or end as UNKNOWN.
        self.in_doubt = False
        # A hybrid time before every log entry in which it may be.
        self.issued_at = 0
        # The node whose stream has it now ("" while it waits here), and whether writing it there has begun.
        self.node = ""
        self.sent = False
        self.attempts = 0
        # When it was given to that stream.
        self.placed_at_s = 0.0
        # Replicas that could not serve this eventual read, or did not answer in time.
        self.tried: frozenset[str] = frozenset()
        # The last refusal was a full queue: at the deadline the client is told to slow down.
        self.overloaded = False
        self.bytes = 0

    def complete(self, result: pb.Result) -> None:
        """The node's verdict: OK, CONDITION_FAILED, VALIDATION_FAILED, TABLE_GONE (UNKNOWN comes through give_up)."""
        raise NotImplementedError

    def give_up(self, failure: Failure) -> None:
        """No verdict until the deadline, or none will come."""
        raise NotImplementedError

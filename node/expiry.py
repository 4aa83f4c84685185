"""The session through which a node expires items of its own partitions.

Made by node.partition for node.background.expiry; stands where a router's session stands, so that an expiry takes the
same way as every other write. Law: each operation is answered once.
"""

from __future__ import annotations

from collections.abc import Callable

from node.evaluate import Decision
from node.sessions import RouterSession
from wire import data_pb2

# True: the item was expired and is deleted; False: it was not (any more); None: refused or unknown, so ask again.
ExpiryDone = Callable[[bool | None], None]


class ExpirySession(RouterSession):
    """Answers go to whoever asked, at once."""

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self._waiting: dict[int, ExpiryDone] = {}
        self._last_id = 0

    def operation(
        self, partition: int, table_id: int, key: bytes, expiry: data_pb2.Expiry, done: ExpiryDone
    ) -> data_pb2.Operation:
        """The operation whose answer `done` is to get."""
        self._last_id += 1
        self._waiting[self._last_id] = done
        return data_pb2.Operation(
            id=self._last_id,
            partition=partition,
            kind=data_pb2.EXPIRE,
            table_id=table_id,
            key=key,
            item=expiry.SerializeToString(),
        )

    def answer(self, operation_id: int, status: data_pb2.ResultStatus, item: bytes = b"") -> None:  # noqa: ARG002
        """The table is gone, and the item with it."""
        self._waiting.pop(operation_id)(False if status == data_pb2.TABLE_GONE else None)

    def refuse(self, operation_id: int, status: data_pb2.ResultStatus, leader: str | None = None) -> None:  # noqa: ARG002
        """Nothing happened, or it is not known."""
        self._waiting.pop(operation_id)(None)

    def answer_write(self, operation_id: int, decision: Decision) -> None:
        """The verdict."""
        self._waiting.pop(operation_id)(decision.changes if decision.status == data_pb2.OK else None)

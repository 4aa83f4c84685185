"""The request ids of the writes that a partition applied: what lets a write whose outcome is not known be repeated.

Owned by node.machine.state, which hands it the shared batch. One record for each log entry, beside the outbox: what
comes and goes must not lie in the way of scans of DATA. In memory are the ids alone; answers are read when they are
asked for. Law: like all of apply, total and deterministic. What is forgotten follows from the log alone, goes by range,
and leaves its time behind: of a write that may be among it nobody can say any more whether it was applied.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable

from node.storage import keyspace
from replication.ports import Family, Store
from topology.requests import REQUEST_MEMORY_MS
from wire import data_pb2, log_pb2

REQUEST_ID_BYTES = 16
WINDOW_MS = REQUEST_MEMORY_MS
# Of one partition. With its keys and objects an id takes about 200 bytes of memory.
REQUESTS_MAX = 1 << 16
# Of the records: returned attributes make them large.
RECORD_BYTES_MAX = 64 * 1024 * 1024
# Beyond a limit an eighth more than what is too much goes at once, so that ranges are few.
SPARED = 8

_OUTBOX = Family.OUTBOX


# A record: hybrid time of the entry, number of ids, the ids, a serialized RememberedAnswers if there are any.
_HEAD = struct.Struct(">QI")


class Remembered:
    """What is kept in memory of one entry's record."""

    __slots__ = ("has_answers", "hybrid_time", "log_index", "request_ids", "size")

    def __init__(self, log_index: int, hybrid_time: int, request_ids: list[bytes]) -> None:
        self.log_index = log_index
        self.hybrid_time = hybrid_time
        self.request_ids = request_ids
        self.has_answers = False
        # Of the record, in bytes.
        self.size = 0


class RequestMemory:
    """The applied request ids of one partition."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.applied: dict[bytes, Remembered] = {}
        self._entries: deque[Remembered] = deque()
        self._bytes = 0
        # The time of the newest entry that is forgotten, 0 without any.
        self.forgotten_time = 0

    def __len__(self) -> int:
        return len(self.applied)

    def load(self, records: Iterable[Remembered | int]) -> None:
        """Take over stored records in the order of their keys; a number is the time of what was forgotten."""
        for record in records:
            if isinstance(record, int):
                self.forgotten_time = record
            else:
                self._entries.append(record)
                self._bytes += record.size
                self.applied.update(dict.fromkeys(record.request_ids, record))

    # ------------------------------------------------------------------ effects of entries
    def remember(self, prefix: bytes, entry: Remembered, answers: dict[bytes, data_pb2.Result]) -> None:
        """Keep what one entry applied, whose ids are in `applied`, and forget what is too old or too much. Hot path.

        `answers`: by request id, of those that were answered more than OK.
        """
        request_ids, hybrid_time = entry.request_ids, entry.hybrid_time
        record = _HEAD.pack(hybrid_time, len(request_ids)) + b"".join(request_ids)
        if answers:
            entry.has_answers = True
            remembered = log_pb2.RememberedAnswers()
            for request_id, answer in answers.items():
                remembered.answers.add(place=request_ids.index(request_id), answer=answer)
            record += remembered.SerializeToString()
        entry.size = len(record)
        self._store.put(_OUTBOX, prefix + keyspace.requests_key(entry.log_index), record)
        self._entries.append(entry)
        self._bytes += entry.size
        oldest_age_ms = (hybrid_time - self._entries[0].hybrid_time) >> 16
        if (
            oldest_age_ms > WINDOW_MS + WINDOW_MS // SPARED
            or len(self.applied) > REQUESTS_MAX
            or self._bytes > RECORD_BYTES_MAX
        ):
            self._forget(prefix, hybrid_time)

    def _forget(self, prefix: bytes, now: int) -> None:
        oldest_kept = now - (WINDOW_MS << 16)
        requests_kept = REQUESTS_MAX - REQUESTS_MAX // SPARED if len(self.applied) > REQUESTS_MAX else REQUESTS_MAX
        bytes_kept = (
            RECORD_BYTES_MAX - RECORD_BYTES_MAX // SPARED if self._bytes > RECORD_BYTES_MAX else RECORD_BYTES_MAX
        )
        entries, applied = self._entries, self.applied
        last = entries[0].log_index
        while entries and (
            entries[0].hybrid_time < oldest_kept or len(applied) > requests_kept or self._bytes > bytes_kept
        ):
            entry = entries.popleft()
            self._bytes -= entry.size
            for request_id in entry.request_ids:
                del applied[request_id]
            last, self.forgotten_time = entry.log_index, entry.hybrid_time
        start, end = prefix + keyspace.requests_key(1), prefix + keyspace.requests_key(last + 1)
        self._store.delete_range(_OUTBOX, start, end)
        self._store.put(_OUTBOX, prefix + keyspace.FORGOTTEN, self.forgotten_time.to_bytes(8, "big"))

    # ------------------------------------------------------------------ answering again
    def answer(self, prefix: bytes, request_id: bytes) -> data_pb2.Result | None:
        """What an applied write was answered, without id; None: it is not remembered as applied.

        Raises KeyError for an answer that is not written yet: its entry is of this turn.
        """
        entry = self.applied.get(request_id)
        if entry is None:
            return None
        if entry.has_answers:
            record = self._store.get(_OUTBOX, prefix + keyspace.requests_key(entry.log_index))
            if record is None:
                raise KeyError(f"no record of the requests in entry {entry.log_index}")
            place = entry.request_ids.index(request_id)
            encoded = record[_HEAD.size + len(entry.request_ids) * REQUEST_ID_BYTES :]
            for remembered in log_pb2.RememberedAnswers.FromString(encoded).answers:
                if remembered.place == place:
                    return remembered.answer
        return data_pb2.Result(status=data_pb2.OK)


def remembered_in(logical_key: bytes, value: bytes) -> Remembered | int:
    """What is kept in memory of a stored record; of the mark of what was forgotten, its time."""
    index = keyspace.requests_index(logical_key)
    if not index:
        return int.from_bytes(value, "big")
    hybrid_time, number = _HEAD.unpack_from(value)
    end = _HEAD.size + number * REQUEST_ID_BYTES
    entry = Remembered(
        index, hybrid_time, [value[at : at + REQUEST_ID_BYTES] for at in range(_HEAD.size, end, REQUEST_ID_BYTES)]
    )
    entry.has_answers = len(value) > end
    entry.size = len(value)
    return entry

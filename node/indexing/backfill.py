"""One step of filling a global index with the items that were there before it. Pure.

Called by node.indexing.leader in a turn, after the writes of that turn are judged. Law: a step holds the newest state
of each item, what is under way included, and is proposed behind it; a write that is judged later carries its own
change. So the order of the log is the order of every entry's changes, and no item is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dynamo.indexes import IndexDefinition
from node.indexing.changes import Locate, put_of, version_of
from wire import log_pb2

STEP_ITEMS_MAX = 200
# A step ends with the item that reaches this, by what was read for it or by what it adds to the entry.
STEP_BYTES_MAX = 256 * 1024


def next_step(
    index: IndexDefinition,
    rows: Iterator[tuple[bytes, bytes]],
    newest: Callable[[bytes, bytes], bytes | None],
    cursor: bytes,
    locate: Locate,
) -> log_pb2.BackfillStep:
    """The step behind `cursor`; `rows` are the table's from there on.

    `newest` tells the record that an item with a key and a stored record has by now, None: it is deleted.
    """
    step = log_pb2.BackfillStep(index_id=index.index_id, cursor=cursor, done=True)
    size = 0
    for count, (key, stored) in enumerate(rows):
        if count >= STEP_ITEMS_MAX or size >= STEP_BYTES_MAX:
            step.done = False
            break
        step.cursor = key
        record = newest(key, stored)
        version = version_of(record)
        change = put_of(index, key, version, locate) if version is not None else None
        if change is not None:
            step.index_changes.append(change)
        # A small row may have a large update under way.
        read, added = max(len(stored), len(record or b"")), len(change.key) + len(change.item) if change else 0
        size += max(read, added)
    return step

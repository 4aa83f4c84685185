"""How long a partition remembers the request ids of the writes that it applied.

Used by node.machine, which forgets by it, and by topology.relations, which keeps the time of an operation far below it.
Law: the same on every replica of a cluster, for what is forgotten is part of the replicated state.
"""

from __future__ import annotations

# By the hybrid times in the log, counted back from its newest entry.
REQUEST_MEMORY_MS = 60_000
# A router repeats a write until its time is over, so each write is remembered so many times as long at least.
OPERATIONS_PER_REQUEST_MEMORY_MIN = 4

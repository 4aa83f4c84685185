"""Named limits of the router process that are not in cluster.yaml, with their units.

Called by every part of the router. Law: nothing in the router grows without one of these (or a limit of cluster.yaml)
saying what happens at it.
"""

from __future__ import annotations

# --- HTTP: what one peer may make us hold -------------------------------------------------------------------------
# Over any of these the request is answered 431 and the connection closed.
HEADER_BYTES_MAX = 32 * 1024
HEADERS_MAX = 100
URL_BYTES_MAX = 8 * 1024
# Unanswered pipelined requests of one connection; above it the connection is not read until answers have left.
PIPELINED_REQUESTS_MAX = 64
# One read is given to the parser in slices of this size, so that the limit above is overrun by one slice at most.
FEED_BYTES_MAX = 4 * 1024
# Bodies being received, over all connections of the process; above it a further body is refused with 503.
BODY_BYTES_BUFFERED_MAX = 512 * 1024 * 1024
# Bytes of answers the transport may hold before the connection is no longer read.
WRITE_BUFFER_BYTES_HIGH = 256 * 1024

# --- HTTP: time ---------------------------------------------------------------------------------------------------
SWEEP_INTERVAL_MS = 1_000
# From the first byte of a request to the end of its head.
HEADER_READ_MS_MAX = 10_000
# Between two reads while a body is being received.
BODY_IDLE_MS_MAX = 30_000
# From the first byte of a request to the end of its body, however steadily it drips.
REQUEST_READ_MS_MAX = 300_000
# Between the last answer and the next request of a kept connection.
KEEP_ALIVE_IDLE_MS_MAX = 120_000
# A peer that does not read its answers for so long is cut.
WRITE_STALL_MS_MAX = 30_000
# After a refusal the rest of the request is read and thrown away for so long, or the peer would see a reset
# connection instead of the refusal.
LINGER_MS_MAX = 3_000

# --- Routing ------------------------------------------------------------------------------------------------------
# One timer drives deadlines, back-off and probes.
TICK_MS = 20
DEADLINE_SCAN_MS = 100
# An operation that waits for a leader: how often one replica is asked although no hint has come (a lost hint must not
# strand it).
PROBE_MS = 100
# An eventual read that one replica has not answered for so long goes to the next one (a paused process keeps its
# stream open): longer than a loaded node takes, much shorter than an operation's time-out.
EVENTUAL_READ_MS_MAX = 250
# The same for a page of a Query or Scan, and only when nothing at all has come from its node for so long: a full one
# that is filtered takes a node many slices between other work.
EVENTUAL_PAGE_MS_MAX = 1_000
# A write given to a node from which nothing has come for so long, while another one leads its partition by now, is not
# waited for any more: its outcome is unknown, and the client can go on with the new leader.
DEPOSED_SILENCE_MS_MAX = 500
# Partitions that one page of a Scan asks at once: bounds what it may hold before it is merged.
SCAN_PARTITIONS_AT_ONCE_MAX = 16
RETRY_MS_MIN = 20
RETRY_MS_MAX = 200
# One RouterFrame; far below the gRPC message limit so that one frame never delays the next for long.
FRAME_BYTES_MAX = 1024 * 1024
FRAME_OPERATIONS_MAX = 1024
# Items and expressions of operations queued for one node and not yet written to its stream; above it: OVERLOADED.
QUEUED_BYTES_MAX = 64 * 1024 * 1024

# --- Streams to nodes ---------------------------------------------------------------------------------------------
RECONNECT_MS_MIN = 50
RECONNECT_MS_MAX = 500
# The node belongs to another cluster: only an operator can mend that.
MISMATCH_RETRY_MS = 5_000

# --- Catalog ------------------------------------------------------------------------------------------------------
# Between the starts of two strong catalog reads made for unknown table names: bounds what a client that asks for
# tables that do not exist can cost the catalog leader.
CATALOG_READ_INTERVAL_MS = 20
# Requests waiting for a strong catalog read; above it: ThrottlingException.
CATALOG_WAITERS_MAX = 4_096
# CreateTable and DeleteTable calls held until the catalog copy shows their effect.
TABLE_WATCHES_MAX = 512
# A change of a table that another one overtook is worked out again so often before it is refused. Of changes that race
# one wins a round, so among four the chance to lose them all is one in a hundred million.
TABLE_CHANGE_ATTEMPTS_MAX = 64

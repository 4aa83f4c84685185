"""What became of a proposal or a read barrier: three outcomes that are never mixed up.

Given by replication.group to the node. Law: `Refused` means that nothing was and nothing will be appended; whoever
cannot promise that says `Unknown` (hashicorp/raft: ErrNotLeader versus ErrLeadershipLost).
"""

from __future__ import annotations

import enum


class Outcome(enum.Enum):
    """The end of a proposal."""

    COMMITTED = 1  # durable on a majority and applied here
    REFUSED = 2  # never appended to a log
    UNKNOWN = 3  # appended, then leadership was lost: it may be committed by somebody else

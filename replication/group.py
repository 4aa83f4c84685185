"""What the node knows of one Raft group: what it is made of, its callbacks, its settings and its status.

Implemented by replication.raft. Law: everything is called on the node's event loop and returns at once; outcomes come
by callback, at most once each.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from replication.journal import GroupJournal
from replication.membership import Membership
from replication.outcomes import Outcome
from replication.ports import Host, StateMachine

# (outcome, what StateMachine.apply returned, or None)
ProposalCallback = Callable[[Outcome, object], None]
# The index a strong read must see applied; None: not confirmed, nothing was read.
ReadCallback = Callable[[int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationSettings:
    """Limits and times of every group, in seconds and bytes."""

    election_timeout_min_s: float = 0.5
    election_timeout_max_s: float = 1.0
    heartbeat_s: float = 0.1
    append_bytes_max: int = 256 * 1024
    append_window_entries: int = 4096
    append_window_bytes: int = 8 * 1024 * 1024
    log_entries_kept: int = 20_000
    log_bytes_kept: int = 16 * 1024 * 1024
    snapshot_chunk_bytes: int = 256 * 1024
    snapshot_window_chunks: int = 4
    read_lease: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaParts:
    """What one replica is made of and what it is given of the world."""

    group_id: int
    self_id: str
    journal: GroupJournal
    machine: StateMachine
    host: Host
    # Seconds that never go back.
    monotonic: Callable[[], float]
    randomness: random.Random
    settings: ReplicationSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStatus:
    """One replica as `trizone status` shows it."""

    role: str
    leader: str | None
    term: int
    commit_index: int
    applied_index: int
    last_index: int
    first_index: int
    membership: Membership
    match_index: dict[str, int] = field(default_factory=dict)

"""What the host asks of the process around it: streams to other nodes, an event loop, and what this node is.

Implemented by node.__main__ (gRPC, uvloop) and by the simulation (virtual time). Interfaces and values only, and what a
failure in one of the host's ways in does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from replication.group import ReplicationSettings
from replication.messages import Message


class Links(Protocol):
    """Messages out to other nodes."""

    def send(self, target: str, group_id: int, message: Message) -> None:
        """Queue for the stream to `target`; dropped when the stream is down."""
        ...


class Loop(Protocol):
    """What the host needs of an event loop."""

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Run after what is ready now."""
        ...

    def call_spaced(self, callback: Callable[[], None]) -> object:
        """Run after a short pause, for more to arrive."""
        ...

    def sync_in_thread(self, sync: Callable[[], None], ended: Callable[[BaseException | None], None]) -> None:
        """Run `sync` off the loop, then `ended` on it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """Who this node is and what it holds."""

    node_id: str
    # Partition id -> node ids of its first replicas; what is hosted later says node.holdings.
    partitions: dict[int, tuple[str, ...]]
    replication: ReplicationSettings
    proposals_in_flight_max: int
    durable: bool
    # Operations and messages in one turn from which on a node counts as busy.
    busy_arrivals: int = 4


class Stopping(Protocol):
    """Ends the process."""

    stop_process: Callable[[BaseException], None]


Arguments = ParamSpec("Arguments")
Entered = TypeVar("Entered", bound=Stopping)


def stops_process(
    method: Callable[Concatenate[Entered, Arguments], None],
) -> Callable[Concatenate[Entered, Arguments], None]:
    """A way into the host: a broken invariant or a failing store must stop the process, not only the calling task."""

    @functools.wraps(method)
    def guarded(host: Entered, /, *arguments: Arguments.args, **keywords: Arguments.kwargs) -> None:
        try:
            method(host, *arguments, **keywords)
        except Exception as error:
            host.stop_process(error)

    return guarded

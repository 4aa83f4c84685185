"""Routing decisions: where each operation goes now, what waits, what is tried again, what is given up.

Called by router.routing.dispatcher on the event loop; acts through the `Streams` port. Pure: no clock (time is an
argument), no random, no socket. Laws:

- A write that was handed to a stream is sent again only if a node said that it was not proposed, or, in doubt, as a
  repeat: with its request id, which the partition remembers, and only if each time that it was sent it was meant for
  the leader of one term. So what was sent earlier is judged before the repeat or never, and the repeat's answer holds.
- A write in doubt ends with a verdict or as UNKNOWN, never as if nothing had happened.
- Every operation ends at its deadline at the latest; what waits is bounded.

docs/decisions/0018-request-ids.md has the proof.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from router import limits
from router.routing.partition_map import PartitionMap, read_order
from router.routing.pending import Failure, Pending
from router.routing.route import Route
from topology.placement import CATALOG_PARTITION
from wire import data_pb2 as pb

_FINAL = frozenset({pb.OK, pb.CONDITION_FAILED, pb.VALIDATION_FAILED, pb.TABLE_GONE, pb.COLLECTION_TOO_LARGE})


class Streams(Protocol):
    """The streams to the nodes, as seen from the decisions."""

    def send(self, node_id: str, pending: Pending) -> bool:
        """Queue for the node's stream; False when its queue is at its byte limit."""
        ...


class RoutingState:
    """Every operation between `submit` and its end."""

    def __init__(
        self,
        *,
        streams: Streams,
        own_az: str,
        node_ids: Iterable[str],
        in_flight_max: int,
        next_id: Callable[[], int],
    ) -> None:
        """`node_ids` are the nodes of the settings: asked for the catalog before one is known. `next_id` gives a repeat
        an operation id of its own: an answer to what was sent before must not pass for its answer."""
        self._streams = streams
        self._own_az = own_az
        self._in_flight_max = in_flight_max
        self._next_id = next_id
        self._routes: dict[int, Route] = {}
        # Live nodes: id -> operations given to its stream, in the order they were given.
        self._outstanding: dict[str, dict[int, Pending]] = {}
        # When anything last came from them.
        self._heard_at_s: dict[str, float] = {}
        # Connected, but silent while eventual reads waited: asked again when something comes from them.
        self._shunned: set[str] = set()
        # What live nodes said of their hybrid time: whatever they stamp from then on is later.
        self._node_times: dict[str, int] = {}
        self._delayed: list[tuple[float, Pending]] = []
        self._waiting = 0
        self._scanned_at_s = 0.0
        self.retries = 0
        self.repeats = 0
        self.late_results = 0
        catalog = self._route(CATALOG_PARTITION)
        catalog.replicas = catalog.reads = tuple(node_ids)

    # --- what the world says ------------------------------------------------------------------------------------

    def submit(self, pending: Pending, now_s: float) -> None:
        """A new operation."""
        self._place(pending, now_s, first=True)

    def map_changed(self, partition_map: PartitionMap, now_s: float) -> None:
        """A newer catalog: replicas may have moved."""
        for partition, replicas in partition_map.replicas.items():
            route = self._route(partition)
            route.replicas = replicas
            route.reads = read_order(partition, replicas, partition_map.azs, self._own_az)
            self._wake(route, now_s)

    def node_up(self, node_id: str, now_s: float, hybrid_time: int) -> None:
        """The node's stream is open, and the node stamps later than `hybrid_time` from now on.

        Writes that waited leave at once; one of an unknown time could not be repeated where anything was forgotten.
        """
        self._outstanding.setdefault(node_id, {})
        self.node_heard(node_id, now_s, hybrid_time)
        for route in list(self._routes.values()):
            if route.parked and (node_id == route.leader or node_id in route.replicas):
                self._wake(route, now_s)

    def node_down(self, node_id: str, now_s: float) -> None:
        """The node's stream is lost, with whatever was on it."""
        lost = self._outstanding.pop(node_id, {})
        self._heard_at_s.pop(node_id, None)
        self._shunned.discard(node_id)
        # Its next process may begin with an earlier time.
        self._node_times.pop(node_id, None)
        for pending in lost.values():
            self._leave(pending, now_s)

    def node_heard(self, node_id: str, now_s: float, hybrid_time: int = 0) -> None:
        """Something came from the node: its process runs. It stamps later than `hybrid_time` from now on. Hot path."""
        self._heard_at_s[node_id] = now_s
        if self._shunned:
            self._shunned.discard(node_id)
        if hybrid_time:
            self._node_times[node_id] = hybrid_time

    def leader_hint(self, node_id: str, partition: int, leader: str, term: int, now_s: float) -> None:
        """`node_id` says who leads `partition`. Older terms are ignored; "" means that it knows of none."""
        route = self._route(partition)
        if term < route.term:
            return
        if not leader and term == route.term and route.leader != node_id:
            # Another node of the same term has lost sight of the leader; the leader itself has not resigned.
            return
        before = route.leader
        route.term = term
        route.leader = leader
        route.leader_term = term if leader else 0
        if leader:
            self._wake(route, now_s)
            if before != leader:
                # Before may be nobody: a candidate's hint comes ahead of the winner's.
                for other in [node_id for node_id in self._outstanding if node_id != leader]:
                    self._move_reads(other, partition, now_s)

    def result(self, node_id: str, result: pb.Result, now_s: float) -> None:
        """One result of the node's stream. Hot path."""
        outstanding = self._outstanding.get(node_id)
        pending = outstanding.pop(result.id, None) if outstanding is not None else None
        if pending is None:
            self.late_results += 1
            return
        status = result.status
        if status in _FINAL:
            if pending.attempts > 1:
                self._learn(node_id, pending, now_s)
            pending.done = True
            pending.complete(result)
            return
        pending.node = ""
        if status == pb.UNKNOWN and not pending.is_read:
            self._doubt(pending, now_s)
            return
        if status == pb.FORGOTTEN:
            self._give_up(pending, Failure.UNKNOWN)
            return
        # Everything below was never proposed, or is a read: it may be tried again.
        pending.sent = False
        pending.overloaded = status == pb.OVERLOADED
        if pending.is_eventual:
            self._next_replica(node_id, pending, now_s)
        elif status in (pb.NOT_LEADER, pb.WRONG_PARTITION):
            self._not_leader(node_id, pending, result.leader, now_s)
        else:
            self._delay(pending, now_s)

    def tick(self, now_s: float) -> None:
        """Time has passed: back-offs that are over, probes, deadlines. Called every limits.TICK_MS."""
        if self._delayed:
            due = [pending for at_s, pending in self._delayed if at_s <= now_s]
            if due:
                self._delayed = [entry for entry in self._delayed if entry[0] > now_s]
                for pending in due:
                    self._waiting -= 1
                    if not pending.done:
                        self._again(pending, now_s)
        if (now_s - self._scanned_at_s) * 1000 >= limits.DEADLINE_SCAN_MS:
            self._scanned_at_s = now_s
            self._expire(now_s)
            self._leave_deposed(now_s)
            self._move_late_reads(now_s)
            if self._waiting:
                self._probe(now_s)

    # --- reading ------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Operations that wait here for a leader, a replica or a back-off."""
        return self._waiting

    @property
    def live_nodes(self) -> tuple[str, ...]:
        """Nodes with an open stream."""
        return tuple(self._outstanding)

    def outstanding(self) -> dict[str, int]:
        """Operations given to each live node's stream. Only reads: called from the scrape's thread."""
        return {node_id: len(operations) for node_id, operations in list(self._outstanding.items())}

    def leader_of(self, partition: int) -> tuple[str, int]:
        """The leader believed in and its term; ("", term) when none is known."""
        route = self._routes.get(partition)
        return (route.leader, route.term) if route is not None else ("", 0)

    @property
    def idle(self) -> bool:
        """Nothing is under way and nothing waits."""
        return not self._waiting and not any(self._outstanding.values())

    # --- placing ------------------------------------------------------------------------------------------------

    def _route(self, partition: int) -> Route:
        route = self._routes.get(partition)
        if route is None:
            route = self._routes[partition] = Route()
        return route

    def _place(self, pending: Pending, now_s: float, *, first: bool = False) -> None:
        operation = pending.operation
        route = self._routes.get(operation.partition)
        if route is None:
            route = self._route(operation.partition)
        if pending.is_eventual:
            node_id = self._replica_for(route, pending)
            if node_id:
                self._send(node_id, pending, now_s, first=first)
                return
        elif route.leader in self._outstanding:
            if pending.is_remembered:
                self._address(route.leader, pending, route.term if pending.in_doubt else route.leader_term)
            self._send(route.leader, pending, now_s, first=first)
            return
        self._park(route, pending)

    def _replica_for(self, route: Route, pending: Pending) -> str:
        """The nearest live replica that was not asked yet, a silent one only when there is no other; "" for none."""
        fallback = ""
        for node_id in route.reads:
            if node_id in self._outstanding and node_id not in pending.tried:
                if node_id not in self._shunned:
                    return node_id
                fallback = fallback or node_id
        return fallback

    def _address(self, node_id: str, pending: Pending, term: int) -> None:
        """Say for the leader of which term a write is meant, 0 for any, and of a repeat that it is one. Hot path."""
        operation = pending.operation
        operation.term = term
        node_time = self._node_times.get(node_id, 0)
        if not pending.in_doubt:
            pending.issued_at = node_time
            return
        operation.id = self._next_id()
        operation.is_repeat = True
        operation.issued_at = pending.issued_at
        pending.issued_at = min(pending.issued_at, node_time)

    def _send(self, node_id: str, pending: Pending, now_s: float, *, first: bool) -> None:
        outstanding = self._outstanding[node_id]
        if len(outstanding) < self._in_flight_max:
            # Registered before it is queued: a stream that breaks at once must find it.
            outstanding[pending.operation.id] = pending
            pending.node = node_id
            pending.placed_at_s = now_s
            pending.attempts += 1
            if self._streams.send(node_id, pending):
                if not first:
                    self.retries += 1
                return
            del outstanding[pending.operation.id]
            pending.node = ""
        if first:
            # Back-pressure where it starts: a new operation is refused at once instead of joining a full queue.
            self._give_up(pending, Failure.OVERLOADED)
        else:
            pending.overloaded = True
            self._delay(pending, now_s)

    def _leave(self, pending: Pending, now_s: float) -> None:
        """No answer will come from the stream that this was given to."""
        pending.node = ""
        if pending.sent and not pending.is_read:
            self._doubt(pending, now_s)
        else:
            pending.sent = False
            self._again(pending, now_s)

    def _doubt(self, pending: Pending, now_s: float) -> None:
        """A write that was sent may have been proposed: it is repeated, if that cannot make it happen twice."""
        if not pending.is_remembered or not pending.operation.term:
            self._give_up(pending, Failure.UNKNOWN)
            return
        pending.in_doubt = True
        pending.sent = False
        self.repeats += 1
        if pending.attempts >= 3:
            self._delay(pending, now_s)
        else:
            self._again(pending, now_s)

    def _again(self, pending: Pending, now_s: float) -> None:
        if pending.deadline_s <= now_s:
            self._give_up(pending, self._failure_at_deadline(pending))
        else:
            self._place(pending, now_s)

    # --- waiting ------------------------------------------------------------------------------------------------

    def _park(self, route: Route, pending: Pending) -> None:
        if self._waiting >= self._in_flight_max:
            self._give_up(pending, Failure.OVERLOADED)
            return
        self._waiting += 1
        route.parked.append(pending)

    def _wake(self, route: Route, now_s: float) -> None:
        parked, route.parked = route.parked, deque()
        for pending in parked:
            self._waiting -= 1
            if not pending.done:
                self._again(pending, now_s)

    def _delay(self, pending: Pending, now_s: float) -> None:
        if self._waiting >= self._in_flight_max:
            self._give_up(pending, Failure.OVERLOADED)
            return
        wait_ms = min(limits.RETRY_MS_MAX, limits.RETRY_MS_MIN << min(max(pending.attempts - 2, 0), 8))
        self._waiting += 1
        self._delayed.append((now_s + wait_ms / 1000, pending))

    def _not_leader(self, node_id: str, pending: Pending, hint: str, now_s: float) -> None:
        route = self._route(pending.operation.partition)
        if 0 < pending.operation.term < route.term:
            pass  # the denial is of a leadership that is over, and nothing is said of the one that is known
        elif route.leader == node_id:
            # Without a term the hint is believed only in place of the node that has just denied.
            route.leader = hint if hint != node_id else ""
            route.leader_term = 0
            if route.leader:
                self._wake(route, now_s)
        elif not route.leader and hint and hint != node_id:
            route.leader = hint
            route.leader_term = 0
            self._wake(route, now_s)
        if pending.attempts >= 3:
            # Nodes that point at each other during an election would be asked in a tight circle.
            self._delay(pending, now_s)
        else:
            self._again(pending, now_s)

    def _move_reads(self, old_leader: str, partition: int, now_s: float) -> None:
        """Strong reads that a deposed leader (perhaps paused, with its stream still open) has not answered."""
        outstanding = self._outstanding.get(old_leader, {})
        moved = [
            pending
            for pending in outstanding.values()
            if pending.is_read and pending.operation.partition == partition and not pending.is_eventual
        ]
        for pending in moved:
            del outstanding[pending.operation.id]
            pending.node = ""
            pending.sent = False
            self._again(pending, now_s)

    def _move_late_reads(self, now_s: float) -> None:
        """Eventual reads that their replica has not answered for long go to the next one; a late answer is ignored.

        A node that said nothing at all meanwhile gets no further ones while there are others: each would wait as long.
        A page goes on only when its node has become silent: one that still answers others is at work on it, and would
        not stop, so that every replica would end up with the same work. With no other replica left reads stay: the
        answer may still come before the deadline.
        """
        latest_s = now_s - limits.EVENTUAL_READ_MS_MAX / 1000
        latest_page_s = now_s - limits.EVENTUAL_PAGE_MS_MAX / 1000
        late = []
        for node_id, outstanding in self._outstanding.items():
            heard_at_s = self._heard_at_s.get(node_id, 0.0)
            for pending in outstanding.values():
                if pending.placed_at_s > latest_s and node_id not in self._shunned:
                    break  # in the order in which they were given to the stream
                if not pending.is_eventual:
                    continue
                if pending.operation.kind == pb.GET_EVENTUAL:
                    late.append(pending)
                    if heard_at_s <= pending.placed_at_s <= latest_s:
                        # Silent, and not only slow: the reads after this one leave too, and new ones go elsewhere.
                        self._shunned.add(node_id)
                elif max(heard_at_s, pending.placed_at_s) <= latest_page_s:
                    late.append(pending)
        for pending in late:
            node_id = pending.node
            if self._has_other_replica(node_id, pending):
                del self._outstanding[node_id][pending.operation.id]
                pending.node = ""
                pending.sent = False
                pending.tried |= {node_id}
                self._again(pending, now_s)

    def _has_other_replica(self, node_id: str, pending: Pending) -> bool:
        """Is there a live replica besides `node_id` that has not been asked?"""
        return any(
            other != node_id and other in self._outstanding and other not in pending.tried
            for other in self._route(pending.operation.partition).reads
        )

    def _next_replica(self, node_id: str, pending: Pending, now_s: float) -> None:
        if self._has_other_replica(node_id, pending):
            pending.tried |= {node_id}
            self._again(pending, now_s)
        else:
            pending.tried = frozenset()
            self._delay(pending, now_s)

    def _learn(self, node_id: str, pending: Pending, now_s: float) -> None:
        """A node that was only probed has served a leader's operation."""
        if pending.is_eventual:
            return
        route = self._route(pending.operation.partition)
        if not route.leader:
            route.leader = node_id
            route.leader_term = 0
            self._wake(route, now_s)

    def _probe(self, now_s: float) -> None:
        """For each partition with waiting operations ask one live replica with the first of them."""
        for route in list(self._routes.values()):
            if not route.parked or (now_s - route.probed_at_s) * 1000 < limits.PROBE_MS:
                continue
            live = [node_id for node_id in route.replicas if node_id in self._outstanding]
            if not live:
                continue
            route.probed_at_s = now_s
            route.probe_turn += 1
            pending = route.parked.popleft()
            self._waiting -= 1
            if not pending.done:
                # Counted as tried before, so that success teaches who leads and refusal backs off.
                pending.attempts = max(pending.attempts, 2)
                node_id = live[route.probe_turn % len(live)]
                if pending.is_remembered:
                    self._address(node_id, pending, route.term if pending.in_doubt else 0)
                self._send(node_id, pending, now_s, first=False)

    # --- ending -------------------------------------------------------------------------------------------------

    def _expire(self, now_s: float) -> None:
        for outstanding in self._outstanding.values():
            late = [pending for pending in outstanding.values() if pending.deadline_s <= now_s]
            for pending in late:
                del outstanding[pending.operation.id]
                self._give_up(pending, self._failure_at_deadline(pending))
        self._expire_waiting(now_s)

    def _leave_deposed(self, now_s: float) -> None:
        """Writes given to a node that has been silent since another leads their partition: no answer will come.

        They go to the new leader as repeats, instead of waiting for the deadline; those that cannot be repeated end as
        UNKNOWN, so that the client may go on. A deposed node that still says anything is given its time.
        """
        latest_s = now_s - limits.DEPOSED_SILENCE_MS_MAX / 1000
        left = [
            (outstanding, pending)
            for node_id, outstanding in self._outstanding.items()
            if outstanding and self._heard_at_s.get(node_id, 0.0) <= latest_s
            for pending in outstanding.values()
            if not pending.is_read
            and pending.placed_at_s <= latest_s
            and self._route(pending.operation.partition).has_deposed(node_id, pending)
        ]
        for outstanding, pending in left:
            if not pending.done:
                del outstanding[pending.operation.id]
                self._leave(pending, now_s)

    def _expire_waiting(self, now_s: float) -> None:
        if not self._waiting:
            return
        late = [pending for _, pending in self._delayed if pending.deadline_s <= now_s]
        if late:
            self._delayed = [entry for entry in self._delayed if entry[1].deadline_s > now_s]
        for route in self._routes.values():
            expired = [pending for pending in route.parked if pending.deadline_s <= now_s]
            if expired:
                late += expired
                route.parked = deque(pending for pending in route.parked if pending.deadline_s > now_s)
        self._waiting -= len(late)
        for pending in late:
            self._give_up(pending, self._failure_at_deadline(pending))

    def _failure_at_deadline(self, pending: Pending) -> Failure:
        if pending.node and pending.sent and not pending.is_read:
            return Failure.UNKNOWN
        return Failure.OVERLOADED if pending.overloaded else Failure.NOT_DONE

    def _give_up(self, pending: Pending, failure: Failure) -> None:
        if not pending.done:
            pending.done = True
            pending.give_up(Failure.UNKNOWN if pending.in_doubt else failure)

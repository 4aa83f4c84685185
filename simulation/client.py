"""Routers without retries: they send real operations to real sessions and write down what they are told.

Created by simulation.run. A client follows the leaders that nodes announce, and now and then asks a node that does not
lead. Law: a call that is said not to have happened is not in the history; after silence, a broken stream or UNKNOWN it
stays open.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from dynamo.keys import KeyAttribute, KeySchema
from dynamo.records import encode_record, record_json
from dynamo.values import Item
from histories.records import Action, Call
from simulation.knobs import GROUPS, NODES, Knobs
from simulation.process import Process, SimulatedSession
from simulation.world import World
from wire import data_pb2

TABLE_ID = 7
# All items of a group are one item collection.
TABLE_KEY = KeySchema(KeyAttribute("g", "S"), KeyAttribute("k", "S"))
REGISTERS_PER_GROUP = 4
COUNTERS_PER_GROUP = 2
OPERATIONS_IN_FLIGHT_MAX = 24
ANSWER_TIMEOUT_S = 1.5
# A read that every node is asked: whoever answers strongly has to be right.
ASK_ALL_PROBABILITY = 0.3
_NOTHING_HAPPENED = frozenset(
    (data_pb2.NOT_LEADER, data_pb2.OVERLOADED, data_pb2.UNAVAILABLE, data_pb2.WRONG_PARTITION)
)
_LATENCY_S = (0.0002, 0.002)
_SWAP_CONDITION = "v = :expected"


def keys_of(group_id: int) -> list[str]:
    """The keys of one partition: registers, then counters."""
    registers = [f"g{group_id}r{number}" for number in range(REGISTERS_PER_GROUP)]
    return registers + [f"g{group_id}c{number}" for number in range(COUNTERS_PER_GROUP)]


def group_of(key: str) -> int:
    """The partition of a key."""
    return int(key[1])


@dataclass(slots=True)
class Asked:
    """An operation under way."""

    call: Call
    kind: data_pb2.OperationKind
    link: Link


class Link:
    """A client's stream to one process."""

    __slots__ = ("is_open", "last_answer_at", "last_request_at", "process", "session")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.session: SimulatedSession | None = None
        self.is_open = True
        self.last_request_at = 0.0
        self.last_answer_at = 0.0


def key_item(key: str) -> Item:
    """The key attributes of an item."""
    return {"g": {"S": key[:2]}, "k": {"S": key}}


def to_item(key: str, value: str) -> bytes:
    """The record of the item that holds a register's value."""
    return encode_record({**key_item(key), "v": {"S": value}})


def from_item(item: bytes) -> str | None:
    """The value in a record or in returned attributes (JSON); None: there is no item."""
    if not item:
        return None
    attributes = orjson.loads(item if item.startswith(b"{") else record_json(item))
    text: str = attributes["v"]["S"] if "v" in attributes else attributes["n"]["N"]
    return text


def to_operation(call: Call, kind: data_pb2.OperationKind, number: int) -> data_pb2.Operation:
    """The wire form of a call."""
    operation = data_pb2.Operation(
        id=number,
        partition=group_of(call.key),
        kind=kind,
        table_id=TABLE_ID,
        key=TABLE_KEY.item_key_of_key(key_item(call.key)),
    )
    if call.action is Action.READ:
        return operation
    operation.request_id = number.to_bytes(16, "big")
    if call.sees_old:
        operation.flags = data_pb2.RETURN_OLD
    if call.value is not None:
        operation.item = to_item(call.key, call.value)
    if call.action is Action.SWAP_IF:
        operation.flags = data_pb2.RETURN_OLD_ON_CONDITION_FAILURE
        values = {":expected": {"S": call.expected}}
        operation.expressions = orjson.dumps({"condition": _SWAP_CONDITION, "values": values})
    elif call.action is Action.ADD:
        operation.flags = data_pb2.RETURN_UPDATED_NEW
        operation.item = orjson.dumps(key_item(call.key))
        operation.expressions = orjson.dumps({"update": "ADD n :one", "values": {":one": {"N": "1"}}})
    return operation


class Client:
    """One client of the cluster with a stream to every node."""

    def __init__(self, number: int, world: World, knobs: Knobs, told: Callable[[Call, data_pb2.OperationKind], None]):
        self.name = f"client{number}"
        self.history: list[Call] = []
        self.is_working = False
        self.answered = 0
        self.refused = 0
        self._number = number
        self._world = world
        self._knobs = knobs
        self._told = told
        self._randomness = world.random_stream(self.name)
        # A stubborn client believes one node whatever it hears: the one to catch a leader that is none any more.
        self._favourite = NODES[number % len(NODES)] if knobs.stubborn_clients else None
        self._links: dict[str, Link] = {}
        self._leaders: dict[int, tuple[int, str]] = {}
        self._asked: dict[int, Asked] = {}
        self._operation_number = number << 32
        self._value_number = 0
        self._last_values: dict[str, str] = {}

    # ------------------------------------------------------------------ streams
    def connect(self, process: Process) -> None:
        """Open a stream to a process that just started."""
        link = Link(process)
        link.session = session = SimulatedSession(process, self._number, lambda data: self._sent_back(link, data))
        session.router_id = self.name
        self._links[process.node_id] = link
        self._world.at(self._latency(), lambda: process.post(lambda: process.host.session_opened(session)))
        link.last_request_at = self._world.now + _LATENCY_S[1]

    def disconnected(self, process: Process) -> None:
        """The process died: what is under way there ends unknown, a moment later."""
        link = self._links.pop(process.node_id, None)
        if link is not None:
            self._world.at(self._latency(), lambda: self._broken(link))

    def _broken(self, link: Link) -> None:
        link.is_open = False
        for number in [number for number, asked in self._asked.items() if asked.link is link]:
            self._give_up(number, "stream broke")

    def _latency(self) -> float:
        return self._randomness.uniform(*_LATENCY_S)

    # ------------------------------------------------------------------ asking
    @property
    def waiting(self) -> int:
        """Operations without an answer."""
        return len(self._asked)

    def work(self) -> None:
        """Send a burst, and again after a pause, as long as `is_working`."""
        if not self.is_working:
            return
        by_node: dict[str, list[Call]] = {}
        for _ in range(self._randomness.choice((1, 1, 2, 6))):
            if len(self._asked) + sum(map(len, by_node.values())) >= OPERATIONS_IN_FLIGHT_MAX:
                break
            call = self._choose()
            if call.action is Action.READ and self._randomness.random() < ASK_ALL_PROBABILITY:
                for node_id in NODES:
                    by_node.setdefault(node_id, []).append(replace(call))
            else:
                by_node.setdefault(self._choose_node(group_of(call.key)), []).append(call)
        for node_id, calls in by_node.items():
            self.ask(node_id, calls)
        self._world.at(self._randomness.expovariate(1 / self._knobs.client_pause_s), self.work)

    def _choose(self) -> Call:
        draw = self._randomness
        key = draw.choice(keys_of(draw.choice(GROUPS)))
        now = self._world.now
        if draw.random() < 0.4:
            return Call(key=key, action=Action.READ, invoked_at=now)
        if key[2] == "c":
            return Call(key=key, action=Action.ADD, invoked_at=now)
        if draw.random() < 0.1:
            return Call(key=key, action=Action.DELETE, invoked_at=now, sees_old=draw.random() < 0.5)
        self._value_number += 1
        value = f"{self._number}.{self._value_number}"
        expected = self._last_values.get(key)
        if expected is not None and draw.random() < 0.4:
            return Call(key=key, action=Action.SWAP_IF, invoked_at=now, value=value, expected=expected)
        return Call(key=key, action=Action.PUT, invoked_at=now, value=value, sees_old=draw.random() < 0.3)

    def _choose_node(self, group_id: int) -> str:
        draw = self._randomness.random()
        if self._favourite is not None and draw < 0.25:
            return self._favourite
        if draw > 0.95 or group_id not in self._leaders:
            return self._randomness.choice(NODES)
        return self._leaders[group_id][1]

    def ask(self, node_id: str, calls: list[Call]) -> None:
        """Send `calls` to a node in one frame; not at all while there is no stream to it."""
        link = self._links.get(node_id)
        if link is None or link.session is None:
            return
        frame = data_pb2.RouterFrame()
        numbers = []
        for call in calls:
            kind = self._kind_of(call)
            self._operation_number += 1
            number = self._operation_number
            self._asked[number] = Asked(call, kind, link)
            frame.operations.append(to_operation(call, kind, number))
            numbers.append(number)
        data, session, process = frame.SerializeToString(), link.session, link.process

        def arrive() -> None:
            process.host.operations_arrived(session, list(data_pb2.RouterFrame.FromString(data).operations))

        at = max(self._world.now + self._latency(), link.last_request_at + 1e-7)
        link.last_request_at = at
        self._world.at(at - self._world.now, lambda: process.post(arrive))
        self._world.at(ANSWER_TIMEOUT_S, lambda: self._time_out(numbers))

    def _time_out(self, numbers: list[int]) -> None:
        for number in numbers:
            self._give_up(number, "timed out")

    def _kind_of(self, call: Call) -> data_pb2.OperationKind:
        if call.action is Action.READ:
            return data_pb2.GET_EVENTUAL if self.is_working and self._randomness.random() < 0.4 else data_pb2.GET_STRONG
        if call.action is Action.DELETE:
            return data_pb2.DELETE
        return data_pb2.UPDATE if call.action is Action.ADD else data_pb2.PUT

    # ------------------------------------------------------------------ hearing
    def _sent_back(self, link: Link, data: bytes) -> None:
        at = max(self._world.now + self._latency(), link.last_answer_at + 1e-7)
        link.last_answer_at = at
        self._world.at(at - self._world.now, lambda: self._frame_arrived(link, data))

    def _frame_arrived(self, link: Link, data: bytes) -> None:
        if not link.is_open:
            return
        self._world.witness(data)
        frame = data_pb2.NodeFrame.FromString(data)
        for hint in frame.leaders:
            if hint.leader and hint.term >= self._leaders.get(hint.partition, (0, ""))[0]:
                self._leaders[hint.partition] = (hint.term, hint.leader)
        for result in frame.results:
            asked = self._asked.pop(result.id, None)
            if asked is not None:
                self._answered(asked, result)

    def _answered(self, asked: Asked, result: data_pb2.Result) -> None:
        call, status = asked.call, result.status
        name = data_pb2.ResultStatus.Name(status)
        self._world.tell(
            "{} {} {} {} from {}: {} {!r}",
            *(self.name, call.action.value, call.key, call.value, asked.link.process.node_id, name, result.item),
            group=group_of(call.key),
            key=call.key,
        )
        if status in _NOTHING_HAPPENED:
            self.refused += 1
            return
        if status == data_pb2.UNKNOWN:
            if call.action is Action.READ:
                raise self._world.violation(f"a read was answered UNKNOWN: {call}")
            self._record(asked)
            return
        if status not in (data_pb2.OK, data_pb2.CONDITION_FAILED):
            raise self._world.violation(f"{name} {result.message} for {call}")
        self.answered += 1
        call.returned_at = self._world.now
        call.failed = status == data_pb2.CONDITION_FAILED
        call.observed = from_item(result.item)
        self._record(asked)
        known = call.value if call.value is not None and not call.failed else call.observed
        if known is not None and call.action is not Action.ADD:
            self._last_values[call.key] = known

    def _give_up(self, number: int, why: str) -> None:
        asked = self._asked.pop(number, None)
        if asked is not None:
            call = asked.call
            self._world.tell(
                "{} {} {} {}: {}",
                *(self.name, call.action.value, call.key, call.value, why),
                group=group_of(call.key),
                key=call.key,
            )
            call.returned_at = math.inf
            self._record(asked)

    def _record(self, asked: Asked) -> None:
        self._told(asked.call, asked.kind)
        if asked.kind != data_pb2.GET_EVENTUAL:
            self.history.append(asked.call)

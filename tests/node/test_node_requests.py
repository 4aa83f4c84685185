"""What a partition remembers of applied request ids: by the log alone, over restarts and snapshots, for its window."""

from __future__ import annotations

import pytest

from node.machine import requests
from node.machine.requests import Remembered, RequestMemory
from node.machine.state import LOG_ENTRY_VERSION, UNREMEMBERED_VERSION, PartitionState, WithoutEffect
from node.storage import keyspace
from node.storage.memory import MemoryStore
from replication.ports import Family
from runtime.clock import HybridClock, ManualClock
from topology.requests import REQUEST_MEMORY_MS
from wire import data_pb2, log_pb2

pytestmark = pytest.mark.unit

GROUP = 4
START_MS = 1_000_000


def request(number: int) -> bytes:
    return number.to_bytes(16, "big")


def entry(at_ms: int, *numbers: int, version: int = LOG_ENTRY_VERSION, answer: bytes = b"", table: int = 1) -> bytes:
    """An entry in which request N writes N under a key of its own."""
    message = log_pb2.LogEntry(version=version, hybrid_time=(START_MS + at_ms) << 16)
    for number in numbers:
        mutation = message.mutations.add(table_id=table, key=b"k%d" % number, item=b"%d" % number)
        mutation.request_id = request(number)
        if answer:
            result = data_pb2.Result(status=data_pb2.OK, item=answer + b"%d" % number)
            message.answers.add(place=len(message.mutations) - 1, answer=result)
    return message.SerializeToString()


def test_an_entry_that_answers_what_is_not_remembered_is_applied_all_the_same() -> None:
    mixed = log_pb2.LogEntry.FromString(entry(0, 1, answer=b"a"))
    mixed.mutations.add(table_id=1, key=b"without", item=b"an id")
    for place in (1, 7):
        mixed.answers.add(place=place, answer=data_pb2.Result(status=data_pb2.OK))
    replica = Replica()
    replica.apply(mixed.SerializeToString(), entry(1, 2))
    assert replica.state.answer_again(request(1)).item == b"a1"
    assert replica.state.answer_again(request(2)) is not None


class Replica:
    """A state that applies entries one after the other, each in a batch of its own."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store if store is not None else MemoryStore()
        self.open()

    def open(self) -> None:
        self.state = PartitionState(self.store, GROUP, HybridClock(ManualClock()))

    def apply(self, *payloads: bytes) -> object:
        result = None
        for payload in payloads:
            result = self.state.apply(self.state.applied_index + 1, payload)
            self.end_turn()
        return result

    def end_turn(self) -> None:
        self.state.flush()
        self.store.write_batch()
        self.state.batch_written()

    def install(self, source: Replica) -> None:
        installer = self.state.begin_install()
        for key, value in source.state.snapshot():
            installer.put(key, value)
        installer.commit(source.state.applied_index)
        self.end_turn()

    def knows(self, *numbers: int) -> list[bool]:
        return [self.state.answer_again(request(number)) is not None for number in numbers]

    def records(self) -> int:
        start, end = keyspace.generation_range(GROUP, self.state.generation)
        return len(list(self.store.scan(Family.OUTBOX, start, end)))

    def contents(self) -> dict[bytes, bytes]:
        return dict(self.state.snapshot())


def test_applied_requests_are_remembered_and_others_are_not() -> None:
    replica = Replica()
    replica.apply(entry(0, 1, 2), entry(1, 3))
    assert replica.knows(1, 2, 3, 4) == [True, True, True, False]
    assert replica.records() == 2, "one record an entry"


def test_a_request_that_is_applied_has_no_effect_again_wherever_it_stands() -> None:
    replica = Replica()
    replica.apply(entry(0, 1))
    later = log_pb2.LogEntry.FromString(entry(1, 1, 2, 2))
    later.mutations[0].item = later.mutations[2].item = b"again"
    assert replica.apply(later.SerializeToString()) == WithoutEffect(frozenset(), frozenset({0, 2}))
    assert [replica.state.get(keyspace.item_key(1, b"k%d" % number)) for number in (1, 2)] == [b"1", b"2"]


def test_writes_without_a_request_id_are_not_remembered() -> None:
    replica = Replica()
    message = log_pb2.LogEntry(version=LOG_ENTRY_VERSION, hybrid_time=5)
    for _ in range(2):
        message.mutations.add(table_id=1, key=b"k", item=b"v")
    assert replica.apply(message.SerializeToString()) is None
    assert replica.records() == 0


def test_a_write_to_a_table_that_is_gone_is_not_remembered_as_applied() -> None:
    replica = Replica()
    drop = log_pb2.LogEntry(version=LOG_ENTRY_VERSION, hybrid_time=5)
    drop.drop_tables.add(table_id=2)
    assert replica.apply(drop.SerializeToString(), entry(0, 1, table=2)) == WithoutEffect(frozenset({0}), frozenset())
    assert replica.knows(1) == [False]


@pytest.mark.parametrize("how", ["applied", "restarted", "installed", "installed and restarted"])
def test_it_survives_and_answers_as_the_first_time(how: str) -> None:
    source = Replica()
    source.apply(entry(0, 1, 2, answer=b"old "), entry(1, 3))
    replica = source
    if "installed" in how:
        replica = Replica()
        replica.apply(entry(0, 8))
        replica.install(source)
        assert replica.knows(8) == [False], "of a state that was replaced"
    if "restarted" in how:
        replica.open()
    second, third = (replica.state.answer_again(request(number)) for number in (2, 3))
    assert second == data_pb2.Result(status=data_pb2.OK, item=b"old 2")
    assert third == data_pb2.Result(status=data_pb2.OK)
    assert replica.contents() == source.contents()


def test_reads_of_a_replaced_state_answer_until_the_switch_is_written() -> None:
    source, replica = Replica(), Replica()
    source.apply(entry(0, 1, answer=b"x"))
    replica.install(source)
    assert replica.state.answer_again(request(1)).item == b"x1"


def test_what_falls_out_of_the_window_goes_by_range_and_leaves_its_time() -> None:
    replica = Replica()
    slack_ms = REQUEST_MEMORY_MS // requests.SPARED
    replica.apply(entry(0, 1), entry(10, 2), entry(REQUEST_MEMORY_MS, 3), entry(REQUEST_MEMORY_MS + slack_ms, 4))
    assert replica.knows(1, 2, 3, 4) == [True] * 4
    assert replica.state.forgotten_time == 0
    replica.apply(entry(REQUEST_MEMORY_MS + slack_ms + 1, 5))
    assert replica.knows(1, 2, 3, 4, 5) == [False, False, True, True, True]
    assert replica.records() == 3 + 1
    assert replica.state.forgotten_time == (START_MS + 10) << 16
    replica.open()
    assert replica.knows(1, 2, 3, 4, 5) == [False, False, True, True, True]
    assert replica.state.forgotten_time == (START_MS + 10) << 16
    other = Replica()
    other.install(replica)
    assert other.state.forgotten_time == (START_MS + 10) << 16


@pytest.mark.parametrize("limit", ["REQUESTS_MAX", "RECORD_BYTES_MAX"])
def test_it_is_bounded_in_number_and_bytes(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(requests, limit, 16 if limit == "REQUESTS_MAX" else 16 * 28)
    replica = Replica()
    held = []
    for number in range(100):
        replica.apply(entry(number, number))
        held.append(replica.records())
        assert replica.knows(number) == [True]
    assert max(held) <= 17
    assert replica.state.forgotten_time > 0
    newest = [number for number in range(100) if replica.knows(number) == [True]]
    assert newest == list(range(100 - len(newest), 100))


def test_an_entry_that_is_too_much_by_itself_is_forgotten_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "REQUESTS_MAX", 8)
    replica = Replica()
    replica.apply(entry(0, *range(20)))
    assert (replica.knows(0, 19), replica.records()) == ([False, False], 1)
    replica.apply(entry(1, 30))
    assert replica.knows(30) == [True]


def test_replicas_that_took_different_ways_hold_the_same_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "REQUESTS_MAX", 16)
    steady, restarted, late = Replica(), Replica(), Replica()
    for number in range(120):
        payload = entry(number * 1500, number, 1000 + number, answer=b"a" if number % 3 else b"")
        steady.apply(payload)
        restarted.apply(payload)
        if number % 7 == 0:
            restarted.open()
        if number == 60:
            late.install(steady)
        elif number > 60:
            late.apply(payload)
        assert restarted.contents() == steady.contents()
    assert late.contents() == steady.contents()


def test_entries_from_before_are_applied_and_not_remembered_whoever_applies_them() -> None:
    replica = Replica()
    replica.apply(entry(0, 1, version=UNREMEMBERED_VERSION))
    assert replica.state.get(keyspace.item_key(1, b"k1")) == b"1"
    assert (replica.knows(1), replica.records()) == ([False], 0)


def test_an_answer_that_is_not_written_yet_is_not_taken_for_a_write_that_was_not_applied() -> None:
    store = MemoryStore()
    memory = RequestMemory(store)
    prefix = keyspace.prefix(GROUP, 1)
    answer = data_pb2.Result(status=data_pb2.OK, item=b"x")
    entry = Remembered(7, 5, [request(1)])
    memory.applied[request(1)] = entry
    memory.remember(prefix, entry, {request(1): answer})
    with pytest.raises(KeyError):
        memory.answer(prefix, request(1))
    store.write_batch()
    assert memory.answer(prefix, request(1)) == answer

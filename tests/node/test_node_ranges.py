"""Pages of Query and Scan on a node: what a reader evaluates, how reads share the loop, what a replica answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamo.errors import DynamoError
from dynamo.limits import PAGE_BYTES_MAX
from dynamo.records import encode_record
from dynamo.values import Item, decode_item, item_size
from node import range_turns, ranges
from node.machine.state import PartitionState
from node.range_turns import CALLBACK_S, CALLBACK_UNITS, READ_S_MAX, RangeTurns
from node.ranges import Page, RangeReader, Rows, TableGone
from node.sessions import QUEUED_BYTES_MAX, RouterSession
from node.storage import keyspace
from node.storage.memory import MemoryStore
from node.storage.rocks import RocksStore
from replication.ports import Family, Store
from runtime.clock import HybridClock, ManualClock
from simulation.quiet import QuietCluster
from wire import data_pb2, log_pb2

pytestmark = pytest.mark.unit

GROUP, TABLE, INDEX = 4, 7, 9
UNITS = 1 << 30


class Shelf:
    """One replica's state with rows put straight into its store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.state = PartitionState(store, GROUP, HybridClock(ManualClock()))

    def put(self, key: bytes, item: Item, *, table_id: int = TABLE) -> None:
        self._put(keyspace.item_key(table_id, key), encode_record(item))

    def point(self, entry_key: bytes, item_key: bytes, size: int) -> None:
        """An entry of the local index."""
        self._put(keyspace.item_key(INDEX, entry_key), size.to_bytes(4, "big") + item_key)

    def _put(self, logical_key: bytes, value: bytes) -> None:
        self.store.put(Family.DATA, keyspace.prefix(GROUP, self.state.generation) + logical_key, value)
        self.store.write_batch()

    def page(self, units: int = UNITS, **asked: Any) -> Page:
        reader = reader_of(self.state, **asked)
        while not reader.is_done:
            reader.step(units)
        return reader.page()


def reader_of(rows: Rows, **asked: Any) -> RangeReader:
    return RangeReader(rows, operation(**asked), ManualClock().monotonic)


def operation(
    *, expressions: dict[str, Any] | None = None, kind: data_pb2.OperationKind = data_pb2.RANGE_EVENTUAL, **asked: Any
) -> data_pb2.Operation:
    fields = {"key_names": ["k"], "bytes_max": PAGE_BYTES_MAX, **asked}
    return data_pb2.Operation(
        id=1,
        partition=GROUP,
        kind=kind,
        table_id=TABLE,
        expressions=orjson.dumps(expressions) if expressions else b"",
        range=data_pb2.RangeRead(**fields),
    )


def numbered(number: int, **more: Any) -> Item:
    return {"k": {"S": f"{number:03d}"}, "v": {"S": f"{number:03d}"}, **more}


def key_of(number: int) -> bytes:
    return b"%03d" % number


def items_of(page: Page | data_pb2.Result) -> list[Item]:
    encoded = page.items if isinstance(page, Page) else page.item
    items: list[Item] = orjson.loads(b"[" + encoded + b"]")
    return items


def numbers_of(page: Page | data_pb2.Result) -> list[int]:
    return [int(item["v"]["S"]) for item in items_of(page)]


def last_of(page: Page | data_pb2.Result) -> int | None:
    return int(decode_item(page.last_key)["k"]["S"]) if page.last_key else None


@pytest.fixture(params=["rocks", "memory"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    store: Store = (
        RocksStore(tmp_path, memtable_bytes=1 << 20, block_cache_bytes=1 << 20)
        if request.param == "rocks"
        else MemoryStore()
    )
    yield Shelf(store)
    store.close()


@pytest.fixture
def ten(shelf: Shelf) -> Shelf:
    """Ten rows of one size, with neighbours in other tables."""
    for number in range(10):
        shelf.put(key_of(number), numbered(number))
    shelf.put(b"", {"k": {"S": "next table"}}, table_id=TABLE + 1)
    shelf.put(b"\xff", {"k": {"S": "table before"}}, table_id=TABLE - 1)
    return shelf


SIZE = item_size(numbered(0))
ALL = list(range(10))


# ---------------------------------------------------------------------------------------------- which entries
@pytest.mark.parametrize(
    ("asked", "numbers", "last"),
    [
        pytest.param({}, ALL, None, id="everything of the table and nothing of its neighbours"),
        pytest.param({"backward": True}, ALL[::-1], None, id="everything backward"),
        pytest.param({"start": b"003", "end": b"006"}, [3, 4, 5], None, id="start inclusive, end exclusive"),
        pytest.param({"start": b"003", "end": b"006", "backward": True}, [5, 4, 3], None, id="the same backward"),
        pytest.param({"start": b"0035", "end": b"0055"}, [4, 5], None, id="bounds between keys"),
        pytest.param({"start": b"0035", "end": b"0055", "backward": True}, [5, 4], None, id="between keys, backward"),
        pytest.param({"start": b"5", "end": b"6"}, [], None, id="an empty range has no last key"),
        pytest.param({"limit": 3}, [0, 1, 2], 2, id="a limit ends the page"),
        pytest.param({"limit": 3, "backward": True}, [9, 8, 7], 7, id="a limit backward"),
        pytest.param({"limit": 10}, ALL, 9, id="a limit reached by the last entry still gives a last key"),
        pytest.param({"limit": 11}, ALL, None, id="a limit that is not reached gives none"),
        pytest.param({"bytes_max": 3 * SIZE}, [0, 1, 2], 2, id="the entry that reaches the bytes is in the page"),
        pytest.param(
            {"bytes_max": 3 * SIZE + 1}, [0, 1, 2, 3], 3, id="the entry that crosses the bytes is in the page"
        ),
        pytest.param({"bytes_max": 10 * SIZE}, ALL, 9, id="bytes reached by the last entry still give a last key"),
        pytest.param({"bytes_max": 1}, [0], 0, id="a page has at least one entry"),
        pytest.param({"bytes_max": 5 * SIZE, "limit": 2}, [0, 1], 1, id="whatever is reached first: limit"),
        pytest.param({"bytes_max": 2 * SIZE, "limit": 5}, [0, 1], 1, id="whatever is reached first: bytes"),
    ],
)
@pytest.mark.parametrize("units", [1, 20, UNITS], ids=["an entry a slice", "some entries a slice", "one slice"])
def test_a_page_holds(ten: Shelf, asked: dict[str, Any], numbers: list[int], last: int | None, units: int) -> None:
    page = ten.page(units, **asked)
    assert (numbers_of(page), last_of(page)) == (numbers, last)
    assert (page.count, page.scanned, page.bytes_read) == (len(numbers), len(numbers), len(numbers) * SIZE)


def test_a_page_never_exceeds_one_megabyte_whatever_is_asked(shelf: Shelf) -> None:
    for number in range(5):
        shelf.put(key_of(number), numbered(number, fill={"S": "x" * 350_000}))
    assert [numbers_of(shelf.page(bytes_max=bytes_max)) for bytes_max in (0, 1 << 31)] == [[0, 1, 2]] * 2


def test_items_are_passed_on_as_they_lie(shelf: Shelf) -> None:
    item: Item = {"z": {"L": [{"NULL": True}, {"B": "AA=="}]}, "k": {"S": "ü"}, "a": {"N": "1.5"}}
    shelf.put(b"k", item)
    assert shelf.page().items == encode_record(item)[4:]


# ---------------------------------------------------------------------------------------------- expressions
EVEN = {"filter": "v IN (:a, :b, :c)", "values": {":a": {"S": "000"}, ":b": {"S": "002"}, ":c": {"S": "004"}}}


@pytest.mark.parametrize(
    ("asked", "numbers", "scanned", "last"),
    [
        pytest.param({}, [0, 2, 4], 10, None, id="a filter takes out what was counted"),
        pytest.param({"limit": 4}, [0, 2], 4, 3, id="a limit counts before the filter, and ends at what it took out"),
        pytest.param({"bytes_max": 2 * SIZE}, [0], 2, 1, id="so do the bytes"),
        pytest.param({"start": b"005"}, [], 5, None, id="nothing passes"),
    ],
)
def test_a_filtered_page_holds(
    ten: Shelf, asked: dict[str, Any], numbers: list[int], scanned: int, last: int | None
) -> None:
    page = ten.page(expressions=EVEN, **asked)
    assert (numbers_of(page), last_of(page)) == (numbers, last)
    assert (page.count, page.scanned, page.bytes_read) == (len(numbers), scanned, scanned * SIZE)
    counted = ten.page(expressions=EVEN, count_only=True, **asked)
    assert counted == Page(b"", page.count, page.scanned, page.bytes_read, 0, page.last_key)


def test_counting_answers_no_items(ten: Shelf) -> None:
    assert ten.page(count_only=True, limit=4) == Page(b"", 4, 4, 4 * SIZE, 0, b'{"k":{"S":"003"}}')


def test_a_projection_is_answered_but_the_whole_item_is_filtered_and_counted(ten: Shelf) -> None:
    page = ten.page(expressions={**EVEN, "projection": "#k", "names": {"#k": "k"}})
    assert items_of(page) == [{"k": {"S": f"00{number}"}} for number in (0, 2, 4)]
    assert page.bytes_read == 10 * SIZE


def test_an_expression_the_router_should_have_refused_is_a_validation_error(ten: Shelf) -> None:
    with pytest.raises(DynamoError, match="Invalid FilterExpression"):
        ten.page(expressions={"filter": "v = :undefined"})


# ---------------------------------------------------------------------------------------------- local indexes
HELD = ["k", "v"]


@pytest.fixture
def indexed(shelf: Shelf) -> Shelf:
    """Six items, indexed in reverse order; entries hold k and v, 100 bytes by their own account."""
    for number in range(6):
        shelf.put(key_of(number), numbered(number, more={"S": "m" * 5000}))
        shelf.point(key_of(9 - number), key_of(number), 100)
    return shelf


@pytest.mark.parametrize(
    ("asked", "numbers", "has_more", "units", "last"),
    [
        pytest.param({}, [5, 4, 3, 2, 1, 0], True, 0, None, id="an index of whole items"),
        pytest.param({"projected": HELD}, [5, 4, 3, 2, 1, 0], False, 0, None, id="only what the index holds"),
        pytest.param({"projected": HELD, "fetch": True, "limit": 2}, [5, 4], True, 4, 4, id="the rest is fetched"),
        pytest.param({"projected": HELD, "backward": True, "limit": 2}, [0, 1], False, 0, 1, id="backward"),
        pytest.param(
            {"projected": HELD, "bytes_max": 250}, [5, 4, 3], False, 0, 3, id="bytes are those of the entries"
        ),
        pytest.param({"start": b"005", "end": b"007"}, [4, 3], True, 0, None, id="a range of index keys"),
    ],
)
@pytest.mark.parametrize("slice_units", [1, UNITS], ids=["an entry a slice", "one slice"])
def test_a_page_of_a_local_index_holds(
    indexed: Shelf,
    asked: dict[str, Any],
    numbers: list[int],
    has_more: bool,
    units: int,
    last: int | None,
    slice_units: int,
) -> None:
    page = indexed.page(slice_units, index_id=INDEX, **asked)
    assert (numbers_of(page), last_of(page)) == (numbers, last)
    assert [set(item) for item in items_of(page)] == [{"k", "v", "more"} if has_more else {"k", "v"}] * len(numbers)
    assert (page.scanned, page.bytes_read, page.fetched_units) == (len(numbers), 100 * len(numbers), units)


@pytest.mark.parametrize(
    ("fetch", "count"), [pytest.param(False, 0, id="what the index lacks"), pytest.param(True, 6, id="what it fetches")]
)
def test_a_filter_sees_of_a_local_index(indexed: Shelf, fetch: bool, count: int) -> None:
    asked: dict[str, Any] = {"index_id": INDEX, "projected": HELD, "fetch": fetch}
    expressions = {"filter": "attribute_exists(more)"}
    assert indexed.page(expressions=expressions, **asked).count == count
    assert indexed.page(expressions=expressions, count_only=True, **asked).count == count


def test_counting_a_local_index_charges_what_it_fetches(indexed: Shelf) -> None:
    assert indexed.page(index_id=INDEX, count_only=True) == Page(b"", 6, 6, 600, 0, b"")
    fetched = indexed.page(index_id=INDEX, count_only=True, fetch=True, projected=HELD, limit=3)
    assert fetched == Page(b"", 3, 3, 300, 6, b'{"k":{"S":"003"}}')


def test_an_entry_without_its_item_is_a_fault_not_an_answer(shelf: Shelf) -> None:
    shelf.point(b"entry", b"nothing", 10)
    with pytest.raises(LookupError, match="points to an item"):
        shelf.page(index_id=INDEX)


# ---------------------------------------------------------------------------------------------- between slices
def test_a_page_goes_on_in_a_state_that_was_installed_meanwhile(ten: Shelf) -> None:
    """An item that was changed is read once, old or new; the index entry and its item are never of two states."""
    for number in range(10):
        ten.point(key_of(number), key_of(number), 10)
    rows, entries = (
        reader_of(ten.state),
        reader_of(ten.state, index_id=INDEX, backward=True),
    )
    rows.step(1)
    entries.step(1)
    installer = ten.state.begin_install()
    for number in range(0, 10, 3):
        item = encode_record(numbered(number + 100))
        installer.put(keyspace.item_key(TABLE, key_of(number)), item)
        installer.put(keyspace.item_key(INDEX, key_of(number)), (10).to_bytes(4, "big") + key_of(number))
    installer.commit(50)
    ten.state.flush()
    ten.store.write_batch()
    ten.state.batch_written()
    for reader in (rows, entries):
        while not reader.is_done:
            reader.step(1)
    assert numbers_of(rows.page()) == [0, 103, 106, 109]
    assert numbers_of(entries.page()) == [9, 106, 103, 100]


@pytest.mark.parametrize("dropped", [TABLE, INDEX], ids=["table", "index"])
def test_what_is_dropped_between_slices_is_gone(indexed: Shelf, dropped: int) -> None:
    reader = reader_of(indexed.state, index_id=INDEX)
    reader.step(1)
    indexed.state.dropped_tables.add(dropped)
    with pytest.raises(TableGone):
        reader.step(1)


# ---------------------------------------------------------------------------------------------- random pages
ROWS = st.dictionaries(st.binary(min_size=1, max_size=2), st.integers(0, 40), max_size=25)


def expected_page(rows: dict[bytes, int], asked: dict[str, Any], filtered: bool) -> Page:
    """The same by the simplest means."""
    chosen = sorted(key for key in rows if asked["start"] <= key and (not asked["end"] or key < asked["end"]))
    if asked["backward"]:
        chosen.reverse()
    items, bytes_read, scanned, last_key = [], 0, 0, b""
    for key in chosen:
        item = item_at(key, rows[key])
        scanned, bytes_read = scanned + 1, bytes_read + item_size(item)
        if not filtered or len(item["v"]["S"]) > 20:
            items.append(orjson.dumps(item))
        if scanned == asked["limit"] or bytes_read >= asked["bytes_max"]:
            last_key = orjson.dumps({"k": item["k"]})
            break
    return Page(b",".join(items), len(items), scanned, bytes_read, 0, last_key)


def item_at(key: bytes, length: int) -> Item:
    return {"k": {"S": key.hex()}, "v": {"S": "x" * length}}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS,
    asked=st.fixed_dictionaries(
        {
            "start": st.binary(max_size=2),
            "end": st.binary(max_size=2),
            "backward": st.booleans(),
            "limit": st.integers(0, 8),
            "bytes_max": st.integers(1, 400),
        }
    ),
    filtered=st.booleans(),
    units=st.integers(1, 100),
)
@pytest.mark.parametrize("kind", ["rocks", "memory"])
def test_a_random_page_is_what_a_sorted_list_gives(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    rows: dict[bytes, int],
    asked: dict[str, Any],
    filtered: bool,
    units: int,
) -> None:
    folder = tmp_path_factory.mktemp("page")
    store: Store = RocksStore(folder, memtable_bytes=1 << 20) if kind == "rocks" else MemoryStore()
    try:
        shelf = Shelf(store)
        for key, length in rows.items():
            shelf.put(key, item_at(key, length))
        expressions = {"filter": "size(v) > :n", "values": {":n": {"N": "20"}}} if filtered else None
        page = shelf.page(units, expressions=expressions, **asked)
        assert page == expected_page(rows, asked, filtered)
    finally:
        store.close()


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, limit=st.integers(1, 5), backward=st.booleans(), units=st.integers(1, 40))
def test_pages_one_after_the_other_hold_every_row_once(
    rows: dict[bytes, int], limit: int, backward: bool, units: int
) -> None:
    shelf = Shelf(MemoryStore())
    for key, length in rows.items():
        shelf.put(key, item_at(key, length))
    seen, start, end = [], b"", b""
    for _page in range(len(rows) + 1):
        page = shelf.page(units, start=start, end=end, limit=limit, backward=backward)
        seen += [bytes.fromhex(item["k"]["S"]) for item in items_of(page)]
        if not page.last_key:
            break
        start, end = (start, seen[-1]) if backward else (seen[-1] + b"\x00", end)
    assert seen == sorted(rows, reverse=backward)


# ---------------------------------------------------------------------------------------------- sharing the loop
class Turns:
    """RangeTurns with callbacks that run when the test says so, and a session that keeps what it is told.

    Time stands still but for the item reads of an index, each of which takes `read_s`.
    """

    def __init__(self, rows: int, read_s: float = 0.0) -> None:
        self.clock = ManualClock()
        self._read_s = read_s
        self.shelf = Shelf(MemoryStore())
        for number in range(rows):
            self.shelf.put(b"%06d" % number, numbered(number))
        self.callbacks = 0
        self.turns = RangeTurns(self._called, self.clock.monotonic)
        self.session = RouterSession(lambda _session: None)
        self._next_id = 0

    def _called(self) -> None:
        self.callbacks += 1

    # -- node.ranges.Rows
    @property
    def dropped_tables(self) -> set[int]:
        return self.shelf.state.dropped_tables

    def scan(self, start: bytes, end: bytes, *, backward: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return self.shelf.state.scan(start, end, backward=backward)

    def get(self, logical_key: bytes) -> bytes | None:
        self.clock.advance(self._read_s)
        return self.shelf.state.get(logical_key)

    def ask(self, **asked: Any) -> int:
        self._next_id += 1
        asked_operation = operation(**asked)
        asked_operation.id = self._next_id
        self.turns.read(self, self.session, asked_operation)
        return self._next_id

    def run_all(self) -> int:
        """Run callbacks until none is wanted; how many there were."""
        runs = 0
        while self.callbacks:
            assert self.callbacks == 1, "never more than one is under way"
            self.callbacks = 0
            runs += 1
            self.turns.run()
        return runs

    def answers(self) -> dict[int, data_pb2.Result]:
        """What was answered since the last call, in order."""
        results: dict[int, data_pb2.Result] = {}
        while (frame := self.session.take_frame()).results:
            results |= {result.id: result for result in frame.results}
        return results


def test_a_small_read_is_answered_at_once() -> None:
    turns = Turns(50)
    number = turns.ask()
    assert numbers_of(turns.answers()[number]) == list(range(50))
    turns.run_all()
    assert turns.answers() == {}


def test_a_long_read_takes_several_callbacks_and_small_ones_are_answered_before_it() -> None:
    turns = Turns(5 * CALLBACK_UNITS)
    long = turns.ask()
    small = [turns.ask(limit=3) for _ in range(4)]
    assert turns.answers() == {}, "the first took what there was for this callback"
    turns.callbacks = 0
    turns.turns.run()
    assert list(turns.answers()) == small
    assert turns.run_all() >= 4
    assert turns.answers()[long].count == 5 * CALLBACK_UNITS
    assert turns.turns.under_way == 0


def test_pages_of_a_replica_that_leaves_are_refused_and_not_cut_short() -> None:
    turns = Turns(5 * CALLBACK_UNITS)
    begun, waiting = turns.ask(), turns.ask()
    assert turns.turns.under_way == 2
    turns.turns.drop(Turns(1))
    assert turns.answers() == {}, "of another replica"
    turns.turns.drop(turns)
    assert {number: result.status for number, result in turns.answers().items()} == dict.fromkeys(
        (begun, waiting), data_pb2.WRONG_PARTITION
    )
    turns.run_all()
    assert (turns.answers(), turns.turns.under_way) == ({}, 0)


def test_long_reads_take_turns() -> None:
    turns = Turns(8 * CALLBACK_UNITS)
    numbers = [turns.ask(limit=limit * CALLBACK_UNITS) for limit in (8, 4, 1)]
    turns.run_all()
    assert list(turns.answers()) == numbers[::-1]


def test_reads_beyond_the_limits_are_refused_and_the_rest_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_turns, "READS_WAITING_MAX", 3)
    monkeypatch.setattr(range_turns, "READS_OPEN_MAX", 2)
    turns = Turns(3 * CALLBACK_UNITS)
    numbers = [turns.ask() for _ in range(6)]
    assert {number: result.status for number, result in turns.answers().items()} == dict.fromkeys(
        numbers[4:], data_pb2.OVERLOADED
    )
    turns.run_all()
    statuses = {number: result.status for number, result in turns.answers().items()}
    assert statuses == dict.fromkeys(numbers[:4], data_pb2.OK), "what was taken is not refused half way"
    assert turns.session.in_flight == -6


def test_a_read_is_not_begun_while_as_many_are_open_as_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    class Counted(RangeReader):
        def __init__(self, rows: Rows, asked: data_pb2.Operation, monotonic: Callable[[], float]) -> None:
            begun.append(asked.id)
            super().__init__(rows, asked, monotonic)

    monkeypatch.setattr(range_turns, "RangeReader", Counted)
    monkeypatch.setattr(range_turns, "READS_OPEN_MAX", 1)
    turns = Turns(3 * CALLBACK_UNITS)
    first, second = turns.ask(), turns.ask(limit=1)
    for _callback in range(2):
        turns.callbacks = 0
        turns.turns.run()
        assert begun == [first]
    turns.run_all()
    assert begun == [first, second]
    assert list(turns.answers()) == [first, second]


def test_a_callback_ends_when_its_time_is_up_whatever_its_units() -> None:
    turns = Turns(12, read_s=CALLBACK_S / 4)
    for number in range(12):
        turns.shelf.point(key_of(number), b"%06d" % number, 10)
    for _read in range(2):
        turns.ask(index_id=INDEX)
    spent = []
    while turns.callbacks:
        turns.callbacks = 0
        started_s = turns.clock.monotonic()
        turns.turns.run()
        spent.append(turns.clock.monotonic() - started_s)
    assert len(spent) >= 5
    assert max(spent) <= CALLBACK_S * 1.5
    assert [result.count for result in turns.answers().values()] == [12, 12]


def test_a_costly_entry_is_the_last_of_its_slice() -> None:
    turns = Turns(4, read_s=1.0)
    for number in range(4):
        turns.shelf.point(key_of(number), b"%06d" % number, 10)
    turns.ask(index_id=INDEX)
    assert turns.clock.monotonic() == ManualClock().monotonic() + 1.0


@pytest.mark.parametrize("waits", ["begun", "not begun"])
def test_a_read_that_nobody_waits_for_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch, waits: str) -> None:
    monkeypatch.setattr(range_turns, "READS_OPEN_MAX", 1)
    turns = Turns(3 * CALLBACK_UNITS)
    numbers = [turns.ask(), turns.ask()]
    turns.clock.advance(READ_S_MAX)
    turns.callbacks = 0
    turns.turns.run()
    assert turns.answers() == {}, "a router may wait that long"
    turns.clock.advance(0.01)
    turns.run_all()
    statuses = {number: result.status for number, result in turns.answers().items()}
    assert statuses[numbers[waits == "not begun"]] == data_pb2.OVERLOADED
    assert turns.turns.under_way == 0


def test_a_filter_cannot_keep_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three items of 400 KB, and a filter that asks each a hundred and fifty times for an element of its list."""
    turns = Turns(0)
    document: Item = {"k": {"S": "x"}, "l": {"L": [{"M": {}} for _ in range(97_000)]}}
    for number in range(3):
        turns.shelf.put(key_of(number), document)
    expressions = {"filter": " or ".join(["contains(l,:v)"] * 150), "values": {":v": {"N": "1"}}}
    looked_through = 0

    class Watched(dict[str, Any]):
        def __contains__(self, name: object) -> bool:
            nonlocal looked_through
            looked_through += 1
            return super().__contains__(name)

    def decoded(encoded: bytes) -> Item:
        item = decode_item(encoded)
        item["l"]["L"] = [Watched(element) for element in item["l"]["L"]]
        return item

    monkeypatch.setattr(ranges, "decode_item", decoded)
    number = turns.ask(expressions=expressions)
    turns.run_all()
    result = turns.answers()[number]
    assert (result.scanned, result.count) == (3, 0)
    assert looked_through == 3 * 97_000, "once for each element, not for each time that the filter asks"


def test_nothing_more_is_read_for_a_router_that_went_away() -> None:
    turns = Turns(3 * CALLBACK_UNITS)
    turns.ask()
    turns.ask()
    turns.session.closed = True
    assert turns.run_all() <= 2
    assert (turns.answers(), turns.turns.under_way) == ({}, 0)


def test_a_router_that_does_not_take_its_answers_gets_no_more() -> None:
    turns = Turns(3)
    turns.session.queued_bytes = QUEUED_BYTES_MAX
    number = turns.ask()
    assert turns.answers()[number].status == data_pb2.OVERLOADED


def test_pages_count_as_queued_bytes_until_they_are_sent() -> None:
    turns = Turns(100)
    number = turns.ask(limit=50)
    queued = turns.session.queued_bytes
    result = turns.answers()[number]
    assert queued == len(result.item) + len(result.last_key) > 0
    assert turns.session.queued_bytes == 0


@pytest.mark.parametrize(
    ("spoil", "asked", "status", "message"),
    [
        pytest.param(lambda shelf: shelf.state.dropped_tables.add(TABLE), {}, data_pb2.TABLE_GONE, "", id="dropped"),
        pytest.param(
            lambda _shelf: None,
            {"expressions": {"filter": "v ="}},
            data_pb2.VALIDATION_FAILED,
            'Invalid FilterExpression: Syntax error; token: "<EOF>", near: "="',
            id="no expression",
        ),
        pytest.param(
            lambda shelf: shelf.point(b"e", b"nothing", 1),
            {"index_id": INDEX},
            data_pb2.UNAVAILABLE,
            "",
            id="a fault of ours",
        ),
    ],
)
def test_what_cannot_be_read_is_said(
    spoil: Callable[[Shelf], None], asked: dict[str, Any], status: data_pb2.ResultStatus, message: str
) -> None:
    turns = Turns(3)
    spoil(turns.shelf)
    number = turns.ask(**asked)
    result = turns.answers()[number]
    assert (result.status, result.message, turns.turns.under_way) == (status, message, 0)


# ---------------------------------------------------------------------------------------------- whole nodes
GROUP_OF_CLUSTER = 1
ROWS_OF_CLUSTER = 40


def cluster_operation(kind: data_pb2.OperationKind, **asked: Any) -> data_pb2.Operation:
    asked_operation = operation(kind=kind, **asked)
    asked_operation.partition = GROUP_OF_CLUSTER
    return asked_operation


@pytest.fixture
def cluster() -> QuietCluster:
    cluster = QuietCluster()
    leader = cluster.asker(cluster.leader(GROUP_OF_CLUSTER))
    for number in range(ROWS_OF_CLUSTER):
        row = cluster_operation(data_pb2.PUT)
        row.ClearField("range")
        row.key, row.item = key_of(number), encode_record(numbered(number))
        row.request_id = number.to_bytes(16, "big")
        leader.ask(row)
    cluster.run(0.3)
    assert set(leader.statuses.values()) == {data_pb2.OK}
    return cluster


def test_a_strong_read_is_the_leaders_and_sees_every_acknowledged_write(cluster: QuietCluster) -> None:
    leader = cluster.asker(cluster.leader(GROUP_OF_CLUSTER))
    (number,) = leader.ask(cluster_operation(data_pb2.RANGE_STRONG))
    assert leader.results == [], "not before a quorum confirmed the leader"
    cluster.run(0.1)
    assert numbers_of(leader.result(number)) == list(range(ROWS_OF_CLUSTER))
    follower = cluster.follower(GROUP_OF_CLUSTER)
    asker = cluster.asker(follower)
    (refused,) = asker.ask(cluster_operation(data_pb2.RANGE_STRONG))
    cluster.run(0.1)
    assert (asker.result(refused).status, asker.result(refused).leader) == (
        data_pb2.NOT_LEADER,
        cluster.leader(GROUP_OF_CLUSTER).node_id,
    )


def test_a_leader_without_a_quorum_answers_no_strong_read(cluster: QuietCluster) -> None:
    old = cluster.leader(GROUP_OF_CLUSTER)
    asker = cluster.asker(old)
    cluster.isolate(old.node_id, 5.0)
    (strong, eventual) = asker.ask(
        cluster_operation(data_pb2.RANGE_STRONG), cluster_operation(data_pb2.RANGE_EVENTUAL, limit=2)
    )
    cluster.run(3.0)
    assert asker.statuses == {strong: data_pb2.NOT_LEADER, eventual: data_pb2.OK}


def test_every_replica_answers_eventual_reads(cluster: QuietCluster) -> None:
    for node_id in cluster.machines:
        asker = cluster.asker(cluster.process(node_id))
        (number,) = asker.ask(cluster_operation(data_pb2.RANGE_EVENTUAL, backward=True, limit=3))
        cluster.run(0.01)
        result = asker.result(number)
        assert (numbers_of(result), last_of(result)) == ([39, 38, 37], 37)


def test_a_long_page_is_finished_in_later_callbacks_of_the_node(
    cluster: QuietCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(range_turns, "CALLBACK_UNITS", 20)
    leader = cluster.leader(GROUP_OF_CLUSTER)
    asker = cluster.asker(leader)
    numbers = asker.ask(*(cluster_operation(kind) for kind in (data_pb2.RANGE_STRONG, data_pb2.RANGE_EVENTUAL)))
    cluster.run(0.5)
    assert [numbers_of(asker.result(number)) for number in numbers] == [list(range(ROWS_OF_CLUSTER))] * 2


def test_a_dropped_table_is_gone_for_range_reads(cluster: QuietCluster) -> None:
    leader = cluster.leader(GROUP_OF_CLUSTER)
    leader.host.partitions[GROUP_OF_CLUSTER].propose_own(
        log_pb2.LogEntry(drop_tables=[log_pb2.DropTable(table_id=TABLE)])
    )
    leader.host.wake(GROUP_OF_CLUSTER)
    cluster.run(0.3)
    asker = cluster.asker(leader)
    numbers = asker.ask(*(cluster_operation(kind) for kind in (data_pb2.RANGE_STRONG, data_pb2.RANGE_EVENTUAL)))
    cluster.run(0.1)
    assert {asker.statuses[number] for number in numbers} == {data_pb2.TABLE_GONE}


def test_fetched_units_round_each_item_up(shelf: Shelf) -> None:
    sizes = [1, 4096, 4097]
    for number, size in enumerate(sizes):
        item = numbered(number)
        item["f"] = {"S": "x" * max(0, size - item_size({**item, "f": {"S": ""}}))}
        shelf.put(key_of(number), item)
        shelf.point(key_of(number), key_of(number), 10)
    page = shelf.page(index_id=INDEX, fetch=True)
    assert page.fetched_units == sum(max(1, math.ceil(size / 4096)) for size in sizes)

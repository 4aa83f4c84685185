"""The log of one group over the shared batch: what is durable is never overstated, and a crash loses only a suffix."""

from __future__ import annotations

import struct

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from node.storage.memory import MemoryStore
from replication.journal import FIRST_ENTRY, GroupJournal
from replication.messages import LogEntry, Message
from replication.ports import Family
from replication.records import RECORD_VERSION, UNSEALED_VERSION, JournalCorrupt, unseal

pytestmark = pytest.mark.unit

GROUP = 3
VOTERS = ("n1", "n2", "n3")


class Changes:
    """A host that notes whose journal changed."""

    def __init__(self) -> None:
        self.changed: list[int] = []

    def journal_changed(self, group_id: int) -> None:
        self.changed.append(group_id)

    def send(self, group_id: int, target: str, message: Message, *, durable: bool) -> None:
        raise NotImplementedError

    def wake(self, group_id: int) -> None:
        raise NotImplementedError

    def leadership_changed(self, group_id: int) -> None:
        raise NotImplementedError


def open_journal(store: MemoryStore, group_id: int = GROUP) -> GroupJournal:
    return GroupJournal(store, Changes(), group_id, VOTERS)


def filled(store: MemoryStore, count: int, term: int = 1) -> GroupJournal:
    """A journal with entries 2 .. count+1, written and synced."""
    journal = open_journal(store)
    for index in range(2, count + 2):
        journal.add(b"entry%d" % index, index, term)
    sync(store, journal)
    return journal


def sync(store: MemoryStore, journal: GroupJournal) -> None:
    store.write_batch()
    covered = journal.sync_starts()
    store.sync()
    journal.sync_ended(covered)


def entries(journal: GroupJournal) -> list[LogEntry]:
    return list(journal.entries)


def test_a_new_log_holds_the_entry_that_all_replicas_begin_with() -> None:
    journal = open_journal(MemoryStore())
    assert entries(journal) == [FIRST_ENTRY]
    assert (journal.first_index, journal.last_index, journal.last_term, journal.durable_index) == (1, 1, 0, 1)
    assert (journal.getCurrentTerm(), journal.getVotedForNodeId()) == (0, None)


def test_entries_are_read_back_after_a_restart() -> None:
    store = MemoryStore()
    before = filled(store, 4)
    after = open_journal(store.crash())
    assert entries(after) == entries(before)
    assert (after.durable_index, after.payload_bytes) == (5, before.payload_bytes)
    assert after.term_at(3) == 1


def test_what_is_collected_is_in_memory_only_until_the_batch_is_written() -> None:
    store = MemoryStore()
    journal = filled(store, 1)
    journal.add(b"late", 3, 1)
    assert journal.last_index == 3
    assert open_journal(store.crash(store.unsynced_batches)).last_index == 2


def test_groups_share_a_store_and_nothing_else() -> None:
    store = MemoryStore()
    for group_id in (2, 3, 4):
        journal = open_journal(store, group_id)
        journal.add(b"of %d" % group_id, 2, group_id)
        journal.setCurrentTerm(group_id, f"n{group_id}")
    store.write_batch()
    for group_id in (2, 3, 4):
        journal = open_journal(store, group_id)
        assert journal[1] == (b"of %d" % group_id, 2, group_id)
        assert (journal.getCurrentTerm(), journal.getVotedForNodeId()) == (group_id, f"n{group_id}")


def test_term_and_vote_are_stored_together_and_told_to_the_host() -> None:
    store, host = MemoryStore(), Changes()
    journal = GroupJournal(store, host, GROUP, VOTERS)
    host.changed.clear()
    journal.setCurrentTerm(7, "n2")
    assert host.changed == [GROUP]
    store.write_batch()
    again = open_journal(store)
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (7, "n2")
    again.setCurrentTerm(8, None)
    store.write_batch()
    assert open_journal(store).getVotedForNodeId() is None


# ---------------------------------------------------------------------------------------------- durability
def test_an_entry_added_during_a_sync_waits_for_the_next() -> None:
    store = MemoryStore()
    journal = filled(store, 3)
    journal.add(b"first", 5, 1)
    store.write_batch()
    covered = journal.sync_starts()
    journal.add(b"second", 6, 1)
    journal.sync_ended(covered)
    assert journal.durable_index == 5


def test_a_cut_lowers_what_is_durable_at_once() -> None:
    journal = filled(MemoryStore(), 6)
    journal.deleteEntriesFrom(3)
    assert (journal.last_index, journal.durable_index) == (3, 3)


def test_a_sync_under_way_does_not_cover_what_replaced_a_cut_entry() -> None:
    store = MemoryStore()
    journal = filled(store, 3)
    for index in (5, 6, 7):
        journal.add(b"old", index, 1)
    store.write_batch()
    covered = journal.sync_starts()
    journal.deleteEntriesFrom(4)
    for index in (5, 6, 7):
        journal.add(b"new", index, 2)
    journal.sync_ended(covered)
    assert journal.durable_index == 4
    sync(store, journal)
    assert journal.durable_index == 7


def test_a_cut_before_a_sync_began_does_not_weaken_it() -> None:
    store = MemoryStore()
    journal = filled(store, 6)
    journal.deleteEntriesFrom(3)
    journal.add(b"new", 4, 2)
    sync(store, journal)
    assert journal.durable_index == 4


# ---------------------------------------------------------------------------------------------- truncation, snapshots
def test_truncation_keeps_index_and_term_of_the_last_dropped_entry() -> None:
    store = MemoryStore()
    journal = filled(store, 6, term=2)
    kept = journal[4:]
    journal.deleteEntriesTo(3)
    assert (journal.first_index, journal.entries[0][2]) == (4, 2)
    assert journal[1:] == kept
    assert journal.payload_bytes == sum(len(entry[0]) for entry in kept)
    store.write_batch()
    again = open_journal(store)
    assert entries(again) == entries(journal)
    assert again.payload_bytes == journal.payload_bytes


@pytest.mark.parametrize(
    ("index", "term", "kept"),
    [
        pytest.param(5, 1, [6, 7], id="a snapshot inside the log keeps the tail that matches it"),
        pytest.param(5, 2, [], id="a tail behind an entry of another term goes"),
        pytest.param(7, 1, [], id="a snapshot of the last entry leaves nothing"),
        pytest.param(40, 3, [], id="a snapshot beyond the log replaces it"),
    ],
)
def test_a_snapshot_resets_the_log(index: int, term: int, kept: list[int]) -> None:
    store = MemoryStore()
    journal = filled(store, 6)
    journal.reset(index, term, journal.membership)
    assert (journal.first_index, journal.entries[0][2]) == (index, term)
    assert [entry[1] for entry in journal[1:]] == kept
    assert journal.payload_bytes == sum(len(entry[0]) for entry in journal[1:])
    journal.add(b"next", journal.last_index + 1, 9)
    store.write_batch()
    assert entries(open_journal(store)) == entries(journal)


def test_the_log_is_never_cleared() -> None:
    with pytest.raises(AssertionError):
        open_journal(MemoryStore()).clear()


# ---------------------------------------------------------------------------------------------- damage
def log_key(index: int) -> bytes:
    return struct.pack(">IQ", GROUP, index)


@pytest.mark.parametrize(
    ("family", "key", "record"),
    [
        pytest.param(Family.LOG, log_key(3), struct.pack("<BQ", 9, 1), id="an entry"),
        pytest.param(Family.META, b"h" + struct.pack(">I", GROUP), struct.pack("<BQ", 9, 1), id="the hard state"),
        pytest.param(Family.META, b"b" + struct.pack(">I", GROUP), struct.pack("<BQQ", 9, 1, 1), id="the base"),
    ],
)
def test_a_record_of_another_version_is_refused(family: Family, key: bytes, record: bytes) -> None:
    store = MemoryStore()
    filled(store, 4)
    store.put(family, key, record)
    store.write_batch()
    with pytest.raises(JournalCorrupt, match="version 9"):
        open_journal(store)


@pytest.mark.parametrize(
    ("family", "key"),
    [
        pytest.param(Family.LOG, log_key(3), id="an entry"),
        pytest.param(Family.META, b"h" + struct.pack(">I", GROUP), id="the hard state"),
        pytest.param(Family.META, b"b" + struct.pack(">I", GROUP), id="the base"),
    ],
)
def test_every_flipped_bit_of_a_record_is_noticed(family: Family, key: bytes) -> None:
    store = MemoryStore()
    journal = filled(store, 5)
    journal.deleteEntriesTo(1)
    journal.setCurrentTerm(9, "n2")
    store.write_batch()
    whole = store.get(family, key)
    assert whole is not None
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        store.put(family, key, bytes(flipped))
        store.write_batch()
        with pytest.raises(JournalCorrupt, match=r"its checksum does not fit|version"):
            open_journal(store)
    for cut in range(len(whole)):
        store.put(family, key, whole[:cut])
        store.write_batch()
        with pytest.raises(JournalCorrupt, match=r"its checksum does not fit|version"):
            open_journal(store)


def test_an_entry_under_another_index_is_noticed() -> None:
    store = MemoryStore()
    filled(store, 4)
    store.put(Family.LOG, log_key(3), store.get(Family.LOG, log_key(4)) or b"")
    store.write_batch()
    with pytest.raises(JournalCorrupt, match="its checksum does not fit"):
        open_journal(store)


def test_records_from_before_checksums_are_read_and_new_ones_have_them() -> None:
    store = MemoryStore()
    journal = filled(store, 3)
    journal.setCurrentTerm(7, "n3")
    store.write_batch()
    keys = [(Family.LOG, log_key(index)) for index in (2, 3)]
    keys += [(Family.META, b"h" + struct.pack(">I", GROUP))]
    for family, key in keys:
        record = store.get(family, key) or b""
        store.put(family, key, bytes([UNSEALED_VERSION]) + unseal(key, record))
    store.write_batch()
    again = open_journal(store)
    assert entries(again) == entries(journal)
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (7, "n3")
    again.add(b"new", again.last_index + 1, 7)
    store.write_batch()
    assert (store.get(Family.LOG, log_key(again.last_index)) or b"")[0] == RECORD_VERSION
    assert entries(open_journal(store)) == entries(again)


def test_a_hole_is_refused() -> None:
    store = MemoryStore()
    filled(store, 4)
    store.delete(Family.LOG, log_key(3))
    store.write_batch()
    with pytest.raises(JournalCorrupt, match="entry 4 follows 2"):
        open_journal(store)


def test_a_log_that_does_not_begin_after_its_base_is_refused() -> None:
    store = MemoryStore()
    filled(store, 4)
    store.delete_range(Family.LOG, log_key(0), log_key(4))
    store.write_batch()
    with pytest.raises(JournalCorrupt, match="entry 4 follows 1"):
        open_journal(store)


# ---------------------------------------------------------------------------------------------- all together
class JournalMachine(RuleBasedStateMachine):
    """Random work, syncs that overlap it, and power loss: what was called durable is still there, as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.journal = open_journal(self.store)
        self.term = 1
        self.syncing: tuple[int, int] | None = None

    def changed(self) -> None:
        """The host's order: write, and begin a sync unless one runs."""
        self.store.write_batch()
        if self.syncing is None:
            self.syncing = (self.store.unsynced_batches, self.journal.sync_starts())

    @rule(count=st.integers(1, 3))
    def append(self, count: int) -> None:
        for _ in range(count):
            index = self.journal.last_index + 1
            self.journal.add(b"%d of term %d" % (index, self.term), index, self.term)
        self.changed()

    @precondition(lambda self: len(self.journal) > 1)
    @rule(data=st.data())
    def replace_tail(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(1, len(self.journal) - 1))
        self.term += 1
        self.journal.deleteEntriesFrom(position)
        index = self.journal.last_index + 1
        self.journal.add(b"%d of term %d" % (index, self.term), index, self.term)
        self.changed()

    @precondition(lambda self: len(self.journal) > 1)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        self.journal.deleteEntriesTo(data.draw(st.integers(1, len(self.journal) - 1)))
        self.changed()

    @precondition(lambda self: self.syncing is not None)
    @rule()
    def sync_ends(self) -> None:
        assert self.syncing is not None
        batches, covered = self.syncing
        self.store.sync_first(batches)
        self.journal.sync_ended(covered)
        self.syncing = None
        if self.store.unsynced_batches:
            self.syncing = (self.store.unsynced_batches, self.journal.sync_starts())

    @rule(data=st.data())
    def power_loss(self, data: st.DataObject) -> None:
        before, durable = entries(self.journal), self.journal.durable_index
        kept = data.draw(st.integers(0, self.store.unsynced_batches))
        self.store = self.store.crash(kept)
        self.journal = open_journal(self.store)
        self.syncing = None
        after = {entry[1]: entry for entry in entries(self.journal)}
        first = self.journal.first_index
        for entry in before[1:]:
            if first < entry[1] <= durable:
                assert after.get(entry[1]) == entry
        assert self.journal.last_index >= durable

    @invariant()
    def indexes_are_dense_and_nothing_beyond_the_end_is_durable(self) -> None:
        indexes = [entry[1] for entry in self.journal.entries]
        assert indexes == list(range(indexes[0], indexes[0] + len(indexes)))
        assert self.journal.durable_index <= self.journal.last_index


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
